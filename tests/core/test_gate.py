"""The gate, limit by limit: exact demands for every permit, and nothing that was not allowed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from protocol.frames import CommandFrame, CommandKind
from protocol.profiles import MachineLimits
from tests.core.parts import LIMITS, MS, S, command, limits
from vehicle_agent.core.gate import Demand, Gate, Measured, Permit

START_NS = 7_000 * S
TICK_NS = 10 * MS
CAP_MPS = 5.0


class Bench:
    """A gate and the clock that it is stepped by."""

    def __init__(self, limits: MachineLimits = LIMITS) -> None:
        self.gate = Gate(limits)
        self.now_ns = START_NS

    def step(
        self,
        permit: Permit = Permit.DRIVE,
        frame: CommandFrame | None = None,
        speed_mps: float | None = 2.0,
        *,
        curvature_per_m: float | None = 0.0,
        cap_mps: float = CAP_MPS,
        after_ns: int = TICK_NS,
        pull_mps2: float = 0.0,
    ) -> Demand:
        self.now_ns += after_ns
        measured = Measured(speed_mps, curvature_per_m, pull_mps2)
        return self.gate.step(self.now_ns, permit, frame, measured, cap_mps)

    def drive(
        self,
        speed_mps: float | None = 2.0,
        *,
        cap_mps: float = CAP_MPS,
        after_ns: int = TICK_NS,
        pull_mps2: float = 0.0,
        **wish: Any,
    ) -> Demand:
        frame = command(**{"gear": 1, **wish})
        return self.step(
            Permit.DRIVE,
            frame,
            speed_mps,
            cap_mps=cap_mps,
            after_ns=after_ns,
            pull_mps2=pull_mps2,
        )

    def settle(self, speed_mps: float | None = 2.0, ticks: int = 90, **wish: Any) -> Demand:
        for _ in range(ticks):
            demand = self.drive(speed_mps, **wish)
        return demand

    def under_way(self, **wish: Any) -> Demand:
        """Released from park and moving forwards at 2 m/s."""
        self.settle(0.0, throttle=4000)
        return self.settle(2.0, **{"throttle": 4000, **wish})


@pytest.fixture
def bench() -> Bench:
    return Bench()


def exactly(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-15)


# --- before anything, and without a permit ----------------------------------------------------


def test_demand_that_says_nothing__is_parked_and_moves_nothing() -> None:
    assert Demand() == Demand(
        curvature_per_m=0.0,
        steer_valid=False,
        accel_mps2=0.0,
        speed_limit_mps=0.0,
        direction=0,
        brake_mps2=0.0,
        retarder=0.0,
        park=True,
        horn=False,
        lights=False,
        implement=0.0,
        estop=False,
    )


def test_permits__stricter_ones_are_higher() -> None:
    assert list(Permit) == sorted(Permit)
    assert [permit.value for permit in Permit] == [0, 1, 2, 3, 4]
    assert Permit.DRIVE < Permit.COAST < Permit.STOP < Permit.ESTOP < Permit.PARKED


def test_new_gate__has_asked_for_nothing_and_knows_no_standstill(bench: Bench) -> None:
    assert bench.gate.last == Demand()
    assert not bench.gate.standstill(START_NS)


@pytest.mark.parametrize(
    ("measured", "held"),
    [(None, 0.0), (0.1, 0.1), (-0.1, -0.1), (0.2, 0.125), (-0.2, -0.125)],
)
def test_parked__brakes_and_shows_the_measured_curvature_within_the_limit(
    bench: Bench, measured: float | None, held: float
) -> None:
    frame = command(gear=1, throttle=10_000, steer=5000, horn=True, lights=True, implement=900)
    bench.step(Permit.DRIVE, frame, 0.0)
    demand = bench.step(Permit.PARKED, frame, 0.0, curvature_per_m=measured)

    assert demand == Demand(curvature_per_m=held, brake_mps2=LIMITS.stop_decel_mps2)
    assert bench.gate.last is demand


# --- standstill ---------------------------------------------------------------------------------


def test_slow_for_the_standstill_time__stands(bench: Bench) -> None:
    bench.drive(0.05)
    assert not bench.gate.standstill(bench.now_ns + 300 * MS - 1)
    assert bench.gate.standstill(bench.now_ns + 300 * MS)


@pytest.mark.parametrize("speed_mps", [None, 0.0501, -0.0501])
def test_moving_or_unknown_speed__standstill_starts_again(
    bench: Bench, speed_mps: float | None
) -> None:
    bench.settle(-0.05, ticks=50)
    assert bench.gate.standstill(bench.now_ns)

    bench.drive(speed_mps)
    assert not bench.gate.standstill(bench.now_ns + S)
    bench.drive(0.0)
    assert not bench.gate.standstill(bench.now_ns + 300 * MS - 1)


# --- curvature ----------------------------------------------------------------------------------


def test_first_tick__opens_no_rate_limit(bench: Bench) -> None:
    demand = bench.drive(steer=10_000, throttle=10_000, brake=400)

    assert (demand.curvature_per_m, demand.accel_mps2, demand.brake_mps2) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_steer__follows_at_the_rate_limit_to_the_wanted_share(bench: Bench, sign: int) -> None:
    bench.drive()

    assert bench.drive(steer=sign * 8000).curvature_per_m == exactly(sign * 0.005)
    assert bench.drive(steer=sign * 8000).curvature_per_m == exactly(sign * 0.01)
    demand = bench.settle(steer=sign * 8000)
    assert demand.curvature_per_m == exactly(sign * 0.1)
    assert demand.steer_valid
    assert bench.drive(steer=0).curvature_per_m == exactly(sign * 0.095)


@pytest.mark.parametrize("sign", [-1, 1])
def test_steer_beyond_full_scale__stays_within_the_machines_curvature(
    bench: Bench, sign: int
) -> None:
    assert bench.settle(steer=sign * 20_000).curvature_per_m == sign * 0.125


@pytest.mark.parametrize(
    ("after_ns", "step_s"), [(50 * MS, 0.05), (51 * MS, 0.05), (S, 0.05), (-S, 0.0), (0, 0.0)]
)
def test_late_tick_or_clock_going_back__opens_the_rate_limits_no_further(
    bench: Bench, after_ns: int, step_s: float
) -> None:
    bench.drive()

    demand = bench.drive(steer=10_000, throttle=10_000, after_ns=after_ns)

    assert demand.curvature_per_m == exactly(0.5 * step_s)
    assert demand.accel_mps2 == exactly(1.5 * step_s)


SOFT = limits(curvature_jerk_per_m_s2=5.0)
"""The full steering rate of 0.5 1/(m·s) after ten ticks."""


@pytest.mark.parametrize("sign", [-1, 1])
def test_steer__starts_and_ends_at_its_jerk_limit_without_overshoot(sign: int) -> None:
    bench = Bench(SOFT)
    bench.drive()

    way = [0.0] + [bench.drive(steer=sign * 8000).curvature_per_m for _ in range(60)]

    assert way[1:4] == [exactly(sign * 0.0005), exactly(sign * 0.0015), exactly(sign * 0.003)]
    steps = [sign * (after - before) for before, after in itertools.pairwise(way)]
    assert max(steps) == exactly(0.005)
    assert way[-1] == exactly(sign * 0.1)
    assert min(steps) >= 0.0
    assert max(abs(b - a) for a, b in itertools.pairwise(steps)) <= 2 * 0.0005 + 1e-12
    assert steps.index(0.0) > 25


def test_steer_turned_round__slows_before_it_turns() -> None:
    bench = Bench(SOFT)
    bench.drive()
    turning = bench.settle(steer=8000, ticks=10).curvature_per_m

    first = bench.drive(steer=-8000).curvature_per_m
    second = bench.drive(steer=-8000).curvature_per_m

    assert (first - turning, second - first) == (exactly(0.0045), exactly(0.004))


@pytest.mark.parametrize("permit", [Permit.COAST, Permit.STOP, Permit.PARKED])
@pytest.mark.parametrize("frame", [None, command(gear=1, steer=8000, enable=False)])
def test_steer_after_it_was_held__starts_from_rest(
    permit: Permit, frame: CommandFrame | None
) -> None:
    bench = Bench(SOFT)
    bench.drive()
    bench.settle(steer=8000, ticks=10)
    held = bench.step(permit, frame).curvature_per_m

    assert bench.drive(steer=8000).curvature_per_m - held == exactly(0.0005)


def test_steer_to_a_near_target__slows_down_just_in_time() -> None:
    bench = Bench(SOFT)
    bench.drive()

    way = [bench.drive(steer=320).curvature_per_m for _ in range(10)]

    in_time = [0.0005, 0.0015, 0.00265831, 0.00341993, 0.00383101, 0.00397831, 0.00399955]
    assert way[:7] == pytest.approx(in_time, abs=1e-8)
    assert way[-1] == exactly(0.004)


# --- traction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("speed_mps", "accel_mps2"),
    [(4.9, 1.0), (5.0, 1.0), (5.05, 0.75), (5.1, 0.5), (5.2, 0.0), (7.0, 0.0)],
)
def test_above_the_cap__traction_fades_to_nothing(
    bench: Bench, sign: int, speed_mps: float, accel_mps2: float
) -> None:
    bench.settle(0.0, throttle=8000)

    demand = bench.settle(sign * speed_mps, throttle=8000)

    assert demand.accel_mps2 == pytest.approx(accel_mps2, abs=1e-9)


def test_lowest_cap__is_a_cap_and_not_nothing(bench: Bench) -> None:
    bench.settle(0.0, throttle=8000)

    assert bench.settle(0.0, throttle=8000, cap_mps=0.5).accel_mps2 == exactly(1.0)


@pytest.mark.parametrize(("speed_mps", "cap_mps"), [(None, 5.0), (0.0, 0.0)])
def test_speed_unknown_or_a_cap_of_nothing__no_traction(
    bench: Bench, speed_mps: float | None, cap_mps: float
) -> None:
    bench.settle(0.0, throttle=8000)

    assert bench.settle(speed_mps, throttle=8000, cap_mps=cap_mps).accel_mps2 == 0.0


def test_throttle__rises_at_the_jerk_limit_to_its_share_and_falls_at_once(bench: Bench) -> None:
    bench.settle(0.0)
    rises = [bench.drive(0.0, throttle=8000).accel_mps2 for _ in range(3)]

    assert rises == [exactly(0.015), exactly(0.03), exactly(0.045)]
    assert bench.settle(2.0, throttle=8000).accel_mps2 == exactly(1.0)
    assert bench.drive(2.0, throttle=4000).accel_mps2 == exactly(0.5)
    assert bench.drive(2.0, throttle=0).accel_mps2 == 0.0


@pytest.mark.parametrize(("brake", "accel_mps2"), [(500, 0.5), (501, 0.0), (10_000, 0.0)])
def test_brake_above_its_share__wins_over_the_throttle(
    bench: Bench, brake: int, accel_mps2: float
) -> None:
    bench.under_way()

    assert bench.drive(throttle=4000, brake=brake).accel_mps2 == exactly(accel_mps2)


def test_park_brake_asked_while_moving__traction_off_brake_on_and_park_left_open(
    bench: Bench,
) -> None:
    bench.under_way()

    demand = bench.settle(throttle=4000, park_brake=True)

    assert (demand.accel_mps2, demand.brake_mps2, demand.park) == (0.0, 2.5, False)


def test_drive__carries_cap_and_signals_to_the_machine(bench: Bench) -> None:
    demand = bench.drive(cap_mps=3.5, horn=True, lights=True)
    assert (demand.speed_limit_mps, demand.horn, demand.lights) == (3.5, True, True)

    demand = bench.drive()
    assert (demand.horn, demand.lights, demand.estop) == (False, False, False)


# --- direction ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed_mps", "direction"),
    [(0.3, -1), (-0.3, -1), (0.0, -1), (0.31, 1), (-0.31, 1), (None, 1)],
)
def test_change_of_direction__obeyed_only_when_slow(
    bench: Bench, speed_mps: float | None, direction: int
) -> None:
    bench.under_way()

    demand = bench.drive(speed_mps, gear=-1, throttle=4000)

    assert demand.direction == direction
    assert (demand.accel_mps2 > 0.0) == (direction == -1)


def test_change_of_direction_from_neutral__obeyed_while_rolling(bench: Bench) -> None:
    assert bench.drive(2.0, gear=-1).direction == -1


def test_neutral_while_rolling__keeps_the_direction_without_traction(bench: Bench) -> None:
    bench.under_way()

    demand = bench.drive(2.0, gear=0, throttle=4000)

    assert (demand.direction, demand.accel_mps2, demand.brake_mps2) == (1, 0.0, 0.0)


def test_neutral_when_slow__brakes_without_traction(bench: Bench) -> None:
    bench.under_way()

    demand = bench.settle(0.2, gear=0, throttle=4000)

    assert (demand.direction, demand.accel_mps2, demand.brake_mps2) == (0, 0.0, 2.5)
    assert not demand.park


# --- brakes -------------------------------------------------------------------------------------


def test_brake__rises_and_falls_at_its_jerk_limit_to_its_share(bench: Bench) -> None:
    bench.under_way(throttle=0)

    rises = [bench.drive(brake=5000).brake_mps2 for _ in range(3)]

    assert rises == [exactly(0.12), exactly(0.24), exactly(0.36)]
    assert bench.settle(brake=5000).brake_mps2 == exactly(2.0)
    assert bench.drive(brake=1000).brake_mps2 == exactly(1.88)
    assert bench.settle(brake=1000).brake_mps2 == exactly(0.4)
    assert bench.settle(brake=0).brake_mps2 == 0.0


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("speed_mps", "brake_mps2"), [(5.0, 0.0), (5.2, 0.0), (5.7, 0.5), (6.3, 1.1), (9.0, 1.2)]
)
def test_above_the_cap__brakes_in_proportion_up_to_a_limit(
    bench: Bench, sign: int, speed_mps: float, brake_mps2: float
) -> None:
    bench.under_way()

    demand = bench.settle(sign * speed_mps)

    assert demand.brake_mps2 == pytest.approx(brake_mps2, abs=1e-9)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("speed_mps", "pull_mps2", "brake_mps2"),
    [
        (4.9, 1.4, 0.0),
        (5.0, 1.4, 0.0),
        (5.1, 1.4, 0.7),
        (5.2, 1.4, 1.4),
        (5.7, 1.4, 1.9),
        (9.0, 1.2, 2.4),
        (5.7, 0.0, 0.5),
        (9.0, 5.0, 4.0),
    ],
)
def test_above_the_cap_on_a_decline__gravity_is_held_and_the_rest_slows(
    bench: Bench, sign: int, speed_mps: float, pull_mps2: float, brake_mps2: float
) -> None:
    bench.under_way()

    demand = bench.settle(sign * speed_mps, pull_mps2=pull_mps2)

    assert demand.brake_mps2 == pytest.approx(brake_mps2, abs=1e-9)


@pytest.mark.requirement("HF-GOV-03")
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("speed_mps", "cap_mps", "brake_mps2"),
    [
        (0.0, 0.0, 2.5),
        (0.1, 0.0, 2.5),
        (0.2, 0.0, 2.5),
        (0.21, 0.0, 1.41),
        (0.9, 0.0, 2.1),
        (0.0, 0.01, 0.0),
        (0.11, 0.01, 0.7),
    ],
)
def test_cap_of_nothing__what_almost_stands_is_held_as_in_a_stop(
    bench: Bench, sign: int, speed_mps: float, cap_mps: float, brake_mps2: float
) -> None:
    bench.under_way()

    demand = bench.settle(sign * speed_mps, throttle=8000, cap_mps=cap_mps, pull_mps2=1.4)

    assert demand.brake_mps2 == pytest.approx(brake_mps2, abs=1e-9)


@pytest.mark.requirement("HF-ECU-09")
def test_speed_unknown__brakes_as_in_a_stop_with_the_retarder(bench: Bench) -> None:
    bench.under_way()

    demand = bench.settle(None)

    assert (demand.brake_mps2, demand.retarder) == (2.5, 1.0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("speed_mps", "retarder"),
    [(4.4, 0.0), (4.0, 0.0), (4.7, 0.5), (4.85, 0.75), (5.0, 1.0), (5.3, 1.0), (7.0, 1.0)],
)
def test_retarder__comes_in_over_a_band_below_the_cap(
    bench: Bench, sign: int, speed_mps: float, retarder: float
) -> None:
    demand = bench.drive(sign * speed_mps)

    assert demand.retarder == pytest.approx(retarder, abs=1e-9)


# --- park ---------------------------------------------------------------------------------------


def test_throttle_at_standstill__releases_the_park_brake(bench: Bench) -> None:
    held = bench.settle(0.0)
    assert (held.park, held.brake_mps2, held.accel_mps2) == (True, 2.5, 0.0)

    released = bench.drive(0.0, throttle=1)
    assert not released.park
    assert released.brake_mps2 == exactly(2.38)
    assert bench.settle(0.0, throttle=1).brake_mps2 == 0.0


@pytest.mark.parametrize("wish", [{"gear": 0}, {"park_brake": True}, {"brake": 501}])
def test_throttle_at_standstill_with_a_reason_to_stay__stays_parked(
    bench: Bench, wish: dict[str, Any]
) -> None:
    bench.settle(0.0)

    demand = bench.settle(0.0, **{"throttle": 4000, **wish})

    assert demand.park
    assert demand.accel_mps2 == 0.0


def test_throttle_while_not_known_to_stand__releases_and_closed_stays(bench: Bench) -> None:
    assert bench.drive(2.0).park
    assert not bench.drive(2.0, throttle=1).park
    assert not bench.drive(2.0).park


def test_throttle_closed_at_standstill__parks_after_a_second(bench: Bench) -> None:
    bench.settle(0.0, throttle=4000)
    closed = bench.drive(0.0)
    almost = bench.drive(0.0, after_ns=S - 1)
    parked = bench.drive(0.0, after_ns=1)
    later = bench.drive(0.0)

    assert [demand.park for demand in (closed, almost, parked, later)] == [False, False, True, True]
    assert almost.brake_mps2 == 0.0
    assert later.brake_mps2 == exactly(0.12 + 12e-9)


def test_parked_until_standing_then_driven_without_throttle__stays_parked(bench: Bench) -> None:
    for _ in range(40):
        bench.step(Permit.PARKED, speed_mps=0.0)

    assert bench.drive(0.0).park


def test_throttle_opened_between__the_second_starts_again(bench: Bench) -> None:
    bench.settle(0.0, throttle=4000)
    bench.settle(0.0, ticks=60)
    bench.drive(0.0, throttle=4000)

    assert not bench.settle(0.0, ticks=60).park


def test_rolled_between__the_second_starts_again(bench: Bench) -> None:
    bench.settle(0.0, throttle=4000)
    bench.settle(0.0, ticks=60)
    bench.drive(1.0)

    assert not bench.settle(0.0, ticks=80).park
    assert bench.settle(0.0, ticks=60).park


@pytest.mark.parametrize("wish", [{"gear": 0}, {"park_brake": True}])
def test_neutral_or_park_asked_at_standstill__parks_at_once(
    bench: Bench, wish: dict[str, Any]
) -> None:
    bench.settle(0.0, throttle=4000)

    assert bench.drive(0.0, **wish).park


# --- implement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [-1, 1])
def test_implement__moves_at_standstill_only(bench: Bench, sign: int) -> None:
    assert bench.settle(2.0, implement=sign * 5000).implement == 0.0
    assert bench.drive(0.0, implement=sign * 5000).implement == 0.0
    assert bench.settle(0.0, implement=sign * 5000).implement == sign * 0.5


# --- coast --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permit", "frame"),
    [
        (Permit.COAST, None),
        (Permit.COAST, command(gear=-1, throttle=9000, enable=False)),
        (Permit.DRIVE, None),
        (Permit.DRIVE, command(gear=-1, throttle=9000, enable=False)),
        (Permit.DRIVE, command(gear=-1, throttle=9000, kind=CommandKind.PARKED)),
        (Permit.DRIVE, command(gear=-1, throttle=9000, kind=CommandKind.STOP)),
    ],
)
def test_coast_or_no_driving_command__everything_as_it_was_without_traction(
    bench: Bench, permit: Permit, frame: CommandFrame | None
) -> None:
    before = bench.under_way(steer=4000, brake=1000, lights=True, horn=True)

    demand = bench.step(permit, frame, 2.0)

    assert demand == Demand(
        curvature_per_m=before.curvature_per_m,
        steer_valid=True,
        direction=1,
        brake_mps2=before.brake_mps2,
        retarder=1.0,
        park=False,
        lights=True,
    )
    assert before.curvature_per_m == exactly(0.05)
    assert before.brake_mps2 == exactly(0.4)


def test_coast_with_a_command__steering_and_brake_obey_and_nothing_drives(bench: Bench) -> None:
    before = bench.under_way(steer=4000, brake=400)
    frame = command(gear=1, throttle=9000, steer=-4000, brake=8000, horn=True, implement=5000)

    first = bench.step(Permit.COAST, frame, 6.0)
    for _ in range(100):
        last = bench.step(Permit.COAST, frame, 6.0)

    assert before.accel_mps2 > 0.0
    assert (first.accel_mps2, first.speed_limit_mps, first.retarder) == (0.0, 0.0, 1.0)
    assert first.brake_mps2 == exactly(0.16 + 0.12)
    assert first.curvature_per_m == exactly(0.05 - 0.005)
    assert last.brake_mps2 == exactly(3.2)
    assert last.curvature_per_m == exactly(-0.05)
    assert (last.direction, last.park, last.horn, last.implement) == (1, False, True, 0.0)


def test_coast_with_a_command_above_the_cap__the_driver_alone_brakes(bench: Bench) -> None:
    bench.under_way()
    frame = command(gear=1, brake=1000)

    for _ in range(50):
        demand = bench.step(Permit.COAST, frame, 6.0, cap_mps=0.0)

    assert demand.brake_mps2 == exactly(0.4)


def test_coast_with_a_command_below_the_cap__full_retarder(bench: Bench) -> None:
    bench.under_way()

    assert bench.step(Permit.COAST, command(gear=1), 2.0).retarder == 1.0


def test_coast_with_a_command_at_standstill__the_implement_rests(bench: Bench) -> None:
    bench.settle(0.0, implement=5000)
    frame = command(gear=1, implement=5000)

    assert bench.step(Permit.COAST, frame, 0.0).implement == 0.0


def test_coast_before_driving__stays_parked(bench: Bench) -> None:
    demand = bench.step(Permit.COAST)

    assert demand == Demand(retarder=1.0)


# --- stop ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("permit", "highest_mps2"), [(Permit.STOP, 2.5), (Permit.ESTOP, 4.0)])
@pytest.mark.requirement("HF-STOP-09")
def test_stop__holds_the_curvature_and_ramps_the_brake(
    bench: Bench, permit: Permit, highest_mps2: float
) -> None:
    bench.under_way(steer=4000, lights=True, horn=True)

    first = bench.step(permit, command(gear=-1, steer=-10_000, throttle=9000), after_ns=20 * MS)
    for _ in range(100):
        last = bench.step(permit)

    assert first == Demand(
        curvature_per_m=first.curvature_per_m,
        steer_valid=True,
        direction=1,
        brake_mps2=first.brake_mps2,
        park=False,
        lights=True,
        estop=permit is Permit.ESTOP,
    )
    assert first.brake_mps2 == exactly(0.24)
    assert first.curvature_per_m == exactly(0.05)
    assert last == first._replace(brake_mps2=highest_mps2)


@pytest.mark.parametrize("after_ns", [0, 1, 10 * MS])
def test_stop_right_after_a_tick__brakes_by_a_whole_ticks_ramp(bench: Bench, after_ns: int) -> None:
    bench.under_way()

    assert bench.step(Permit.STOP, after_ns=after_ns).brake_mps2 == exactly(0.12)


@pytest.mark.requirement("HF-STOP-10")
def test_stop_while_braking_harder__never_releases_the_brake(bench: Bench) -> None:
    bench.under_way(throttle=0, brake=8000)

    assert bench.step(Permit.STOP).brake_mps2 == exactly(3.2)


@pytest.mark.requirement("HF-STOP-11")
def test_stop_at_standstill__parks_and_freezes_the_joint(bench: Bench) -> None:
    bench.under_way(steer=4000)
    for _ in range(31):
        moving = bench.step(Permit.STOP, speed_mps=0.0)
    parked = bench.step(Permit.STOP, speed_mps=0.0)

    assert (moving.park, moving.steer_valid) == (True, False)
    assert (parked.park, parked.steer_valid) == (True, False)
    assert parked.curvature_per_m == exactly(0.05)


def test_stop_while_parked__full_brake_at_once_and_stays_parked(bench: Bench) -> None:
    bench.drive(2.0)

    demand = bench.step(Permit.ESTOP)

    assert demand == Demand(steer_valid=True, direction=1, brake_mps2=4.0, park=True, estop=True)


def test_stop_before_anything_was_driven__asks_for_no_steering(bench: Bench) -> None:
    demand = bench.step(Permit.STOP)

    assert demand == Demand(brake_mps2=2.5)


# --- every combination --------------------------------------------------------------------------


_KINDS = tuple(itertools.product(Permit, (False, True), (None, -6.0, 0.0, 0.2, 6.0)))


@pytest.mark.parametrize(("permit", "commanded", "speed_mps"), _KINDS)
@pytest.mark.requirement("HF-CMD-14")
def test_any_permit_but_drive_with_a_command__gives_no_traction(
    bench: Bench, permit: Permit, commanded: bool, speed_mps: float | None
) -> None:
    bench.under_way(throttle=10_000)
    frame = command(gear=1, throttle=10_000, implement=10_000) if commanded else None

    demand = bench.step(permit, frame, speed_mps)

    drives = permit is Permit.DRIVE and commanded and speed_mps in (0.0, 0.2)
    assert (demand.accel_mps2 > 0.0) == drives
    assert (demand.speed_limit_mps > 0.0) == (permit is Permit.DRIVE and commanded)
    assert demand.implement == 0.0
    assert demand.estop == (permit is Permit.ESTOP)
