"""An emulated CAN wire: bit time, arbitration by id, error counters, error-passive and bus-off.

Pure: integer nanoseconds, moved by :meth:`Wire.run_until`. What python-can's ``virtual`` lacks is
here: a frame takes its exact number of bits (stuffing included), the lowest id goes first, a frame
that is disturbed is sent again, and a node whose counter runs over leaves the wire (ISO 11898-1
fault confinement). Not modelled: bit-level resynchronisation and the analogue line.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, partial

STANDARD_ID_MAX = 0x7FF
PASSIVE_ABOVE = 127
BUS_OFF_ABOVE = 255
TAIL_BITS = 13
"""CRC delimiter, acknowledge slot and delimiter, end of frame, and the pause of three bits."""
ERROR_BITS = 17
"""Error flag of 6, delimiter of 8, pause of 3."""
RECOVERY_BITS = 128 * 11
"""Recessive bits a node must see before it may leave bus-off."""
MAILBOXES = 32
RECEIVE_QUEUE = 4096
_CRC15 = 0x4599
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WireFrame:
    """One classic CAN data frame."""

    can_id: int
    data: bytes
    extended: bool = True

    @property
    def priority(self) -> tuple[int, int]:
        """What arbitration compares: a standard id wins over an extended one with equal base."""
        if self.extended:
            return self.can_id >> 18, 1 + (self.can_id & 0x3FFFF)
        return self.can_id, 0


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 7
        for _ in range(8):
            crc = (crc << 1) ^ (_CRC15 if crc & 0x4000 else 0)
        table.append(crc & 0x7FFF)
    return tuple(table)


def _stuff_table() -> tuple[tuple[int, int], ...]:
    """By (state << 8 | byte): stuff bits put in, and the state after; state = bit << 3 | run."""
    table = []
    for state in range(16):
        for byte in range(256):
            last, run, stuffed = state >> 3, state & 7, 0
            for position in range(7, -1, -1):
                bit = byte >> position & 1
                run = run + 1 if bit == last else 1
                last = bit
                if run == 5:
                    stuffed += 1
                    last, run = 1 - bit, 1
            table.append((stuffed, last << 3 | run))
    return tuple(table)


_CRC_STEPS = _crc_table()
_STUFF_STEPS = _stuff_table()


@lru_cache(maxsize=4096)
def frame_bits(frame: WireFrame) -> int:
    """Return the bits a frame holds the wire for, its pause included.

    Leading zeros change no CRC that starts at 0, and alternating bits that end recessive before the
    dominant start bit put in no stuff bit: so both go over whole bytes.
    """
    size = len(frame.data)
    if frame.extended:
        head = (frame.can_id >> 18) << 27 | 0b11 << 25 | (frame.can_id & 0x3FFFF) << 7 | size
        bits = 39
    else:
        head, bits = frame.can_id << 7 | size, 19
    content = head << 8 * size | int.from_bytes(frame.data, "big")
    bits += 8 * size
    crc = 0
    for byte in content.to_bytes((bits + 7) // 8, "big"):
        crc = (crc << 8 & 0x7FFF) ^ _CRC_STEPS[crc >> 7 ^ byte]
    content, bits = content << 15 | crc, bits + 15
    pad = -bits % 8
    content |= (0b1010101 & (1 << pad) - 1) << bits
    state, stuffed = 0b1001, 0
    for byte in content.to_bytes((bits + pad) // 8, "big"):
        more, state = _STUFF_STEPS[state << 8 | byte]
        stuffed += more
    return bits + stuffed + TAIL_BITS


class NodeState(StrEnum):
    """Fault confinement of a node."""

    ACTIVE = "error-active"
    PASSIVE = "error-passive"
    OFF = "bus-off"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a node received: a frame, or an error of the wire (frame is None)."""

    t_ns: int
    frame: WireFrame | None


OnHeard = Callable[[Heard], None]
Gateway = Callable[[int, WireFrame], list[tuple[int, WireFrame]]]
"""Called with (time, frame) of what a node sends; returns (time, frame) of what goes on."""


class Node:
    """One controller on the wire; made by :meth:`Wire.node`.

    Attributes:
        tec, rec: transmit and receive error counter.
        received: what waits to be read. lost: frames there was no room for.
        connected: its stub is plugged in. bitrate_bps: what it is set to.
        on_heard: called at once instead of queueing, as by an interrupt.
        overwrites: a newer frame takes the place of one of its id that still waits.
        gateway: a man in the middle between this node and the wire; None: there is none.
    """

    def __init__(self, name: str, bitrate_bps: int, on_heard: OnHeard | None) -> None:
        self.name, self.bitrate_bps, self.on_heard = name, bitrate_bps, on_heard
        self.tec = self.rec = 0
        self.received: deque[Heard] = deque()
        self.lost = 0
        self.connected = True
        self.off = False
        self.recovered_ns: int | None = None
        self.waiting: list[tuple[int, int, WireFrame]] = []
        self.counts: Counter[str] = Counter()
        self.gateway: Gateway | None = None
        self.overwrites = False
        self._number = 0

    @property
    def state(self) -> NodeState:
        """Its fault confinement."""
        if self.off:
            return NodeState.OFF
        passive = max(self.tec, self.rec) > PASSIVE_ABOVE
        return NodeState.PASSIVE if passive else NodeState.ACTIVE

    def post(self, at_ns: int, frame: WireFrame) -> bool:
        """Send a frame at ``at_ns``; False when off the bus or every mailbox is taken."""
        if self.gateway is None:
            return self.mail(at_ns, frame)
        taken = [self.mail(*passed) for passed in self.gateway(at_ns, frame)]
        return all(taken)

    def mail(self, at_ns: int, frame: WireFrame) -> bool:
        """Put a frame into a mailbox, past the gateway."""
        if self.overwrites:
            self.waiting = [w for w in self.waiting if w[2].can_id != frame.can_id]
        if self.off or len(self.waiting) >= MAILBOXES:
            self.counts["refused"] += 1
            return False
        self._number += 1
        self.waiting.append((at_ns, self._number, frame))
        return True

    def hear(self, heard: Heard) -> None:
        """Take what came."""
        if self.on_heard is not None:
            self.on_heard(heard)
        elif len(self.received) < RECEIVE_QUEUE:
            self.received.append(heard)
        else:
            self.lost += 1

    def best(self, start_ns: int) -> tuple[int, int, WireFrame] | None:
        """The mailbox that takes part in an arbitration at ``start_ns``."""
        ready = [w for w in self.waiting if w[0] <= start_ns]
        return min(ready, key=lambda w: (w[2].priority, w[1])) if ready else None

    def punish(self, tec: int = 0, rec: int = 0) -> None:
        """Count an error; a node that runs over leaves, and what waited is cancelled."""
        self.tec += tec
        self.rec = min(self.rec + rec, PASSIVE_ABOVE + 9)
        if self.tec > BUS_OFF_ABOVE:
            self.off = True
            self.counts["bus_off"] += 1
            self.counts["cancelled"] += len(self.waiting)
            self.waiting.clear()


@dataclass(slots=True)
class Spoiled:
    """What disturbs the wire now.

    Attributes:
        short: no frame gets through. floating: no termination; every third frame is disturbed.
        disturb: asked for each frame, by sender; True disturbs it.
    """

    short: bool = False
    floating: bool = False
    disturb: Callable[[str, WireFrame], bool] | None = None


Mail = tuple[int, int, WireFrame]
"""(time from which it may be sent, number, frame)."""
OnFrame = Callable[[int, str, WireFrame], None]
OnError = Callable[[int, str], None]


@dataclass(slots=True)
class Wire:
    """The wire and its nodes.

    Args:
        bitrate_bps: nominal. now_ns: where its time begins.
        on_frame: told (end, sender, frame) of each frame that got through; the bench listens here.
        on_error: told (end, sender) of each frame that was disturbed.

    Attributes:
        busy_ns: time the wire was held, for the load.
    """

    bitrate_bps: int
    now_ns: int
    on_frame: OnFrame | None = None
    on_error: OnError | None = None
    spoiled: Spoiled = field(default_factory=Spoiled)
    nodes: dict[str, Node] = field(default_factory=dict)
    busy_ns: int = 0
    _under_way: tuple[int, Callable[[], None]] | None = None
    _frames: int = 0

    def node(self, name: str, on_heard: OnHeard | None = None) -> Node:
        """Put a node on the wire."""
        made = self.nodes[name] = Node(name, self.bitrate_bps, on_heard)
        return made

    def recover(self, node: Node) -> None:
        """Ask a bus-off node back: it joins after 128 times 11 recessive bits, with clean counters.

        Nothing that waited before is sent again.
        """
        if node.off and node.recovered_ns is None:
            node.recovered_ns = self.now_ns + self._ns(RECOVERY_BITS)

    def run_until(self, to_ns: int) -> None:
        """Carry what is sent until ``to_ns``; a frame that ends later is heard later."""
        while True:
            if self._under_way is not None:
                end_ns, finish = self._under_way
                if end_ns > to_ns:
                    break
                self._under_way, self.now_ns = None, end_ns
                finish()
            self._let_back()
            starts = [w[0] for node in self._attached() for w in node.waiting if w[0] < to_ns]
            if not starts:
                break
            self.now_ns = max(self.now_ns, min(starts))
            if self.now_ns >= to_ns:
                break
            self._begin(self.now_ns)
        self.now_ns = max(self.now_ns, to_ns)
        self._let_back()

    def _ns(self, bits: int) -> int:
        return bits * _NS_PER_S // self.bitrate_bps

    def _attached(self) -> list[Node]:
        return [n for n in self.nodes.values() if n.connected and not n.off]

    def _let_back(self) -> None:
        for node in self.nodes.values():
            if node.recovered_ns is not None and self.now_ns >= node.recovered_ns:
                node.off, node.tec, node.rec, node.recovered_ns = False, 0, 0, None

    def _begin(self, start_ns: int) -> None:
        """Arbitrate and begin to carry one frame, or its error."""
        attached = self._attached()
        offers = [(node, best) for node in attached if (best := node.best(start_ns)) is not None]
        winner = min(best[2].priority for _, best in offers)
        senders = [(node, best) for node, best in offers if best[2].priority == winner]
        frame = senders[0][1][2]
        self._frames += 1
        bits = frame_bits(frame)
        clash = any(best[2] != frame for _, best in senders)
        receivers = [n for n in attached if all(n is not s for s, _ in senders)]
        if clash or self._is_disturbed(senders[0][0], frame, attached):
            self._hold(start_ns, bits // 2 + ERROR_BITS, partial(self._fail, senders, receivers))
        elif not receivers:
            self._hold(start_ns, bits - TAIL_BITS + ERROR_BITS, partial(_unheard, senders))
        else:
            self._hold(start_ns, bits, partial(self._deliver, senders, receivers))

    def _is_disturbed(self, sender: Node, frame: WireFrame, attached: list[Node]) -> bool:
        spoiled = self.spoiled
        if spoiled.short or (spoiled.floating and self._frames % 3 == 0):
            return True
        if any(
            n.bitrate_bps != sender.bitrate_bps and n.state is NodeState.ACTIVE for n in attached
        ):
            return True
        return spoiled.disturb is not None and spoiled.disturb(sender.name, frame)

    def _hold(self, start_ns: int, bits: int, finish: Callable[[], None]) -> None:
        held_ns = self._ns(bits)
        self.busy_ns += held_ns
        self._under_way = (start_ns + held_ns, finish)

    def _fail(self, senders: list[tuple[Node, Mail]], receivers: list[Node]) -> None:
        heard = Heard(self.now_ns, None)
        for node, _ in senders:
            node.punish(tec=8)
            node.counts["errors"] += 1
            node.hear(heard)
        for node in receivers:
            node.punish(rec=1)
            node.hear(heard)
        if self.on_error is not None:
            self.on_error(self.now_ns, senders[0][0].name)

    def _deliver(self, senders: list[tuple[Node, Mail]], receivers: list[Node]) -> None:
        frame = senders[0][1][2]
        for node, mail in senders:
            if mail in node.waiting:
                node.waiting.remove(mail)
            node.tec = max(0, node.tec - 1)
            node.counts["sent"] += 1
        if self.on_frame is not None:
            self.on_frame(self.now_ns, senders[0][0].name, frame)
        heard = Heard(self.now_ns, frame)
        for node in receivers:
            node.rec = max(0, node.rec - 1)
            if node.bitrate_bps == self.bitrate_bps:
                node.hear(heard)


def _unheard(senders: list[tuple[Node, Mail]]) -> None:
    """Nobody acknowledges: the sender becomes passive, and no bus-off comes of it."""
    for node, _ in senders:
        node.punish(tec=8 if node.tec <= PASSIVE_ABOVE else 0)
        node.counts["no_acknowledge"] += 1
