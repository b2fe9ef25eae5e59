"""How each command path does: which is silent, what share it delivers, how long it was silent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.freshness import PathCounters

SLICE_NS = 500_000_000
SLICES = 10
"""Figures are of the last 5 s: long enough for a share, short enough for a driver."""


@dataclass(slots=True)
class _Slice:
    """What had been counted when a part of the window began, and the longest silence in it."""

    begun_ns: int
    newest_sequence: int
    heard: list[int]
    silent_ns: list[int]


@dataclass(frozen=True, slots=True)
class PathFigures:
    """One path over the last seconds; None before anything is known.

    Attributes:
        delivered_pct: share of the holder's commands that came by this path in time to count.
        silent_ms: longest time without one.
    """

    delivered_pct: int | None = None
    silent_ms: int | None = None


class PathWatch:
    """Watches the command paths under one lease after the other.

    Args:
        paths: those that are fitted. limit_ns: silence beyond this is a path out.
    """

    _since_ns: int
    """Set by :meth:`begin`, which comes before anything else."""
    _newest: int
    _heard: list[int]
    """Set by :meth:`look`, like all that is told of a path."""

    def __init__(self, paths: frozenset[int], limit_ns: int) -> None:
        self._paths = paths
        self._limit_ns = limit_ns
        self._slices: deque[_Slice] = deque(maxlen=SLICES)

    def begin(self, now_ns: int) -> None:
        """A lease begins: what was heard before it says nothing."""
        self._since_ns = now_ns
        self._slices.clear()

    def silent(self, now_ns: int, counters: Sequence[PathCounters]) -> tuple[int, ...]:
        """Return the fitted paths that have given nothing valid for their time; () with one."""
        if len(self._paths) < 2:
            return ()
        return tuple(
            path
            for path in sorted(self._paths)
            if self._silence_ns(now_ns, counters[path]) > self._limit_ns
        )

    def look(
        self, now_ns: int, newest_sequence: int | None, counters: Sequence[PathCounters]
    ) -> None:
        """Take in one tick under a lease.

        Args:
            now_ns: monotonic time. newest_sequence: of the lease's commands, None before any.
            counters: of every path.
        """
        if newest_sequence is None:
            return
        self._newest = newest_sequence
        self._heard = [
            each.accepted + each.duplicates - each.late + each.overtaken for each in counters
        ]
        silence_ns = [self._silence_ns(now_ns, each) for each in counters]
        if not self._slices or now_ns - self._slices[-1].begun_ns >= SLICE_NS:
            self._slices.append(_Slice(now_ns, self._newest, list(self._heard), silence_ns))
            return
        newest = self._slices[-1].silent_ns
        newest[:] = map(max, newest, silence_ns)

    def delivered_pct(self, path: int) -> int | None:
        """Return what share of the commands has come by a path lately; see PathFigures."""
        if not self._slices or path not in self._paths:
            return None
        oldest = self._slices[0]
        issued = self._newest - oldest.newest_sequence
        heard = self._heard[path] - oldest.heard[path]
        return None if issued <= 0 else min(100, 100 * heard // issued)

    def figures(self, path: int) -> PathFigures:
        """Return how a path has done lately."""
        if not self._slices or path not in self._paths:
            return PathFigures()
        longest_ns = max(each.silent_ns[path] for each in self._slices)
        return PathFigures(self.delivered_pct(path), longest_ns // 1_000_000)

    def _silence_ns(self, now_ns: int, counters: PathCounters) -> int:
        last_ns = counters.last_valid_ns
        return now_ns - (self._since_ns if last_ns is None else max(last_ns, self._since_ns))
