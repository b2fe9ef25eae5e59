"""ECU, plant and world in one: the machine moves only for a healthy agent on the bus."""

from __future__ import annotations

import json

from protocol.dbw.codec import EcuMode
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import load_machine
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine, Truth
from sim.world.site import load_site
from tests.sim.bus_agent import CYCLE_NS, BusAgent
from tests.sim.worlds import DRIFT_FILE, DRIVE, TRUCK_FILE

CREEP = DRIVE._replace(speed_limit_mps=3.0, park=False)


class Lockstep:
    """Simulated machine and agent under one hand-made clock."""

    def __init__(self, seed: int = 1) -> None:
        self.machine = SimulatedMachine(load_machine(TRUCK_FILE), load_site(DRIFT_FILE), seed)
        self.agent = BusAgent()
        self.now_ns = 1_000_000_000
        self.sent = 0

    def run(self, seconds: float, wanted: ActuatorDemand | None) -> Truth:
        """Run on; the agent is silent when ``wanted`` is None."""
        for _ in range(round(seconds * 1e9 / ECU_STEP_NS)):
            self.now_ns += ECU_STEP_NS
            if wanted is not None and self.now_ns % CYCLE_NS == 0:
                for can_id, data in self.agent.frames(wanted):
                    self.machine.on_frame(self.now_ns, can_id, data)
            self.sent += len(self.machine.step(self.now_ns))
        return self.machine.truth(self.now_ns)


def test_nobody_on_the_bus__machine_stands_parked_and_reports() -> None:
    bench = Lockstep()
    before = bench.machine.truth(bench.now_ns)
    after = bench.run(5.0, None)
    assert (after["x_m"], after["y_m"]) == (before["x_m"], before["y_m"])
    assert after["park"] is True
    assert after["contacts"] == 0
    assert bench.sent > 1000


def test_healthy_agent__drives_the_machine() -> None:
    bench = Lockstep()
    truth = bench.run(10.0, CREEP)
    assert bench.machine.ecu.mode is EcuMode.ACTIVE
    assert 2.5 < truth["speed_mps"] <= 3.0
    assert truth["park"] is False
    assert truth["station_m"] > 40.0


def test_silent_agent__machine_stops_by_itself_and_parks() -> None:
    bench = Lockstep()
    moving = bench.run(10.0, CREEP)
    after = bench.run(4.0, None)
    assert bench.machine.ecu.mode is EcuMode.SAFE_STOP
    assert after["speed_mps"] == 0.0
    assert after["park"] is True
    assert 1.5 < after["distance_m"] - moving["distance_m"] < 5.0
    assert bench.run(5.0, None)["x_m"] == after["x_m"]


def test_enable_released__machine_stops() -> None:
    bench = Lockstep()
    bench.run(8.0, CREEP)
    bench.agent.enable = False
    truth = bench.run(4.0, CREEP)
    assert truth["speed_mps"] == 0.0
    assert truth["park"] is True


def test_steering_through_the_bus__is_positive_to_the_left() -> None:
    bench = Lockstep()
    truth = bench.run(6.0, CREEP._replace(curvature_per_m=0.05, speed_limit_mps=1.0))
    assert truth["articulation_rad"] > 0.1
    assert truth["curvature_per_m"] > 0.03
    assert truth["offset_m"] > 0.0


def test_same_seed__same_frames_and_same_path_bit_for_bit() -> None:
    one, other = Lockstep(), Lockstep()
    assert one.run(8.0, CREEP) == other.run(8.0, CREEP)
    assert one.machine.plant.digest() == other.machine.plant.digest()
    assert one.machine.step(one.now_ns + ECU_STEP_NS) == other.machine.step(
        other.now_ns + ECU_STEP_NS
    )


def test_truth__is_plain_json_with_the_vehicle_time_in_microseconds() -> None:
    bench = Lockstep()
    truth = bench.machine.truth(1_234_567_890)
    assert json.loads(json.dumps(truth)) == truth
    assert truth["t_us"] == 1_234_567
