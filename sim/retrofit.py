"""What is retrofitted to a machine that does not speak HF-DBW: contacts, park brake, body, sensors.

A small module beside the machine's own controllers. It takes the rows of HF-DBW that its machine
has no frame of its own for, tells contacts and tilt, and brakes by itself when a row that it needs
is late or a contact of the safety chain opens. That stop latches until the machine stands, all is
well again, and the park brake is asked for. The contacts also cut traction, by wire.
"""

from __future__ import annotations

import math
from typing import TypeVar

from protocol.dbw.codec import (
    BodyCommand,
    BodyFeedback,
    BrakeCommand,
    BrakeFeedback,
    BrakeSource,
    ContactState,
    Message,
    Motion,
    ParkState,
    SafetyIo,
    SteerCommand,
    SteerFeedback,
)
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import (
    BODY_CMD,
    BODY_FB,
    BRAKE_CMD,
    BRAKE_FB,
    MOTION,
    SAFETY_IO,
    STEER_CMD,
    STEER_FB,
    Direction,
    FrameSpec,
)
from sim.ecu import EcuInputs, EcuProfile
from sim.machines.interface import MachineFeedback
from vehicle_agent.core.channel import Cycle

_RATE_UNIT_PER_M_S = 0.001
MessageT = TypeVar("MessageT")


class Retrofit:
    """One module.

    Args:
        profile: the machine's limits. steers: it drives the steering too.

    Attributes:
        stopped: it brakes by itself.
    """

    def __init__(self, profile: EcuProfile, *, steers: bool) -> None:
        self._profile = profile
        self._needed = (STEER_CMD, BRAKE_CMD) if steers else (BRAKE_CMD,)
        told = (SAFETY_IO, STEER_FB, BRAKE_FB, MOTION, BODY_FB)
        rows = told if steers else tuple(spec for spec in told if spec is not STEER_FB)
        self._cycles = {spec: Cycle(spec.period_ms) for spec in rows}
        self._receiver = DbwReceiver(Direction.TO_ECU)
        self._sender = DbwSender()
        self._commands: dict[FrameSpec, Message] = {}
        self._inputs = EcuInputs()
        self._curvature_per_m: float | None = None
        self._conflict = False
        self.stopped = True
        self.park = True

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state."""
        self._inputs = inputs

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from the bus, whatever it is."""
        received = self._receiver.receive(now_ns, can_id, data)
        self._conflict = self._conflict or received.conflict
        if received.spec is not None and received.message is not None:
            self._commands[received.spec] = received.message

    @property
    def contacts_closed(self) -> bool:
        """True when the safety chain lets traction act."""
        relay = self._inputs.relay_feedback is ContactState.CLOSED
        return relay and not self._inputs.estop_open and not self._inputs.operator_local

    def step(self, now_ns: int, feedback: MachineFeedback) -> None:
        """Watch rows and contacts."""
        late = any(self._receiver.timed_out(spec, now_ns) for spec in self._needed)
        stands = abs(feedback.speed_mps) <= self._profile.standstill_mps
        asked = self._brake_command(now_ns)
        if late or self._inputs.estop_open or self._inputs.operator_local or self._conflict:
            self.stopped = True
        elif not self.contacts_closed:
            self.stopped = self.stopped or not stands
        elif self.stopped and stands and asked is not None and asked.park:
            self.stopped = False
        self._conflict = False
        wants = asked is None or asked.park or self.stopped
        self.park = wants and (stands or self._inputs.estop_open or self.park)

    def _brake_command(self, now_ns: int) -> BrakeCommand | None:
        return self._command(now_ns, BRAKE_CMD, BrakeCommand)

    def _command(self, now_ns: int, spec: FrameSpec, kind: type[MessageT]) -> MessageT | None:
        command = self._commands.get(spec)
        late = self._receiver.timed_out(spec, now_ns)
        return command if isinstance(command, kind) and not late else None

    def brake_mps2(self, now_ns: int) -> float:
        """Return what it asks of the service brake, by row and by itself."""
        asked = self._brake_command(now_ns)
        wanted = 0.0 if asked is None else asked.decel_mps2
        if self._inputs.estop_open:
            return self._profile.service_brake_max_mps2
        own = self._profile.stop_decel_mps2 if self.stopped else 0.0
        return min(max(wanted, own), self._profile.service_brake_max_mps2)

    def retarder(self, now_ns: int) -> float:
        """Return what it asks of the retarder, 0…1."""
        asked = self._brake_command(now_ns)
        return 0.0 if asked is None else asked.retarder

    def implement(self, now_ns: int) -> float:
        """Return what it asks of the tool."""
        body = self._command(now_ns, BODY_CMD, BodyCommand)
        return 0.0 if body is None or self.stopped else body.implement

    def curvature_per_m(self, now_ns: int, dt_s: float, feedback: MachineFeedback) -> float | None:
        """Return where the steering shall go within its rates; None freezes it."""
        steer = self._command(now_ns, STEER_CMD, SteerCommand)
        if steer is None or not steer.valid or self.stopped:
            self._curvature_per_m = None
            return None
        rate = min(self._profile.curvature_rate_per_m_s, steer.rate_limit * _RATE_UNIT_PER_M_S)
        at = feedback.curvature_per_m if self._curvature_per_m is None else self._curvature_per_m
        self._curvature_per_m = slew(at, steer.curvature_per_m, rate * dt_s)
        return self._curvature_per_m

    def frames(self, now_ns: int, feedback: MachineFeedback) -> list[tuple[int, bytes]]:
        """Return its rows that are due."""
        return [
            self._sender.encode(self._message(spec, feedback))
            for spec, cycle in self._cycles.items()
            if cycle.due(now_ns)
        ]

    def _message(self, spec: FrameSpec, feedback: MachineFeedback) -> Message:
        if spec is SAFETY_IO:
            return self._safety(feedback)
        if spec is STEER_FB:
            return SteerFeedback(
                _within(feedback.steer_angle_rad, 5.58), _within(feedback.curvature_per_m, 8.0), 0
            )
        if spec is BRAKE_FB:
            applied = feedback.park_applied
            park = ParkState.APPLIED if applied else ParkState.RELEASED
            return BrakeFeedback(
                decel_mps2=_within(feedback.brake_mps2, 64.0),
                pressure_bar=None,
                park=ParkState.MOVING if applied is None else park,
                source_bits=BrakeSource.ECU_STOP if self.stopped else BrakeSource.NONE,
            )
        if spec is MOTION:
            return Motion(
                yaw_rate_radps=_within(feedback.yaw_rate_radps, 2.0),
                ax_mps2=_within(feedback.accel_mps2, 6.25),
                pitch_rad=_within(feedback.pitch_rad, 1.0),
                roll_rad=_within(feedback.roll_rad, 1.0),
            )
        return BodyFeedback(_within(feedback.implement, 1.0), lights=False, horn=False)

    def _safety(self, feedback: MachineFeedback) -> SafetyIo:
        inputs = self._inputs
        return SafetyIo(
            estop_a=inputs.estop_a,
            estop_b=inputs.estop_b,
            discrepancy=False,
            relay_feedback=inputs.relay_feedback,
            key_remote=inputs.key_remote,
            manual_override=inputs.manual_override,
            supply_v=feedback.supply_v if 0.0 <= feedback.supply_v <= 50.0 else None,
            door_seat=inputs.door_seat,
        )


def slew(value: float, target: float, most: float) -> float:
    """Return ``value`` moved towards ``target`` by at most ``most``."""
    return target if abs(target - value) <= most else value + math.copysign(most, target - value)


def _within(value: float, most: float) -> float | None:
    """Return a value that its signal can carry; another, or none at all, is not available."""
    return value if abs(value) <= most else None
