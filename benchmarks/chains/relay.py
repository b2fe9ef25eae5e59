"""A line between two WebRTC peers on one computer that delays and loses datagrams, by a seed.

Each peer is told the relay's address in the place of the other's, so that neither knows.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Impairment:
    """What the line does in each direction: a fixed delay, and independent loss."""

    one_way_s: float = 0.0
    loss: float = 0.0
    seed: int = 1


class _Ear(asyncio.DatagramProtocol):
    """The socket of one side's peer."""

    def __init__(self, line: Line, side: int) -> None:
        self._line = line
        self._side = side

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._line.carry(self._side, data, addr)


class Line:
    """A socket for each peer; what one hears from its peer, the other says to its own.

    Attributes:
        lossy: loss counts from when this is set, so that the set-up is never in question.
        lost: datagrams lost.
    """

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._dice = (random.Random(impairment.seed), random.Random(impairment.seed + 1))
        self._sockets: list[asyncio.DatagramTransport] = []
        self._peers: list[tuple[str, int] | None] = [None, None]
        self.lossy = False
        self.lost = 0

    async def open(self) -> None:
        """Open the two sockets."""
        loop = asyncio.get_running_loop()
        for side in (0, 1):
            transport, _ = await loop.create_datagram_endpoint(
                lambda side=side: _Ear(self, side),  # type: ignore[misc]
                local_addr=(HOST, 0),
            )
            self._sockets.append(transport)

    def close(self) -> None:
        """Close them."""
        for transport in self._sockets:
            transport.close()

    def disguise(self, sdp: str, side: int) -> str:
        """Return a peer's description for the other one, with the relay's address in it.

        Args:
            sdp: of the peer of that side, with a candidate on 127.0.0.1.
            side: 0 or 1.
        """
        shown_port = str(self._sockets[1 - side].get_extra_info("sockname")[1])
        kept = []
        for line in sdp.splitlines():
            fields = line.split()
            if line.startswith("a=candidate:"):
                if fields[4] != HOST:
                    continue
                self._peers[side] = (HOST, int(fields[5]))
                fields[5] = shown_port
            kept.append(" ".join(fields))
        return "\r\n".join(kept) + "\r\n"

    def carry(self, side: int, data: bytes, sender: tuple[str, int]) -> None:
        """Carry what the peer of that side has sent to the other one."""
        self._peers[side] = sender
        if self.lossy and self._dice[side].random() < self._impairment.loss:
            self.lost += 1
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self._impairment.one_way_s, self._say, side, data)

    def _say(self, side: int, data: bytes) -> None:
        other = self._peers[1 - side]
        if other is not None and not self._sockets[1 - side].is_closing():
            self._sockets[1 - side].sendto(data, other)
