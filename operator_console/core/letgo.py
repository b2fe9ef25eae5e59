"""Why enable fell: what the console itself saw of hand, page and window at that moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from operator_console.core.engagement import STOP_MODES
from operator_console.core.hands import Words
from operator_console.core.inputs import DriverInput
from protocol.state import VehicleMode


class Away(StrEnum):
    """What became of the driver's hand."""

    SILENT = "silent"
    GONE = "gone"
    BLURRED = "blurred"
    OPENED = "opened"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class LetGo:
    """One fall of enable that the machine did not ask for.

    Attributes:
        why: what the console saw. silent_ms: how long the page or the desk did not report.
        words: what was wrong with the desk; empty without one.
    """

    why: Away
    silent_ms: float = 0.0
    words: Words = ("", "")


class EnableWatch:
    """Notes why enable fell while it was permitted; a new enable or a reset forgets it."""

    def __init__(self) -> None:
        self.last: LetGo | None = None
        self._enabled = False
        self._away: Away | None = None
        self._stop_seen = False
        self._still_silent = False
        self._desk_words: Words = ("", "")

    def desk(self, words: Words) -> None:
        """What is wrong with the desk now, empty when nothing is."""
        self._desk_words = words

    def away(self, why: Away) -> None:
        """The page said that it goes or loses the keyboard, or its line closed."""
        self._away = why
        if self._still_silent:
            self.last, self._still_silent = LetGo(why), False

    def heard_again(self, silent_ms: float | None) -> None:
        """A snapshot came, this long after the one before."""
        self._grow(silent_ms)
        self._still_silent = False

    def _grow(self, silent_ms: float | None) -> None:
        if self._still_silent and self.last is not None and silent_ms is not None:
            self.last = replace(self.last, silent_ms=max(self.last.silent_ms, silent_ms))

    def sent(self, enable: bool, driver: DriverInput | None, age_ms: float | None) -> None:
        """A command went out while enable was permitted."""
        if enable:
            self.last, self._away, self._stop_seen = None, None, False
            self._still_silent = False
        elif self._enabled:
            self.last = self._seen(driver, age_ms)
            self._still_silent = self.last.why is Away.SILENT
        elif driver is None:
            self._grow(age_ms)
        self._enabled = enable

    def _seen(self, driver: DriverInput | None, age_ms: float | None) -> LetGo:
        if self._away is not None:
            return LetGo(self._away)
        if self._desk_words[0]:
            return LetGo(Away.DESK, words=self._desk_words)
        if driver is None:
            return LetGo(Away.SILENT, age_ms or 0.0)
        return LetGo(Away.OPENED)

    def barred(self) -> None:
        """Enable is not permitted: what falls now, the driver did not drop."""
        self._enabled = False

    def mode(self, mode: VehicleMode) -> None:
        """The machine's mode; the end of its stop ends the explanation."""
        if mode in STOP_MODES:
            self._stop_seen = True
        elif self._stop_seen:
            self.last, self._stop_seen = None, False
