"""The link of a lock-step run: what is sent comes out late, twice, in a burst or never."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sim.network.air import Air
from sim.network.model import LinkModel
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.radio.files import find_coverage
from sim.radio.roaming import Roaming
from sim.runner.agenda import Agenda, Rank
from sim.world.site import Site

HEADER_BYTES = 85
"""IP, UDP, DTLS 1.2 and SCTP before a message on a data channel."""
RETRY_NS = 200_000_000
"""A reliable message that was lost is sent again after TCP's shortest time-out (Linux)."""

Deliver = Callable[[int], None]
"""Called with the time of arrival, ns."""


@dataclass(slots=True)
class Trouble:
    """What scripted faults do to one direction, on top of its model.

    Attributes:
        cut: how many faults that lose everything are on.
        stalled: how many faults that hold everything back are on.
        delay_ns: added to every way.
    """

    cut: int = 0
    stalled: int = 0
    delay_ns: int = 0


@dataclass(slots=True)
class Way:
    """One direction of the link.

    Args:
        agenda: of the run. model: decides what becomes of each packet.
    """

    agenda: Agenda
    model: LinkModel
    trouble: Trouble = field(default_factory=Trouble)
    _held: list[Deliver] = field(default_factory=list)
    _orderly: deque[tuple[int, Deliver]] = field(default_factory=deque)
    _busy: bool = False

    def send(self, now_ns: int, size_bytes: int, deliver: Deliver) -> bool:
        """Send a datagram; return whether the link carries it."""
        if self.trouble.cut:
            return False
        if self.trouble.stalled:
            self._held.append(deliver)
            return True
        deliveries = self.model.decide(now_ns, size_bytes + HEADER_BYTES).deliveries
        for due_ns in deliveries:
            self.agenda.at(due_ns + self.trouble.delay_ns, Rank.LINK, deliver)
        return bool(deliveries)

    def send_surely(self, now_ns: int, size_bytes: int, deliver: Deliver) -> None:
        """Send a message of a stream: in order, and again until it is through."""
        self._orderly.append((size_bytes, deliver))
        if not self._busy:
            self._busy = True
            self._try(now_ns)

    def _try(self, now_ns: int) -> None:
        size_bytes, deliver = self._orderly[0]

        def arrived(at_ns: int) -> None:
            if self._orderly and self._orderly[0][1] is deliver:
                self._orderly.popleft()
                deliver(at_ns)
                self._busy = bool(self._orderly)
                if self._busy:
                    self._try(at_ns)

        if not self.send(now_ns, size_bytes, arrived):
            self.agenda.at(now_ns + RETRY_NS, Rank.LINK, self._try)

    def release(self, now_ns: int) -> None:
        """A stall is over: all that it held comes out at once, in its order."""
        held, self._held = self._held, []
        for deliver in held:
            self.agenda.at(now_ns, Rank.LINK, deliver)


class Link:
    """Both directions.

    Args:
        agenda: of the run. parameters: of the link at first. seed: of its chances.
        site: what a radio map's stations count along.

    Attributes:
        up: from the machine (pictures, states). down: to the machine (commands).

    Raises:
        WorldFileError: the link's radio map is not of this site.
    """

    def __init__(self, agenda: Agenda, parameters: LinkParameters, seed: int, site: Site) -> None:
        self._seed, self._site = seed, site
        self._parameters = parameters
        self._air, self._roaming = self._receive(parameters)
        start_ns = agenda.now_ns
        self.up = Way(agenda, self._model(parameters.up, "up", start_ns))
        self.down = Way(agenda, self._model(parameters.down, "down", start_ns))

    @property
    def parameters(self) -> LinkParameters:
        """What the link does now."""
        return self._parameters

    def move(self, now_ns: int, station_m: float) -> None:
        """The machine is at ``station_m``; a link with a radio map follows it."""
        if self._roaming is not None:
            self._roaming.step(now_ns, station_m)

    def change(self, parameters: LinkParameters, now_ns: int) -> None:
        """Become another link from now on; what is under way still arrives."""
        self._parameters = parameters
        self._air, self._roaming = self._receive(parameters)
        self.up.model = self._model(parameters.up, "up", now_ns)
        self.down.model = self._model(parameters.down, "down", now_ns)

    def _receive(self, parameters: LinkParameters) -> tuple[Air | None, Roaming | None]:
        if parameters.radio is None:
            return None, None
        air = Air()
        return air, Roaming(find_coverage(parameters.radio, self._site), self._seed, air)

    def _model(self, parameters: DirectionParameters, name: str, start_ns: int) -> LinkModel:
        return LinkModel(parameters, self._seed, name, start_ns, self._air)
