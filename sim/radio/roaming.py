"""A machine's radio on its way: which antenna serves it, and what that makes of its link.

It stays with the antenna that it has until another one is stronger by a margin, as clients do; a
change takes time, in which nothing gets through. Pure and seeded; time and place are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sim.network.air import Air
from sim.radio.coverage import Coverage


@dataclass(frozen=True, slots=True)
class Reception:
    """What is received at a place.

    Attributes:
        antenna: name of the one that serves; None where none is heard.
        margin_db: above the least that can be received.
    """

    antenna: str | None
    margin_db: float


class Roaming:
    """Follows one machine and writes what its radio does into an :class:`Air`.

    Args:
        coverage: of the site. seed: of how long changes take. air: written at each step.
        tell: told of each change: the time, and where it went.

    Attributes:
        changes: how often it went from one antenna to another, or came back into reach of one.
    """

    def __init__(
        self,
        coverage: Coverage,
        seed: int,
        air: Air,
        tell: Callable[[int, Reception], None] | None = None,
    ) -> None:
        self._coverage, self._air, self._tell = coverage, air, tell
        self._dice = Random(f"{seed}/radio/changes")  # noqa: S311 - repeatable, not secret
        self._serving: int | None = None
        self._started = False
        self.changes = 0

    def step(self, now_ns: int, station_m: float) -> Reception:
        """The machine is at ``station_m`` now."""
        margins_db = self._coverage.margins_db(station_m)
        was, self._serving = self._serving, self._choose(margins_db)
        changed = self._serving is not None and self._serving != was
        if changed and self._started:
            kind = self._coverage.technology
            gap_s = self._dice.uniform(kind.shortest_s, kind.longest_s)
            self._air.gap_until_ns = now_ns + round(gap_s * 1e9)
            self.changes += 1
        self._started = True
        margin_db = max(margins_db) if self._serving is None else margins_db[self._serving]
        name = None if self._serving is None else self._coverage.antennas[self._serving].name
        self._fade(margin_db)
        reception = Reception(name, margin_db)
        if self._tell is not None and self._serving != was:
            self._tell(now_ns, reception)
        return reception

    def _choose(self, margins_db: tuple[float, ...]) -> int | None:
        """The antenna that serves from here on; None where none is heard."""
        best = max(range(len(margins_db)), key=margins_db.__getitem__)
        if margins_db[best] < 0.0:
            return None
        have = self._serving
        if have is None or margins_db[have] < 0.0:
            return best
        stronger_db = self._coverage.technology.stronger_db
        return best if margins_db[best] >= margins_db[have] + stronger_db else have

    def _fade(self, margin_db: float) -> None:
        """From the technology's best at ``full_db`` down to its edge at 0; below it all is lost.

        Loss and delay grow evenly with the margin that is missing, the rate falls with its square.
        """
        kind, air = self._coverage.technology, self._air
        share = min(max(margin_db / kind.full_db, 0.0), 1.0)
        air.loss = 1.0 if margin_db < 0.0 else kind.edge_loss * (1.0 - share)
        air.delay_ns = round(kind.edge_delay_s * (1.0 - share) * 1e9)
        air.jitter_ns = air.delay_ns // 2
        air.rate_bps = kind.edge_bps + (kind.full_bps - kind.edge_bps) * share * share
