"""What the machine's motion says of its cameras: the direction of travel first, less at a stand.

Nothing here stops or moves anything: it says only how bits are shared out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from protocol.state import VehicleMode, VehicleState

MAIN_WEIGHT, OTHER_WEIGHT = 4, 1
STILL_BELOW_MPS = 0.05
RESTING_MODES = frozenset(
    {
        VehicleMode.LOCAL,
        VehicleMode.STANDBY,
        VehicleMode.LEASED,
        VehicleMode.STOPPED,
        VehicleMode.ESTOP,
        VehicleMode.FAULT,
    }
)
"""Nobody can drive before a reset or an arming, and the warning before motion: the full picture is
back long before."""


class Faces(StrEnum):
    """Where a camera looks."""

    FRONT = "front"
    REAR = "rear"
    SIDE = "side"


@dataclass(frozen=True, slots=True)
class Motion:
    """What the machine does, as far as its pictures are concerned.

    Attributes:
        reverse: it is in reverse gear.
        rests: it stands, and cannot be driven off without further steps.
    """

    reverse: bool = False
    rests: bool = False


def motion_of(state: VehicleState) -> Motion:
    """Return the motion in a state; what is unknown is driving forwards."""
    still = state.speed_mps is not None and abs(state.speed_mps) < STILL_BELOW_MPS
    return Motion(reverse=state.gear == -1, rests=still and state.mode in RESTING_MODES)


def weights(cameras: Mapping[int, tuple[Faces, int | None]], motion: Motion) -> dict[int, int]:
    """Return each camera's share of a link that is too narrow for all.

    In reverse, front and rear change their shares.

    Args:
        cameras: by id, where it looks and the share that the settings give it, None for none.
        motion: of the machine.
    """
    given: dict[int, int] = {}
    for camera, (faces, weight) in cameras.items():
        own = MAIN_WEIGHT if faces is Faces.FRONT else OTHER_WEIGHT
        given[camera] = own if weight is None else weight
    if not motion.reverse:
        return given
    front = [camera for camera, (faces, _) in cameras.items() if faces is Faces.FRONT]
    rear = [camera for camera, (faces, _) in cameras.items() if faces is Faces.REAR]
    swapped = dict(given)
    for one, other in zip(front, rear, strict=False):
        swapped[one], swapped[other] = given[other], given[one]
    return swapped
