"""The speed cap, term by term, and which of them holds."""

from __future__ import annotations

import math

import pytest

from protocol.signals import DEFAULT_TIMING, tightened
from protocol.state import CapReason
from tests.core.parts import LIMITS, limits
from vehicle_agent.core.governor import GRAVITY_MPS2, GovernorInput, SpeedCap, speed_cap

GOOD = GovernorInput(loop_ms=50.0, view_ms=100.0)
ZONE = SpeedCap(5.0, CapReason.ZONE)


def cap(given: GovernorInput) -> SpeedCap:
    return speed_cap(LIMITS, DEFAULT_TIMING, given)


def test_input_with_loop_and_view_only__means_level_ground_and_nothing_fitted() -> None:
    given = GovernorInput(
        loop_ms=50.0,
        view_ms=100.0,
        grade=0.0,
        clear_m=None,
        unseen=False,
        detect_s=0.0,
        site_mps=None,
        line_m=None,
        unplaced=False,
        one_path=False,
        reverse=False,
        degraded=False,
    )

    assert given == GOOD


def test_all_good__the_zones_speed() -> None:
    assert cap(GOOD) == ZONE


def test_machine_slower_than_its_zone__the_machines_speed() -> None:
    slow = limits(speed_max_mps=4.0)

    assert speed_cap(slow, DEFAULT_TIMING, GOOD) == SpeedCap(4.0, CapReason.MACHINE)


@pytest.mark.parametrize(
    ("loop_ms", "expected"),
    [
        (0.0, ZONE),
        (200.0, ZONE),
        (200.5, SpeedCap(5.0 * 200 / 200.5, CapReason.LOOP)),
        (400.0, SpeedCap(2.5, CapReason.LOOP)),
        (None, SpeedCap(0.0, CapReason.LOOP)),
    ],
)
@pytest.mark.requirement("HF-CMD-15")
def test_loop_time__full_speed_to_its_limit_then_in_proportion(
    loop_ms: float | None, expected: SpeedCap
) -> None:
    assert cap(GOOD._replace(loop_ms=loop_ms)) == expected


@pytest.mark.parametrize(
    ("view_ms", "expected"),
    [
        (0.0, ZONE),
        (300.0, ZONE),
        (330.0, SpeedCap(4.5, CapReason.VIEW)),
        (450.0, SpeedCap(2.5, CapReason.VIEW)),
        (600.0, SpeedCap(0.0, CapReason.VIEW)),
        (9000.0, SpeedCap(0.0, CapReason.VIEW)),
        (None, SpeedCap(0.0, CapReason.VIEW)),
    ],
)
@pytest.mark.requirement("HF-VIEW-01")
def test_picture_age__full_speed_to_the_degraded_time_then_down_to_the_stop_time(
    view_ms: float | None, expected: SpeedCap
) -> None:
    assert cap(GOOD._replace(view_ms=view_ms)) == expected


@pytest.mark.parametrize(("view_ms", "speed_mps"), [(299.0, 5.0), (300.0, 0.0), (301.0, 0.0)])
def test_stop_time_tightened_to_the_degraded_time__all_or_nothing(
    view_ms: float, speed_mps: float
) -> None:
    timing = tightened({"view_stop_ms": 300})

    assert speed_cap(LIMITS, timing, GOOD._replace(view_ms=view_ms)).speed_mps == speed_mps


def test_reverse__its_own_speed() -> None:
    assert cap(GOOD._replace(reverse=True)) == SpeedCap(3.0, CapReason.REVERSE)


def test_one_path_silent__half_of_the_zones_speed() -> None:
    assert cap(GOOD._replace(one_path=True)) == SpeedCap(2.5, CapReason.ONE_PATH)


def test_degraded__none() -> None:
    assert cap(GOOD._replace(degraded=True)) == SpeedCap(0.0, CapReason.DEGRADED)


def test_several_terms__the_lowest_holds() -> None:
    given = GOOD._replace(reverse=True, one_path=True, loop_ms=500.0)

    assert cap(given) == SpeedCap(2.0, CapReason.LOOP)


def stopping_distance_m(speed_mps: float, reaction_s: float, decel_mps2: float) -> float:
    return speed_mps * reaction_s + speed_mps**2 / (2 * decel_mps2)


@pytest.mark.parametrize("clear_m", [0.5, 4.0, 9.0])
@pytest.mark.parametrize("grade", [-0.12, 0.0, 0.2])
@pytest.mark.parametrize("detect_s", [0.0, 0.4])
@pytest.mark.requirement("HF-GOV-01")
def test_something_ahead__stops_exactly_short_of_it(
    clear_m: float, grade: float, detect_s: float
) -> None:
    found = cap(GOOD._replace(clear_m=clear_m, grade=grade, detect_s=detect_s))

    reaction_s = 0.05 + detect_s + LIMITS.brake_delay_worst_s
    decel_mps2 = 2.5 + 9.80665 * grade
    assert found.reason is CapReason.CLEARANCE
    assert stopping_distance_m(found.speed_mps, reaction_s, decel_mps2) == pytest.approx(
        clear_m, rel=1e-9
    )


@pytest.mark.requirement("HF-GOV-02")
def test_nothing_known_of_the_way_ahead__walking_pace() -> None:
    assert cap(GOOD._replace(unseen=True)) == SpeedCap(1.0, CapReason.CLEARANCE)


@pytest.mark.parametrize(("site_mps", "expected_mps"), [(0.0, 0.0), (2.0, 2.0), (7.0, 5.0)])
@pytest.mark.requirement("HF-GOV-03")
def test_place_allows_a_speed__the_lower_of_it_and_the_machines_zone_speed(
    site_mps: float, expected_mps: float
) -> None:
    assert cap(GOOD._replace(site_mps=site_mps)) == SpeedCap(expected_mps, CapReason.ZONE)


def test_slow_place_and_long_loop__slower_in_proportion_to_what_the_place_allows() -> None:
    found = cap(GOOD._replace(site_mps=2.0, loop_ms=400.0))

    assert found == SpeedCap(1.0, CapReason.LOOP)


@pytest.mark.parametrize("line_m", [0.5, 4.0, 9.0])
@pytest.mark.parametrize("grade", [-0.12, 0.0, 0.2])
@pytest.mark.requirement("HF-GOV-03")
def test_line_ahead__stops_exactly_short_of_it_however_old_the_scan_is(
    line_m: float, grade: float
) -> None:
    found = cap(GOOD._replace(line_m=line_m, grade=grade, detect_s=0.4))

    reaction_s = 0.05 + LIMITS.brake_delay_worst_s
    decel_mps2 = 2.5 + 9.80665 * grade
    assert found.reason is CapReason.ZONE
    assert stopping_distance_m(found.speed_mps, reaction_s, decel_mps2) == pytest.approx(
        line_m, rel=1e-9
    )


def test_line_ahead_and_no_loop_time__no_speed_for_want_of_the_loop() -> None:
    assert cap(GOOD._replace(loop_ms=None, line_m=4.0)) == SpeedCap(0.0, CapReason.LOOP)


@pytest.mark.requirement("HF-GOV-04")
def test_nothing_known_of_the_place__walking_pace() -> None:
    assert cap(GOOD._replace(unplaced=True)) == SpeedCap(1.0, CapReason.ZONE)


def test_free_far_ahead__the_zones_speed() -> None:
    assert cap(GOOD._replace(clear_m=200.0)) == ZONE


@pytest.mark.parametrize("clear_m", [0.0, -1.0])
def test_nothing_free_ahead__no_speed(clear_m: float) -> None:
    found = cap(GOOD._replace(clear_m=clear_m))

    assert found.reason is CapReason.CLEARANCE
    assert found.speed_mps == pytest.approx(0.0, abs=1e-12)


def test_hardly_any_brake_left_on_a_grade__some_speed() -> None:
    found = cap(GOOD._replace(clear_m=4.0, grade=-2.0 / GRAVITY_MPS2))

    assert found.speed_mps == pytest.approx(0.5 * (-2.05 + math.sqrt(2.05**2 + 16.0)))


@pytest.mark.parametrize("decel_mps2", [0.0, -1.0])
def test_no_brake_left_on_a_grade__no_speed(decel_mps2: float) -> None:
    grade = (decel_mps2 - 2.5) / GRAVITY_MPS2
    assert 2.5 + GRAVITY_MPS2 * grade == decel_mps2

    found = cap(GOOD._replace(clear_m=100.0, grade=grade))

    assert found == SpeedCap(0.0, CapReason.CLEARANCE)


def test_something_ahead_and_no_loop_time__no_speed_for_want_of_the_loop() -> None:
    assert cap(GOOD._replace(loop_ms=None, clear_m=4.0)) == SpeedCap(0.0, CapReason.LOOP)
