"""What people look at, made from what the supervisor heard and said: no source of its own."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.Log_pb2 import Log
from google.protobuf.timestamp_pb2 import Timestamp

from protocol.events import EVENTS, Severity
from recording import channels
from recording.commands import command_fields
from vehicle_agent.core.clearance import decode

_LEVELS = {
    Severity.INFO: Log.INFO,
    Severity.CAUTION: Log.WARNING,
    Severity.WARNING: Log.WARNING,
    Severity.ALARM: Log.ERROR,
    Severity.EMERGENCY: Log.FATAL,
}
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def stamp(utc_ns: int) -> Timestamp:
    """Return a time as Protobuf has it."""
    return Timestamp(seconds=utc_ns // 1_000_000_000, nanos=utc_ns % 1_000_000_000)


def from_tick(
    heard: Mapping[str, Any], said: Mapping[str, Any], utc_ns: int
) -> Iterator[tuple[str, bytes]]:
    """Return topics and content of what one tick shows.

    Args:
        heard, said: as core/tape.py has them. utc_ns: of the tick.
    """
    received, sent = heard.get("bus", []), said.get("bus", [])
    if received or sent:
        yield channels.BUS, _dumps({"rx": received, "tx": sent}).encode()
    for command, verdict in zip(heard.get("commands", ()), said.get("judged", ()), strict=False):
        yield channels.COMMANDS, _dumps(_command(command, verdict)).encode()
    if "state" in said:
        yield channels.STATE, said["state"][1].encode("latin-1")
    for group, text in said.get("telemetry", ()):
        yield channels.TELEMETRY, _dumps({"group": group, "figures": json.loads(text)}).encode()
    for event in said.get("events", ()):
        yield from from_event({"id": event}, utc_ns)
    for scan in heard.get("scans", ()):
        content = _scan(a2b_base64(scan), utc_ns)
        if content is not None:
            yield channels.SCAN, content


def from_event(told: Mapping[str, Any], utc_ns: int) -> Iterator[tuple[str, bytes]]:
    """Return what is written of one event of the catalogue."""
    event = EVENTS.get(str(told.get("id")))
    words = "not in the catalogue" if event is None else event.en
    severity = Severity.WARNING if event is None else event.severity
    row = {**told, "severity": severity.name.lower(), "words": words}
    yield channels.EVENT, _dumps(row).encode()
    text = f"{told.get('id')}: {words}"
    entry = Log(timestamp=stamp(utc_ns), level=_LEVELS[severity], message=text, name="guardian")
    yield channels.LOG, entry.SerializeToString()


def _command(command: Sequence[Any], verdict: Sequence[Any]) -> dict[str, Any]:
    path, text = command
    ages = {} if len(verdict) < 4 else {"loop_age_us": verdict[2], "uplink_us": verdict[3]}
    return {"path": path, "verdict": verdict[1], **ages, **command_fields(a2b_base64(text))}


def _scan(data: bytes, utc_ns: int) -> bytes | None:
    scan = decode(data)
    if scan is None:
        return None
    beams = len(scan.ranges_m)
    shown = LaserScan(
        timestamp=stamp(utc_ns),
        frame_id="range_finder",
        start_angle=scan.first_rad,
        end_angle=scan.first_rad + (beams - 1) * scan.step_rad,
        ranges=scan.ranges_m,
    )
    return shown.SerializeToString()
