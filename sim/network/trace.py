"""Traces in mahimahi's format: one whole number a line, the millisecond of an opportunity."""

from __future__ import annotations


def parse_trace(text: str, source: str) -> tuple[int, ...]:
    """Return the times in milliseconds, never falling; several packets may share one.

    Args:
        text: of the file. source: its name, for errors.

    Raises:
        ValueError: one line that names the file, the line and what is wrong.
    """
    times: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if not (line.strip().isascii() and line.strip().isdigit()):
            raise ValueError(f"{source}: line {number}: not a whole number of milliseconds")
        time_ms = int(line)
        if times and time_ms < times[-1]:
            raise ValueError(f"{source}: line {number}: time goes backwards")
        times.append(time_ms)
    if not times or times[-1] == 0:
        raise ValueError(f"{source}: a trace must last at least a millisecond")
    return tuple(times)
