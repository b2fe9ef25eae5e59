"""The measuring side of a link test: probes out, reflections back, and what they say of the link.

Pure; a path is a name and a number here, so that a second path is one more entry of a tuple.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from protocol.errors import ProtocolError
from protocol.frames import CommandFrame, CommandKind
from protocol.freshness import Histogram
from protocol.probe import EPOCH, KEY, KEY_ID, Reflection, decode_reflection, disguise
from protocol.signals import Timing

STALE = ("loop_too_old", "uplink_too_old", "hold_too_long")
"""Refusals by the rules of 450 ms, 250 ms and 200 ms."""

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Sample:
    """One round trip: when its answer came since the test began, and how long it took."""

    at_s: float
    round_trip_ms: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that a drive would have felt: when, and which counter rose."""

    at_s: float
    kind: str


@dataclass(slots=True)
class _Path:
    """What one path brought back.

    Attributes:
        sent: probes that left on it. heard: reflections. first, last: their sequences.
    """

    name: str
    sent: int = 0
    unsent: int = 0
    heard: int = 0
    first: int = 0
    last: int = 0
    heard_ns: int = 0
    silent_ns: int = 0
    echoed: int = 0
    round_trip_us: Histogram = field(default_factory=Histogram)
    samples: list[Sample] = field(default_factory=list)


class LinkTest:
    """One measurement; every time is passed in, monotonic ns.

    Args:
        paths: names, in the order of their numbers. vehicle: the machine's number in frames.
        test: a number that no other test has, not 0. timing: the table that a drive has.
    """

    def __init__(self, paths: tuple[str, ...], vehicle: int, test: int, timing: Timing) -> None:
        self._paths = tuple(_Path(name) for name in paths)
        self._vehicle, self._timing = vehicle, timing
        self._test = test
        self._begun_ns: int | None = None
        self._sequence = 0
        self._echo: tuple[int, int] | None = None
        self._counted: dict[str, Any] = {}
        self._all = _Path("together")
        self.marks: list[Mark] = []
        self._answered: set[int] = set()
        self.machine_is_live = False

    def begin(self, now_ns: int, test: int) -> None:
        """Let it count from now on, under a new number."""
        self._test, self._begun_ns, self._sequence = test, now_ns, 0
        self._counted, self.marks = {}, []
        self._paths = tuple(_Path(path.name, heard_ns=now_ns) for path in self._paths)
        self._all = _Path("together", heard_ns=now_ns)

    def probe(self, now_ns: int) -> bytes:
        """Return the next probe, to be sent on every path."""
        self._sequence += 1
        stamp_us, heard_ns = self._echo or (0, now_ns)
        frame = CommandFrame(
            kind=CommandKind.PARKED,
            vehicle_id=self._vehicle,
            key_id=KEY_ID,
            ttl_ms=self._timing.command_ttl_max_ms,
            epoch=EPOCH,
            sequence=self._sequence,
            boot_tag=self._test,
            echo_hold_us=min((now_ns - heard_ns) // 1000, 0xFFFFFFFF),
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=stamp_us,
            view_stamp_us=0,
            neutral=True,
        )
        return disguise(frame.encode(KEY))

    def sent(self, path: int, *, left: bool) -> None:
        """Note whether a probe left on a path."""
        self._paths[path].sent += left
        self._paths[path].unsent += not left

    def hear(self, now_ns: int, path: int, data: bytes) -> None:
        """Take what came on a path."""
        try:
            told = decode_reflection(data)
            counted = json.loads(told.json)
        except ProtocolError:
            self.machine_is_live = True
            return
        except ValueError:
            return
        if self._echo is None or told.stamp_us > self._echo[0]:
            self._echo = (told.stamp_us, now_ns)
        if told.test != self._test:
            return
        self._answered.add(path)
        if self._begun_ns is None:
            return
        self._count(now_ns, self._paths[path], told)
        if told.sequence > self._all.last:  # the slower path's copy tells of counts gone by
            self._mark(now_ns, counted)
            self._counted = counted
        self._count(now_ns, self._all, told)

    def _count(self, now_ns: int, path: _Path, told: Reflection) -> None:
        """Count a reflection; a copy of one that the other path brought counts once together."""
        assert self._begun_ns is not None
        if told.sequence <= path.last:
            return
        path.first = path.first or told.sequence
        path.last = told.sequence
        path.heard += 1
        path.silent_ns = max(path.silent_ns, now_ns - path.heard_ns)
        path.heard_ns = now_ns
        if told.echo_sequence <= path.echoed:
            return
        path.echoed = told.echo_sequence
        round_trip_us = now_ns // 1000 - told.echo_us - told.hold_us
        path.round_trip_us.add(round_trip_us)
        at_s = (now_ns - self._begun_ns) / _NS_PER_S
        path.samples.append(Sample(at_s, round_trip_us / 1000))

    def _mark(self, now_ns: int, counted: dict[str, Any]) -> None:
        assert self._begun_ns is not None
        for kind in ("degraded", "stops"):
            if counted.get(kind, 0) > self._counted.get(kind, 0):
                self.marks.append(Mark((now_ns - self._begun_ns) / _NS_PER_S, kind))

    @property
    def answered(self) -> bool:
        """An answer has come on some path."""
        return bool(self._answered)

    @property
    def answered_everywhere(self) -> bool:
        """An answer has come on every path."""
        return len(self._answered) == len(self._paths)

    @property
    def samples(self) -> list[Sample]:
        """Round trips over whichever path was first."""
        return self._all.samples

    def result(self, now_ns: int) -> dict[str, Any]:
        """Return the figures; see :func:`report`."""
        assert self._begun_ns is not None
        seconds = (now_ns - self._begun_ns) / _NS_PER_S
        counted = self._counted
        there = counted.get("paths", {})
        together = _figures(now_ns, self._all, counted)
        refused = counted.get("refused", {})
        return {
            "seconds": round(seconds, 1),
            "paths": {
                path.name: _figures(now_ns, path, there.get(f"{number}", {}))
                for number, path in enumerate(self._paths)
            },
            "together": together,
            "loop_ms": counted.get("loop_ms"),
            "uplink_ms": counted.get("uplink_ms"),
            "drive": {
                "accepted": counted.get("accepted", 0),
                "degraded": counted.get("degraded", 0),
                "stops": counted.get("stops", 0),
                "stops_per_hour": round(counted.get("stops", 0) * 3600 / seconds, 1),
                "refused_as_stale": {rule: refused.get(rule, 0) for rule in STALE},
                "capped": counted.get("capped", 0),
            },
            "speed": self._speed(counted),
        }

    def _speed(self, counted: dict[str, Any]) -> dict[str, Any]:
        """What the governor's rule allows: v_zone · 200 ms / T_loop (design 4.6)."""
        zone_mps, loop = counted.get("zone_mps"), counted.get("loop_ms") or {}
        shares = {
            name: min(1.0, self._timing.loop_cap_ms / value)
            for name, value in loop.items()
            if value
        }
        caps = (
            {name: round(share * zone_mps, 2) for name, share in shares.items()} if zone_mps else {}
        )
        return {
            "zone_mps": zone_mps,
            "share": {name: round(share, 3) for name, share in shares.items()},
            "cap_mps": caps,
        }


def _figures(now_ns: int, path: _Path, there: dict[str, Any]) -> dict[str, Any]:
    """Return one path's figures.

    Lost is what is missing up to the newest that came: what is still under way is not, and a link
    that is dead at the end shows as silence.
    """
    told = path.last - path.first + 1 if path.heard else 0
    silent_ns = max(path.silent_ns, now_ns - path.heard_ns)
    reached, highest = there.get("n", 0), there.get("of", 0)
    return {
        "sent": path.sent,
        "unsent": path.unsent,
        "heard_there": reached,
        "lost_there": _share(highest - reached, highest),
        "silent_there_ms": there.get("silent_ms"),
        "heard_here": path.heard,
        "lost_here": _share(told - path.heard, told),
        "silent_here_ms": round(silent_ns / 1e6, 1),
        "round_trip_ms": path.round_trip_us.summary(),
    }


def _share(part: int, whole: int) -> float | None:
    return round(max(part, 0) / whole, 4) if whole else None


def report(result: dict[str, Any]) -> str:
    """Return the figures as text for a person, the answer first."""
    return "\n".join((*_verdict(result), "", *_table(result), "", *_ages(result)))


def _verdict(result: dict[str, Any]) -> list[str]:
    drive, speed = result["drive"], result["speed"]
    if not drive["accepted"]:
        return ["This link carries no drive: no command would have counted."]
    lines = [_fitness(drive, result["seconds"])]
    share, cap = speed["share"].get("p99"), speed["cap_mps"].get("p99")
    if share is not None:
        of_zone = "the zone's whole speed" if share >= 1.0 else f"{100 * share:.0f} % of zone speed"
        metres = f", {cap:.1f} of {speed['zone_mps']:.1f} m/s" if cap is not None else ""
        lines.append(f"Speed that its loop time allows, 99 % of the time: {of_zone}{metres}")
    stale = {rule: number for rule, number in drive["refused_as_stale"].items() if number}
    words = {
        "loop_too_old": "loop above 450 ms",
        "uplink_too_old": "under way above 250 ms",
        "hold_too_long": "echo above 200 ms old at the cockpit",
    }
    named = ", ".join(f"{number} {words[rule]}" for rule, number in stale.items())
    lines.append(f"Commands refused as stale: {named or 'none'}")
    return lines


def _fitness(drive: dict[str, Any], seconds: float) -> str:
    """Return whether a machine could be driven over this link as it was."""
    stops, shorter = drive["stops"], drive["degraded"] - drive["stops"]
    also = f", and without traction for a moment {_times(shorter)} more" if shorter else ""
    if stops:
        hourly = f"{drive['stops_per_hour']:.0f} an hour"
        return f"Not fit to drive: stopped {_times(stops)} in {seconds:.0f} s ({hourly}){also}"
    if shorter:
        return (
            f"Fit to drive: no stop in {seconds:.0f} s; without traction for a moment"
            f" {_times(shorter)}"
        )
    return f"Fit to drive: no stop in {seconds:.0f} s, and never without traction"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _table(result: dict[str, Any]) -> list[str]:
    rows = dict(result["paths"])
    if len(rows) > 1:
        rows["together"] = result["together"]
    lines = [
        "              round trip, ms            lost        longest silence, ms",
        "path      p50   p95   p99   max  to mach.  back  to mach.  back",
    ]
    for name, given in rows.items():
        trip = given["round_trip_ms"]
        times = " ".join(f"{_number(trip[key], 5)}" for key in ("p50", "p95", "p99", "max"))
        lost = " ".join(f"{_percent(given[key]):>7}" for key in ("lost_there", "lost_here"))
        silent = " ".join(
            f"{_number(given[key], 6)}" for key in ("silent_there_ms", "silent_here_ms")
        )
        lines.append(f"{name:<8} {times} {lost}  {silent}")
    lines.append("to mach.: commands on their way to the machine; back: its states")
    if len(rows) > len(result["paths"]):
        lines.append("together, silence: without a command fresh enough to count, by either path")
    return lines


def _number(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.0f'):>{width}}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _ages(result: dict[str, Any]) -> list[str]:
    lines = []
    for key, words in (
        ("loop_ms", "T_loop at the machine, ms"),
        ("uplink_ms", "age of a command at most, ms"),
    ):
        given = result[key] or {}
        times = ", ".join(
            f"{name} {value:.0f}" for name, value in given.items() if value is not None
        )
        lines.append(f"{words}: {times or '-'}")
    return lines
