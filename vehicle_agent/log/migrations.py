"""Brings messages of older versions of the log's content up to this one.

One row for each version that there was before: what becomes of a message on the way to the next.
A log of a newer version is read as far as it goes, and says that it is newer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vehicle_agent.log.channels import VERSION

Plain = dict[str, Any]
Step = Callable[[str, Plain], Plain]
"""From a message's topic and content of one version to its content in the next."""

STEPS: Mapping[int, Step] = {}
"""By the version that a step starts from; version 1 is the first."""


class UnknownVersionError(ValueError):
    """A log whose version no step starts from."""


def migrated(
    version: int, topic: str, content: Plain, steps: Mapping[int, Step] = STEPS, to: int = VERSION
) -> Plain:
    """Return a message's content as version ``to`` has it.

    Raises:
        UnknownVersionError: there is no way from ``version``.
    """
    for each in range(version, to):
        step = steps.get(each)
        if step is None:
            raise UnknownVersionError(f"no way from version {each} of the log to {each + 1}")
        content = step(topic, content)
    return content
