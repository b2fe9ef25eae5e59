"""One file of a log, while it is written: MCAP in chunks that reach the disk twice a second."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from recording.chain import HEAD_BYTES, Chain
from recording.channels import CHAIN, PROFILE, SESSION, kind_of

CHUNK_BYTES = 256 * 1024
"""A reader that seeks parses one chunk; of small messages a larger one costs it 20 ms and more."""
ENDING = ".mcap"
OPEN_SUFFIX = ".open"
"""A file that is being written, or whose writer was killed."""


Watch = Callable[[str, int, bytes], None]
"""Sees each message as it is written: topic, UTC ns, content."""


class Segment:
    """Writes one file. What is flushed survives the death of the process.

    Args:
        path: of the finished file; while it is written its name ends in ``.mcap.open``.
        session: content of its first message. head: of the chain so far.
        watch: sees each message.

    Attributes:
        flushed_head: of the chain, as far as the operating system has it.

    Raises:
        OSError: from every method, when the disk does not take it.
    """

    def __init__(
        self,
        path: Path,
        session: Mapping[str, Any],
        head: bytes = bytes(HEAD_BYTES),
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self.path = path.with_name(path.name + OPEN_SUFFIX)
        self._final = path
        raw = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = io.BufferedWriter(io.FileIO(raw, "wb"), 2 * CHUNK_BYTES)
        self._writer = Writer(
            self._file,
            chunk_size=CHUNK_BYTES,
            compression=CompressionType.ZSTD,
            enable_data_crcs=True,
        )
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self.chain = Chain(head)
        self.flushed_head = head
        self._last_ns = int(session["utc_ns"])
        try:
            self._begin(session)
        except OSError:
            self.abandon()
            with contextlib.suppress(OSError):  # what the disk said first is said
                self.path.unlink()  # or its name is taken when there is room again
            raise

    def _begin(self, session: Mapping[str, Any]) -> None:
        self._writer.start(profile=PROFILE, library="headframe")
        self._writer.add_metadata(
            "headframe", {name: str(value) for name, value in session.items()}
        )
        self.write(SESSION, self._last_ns, int(session["mono_ns"]), json.dumps(session).encode())
        self.flush()

    def write(self, topic: str, log_ns: int, publish_ns: int, data: bytes) -> None:
        """Write one message.

        Args:
            log_ns: UTC. publish_ns: monotonic time of the machine.
        """
        channel = self._channels.get(topic) or self._register(topic)
        number = self.counts[topic]
        self.counts[topic] = number + 1
        self._last_ns = log_ns
        self._writer.add_message(channel, log_ns, data, publish_ns, number)
        if topic != CHAIN:
            self.chain.add(topic, log_ns, data)
        if self._watch is not None:
            self._watch(topic, log_ns, data)

    def attach(self, name: str, media_type: str, data: bytes) -> None:
        """Attach a file."""
        self._writer.add_attachment(self._last_ns, self._last_ns, name, media_type, data)

    def flush(self, *, sync: bool = False) -> None:
        """Hand everything so far to the operating system, and with ``sync`` to the disk."""
        link = self.chain.link()
        if link is not None:
            self.write(CHAIN, self._last_ns, 0, json.dumps(link).encode())
        self._writer.flush()
        self.flushed_head = self.chain.head
        if sync:
            os.fdatasync(self._file.fileno())

    @property
    def size_bytes(self) -> int:
        """How much of the file there is."""
        return self._file.tell()

    def close(self, seal: Mapping[str, str] | None = None) -> Path:
        """Finish the file; return its final path.

        Args:
            seal: metadata that signs the chain's head.
        """
        self.flush()
        if seal is not None:
            self._writer.add_metadata("seal", dict(seal))
        self._writer.finish()
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._file.close()
        self.path.rename(self._final)
        return self._final

    def abandon(self) -> None:
        """Let go of a file that the disk does not take any more; what it has stays."""
        raw = self._file.raw
        self._file = io.BufferedWriter(io.BytesIO())  # type: ignore[arg-type]
        with contextlib.suppress(OSError):  # it says again what a write said
            raw.close()

    def _register(self, topic: str) -> int:
        kind = kind_of(topic)
        schema = self._schemas.get(kind.schema)
        if schema is None:
            schema = self._writer.register_schema(
                kind.schema, kind.schema_encoding, kind.schema_data
            )
            self._schemas[kind.schema] = schema
        channel = self._writer.register_channel(topic, kind.encoding, schema)
        self._channels[topic] = channel
        return channel
