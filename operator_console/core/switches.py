"""Switches in hand and seat: two opposite contacts, a seat, buttons that must be held."""

from __future__ import annotations

from enum import Enum, auto

CONTACTS_DIFFER_NS = 200_000_000
"""Longer than any switch takes from one contact to the other."""

SEAT_GRACE_NS = 500_000_000
"""A driver who shifts his weight opens the seat's contact for less than this."""

CONFIRM_HOLD_NS = 1_500_000_000
PARK_HOLD_NS = 1_000_000_000


class Hand(Enum):
    """What the contacts proved of the hand last."""

    UNPROVEN = auto()
    """Not that it was open: what looks pressed does not count."""
    OPEN = auto()
    PRESSED = auto()


class EnableSwitch:
    """An enabling device with two opposite contacts (after IEC 60947-5-8: off, on, off).

    Pressed is one contact closed *and* the other open, and begins from cleanly open only. Both
    alike is no proof of an open hand: on the way from open to pressed it means nothing, after
    pressed (a contact that bounces, a switch pressed through) it ends enable until the switch
    was cleanly open. For longer than a change takes it is a fault.
    """

    def __init__(self) -> None:
        self.fault = False
        self._hand = Hand.UNPROVEN
        self._alike_since_ns: int | None = None

    def pressed(self, closed: bool, opened: bool, now_ns: int) -> bool:
        """Return whether the switch is pressed.

        Args:
            closed: contact that closes when pressed. opened: contact that opens when pressed.
        """
        if closed is opened:
            if self._alike_since_ns is None:
                self._alike_since_ns = now_ns
            self.fault = self.fault or now_ns - self._alike_since_ns > CONTACTS_DIFFER_NS
            if self.fault or self._hand is Hand.PRESSED:
                self._hand = Hand.UNPROVEN
            return False
        self._alike_since_ns = None
        if not closed:
            self._hand, self.fault = Hand.OPEN, False
        elif self._hand is Hand.OPEN:
            self._hand = Hand.PRESSED
        return self._hand is Hand.PRESSED


class SeatSwitch:
    """Somebody sits here; a moment without weight does not count."""

    def __init__(self) -> None:
        self._sat_ns: int | None = None

    def occupied(self, closed: bool, now_ns: int) -> bool:
        """Return whether the seat is taken."""
        if closed:
            self._sat_ns = now_ns
        return self._sat_ns is not None and now_ns - self._sat_ns <= SEAT_GRACE_NS


class Hold:
    """A button that acts once when it was held for a time, and again only after letting go.

    One that is down when it is first seen does not count: it is stuck, or was pressed before
    anybody asked.
    """

    _since_ns: int | None
    """Set by the first look at the button up; before that nothing counts."""

    def __init__(self, hold_ns: int) -> None:
        self._hold_ns = hold_ns
        self._armed = False

    def acts(self, down: bool, now_ns: int) -> bool:
        """Return True at the one moment when the hold is complete."""
        if not down:
            self._since_ns, self._armed = None, True
            return False
        if not self._armed:
            return False
        if self._since_ns is None:
            self._since_ns = now_ns
        complete = now_ns - self._since_ns >= self._hold_ns
        self._armed = not complete
        return complete
