"""A comparison's page: what was decided otherwise, by log and in sum."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from recording.moments import words as time_of_day
from sim.replay.pages import duration, note, number, page, table, tiles
from sim.svg import COLOURS, Drawing, Frame, Span

Row = Mapping[str, Any]
NAMED = (
    ("gained", "gained", COLOURS[1]),
    ("lost", "lost", COLOURS[2]),
    ("earlier", "earlier", COLOURS[0]),
    ("later", "later", COLOURS[3]),
)
SHOWN_CHARACTERS = 200


def compare_page(table_of: Row) -> str:
    """Return the page of what ``sim.replay.compare`` found."""
    old, new = str(table_of["old"]), str(table_of["new"])
    total, logs = table_of["sum"], table_of["logs"]
    verdict = (
        '<span class="good">the same decisions</span>'
        if table_of["same"]
        else '<span class="bad">decisions differ</span>'
    )
    lost = [f"{row['log']}: {words}" for row in logs for words in row["lost_data"]]
    return page(
        "Comparison",
        (
            f"<h1>Comparison: {verdict}</h1>"
            f'<p class="dim">Old: <b>{escape(old)}</b>; new: <b>{escape(new)}</b>; '
            f"{len(logs)} logs, {duration(total['driven_s'])} driven</p>",
            note(lost),
            _figures(total),
            _plot(total),
            _logs(logs, total),
            _moved(logs),
            _first(logs),
            '<p class="dim">Both decided over the same inputs. The machine and the driver of a log '
            "know nothing of the change, so only the first moments after one of both stops say "
            "something: soon after, the changed one goes on from the state of the log. Metres are "
            "from the last command that counted to standstill: measured up to the stop, reckoned "
            "by the machine's limits from there.</p>",
        ),
    )


def _figures(total: Row) -> str:
    then, now = total["metres_then"], total["metres_now"]
    entries = [
        (f"{total['stops_then']} → {total['stops_now']}", "stops, old → new"),
        *((str(total[key]), f"stops {name}") for key, name, _ in NAMED),
        (f"{number(then['mean'], 1)} → {number(now['mean'], 1)} m", "mean way to standstill"),
        (f"{number(then['max'], 1)} → {number(now['max'], 1)} m", "longest way"),
    ]
    if total["ticks_differ"]:
        entries.append((f"{total['ticks_differ']} of {total['ticks']}", "ticks decided otherwise"))
    return tiles(entries)


def _plot(total: Row) -> str:
    counts = [total[key] for key, _, _ in NAMED]
    drawing = Drawing(560.0, 230.0, "Stops that changed")
    frame = Frame(drawing, 62.0, 24.0, 480.0, 160.0, Span(0.0, 4.0), Span.of([*counts, 1.0]))
    frame.axes("", "stops")
    for place, (count, (_, name, colour)) in enumerate(zip(counts, NAMED, strict=True)):
        frame.bar(place + 0.5, float(count), colour, name, str(count))
    return "<h2>Stops that changed</h2>" + drawing.render()


def _logs(logs: list[Row], total: Row) -> str:
    heads = (
        *("Log", "Driven, s", "Stops", "New", "Gained", "Lost", "Earlier", "Later"),
        *("m mean", "New", "m max", "New", "Ticks that differ"),
    )
    rows = [_cells(row["log"], row) for row in logs]
    rows.append(tuple(f"<b>{cell}</b>" for cell in _cells("Sum", total)))
    return "<h2>By log</h2>" + table(heads, rows, numbers=range(1, len(heads)))


def _cells(name: str, row: Row) -> tuple[str, ...]:
    then, now = row["metres_then"], row["metres_now"]
    counts = ("stops_then", "stops_now", "gained", "lost", "earlier", "later")
    return (
        escape(name),
        f"{row['driven_s']:g}",
        *(str(row[key]) for key in counts),
        *(number(side[key], 2) for key in ("mean", "max") for side in (then, now)),
        str(row["ticks_differ"]) if "ticks_differ" in row else "–",
    )


def _moved(logs: list[Row]) -> str:
    rows = [
        (escape(row["log"]), *_side(stop["then"]), *_side(stop["now"]), _later(stop))
        for row in logs
        for stop in row["stops"]
        if stop["then"] is None or stop["now"] is None or stop["later_ms"]
    ]
    if not rows:
        return "<h2>Stops that changed, each</h2><p>None.</p>"
    heads = ("Log", "Old: UTC", "Cause", "m", "New: UTC", "Cause", "m", "Later by, ms")
    return (
        f"<h2>Stops that changed, each</h2><details><summary>{len(rows)} stops</summary>"
        + table(heads, rows, numbers=(3, 6, 7))
        + "</details>"
    )


def _side(stop: Row | None) -> tuple[str, str, str]:
    if stop is None:
        return "–", "–", "–"
    metres = number(stop["metres"], 2)
    return time_of_day(stop["utc_ns"]), escape(stop["cause"] or "none"), metres


def _later(stop: Row) -> str:
    if stop["then"] is None:
        return "gained"
    return "lost" if stop["now"] is None else str(stop["later_ms"])


def _first(logs: list[Row]) -> str:
    rows = [
        (escape(row["log"]), str(row["first"]["tick"]), escape(name), _short(old), _short(new))
        for row in logs
        if "first" in row
        for name, (old, new) in row["first"]["fields"].items()
    ]
    if not rows:
        return ""
    heads = ("Log", "Tick", "What", "Old", "New")
    return "<h2>First tick that differs</h2>" + table(heads, rows, numbers=(1,))


def _short(value: Any) -> str:
    text = str(value)
    return escape(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")
