"""What stands in a log's file beside its messages: indexes, times of chunks, attachments, summary.

The chain of hashes proves the messages. Programs that jump by the index would be led astray by one
that was altered, so that is proven here: indexes by the messages themselves, all else by checksums.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from pathlib import Path
from typing import IO

from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Chunk, DataEnd, Footer, MessageIndex
from mcap.stream_reader import StreamReader

from recording.reader import RECORD_MAX_BYTES, unpacked

_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQ")
_CRC_BYTES = 4
_BLOCK_BYTES = 1 << 20
FOOTER_BYTES = 9 + 8 + 8 + 4
Places = dict[int, list[tuple[int, int]]]
"""By channel: time and place of each of its messages in a chunk."""


def fault_beside_messages(path: Path) -> str | None:
    """Return the first fault of a file beside its messages, in words with its place; None: none.

    A file that was cut off is proven up to its cut; a chunk that cannot be read is the chain's.
    """
    with path.open("rb") as stream:
        records = StreamReader(stream, emit_chunks=True, record_size_limit=RECORD_MAX_BYTES).records
        wanted: Places | None = None
        summary = 0
        while True:
            begun = stream.tell()
            try:
                record = next(records, None)
            except (McapError, struct.error, ValueError, MemoryError, OverflowError):
                return None
            if isinstance(record, MessageIndex):
                if wanted is not None and sorted(wanted.pop(record.channel_id, ())) != sorted(
                    record.records
                ):
                    return f"the index at byte {begun} does not fit the messages before it"
                continue
            if wanted:
                return f"the index of {len(wanted)} channels is missing at byte {begun}"
            wanted = None
            match record:
                case None:
                    return None
                case Chunk():
                    wanted = _places(record)
                    if wanted is not None and not _times_fit(record, wanted):
                        return f"the chunk at byte {begun} is of other times than its messages"
                case DataEnd():
                    summary = stream.tell()
                    if record.data_section_crc not in (0, _crc(stream, 0, begun)):
                        return f"something before byte {begun} beside the messages was altered"
                case Footer():
                    end = begun + FOOTER_BYTES - _CRC_BYTES
                    if record.summary_crc not in (0, _crc(stream, summary, end)):
                        return f"the summary at byte {summary} was altered"
                case _:
                    pass


def _places(chunk: Chunk) -> Places | None:
    data = unpacked(chunk)
    if data is None:
        return None
    places: Places = defaultdict(list)
    at, end = 0, len(data)
    while at + _HEAD.size <= end:
        opcode, length = _HEAD.unpack_from(data, at)
        if opcode == Opcode.MESSAGE:
            channel, _, log_ns = _MESSAGE.unpack_from(data, at + _HEAD.size)
            places[channel].append((log_ns, at))
        at += _HEAD.size + length
    return dict(places)


def _times_fit(chunk: Chunk, places: Places) -> bool:
    times = [log_ns for row in places.values() for log_ns, _ in row]
    ends = (min(times), max(times)) if times else (0, 0)
    return ends == (chunk.message_start_time, chunk.message_end_time)


def _crc(stream: IO[bytes], begin: int, end: int) -> int:
    """Return the checksum of a part of the file; the stream stands afterwards where it stood."""
    before, crc = stream.tell(), 0
    stream.seek(begin)
    while begin < end:
        block = stream.read(min(_BLOCK_BYTES, end - begin))
        if not block:
            break
        crc = zlib.crc32(block, crc)
        begin += len(block)
    stream.seek(before)
    return crc
