"""What the radio does to a link where the machine is now: told from outside, on top of the link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Air:
    """Both directions share one air; whoever knows the machine's place writes it.

    Attributes:
        loss: share of packets lost, on top of every other loss, 0 to 1.
        delay_ns, jitter_ns: added to the link's own; repeats on the air take time.
        rate_bps: the most that the air carries; None leaves the link's own rate.
        gap_until_ns: nothing gets through before this, as in a hand-over.
    """

    loss: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    rate_bps: float | None = None
    gap_until_ns: int = 0
