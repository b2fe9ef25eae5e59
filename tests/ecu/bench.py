"""A bench for the emulated ECU: an agent that sends on its cycles, a clock, and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.dbw import matrix
from protocol.dbw.codec import (
    BodyCommand,
    BrakeCommand,
    DriveCommand,
    EcuMode,
    EcuState,
    Message,
    SteerCommand,
    SupCommand,
    decode,
)
from protocol.dbw.e2e import protect
from protocol.dbw.endpoint import DbwSender
from protocol.dbw.matrix import FrameSpec
from sim.ecu import Ecu, EcuProfile
from sim.machines.interface import ActuatorDemand, MachineFeedback

MS = 1_000_000
STEP_MS = 5

PROFILE = EcuProfile(
    curvature_max_per_m=0.125,
    curvature_rate_per_m_s=0.045,
    speed_max_mps=8.0,
    reverse_speed_max_mps=3.0,
    degraded_speed_mps=1.8,
    accel_max_mps2=1.0,
    traction_jerk_mps3=1.5,
    service_brake_max_mps2=2.5,
    brake_jerk_mps3=12.0,
    stop_decel_mps2=2.0,
    brake_delay_worst_s=0.5,
    standstill_mps=0.05,
    articulated=True,
)

STANDING = MachineFeedback(
    speed_mps=0.0,
    accel_mps2=0.0,
    curvature_per_m=0.0,
    steer_angle_rad=0.0,
    engine_rpm=800.0,
    gear=0,
    brake_mps2=0.0,
    park_applied=True,
    yaw_rate_radps=0.0,
    pitch_rad=0.0,
    roll_rad=0.0,
    implement=0.0,
    supply_v=26.0,
)
ROLLING = STANDING._replace(speed_mps=3.0, curvature_per_m=0.02, park_applied=False, gear=1)

DISABLED = SupCommand(
    mode_request=EcuMode.STANDBY,
    enable=False,
    estop_request=False,
    fault_ack=False,
    session=7,
    link_age_ms=20,
    sequence=0,
)
ENABLED = DISABLED._replace(mode_request=EcuMode.ACTIVE, enable=True)
STEER = SteerCommand(0.02, 250, valid=True)
DRIVE = DriveCommand(0.5, 5.0, 1)
NO_BRAKE = BrakeCommand(0.0, park=False, retarder=0.0)
BODY = BodyCommand(1, lights=True, horn=False, implement=0.25)

Tamper = Callable[[int, int, bytes], list[tuple[int, bytes]]]


@dataclass(slots=True)
class Bench:
    """Runs agent and ECU together in steps of 5 ms.

    Attributes:
        silent: rows the agent does not send. tamper: changes what a frame becomes on the bus;
            it gets the time since start (ms), the id and the bytes.
        states: (ms, ECU_STATE) as decoded from the bus. demands: (ms, demand) of each step.
    """

    ecu: Ecu = field(default_factory=lambda: Ecu(PROFILE))
    feedback: MachineFeedback = STANDING
    sup: SupCommand = DISABLED
    steer: SteerCommand = STEER
    drive: DriveCommand = DRIVE
    brake: BrakeCommand = NO_BRAKE
    body: BodyCommand = BODY
    silent: set[FrameSpec] = field(default_factory=set)
    tamper: Tamper | None = None
    ms: int = 0
    sender: DbwSender = field(default_factory=DbwSender)
    sequence: int = 0
    states: list[tuple[int, EcuState]] = field(default_factory=list)
    demands: list[tuple[int, ActuatorDemand]] = field(default_factory=list)
    seen: list[tuple[int, Message]] = field(default_factory=list)

    @property
    def now_ns(self) -> int:
        return 1_000_000 * MS + self.ms * MS

    def put(self, can_id: int, data: bytes) -> None:
        self.ecu.on_frame(self.now_ns, can_id, data)

    def _messages(self) -> list[Message]:
        self.sequence = (self.sequence + (self.ms % 10 == 0)) % 65536
        due: list[tuple[FrameSpec, Message]] = [
            (matrix.SUP_CMD, self.sup._replace(sequence=self.sequence)),
            (matrix.STEER_CMD, self.steer),
            (matrix.DRIVE_CMD, self.drive),
            (matrix.BRAKE_CMD, self.brake),
            (matrix.BODY_CMD, self.body),
        ]
        return [m for s, m in due if self.ms % s.period_ms == 0 and s not in self.silent]

    def run(self, ms: int) -> Bench:
        for _ in range(ms // STEP_MS):
            for message in self._messages():
                can_id, data = self.sender.encode(message)
                tampered = [(can_id, data)]
                if self.tamper is not None:
                    tampered = self.tamper(self.ms, can_id, data)
                for frame in tampered:
                    self.put(*frame)
            output = self.ecu.step(self.now_ns, self.feedback)
            self.demands.append((self.ms, output.demand))
            for can_id, data in output.frames:
                message = decode(can_id, data)
                self.seen.append((self.ms, message))
                if isinstance(message, EcuState):
                    self.states.append((self.ms, message))
            self.ms += STEP_MS
        return self

    def of(self, kind: type[Message]) -> list[tuple[int, Message]]:
        return [(ms, message) for ms, message in self.seen if isinstance(message, kind)]

    def demand(self) -> ActuatorDemand:
        return self.demands[-1][1]

    def state(self) -> EcuState:
        return self.states[-1][1]

    def first_ms(self, mode: EcuMode, since_ms: int = 0) -> int | None:
        """When ECU_STATE first said ``mode`` on the bus."""
        return next(
            (ms for ms, s in self.states if ms >= since_ms and s.state is mode),
            None,
        )

    def ever(self, mode: EcuMode) -> bool:
        return self.first_ms(mode) is not None


def resealed(spec: FrameSpec, data: bytes, **at: int) -> bytes:
    """Return ``data`` with bytes replaced (``b2=0xFF``) and the CRC made right again."""
    assert spec.data_ids is not None
    body = bytearray(data)
    for key, value in at.items():
        body[int(key[1:])] = value
    return protect(bytes(body[1:]), spec.data_ids)


def standby() -> Bench:
    return Bench().run(300)


def active(profile: EcuProfile = PROFILE) -> Bench:
    """A machine that drives at 3 m/s, for 1 s already."""
    bench = Bench(ecu=Ecu(profile)).run(300)
    bench.sup = ENABLED
    bench.run(100)
    bench.feedback = ROLLING
    bench.run(1000)
    assert bench.state().state is EcuMode.ACTIVE
    return bench
