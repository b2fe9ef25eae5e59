"""Everything between one machine and its cockpit, carried over one link: MQTT and WebRTC alike.

The broker stands at the cockpit, so that the machine's MQTT connection crosses the link: it comes
to a TCP relay. The relay looks at session descriptions only, and gives each WebRTC peer that is
offered there a UDP relay of its own (detour.py). All share the link's rate and its queue.

Each of the two command paths can be cut and mended by orders, while the rest goes on: `cut mqtt`,
`mend mqtt`, `cut control`, `mend control`, each a datagram to a Unix socket.

A link that is dead from the start would show nothing but a machine that never starts: such a link
works until the machine has been driven for a while, and is dead from then on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol.errors import ProtocolError
from protocol.frames import decode_state
from protocol.freshness import Histogram
from protocol.state import VehicleMode, parse_state
from sim.network import tcp_relay, udp_relay
from sim.network.air import Air
from sim.network.detour import Detour
from sim.network.journal import Journal
from sim.network.model import Decider, Decision, LinkModel, Verdict
from sim.network.mqtt import PacketCutter, parse_publish
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.network.stream_model import StreamModel
from sim.network.wire import Note, Wire

PEERS_MAX = 32
DEAD_AFTER_NS = 5_000_000_000
"""A dead link still works this long after the machine was first driven."""

_MQTT, _WEBRTC = "mqtt", "webrtc"
_CONTROL = "control"
ORDER_MAX_BYTES = 64


@dataclass(slots=True)
class Tally:
    """What the link did to the packets of one kind in one direction."""

    packets: int = 0
    content_bytes: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    delay_us: Histogram = field(default_factory=Histogram)

    def note(self, now_ns: int, size_bytes: int, decision: Decision) -> None:
        """Count one decision."""
        self.packets += 1
        self.content_bytes += size_bytes
        self.verdicts[decision.verdict] += 1
        for due_ns in decision.deliveries:
            self.delay_us.add((due_ns - now_ns) // 1000)

    def figures(self) -> dict[str, Any]:
        """Return the figures; delays in ms."""
        fates = {verdict.value: self.verdicts[verdict] for verdict in Verdict}
        delay_ms = self.delay_us.summary()
        return {"packets": self.packets, "bytes": self.content_bytes, **fates, "delay_ms": delay_ms}


class Changeable:
    """A model that another one takes the place of."""

    def __init__(self, model: Decider) -> None:
        self.model = model

    def decide(self, now_ns: int, size_bytes: int) -> Decision:
        """Ask the model that holds now."""
        return self.model.decide(now_ns, size_bytes)


class Gate:
    """A model that loses everything while it is shut."""

    def __init__(self, behind: Decider) -> None:
        self._behind = behind
        self.shut = False

    def decide(self, now_ns: int, size_bytes: int) -> Decision:
        """Ask the model behind it, unless shut."""
        if self.shut:
            return Decision(Verdict.IN_GAP)
        return self._behind.decide(now_ns, size_bytes)


class Way:
    """One direction: what streams and datagrams pass, and what became of them."""

    def __init__(self, name: str, journal: Journal | None, air: Air | None) -> None:
        self.name, self._air = name, air
        self.tallies = {_MQTT: Tally(), _WEBRTC: Tally()}
        self._journal = None if journal is None else journal.of(name)
        clear = LinkModel(DirectionParameters(), 0)
        self.stream, self.datagrams = Changeable(clear), Changeable(clear)
        self.control = Gate(self.datagrams)

    def impair(self, link: LinkParameters, seed: int, now_ns: int) -> None:
        """Let the link's parameters count from now on."""
        given = link.up if self.name == "up" else link.down
        round_trip_ns = link.up.delay_ns + link.down.delay_ns
        model = LinkModel(given, seed, self.name, now_ns, self._air)
        self.datagrams.model = model
        if not given.dead:  # a dead link's stream relay reads nothing
            self.stream.model = StreamModel(
                model, given, round_trip_ns, seed, self.name, now_ns, self._air
            )

    def note(self, kind: str) -> Note:
        """Return what is told the decisions about one kind of packets."""

        def note(now_ns: int, size_bytes: int, decision: Decision) -> None:
            self.tallies[kind].note(now_ns, size_bytes, decision)
            if self._journal is not None:
                self._journal(now_ns, size_bytes, decision)

        return note

    def figures(self) -> dict[str, Any]:
        """Return the figures of both kinds."""
        return {kind: tally.figures() for kind, tally in self.tallies.items()}


class Crossing:
    """A station between a machine and its cockpit.

    Args:
        link: what it does. seed: of every chance. broker: its port on this computer.
        detour: leads the peers. start_ns: now. journal: gets every decision.
        port: to listen on for the machine; 0 takes a free one. orders: where to hear orders.
        air: what the radio does where the machine is; None for a link without a place.

    Attributes:
        port: the machine's broker port.
    """

    def __init__(
        self,
        link: LinkParameters,
        seed: int,
        broker: int,
        detour: Detour,
        start_ns: int,
        journal: Journal | None = None,
        port: int = 0,
        orders: Path | None = None,
        air: Air | None = None,
    ) -> None:
        self._link, self._seed, self._detour = link, seed, detour
        self._up, self._down = Way("up", journal, air), Way("down", journal, air)
        self._tcp = tcp_relay.TcpRelay(
            port,
            broker,
            Wire(self._up.stream, self._up.note(_MQTT)),
            Wire(self._down.stream, self._down.note(_MQTT)),
            filters=self._filter,
        )
        self.port = self._tcp.port
        self._peers: OrderedDict[int, udp_relay.UdpRelay] = OrderedDict()
        self._opened = 0
        self._dies = link.up.dead or link.down.dead
        self._dies_at_ns: int | None = None
        self._orders = None if orders is None else _listen(orders)
        if not self._dies:
            self._impair(start_ns)

    def _impair(self, now_ns: int) -> None:
        for way in (self._up, self._down):
            way.impair(self._link, self._seed, now_ns)
        self._tcp.dead = self._dies

    def _filter(self, *, up: bool) -> tcp_relay.Filter:
        cutter = PacketCutter()

        def led(now_ns: int, data: bytes) -> bytes:
            return b"".join(self._led(now_ns, packet, up) for packet in cutter.feed(data))

        return led

    def _led(self, now_ns: int, packet: bytes, up: bool) -> bytes:
        """Return a packet as it goes on: descriptions are led over relays, states are looked at."""
        publish = parse_publish(packet)
        if publish is None:
            return packet
        names = publish.topic.split("/")
        if "signal" in names:
            payload = self._detour.lead(
                publish.payload, lambda target, peer: self._open(target, peer, answers_up=up)
            )
            return publish.packet(payload)
        if self._dies and up and names[-1] == "state":
            self._look_at(now_ns, publish.payload)
        return packet

    def _look_at(self, now_ns: int, state: bytes) -> None:
        if self._dies_at_ns is not None:
            return
        with contextlib.suppress(ProtocolError):
            if parse_state(decode_state(state, {}).frame.json).mode is VehicleMode.ACTIVE:
                self._dies_at_ns = now_ns + DEAD_AFTER_NS

    def obey(self, order: str) -> None:
        """Cut or mend one command path.

        Raises:
            ValueError: it is no such order.
        """
        what, _, path = order.partition(" ")
        if what not in ("cut", "mend") or path not in (_MQTT, _CONTROL):
            raise ValueError(f"no order for a crossing: {order!r}")
        cut = what == "cut"
        if path == _MQTT:
            self._tcp.dead = cut
        else:
            self._up.control.shut = self._down.control.shut = cut

    def _open(self, target: int, peer: str, *, answers_up: bool) -> int:
        """Return the port of the relay to a peer; who answered upwards is at the machine."""
        relay = self._peers.get(target)
        if relay is None:
            there, back = (self._down, self._up) if answers_up else (self._up, self._down)
            relay = udp_relay.UdpRelay(
                0,
                target,
                Wire(_passed(there, peer), there.note(_WEBRTC)),
                Wire(_passed(back, peer), back.note(_WEBRTC)),
            )
            self._peers[target] = relay
            self._opened += 1
            if len(self._peers) > PEERS_MAX:
                self._peers.popitem(last=False)[1].close()
        return relay.port

    def _relays(self) -> Iterator[tcp_relay.TcpRelay | udp_relay.UdpRelay]:
        yield self._tcp
        yield from self._peers.values()

    def readers(self) -> Sequence[int]:
        """Every relay's, and where orders are heard."""
        orders = () if self._orders is None else (self._orders.fileno(),)
        return [*orders, *(each for relay in self._relays() for each in relay.readers())]

    def writers(self) -> Sequence[int]:
        """Those of the MQTT connections."""
        return self._tcp.writers()

    def read(self, now_ns: int, descriptor: int) -> None:
        """Let the relay read to which ``descriptor`` belongs; or hear an order."""
        if self._orders is not None and descriptor == self._orders.fileno():
            self.obey(self._orders.recv(ORDER_MAX_BYTES).decode("ascii"))
            return
        for relay in list(self._relays()):
            if descriptor in relay.readers():
                relay.read(now_ns, descriptor)
                return

    def release(self, now_ns: int) -> None:
        """Let every relay release; a link that dies does so when its time has come."""
        if self._dies_at_ns is not None and now_ns >= self._dies_at_ns and not self._tcp.dead:
            self._impair(now_ns)
        for relay in self._relays():
            relay.release(now_ns)

    def next_ns(self) -> int | None:
        """When something next comes out."""
        return min((t for relay in self._relays() if (t := relay.next_ns())), default=None)

    def figures(self) -> dict[str, Any]:
        """Return what the link is, and what it did."""
        return {
            "name": self._link.name,
            "title": self._link.title,
            "seed": self._seed,
            "dead": self._tcp.dead,
            "peers": self._opened,
            "up": self._up.figures(),
            "down": self._down.figures(),
        }

    def close(self) -> None:
        """Close every socket."""
        for relay in self._relays():
            relay.close()
        if self._orders is not None:
            self._orders.close()


def _passed(way: Way, peer: str) -> Decider:
    """Return what a peer's datagrams pass."""
    return way.control if peer == _CONTROL else way.datagrams


def _listen(orders: Path) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    heard.bind(os.fspath(orders))
    return heard
