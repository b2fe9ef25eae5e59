"""A lock-step run paced by the clock, and by how much it came late."""

from __future__ import annotations

from sim.ranks import nearest_rank
from vehicle_agent.shell.clock import monotonic_ns, sleep_until_ns


class RealTime:
    """Waits until each tick is due; a tick that comes late is not made good."""

    def __init__(self) -> None:
        self._start_ns: int | None = None
        self._late_ms: list[float] = []

    def wait(self, simulated_ns: int) -> None:
        """Return when ``simulated_ns`` since the start have passed in real time."""
        if self._start_ns is None:
            self._start_ns = monotonic_ns() - simulated_ns
        due_ns = self._start_ns + simulated_ns
        sleep_until_ns(due_ns)
        self._late_ms.append((monotonic_ns() - due_ns) / 1e6)

    @property
    def lateness_p99_ms(self) -> float:
        """99 % of the ticks began at most this late."""
        return round(nearest_rank(sorted(self._late_ms), 99), 3) if self._late_ms else 0.0
