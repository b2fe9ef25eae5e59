"""One page drives, all others watch: who sits in the driver's seat."""

from __future__ import annotations

SEAT_SILENT_NS = 2_000_000_000
"""A driving page silent for this long may be replaced by one that asks for the seat."""


class Seat:
    """The driver's seat of one console. Pages are known by a number."""

    def __init__(self) -> None:
        self.driver: int | None = None
        self._heard_ns = 0

    def join(self, page: int, now_ns: int) -> bool:
        """A page came; return whether it drives. The first one does, the rest watch."""
        if self.driver is None:
            self.driver, self._heard_ns = page, now_ns
        return self.driver == page

    def heard(self, page: int, now_ns: int) -> None:
        """A page said something."""
        if page == self.driver:
            self._heard_ns = now_ns

    def leave(self, page: int) -> bool:
        """A page went; return whether the seat is now empty. Nobody moves up by himself."""
        if page != self.driver:
            return False
        self.driver = None
        return True

    def claim(self, page: int, now_ns: int) -> bool:
        """A watching page asks for the seat; return whether it has it now.

        It gets it when the seat is empty or its page has gone silent.
        """
        if self.driver is None or now_ns - self._heard_ns > SEAT_SILENT_NS:
            self.driver, self._heard_ns = page, now_ns
        return self.driver == page
