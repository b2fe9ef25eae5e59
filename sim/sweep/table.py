"""The table of a sweep: p99.9 of the stopping distance by machine, load, grade, speed and link.

With fewer than a thousand stops in a cell the rank is the longest one seen; the number of stops
stands beside it, so that nobody takes a handful for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.sweep.runs import as_number

_ROW = ("machine", "load", "grade", "speed_mps")
_GRADES = ("down", "level", "up")


def as_markdown(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown.

    Args:
        title: of the scenario. rows: ``table`` of the summary.
    """
    links = sorted({row["link"] for row in rows})
    cells = {(*_key(row), row["link"]): row for row in rows}
    keys = sorted({_key(row) for row in rows}, key=_order)
    lines = [
        f"# {title}",
        "",
        "Stopping distance in m, p99.9 (of so many stops), from the last command or the scripted",
        "event to standstill. Of fewer than a thousand stops that is the longest.",
        "",
        "| machine | load | grade | speed, m/s | " + " | ".join(links) + " |",
        "|---|---|---|---|" + "---:|" * len(links),
    ]
    for machine, load, grade, speed in keys:
        told = (_cell(cells.get((machine, load, grade, speed, link))) for link in links)
        lines.append(f"| {machine} | {load:g} | {grade} | {speed} | " + " | ".join(told) + " |")
    return "\n".join(lines) + "\n"


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ROW)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    machine, load, grade, speed = key
    return machine, load, _GRADES.index(grade), float(speed.partition("-")[0])


def _cell(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else f"{as_number(row['p99.9'])} ({row['stops']})"
