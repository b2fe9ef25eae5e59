"""What the console tells its recorder, and what the recorder makes of it.

The console says it in short datagrams and does no more work on it than it must: time, kind, bytes.
They are written out where nobody waits.
"""

from __future__ import annotations

import json
import struct
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

from protocol.control_peer import CommandPath
from recording import channels
from recording.backlog import Item
from recording.commands import command_fields

COMMAND, STATE, ROW, DROPPED, HEAD = b"C", b"S", b"J", b"D", b"H"
_HEAD = struct.Struct("<cQ")
_STATE_HEAD_BYTES, _TAG_BYTES = 32, 16
CONSOLE = "/cockpit"
"""Under this name stands what the console itself could not keep for its recorder."""
_TOPICS = {
    COMMAND: channels.SENT,
    STATE: channels.HEARD,
    DROPPED: CONSOLE,
    HEAD: channels.PEER,
}
_dumps = json.JSONEncoder(separators=(",", ":"), default=str).encode


def command(now_ns: int, frame: bytes, paths: Mapping[CommandPath, bool]) -> bytes:
    """Return the datagram of a command that left, with the paths that took it."""
    taken = sum(1 << path for path, took in paths.items() if took)
    return _HEAD.pack(COMMAND, now_ns) + bytes([taken]) + frame


def state(now_ns: int, path: CommandPath, verdict: str, frame: bytes) -> bytes:
    """Return the datagram of a state frame that came."""
    return _HEAD.pack(STATE, now_ns) + bytes([path]) + verdict.encode() + b"\0" + frame


def row(now_ns: int, topic: str, content: Mapping[str, Any]) -> bytes:
    """Return the datagram of a row that is written as it is."""
    return _HEAD.pack(ROW, now_ns) + topic.encode() + b"\0" + _dumps(content).encode()


def dropped(now_ns: int, number: int) -> bytes:
    """Return the datagram that says how many of these were not kept."""
    return _HEAD.pack(DROPPED, now_ns) + str(number).encode()


def head(now_ns: int, token: bytes) -> bytes:
    """Return the datagram of what the machine's recorder told of itself."""
    return _HEAD.pack(HEAD, now_ns) + token


def item_of(datagram: bytes) -> Item | None:
    """Return a datagram as what waits to be written; None when it is none."""
    if len(datagram) <= _HEAD.size:
        return None
    kind, stamp_ns = _HEAD.unpack_from(datagram)
    body = datagram[_HEAD.size :]
    if kind == ROW:
        name, _, text = body.partition(b"\0")
        topic = name.decode("ascii", "replace")
        return Item(kind, topic, stamp_ns, text) if topic in channels.JSON_TITLES else None
    topic = _TOPICS.get(kind, "")
    return Item(kind, topic, stamp_ns, body) if topic else None


def content_of(item: Item) -> bytes:
    """Return what is written of an item.

    Raises:
        ValueError: it does not fit.
    """
    if item.kind == COMMAND:
        return _dumps(_sent(item.data[0], item.data[1:])).encode()
    if item.kind == STATE:
        return _dumps(_heard(item.data)).encode()
    return item.data


def _sent(taken: int, frame: bytes) -> dict[str, Any]:
    paths = [path.name for path in CommandPath if taken & 1 << path]
    return {"paths": paths, **command_fields(frame), "frame": _text(frame)}


def _heard(body: bytes) -> dict[str, Any]:
    verdict, _, frame = body[1:].partition(b"\0")
    head, rest = frame[:_STATE_HEAD_BYTES], frame[_STATE_HEAD_BYTES:]
    text, tag = rest[:-_TAG_BYTES].decode("latin-1"), rest[-_TAG_BYTES:]
    return {
        "path": CommandPath(body[0]).name,
        "verdict": verdict.decode("ascii"),
        "frame": [_text(head), text, _text(tag)] if rest else [_text(head)],
    }


def state_head(frame: bytes) -> bytes:
    """Return what tells one state from another: all that stands before its JSON."""
    return frame[:_STATE_HEAD_BYTES]


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")
