"""The fail-safe table: the only place where a condition meets an action, and its engine.

Rows are data, checked when imported. Where several hold at once the stricter action wins, by
the order of :class:`Action`; of equal ones the upper row names the cause, so rows that explain
others stand above them (a late guardian makes commands stale). Tier 1 (up to DEGRADE) clears
itself; tier 2 (STOP, ESTOP) latches through reconnect, restart and change of driver. What latched
it first stays its cause; only what turns a stop into a hard one takes its place, because that is
what somebody must go and see to, and not where the first cause stands above it and so explains it
(a silent ECU tells no speed, and a stop without a speed is a hard one). The events tell of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from protocol.events import EVENTS, Severity
from protocol.state import VehicleMode
from vehicle_agent.core.conditions import CONDITION_NAMES


class Action(IntEnum):
    """What the machine does, stricter ones higher."""

    NONE = 0
    WARN = 1
    """Tell the driver."""
    CAP = 2
    """Lower the speed cap."""
    DEGRADE = 3
    """Traction off, curvature held."""
    STOP = 4
    """Controlled stop on the held curvature, park, latch."""
    ESTOP = 5
    """The same, and ask the ECU for its hardest stop."""


class Clear(StrEnum):
    """When an action ends."""

    SELF = "when the condition has gone"
    RESET = "by the driver's reset, after the restart guard"


M = VehicleMode
ANY = frozenset(VehicleMode)
DRIVING = frozenset({M.ACTIVE, M.DEGRADED})
POWERED = DRIVING | {M.ARMED}
HELD = POWERED | {M.LEASED}
PARKED = frozenset({M.STANDBY, M.LEASED, M.ARMED, M.STOPPED, M.FAULT})
"""Modes in which the machine must not move at all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        condition: a field of Conditions. scope: the modes in which it counts.
        action: what the machine does. clear: when that ends. event: catalogue id.
    """

    condition: str
    scope: frozenset[VehicleMode]
    action: Action
    clear: Clear
    event: str


S, R = Clear.SELF, Clear.RESET
TABLE: tuple[Row, ...] = (
    Row("estop_open", ANY, Action.ESTOP, R, "M105"),
    Row("estop_discrepancy", ANY, Action.ESTOP, R, "M106"),
    Row("moved_while_stopped", PARKED, Action.ESTOP, R, "M112"),
    Row("clock_trouble", ANY, Action.STOP, R, "G102"),
    Row("guardian_late", POWERED, Action.STOP, R, "G101"),
    Row("ended_while_driving", ANY, Action.STOP, R, "G105"),
    Row("ecu_silent", POWERED, Action.STOP, R, "M101"),
    Row("speed_unknown", POWERED, Action.STOP, R, "M107"),
    Row("safety_unknown", POWERED, Action.STOP, R, "M115"),
    Row("stop_ineffective", frozenset({M.STOPPING}), Action.ESTOP, R, "M118"),
    Row("settings_mismatch", HELD, Action.STOP, R, "G103"),
    Row("second_authority", ANY, Action.STOP, R, "G104"),
    Row("relay_welded", ANY, Action.STOP, R, "M117"),
    Row("stop_by_driver", ANY, Action.STOP, R, "D105"),
    Row("stop_by_other", ANY, Action.STOP, R, "D106"),
    Row("enable_released", DRIVING, Action.STOP, R, "D101"),
    Row("local_key_turned", POWERED, Action.STOP, R, "M120"),
    Row("ecu_conflict", POWERED, Action.STOP, R, "M114"),
    Row("relay_open", DRIVING, Action.STOP, R, "M104"),
    Row("ecu_stopped", DRIVING, Action.STOP, R, "M102"),
    Row("ecu_latched", frozenset({M.LEASED, M.ARMED}), Action.STOP, R, "M102"),
    Row("command_late", DRIVING, Action.DEGRADE, S, "L101"),
    Row("command_stale", POWERED, Action.STOP, R, "L102"),
    Row("loop_slow", DRIVING, Action.CAP, S, "L103"),
    Row("path_silent", HELD, Action.CAP, S, "L104"),
    Row("lease_lost", ANY, Action.STOP, R, "L105"),
    Row("view_late", DRIVING, Action.CAP, S, "V101"),
    Row("view_stale", DRIVING, Action.STOP, R, "V102"),
    Row("display_unhealthy", DRIVING, Action.STOP, R, "V103"),
    Row("enable_never_released", HELD, Action.WARN, S, "D102"),
    Row("input_still", DRIVING, Action.STOP, R, "D103"),
    Row("input_conflict", DRIVING, Action.DEGRADE, S, "D104"),
    Row("input_out_of_range", DRIVING, Action.WARN, S, "D107"),
    Row("output_mismatch", DRIVING, Action.STOP, R, "M103"),
    Row("actuators_unknown", DRIVING, Action.DEGRADE, S, "M116"),
    Row("over_speed", DRIVING, Action.STOP, R, "M108"),
    Row("tilt_exceeded", POWERED, Action.STOP, R, "M109"),
    Row("supply_low", POWERED, Action.STOP, R, "M110"),
    Row("zone_breached", POWERED, Action.STOP, R, "M113"),
    Row("park_not_set", frozenset({M.STOPPED, M.ESTOP}), Action.WARN, S, "M119"),
)

AFTER_RESET = frozenset({"ecu_stopped", "ecu_latched", "relay_open"})
"""What goes only after the reset: the ECU waits for it, the relay for the warning that follows."""


def checked(table: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return a table that holds each condition once, in some mode, and latches every stop.

    Raises:
        ValueError: naming the row and what is wrong with it.
    """
    names = [row.condition for row in table]
    if sorted(names) != sorted(CONDITION_NAMES):
        odd = set(names) ^ set(CONDITION_NAMES)
        raise ValueError(f"fail-safe table and conditions differ: {sorted(odd)}")
    for row in table:
        if row.event not in EVENTS:
            raise ValueError(f"{row.condition}: event {row.event} is not in the catalogue")
        if not row.scope:
            raise ValueError(f"{row.condition}: counts in no mode")
        if (row.action >= Action.STOP) != (row.clear is Clear.RESET):
            raise ValueError(f"{row.condition}: stops latch, and nothing else does")
        if row.action >= Action.STOP and EVENTS[row.event].severity < Severity.ALARM:
            raise ValueError(f"{row.condition}: a stop is told as an alarm, not as {row.event}")
    return table


LATCHED_EVENTS = frozenset(row.event for row in checked(TABLE) if row.action >= Action.STOP)
STRICTEST_FIRST = {
    row.condition: (order, row)
    for order, row in enumerate(sorted(TABLE, key=lambda row: -row.action))
}
"""Each condition's row, and its place when the strictest action comes first."""


def _explains(event: str, row: Row) -> bool:
    """Return whether a row of ``event`` stands above ``row``."""
    return any(upper.event == event for upper in TABLE[: TABLE.index(row)])


class Verdict(NamedTuple):
    """What the engine says for one tick.

    Attributes:
        action: the strictest that holds now or is latched.
        cause: event id of the latched cause, else of the strictest row that holds.
        holding: event ids of all rows that hold now, strictest first.
    """

    action: Action
    cause: str | None
    holding: tuple[str, ...]


class FailSafe:
    """Turns conditions into an action; remembers the latched cause and nothing else."""

    def __init__(self, latched: str | None = None, *, hard: bool = False) -> None:
        self._latched = latched
        self._hard = hard

    @property
    def latched(self) -> str | None:
        """Event id of the cause of the stop that stands, or None."""
        return self._latched

    def decide(self, mode: VehicleMode, present: Iterable[str]) -> Verdict:
        """Return the verdict for the conditions ``present`` in ``mode``; latches stops."""
        known = STRICTEST_FIRST.keys() & present
        ordered = sorted(STRICTEST_FIRST[condition] for condition in known)
        rows = [row for _, row in ordered if mode in row.scope]
        action = rows[0].action if rows else Action.NONE
        harder = action is Action.ESTOP and not self._hard
        if action >= Action.STOP and (
            self._latched is None or (harder and not _explains(self._latched, rows[0]))
        ):
            self._latched = rows[0].event
        self._hard = self._hard or harder
        if self._latched is not None:
            action = Action.ESTOP if self._hard else Action.STOP
        cause = self._latched or (rows[0].event if rows else None)
        return Verdict(action, cause, tuple(row.event for row in rows))

    def blocking(self, mode: VehicleMode, present: Iterable[str]) -> tuple[str, ...]:
        """Return the event ids of stops that hold in ``mode``, or that are the latched cause."""
        conditions = frozenset(present)
        return tuple(
            row.event
            for row in TABLE
            if row.condition in conditions
            and row.action >= Action.STOP
            and (mode in row.scope or self._is_cause(row))
        )

    def _is_cause(self, row: Row) -> bool:
        """The row latched the stop that stands: its own condition must be gone in any mode.

        Those of :data:`AFTER_RESET` are the exception.
        """
        return row.event == self._latched and row.condition not in AFTER_RESET

    def reset(self) -> None:
        """Take the latch off. The restart guard is the caller's; see the supervisor."""
        self._latched = None
        self._hard = False
