"""The by-wire side of a machine that speaks J1939 or ISOBUS: the same face as ``bywire.ByWire``.

Only fresh data of an engaged machine is translated. Everything else is denied here, once for all
adapters: traction and steering are closed, and a machine that still moves is braked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.dbw.codec import (
    BodyCommand,
    BrakeFeedback,
    BrakeSource,
    ContactState,
    EcuMode,
    ExitReason,
    Message,
    Motion,
    ParkState,
    SafetyIo,
    SteerFeedback,
)
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.errors import DbwError
from protocol.dbw.matrix import (
    BODY_CMD,
    BRAKE_FB,
    MOTION,
    SAFETY_IO,
    STEER_FB,
    Direction,
    FrameSpec,
)
from protocol.profiles import MachineLimits
from protocol.signals import Timing
from vehicle_agent.core.bywire import CONFLICT_HEARD_NS, Feedback, Supervision, estop_state
from vehicle_agent.core.channel import Cycle
from vehicle_agent.core.engagement import Engagement, Seen, Wish
from vehicle_agent.core.gate import Demand


@dataclass(frozen=True, slots=True)
class Allowed:
    """What of a demand may go on the bus now.

    Attributes:
        accel_mps2: traction; None closes it. speed_limit_mps: for it.
        direction: gear to be in, −1, 0, 1; None: nothing is asked.
        curvature_per_m: positive left; None closes the steering.
        brake_mps2, retarder: a magnitude, and a share. park: the park brake is asked.
        at_rest: it stands and nobody drives it: the service brake may be closed too.
        hurry: the brake is sent out of turn. alarmed: a stop is latched.
    """

    accel_mps2: float | None
    speed_limit_mps: float
    direction: int | None
    curvature_per_m: float | None
    brake_mps2: float
    retarder: float
    park: bool
    at_rest: bool
    hurry: bool
    alarmed: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a machine tells by its own standard; None is unknown or too old.

    Attributes:
        whole: every row of the standard that driving needs is in time.
        ready: the machine takes commands. overridden: by a pedal or wheel in its cab.
        exit_reason: why it last let go, by itself.
        speed_mps: + forwards. curvature_per_m: + left; None where the standard has none.
        gear: −1, 0, 1. park_applied: None where the standard has none.
    """

    whole: bool
    ready: bool
    overridden: bool
    exit_reason: ExitReason
    speed_mps: float | None
    curvature_per_m: float | None
    gear: int | None
    park_applied: bool | None


class Translator(Protocol):
    """One standard: its frames in, its frames out. ``rows``: of HF-DBW that it needs beside."""

    rows: tuple[FrameSpec, ...]

    def take(self, now_ns: int, can_id: int, data: bytes) -> bool:
        """Take a frame; False when it is none of the standard's. Raises DbwError on a bad one."""
        ...

    def told(self, now_ns: int) -> Told:
        """Return what is known."""
        ...

    def frames(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        """Return the standard's frames that are due."""
        ...

    def auxiliary(self, allowed: Allowed) -> tuple[tuple[FrameSpec, Message], ...]:
        """Return the rows of HF-DBW that the retrofit's module takes beside the body's."""
        ...


class AdaptedWire:
    """Receives, checks and keeps the machine's frames; translates what is allowed.

    Args:
        translator: of the machine's standard. limits, timing: as the supervisor's.

    Attributes:
        refused: frames that did not count, by reason.
    """

    def __init__(self, translator: Translator, limits: MachineLimits, timing: Timing) -> None:
        self._translator, self._limits = translator, limits
        self._fresh_ms = timing.command_stop_ms
        self._receiver = DbwReceiver(Direction.TO_AGENT)
        self._sender = DbwSender()
        self._messages: dict[int, Message] = {}
        self._cycles: dict[FrameSpec, Cycle] = {}
        self._bad: Counter[str] = Counter()
        self._conflict_ns: int | None = None
        self.engagement = Engagement()

    @property
    def refused(self) -> Mapping[str, int]:
        """Frames of the machine that did not count, by reason."""
        return self._receiver.refused + self._bad

    def receive(self, now_ns: int, frames: Iterable[tuple[int, bytes]]) -> None:
        """Take the frames read since the last tick; what does not count is counted."""
        for can_id, data in frames:
            try:
                if self._translator.take(now_ns, can_id, data):
                    continue
            except DbwError as error:
                self._bad[error.refusal.value] += 1
                continue
            received = self._receiver.receive(now_ns, can_id, data)
            if received.conflict:
                self._conflict_ns = now_ns
            if received.message is not None:
                self._messages[can_id] = received.message

    # -- what is known

    def feedback(self, now_ns: int) -> Feedback:
        """Return what is known now. A machine that is not whole is a silent ECU."""
        told = self._translator.told(now_ns)
        safety = self._safety(now_ns)
        steer, brake = self._row(now_ns, STEER_FB), self._row(now_ns, BRAKE_FB)
        motion = self._row(now_ns, MOTION)
        whole = self._whole(now_ns, told)
        return Feedback(
            ecu=self.engagement.mode if whole else None,
            ecu_reason=self.engagement.reason,
            ecu_age_ns=self._receiver.age_ns(SAFETY_IO, now_ns) if whole else None,
            session_echo=self.engagement.session,
            estop=estop_state(safety),
            key_remote=safety.key_remote if safety else None,
            speed_mps=told.speed_mps,
            curvature_per_m=_first(told.curvature_per_m, steer, "curvature_per_m"),
            steer_angle_rad=steer.angle_rad if isinstance(steer, SteerFeedback) else None,
            gear=told.gear,
            brake_mps2=brake.decel_mps2 if isinstance(brake, BrakeFeedback) else None,
            park_applied=_parked(told, brake),
            pitch_rad=motion.pitch_rad if isinstance(motion, Motion) else None,
            roll_rad=motion.roll_rad if isinstance(motion, Motion) else None,
            supply_v=safety.supply_v if safety else None,
            conflict=self._conflict_ns is not None
            and now_ns - self._conflict_ns < CONFLICT_HEARD_NS,
        )

    def _row(self, now_ns: int, spec: FrameSpec) -> Message | None:
        late = self._receiver.timed_out(spec, now_ns)
        return None if late else self._messages.get(spec.can_id)

    def _safety(self, now_ns: int) -> SafetyIo | None:
        row = self._row(now_ns, SAFETY_IO)
        assert row is None or isinstance(row, SafetyIo), "its codec makes nothing else of it"
        return row

    def _whole(self, now_ns: int, told: Told) -> bool:
        rows = (SAFETY_IO, BRAKE_FB, *self._translator.rows)
        return told.whole and all(self._row(now_ns, spec) is not None for spec in rows)

    def _seen(self, now_ns: int) -> Seen:
        told, safety = self._translator.told(now_ns), self._safety(now_ns)
        if safety is None:
            return Seen()
        speed_mps = told.speed_mps
        return Seen(
            whole=self._whole(now_ns, told),
            ready=told.ready
            and safety.relay_feedback is ContactState.CLOSED
            and not self._brakes_by_itself(now_ns),
            estop_open=estop_state(safety) != "closed",
            local=safety.manual_override or not safety.key_remote or told.overridden,
            stands=speed_mps is not None and abs(speed_mps) <= self._limits.standstill_mps,
            exit_reason=told.exit_reason,
        )

    def _brakes_by_itself(self, now_ns: int) -> bool:
        """Return whether the retrofit's module holds a stop of its own."""
        brake = self._row(now_ns, BRAKE_FB)
        own = BrakeSource.ECU_STOP | BrakeSource.ESTOP
        return isinstance(brake, BrakeFeedback) and bool(brake.source_bits & own)

    # -- what is said

    def transmit(
        self, now_ns: int, demand: Demand, supervision: Supervision, *, at_once: bool
    ) -> tuple[tuple[int, bytes], ...]:
        """Return the frames due now.

        Args:
            now_ns: monotonic. demand: of the gate. supervision: enable, session, age.
            at_once: a stop has just begun: the brake is sent out of turn.
        """
        wish = Wish(supervision.enable, supervision.session, supervision.fault_ack, demand.estop)
        seen = self._seen(now_ns)
        mode = self.engagement.step(now_ns, wish, seen)
        allowed = self._allowed(mode, demand, supervision, seen, at_once=at_once)
        own = self._translator.frames(now_ns, allowed)
        body = BodyCommand(demand.direction, demand.lights, demand.horn, self._tool(mode, demand))
        beside = (*self._translator.auxiliary(allowed), (BODY_CMD, body))
        rows = [
            self._sender.encode(message)
            for spec, message in beside
            if self._cycle(spec).due(now_ns, at_once=at_once)
        ]
        return (*own, *rows)

    def _cycle(self, spec: FrameSpec) -> Cycle:
        return self._cycles.setdefault(spec, Cycle(spec.period_ms))

    def _tool(self, mode: EcuMode, demand: Demand) -> float:
        return demand.implement if mode is EcuMode.ACTIVE else 0.0

    def _allowed(
        self,
        mode: EcuMode,
        demand: Demand,
        supervision: Supervision,
        seen: Seen,
        *,
        at_once: bool,
    ) -> Allowed:
        """Deny by default: what is not fresh, engaged and asked for is closed."""
        engaged = mode is EcuMode.ACTIVE
        age_ms = supervision.link_age_ms
        fresh = age_ms is not None and age_ms <= self._fresh_ms
        pulls = demand.speed_limit_mps > 0.0 and demand.direction != 0 and not demand.park
        stop_mps2 = self._limits.stop_decel_mps2
        return Allowed(
            accel_mps2=max(demand.accel_mps2, 0.0) if engaged and fresh and pulls else None,
            speed_limit_mps=demand.speed_limit_mps,
            direction=demand.direction if engaged else None,
            curvature_per_m=demand.curvature_per_m if engaged and demand.steer_valid else None,
            brake_mps2=demand.brake_mps2 if engaged else max(demand.brake_mps2, stop_mps2),
            retarder=demand.retarder if engaged else 0.0,
            park=demand.park or (seen.stands and not engaged),
            at_rest=seen.stands and not engaged,
            hurry=at_once,
            alarmed=mode in (EcuMode.SAFE_STOP, EcuMode.ESTOP),
        )


def _first(value: float | None, row: Message | None, name: str) -> float | None:
    """Return what the standard tells, or else what the retrofit's row does."""
    return getattr(row, name, None) if value is None else value


def _parked(told: Told, brake: Message | None) -> bool | None:
    if told.park_applied is not None or not isinstance(brake, BrakeFeedback):
        return told.park_applied
    known = brake.park in (ParkState.APPLIED, ParkState.RELEASED)
    return brake.park is ParkState.APPLIED if known else None


class Rows:
    """The newest good message of each row of a standard, and whether it is in time.

    Args:
        timeouts_ms: by parameter group; every one of them is needed.
        source: the only address that counts for a group; others are refused.
    """

    def __init__(self, timeouts_ms: Mapping[int, int], sources: Mapping[int, int]) -> None:
        self._timeouts_ns = {pgn: ms * 1_000_000 for pgn, ms in timeouts_ms.items()}
        self._sources = sources
        self._kept: dict[int, tuple[int, object | None]] = {}

    def mine(self, pgn: int, source: int) -> bool:
        """Return whether a frame of this group and source is one of these rows."""
        return self._sources.get(pgn) == source

    def keep(self, now_ns: int, pgn: int, message: object | None) -> None:
        """Note a good message; None says that the row tells nothing."""
        self._kept[pgn] = (now_ns, message)

    def forget(self, pgn: int) -> None:
        """Know nothing of a row any more."""
        if pgn in self._kept:
            del self._kept[pgn]

    def get(self, now_ns: int, pgn: int) -> object | None:
        """Return a row's message; None when it is too old or never came."""
        kept = self._kept.get(pgn)
        if kept is None or now_ns - kept[0] > self._timeouts_ns[pgn]:
            return None
        return kept[1]

    def whole(self, now_ns: int) -> bool:
        """Return whether every row is in time."""
        return all(self.get(now_ns, pgn) is not None for pgn in self._timeouts_ns)
