"""How a piece of simulation is timed: by processor and by wall, and how noisy the computer was.

Processor time of this process is disturbed by other programs too: they take the caches, and a
virtual machine's processor may be lent out. So a fixed piece of plain Python, the yardstick, is
timed beside each repetition: its spread says how far the figures may be trusted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

YARDSTICK_STEPS = 40_000


@dataclass(slots=True)
class Stopwatch:
    """Times repetitions of one thing.

    Attributes:
        processor_s, wall_s: of each repetition. yardstick_s: processor time of the yardstick
            before each.
    """

    processor_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    yardstick_s: list[float] = field(default_factory=list)

    def time(self, work: Callable[[], object]) -> float:
        """Do the work; return its processor time, s."""
        self.yardstick_s.append(_yardstick_s())
        wall_s, processor_s = time.perf_counter(), time.process_time()
        work()
        self.processor_s.append(time.process_time() - processor_s)
        self.wall_s.append(time.perf_counter() - wall_s)
        return self.processor_s[-1]

    def noise(self, simulated_s: float) -> str:
        """Say what the wall saw, and how much the yardstick's time spread.

        Args:
            simulated_s: of all repetitions together.
        """
        low_s, high_s = min(self.yardstick_s), max(self.yardstick_s)
        return (
            f"{simulated_s / sum(self.wall_s):.3g} x by the wall; the yardstick took "
            f"{1e3 * low_s:.2f} to {1e3 * high_s:.2f} ms, a noise of "
            f"{100.0 * (high_s / low_s - 1.0):.0f} %"
        )


def _yardstick_s() -> float:
    """Processor time of a fixed piece of plain Python: calls, floats, a dictionary."""
    begun_s = time.process_time()
    kept: dict[int, float] = {}
    value = 1.0
    for step in range(YARDSTICK_STEPS):
        value = min(value * 1.0001, 2.0)
        kept[step & 255] = value
    return time.process_time() - begun_s
