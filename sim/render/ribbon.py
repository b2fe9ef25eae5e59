"""The driven line of an open site as three sheets: its bed, and the verge on either side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.render.noise import periodic_noise
from sim.render.outdoor_textures import GROUND_TILE_M, ROAD_ACROSS_M, ROAD_ALONG_M, Look
from sim.render.path import Floats, Rings
from sim.render.relief import VERGE_M, Relief
from sim.render.tunnel import Singles
from sim.world.site import Site

_Column = tuple[float, float, float]
"""Share of the half width, metres added to it, height of what lies there."""
_BED: dict[str, tuple[_Column, ...]] = {
    "track": ((1, 1.2, 0.0), (1, 0.1, 0.03), (0, 1.55, 0.03), (0, 1.05, -0.07), (0, 0.55, 0.03),
              (0, 0, 0.05)),
    "pit": ((1, 0.1, 0.12), (1, -1.2, 0.0), (0, 5.0, 0.0), (0, 2.0, -0.02), (0, 0, 0.0)),
}  # fmt: skip
_VERGE: dict[str, tuple[_Column, ...]] = {
    "track": ((1, VERGE_M, -0.4), (1, 6.5, 0.0), (1, 3.5, 0.02), (1, 1.2, 0.0)),
    "pit": ((1, VERGE_M, -0.4), (1, 6.0, 0.0), (1, 3.3, 0.05), (1, 2.1, 1.25), (1, 1.4, 1.35),
            (1, 0.1, 0.12)),
}  # fmt: skip
"""From the left outwards in; mirrored for the right. A pit's road has windrows."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Points by (ring, column): places, colours in the sun, texture places; ``lap`` as in Grid."""

    position_m: Singles
    colour: Singles
    texcoord: Singles
    lap: float


@dataclass(frozen=True, slots=True)
class Ribbon:
    """Bed, left verge, right verge."""

    sheets: tuple[Sheet, Sheet, Sheet]


def ground_m(site: Site, relief: Relief, station_m: float, offset_m: float) -> float:
    """Height of the ground beside the line, as the sheets and the net show it."""
    point = site.pose_at(station_m)
    x_m, y_m, _ = site.abeam(station_m, offset_m)
    half_m = 0.5 * point.width_m
    edge_m = min(max(offset_m, -half_m - 3.0), half_m + 3.0)
    share = _smooth((abs(offset_m) - half_m) / VERGE_M)
    on_line_m = point.z_m + point.cross_slope * edge_m
    return float(on_line_m * (1.0 - share) + relief.at(x_m, y_m) * share)


def _smooth(share: float | Floats) -> Floats:
    part = np.clip(share, 0.0, 1.0)
    return np.asarray(part * part * (3.0 - 2.0 * part))


def lay_ribbon(
    rng: np.random.Generator, site: Site, rings: Rings, cross_slope: Floats, relief: Relief,
    look: Look, sun: Floats,
) -> Ribbon:  # fmt: skip
    """Make the sheets of a track or a haul road."""
    bed, verge = _BED[site.kind], _VERGE[site.kind]
    mirrored = (*bed, *((a, -b, up) for a, b, up in bed[-2::-1]))
    signs = np.array([1.0] * len(bed) + [-1.0] * (len(bed) - 1))
    parts = []
    for columns, sides, on_bed in (
        (mirrored, signs, True),
        (verge, np.ones(len(verge)), False),
        (tuple((a, -b, up) for a, b, up in verge[::-1]), -np.ones(len(verge)), False),
    ):
        lateral_m = (
            0.5 * rings.width_m[:, None] * np.array([a for a, _, _ in columns]) * sides
            + np.array([b for _, b, _ in columns])
        )  # fmt: skip
        parts.append(
            _sheet(rng, rings, cross_slope, relief, look, sun, lateral_m,
                   np.array([up for _, _, up in columns]), on_bed)
        )  # fmt: skip
    return Ribbon((parts[0], parts[1], parts[2]))


def _sheet(
    rng: np.random.Generator, rings: Rings, cross_slope: Floats, relief: Relief, look: Look,
    sun: Floats, lateral_m: Floats, up_m: Floats, on_bed: bool,
) -> Sheet:  # fmt: skip
    bend = rings.curvature_per_m[:, None]
    lateral_m = np.where(bend * lateral_m > 0.85, 0.85 / np.where(bend == 0, 1, bend), lateral_m)
    half_m = 0.5 * rings.width_m[:, None]
    place = rings.centre_m[:, None, :] + rings.left[:, None, :] * lateral_m[:, :, None]
    edge_m = np.clip(lateral_m, -half_m - 3.0, half_m + 3.0)
    on_line_m = rings.centre_m[:, 2:3] + cross_slope[:, None] * edge_m
    share = _smooth((np.abs(lateral_m) - half_m) / VERGE_M)
    far_m = relief.at(place[:, :, 0], place[:, :, 1])
    uneven = periodic_noise(rng, (rings.count, 32), 1.0, 2, rings.count / 6.0)
    uneven = uneven[:, : lateral_m.shape[1]]
    rough_m = (0.012 if on_bed else 0.05) * uneven * (1.0 if on_bed else np.abs(up_m) + 0.5)
    place[:, :, 2] = on_line_m * (1 - share) + far_m * share + up_m + rough_m
    ahead = np.roll(place, -1, axis=0) - np.roll(place, 1, axis=0)
    across = np.gradient(place, axis=1)
    normal = np.cross(across, ahead)
    normal /= np.maximum(np.linalg.norm(normal, axis=2), 1e-9)[:, :, None]
    normal *= np.where(normal[:, :, 2:] < 0, -1.0, 1.0)
    lit = 0.42 + 0.85 * np.clip(normal @ sun, 0, 1)[:, :, None]
    patchy = periodic_noise(rng, (rings.count, 32), 1.3, 2, rings.count / 10.0)
    patchy = patchy[:, : lateral_m.shape[1], None]
    if on_bed:
        soft = np.clip((rings.friction.max() - rings.friction) / 0.12, 0.0, 1.0)[:, None, None]
        albedo = np.array(look.bed) * (1.0 - 0.38 * soft)
        along = rings.station_m * max(1.0, round(rings.length_m / ROAD_ALONG_M)) / rings.length_m
        texcoord = np.stack(
            (0.5 - lateral_m / ROAD_ACROSS_M, np.broadcast_to(along[:, None], lateral_m.shape)),
            axis=2,
        )
        lap = max(1.0, float(round(rings.length_m / ROAD_ALONG_M)))
    else:
        worn = np.exp(-np.clip(np.abs(lateral_m) - half_m, 0, None) / 1.3)[:, :, None]
        heap = np.clip(up_m, 0.0, 1.0)[None, :, None]
        albedo = np.array(look.ground) * (1 - worn) + np.array(look.bed) * worn
        albedo = albedo * (1 - 0.5 * heap) + np.array(look.steep) * 0.5 * heap
        texcoord, lap = place[:, :, :2] / GROUND_TILE_M, 0.0
    colour = albedo * (1.0 + 0.06 * patchy) * lit
    return Sheet(place.astype(np.float32), colour.astype(np.float32),
                 texcoord.astype(np.float32), lap)  # fmt: skip
