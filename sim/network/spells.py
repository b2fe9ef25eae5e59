"""Spells that come and go by time: the bad state of a radio, and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from sim.network.parameters import Bursts, Gaps

_NS_PER_S = 1e9
_FOR_EVER_NS = 1 << 62
Spell = tuple[int, int]


class Spells:
    """Begins and ends of spells in the order of time; asked about times that never go back."""

    def __init__(self, spells: Iterator[Spell]) -> None:
        self._spells = spells
        self._begin_ns, self._end_ns = next(spells)

    def ends_ns(self, at_ns: int) -> int | None:
        """Return the end of the spell that ``at_ns`` lies in, None between two."""
        while at_ns >= self._end_ns:
            self._begin_ns, self._end_ns = next(self._spells)
        return self._end_ns if at_ns >= self._begin_ns else None


def loss_spells(bursts: Bursts | None, dice: Random, start_ns: int) -> Spells:
    """Return the bad spells of a Gilbert-Elliott model in continuous time."""
    return Spells(_never() if bursts is None else _bad(bursts, dice, start_ns))


def gap_spells(gaps: Gaps | None, dice: Random, start_ns: int) -> Spells:
    """Return the gaps of a link."""
    return Spells(_never() if gaps is None else _gaps(gaps, dice, start_ns))


def _never() -> Iterator[Spell]:
    yield _FOR_EVER_NS, _FOR_EVER_NS + 1


def _bad(bursts: Bursts, dice: Random, start_ns: int) -> Iterator[Spell]:
    at_ns = start_ns
    while True:
        begin_ns = at_ns + 1 + round(dice.expovariate(1.0 / bursts.good_mean_s) * _NS_PER_S)
        at_ns = begin_ns + 1 + round(dice.expovariate(1.0 / bursts.bad_mean_s) * _NS_PER_S)
        yield begin_ns, at_ns


def _gaps(gaps: Gaps, dice: Random, start_ns: int) -> Iterator[Spell]:
    at_ns = start_ns
    while True:
        wait_s = gaps.every_s * dice.uniform(1.0 - gaps.spread, 1.0 + gaps.spread)
        begin_ns = at_ns + 1 + round(wait_s * _NS_PER_S)
        at_ns = begin_ns + 1 + round(dice.uniform(gaps.shortest_s, gaps.longest_s) * _NS_PER_S)
        yield begin_ns, at_ns
