"""Ages are honest: the offset comes from the quickest exchange, and silence is no picture."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_console.core.latency import RateMeter, VehicleClock, ViewSlot
from tests.console.fakes import CLOCK_AHEAD_US, MS, view_message


def exchange(
    clock: VehicleClock, sequence: int, sent_ns: int, up_us: int, held_us: int, down_us: int
) -> int:
    """One command out and one state back; return the console time of its arrival."""
    clock.sent(sequence, sent_ns)
    stamp_us = sent_ns // 1000 + CLOCK_AHEAD_US + up_us + held_us
    now_ns = sent_ns + (up_us + held_us + down_us) * 1000
    clock.state_seen(stamp_us, sequence, held_us, now_ns)
    return now_ns


def test_equal_ways__offset_is_exact() -> None:
    clock = VehicleClock()

    now_ns = exchange(clock, 1, 10 * MS, 20_000, 7_000, 20_000)

    assert clock.offset_us(now_ns) == CLOCK_AHEAD_US
    assert clock.rtt_us(now_ns) == 40_000


def test_slower_exchange_later__offset_of_the_quickest_holds() -> None:
    clock = VehicleClock()
    exchange(clock, 1, 10 * MS, 5_000, 0, 5_000)

    now_ns = exchange(clock, 2, 100 * MS, 5_000, 0, 195_000)

    assert clock.offset_us(now_ns) == CLOCK_AHEAD_US
    assert clock.rtt_us(now_ns) == 200_000


def test_quick_exchange_too_long_ago__newer_one_takes_over() -> None:
    clock = VehicleClock()
    exchange(clock, 1, 0, 5_000, 0, 5_000)

    now_ns = exchange(clock, 2, 21_000 * MS, 10_000, 0, 30_000)

    assert clock.offset_us(now_ns) == CLOCK_AHEAD_US - 10_000


@given(up_us=st.integers(0, 300_000), down_us=st.integers(0, 300_000), held=st.integers(0, 50_000))
def test_any_ways__offset_is_wrong_by_at_most_half_the_round_trip(
    up_us: int, down_us: int, held: int
) -> None:
    clock = VehicleClock()

    offset_us = clock.offset_us(exchange(clock, 1, 10 * MS, up_us, held, down_us))

    assert offset_us is not None
    within_us = clock.within_us(10 * MS)
    assert within_us is not None
    assert abs(offset_us - CLOCK_AHEAD_US) <= within_us + 1
    assert within_us == (up_us + down_us) // 2


def test_nothing_heard_yet__age_is_unknown() -> None:
    assert VehicleClock().age_ms(CLOCK_AHEAD_US, 30 * MS) is None


def test_no_exchange_yet__age_is_a_lower_bound_and_says_so() -> None:
    clock = VehicleClock()
    clock.state_seen(CLOCK_AHEAD_US, None, None, 30 * MS)

    assert clock.age_ms(CLOCK_AHEAD_US - 10_000, 30 * MS) == 10.0
    assert not clock.is_exact(30 * MS)


def test_no_exchange_for_two_seconds__round_trip_is_unknown() -> None:
    clock = VehicleClock()
    now_ns = exchange(clock, 1, 10 * MS, 5_000, 0, 5_000)

    assert clock.rtt_us(now_ns + 2_000 * MS) == 10_000
    assert clock.rtt_us(now_ns + 2_000 * MS + 1) is None


def test_no_exchange_in_the_window__offset_falls_back_to_its_lower_bound() -> None:
    clock = VehicleClock()
    later_ns = exchange(clock, 1, 10 * MS, 5_000, 0, 5_000) + 20_001 * MS
    clock.state_seen(later_ns // 1000 + CLOCK_AHEAD_US - 8_000, None, None, later_ns)

    assert clock.offset_us(later_ns) is None
    assert clock.within_us(later_ns) is None
    assert clock.now_us(later_ns) == later_ns // 1000 + CLOCK_AHEAD_US - 8_000


def test_nothing_heard_in_the_window__vehicle_clock_is_unknown() -> None:
    clock = VehicleClock()
    now_ns = exchange(clock, 1, 10 * MS, 5_000, 0, 5_000)

    assert clock.now_us(now_ns + 20_001 * MS) is None


def test_command_never_sent__state_tells_nothing_of_the_round_trip() -> None:
    clock = VehicleClock()

    clock.state_seen(CLOCK_AHEAD_US, 99, 0, 30 * MS)

    assert clock.rtt_us(30 * MS) is None


def test_wait_longer_than_the_round_trip__exchange_is_dropped() -> None:
    clock = VehicleClock()
    clock.sent(1, 0)

    clock.state_seen(CLOCK_AHEAD_US, 1, 50_000, 20 * MS)

    assert clock.offset_us(20 * MS) is None


def test_picture_age__grows_with_time() -> None:
    clock = VehicleClock()
    now_ns = exchange(clock, 1, 10 * MS, 10_000, 0, 10_000)
    capture_us = now_ns // 1000 + CLOCK_AHEAD_US - 80_000

    assert clock.age_ms(capture_us, now_ns) == pytest.approx(80.0)
    assert clock.age_ms(capture_us, now_ns + 100 * MS) == pytest.approx(180.0)


def test_vehicle_booted__everything_is_forgotten() -> None:
    clock = VehicleClock()
    now_ns = exchange(clock, 1, 10 * MS, 10_000, 0, 10_000)

    clock.reset()

    assert clock.now_us(now_ns) is None
    assert clock.rtt_us(now_ns) is None


def test_rate__counts_the_last_second_only() -> None:
    meter = RateMeter()
    for tick in range(100):
        meter.note(tick * 20 * MS)

    assert meter.rate_hz(99 * 20 * MS) == 50.0
    assert meter.rate_hz(99 * 20 * MS + 1000 * MS) == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"camera": 256},
        {"camera": -1},
        {"frame": 1 << 24},
        {"capture_us": -1},
        {"capture_us": 1.5},
        {"visible": 1},
        {"visible": None},
        {"frame": True},
    ],
)
def test_view_that_does_not_fit__is_refused(change: dict[str, Any]) -> None:
    assert not ViewSlot().offer(view_message(1, 1000) | change, 0, None)


def test_page_silent_250_ms__display_is_still_ok_and_not_after() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 1000), 0, None)

    assert views.display_ok(250 * MS)
    assert not views.display_ok(250 * MS + 1)


def test_page_behind_what_it_was_told_for_too_long__display_is_not_ok_until_it_is_up_again() -> (
    None
):
    views = ViewSlot()
    told = [(100, 251), (600, 251), (601, 251), (700, 400), (800, 250), (1300, 251), (1301, 251)]
    healthy = []
    for at_ms, behind_ms in told:
        views.offer(view_message(at_ms, 1000), at_ms * MS, None, behind_ms * MS)
        healthy.append(views.display_ok(at_ms * MS))

    assert healthy == [True, True, False, False, True, True, False]
    assert views.times_behind == 2


def test_page_behind_leaves__the_next_one_is_not_behind() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 1000), 0, None)
    views.offer(view_message(1, 1000), 501 * MS, None, 251 * MS)
    before = views.behind
    views.clear()
    left = views.behind
    views.offer(view_message(1, 1000), 1002 * MS, None, 251 * MS)

    assert (before, left, views.behind) == (True, False, False)


def test_page_not_visible__display_is_not_ok() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 1000, visible=False), 0, None)

    assert not views.display_ok(0)


def test_capture_stamp_unknown__display_is_not_ok() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 0), 0, None)

    assert not views.display_ok(0)


def test_no_page_ever__display_is_not_ok() -> None:
    assert not ViewSlot().display_ok(0)


def test_frozen_picture_on_a_page_that_paints__display_is_ok_and_the_stamp_stands_still() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 1000), 0, None)
    views.offer(view_message(1, 1000), 900 * MS, None)

    assert views.display_ok(1000 * MS)
    assert views.newest is not None
    assert views.newest.capture_us == 1000


def test_older_picture_than_before__is_not_put_into_force() -> None:
    views = ViewSlot()
    views.offer(view_message(2, 2000), 0, None)

    assert not views.offer(view_message(1, 1000), 1, None)
    assert views.newest is not None
    assert views.newest.capture_us == 2000


def test_other_camera_with_older_picture__is_taken() -> None:
    views = ViewSlot()
    views.offer(view_message(2, 2000), 0, None)

    assert views.offer(view_message(1, 1000, camera=1), 1, None)


def test_picture_from_the_vehicles_future__is_refused() -> None:
    views = ViewSlot()

    assert views.offer(view_message(1, 6_000_000), 0, 5_000_000)
    assert not views.offer(view_message(2, 6_000_001), 1, 5_000_000)


def test_vehicles_clock_becomes_known__picture_from_its_future_is_dropped() -> None:
    views = ViewSlot()
    views.offer(view_message(1, 6_000_001), 0, None)
    views.drop_ahead(5_000_000)

    assert views.newest is None
