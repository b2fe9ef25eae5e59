"""Moments of a log as people are told them, by whoever speaks of it."""

from __future__ import annotations

from datetime import UTC, datetime

_NS_PER_S = 1_000_000_000


def words(utc_ns: int) -> str:
    """Return a time of day for people, UTC, to the millisecond."""
    seconds, rest_ns = divmod(utc_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{rest_ns // 1_000_000:03}"
