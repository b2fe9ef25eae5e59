"""What a scripted driver reads on the screen, and what his hands and buttons do about it; pure.

The same rules sit behind the real page (sim/driver.py) and in lock-step (sim/runner/run.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from sim.drive_log import DRIVING, STOPPED
from sim.pursuit import Controls

STOPPING_BRAKE = 0.5
"""At the end of the drive at least, of full service brake; more where the drift falls."""
RELEASE_FIRST = "D102"
"""Event id: enable must be seen open before it counts."""

Json = Mapping[str, Any]


class Seat(NamedTuple):
    """What the driver reads on the screen.

    Attributes:
        mode: the vehicle's, None when unknown. cause: event id that the vehicle names.
        leased: this console holds the lease. must_release: enable is barred until let go.
        blockers: event ids that stand before the next step.
    """

    mode: str | None = None
    cause: str | None = None
    leased: bool = False
    must_release: bool = True
    blockers: tuple[str, ...] = ()


def read_seat(message: Json) -> Seat:
    """Read the console's ``state`` message; what is too old is unknown."""
    console, vehicle = message["console"], message["vehicle"]
    age_ms = message["state_age_ms"]
    known = vehicle is not None and age_ms is not None and age_ms <= message["state_max_age_ms"]
    return Seat(
        mode=vehicle["mode"] if known else None,
        cause=vehicle["cause"] if known else None,
        leased=console["lease"] is not None,
        must_release=bool(console["input"]["must_release"]),
        blockers=tuple(vehicle["blockers"]) if known else (),
    )


def next_action(seat: Seat) -> str | None:
    """The button to press now, if any."""
    if seat.mode is None or seat.mode in DRIVING:
        return None
    if not seat.leased:
        return "lease"
    if seat.mode in STOPPED:
        return None if seat.mode == "STOPPING" or seat.blockers else "reset"
    if seat.mode == "LEASED":
        return None if seat.blockers else "arm"
    return None


def holds_enable(seat: Seat) -> bool:
    """Whether the dead-man is closed: in every mode where it means something, once opened."""
    if seat.mode in DRIVING:
        return True
    return seat.mode == "ARMED" and not seat.must_release and RELEASE_FIRST not in seat.blockers


class Phase(IntEnum):
    """How far the drive is."""

    DRIVING = 0
    BRAKING = 1
    """To a stand, with enable held: letting go of it while moving is a stop that latches."""
    LETTING_GO = 2


def input_message(sequence: int, seat: Seat, controls: Controls, phase: Phase) -> dict[str, Any]:
    """Hands and feet as the page sends them; everything rests unless the machine drives."""
    driving = seat.mode in DRIVING and phase is not Phase.LETTING_GO
    ending = phase is not Phase.DRIVING
    enable = holds_enable(seat) and phase is not Phase.LETTING_GO
    return {
        "t": "input",
        "seq": sequence,
        "steer": round(controls.steer, 4) if driving else 0.0,
        "throttle": round(controls.throttle, 4) if driving and not ending else 0.0,
        "brake": round(_brake(controls, driving, ending), 4),
        "enable": enable,
        "gear": 1 if driving else 0,
        "park": not driving,
        "horn": False,
        "lights": True,
        "implement": 0.0,
    }


def _brake(controls: Controls, driving: bool, ending: bool) -> float:
    if ending:
        return max(controls.brake, STOPPING_BRAKE)
    return controls.brake if driving else 0.0


class Habit(StrEnum):
    """What this driver does wrong, until SIGUSR1 sets him right."""

    NONE = "none"
    TAPED = "taped"
    """The dead-man is held down from the first moment on."""
    FROZEN = "frozen"
    """Once under way and straight on, hands and feet never change again."""
    HEAVY_FOOT = "heavy-foot"
    """Throttle and gear are held while the machine is stopped, and reset is pressed with them."""


HEAVY_FOOT_THROTTLE = 0.5


def by_habit(
    habit: Habit, message: dict[str, Any], seat: Seat, before: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the hands and feet of a driver with this habit.

    Args:
        habit: his. message: what a good driver would send now.
        seat: what he reads. before: what he holds on to when his hands freeze.
    """
    if habit is Habit.TAPED:
        return message | {"enable": True}
    if habit is Habit.FROZEN and before is not None:
        return before | {"seq": message["seq"]}
    if habit is Habit.HEAVY_FOOT and seat.mode in STOPPED:
        return message | {"throttle": HEAVY_FOOT_THROTTLE, "gear": 1}
    return message
