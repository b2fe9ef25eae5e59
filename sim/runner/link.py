"""The link of a lock-step run: what is sent comes out late, twice, in a burst or never."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sim.network.air import Air
from sim.network.model import LinkModel
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.network.stream_model import StreamModel
from sim.radio.files import find_coverage
from sim.radio.roaming import Roaming
from sim.runner.agenda import Agenda, Rank
from sim.world.site import Site

HEADER_BYTES = 85
"""IP, UDP, DTLS 1.2 and SCTP before a message on a data channel."""
SEGMENT_BYTES = 110
"""IP, TCP with time stamps, TLS 1.3 and the head of an MQTT PUBLISH with its topic."""
RETRY_NS = 200_000_000
"""What a scripted fault cut is sent again after TCP's shortest time-out (Linux)."""

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


class Way:
    """One direction of the link.

    Args:
        agenda: of the run. model: decides what becomes of each datagram.
        stream: what becomes of the MQTT connection's segments; None: nothing gets through.
    """

    def __init__(self, agenda: Agenda, model: LinkModel, stream: StreamModel | None) -> None:
        self.agenda, self.model, self.stream = agenda, model, stream
        self.trouble = Trouble()
        self._held: list[Deliver] = []
        self._waiting: deque[tuple[int, Deliver]] = deque()
        self._out_ns = agenda.now_ns

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
        """Send a message of the MQTT connection: in order, and again until it is through.

        What the link loses holds up all that follows (sim/network/stream_model.py). What a
        scripted fault cuts waits, and is tried again.
        """
        self._waiting.append((size_bytes, deliver))
        if len(self._waiting) == 1:
            self._push(now_ns)

    def _push(self, now_ns: int) -> None:
        """Send what waits, all of it or nothing."""
        if self.trouble.cut or self.trouble.stalled or self.stream is None:
            self.agenda.at(now_ns + RETRY_NS, Rank.LINK, self._push)
            return
        while self._waiting:
            size_bytes, deliver = self._waiting.popleft()
            due_ns = self.stream.decide(now_ns, size_bytes + SEGMENT_BYTES).deliveries[0]
            self._out_ns = max(self._out_ns, due_ns + self.trouble.delay_ns)
            self.agenda.at(self._out_ns, Rank.LINK, deliver)

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
        self.up = Way(agenda, *self._models(parameters.up, "up", start_ns))
        self.down = Way(agenda, *self._models(parameters.down, "down", start_ns))

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
        self.up.model, self.up.stream = self._models(parameters.up, "up", now_ns)
        self.down.model, self.down.stream = self._models(parameters.down, "down", now_ns)

    def _receive(self, parameters: LinkParameters) -> tuple[Air | None, Roaming | None]:
        if parameters.radio is None:
            return None, None
        air = Air()
        return air, Roaming(find_coverage(parameters.radio, self._site), self._seed, air)

    def _models(
        self, given: DirectionParameters, name: str, start_ns: int
    ) -> tuple[LinkModel, StreamModel | None]:
        """One direction's, for datagrams and for the stream that shares its rate and its spells."""
        model = LinkModel(given, self._seed, name, start_ns, self._air)
        if given.dead:
            return model, None
        round_trip_ns = self._parameters.up.delay_ns + self._parameters.down.delay_ns
        return model, StreamModel(
            model, given, round_trip_ns, self._seed, name, start_ns, self._air
        )
