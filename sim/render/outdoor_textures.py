"""Procedural surfaces under the open sky: detail near white, whose colour the vertices carry.

The renderer multiplies texture and vertex colour and knows no fog. A texture without a colour
of its own lets the vertices fade to the colour of the haze with distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from sim.render.noise import Plane, periodic_cells, periodic_noise, unit_step
from sim.world.site import Weather

Bytes = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]

GROUND_TILE_M = 9.0
CROP_TILE_M = 9.0
ROW_PITCH_M = 0.75
ROAD_ACROSS_M, ROAD_ALONG_M = 8.0, 24.0
PANORAMA_LOW_RAD, PANORAMA_HIGH_RAD = np.radians(-9.0), np.radians(50.0)
_CLOUD_PX, _CLOUD_HEIGHTS = 512, 5.0
"""The layer of clouds repeats after so many of its own heights."""


def _neutral(level: Plane, tint: Plane | None = None) -> Bytes:
    """Return a picture of mean 0.8 from relative lightness, warmer where ``tint`` is positive."""
    warm = np.zeros_like(level) if tint is None else tint
    mean = float(level.mean())
    picture = np.stack((level * (1.0 + warm), level, level * (1.0 - warm)), axis=2) / mean * 0.8
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)


def _light(height: Plane, strength: float) -> Plane:
    across = np.roll(height, 1, axis=1) - np.roll(height, -1, axis=1)
    down = np.roll(height, 1, axis=0) - np.roll(height, -1, axis=0)
    return np.clip(1.0 + strength * (0.6 * across + 0.7 * down), 0.3, 1.7).astype(np.float32)


def grass_surface(rng: np.random.Generator, size: int = 1024) -> Bytes:
    """Return rough grass: tufts, dry blades, bare spots."""
    tufts = periodic_noise(rng, (size, size), 0.75, 30)
    clumps = periodic_noise(rng, (size, size), 1.2, 5, 60)
    broad = periodic_noise(rng, (size, size), 1.6, 1, 8)
    level = _light(tufts * 0.8 + clumps, 0.22) * (1.0 + 0.13 * tufts + 0.08 * clumps)
    level *= 1.0 + 0.05 * broad
    return _neutral(level, 0.025 * clumps + 0.02 * broad)


def rubble_surface(rng: np.random.Generator, size: int = 1024) -> Bytes:
    """Return broken rock and fines, as beside a haul road."""
    distance, cell = periodic_cells(rng, size, 5000)
    tone = rng.uniform(-1.0, 1.0, 5000).astype(np.float32)[cell]
    rough = periodic_noise(rng, (size, size), 1.1, 4)
    stone = unit_step(distance / (size / 5000**0.5), 0.62, 0.3)
    level = _light(stone * 1.2 + 0.6 * rough, 0.35) * (1.0 + 0.10 * tone * stone + 0.07 * rough)
    return _neutral(level, 0.03 * periodic_noise(rng, (size, size), 1.6, 1, 10))


def paint_surface(rng: np.random.Generator, size: int = 512) -> Bytes:
    """Return worn paint: dust, scratches, streaks."""
    broad = periodic_noise(rng, (size, size), 1.3, 2)
    fine = periodic_noise(rng, (size, size), 0.5, 20)
    scratch = unit_step(periodic_noise(rng, (size, size), 0.9, 8), 1.7, 2.3)
    level = 1.0 + 0.08 * broad + 0.03 * fine - 0.13 * scratch
    return np.asarray(np.clip(_neutral(level, 0.03 * broad) * 1.14, 0, 255), np.uint8)


def soil_surface(rng: np.random.Generator, size: int = 1024) -> Bytes:
    """Return tilled soil: clods and their shade."""
    clods = periodic_noise(rng, (size, size), 0.95, 12)
    crumbs = periodic_noise(rng, (size, size), 0.4, 90)
    level = _light(clods, 0.30) * (1.0 + 0.09 * crumbs)
    return _neutral(level, 0.02 * clods)


def crop_surface(rng: np.random.Generator, size: int = 1024) -> Bytes:
    """Return rows of green plants on soil, coloured; rows run along the picture's rows."""
    soil = _neutral(_light(periodic_noise(rng, (size, size), 0.95, 12), 0.25)).astype(np.float32)
    soil *= np.array((0.40, 0.34, 0.22), np.float32)
    across = (np.arange(size) + 0.5) / size * CROP_TILE_M / ROW_PITCH_M
    off = np.abs(across % 1.0 - 0.5)[None, :] * 2.0
    ragged = 0.16 * periodic_noise(rng, (size, size), 0.9, 14)
    cover = unit_step(np.broadcast_to(off, (size, size)) + ragged, 0.98, 0.62)
    leaf = _light(periodic_noise(rng, (size, size), 0.7, 24), 0.35)
    leaf *= 1.0 + 0.12 * periodic_noise(rng, (size, size), 1.4, 2, 20)
    green = leaf[:, :, None] * np.array((0.33, 0.43, 0.17), np.float32) * 255.0
    picture = soil * (1.0 - cover[:, :, None]) + green * cover[:, :, None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def leaf_surface(rng: np.random.Generator, size: int = 512) -> Bytes:
    """Return a dense stand of leaves from the side: light above, dark between."""
    distance, cell = periodic_cells(rng, size, 1400)
    tone = rng.uniform(-1.0, 1.0, 1400).astype(np.float32)[cell]
    edge = unit_step(distance / (size / 1400**0.5), 0.75, 0.2)
    level = (0.45 + 0.55 * edge) * (1.0 + 0.22 * tone)
    return _neutral(level, 0.08 * tone)


def asphalt_surface(rng: np.random.Generator, *, hot: bool, size: int = 1024) -> Bytes:
    """Return asphalt; the hot mat is open and marked by the screed, the rolled one closed."""
    grain = periodic_noise(rng, (size, size), 0.25, 120)
    patchy = periodic_noise(rng, (size, size), 1.5, 2, 30)
    level = 1.0 + (0.17 if hot else 0.10) * grain + 0.05 * patchy
    if hot:
        level = level * (
            1.0 + 0.10 * unit_step(periodic_noise(rng, (size, size), 0.5, 60), 1.6, 2.4)
        )
        streaks = periodic_noise(rng, (size, size), 0.8, 1, 200).mean(axis=0, keepdims=True)
        level = level * (1.0 + 0.9 * streaks)
    return _neutral(np.clip(level, 0.3, 1.7).astype(np.float32))


def road_bed_surface(rng: np.random.Generator, *, ruts: bool, size: int = 1024) -> Bytes:
    """Return a gravel road across 8 m: wheel tracks, for a track deep ruts and a grass middle."""
    rows = size
    rough = periodic_noise(rng, (rows, size), 0.8, 10)
    fine = periodic_noise(rng, (rows, size), 0.3, 90)
    across_m = ((np.arange(size) + 0.5) / size - 0.5) * ROAD_ACROSS_M
    sway = 0.10 * periodic_noise(rng, (rows, size), 2.0, 1, 4)[:, :1]
    spread_m = 0.34 if ruts else 0.55
    gauge_m = 1.05 if ruts else 1.9
    wheel = np.exp(-(((np.abs(across_m[None, :] + sway) - gauge_m) / spread_m) ** 2))
    level = _light(rough, 0.18) * (1.0 + 0.08 * fine)
    level *= 1.0 - (0.26 if ruts else 0.13) * wheel * (1.0 + 0.4 * rough)
    tread = np.sin(np.arange(rows)[:, None] / rows * ROAD_ALONG_M / 0.11 * 2.0 * np.pi / 2.0)
    level *= 1.0 + (0.10 if ruts else 0.04) * wheel * tread
    warm = 0.02 * rough
    if ruts:
        middle = unit_step(
            (np.exp(-((across_m / 0.5) ** 2))[None, :] + 0.25 * rough).astype(np.float32), 0.6, 1.1
        )
        warm = warm - 0.16 * middle
        level *= 1.0 - 0.10 * middle
    picture = np.stack((level * (1.0 + warm), level * (1.0 + 0.2 * np.maximum(-warm, 0)),
                        level * (1.0 - np.abs(warm))), axis=2)  # fmt: skip
    picture *= 0.8 / float(level.mean())
    return np.asarray(np.clip(picture * 255.0, 0, 255), np.uint8)


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of a place, albedo times noon light, 0…1.

    Attributes:
        ground, bare, steep: grass or rubble, its worn spots, slopes too steep for it.
        bed: of the driven line. haze: of the far air; extinction_per_m: how thick it is.
        zenith: of the sky. forest: of the far tree line; hills_rad: how high it stands.
        cloud_share, sun_share: how much white of clouds and glare of the sun the sky shows.
        shadow_share: how dark shadows are.
    """

    ground: Colour
    bare: Colour
    steep: Colour
    bed: Colour
    haze: Colour
    extinction_per_m: float
    zenith: Colour
    forest: Colour
    hills_rad: float
    cloud_share: float = 1.0
    sun_share: float = 1.0
    shadow_share: float = 1.0


LOOKS: dict[str, Look] = {
    "field": Look((0.43, 0.52, 0.25), (0.52, 0.45, 0.30), (0.45, 0.42, 0.26), (0.5, 0.42, 0.3),
                  (0.80, 0.84, 0.87), 0.0030, (0.36, 0.56, 0.82), (0.26, 0.34, 0.24), 0.050),
    "road": Look((0.46, 0.52, 0.28), (0.56, 0.49, 0.38), (0.50, 0.45, 0.33), (0.5, 0.45, 0.38),
                 (0.82, 0.84, 0.85), 0.0030, (0.44, 0.60, 0.80), (0.30, 0.36, 0.28), 0.045),
    "track": Look((0.46, 0.49, 0.27), (0.55, 0.46, 0.32), (0.52, 0.46, 0.36), (0.58, 0.48, 0.35),
                  (0.78, 0.80, 0.81), 0.0042, (0.52, 0.63, 0.74), (0.25, 0.31, 0.24), 0.105),
    "pit": Look((0.62, 0.55, 0.45), (0.72, 0.64, 0.52), (0.56, 0.47, 0.38), (0.74, 0.66, 0.54),
                (0.86, 0.82, 0.76), 0.0052, (0.55, 0.68, 0.84), (0.60, 0.52, 0.43), 0.130),
}  # fmt: skip


def weathered(look: Look, weather: Weather) -> Look:
    """The look of a place under clouds: no blue, no glare, less of the far, faint shadows."""
    if weather == "clear":
        return look
    grey = (0.74, 0.76, 0.78)
    return replace(
        look, haze=grey, zenith=grey, extinction_per_m=2.0 * look.extinction_per_m,
        cloud_share=0.25, sun_share=0.0, shadow_share=0.35,
    )  # fmt: skip


def _clouds(
    rng: np.random.Generator, up: npt.NDArray[np.float64], heading: npt.NDArray[np.float64]
) -> Plane:
    """Noise of a flat layer over the place: the lower in the sky, the flatter and smaller."""
    layer = np.pad(periodic_noise(rng, (_CLOUD_PX, _CLOUD_PX), 1.55, 2, 90), (0, 1), mode="wrap")
    away_px = _CLOUD_PX / _CLOUD_HEIGHTS / np.tan(np.maximum(up, 0.05))
    column = (away_px * np.cos(heading) % _CLOUD_PX).astype(np.float32)
    row = (away_px * np.sin(heading) % _CLOUD_PX).astype(np.float32)
    return np.asarray(cv2.remap(layer, column, row, cv2.INTER_LINEAR), np.float32)


def panorama(rng: np.random.Generator, look: Look, sun_rad: float, size: int = 2048) -> Bytes:
    """Return the sky round the horizon with clouds, sun, hills and a tree line.

    Columns run once round from heading 0 to the left, rows from ``PANORAMA_HIGH_RAD`` down.
    """
    rows = size // 4
    up = np.linspace(PANORAMA_HIGH_RAD, PANORAMA_LOW_RAD, rows)[:, None]
    heading = (np.arange(size) / size * 2.0 * np.pi)[None, :]
    haze, zenith = np.array(look.haze), np.array(look.zenith)
    climb = np.clip(up / 0.75, 0.0, 1.0) ** 0.55
    sky = haze * (1.0 - climb[:, :, None]) + zenith * climb[:, :, None]
    sky = np.broadcast_to(sky, (rows, size, 3)).copy()
    clouds = unit_step(_clouds(rng, up, heading), 0.35, 1.5)
    cover = clouds * np.clip(up / 0.32 - 0.1, 0.0, 1.0) * 0.85 * look.cloud_share
    sky += cover[:, :, None] * (np.array((0.97, 0.97, 0.96)) - sky)
    away = np.hypot(np.angle(np.exp(1j * (heading - sun_rad))), up - 0.62)
    sky += (np.exp(-((away / 0.35) ** 2)) * 0.30 * look.sun_share)[:, :, None] * np.array(
        (1.0, 0.97, 0.88)
    )
    far_clear = min(1.0, float(np.exp(0.8 - look.extinction_per_m * 190.0)))
    for share, height, dark in ((0.62, 1.0, 0.42), (1.0, 0.42, 0.0)):
        wave = periodic_noise(rng, (8, size), 1.5 if dark else 0.9, 0.02, 40 if not dark else 3)[0]
        ridge = look.hills_rad * height * (0.62 + 0.30 * wave)
        ridge = cv2.GaussianBlur(ridge[None, :], (0, 0), 6.0 if dark else 0.8)
        inside = unit_step((ridge - up).astype(np.float32), -0.0015, 0.0025)
        tint = np.array(look.forest) * share + haze * (1.0 - share)
        seen = (1.0 - dark) * far_clear
        tint = tint * seen + haze * (1.0 - seen)
        rough = periodic_noise(rng, (rows, size), 0.7, 12)
        body = tint * (1.0 + (0.02 if dark else 0.10) * rough[:, :, None])
        sky += inside[:, :, None] * (body - sky)
    floor = unit_step(np.broadcast_to(-up, (rows, size)).astype(np.float32), -0.001, 0.004)
    clear = np.exp(-look.extinction_per_m * 185.0)
    ground = clear * np.array(look.ground) * 0.76 + (1.0 - clear) * haze
    sky += floor[:, :, None] * (ground - sky)
    return np.asarray(np.clip(sky * 255.0, 0, 255), np.uint8)


def tree_picture(rng: np.random.Generator, size: int = 512) -> Bytes:
    """Return a broad-leaved tree, RGBA: light crown from the left, dark below, a trunk."""
    rows, columns = (np.mgrid[0:size, 0:size] + 0.5) / size
    picture = np.zeros((size, size, 4), np.float32)
    trunk = np.abs(columns - 0.5) < 0.022 + 0.02 * np.clip(rows - 0.75, 0, 1)
    trunk &= rows > 0.55
    picture[trunk] = (0.30, 0.24, 0.18, 1.0)
    noise = periodic_noise(rng, (size, size), 0.95, 6, 90)
    for _ in range(60):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 1.0) ** 0.6
        x, y = 0.5 + 0.33 * reach * np.cos(angle), 0.39 + 0.30 * reach * np.sin(angle)
        radius = rng.uniform(0.07, 0.14) * (1.15 - 0.4 * reach)
        away = np.hypot(columns - x, rows - y) / radius + 0.30 * noise
        blob = away < 1.0
        light = 0.62 + 0.30 * (x - columns) / radius + 0.34 * (y - rows) / radius - 0.28 * (y - 0.3)
        light = np.clip(light * (1.0 + 0.20 * noise), 0.16, 1.25)
        for channel, tint in enumerate((0.40, 0.48, 0.22)):
            picture[:, :, channel][blob] = (tint * light)[blob]
        picture[:, :, 3][blob] = 1.0
    bleed = cv2.GaussianBlur(picture, (0, 0), 3.0)
    empty = picture[:, :, 3] < 0.5
    picture[empty, :3] = (bleed[:, :, :3] / np.maximum(bleed[:, :, 3:], 0.05))[empty]
    return np.asarray(np.clip(picture * 255.0, 0, 255), np.uint8)


def shadow_surface(size: int = 64) -> Bytes:
    """Return a soft dark disc, RGBA, inscribed in the triangle (0,0), (1,0), (0,1)."""
    reach = 1.0 - 0.5**0.5
    up, across = (np.mgrid[0:size, 0:size] + 0.5) / size
    radius = np.hypot(up[::-1] - reach, across - reach) / reach
    shadow = np.zeros((size, size, 4), np.uint8)
    shadow[:, :, 3] = np.clip((1.0 - radius) * 3.0, 0.0, 1.0) * 150
    return shadow
