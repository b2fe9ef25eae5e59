"""The table of a sweep: the longest stopping distances by machine, load, grade, speed and link.

A thousand stops have a p99.9. Of fewer that rank is the longest one seen, and the table says so:
``max`` and the number of stops, so that nobody takes a handful for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.sweep.runs import as_number

_ROW = ("machine", "load", "grade", "speed_mps")
_GRADES = ("down", "level", "up")
P99_9_OF = 1000
"""So many stops have a p99.9 that is not their longest by its definition."""


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
        "Stopping distance in m, from the last command or the scripted event to standstill.",
        f"`max` is the longest of n stops; only n ≥ {P99_9_OF} have a `p99.9`. "
        f"{_stops(rows)} stops in {len(rows)} cells, {_least(rows)} to {_most(rows)} in each.",
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
    if row is None:
        return "–"
    name = "p99.9" if row["stops"] >= P99_9_OF else "max"
    return f"{name} {as_number(row[name])}, n {row['stops']}"


def _stops(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["stops"] for row in rows)


def _least(rows: Sequence[Mapping[str, Any]]) -> int:
    return min((row["stops"] for row in rows), default=0)


def _most(rows: Sequence[Mapping[str, Any]]) -> int:
    return max((row["stops"] for row in rows), default=0)
