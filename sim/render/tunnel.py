"""The drift itself as grids of points: walls, roof, road, duct, pipes and cables.

A grid has one row for each ring of the centre line and a fixed number of columns round the
section, so that choosing rings chooses what is drawn, and neighbouring rings share their points:
there is no border between parts where a seam could open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.noise import periodic_noise
from sim.render.path import Floats, Rings
from sim.render.textures import (
    ROAD_TILE_ACROSS_M,
    ROAD_TILE_ALONG_M,
    ROCK_TILE_M,
    Atlas,
    Patch,
)

Singles = npt.NDArray[np.float32]

WALL_COLUMNS = 25
ROOF_COLUMNS = (7, 17)  # first and last column of the meshed roof
ROAD_COLUMNS = 13
_FOOT_M = 0.2  # walls start below the floor
_SPRING_SHARE = 0.52  # height where the arch starts, of the full height


@dataclass(frozen=True, slots=True)
class Grid:
    """Points with what lighting and texturing need; first two axes are (ring, column).

    Attributes:
        position_m: (rings, columns, 3), world.
        normal: (rings, columns, 3), unit, into the drift.
        texcoord: (rings, columns, 2); the second is the station over the tile length.
        lap: texcoord that one round of a closed line adds.
        albedo: (rings, columns, 3), multiplies the texture.
        gloss: (rings, columns), 0 dull … 1 wet.
        breaks: columns after which no quad follows (separate strips in one grid).
    """

    position_m: Singles
    normal: Singles
    texcoord: Singles
    lap: float
    albedo: Singles
    gloss: Singles
    breaks: frozenset[int] = frozenset()

    def columns(self, first: int, last: int) -> Grid:
        """Return the part from column `first` to column `last`, both included."""
        part = np.s_[:, first : last + 1]
        return Grid(
            self.position_m[part],
            self.normal[part],
            self.texcoord[part],
            self.lap,
            self.albedo[part],
            self.gloss[part],
        )


def _tiles(rings: Rings, tile_m: float) -> tuple[Floats, float]:
    """Return the along-texcoord of each ring and what a lap adds: a whole number of tiles."""
    laps = max(1.0, float(round(rings.length_m / tile_m)))
    return rings.station_m * (laps / rings.length_m), laps


def _noise_for(
    rng: np.random.Generator, rings: Rings, columns: int, slope: float, highest: float
) -> Floats:
    """Noise over (ring, column) that repeats over the rings; `highest` is per 64 rings."""
    spread = 64
    plane = periodic_noise(rng, (rings.count, spread), slope, 1, highest * rings.count / spread)
    picks = np.linspace(0, spread // 2, columns).astype(np.intp)
    return np.asarray(plane[:, picks], np.float64)


def _normals(position_m: Floats, rings: Rings, flip: float) -> Floats:
    """Unit normals from the differences of neighbours; a closed line wraps."""
    if rings.closed:
        along = np.roll(position_m, -1, axis=0) - np.roll(position_m, 1, axis=0)
    else:
        along = np.gradient(position_m, axis=0)
    across = np.gradient(position_m, axis=1)
    normal = np.cross(along, across) * flip
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=2), 1e-9)[:, :, None])


def _section(rings: Rings) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return lateral, up, outward (lateral, up) and arc length of each wall point.

    From the left foot over the crown to the right foot: straight wall, elliptical arch.
    """
    half_m = 0.5 * rings.width_m[:, None]
    spring_m = _SPRING_SHARE * rings.height_m[:, None]
    rise_m = rings.height_m[:, None] - spring_m
    turn = np.linspace(-1.0, 1.0, WALL_COLUMNS)
    wall_share = 0.30  # of the columns, each side
    on_wall = np.abs(turn) > 1.0 - wall_share
    climb = np.where(on_wall, (1.0 - np.abs(turn)) / wall_share, 1.0)
    angle = np.clip(turn / (1.0 - wall_share), -1.0, 1.0) * (np.pi / 2.0)
    # a slightly squared arch, as blasted backs are
    side, crown = np.sin(angle), np.cos(angle)
    shape = np.power(np.abs(side), 3.0) + np.power(np.abs(crown), 3.0)
    side, crown = side / np.cbrt(shape), crown / np.cbrt(shape)
    lateral_m = -half_m * np.where(on_wall, np.sign(turn), side)
    up_m = np.where(on_wall, climb * (spring_m + _FOOT_M) - _FOOT_M, spring_m + rise_m * crown)
    out_lateral = -np.where(on_wall, np.sign(turn), np.sin(angle))
    out_up = np.where(on_wall, 0.0, np.cos(angle))
    ones = np.ones((rings.count, 1))
    steps = np.hypot(np.diff(lateral_m, axis=1), np.diff(up_m, axis=1))
    arc_m = np.concatenate((np.zeros((rings.count, 1)), np.cumsum(steps, axis=1)), axis=1)
    arc_m -= arc_m[:, -1:] / 2.0
    return lateral_m, up_m, out_lateral * ones, out_up * ones, arc_m


def wall_grid(rng: np.random.Generator, rings: Rings) -> Grid:
    """Return walls and roof: the clear section with overbreak, never inside the clearance.

    Overbreak of 0 to about 0.5 m is usual for drill and blast.
    """
    lateral_m, up_m, out_lateral, out_up, arc_m = _section(rings)
    broad = _noise_for(rng, rings, WALL_COLUMNS, 1.3, 10.0)
    fine = _noise_for(rng, rings, WALL_COLUMNS, 0.6, 32.0)
    overbreak_m = np.clip(0.20 + 0.11 * broad + 0.065 * fine, 0.0, 0.65)
    along_m = 0.07 * _noise_for(rng, rings, WALL_COLUMNS, 0.8, 32.0)
    position_m = (
        rings.centre_m[:, None, :]
        + rings.left[:, None, :] * (lateral_m + out_lateral * overbreak_m)[:, :, None]
        + rings.ahead[:, None, :] * along_m[:, :, None]
    )
    position_m[:, :, 2] += up_m + out_up * overbreak_m
    normal = _normals(position_m, rings, 1.0)
    along, lap = _tiles(rings, ROCK_TILE_M)
    texcoord = np.stack((arc_m / ROCK_TILE_M, np.broadcast_to(along[:, None], arc_m.shape)), axis=2)
    level = 1.0 + 0.09 * _noise_for(rng, rings, WALL_COLUMNS, 1.5, 3.0)
    # dust and dirt gather low, corners get little light
    level *= 0.62 + 0.38 * np.clip((up_m + 0.1) / 0.9, 0.0, 1.0)
    warm = 0.03 * _noise_for(rng, rings, WALL_COLUMNS, 1.8, 2.0)
    albedo = np.stack((level * (1.0 + warm), level, level * (1.0 - warm)), axis=2)
    seep = np.clip(_noise_for(rng, rings, WALL_COLUMNS, 1.5, 4.0) - 1.0, 0.0, 1.0)
    albedo *= (1.0 - 0.35 * seep)[:, :, None]
    return Grid(
        position_m.astype(np.float32),
        normal.astype(np.float32),
        texcoord.astype(np.float32),
        lap,
        albedo.astype(np.float32),
        (0.15 + 0.6 * seep).astype(np.float32),
    )


def road_grid(rng: np.random.Generator, rings: Rings) -> Grid:
    """Return the floor: ruts under the wheels, spoil heaped along the walls."""
    share = np.linspace(1.0, -1.0, ROAD_COLUMNS)
    lateral_m = (0.5 * rings.width_m[:, None] + 0.75) * share
    edge_m = 0.5 * rings.width_m[:, None] - np.abs(lateral_m)
    spoil = np.clip(0.7 - edge_m, 0.0, 1.2)
    uneven = _noise_for(rng, rings, ROAD_COLUMNS, 0.9, 20.0)
    up_m = 0.015 * uneven + spoil * (0.22 + 0.07 * uneven)
    position_m = rings.centre_m[:, None, :] + rings.left[:, None, :] * lateral_m[:, :, None]
    position_m[:, :, 2] += up_m
    normal = _normals(position_m, rings, -1.0)
    along, lap = _tiles(rings, ROAD_TILE_ALONG_M)
    texcoord = np.stack(
        (
            0.5 - lateral_m / ROAD_TILE_ACROSS_M,
            np.broadcast_to(along[:, None], lateral_m.shape),
        ),
        axis=2,
    )
    wet = np.clip((0.45 - rings.friction[:, None]) / 0.15, 0.0, 1.0)
    level = 1.0 + 0.07 * _noise_for(rng, rings, ROAD_COLUMNS, 1.4, 4.0)
    level = level * (1.0 - 0.30 * wet) * (0.74 + 0.26 * np.clip(edge_m / 0.8 + 0.4, 0.0, 1.0))
    albedo = level[:, :, None] * np.array([1.0, 0.985, 0.955])
    gloss = np.clip(
        0.42 + 0.14 * _noise_for(rng, rings, ROAD_COLUMNS, 1.4, 4.0) + 0.5 * wet, 0.05, 1.0
    ) * np.clip(edge_m, 0.15, 1.0)
    return Grid(
        position_m.astype(np.float32),
        normal.astype(np.float32),
        texcoord.astype(np.float32),
        lap,
        albedo.astype(np.float32),
        gloss.astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """A pipe or cable along the drift: where it hangs, how thick, of what."""

    side: float  # of the half width, + left
    share: float  # of the height, to the axis
    radius_m: float
    sides: int
    patch: str
    sag_m: float = 0.0
    hook_m: float = 2.0


_RUNS = (
    _Run(-0.62, 0.83, 0.36, 7, "duct", 0.03, 4.0),
    _Run(0.965, 0.50, 0.085, 4, "galvanised"),
    _Run(0.968, 0.44, 0.06, 4, "blue"),
    _Run(0.97, 0.60, 0.03, 2, "black", 0.16, 6.0),
    _Run(0.965, 0.635, 0.022, 2, "orange", 0.20, 6.0),
    _Run(0.66, 0.93, 0.028, 2, "black", 0.05, 5.0),  # leaky feeder, under the back
)


def _arch_limit(share: Floats, side: Floats) -> Floats:
    """How much of the half width is clear at a height share (same squared arch)."""
    rise = np.clip((share - _SPRING_SHARE) / (1.0 - _SPRING_SHARE), 0.0, 1.0)
    return np.minimum(np.abs(side), np.cbrt(1.0 - rise**3) - 0.02) * np.sign(side)


def services_grid(rng: np.random.Generator, rings: Rings, atlas: Atlas) -> Grid:
    """Return duct, pipes and cables as one grid of separate strips, coloured from the atlas."""
    parts: list[tuple[Floats, Floats, Floats]] = []
    breaks: set[int] = set()
    column = 0
    for run in _RUNS:
        phase = rings.station_m / run.hook_m
        sag_m = run.sag_m * 4.0 * (phase % 1.0) * (1.0 - phase % 1.0)
        tug = 1.0 + 0.5 * np.clip(_noise_for(rng, rings, 1, 1.0, 10.0)[:, 0], -1.0, 1.0)
        side = _arch_limit(np.array(run.share), np.array(run.side))
        lateral_m = 0.5 * rings.width_m * side
        up_m = run.share * rings.height_m - sag_m * tug
        # two sides make a flat ribbon on edge, enough for a cable
        angle = np.linspace(0.25, 1.25, run.sides + 1) * 2.0 * np.pi
        out = (
            rings.left[:, None, :] * np.cos(angle)[None, :, None]
            + np.array([0.0, 0.0, 1.0]) * np.sin(angle)[None, :, None]
        )
        axis = rings.centre_m + rings.left * lateral_m[:, None]
        axis[:, 2] += up_m
        radius_m = run.radius_m
        if run.patch == "duct":  # a soft duct puckers at its hangers
            out = out * (1.0 + 0.05 * np.sin(rings.station_m * 2.2))[:, None, None]
        position_m = axis[:, None, :] + out * radius_m
        patch = atlas.patches[run.patch]
        texcoord = _patch_coordinates(patch, rings, angle)
        parts.append((position_m, out, texcoord))
        column += run.sides + 1
        breaks.add(column - 1)
    position_m, normal, texcoord = (
        np.concatenate([part[index] for part in parts], axis=1) for index in range(3)
    )
    shade = np.ones((*position_m.shape[:2], 3))
    shade *= (0.80 + 0.20 * normal[:, :, 2:3]) * 0.95
    return Grid(
        position_m.astype(np.float32),
        normal.astype(np.float32),
        texcoord.astype(np.float32),
        0.0,
        shade.astype(np.float32),
        np.full(position_m.shape[:2], 0.3, np.float32),
        frozenset(breaks),
    )


def _patch_coordinates(patch: Patch, rings: Rings, angle: Floats) -> Floats:
    """Lay a patch round the run; along it swings to and fro, for a patch cannot repeat."""
    swing = 0.5 - 0.5 * np.cos(rings.station_m * 1.1)
    round_share = 0.5 - 0.5 * np.cos(angle)
    across = patch.left + (patch.right - patch.left) * swing[:, None]
    up = patch.bottom + (patch.top - patch.bottom) * round_share[None, :]
    shape = (rings.count, len(angle))
    return np.stack((np.broadcast_to(across, shape), np.broadcast_to(up, shape)), axis=2)
