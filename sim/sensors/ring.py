"""Short-range sensors round a simulated machine: the nearest thing on each of its four sides.

One looks ahead from the front, one back from the tail, and one to each side from the middle of each
body, over 120°, 8 m far, as parking radars do; a body that folds carries its own with it.
"""

from __future__ import annotations

import math
from random import Random

from sim.machines.body import BodySize, Box
from sim.sensors.pace import Pace
from sim.sensors.range_scan import Scanner, cast
from sim.sensors.scenery import Scenery
from sim.simulated_machine import Truth
from vehicle_agent.core.nearby import encode

PERIOD_NS = 200_000_000
DELAY_NS = 50_000_000
NOISE_M = 0.05
SENSOR = Scanner(beams=25, fan_rad=math.radians(120.0), range_m=8.0)
FRONT, RIGHT, REAR, LEFT = range(4)
Mount = tuple[int, float, float, float]
"""Side that it watches; ahead, left and direction on its body."""


class Ring:
    """The sensors of one machine.

    Args:
        scenery: what there is to see. body: of the machine. seed: of the noise.
        start_ns: of the first measurement.
    """

    def __init__(self, scenery: Scenery, body: BodySize, seed: int, start_ns: int) -> None:
        self._scenery, self._body = scenery, body
        self._noise = [
            Random(f"{seed}/nearby {side}")  # noqa: S311 - repeatable, not secret
            for side in ("front", "right", "rear", "left")
        ]
        self._front, self._rear = mounts(body)
        self._pace = Pace(start_ns, PERIOD_NS, DELAY_NS)

    def step(self, now_ns: int, truth: Truth) -> tuple[bytes, ...]:
        """Return what has come by now; measure when it is time."""
        return self._pace.step(now_ns, lambda: self._measured(truth))

    def _measured(self, truth: Truth) -> bytes:
        noisy = [
            max(side_m + noise.gauss(0.0, NOISE_M), 0.0)
            for side_m, noise in zip(self.exact(truth), self._noise, strict=True)
        ]
        return encode(truth["t_us"], SENSOR.range_m, noisy)

    def exact(self, truth: Truth) -> list[float]:
        """Distance on each side, front, right, rear, left; infinite where nothing is near."""
        x_m, y_m, heading_rad = truth["x_m"], truth["y_m"], truth["heading_rad"]
        reach_m = SENSOR.range_m + self._body.reach_m
        runs, discs = self._scenery.around(x_m, y_m, truth["station_m"], truth["site_s"], reach_m)
        fold_x_m = x_m - self._body.fold_m * math.cos(heading_rad)
        fold_y_m = y_m - self._body.fold_m * math.sin(heading_rad)
        behind_rad = heading_rad - truth["articulation_rad"]
        found = [math.inf] * 4
        for mounted, ox_m, oy_m, along_rad in (
            (self._front, x_m, y_m, heading_rad),
            (self._rear, fold_x_m, fold_y_m, behind_rad),
        ):
            cosine, sine = math.cos(along_rad), math.sin(along_rad)
            for side, ahead_m, left_m, look_rad in mounted:
                at_x_m = ox_m + ahead_m * cosine - left_m * sine
                at_y_m = oy_m + ahead_m * sine + left_m * cosine
                ranges_m = cast(runs, SENSOR, at_x_m, at_y_m, along_rad + look_rad, discs)
                found[side] = min(found[side], *ranges_m)
        return found


def mounts(body: BodySize) -> tuple[tuple[Mount, ...], tuple[Mount, ...]]:
    """Where the sensors sit on the front body and on the one that folds behind it."""
    front = _whole(body.front)
    rear = _whole(body.rear) if body.rear else None
    tail = front if rear is None else rear
    back: Mount = (REAR, tail.rear_m, 0.0, math.pi)
    first = ((FRONT, front.front_m, 0.0, 0.0), *_sides(front))
    return (*first, back) if rear is None else first, () if rear is None else (*_sides(rear), back)


def _whole(boxes: tuple[Box, ...]) -> Box:
    return Box(
        min(box.rear_m for box in boxes),
        max(box.front_m for box in boxes),
        max(box.half_m for box in boxes),
    )


def _sides(box: Box) -> tuple[Mount, Mount]:
    middle_m = 0.5 * (box.rear_m + box.front_m)
    return (
        (RIGHT, middle_m, -box.half_m, -0.5 * math.pi),
        (LEFT, middle_m, box.half_m, 0.5 * math.pi),
    )
