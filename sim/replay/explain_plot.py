"""The chain of causes round one moment as one picture: from the picture shown to the motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from protocol.signals import Timing
from recording.moments import words
from recording.reader import Log
from sim.replay.explain import STANDING_MPS, Seen, around, place_of
from sim.svg import COLOURS, INK, Drawing, Frame, Point, Span
from vehicle_agent.core.failsafe import DRIVING

WIDTH, LEFT, RIGHT = 980.0, 70.0, 20.0
PANEL, GAP, TOP, STRIP = 120.0, 44.0, 56.0, 26.0
BEFORE_S, AFTER_S, STOOD_S = 2.0, 20.0, 0.5
STOP, LIMIT = "#d1495b", "#d1495b"
GROUND = dict.fromkeys(DRIVING, "#2e8b57") | {"DEGRADED": "#e08e1b", "STOPPING": "#d1495b"}
OTHER_GROUND = "#9aa3ab"
MARK_STEP = 12.0


@dataclass(frozen=True, slots=True)
class View:
    """What is drawn: ticks with their times, s, from the moment that is explained."""

    drawing: Drawing
    across: Span
    times: Sequence[float]
    shown: Sequence[Seen]
    timing: Timing

    @property
    def ticks(self) -> Iterator[tuple[float, Seen]]:
        """Time and tick."""
        return zip(self.times, self.shown, strict=True)

    def line(self, value: Callable[[Seen], float | None]) -> list[Point]:
        """Return a value over time, where it is known."""
        found = ((at, value(each)) for at, each in self.ticks)
        return [(at, known) for at, known in found if known is not None]

    def panel(self, top: float, up: Span, name: str, across: str = " ") -> Frame:
        """A frame across the page."""
        frame = Frame(self.drawing, LEFT, top, WIDTH - LEFT - RIGHT, PANEL, self.across, up)
        frame.axes(across, name)
        return frame


def plot(log: Log, at_ns: int) -> str:
    """Return the picture of what led to what round ``at_ns`` (UTC), as SVG.

    Raises:
        ValueError: no tick of the log lies there.
    """
    timing, seen = around(log, at_ns)
    if not seen:
        raise ValueError(f"{log.name}: no tick at that time")
    place, _ = place_of(seen, at_ns)
    zero_ns = seen[place].now_ns
    shown = [each for each in seen if (each.now_ns - zero_ns) / 1e9 <= _end_s(seen, place)]
    title = f"{log.name}: what led to {words(seen[place].utc_ns)}"
    drawing = Drawing(WIDTH, TOP + STRIP + 4 * (PANEL + GAP) + 30, title)
    drawing.text(LEFT, 24, f"{title} UTC, cause {seen[place].latched or 'none'}", size=15)
    times = [(each.now_ns - zero_ns) / 1e9 for each in shown]
    across = Span(times[0], max(times[-1], times[0] + 0.1))
    view = View(drawing, across, times, shown, timing)
    _modes(view)
    top = TOP + STRIP + 16
    for draw in (_picture, _commands, _brake, _speed):
        frame = draw(view, top)
        frame.mark(0.0, "", STOP)
        _events(frame, view, named=draw is _commands)
        top += PANEL + GAP
    return drawing.render()


def _end_s(seen: Sequence[Seen], place: int) -> float:
    """Until a while after it stood."""
    for each in seen[place:]:
        if each.state is not None and abs(each.state.speed_mps or 0.0) < STANDING_MPS:
            return (each.now_ns - seen[place].now_ns) / 1e9 + STOOD_S
    return AFTER_S


def _modes(view: View) -> None:
    """A strip of the supervisor's modes."""
    drawing, across = view.drawing, view.across
    frame = Frame(drawing, LEFT, TOP, WIDTH - LEFT - RIGHT, STRIP, across, Span(0.0, 1.0))
    drawing.text(LEFT - 8, TOP + 17, "mode", size=11, anchor="end")
    for mode, run in groupby(view.ticks, lambda pair: pair[1].mode):
        spans = [at for at, _ in run]
        left, right = frame.x(spans[0]), frame.x(min(spans[-1] + 0.01, across.high))
        drawing.add(
            f'<rect x="{left:.1f}" y="{TOP:.1f}" width="{max(right - left, 1.0):.1f}" '
            f'height="{STRIP:.1f}" fill="{GROUND.get(mode, OTHER_GROUND)}" fill-opacity="0.35"/>'
        )
        if right - left > 7.5 * len(mode):
            drawing.text((left + right) / 2, TOP + 17, mode, size=11, anchor="middle")


def _picture(view: View, top: float) -> Frame:
    points = [
        (at, each.now_ns / 1e6 - each.accepted.frame.view_stamp_us / 1e3)
        for at, each in view.ticks
        if each.accepted is not None and each.accepted.frame.view_stamp_us
    ]
    up = Span.of([*(y for _, y in points), view.timing.view_degraded_ms])
    frame = view.panel(top, up, "picture, ms")
    frame.dots(points, COLOURS[0], 1.6)
    _limits(
        frame,
        (
            (view.timing.view_degraded_ms, f"slower after {view.timing.view_degraded_ms} ms"),
            (view.timing.view_stop_ms, f"stop after {view.timing.view_stop_ms} ms"),
        ),
        ("age of the picture on screen when a command counted", COLOURS[0]),
    )
    return frame


def _commands(view: View, top: float) -> Frame:
    """Silence since the last command that counted; refused ones as dots at the foot."""
    silent: list[Point] = []
    last_s: float | None = None
    for at, each in view.ticks:
        last_s = at if each.accepted is not None else last_s
        if last_s is not None:
            silent.append((at, min((at - last_s) * 1e3, 2.0 * view.timing.command_stop_ms)))
    refused = [(at, 0.0) for at, each in view.ticks if each.refused]
    up = Span.of([*(y for _, y in silent), view.timing.command_stop_ms * 1.1])
    frame = view.panel(top, up, "silence, ms")
    frame.line(silent, COLOURS[0])
    frame.dots(refused, COLOURS[3], 2.4)
    _limits(
        frame,
        (
            (
                view.timing.command_degraded_ms,
                f"traction off after {view.timing.command_degraded_ms} ms",
            ),
            (view.timing.command_stop_ms, f"stop after {view.timing.command_stop_ms} ms"),
        ),
        ("since a command counted", COLOURS[0]),
        ("refused", COLOURS[3]),
    )
    return frame


def _limits(frame: Frame, limits: Sequence[tuple[float, str]], *legend: tuple[str, str]) -> None:
    for value, _ in limits:
        if value <= frame.up.high:
            frame.line([(frame.across.low, value), (frame.across.high, value)], LIMIT, dash="6 3")
    frame.legend([*legend, *((text, LIMIT) for _, text in limits)])


def _brake(view: View, top: float) -> Frame:
    demanded = view.line(lambda each: each.demands.get("brake_mps2"))
    measured = view.line(lambda each: each.state.brake_measured_mps2 if each.state else None)
    accel = view.line(lambda each: each.demands.get("accel_mps2"))
    up = Span.of([y for _, y in (*demanded, *measured, *accel, (0.0, 1.0))])
    frame = view.panel(top, up, "m/s²")
    frame.line(accel, COLOURS[2])
    frame.line(demanded, COLOURS[1])
    frame.line(measured, INK, dash="4 2")
    frame.legend(
        [
            ("traction on the bus", COLOURS[2]),
            ("brake demand on the bus", COLOURS[1]),
            ("brake measured", INK),
        ]
    )
    return frame


def _speed(view: View, top: float) -> Frame:
    speed = view.line(lambda each: each.state.speed_mps if each.state else None)
    cap = view.line(lambda each: each.state.cap_mps if each.state else None)
    up = Span.of([y for _, y in (*speed, *cap, (0.0, 1.0))])
    frame = view.panel(top, up, "speed, m/s", "s")
    frame.line(cap, COLOURS[3], dash="6 3")
    frame.line(speed, COLOURS[0])
    frame.legend([("speed", COLOURS[0]), ("cap", COLOURS[3])])
    return frame


def _events(frame: Frame, view: View, *, named: bool) -> None:
    """A line for each event; names beside it, one under the other where they are close."""
    number = 0
    for at, each in view.ticks:
        for event in each.events:
            frame.mark(at, "", OTHER_GROUND)
            if named:
                y = frame.top + 14 + (number % 6) * MARK_STEP
                frame.on.text(frame.x(at) + 3, y, event, size=10)
                number += 1
