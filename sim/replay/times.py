"""Moments of a log as a person names them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from recording.reader import Log
from sim.replay.rerun import rerun
from sim.replay.ticks import Steps

_NS_PER_S = 1_000_000_000
_SECONDS = re.compile(r"-?\d+(\.\d+)?")


def first_ns(log: Log) -> int:
    """Return when a log begins, UTC ns.

    Raises:
        ValueError: it is empty.
    """
    first = next(log.messages(), None)
    if first is None:
        raise ValueError(f"{log.name}: the log is empty")
    return first.log_ns


def moment(log: Log, text: str) -> int:
    """Return a moment, UTC ns.

    Args:
        text: seconds since the log's beginning, or ISO 8601 with its zone.

    Raises:
        ValueError: it is neither.
    """
    if _SECONDS.fullmatch(text):
        return first_ns(log) + round(float(text) * _NS_PER_S)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither seconds nor a date and time") from error
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; end it in Z for UTC")
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NS_PER_S + since.microseconds * 1000


def stop_ns(log: Log, number: int) -> int:
    """Return when the ``number``-th stop of a log began, counted from 1, UTC ns.

    Raises:
        ValueError: there are fewer.
    """
    stops = rerun(Steps(log)).stops_now
    if not 1 <= number <= len(stops):
        raise ValueError(f"{log.name} has {len(stops)} stops, and no number {number}")
    return stops[number - 1].utc_ns
