"""What an active ECU does with commands inside its limits, and what it sends."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from protocol.dbw import matrix
from protocol.dbw.codec import (
    BodyFeedback,
    BrakeCommand,
    BrakeFeedback,
    DriveCommand,
    DriveFeedback,
    E2eStat,
    Echo,
    EcuMode,
    EcuState,
    Message,
    Motion,
    ParkState,
    SafetyIo,
    SteerCommand,
    SteerFeedback,
    spec_of,
)
from protocol.profiles import parse_profile
from sim.ecu import EcuProfile
from tests.ecu.bench import PROFILE, ROLLING, STANDING, active, standby


def test_steer_step__changes_at_most_by_the_machines_rate() -> None:
    bench = active()
    mark = len(bench.demands) - 1
    bench.steer = SteerCommand(0.125, 250, valid=True)
    bench.run(5000)
    path = [d.curvature_per_m or 0.0 for _, d in bench.demands[mark:]]
    assert all(b - a <= 0.045 * 0.005 + 1e-12 for a, b in pairwise(path))
    assert path[-1] == 0.125


def test_steer_step_under_a_lower_rate_limit__the_command_limits() -> None:
    bench = active()
    bench.steer = SteerCommand(0.125, 10, valid=True)
    bench.run(1000)
    assert bench.demand().curvature_per_m == pytest.approx(0.02 + 0.010, abs=2e-4)


def test_steer_not_intended__steering_frozen_and_no_traction() -> None:
    bench = active()
    bench.steer = SteerCommand(0.0, 250, valid=False)
    bench.run(50)
    assert bench.demand().curvature_per_m is None
    assert bench.demand().accel_mps2 == 0.0
    assert bench.state().state is EcuMode.ACTIVE


def test_traction__rises_by_the_jerk_and_falls_at_once() -> None:
    bench = active()
    bench.drive = DriveCommand(0.0, 5.0, 1)
    bench.run(40)
    assert bench.demand().accel_mps2 == 0.0
    mark = len(bench.demands) - 1
    bench.drive = DriveCommand(1.0, 5.0, 1)
    bench.run(1000)
    rise = [d.accel_mps2 for _, d in bench.demands[mark:]]
    assert all(b - a <= 1.5 * 0.005 + 1e-12 for a, b in pairwise(rise))
    assert rise[-1] == 1.0
    bench.drive = DriveCommand(0.0, 5.0, 1)
    bench.run(20)
    assert bench.demand().accel_mps2 == 0.0


def test_negative_traction__is_no_traction() -> None:
    bench = active()
    bench.drive = DriveCommand(-1.0, 5.0, 1)
    bench.run(100)
    assert bench.demand().accel_mps2 == 0.0


def test_brake_demand__follows_by_the_jerk() -> None:
    bench = active()
    mark = len(bench.demands) - 1
    bench.brake = BrakeCommand(2.5, park=False, retarder=0.5)
    bench.run(500)
    brakes = [d.brake_mps2 for _, d in bench.demands[mark:]]
    assert all(b - a <= 12.0 * 0.005 + 1e-12 for a, b in pairwise(brakes))
    assert brakes[-1] == 2.5
    assert bench.demand().retarder == 0.5


def test_park_asked_while_moving__service_brake_until_standstill_then_park() -> None:
    bench = active()
    bench.brake = BrakeCommand(0.0, park=True, retarder=0.0)
    bench.run(300)
    assert not bench.demand().park
    assert bench.demand().brake_mps2 == 2.0
    assert bench.demand().accel_mps2 == 0.0
    bench.feedback = STANDING._replace(park_applied=False)
    bench.run(20)
    assert bench.demand().park


def test_direction_against_the_motion__no_traction_and_brakes() -> None:
    bench = active()
    bench.drive = DriveCommand(1.0, 3.0, -1)
    bench.run(300)
    assert bench.demand().direction == 0
    assert bench.demand().accel_mps2 == 0.0
    assert bench.demand().brake_mps2 == 2.0


def test_reverse__speed_limit_is_the_reverse_one() -> None:
    bench = active()
    bench.drive = DriveCommand(0.5, 8.0, -1)
    bench.feedback = ROLLING._replace(speed_mps=-1.0)
    bench.run(100)
    assert bench.demand().speed_limit_mps == 3.0
    assert bench.demand().direction == -1


def test_degraded_asked__speed_capped_until_active_is_asked_again() -> None:
    bench = active()
    bench.sup = bench.sup._replace(mode_request=EcuMode.DEGRADED)
    bench.run(50)
    assert bench.state().state is EcuMode.DEGRADED
    assert bench.demand().speed_limit_mps == 1.8
    bench.sup = bench.sup._replace(mode_request=EcuMode.ACTIVE)
    bench.run(50)
    assert bench.demand().speed_limit_mps == 5.0


@pytest.mark.requirement("HF-STOP-11")
def test_articulated_at_standstill_without_traction__joint_frozen() -> None:
    bench = active()
    bench.feedback = STANDING._replace(park_applied=False)
    bench.drive = DriveCommand(0.0, 5.0, 1)
    bench.steer = SteerCommand(0.1, 250, valid=True)
    bench.run(100)
    assert bench.demand().curvature_per_m is None


def test_rigid_at_standstill__steers() -> None:
    bench = active(profile=replace(PROFILE, articulated=False))
    bench.feedback = STANDING._replace(park_applied=False)
    bench.drive = DriveCommand(0.0, 5.0, 1)
    bench.run(100)
    assert bench.demand().curvature_per_m is not None


def test_steering_after_a_freeze__starts_from_the_measured_curvature() -> None:
    bench = active()
    bench.steer = SteerCommand(0.02, 250, valid=False)
    bench.run(50)
    bench.feedback = ROLLING._replace(curvature_per_m=-0.05)
    bench.steer = SteerCommand(0.02, 250, valid=True)
    bench.run(10)
    assert bench.demand().curvature_per_m == pytest.approx(-0.05, abs=0.001)


_PERIODIC: tuple[type[Message], ...] = (
    EcuState,
    SafetyIo,
    SteerFeedback,
    DriveFeedback,
    BrakeFeedback,
    Motion,
    BodyFeedback,
    Echo,
)


@pytest.mark.parametrize("kind", _PERIODIC)
def test_feedback_frame__on_its_cycle(kind: type[Message]) -> None:
    bench = active()
    start_ms = bench.ms
    bench.run(2000)
    times = [ms for ms, _ in bench.of(kind) if ms >= start_ms]
    assert {b - a for a, b in pairwise(times)} == {spec_of(kind).period_ms}


def test_e2e_stat__each_command_frame_once_a_second() -> None:
    bench = active()
    start_ms = bench.ms
    bench.run(1000)
    frames = [m.frame for ms, m in bench.of(E2eStat) if ms >= start_ms and isinstance(m, E2eStat)]
    assert sorted(frames) == [0, 1, 2, 3, 4]


def test_late_step__missed_slots_are_skipped() -> None:
    bench = active()
    bench.silent = set(matrix.COMMANDS)
    bench.ms += 300
    before = len(bench.seen)
    bench.run(5)
    burst = [type(m) for _, m in bench.seen[before:]]
    assert len(burst) == len(set(burst))
    bench.run(45)
    assert len([m for _, m in bench.seen[before:] if isinstance(m, SteerFeedback)]) == 5


def test_state_change__is_sent_at_once() -> None:
    bench = standby()
    bench.run(5)
    bench.sup = bench.sup._replace(enable=True, mode_request=EcuMode.ACTIVE)
    bench.run(10)
    armed = [ms for ms, s in bench.states if s.state is EcuMode.ARMED]
    assert armed[0] == bench.ms - 5


def test_feedback_values__arrive_as_measured() -> None:
    bench = active()
    bench.feedback = ROLLING._replace(steer_angle_rad=0.3, pitch_rad=0.1, yaw_rate_radps=-0.2)
    bench.run(40)
    steer = bench.of(SteerFeedback)[-1][1]
    drive = bench.of(DriveFeedback)[-1][1]
    motion = bench.of(Motion)[-1][1]
    brake = bench.of(BrakeFeedback)[-1][1]
    assert isinstance(steer, SteerFeedback)
    assert isinstance(drive, DriveFeedback)
    assert isinstance(motion, Motion)
    assert isinstance(brake, BrakeFeedback)
    assert steer.angle_rad == pytest.approx(0.3, abs=1e-4)
    assert steer.curvature_per_m == pytest.approx(0.02, abs=1.3e-4)
    assert drive.speed_mps == 3.0
    assert motion.yaw_rate_radps == pytest.approx(-0.2)
    assert motion.pitch_rad == pytest.approx(0.1)
    assert brake.park is ParkState.RELEASED


def test_feedback_outside_its_signal__not_available_and_the_ecu_lives() -> None:
    bench = active()
    bench.feedback = ROLLING._replace(
        engine_rpm=9000.0, yaw_rate_radps=float("nan"), supply_v=60.0, roll_rad=2.0
    )
    bench.run(100)
    drive = bench.of(DriveFeedback)[-1][1]
    motion = bench.of(Motion)[-1][1]
    assert isinstance(drive, DriveFeedback)
    assert isinstance(motion, Motion)
    assert drive.engine_rpm is None
    assert motion.yaw_rate_radps is None
    assert motion.roll_rad is None
    assert bench.state().state is EcuMode.ACTIVE


def test_echo__returns_the_newest_sequence_and_its_hold_time() -> None:
    bench = active()
    bench.run(20)
    ms, echo = bench.of(Echo)[-1]
    assert isinstance(echo, Echo)
    assert echo.sequence == bench.sequence
    assert echo.hold_us == (ms % 10) * 1000
    assert echo.ecu_rx_us == ((bench.now_ns // 1000) - (bench.ms - ms + ms % 10) * 1000) % 65536


def test_echo_of_an_old_frame__is_not_sent() -> None:
    bench = active()
    bench.silent = {matrix.SUP_CMD}
    bench.run(500)
    assert bench.of(Echo)[-1][0] <= bench.ms - 500 + 66


def test_horn_and_lights__heard_in_standby_too() -> None:
    bench = standby()
    bench.body = bench.body._replace(horn=True)
    bench.run(300)
    body = bench.of(BodyFeedback)[-1][1]
    assert isinstance(body, BodyFeedback)
    assert (body.horn, body.lights) == (True, True)
    assert bench.demand().implement == 0.0
    bench.silent = {matrix.BODY_CMD}
    bench.run(700)
    body = bench.of(BodyFeedback)[-1][1]
    assert isinstance(body, BodyFeedback)
    assert (body.horn, body.lights) == (False, True)


def test_machine_file__gives_the_ecus_limits() -> None:
    path = Path(__file__).parents[2] / "configs/machines/ug_truck_60t.toml"
    machine = parse_profile(path.read_text(encoding="utf-8"), path.name)
    profile = EcuProfile.of(machine)
    assert profile.articulated
    for name in ("stop_decel_mps2", "curvature_max_per_m", "speed_max_mps", "brake_jerk_mps3"):
        assert getattr(profile, name) == getattr(machine.limits, name)


def test_traction_in_neutral__is_none() -> None:
    bench = active()
    bench.drive = DriveCommand(1.0, 5.0, 0)
    bench.run(100)
    assert bench.demand().accel_mps2 == 0.0
    assert not bench.demand().park
