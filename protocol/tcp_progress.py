"""Whether a TCP connection still gets anything acknowledged, by what its kernel tells of it.

After an outage TCP sends again only when its backed-off timer runs out (RFC 6298, 5.5): up to as
long again as the outage was. Whoever notices that nothing is acknowledged any more can have a
second connection ready by then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TCP_INFO_BYTES = 128
"""As much of Linux' ``struct tcp_info`` (linux/tcp.h) as is looked at here; Linux 4.1 has it."""
_UNACKED, _ROUND_TRIP_US, _ACKNOWLEDGED = (
    struct.Struct("<24xI"),
    struct.Struct("<68xI"),
    struct.Struct("<120xQ"),
)

STALLED_NS = 300_000_000
"""More than two repetitions of one segment take at 40 ms round trip and a floor of 20 ms."""
ROUND_TRIPS = 2
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """What counts of a connection.

    Attributes:
        unacked: segments on their way. acknowledged_bytes: in all. round_trip_us: smoothed.
    """

    unacked: int
    acknowledged_bytes: int
    round_trip_us: int


def decode_tcp_info(data: bytes) -> TcpInfo | None:
    """Return what counts of a ``struct tcp_info``; None for one that is too short for that."""
    if len(data) < TCP_INFO_BYTES:
        return None
    (unacked,) = _UNACKED.unpack_from(data)
    (round_trip_us,) = _ROUND_TRIP_US.unpack_from(data)
    (acknowledged,) = _ACKNOWLEDGED.unpack_from(data)
    return TcpInfo(unacked, acknowledged, round_trip_us)


class Progress:
    """Watches one connection.

    Attributes:
        round_trip_us: as it was when something was acknowledged last; 0 before it is known.
    """

    def __init__(self) -> None:
        self.round_trip_us = 0
        self._acknowledged_bytes = -1
        self._since_ns = 0

    def stalled(self, now_ns: int, info: TcpInfo | None) -> bool:
        """Return whether what was sent has waited too long; never for want of anything sent.

        Args:
            now_ns: monotonic time. info: of the connection now; None when there is none to be had.
        """
        if info is None:
            return False
        if not info.unacked or info.acknowledged_bytes != self._acknowledged_bytes:
            self._acknowledged_bytes = info.acknowledged_bytes
            self._since_ns = now_ns
            self.round_trip_us = info.round_trip_us
            return False
        limit_ns = max(STALLED_NS, ROUND_TRIPS * 1000 * info.round_trip_us)
        return now_ns - self._since_ns > limit_ns
