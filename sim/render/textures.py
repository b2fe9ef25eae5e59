"""Procedural surfaces of the drift: rock, meshed roof, wet gravel road, sign boards, glows.

Every surface is an RGB (or RGBA) picture of uint8, row 0 at the top, that repeats without a seam
where it is laid in tiles. Colours are albedo; the light comes from `sim.render.light`, except for
the fine relief, which is drawn into the albedo because the software renderer has no bump maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sim.render.noise import Plane, periodic_cells, periodic_noise, shrunk, unit_step

Rgb = npt.NDArray[np.uint8]

ROCK_TILE_M = 5.0
ROAD_TILE_ACROSS_M = 8.0
ROAD_TILE_ALONG_M = 32.0
WHEEL_TRACK_M = 1.32  # half the wheel gauge of a 60 t truck (29.5R25 tyres, 3.5 m over all)
_BOLT_PITCH_M = 1.25
_MESH_PITCH_M = 0.1  # welded mesh, 100 mm aperture


def _relief(height: Plane, strength: float) -> Plane:
    """Return light and shade of a height field under light from the upper left, mean 1."""
    across = np.roll(height, 1, axis=1) - np.roll(height, -1, axis=1)
    down = np.roll(height, 1, axis=0) - np.roll(height, -1, axis=0)
    return np.clip(1.0 - strength * (0.5 * across + 0.85 * down), 0.25, 1.9).astype(np.float32)


def _colour(base: tuple[float, float, float], level: Plane) -> Plane:
    return np.asarray(base, np.float32) * level[:, :, None]


def _to_bytes(picture: Plane) -> Rgb:
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)


def _rock_plane(rng: np.random.Generator, size: int) -> Plane:
    """Return blasted rock with shotcrete remains, float RGB 0…1."""
    warp = periodic_noise(rng, (size, size), 1.4, 2, 40) * (size / 160.0)
    warp_down = periodic_noise(rng, (size, size), 1.4, 2, 40) * (size / 160.0)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    map_rows = np.mod(rows + warp_down, size).astype(np.intp)
    map_columns = np.mod(columns + warp, size).astype(np.intp)

    def facets(count: int) -> tuple[Plane, Plane]:
        distance, cell = periodic_cells(rng, size, count)
        tilt = rng.uniform(-1.0, 1.0, count).astype(np.float32)
        return (
            distance[map_rows, map_columns] / (size / count**0.5),
            tilt[cell][map_rows, map_columns],
        )

    coarse_distance, coarse_tilt = facets(110)
    fine_distance, fine_tilt = facets(1500)
    rough = periodic_noise(rng, (size, size), 1.25, 6)
    grain = periodic_noise(rng, (size, size), 0.45, 90)
    height = -1.5 * coarse_distance - 0.55 * fine_distance + 0.55 * rough
    shade = _relief(cv2.GaussianBlur(height, (0, 0), 0.8), 2.4)
    shade *= 1.0 + 0.20 * coarse_tilt + 0.10 * fine_tilt
    cavity = unit_step(coarse_distance + 0.12 * rough, 0.95, 0.55)
    shade *= 0.62 + 0.38 * cavity
    shade *= 1.0 + 0.07 * grain
    stain = periodic_noise(rng, (size, size), 1.7, 1, 60)
    rust = unit_step(periodic_noise(rng, (size, size), 1.6, 2, 60), 1.0, 2.4)
    concrete = unit_step(periodic_noise(rng, (size, size), 1.5, 1, 80), 0.0, 0.9)
    smooth = 1.0 + 0.10 * periodic_noise(rng, (size, size), 0.9, 20) + 0.06 * grain
    rock = _colour((0.45, 0.43, 0.41), shade * (1.0 + 0.10 * stain))
    sprayed = _colour((0.52, 0.51, 0.49), (0.45 * shade + 0.55) * smooth * (1.0 + 0.06 * stain))
    picture = rock * (1.0 - 0.75 * concrete[:, :, None]) + sprayed * (0.75 * concrete[:, :, None])
    tint = np.asarray((1.10, 0.86, 0.62), np.float32)
    return np.asarray(picture * (1.0 + rust[:, :, None] * 0.55 * (tint - 1.0)), np.float32)


def _add_bolts(picture: Plane, size: int, rng: np.random.Generator) -> None:
    """Draw bolt plates and a shadow below each, in place; the pattern repeats with the tile."""
    texel_m = ROCK_TILE_M / size
    pitch = _BOLT_PITCH_M / texel_m
    half = 0.075 / texel_m
    count = round(size / pitch)
    for row in range(count):
        for column in range(count):
            offset = 0.5 * pitch * (row % 2)
            centre = (
                (column + 0.5) * pitch + offset * 0.5 + rng.uniform(-0.05, 0.05) * pitch,
                (row + 0.5) * pitch + rng.uniform(-0.05, 0.05) * pitch,
            )
            turn = rng.uniform(-25.0, 25.0)
            plate = cv2.boxPoints((centre, (2 * half, 2 * half), turn))
            shade = float(rng.uniform(0.30, 0.46))
            shadow = np.round((plate + np.array((0.35 * half, 0.6 * half))) * 16).astype(np.int32)
            cv2.fillConvexPoly(picture, shadow, (0.10, 0.10, 0.10), cv2.LINE_AA, 4)
            corners = np.round(plate * 16).astype(np.int32)
            plate_colour = (shade * 1.05, shade * 0.95, shade * 0.85)
            cv2.fillConvexPoly(picture, corners, plate_colour, cv2.LINE_AA, 4)
            at = (round(centre[0] * 16), round(centre[1] * 16))
            cv2.circle(picture, at, round(half * 0.42 * 16), (0.16,) * 3, -1, cv2.LINE_AA, 4)
            tip = (round((centre[0] - 0.06 * half) * 16), round((centre[1] - 0.12 * half) * 16))
            cv2.circle(picture, tip, round(half * 0.28 * 16), (0.55,) * 3, -1, cv2.LINE_AA, 4)


def _add_mesh(picture: Plane, size: int, rng: np.random.Generator) -> None:
    """Lay welded wire mesh over the rock: bright wires with a soft shadow, in place."""
    texel_m = ROCK_TILE_M / size
    pitch = _MESH_PITCH_M / texel_m
    sway = periodic_noise(rng, (size, size), 2.0, 1, 12) * 1.6
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)

    def wires(position: Plane) -> Plane:
        phase = np.mod(position, pitch)
        return np.asarray(np.minimum(phase, pitch - phase), np.float32)

    across, along = wires(columns + sway), wires(rows + np.roll(sway, size // 3, axis=0))
    nearest = np.minimum(across, along)
    shadow = np.minimum(wires(columns + sway - 2.5), wires(rows + sway - 3.0))
    picture *= 1.0 - 0.35 * np.clip(1.6 - shadow, 0.0, 1.0)[:, :, None]
    cover = np.clip(1.3 - nearest, 0.0, 1.0)[:, :, None] * 0.55
    rusty = np.asarray((0.50, 0.44, 0.38), np.float32)
    picture *= 1.0 - cover
    picture += cover * rusty


def rock_surfaces(rng: np.random.Generator, size: int = 1024) -> tuple[Rgb, Rgb]:
    """Return (wall, roof): the same rock, the roof with mesh and bolt plates. Tile 5 m.

    Rows (along the drift) are half as many as columns (round the section): the camera sees walls
    at a grazing angle, and the renderer's mip levels would blur both directions alike.
    """
    wall = _rock_plane(rng, size)
    roof = wall.copy()
    _add_mesh(roof, size, rng)
    _add_bolts(roof, size, rng)
    half = (size, size // 2)
    return (
        _to_bytes(shrunk(wall * 1.12, half)),
        _to_bytes(shrunk(roof * 1.12, half)),
    )


def road_surface(rng: np.random.Generator, size: int = 1024) -> Rgb:
    """Return wet gravel with two wheel tracks, `size` columns and twice as many rows.

    The column in the middle is the centre line. Tile 8 m across × 32 m along: stones come out
    long, but the camera sees the road at a grazing angle, and the tile repeats less often.
    """
    shape = (2 * size, size)
    lateral_m = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * ROAD_TILE_ACROSS_M
    wander = periodic_noise(rng, shape, 2.2, 1, 6) * 0.10
    off_track = np.abs(np.abs(lateral_m[None, :] + wander) - WHEEL_TRACK_M)
    track = 1.0 - unit_step(off_track, 0.18, 0.70)
    count = 9000
    distance, cell = (np.tile(plane, (2, 1)) for plane in periodic_cells(rng, size, count))
    stone_level = rng.uniform(0.86, 1.22, count).astype(np.float32)[cell]
    radius = (rng.uniform(0.0, 1.0, count) ** 3 * 5.5).astype(np.float32)[cell] + 0.5
    stone = unit_step(radius - distance, -0.8, 1.2)
    rough = periodic_noise(rng, shape, 1.15, 4)
    patchy = periodic_noise(rng, shape, 1.6, 1, 40)
    grain = periodic_noise(rng, shape, 0.35, 160)
    dome = stone * np.sqrt(np.clip(1.0 - (distance / radius) ** 2, 0.0, 1.0))
    fines = 0.72 + 0.06 * patchy + 0.09 * grain
    loose = (fines + (0.85 * stone_level - fines) * stone) * _relief(0.6 * dome + 0.7 * rough, 0.6)
    packed = (0.50 + 0.05 * patchy + 0.06 * grain) * _relief(rough, 0.5)
    rows_m = np.arange(2 * size, dtype=np.float32)[:, None] / (2 * size) * ROAD_TILE_ALONG_M
    lug = np.sin(2.0 * np.pi * (rows_m * 5.0 + 0.8 * np.abs(lateral_m[None, :] + wander)))
    tread = 1.0 - 0.13 * unit_step(lug.astype(np.float32), 0.1, 0.5) * unit_step(rough, -1.0, 0.8)
    bare = 0.9 * track * unit_step(patchy + 1.6, 0.0, 1.2)
    level = loose * (1.0 - bare) + packed * tread * bare
    damp = unit_step(periodic_noise(rng, shape, 1.6, 1, 40) + 0.6 * track, 0.3, 2.0)
    puddle = unit_step(periodic_noise(rng, shape, 2.1, 1, 14) + track + 0.10 * rough, 2.05, 2.4)
    level *= 1.0 - 0.34 * damp
    mirror = 0.41 + 0.05 * patchy
    level = level * (1.0 - 0.85 * puddle) + mirror * 0.85 * puddle
    picture = _colour((0.52, 0.485, 0.44), level)
    cool = np.asarray((0.95, 1.0, 1.07), np.float32)
    wet = (damp * 0.8)[:, :, None]
    return _to_bytes(picture * (1.0 - wet + wet * cool) * 1.15)


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the atlas in texture units, origin lower left."""

    left: float
    bottom: float
    right: float
    top: float


class Atlas:
    """Small boards, plates and plain colours drawn into one square picture."""

    def __init__(self, size: int = 1024) -> None:
        self.size = size
        self.picture: Rgb = np.full((size, size, 3), 128, np.uint8)
        self.patches: dict[str, Patch] = {}
        self._x = self._y = self._row_height = 0

    def add(self, name: str, tile: Rgb) -> None:
        """Copy `tile` in, with a border against bleeding. Raises ValueError when full."""
        rows, columns = tile.shape[:2]
        border = 2
        if self._x + columns + 2 * border > self.size:
            self._x, self._y, self._row_height = 0, self._y + self._row_height, 0
        if self._y + rows + 2 * border > self.size:
            raise ValueError(f"no room for '{name}' in the atlas of {self.size} px")
        x, y = self._x + border, self._y + border
        framed = cv2.copyMakeBorder(tile, border, border, border, border, cv2.BORDER_REPLICATE)
        self.picture[y - border : y + rows + border, x - border : x + columns + border] = framed
        unit = 1.0 / self.size
        self.patches[name] = Patch(
            (x + 0.5) * unit,
            1.0 - (y + rows - 0.5) * unit,
            (x + columns - 0.5) * unit,
            1.0 - (y + 0.5) * unit,
        )
        self._x += columns + 2 * border
        self._row_height = max(self._row_height, rows + 2 * border)


def _board(rows: int, columns: int, colour: tuple[int, int, int]) -> Rgb:
    return np.full((rows, columns, 3), colour, np.uint8)


def _write(tile: Rgb, text: str, colour: tuple[int, int, int], fill: float = 0.8) -> None:
    rows, columns = tile.shape[:2]
    font = cv2.FONT_HERSHEY_DUPLEX
    (width, height), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = min(columns * fill / width, rows * fill / height)
    thickness = max(1, round(2.2 * scale))
    at = (round((columns - width * scale) / 2), round((rows + height * scale) / 2))
    cv2.putText(tile, text, at, font, scale, colour, thickness, cv2.LINE_AA)


def _dirty(rng: np.random.Generator, tile: Rgb, amount: float = 0.16) -> Rgb:
    rows, columns = tile.shape[:2]
    cloud = periodic_noise(rng, (rows, columns), 1.3)
    splash = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None] ** 3
    level = np.clip(1.0 - amount * (1.0 + cloud) * 0.6 - 0.35 * splash, 0.2, 1.0)
    return np.asarray(np.clip(tile * level[:, :, None], 0, 255), np.uint8)


def sign_atlas(rng: np.random.Generator, station_boards: list[str]) -> Atlas:
    """Draw every board that the drift uses; `station_boards` are the texts of distance boards."""
    atlas = Atlas()
    yellow, black, white, red = (236, 190, 30), (20, 20, 20), (235, 235, 230), (200, 30, 24)
    for name, sign in (("chevron_left", -1), ("chevron_right", 1)):
        tile = _board(128, 128, yellow)
        for start in (-40, 24, 88):
            tip = start + 60
            arrow = np.array(
                [[start, -4], [start + 30, -4], [tip + 26, 64], [start + 30, 132], [start, 132],
                 [tip - 4, 64]], np.int32
            )  # fmt: skip
            if sign < 0:
                arrow[:, 0] = 127 - arrow[:, 0]
            cv2.fillPoly(tile, [arrow], black, cv2.LINE_AA)
        atlas.add(name, _dirty(rng, tile))
    tile = _board(128, 128, (24, 70, 165))
    cv2.rectangle(tile, (5, 5), (122, 122), white, 4, cv2.LINE_AA)
    _write(tile, "P", white, 0.62)
    atlas.add("passing_bay", _dirty(rng, tile))
    tile = _board(128, 128, white)
    cv2.circle(tile, (64, 64), 54, red, 14, cv2.LINE_AA)
    face = tile[36:92, 28:100]
    _write(face, "20", black, 0.86)
    atlas.add("speed_20", _dirty(rng, tile))
    tile = _board(128, 128, (18, 120, 60))
    _write(tile[20:108, 12:116], "SOS", white, 0.9)
    atlas.add("refuge", _dirty(rng, tile))
    for name, colour in (("marker_red", (225, 40, 28)), ("marker_white", (240, 240, 235))):
        tile = _board(64, 24, colour)
        cv2.rectangle(tile, (0, 0), (23, 63), (60, 60, 60), 2)
        atlas.add(name, tile)
    tile = _board(64, 16, white)
    for top in range(-16, 64, 32):
        stripe = np.array([[0, top + 16], [16, top], [16, top + 16], [0, top + 32]], np.int32)
        cv2.fillPoly(tile, [stripe], red, cv2.LINE_AA)
    atlas.add("post", _dirty(rng, tile))
    tile = _board(32, 128, (90, 92, 95))
    cv2.rectangle(tile, (8, 7), (119, 24), (255, 255, 255), -1)
    atlas.add("lamp_on", tile)
    dark = _board(32, 128, (90, 92, 95))
    cv2.rectangle(dark, (8, 7), (119, 24), (120, 122, 124), -1)
    atlas.add("lamp_off", dark)
    for name, shade in (
        ("steel", (120, 118, 112)), ("galvanised", (150, 152, 150)), ("black", (34, 33, 32)),
        ("orange", (205, 96, 30)), ("blue", (60, 92, 130)),
    ):  # fmt: skip
        atlas.add(name, _dirty(rng, _board(16, 16, shade), 0.1))
    duct = _board(64, 128, (190, 152, 36))
    ripple = 1.0 + 0.10 * np.sin(np.arange(64) * 2.0 * np.pi / 16.0)[:, None, None]
    atlas.add("duct", _dirty(rng, np.clip(duct * ripple, 0, 255).astype(np.uint8), 0.3))
    for text in station_boards:
        tile = _board(40, 96, white)
        cv2.rectangle(tile, (1, 1), (94, 38), black, 2)
        _write(tile, text, black, 0.78)
        atlas.add(f"station_{text}", _dirty(rng, tile))
    return atlas


GLOW_REACH = 1.0 - math.sqrt(0.5)  # radius of the circle inscribed in the lower left triangle


def glow_surface(size: int = 128) -> npt.NDArray[np.uint8]:
    """Return a round soft glow, RGBA, white with falling alpha.

    It fills the circle inscribed in the triangle (0,0), (1,0), (0,1) of texture units, so that one
    triangle shows it: on the common edge of two, blended pixels would be drawn twice.
    """
    up, across = (np.mgrid[0:size, 0:size] + 0.5) / size
    radius = np.hypot(up[::-1] - GLOW_REACH, across - GLOW_REACH) / GLOW_REACH
    alpha = np.clip(1.0 - radius, 0.0, 1.0) ** 2.2 * 0.65 + np.exp(-((radius / 0.12) ** 2)) * 0.5
    glow = np.full((size, size, 4), 255, np.uint8)
    glow[:, :, 3] = np.clip(alpha * 255, 0, 255) * (radius < 1.0)
    return glow
