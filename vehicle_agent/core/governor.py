"""The speed governor: the highest speed that is safe this tick, and the term that holds it.

The loop term is the German remote-driving rule (StVFernLV, 2025): full speed up to 200 ms of
loop time, above that slower in proportion. The clearance term stops short of what stands ahead
with the reaction T = T_loop + detection + brake build-up and the deceleration a′ = a − g·grade.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import NamedTuple

from protocol.profiles import MachineLimits
from protocol.signals import Timing
from protocol.state import CapReason

GRAVITY_MPS2 = 9.80665
ONE_PATH_SHARE = 0.5
"""Share of the zone speed on a single command path where two are fitted."""
UNSEEN_MPS = 1.0
"""Where a range finder or a locator is fitted and nothing is known from it: walking pace."""


class GovernorInput(NamedTuple):
    """What the governor looks at.

    Attributes:
        loop_ms: T_loop, None before the first command.
        view_ms: age of the main picture, None without one.
        grade: rise over run in the direction of travel, + uphill.
        clear_m: free distance ahead, None where no sensor is fitted or ``unseen``.
        unseen: a sensor is fitted, and nothing is known of the way ahead.
        detect_s: reaction of detection that adds to T.
        site_mps: what the place allows, None where nobody says.
        line_m: to a line that must not be crossed now, None where there is none.
        unplaced: a locator is fitted, and nothing is known of the place.
        one_path: a fitted command path is silent.
        reverse: driving backwards.
        degraded: traction is off.
    """

    loop_ms: float | None
    view_ms: float | None
    grade: float = 0.0
    clear_m: float | None = None
    unseen: bool = False
    detect_s: float = 0.0
    site_mps: float | None = None
    line_m: float | None = None
    unplaced: bool = False
    one_path: bool = False
    reverse: bool = False
    degraded: bool = False


class SpeedCap(NamedTuple):
    """The cap and the term that holds it."""

    speed_mps: float
    reason: CapReason


def speed_cap(limits: MachineLimits, timing: Timing, given: GovernorInput) -> SpeedCap:
    """Return the lowest of all terms (design 4.6); 0 m/s where loop or view is unknown."""
    zone = limits.zone_speed_mps
    if given.site_mps is not None:
        zone = min(zone, given.site_mps)
    terms = [
        (limits.speed_max_mps, CapReason.MACHINE),
        (zone, CapReason.ZONE),
        (_loop_term(zone, timing, given.loop_ms), CapReason.LOOP),
        (_view_term(zone, timing, given.view_ms), CapReason.VIEW),
    ]
    if given.reverse:
        terms.append((limits.reverse_speed_max_mps, CapReason.REVERSE))
    if given.one_path:
        terms.append((zone * ONE_PATH_SHARE, CapReason.ONE_PATH))
    ways = (
        (given.clear_m, given.detect_s, CapReason.CLEARANCE),
        (given.line_m, 0.0, CapReason.ZONE),
    )
    decel_mps2 = limits.stop_decel_mps2 + GRAVITY_MPS2 * given.grade
    for free_m, detect_s, reason in ways:
        if free_m is not None and given.loop_ms is not None:
            reaction_s = given.loop_ms / 1000 + detect_s + limits.brake_delay_worst_s
            terms.append((_clearance_term(free_m, reaction_s, decel_mps2), reason))
    if given.unplaced:
        terms.append((UNSEEN_MPS, CapReason.ZONE))
    if given.unseen:
        terms.append((UNSEEN_MPS, CapReason.CLEARANCE))
    if given.degraded:
        terms.append((0.0, CapReason.DEGRADED))
    return SpeedCap(*min(terms, key=itemgetter(0)))


def _loop_term(zone_mps: float, timing: Timing, loop_ms: float | None) -> float:
    if loop_ms is None:
        return 0.0
    return zone_mps * timing.loop_cap_ms / max(loop_ms, timing.loop_cap_ms)


def _view_term(zone_mps: float, timing: Timing, view_ms: float | None) -> float:
    if view_ms is None:
        return 0.0
    # A site may have tightened the stop time down to the degraded time. A fresh picture gives
    # more than the zone's speed, and the zone's own term holds.
    span_ms = max(timing.view_stop_ms - timing.view_degraded_ms, 1)
    share = (timing.view_stop_ms - view_ms) / span_ms
    return zone_mps * max(share, 0.0)


def _clearance_term(clear_m: float, reaction_s: float, decel_mps2: float) -> float:
    if decel_mps2 <= 0.0:
        return 0.0
    path_m = max(clear_m, 0.0)
    return decel_mps2 * (-reaction_s + math.sqrt(reaction_s**2 + 2 * path_m / decel_mps2))
