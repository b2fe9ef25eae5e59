"""Faults of actuators and sensors: typed, refused when wrong, and felt by the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from protocol.dbw.codec import EcuMode
from sim.machines.faults import (
    HEALTHY,
    Actuator,
    Biased,
    BrakeFade,
    Effect,
    Fault,
    LostFeedback,
    Sensor,
    SensorDrift,
    Slow,
    SteeringLoss,
    Stuck,
    Weak,
    effects,
    parse_fault,
    sensor_effects,
)
from sim.machines.plant import MachinePlant
from sim.machines.sensors import FailingSensors
from sim.machines.trials import COAST, DRIVE, STEP_NS, STEP_S, reach, released, run, run_until
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.site import load_site
from tests.sim.bus_agent import CYCLE_NS, BusAgent
from tests.sim.worlds import DRIFT_FILE, machine, shipped

TRUCK = machine()
P = TRUCK.plant
HOLD = COAST._replace(brake_mps2=2.0)
LEFT = HOLD._replace(curvature_per_m=0.12)


def broken(*faults: Fault, grade: float = 0.0) -> MachinePlant:
    plant = released(TRUCK, grade)
    plant.set_faults(faults)
    return plant


# What a scenario may say


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"kind": "stuck", "actuator": "park_brake"}, Stuck(Actuator.PARK_BRAKE)),
        ({"kind": "slow", "actuator": "steering", "share": 0.3}, Slow(Actuator.STEERING, 0.3)),
        ({"kind": "biased", "actuator": "brake", "bias": -0.1}, Biased(Actuator.BRAKE, -0.1)),
        ({"kind": "weak", "actuator": "drive"}, Weak(Actuator.DRIVE, 0.5)),
        ({"kind": "brake_fade", "share": 0.4}, BrakeFade(0.4)),
        ({"kind": "steering_loss"}, SteeringLoss()),
        ({"kind": "lost_feedback", "sensor": "speed"}, LostFeedback(Sensor.SPEED)),
        (
            {"kind": "sensor_drift", "sensor": "steer", "per_s": 0.01},
            SensorDrift(Sensor.STEER, 0.01),
        ),
    ],
)
def test_table__is_the_fault_that_it_says(table: Mapping[str, object], fault: Fault) -> None:
    assert parse_fault(table) == fault


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "gone"}, "does not match any of the expected tags"),
        ({"actuator": "brake"}, "Unable to extract tag"),
        ({"kind": "stuck", "actuator": "wings"}, "actuator"),
        ({"kind": "stuck", "actuator": "brake", "share": 0.5}, "share"),
        ({"kind": "slow", "actuator": "brake", "share": 0.0}, "greater than 0"),
        ({"kind": "slow", "actuator": "park_brake", "share": 0.5}, "actuator"),
        ({"kind": "weak", "actuator": "brake", "share": 1.5}, "less than or equal to 1"),
        ({"kind": "biased", "actuator": "drive", "bias": 0.1}, "actuator"),
        ({"kind": "biased", "actuator": "brake", "bias": "much"}, "valid number"),
        ({"kind": "brake_fade"}, "share"),
        ({"kind": "sensor_drift", "sensor": "speed", "per_s": math.nan}, "finite"),
        ({"kind": "stuck", "actuator": object()}, "not JSON serializable"),
    ],
)
def test_table_that_is_wrong__is_refused_with_its_reason(
    table: Mapping[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=f"fault: .*{said}"):
        parse_fault(table)


def test_several_faults_of_one_actuator__shares_multiply_and_biases_add() -> None:
    found = effects(
        [
            Weak(Actuator.BRAKE, 0.5),
            Weak(Actuator.BRAKE, 0.5),
            Biased(Actuator.BRAKE, 0.1),
            Biased(Actuator.BRAKE, 0.2),
            Slow(Actuator.BRAKE, 0.5),
            BrakeFade(0.8),
        ]
    )
    expected = Effect(pace=0.5, bias=0.1 + 0.2, authority=0.25, grip=0.8)
    assert found[Actuator.BRAKE] == expected
    assert {found[each] for each in Actuator if each is not Actuator.BRAKE} == {HEALTHY}
    drifts = [SensorDrift(Sensor.SPEED, 0.1), SensorDrift(Sensor.SPEED, 0.2)]
    assert sensor_effects(drifts)[Sensor.SPEED].drift_per_s == pytest.approx(0.3)


def test_no_faults__plant_runs_bit_for_bit_as_if_never_asked() -> None:
    asked, never = broken(), released(TRUCK)
    for plant in (asked, never):
        run(plant, DRIVE._replace(curvature_per_m=0.05, speed_limit_mps=4.0), 5.0)
    assert asked.digest() == never.digest()


# Steering


def test_stuck_steering__stays_and_moves_again_when_mended() -> None:
    plant = released(TRUCK)
    run(plant, LEFT, 1.5)
    jammed_rad = plant.state.joint_rad
    plant.set_faults([Stuck(Actuator.STEERING)])
    run(plant, LEFT, 5.0)
    assert plant.state.joint_rad == jammed_rad > 0.1
    plant.set_faults([])
    run(plant, LEFT, 5.0)
    assert plant.state.joint_rad > 2.0 * jammed_rad


def test_slow_steering__takes_as_much_longer() -> None:
    wanted_rad = 0.5
    healthy, slow = broken(), broken(Slow(Actuator.STEERING, 0.25))
    times_s = [
        run_until(plant, LEFT, lambda state: state.joint_rad >= wanted_rad)
        for plant in (healthy, slow)
    ]
    dead_s = P.steering.dead_time_s
    assert (times_s[1] - dead_s) / (times_s[0] - dead_s) == pytest.approx(4.0, rel=0.05)


def test_biased_steering__stands_off_by_its_bias() -> None:
    plant = broken(Biased(Actuator.STEERING, 0.1))
    run(plant, HOLD._replace(curvature_per_m=0.0), 5.0)
    assert plant.state.joint_rad == pytest.approx(0.1 * P.steering.limit_rad, abs=6e-3)


def test_half_steering__ends_at_half_lock() -> None:
    plant = broken(Weak(Actuator.STEERING))
    run(plant, HOLD._replace(curvature_per_m=0.2), 10.0)
    assert plant.state.joint_rad == pytest.approx(0.5 * P.steering.limit_rad)


def test_half_steering_beyond_half_lock__does_not_jump() -> None:
    plant = released(TRUCK)
    run(plant, LEFT, 8.0)
    before_rad = plant.state.joint_rad
    plant.set_faults([Weak(Actuator.STEERING)])
    plant.step(STEP_NS, LEFT)
    moved_rad = abs(plant.state.joint_rad - before_rad)
    assert moved_rad <= P.steering.rate_radps * STEP_S


def test_lost_steering__straightens_as_the_machine_rolls_and_only_then() -> None:
    plant = released(TRUCK)
    run(plant, LEFT, 8.0)
    before_rad = plant.state.joint_rad
    plant.set_faults([SteeringLoss()])
    run(plant, LEFT, 5.0)
    assert plant.state.joint_rad == before_rad
    run(plant, DRIVE._replace(curvature_per_m=0.12, speed_limit_mps=3.0), 10.0)
    assert 0.0 < plant.state.joint_rad < 0.3 * before_rad


# Brakes


def stopped_in_m(*faults: Fault) -> float:
    plant = released(TRUCK)
    reach(plant, 5.0)
    plant.set_faults(faults)
    start_m = plant.state.distance_m
    run_until(plant, COAST._replace(brake_mps2=3.0), lambda state: state.speed_mps == 0.0)
    return plant.state.distance_m - start_m


def test_brake_faults__lengthen_the_stop_each_in_its_way() -> None:
    healthy_m = stopped_in_m()
    assert 1.1 * healthy_m < stopped_in_m(Slow(Actuator.BRAKE, 0.3))
    assert 1.5 * healthy_m < stopped_in_m(Weak(Actuator.BRAKE))
    assert stopped_in_m(BrakeFade(0.5)) == pytest.approx(
        stopped_in_m(Weak(Actuator.BRAKE)), rel=0.1
    )
    assert 3.0 * healthy_m < stopped_in_m(Weak(Actuator.BRAKE, 0.0))
    assert 3.0 * healthy_m < stopped_in_m(Stuck(Actuator.BRAKE))


def test_weak_brake__shows_in_its_pressure_and_a_faded_one_does_not() -> None:
    for fault, shown_mps2 in ((Weak(Actuator.BRAKE), 1.5), (BrakeFade(0.5), 3.0)):
        plant = broken(fault)
        run(plant, COAST._replace(brake_mps2=3.0), 3.0)
        feedback = plant.step(STEP_NS, COAST._replace(brake_mps2=3.0))
        assert feedback.brake_mps2 == pytest.approx(shown_mps2, rel=1e-3)
        assert plant.state.brake_mps2 == pytest.approx(1.5, rel=1e-3)


def test_stuck_brake__drags_though_nobody_asks() -> None:
    plant = released(TRUCK)
    run(plant, COAST._replace(brake_mps2=1.0), 2.0)
    plant.set_faults([Stuck(Actuator.BRAKE)])
    run(plant, DRIVE._replace(accel_mps2=0.5), 3.0)
    assert plant.state.brake_mps2 == pytest.approx(1.0, rel=0.01)
    assert plant.state.speed_mps == 0.0


def test_biased_brake__drags_by_its_share_of_the_ceiling() -> None:
    plant = broken(Biased(Actuator.BRAKE, 0.2))
    run(plant, COAST, 3.0)
    assert plant.state.brake_mps2 == pytest.approx(0.2 * P.brakes.max_mps2, rel=1e-3)


@pytest.mark.parametrize("applied", [True, False])
def test_stuck_park_brake__neither_applies_nor_lets_go(applied: bool) -> None:
    plant = released(TRUCK)
    run(plant, HOLD._replace(park=applied), 2.0)
    plant.set_faults([Stuck(Actuator.PARK_BRAKE)])
    feedback = plant.step(STEP_NS, HOLD._replace(park=not applied))
    run(plant, HOLD._replace(park=not applied), 3.0)
    assert feedback.park_applied is applied
    assert plant.state.park_share == float(applied)


# Drive, retarder, tool


@pytest.mark.parametrize("name", ["ug_truck_60t", "electric_tractor", "roller_13t"])
def test_stuck_drive__pulls_on_after_the_pedal_is_let_go(name: str) -> None:
    plant = released(shipped(name))
    run(plant, DRIVE._replace(accel_mps2=0.5), 2.0)
    plant.set_faults([Stuck(Actuator.DRIVE)])
    run(plant, DRIVE._replace(accel_mps2=0.0), 0.5)
    assert plant.state.drive_force_n > 1000.0
    run(plant, COAST, 0.1)
    assert plant.state.drive_force_n == 0.0


@pytest.mark.parametrize(
    ("name", "grade", "share"),
    [
        ("ug_truck_60t", 0.05, 0.5),
        ("electric_tractor", 0.10, 0.8),  # half of its peak, for ever, against its rated power
        ("roller_13t", 0.17, 0.5),
    ],
)
def test_weak_drive__climbs_as_much_slower(name: str, grade: float, share: float) -> None:
    speeds_mps = []
    for faults in ([], [Weak(Actuator.DRIVE)]):
        plant = released(shipped(name), grade)
        plant.set_faults(faults)
        run(plant, DRIVE, 90.0)
        speeds_mps.append(plant.state.speed_mps)
    assert speeds_mps[1] == pytest.approx(share * speeds_mps[0], rel=0.1)


@pytest.mark.parametrize("name", ["ug_truck_60t", "electric_tractor", "roller_13t"])
def test_retarder_faults__halve_it_or_keep_it_from_coming(name: str) -> None:
    forces_n = []
    for fault in (None, Weak(Actuator.RETARDER), Stuck(Actuator.RETARDER)):
        plant = released(shipped(name), grade=-0.15)
        reach(plant, 2.5, DRIVE._replace(accel_mps2=0.5))
        plant.set_faults([] if fault is None else [fault])
        run(plant, COAST._replace(retarder=1.0), 0.6)
        forces_n.append(plant.state.retarder_force_n)
    assert forces_n[1] == pytest.approx(0.5 * forces_n[0], rel=0.2)
    assert forces_n[2] < 0.05 * forces_n[0]


@pytest.mark.parametrize("name", ["ug_truck_60t", "electric_tractor"])
def test_tool_faults__stop_it_or_slow_it(name: str) -> None:
    moved = []
    for fault in (None, Slow(Actuator.TOOL, 0.5), Stuck(Actuator.TOOL)):
        plant = released(shipped(name))
        before = plant.state.tool
        plant.set_faults([] if fault is None else [fault])
        run(plant, HOLD._replace(implement=1.0 - 2.0 * before), 1.0)
        moved.append(abs(plant.state.tool - before))
    assert moved[1] == pytest.approx(0.5 * moved[0])
    assert moved[2] == 0.0 < moved[0]


# Sensors, through the ECU


def test_faults_of_actuators__leave_the_sensors_alone() -> None:
    faults: list[Fault] = [Stuck(Actuator.BRAKE), BrakeFade(0.5), LostFeedback(Sensor.ROLL)]
    assert list(sensor_effects(faults)) == [Sensor.ROLL]
    assert effects(faults)[Actuator.BRAKE] == Effect(stuck=True, grip=0.5)


class OnTheBus:
    """A simulated machine that a healthy agent drives."""

    def __init__(self) -> None:
        self.machine = SimulatedMachine(TRUCK, load_site(DRIFT_FILE), seed=1)
        self.agent, self.now_ns = BusAgent(), 1_000_000_000

    def run(self, seconds: float) -> None:
        wanted = DRIVE._replace(speed_limit_mps=3.0)
        for _ in range(round(seconds * 1e9 / ECU_STEP_NS)):
            self.now_ns += ECU_STEP_NS
            if self.now_ns % CYCLE_NS == 0:
                for can_id, data in self.agent.frames(wanted):
                    self.machine.on_frame(self.now_ns, can_id, data)
            self.machine.step(self.now_ns)


@pytest.mark.parametrize("sensor", [Sensor.SPEED, Sensor.STEER])
def test_lost_feedback__is_a_fault_to_the_ecu_and_the_machine_stops(sensor: Sensor) -> None:
    bench = OnTheBus()
    bench.run(6.0)
    modes = [bench.machine.ecu.mode]
    bench.machine.set_faults([LostFeedback(sensor)])
    bench.run(0.02)
    modes.append(bench.machine.ecu.mode)
    bench.run(5.0)
    assert modes == [EcuMode.ACTIVE, EcuMode.FAULT]
    truth = bench.machine.truth(bench.now_ns)
    assert truth["speed_mps"] == 0.0
    assert truth["park"] is True


@pytest.mark.parametrize("sensor", [Sensor.YAW_RATE, Sensor.PITCH, Sensor.ROLL, Sensor.BRAKE])
def test_other_sensor_lost__is_not_available_and_the_machine_drives_on(sensor: Sensor) -> None:
    bench = OnTheBus()
    bench.machine.set_faults([LostFeedback(sensor)])
    bench.run(3.0)
    assert bench.machine.ecu.mode is EcuMode.ACTIVE


def test_drifting_speed_sensor__machine_is_as_much_slower_than_it_says() -> None:
    bench = OnTheBus()
    bench.run(8.0)
    before_mps = bench.machine.truth(bench.now_ns)["speed_mps"]
    bench.machine.set_faults([SensorDrift(Sensor.SPEED, 0.1)])
    bench.run(5.0)
    told_mps = bench.machine.told.speed_mps
    true_mps = bench.machine.truth(bench.now_ns)["speed_mps"]
    assert before_mps > 2.5
    assert told_mps - true_mps == pytest.approx(0.5, abs=0.02 * true_mps)


def test_drifting_steering_sensor__reads_off_by_its_angle_and_the_curvature_of_it() -> None:
    plant = released(TRUCK)
    run(plant, LEFT, 8.0)
    true = plant.step(STEP_NS, LEFT)
    sensors = FailingSensors(plant.frame)
    assert sensors.step(STEP_S, true) is true
    sensors.set_faults([SensorDrift(Sensor.STEER, 0.02)])
    for _ in range(100):
        said = sensors.step(STEP_S, true)
    assert said.steer_angle_rad == pytest.approx(true.steer_angle_rad + 0.02, abs=1e-9)
    assert said.curvature_per_m == pytest.approx(plant.frame.curvature_of(said.steer_angle_rad))
    assert said.curvature_per_m > true.curvature_per_m
    sensors.set_faults([])
    assert sensors.step(STEP_S, true) is true


@pytest.mark.parametrize(
    ("sensor", "name"),
    [
        (Sensor.SPEED, "speed_mps"),
        (Sensor.BRAKE, "brake_mps2"),
        (Sensor.YAW_RATE, "yaw_rate_radps"),
        (Sensor.PITCH, "pitch_rad"),
        (Sensor.ROLL, "roll_rad"),
    ],
)
def test_drift__moves_one_reading_and_no_other(sensor: Sensor, name: str) -> None:
    plant = released(TRUCK)
    true = plant.step(STEP_NS, HOLD)
    sensors = FailingSensors(plant.frame)
    sensors.set_faults([SensorDrift(sensor, 0.5)])
    said = sensors.step(2.0, true)
    assert getattr(said, name) == getattr(true, name) + 1.0
    assert said._replace(**{name: getattr(true, name)}) == true
