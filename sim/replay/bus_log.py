"""The by-wire frames of a log as Vector logs: .asc and .blf, by python-can's own writers."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterator
from pathlib import Path

import can

from recording import channels
from recording.reader import Log


def frames(log: Log) -> Iterator[can.Message]:
    """Yield the frames; the guardian's own are those that were sent.

    A frame's time is that of the tick that heard or sent it: UTC, s, to 10 ms.
    """
    for message in log.messages({channels.BUS}):
        content = message.json()
        for direction in ("rx", "tx"):
            for can_id, text in content[direction]:
                yield can.Message(
                    timestamp=message.log_ns / 1e9,
                    arbitration_id=can_id,
                    is_extended_id=True,
                    data=a2b_base64(text),
                    channel=0,
                    is_rx=direction == "rx",
                )


def write_asc(log: Log, path: Path) -> int:
    """Write all frames as text; return how many."""
    with can.ASCWriter(path) as writer:
        return _write(log, writer)


def write_blf(log: Log, path: Path) -> int:
    """Write all frames as Vector's binary form; return how many."""
    with can.BLFWriter(path) as writer:
        return _write(log, writer)


def _write(log: Log, writer: can.ASCWriter | can.BLFWriter) -> int:
    count = 0
    for frame in frames(log):
        writer.on_message_received(frame)
        count += 1
    return count
