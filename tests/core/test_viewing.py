"""The direction of travel comes first, and a machine at rest needs fewer pictures."""

from __future__ import annotations

import pytest

from protocol.state import VehicleMode, VehicleState
from vehicle_agent.core.viewing import RESTING_MODES, Faces, Motion, motion_of, weights

FOUR: dict[int, tuple[Faces, int | None]] = {
    0: (Faces.FRONT, None),
    1: (Faces.REAR, None),
    2: (Faces.SIDE, None),
    3: (Faces.SIDE, 2),
}


def test_forwards__the_front_camera_has_the_largest_share() -> None:
    assert weights(FOUR, Motion()) == {0: 4, 1: 1, 2: 1, 3: 2}


def test_reverse__front_and_rear_change_their_shares() -> None:
    assert weights(FOUR, Motion(reverse=True)) == {0: 1, 1: 4, 2: 1, 3: 2}


def test_reverse_without_a_rear_camera__shares_stay() -> None:
    front = {0: FOUR[0], 2: FOUR[2]}
    assert weights(front, Motion(reverse=True)) == {0: 4, 2: 1}


@pytest.mark.parametrize("mode", list(VehicleMode))
def test_machine_stands__it_rests_in_the_modes_in_which_nobody_drives(mode: VehicleMode) -> None:
    motion = motion_of(VehicleState(mode=mode, speed_mps=0.0))
    assert motion.rests is (mode in RESTING_MODES)


@pytest.mark.parametrize("speed_mps", [None, 0.05, -0.05])
def test_machine_moves_or_its_speed_is_unknown__it_does_not_rest(speed_mps: float | None) -> None:
    assert not motion_of(VehicleState(mode=VehicleMode.STOPPED, speed_mps=speed_mps)).rests


@pytest.mark.parametrize(("gear", "reverse"), [(-1, True), (0, False), (1, False), (None, False)])
def test_gear__says_whether_the_machine_goes_backwards(gear: int | None, reverse: bool) -> None:
    assert motion_of(VehicleState(mode=VehicleMode.ACTIVE, gear=gear)).reverse is reverse
