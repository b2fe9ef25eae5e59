"""The machine's side of a link test: judges probes as the guardian judges commands, moves nothing.

The acceptance is the guardian's own; what its verdicts would have done to a drive is counted:
times without an accepted command beyond the degraded and the stop time, and refusals as stale.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from protocol.errors import ProtocolError
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.probe import EPOCH, KEY, KEY_ID, Reflection, revealed
from protocol.signals import Timing

RECENT = 512
"""Numbers remembered, 10 s of them: a copy that comes later than that counts as a probe."""

_SEQUENCE, _BOOT_TAG = slice(16, 20), slice(20, 24)
_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Silences:
    """Times without something that should come all the time.

    Attributes:
        longest_ns: so far. degraded, stops: how many exceeded the degraded and the stop time.
    """

    timing: Timing
    last_ns: int
    longest_ns: int = 0
    degraded: int = 0
    stops: int = 0
    _silent_ns: int = 0

    def look(self, now_ns: int) -> None:
        """Count what is exceeded by now."""
        before_ns, self._silent_ns = self._silent_ns, now_ns - self.last_ns
        self.longest_ns = max(self.longest_ns, self._silent_ns)
        for name, limit_ms in (
            ("degraded", self.timing.command_degraded_ms),
            ("stops", self.timing.command_stop_ms),
        ):
            if before_ns <= limit_ms * _NS_PER_MS < self._silent_ns:
                setattr(self, name, getattr(self, name) + 1)

    def hear(self, now_ns: int) -> None:
        """It came."""
        self.look(now_ns)
        self.last_ns, self._silent_ns = now_ns, 0


@dataclass(slots=True)
class _Heard:
    """What one path brought: how many, and the highest sequence among them."""

    silences: Silences
    frames: int = 0
    highest: int = 0


@dataclass(slots=True)
class _Test:
    """One measurement.

    Attributes:
        echo: stamp and sequence of the newest accepted probe, and when it was accepted.
        capped: accepted ones whose loop time lowers the speed.
        came: probes that came on any path. recent: the newest of them.
    """

    number: int
    acceptance: Acceptance
    accepted: Silences
    paths: dict[int, _Heard] = field(default_factory=dict)
    echo: tuple[int, int, int] = (0, 0, 0)
    capped: int = 0
    came: int = 0
    recent: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def note(self, sequence: int) -> None:
        """Count a probe, its copy on the other path not again."""
        if sequence in self.recent:
            return
        self.came += 1
        self.recent[sequence] = None
        if len(self.recent) > RECENT:
            self.recent.popitem(last=False)


class Mirror:
    """Answers whoever measures; a new test number begins anew.

    Args:
        vehicle: the machine's number in frames. timing: the machine's own.
        zone_speed_mps: what the loop time is set against.
    """

    def __init__(self, vehicle: int, timing: Timing, zone_speed_mps: float) -> None:
        self._vehicle, self._timing, self._zone_speed_mps = vehicle, timing, zone_speed_mps
        self._test: _Test | None = None
        self._sequence = 0

    def hear(self, now_ns: int, path: int, data: bytes) -> None:
        """Take a probe that came on ``path`` (0 or 1); anything else is left alone."""
        try:
            command = revealed(data)
        except ProtocolError:
            return
        number = int.from_bytes(command[_BOOT_TAG], "little")
        test = self._test
        if test is None or test.number != number:
            test = self._test = self._begun(now_ns, number)
        heard = test.paths.setdefault(path, _Heard(Silences(self._timing, now_ns)))
        heard.frames += 1
        sequence = int.from_bytes(command[_SEQUENCE], "little")
        heard.highest = max(heard.highest, sequence)
        test.note(sequence)
        heard.silences.hear(now_ns)
        verdict = test.acceptance.judge(now_ns, command, path)
        if isinstance(verdict, Accepted):
            test.accepted.hear(now_ns)
            test.capped += verdict.loop_age_us > self._timing.loop_cap_ms * 1000
            test.echo = (verdict.frame.source_stamp_us, verdict.frame.sequence, now_ns)

    def _begun(self, now_ns: int, number: int) -> _Test:
        acceptance = Acceptance(self._timing, self._vehicle, number)
        acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))
        return _Test(number, acceptance, Silences(self._timing, now_ns))

    def reflection(self, now_ns: int) -> bytes:
        """Return what to say now."""
        self._sequence += 1
        test = self._test
        if test is None:
            return Reflection(0, self._sequence, now_ns // 1000, 0, 0, 0, b"{}").encode()
        echo_us, echo_sequence, at_ns = test.echo
        counted = json.dumps(self._counted(now_ns, test), separators=(",", ":")).encode()
        return Reflection(
            test=test.number,
            sequence=self._sequence,
            stamp_us=now_ns // 1000,
            echo_us=echo_us,
            echo_sequence=echo_sequence,
            hold_us=(now_ns - at_ns) // 1000,
            json=counted,
        ).encode()

    def _counted(self, now_ns: int, test: _Test) -> dict[str, Any]:
        test.accepted.look(now_ns)
        paths = {}
        for path, heard in test.paths.items():
            heard.silences.look(now_ns)
            counters = test.acceptance.paths[path]
            paths[f"{path}"] = {
                "n": heard.frames,
                "of": heard.highest,
                "first": counters.accepted,
                "silent_ms": _ms(heard.silences.longest_ns),
            }
        loop, uplink = self._ages(test)
        return {
            "paths": paths,
            "silent_ms": _ms(test.accepted.longest_ns),
            "degraded": test.accepted.degraded,
            "stops": test.accepted.stops,
            "n": test.came,
            "of": max(heard.highest for heard in test.paths.values()),
            "accepted": sum(counters.accepted for counters in test.acceptance.paths),
            "capped": test.capped,
            "refused": {r.name.lower(): n for r, n in test.acceptance.refusals().items()},
            "loop_ms": loop,
            "uplink_ms": uplink,
            "zone_mps": self._zone_speed_mps,
        }

    @staticmethod
    def _ages(test: _Test) -> tuple[dict[str, float | None], dict[str, float | None]]:
        """Return the ages of what counted; with two paths those of the first copies."""
        ages = test.acceptance
        return ages.loop_us.summary(), ages.uplink_us.summary()


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / _NS_PER_MS, 1)
