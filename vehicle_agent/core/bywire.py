"""The by-wire side of the supervisor: what the ECU reports, and the frames that command it.

Feedback older than its receive time-out is unknown, never the last value. Senders skip missed
slots and never catch up; a stop is sent at once, not at its next slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from protocol.dbw.codec import (
    BodyCommand,
    BrakeCommand,
    BrakeFeedback,
    ContactState,
    DriveCommand,
    DriveFeedback,
    EcuMode,
    EcuState,
    ExitReason,
    Message,
    Motion,
    ParkState,
    SafetyIo,
    SteerCommand,
    SteerFeedback,
    SupCommand,
)
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import (
    BRAKE_CMD,
    BRAKE_FB,
    COMMANDS,
    DRIVE_CMD,
    DRIVE_FB,
    ECU_STATE,
    MOTION,
    SAFETY_IO,
    STEER_CMD,
    STEER_FB,
    SUP_CMD,
    Direction,
    FrameSpec,
)
from vehicle_agent.core.gate import Demand

_MS = 1_000_000
MessageT = TypeVar("MessageT")
SLOT_SLACK_NS = 2 * _MS
"""A slot is due this much early, so that tick jitter does not halve a frame's rate."""


CONFLICT_HEARD_NS = 2_000 * _MS
_NEVER_CAME = (None, -1)
RATE_LIMIT_MAX = 250
"""Largest code of the steering rate limit, 0.001 1/(m·s) a step."""


class Feedback(NamedTuple):
    """What the machine reports now; None is unknown or too old.

    Attributes:
        ecu: mode of the ECU. ecu_reason: its exit reason. ecu_age_ns: since its last state.
        estop: "closed", "open", "discrepancy" or "unknown". key_remote: key not on local.
        speed_mps: + forwards. curvature_per_m: + left. steer_angle_rad: joint or wheel angle.
        gear: engaged. brake_mps2: given. park_applied: None while it moves.
        pitch_rad, roll_rad: body. supply_v: 24 V system.
        conflict: a second sender was heard under the ECU's frames.
    """

    ecu: EcuMode | None = None
    ecu_reason: ExitReason | None = None
    ecu_age_ns: int | None = None
    session_echo: int | None = None
    estop: str = "unknown"
    key_remote: bool | None = None
    speed_mps: float | None = None
    curvature_per_m: float | None = None
    steer_angle_rad: float | None = None
    gear: int | None = None
    brake_mps2: float | None = None
    park_applied: bool | None = None
    pitch_rad: float | None = None
    roll_rad: float | None = None
    supply_v: float | None = None
    conflict: bool = False


class Supervision(NamedTuple):
    """What the supervisor tells the ECU beside the demand.

    Attributes:
        enable: keep or make the ECU active. session: u16 of this enable.
        fault_ack: let a stopped ECU return to standby. link_age_ms: age of the newest command.
    """

    enable: bool
    session: int
    fault_ack: bool
    link_age_ms: int | None


class ByWire:
    """Receives, checks and keeps the ECU's frames; builds the agent's frames when due."""

    def __init__(self, curvature_rate_per_m_s: float) -> None:
        self._rate_limit = min(max(1, round(curvature_rate_per_m_s * 1000)), RATE_LIMIT_MAX)
        self._receiver = DbwReceiver(Direction.TO_AGENT)
        self._sender = DbwSender()
        self._messages: dict[int, tuple[Message, int]] = {}
        self._due_ns: dict[int, int] = {}
        self._sequence = 0
        self._conflict_ns: int | None = None

    @property
    def refused(self) -> Mapping[str, int]:
        """Frames of the ECU that did not count, by reason."""
        return self._receiver.refused

    def receive(self, now_ns: int, frames: Iterable[tuple[int, bytes]]) -> None:
        """Take the frames read since the last tick; what does not count is counted."""
        for can_id, data in frames:
            received = self._receiver.receive(now_ns, can_id, data)
            if received.conflict:
                self._conflict_ns = now_ns
            if received.spec is not None and received.message is not None:
                known_ns = (received.spec.rx_timeout_ms or 0) * _MS
                self._messages[can_id] = (received.message, now_ns + known_ns)

    def feedback(self, now_ns: int) -> Feedback:
        """Return what is known now."""
        ecu = self._fresh(now_ns, ECU_STATE, EcuState)
        safety = self._fresh(now_ns, SAFETY_IO, SafetyIo)
        steer = self._fresh(now_ns, STEER_FB, SteerFeedback)
        drive = self._fresh(now_ns, DRIVE_FB, DriveFeedback)
        brake = self._fresh(now_ns, BRAKE_FB, BrakeFeedback)
        motion = self._fresh(now_ns, MOTION, Motion)
        return Feedback(
            ecu.state if ecu else None,
            ecu.reason if ecu else None,
            self._receiver.age_ns(ECU_STATE, now_ns),
            ecu.session_echo if ecu else None,
            estop_state(safety),
            safety.key_remote if safety else None,
            drive.speed_mps if drive else None,
            steer.curvature_per_m if steer else None,
            steer.angle_rad if steer else None,
            drive.gear if drive else None,
            brake.decel_mps2 if brake else None,
            _park(brake),
            motion.pitch_rad if motion else None,
            motion.roll_rad if motion else None,
            safety.supply_v if safety else None,
            conflict=self._conflict_ns is not None
            and now_ns - self._conflict_ns < CONFLICT_HEARD_NS,
        )

    def transmit(
        self, now_ns: int, demand: Demand, supervision: Supervision, *, at_once: bool
    ) -> tuple[tuple[int, bytes], ...]:
        """Return the frames due now.

        Args:
            now_ns: monotonic. demand: of the gate. supervision: enable, session, age.
            at_once: a stop has just begun: the brake frame is sent out of turn.
        """
        return tuple(
            [
                self._sender.encode(self._message(spec, demand, supervision))
                for spec in COMMANDS
                if self._is_due(now_ns, spec) or (at_once and spec is BRAKE_CMD)
            ]
        )

    def _fresh(self, now_ns: int, spec: FrameSpec, kind: type[MessageT]) -> MessageT | None:
        message, until_ns = self._messages.get(spec.can_id, _NEVER_CAME)
        return message if now_ns <= until_ns and isinstance(message, kind) else None

    def _is_due(self, now_ns: int, spec: FrameSpec) -> bool:
        period_ns = spec.period_ms * _MS
        due_ns = self._due_ns.get(spec.can_id, now_ns)
        on_grid = abs(now_ns - due_ns) <= period_ns
        if on_grid and now_ns + SLOT_SLACK_NS < due_ns:
            return False
        self._due_ns[spec.can_id] = (due_ns if on_grid else now_ns) + period_ns
        return True

    def _message(self, spec: FrameSpec, demand: Demand, supervision: Supervision) -> Message:
        if spec is SUP_CMD:
            self._sequence = (self._sequence + 1) & 0xFFFF
            return SupCommand(
                EcuMode.ACTIVE if supervision.enable else EcuMode.STANDBY,
                supervision.enable,
                demand.estop,
                supervision.fault_ack,
                supervision.session,
                supervision.link_age_ms,
                self._sequence,
            )
        if spec is STEER_CMD:
            return SteerCommand(demand.curvature_per_m, self._rate_limit, demand.steer_valid)
        if spec is DRIVE_CMD:
            return DriveCommand(demand.accel_mps2, demand.speed_limit_mps, demand.direction)
        if spec is BRAKE_CMD:
            return BrakeCommand(demand.brake_mps2, demand.park, demand.retarder)
        return BodyCommand(demand.direction, demand.lights, demand.horn, demand.implement)


def estop_state(safety: SafetyIo | None) -> str:
    """Return what the emergency-stop chain is: closed, open, discrepancy or unknown."""
    if safety is None:
        return "unknown"
    pair = (safety.estop_a, safety.estop_b)
    if safety.discrepancy or ContactState.ERROR in pair:
        return "discrepancy"
    if ContactState.OPEN in pair:
        return "open"
    return "closed" if pair == (ContactState.CLOSED, ContactState.CLOSED) else "unknown"


def _park(brake: BrakeFeedback | None) -> bool | None:
    if brake is None or brake.park not in (ParkState.APPLIED, ParkState.RELEASED):
        return None
    return brake.park is ParkState.APPLIED
