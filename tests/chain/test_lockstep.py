"""The whole chain in lock-step: real frames, ECU and truck; nothing but time is simulated.

What needs a console that breaks the rules runs on the rig; the rest runs as users run it, with the
console's own core and the scripted driver (sim/runner/run.py).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.dbw.codec import EcuMode
from protocol.messages import Outcome, RequestKind
from protocol.state import VehicleMode
from sim.runner.run import Run
from sim.scenario.file import Scenario
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


def drive(seconds: float, *, resumes: bool = False) -> Run:
    """The runner, under way for ``seconds``."""
    raw = {"title": "Made up", "seconds": 600.0, "driver": {"resumes": resumes}}
    run = Run(Scenario("made_up", raw, "made_up.yaml"), seed=1)
    while run.watch.seconds(run.agenda.now_ns) < seconds:
        run.tick()
    return run


def until(run: Run, done: Callable[[], bool], within_s: float = 20.0) -> None:
    """Run on until it is so; fail when it takes longer."""
    for _ in range(round(within_s * 1e9 / TICK_NS)):
        if done():
            return
        run.tick()
    raise AssertionError(f"not within {within_s} s: {run.mode}, {run.truth}")


def at_rest(run: Run) -> bool:
    truth = run.truth
    return truth["speed_mps"] == 0.0 and truth["park"]


def test_minute_of_driving__stays_in_the_drift_without_a_stop() -> None:
    run = drive(60.0)

    assert run.truth["distance_m"] >= 150.0
    assert run.truth["contacts"] == 0
    assert run.watch.stops == []
    assert run.watch.state is not None
    assert run.watch.state.refusals == {}


@pytest.mark.requirement("HF-CMD-09")
def test_console_gone__truck_stops_on_its_curve_and_parks() -> None:
    run = drive(12.0)
    until(run, lambda: abs(run.truth["curvature_per_m"]) >= 0.02)
    before = run.truth
    run.cockpit.mishap.dead += 1

    until(run, lambda: at_rest(run))

    after, speed_mps = run.truth, before["speed_mps"]
    assert run.mode is M.STOPPED
    assert after["contacts"] == 0
    assert after["curvature_per_m"] == pytest.approx(before["curvature_per_m"], abs=0.012)
    metres = after["distance_m"] - before["distance_m"]
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


@pytest.mark.requirement("HF-CMD-16", "HF-CMD-17")
def test_each_path_out_in_turn__truck_slows_and_is_never_stopped() -> None:
    rig = Lockstep(paths=frozenset({0, 1}))
    rig.ways = (0, 1)
    rig.under_way(12.0)
    zone_mps = rig.profile.limits.zone_speed_mps
    speeds_mps = []
    for ways in ((1,), (0, 1), (0,), (0, 1)):
        rig.ways = ways
        rig.run(12.0)
        speeds_mps.append(rig.truth["speed_mps"])

    assert rig.is_in(M.ACTIVE)
    assert all(0.5 < speed <= zone_mps / 2 + 0.3 for speed in speeds_mps[::2])
    assert all(speed > zone_mps / 2 + 0.3 for speed in speeds_mps[1::2])
    assert not {"L101", "L102"} & set(rig.events)
    assert rig.truth["contacts"] == 0


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
def test_after_a_stop__the_whole_ladder_leads_back_to_driving() -> None:
    run = drive(12.0, resumes=True)
    run.cockpit.press_stop(run.agenda.now_ns)
    until(run, lambda: at_rest(run))

    until(run, lambda: run.watch.starts == 2)
    until(run, lambda: run.truth["speed_mps"] > 1.0)

    steps = [mode for _, mode in run.watch.modes]
    assert steps[-5:] == [M.STOPPING, M.STOPPED, M.LEASED, M.ARMED, M.ACTIVE]
    assert [stop.cause for stop in run.watch.stops] == ["D105"]


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
