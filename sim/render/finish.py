"""From the drawn place to the camera's picture: bonnet, lens, dust in the beam, sensor, I420.

All of it works on the luma plane at full size, where it costs a fraction of what the three
dimensional part costs.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sim.render.noise import Plane, grown, periodic_noise, shrunk, unit_step

Bytes = npt.NDArray[np.uint8]
_Bonnet = tuple[list[Bytes], list[Bytes], int]

STRIP_ROWS = 16  # the identity strip covers them and the page hides them
_VIGNETTE = 0.36
_VIGNETTE_BY_DAY = 0.20
_HAZE_PEAK = 17.0
_MOTES = 26
_NOISE_BANKS = 5


def bonnet_rows(height_px: int) -> int:
    """Return how many rows at the bottom show nothing but the truck itself."""
    return height_px // 18 * 2


class Finish:
    """Turns drawn pictures into what the camera on the machine would send.

    Args:
        width_px, height_px, focal_px: of the sent picture.
        seed: of grain and dust.
        bonnet: the truck's front edge is painted over the lowest rows.
        beams: dust stands in the machine's own beams; in daylight it does not.
    """

    def __init__(
        self,
        width_px: int,
        height_px: int,
        focal_px: float,
        seed: int,
        *,
        bonnet: bool = True,
        beams: bool = True,
    ) -> None:
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        self._width, self._height = width_px, height_px
        self._focal_px = focal_px
        hidden_rows = bonnet_rows(height_px) if bonnet else 0
        self._view_rows = slice(STRIP_ROWS, height_px - hidden_rows)
        self._beams = beams
        view_height = self._view_rows.stop - self._view_rows.start
        self._vignette_full = self._make_vignette()
        self._vignette = self._vignette_full
        self._haze_shape = (max(2, view_height // 8), max(2, width_px // 8))
        self._haze = self._make_haze(view_height)
        clouds = periodic_noise(rng, (512, 512), 1.5, 2, 60)
        clouds = np.clip(0.62 + 0.26 * clouds, 0.1, 1.3).astype(np.float32)
        self._clouds = np.tile(clouds, (2, 2))
        self._motes = rng.uniform(0.0, 1.0, (_MOTES, 4))
        grain = rng.standard_normal((_NOISE_BANKS, view_height, width_px), np.float32) + 2.0
        self._grain = np.clip(grain, 0.0, 4.9).astype(np.uint8)
        painted = _draw_bonnet(rng, width_px, height_px, focal_px) if bonnet else None
        self._bonnet = painted
        self._picture = np.full((height_px * 3 // 2, width_px), 128, np.uint8)
        self._picture[:height_px] = 16

    def picture(self, drawn: Bytes, exposure_us: int, travelled_m: float, ambient: float) -> Bytes:
        """Return the I420 picture, (height·3/2, width); valid until the next call.

        `drawn` is BGRA of any size and covers the rows between the strip and the bonnet.
        `travelled_m` moves the dust past the camera; `ambient` (0…1) lights the bonnet.
        """
        view = self._view_rows
        rows = view.stop - view.start
        small = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGRA2YUV_I420), np.uint8)
        small_rows, small_columns = drawn.shape[:2]
        luma = self._picture[view]
        seconds = exposure_us * 1e-6
        # what varies slowly over the picture is cheaper before it is grown
        view_small = small[:small_rows]
        cv2.multiply(view_small, self._vignette_for(view_small.shape), view_small, 1.0 / 255.0)
        if self._beams:
            haze = self._drifting_haze(seconds, travelled_m)
            cv2.add(view_small, cv2.resize(haze, (small_columns, small_rows)), view_small)
        cv2.resize(view_small, (self._width, rows), luma, 0, 0, cv2.INTER_LINEAR)
        if self._beams:
            self._add_motes(luma, seconds, travelled_m)
        cv2.add(luma, self._grain[(exposure_us // 1000) % _NOISE_BANKS], luma)
        self._chroma(small, small_rows, small_columns, rows)
        if self._bonnet is not None:
            self._add_bonnet(self._bonnet, ambient)
        return self._picture

    def _chroma(self, small: Bytes, small_rows: int, small_columns: int, rows: int) -> None:
        """Scale both chroma planes into place, through their rows as OpenCV packs them."""
        quarter = small_rows * small_columns // 4
        flat = small.reshape(-1)[small_rows * small_columns :]
        planes = self._picture.reshape(-1)[self._width * self._height :]
        shape = (small_rows // 2, small_columns // 2)
        full = (self._height // 2, self._width // 2)
        first = STRIP_ROWS // 2
        for index in range(2):
            source = flat[index * quarter : (index + 1) * quarter].reshape(shape)
            plane = planes[index * full[0] * full[1] : (index + 1) * full[0] * full[1]]
            target = plane.reshape(full)[first : first + rows // 2]
            cv2.resize(source, (full[1], rows // 2), target, 0, 0, cv2.INTER_LINEAR)

    def _make_vignette(self) -> Bytes:
        view = self._view_rows
        rows, columns = np.mgrid[view.start : view.stop, 0 : self._width].astype(np.float32)
        radius = np.hypot(columns - self._width / 2, rows - self._height / 2) / self._focal_px
        fall = (
            1.0
            - (_VIGNETTE if self._beams else _VIGNETTE_BY_DAY)
            * np.clip(radius / 0.95, 0.0, 1.2) ** 2.2
        )
        return np.asarray(np.clip(fall * 255.0, 0, 255), np.uint8)

    def _vignette_for(self, shape: tuple[int, ...]) -> Bytes:
        """Return the vignette at the size of the drawn picture, made when that size changes."""
        if self._vignette.shape != shape:
            grown_or_shrunk = cv2.resize(self._vignette_full, (shape[1], shape[0]))
            self._vignette = np.asarray(grown_or_shrunk, np.uint8)
        return self._vignette

    def _make_haze(self, view_height: int) -> npt.NDArray[np.float32]:
        """Backscatter of the own beams: brightest about the axis, where the view is longest."""
        rows, columns = self._haze_shape
        y = (np.arange(rows) + 0.5) / rows * view_height + STRIP_ROWS - 0.46 * self._height
        x = (np.arange(columns) + 0.5) / columns * self._width - 0.5 * self._width
        spread = np.hypot(x[None, :] / (0.30 * self._width), y[:, None] / (0.34 * self._height))
        beams = np.exp(-(spread**2)) + 0.35 * np.exp(-((spread / 2.2) ** 2))
        return np.asarray(beams * _HAZE_PEAK, np.float32)

    def _drifting_haze(self, seconds: float, travelled_m: float) -> Bytes:
        rows, columns = self._haze_shape
        across = int(seconds * 9.0 + travelled_m * 3.0) % 512
        down = int(seconds * 5.0 + travelled_m * 7.0) % 512
        window = self._clouds[down : down + rows, across : across + columns]
        haze = (self._haze * window).astype(np.uint8)
        return np.asarray(haze, np.uint8)

    def _add_motes(self, luma: Bytes, seconds: float, travelled_m: float) -> None:
        """Single grains that cross the beams near the camera."""
        depth = 0.8 + 5.2 * np.mod(self._motes[:, 2] - travelled_m / 5.2 - seconds * 0.02, 1.0)
        x = 5.0 * (np.mod(self._motes[:, 0] + seconds * 0.011, 1.0) - 0.5)
        y = 3.2 * (np.mod(self._motes[:, 1] + seconds * 0.017 * self._motes[:, 3], 1.0) - 0.5)
        columns = self._width / 2 + self._focal_px * x / depth
        rows = self._height / 2 - STRIP_ROWS + self._focal_px * y / depth
        scale = self._width / 1280.0
        for column, row, away, size in zip(columns, rows, depth, self._motes[:, 3], strict=True):
            if not (0 <= column < luma.shape[1] and 0 <= row < luma.shape[0]):
                continue
            radius = max(1, round((0.7 + 1.6 * size) * scale * 2.2 / away))
            level = int(luma[int(row), int(column)]) + round(16.0 + 46.0 * size / away)
            place = (round(column * 8), round(row * 8))
            cv2.circle(luma, place, radius * 8, min(level, 235), -1, cv2.LINE_AA, 3)

    def _add_bonnet(self, bonnet: _Bonnet, ambient: float) -> None:
        painted, gaps, top = bonnet
        light = 0.72 + 0.5 * ambient
        planes = self._picture.reshape(-1)[self._width * self._height :]
        chroma = planes.reshape(2, self._height // 2, self._width // 2)[:, top // 2 :]
        bands = (self._picture[top : self._height], chroma[0], chroma[1])
        for band, part, gap, gain in zip(bands, painted, gaps, (light, 1.0, 1.0), strict=True):
            cv2.multiply(band, gap, band, 1.0 / 255.0)
            cv2.scaleAdd(part, gain, band, band)


def _draw_bonnet(rng: np.random.Generator, width: int, height: int, focal_px: float) -> _Bonnet:
    """Paint the truck's own front edge: deck plate, worn yellow lip, rail and lamp guards.

    Returns, for Y, U and V, what it adds and how much of the drift is left (0…255), and its first
    row.
    """
    fine = 3
    rows_solid = bonnet_rows(height)
    top = (height - round(rows_solid * 2.3)) // 2 * 2
    shape = ((height - top) * fine, width * fine)
    paint: Plane = np.zeros((*shape, 3), np.float32)
    cover: Plane = np.zeros(shape, np.float32)
    unit = focal_px / 790.0 * fine

    def at(x: float, y: float) -> tuple[int, int]:
        return (
            round(shape[1] / 2 + x * unit),
            round((height - rows_solid - top) * fine + y * unit),
        )

    def fill(
        corners: list[tuple[float, float]], colour: tuple[float, float, float], cut: bool = True
    ) -> None:
        polygon = np.array([at(*corner) for corner in corners], np.int32)
        cv2.fillPoly(paint, [polygon], colour, cv2.LINE_AA)
        if cut:
            cv2.fillPoly(cover, [polygon], 1.0, cv2.LINE_AA)

    yellow, dark, steel = (0.50, 0.36, 0.07), (0.050, 0.052, 0.055), (0.16, 0.16, 0.165)
    fill([(-900, 6), (-430, -9), (430, -9), (900, 6), (900, 400), (-900, 400)], yellow)
    fill([(-900, 30), (-430, 13), (430, 13), (900, 30), (900, 400), (-900, 400)], dark, cut=False)
    fill([(-900, 27), (-430, 10), (430, 10), (900, 27), (900, 31), (-900, 31)], (0.30, 0.22, 0.05),
         cut=False)  # fmt: skip
    for side in (-1.0, 1.0):
        x = 505.0 * side
        fill([(x - 44, 4), (x - 36, -27), (x + 36, -27), (x + 44, 4)], steel)
        fill([(x - 33, 2), (x - 29, -20), (x + 29, -20), (x + 33, 2)], (0.09, 0.09, 0.095))
        for bar in (-12.0, 12.0):
            fill(
                [(x + bar - 2, 4), (x + bar - 2, -25), (x + bar + 2, -25), (x + bar + 2, 4)], steel
            )
        fill([(x - 27, -22), (x + 27, -22), (x + 25, -18), (x - 25, -18)], (0.75, 0.72, 0.62))
    for x in range(-860, 861, 48):  # tread plate
        for y in range(44, 140, 22):
            lean = 7.0 if (x // 48 + y // 22) % 2 else -7.0
            fill([(x - 7, y - lean * 0.4), (x - 5, y - lean * 0.4 - 2), (x + 7, y + lean * 0.4),
                  (x + 5, y + lean * 0.4 + 2)], (0.095, 0.095, 0.10), cut=False)  # fmt: skip
    fill([(-4, -6), (-3, -58), (3, -58), (4, -6)], steel)  # centre mark
    fill([(-5, -58), (-5, -70), (5, -70), (5, -58)], (0.62, 0.14, 0.05))
    size = (width, height - top)
    noise = periodic_noise(rng, (256, 1024), 1.1, 2)
    dirt = grown(noise, size)
    rust = unit_step(grown(periodic_noise(rng, (256, 1024), 1.4, 3), size), 0.7, 1.6)
    paint = shrunk(paint, size)
    cover = shrunk(cover, size)
    fade = 1.0 - 0.45 * np.clip(np.abs(np.arange(width) / width - 0.5) * 2.0, 0.0, 1.0) ** 2
    paint *= (np.clip(1.0 + 0.20 * dirt, 0.3, 1.6) * fade)[:, :, None]
    grime = np.asarray((0.12, 0.105, 0.09), np.float32)
    paint += (rust * 0.6)[:, :, None] * (grime - paint)
    packed = np.clip(np.power(np.clip(paint, 0.0, 1.0), 0.75) * 255.0, 0, 255).astype(np.uint8)
    yuv = cv2.cvtColor(packed, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma_size = size[0] * size[1]
    half = (size[1] // 2, size[0] // 2)
    planes = [
        yuv[:luma_size].reshape(size[1], size[0]),
        yuv[luma_size : luma_size + luma_size // 4].reshape(half),
        yuv[luma_size + luma_size // 4 :].reshape(half),
    ]
    cover_half = shrunk(cover, (half[1], half[0]))
    covers = (cover, cover_half, cover_half)
    added = [
        np.rint(plane * part).astype(np.uint8) for plane, part in zip(planes, covers, strict=True)
    ]
    gaps = [np.rint(255.0 - 255.0 * part).astype(np.uint8) for part in covers]
    return added, gaps, top
