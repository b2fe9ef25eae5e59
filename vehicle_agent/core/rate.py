"""How often someone may do something: a bucket that fills at a rate, in whole nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Lets through one every ``period_ns``, and up to ``burst`` of them at once after a rest.

    The generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling).
    """

    period_ns: int
    burst: int
    _due_ns: int = 0

    def take(self, now_ns: int) -> bool:
        """Return whether one more may pass now, and count it if so."""
        due_ns = max(self._due_ns, now_ns)
        if due_ns - now_ns > (self.burst - 1) * self.period_ns:
            return False
        self._due_ns = due_ns + self.period_ns
        return True
