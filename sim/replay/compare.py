"""Two ways to decide over a folder of logs: other settings, or another revision of the software."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recording.reader import logs_under, open_log
from sim.replay.decisions import DIGEST_BYTES, decisions
from sim.replay.rerun import Stop
from sim.replay.revision import checked_out, decided_by
from sim.replay.settings import changing
from sim.replay.ticks import Steps
from sim.replay.whatif import Travel, Weighed, WhatIf, what_if
from sim.replay.whatif_table import summed
from sim.sweep.cluster import client_of

Row = dict[str, Any]
ALONE_MAX = 3
"""So many logs are done before a cluster has started."""
_HEX = 2 * DIGEST_BYTES


def with_settings(path: Path, changes: Mapping[str, float], scheduler: str | None) -> Row:
    """Compare the settings of the logs with others.

    Raises:
        ValueError: there is no log, or a content that is none.
    """
    rows = _over(path, partial(_settings_row, changes=dict(changes)), scheduler)
    words = ", ".join(f"{name} = {value:g}" for name, value in changes.items())
    return _table("as recorded", words, rows)


def with_revision(path: Path, revision: str, present: str) -> Row:
    """Compare another revision's decisions with those of the present code.

    Args:
        present: name of the present revision.

    Raises:
        ValueError: there is no log, no such revision, or it cannot run one of the logs.
    """
    with checked_out(revision) as folder:
        rows = _over(path, partial(_revision_row, folder=folder), None)
    return _table(revision, present, rows)


def _table(old: str, new: str, rows: list[Row]) -> Row:
    total = summed(rows)
    for name in ("ticks", "ticks_differ"):
        total[name] = sum(row.get(name, 0) for row in rows)
    same = not any(total[name] for name in ("gained", "lost", "earlier", "later", "ticks_differ"))
    return {"old": old, "new": new, "same": same, "logs": rows, "sum": total}


def _over(path: Path, do: Callable[[Path], Row], scheduler: str | None) -> list[Row]:
    """Do all logs, many of them on Dask, and return their rows in the order of the logs."""
    paths = [_path(log.files[0].path, len(log.files)) for log in logs_under(path)]
    if len(paths) <= ALONE_MAX and scheduler is None:
        return [do(each) for each in paths]
    return list(_on_dask(paths, do, scheduler))


def _path(first: Path, files: int) -> Path:
    return first.parent if files > 1 else first


def _on_dask(
    paths: Sequence[Path], do: Callable[[Path], Row], scheduler: str | None
) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(client_of(scheduler, stack))
        yield from client.gather(client.map(do, paths, pure=False))


def _settings_row(path: Path, changes: Mapping[str, float]) -> Row:
    log = open_log(path)
    result = what_if(Steps(log), changing(changes))
    return {"log": log.name, **result.as_dict(), "ticks": result.ticks, "lost_data": log.lost}


def _revision_row(path: Path, folder: Path) -> Row:
    old, new = decided_by(folder, path), decisions(path)
    result = WhatIf(
        list(map(_weighed, old["stops"])), list(map(_weighed, new["stops"])), new["driven_s"]
    )
    places = differing_places(old, new)
    row = {"log": open_log(path).name, **result.as_dict(), "lost_data": []}
    row |= {"ticks": len(new["ticks"]), "ticks_differ": len(places)}
    if places:
        row["first"] = _first(path, folder, places[0], new)
    return row


def differing_places(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[int]:
    """Return the places, from 0, of the ticks that were decided otherwise."""
    one, other = old["digests"], new["digests"]
    ends = max(len(one), len(other))
    return [
        place // _HEX
        for place in range(0, ends, _HEX)
        if one[place : place + _HEX] != other[place : place + _HEX]
    ]


def _first(path: Path, folder: Path, place: int, new: Mapping[str, Any]) -> Row:
    if place >= len(new["ticks"]):
        return {"tick": None, "fields": {}}
    number, utc_ns = new["ticks"][place]
    then = decided_by(folder, path, place)["shown"] or {}
    now = decisions(path, place)["shown"] or {}
    names = [*then, *(name for name in now if name not in then)]
    return {
        "tick": number,
        "utc_ns": utc_ns,
        "fields": {
            name: [then.get(name), now.get(name)]
            for name in names
            if then.get(name) != now.get(name)
        },
    }


def _weighed(stop: Mapping[str, Any]) -> Weighed:
    return Weighed(
        Stop(stop["utc_ns"], stop["number"], stop["cause"]),
        Travel(stop["reaction_m"], stop["braking_m"]),
    )
