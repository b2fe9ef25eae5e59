"""Light at each point: head lamps every frame, roof lamps once, through dust to the camera.

The software renderer knows no fog and no shaders, so the light is worked out for each vertex
with numpy and multiplied with the texture. Intensities are relative: exposure is chosen for the
picture, as a camera does. What reaches the picture is display-referred, hence the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.render.furniture import EMITTER, REFLECTOR, Lamp
from sim.render.path import Floats, Rings
from sim.render.tunnel import Grid, Singles


@dataclass(frozen=True, slots=True)
class HeadLamps:
    """Two equal lamps in the camera truck's frame, and their beam.

    Attributes:
        ahead_m, apart_m, below_m: place relative to the camera; `apart_m` is half the distance.
        dip_rad: the beam's axis below the truck's axis.
        spot, spot_cosine: relative intensity of the narrow beam; cosine where it ends.
        flood: relative intensity of the wide beam.
        spill: light that leaks to all sides.
    """

    ahead_m: float = 1.5
    apart_m: float = 1.2
    below_m: float = 0.75
    dip_rad: float = 0.035
    spot: float = 900.0
    spot_cosine: float = 0.93
    flood: float = 62.0
    spill: float = 1.3


HEAD_TINT = np.array([1.0, 0.955, 0.87], np.float32)
LAMP_TINT = np.array([0.86, 0.96, 1.0], np.float32)
AMBIENT = 0.006
EXTINCTION_PER_M = 0.011  # dusty but working air: 150 m of sight
LAMP_INTENSITY = 16.0
LAMP_REACH_M = 16.0
RETRO_GAIN = 60.0


@dataclass(frozen=True, slots=True)
class Eye:
    """Where the camera is and how it stands: unit vectors of the truck's frame, world."""

    position_m: Floats
    forward: Floats
    left: Floats
    up: Floats


class Lighting:
    """Turns points into vertex colours for one camera."""

    def __init__(self, head: HeadLamps) -> None:
        self._head = head

    def head_light(
        self, relative_m: Singles, normal: Singles | None, eye: Eye
    ) -> npt.NDArray[np.float32]:
        """Return relative illuminance by the head lamps, shape (points,).

        `relative_m` is from the camera, world axes. Without a normal the surface is taken as
        facing the lamps (a retro-reflector).
        """
        head = self._head
        axes = np.stack((eye.forward, eye.left, eye.up), axis=1).astype(np.float32)
        place = relative_m @ axes
        dip_cos, dip_sin = np.float32(np.cos(head.dip_rad)), np.float32(np.sin(head.dip_rad))
        x = place[:, 0] - np.float32(head.ahead_m)
        z = place[:, 2] + np.float32(head.below_m)
        # both lamps at once: rows of two
        y = place[:, 1] - np.array(((-head.apart_m,), (head.apart_m,)), np.float32)
        square = x * x + y * y + z * z + np.float32(0.5)
        inverse = 1.0 / np.sqrt(square)
        cosine = _within((x * dip_cos - z * dip_sin) * inverse, 0.0, 1.0)
        narrow = _within((cosine - head.spot_cosine) / (1.0 - head.spot_cosine), 0.0, 1.0)
        power = head.spot * narrow * narrow * narrow + head.flood * cosine**3 + head.spill
        if normal is not None:
            facing = normal @ axes
            slope = -(facing[:, 0] * x + facing[:, 1] * y + facing[:, 2] * z) * inverse
            power *= _within(0.92 * slope + 0.08, 0.02, 1.0)
        return np.asarray((power / square).sum(axis=0), np.float32)

    @staticmethod
    def lamp_gloss(
        relative_m: Singles, gloss: npt.NDArray[np.float32], lamps_m: Singles
    ) -> npt.NDArray[np.float32]:
        """Return the mirror light of roof lamps on a wet level floor, shape (points,)."""
        x, y, z = np.ascontiguousarray(relative_m.T)
        to_x, to_y, to_z = (lamps_m.T[:, :, None] - relative_m.T[:, None, :]).astype(np.float32)
        distance = np.sqrt(x * x + y * y + z * z) + np.float32(1e-3)
        reach = np.sqrt(to_x * to_x + to_y * to_y + to_z * to_z) + np.float32(1e-3)
        # direction of sight mirrored in the floor: z changes its sign
        aligned = x * to_x + y * to_y - z * to_z
        # below a half the mirror shows nothing, and the power would be slow at numbers next to 0
        mirrored = _within(aligned / (distance * reach), 0.5, 1.0) ** 60 / (1.0 + 0.05 * reach)
        return np.asarray(mirrored.sum(axis=0) * gloss, np.float32)

    @staticmethod
    def colours(
        albedo: Singles,
        head: npt.NDArray[np.float32],
        lamp: npt.NDArray[np.float32],
        distance_m: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.uint8]:
        """Return RGBA bytes, shape (points, 4): exposed, shaped for the screen, through dust."""
        light = head[:, None] * HEAD_TINT + lamp[:, None] * LAMP_TINT + np.float32(AMBIENT)
        shown = np.sqrt(1.0 - np.exp(-light))  # exposed, then about the 1/2.2 of a display
        shown *= albedo * np.exp(-EXTINCTION_PER_M * distance_m)[:, None]
        packed = np.full((len(shown), 4), 255, np.uint8)
        packed[:, :3] = np.clip(shown * 255.0, 0.0, 255.0)
        return packed

    def board_light(
        self,
        relative_m: Singles,
        normal: Singles,
        response: npt.NDArray[np.int8],
        eye: Eye,
    ) -> npt.NDArray[np.float32]:
        """Return what head lamps make of boards: plain, reflecting, or shining themselves."""
        plain = self.head_light(relative_m, normal, eye) * 1.6
        straight = self.head_light(relative_m, None, eye)
        toward = -np.einsum("ij,ij->i", relative_m, normal)
        back = np.where(toward > 0.0, straight * RETRO_GAIN, straight * 0.02)
        lit = np.where(response == REFLECTOR, back, plain)
        return np.where(response == EMITTER, np.float32(30.0), lit).astype(np.float32)


def _within(
    values: npt.NDArray[np.floating[Any]], low: float, high: float
) -> npt.NDArray[np.float32]:
    """Clip: two calls of numpy's own functions, quicker than its one for few points."""
    return np.asarray(np.minimum(np.maximum(values, low), high), np.float32)


def bake_lamps(rings: Rings, grid: Grid, lamps: tuple[Lamp, ...]) -> npt.NDArray[np.float32]:
    """Return the illuminance by burning roof lamps at each point of a grid, (rings, columns)."""
    light = np.zeros(grid.position_m.shape[:2], np.float32)
    reach = int(LAMP_REACH_M / rings.pitch_m)
    for lamp in lamps:
        if not lamp.burns:
            continue
        near = np.arange(lamp.ring - reach, lamp.ring + reach + 1)
        near = near % rings.count if rings.closed else near[(near >= 0) & (near < rings.count)]
        to_lamp = lamp.position_m.astype(np.float32) - grid.position_m[near]
        square = np.einsum("ijk,ijk->ij", to_lamp, to_lamp) + 0.3
        distance = np.sqrt(square)
        cosine = np.clip(np.einsum("ijk,ijk->ij", to_lamp, grid.normal[near]) / distance, 0, 1)
        down = np.clip(to_lamp[:, :, 2] / distance, 0.0, 1.0)
        fade = np.clip(1.0 - distance / LAMP_REACH_M, 0.0, 1.0)
        light[near] += LAMP_INTENSITY * (0.12 + 0.88 * down) * (0.1 + 0.9 * cosine) / square * fade
    return light
