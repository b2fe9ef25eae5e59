"""The arming ladder: what must be done, in this order, before a desk may arm a machine.

Each rung tells whether it stands and what is missing; nothing is armed before all do (cockpit
rule 7). Data goes in, words come out: nothing here decides for the machine, which checks again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from operator_console.core.desk import Fault
from operator_console.core.hands import DESK_KEEPS_ENDING, Words, fault_words
from operator_console.core.inputs import REST, DriverInput

BRAKE_HELD = 0.30
ALIGNED = 0.037
"""10° of a wheel that turns 270° either way."""

CONTROLS_BLOCK = frozenset({"B102", "D102"})
"""Blockers of the machine that say of the controls what the rungs say more exactly."""


@dataclass(frozen=True, slots=True)
class LadderFacts:
    """What the rungs look at.

    Attributes:
        vehicle: the machine's name. picture_live: its picture is on the screen now.
        blockers: what the machine itself misses, with words.
        fault, device: of the desk. driver: what the desk asks, None when it asks nothing.
        cycled: enable was seen pressed and let go since control was taken.
        keeps_ending: the desk's program does, and is only tried again each minute.
    """

    vehicle: str
    picture_live: bool
    blockers: tuple[tuple[str, Words], ...]
    fault: Fault
    device: str
    driver: DriverInput | None
    cycled: bool
    keeps_ending: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: its code, what it is, what it asks, and what is missing (None when it stands)."""

    code: str
    title: Words
    asks: Words
    missing: Words | None


Finds = Callable[[LadderFacts], Words | None]


def _machine(facts: LadderFacts) -> Words | None:
    if facts.picture_live:
        return None
    return f"Wait for the live image of {facts.vehicle}", f"等待 {facts.vehicle} 实时画面"


def _checks(facts: LadderFacts) -> Words | None:
    own = [words for code, words in facts.blockers if code not in CONTROLS_BLOCK]
    return own[0] if own else None


_SILENT: Words = ("Desk is silent – wait", "操纵台无信号 – 请等待")


def _desk(facts: LadderFacts) -> Words | None:
    if facts.fault is not Fault.NONE:
        return fault_words(facts.fault, facts.device)
    if facts.driver is not None:
        return None
    return DESK_KEEPS_ENDING if facts.keeps_ending else _SILENT


_SWEEPS: dict[str, Words] = {
    "throttle:rest": ("Let go of the throttle", "松开油门"),
    "throttle:press": ("Press the throttle fully", "油门踩到底"),
    "throttle:release": ("Let go of the throttle", "松开油门"),
    "brake:rest": ("Let go of the brake", "松开制动"),
    "brake:press": ("Press the brake fully", "制动踩到底"),
    "brake:release": ("Let go of the brake", "松开制动"),
}


_SWEEP_ALL: Words = ("Press and let go of each pedal", "各踏板踩下再松开")


def _pedals(facts: LadderFacts) -> Words | None:
    if facts.driver is None:
        return _SWEEP_ALL
    waiting = [_SWEEPS[name] for name in facts.driver.unproven if name in _SWEEPS]
    return waiting[0] if waiting else None


def _wheel(facts: LadderFacts) -> Words | None:
    driver = facts.driver
    if driver is None or "steering:move" in driver.unproven:
        return "Move the wheel", "转动方向盘"
    if "stick:rest" in driver.unproven:
        return "Let go of the steering stick", "松开转向手柄"
    off = driver.steer_off
    if off is None or "steering:unknown" in driver.unproven:
        return "Wait: the machine's steering is unknown", "请等待：机器转向未知"
    if abs(off) < driver.steer_slack:
        return None
    percent = max(1, round(100 * abs(off)))
    side = ("left", "左") if off < 0 else ("right", "右")
    return (
        f"Turn the wheel {percent} % to the {side[0]}, where the machine's steering is",
        f"方向盘向{side[1]}转 {percent}%，对准机器",
    )


def _at_rest(facts: LadderFacts) -> Words | None:
    driver = facts.driver
    if driver is None or driver.gear != 0:
        return "Gear to N", "挂空挡"
    return None if driver.throttle < REST else ("Let go of the throttle", "松开油门")


_HOLD_BRAKE: Words = ("Hold the brake", "踩住制动")


def _brake(facts: LadderFacts) -> Words | None:
    held = facts.driver is not None and facts.driver.brake >= BRAKE_HELD
    return None if held else _HOLD_BRAKE


_CYCLE: Words = ("Press the enable switch once, and let go", "按一下使能开关并松开")


def _enable(facts: LadderFacts) -> Words | None:
    if facts.driver is not None and facts.driver.enable:
        return "Let go of the enable switch", "松开使能开关"
    if facts.cycled:
        return None
    return _CYCLE


DESK_RUNG = "A3"
"""The desk itself."""

RUNGS: tuple[tuple[str, Words, Words, Finds], ...] = (
    ("A1", ("Picture", "画面"), ("Wait for the live image", "等待实时画面"), _machine),
    ("A2", ("Machine's checks", "机器自检"), ("Wait for the machine", "等待机器自检"), _checks),
    (DESK_RUNG, ("Desk", "操纵台"), ("Keep the desk in order", "保持操纵台正常"), _desk),
    ("A4", ("Pedals", "踏板"), _SWEEP_ALL, _pedals),
    ("A5", ("Steering", "转向"), ("Keep the steering aligned", "转向保持对准机器"), _wheel),
    (
        "A6",
        ("Controls at rest", "操纵回零"),
        ("Gear to N, no throttle", "挂空挡，松油门"),
        _at_rest,
    ),
    ("A7", ("Enable switch", "使能开关"), _CYCLE, _enable),
    ("A8", ("Brake", "制动"), _HOLD_BRAKE, _brake),
)
"""In the order in which they are climbed; the last before the hold that confirms."""


def climb(facts: LadderFacts) -> tuple[Rung, ...]:
    """Return every rung with what it misses."""
    return tuple(Rung(code, title, asks, missing(facts)) for code, title, asks, missing in RUNGS)


def first_missing(rungs: tuple[Rung, ...]) -> Rung | None:
    """Return the rung to climb next, None when all stand."""
    return next((rung for rung in rungs if rung.missing is not None), None)


class EnableCycle:
    """Whether enable was seen pressed and let go again."""

    def __init__(self) -> None:
        self.done = False
        self._was_held = False

    def see(self, held: bool | None) -> None:
        """Take in whether enable is held; None, when nobody knows, begins anew."""
        if held is None:
            self.restart()
            return
        self.done = self.done or (self._was_held and not held)
        self._was_held = held

    def restart(self) -> None:
        """Control was taken, or the desk was lost: it must be shown again."""
        self.done, self._was_held = False, False
