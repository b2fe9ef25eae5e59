"""Learns a desk by what changes when the driver is asked to move one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operator_console.core.axes import Axis
from operator_console.core.devices import AxisRange

MOVED = 0.20
"""Of its range; less is a neighbour that was touched or a sensor's noise."""

PEDAL_DEAD_ZONE = 0.04
"""Cockpit section 8; pedals and sticks never come back to exactly where they were."""


@dataclass(frozen=True, slots=True)
class Held:
    """All devices at one moment: raw codes and closed contacts, by device."""

    axes: Mapping[str, Mapping[int, int]]
    keys: Mapping[str, frozenset[int]]


Place = tuple[str, int]
"""Device and code."""


def moved_axis(
    rest: Held, held: Held, ranges: Mapping[str, Mapping[int, AxisRange]], taken: set[Place]
) -> Place | None:
    """Return the axis that moved furthest of its range, None when none did.

    Args:
        rest: nothing touched. held: one thing moved. taken: axes that do something already.
    """
    furthest, found = MOVED, None
    for device, axes in held.axes.items():
        for code, raw in axes.items():
            span = ranges[device][code]
            way = abs(raw - rest.axes[device][code]) / max(1, span.high - span.low)
            if way > furthest and (device, code) not in taken:
                furthest, found = way, (device, code)
    return found


def closed(rest: Held, held: Held) -> list[Place]:
    """Return the contacts that are closed now and were open."""
    return [
        (device, code)
        for device, keys in held.keys.items()
        for code in sorted(keys - rest.keys[device])
    ]


def opened(rest: Held, held: Held) -> list[Place]:
    """Return the contacts that are open now and were closed."""
    return closed(held, rest)


def learned(
    code: int, rest: int, full: int, other: int | None, span: AxisRange, *, expo: float = 0.0
) -> Axis:
    """Return the axis that was shown; a pedal has no other end, and a small dead zone."""
    dead_zone = PEDAL_DEAD_ZONE if other is None else 0.0
    return Axis(code, rest, full, other, span.low, span.high, dead_zone, expo)
