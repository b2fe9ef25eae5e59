"""What a vehicle tells slowly, for maps and charts: its factsheet, its place, its counters.

Nobody signs it, so no decision rests on it: it goes to the screen as it came, with its age.
"""

from __future__ import annotations

import json
from typing import Any

from protocol.topics import Topics

GROUPS = ("control", "media", "link", "position", "recorder")
"""Of the telemetry."""

COCKPIT_RECORDER = "cockpit_recorder"
"""The group of what this cockpit's own recorder says."""

FACTSHEET = "factsheet"

CONTENT_MAX_BYTES = 32 * 1024
"""More than any machine's counters need; a longer one is refused."""

Json = dict[str, Any]


def _no_such_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _no_such_number(text)
    return value


class SlowValues:
    """The newest of each group of one vehicle.

    Args:
        topics: of the vehicle.

    Attributes:
        refused: what did not fit.
    """

    def __init__(self, topics: Topics) -> None:
        self._groups = {topics.telemetry(group): group for group in GROUPS}
        self._groups[topics.factsheet] = FACTSHEET
        self._newest: dict[str, tuple[Json, int]] = {}
        self.refused = 0

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """What is heard for the screen, with its QoS."""
        return tuple((topic, 0) for topic in self._groups)

    def hear(self, topic: str, payload: bytes, now_ns: int) -> Json | None:
        """Take in one message; return what a page is told of it, None when it does not fit.

        A page cannot read what JSON has no number for, so that never gets there.
        """
        group = self._groups.get(topic)
        try:
            if group is None or len(payload) > CONTENT_MAX_BYTES:
                raise ValueError(topic)
            content = json.loads(payload, parse_constant=_no_such_number, parse_float=_number)
            if not isinstance(content, dict):
                raise ValueError(topic)
        except (ValueError, RecursionError):
            self.refused += 1
            return None
        self._newest[group] = (content, now_ns)
        return slow_message(group, content, 0.0)

    def all(self, now_ns: int) -> list[Json]:
        """Return the newest of each group, for a page that comes later."""
        return [
            slow_message(group, content, (now_ns - at_ns) / 1e6)
            for group, (content, at_ns) in self._newest.items()
        ]


def slow_message(group: str, content: Json, age_ms: float) -> Json:
    """Return what a page is told of one group."""
    return {"t": "slow", "group": group, "content": content, "age_ms": age_ms}
