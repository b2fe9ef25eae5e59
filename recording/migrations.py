"""Brings messages of older versions of the log's content up to this one.

A row for each version that there was before: which topics changed on the way to the next, and what
becomes of a message of theirs. A log of a newer version is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recording import channels

Plain = dict[str, Any]
Step = Callable[[Plain], Plain]
"""From a message's content of one version to its content in the next."""
Steps = Mapping[int, Mapping[str, Step]]


class UnknownVersionError(ValueError):
    """A log whose version no step starts from."""


def _without_adapter(boot: Plain) -> Plain:
    """Version 1 knew no machine that is driven by anything but HF-DBW."""
    return {**boot, "adapter": None}


def _without_locator(boot: Plain) -> Plain:
    """Version 2 knew no locator."""
    return {**boot, "locator": False}


STEPS: Steps = {
    1: {channels.BOOT: _without_adapter},
    2: {channels.BOOT: _without_locator},
}
"""By the version that a step starts from, and topic."""


def steps_for(
    version: int, topic: str, steps: Steps = STEPS, to: int = channels.VERSION
) -> tuple[Step, ...]:
    """Return what is to be done to a topic's messages of ``version``, in order.

    Raises:
        UnknownVersionError: there is no way from ``version``.
    """
    missing = next((each for each in range(version, to) if each not in steps), None)
    if missing is not None:
        raise UnknownVersionError(f"no way from version {missing} of the log to {missing + 1}")
    return tuple(steps[each][topic] for each in range(version, to) if topic in steps[each])
