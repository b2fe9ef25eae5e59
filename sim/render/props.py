"""What stands and moves beside the way, as faces about its own middle."""

from __future__ import annotations

import math

from sim.render.faces import (
    DARK,
    EARTH,
    GLASS,
    ORANGE,
    RED,
    RUBBER,
    STEEL,
    WHITE,
    WOOD,
    YELLOW,
    Builder,
    Faces,
)
from sim.world.things import Mover, Obstacle, Solid

BILLBOARDS = frozenset({"tree", "bush"})
"""Drawn as pictures that turn to the camera, not as faces."""


def obstacle_faces(obstacle: Obstacle, turn: float) -> Faces:
    """Of one obstacle, about its middle; ``turn`` 0…1 gives stones their own shapes."""
    build, height = Builder(), obstacle.height_m
    radius = obstacle.solid.radius_m
    kind = obstacle.kind
    if kind == "stone":
        _stone(build, radius, height, turn)
    elif kind == "cone":
        _cone(build, height)
    elif kind == "pole":
        build.round((0.0, 0.0, 0.5 * height), radius, 0.5 * height, WOOD, axis="z", sides=8)
        build.box((-0.06, 0.06), (-0.9, 0.9), (height - 0.9, height - 0.75), WOOD)
    elif kind == "post":
        radius = radius or 0.1
        radius = radius or 0.1
        for index in range(4):
            z = (0.25 * index * height, 0.25 * (index + 1) * height)
            build.box((-radius, radius), (-radius, radius), z, RED if index % 2 else WHITE)
    elif kind not in BILLBOARDS:
        length, width = _sides(obstacle.solid)
        _block(build, kind, length, width, height)
    return build.faces()


def _sides(solid: Solid) -> tuple[float, float]:
    a, b, c = solid.points[:3]
    return math.dist(a, b), math.dist(b, c)


def _stone(build: Builder, radius: float, height: float, turn: float) -> None:
    sides = 7
    low = [(radius * (0.85 + 0.15 * math.sin(3 * i + 9 * turn)) * math.cos(6.283 * i / sides),
            radius * (0.85 + 0.15 * math.cos(5 * i + 7 * turn)) * math.sin(6.283 * i / sides),
            -0.05) for i in range(sides)]  # fmt: skip
    top = [(0.62 * x + 0.1 * radius, 0.62 * y, height * (0.75 + 0.2 * math.sin(2 * i + 5 * turn)))
           for i, (x, y, _) in enumerate(low)]  # fmt: skip
    middle = (0.05, 0.0, height)
    for i in range(sides):
        j = (i + 1) % sides
        tone = 0.50 + 0.08 * math.sin(4.0 * i + 11.0 * turn)
        colour = (tone, 0.96 * tone, 0.90 * tone)
        build.face([low[i], low[j], top[j], top[i]], colour)
        build.face([top[i], top[j], middle], colour)


def _cone(build: Builder, height: float) -> None:
    build.box((-0.2, 0.2), (-0.2, 0.2), (0.0, 0.04), DARK)
    levels = ((0.04, 0.14), (0.40, 0.095), (0.62, 0.065), (1.0, 0.02))
    for (z0, r0), (z1, r1), colour in zip(
        levels[:-1], levels[1:], (ORANGE, WHITE, ORANGE), strict=True
    ):
        for i in range(8):
            a, b = math.tau * i / 8, math.tau * (i + 1) / 8
            build.face(
                [(r0 * math.cos(a), r0 * math.sin(a), z0 * height),
                 (r0 * math.cos(b), r0 * math.sin(b), z0 * height),
                 (r1 * math.cos(b), r1 * math.sin(b), z1 * height),
                 (r1 * math.cos(a), r1 * math.sin(a), z1 * height)], colour,
            )  # fmt: skip


def _block(build: Builder, kind: str, length: float, width: float, height: float) -> None:
    x, y = (-0.5 * length, 0.5 * length), (-0.5 * width, 0.5 * width)
    if kind == "trailer":
        build.box(x, y, (0.75, height), (0.20, 0.34, 0.52))
        build.box((x[0] + 0.1, x[1] - 0.1), (y[0] + 0.1, y[1] - 0.1), (height, height + 0.1), EARTH)
        for at in (-0.6, 0.6):
            for side in (-1.0, 1.0):
                build.wheel(at, side * (0.5 * width - 0.15), 0.42, 0.28)
    elif kind == "bin":
        build.box(x, y, (0.15, height), (0.20, 0.36, 0.50), taper=0.01)
        for index in range(1, 8):
            at = x[0] + length * index / 8.0
            build.box((at - 0.03, at + 0.03), (y[0] - 0.03, y[1] + 0.03), (0.15, height - 0.05),
                      (0.16, 0.30, 0.43))  # fmt: skip
        build.box((0.1, 0.9), (y[0] - 0.05, y[0]), (0.2, 2.1), (0.70, 0.72, 0.72))
    elif kind == "bumper":
        build.box(x, y, (0.0, height), YELLOW)
    else:
        build.box(x, y, (0.0, height), WOOD)


def mover_faces(mover: Mover) -> Faces:
    """Of another machine or of a person, looking along x."""
    build, height = Builder(), mover.height_m
    if mover.kind == "person":
        _person(build, height)
        return build.faces()
    length, width = _sides(mover.solid)
    x, y = (-0.5 * length, 0.5 * length), (-0.5 * width, 0.5 * width)
    if mover.kind == "pickup":
        _pickup(build, x, y, height)
    elif mover.kind == "truck":
        _haul_truck(build, x, y, height)
    elif mover.kind == "loader":
        _loader(build, x, y, height)
    else:
        _paver(build, x, y, height)
    return build.faces()


_VEST, _STRIPE, _HOSE, _SKIN, _BOOT = (
    ORANGE,
    (0.92, 0.92, 0.70),
    (0.16, 0.19, 0.28),
    (0.70, 0.52, 0.42),
    (0.12, 0.10, 0.09),
)
_TORSO = (
    # height, half depth, half width, colour up to the next
    (0.84, 0.105, 0.165, _HOSE),
    (0.92, 0.110, 0.170, _VEST),
    (1.03, 0.108, 0.165, _STRIPE),
    (1.09, 0.110, 0.168, _VEST),
    (1.24, 0.120, 0.190, _STRIPE),
    (1.30, 0.122, 0.198, _VEST),
    (1.42, 0.105, 0.200, _VEST),
    (1.48, 0.070, 0.110, _SKIN),
    (1.52, 0.055, 0.060, _SKIN),
    (1.58, 0.085, 0.072, _SKIN),
    (1.66, 0.098, 0.080, _SKIN),
)
"""From the hips to under the helmet, of an adult of 1.8 m in work clothes."""
_HELMET = (
    (1.665, 0.138, 0.114), (1.685, 0.134, 0.110), (1.690, 0.122, 0.106), (1.755, 0.110, 0.096),
    (1.800, 0.060, 0.052),
)  # fmt: skip
_STRIDE_M = 0.13


def _person(build: Builder, height: float) -> None:
    """Someone in a vest and a helmet, in the middle of a step."""
    s = height / 1.8
    for side in (-1.0, 1.0):
        step = side * _STRIDE_M
        leg = ((step, 0.0, 0.13, 0.055), (step, 0.08, 0.085, 0.052), (step, 0.16, 0.055, 0.055),
               (0.55 * step + 0.02, 0.48, 0.070, 0.066), (0.0, 0.86, 0.095, 0.090))  # fmt: skip
        build.loft(
            [(s * x, s * side * 0.095, s * z, s * long, s * wide) for x, z, long, wide in leg],
            (_BOOT, _BOOT, _HOSE, _HOSE), sides=6,
        )  # fmt: skip
        arm = (
            (0.05 - 1.1 * step, 0.27, 0.76, 0.038, 0.030),
            (0.03 - step, 0.27, 0.86, 0.045, 0.036),
            (-0.01 - 0.5 * step, 0.26, 1.12, 0.050, 0.048),
            (0.0, 0.215, 1.42, 0.060, 0.055),
        )
        build.loft(
            [(s * x, s * side * y, s * z, s * long, s * wide) for x, y, z, long, wide in arm],
            (_SKIN, _HOSE, _VEST), sides=6,
        )  # fmt: skip
    build.loft(
        [(0.0, 0.0, s * z, s * long, s * wide) for z, long, wide, _ in _TORSO],
        [colour for *_, colour in _TORSO[:-1]],
    )
    build.loft(
        [(0.01 * s, 0.0, s * z, s * long, s * wide) for z, long, wide in _HELMET],
        (WHITE,) * (len(_HELMET) - 1),
    )


def _pickup(build: Builder, x: tuple[float, float], y: tuple[float, float], height: float) -> None:
    build.box(x, y, (0.45, 1.05), WHITE, taper=0.03)
    build.box((-0.7, 1.05), (y[0] + 0.06, y[1] - 0.06), (1.05, height), WHITE, taper=0.22)
    build.box((-0.6, 1.16), (y[0] + 0.03, y[1] - 0.03), (1.12, height - 0.1), GLASS, taper=0.22)
    build.box((x[1] - 0.02, x[1] + 0.01), (y[0] + 0.2, y[1] - 0.2), (0.6, 0.85), DARK)
    build.box((x[0] - 0.01, x[0] + 0.01), (y[0] + 0.05, y[0] + 0.3), (0.7, 0.95), RED)
    build.box((x[0] - 0.01, x[0] + 0.01), (y[1] - 0.3, y[1] - 0.05), (0.7, 0.95), RED)
    build.box((0.0, 0.12), (-0.5, 0.5), (height, height + 0.12), ORANGE)
    for at in (x[0] + 0.95, x[1] - 0.95):
        for side in (y[0] + 0.12, y[1] - 0.12):
            build.wheel(at, side, 0.40, 0.26)


def _haul_truck(
    build: Builder, x: tuple[float, float], y: tuple[float, float], height: float
) -> None:
    build.box((x[1] - 3.2, x[1]), (y[0] + 0.9, y[1] - 0.9), (0.9, 2.6), YELLOW)
    build.box((x[1] - 2.6, x[1] + 0.05), (y[0] + 0.1, y[1] - 0.1), (2.45, 2.65), YELLOW)
    build.box((x[1] - 0.02, x[1] + 0.02), (y[0] + 1.1, y[1] - 1.1), (1.0, 2.4), DARK)
    build.box((x[1] - 2.4, x[1] - 1.0), (0.3, y[1] - 0.3), (2.65, 3.9), YELLOW, taper=0.1)
    build.box((x[1] - 2.2, x[1] - 0.98), (0.4, y[1] - 0.4), (3.0, 3.75), GLASS, taper=0.1)
    build.box((x[0], x[1] - 2.8), (y[0] + 0.3, y[1] - 0.3), (2.0, height - 0.9), YELLOW,
              taper=-0.15)  # fmt: skip
    build.box((x[1] - 3.2, x[1] - 0.6), y, (height - 0.8, height - 0.6), YELLOW)
    build.box((x[0] + 0.3, x[1] - 3.3), (y[0] + 0.5, y[1] - 0.5), (height - 0.9, height), EARTH,
              taper=0.8)  # fmt: skip
    for side in (-1.0, 1.0):
        build.wheel(x[1] - 3.0, side * (y[1] - 0.6), 1.3, 0.8, YELLOW)
        build.wheel(x[0] + 2.6, side * (y[1] - 0.8), 1.3, 1.3, YELLOW)
        build.box((x[1], x[1] + 0.03), (side * 1.9 - 0.2, side * 1.9 + 0.2), (1.5, 1.75), WHITE)


def _loader(build: Builder, x: tuple[float, float], y: tuple[float, float], height: float) -> None:
    build.box((x[0], x[0] + 3.4), (y[0] + 0.3, y[1] - 0.3), (1.0, 2.4), YELLOW, taper=0.1)
    build.box((x[0] + 3.0, x[0] + 4.8), (-0.9, 0.9), (1.6, height), YELLOW, taper=0.15)
    build.box((x[0] + 2.95, x[0] + 4.85), (-0.85, 0.85), (2.3, height - 0.2), GLASS, taper=0.15)
    build.box((x[0] + 4.5, x[1] - 1.2), (-0.5, 0.5), (1.0, 1.8), YELLOW)
    build.box((x[1] - 1.5, x[1]), y, (0.2, 1.5), DARK, taper=0.15)
    for at in (x[0] + 1.9, x[0] + 5.6):
        for side in (-1.0, 1.0):
            build.wheel(at, side * (y[1] - 0.4), 0.95, 0.75, YELLOW)


def _paver(build: Builder, x: tuple[float, float], y: tuple[float, float], height: float) -> None:
    build.box((x[0] + 1.2, x[1] - 1.6), (y[0] + 0.2, y[1] - 0.2), (0.6, 1.9), YELLOW, taper=0.05)
    build.box((x[1] - 1.6, x[1]), y, (0.5, 1.4), DARK, taper=-0.1)
    build.box((x[0], x[0] + 0.9), (y[0] - 0.4, y[1] + 0.4), (0.05, 0.75), DARK)
    build.box((x[0] + 0.9, x[0] + 1.2), (y[0], y[1]), (0.3, 0.9), YELLOW)
    for at in (x[0] + 1.5, x[1] - 2.4):
        for side in (-1.0, 1.0):
            build.box((at - 0.05, at + 0.05), (side * 1.1 - 0.05, side * 1.1 + 0.05),
                      (1.9, height), DARK)  # fmt: skip
    build.box((x[0] + 1.3, x[1] - 2.2), (y[0] + 0.2, y[1] - 0.2), (height, height + 0.1), YELLOW)
    for side in (-1.0, 1.0):
        build.box(
            (x[0] + 1.3, x[1] - 1.9), (side * 1.2 - 0.2, side * 1.2 + 0.2), (0.0, 0.7), RUBBER
        )
    build.box((x[0] - 0.01, x[0]), (-0.7, 0.7), (0.2, 0.6), STEEL)
