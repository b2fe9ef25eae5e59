"""What hangs on the walls of a drift: lamps, reflectors, distance boards, chevrons, signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.path import Floats, Rings
from sim.render.textures import Atlas
from sim.render.tunnel import Singles
from sim.world.site import Site

DIFFUSE, REFLECTOR, EMITTER = 0, 1, 2

LAMP_PITCH_M = 24.0
LAMP_DEAD_SHARE = 0.12
REFLECTOR_PITCH_M = 10.0
BOARD_PITCH_M = 50.0
CHEVRON_PITCH_M = 5.0
CHEVRON_CURVATURE_PER_M = 0.022
SIGN_WIDTH_M = 0.7


@dataclass(frozen=True, slots=True)
class Lamp:
    """A roof lamp: where it is and whether it still burns."""

    ring: int
    position_m: Floats
    burns: bool


@dataclass(frozen=True, slots=True)
class Quads:
    """Flat boards, sorted by ring.

    Attributes:
        ring: (quads,) nearest ring.
        corner_m: (quads, 4, 3), counter-clockwise from the lower left.
        texcoord: (quads, 4, 2) in the atlas.
        normal: (quads, 3).
        response: (quads,) DIFFUSE, REFLECTOR (sends light back to its lamp) or EMITTER.
    """

    ring: npt.NDArray[np.intp]
    corner_m: Singles
    texcoord: Singles
    normal: Singles
    response: npt.NDArray[np.int8]


def hang_lamps(rng: np.random.Generator, rings: Rings) -> tuple[Lamp, ...]:
    """Place lamps under the roof at even spacing; a few have failed, as they do."""
    count = max(1, round(rings.length_m / LAMP_PITCH_M))
    picks = ((np.arange(count) + 0.5) * rings.count / count).astype(np.intp)
    points = rings.place(picks, np.full(count, 0.35), rings.height_m[picks] - 0.32)
    burns = rng.random(count) >= LAMP_DEAD_SHARE
    return tuple(
        Lamp(int(ring), point, bool(alive))
        for ring, point, alive in zip(picks, points, burns, strict=True)
    )


class _Hanger:
    """Collects boards and turns them into sorted arrays."""

    def __init__(self, rings: Rings, atlas: Atlas) -> None:
        self._rings = rings
        self._atlas = atlas
        self._rows: list[tuple[int, Floats, Floats, Floats, int]] = []

    def add(
        self,
        name: str,
        ring: int,
        centre_m: Floats,
        right: Floats,
        up: Floats,
        response: int = DIFFUSE,
    ) -> None:
        """Hang patch `name` at `centre_m`; `right` and `up` are half its edges as seen."""
        corner = np.stack(
            (
                centre_m - right - up,
                centre_m + right - up,
                centre_m + right + up,
                centre_m - right + up,
            )
        )
        patch = self._atlas.patches[name]
        texcoord = np.array(
            (
                (patch.left, patch.bottom),
                (patch.right, patch.bottom),
                (patch.right, patch.top),
                (patch.left, patch.top),
            )
        )
        normal = np.cross(right, up)
        normal /= np.linalg.norm(normal)
        self._rows.append((ring, corner, texcoord, normal, response))

    def across(
        self, name: str, ring: int, at_m: tuple[float, float], size_m: tuple[float, float],
        way: int, response: int = DIFFUSE, turn_rad: float = 0.0,
    ) -> None:  # fmt: skip
        """Hang a board square to the drift for drivers that go `way` (+1 rising station).

        `at_m` is (offset + left, height); a positive `turn_rad` turns it towards the middle.
        """
        rings = self._rings
        centre_m = rings.place(ring, at_m[0], at_m[1])
        left, ahead = rings.left[ring], rings.ahead[ring]
        right = -way * np.cos(turn_rad) * left + np.sign(at_m[0]) * np.sin(turn_rad) * ahead
        up = np.array([0.0, 0.0, 0.5 * size_m[1]])
        self.add(name, ring, centre_m, right * 0.5 * size_m[0], up, response)

    def quads(self) -> Quads:
        """Return everything hung, sorted by ring."""
        rows = sorted(self._rows, key=lambda row: row[0])
        return Quads(
            np.array([row[0] for row in rows], np.intp),
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.float32),
            np.array([row[3] for row in rows], np.float32),
            np.array([row[4] for row in rows], np.int8),
        )


def station_texts(rings: Rings) -> list[str]:
    """Return the texts of the distance boards, in order."""
    return [f"{round(at):04d}" for at in np.arange(0.0, rings.length_m - 10.0, BOARD_PITCH_M)]


def furnish(site: Site, rings: Rings, atlas: Atlas, lamps: tuple[Lamp, ...], lit: bool) -> Quads:
    """Hang all boards of the drift. `lit` says whether the lamps have power."""
    hanger = _Hanger(rings, atlas)
    _hang_reflectors(hanger, rings)
    _hang_chevrons(hanger, rings)
    _hang_boards(hanger, rings)
    _hang_signs(hanger, rings, site)
    for lamp in lamps:
        _hang_lamp(hanger, rings, lamp, lit and lamp.burns)
    return hanger.quads()


def _ring_at(rings: Rings, station_m: float) -> int:
    index = round(station_m / rings.pitch_m)
    return index % rings.count if rings.closed else min(index, rings.count - 1)


def _hang_reflectors(hanger: _Hanger, rings: Rings) -> None:
    """Red on the driver's right, white on the left, both ways; each on a striped post."""
    for station_m in np.arange(2.0, rings.length_m - 2.0, REFLECTOR_PITCH_M):
        ring = _ring_at(rings, float(station_m))
        offset_m = 0.5 * float(rings.width_m[ring]) - 0.02
        for side in (-1.0, 1.0):
            at_m = (side * offset_m, 0.62)
            for way in (-1, 1):
                hanger.across("post", ring, at_m, (0.09, 1.2), way)
                colour = "marker_red" if side * way < 0 else "marker_white"
                plate_m = (side * (offset_m - 0.03), 1.16)
                hanger.across(colour, ring, plate_m, (0.11, 0.26), way, REFLECTOR, 0.35)


def _hang_chevrons(hanger: _Hanger, rings: Rings) -> None:
    """Boards on the outside of sharp bends, pointing into the bend, for both ways."""
    stride = max(1, round(CHEVRON_PITCH_M / rings.pitch_m))
    for ring in range(0, rings.count, stride):
        curvature = float(rings.curvature_per_m[ring])
        if abs(curvature) < CHEVRON_CURVATURE_PER_M:
            continue
        outside = -np.sign(curvature) * (0.5 * float(rings.width_m[ring]) - 0.12)
        for way in (-1, 1):
            name = "chevron_left" if curvature * way > 0 else "chevron_right"
            shifted = (ring + way) % rings.count
            at_m = (float(outside), 1.75)
            hanger.across(name, shifted, at_m, (0.62, 0.62), way, DIFFUSE, 0.75)


def _hang_boards(hanger: _Hanger, rings: Rings) -> None:
    for text in station_texts(rings):
        ring = _ring_at(rings, float(text))
        offset_m = 0.5 * float(rings.width_m[ring]) - 0.22
        for way in (-1, 1):
            at_m = (-way * offset_m, 2.35)
            hanger.across(f"station_{text}", ring, at_m, (0.72, 0.30), way, DIFFUSE, 0.35)


def _hang_signs(hanger: _Hanger, rings: Rings, site: Site) -> None:
    """Passing bays by their name, a speed board where the limit falls, a refuge here and there."""
    for zone in site.zones:
        for way, edge_m in ((1, zone.from_m - 6.0), (-1, zone.to_m + 6.0)):
            ring = _ring_at(rings, edge_m % rings.length_m)
            offset_m = 0.5 * float(rings.width_m[ring]) - 0.42
            size_m = (SIGN_WIDTH_M, SIGN_WIDTH_M)
            if "passing" in zone.name.lower():
                at_m = (-way * offset_m, 2.55)
                hanger.across("passing_bay", ring, at_m, size_m, way, DIFFUSE, 0.2)
            elif zone.speed_limit_mps * 3.6 >= 19.0:
                at_m = (-way * offset_m, 2.75)
                hanger.across("speed_20", ring, at_m, size_m, way, DIFFUSE, 0.2)
    for station_m in np.arange(130.0, rings.length_m, 260.0):
        ring = _ring_at(rings, float(station_m))
        offset_m = 0.5 * float(rings.width_m[ring]) - 0.35
        for way in (-1, 1):
            hanger.across("refuge", ring, (way * offset_m, 2.2), (0.55, 0.55), way, DIFFUSE, 0.3)


def _hang_lamp(hanger: _Hanger, rings: Rings, lamp: Lamp, burning: bool) -> None:
    """A batten fitting: two flanks, two ends and the glowing underside."""
    along, left = rings.ahead[lamp.ring] * 0.6, rings.left[lamp.ring] * 0.11
    up = np.array([0.0, 0.0, 0.06])
    face = "lamp_on" if burning else "lamp_off"
    glow = EMITTER if burning else DIFFUSE
    centre = lamp.position_m
    hanger.add(face, lamp.ring, centre - up, along, -left, glow)
    for sign in (-1.0, 1.0):
        hanger.add(face, lamp.ring, centre + left * sign, -along * sign, up, glow)
        hanger.add(face, lamp.ring, centre + along * sign, left * sign, up, glow)
