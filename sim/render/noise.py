"""Seeded noise that repeats without a seam, the raw material of every surface in the pictures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


def periodic_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    slope: float,
    lowest: float = 1.0,
    highest: float = 1e9,
) -> Plane:
    """Return noise of zero mean and unit deviation whose amplitude falls as 1/frequency**slope.

    Made in the frequency domain, hence periodic over both axes. `lowest` and `highest` bound the
    band in cycles per picture edge (edge of axis 0; axis 1 is scaled by the picture's shape).
    """
    rows, columns = shape
    row_cycles = np.fft.fftfreq(rows)[:, None] * rows
    column_cycles = np.fft.rfftfreq(columns)[None, :] * columns * (rows / columns)
    radius = np.hypot(row_cycles, column_cycles)
    gain = np.where((radius >= lowest) & (radius <= highest), np.maximum(radius, 1e-6), np.inf)
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * gain**-slope
    plane = np.fft.irfft2(spectrum, s=shape)
    return (plane / max(float(plane.std()), 1e-12)).astype(np.float32)


def periodic_cells(
    rng: np.random.Generator, size: int, count: int
) -> tuple[Plane, npt.NDArray[np.int32]]:
    """Scatter `count` points over a square that repeats and return (distance, cell).

    `distance` is to the nearest point, in pixels; `cell` is the number (0…count−1) of that point.
    """
    points = rng.integers(0, size, (count, 2))
    field = np.full((3 * size, 3 * size), 255, np.uint8)
    owner = np.zeros((3 * size, 3 * size), np.int32)
    for row_shift in (0, size, 2 * size):
        for column_shift in (0, size, 2 * size):
            rows, columns = points[:, 0] + row_shift, points[:, 1] + column_shift
            field[rows, columns] = 0
            owner[rows, columns] = np.arange(count)
    pad = min(size, 4 * int(size / count**0.5) + 8)
    window = slice(size - pad, 2 * size + pad)
    field, owner = np.ascontiguousarray(field[window, window]), owner[window, window]
    distance, label = cv2.distanceTransformWithLabels(
        field, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner_of_label = np.zeros(int(label.max()) + 1, np.int32)
    seeds = field == 0
    owner_of_label[label[seeds]] = owner[seeds]
    core = slice(pad, pad + size)
    return (
        np.ascontiguousarray(distance[core, core], np.float32),
        np.ascontiguousarray(owner_of_label[label[core, core]]),
    )


def unit_step(values: Plane, low: float, high: float) -> Plane:
    """Return a smooth step from 0 at `low` to 1 at `high` (cubic Hermite)."""
    ratio = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(ratio * ratio * (3.0 - 2.0 * ratio), np.float32)


def shrunk(plane: Plane, size_px: tuple[int, int]) -> Plane:
    """Return a picture at `size_px` (columns, rows), each pixel the mean of what it covers."""
    return np.asarray(cv2.resize(plane, size_px, interpolation=cv2.INTER_AREA), np.float32)


def grown(plane: Plane, size_px: tuple[int, int]) -> Plane:
    """Return a picture at `size_px` (columns, rows), linear between its pixels."""
    return np.asarray(cv2.resize(plane, size_px, interpolation=cv2.INTER_LINEAR), np.float32)
