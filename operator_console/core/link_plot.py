"""A link test as a picture: round trips over time, their distribution, and what a drive would feel.

Plain SVG, made here, so that the page needs nothing from anywhere; light and dark ground alike.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any

from operator_console.core.link_test import Mark, Sample, report
from protocol.signals import DEFAULT_TIMING

WIDTH, HEIGHT = 960, 620
LEFT, RIGHT, TOP = 70, 925, 50
MIDDLE, BOTTOM = 330, 570
POINTS_MAX = 6000
SILENT_MS = DEFAULT_TIMING.command_degraded_ms
_NICE = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_COLOURS = {"degraded": "#c98a00", "stops": "#d0342c"}
_WORDS = {
    "degraded": f"traction off ({SILENT_MS} ms)",
    "stops": f"stop ({DEFAULT_TIMING.command_stop_ms} ms)",
}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.t{font-weight:600;font-size:15px}"
    ".g{stroke:#ddd}.a{stroke:#888}.d{fill:#1a6fb5}.c{fill:none;stroke:#1a6fb5;stroke-width:2}"
    ".u{fill:#f4d9d6}.l{stroke-dasharray:6 4;stroke:#777}"
)


def page(
    title: str, result: dict[str, Any], samples: Sequence[Sample], marks: Sequence[Mark]
) -> str:
    """Return one self-contained HTML page: the answer in words, the picture, the table."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        "<style>body{max-width:960px;margin:2em auto;font-family:system-ui,sans-serif;color:#222;"
        "background:#fff}pre{font-size:13px;line-height:1.5}svg{width:100%}</style>"
        f"<h1>{html.escape(title)}</h1><pre>{html.escape(report(result))}</pre>"
        f"{picture(result['seconds'], samples, marks)}</html>\n"
    )


def picture(seconds: float, samples: Sequence[Sample], marks: Sequence[Mark]) -> str:
    """Return the picture as SVG."""
    times_ms = [sample.round_trip_ms for sample in samples]
    top_ms = _nice(max([*times_ms, DEFAULT_TIMING.loop_cap_ms]) * 1.05)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_over_time(max(seconds, 1e-3), samples, marks, top_ms),
        *_distribution(sorted(times_ms)),
        "</svg>",
    ]
    return "".join(parts)


def _over_time(
    seconds: float, samples: Sequence[Sample], marks: Sequence[Mark], top_ms: float
) -> list[str]:
    def x(at_s: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(at_s / seconds, 1.0)

    def y(ms: float) -> float:
        return MIDDLE - (MIDDLE - TOP) * min(max(ms / top_ms, 0.0), 1.0)

    parts = [_text(LEFT, TOP - 18, "Round trip over time, ms", "t")]
    parts += [
        f'<line class="g" x1="{LEFT}" x2="{RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        + _text(LEFT - 8, y(v) + 4, f"{v:.0f}", anchor="end")
        for v in _ticks(top_ms)
    ]
    parts += [
        _text(x(v), MIDDLE + 18, f"{v:g} s", anchor="middle")
        for v in _ticks(seconds)
        if v <= seconds
    ]
    limit_ms = DEFAULT_TIMING.loop_cap_ms
    parts.append(
        f'<line class="l" x1="{LEFT}" x2="{RIGHT}" y1="{y(limit_ms):.1f}" y2="{y(limit_ms):.1f}"/>'
        + _text(RIGHT, y(limit_ms) - 5, f"{limit_ms} ms: slower above", anchor="end")
    )
    for begun_s, ended_s in _unanswered(seconds, samples):
        parts.append(
            f'<rect class="u" x="{x(begun_s):.1f}" y="{TOP}"'
            f' width="{x(ended_s) - x(begun_s):.1f}" height="{MIDDLE - TOP}"/>'
        )
    for mark in marks:
        parts.append(
            f'<line stroke="{_COLOURS[mark.kind]}" x1="{x(mark.at_s):.1f}" x2="{x(mark.at_s):.1f}" '
            f'y1="{TOP}" y2="{MIDDLE}" stroke-width="2"><title>{_WORDS[mark.kind]}</title></line>'
        )
    step = math.ceil(len(samples) / POINTS_MAX) or 1
    parts += [
        f'<circle class="d" r="1.6" cx="{x(s.at_s):.1f}" cy="{y(s.round_trip_ms):.1f}"/>'
        for s in samples[::step]
    ]
    parts.append(
        f'<rect class="u" x="{LEFT + 230}" y="{TOP - 29}" width="12" height="12"/>'
        + _text(LEFT + 248, TOP - 18, f"no answer for {SILENT_MS} ms or more")
    )
    for number, kind in enumerate(_COLOURS):
        seen = sum(mark.kind == kind for mark in marks)
        at = LEFT + 490 + 195 * number
        parts.append(
            f'<rect fill="{_COLOURS[kind]}" x="{at}" y="{TOP - 29}" width="12" height="12"/>'
            + _text(at + 18, TOP - 18, f"{_WORDS[kind]}: {seen}")
        )
    return parts


def _unanswered(seconds: float, samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return when no answer came for so long that a drive would have felt it."""
    moments = [0.0, *(sample.at_s for sample in samples), seconds]
    return [
        (before, after)
        for before, after in itertools.pairwise(moments)
        if 1000.0 * (after - before) >= SILENT_MS
    ]


def _distribution(times_ms: Sequence[float]) -> list[str]:
    """Up to twice the 98th percentile: what few stragglers took stands in the upper picture."""
    usual_ms = times_ms[int(0.98 * (len(times_ms) - 1))] if times_ms else 1.0
    top_ms = _nice(2.0 * max(usual_ms, 1.0))
    base, height = BOTTOM, BOTTOM - MIDDLE - 80

    def x(ms: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(max(ms / top_ms, 0.0), 1.0)

    def y(share: float) -> float:
        return base - height * share

    parts = [_text(LEFT, MIDDLE + 62, "Share of round trips up to a length", "t")]
    parts += [
        f'<line class="g" x1="{LEFT}" x2="{RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        + _text(LEFT - 8, y(v) + 4, f"{100 * v:.0f} %", anchor="end")
        for v in (0.0, 0.5, 1.0)
    ]
    parts += [_text(x(v), base + 20, f"{v:.0f} ms", anchor="middle") for v in _ticks(top_ms)]
    if times_ms:
        step = math.ceil(len(times_ms) / 1000)
        points = [(times_ms[0], 0.0)]
        points += [(ms, (n + 1) / len(times_ms)) for n, ms in list(enumerate(times_ms))[::step]]
        points = [point for point in points if point[0] <= top_ms]
        points.append((top_ms, sum(ms <= top_ms for ms in times_ms) / len(times_ms)))
        line = " ".join(f"{x(ms):.1f},{y(share):.1f}" for ms, share in points)
        parts.append(f'<polyline class="c" points="{line}"/>')
    return parts


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    klass = f' class="{kind}"' if kind else ""
    return (
        f'<text{klass} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
    )


def _nice(value: float) -> float:
    """Return the next round number that is not below ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in _NICE if factor * power >= value)


def _ticks(top: float) -> list[float]:
    step = _nice(top / 6)
    return [step * number for number in range(int(top / step + 1e-9) + 1)]
