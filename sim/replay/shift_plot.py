"""A shift as pictures: speed and ages over time, ages over the map; each an SVG of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sim.replay.shift import AGES, CELL_M, PICTURE, UPLINK, Shift, ShiftStop, Slice, cell_of
from sim.svg import COLOURS, INK, Drawing, Frame, Point, Span

WIDTH, LEFT, RIGHT = 1080.0, 62.0, 18.0
PANEL, GAP = 130.0, 58.0
MAP_WIDTH, MAP_HEIGHT, MAP_ROOM_M = 530.0, 400.0, 6.0
STOP, FALSE, SPEED, LIMIT = "#444444", "#d1495b", COLOURS[0], "#d1495b"
MARKED_MAX = 40
"""More stops than this would hide what they are drawn on: they get small marks, and a map."""
SCALE = ("#2c7fb8", "#41b6a6", "#b8c940", "#f0a030", "#c8323c")
"""From good to bad; told apart by their lightness too."""
LINES = (("p50", 50.0, COLOURS[0]), ("p99", 99.0, COLOURS[3]), ("max", 100.0, "#9aa3ab"))
NAMES = {
    UPLINK: "command age, ms",
    "loop": "loop age, ms",
    PICTURE: "picture age, ms",
}


def over_time(shift: Shift) -> str:
    """Return speed and ages over the time that was recorded."""
    per_unit, unit = (60.0, "min") if shift.seconds > 180.0 else (1.0, "s")
    height = 40 + (1 + len(AGES)) * (PANEL + GAP)
    drawing = Drawing(WIDTH, height, "Speed and ages over time")
    across = Span(0.0, max(shift.seconds, 1.0) / per_unit)
    rows = [(middle_s / per_unit, each) for middle_s, each in shift.timeline.rows()]
    top = 30.0
    for name in ("speed", *AGES):
        if name == "speed":
            frame = _speed(drawing, top, across, rows)
        else:
            frame = _ages(drawing, top, across, rows, name, shift.limits_ms.get(name))
        frame.axes(f"recorded {unit}" if name == PICTURE else " ", _axis(name))
        _marks(frame, shift, per_unit, words=name == "speed")
        top += PANEL + GAP
    return drawing.render()


def _axis(name: str) -> str:
    return NAMES.get(name, "speed, m/s")


def _panel(drawing: Drawing, top: float, across: Span, up: Span) -> Frame:
    return Frame(drawing, LEFT, top, WIDTH - LEFT - RIGHT, PANEL, across, up)


Rows = Sequence[tuple[float, Slice]]


def _speed(drawing: Drawing, top: float, across: Span, rows: Rows) -> Frame:
    points = [(at, each.speed_mps) for at, each in rows]
    frame = _panel(drawing, top, across, Span.of([*(y for _, y in points), 1.0]))
    frame.line(points, SPEED)
    frame.legend([("stop", STOP), ("false stop", FALSE)])
    return frame


def _ages(
    drawing: Drawing, top: float, across: Span, rows: Rows, name: str, limit_ms: int | None
) -> Frame:
    lines = [(word, colour, _line(rows, name, percent)) for word, percent, colour in LINES]
    heights = [y for _, _, points in lines for _, y in points]
    frame = _panel(drawing, top, across, Span.of([*heights, 1.0]))
    for _, colour, points in reversed(lines):
        frame.line(points, colour, width=1.2)
        frame.dots(points if len(points) < 60 else (), colour, 1.5)
    entries = [(word, colour) for word, colour, _ in lines]
    if limit_ms is not None:
        if limit_ms <= frame.up.high:
            frame.line([(across.low, limit_ms), (across.high, limit_ms)], LIMIT, dash="6 3")
        entries.append((f"limit {limit_ms} ms", LIMIT))
    frame.legend(entries)
    return frame


def _line(rows: Rows, name: str, percent: float) -> list[Point]:
    found = ((at, each.ages[name].percentile(percent)) for at, each in rows if name in each.ages)
    return [(at, float(value)) for at, value in found if value is not None]


def _marks(frame: Frame, shift: Shift, per_unit: float, *, words: bool) -> None:
    for begin_s in shift.begins_s[1:]:
        frame.band(begin_s / per_unit, begin_s / per_unit + 0.002 * frame.across.high, INK)
    for stop in shift.stops:
        colour = FALSE if stop.false else STOP
        if len(shift.stops) > MARKED_MAX:
            x = frame.x(stop.at_s / per_unit)
            frame.on.add(f'<path d="M{x:.1f} {frame.top:.1f}v-5" stroke="{colour}"/>')
        else:
            frame.mark(stop.at_s / per_unit, stop.cause or "" if words else "", colour)


def over_the_map(shift: Shift, name: str) -> str | None:
    """Return where which age was met, by its 95th percentile; None where no place is known."""
    ages = {at: each.ages[name].percentile(95) for at, each in shift.cells.items()}
    known = {at: age_ms for at, age_ms in ages.items() if age_ms is not None}
    crosses = shift.stops if len(shift.stops) <= MARKED_MAX else ()
    return _map(known, f"{NAMES[name]}: 95 % were younger", " ms", crosses)


def stops_over_the_map(shift: Shift) -> str | None:
    """Return where many stops were; None where they are few enough to be on the other maps."""
    places = [stop.place_m for stop in shift.stops if stop.place_m is not None]
    if len(shift.stops) <= MARKED_MAX:
        return None
    counts = Counter(cell_of(place) for place in places)
    driven = dict.fromkeys(shift.cells, 0)
    return _map(driven | counts, f"stops in {CELL_M:g} m", "", ())


def _map(
    known: Mapping[tuple[int, int], int], title: str, unit: str, stops: Sequence[ShiftStop]
) -> str | None:
    if len(known) < 2:
        return None
    drawing = Drawing(MAP_WIDTH, MAP_HEIGHT, title)
    frame = _fitted(drawing, [_middle(at) for at in known])
    frame.axes("east, m", "north, m")
    steps = classes(known.values())
    radius = max(1.6, 0.5 * CELL_M * frame.width / (frame.across.high - frame.across.low))
    for at, value in known.items():
        frame.dots([_middle(at)], SCALE[sum(value > step for step in steps)], radius)
    for stop in stops:
        if stop.place_m is not None:
            _cross(frame, stop.place_m, stop.cause or "", FALSE if stop.false else STOP)
    words = [f"≤ {step}" for step in steps] + [f"> {steps[-1]}{unit}"]
    drawing.text(LEFT, 18, title, size=13)
    for number, (text, colour) in enumerate(zip(words, SCALE, strict=True)):
        x = LEFT + number * 88
        drawing.add(f'<circle cx="{x + 5:.0f}" cy="32" r="5" fill="{colour}"/>')
        drawing.text(x + 14, 36, text, size=11)
    return drawing.render()


def classes(values: Iterable[int]) -> list[int]:
    """Return four borders that part values into five classes of about the same number, rising."""
    ordered = sorted(values)
    borders: list[int] = []
    for part in range(1, len(SCALE)):
        border = ordered[len(ordered) * part // len(SCALE)]
        borders.append(max(border, borders[-1] + 1 if borders else border))
    return borders


def _middle(cell: tuple[int, int]) -> Point:
    return (cell[0] + 0.5) * CELL_M, (cell[1] + 0.5) * CELL_M


def _fitted(drawing: Drawing, points: Sequence[Point]) -> Frame:
    """A frame with the same scale on both axes."""
    left, top = LEFT, 48.0
    width, height = MAP_WIDTH - LEFT - RIGHT, MAP_HEIGHT - top - 40.0
    lows, highs = (tuple(map(each, zip(*points, strict=True))) for each in (min, max))
    spans = [high - low + 2 * MAP_ROOM_M for low, high in zip(lows, highs, strict=True)]
    scale = max(spans[0] / width, spans[1] / height)
    middle = [(low + high) / 2 for low, high in zip(lows, highs, strict=True)]
    across, up = (
        Span(mid - scale * size / 2, mid + scale * size / 2)
        for mid, size in zip(middle, (width, height), strict=True)
    )
    return Frame(drawing, left, top, width, height, across, up)


def _cross(frame: Frame, place_m: Point, words: str, colour: str) -> None:
    x, y = frame.x(place_m[0]), frame.y(place_m[1])
    frame.on.add(
        f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{colour}" '
        'stroke-width="2.5"/>'
    )
    frame.on.text(x + 8, y - 4, words, size=11, colour=colour)
