"""The first page drives; the seat changes hands only when it is empty or silent."""

from __future__ import annotations

from operator_console.core.seat import Seat
from tests.console.fakes import MS


def test_first_page__drives_and_second_watches() -> None:
    seat = Seat()

    assert seat.join(1, 0)
    assert not seat.join(2, 0)


def test_driver_leaves__nobody_moves_up_by_himself() -> None:
    seat = Seat()
    seat.join(1, 0)
    seat.join(2, 0)

    assert seat.leave(1)
    assert seat.driver is None


def test_viewer_leaves__seat_is_not_empty() -> None:
    seat = Seat()
    seat.join(1, 0)
    seat.join(2, 0)

    assert not seat.leave(2)


def test_seat_empty__viewer_may_claim_it() -> None:
    seat = Seat()
    seat.join(1, 0)
    seat.join(2, 0)
    seat.leave(1)

    assert seat.claim(2, 0)


def test_driver_speaks__claim_is_refused() -> None:
    seat = Seat()
    seat.join(1, 0)
    seat.join(2, 0)
    seat.heard(1, 5000 * MS)

    assert not seat.claim(2, 7000 * MS)


def test_driver_silent_for_two_seconds__claim_is_granted() -> None:
    seat = Seat()
    seat.join(1, 0)
    seat.join(2, 0)
    seat.heard(2, 2000 * MS)

    assert seat.claim(2, 2001 * MS)
