"""Whether this cockpit's drive is being recorded: what its recorder says of itself, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SILENT_NS = 5_000_000_000
"""A recorder speaks once a second."""
STARTS_WITHIN_NS = 15_000_000_000
LOSS_SHOWN_NS = 10_000_000_000


@dataclass(slots=True)
class RecorderWatch:
    """What is known of the recorder.

    Attributes:
        begun_ns: when the console began, or the last recorder that spoke ended.
        heard_ns: when it spoke last; None before it has, and when it has ended.
        lost: records lost in all, by recorders or on the way to them. lost_ns: when more were.
        error: why it cannot write now, in words; empty when it can.
    """

    begun_ns: int
    heard_ns: int | None = None
    lost: int = 0
    lost_ns: int | None = None
    error: str = ""
    _told: int = 0

    def hear(self, figures: Mapping[str, Any], now_ns: int) -> None:
        """The recorder says how it is."""
        self.heard_ns = now_ns
        self.error = str(figures.get("error") or "")
        lost = figures.get("lost_in_all")
        if isinstance(lost, int):
            self._lose(lost - self._told, now_ns)
            self._told = lost

    def _lose(self, more: int, now_ns: int) -> None:
        if more > 0:
            self.lost += more
            self.lost_ns = now_ns

    def gone(self, now_ns: int) -> None:
        """The recorder ended, and with it what it had not flushed; another one is started.

        One that ended before it spoke gives the next one no more time to.
        """
        if self.heard_ns is not None:
            self.begun_ns = now_ns
        self.heard_ns, self._told = None, 0
        self._lose(1, now_ns)

    def fails(self, now_ns: int) -> bool:
        """Something of this drive is not recorded now, or was not just now."""
        if self.lost_ns is not None and now_ns - self.lost_ns < LOSS_SHOWN_NS:
            return True
        if self.heard_ns is None:
            return now_ns - self.begun_ns > STARTS_WITHIN_NS
        return bool(self.error) or now_ns - self.heard_ns > SILENT_NS
