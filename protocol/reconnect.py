"""When to connect to a broker again after a connection was lost.

A link that was out for a moment is most often back at once, and each SYN that is lost in the
outage costs a second until the kernel sends it again: so a few short tries come first. A broker
that is really gone, and a link too long for short tries, get patient ones.
"""

from __future__ import annotations

from dataclasses import dataclass

QUICK_TRIES = 6
"""Some 2.5 s of them."""
QUICK_CONNECT_S = 0.4
"""Enough for a round trip of 0.4 s; the kernel sends a lost SYN again after 1 s only."""
PATIENT_CONNECT_S = 1.0
STOOD_S = 2.0
"""A connection that ended sooner did not stand: whoever throws it off is not to be hurried."""
QUICK_WAIT_S = (0.0, 0.1)
PATIENT_WAIT_S = (0.2, 0.9)


@dataclass(frozen=True, slots=True)
class Try:
    """How long to wait before the next try, and how long its TCP connection may take."""

    wait_s: float
    connect_within_s: float


def next_try(failed: int, share: float) -> Try:
    """Return the next try.

    Args:
        failed: tries since a connection last stood. share: random, 0 to 1, so that many clients
            of a broker that comes back do not all come at once.
    """
    quick = failed < QUICK_TRIES
    low_s, high_s = QUICK_WAIT_S if quick else PATIENT_WAIT_S
    return Try(low_s + share * (high_s - low_s), QUICK_CONNECT_S if quick else PATIENT_CONNECT_S)
