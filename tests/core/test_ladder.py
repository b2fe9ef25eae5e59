"""Bits are shared by weight; with too few of them first the frame rate falls, then the size."""

from __future__ import annotations

import pytest

from vehicle_agent.core.ladder import (
    UP_AFTER_US,
    Ladder,
    LinkRate,
    MissingPackets,
    Retransmissions,
    Step,
    Want,
    allocate,
    steps_of,
)

FRONT = Want(0, 4, 3_000_000)
SIDES = tuple(Want(camera, 1, 600_000) for camera in (1, 2, 3))
S = 1_000_000


def test_enough_for_all__each_camera_has_all_that_it_can_use() -> None:
    assert allocate(9_000_000, (FRONT, *SIDES)) == {
        0: 3_000_000,
        1: 600_000,
        2: 600_000,
        3: 600_000,
    }


def test_too_little__shares_are_by_weight() -> None:
    assert allocate(700_000, (FRONT, *SIDES)) == {0: 400_000, 1: 100_000, 2: 100_000, 3: 100_000}


def test_what_one_cannot_use__goes_to_the_others() -> None:
    shared = allocate(4_500_000, (FRONT, *SIDES))
    assert shared == {0: 2_700_000, 1: 600_000, 2: 600_000, 3: 600_000}


@pytest.mark.parametrize("total_bps", [-5, 0, 1, 123_457, 3_333_333, 10_000_000])
def test_any_total__no_more_is_given_than_there_is(total_bps: int) -> None:
    given = allocate(total_bps, (FRONT, *SIDES))
    assert sum(given.values()) <= max(0, total_bps)
    assert all(given[want.camera] <= want.full_bps for want in (FRONT, *SIDES))


def test_no_camera__nothing_is_given() -> None:
    assert allocate(1_000_000, ()) == {}


def test_steps_of_720p30__frame_rate_falls_before_the_size() -> None:
    assert steps_of(1280, 720, 30) == (
        Step(1280, 720, 30),
        Step(1280, 720, 20),
        Step(1280, 720, 15),
        Step(640, 360, 15),
        Step(640, 360, 10),
    )


def test_steps_of_a_small_camera__the_strip_still_fits() -> None:
    assert {step.width for step in steps_of(480, 270, 15)} == {480}


def test_rate_falls__the_step_follows_at_once() -> None:
    ladder = Ladder(1280, 720, 30)
    assert ladder.update(3_000_000, 0) == Step(1280, 720, 30)
    assert ladder.update(100_000, 1) == Step(640, 360, 15)
    assert ladder.update(1, 2) == Step(640, 360, 10)


def test_rate_is_back__each_step_up_takes_its_time() -> None:
    ladder = Ladder(1280, 720, 30)
    ladder.update(350_000, 0)
    fps = [ladder.update(3_000_000, second * S // 2).fps for second in range(1, 15)]
    assert fps == [15] * 6 + [20] * 6 + [30] * 2


def test_rate_just_enough_for_more__the_step_does_not_flutter() -> None:
    ladder = Ladder(1280, 720, 30)
    ladder.update(600_000, 0)
    needed_bps = int(Step(1280, 720, 30).least_bps)
    for second in range(20):
        assert ladder.update(needed_bps, second * S).fps == 20


def test_rate_good_only_now_and_then__no_step_up() -> None:
    ladder = Ladder(1280, 720, 30)
    ladder.update(500_000, 0)
    for number in range(20):
        rate_bps = 3_000_000 if number % 2 else 500_000
        assert ladder.update(rate_bps, number * (UP_AFTER_US - 1)).fps == 20


@pytest.fixture
def rate() -> LinkRate:
    """A link's rate after its first estimate, without a limit yet."""
    made = LinkRate(100_000, 3_000_000)
    made.on_estimate(2_600_000, 2_500_000, 0)
    return made


def test_first_estimate_below_what_is_sent__does_not_limit() -> None:
    first = LinkRate(100_000, 3_000_000)
    first.on_estimate(1_000_000, 1_100_000, 0)
    assert first.limit_bps == 3_000_000


def test_estimate_that_rises_behind_what_is_sent__does_not_limit(rate: LinkRate) -> None:
    for second, estimate_bps in enumerate((2_610_000, 2_700_000, 2_800_000)):
        rate.on_estimate(estimate_bps, 2_900_000, second * S)
    assert rate.limit_bps == 3_000_000


def test_estimate_well_above_what_is_sent__does_not_limit(rate: LinkRate) -> None:
    for second in range(20):
        rate.on_estimate(600_000, 400_000, second * S)
    assert rate.limit_bps == 3_000_000


def test_estimate_below_what_is_sent__limits_at_once_and_rises_slowly_again(rate: LinkRate) -> None:
    rate.on_estimate(1_000_000, 2_500_000, 1 * S)
    assert rate.limit_bps == 950_000
    rate.on_estimate(2_000_000, 900_000, 2 * S)
    assert rate.limit_bps == int(950_000 * 1.08)


def test_rate_far_from_where_the_link_was_full__rises_quickly(rate: LinkRate) -> None:
    rate.on_estimate(1_000_000, 2_500_000, 1 * S)
    rate.on_loss(0.9, 950_000, 1 * S)
    before_bps = rate.limit_bps
    rate.on_loss(0.0, 500_000, 1 * S)
    rate.on_estimate(2_000_000, 500_000, 2 * S)
    assert rate.limit_bps == pytest.approx(before_bps * 1.30, rel=1e-4)


def test_many_packets_missing_at_once__the_rate_falls_to_what_came_through(rate: LinkRate) -> None:
    rate.on_missing(0.75, 2_000_000, 1 * S)
    assert rate.limit_bps == 500_000
    rate.on_missing(0.75, 500_000, 1 * S + 299_999)
    assert rate.limit_bps == 500_000
    rate.on_missing(0.5, 500_000, 1 * S + 300_000)
    assert rate.limit_bps == 250_000


@pytest.mark.parametrize("share", [0.95, 1.0, 4.0])
def test_all_packets_missing__was_an_outage_and_the_rate_stays(
    rate: LinkRate, share: float
) -> None:
    rate.on_missing(share, 2_000_000, 1 * S)
    assert rate.limit_bps == 3_000_000


def test_few_packets_missing__the_rate_stays(rate: LinkRate) -> None:
    rate.on_missing(0.20, 2_000_000, 1 * S)
    assert rate.limit_bps == 3_000_000


def test_packets_asked_for_again__count_once_and_for_a_while() -> None:
    missing = MissingPackets()
    assert missing.ask([1, 2], 0) == 2
    assert missing.ask([1, 2, 3], 40_000) == 3
    assert missing.ask([3], 260_000) == 1
    assert missing.ask([3], 300_000) == 0


def test_lost_packet__is_sent_again_when_young_and_not_twice_at_once() -> None:
    again = Retransmissions()
    assert again.allows(7, 10_000, 100_000, 1_000_000, 0)
    assert not again.allows(7, 10_000, 100_000, 1_000_000, 59_999)
    assert again.allows(7, 10_000, 160_000, 1_000_000, 60_000)
    assert not again.allows(8, 10_000, 250_001, 1_000_000, 60_000)


def test_flood_of_requests__no_more_than_a_share_of_the_rate_is_sent_again() -> None:
    again = Retransmissions()
    sent = [again.allows(n, 10_000, 0, 400_000, n * 1_000) for n in range(1000)]
    assert sum(sent) == 20 + 9


def test_many_estimates_in_a_second__rise_no_faster_than_one(rate: LinkRate) -> None:
    rate.on_estimate(1_000_000, 2_500_000, 1 * S)
    for tenth in range(1, 11):
        rate.on_estimate(2_000_000, 900_000, 1 * S + tenth * S // 10)
    assert rate.limit_bps == pytest.approx(950_000 * 1.08, rel=1e-4)


def test_estimates_after_a_pause__rise_by_a_second_at_most(rate: LinkRate) -> None:
    rate.on_estimate(1_000_000, 2_500_000, 1 * S)
    rate.on_estimate(2_000_000, 900_000, 100 * S)
    assert rate.limit_bps == int(950_000 * 1.08)


def test_estimate_of_nothing__keeps_the_least_rate(rate: LinkRate) -> None:
    rate.on_estimate(0, 2_500_000, 0)
    assert rate.limit_bps == 100_000


def test_much_loss__lowers_the_limit(rate: LinkRate) -> None:
    rate.on_loss(0.2, 1_000_000, 1 * S)
    assert rate.limit_bps == 900_000


@pytest.mark.parametrize(("loss", "rises"), [(0.02, True), (0.05, False), (0.10, False)])
def test_some_loss__keeps_the_limit_from_rising(rate: LinkRate, loss: float, rises: bool) -> None:
    rate.on_estimate(1_000_000, 2_500_000, 1 * S)
    rate.on_loss(loss, 900_000, 1 * S)
    rate.on_estimate(2_000_000, 900_000, 2 * S)
    assert (rate.limit_bps > 950_000) is rises


def test_width_measured__the_rate_is_below_it_at_once(rate: LinkRate) -> None:
    rate.on_width(500_000, 1 * S)
    assert rate.limit_bps == 450_000


def test_reports_of_the_time_before_the_width_was_measured__lower_it_no_more(
    rate: LinkRate,
) -> None:
    rate.on_width(500_000, 1 * S)
    rate.on_estimate(200_000, 2_000_000, 2 * S - 1)
    rate.on_loss(0.8, 2_000_000, 2 * S - 1)
    rate.on_missing(0.8, 2_000_000, 2 * S - 1)
    assert rate.limit_bps == 450_000
    rate.on_missing(0.8, 450_000, 2 * S)
    assert rate.limit_bps < 450_000


def test_width_measured_above_the_rate__the_rate_stays(rate: LinkRate) -> None:
    rate.on_width(9_000_000, 1 * S)
    assert rate.limit_bps == 3_000_000


def test_ladder_falls__the_size_is_smaller_at_once_and_comes_back_after_a_while() -> None:
    ladder = Ladder(1280, 720, 30)
    assert ladder.small == Step(640, 360, 15)
    ladder.fall(0)
    assert ladder.update(3_000_000, UP_AFTER_US - 1) == Step(640, 360, 15)
    assert ladder.update(3_000_000, UP_AFTER_US) == Step(1280, 720, 15)


def test_ladder_is_lower_already__falling_changes_nothing() -> None:
    ladder = Ladder(1280, 720, 30)
    lowest = ladder.update(1, 0)
    ladder.fall(0)
    assert ladder.step == lowest


def test_camera_too_small_for_another_size__falls_to_fewer_pictures() -> None:
    assert Ladder(320, 180, 30).small == Step(320, 180, 15)
