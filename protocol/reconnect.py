"""When to connect to a broker again after a connection was lost, or beside one that stalls.

A link that was out for a moment is most often back at once, and each SYN that is lost in the
outage costs a second until the kernel sends it again: so a few short tries come first, as short
as the round trip allows where it is known. A broker that is really gone, and a link too long for
short tries, get patient ones.
"""

from __future__ import annotations

from dataclasses import dataclass

QUICK_FOR_S = 2.4
"""Short tries go on for this long: beyond an outage of two seconds."""
QUICK_CONNECT_S = 0.4
"""Enough for a round trip of 0.4 s; the kernel sends a lost SYN again after 1 s only."""
SHORTEST_CONNECT_S = 0.1
ROUND_TRIPS = 2.5
"""What a connection may take of a known round trip: one, and as much again for a queue."""
PATIENT_CONNECT_S = 1.0
STOOD_S = 2.0
"""A connection that ended sooner did not stand: whoever throws it off is not to be hurried."""
QUICK_WAIT_SHARE = 0.25
"""Of the time that a try may take; so many tries of many clients do not come together."""
PATIENT_WAIT_S = (0.2, 0.9)


@dataclass(frozen=True, slots=True)
class Try:
    """How long to wait before the next try, and how long its TCP connection may take."""

    wait_s: float
    connect_within_s: float


def next_try(failed: int, share: float, round_trip_s: float = 0.0) -> Try:
    """Return the next try.

    Args:
        failed: tries since a connection last stood. share: random, 0 to 1, so that many clients
            of a broker that comes back do not all come at once.
        round_trip_s: to the broker, as it was last; 0.0 where it is not known.
    """
    known_s = max(SHORTEST_CONNECT_S, ROUND_TRIPS * round_trip_s)
    quick_s = min(QUICK_CONNECT_S, known_s) if round_trip_s else QUICK_CONNECT_S
    if failed * quick_s < QUICK_FOR_S:
        return Try(share * QUICK_WAIT_SHARE * quick_s, quick_s)
    low_s, high_s = PATIENT_WAIT_S
    return Try(low_s + share * (high_s - low_s), PATIENT_CONNECT_S)
