"""The ground of an open site as a net of nodes: heights and colours, near the line and far."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sim.render.noise import periodic_noise
from sim.render.outdoor_textures import Look
from sim.render.path import Floats, Rings
from sim.render.tunnel import Singles
from sim.world.site import Site

PITCH_M = 7.0
MARGIN_M = 340.0
SUNK_M = 0.7
VERGE_M = 10.0
"""How far beside the line its own mesh reaches; the net dives under that mesh."""


@dataclass(frozen=True, slots=True)
class Relief:
    """Nodes at even plan distance; arrays are (rows along y, columns along x).

    Attributes:
        x0_m, y0_m: of the first node.
        height_m: of the ground. colour: albedo in the sun's light, 0…1.
        station_m, away_m: nearest station of the line, and how far it is beyond the edge.
        covered: other meshes lie over it wherever the machine is.
    """

    x0_m: float
    y0_m: float
    height_m: Singles
    colour: Singles
    station_m: Singles
    away_m: Singles
    covered: npt.NDArray[np.bool_]

    def at(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> Floats:
        """Height between nodes, bilinear."""
        rows, columns = self.height_m.shape
        across = np.clip((np.asarray(x_m, float) - self.x0_m) / PITCH_M, 0, columns - 1.001)
        up = np.clip((np.asarray(y_m, float) - self.y0_m) / PITCH_M, 0, rows - 1.001)
        column, row = across.astype(np.intp), up.astype(np.intp)
        a, b = across - column, up - row
        h = self.height_m
        low = h[row, column] * (1 - a) + h[row, column + 1] * a
        high = h[row + 1, column] * (1 - a) + h[row + 1, column + 1] * a
        return np.asarray(low * (1 - b) + high * b, np.float64)


def _smooth(values: Floats, low: float, high: float) -> Floats:
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def _nearest(rings: Rings, x_m: Floats, y_m: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Number of the nearest ring for each node, and the signed offset from the line, + left."""
    coarse = np.arange(0, rings.count, 4)
    line = rings.centre_m[coarse]
    nearest = np.empty(x_m.shape, np.intp)
    for row in range(x_m.shape[0]):
        square = (x_m[row][:, None] - line[:, 0]) ** 2 + (y_m[row][:, None] - line[:, 1]) ** 2
        nearest[row] = coarse[np.argmin(square, axis=1)]
    dx_m, dy_m = x_m - rings.centre_m[nearest, 0], y_m - rings.centre_m[nearest, 1]
    side = np.sign(rings.left[nearest, 0] * dx_m + rings.left[nearest, 1] * dy_m)
    return nearest, np.asarray(np.hypot(dx_m, dy_m) * np.where(side == 0, 1.0, side))


def lay_relief(
    rng: np.random.Generator, site: Site, rings: Rings, cross_slope: Floats, look: Look,
    sun: Floats,
) -> Relief:  # fmt: skip
    """Make the net: as high as the line near it, hills or benches farther off."""
    low, high = rings.centre_m[:, :2].min(axis=0), rings.centre_m[:, :2].max(axis=0)
    columns, rows = (int((high[i] - low[i] + 2 * MARGIN_M) / PITCH_M) + 2 for i in (0, 1))
    x0_m, y0_m = float(low[0] - MARGIN_M), float(low[1] - MARGIN_M)
    x_m, y_m = np.meshgrid(x0_m + PITCH_M * np.arange(columns), y0_m + PITCH_M * np.arange(rows))
    nearest, offset_m = _nearest(rings, x_m, y_m)
    half_m = 0.5 * rings.width_m[nearest]
    away_m = np.abs(offset_m) - half_m
    on_line_m = rings.centre_m[nearest, 2]
    on_line_m = on_line_m + cross_slope[nearest] * np.clip(offset_m, -half_m - 3.0, half_m + 3.0)
    far_m = cv2.GaussianBlur(on_line_m.astype(np.float32), (0, 0), 18.0 / PITCH_M)
    edge = 1 << int(np.ceil(np.log2(max(rows, columns))))
    hills = periodic_noise(rng, (edge, edge), 1.7, edge * PITCH_M / 900.0, edge * PITCH_M / 60.0)
    hills = hills[:rows, :columns]
    flat = site.kind in ("field", "road")
    swing_m = {"field": 1.6, "road": 2.2, "track": 4.5, "pit": 1.5}[site.kind]
    near_m = 60.0 if flat else 5.0
    share = _smooth(away_m, near_m, near_m + 70.0)
    height_m = on_line_m * (1 - share) + (far_m + swing_m * hills) * share
    if site.kind == "pit":
        rough = periodic_noise(rng, (edge, edge), 0.9, edge * PITCH_M / 70.0)[:rows, :columns]
        height_m = height_m + _benches(offset_m + 2.0 * rough, half_m)
        height_m = height_m + 0.7 * rough * _smooth(away_m, 9.0, 16.0)
    colour = _colours(rng, look, height_m.astype(np.float32), away_m, hills, sun)
    covered = np.zeros(x_m.shape, bool)
    for patch in site.things.patches:
        dx_m, dy_m = x_m - patch.x_m, y_m - patch.y_m
        cosine, sine = np.cos(patch.heading_rad), np.sin(patch.heading_rad)
        covered |= (np.abs(dx_m * cosine + dy_m * sine) < 0.5 * patch.length_m) & (
            np.abs(dy_m * cosine - dx_m * sine) < 0.5 * patch.width_m
        )
    return Relief(
        x0_m, y0_m, height_m.astype(np.float32), colour,
        rings.station_m[nearest].astype(np.float32), away_m.astype(np.float32), covered,
    )  # fmt: skip


def _benches(offset_m: Floats, half_m: Floats) -> Floats:
    """A pit: bench faces rise outside the loop (right of a line that turns left), fall inside."""
    outside, inside = -offset_m - half_m, offset_m - half_m
    up = 12.0 * _smooth(outside, 7.0, 15.0) + 12.0 * _smooth(outside, 34.0, 42.0)
    return np.asarray(up + 12.0 * _smooth(outside, 66.0, 74.0) - 9.0 * _smooth(inside, 6.0, 20.0))


def _colours(
    rng: np.random.Generator, look: Look, height_m: Singles, away_m: Floats, hills: Singles,
    sun: Floats,
) -> Singles:  # fmt: skip
    slope_y, slope_x = np.gradient(height_m, PITCH_M)
    steep = _smooth(np.hypot(slope_x, slope_y), 0.28, 0.6)[:, :, None]
    rows, columns = height_m.shape
    edge = 1 << int(np.ceil(np.log2(max(rows, columns))))
    patchy = periodic_noise(rng, (edge, edge), 1.1, edge * PITCH_M / 160.0)[:rows, :columns]
    bare = _smooth(patchy + 0.5 * hills, 0.5, 2.2)[:, :, None] * 0.7
    ground = np.array(look.ground) * (1 - bare) + np.array(look.bare) * bare
    ground = ground * (1 - steep) + np.array(look.steep) * steep
    driven = (1.0 - _smooth(away_m, -0.5, 2.5))[:, :, None] * 0.75
    ground = ground * (1 - driven) + np.array(look.bed) * driven
    ground = ground * (1.0 + 0.07 * patchy[:, :, None])
    square = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    lit = (sun[2] - slope_x * sun[0] - slope_y * sun[1]) / square
    return np.asarray(ground * (0.42 + 0.85 * np.clip(lit, 0, 1)[:, :, None]), np.float32)
