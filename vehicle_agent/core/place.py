"""Where the machine is and what its site rules there, as a locator on board says it.

A locator is a program beside the guardian: a GNSS receiver or the tags of a mine, with the map of
the site. It says how good its position is, which speed the place allows, and how far the next line
is that the machine must not cross now. Where one is fitted and is silent, or says that it does not
know the rules, nobody knows which hold: the machine goes at walking pace, and what was last known
to hold goes on holding.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

VERSION = 1
_LAYOUT = struct.Struct("<BBBBQ6f")
"""version, what is known, fix, rule, stamp in µs, x, y, sigma, limit, line ahead, line behind."""
STALE_US = 1_000_000
"""Two fixes at 2.5 Hz and a little."""
LINE_KEPT_M = 1.0
"""Kept before a line."""


class Fix(IntEnum):
    """How a position was found."""

    NONE = 0
    SINGLE = 1
    """Satellites alone: some metres."""
    FLOAT = 2
    """With corrections, not settled: some decimetres."""
    FIXED = 3
    """With corrections, settled: some centimetres."""
    TAG = 4
    """Tags or beacons of the site, without satellites."""


class Rule(IntEnum):
    """Why a line must not be crossed now."""

    NONE = 0
    CLOSED = 1
    OCCUPIED = 2
    ONE_WAY = 3
    NOT_FOR_THIS = 4
    STAND_FIRST = 5
    CALL_FIRST = 6


RULE_EVENTS = {
    Rule.CLOSED: "Z101",
    Rule.OCCUPIED: "Z102",
    Rule.ONE_WAY: "Z103",
    Rule.NOT_FOR_THIS: "Z104",
    Rule.STAND_FIRST: "Z105",
    Rule.CALL_FIRST: "Z107",
}
PLACE_UNKNOWN = "Z106"


class _Known(IntFlag):
    POSITION = 1
    LIMIT = 2
    AHEAD = 4
    BEHIND = 8
    RULES = 16


_RULED = _Known.LIMIT | _Known.AHEAD | _Known.BEHIND
"""What nobody can say who does not know the rules."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the locator says.

    Attributes:
        stamp_us: vehicle monotonic. fix: how the position was found.
        position_m: east and north in the site's plan, of the reference point.
        sigma_m: standard deviation of either; 0 without a position.
        limit_mps: that the place allows.
        ahead_m, behind_m: from front and tail to the next line not to be crossed that way.
        rule: why not, of the nearer line in the direction of travel.
        rules_known: the locator knows what holds here, so that no limit and no line mean nothing to
            obey; otherwise they are not known.
    """

    stamp_us: int
    fix: Fix = Fix.NONE
    position_m: tuple[float, float] | None = None
    sigma_m: float = 0.0
    limit_mps: float | None = None
    ahead_m: float | None = None
    behind_m: float | None = None
    rule: Rule = Rule.NONE
    rules_known: bool = False

    def encode(self) -> bytes:
        """Its bytes."""
        known = _Known(0)
        values = {_Known.LIMIT: self.limit_mps, _Known.AHEAD: self.ahead_m}
        for bit, value in (values | {_Known.BEHIND: self.behind_m}).items():
            known |= bit if value is not None else 0
        x_m, y_m = self.position_m or (0.0, 0.0)
        known |= _Known.POSITION if self.position_m is not None else 0
        known |= _Known.RULES if self.rules_known else 0
        numbers = (x_m, y_m, self.sigma_m, self.limit_mps, self.ahead_m, self.behind_m)
        return _LAYOUT.pack(
            VERSION, known, self.fix, self.rule, self.stamp_us, *(each or 0.0 for each in numbers)
        )


def decode(data: bytes) -> Place | None:
    """Return the place in ``data``; None when it is none or a value is out of its range."""
    try:
        version, bits, fix, rule, stamp_us, *numbers = _LAYOUT.unpack(data)
        known, fix, rule = _Known(bits), Fix(fix), Rule(rule)
    except (struct.error, ValueError):
        return None
    x_m, y_m, sigma_m, limit_mps, ahead_m, behind_m = numbers
    wrong = version != VERSION or not all(map(math.isfinite, numbers))
    if wrong or min(sigma_m, limit_mps, ahead_m, behind_m) < 0.0 or bits >= 2 * _Known.RULES:
        return None
    if known & _RULED and _Known.RULES not in known:
        return None
    return Place(
        stamp_us,
        fix,
        (x_m, y_m) if _Known.POSITION in known else None,
        sigma_m,
        limit_mps if _Known.LIMIT in known else None,
        ahead_m if _Known.AHEAD in known else None,
        behind_m if _Known.BEHIND in known else None,
        rule,
        _Known.RULES in known,
    )


class _Ruled(NamedTuple):
    """A place that knew the rules, and the way gone from its stamp until a later time."""

    place: Place
    gone_m: float
    until_us: int

    def moved(self, now_us: int, speed_mps: float) -> _Ruled:
        """The same, until now."""
        way_m = speed_mps * (now_us - self.until_us) / 1e6
        return _Ruled(self.place, self.gone_m + way_m, now_us)


class Places:
    """Keeps the newest place, and the newest that knew the rules, with the way gone since.

    Attributes:
        refused: what did not count.
    """

    def __init__(self) -> None:
        self._newest: Place | None = None
        self._ruled: _Ruled | None = None
        self.refused = 0

    @property
    def rules(self) -> Place | None:
        """The newest place that knew them, however old."""
        return None if self._ruled is None else self._ruled.place

    def take(self, now_us: int, speed_mps: float, told: Iterable[bytes]) -> None:
        """Take what came since the last tick; the newest stamp counts.

        Args:
            now_us: of the tick. speed_mps: measured, negative backwards. told: by the locator.
        """
        for data in told:
            place = decode(data)
            if place is None or place.stamp_us > now_us or not self._is_newer(place):
                self.refused += 1
                continue
            self._newest = place
            if place.rules_known:
                self._ruled = _Ruled(place, 0.0, place.stamp_us)
        if self._ruled is not None:
            self._ruled = self._ruled.moved(now_us, speed_mps)

    def _is_newer(self, place: Place) -> bool:
        return self._newest is None or place.stamp_us > self._newest.stamp_us

    def at(self, now_us: int) -> Place | None:
        """Where the machine is; None when the newest is too old or there is none."""
        newest = self._newest
        return None if newest is None or now_us - newest.stamp_us > STALE_US else newest

    def limit_mps(self) -> float | None:
        """What the place allowed when its rules were last known."""
        return None if self._ruled is None else self._ruled.place.limit_mps

    def line_m(self, *, reverse: bool) -> float | None:
        """To the line that way, less what is kept before it and what has been gone since."""
        if self._ruled is None:
            return None
        place, gone_m, _ = self._ruled
        told_m = place.behind_m if reverse else place.ahead_m
        return None if told_m is None else told_m - LINE_KEPT_M - (-gone_m if reverse else gone_m)


def telemetry(now_us: int, place: Place | None) -> bytes:
    """The position group: for maps and charts, no decision needs it."""
    if place is None:
        return json.dumps({"fix": None}).encode()
    x_m, y_m = place.position_m or (None, None)
    content = {
        "fix": place.fix.name.lower(),
        "x_m": _rounded(x_m),
        "y_m": _rounded(y_m),
        "sigma_m": _rounded(place.sigma_m if place.position_m else None),
        "age_ms": (now_us - place.stamp_us) // 1000,
        "limit_mps": _rounded(place.limit_mps),
        "line_ahead_m": _rounded(place.ahead_m),
        "line_behind_m": _rounded(place.behind_m),
        "rule": place.rule.name.lower(),
        "rules_known": place.rules_known,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
