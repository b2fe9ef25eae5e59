"""Which stamp of the vehicle a command gives back."""

from __future__ import annotations

import pytest

from operator_console.core.echo import NO_ECHO, Echo

MS_US, MS_NS = 1000, 1_000_000
SENT_US, HEARD_NS = 5_000_000, 900_000_000
KEPT = Echo(SENT_US, HEARD_NS)


def after(sent_ms: int, heard_ms: int) -> Echo:
    """What is given back when a stamp that left ``sent_ms`` later came ``heard_ms`` later."""
    return KEPT.followed_by(SENT_US + sent_ms * MS_US, HEARD_NS + heard_ms * MS_NS)


def test_first_stamp__is_taken_however_long_it_was_on_its_way() -> None:
    assert NO_ECHO.followed_by(SENT_US, HEARD_NS) == KEPT


@pytest.mark.parametrize("heard_ms", [1, 20, 70])
def test_newer_stamp_at_most_50_ms_longer_on_its_way__is_taken(heard_ms: int) -> None:
    assert after(20, heard_ms) == Echo(SENT_US + 20_000, HEARD_NS + heard_ms * MS_NS)


@pytest.mark.parametrize("heard_ms", [71, 100])
def test_newer_stamp_that_came_late__the_quicker_one_is_kept(heard_ms: int) -> None:
    assert after(20, heard_ms) is KEPT


def test_held_for_more_than_100_ms__a_late_stamp_is_taken() -> None:
    assert after(20, 101) == Echo(SENT_US + 20_000, HEARD_NS + 101 * MS_NS)


def test_quicker_stamp_after_a_late_one__is_taken_at_once() -> None:
    late = after(20, 101)
    assert late.followed_by(SENT_US + 90_000, HEARD_NS + 102 * MS_NS).stamp_us == SENT_US + 90_000
