"""The centre line as arrays: rings at even stations that every mesh of the drift hangs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.world.site import Site

Floats = npt.NDArray[np.float64]

RING_PITCH_M = 0.5
RING_MULTIPLE = 16  # the ring count of a closed line divides by the coarsest stride


@dataclass(frozen=True, slots=True)
class Rings:
    """Evenly spaced cross-sections.

    Attributes:
        pitch_m: plan distance between rings; the last ring of a closed line is one pitch before
            the first.
        length_m: plan length of the line.
        closed: the line joins its start.
        station_m, heading_rad, curvature_per_m, width_m, height_m, friction: shape (rings,).
        centre_m: shape (rings, 3), on the floor.
        left: unit vectors square to the line, to the left, shape (rings, 3).
        ahead: unit vectors of rising station along the grade, shape (rings, 3).
    """

    pitch_m: float
    length_m: float
    closed: bool
    station_m: Floats
    centre_m: Floats
    heading_rad: Floats
    curvature_per_m: Floats
    width_m: Floats
    height_m: Floats
    friction: Floats
    left: Floats
    ahead: Floats

    @property
    def count(self) -> int:
        """Number of rings."""
        return len(self.station_m)

    def place(self, ring: npt.ArrayLike, lateral_m: npt.ArrayLike, up_m: npt.ArrayLike) -> Floats:
        """Return points of given offset (+ left) and height above the floor at `ring`."""
        index = np.asarray(ring)
        points = self.centre_m[index] + self.left[index] * np.asarray(lateral_m)[..., None]
        points[..., 2] += np.asarray(up_m)
        return np.asarray(points)


def lay_rings(site: Site) -> Rings:
    """Sample the site's centre line at about half a metre."""
    line = site.centre_line
    known_m = np.array([point.station_m for point in line])
    count = int(site.length_m / RING_PITCH_M / RING_MULTIPLE) * RING_MULTIPLE
    count = max(count, RING_MULTIPLE)
    pitch_m = site.length_m / (count if site.closed else count - 1)
    station_m = np.asarray(np.arange(count) * pitch_m, np.float64)

    def sample(values: list[float]) -> Floats:
        return np.asarray(np.interp(station_m, known_m, values))

    heading_rad = sample([point.heading_rad for point in line])
    grade = sample([point.grade for point in line])
    flat = np.zeros(count)
    ahead = np.stack((np.cos(heading_rad), np.sin(heading_rad), grade), axis=1)
    return Rings(
        pitch_m=pitch_m,
        length_m=site.length_m,
        closed=site.closed,
        station_m=station_m,
        centre_m=np.stack(
            (
                sample([point.x_m for point in line]),
                sample([point.y_m for point in line]),
                sample([point.z_m for point in line]),
            ),
            axis=1,
        ),
        heading_rad=heading_rad,
        curvature_per_m=sample([point.curvature_per_m for point in line]),
        width_m=sample([point.width_m for point in line]),
        height_m=sample([point.height_m for point in line]),
        friction=sample([point.friction for point in line]),
        left=np.stack((-np.sin(heading_rad), np.cos(heading_rad), flat), axis=1),
        ahead=ahead / np.linalg.norm(ahead, axis=1)[:, None],
    )


@dataclass(frozen=True, slots=True)
class DetailRun:
    """Up to `to_m` ahead of the camera every `stride`-th ring is drawn.

    The run ends on a multiple of `ends_on` rings, the next run's stride, so that coarse rings
    stand still while the camera moves.
    """

    to_m: float
    stride: int
    ends_on: int


WALL_DETAIL = (
    DetailRun(18.0, 1, 2),
    DetailRun(42.0, 2, 8),
    DetailRun(150.0, 8, RING_MULTIPLE),
)
PLAIN_DETAIL = (DetailRun(36.0, 2, 8), DetailRun(150.0, 8, RING_MULTIPLE))
BEHIND_M = 6.0


def visible_rings(
    rings: Rings, detail: tuple[DetailRun, ...], station_m: float, way: int
) -> npt.NDArray[np.intp]:
    """Return the numbers of the rings to draw, nearest first; the length is always the same.

    `way` is +1 for a camera that looks along rising station, −1 against it. On a closed line the
    numbers run past its ends and are to be taken modulo the count. Surplus places, and places
    past an open end, repeat a ring: those quads have no area.
    """
    position = station_m / rings.pitch_m * way
    stride = detail[0].stride
    start = int(np.floor((position - BEHIND_M / rings.pitch_m) / stride)) * stride
    picked: list[int] = []
    for run in detail:
        stop = int(np.ceil((position + run.to_m / rings.pitch_m) / run.ends_on)) * run.ends_on
        picked.extend(range(start, stop, run.stride))
        start = stop
    picked.append(start)
    picked.extend([start] * (ring_capacity(rings, detail) - len(picked)))
    numbers = np.array(picked, np.intp) * way
    return numbers if rings.closed else np.clip(numbers, 0, rings.count - 1)


def ring_capacity(rings: Rings, detail: tuple[DetailRun, ...]) -> int:
    """Return the length of what `visible_rings` returns: the most it can ever pick."""
    capacity, from_m, spare = 2, -BEHIND_M, 2
    for run in detail:
        capacity += int(((run.to_m - from_m) / rings.pitch_m + spare + run.ends_on) / run.stride)
        from_m, spare = run.to_m, 0
    return capacity
