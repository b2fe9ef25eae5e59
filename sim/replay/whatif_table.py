"""What-if over one log or a folder of them: a row for each log, and the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol.sums import in_turn
from recording.reader import logs_under
from sim.replay.settings import changing
from sim.replay.ticks import Steps
from sim.replay.whatif import what_if

COUNTS = ("stops_then", "stops_now", "gained", "lost", "earlier", "later")


def over(path: Path, changes: Mapping[str, float]) -> dict[str, Any]:
    """Return the table as plain values."""
    change = changing(changes)
    rows = []
    for log in logs_under(path):
        result = what_if(Steps(log), change).as_dict()
        rows.append({"log": log.name, **result, "lost_data": log.lost})
    return {"changes": dict(changes), "logs": rows, "sum": summed(rows)}


def summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of all rows."""
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in COUNTS}
    total["driven_s"] = round(in_turn(row["driven_s"] for row in rows), 1)
    for side in ("then", "now"):
        weights = [(row[f"metres_{side}"], row[f"stops_{side}"]) for row in rows]
        some = [(metres, count) for metres, count in weights if count]
        count = sum(each for _, each in some)
        mean_m = in_turn(metres["mean"] * each for metres, each in some) / count if count else None
        total[f"metres_{side}"] = {
            "mean": None if mean_m is None else round(mean_m, 2),
            "max": max((metres["max"] for metres, _ in some), default=None),
        }
    return total


def as_text(table: Mapping[str, Any]) -> str:
    """Return the table for a person."""
    heads = (
        *("log", "driven s", "stops", "what-if", "gained", "lost", "earlier", "later"),
        *("m mean", "m what-if", "m max", "max what-if"),
    )
    rows = [_cells(row["log"], row) for row in table["logs"]]
    rows.append(_cells("sum", table["sum"]))
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [f"{_heading(table)}; m: from the last command that counted to standstill"]
    for row in (heads, *rows):
        first, *rest = row
        cells = [f"{first:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _heading(table: Mapping[str, Any]) -> str:
    if "changes" in table:
        return "what if " + ", ".join(
            f"{key} = {value:g}" for key, value in table["changes"].items()
        )
    told = "the same decisions" if table["same"] else "decisions differ"
    differ, ticks = table["sum"]["ticks_differ"], table["sum"]["ticks"]
    of_ticks = f", in {differ} of {ticks} ticks" if differ else ""
    return f"{table['old']} -> {table['new']}: {told}{of_ticks}"


def _cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    then, now = row["metres_then"], row["metres_now"]
    metres = (then["mean"], now["mean"], then["max"], now["max"])
    return (
        name,
        f"{row['driven_s']:g}",
        *(str(row[key]) for key in COUNTS),
        *("-" if each is None else f"{each:.2f}" for each in metres),
    )
