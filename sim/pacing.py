"""When a fixed-step process steps: on its grid, a few steps late at most, the rest skipped."""

from __future__ import annotations

LATE_STEP_NS = 50_000
LATE_STEPS = 1000
"""Lateness is counted in steps of 50 µs, up to 50 ms."""


class StepPacer:
    """Counts the steps that are due on a fixed grid.

    A process that was held up makes good at most ``most_steps`` at once; what is older is
    skipped and counted, so that a stall never becomes a burst.

    Args:
        start_ns: time of the first step.
        step_ns: grid.
        most_steps: ceiling of one call, ≥ 1.

    Attributes:
        late: times that more than one step was due. skipped: steps that were never made.
    """

    __slots__ = ("_counts", "_most_steps", "_step_ns", "late", "next_ns", "skipped")

    def __init__(self, start_ns: int, step_ns: int, most_steps: int) -> None:
        self._step_ns, self._most_steps = step_ns, most_steps
        self.next_ns = start_ns
        self.late = 0
        self.skipped = 0
        self._counts = [0] * (LATE_STEPS + 1)

    def take(self, now_ns: int) -> int:
        """The number of steps to make now; the grid moves on."""
        if now_ns < self.next_ns:
            return 0
        self._counts[min((now_ns - self.next_ns) // LATE_STEP_NS, LATE_STEPS)] += 1
        due = (now_ns - self.next_ns) // self._step_ns + 1
        self.next_ns += due * self._step_ns
        steps = min(due, self._most_steps)
        self.late += due > 1
        self.skipped += due - steps
        return steps

    def wait_ms(self, now_ns: int) -> float:
        """Time until the next step, milliseconds, never negative."""
        return max(self.next_ns - now_ns, 0) / 1e6

    def lateness_ms(self, percent: float) -> float:
        """So many percent of the wake-ups with a step due came at most this late."""
        wanted, seen = percent / 100.0 * sum(self._counts), 0
        for step, count in enumerate(self._counts):
            seen += count
            if seen and seen >= wanted:
                return (step + 1) * LATE_STEP_NS / 1e6
        return 0.0
