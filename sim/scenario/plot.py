"""One run as a picture: path, speed with its cap and reason, latency, brake, what was rolled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from sim.runner.rolling import Rolled
from sim.runner.watch import Row
from sim.scenario.judge import Outcome
from sim.svg import COLOURS, INK, Drawing, Frame, Point, Span
from sim.world.coverage import CELL_M
from sim.world.site import Site

WIDTH, MAP_HEIGHT, PANEL_HEIGHT = 1000.0, 420.0, 150.0
LEFT, RIGHT, GAP = 62.0, 24.0, 62.0
MAP_ROOM_M = 12.0
LIMITS = frozenset({"machine", "zone"})
"""Reasons of the cap that hold on a good day; the others are shaded."""
SPEED, CAP, FAULT, STOP = COLOURS[0], COLOURS[3], COLOURS[4], COLOURS[1]
SHADES = {
    "loop": COLOURS[1],
    "view": COLOURS[4],
    "degraded": COLOURS[3],
    "one_path": COLOURS[5],
    "clearance": COLOURS[2],
    "reverse": COLOURS[6],
}


def plot(outcome: Outcome, site: Site) -> str:
    """Return the picture as SVG.

    Args:
        outcome: with its rows. site: where it drove.
    """
    height = 60 + MAP_HEIGHT + (4 + len(outcome.rolled)) * (PANEL_HEIGHT + GAP) + 10
    drawing = Drawing(WIDTH, height, f"{outcome.scenario}, seed {outcome.seed}")
    verdict = "passed" if outcome.passed else "FAILED"
    drawing.text(LEFT, 24, f"{outcome.scenario}: {outcome.title}", size=17)
    drawing.text(
        LEFT, 42, f"seed {outcome.seed}, {verdict}", colour=INK if outcome.passed else STOP
    )
    _map(drawing, outcome, site)
    across = Span(0.0, max((row.t_s for row in outcome.rows), default=1.0) or 1.0)
    top = 60 + MAP_HEIGHT + GAP - 20
    for draw in (_speed, _latency, _brake, _offset):
        frame = draw(drawing, top, across, outcome)
        for at_s, words in outcome.faults:
            frame.mark(at_s, words if draw is _speed else "", FAULT)
        for stop in outcome.stops:
            frame.mark(stop.at_s, "" if draw is _speed else stop.cause or "stop", STOP)
        top += PANEL_HEIGHT + GAP
    for mat in outcome.rolled:
        _rolled(drawing, top, mat)
        top += PANEL_HEIGHT + GAP
    return drawing.render()


def _map(drawing: Drawing, outcome: Outcome, site: Site) -> None:
    """The walls near the path, both axes in the same scale."""
    path = [(row.x_m, row.y_m) for row in outcome.rows] or [
        (point.x_m, point.y_m) for point in site.centre_line
    ]
    frame = _fitted(drawing, path)
    frame.axes("east, m", "north, m")
    for side in (1.0, -1.0):
        frame.line_clipped(_wall(site, side), INK)
    frame.line(path, SPEED, width=2.5)
    frame.dots(path[:1], COLOURS[2], 5.0)
    for stop in outcome.stops:
        near = min(outcome.rows, key=lambda row: abs(row.t_s - stop.at_s))
        frame.dots([(near.x_m, near.y_m)], STOP, 5.0)
        frame.label(frame.x(near.x_m) + 7, frame.y(near.y_m) - 5, stop.cause or "", STOP, size=12.0)
    frame.legend([("start", COLOURS[2]), ("front axle", SPEED), ("walls", INK), ("stop", STOP)])


class _Map(Frame):
    """A frame that draws only what lies in it."""

    def line_clipped(self, points: Sequence[Point], colour: str) -> None:
        """A line through those of ``points`` that lie inside, broken where it leaves."""

        def inside(point: Point) -> bool:
            x, y = point
            return self.across.low <= x <= self.across.high and self.up.low <= y <= self.up.high

        for within, run in groupby(points, inside):
            if within:
                self.line(list(run), colour, width=1.2)


def _fitted(drawing: Drawing, path: Sequence[Point]) -> _Map:
    east = Span.of([x for x, _ in path], zero=False, room=0.0)
    north = Span.of([y for _, y in path], zero=False, room=0.0)
    width = WIDTH - LEFT - RIGHT
    needed = max(
        (east.high - east.low + 2 * MAP_ROOM_M) / width,
        (north.high - north.low + 2 * MAP_ROOM_M) / MAP_HEIGHT,
    )
    half_x, half_y = needed * width / 2, needed * MAP_HEIGHT / 2
    mid_x, mid_y = (east.low + east.high) / 2, (north.low + north.high) / 2
    return _Map(
        drawing,
        LEFT,
        60,
        width,
        MAP_HEIGHT,
        Span(mid_x - half_x, mid_x + half_x),
        Span(mid_y - half_y, mid_y + half_y),
    )


def _wall(site: Site, side: float) -> list[Point]:
    return [
        (
            point.x_m - side * 0.5 * point.width_m * math.sin(point.heading_rad),
            point.y_m + side * 0.5 * point.width_m * math.cos(point.heading_rad),
        )
        for point in site.centre_line
    ]


def _panel(drawing: Drawing, top: float, across: Span, up: Span, name: str, unit: str) -> Frame:
    frame = Frame(drawing, LEFT, top, WIDTH - LEFT - RIGHT, PANEL_HEIGHT, across, up)
    frame.axes("s since the machine was first ACTIVE", f"{name}, {unit}")
    return frame


def _series(rows: Sequence[Row], value: Callable[[Row], float | None]) -> list[Point]:
    return [(row.t_s, known) for row in rows if (known := value(row)) is not None]


def _speed(drawing: Drawing, top: float, across: Span, outcome: Outcome) -> Frame:
    rows = outcome.rows
    up = Span.of([row.speed_mps for row in rows] + [row.cap_mps for row in rows])
    frame = _panel(drawing, top, across, up, "speed", "m/s")
    reasons = []
    for reason, run in groupby(rows, lambda row: row.cap_reason):
        stretch = list(run)
        if reason not in LIMITS and reason in SHADES:
            frame.band(stretch[0].t_s, stretch[-1].t_s + 0.1, SHADES[reason])
            reasons.append(reason)
    frame.line(_series(rows, lambda row: row.cap_mps), CAP, dash="5 3")
    frame.line(_series(rows, lambda row: row.speed_mps), SPEED)
    shaded = [(f"cap by {reason}", SHADES[reason]) for reason in dict.fromkeys(reasons)]
    frame.legend([*shaded, ("cap", CAP), ("speed", SPEED)])
    return frame


def _latency(drawing: Drawing, top: float, across: Span, outcome: Outcome) -> Frame:
    loop = _series(outcome.rows, lambda row: row.loop_ms)
    view = _series(outcome.rows, lambda row: row.view_age_ms)
    up = Span.of([ms for _, ms in loop + view])
    frame = _panel(drawing, top, across, up, "age", "ms")
    frame.line(loop, COLOURS[0])
    frame.line(view, COLOURS[4])
    frame.legend([("loop time", COLOURS[0]), ("picture at the machine", COLOURS[4])])
    return frame


def _brake(drawing: Drawing, top: float, across: Span, outcome: Outcome) -> Frame:
    brake = _series(outcome.rows, lambda row: row.brake_mps2)
    frame = _panel(drawing, top, across, Span.of([b for _, b in brake] + [1.0]), "brake", "m/s²")
    frame.line(brake, COLOURS[1])
    frame.legend([("service brake as it acts", COLOURS[1])])
    return frame


def _offset(drawing: Drawing, top: float, across: Span, outcome: Outcome) -> Frame:
    offset = _series(outcome.rows, lambda row: row.offset_m)
    frame = _panel(
        drawing, top, across, Span.of([m for _, m in offset] + [0.5, -0.5]), "aside", "m"
    )
    frame.line(offset, COLOURS[2])
    frame.legend([("front axle from the centre line, + left", COLOURS[2])])
    return frame


def _rolled(drawing: Drawing, top: float, rolled: Rolled) -> None:
    """The mat from above, by passes: the more the darker; what nobody rolled is white."""
    long, wide = (CELL_M * count for count in rolled.passes.shape)
    size = (LEFT, top, WIDTH - LEFT - RIGHT, PANEL_HEIGHT)
    frame = Frame(drawing, *size, Span(0.0, long), Span(0.0, wide))
    most = int(rolled.passes.max())
    for row, cells in enumerate(rolled.passes.T.tolist()):
        for passes, at, count in _runs(cells):
            if passes:
                low = (at * CELL_M, row * CELL_M)
                high = ((at + count) * CELL_M, (row + 1) * CELL_M)
                frame.block(low, high, SPEED, 0.25 + 0.65 * passes / most)
    frame.axes(f"along {rolled.mat}, m", "across, m")
    shares = enumerate(rolled.shares, 1)
    frame.legend(
        [(f"{100 * share:.1f} % rolled {number}x or more", SPEED) for number, share in shares]
        or [("nowhere rolled", INK)]
    )


def _runs(cells: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Stretches of the same passes: how many, from which cell on, over how many."""
    at = 0
    for passes, run in groupby(cells):
        count = len(list(run))
        yield passes, at, count
        at += count
