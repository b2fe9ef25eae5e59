"""What happened in a lock-step run: stops, distances, ages; measured from outside, by the truth."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from protocol.dbw.codec import BrakeCommand, decode
from protocol.dbw.matrix import BRAKE_CMD
from protocol.errors import ProtocolError
from protocol.frames import decode_state
from protocol.j1939.codec import XBR, decode_xbr
from protocol.j1939.ids import parse_id
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode, VehicleState, parse_state
from sim.drive_log import ASKED_FOR
from sim.simulated_machine import Truth
from vehicle_agent.core.supervisor import TickOutputs

MOVING = frozenset({VehicleMode.ACTIVE, VehicleMode.DEGRADED})
STOP_MODES = frozenset(
    {VehicleMode.STOPPING, VehicleMode.STOPPED, VehicleMode.ESTOP, VehicleMode.FAULT}
)
FAULT_MEMORY_NS = 5_000_000_000
"""A stop this long after a scripted event is its doing."""
ROW_NS = 100_000_000
"""Rows for plots and logs."""
STANDS_NS = 300_000_000
"""It stands when it has not moved for this long: on an incline it may roll back first."""
ODOMETER_KEPT = 1000
BRAKING_MPS2 = 0.1


@dataclass(slots=True)
class Stop:
    """One stop.

    Attributes:
        at_s: since the machine was first ACTIVE.
        cause: event id, as the machine names it in the end: what made the stop hard counts.
        scripted: an event of the scenario came shortly before it.
        speed_mps, grade, station_m: where and how fast.
        brake_after_command_ms: from the last accepted command's leaving the console to the first
            brake demand on the bus; None when no demand was seen.
        from_m: odometer at the scripted event, or where the last accepted command was sent.
        braked_m: odometer at the brake demand. stood_s: from the stop to standstill.
        stop_distance_m: from ``from_m`` to standstill; None while it moves.
        brake_distance_m: from the brake demand.
        creep_m: moved since it stood.
    """

    at_s: float
    cause: str | None
    scripted: bool
    speed_mps: float
    grade: float
    station_m: float
    from_m: float
    brake_after_command_ms: float | None = None
    braked_m: float | None = None
    stood_s: float | None = None
    stop_distance_m: float | None = None
    brake_distance_m: float | None = None
    stood_at_m: float | None = None
    creep_m: float = 0.0

    @property
    def false(self) -> bool:
        """Nobody asked for it, and nothing was scripted to bring it about."""
        return not self.scripted and self.cause not in ASKED_FOR

    def as_dict(self) -> dict[str, object]:
        """For JSON, rounded."""
        return {
            "at_s": round(self.at_s, 3),
            "cause": self.cause,
            "scripted": self.scripted,
            "speed_mps": round(self.speed_mps, 3),
            "grade": round(self.grade, 4),
            "station_m": round(self.station_m, 2),
            "brake_after_command_ms": _rounded(self.brake_after_command_ms, 1),
            "stop_distance_m": _rounded(self.stop_distance_m, 3),
            "brake_distance_m": _rounded(self.brake_distance_m, 3),
            "stop_time_s": _rounded(self.stood_s, 2),
            "creep_m": round(self.creep_m, 3),
        }


@dataclass(slots=True)
class Row:
    """The machine at one moment, ten times a second, for plots and logs.

    Attributes:
        t_s: since the machine was first ACTIVE. view_age_ms, loop_ms: None when unknown.
    """

    t_s: float
    mode: str
    x_m: float
    y_m: float
    station_m: float
    offset_m: float
    speed_mps: float
    cap_mps: float
    cap_reason: str
    brake_mps2: float
    loop_ms: float | None
    view_age_ms: float | None


@dataclass(slots=True)
class Watch:
    """Collects from the first tick to the last; see the fields of :class:`Stop` and :class:`Row`.

    Attributes:
        over_cap_max_mps, cap_min_mps: while ACTIVE; in DEGRADED the machine coasts.
        active_ns: when the machine was first ACTIVE, None before.
        modes: what it went through, with times. events: catalogue ids, with times.
    """

    stops: list[Stop] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    modes: list[tuple[int, VehicleMode]] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    command_ages_ms: list[float] = field(default_factory=list)
    active_ns: int | None = None
    starts: int = 0
    start_m: float = 0.0
    offset_max_m: float = 0.0
    speed_max_mps: float = 0.0
    over_cap_max_mps: float = 0.0
    cap_min_mps: float | None = None
    truth: Truth | None = None
    state: VehicleState | None = None
    _odometer: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=ODOMETER_KEPT))
    _mode: VehicleMode = VehicleMode.STANDBY
    _last_accepted: int | None = None
    _accepted_left_ns: int = 0
    _row_ns: int = 0
    _still_since_ns: int | None = None

    def seconds(self, now_ns: int) -> float:
        """Time since the machine was first ACTIVE, s; negative before is 0."""
        return 0.0 if self.active_ns is None else (now_ns - self.active_ns) / 1e9

    @property
    def standing_stop(self) -> Stop | None:
        """The stop that the machine stands in now."""
        if self._mode not in STOP_MODES or not self.stops:
            return None
        return self.stops[-1] if self.stops[-1].stood_at_m is not None else None

    def tick(
        self,
        now_ns: int,
        mode: VehicleMode,
        outputs: TickOutputs,
        truth: Truth,
        sent_ns: dict[int, int],
        fault_ns: int | None,
    ) -> None:
        """Take in one tick of the supervisor.

        Args:
            now_ns: when. mode: after the tick. outputs: of the tick. truth: the simulator's.
            sent_ns: when each command left the console, by sequence.
            fault_ns: when the newest scripted event began.
        """
        self.truth = truth
        self._odometer.append((now_ns, truth["distance_m"]))
        self.events += [(now_ns, event) for event in outputs.events]
        was, self._mode = self._mode, mode
        row_due = self.active_ns is not None and now_ns >= self._row_ns
        if outputs.state is not None and (row_due or mode in STOP_MODES or mode is not was):
            self._hear(now_ns, outputs.state, sent_ns)
        if mode is not was:
            self.modes.append((now_ns, mode))
            self._mode_changed(now_ns, was, mode, truth, fault_ns)
        if self.stops and mode in STOP_MODES:
            self._follow(now_ns, self.stops[-1], outputs, truth)
        if mode in MOVING:
            self._measure(truth, mode)
        if row_due and outputs.state is not None and self.state is not None:
            self._row_ns = now_ns + ROW_NS
            self.rows.append(self._row(now_ns, truth, self.state))

    def _hear(self, now_ns: int, data: bytes, sent_ns: dict[int, int]) -> None:
        try:
            state = self.state = parse_state(decode_state(data, {}).frame.json)
        except ProtocolError:
            return
        newest = max((number for number in state.accepted if number is not None), default=None)
        if newest is None or newest == self._last_accepted or newest not in sent_ns:
            return
        self._last_accepted, left_ns = newest, sent_ns[newest]
        self._accepted_left_ns = left_ns
        if self._mode in MOVING:
            held_ns = (state.accepted_hold_us or 0) * 1000
            self.command_ages_ms.append((now_ns - held_ns - left_ns) / 1e6)

    def _mode_changed(
        self,
        now_ns: int,
        was: VehicleMode,
        mode: VehicleMode,
        truth: Truth,
        fault_ns: int | None,
    ) -> None:
        if mode in MOVING and was not in MOVING:
            self.starts += 1
            if self.active_ns is None:
                self.active_ns, self.start_m = now_ns, truth["distance_m"]
                self._row_ns = now_ns
        elif mode in STOP_MODES and was not in STOP_MODES and was in MOVING:
            self._begin_stop(now_ns, truth, fault_ns)

    def _begin_stop(self, now_ns: int, truth: Truth, fault_ns: int | None) -> None:
        self._still_since_ns = None
        scripted = fault_ns is not None and now_ns - fault_ns <= FAULT_MEMORY_NS
        since_ns = fault_ns if scripted and fault_ns is not None else self._accepted_left_ns
        self.stops.append(
            Stop(
                at_s=self.seconds(now_ns),
                cause=None if self.state is None else self.state.cause,
                scripted=scripted,
                speed_mps=truth["speed_mps"],
                grade=truth["pitch_rad"],
                station_m=truth["station_m"],
                from_m=self._odometer_at(since_ns),
            )
        )

    def _odometer_at(self, at_ns: int) -> float:
        before = next((m for ns, m in reversed(self._odometer) if ns <= at_ns), None)
        return self._odometer[0][1] if before is None else before

    def _follow(self, now_ns: int, stop: Stop, outputs: TickOutputs, truth: Truth) -> None:
        distance_m = truth["distance_m"]
        if outputs.state is not None and self.state is not None:
            stop.cause = self.state.cause or stop.cause
        if stop.braked_m is None and _brakes(outputs):
            stop.braked_m = distance_m
            stop.brake_after_command_ms = (now_ns - self._accepted_left_ns) / 1e6
        if stop.stood_at_m is not None:
            stop.creep_m = distance_m - stop.stood_at_m
        elif self._stands(now_ns, truth):
            assert self._still_since_ns is not None
            stop.stood_at_m = distance_m
            stop.stood_s = self.seconds(self._still_since_ns) - stop.at_s
            stop.stop_distance_m = distance_m - stop.from_m
            if stop.braked_m is not None:
                stop.brake_distance_m = distance_m - stop.braked_m

    def _stands(self, now_ns: int, truth: Truth) -> bool:
        if truth["speed_mps"] != 0.0:
            self._still_since_ns = None
            return False
        if self._still_since_ns is None:
            self._still_since_ns = now_ns
        return now_ns - self._still_since_ns >= STANDS_NS

    def _measure(self, truth: Truth, mode: VehicleMode) -> None:
        speed_mps = abs(truth["speed_mps"])
        self.offset_max_m = max(self.offset_max_m, abs(truth["offset_m"]))
        self.speed_max_mps = max(self.speed_max_mps, speed_mps)
        if self.state is None or mode is not self.state.mode or mode is not VehicleMode.ACTIVE:
            return
        cap_mps = self.state.cap_mps
        self.over_cap_max_mps = max(self.over_cap_max_mps, speed_mps - cap_mps)
        lowest_mps = cap_mps if self.cap_min_mps is None else self.cap_min_mps
        self.cap_min_mps = min(lowest_mps, cap_mps)

    def _row(self, now_ns: int, truth: Truth, state: VehicleState) -> Row:
        margin_ms = state.margins.view_ms
        return Row(
            t_s=self.seconds(now_ns),
            mode=state.mode.value,
            x_m=truth["x_m"],
            y_m=truth["y_m"],
            station_m=truth["station_m"],
            offset_m=truth["offset_m"],
            speed_mps=truth["speed_mps"],
            cap_mps=state.cap_mps,
            cap_reason="" if state.cap_reason is None else state.cap_reason.value,
            brake_mps2=truth["brake_mps2"],
            loop_ms=state.loop_ms,
            view_age_ms=None
            if margin_ms is None
            else float(DEFAULT_TIMING.view_stop_ms - margin_ms),
        )


def _brakes(outputs: TickOutputs) -> bool:
    """Whether a brake demand is among the frames of this tick."""
    for can_id, data in outputs.bus:
        if can_id == BRAKE_CMD.can_id:
            message = decode(can_id, data)
            if isinstance(message, BrakeCommand) and message.decel_mps2 > BRAKING_MPS2:
                return True
        elif parse_id(can_id).pgn == XBR:
            demand, _ = decode_xbr(can_id, data)
            if demand.decel_mps2 > BRAKING_MPS2:
                return True
    return False


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
