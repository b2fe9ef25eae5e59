"""A relay of UDP on loopback over a modelled link: datagrams are late, lost, doubled, reordered."""

from __future__ import annotations

import contextlib
import socket
from collections import OrderedDict
from collections.abc import Sequence

from sim.network.wire import Wire

HOST = "127.0.0.1"
DATAGRAM_MAX_BYTES = 65536
READS_AT_ONCE = 64
CLIENTS_MAX = 64

Address = tuple[str, int]
Packet = tuple[bytes, Address]


class UdpRelay:
    """Carries datagrams of any client to one target, and the answers back to that client.

    Args:
        port: to listen on at 127.0.0.1, 0 takes a free one. target: port there to carry to.
        up: from the clients. down: back to them.

    Attributes:
        port: where it listens.
    """

    def __init__(self, port: int, target: int, up: Wire[Packet], down: Wire[Packet]) -> None:
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind((HOST, port))
        self._near.setblocking(False)
        self.port = int(self._near.getsockname()[1])
        self._target = target
        self._up, self._down = up, down
        self._clients: OrderedDict[Address, socket.socket] = OrderedDict()

    def readers(self) -> Sequence[int]:
        """The listening socket, and one for each client."""
        return [self._near.fileno(), *(far.fileno() for far in self._clients.values())]

    def writers(self) -> Sequence[int]:
        """None: a datagram that is not taken is lost."""
        return ()

    def read(self, now_ns: int, descriptor: int) -> None:
        """Put waiting datagrams on their wire."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            for _ in range(READS_AT_ONCE):
                self._read_one(now_ns, descriptor)

    def _read_one(self, now_ns: int, descriptor: int) -> None:
        if descriptor == self._near.fileno():
            data, client = self._near.recvfrom(DATAGRAM_MAX_BYTES)
            self._up.send(now_ns, (data, client), len(data))
        else:
            client, far = self._owner(descriptor)
            data = far.recv(DATAGRAM_MAX_BYTES)
            self._down.send(now_ns, (data, client), len(data))

    def _owner(self, descriptor: int) -> tuple[Address, socket.socket]:
        return next(pair for pair in self._clients.items() if pair[1].fileno() == descriptor)

    def release(self, now_ns: int) -> None:
        """Send what has come out."""
        while (packet := self._up.due(now_ns)) is not None:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                self._far(packet[1]).send(packet[0])
        while (packet := self._down.due(now_ns)) is not None:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                self._near.sendto(packet[0], packet[1])

    def _far(self, client: Address) -> socket.socket:
        """Return the client's own socket to the target; at the limit the oldest client goes."""
        far = self._clients.get(client)
        if far is None:
            if len(self._clients) >= CLIENTS_MAX:
                self._clients.popitem(last=False)[1].close()
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.setblocking(False)
            far.connect((HOST, self._target))
            self._clients[client] = far
        return far

    def next_ns(self) -> int | None:
        """When the next datagram comes out."""
        return min((t for t in (self._up.next_ns(), self._down.next_ns()) if t), default=None)

    def close(self) -> None:
        """Close every socket."""
        self._near.close()
        for far in self._clients.values():
            far.close()
