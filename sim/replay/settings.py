"""Settings changed for a what-if: ``signals.command.stop_ms=200``, ``limits.zone_speed_mps=3``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from protocol.profiles import MachineLimits
from protocol.signals import Timing
from vehicle_agent.core.supervisor import Setup

SIGNALS, LIMITS = "signals", "limits"


def changes_of(texts: Sequence[str]) -> dict[str, float]:
    """Return the changes by name; a dot may stand for an underscore.

    Raises:
        ValueError: no such setting, or no number.
    """
    return dict(map(_change, texts))


def _change(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    group, _, key = name.strip().partition(".")
    key = key.replace(".", "_")
    known = names().get(group, ())
    if not equals or key not in known:
        hint = ", ".join(f"{group}.{each}" for group, keys in names().items() for each in keys)
        raise ValueError(f"{text!r} is none of NAME=NUMBER with one of: {hint}")
    try:
        number = float(value)
    except ValueError as error:
        raise ValueError(f"{text!r}: {value!r} is not a number") from error
    if group == SIGNALS and (number != int(number) or number <= 0):
        raise ValueError(f"{text!r}: whole milliseconds above 0 are wanted")
    return f"{group}.{key}", number


def names() -> Mapping[str, tuple[str, ...]]:
    """Return what can be changed, by group."""
    return {
        SIGNALS: tuple(each.name for each in fields(Timing)),
        LIMITS: tuple(MachineLimits.model_fields),
    }


def changing(changes: Mapping[str, float]) -> Callable[[Setup], Setup]:
    """Return what makes another setup of a recorded one.

    A site could not always set this (a table may only be tightened); a what-if may ask anything.
    """
    timing = {
        name.removeprefix(f"{SIGNALS}."): int(value)
        for name, value in changes.items()
        if name.startswith(f"{SIGNALS}.")
    }
    limits = {
        name.removeprefix(f"{LIMITS}."): value
        for name, value in changes.items()
        if name.startswith(f"{LIMITS}.")
    }

    def change(setup: Setup) -> Setup:
        return replace(
            setup,
            timing=replace(setup.timing, **timing),
            limits=MachineLimits.model_validate(setup.limits.model_dump() | limits),
        )

    return change
