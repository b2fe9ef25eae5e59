"""Taking remote control, and taking it again: only by DISABLE, valid frames, edge, new session."""

from __future__ import annotations

import pytest

from protocol.dbw import matrix
from protocol.dbw.codec import BrakeCommand, ContactState, DriveCommand, EcuMode
from protocol.dbw.matrix import FrameSpec
from sim.ecu import Ecu, EcuInputs, FirstCause, SubState
from tests.ecu.bench import (
    DISABLED,
    ENABLED,
    PROFILE,
    ROLLING,
    STANDING,
    Bench,
    active,
    resealed,
    standby,
)


def test_power_up__init_then_standby_parked() -> None:
    bench = Bench().run(200)
    assert bench.states[0][1].state is EcuMode.INIT
    assert bench.state().state is EcuMode.STANDBY
    assert all(
        d.park and d.accel_mps2 == 0.0 and d.curvature_per_m is None for _, d in bench.demands
    )


def test_good_handshake__active_within_200_ms_of_the_edge() -> None:
    bench = standby()
    edge_ms = bench.ms
    bench.sup = ENABLED
    bench.run(200)
    active_ms = bench.first_ms(EcuMode.ACTIVE)
    assert active_ms is not None
    assert 20 <= active_ms - edge_ms <= 200
    assert bench.state().session_echo == 7


def test_active__needs_three_enabled_frames() -> None:
    bench = standby()
    bench.sup = ENABLED
    bench.run(15)
    assert bench.state().state is EcuMode.ARMED
    bench.run(10)
    assert bench.state().state is EcuMode.ACTIVE


def test_armed_request__waits_armed_and_parked_until_active_is_asked() -> None:
    bench = standby()
    bench.sup = ENABLED._replace(mode_request=EcuMode.ARMED)
    bench.run(3000)
    assert bench.state().state is EcuMode.ARMED
    assert bench.demand().park
    assert bench.demand().accel_mps2 == 0.0
    bench.sup = ENABLED
    bench.run(50)
    assert bench.state().state is EcuMode.ACTIVE


def test_enable_held_at_power_up__never_active() -> None:
    bench = Bench(sup=ENABLED).run(10_000)
    assert not bench.ever(EcuMode.ARMED)
    assert bench.state().sub_state == SubState.WAIT_DISABLE


def test_disable_seen_only_before_a_silence__never_active() -> None:
    bench = standby()
    bench.silent = {matrix.SUP_CMD}
    bench.run(200)
    assert bench.state().sub_state == SubState.WAIT_DISABLE
    bench.silent = set()
    bench.sup = ENABLED
    bench.run(2000)
    assert not bench.ever(EcuMode.ARMED)
    assert bench.state().sub_state == SubState.WAIT_DISABLE


@pytest.mark.parametrize("spec", matrix.COMMANDS[:4], ids=lambda s: s.name)
def test_a_command_frame_is_missing__edge_refused(spec: FrameSpec) -> None:
    bench = Bench(silent={spec}).run(300)
    bench.sup = ENABLED
    bench.run(1000)
    assert {s.state for _, s in bench.states} == {EcuMode.INIT, EcuMode.STANDBY}


def test_edge_before_three_valid_frames__refused() -> None:
    bench = standby()
    bench.tamper = lambda _, can_id, data: (
        [(can_id, resealed(matrix.SUP_CMD, data, b2=data[2] ^ 0x10))]
        if can_id == matrix.SUP_CMD.can_id
        else [(can_id, data)]
    )
    bench.run(10)
    bench.tamper = None
    bench.run(20)
    bench.sup = ENABLED
    bench.run(500)
    assert not bench.ever(EcuMode.ARMED)
    assert bench.state().sub_state == SubState.FRAMES_MISSING


def test_refused_edge__needs_a_new_disable() -> None:
    bench = standby()
    bench.ecu.set_inputs(EcuInputs(relay_feedback=ContactState.OPEN))
    bench.sup = ENABLED
    bench.run(100)
    bench.ecu.set_inputs(EcuInputs())
    bench.run(1000)
    assert not bench.ever(EcuMode.ARMED)
    bench.sup = DISABLED
    bench.run(50)
    bench.sup = ENABLED
    bench.run(50)
    assert bench.state().state is EcuMode.ACTIVE


@pytest.mark.parametrize(
    "inputs",
    [
        EcuInputs(relay_feedback=ContactState.OPEN),
        EcuInputs(relay_feedback=ContactState.UNKNOWN),
        EcuInputs(key_remote=False),
        EcuInputs(manual_override=True),
    ],
)
def test_interlock_open__edge_refused(inputs: EcuInputs) -> None:
    bench = Bench(ecu=Ecu(PROFILE, inputs)).run(300)
    bench.sup = ENABLED
    bench.run(500)
    assert not bench.ever(EcuMode.ARMED)
    assert bench.state().sub_state == SubState.INTERLOCK


def test_low_supply__edge_refused() -> None:
    bench = Bench(feedback=STANDING._replace(supply_v=17.9)).run(300)
    bench.sup = ENABLED
    bench.run(500)
    assert not bench.ever(EcuMode.ARMED)


@pytest.mark.parametrize("mode", [EcuMode.STANDBY, EcuMode.SAFE_STOP])
def test_edge_without_a_remote_mode__refused(mode: EcuMode) -> None:
    bench = standby()
    bench.sup = ENABLED._replace(mode_request=mode)
    bench.run(500)
    assert not bench.ever(EcuMode.ARMED)


def test_session_zero__refused() -> None:
    bench = standby()
    bench.sup = ENABLED._replace(session=0)
    bench.run(500)
    assert not bench.ever(EcuMode.ARMED)
    assert bench.state().sub_state == SubState.SESSION_REFUSED


@pytest.mark.requirement("HF-ECU-04")
def test_replayed_session__never_active_again() -> None:
    recorded: list[tuple[int, int, bytes]] = []

    def record(ms: int, can_id: int, data: bytes) -> list[tuple[int, bytes]]:
        recorded.append((ms, can_id, data))
        return [(can_id, data)]

    bench = Bench(tamper=record).run(300)
    bench.sup = ENABLED
    bench.run(500)
    bench.sup = DISABLED
    bench.run(300)
    assert bench.state().state is EcuMode.STANDBY
    again = Bench(ecu=bench.ecu, silent=set(matrix.COMMANDS), ms=bench.ms + 1000)
    start_ms = again.ms
    for at_ms, can_id, data in recorded:
        again.run(max(0, start_ms + at_ms - again.ms))
        again.put(can_id, data)
    again.run(500)
    assert not again.ever(EcuMode.ARMED)
    assert not again.ever(EcuMode.ACTIVE)
    assert again.ecu.refused["SUP_CMD:session"] >= 1


def test_other_session_while_active__refused_and_times_out() -> None:
    bench = active()
    bench.sup = ENABLED._replace(session=8)
    bench.run(60)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.state().first_cause == FirstCause.SUP


def _stopped_after_timeout() -> Bench:
    bench = active()
    bench.silent = {matrix.DRIVE_CMD}
    bench.run(200)
    bench.silent = set()
    bench.sup = DISABLED
    bench.feedback = STANDING
    bench.run(300)
    assert bench.state().state is EcuMode.SAFE_STOP
    return bench


def _acknowledge(bench: Bench) -> None:
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(50)
    bench.sup = DISABLED._replace(session=8)
    bench.run(50)


@pytest.mark.requirement("HF-ECU-04")
def test_frames_back_after_a_stop__stays_stopped_for_ever() -> None:
    bench = _stopped_after_timeout()
    for session in (7, 8):
        bench.sup = ENABLED._replace(session=session)
        bench.run(500)
        bench.sup = DISABLED._replace(session=session)
        bench.run(500)
    assert bench.state().state is EcuMode.SAFE_STOP
    assert bench.demand().park


def test_ack_then_disable_then_edge_with_new_session__active() -> None:
    bench = _stopped_after_timeout()
    _acknowledge(bench)
    assert bench.state().state is EcuMode.STANDBY
    assert bench.state().first_cause == FirstCause.DRIVE
    bench.sup = ENABLED._replace(session=8)
    bench.run(50)
    assert bench.state().state is EcuMode.ACTIVE
    assert bench.state().first_cause == FirstCause.NONE


@pytest.mark.requirement("HF-ECU-04")
def test_ack_then_edge_with_the_old_session__refused() -> None:
    bench = _stopped_after_timeout()
    _acknowledge(bench)
    bench.sup = ENABLED
    bench.run(500)
    assert bench.state().state is EcuMode.STANDBY


def test_ack_while_rolling__refused() -> None:
    bench = _stopped_after_timeout()
    bench.feedback = ROLLING
    bench.run(5)
    _acknowledge(bench)
    assert bench.state().state is EcuMode.SAFE_STOP


def test_ack_with_enable_held__refused() -> None:
    bench = _stopped_after_timeout()
    bench.sup = ENABLED._replace(fault_ack=True)
    bench.run(200)
    assert bench.state().state is EcuMode.SAFE_STOP


def test_ack_held_since_before_the_stop__is_no_edge() -> None:
    bench = active()
    bench.sup = ENABLED._replace(fault_ack=True)
    bench.run(50)
    bench.silent = {matrix.DRIVE_CMD}
    bench.run(200)
    bench.silent = set()
    bench.feedback = STANDING
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(1000)
    assert bench.state().state is EcuMode.SAFE_STOP


@pytest.mark.parametrize(
    "inputs",
    [
        EcuInputs(estop_a=ContactState.OPEN, estop_b=ContactState.OPEN),
        EcuInputs(key_remote=False),
        EcuInputs(manual_override=True),
    ],
)
def test_ack_while_a_cause_is_present__refused(inputs: EcuInputs) -> None:
    bench = _stopped_after_timeout()
    bench.ecu.set_inputs(inputs)
    _acknowledge(bench)
    assert bench.state().state is (EcuMode.ESTOP if inputs.estop_open else EcuMode.SAFE_STOP)


def test_ack_with_the_relay_open__standby_but_no_start() -> None:
    bench = _stopped_after_timeout()
    bench.ecu.set_inputs(EcuInputs(relay_feedback=ContactState.OPEN))
    _acknowledge(bench)
    assert bench.state().state is EcuMode.STANDBY
    bench.sup = ENABLED._replace(session=2)
    bench.run(500)
    assert bench.state().state is EcuMode.STANDBY
    assert bench.state().sub_state == SubState.INTERLOCK


def test_enable_dropped_at_standstill__standby_and_parked_without_latch() -> None:
    bench = active()
    bench.feedback = STANDING._replace(park_applied=False)
    bench.run(50)
    bench.sup = DISABLED
    bench.run(50)
    assert bench.state().state is EcuMode.STANDBY
    assert bench.demand().park


def test_default_is_parked__released_only_when_travel_is_asked() -> None:
    bench = standby()
    bench.drive = DriveCommand(0.0, 5.0, 0)
    bench.sup = ENABLED
    bench.run(200)
    assert bench.state().state is EcuMode.ACTIVE
    assert bench.demand().park
    bench.drive = DriveCommand(0.5, 5.0, 1)
    bench.brake = BrakeCommand(0.0, park=True, retarder=0.0)
    bench.run(100)
    assert bench.demand().park
    assert bench.demand().accel_mps2 == 0.0
    bench.brake = BrakeCommand(0.0, park=False, retarder=0.0)
    bench.run(100)
    assert not bench.demand().park
    assert bench.demand().accel_mps2 > 0.0


def test_handshake_with_every_frame_doubled__active_all_the_same() -> None:
    bench = Bench(tamper=lambda _, can_id, data: [(can_id, data), (can_id, data)]).run(300)
    bench.sup = ENABLED
    bench.run(100)
    assert bench.state().state is EcuMode.ACTIVE


def test_estop_pressed_after_the_ack_was_low__ack_needs_a_new_low() -> None:
    bench = _stopped_after_timeout()
    assert bench.ms % 10 == 0
    bench.run(5)
    bench.ecu.set_inputs(EcuInputs(estop_a=ContactState.OPEN))
    bench.run(5)
    bench.ecu.set_inputs(EcuInputs())
    bench.sup = DISABLED._replace(fault_ack=True)
    bench.run(100)
    assert bench.state().state is EcuMode.ESTOP
