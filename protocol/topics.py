"""MQTT topic names, built and taken apart in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

PREFIX = "headframe/v1"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@lru_cache(maxsize=64)
def checked_id(text: str, what: str = "id") -> str:
    """Return ``text`` when it is a legal id.

    Raises:
        ValueError: it is empty, longer than 64 characters or has other characters
            than ``A-Z a-z 0-9 _ . : -``.
    """
    if _ID.fullmatch(text) is None:
        raise ValueError(f"{what} {text!r}: only 1-64 of A-Z a-z 0-9 _ . : - are allowed")
    return text


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one vehicle at one site."""

    site: str
    vehicle: str

    def __post_init__(self) -> None:
        checked_id(self.site, "site")
        checked_id(self.vehicle, "vehicle")

    def _of(self, name: str, author: str | None = None) -> str:
        base = f"{PREFIX}/{self.site}/{self.vehicle}/{name}"
        return base if author is None else f"{base}/{author}"

    def cmd(self, operator: str) -> str:
        """Command frames of one operator, 88 bytes, QoS 0, never retained."""
        return self._of("cmd", checked_id(operator, "operator"))

    def req(self, operator: str) -> str:
        """Signed requests of one operator, QoS 1."""
        return self._of("req", checked_id(operator, "operator"))

    def ack(self, operator: str) -> str:
        """The vehicle's signed answers to one operator, QoS 1."""
        return self._of("ack", checked_id(operator, "operator"))

    def stop(self, operator: str) -> str:
        """Signed stops of anyone allowed to stop, QoS 0, 20 Hz until confirmed."""
        return self._of("stop", checked_id(operator, "operator"))

    def signal(self, operator: str) -> str:
        """Signed session descriptions, both directions, QoS 1."""
        return self._of("signal", checked_id(operator, "operator"))

    def telemetry(self, group: str) -> str:
        """Slow values for screens and charts, JSON, QoS 0."""
        return self._of("telemetry", checked_id(group, "group"))

    @property
    def state(self) -> str:
        """State frames of the vehicle, QoS 0."""
        return self._of("state")

    @property
    def authority(self) -> str:
        """Who may drive: JSON, 5 Hz and on change."""
        return self._of("authority")

    @property
    def connection(self) -> str:
        """Presence for screens, retained, with a Will; never for safety."""
        return self._of("connection")

    @property
    def factsheet(self) -> str:
        """Versions, limits and cameras, retained."""
        return self._of("factsheet")

    @property
    def event(self) -> str:
        """Catalogue events, QoS 1."""
        return self._of("event")

    def all_of(self, name: str) -> str:
        """Return the filter for every author of ``cmd``, ``req``, ``stop`` or ``signal``."""
        return self._of(name, None) + "/+"

    def author(self, topic: str, name: str) -> str | None:
        """Return who wrote ``topic`` of kind ``name``, or None when it is no such topic."""
        head = self._of(name) + "/"
        if not topic.startswith(head):
            return None
        author = topic[len(head) :]
        return author if _ID.fullmatch(author) else None
