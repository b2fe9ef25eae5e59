"""How often someone may do something: a bucket that fills at a rate, in whole nanoseconds."""

from __future__ import annotations

from collections import OrderedDict
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


class Buckets:
    """One bucket for each name, of the names heard last; nothing here grows without bound.

    Attributes:
        dropped: what did not pass, by name.
    """

    def __init__(self, period_ns: int, burst: int, names_kept: int = 64) -> None:
        self._period_ns = period_ns
        self._burst = burst
        self._names_kept = names_kept
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self.dropped: dict[str, int] = {}

    def take(self, name: str, now_ns: int) -> bool:
        """Return whether one more of ``name`` may pass now."""
        bucket = self._buckets.setdefault(name, Bucket(self._period_ns, self._burst))
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._names_kept:
            gone, _ = self._buckets.popitem(last=False)
            self.dropped.pop(gone, None)
        passes = bucket.take(now_ns)
        if not passes:
            self.dropped[name] = self.dropped.get(name, 0) + 1
        return passes
