"""The one place of this program where a clock is read."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def monotonic_ns() -> int:
    """Monotonic time in nanoseconds; the only time that decisions may use."""
    return time.monotonic_ns()


def monotonic_us() -> int:
    """Monotonic time in whole microseconds, as it travels in frames."""
    return time.monotonic_ns() // 1000


def wait_s(seconds: float) -> None:
    """Wait; for programs without an event loop only."""
    time.sleep(seconds)


def wall_label() -> str:
    """UTC wall-clock time as ISO 8601 text, for labels in logs only."""
    return wall_now().isoformat(timespec="milliseconds")


def wall_now() -> datetime:
    """UTC wall-clock time, for labels and for the expiry of keys only."""
    return datetime.now(UTC)


def wall_ns() -> int:
    """UTC wall-clock time in nanoseconds since 1970, for labels in logs only."""
    return time.time_ns()
