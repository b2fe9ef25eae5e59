"""A sweep as a picture: stopping distance by speed, its tail by link, false stops by link."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sim.svg import COLOURS, Drawing, Frame, Point, Span
from sim.sweep.runs import Verdict, grade_class, grouped, headline, measured

WIDTH, HEIGHT = 1120.0, 860.0
LEFT, TOP, FRAME_HEIGHT = 70.0, 80.0, 330.0
GRADES = ("down", "level", "up")


def plot(title: str, verdicts: Sequence[Verdict], result: Mapping[str, Any]) -> str:
    """Return the picture as SVG."""
    drawing = Drawing(WIDTH, HEIGHT, title)
    drawing.text(LEFT, 26, title, size=17)
    drawing.text(LEFT, 46, headline(result))
    links = {
        link: (COLOURS[number % len(COLOURS)], group)
        for number, ((link,), group) in enumerate(
            grouped(verdicts, lambda verdict: (verdict.factors["link"],))
        )
    }
    _by_speed(drawing, links)
    _tails(drawing, links)
    _by_grade(drawing, verdicts)
    _false_stops(drawing, result, {link: colour for link, (colour, _) in links.items()})
    return drawing.render()


Links = Mapping[str, tuple[str, Sequence[Verdict]]]


def _points(verdicts: Sequence[Verdict]) -> list[Point]:
    return [
        (stop["speed_mps"], stop["stop_distance_m"])
        for verdict in verdicts
        for stop in measured(verdict)
    ]


def _frame(drawing: Drawing, column: int, row: int, across: Span, up: Span) -> Frame:
    left = LEFT + column * (WIDTH / 2)
    top = TOP + row * (FRAME_HEIGHT + 70)
    return Frame(drawing, left, top, WIDTH / 2 - LEFT - 30, FRAME_HEIGHT - 30, across, up)


def _spans(links: Links) -> tuple[Span, Span]:
    points = [point for _, group in links.values() for point in _points(group)]
    return Span.of([x for x, _ in points]), Span.of([y for _, y in points])


def _by_speed(drawing: Drawing, links: Links) -> None:
    across, up = _spans(links)
    frame = _frame(drawing, 0, 0, across, up)
    frame.axes("speed at the stop, m/s", "stopping distance, m")
    for colour, group in links.values():
        frame.dots(_points(group), colour, 2.2)
    frame.legend([(link, colour) for link, (colour, _) in links.items()])


def _tails(drawing: Drawing, links: Links) -> None:
    """Share of stops that took longer, on a scale of powers of ten."""
    _, span = _spans(links)
    most = max((len(_points(group)) for _, group in links.values()), default=1)
    decades = len(str(max(most, 1)))
    frame = _frame(drawing, 1, 0, span, Span(-float(decades), 0.0))
    frame.axes("stopping distance, m", "log10 of the share of stops that took longer")
    for colour, group in links.values():
        distances = sorted(y for _, y in _points(group))
        count = len(distances)
        frame.line(
            [(d, math.log10((count - number) / count)) for number, d in enumerate(distances)],
            colour,
        )
    frame.legend([(link, colour) for link, (colour, _) in links.items()])


def _by_grade(drawing: Drawing, verdicts: Sequence[Verdict]) -> None:
    stops = [stop for verdict in verdicts for stop in measured(verdict)]
    frame = _frame(
        drawing,
        0,
        1,
        Span.of([stop["speed_mps"] for stop in stops]),
        Span.of([stop["brake_distance_m"] or 0.0 for stop in stops]),
    )
    frame.axes("speed at the stop, m/s", "from the brake demand on the bus, m")
    for number, name in enumerate(GRADES):
        frame.dots(
            [
                (stop["speed_mps"], stop["brake_distance_m"])
                for stop in stops
                if grade_class(stop["grade"]) == name and stop["brake_distance_m"] is not None
            ],
            COLOURS[number],
            2.2,
        )
    frame.legend([(f"grade {name}", COLOURS[number]) for number, name in enumerate(GRADES)])


def _false_stops(drawing: Drawing, result: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    rows = result["by_link"]
    shares = [100.0 * row["runs_with_false_stop"] / row["runs"] for row in rows]
    frame = _frame(drawing, 1, 1, Span(0.0, float(max(len(rows), 1))), Span.of([*shares, 1.0]))
    frame.axes("", "runs with a false stop, %")
    for number, (row, share) in enumerate(zip(rows, shares, strict=True)):
        words = f"{row['runs_with_false_stop']} of {row['runs']}"
        frame.bar(number + 0.5, share, colours[row["link"]], row["link"], words)
