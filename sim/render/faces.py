"""Coloured faces of machines, people and street furniture, built from boxes and rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.outdoor_textures import Colour
from sim.render.tunnel import Singles

RUBBER: Colour = (0.13, 0.13, 0.135)
GLASS: Colour = (0.10, 0.13, 0.16)
STEEL: Colour = (0.42, 0.42, 0.43)
DARK: Colour = (0.17, 0.17, 0.18)
YELLOW: Colour = (0.86, 0.62, 0.12)
RED: Colour = (0.62, 0.15, 0.11)
WHITE: Colour = (0.88, 0.88, 0.86)
ORANGE: Colour = (0.93, 0.42, 0.10)
WOOD: Colour = (0.42, 0.34, 0.26)
EARTH: Colour = (0.50, 0.42, 0.33)


@dataclass(frozen=True, slots=True)
class Faces:
    """Flat faces of four corners, counter-clockwise from outside.

    Attributes:
        corner_m: (faces, 4, 3). normal: (faces, 3). colour: (faces, 3), albedo 0…1.
    """

    corner_m: Singles
    normal: Singles
    colour: Singles

    @property
    def count(self) -> int:
        """Number of faces."""
        return len(self.normal)

    def texcoord(self, picks: npt.NDArray[np.intp]) -> Singles:
        """Of the four corners of each picked face, on a picture of worn paint: its own part."""
        first = np.stack(((picks * 0.381966) % 0.6, (picks * 0.618034) % 0.6), axis=1)
        square = np.array(((0.0, 0.0), (0.4, 0.0), (0.4, 0.4), (0.0, 0.4)))
        return np.asarray(first[:, None, :] + square, np.float32)

    def moved(self, axes: npt.ArrayLike, place_m: npt.ArrayLike) -> Faces:
        """Turned by ``axes`` (columns: where x, y and z point), then shifted."""
        turn = np.asarray(axes, np.float32)
        shift = np.asarray(place_m, np.float32)
        return Faces(self.corner_m @ turn.T + shift, self.normal @ turn.T, self.colour)


def joined(parts: Sequence[Faces]) -> Faces:
    """All of them as one."""
    if not parts:
        return Faces(np.zeros((0, 4, 3), np.float32), np.zeros((0, 3), np.float32),
                     np.zeros((0, 3), np.float32))  # fmt: skip
    return Faces(
        np.concatenate([part.corner_m for part in parts]),
        np.concatenate([part.normal for part in parts]),
        np.concatenate([part.colour for part in parts]),
    )


def upright(heading_rad: float) -> npt.NDArray[np.float64]:
    """Axes of what stands upright and looks along a heading, for :meth:`Faces.moved`."""
    cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
    return np.array(((cosine, -sine, 0.0), (sine, cosine, 0.0), (0.0, 0.0, 1.0)))


class Builder:
    """Collects faces; x forwards, y left, z up."""

    def __init__(self) -> None:
        self._corners: list[npt.NDArray[np.float64]] = []
        self._colours: list[Colour] = []

    def face(self, corners: Sequence[Sequence[float]], colour: Colour) -> None:
        """A face of three or four corners, counter-clockwise from outside."""
        points = [list(corner) for corner in corners]
        if len(points) == 3:
            points.append(points[2])
        self._corners.append(np.array(points, float))
        self._colours.append(colour)

    def box(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float],
        colour: Colour, *, taper: float = 0.0,
    ) -> None:  # fmt: skip
        """Between two values on each axis; ``taper`` pulls the top's edges in, m."""
        t = taper
        low = [(x[0], y[0], z[0]), (x[1], y[0], z[0]), (x[1], y[1], z[0]), (x[0], y[1], z[0])]
        top = [(x[0] + t, y[0] + t, z[1]), (x[1] - t, y[0] + t, z[1]),
               (x[1] - t, y[1] - t, z[1]), (x[0] + t, y[1] - t, z[1])]  # fmt: skip
        self.face(top, colour)
        for i in range(4):
            j = (i + 1) % 4
            self.face([low[i], low[j], top[j], top[i]], colour)
        self.face(low[::-1], colour)

    def round(
        self, middle: tuple[float, float, float], radius: float, half: float, colour: Colour,
        *, axis: str = "y", sides: int = 12, end: Colour | None = None,
        end_radius: float | None = None,
    ) -> None:  # fmt: skip
        """A cylinder about ``axis`` (y: a wheel or a drum; z: a post), ``half`` to either end."""
        turn = [2.0 * math.pi * i / sides for i in range(sides)]

        def at(angle: float, along: float, size: float) -> tuple[float, float, float]:
            a, b = size * math.cos(angle), size * math.sin(angle)
            if axis == "y":
                return middle[0] + a, middle[1] + along, middle[2] + b
            return middle[0] + a, middle[1] + b, middle[2] + along

        flip = -1.0 if axis == "y" else 1.0
        for i in range(sides):
            a, b = turn[i], turn[(i + 1) % sides]
            self.face([at(a, -half * flip, radius), at(b, -half * flip, radius),
                       at(b, half * flip, radius), at(a, half * flip, radius)], colour)  # fmt: skip
        for side in (-1.0, 1.0):
            order = 1 if side * flip > 0 else -1
            for size, tint in ((radius, colour), (end_radius or 0.6 * radius, end or colour)):
                out = side * (half + (0.0 if size == radius else 0.02))
                for i in range(0, sides, 2):
                    corners = [
                        (middle[0], middle[1] + out, middle[2])
                        if axis == "y"
                        else (middle[0], middle[1], middle[2] + out),
                        *(at(turn[(i + k) % sides], out, size) for k in range(3)),
                    ]
                    self.face(corners if order > 0 else corners[::-1], tint)  # fmt: skip

    def loft(
        self, rings: Sequence[tuple[float, float, float, float, float]],
        colours: Sequence[Colour], *, sides: int = 8,
    ) -> None:  # fmt: skip
        """A rounded body through level ellipses, from the lowest up, closed at both ends.

        Args:
            rings: x, y and z of each middle, half its length and half its width.
            colours: of each stretch between two rings.
            sides: of each ellipse.
        """
        turn = [math.tau * (i + 0.5) / sides for i in range(sides)]
        loops = [
            [(x + long * math.cos(a), y + wide * math.sin(a), z) for a in turn]
            for x, y, z, long, wide in rings
        ]
        for low, top, colour in zip(loops, loops[1:], colours, strict=False):
            for i in range(sides):
                j = (i + 1) % sides
                self.face([low[i], low[j], top[j], top[i]], colour)
        for loop, ring, colour in (
            (loops[0][::-1], rings[0], colours[0]), (loops[-1], rings[-1], colours[-1]),
        ):  # fmt: skip
            for i in range(0, sides, 2):
                self.face([ring[:3], *(loop[(i + k) % sides] for k in range(3))], colour)

    def wheel(self, x: float, y: float, radius: float, width: float, hub: Colour = STEEL) -> None:
        """A tyre that stands on the floor."""
        self.round((x, y, radius), radius, 0.5 * width, RUBBER, end=hub, end_radius=0.52 * radius)

    def faces(self) -> Faces:
        """Everything collected."""
        if not self._corners:
            return joined(())
        corner = np.array(self._corners)
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        size = np.linalg.norm(normal, axis=1, keepdims=True)
        return Faces(
            corner.astype(np.float32),
            (normal / np.maximum(size, 1e-9)).astype(np.float32),
            np.array(self._colours, np.float32),
        )
