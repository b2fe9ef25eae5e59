"""One simulated machine: emulated by-wire ECU, plant and world behind one bus, free of clocks.

In the place of the ECU stand the controllers of a machine whose file names an adapter. The plant is
reached through them only, so that a bench and a simulation meet the same
machine. The same object runs in real time (sim/machine_process.py) and in lock-step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from sim.machines.faults import Fault
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.machines.parameters import Machine
from sim.machines.plant import MachinePlant
from sim.machines.sensors import FailingSensors
from sim.receivers import Receiver, receiver_of
from sim.sensors.motion import MotionSensors
from sim.world.drift import Drift
from sim.world.site import Site

ECU_STEP_NS = 5_000_000
"""The ECU's cycle and the plant's step."""
_STEP_S = ECU_STEP_NS * 1e-9

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

    The pose is that of the reference point (sim/machines/frames.py); z is the floor there,
    pitch + nose up, roll + left side up; articulation is the angle of the joint or of the
    trailer's drawbar; curvature and offset from the centre line + left. ``park`` is true when
    the springs hold. ``site_s`` is the site's clock: other machines and people go by it.
    """

    t_us: int
    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    pitch_rad: float
    roll_rad: float
    articulation_rad: float
    speed_mps: float
    curvature_per_m: float
    station_m: float
    offset_m: float
    contacts: int
    distance_m: float
    brake_mps2: float
    park: bool
    site_s: float


class SimulatedMachine:
    """A machine in a site, at standstill at its start with the park brake on.

    Args:
        machine: machine file.
        site: where it stands.
        seed: of the sensors' errors.
        payload_share: of its payload, aboard at the start.

    Raises:
        WorldFileError: the machine does not fit at the start.
    """

    def __init__(self, machine: Machine, site: Site, seed: int, payload_share: float = 1.0) -> None:
        self._drift = Drift(site, machine.body)
        self.plant = MachinePlant(machine, self._drift, self._drift.start, payload_share)
        self.ecu: Receiver = receiver_of(machine.profile)
        self._motion = MotionSensors(seed)
        self._failing = FailingSensors(self.plant.frame)
        self._feedback = self._motion.step(_STEP_S, self.plant.step(ECU_STEP_NS, _AT_REST))

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Have these faults of actuators and sensors, and no others, from now on."""
        faults = tuple(faults)
        self.plant.set_faults(faults)
        self._failing.set_faults(faults)

    @property
    def told(self) -> MachineFeedback:
        """What the sensors told the ECU last."""
        return self._feedback

    @property
    def station_m(self) -> float:
        """Where along the site's centre line it is."""
        return self._drift.station_m

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """A frame from the bus."""
        self.ecu.on_frame(now_ns, can_id, data)

    def step(self, now_ns: int) -> tuple[tuple[int, bytes], ...]:
        """One cycle of ``ECU_STEP_NS``: the ECU decides, the plant moves; frames to send."""
        output = self.ecu.step(now_ns, self._feedback)
        self._drift.advance(ECU_STEP_NS)
        felt = self._motion.step(_STEP_S, self.plant.step(ECU_STEP_NS, output.demand))
        self._feedback = self._failing.step(_STEP_S, felt)
        return output.frames

    def truth(self, now_ns: int) -> Truth:
        """Where the machine really is, stamped ``now_ns``."""
        state = self.plant.state
        return Truth(
            t_us=now_ns // 1000,
            x_m=state.x_m,
            y_m=state.y_m,
            z_m=self._drift.floor_m,
            heading_rad=state.heading_rad,
            pitch_rad=state.pitch_rad,
            roll_rad=self._drift.roll_rad,
            articulation_rad=state.joint_rad,
            speed_mps=state.speed_mps,
            curvature_per_m=state.curvature_per_m,
            station_m=self._drift.station_m,
            offset_m=self._drift.offset_m,
            contacts=state.contacts,
            distance_m=state.distance_m,
            brake_mps2=state.brake_mps2,
            park=state.park_share == 1.0,
            site_s=self._drift.time_s,
        )
