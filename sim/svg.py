"""Small drawings as self-contained SVG: frames with axes, lines, dots, bands, words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

Point = tuple[float, float]
INK, PALE = "#222222", "#d8d8d8"
COLOURS = ("#1f6fb4", "#d1495b", "#2e8b57", "#e08e1b", "#7b4fa3", "#5b6770", "#a0522d", "#008b8b")
_ROUND = (1.0, 2.0, 5.0, 10.0)
_WIDE = 0.62
"""Width of a letter over the size of the type, about."""


@dataclass(slots=True)
class Drawing:
    """A page of so many pixels."""

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def add(self, element: str) -> None:
        """Add one element's text."""
        self._parts.append(element)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12.0,
        colour: str = INK,
        anchor: str = "start",
        turn: float = 0.0,
        halo: bool = False,
    ) -> None:
        """Write ``words`` with their baseline at (x, y), turned by ``turn`` degrees.

        A halo of white lets them be read over lines.
        """
        around = ' paint-order="stroke" stroke="white" stroke-width="3"' if halo else ""
        turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
        self.add(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{around}{turned}>{escape(words)}</text>'
        )

    def render(self) -> str:
        """The file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" '
            f'height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" '
            'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">'
        )
        ground = f'<rect width="{self.width:g}" height="{self.height:g}" fill="white"/>'
        return "\n".join(
            (head, f"<title>{escape(self.title)}</title>", ground, *self._parts, "</svg>", "")
        )


@dataclass(frozen=True, slots=True)
class Span:
    """An axis: its ends and, where wanted, its ticks."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float], *, zero: bool = True, room: float = 0.05) -> Span:
        """An axis that holds ``values``, 0 too when ``zero``, with some room above."""
        known = [value for value in values if math.isfinite(value)] + ([0.0] if zero else [])
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        spread = (high - low) or 1.0
        return cls(low if zero and low == 0.0 else low - room * spread, high + room * spread)

    def ticks(self, about: int = 6) -> list[float]:
        """Round numbers within the axis."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in _ROUND if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


class Frame:
    """A rectangle with two axes on a drawing."""

    def __init__(
        self,
        on: Drawing,
        left: float,
        top: float,
        width: float,
        height: float,
        across: Span,
        up: Span,
    ) -> None:
        self.on, self.across, self.up = on, across, up
        self.left, self.top, self.width, self.height = left, top, width, height
        self._written: list[tuple[float, float, float]] = []

    def x(self, value: float) -> float:
        """Pixels of a value on the axis across."""
        return self.left + (value - self.across.low) / (self.across.high - self.across.low) * (
            self.width
        )

    def y(self, value: float) -> float:
        """Pixels of a value on the axis up."""
        return (
            self.top
            + self.height
            - (value - self.up.low) / (self.up.high - self.up.low) * (self.height)
        )

    def axes(self, across: str, up: str) -> None:
        """Draw grid, ticks and names; an axis without a name has no ticks."""
        on = self.on
        for value in self.across.ticks(8) if across else ():
            x = self.x(value)
            on.add(f'<path d="M{x:.1f} {self.top:.1f}v{self.height:.1f}" stroke="{PALE}"/>')
            on.text(x, self.top + self.height + 14, f"{value:g}", size=10, anchor="middle")
        for value in self.up.ticks(5):
            y = self.y(value)
            on.add(f'<path d="M{self.left:.1f} {y:.1f}h{self.width:.1f}" stroke="{PALE}"/>')
            on.text(self.left - 5, y + 3, f"{value:g}", size=10, anchor="end")
        on.add(
            f'<rect x="{self.left:.1f}" y="{self.top:.1f}" width="{self.width:.1f}" '
            f'height="{self.height:.1f}" fill="none" stroke="{INK}"/>'
        )
        on.text(self.left + self.width / 2, self.top + self.height + 28, across, anchor="middle")
        on.text(self.left - 40, self.top + self.height / 2, up, anchor="middle", turn=-90)

    def line(
        self, points: Sequence[Point], colour: str, *, width: float = 1.5, dash: str = ""
    ) -> None:
        """A line through ``points``."""
        if len(points) < 2:
            return
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.on.add(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
            f' stroke-linejoin="round"{dashed}/>'
        )

    def dots(self, points: Iterable[Point], colour: str, radius: float = 2.5) -> None:
        """A dot at each point."""
        for x, y in points:
            self.on.add(
                f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius:g}" '
                f'fill="{colour}" fill-opacity="0.7"/>'
            )

    def band(self, low: float, high: float, colour: str) -> None:
        """Shade from ``low`` to ``high`` on the axis across."""
        left = self.x(max(low, self.across.low))
        width = max(self.x(min(high, self.across.high)) - left, 0.0)
        self.on.add(
            f'<rect x="{left:.1f}" y="{self.top:.1f}" width="{width:.1f}" '
            f'height="{self.height:.1f}" fill="{colour}" fill-opacity="0.16"/>'
        )

    def block(self, low: Point, high: Point, colour: str, strength: float) -> None:
        """Fill from one corner to the other, the stronger the nearer to 1."""
        left, foot, right, top = self.x(low[0]), self.y(low[1]), self.x(high[0]), self.y(high[1])
        self.on.add(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{foot - top:.1f}" fill="{colour}" fill-opacity="{strength:.2f}"/>'
        )

    def bar(self, at: float, value: float, colour: str, name: str, words: str) -> None:
        """A bar at ``at``, with its name under the axis and words above it.

        The places on the axis across are categories, a unit from one to the next.
        """
        middle, wide = self.x(at), 0.6 * (self.x(at + 1.0) - self.x(at))
        top, foot = self.y(value), self.y(0.0)
        self.on.add(
            f'<rect x="{middle - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{foot - top:.1f}" fill="{colour}"/>'
        )
        self.on.text(middle, top - 6, words, size=11, anchor="middle")
        self.on.text(middle, self.top + self.height + 14, name, size=11, anchor="middle")

    def mark(self, value: float, words: str, colour: str) -> None:
        """A line up at ``value`` on the axis across, with words beside it."""
        if not self.across.low <= value <= self.across.high:
            return
        x = self.x(value)
        self.on.add(
            f'<path d="M{x:.1f} {self.top:.1f}v{self.height:.1f}" stroke="{colour}" '
            'stroke-dasharray="4 3"/>'
        )
        if words:
            self.label(x + 3, self.top + 12, words, colour)

    def label(self, x: float, y: float, words: str, colour: str, size: float = 10.0) -> None:
        """Write at (x, y), or below it where other labels of the frame leave room.

        What would run out of the frame to the right ends there.
        """
        wide, high = _WIDE * size * len(words), size + 2.0
        x = min(x, self.left + self.width - 4 - wide)
        while any(
            left < x + wide and x < right and abs(at - y) < high
            for left, right, at in self._written
        ):
            y += high
        self._written.append((x, x + wide, y))
        self.on.text(x, y, words, size=size, colour=colour, halo=True)

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Names with their colours, in the upper right corner."""
        x = self.left + self.width - 8
        for name, colour in reversed(entries):
            self.on.text(x, self.top - 6, name, size=11, colour=colour, anchor="end")
            x -= _WIDE * 11 * len(name) + 14
