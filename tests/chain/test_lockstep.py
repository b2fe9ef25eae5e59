"""The whole chain in lock-step: real frames, ECU and truck; nothing but time is simulated."""

from __future__ import annotations

import pytest

from protocol.dbw.codec import EcuMode
from protocol.messages import Outcome, RequestKind
from protocol.state import VehicleMode
from tests.chain.lockstep import Lockstep
from tests.rig import MS, TICK_NS, FakeConsole

M = VehicleMode


@pytest.fixture
def rig() -> Lockstep:
    made = Lockstep()
    made.under_way(12.0)
    return made


def coast_to_rest(rig: Lockstep, within_s: float = 20.0) -> float:
    """Metres travelled until the truck stands parked."""
    start_m = rig.truth["distance_m"]
    for _ in range(round(within_s * 1e9 / TICK_NS)):
        rig.tick()
        if rig.truth["speed_mps"] == 0.0 and rig.truth["park"]:
            return float(rig.truth["distance_m"] - start_m)
    raise AssertionError(f"still moving: {rig.truth}")


def test_minute_of_driving__stays_in_the_drift_without_a_stop() -> None:
    rig = Lockstep()
    rig.under_way(60.0)

    assert rig.truth["distance_m"] >= 150.0
    assert rig.truth["contacts"] == 0
    assert rig.state is not None
    assert rig.state.refusals == {}


@pytest.mark.requirement("HF-CMD-09")
def test_console_gone__truck_stops_on_its_curve_and_parks(rig: Lockstep) -> None:
    while abs(rig.truth["curvature_per_m"]) < 0.02:
        rig.tick()
    bend = rig.truth["curvature_per_m"]
    speed_mps = rig.truth["speed_mps"]
    rig.driving, rig.console.sends = False, False

    metres = coast_to_rest(rig)

    assert rig.is_in(M.STOPPED)
    assert rig.truth["contacts"] == 0
    assert rig.truth["curvature_per_m"] == pytest.approx(bend, abs=0.012)
    assert metres < speed_mps * (0.25 + 2.0) + speed_mps**2 / (2 * 2.0)


@pytest.mark.requirement("HF-STOP-01")
def test_console_back_after_a_stop__truck_does_not_move_by_itself(rig: Lockstep) -> None:
    rig.driving, rig.console.sends = False, False
    coast_to_rest(rig)

    rig.console.sends = True
    rig.driving = True
    rig.run(10.0)

    assert rig.is_in(M.STOPPED)
    assert rig.truth["speed_mps"] == 0.0


def test_guardian_paused__ecu_stops_the_truck_and_it_stays_stopped(rig: Lockstep) -> None:
    rig.driving = False
    pause_ns = rig.now_ns
    for _ in range(800):
        pause_ns += TICK_NS
        rig.real.run(pause_ns)
    assert rig.real.machine.ecu.mode is EcuMode.SAFE_STOP
    assert rig.truth["speed_mps"] == 0.0

    rig.now_ns = pause_ns
    rig.driving = True
    rig.tick(30 * MS)
    rig.run(10.0)

    assert rig.state is not None
    assert rig.state.cause == "G101"
    assert rig.is_in(M.STOPPED)
    assert rig.truth["speed_mps"] == 0.0


@pytest.mark.requirement("HF-ECU-03")
def test_guardian_gone__ecu_brakes_within_its_own_time_out(rig: Lockstep) -> None:
    rig.driving = False
    at_ns = rig.now_ns
    for number in range(20):
        at_ns += TICK_NS
        rig.real.run(at_ns)
        if rig.real.machine.ecu.mode is EcuMode.SAFE_STOP:
            assert number * TICK_NS <= 60 * MS
            return
    raise AssertionError("the ECU never noticed")


@pytest.mark.requirement("HF-STOP-19")
def test_after_a_stop__the_whole_ladder_leads_back_to_driving(rig: Lockstep) -> None:
    rig.press_stop(rig.console)
    rig.driving = False
    coast_to_rest(rig)
    rig.halt()
    rig.run(2.5)

    rig.ask(RequestKind.RESET)
    rig.run(1.0)
    assert rig.is_in(M.LEASED)
    rig.ask(RequestKind.ARM)
    rig.run(0.2)
    assert rig.acks[-1].outcome is Outcome.DONE
    rig.hold_enable()
    rig.run(3.3)
    rig.driving = True
    rig.run(8.0)

    assert rig.is_in(M.ACTIVE)
    assert rig.truth["speed_mps"] > 1.0


@pytest.mark.requirement("HF-AUTH-10")
def test_second_console_with_a_valid_key__cannot_take_a_driven_truck(rig: Lockstep) -> None:
    other = FakeConsole("console-2", nonce=rig.console.nonce, boot=rig.console.boot)
    rig.others.append(other)

    rig.ask(RequestKind.LEASE, other)
    rig.run(1.0)

    assert rig.acks[-1].outcome is Outcome.QUEUED
    assert other.keys is None
    assert rig.is_in(M.ACTIVE)


def test_ecu_loses_its_commands_in_the_warning__stop_then_reset_and_it_drives() -> None:
    rig = Lockstep()
    rig.arm()
    rig.hold_enable()
    rig.run_until(lambda: rig.real.machine.ecu.mode is EcuMode.ACTIVE, 3.0)
    rig.real.deaf = True
    rig.run(0.1)
    rig.real.deaf = False
    rig.run(0.1)
    assert rig.is_in(M.STOPPED)
    assert rig.state is not None
    assert rig.state.cause == "M102"

    rig.halt()
    rig.run(2.5)
    rig.ask(RequestKind.RESET)
    rig.run(1.0)
    assert rig.acks[-1].outcome is Outcome.DONE
    assert rig.is_in(M.LEASED)
    rig.ask(RequestKind.ARM)
    rig.run(0.2)
    rig.hold_enable()
    rig.run(3.3)

    assert rig.is_in(M.ACTIVE)
