"""Opens anything: finished files, files still being written, files cut off, files with holes.

Reads from front to back, a chunk at a time, and says what was lost instead of giving up. The index
at a file's end is not needed; a chunk whose checksum is wrong is left out and named.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Footer, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from recording.channels import SESSION
from recording.migrations import Step, steps_for
from recording.moments import words
from recording.segment import ENDING, OPEN_SUFFIX

RECORD_MAX_BYTES = 256 * 1024 * 1024
_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_OF_MESSAGE, _OF_CHANNEL = int(Opcode.MESSAGE), int(Opcode.CHANNEL)


class Message(NamedTuple):
    """One message.

    Attributes:
        log_ns: UTC. publish_ns: monotonic time of the machine. number: of its channel, from 0.
    """

    topic: str
    log_ns: int
    publish_ns: int
    number: int
    data: bytes

    def json(self) -> dict[str, Any]:
        """Return the content of a JSON message.

        Raises:
            ValueError: it is none.
        """
        content = json.loads(self.data)
        if not isinstance(content, dict):
            raise ValueError(f"{self.topic}: not a JSON object")
        return content


@dataclass(slots=True)
class LogFile:
    """One file.

    Attributes:
        lost: what could not be read, in words; complete once it was read to its end.
        whole: its end was found. attachments: by name. metadata: by name.
        torn: of these, that its end is missing.
    """

    path: Path
    lost: list[str] = field(default_factory=list)
    whole: bool = False
    torn: str | None = None
    attachments: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    _topics: dict[int, str] = field(default_factory=dict)
    _encodings: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Of the log's content; the first where the file does not say."""
        text = self.metadata.get("headframe", {}).get("version", "1")
        return int(text) if text.isdigit() else 1

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Message]:
        """Read from front to back.

        Args:
            topics: those wanted; None is all.
        """
        self.lost.clear()
        self._topics.clear()
        self.whole, self.torn = False, None
        with self.path.open("rb") as stream:
            yield from self._read(stream, topics)

    def _read(self, stream: IO[bytes], topics: Collection[str] | None) -> Iterator[Message]:
        records = StreamReader(stream, emit_chunks=True, record_size_limit=RECORD_MAX_BYTES).records
        while True:
            begun = stream.tell()
            try:
                record = next(records, None)
            except (McapError, struct.error, ValueError, MemoryError, OverflowError) as error:
                self._end_early(stream, begun, error)
                return
            if record is None:
                return
            match record:
                case Chunk():
                    yield from self._wanted(record, begun, topics)
                case Channel():
                    self._topics[record.id] = record.topic
                case Attachment():
                    self._attach(record, begun)
                case Metadata():
                    self.metadata[record.name] = record.metadata
                case Footer():
                    self.whole = True
                case _:
                    pass

    def _attach(self, record: Attachment, begun: int) -> None:
        """Programs that read one of two might read either."""
        if self.attachments.setdefault(record.name, record.data) != record.data:
            self.lost.append(
                f"{self.path.name}: at byte {begun} a second attachment is called {record.name}"
            )

    def _end_early(self, stream: IO[bytes], begun: int, error: Exception) -> None:
        size = stream.seek(0, 2)
        self.torn = (
            f"{self.path.name}: ends without its end at byte {begun} of {size}"
            f" ({type(error).__name__}): what its writer had not flushed is lost"
        )
        self.lost.append(self.torn)

    def _wanted(
        self, chunk: Chunk, begun: int, topics: Collection[str] | None
    ) -> Iterator[Message]:
        data = unpacked(chunk)
        if data is None:
            span_s = (chunk.message_end_time - chunk.message_start_time) / 1e9
            self.lost.append(
                f"{self.path.name}: chunk at byte {begun} is damaged: {span_s:.2f} s lost"
                f" from {words(chunk.message_start_time)}"
            )
            return
        yield from self._messages(data, topics)

    def _messages(self, data: bytes, topics: Collection[str] | None) -> Iterator[Message]:
        names, place, end = self._topics, 0, len(data)
        head, message, message_size = _HEAD.unpack_from, _MESSAGE.unpack_from, _MESSAGE.size
        while place + _HEAD.size <= end:
            opcode, length = head(data, place)
            place += _HEAD.size
            if opcode == _OF_MESSAGE:
                channel, number, log_ns, publish_ns = message(data, place)
                topic = names.get(channel)
                if topic is not None and (topics is None or topic in topics):
                    content = data[place + message_size : place + length]
                    yield Message(topic, log_ns, publish_ns, number, content)
            elif opcode == _OF_CHANNEL:
                self._learn(data[place - _HEAD.size : place + length])
            place += length

    def _learn(self, record: bytes) -> None:
        """Take a channel's record as the library reads it."""
        chunk = Chunk("", record, 0, 0, 0, len(record))
        for each in breakup_chunk(chunk):
            if isinstance(each, Channel):
                self._topics[each.id] = each.topic


def unpacked(chunk: Chunk) -> bytes | None:
    """Return a chunk's content; None when it is damaged."""
    if chunk.uncompressed_size > RECORD_MAX_BYTES:
        return None
    try:
        if chunk.compression == "zstd":
            data = zstandard.decompress(chunk.data, max_output_size=chunk.uncompressed_size)
        elif chunk.compression == "":
            data = chunk.data
        else:
            return None
    except (zstandard.ZstdError, MemoryError, ValueError):
        return None
    if chunk.uncompressed_crc and zlib.crc32(data) != chunk.uncompressed_crc:
        return None
    return data


@dataclass(slots=True)
class Log:
    """One drive: the files of a session in their order.

    Attributes:
        files: in order. lost: of all files, and what is missing between them.
        single: it was asked for as one file, which others of its session may stand beside.
    """

    files: list[LogFile]
    single: bool = False

    @property
    def name(self) -> str:
        """Of the file, or of the session's folder."""
        first = self.files[0].path
        return first.parent.name if len(self.files) > 1 else first.name.partition(ENDING)[0]

    @property
    def lost(self) -> list[str]:
        """What could not be read, once it was read."""
        return [words for each in self.files for words in each.lost]

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Message]:
        """Read all files, one after the other; content of older versions is brought up."""
        for each in self.files:
            ways: dict[str, tuple[Step, ...]] = {}
            for message in each.messages(topics):
                topic = message.topic
                if topic not in ways:
                    ways[topic] = steps_for(each.version, topic)
                yield _brought_up(message, ways[topic]) if ways[topic] else message

    def session(self) -> Mapping[str, Any]:
        """Return what the first file says of its making; empty where it says nothing.

        Read apart, so that what is known to be lost stays known.
        """
        first = next(Log([LogFile(self.files[0].path)]).messages({SESSION}), None)
        return {} if first is None else first.json()


def _brought_up(message: Message, steps: Sequence[Step]) -> Message:
    content = message.json()
    for step in steps:
        content = step(content)
    data = json.dumps(content, separators=(",", ":")).encode()
    return message._replace(data=data)


def open_log(path: Path) -> Log:
    """Return the log in a file, or the files of one session in their folder.

    Raises:
        ValueError: there is none.
    """
    if path.is_dir():
        files = sorted(
            (each for each in path.iterdir() if each.name.endswith((ENDING, OPEN_SUFFIX))),
            key=lambda each: each.name,
        )
        if not files:
            raise ValueError(f"{path}: holds no log")
        return Log([LogFile(each) for each in files])
    if not path.is_file():
        raise ValueError(f"{path}: no such log")
    return Log([LogFile(path)], single=True)


def logs_under(path: Path) -> list[Log]:
    """Return every log in a folder: each session folder below, and each file beside them."""
    if path.is_file():
        return [open_log(path)]
    logs = [Log([LogFile(each)]) for each in sorted(path.glob(f"*{ENDING}*"))]
    logs += [
        open_log(folder)
        for folder in sorted(each for each in path.rglob("*") if each.is_dir())
        if any(folder.glob(f"*{ENDING}*"))
    ]
    if not logs:
        raise ValueError(f"{path}: holds no log")
    return logs


__all__ = ["Log", "LogFile", "Message", "Schema", "logs_under", "open_log"]
