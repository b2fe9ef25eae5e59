"""The shift report's page: what a shift came to, why it stopped, and where the link was bad."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from protocol.events import EVENTS
from recording.moments import words as time_of_day
from sim.replay.pages import duration, note, number, page, table, tiles
from sim.replay.shift import AGES, PICTURE, UPLINK, Shift, ShiftStop
from sim.replay.shift_plot import over_the_map, over_time, stops_over_the_map

LOGS_NAMED = 12
OPENED_MAX = 40
"""A longer list of stops is folded away."""


def shift_page(shift: Shift) -> str:
    """Return the page of a shift."""
    return page(
        "Shift report",
        (
            _head(shift),
            note(shift.lost),
            _figures(shift),
            _stops(shift),
            _refused(shift),
            _ages(shift),
            "<h2>Over time</h2>" + over_time(shift),
            _maps(shift),
            _each_stop(shift),
            _modes(shift),
        ),
    )


def _head(shift: Shift) -> str:
    machines = sorted(
        {f"{each.get('machine', '?')} ({each.get('vehicle', '?')})" for each in shift.sessions}
    )
    days = sorted({_day(int(each["utc_ns"])) for each in shift.sessions if "utc_ns" in each})
    commits = sorted({str(each.get("commit", "unknown"))[:12] for each in shift.sessions})
    simulated = any(each.get("simulated") for each in shift.sessions)
    said = [", ".join(machines), " to ".join(dict.fromkeys((*days[:1], *days[-1:])))]
    said += [f"{len(shift.names)} logs" if len(shift.names) > 1 else f"log {shift.names[0]}"]
    said += [f"software {', '.join(commits)}", *(["simulated"] if simulated else [])]
    return f'<h1>Shift report</h1><p class="dim">{escape("; ".join(filter(None, said)))}</p>'


def _day(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC):%Y-%m-%d}"


def _figures(shift: Shift) -> str:
    refused = shift.refused.total()
    share = 100 * refused / (refused + shift.accepted) if refused + shift.accepted else None
    hours = shift.driven_s / 3600
    uplink, picture = (shift.ages[name].summary() for name in (UPLINK, PICTURE))
    return tiles(
        (
            (f"{shift.distance_m / 1000:.2f} km", "driven"),
            (duration(shift.driven_s), f"of {duration(shift.seconds)} recorded"),
            (str(len(shift.stops)), "stops"),
            (str(shift.false_stops), "of them false"),
            (number(shift.false_stops / hours if hours else None, 1), "false stops an hour driven"),
            (f"{number(share, 2)} %", f"of {refused + shift.accepted} commands refused"),
            (f"{number(uplink['p50'])} / {number(uplink['p99'])} ms", "command age, p50 / p99"),
            (f"{number(picture['p50'])} / {number(picture['p99'])} ms", "picture age, p50 / p99"),
        )
    )


def _words(cause: str | None) -> str:
    return EVENTS[cause].en if cause in EVENTS else "not in the catalogue"


def _kind(stop: ShiftStop) -> str:
    if stop.false:
        return '<span class="bad">false</span>'
    if stop.asked_for:
        return "asked for"
    return "scripted" if stop.scripted else "the machine's"


def _stops(shift: Shift) -> str:
    if not shift.stops:
        return "<h2>Stops</h2><p>None.</p>"
    causes = table(
        ("Cause", "Stops", "False", "What was told"),
        (
            (
                f"<b>{escape(cause)}</b>",
                str(count),
                str(sum(stop.false for stop in shift.stops if (stop.cause or "none") == cause)),
                escape(_words(cause)),
            )
            for cause, count in shift.causes().most_common()
        ),
        numbers=(1, 2),
    )
    return (
        "<h2>Stops by cause</h2>" + causes + '<p class="dim">False: link or picture brought the '
        "stop about (L, V), and neither a person nor a simulator's script asked for it. "
        "“Commands after” is the time until a command counted again: a short one says that the "
        "stop outlived what caused it. <code>headframe replay explain LOG --stop N</code> tells "
        "what led to each.</p>"
    )


def _each_stop(shift: Shift) -> str:
    if not shift.stops:
        return ""
    several = len(shift.names) > 1
    rows = table(
        ("Log and stop" if several else "Stop", "UTC", "Cause", "It was", "m/s", "Commands after"),
        (
            (
                escape(f"{stop.log} {stop.number}" if several else str(stop.number)),
                time_of_day(stop.utc_ns),
                escape(stop.cause or "none"),
                _kind(stop),
                number(stop.speed_mps, 1),
                f"{number(stop.counted_after_s, 2)} s" if stop.counted_after_s else "–",
            )
            for stop in shift.stops
        ),
        numbers=(4, 5),
    )
    opened = " open" if len(shift.stops) <= OPENED_MAX else ""
    return (
        f"<h2>Each stop</h2><details{opened}><summary>{len(shift.stops)} stops</summary>"
        f"{rows}</details>"
    )


def _refused(shift: Shift) -> str:
    if not shift.refused:
        return "<h2>Refused commands</h2><p>None.</p>"
    total = shift.refused.total() + shift.accepted
    rows = (
        (escape(reason.replace("_", " ")), str(count), f"{100 * count / total:.2f} %")
        for reason, count in shift.refused.most_common()
    )
    copies = (
        f'<p class="dim">{shift.copies} copies by another path are not counted as refused.</p>'
        if shift.copies
        else ""
    )
    return (
        "<h2>Refused commands by reason</h2>"
        + table(("Reason", "Commands", "Share"), rows, numbers=(1, 2))
        + copies
    )


def _ages(shift: Shift) -> str:
    rows = []
    for name, words in AGES.items():
        figures = shift.ages[name].summary()
        limit = shift.limits_ms.get(name)
        rows.append((words, *(number(each) for each in figures.values()), number(limit)))
    heads = ("ms", "p50", "p95", "p99", "max", "limit")
    return "<h2>Ages of what counted</h2>" + table(heads, rows, numbers=(1, 2, 3, 4, 5))


def _maps(shift: Shift) -> str:
    maps = [over_the_map(shift, name) for name in (UPLINK, PICTURE)] + [stops_over_the_map(shift)]
    known = [each for each in maps if each is not None]
    if not known:
        return "<h2>Over the map</h2><p>The logs say nothing of where the machine was.</p>"
    return (
        f'<h2>Over the map</h2><div class="maps">{"".join(f"<div>{m}</div>" for m in known)}</div>'
        '<p class="dim">A cross is a stop; a red one is false. Each colour stands for about '
        "as many places.</p>"
    )


def _modes(shift: Shift) -> str:
    rows = (
        (escape(mode), duration(seconds), f"{100 * seconds / shift.seconds:.1f} %")
        for mode, seconds in sorted(shift.mode_s.items(), key=lambda row: -row[1])
    )
    names = ", ".join(shift.names[:LOGS_NAMED])
    more = f" and {len(shift.names) - LOGS_NAMED} more" if len(shift.names) > LOGS_NAMED else ""
    return (
        "<h2>Time by state</h2>"
        + table(("State", "Time", "Share"), rows, numbers=(1, 2))
        + f'<p class="dim">Logs: {escape(names + more)}</p>'
    )
