"""The watchdog relay in the running demo: real processes, a real terminal, and the truck."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from protocol.dbw.codec import ContactState
from protocol.state import VehicleMode
from sim.faults.rehearsal import Rehearsal, rehearsal
from sim.relay_wires import ESTOP_A, ESTOP_B, RELAY, Wires
from vehicle_agent.shell import clock

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

AT_SPEED_MPS = 2.0
STILL_S = 4.0


class Bench:
    """The truck under way, and a listener on the wires of relay and emergency stop."""

    def __init__(self, running: Rehearsal) -> None:
        self.running = running
        self.wires = Wires(running.plan.run / "wires", "bench")

    @property
    def word(self) -> str | None:
        state = self.running.seen.state
        return None if state is None else state.relay

    @property
    def contact(self) -> ContactState:
        return self.wires.hear(clock.monotonic_ns())[RELAY]

    def feels(self, level: ContactState) -> None:
        """Wait for the contact: what was said while nobody listened is heard first."""
        self.running.until(lambda: self.contact is level, 5.0, f"contact {level.name}")

    def stands(self, *causes: str, mode: VehicleMode = VehicleMode.STOPPED) -> bool:
        state = self.running.seen.state
        return (
            self.running.parked
            and state is not None
            and state.mode is mode
            and state.cause in causes
        )

    def stays(self, *causes: str, mode: VehicleMode = VehicleMode.STOPPED) -> None:
        """It stands with its cause named and the relay open, and goes on standing."""
        self.running.until(lambda: self.stands(*causes, mode=mode), 30.0, f"standing, {causes}")
        travelled_m = self.running.seen.truth["distance_m"]
        self.running.wait(STILL_S)
        assert self.stands(*causes, mode=mode), self.running.describe()
        self.feels(ContactState.OPEN)
        assert self.running.seen.truth["distance_m"] == pytest.approx(travelled_m, abs=0.01)
        assert self.running.seen.truth["contacts"] == 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    with rehearsal() as running:
        running.until(lambda: running.seen.state is not None, 20.0, "a state")
        made = Bench(running)
        try:
            running.until(lambda: made.word == "open", 10.0, "relay heard, and open")
            running.start_driver("--starts-once")
            running.until(lambda: running.speed_mps > AT_SPEED_MPS, 60.0, "under way")
            made.feels(ContactState.CLOSED)
            yield made
        finally:
            made.wires.close()


@pytest.mark.requirement("HF-GUARD-06")
def test_guardian_paused__relay_opens_by_itself_and_the_truck_stays_stopped(bench: Bench) -> None:
    assert bench.word == "closed"
    bench.running.signal("guardian", signal.SIGSTOP)
    bench.feels(ContactState.OPEN)
    bench.running.until(lambda: bench.running.parked, 20.0, "parked")

    bench.running.signal("guardian", signal.SIGCONT)

    bench.stays("G101")
    bench.running.until(lambda: bench.word == "open", 10.0, "relay heard again")


def test_relay_loses_power__truck_stops_and_stays_when_it_is_back(bench: Bench) -> None:
    bench.running.kill("relay")
    bench.running.until(lambda: bench.running.parked, 20.0, "parked")
    assert bench.word == "unknown"

    bench.running.start_again("relay")
    bench.running.until(lambda: bench.word == "open", 10.0, "relay heard again")

    bench.stays("M104", "M102")


def test_relay_hangs__truck_stops_and_stays_when_it_goes_on(bench: Bench) -> None:
    bench.running.signal("relay", signal.SIGSTOP)
    bench.running.until(lambda: bench.running.parked, 20.0, "parked")

    bench.running.signal("relay", signal.SIGCONT)

    bench.stays("M104", "M102")


def test_emergency_stop_pressed__relay_opens_and_the_truck_stays(bench: Bench) -> None:
    bench.wires.say(**{ESTOP_A: ContactState.OPEN, ESTOP_B: ContactState.OPEN})
    bench.feels(ContactState.OPEN)
    bench.running.until(lambda: bench.running.parked, 20.0, "parked")
    bench.wires.say(**{ESTOP_A: ContactState.CLOSED, ESTOP_B: ContactState.CLOSED})

    bench.stays("M105", mode=VehicleMode.ESTOP)
