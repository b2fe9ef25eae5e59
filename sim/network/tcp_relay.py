"""A relay of TCP on loopback over a modelled link, as far as that is honest for byte streams.

It ends both TCP connections, and each end gets its acknowledgements from loopback: no segment
can be lost here, so it delays, stalls and limits the rate, and ignores what the link says about
loss, reorder and duplicates (:meth:`DirectionParameters.for_stream`). A broker's queues and the
burst of old commands after a stall show here; retransmission, back-off and head-of-line blocking
by loss do not, and figures for them come from the bridge between namespaces only.

A full link stops reading, so that the sender's own buffers fill as they would.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sim.network.wire import Wire

HOST = "127.0.0.1"
CHUNK_BYTES = 1448
"""Payload of one segment on Ethernet: the grain of delay and rate."""

HELD_MAX_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 2.0


Filter = Callable[[int, bytes], bytes]
"""Takes the time and what was read, and returns what to carry instead; may hold some of it back."""


def unchanged(_now_ns: int, data: bytes) -> bytes:
    """Carry what was read."""
    return data


def no_filter(*, up: bool) -> Filter:
    """Return a filter that changes nothing."""
    del up
    return unchanged


@dataclass(slots=True, eq=False)
class End:
    """One end of a relayed connection.

    Attributes:
        up: bytes read here go up. filter: what they pass before their wire.
        waiting: what came out for this end and was not taken yet.
        ended: it sends no more. finished: nothing more comes for it. gone: closed.
    """

    socket: socket.socket
    up: bool
    filter: Filter
    other: End | None = None
    waiting: bytearray = field(default_factory=bytearray)
    ended: bool = False
    finished: bool = False
    gone: bool = False


Packet = tuple[End, bytes]


class TcpRelay:
    """Carries every connection to its port on to a target port.

    Args:
        port: to listen on at 127.0.0.1, 0 takes a free one. target: port there to carry to.
        up, down: wires for streams; all connections share them, as they share a link.
        dead: the link carries nothing, ever.
        filters: makes what one way of a new connection passes before its wire.

    Attributes:
        port: where it listens. dead: carry nothing more; what is on its way still comes out.
    """

    def __init__(
        self,
        port: int,
        target: int,
        up: Wire[Packet],
        down: Wire[Packet],
        *,
        dead: bool = False,
        filters: Callable[..., Filter] = no_filter,
    ) -> None:
        self._listener = socket.create_server((HOST, port))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._target = target
        self._up, self._down = up, down
        self.dead = dead
        self._filters = filters
        self._ends: dict[int, End] = {}

    def readers(self) -> Sequence[int]:
        """The listener, and the ends whose link still takes something."""
        open_ends = [end for end in self._ends.values() if not end.ended and self._takes(end)]
        return [self._listener.fileno(), *(end.socket.fileno() for end in open_ends)]

    def writers(self) -> Sequence[int]:
        """The ends that have not taken all that came out for them."""
        return [end.socket.fileno() for end in self._ends.values() if end.waiting]

    def _takes(self, end: End) -> bool:
        backlog = self._wire(end).held_bytes + (len(end.other.waiting) if end.other else 0)
        return not self.dead and backlog < HELD_MAX_BYTES

    def _wire(self, end: End) -> Wire[Packet]:
        return self._up if end.up else self._down

    def read(self, now_ns: int, descriptor: int) -> None:
        """Take a new connection, or the next segment's worth of bytes."""
        if descriptor == self._listener.fileno():
            self._accept()
            return
        end = self._ends.get(descriptor)
        if end is None or end.other is None:
            return
        try:
            data = end.socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        end.ended = not data
        carried = end.filter(now_ns, data) if data else data
        if carried or end.ended:
            self._wire(end).send(now_ns, (end.other, carried), len(carried))

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection((HOST, self._target), CONNECT_TIMEOUT_S)
        except OSError:
            near.close()
            return
        one, two = (End(s, up, self._filters(up=up)) for s, up in ((near, True), (far, False)))
        one.other, two.other = two, one
        for end in (one, two):
            end.socket.setblocking(False)
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.socket.fileno()] = end

    def release(self, now_ns: int) -> None:
        """Write what has come out, and what waits from earlier."""
        for wire in (self._up, self._down):
            while (packet := wire.due(now_ns)) is not None:
                end, data = packet
                end.waiting += data
                end.finished = not data
                self._write(end)
        for end in [end for end in self._ends.values() if end.waiting]:
            self._write(end)

    def _write(self, end: End) -> None:
        """Write what is there; after the last of it tell the end, and close when both are told."""
        if end.gone or end.other is None:
            return
        try:
            while end.waiting:
                del end.waiting[: end.socket.send(end.waiting)]
            if end.finished:
                end.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self._close(end)
            return
        if end.finished and end.other.finished and not end.other.waiting:
            self._close(end)

    def _close(self, end: End) -> None:
        for each in (end, end.other):
            if each is not None and not each.gone:
                each.gone = True
                each.waiting.clear()
                del self._ends[each.socket.fileno()]
                each.socket.close()

    def next_ns(self) -> int | None:
        """When the next bytes come out."""
        return min((t for t in (self._up.next_ns(), self._down.next_ns()) if t), default=None)

    def close(self) -> None:
        """Close every socket."""
        self._listener.close()
        for end in list(self._ends.values()):
            self._close(end)
