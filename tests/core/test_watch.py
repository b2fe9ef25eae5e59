"""Every condition at the exact edge of its limit, and healthy on the other side of it."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.dbw.codec import EcuMode
from protocol.frames import CommandKind
from protocol.freshness import Accepted
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from tests.core.parts import LIMITS, MS, S, command
from vehicle_agent.core.bywire import Feedback
from vehicle_agent.core.conditions import Conditions
from vehicle_agent.core.driver import Driver
from vehicle_agent.core.failsafe import DRIVING, PARKED
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.relay import RelayView
from vehicle_agent.core.watch import Health, Heard, Persisting, Slowing, Watch

M = VehicleMode
T_NS = 5_000 * S
GOOD = Feedback(
    ecu=EcuMode.ACTIVE,
    ecu_age_ns=0,
    estop="closed",
    key_remote=True,
    speed_mps=3.0,
    curvature_per_m=0.0,
    brake_mps2=0.0,
    park_applied=False,
    pitch_rad=0.0,
    roll_rad=0.0,
    supply_v=24.0,
)
ROLLING = Demand(steer_valid=True, direction=1, park=False)


class Bench:
    """A watch over a driver who is fine, a machine that is fine, and a clock to move."""

    def __init__(self) -> None:
        self.watch = Watch(LIMITS, DEFAULT_TIMING)
        self.driver = Driver(DEFAULT_TIMING)
        self.now_ns = T_NS
        self.mode = M.ACTIVE
        self.feedback = GOOD
        self.demand = ROLLING
        self.heard = Heard()
        self.health = Health()
        self.standing = False
        self.cap_mps = 5.0
        self.take(enable=False)

    def take(self, loop_us: int = 40_000, **wish: Any) -> None:
        """Let a command be accepted now, with a picture of 50 ms."""
        given = {"gear": 1, "display_ok": True, "view_stamp_us": self.now_ns // 1000 - 50_000}
        self.driver.take(Accepted(command(**{**given, **wish}), 0, self.now_ns, loop_us, 0))

    def look(self, after_ns: int = 0, **changes: Any) -> Conditions:
        self.now_ns += after_ns
        for name, value in changes.items():
            setattr(self, name, value)
        return self.watch.conditions(
            self.now_ns,
            self.mode,
            self.driver,
            self.feedback,
            self.demand,
            self.heard,
            self.health,
            standing=self.standing,
            cap_mps=self.cap_mps,
        )

    def sees(self, **feedback: Any) -> None:
        """Let the machine report this from now on."""
        self.feedback = self.feedback._replace(**feedback)

    def lasts(self, name: str, for_ns: int) -> None:
        """A condition begins to hold exactly ``for_ns`` from now, and not before."""
        assert not getattr(self.look(), name)
        assert not getattr(self.look(for_ns - 1), name)
        assert getattr(self.look(1), name)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.take()
    return made


def test_everything_fine__no_condition_holds(bench: Bench) -> None:
    assert bench.look() == Conditions()


# --- time and persistence -----------------------------------------------------------------------


def test_persisting__holds_from_its_time_on_and_starts_again_after_a_break() -> None:
    timer = Persisting(10)
    seen = [timer.step(at_ns, holds) for at_ns, holds in ((0, True), (9, True), (10, True))]
    again = [timer.step(at_ns, holds) for at_ns, holds in ((11, False), (12, True), (21, True))]

    assert seen == [False, False, True]
    assert again == [False, False, False]
    assert timer.step(22, True)


@pytest.mark.parametrize("sign", [-1, 1])
def test_slowing__may_lie_on_its_line_and_not_above(sign: int) -> None:
    slowing = Slowing(delay_s=2.0, decel_mps2=1.0, rest_mps=0.25)

    assert not slowing.step(0, True, sign * 4.0)
    assert not slowing.step(2 * S, True, sign * 4.5)
    assert slowing.step(2 * S, True, sign * 4.5001)
    assert not slowing.step(4 * S, True, sign * 2.5)
    assert slowing.step(4 * S, True, sign * 2.5001)
    assert not slowing.step(60 * S, True, sign * 0.25)
    assert slowing.step(60 * S, True, sign * 0.2501)


def test_slowing_ended_and_begun_again__counts_from_there() -> None:
    slowing = Slowing(delay_s=2.0, decel_mps2=1.0, rest_mps=0.25)
    slowing.step(0, True, 4.0)
    assert slowing.step(60 * S, False, 9.0) is False

    assert not slowing.step(61 * S, True, 9.0)
    assert not slowing.step(63 * S, True, 9.5)


def test_slowing_with_an_unknown_speed__says_nothing_and_begins_with_the_first_known() -> None:
    slowing = Slowing(delay_s=2.0, decel_mps2=1.0, rest_mps=0.25)

    assert not slowing.step(0, True, None)
    assert not slowing.step(60 * S, True, 9.0)
    assert not slowing.step(90 * S, True, None)
    assert slowing.step(90 * S, True, 9.0)


def test_slowing_for_very_long__counts_exact_seconds() -> None:
    slowing = Slowing(delay_s=0.0, decel_mps2=1.0, rest_mps=0.25)
    slowing.step(0, True, 1e6)

    assert not slowing.step(1_000_000 * S, True, 0.5)
    assert slowing.step(1_000_000 * S, True, 0.5005)


def test_clock_at_zero__nothing_was_heard_before() -> None:
    bench = Bench()
    bench.now_ns = 0

    seen = bench.look()

    assert not seen.second_authority
    assert not seen.input_out_of_range


# --- driver and link ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "limit_us"), [("view_late", 300_000), ("view_stale", 600_000)])
def test_picture__late_and_stale_above_its_limits(name: str, limit_us: int) -> None:
    bench = Bench()
    bench.take(view_stamp_us=T_NS // 1000 - limit_us)

    assert not getattr(bench.look(), name)
    assert getattr(bench.look(1_000), name)


def test_no_picture__late_and_stale() -> None:
    bench = Bench()
    bench.take(view_stamp_us=0)

    seen = bench.look()

    assert (seen.view_late, seen.view_stale) == (True, True)


@pytest.mark.parametrize(("loop_us", "slow"), [(200_000, False), (200_001, True)])
def test_loop__slow_above_its_limit(bench: Bench, loop_us: int, slow: bool) -> None:
    bench.take(loop_us=loop_us)

    assert bench.look().loop_slow is slow


def test_no_command_ever__late_stale_and_no_screen_and_the_loop_is_not_called_slow() -> None:
    bench = Bench()
    bench.driver = Driver(DEFAULT_TIMING)

    seen = bench.look()

    assert seen.present() == {
        "command_late",
        "command_stale",
        "view_late",
        "view_stale",
        "display_unhealthy",
        "enable_released",
    }


def test_commands_end__late_then_stale(bench: Bench) -> None:
    assert not bench.look(100 * MS).command_late
    assert bench.look(1).command_late
    assert not bench.look(150 * MS - 2).command_stale
    assert bench.look(1).command_stale


def test_screen_that_does_not_vouch_for_itself__unhealthy(bench: Bench) -> None:
    bench.take(display_ok=False)

    assert bench.look().display_unhealthy


@pytest.mark.parametrize(
    ("wish", "standing", "released"),
    [
        ({}, False, False),
        ({"enable": False}, False, True),
        ({"enable": False}, True, False),
        ({"kind": CommandKind.PARKED}, False, True),
        ({"kind": CommandKind.STOP}, False, False),
        ({"kind": CommandKind.STOP, "enable": False}, False, False),
    ],
)
def test_dead_man__open_while_moving_unless_it_is_a_stop(
    bench: Bench, wish: dict[str, Any], standing: bool, released: bool
) -> None:
    bench.take(**wish)

    assert bench.look(standing=standing).enable_released is released


@pytest.mark.parametrize(("wish", "taped"), [({}, True), ({"kind": CommandKind.PARKED}, False)])
def test_enable_held_since_arming__never_released(
    bench: Bench, wish: dict[str, Any], taped: bool
) -> None:
    bench.driver.await_release()
    bench.take(**wish)

    assert bench.look().enable_never_released is taped
    bench.take(enable=False)
    bench.take()
    assert not bench.look().enable_never_released


@pytest.mark.parametrize(("standing", "still"), [(False, True), (True, False)])
def test_inputs_still_for_a_minute__only_while_moving(
    bench: Bench, standing: bool, still: bool
) -> None:
    assert not bench.look(60 * S, standing=standing).input_still
    assert bench.look(1).input_still is still


def test_throttle_and_brake_together__conflict_after_a_second(bench: Bench) -> None:
    bench.take(throttle=501, brake=2001)
    bench.look(S - 1)
    bench.take(throttle=501, brake=2001)

    assert not bench.look().input_conflict
    assert bench.look(1).input_conflict


@pytest.mark.parametrize(
    ("gear", "speed_mps", "throttle", "conflict"),
    [
        (-1, 0.31, 501, True),
        (1, -0.31, 501, True),
        (-1, 0.3, 501, False),
        (-1, 0.31, 500, False),
        (1, 3.0, 501, False),
        (-1, -3.0, 501, False),
        (0, 3.0, 501, False),
        (-1, None, 501, False),
    ],
)
def test_throttle_against_the_motion__conflict_after_a_second(
    bench: Bench, gear: int, speed_mps: float | None, throttle: int, conflict: bool
) -> None:
    bench.sees(speed_mps=speed_mps)
    for _ in range(20):
        bench.take(gear=gear, throttle=throttle)
        assert not bench.look().input_conflict
        bench.now_ns += 50 * MS
    bench.take(gear=gear, throttle=throttle)
    bench.now_ns -= 1
    assert not bench.look().input_conflict

    assert bench.look(1).input_conflict is conflict


def test_throttle_against_the_motion_in_a_late_command__no_conflict(bench: Bench) -> None:
    bench.take(gear=-1, throttle=501)
    bench.look()

    assert not bench.look(S).input_conflict


@pytest.mark.parametrize(
    "name", ["stop_by_driver", "stop_by_other", "second_authority", "lease_lost"]
)
def test_what_was_heard_this_tick__is_its_condition(bench: Bench, name: str) -> None:
    assert bench.look(heard=Heard(**{name: True})).present() == {name}


def test_second_authority__counts_for_two_seconds(bench: Bench) -> None:
    bench.look(heard=Heard(second_authority=True))
    bench.heard = Heard()

    assert bench.look(2 * S - 1).second_authority
    assert not bench.look(1).second_authority


def test_value_out_of_range__told_for_a_second(bench: Bench) -> None:
    assert bench.look(heard=Heard(out_of_range=True)).input_out_of_range
    bench.heard = Heard()

    assert bench.look(S - 1).input_out_of_range
    assert not bench.look(1).input_out_of_range


def test_outside_the_zone__breached(bench: Bench) -> None:
    assert bench.look(heard=Heard(outside_zone=True)).present() == {"zone_breached"}


# --- health -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "name"),
    [
        (Health(tick_late=True), "guardian_late"),
        (Health(clock_backwards=True), "clock_trouble"),
        (Health(settings_mismatch=True), "settings_mismatch"),
        (Health(ended_while_driving=True), "ended_while_driving"),
        (Health(path_silent=True), "path_silent"),
        (Health(relay=RelayView(not_closed=True)), "relay_open"),
        (Health(relay=RelayView(estop_open=True)), "estop_open"),
        (Health(relay=RelayView(estop_discrepancy=True)), "estop_discrepancy"),
    ],
)
def test_trouble_of_the_guardian_and_its_relay__is_its_condition(
    bench: Bench, health: Health, name: str
) -> None:
    assert bench.look(health=health).present() == {name}


def test_health_and_news_that_say_nothing__are_healthy() -> None:
    assert Health() == Health(
        tick_late=False,
        clock_backwards=False,
        relay=RelayView(),
        settings_mismatch=False,
        ended_while_driving=False,
        path_silent=False,
    )
    assert Heard() == Heard(False, False, False, False, False, False, False)


def test_relay_closed_though_it_means_to_be_open__welded_after_its_time(bench: Bench) -> None:
    bench.health = Health(relay=RelayView(welded=True))

    bench.lasts("relay_welded", 150 * MS)


# --- the machine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feedback", "names"),
    [
        ({"ecu_age_ns": 100 * MS}, set()),
        ({"ecu_age_ns": 100 * MS + 1}, {"ecu_silent"}),
        ({"ecu_age_ns": None}, {"ecu_silent"}),
        ({"ecu": None}, set()),
        ({"ecu": EcuMode.DEGRADED}, set()),
        ({"ecu": EcuMode.SAFE_STOP}, {"ecu_stopped", "ecu_latched"}),
        ({"ecu": EcuMode.ESTOP}, {"ecu_stopped", "ecu_latched"}),
        ({"ecu": EcuMode.FAULT}, {"ecu_stopped", "ecu_latched"}),
        ({"ecu": EcuMode.INIT}, {"ecu_stopped"}),
        ({"ecu": EcuMode.ARMED}, {"ecu_stopped"}),
        ({"ecu": EcuMode.STANDBY}, {"ecu_stopped"}),
        ({"conflict": True}, {"ecu_conflict"}),
        ({"estop": "open"}, {"estop_open"}),
        ({"estop": "discrepancy"}, {"estop_discrepancy"}),
        ({"estop": "unknown"}, {"safety_unknown"}),
        ({"key_remote": None}, {"safety_unknown"}),
        ({"key_remote": False}, {"local_key_turned"}),
        ({"supply_v": None}, {"safety_unknown"}),
        ({"speed_mps": None}, {"speed_unknown"}),
        ({"curvature_per_m": None}, {"actuators_unknown"}),
        ({"brake_mps2": None}, {"actuators_unknown"}),
        ({"pitch_rad": None}, {"actuators_unknown"}),
        ({"roll_rad": None}, set()),
        ({"pitch_rad": 0.35}, set()),
        ({"pitch_rad": -0.3501}, {"tilt_exceeded"}),
        ({"roll_rad": 0.3501}, {"tilt_exceeded"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_the_machine_reports__is_judged_at_once(
    bench: Bench, feedback: dict[str, Any], names: set[str]
) -> None:
    bench.sees(**feedback)

    assert bench.look().present() == names


def test_ecu_that_is_being_told_of_a_reset__is_not_held_against_it(bench: Bench) -> None:
    bench.sees(ecu=EcuMode.SAFE_STOP)

    assert bench.look(heard=Heard(reset_given=True)).present() == {"ecu_stopped"}


@pytest.mark.parametrize("mode", M)
@pytest.mark.parametrize(("sign", "key_remote"), [(-1, True), (1, None)])
def test_moves_where_it_must_stand__told_after_its_time(
    bench: Bench, mode: VehicleMode, sign: int, key_remote: bool | None
) -> None:
    bench.sees(speed_mps=sign * 0.3001, key_remote=key_remote)
    bench.mode = mode
    assert not bench.look().moved_while_stopped
    assert not bench.look(200 * MS - 1).moved_while_stopped
    assert bench.look(1).moved_while_stopped is (mode in PARKED)


@pytest.mark.parametrize(
    "feedback", [{"speed_mps": 0.3}, {"speed_mps": None}, {"speed_mps": 1.0, "key_remote": False}]
)
def test_stands_or_is_driven_by_its_own_driver__has_not_moved(
    bench: Bench, feedback: dict[str, Any]
) -> None:
    bench.sees(**feedback)
    bench.look(mode=M.STOPPED)

    assert not bench.look(S).moved_while_stopped


@pytest.mark.parametrize("sign", [-1, 1])
def test_above_the_machines_maximum__over_speed_after_its_time(bench: Bench, sign: int) -> None:
    bench.sees(speed_mps=sign * 9.21)
    bench.cap_mps = 8.0

    bench.lasts("over_speed", 500 * MS)


def test_at_the_limit_above_the_machines_maximum__no_over_speed(bench: Bench) -> None:
    bench.sees(speed_mps=1.15 * 8.0)
    bench.look(cap_mps=8.0)

    assert not bench.look(S).over_speed


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("mode", M)
@pytest.mark.requirement("HF-STOP-22")
def test_above_its_cap_and_not_slowing__over_speed_while_driving(
    bench: Bench, mode: VehicleMode, sign: int
) -> None:
    bench.sees(speed_mps=sign * 3.6)
    bench.mode, bench.cap_mps = mode, 2.0
    bench.look()
    bench.look(2 * S)

    assert not bench.look(1_666 * MS).over_speed
    assert bench.look(2 * MS).over_speed is (mode in DRIVING)


def test_above_its_cap_within_the_margin__no_over_speed(bench: Bench) -> None:
    bench.sees(speed_mps=3.5)
    bench.look(cap_mps=2.0)

    assert not bench.look(60 * S).over_speed


def test_above_its_cap_and_slowing__no_over_speed(bench: Bench) -> None:
    bench.cap_mps = 2.0
    speeds_mps = (6.0, 6.0, 6.0, 5.7, 5.4, 5.1, 4.8, 4.5)
    for speed_mps in speeds_mps:
        bench.sees(speed_mps=speed_mps)
        assert not bench.look().over_speed
        bench.now_ns += S


@pytest.mark.parametrize(("voltage_v", "low"), [(18.0, False), (17.999, True)])
def test_supply__low_after_its_time(bench: Bench, voltage_v: float, low: bool) -> None:
    bench.sees(supply_v=voltage_v)
    assert not bench.look().supply_low
    assert not bench.look(200 * MS - 1).supply_low
    assert bench.look(1).supply_low is low


# --- output against command ---------------------------------------------------------------------


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("mode", M)
def test_steering_apart__mismatch_after_its_time_while_driving(
    bench: Bench, mode: VehicleMode, sign: int
) -> None:
    bench.sees(curvature_per_m=sign * 0.0376)
    bench.mode = mode
    assert not bench.look().output_mismatch
    assert not bench.look(1_500 * MS - 1).output_mismatch
    assert bench.look(1).output_mismatch is (mode in DRIVING)


@pytest.mark.parametrize(
    ("feedback", "demand"),
    [
        ({"curvature_per_m": 0.0375}, {}),
        ({"curvature_per_m": None}, {}),
        ({"curvature_per_m": 0.1}, {"curvature_per_m": 0.0626}),
        ({"curvature_per_m": 0.1}, {"steer_valid": False}),
        ({"brake_mps2": 0.0}, {"brake_mps2": 1.0}),
        ({"brake_mps2": 0.6}, {"brake_mps2": 2.0}),
        ({"brake_mps2": None}, {"brake_mps2": 2.0}),
    ],
    ids=str,
)
def test_output_near_enough_or_not_to_be_judged__no_mismatch(
    bench: Bench, feedback: dict[str, Any], demand: dict[str, Any]
) -> None:
    bench.sees(**feedback)
    bench.demand = ROLLING._replace(**demand)
    bench.look()

    assert not bench.look(2 * S).output_mismatch


@pytest.mark.parametrize(("given_mps2", "asked_mps2"), [(0.3, 1.001), (0.599, 2.0)])
@pytest.mark.parametrize("mode", M)
def test_brake_mostly_not_given__mismatch_while_driving_and_no_stop_while_stopping(
    bench: Bench, mode: VehicleMode, given_mps2: float, asked_mps2: float
) -> None:
    bench.sees(brake_mps2=given_mps2)
    bench.mode, bench.demand = mode, ROLLING._replace(brake_mps2=asked_mps2)
    bench.look()
    before = bench.look(1_500 * MS - 1)
    after = bench.look(1)

    assert not before.output_mismatch
    assert not before.stop_ineffective
    assert after.output_mismatch is (mode in DRIVING)
    assert after.stop_ineffective is (mode is M.STOPPING)


@pytest.mark.parametrize("mode", M)
def test_machine_does_not_slow_in_a_stop__ineffective(bench: Bench, mode: VehicleMode) -> None:
    bench.mode = mode
    bench.look()
    bench.look(2 * S)

    assert not bench.look(666 * MS).stop_ineffective
    assert bench.look(MS).stop_ineffective is (mode is M.STOPPING)


@pytest.mark.parametrize("mode", M)
def test_speed_unknown_in_a_stop__ineffective_after_half_a_second(
    bench: Bench, mode: VehicleMode
) -> None:
    bench.sees(speed_mps=None)
    bench.mode = mode
    bench.look()

    assert not bench.look(500 * MS - 1).stop_ineffective
    assert bench.look(1).stop_ineffective is (mode is M.STOPPING)


def test_machine_creeps_on_after_a_stop__ineffective_above_standstill(bench: Bench) -> None:
    bench.look(mode=M.STOPPING)
    bench.sees(speed_mps=0.05)
    assert not bench.look(60 * S).stop_ineffective
    bench.sees(speed_mps=0.0501)
    assert bench.look().stop_ineffective


@pytest.mark.parametrize(
    ("standing", "park", "applied", "told"),
    [
        (True, True, False, True),
        (False, True, False, False),
        (True, False, False, False),
        (True, True, True, False),
        (True, True, None, False),
    ],
)
def test_park_brake_asked_at_standstill_and_reported_open__not_set_after_its_time(
    bench: Bench, standing: bool, park: bool, applied: bool | None, told: bool
) -> None:
    bench.sees(park_applied=applied)
    bench.standing, bench.demand = standing, ROLLING._replace(park=park)
    assert not bench.look().park_not_set
    assert not bench.look(2 * S - 1).park_not_set
    assert bench.look(1).park_not_set is told
