"""``python -m tests.replay.elsewhere LOG``: opens a log with nothing of Headframe.

The ``mcap`` library's own reader, PyAV, and the schemas that Foxglove publishes: what others have.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import av
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory


def seen(path: Path) -> dict[str, Any]:
    """Return messages by topic, pictures decoded by topic, and messages read by Foxglove's schemas.

    Raises:
        ValueError: a message says otherwise by Foxglove's schema than by the one in the file.
    """
    messages: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    published: Counter[str] = Counter()
    sizes: set[tuple[int, int]] = set()
    decoders: dict[str, av.VideoCodecContext] = {}
    own = DecoderFactory()
    with path.open("rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            messages[channel.topic] += 1
            if channel.message_encoding == "json":
                json.loads(message.data)
                continue
            assert schema is not None
            decode = own.decoder_for(channel.message_encoding, schema)
            assert decode is not None
            name = schema.name.removeprefix("foxglove.")
            module = importlib.import_module(f"foxglove_schemas_protobuf.{name}_pb2")
            content = getattr(module, name).FromString(message.data)
            if content.SerializeToString() != decode(message.data).SerializeToString():
                raise ValueError(f"{channel.topic}: the file's schema is not Foxglove's")
            published[schema.name] += 1
            if name == "CompressedVideo":
                decoder = decoders.setdefault(
                    channel.topic, av.VideoCodecContext.create(content.format, "r")
                )
                for frame in decoder.decode(av.Packet(content.data)):
                    pictures[channel.topic] += 1
                    sizes.add((frame.width, frame.height))
    for topic, decoder in decoders.items():
        pictures[topic] += len(decoder.decode(None))
    return {
        "messages": dict(messages),
        "pictures": dict(pictures),
        "sizes": sorted(sizes),
        "by_foxglove_schema": dict(published),
    }


if __name__ == "__main__":
    print(json.dumps(seen(Path(sys.argv[1]))))  # noqa: T201 - a tool's output
