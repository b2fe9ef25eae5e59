"""The emulated by-wire ECU: HF-DBW v1 in, actuator demands out, and its own fail-safe stop.

Pure: the time is passed in. It trusts nothing that the agent says about itself: a command acts only
while every command frame is whole, in sequence, in range and in time, within one enabled session.

Remote control is taken by a handshake (after AutonomouStuff PACMod): DISABLE heard, three valid
frames, then the enable edge under a session number not used since power-up. It ends by the ECU's
own timers, and comes back only by the handshake. A power-up forgets the used sessions; the agent
draws its first session at random for that reason.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Self

from protocol.dbw import matrix
from protocol.dbw.codec import (
    BodyCommand,
    BodyFeedback,
    BrakeCommand,
    BrakeFeedback,
    BrakeSource,
    ContactState,
    DriveCommand,
    DriveFeedback,
    E2eStat,
    Echo,
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
from protocol.dbw.e2e import E2ECounts, E2EStatus
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import COMMANDS, Direction, FrameSpec
from protocol.profiles import MachineProfile
from sim.machines.interface import ActuatorDemand, MachineFeedback

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

# Times of reference matrix HF-DBW v1 and of the handshake.
_INIT_NS = 100 * _NS_PER_MS
_CURVATURE_HOLD_NS = 100 * _NS_PER_MS
_SUPPLY_LOW_NS = 200 * _NS_PER_MS
_SUPPLY_INHIBIT_NS = 2000 * _NS_PER_MS
_DISCREPANCY_NS = 500 * _NS_PER_MS
_CONFLICT_QUIET_NS = 500 * _NS_PER_MS
_VALID_FRAMES = 3
_SUPPLY_MIN_V = 18.0
_SLOWING_SHARE = 0.3
_SLOWING_MARGIN_MPS = 0.5
_OVERSPEED_FACTOR = 1.1
_OVERSPEED_MARGIN_MPS = 0.5
_SLOT_EARLY_NS = _NS_PER_MS
_STAT_PERIOD_NS = matrix.E2E_STAT.period_ms * _NS_PER_MS // len(COMMANDS)
_STAT_COUNT_MAX = 250
_STAT_GAP_MAX_MS = 1000
_ECHO_HOLD_MAX_US = 0xFFFF
_RATE_UNIT_PER_M_S = 0.001

# Half a count of the bus: rounding on the way must not turn a limit into a refusal.
_CURVATURE_ROUNDING_PER_M = 0.000126
_MILLI_ROUNDING = 0.00051


class FirstCause(IntEnum):
    """What ended remote control first; 1…5 is the index of a command frame plus one."""

    NONE = 0
    SUP = 1
    STEER = 2
    DRIVE = 3
    BRAKE = 4
    BODY = 5
    CONFLICT = 16
    STOP_REQUEST = 17
    ENABLE_RELEASED = 18
    MODE_WITHDRAWN = 19
    MANUAL_OVERRIDE = 20
    KEY = 21
    ESTOP = 22
    RELAY = 23
    SUPPLY = 24
    OVERSPEED = 25
    FEEDBACK = 26


class SubState(IntEnum):
    """What the state waits for, for people; no decision of the agent needs it."""

    NONE = 0
    WAIT_DISABLE = 1
    READY = 2
    SESSION_REFUSED = 3
    FRAMES_MISSING = 4
    INTERLOCK = 5
    WAIT_MODE = 6
    BODY_LATE = 7
    LIMITED_ON_REQUEST = 8
    BRAKING = 9
    PARKING = 10
    WAIT_ACK = 11


@dataclass(frozen=True, slots=True)
class EcuProfile:
    """What the ECU knows of its machine. Magnitudes, SI units.

    Attributes:
        curvature_max_per_m, curvature_rate_per_m_s: commands above the first are refused; the
            second limits the change.
        speed_max_mps, reverse_speed_max_mps, degraded_speed_mps: traction ends there.
        accel_max_mps2, traction_jerk_mps3: traction; it may always fall at once.
        service_brake_max_mps2, brake_jerk_mps3: service brake.
        stop_decel_mps2: brake demand of the ECU's own stop.
        brake_delay_worst_s: until the service brake surely acts.
        standstill_mps: speed below which the machine stands.
        direction_change_mps: no traction against a faster motion.
        articulated: steering at standstill swings both bodies.
    """

    curvature_max_per_m: float
    curvature_rate_per_m_s: float
    speed_max_mps: float
    reverse_speed_max_mps: float
    degraded_speed_mps: float
    accel_max_mps2: float
    traction_jerk_mps3: float
    service_brake_max_mps2: float
    brake_jerk_mps3: float
    stop_decel_mps2: float
    brake_delay_worst_s: float
    standstill_mps: float
    articulated: bool
    direction_change_mps: float = 0.5

    @classmethod
    def of(cls, profile: MachineProfile) -> Self:
        """Return the ECU's part of a machine file; degraded is a third of the zone speed."""
        limits = profile.limits
        return cls(
            curvature_max_per_m=limits.curvature_max_per_m,
            curvature_rate_per_m_s=limits.curvature_rate_per_m_s,
            speed_max_mps=limits.speed_max_mps,
            reverse_speed_max_mps=limits.reverse_speed_max_mps,
            degraded_speed_mps=limits.zone_speed_mps / 3.0,
            accel_max_mps2=limits.accel_max_mps2,
            traction_jerk_mps3=limits.traction_jerk_mps3,
            service_brake_max_mps2=limits.service_brake_max_mps2,
            brake_jerk_mps3=limits.brake_jerk_mps3,
            stop_decel_mps2=limits.stop_decel_mps2,
            brake_delay_worst_s=limits.brake_delay_worst_s,
            standstill_mps=limits.standstill_mps,
            articulated=profile.machine.kind == "articulated",
        )


@dataclass(frozen=True, slots=True)
class EcuInputs:
    """The ECU's own contacts; the default is a healthy machine with nobody in the cab."""

    estop_a: ContactState = ContactState.CLOSED
    estop_b: ContactState = ContactState.CLOSED
    relay_feedback: ContactState = ContactState.CLOSED
    key_remote: bool = True
    manual_override: bool = False
    door_seat: ContactState = ContactState.CLOSED

    @property
    def estop_open(self) -> bool:
        """True unless both channels are known to be closed."""
        return not (self.estop_a is self.estop_b is ContactState.CLOSED)

    @property
    def operator_local(self) -> bool:
        """True when somebody at the machine has taken it."""
        return self.manual_override or not self.key_remote


class EcuOutput(NamedTuple):
    """One step's result: what the actuators shall do, and the frames now due."""

    demand: ActuatorDemand
    frames: tuple[tuple[int, bytes], ...]


class _Slot:
    """A cycle that never catches up: slots missed are skipped and counted."""

    __slots__ = ("_period_ns", "due_ns", "skipped")

    def __init__(self, period_ns: int, due_ns: int) -> None:
        self._period_ns = period_ns
        self.due_ns = due_ns
        self.skipped = 0

    def take(self, now_ns: int) -> None:
        """Go on to the next slot of the cycle that lies ahead of the time when this one is due."""
        missed = (now_ns + _SLOT_EARLY_NS - self.due_ns) // self._period_ns
        self.skipped += missed
        self.due_ns += (missed + 1) * self._period_ns


def _slots(start_ns: int) -> dict[FrameSpec, _Slot]:
    """Return a slot per feedback frame, spread so that one step never sends them all."""
    phases_ms = {
        matrix.ECU_STATE: 0,
        matrix.SAFETY_IO: 5,
        matrix.STEER_FB: 0,
        matrix.DRIVE_FB: 10,
        matrix.BRAKE_FB: 15,
        matrix.MOTION: 5,
        matrix.BODY_FB: 15,
        matrix.ECHO: 5,
    }
    slots = {
        spec: _Slot(spec.period_ms * _NS_PER_MS, start_ns + phase_ms * _NS_PER_MS)
        for spec, phase_ms in phases_ms.items()
    }
    slots[matrix.E2E_STAT] = _Slot(_STAT_PERIOD_NS, start_ns + 10 * _NS_PER_MS)
    return slots


_MODES = tuple(EcuMode)
_REMOTE = frozenset({EcuMode.ARMED, EcuMode.ACTIVE, EcuMode.DEGRADED})
_MOVING = frozenset({EcuMode.ACTIVE, EcuMode.DEGRADED})
_LATCHED = frozenset({EcuMode.SAFE_STOP, EcuMode.ESTOP, EcuMode.FAULT})
_STOPPING_COMMANDS = COMMANDS[:4]
_NONE_LATE: frozenset[FrameSpec] = frozenset()
_TIMEOUTS_NS = tuple((spec, (spec.rx_timeout_ms or 0) * _NS_PER_MS) for spec in COMMANDS)


class Ecu:
    """The ECU; one instance is one power-up, and FAULT lasts until the next one.

    Args:
        profile: the machine's limits.
        inputs: contacts at power-up.
        receiver: judges and decodes what comes; a bench may give a defective one.

    Attributes:
        mode, reason, first_cause, sub_state: as sent in ECU_STATE.
        refused: command frames refused beyond the bus receiver's own counts, by reason.
    """

    def __init__(
        self,
        profile: EcuProfile,
        inputs: EcuInputs | None = None,
        receiver: DbwReceiver | None = None,
    ) -> None:
        self.mode = EcuMode.INIT
        self.reason = ExitReason.CLEAR
        self.first_cause = FirstCause.NONE
        self.sub_state = SubState.NONE
        self.refused: Counter[str] = Counter()
        self._profile = profile
        self._inputs = inputs or EcuInputs()
        self._receiver = receiver or DbwReceiver(Direction.TO_ECU)
        self._sender = DbwSender()
        self._slots: dict[FrameSpec, _Slot] = {}
        self._sent_mode = EcuMode.INIT
        self._stat_index = 0
        # Commands
        self._accepted_ns: dict[FrameSpec, int] = {}
        self._out_of_range: set[FrameSpec] = set()
        self._late: frozenset[FrameSpec] = frozenset(COMMANDS)
        self._sup: SupCommand | None = None
        self._sup_ns = 0
        self._steer: SteerCommand | None = None
        self._drive: DriveCommand | None = None
        self._brake_command: BrakeCommand | None = None
        self._body: BodyCommand | None = None
        # Handshake
        self._session = 0
        self._used_sessions: set[int] = set()
        self._valid_run = 0
        self._enabled_run = 0
        self._disable_heard = False
        self._ack_low_heard = False
        # Causes
        self._power_up_ns: int | None = None
        self._stop_ns = 0
        self._stop_from_mps = 0.0
        self._conflict_ns: int | None = None
        self._supply_low_since_ns: int | None = None
        self._differ_since_ns: int | None = None
        self._discrepancy = False
        # Actuators
        self._feedback: MachineFeedback | None = None
        self._stepped_ns: int | None = None
        self._curvature_per_m: float | None = None
        self._traction_mps2 = 0.0
        self._brake_mps2 = 0.0
        self._stop_brake_mps2 = profile.stop_decel_mps2
        self._held_steer: SteerCommand | None = None
        self._park = True

    # --- Commands in ----------------------------------------------------------------------

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state; it acts at the next step."""
        self._inputs = inputs

    def counts(self, spec: FrameSpec) -> E2ECounts:
        """Return what the receiver of one command frame has seen."""
        return self._receiver.channels[spec.can_id].counts

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take one frame from the bus, whatever it is; nothing that comes can raise."""
        received = self._receiver.receive(now_ns, can_id, data)
        if received.conflict:
            self._on_conflict(now_ns)
        spec = received.spec
        if spec is None:
            return
        message = received.message
        if message is None:
            if spec is matrix.SUP_CMD and received.status is not E2EStatus.REPEATED:
                self._valid_run = 0
            if received.error is not None:
                self._refuse_value(spec)
        elif isinstance(message, SupCommand):
            self._on_sup(now_ns, message)
        elif self._fits_machine(message):
            self._accept(now_ns, spec)
            self._store(message)
        else:
            self._refuse_value(spec)

    def _on_conflict(self, now_ns: int) -> None:
        self._conflict_ns = now_ns
        if self.mode is not EcuMode.INIT:
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.OTHER_GUIDANCE, FirstCause.CONFLICT)

    def _refuse_value(self, spec: FrameSpec) -> None:
        self._out_of_range.add(spec)
        self.refused[f"{spec.name}:out_of_range"] += 1

    def _accept(self, now_ns: int, spec: FrameSpec) -> None:
        self._accepted_ns[spec] = now_ns
        self._out_of_range.discard(spec)

    def _fits_machine(self, message: Message) -> bool:
        """True when a command lies inside what this machine may be asked for."""
        p = self._profile
        match message:
            case SteerCommand():
                limit = p.curvature_max_per_m + _CURVATURE_ROUNDING_PER_M
                return abs(message.curvature_per_m) <= limit
            case DriveCommand():
                return (
                    message.accel_mps2 <= p.accel_max_mps2 + _MILLI_ROUNDING
                    and message.speed_limit_mps <= p.speed_max_mps + _MILLI_ROUNDING
                )
            case BrakeCommand():
                return message.decel_mps2 <= p.service_brake_max_mps2 + _MILLI_ROUNDING
            case _:
                return True

    def _store(self, message: Message) -> None:
        match message:
            case SteerCommand():
                self._steer = message
            case DriveCommand():
                self._drive = message
            case BrakeCommand():
                self._brake_command = message
            case BodyCommand():
                self._body = message

    # --- Handshake ------------------------------------------------------------------------

    def _on_sup(self, now_ns: int, sup: SupCommand) -> None:
        if self.mode in _REMOTE and sup.session != self._session:
            self.refused["SUP_CMD:session"] += 1
            return
        self._accept(now_ns, matrix.SUP_CMD)
        self._sup = sup
        self._sup_ns = now_ns
        if self.mode is EcuMode.STANDBY:
            self._standby_frame(now_ns, sup)
        elif self.mode in _REMOTE:
            self._remote_frame(now_ns, sup)
        elif self.mode in _LATCHED:
            self._latched_frame(now_ns, sup)
        self._valid_run = min(_VALID_FRAMES, self._valid_run + 1)

    def _standby_frame(self, now_ns: int, sup: SupCommand) -> None:
        if not sup.enable:
            self._disable_heard = True
            self.sub_state = SubState.READY
            return
        if not self._disable_heard:
            return
        self._disable_heard = False
        self.sub_state = self._arming_refusal(now_ns, sup)
        if self.sub_state is SubState.NONE:
            self._session = sup.session
            self._used_sessions.add(sup.session)
            self._enabled_run = 1
            self.reason = ExitReason.CLEAR
            self.first_cause = FirstCause.NONE
            self.sub_state = SubState.WAIT_MODE
            self.mode = EcuMode.ARMED

    def _arming_refusal(self, now_ns: int, sup: SupCommand) -> SubState:
        """Return what speaks against this enable edge; NONE when nothing does."""
        if sup.session == 0 or sup.session in self._used_sessions:
            self.refused["SUP_CMD:session"] += 1
            return SubState.SESSION_REFUSED
        if self._valid_run < _VALID_FRAMES or self._late_now(now_ns) & set(_STOPPING_COMMANDS):
            return SubState.FRAMES_MISSING
        if (
            EcuMode(sup.mode_request) not in _REMOTE
            or sup.estop_request
            or self._inputs.relay_feedback is not ContactState.CLOSED
            or not self._causes_gone(now_ns)
        ):
            return SubState.INTERLOCK
        return SubState.NONE

    def _remote_frame(self, now_ns: int, sup: SupCommand) -> None:
        request = _MODES[sup.mode_request]
        if sup.estop_request or request is EcuMode.SAFE_STOP:
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.RELEASED, FirstCause.STOP_REQUEST)
        elif not sup.enable:
            self._release(now_ns, FirstCause.ENABLE_RELEASED)
        elif request not in _REMOTE or (request is EcuMode.ARMED and self.mode in _MOVING):
            self._release(now_ns, FirstCause.MODE_WITHDRAWN)
        elif self.mode is EcuMode.ARMED:
            self._enabled_run += 1
            if request in _MOVING and self._enabled_run >= _VALID_FRAMES:
                self.mode = EcuMode.ACTIVE
                self.sub_state = SubState.NONE

    def _release(self, now_ns: int, cause: FirstCause) -> None:
        """End remote control on the agent's wish: at standstill it is no stop."""
        if self._stands:
            self._to_standby(ExitReason.RELEASED, cause)
        else:
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.RELEASED, cause)

    def _latched_frame(self, now_ns: int, sup: SupCommand) -> None:
        """Leave a latched stop on the rising edge of the acknowledgement, if all is well."""
        if not sup.fault_ack:
            self._ack_low_heard = True
            return
        edge = self._ack_low_heard
        self._ack_low_heard = False
        if (
            edge
            and not sup.enable
            and self.mode is not EcuMode.FAULT
            and self._stands
            and self._causes_gone(now_ns)
        ):
            self._to_standby(self.reason, self.first_cause)

    def _to_standby(self, reason: ExitReason, cause: FirstCause) -> None:
        self.mode = EcuMode.STANDBY
        self.reason = reason
        self.first_cause = cause
        self.sub_state = SubState.WAIT_DISABLE
        self._disable_heard = False
        self._session = 0

    def _causes_gone(self, now_ns: int) -> bool:
        """True when no cause to stop is present.

        An open relay is none of them: it opens with every stop, and closes again only in the
        warning before the next start, after this ECU was acknowledged. It bars the start.
        """
        quiet = self._conflict_ns is None or now_ns - self._conflict_ns >= _CONFLICT_QUIET_NS
        return (
            quiet
            and not self._inputs.estop_open
            and not self._inputs.operator_local
            and self._feedback is not None
            and self._feedback.supply_v >= _SUPPLY_MIN_V
        )

    # --- Watching -------------------------------------------------------------------------

    def _stop(self, now_ns: int, mode: EcuMode, reason: ExitReason, cause: FirstCause) -> None:
        """Latch a stop; the first cause stays, and only a harder stop replaces a softer one."""
        if self.mode >= mode:
            return
        if self.mode not in _LATCHED:
            self.reason = reason
            self.first_cause = cause
            self._stop_ns = now_ns
            self._stop_from_mps = 0.0 if self._feedback is None else abs(self._feedback.speed_mps)
            self._stop_brake_mps2 = max(self._profile.stop_decel_mps2, self._brake_mps2)
            self._held_steer = self._steer if self.mode in _MOVING else None
        self.mode = mode
        self.sub_state = SubState.BRAKING
        self._disable_heard = False
        self._ack_low_heard = False
        self._session = 0

    def _late_now(self, now_ns: int) -> frozenset[FrameSpec]:
        accepted_ns = self._accepted_ns
        late = [
            spec
            for spec, timeout_ns in _TIMEOUTS_NS
            if spec not in accepted_ns or now_ns - accepted_ns[spec] > timeout_ns
        ]
        return frozenset(late) if late else _NONE_LATE

    def _watch(self, now_ns: int, feedback: MachineFeedback) -> None:
        if self._power_up_ns is None:
            self._power_up_ns = now_ns
        if self.mode is EcuMode.INIT and now_ns - self._power_up_ns >= _INIT_NS:
            self._to_standby(ExitReason.CLEAR, FirstCause.NONE)
        self._watch_feedback(now_ns, feedback)
        self._watch_contacts(now_ns)
        self._watch_supply(now_ns, feedback, self._power_up_ns)
        self._watch_commands(now_ns)

    def _watch_feedback(self, now_ns: int, feedback: MachineFeedback) -> None:
        speed_mps = feedback.speed_mps
        if not (math.isfinite(speed_mps) and math.isfinite(feedback.curvature_per_m)):
            self._stop(now_ns, EcuMode.FAULT, ExitReason.FUNCTION_FAULT, FirstCause.FEEDBACK)
        elif self.mode in _REMOTE and abs(speed_mps) > (
            _OVERSPEED_FACTOR * self._profile.speed_max_mps + _OVERSPEED_MARGIN_MPS
        ):
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.SPEED_HIGH, FirstCause.OVERSPEED)
        elif self.mode is EcuMode.SAFE_STOP and not self._slows(now_ns, abs(speed_mps)):
            self._stop(now_ns, EcuMode.ESTOP, self.reason, self.first_cause)

    def _slows(self, now_ns: int, speed_mps: float) -> bool:
        """False when the stop leaves the machine faster than a third of its brake would.

        The service brake has failed then; the spring brake, which does not need it, is left.
        """
        braked_s = (now_ns - self._stop_ns) / _NS_PER_S - self._profile.brake_delay_worst_s
        lost_mps = _SLOWING_SHARE * self._profile.stop_decel_mps2 * max(braked_s, 0.0)
        line_mps = self._stop_from_mps + _SLOWING_MARGIN_MPS - lost_mps
        return speed_mps <= max(line_mps, self._profile.standstill_mps)

    def _watch_contacts(self, now_ns: int) -> None:
        inputs = self._inputs
        if inputs.estop_a is inputs.estop_b:
            self._differ_since_ns = None
            self._discrepancy = False
        elif self._differ_since_ns is None:
            self._differ_since_ns = now_ns
        elif now_ns - self._differ_since_ns > _DISCREPANCY_NS:
            self._discrepancy = True
        if inputs.estop_open:
            self._stop(now_ns, EcuMode.ESTOP, ExitReason.OPERATOR_OVERRIDE, FirstCause.ESTOP)
        if self.mode not in _REMOTE:
            return
        if inputs.operator_local:
            cause = FirstCause.MANUAL_OVERRIDE if inputs.manual_override else FirstCause.KEY
            self._to_standby(ExitReason.OPERATOR_OVERRIDE, cause)
        elif inputs.relay_feedback is not ContactState.CLOSED:
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.FUNCTION_FAULT, FirstCause.RELAY)

    def _watch_supply(self, now_ns: int, feedback: MachineFeedback, power_up_ns: int) -> None:
        if feedback.supply_v >= _SUPPLY_MIN_V:
            self._supply_low_since_ns = None
            return
        if self._supply_low_since_ns is None:
            self._supply_low_since_ns = now_ns
        if (
            self.mode in _REMOTE
            and now_ns - self._supply_low_since_ns >= _SUPPLY_LOW_NS
            and now_ns - power_up_ns >= _SUPPLY_INHIBIT_NS
        ):
            self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.FUNCTION_FAULT, FirstCause.SUPPLY)

    def _watch_commands(self, now_ns: int) -> None:
        self._late = self._late_now(now_ns)
        if matrix.SUP_CMD in self._late and self._disable_heard:
            self._disable_heard = False
            self.sub_state = SubState.WAIT_DISABLE
        if self.mode in _REMOTE:
            for index, spec in enumerate(_STOPPING_COMMANDS if self._late else ()):
                if spec in self._late:
                    reason = (
                        ExitReason.OUT_OF_RANGE
                        if spec in self._out_of_range
                        else ExitReason.COMMAND_TIMEOUT
                    )
                    self._stop(now_ns, EcuMode.SAFE_STOP, reason, FirstCause(index + 1))
                    break
        if self.mode in _MOVING:
            self._choose_degraded()

    def _choose_degraded(self) -> None:
        body_late = matrix.BODY_CMD in self._late
        asked = self._sup is not None and self._sup.mode_request == EcuMode.DEGRADED
        self.mode = EcuMode.DEGRADED if body_late or asked else EcuMode.ACTIVE
        if body_late:
            self.sub_state = SubState.BODY_LATE
        else:
            self.sub_state = SubState.LIMITED_ON_REQUEST if asked else SubState.NONE

    @property
    def _stands(self) -> bool:
        feedback = self._feedback
        return feedback is not None and abs(feedback.speed_mps) <= self._profile.standstill_mps

    # --- Actuators ------------------------------------------------------------------------

    def step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        """Advance to ``now_ns``: watch, decide, and send what is due (called every 5 ms)."""
        dt_s = 0.0 if self._stepped_ns is None else (now_ns - self._stepped_ns) / _NS_PER_S
        self._stepped_ns = now_ns
        self._feedback = feedback
        self._watch(now_ns, feedback)
        if self.mode in _MOVING:
            demand = self._drive_demand(dt_s, feedback)
        else:
            demand = self._stop_demand(now_ns, dt_s, feedback)
        self._traction_mps2 = demand.accel_mps2
        self._brake_mps2 = demand.brake_mps2
        self._park = demand.park
        return EcuOutput(demand, tuple(self._due_frames(now_ns, feedback, demand)))

    def _stop_demand(self, now_ns: int, dt_s: float, feedback: MachineFeedback) -> ActuatorDemand:
        """No traction; brake until it stands, then park. A stop holds its curvature first."""
        hard = self.mode in (EcuMode.ESTOP, EcuMode.FAULT)
        stands = self._stands
        park = hard or stands or self._park
        if hard:
            brake_mps2 = self._profile.service_brake_max_mps2
        elif stands and feedback.park_applied is True:
            brake_mps2 = 0.0
        else:
            latched = self.mode is EcuMode.SAFE_STOP
            target = self._stop_brake_mps2 if latched else self._profile.stop_decel_mps2
            brake_mps2 = _slew(self._brake_mps2, target, self._profile.brake_jerk_mps3 * dt_s)
        hold = (
            self.mode is EcuMode.SAFE_STOP
            and now_ns - self._stop_ns < _CURVATURE_HOLD_NS
            and not (stands and self._profile.articulated)
        )
        if self.mode in _LATCHED and stands:
            applied = feedback.park_applied is True
            self.sub_state = SubState.WAIT_ACK if applied else SubState.PARKING
        return ActuatorDemand(
            curvature_per_m=self._steered(dt_s, feedback, self._held_steer if hold else None),
            accel_mps2=0.0,
            speed_limit_mps=0.0,
            direction=0,
            brake_mps2=brake_mps2,
            park=park,
        )

    def _drive_demand(self, dt_s: float, feedback: MachineFeedback) -> ActuatorDemand:
        """Follow the commands within the machine's limits."""
        drive, brake = self._drive, self._brake_command
        assert drive is not None, "armed only with every command frame in time"
        assert brake is not None, "armed only with every command frame in time"
        p = self._profile
        stands = self._stands
        against = drive.direction * feedback.speed_mps < -p.direction_change_mps
        park = self._parked(drive, brake, stands=stands)
        steer = self._steer if self._steer is not None and self._steer.valid else None
        pull = drive.direction != 0 and steer is not None and not (against or brake.park)
        wanted_mps2 = max(0.0, drive.accel_mps2) if pull else 0.0
        braked_mps2 = brake.decel_mps2
        if against or (brake.park and not stands):
            braked_mps2 = max(braked_mps2, p.stop_decel_mps2)
        swing = stands and p.articulated and wanted_mps2 == 0.0
        return ActuatorDemand(
            curvature_per_m=self._steered(dt_s, feedback, None if swing else steer),
            accel_mps2=min(wanted_mps2, self._traction_mps2 + p.traction_jerk_mps3 * dt_s),
            speed_limit_mps=self._speed_limit_mps(drive),
            direction=0 if against else drive.direction,
            brake_mps2=_slew(self._brake_mps2, braked_mps2, p.brake_jerk_mps3 * dt_s),
            park=park,
            retarder=brake.retarder,
            implement=self._implement(),
        )

    def _parked(self, drive: DriveCommand, brake: BrakeCommand, *, stands: bool) -> bool:
        """The spring brake is set at standstill only, and let go only to travel."""
        if drive.direction != 0 and not brake.park:
            return False
        return stands or self._park

    def _speed_limit_mps(self, drive: DriveCommand) -> float:
        limit_mps = drive.speed_limit_mps
        if drive.direction < 0:
            limit_mps = min(limit_mps, self._profile.reverse_speed_max_mps)
        if self.mode is EcuMode.DEGRADED:
            limit_mps = min(limit_mps, self._profile.degraded_speed_mps)
        return limit_mps

    def _implement(self) -> float:
        if self._body is None or matrix.BODY_CMD in self._late:
            return 0.0
        return self._body.implement

    def _steered(
        self, dt_s: float, feedback: MachineFeedback, steer: SteerCommand | None
    ) -> float | None:
        """Move from where the steering is towards ``steer`` within the rates; None freezes it."""
        if steer is None or not steer.valid:
            self._curvature_per_m = None
            return None
        rate = min(self._profile.curvature_rate_per_m_s, steer.rate_limit * _RATE_UNIT_PER_M_S)
        now_at = (
            feedback.curvature_per_m if self._curvature_per_m is None else self._curvature_per_m
        )
        self._curvature_per_m = _slew(now_at, steer.curvature_per_m, rate * dt_s)
        return self._curvature_per_m

    # --- Frames out -----------------------------------------------------------------------

    def _due_frames(
        self, now_ns: int, feedback: MachineFeedback, demand: ActuatorDemand
    ) -> list[tuple[int, bytes]]:
        slots = self._slots = self._slots or _slots(now_ns)
        if self.mode is not self._sent_mode:
            self._sent_mode = self.mode
            slots[matrix.ECU_STATE].due_ns = now_ns
        frames = []
        until_ns = now_ns + _SLOT_EARLY_NS
        for spec, slot in slots.items():
            if slot.due_ns <= until_ns:
                slot.take(now_ns)
                message = self._message(spec, now_ns, feedback, demand)
                if message is not None:
                    frames.append(self._sender.encode(message))
        return frames

    def _message(
        self, spec: FrameSpec, now_ns: int, feedback: MachineFeedback, demand: ActuatorDemand
    ) -> Message | None:
        if spec is matrix.ECU_STATE:
            return self._state_message()
        if spec is matrix.SAFETY_IO:
            return self._safety_message(feedback)
        if spec is matrix.BRAKE_FB:
            return self._brake_message(feedback, demand)
        if spec is matrix.BODY_FB:
            return self._body_message(feedback)
        if spec is matrix.ECHO:
            return self._echo(now_ns)
        if spec is matrix.E2E_STAT:
            return self._next_stat()
        return _measured(spec, feedback, demand, self._limit_status())

    def _state_message(self) -> EcuState:
        reason = self.reason
        if self.mode in _REMOTE:
            reason = ExitReason.CLEAR
            if matrix.BODY_CMD in self._late:
                reason = ExitReason.COMMAND_TIMEOUT
            if self._out_of_range:
                reason = ExitReason.OUT_OF_RANGE
        late = self._late
        return EcuState(
            self.mode,
            self.sub_state,
            reason,
            self.first_cause,
            sum((spec in late) << i for i, spec in enumerate(COMMANDS)) if late else 0,
            self._session,
        )

    def _safety_message(self, feedback: MachineFeedback) -> SafetyIo:
        inputs = self._inputs
        return SafetyIo(
            inputs.estop_a,
            inputs.estop_b,
            self._discrepancy,
            inputs.relay_feedback,
            inputs.key_remote,
            inputs.manual_override,
            _within(feedback.supply_v, 0.0, 50.0),
            inputs.door_seat,
        )

    def _brake_message(self, feedback: MachineFeedback, demand: ActuatorDemand) -> BrakeFeedback:
        sources = 0
        if demand.brake_mps2 > 0.0:
            hard = self.mode in (EcuMode.ESTOP, EcuMode.FAULT)
            own = BrakeSource.ESTOP if hard else BrakeSource.ECU_STOP
            sources += int(BrakeSource.COMMAND if self.mode in _MOVING else own)
        if demand.retarder > 0.0:
            sources += int(BrakeSource.RETARDER)
        if demand.park:
            sources += int(BrakeSource.PARK)
        applied = feedback.park_applied
        park = ParkState.APPLIED if applied else ParkState.RELEASED
        return BrakeFeedback(
            _within(feedback.brake_mps2, 0.0, 64.0),
            None,
            ParkState.MOVING if applied is None else park,
            sources,
        )

    def _body_message(self, feedback: MachineFeedback) -> BodyFeedback:
        """Lights stay as last asked when BODY_CMD is late; the horn falls silent."""
        body, late = self._body, matrix.BODY_CMD in self._late
        return BodyFeedback(
            implement=_within(feedback.implement, -1.0, 1.0),
            lights=body is not None and body.lights,
            horn=body is not None and body.horn and not late,
        )

    def _echo(self, now_ns: int) -> Echo | None:
        hold_us = (now_ns - self._sup_ns) // 1000
        if self._sup is None or hold_us > _ECHO_HOLD_MAX_US:
            return None
        return Echo(self._sup.sequence, self._sup_ns // 1000 & 0xFFFF, hold_us)

    def _next_stat(self) -> E2eStat:
        index = self._stat_index
        self._stat_index = (index + 1) % len(COMMANDS)
        counts = self.counts(COMMANDS[index])
        return E2eStat(
            frame=index,
            crc=min(counts.crc, _STAT_COUNT_MAX),
            repeat=min(counts.repeat, _STAT_COUNT_MAX),
            lost=min(counts.lost, _STAT_COUNT_MAX),
            late=min(counts.late, _STAT_COUNT_MAX),
            burst=min(counts.burst, _STAT_COUNT_MAX),
            max_gap_ms=min(counts.max_gap_ms, _STAT_GAP_MAX_MS),
        )

    def _limit_status(self) -> int:
        """ISO 11783-7: 2 limited high (at the right stop), 3 limited low, 0 not limited."""
        curvature = self._curvature_per_m
        if curvature is None or abs(curvature) < self._profile.curvature_max_per_m:
            return 0
        return 3 if curvature > 0 else 2


def _measured(
    spec: FrameSpec, feedback: MachineFeedback, demand: ActuatorDemand, limit_status: int
) -> Message | None:
    """Return what the sensors say; a value that its signal cannot carry is not available."""
    if spec is matrix.STEER_FB:
        return SteerFeedback(
            _within(feedback.steer_angle_rad, -5.58, 5.58),
            _within(feedback.curvature_per_m, -8.03, 8.03),
            limit_status,
        )
    if spec is matrix.DRIVE_FB:
        return DriveFeedback(
            _within(feedback.speed_mps, -32.0, 32.0),
            _within(feedback.engine_rpm, 0.0, 8031.0),
            feedback.gear,
            _within(demand.accel_mps2, -6.25, 6.25),
        )
    if spec is matrix.MOTION:
        return Motion(
            _within(feedback.yaw_rate_radps, -2.0, 2.0),
            _within(feedback.accel_mps2, -6.25, 6.25),
            _within(feedback.pitch_rad, -1.0, 1.0),
            _within(feedback.roll_rad, -1.0, 1.0),
        )
    return None


def _within(value: float, low: float, high: float) -> float | None:
    return value if low <= value <= high else None


def _slew(value: float, target: float, most: float) -> float:
    """Return ``value`` moved towards ``target`` by at most ``most``."""
    return target if abs(target - value) <= most else value + math.copysign(most, target - value)
