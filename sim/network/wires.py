"""Both wires of a link, from one seed and one start."""

from __future__ import annotations

from typing import TypeVar

from sim.network.journal import Journal
from sim.network.model import LinkModel
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.network.wire import Wire, forget

T = TypeVar("T")


def make_wires(
    link: LinkParameters,
    seed: int,
    start_ns: int,
    journal: Journal | None = None,
    *,
    stream: bool = False,
) -> tuple[Wire[T], Wire[T]]:
    """Return the wires up and down.

    Args:
        link: what they do. seed: of every chance. start_ns: when courses and gaps begin.
        journal: gets every decision. stream: reduced to what a relay of byte streams can do.
    """

    def make(way: str, given: DirectionParameters) -> Wire[T]:
        model = LinkModel(given.for_stream() if stream else given, seed, way, start_ns)
        return Wire(model, forget if journal is None else journal.of(way))

    return make("up", link.up), make("down", link.down)
