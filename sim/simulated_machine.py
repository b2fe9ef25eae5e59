"""One simulated machine: emulated by-wire ECU, plant and world behind one bus, free of clocks.

The plant is reached through the ECU only, so that a bench and a simulation meet the same
machine. The same object runs in real time (sim/machine_process.py) and in lock-step.
"""

from __future__ import annotations

from typing import TypedDict

from sim.ecu import Ecu, EcuProfile
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine
from sim.machines.sensors import MotionNoise
from sim.machines.underground_truck import UndergroundTruck, curvature_of_joint
from sim.world.drift import Drift
from sim.world.site import Site

ECU_STEP_NS = 5_000_000
"""The ECU's cycle and the plant's step."""

_AT_REST = ActuatorDemand(
    curvature_per_m=None,
    accel_mps2=0.0,
    speed_limit_mps=0.0,
    direction=0,
    brake_mps2=0.0,
    park=True,
)


class Truth(TypedDict):
    """The simulator's own knowledge, for pictures, scripted drivers and logs.

    The pose is the front axle's centre; z is the floor there, pitch + nose up; curvature and
    offset from the centre line + left. ``park`` is true when the springs hold.
    """

    t_us: int
    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    pitch_rad: float
    articulation_rad: float
    speed_mps: float
    curvature_per_m: float
    station_m: float
    offset_m: float
    contacts: int
    distance_m: float
    brake_mps2: float
    park: bool


class SimulatedMachine:
    """A machine in a site, at standstill at its start with the park brake on.

    Args:
        machine: machine file.
        site: where it stands.
        seed: of the sensors' noise.

    Raises:
        WorldFileError: the machine does not fit at the start.
    """

    def __init__(self, machine: Machine, site: Site, seed: int) -> None:
        self._machine = machine
        self._drift = Drift(site, machine.body)
        self.plant = UndergroundTruck(machine.plant, machine.body, self._drift, self._drift.start)
        self.ecu = Ecu(EcuProfile.of(machine.profile))
        self._noise = MotionNoise(seed)
        self._feedback = self._noise(self.plant.step(ECU_STEP_NS, _AT_REST))

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """A frame from the bus."""
        self.ecu.on_frame(now_ns, can_id, data)

    def step(self, now_ns: int) -> tuple[tuple[int, bytes], ...]:
        """One cycle of ``ECU_STEP_NS``: the ECU decides, the plant moves; frames to send."""
        output = self.ecu.step(now_ns, self._feedback)
        self._feedback = self._noise(self.plant.step(ECU_STEP_NS, output.demand))
        return output.frames

    def truth(self, now_ns: int) -> Truth:
        """Where the machine really is, stamped ``now_ns``."""
        state, centre = self.plant.state, self._drift.centre
        return Truth(
            t_us=now_ns // 1000,
            x_m=state.x_m,
            y_m=state.y_m,
            z_m=centre.z_m,
            heading_rad=state.heading_rad,
            pitch_rad=state.pitch_rad,
            articulation_rad=state.joint_rad,
            speed_mps=state.speed_mps,
            curvature_per_m=curvature_of_joint(self._machine.body, state.joint_rad),
            station_m=self._drift.station_m,
            offset_m=self._drift.offset_m,
            contacts=state.contacts,
            distance_m=state.distance_m,
            brake_mps2=state.brake_mps2,
            park=state.park_share == 1.0,
        )
