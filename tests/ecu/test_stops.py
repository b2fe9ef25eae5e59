"""Everything that must end remote control, and what the machine then does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from protocol.dbw import matrix
from protocol.dbw.codec import (
    ContactState,
    DriveCommand,
    EcuMode,
    ExitReason,
    SafetyIo,
    SteerCommand,
    encode,
)
from protocol.dbw.endpoint import DbwSender
from protocol.dbw.matrix import FrameSpec
from sim.ecu import EcuInputs, FirstCause, SubState
from sim.machines.interface import ActuatorDemand
from tests.ecu.bench import (
    DISABLED,
    ENABLED,
    ROLLING,
    STANDING,
    Bench,
    active,
    resealed,
    standby,
)


def _tamper_only(bench: Bench, spec: FrameSpec, **at: int) -> None:
    """From now on, frames of ``spec`` carry changed bytes under a right CRC."""
    bench.tamper = lambda _, can_id, data: [
        (can_id, resealed(spec, data, **at) if can_id == spec.can_id else data)
    ]


def _after(bench: Bench, since_ms: int) -> list[ActuatorDemand]:
    return [demand for ms, demand in bench.demands if ms >= since_ms]


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        (matrix.SUP_CMD, FirstCause.SUP),
        (matrix.STEER_CMD, FirstCause.STEER),
        (matrix.DRIVE_CMD, FirstCause.DRIVE),
        (matrix.BRAKE_CMD, FirstCause.BRAKE),
    ],
)
@pytest.mark.requirement("HF-ECU-03")
def test_one_command_frame_stops__safe_stop_within_timeout_and_20_ms(
    spec: FrameSpec, cause: FirstCause
) -> None:
    bench = active()
    last_ms = bench.ms - spec.period_ms
    bench.silent = {spec}
    bench.run(300)
    assert spec.rx_timeout_ms is not None
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert stop_ms is not None
    assert spec.rx_timeout_ms < stop_ms - last_ms <= spec.rx_timeout_ms + 20
    assert bench.state().reason is ExitReason.COMMAND_TIMEOUT
    assert bench.state().first_cause == cause
    assert bench.state().timeout_bits == 1 << (cause - 1)
    stop = next(demand for ms, demand in bench.demands if ms == stop_ms)
    assert stop.accel_mps2 == 0.0
    assert stop.brake_mps2 > 0.0


def test_sup_stops__stop_on_the_bus_within_60_ms_of_the_last_frame() -> None:
    bench = active()
    last_ms = bench.ms - 10
    bench.silent = {matrix.SUP_CMD}
    bench.run(100)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert stop_ms is not None
    assert stop_ms - last_ms <= 60


def test_body_stops__degraded_implement_still_and_slow_then_heals() -> None:
    bench = active()
    assert bench.demand().implement == pytest.approx(0.25, abs=0.01)
    bench.silent = {matrix.BODY_CMD}
    bench.run(700)
    assert bench.state().state is EcuMode.DEGRADED
    assert bench.state().timeout_bits == 1 << 4
    assert bench.demand().implement == 0.0
    assert bench.demand().speed_limit_mps == 1.8
    bench.silent = set()
    bench.run(400)
    assert bench.state().state is EcuMode.ACTIVE


@pytest.mark.parametrize("spec", matrix.COMMANDS, ids=lambda s: s.name)
def test_single_frame_lost__no_state_change_and_lost_is_one(spec: FrameSpec) -> None:
    bench = active()
    start_ms = bench.ms
    drop_ms = -(-start_ms // spec.period_ms) * spec.period_ms
    bench.tamper = lambda ms, can_id, data: (
        [] if (ms, can_id) == (drop_ms, spec.can_id) else [(can_id, data)]
    )
    bench.run(500)
    assert {s.state for ms, s in bench.states if ms >= start_ms} == {EcuMode.ACTIVE}
    assert bench.ecu.counts(spec).lost == 1


@pytest.mark.parametrize("spec", matrix.COMMANDS[:4], ids=lambda s: s.name)
def test_one_crc_wrong__frame_unused_and_active_stays(spec: FrameSpec) -> None:
    bench = active()
    start_ms = bench.ms
    bad_ms = -(-start_ms // spec.period_ms) * spec.period_ms
    bench.tamper = lambda ms, can_id, data: [
        (can_id, bytes([data[0] ^ 1]) + data[1:] if (ms, can_id) == (bad_ms, spec.can_id) else data)
    ]
    bench.run(300)
    assert {s.state for ms, s in bench.states if ms >= start_ms} == {EcuMode.ACTIVE}
    assert bench.ecu.counts(spec).crc == 1


@pytest.mark.parametrize("spec", matrix.COMMANDS[:4], ids=lambda s: s.name)
def test_crc_always_wrong__stop_as_timeout(spec: FrameSpec) -> None:
    bench = active()
    bench.drive = DriveCommand(0.5, 7.0, 1)
    bench.steer = SteerCommand(-0.1, 250, valid=True)
    bench.tamper = lambda _, can_id, data: [
        (can_id, bytes([data[0] ^ 1]) + data[1:] if can_id == spec.can_id else data)
    ]
    bench.run(200)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().reason is ExitReason.COMMAND_TIMEOUT
    assert bench.state().first_cause == matrix.COMMANDS.index(spec) + 1


def test_one_crc_wrong_frame_with_other_values__values_never_act() -> None:
    bench = active()
    _, bad = encode(DriveCommand(1.0, 8.0, -1), 0)
    bad = bytes([bad[0] ^ 0x55]) + bad[1:]
    bench.put(matrix.DRIVE_CMD.can_id, bad)
    bench.run(20)
    assert bench.demand().direction == 1
    assert bench.demand().speed_limit_mps == 5.0


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        (matrix.STEER_CMD, {"b2": 0xFF, "b3": 0xFF}),
        (matrix.STEER_CMD, {"b2": 0x00, "b3": 0xFE}),
        (matrix.STEER_CMD, {"b2": 0x00, "b3": 0xFC}),
        (matrix.STEER_CMD, {"b2": 0x00, "b3": 0x00}),
        (matrix.STEER_CMD, {"b4": 0xFF}),
        (matrix.STEER_CMD, {"b5": 0x05}),
        (matrix.STEER_CMD, {"b5": 0x0C}),
        (matrix.STEER_CMD, {"b7": 0x01}),
        (matrix.DRIVE_CMD, {"b2": 0xFF, "b3": 0x7F}),
        (matrix.DRIVE_CMD, {"b2": 0x00, "b3": 0x80}),
        (matrix.DRIVE_CMD, {"b2": 0xD0, "b3": 0x07}),
        (matrix.DRIVE_CMD, {"b4": 0xFF, "b5": 0xFF}),
        (matrix.DRIVE_CMD, {"b4": 0x10, "b5": 0x27}),
        (matrix.DRIVE_CMD, {"b6": 0x03}),
        (matrix.DRIVE_CMD, {"b6": 0x05}),
        (matrix.BRAKE_CMD, {"b2": 0xFF, "b3": 0xFF}),
        (matrix.BRAKE_CMD, {"b2": 0x00, "b3": 0x10}),
        (matrix.BRAKE_CMD, {"b4": 0x02}),
        (matrix.BRAKE_CMD, {"b4": 0x04}),
        (matrix.BRAKE_CMD, {"b5": 0xFB}),
        (matrix.SUP_CMD, {"b2": 0x1B}),
        (matrix.SUP_CMD, {"b2": 0x03}),
        (matrix.SUP_CMD, {"b2": 0x0F}),
        (matrix.SUP_CMD, {"b2": 0x4B}),
        (matrix.SUP_CMD, {"b5": 0xFC}),
    ],
)
@pytest.mark.requirement("HF-ECU-07")
def test_right_crc_wrong_value__refused_with_reason_6_and_no_actuator_moves(
    spec: FrameSpec, at: dict[str, int]
) -> None:
    bench = active()
    before = bench.demand()
    start_ms = bench.ms
    _tamper_only(bench, spec, **at)
    bench.run(30)
    assert bench.state().reason is ExitReason.OUT_OF_RANGE
    assert all(
        (d.curvature_per_m, d.speed_limit_mps, d.direction, d.brake_mps2, d.park)
        == (
            before.curvature_per_m,
            before.speed_limit_mps,
            before.direction,
            before.brake_mps2,
            before.park,
        )
        for d in _after(bench, start_ms)
    )
    bench.run(150)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().reason is ExitReason.OUT_OF_RANGE
    assert bench.state().first_cause == matrix.COMMANDS.index(spec) + 1


@pytest.mark.parametrize("spec", matrix.COMMANDS[:4], ids=lambda s: s.name)
def test_counter_frozen__stop_within_timeout_and_20_ms(spec: FrameSpec) -> None:
    bench = active()
    start_ms = bench.ms
    counter = {"value": -1}

    def freeze(_: int, can_id: int, data: bytes) -> list[tuple[int, bytes]]:
        if can_id != spec.can_id:
            return [(can_id, data)]
        if counter["value"] < 0:
            counter["value"] = data[1]
        return [(can_id, resealed(spec, data, b1=counter["value"]))]

    bench.tamper = freeze
    bench.run(300)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert spec.rx_timeout_ms is not None
    assert stop_ms is not None
    first_ms = -(-start_ms // spec.period_ms) * spec.period_ms
    assert stop_ms - first_ms <= spec.rx_timeout_ms + 20
    assert bench.state().reason is ExitReason.COMMAND_TIMEOUT


def test_counter_jump__frames_unused_until_three_good_ones() -> None:
    bench = active()
    offset = 7

    def jump(_: int, can_id: int, data: bytes) -> list[tuple[int, bytes]]:
        if can_id != matrix.DRIVE_CMD.can_id:
            return [(can_id, data)]
        return [(can_id, resealed(matrix.DRIVE_CMD, data, b1=(data[1] + offset) % 16))]

    bench.run(bench.ms % 20)
    bench.tamper = jump
    bench.drive = DriveCommand(0.5, 4.0, 1)
    bench.run(60)
    assert bench.demand().speed_limit_mps == 5.0
    bench.run(20)
    assert bench.demand().speed_limit_mps == 4.0
    assert bench.state().state is EcuMode.ACTIVE
    assert bench.ecu.counts(matrix.DRIVE_CMD).sequence == 1


def test_counter_jump_backwards_in_sup__requalified_before_the_timeout() -> None:
    bench = active()
    bench.tamper = lambda _, can_id, data: [
        (
            can_id,
            resealed(matrix.SUP_CMD, data, b1=(data[1] - 3) % 16)
            if can_id == matrix.SUP_CMD.can_id
            else data,
        )
    ]
    bench.run(300)
    assert bench.state().state is EcuMode.ACTIVE


def test_counter_wraps_for_ever__no_error() -> None:
    bench = active()
    bench.run(20_000)
    assert bench.state().state is EcuMode.ACTIVE
    for spec in matrix.COMMANDS:
        counts = bench.ecu.counts(spec)
        assert (counts.crc, counts.sequence, counts.lost, counts.repeat) == (0, 0, 0, 0)


def test_every_frame_twice__ignored_and_demands_identical() -> None:
    plain, doubled = active(), active()
    doubled.tamper = lambda _, can_id, data: [(can_id, data), (can_id, data)]
    for bench in (plain, doubled):
        bench.steer = SteerCommand(0.08, 100, valid=True)
        bench.run(1000)
    assert doubled.demands == plain.demands
    counts = doubled.ecu.counts(matrix.STEER_CMD)
    assert counts.repeat == 100
    assert counts.burst > 0
    assert plain.ecu.counts(matrix.STEER_CMD).burst == 0


def test_catch_up_burst_of_30__not_all_used_and_path_identical() -> None:
    plain, burst = active(), active()
    for _ in range(30):
        burst.put(*burst.sender.encode(burst.steer))
    for bench in (plain, burst):
        bench.run(1000)
    assert burst.demands == plain.demands
    assert burst.state().state is EcuMode.ACTIVE
    assert burst.ecu.counts(matrix.STEER_CMD).burst > 0


@pytest.mark.parametrize("delay_ms", [10, 20, 30, 40, 50, 60, 80, 120, 200])
def test_one_long_gap__stop_exactly_when_older_than_the_timeout(delay_ms: int) -> None:
    bench = active()
    bench.silent = {matrix.STEER_CMD}
    bench.run(delay_ms)
    bench.silent = set()
    stopped = bench.run(200).state().state is EcuMode.SAFE_STOP
    assert stopped == (delay_ms + 10 > 50)


def test_agent_hangs_300_ms__stop_within_60_ms_and_no_motion_after_it_comes_back() -> None:
    bench = active()
    last_ms = bench.ms - 10
    bench.silent = set(matrix.COMMANDS)
    bench.run(300)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert stop_ms is not None
    assert stop_ms - last_ms <= 60
    bench.silent = set()
    back_ms = bench.ms
    bench.feedback = STANDING
    bench.run(2000)
    assert all(d.accel_mps2 == 0.0 and d.park for d in _after(bench, back_ms))
    assert bench.state().state is EcuMode.SAFE_STOP


def test_second_source_address__safe_stop_latched_with_reason_25() -> None:
    bench = active()
    for counter in range(2):
        can_id, data = encode(bench.drive, counter)
        bench.put((can_id & ~0xFF) | 0x33, data)
    bench.run(10)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().reason is ExitReason.OTHER_GUIDANCE
    assert bench.state().first_cause == FirstCause.CONFLICT


def test_address_of_one_frame_turned_by_noise__frame_is_lost_and_it_drives_on() -> None:
    bench = active()
    can_id, data = encode(bench.drive, 0)
    bench.put(can_id ^ 0x04, data)
    bench.run(200)
    assert bench.state().state is EcuMode.ACTIVE


def test_second_source_address_in_standby__stops_and_arming_needs_quiet_and_ack() -> None:
    bench = standby()
    for counter in range(2):
        can_id, data = encode(bench.drive, counter)
        bench.put((can_id & ~0xFF) | 0x33, data)
    bench.run(200)
    assert bench.state().state is EcuMode.SAFE_STOP
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(100)
    assert bench.state().state is EcuMode.SAFE_STOP
    bench.sup = DISABLED
    bench.run(400)
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(100)
    assert bench.state().state is EcuMode.STANDBY


@pytest.mark.parametrize("phase", range(16))
@pytest.mark.parametrize("spec", [matrix.SUP_CMD, matrix.DRIVE_CMD], ids=lambda s: s.name)
@pytest.mark.requirement("HF-BUS-04")
def test_second_sender_same_id__safe_stop_within_two_cycles(spec: FrameSpec, phase: int) -> None:
    bench = active()
    other = DbwSender()
    start_ms = bench.ms
    forged = (
        ENABLED._replace(sequence=4711) if spec is matrix.SUP_CMD else DriveCommand(1.0, 8.0, 1)
    )
    own = {"counter": -1}

    def both(_: int, can_id: int, data: bytes) -> list[tuple[int, bytes]]:
        if can_id != spec.can_id:
            return [(can_id, data)]
        if own["counter"] < 0:
            own["counter"] = data[1]
            for _ in range((data[1] + phase) % 16):
                other.encode(forged)
        return [(can_id, data), other.encode(forged)]

    bench.tamper = both
    bench.run(200)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP, start_ms)
    first_ms = -(-start_ms // spec.period_ms) * spec.period_ms
    assert stop_ms is not None
    assert stop_ms - first_ms <= 2 * spec.period_ms
    assert bench.state().reason is ExitReason.OTHER_GUIDANCE


@pytest.mark.parametrize("counter", range(16))
def test_steer_content_under_the_drive_id__always_refused(counter: int) -> None:
    bench = standby()
    _, data = encode(SteerCommand(0.1, 250, valid=True), counter)
    before = bench.ecu.counts(matrix.DRIVE_CMD).crc
    bench.put(matrix.DRIVE_CMD.can_id, data)
    assert bench.ecu.counts(matrix.DRIVE_CMD).crc == before + 1


def test_stop_request_moving__safe_stop_released() -> None:
    bench = active()
    bench.sup = ENABLED._replace(estop_request=True)
    bench.run(15)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().first_cause == FirstCause.STOP_REQUEST


def test_safe_stop_mode_asked__safe_stop() -> None:
    bench = active()
    bench.sup = ENABLED._replace(mode_request=EcuMode.SAFE_STOP)
    bench.run(15)
    assert bench.state().state is EcuMode.SAFE_STOP


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"enable": False}, FirstCause.ENABLE_RELEASED),
        ({"mode_request": EcuMode.STANDBY}, FirstCause.MODE_WITHDRAWN),
        ({"mode_request": EcuMode.ARMED}, FirstCause.MODE_WITHDRAWN),
    ],
)
def test_control_withdrawn_while_moving__safe_stop(
    change: dict[str, Any], cause: FirstCause
) -> None:
    bench = active()
    bench.sup = ENABLED._replace(**change)
    bench.run(15)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().first_cause == cause


@pytest.mark.parametrize(
    ("inputs", "cause"),
    [
        (EcuInputs(manual_override=True), FirstCause.MANUAL_OVERRIDE),
        (EcuInputs(key_remote=False), FirstCause.KEY),
    ],
)
def test_operator_at_the_machine__standby_reason_3_braking_until_it_stands(
    inputs: EcuInputs, cause: FirstCause
) -> None:
    bench = active()
    bench.ecu.set_inputs(inputs)
    bench.run(300)
    assert bench.state().state is EcuMode.STANDBY
    assert bench.state().reason is ExitReason.OPERATOR_OVERRIDE
    assert bench.state().first_cause == cause
    assert bench.demand().accel_mps2 == 0.0
    assert bench.demand().brake_mps2 == 2.0
    bench.ecu.set_inputs(EcuInputs())
    bench.feedback = STANDING
    bench.run(1000)
    assert bench.state().state is EcuMode.STANDBY


@pytest.mark.parametrize(
    "inputs",
    [
        EcuInputs(estop_a=ContactState.OPEN, estop_b=ContactState.OPEN),
        EcuInputs(estop_a=ContactState.OPEN),
        EcuInputs(estop_b=ContactState.OPEN),
        EcuInputs(estop_a=ContactState.ERROR),
        EcuInputs(estop_b=ContactState.UNKNOWN),
    ],
)
@pytest.mark.requirement("HF-ECU-06")
def test_estop_chain_open__propulsion_off_in_one_step_and_latched(inputs: EcuInputs) -> None:
    bench = active()
    bench.ecu.set_inputs(inputs)
    bench.run(5)
    assert bench.state().state is EcuMode.ESTOP
    assert bench.demand().accel_mps2 == 0.0
    assert bench.demand().brake_mps2 == 2.5
    assert bench.demand().park
    bench.ecu.set_inputs(EcuInputs())
    bench.feedback = STANDING
    bench.sup = DISABLED
    bench.run(1000)
    assert bench.state().state is EcuMode.ESTOP
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(30)
    assert bench.state().state is EcuMode.STANDBY


def test_estop_open__ack_frame_never_leaves_the_latch() -> None:
    bench = active()
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    bench.feedback = STANDING
    bench.sup = DISABLED
    bench.run(100)
    bench.put(*bench.sender.encode(DISABLED._replace(fault_ack=True)))
    assert bench.ecu.mode is EcuMode.ESTOP


def test_estop_after_a_safe_stop__harder_state_and_the_first_cause_stays() -> None:
    bench = active()
    bench.silent = {matrix.DRIVE_CMD}
    bench.run(200)
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    bench.run(20)
    assert bench.state().state is EcuMode.ESTOP
    assert bench.state().first_cause == FirstCause.DRIVE
    assert bench.state().reason is ExitReason.COMMAND_TIMEOUT


def test_softer_stop_after_a_harder_one__changes_nothing() -> None:
    bench = active()
    bench.feedback = ROLLING._replace(speed_mps=float("nan"))
    bench.run(20)
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    for counter in range(2):
        can_id, data = encode(bench.drive, counter)
        bench.put((can_id & ~0xFF) | 0x33, data)
    bench.run(20)
    assert bench.state().state is EcuMode.FAULT


def test_one_value_refused__reason_6_until_the_next_good_frame() -> None:
    bench = active()
    start_ms = bench.ms
    bench.tamper = lambda ms, can_id, data: [
        (
            can_id,
            resealed(matrix.DRIVE_CMD, data, b6=3)
            if ms < start_ms + 20 and can_id == matrix.DRIVE_CMD.can_id
            else data,
        )
    ]
    bench.run(200)
    reasons = [s.reason for ms, s in bench.states if ms >= start_ms]
    assert ExitReason.OUT_OF_RANGE in reasons
    assert reasons[-1] is ExitReason.CLEAR
    assert bench.ecu.refused["DRIVE_CMD:out_of_range"] == 1


def test_estop_still_open__ack_refused() -> None:
    bench = active()
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    bench.feedback = STANDING
    bench.sup = DISABLED
    bench.run(100)
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(100)
    assert bench.state().state is EcuMode.ESTOP


def test_estop_channels_differ_500_ms__discrepancy_flag() -> None:
    bench = active()
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    bench.run(700)
    flags = [(ms, m.discrepancy) for ms, m in bench.seen if isinstance(m, SafetyIo)]
    assert not any(flag for ms, flag in flags if ms < bench.ms - 200)
    assert flags[-1][1]


def test_relay_opens__safe_stop() -> None:
    bench = active()
    bench.ecu.set_inputs(EcuInputs(relay_feedback=ContactState.OPEN))
    bench.run(20)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().first_cause == FirstCause.RELAY


def test_supply_low_200_ms__safe_stop_and_shorter_dip_is_none() -> None:
    bench = active()
    bench.run(1500)
    bench.feedback = ROLLING._replace(supply_v=17.9)
    bench.run(195)
    bench.feedback = ROLLING
    bench.run(50)
    assert bench.state().state is EcuMode.ACTIVE
    bench.feedback = ROLLING._replace(supply_v=17.9)
    bench.run(230)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().first_cause == FirstCause.SUPPLY


def test_supply_low_in_the_first_two_seconds__no_stop_yet() -> None:
    bench = active()
    bench.feedback = ROLLING._replace(supply_v=17.9)
    bench.run(500)
    assert bench.ms < 2000
    assert bench.state().state is EcuMode.ACTIVE
    bench.run(300)
    assert bench.state().state is EcuMode.SAFE_STOP


@pytest.mark.parametrize("name", ["speed_mps", "curvature_per_m"])
def test_feedback_not_a_number__fault_until_power_up(name: str) -> None:
    bench = active()
    bad: dict[str, Any] = {name: float("nan")}
    bench.feedback = ROLLING._replace(**bad)
    bench.run(30)
    assert bench.state().state is EcuMode.FAULT
    assert bench.demand().accel_mps2 == 0.0
    assert bench.demand().park
    bench.feedback = STANDING
    bench.sup = DISABLED
    bench.run(100)
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(100)
    assert bench.state().state is EcuMode.FAULT


def test_overspeed__safe_stop_reason_24() -> None:
    bench = active()
    bench.feedback = ROLLING._replace(speed_mps=9.4)
    bench.run(20)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().reason is ExitReason.SPEED_HIGH


def test_first_cause__stays_when_other_causes_follow() -> None:
    bench = active()
    bench.silent = set(matrix.COMMANDS)
    bench.run(60)
    for counter in range(2):
        can_id, data = encode(bench.drive, counter)
        bench.put((can_id & ~0xFF) | 0x33, data)
    bench.ecu.set_inputs(EcuInputs(relay_feedback=ContactState.OPEN))
    bench.run(500)
    assert bench.state().first_cause == FirstCause.SUP
    assert bench.state().reason is ExitReason.COMMAND_TIMEOUT


def test_safe_stop__holds_the_commanded_curvature_100_ms_then_freezes() -> None:
    bench = active()
    bench.silent = {matrix.DRIVE_CMD}
    bench.run(120)
    bench.steer = SteerCommand(-0.12, 250, valid=True)
    bench.run(300)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert stop_ms is not None
    held = [d.curvature_per_m for ms, d in bench.demands if stop_ms <= ms < stop_ms + 100]
    frozen = [d.curvature_per_m for ms, d in bench.demands if ms >= stop_ms + 100]
    assert held == [pytest.approx(0.02)] * len(held)
    assert len(held) == 20
    assert set(frozen) == {None}


def test_safe_stop_at_standstill__joint_frozen_at_once() -> None:
    bench = active()
    bench.feedback = STANDING._replace(park_applied=False)
    bench.steer = SteerCommand(0.1, 250, valid=True)
    bench.silent = {matrix.SUP_CMD}
    stop = bench.run(100).first_ms(EcuMode.SAFE_STOP)
    assert stop is not None
    assert {d.curvature_per_m for d in _after(bench, stop)} == {None}


@pytest.mark.requirement("HF-STOP-10")
def test_safe_stop__brake_ramps_by_the_profile_and_parks_only_at_standstill() -> None:
    bench = active()
    bench.silent = {matrix.SUP_CMD}
    bench.run(400)
    stop_ms = bench.first_ms(EcuMode.SAFE_STOP)
    assert stop_ms is not None
    ramp = [d.brake_mps2 for d in _after(bench, stop_ms)]
    assert ramp[0] == pytest.approx(0.06)
    assert all(b - a <= 0.0601 for a, b in pairwise(ramp))
    assert ramp[-1] == 2.0
    assert not bench.demand().park
    bench.feedback = STANDING._replace(park_applied=None)
    bench.run(5)
    assert bench.demand().park
    assert bench.demand().brake_mps2 == 2.0
    assert bench.ecu.sub_state.value == SubState.PARKING
    bench.feedback = STANDING
    bench.run(5)
    assert bench.demand().brake_mps2 == 0.0
    assert bench.ecu.sub_state.value == SubState.WAIT_ACK


def test_safe_stop_under_harder_braking__the_harder_braking_stays() -> None:
    bench = active()
    bench.brake = bench.brake._replace(decel_mps2=2.5)
    bench.run(300)
    bench.silent = {matrix.BRAKE_CMD}
    bench.run(300)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.demand().brake_mps2 == 2.5


def stopping_at(bench: Bench, speeds_mps: Iterable[float]) -> list[EcuMode]:
    """The ECU's modes of a stop in which the machine runs at these speeds, 100 ms each."""
    modes = []
    for speed_mps in speeds_mps:
        bench.feedback = ROLLING._replace(speed_mps=speed_mps)
        bench.run(100)
        modes.append(bench.ecu.mode)
    return modes


def test_safe_stop_that_does_not_slow__hardest_stop_with_the_spring_brake() -> None:
    bench = active()
    bench.feedback = ROLLING
    bench.silent = {matrix.SUP_CMD}
    bench.run(55)
    assert bench.ecu.mode is EcuMode.SAFE_STOP

    modes = stopping_at(bench, [3.0] * 20)

    at_ms = 100 * modes.index(EcuMode.ESTOP)
    assert 1200 <= at_ms <= 1500  # 0.5 s for the brake, then 0.5 m/s of margin at 0.6 m/s2
    assert bench.demand().park
    assert bench.demand().brake_mps2 == 2.5
    assert bench.state().first_cause == FirstCause.SUP


def test_safe_stop_that_slows_a_little_more_than_its_least__stays_and_does_not_park() -> None:
    bench = active()
    bench.feedback = ROLLING
    bench.silent = {matrix.SUP_CMD}
    bench.run(55)

    modes = stopping_at(bench, [3.0] * 6 + [3.0 - 0.065 * n for n in range(45)])

    assert set(modes) == {EcuMode.SAFE_STOP}
