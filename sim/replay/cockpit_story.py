"""What the cockpit's log adds to a moment of the machine's: hands, screen, what left and what came.

The two clocks are set beside each other by what passed between them both ways, as NTP does it: a
command cannot come before it left, nor a state.
"""

from __future__ import annotations

import json
import struct
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from operator_console.core.alerts import AFTER_CAUSE, BEFORE_CAUSE
from protocol.control_peer import CommandPath
from protocol.events import EVENTS
from recording import channels
from recording.reader import Log, Message

BEFORE_NS, AFTER_NS = 2_000_000_000, 1_000_000_000
HANDS_GAP_NS, STATES_GAP_NS = 60_000_000, 200_000_000
"""A snapshot of the hands counts for 60 ms; an echo of a state is good for 200 ms."""
_STATE_BOOT_STAMP = struct.Struct("<20xIQ")
_MS = 1_000_000
_TOPICS = frozenset(
    {
        *(channels.SENT, channels.HEARD, channels.HANDS, channels.SCREEN),
        *(channels.ASKED, channels.PATHS),
    }
)
_SCREEN_WORDS = {row.message.code: row.message.en for row in (*BEFORE_CAUSE, *AFTER_CAUSE)}
Row = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far the machine's UTC is ahead of the cockpit's, and to how much that is known, ns."""

    ahead_ns: int
    within_ns: int


def clocks(machine: Log, cockpit: Log) -> Clocks | None:
    """Return how both logs' clocks go together; None where nothing passed both ways.

    Of the states only those count that the boots in the machine's log said: the cockpit may have
    driven on after the machine was started again, and its monotonic time with it.
    """
    came_ns: dict[tuple[int, int], int] = {}
    for message in machine.messages({channels.COMMANDS}):
        row = message.json()
        if "sequence" in row:
            came_ns.setdefault((row["epoch"], row["sequence"]), message.log_ns)
    session = machine.session()
    offset_ns = int(session.get("utc_ns", 0)) - int(session.get("mono_ns", 0))
    boots = {message.json()["boot_tag"] for message in machine.messages({channels.BOOT})}
    up: list[int] = []
    down: list[int] = []
    for message in cockpit.messages({channels.SENT, channels.HEARD}):
        row = message.json()
        if message.topic == channels.SENT:
            at_ns = came_ns.get((row.get("epoch", -1), row.get("sequence", -1)))
            if at_ns is not None:
                up.append(at_ns - message.log_ns)
        elif row["verdict"] == "counted":
            boot, stamp_us = _STATE_BOOT_STAMP.unpack_from(a2b_base64(row["frame"][0]))
            if boot in boots:
                down.append(message.log_ns - stamp_us * 1000 - offset_ns)
    if not up or not down:
        return None
    return Clocks((min(up) - min(down)) // 2, abs(min(up) + min(down)) // 2)


def story(machine: Log, cockpit: Log, at_ns: int) -> list[Row]:
    """Return what the cockpit's log tells round a moment: times by the machine's clock, words.

    Args:
        at_ns: UTC of the machine.

    Raises:
        ValueError: nothing passed between the two, so that they do not belong together.
    """
    known = clocks(machine, cockpit)
    if known is None:
        raise ValueError(f"{cockpit.name}: nothing in it passed to or from {machine.name}")
    ahead_ns = known.ahead_ns
    from_ns = at_ns - BEFORE_NS
    messages = [
        (message.log_ns + ahead_ns, message)
        for message in cockpit.messages(_TOPICS)
        if from_ns <= message.log_ns + ahead_ns <= at_ns + AFTER_NS
    ]
    rows = list(_told(messages))
    arrived = {
        (row["epoch"], row["sequence"])
        for row in (message.json() for message in machine.messages({channels.COMMANDS}))
        if "sequence" in row
    }
    rows += _sent(messages, at_ns, arrived)
    side = "behind" if ahead_ns > 0 else "ahead of"
    rows.append(
        (
            from_ns,
            f"cockpit: its clock is {abs(ahead_ns) / _MS:.0f} ms {side} the machine's,"
            f" to {known.within_ns / _MS:.0f} ms",
        )
    )
    return rows


def _told(messages: list[tuple[int, Message]]) -> Iterator[Row]:
    """Return what changed: hands, buttons, paths, words on the screen, and silences."""
    held: bool | None = None
    refused = False
    shown: str | None = None
    hands_ns = state_ns = None
    for at_ns, message in messages:
        row = message.json()
        match message.topic:
            case channels.HANDS if not row.get("counts", True):
                if not refused:
                    yield at_ns, f"cockpit: what came of the hands did not count ({row['from']})"
                refused = True
            case channels.HANDS:
                refused = False
                if hands_ns is not None and at_ns - hands_ns > HANDS_GAP_NS:
                    yield at_ns, f"cockpit: no hands were heard for {(at_ns - hands_ns) // _MS} ms"
                hands_ns = at_ns
                now_held = _enable(row)
                if held is not None and now_held != held:
                    word = "took hold of" if now_held else "let go of"
                    yield at_ns, f"cockpit: the driver's hand {word} enable ({row['from']})"
                held = now_held
            case channels.HEARD if row["verdict"] == "counted":
                if state_ns is not None and at_ns - state_ns > STATES_GAP_NS:
                    silent_ms = (at_ns - state_ns) // _MS
                    yield at_ns, f"cockpit: no state had come for {silent_ms} ms"
                state_ns = at_ns
            case channels.SCREEN if row["message"] != shown:
                shown = row["message"]
                yield at_ns, f"cockpit: the screen said {_screen(shown)}"
            case channels.ASKED:
                yield at_ns, f"cockpit: {row['do']} was pressed ({row['from']})"
            case channels.PATHS:
                yield at_ns, f"cockpit: {row['path']} {'came' if row['up'] else 'went'}"
            case _:
                pass


def _enable(row: Mapping[str, Any]) -> bool:
    """Return whether a snapshot holds enable; the desk's is text with the controls inside."""
    content = row["content"]
    if isinstance(content, str):
        content = _controls(content)
    return isinstance(content, Mapping) and bool(content.get("enable"))


def _controls(text: str) -> object:
    """Return the controls in a desk's datagram; None where it is malformed."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content.get("controls") if isinstance(content, Mapping) else None


def _screen(code: str | None) -> str:
    if code is None:
        return "that all is as it should be"
    words = EVENTS[code].en if code in EVENTS else _SCREEN_WORDS.get(code, "")
    return f"{code}: {words}" if words else code


def _sent(
    messages: list[tuple[int, Message]], at_ns: int, arrived: set[tuple[int, int]]
) -> Iterator[Row]:
    """Return what left before the moment, and what of it never came."""
    sent = [
        (when_ns, message.json())
        for when_ns, message in messages
        if message.topic == channels.SENT and when_ns <= at_ns
    ]
    if not sent:
        yield at_ns, "cockpit: no command had left in the two seconds before"
        return
    last_ns, last = sent[-1]
    paths = " and ".join(last["paths"])
    how = f"left by {paths}" if paths else "was taken by no path"
    yield last_ns, f"cockpit: command {last['sequence']}, the last before, {how}"
    lost = [row for _, row in sent if (row["epoch"], row["sequence"]) not in arrived]
    parts = [f"{len(lost)} never came to the machine"] if lost else []
    for path in CommandPath:
        without = sum(path.name not in row["paths"] for _, row in sent)
        if 0 < without < len(sent):
            parts.append(f"{without} were not taken by {path.name}")
    if parts:
        yield sent[0][0], f"cockpit: of {len(sent)} commands that were sent {', '.join(parts)}"
