"""The timing table: each supervised signal's period, degraded time and stop time, in one place.

A site may tighten a value and never loosen one, but for ``reaction_ms``: up to its ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

COMMAND_SPACING_MIN_MS = 5
"""Two commands are at least this far apart."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times that decide. All are upper bounds in milliseconds unless the name says otherwise.

    Attributes:
        command_period_ms: a console sends at least this often.
        command_degraded_ms: no accepted command for this long: traction 0, curvature held.
        command_stop_ms: no accepted command for this long: latched stop.
        reaction_ms: brake demand stands on the bus at most this long after the last valid
            command left the console, however long it travelled.
        command_ttl_max_ms: longest time that one command may act.
        loop_cap_ms: loop time above which speed falls in proportion.
        loop_max_ms: commands whose echo is older are refused.
        uplink_max_ms: commands whose age bound is higher are refused.
        hold_max_ms: longest time a console may hold an echo.
        view_degraded_ms: main picture age above which the cap falls.
        view_stop_ms: main picture age that stops.
        ecu_stop_ms: silence of the by-wire ECU that stops.
        relay_stroke_ms: period of the guardian's stroke of the watchdog relay.
        relay_open_ms: the relay opens by itself after this silence.
        guardian_tick_ms: the guardian's period.
        guardian_late_stop_ms: a tick later than this is a stop.
        lease_ms: lease time, in the vehicle's time.
        parked_lease_ms: longest time that frames without enable keep a lease.
        path_silent_ms: one of two paths silent this long: speed cap and lamp.
        link_healthy_ms: the link must have been good this long before a reset.
        warning_ms: horn and light before first motion.
        still_input_ms: longest time of enable without any change of an input while moving.
    """

    command_period_ms: int = 20
    command_degraded_ms: int = 100
    command_stop_ms: int = 250
    reaction_ms: int = 300
    command_ttl_max_ms: int = 250
    loop_cap_ms: int = 200
    loop_max_ms: int = 450
    uplink_max_ms: int = 250
    hold_max_ms: int = 200
    view_degraded_ms: int = 300
    view_stop_ms: int = 600
    ecu_stop_ms: int = 100
    relay_stroke_ms: int = 20
    relay_open_ms: int = 200
    guardian_tick_ms: int = 10
    guardian_late_stop_ms: int = 100
    lease_ms: int = 2000
    parked_lease_ms: int = 60_000
    path_silent_ms: int = 2000
    link_healthy_ms: int = 2000
    warning_ms: int = 3000
    still_input_ms: int = 60_000


DEFAULT_TIMING = Timing()

WAITING_TIMES = frozenset({"link_healthy_ms", "warning_ms"})
"""Times that protect by being long: a site may only lengthen these."""


CEILINGS = {"reaction_ms": 500}
"""Rows that a site may loosen as far as this: long links need the time to travel."""


def tightened(changes: dict[str, int]) -> Timing:
    """Return the table with a site's changes.

    Raises:
        ValueError: a change names no row, is not positive, or loosens the default.
    """
    known = {field.name for field in fields(Timing)}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"timing.{name}: no such row in the timing table")
        default = getattr(DEFAULT_TIMING, name)
        if value <= 0:
            raise ValueError(f"timing.{name}: {value} ms is not positive")
        if name in WAITING_TIMES and value < default:
            raise ValueError(f"timing.{name}: {value} ms is shorter than {default} ms")
        highest = CEILINGS.get(name, default)
        if name not in WAITING_TIMES and value > highest:
            raise ValueError(
                f"timing.{name}: {value} ms loosens {default} ms; only less is allowed"
            )
    return replace(DEFAULT_TIMING, **changes)
