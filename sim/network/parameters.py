"""What one direction of a link does to traffic, as numbers; and the same reduced to a stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class GapMode(StrEnum):
    """What happens to what is sent during a gap."""

    LOSE = "lose"
    """It is gone, as on the air during a hand-over."""
    STALL = "stall"
    """It waits and comes out in one burst, as behind a router that buffers."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """The bad state of a Gilbert-Elliott model, driven by time and not by packets.

    Attributes:
        good_mean_s, bad_mean_s: mean stay in each state, exponentially distributed.
        loss: share of packets lost in the bad state, 0 to 1.
    """

    good_mean_s: float
    bad_mean_s: float
    loss: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """Times in which nothing gets through.

    Attributes:
        every_s: from the end of one gap to the begin of the next, on average.
        spread: that interval is drawn evenly from every_s·(1 ± spread); 0 is a fixed beat.
        shortest_s, longest_s: length of a gap, drawn evenly.
        mode: what happens to what is sent meanwhile.
    """

    every_s: float
    spread: float
    shortest_s: float
    longest_s: float
    mode: GapMode


@dataclass(frozen=True, slots=True)
class CoursePoint:
    """Where a moving machine is on its way, and what the radio does there.

    Attributes:
        at_s: since the course began. loss: added to every other loss, 0 to 1.
        rate_bps: None leaves the direction's own rate.
    """

    at_s: float
    loss: float
    rate_bps: float | None


@dataclass(frozen=True, slots=True)
class DirectionParameters:
    """One direction of a link.

    Attributes:
        delay_ns: every packet takes at least this less the jitter.
        jitter_ns: evenly drawn within ± this, for each packet; packets stay in order all the
            same, so a dense stream sees a delay nearer to the upper end.
        loss: share of packets lost in the good state, 0 to 1.
        bursts, gaps: None where there are none.
        rate_bps: None is unlimited.
        queue_bytes: what may wait for its turn; what does not fit is dropped. None: no limit.
        trace_ms: mahimahi trace, the milliseconds at which 1500 bytes may leave; repeats after
            its last entry. Empty: none. Takes the place of rate_bps.
        course: points in the order of time, linear in between, repeating; empty: none.
        reorder: share of packets held back by reorder_ns and overtaken.
        duplicate: share of packets delivered twice.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    bursts: Bursts | None = None
    gaps: Gaps | None = None
    rate_bps: float | None = None
    queue_bytes: int | None = None
    trace_ms: tuple[int, ...] = ()
    course: tuple[CoursePoint, ...] = ()
    reorder: float = 0.0
    reorder_ns: int = 0
    duplicate: float = 0.0

    @property
    def dead(self) -> bool:
        """Nothing ever gets through."""
        return self.loss >= 1.0

    def for_stream(self) -> DirectionParameters:
        """Return what of this a relay of byte streams can do.

        It holds both ends' TCP connections and cannot lose a segment between them: what it drops
        is a hole that no end repairs. Delay, rate and gaps remain, every gap as a stall; loss,
        reorder and duplicates do not, and no queue limit, for it stops reading instead. How TCP
        answers to loss shows only over the bridge between namespaces.
        """
        gaps = None if self.gaps is None else replace(self.gaps, mode=GapMode.STALL)
        course = tuple(replace(point, loss=0.0) for point in self.course)
        return DirectionParameters(
            delay_ns=self.delay_ns,
            jitter_ns=self.jitter_ns,
            loss=1.0 if self.dead else 0.0,
            gaps=gaps,
            rate_bps=self.rate_bps,
            trace_ms=self.trace_ms,
            course=course,
        )


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """Both directions of a link.

    Attributes:
        name, title: for people.
        up: from the machine (pictures, state); in a relay, from the one who connects.
        down: to the machine (commands).
        radio: map of configs/radio that changes it by the machine's place; None: the same all over.
    """

    name: str
    title: str
    up: DirectionParameters
    down: DirectionParameters
    radio: str | None = None
