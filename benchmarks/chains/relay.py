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
    """What the line does in each direction.

    Attributes:
        one_way_s: fixed delay. back_s: that from side 1's peer, where it is another.
        loss: share of datagrams lost, each by itself. seed: of the dice.
        rates: seconds from when it counts, and the bit/s that the line carries from then on;
            what comes faster waits, and is dropped when it would wait longer than `queue_s`;
            0 carries nothing, infinity everything at once.
    """

    one_way_s: float = 0.0
    back_s: float | None = None
    loss: float = 0.0
    seed: int = 1
    rates: tuple[tuple[float, float], ...] = ()
    queue_s: float = 0.3

    def delay_s(self, side: int) -> float:
        """Return the fixed delay of what the peer of that side has sent."""
        return self.one_way_s if side == 0 or self.back_s is None else self.back_s

    def rate_bps(self, at_s: float) -> float | None:
        """Return what the line carries at a time; None is without limit."""
        holding = [rate for from_s, rate in self.rates if from_s <= at_s]
        return holding[-1] if holding else None


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
        lost: datagrams lost. heard_bytes: from the peer of each side, headers of UDP left out.
    """

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._dice = (random.Random(impairment.seed), random.Random(impairment.seed + 1))
        self._sockets: list[asyncio.DatagramTransport] = []
        self._peers: list[tuple[str, int] | None] = [None, None]
        self._begun_s: float | None = None
        self._free_s = [0.0, 0.0]
        self.lost = 0
        self.heard_bytes = [0, 0]

    async def open(self) -> None:
        """Open the two sockets."""
        loop = asyncio.get_running_loop()
        for side in (0, 1):
            transport, _ = await loop.create_datagram_endpoint(
                lambda side=side: _Ear(self, side),  # type: ignore[misc]
                local_addr=(HOST, 0),
            )
            self._sockets.append(transport)

    def begin(self) -> None:
        """Let loss and rates count from now on, so that the set-up is never in question."""
        self._begun_s = asyncio.get_running_loop().time()

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
        self.heard_bytes[side] += len(data)
        loop = asyncio.get_running_loop()
        leaves_s: float | None = loop.time()
        if self._begun_s is not None:
            leaves_s = self._through_s(side, len(data), loop.time(), self._begun_s)
        if leaves_s is None:
            self.lost += 1
            return
        delay_s = self._impairment.delay_s(side)
        loop.call_at(leaves_s + delay_s, self._say, side, data)

    def _through_s(self, side: int, size: int, now_s: float, begun_s: float) -> float | None:
        """Return when a datagram has left the narrow part; None when it is lost."""
        if self._dice[side].random() < self._impairment.loss:
            return None
        rate_bps = self._impairment.rate_bps(now_s - begun_s)
        if rate_bps is None:
            return now_s
        if rate_bps == 0:
            return None
        free_s = max(now_s, self._free_s[side])
        if free_s - now_s > self._impairment.queue_s:
            return None
        self._free_s[side] = free_s + size * 8 / rate_bps
        return self._free_s[side]

    def _say(self, side: int, data: bytes) -> None:
        other = self._peers[1 - side]
        if other is not None and not self._sockets[1 - side].is_closing():
            self._sockets[1 - side].sendto(data, other)
