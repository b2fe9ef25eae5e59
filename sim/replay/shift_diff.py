"""Two shifts beside each other: what stopped them, what was refused, and how old things were."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from protocol.events import EVENTS
from sim.replay.pages import note, number, page, table
from sim.replay.shift import AGES, Shift

Pair = tuple[float | None, float | None]


def differences(old: Shift, new: Shift) -> dict[str, Any]:
    """Return both shifts' figures as pairs (old, new); ``same`` where they stopped alike."""
    return {
        "same": old.causes() == new.causes(),
        "figures": {
            "distance, m": (round(old.distance_m, 1), round(new.distance_m, 1)),
            "driven, s": (round(old.driven_s, 1), round(new.driven_s, 1)),
            "stops": (len(old.stops), len(new.stops)),
            "false stops": (old.false_stops, new.false_stops),
            "false stops an hour driven": (_per_hour(old), _per_hour(new)),
            "commands that counted": (old.accepted, new.accepted),
            "commands refused": (old.refused.total(), new.refused.total()),
        },
        "stops": _pairs(old.causes(), new.causes()),
        "refused": _pairs(old.refused, new.refused),
        "ages_ms": {
            f"{words}, {mark}": (old.ages[name].summary()[mark], new.ages[name].summary()[mark])
            for name, words in AGES.items()
            for mark in ("p50", "p95", "p99", "max")
        },
        "lost": [*old.lost, *new.lost],
    }


def _per_hour(shift: Shift) -> float | None:
    return round(3600 * shift.false_stops / shift.driven_s, 1) if shift.driven_s else None


def _pairs(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    names = sorted({*old, *new}, key=lambda name: -max(old.get(name, 0), new.get(name, 0)))
    return {name: (old.get(name, 0), new.get(name, 0)) for name in names}


def diff_page(old: str, new: str, found: Mapping[str, Any]) -> str:
    """Return the page of two shifts, named as they were given."""
    word = (
        '<span class="good">the same stops</span>'
        if found["same"]
        else '<span class="bad">other stops</span>'
    )
    causes = {f"{cause} {_words(cause)}": pair for cause, pair in found["stops"].items()}
    reasons = {name.replace("_", " "): pair for name, pair in found["refused"].items()}
    return page(
        "Two shifts",
        (
            f"<h1>Two shifts: {word}</h1>",
            f'<p class="dim">Old: <b>{escape(old)}</b>; new: <b>{escape(new)}</b></p>',
            note(found["lost"]),
            "<h2>Figures</h2>" + _table("", found["figures"]),
            "<h2>Stops by cause</h2>" + _table("Cause", causes),
            "<h2>Refused commands by reason</h2>" + _table("Reason", reasons),
            "<h2>Ages of what counted, ms</h2>" + _table("", found["ages_ms"]),
            '<p class="dim">Two drives are never the same: what differs here may be the driver, '
            "the link or the software. Other software over the same inputs is compared by "
            "<code>compare LOGS --commit</code>.</p>",
        ),
    )


def _words(cause: str) -> str:
    return EVENTS[cause].en.partition(" - ")[0] if cause in EVENTS else ""


def _table(head: str, pairs: Mapping[str, Pair]) -> str:
    if not pairs:
        return "<p>None.</p>"
    rows = (
        (escape(name), _figure(old), _figure(new), _change(old, new))
        for name, (old, new) in pairs.items()
    )
    return table((head, "Old", "New", "Change"), rows, numbers=(1, 2, 3))


def _figure(value: float | None) -> str:
    return number(value, 1 if isinstance(value, float) else 0)


def _change(old: float | None, new: float | None) -> str:
    if old is None or new is None or old == new:
        return "–"
    return f"{new - old:+.1f}" if isinstance(new - old, float) else f"{new - old:+d}"


def diff_text(found: Mapping[str, Any]) -> str:
    """Return the figures for a terminal."""
    lines = ["the same stops" if found["same"] else "other stops"]
    for group in ("figures", "stops", "refused", "ages_ms"):
        for name, (old, new) in found[group].items():
            lines.append(f"  {name}: {_figure(old)} -> {_figure(new)}")
    return "\n".join(lines)
