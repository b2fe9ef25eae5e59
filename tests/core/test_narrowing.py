"""A link that narrows or is away, in a model without a clock: how old the newest picture becomes.

Sender: queue watch, link rate and ladder as the media process uses them, with pictures of the size
that the rate says. Link: a rate, a drop-tail queue, a delay. Receiver: shows what it can decode.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from vehicle_agent.core.ladder import Ladder, LinkRate
from vehicle_agent.core.queueing import Flow, QueueWatch

FULL_BPS = 3_000_000
PACKET_BITS = 9_600
HEAD_BITS = 400
NOTE_BITS = 1_200
KEY_AGAIN_US = 300_000
STALL_US = 150_000
CAMERA_US = 33_333
US = 1_000_000
CUT_US = 2 * US


@dataclass(slots=True)
class Link:
    """One way of a link that narrows, or that is away for a while."""

    narrow_bps: float
    queue_us: int
    delay_us: int
    away_us: int = 0
    loss: float = 0.0
    dice: random.Random = field(default_factory=lambda: random.Random(9))
    free_us: float = 0.0

    def carry(self, bits: int, now_us: int) -> int | None:
        """Return when a packet arrives; None when the queue is full."""
        if CUT_US <= now_us < CUT_US + self.away_us:
            return None
        if self.dice.random() < self.loss:
            return None
        rate_bps = self.narrow_bps if now_us >= CUT_US else FULL_BPS * 1.1
        start_us = max(float(now_us), self.free_us)
        if start_us - now_us > self.queue_us:
            return None
        self.free_us = start_us + (bits + HEAD_BITS) * US / rate_bps
        return int(self.free_us) + self.delay_us


@dataclass(slots=True)
class Viewer:
    """What has been shown: pictures that were whole, from a key frame on without a gap."""

    shown: int = -1
    shown_us: int = 0

    def take(self, number: int, before: int, key: bool, captured_us: int) -> None:
        if key or before == self.shown:
            self.shown, self.shown_us = number, max(self.shown_us, captured_us)


@dataclass(slots=True)
class Ride:
    """The whole chain, stepped by the camera's pictures."""

    link: Link
    watch: QueueWatch = field(default_factory=QueueWatch)
    rate: LinkRate = field(default_factory=lambda: LinkRate(100_000, FULL_BPS))
    ladder: Ladder = field(default_factory=lambda: Ladder(1280, 720, 30))
    viewer: Viewer = field(default_factory=Viewer)
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    events: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    number: int = 0
    before: int = -1
    due_us: int = 0
    key_us: int = -US
    wants_key: bool = True
    ages_us: list[tuple[int, int]] = field(default_factory=list)
    """When it was looked, and how old what was shown then was."""

    def run(self, until_us: int) -> None:
        for now_us in range(0, until_us, CAMERA_US):
            for moment_us in range(now_us - CAMERA_US, now_us, 10_000):
                self._arrive(moment_us)
                self.ages_us.append((moment_us, moment_us - self.viewer.shown_us))
            self._arrive(now_us)
            self._camera(now_us)

    def _arrive(self, until_us: int) -> None:
        while self.events and self.events[0][0] <= until_us:
            at_us, kind, what = heapq.heappop(self.events)
            if kind == 0:
                self.viewer.take(what[0], what[1], bool(what[2]), what[3])
            else:
                self.watch.on_echo((0, what[0]), at_us)

    def _camera(self, now_us: int) -> None:
        if now_us - self.viewer.shown_us > 2 * STALL_US + self.link.delay_us:
            self.wants_key = True
        width_bps = self.watch.take_width_bps(now_us)
        if width_bps is not None:
            self.rate.on_width(width_bps, now_us)
        flow = self.watch.flow(now_us)
        step = self.ladder.update(self.rate.limit_bps, now_us)
        if flow is Flow.HOLD or (flow is Flow.SEND and now_us < self.due_us - CAMERA_US // 4):
            return
        self.due_us = now_us + US // step.fps
        bits = int(self.rate.limit_bps / step.fps * self.dice.uniform(0.7, 1.1))
        if flow is not Flow.SEND:
            self.wants_key = True
            bits = 14_000
        if flow is Flow.KEY:
            self.ladder.fall(now_us)
        key = self.wants_key and now_us - self.key_us >= KEY_AGAIN_US
        if key:
            self.key_us, self.wants_key = now_us, False
            bits = bits if flow is not Flow.SEND else int(bits * 1.4)
        self._send(bits, key, now_us)

    def _send(self, bits: int, key: bool, now_us: int) -> None:
        self.number += 1
        sizes = [PACKET_BITS] * (bits // PACKET_BITS) + [bits % PACKET_BITS]
        arrivals = [self.link.carry(size, now_us) for size in sizes]
        whole = [at_us for at_us in arrivals if at_us is not None]
        if len(whole) == len(sizes):
            what = (self.number, self.before, int(key), now_us)
            heapq.heappush(self.events, (max(whole), 0, what))
        self.before = self.number
        self.watch.on_sent(bits, now_us)
        self.watch.on_announced((0, self.number), now_us)
        noted_us = self.link.carry(NOTE_BITS, now_us)
        if noted_us is not None:
            heapq.heappush(self.events, (noted_us + self.link.delay_us, 1, (self.number,)))


def worst_age_ms(narrow_bps: float, queue_ms: int, delay_ms: int) -> float:
    """Return the greatest age from the cut on for 4 s."""
    ride = Ride(Link(narrow_bps, queue_ms * 1000, delay_ms * 1000))
    ride.run(CUT_US + 4 * US)
    return max(age_us for at_us, age_us in ride.ages_us if at_us >= CUT_US) / 1000


@pytest.mark.parametrize("delay_ms", [3, 20])
@pytest.mark.parametrize("queue_ms", [100, 300])
@pytest.mark.parametrize("narrow_bps", [500_000, 1_000_000, 2_000_000])
def test_link_narrows_at_once__a_fresh_picture_is_there_before_the_machine_stops(
    narrow_bps: float, queue_ms: int, delay_ms: int
) -> None:
    assert worst_age_ms(narrow_bps, queue_ms, delay_ms) < 600


@pytest.mark.parametrize("away_ms", [300, 1000, 2000, 5000])
def test_link_is_back_after_an_outage__a_fresh_picture_is_there_within_half_a_second(
    away_ms: int,
) -> None:
    ride = Ride(Link(FULL_BPS * 1.1, 300_000, 20_000, away_ms * 1000))
    back_us = CUT_US + away_ms * 1000
    ride.run(back_us + 3 * US)
    ages_us = [(at_us, age_us) for at_us, age_us in ride.ages_us if at_us >= back_us]
    fresh_us = next(at_us for at_us, age_us in ages_us if age_us <= 150_000)
    assert fresh_us - back_us < 500_000
    assert ride.rate.limit_bps == FULL_BPS


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_link_only_loses_packets__pictures_are_hardly_held_back_and_the_rate_stays(
    loss: float,
) -> None:
    ride = Ride(Link(FULL_BPS * 1.1, 300_000, 40_000, loss=loss))
    ride.run(20 * US)
    assert ride.number > 0.97 * 20 * US / CAMERA_US
    assert ride.rate.limit_bps == FULL_BPS


def test_link_narrows_in_the_model_without_echoes__the_machine_would_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model can fail: without the watch a picture is as old as the issue says."""
    monkeypatch.setattr(QueueWatch, "flow", lambda _self, _now_us: Flow.SEND)
    monkeypatch.setattr(QueueWatch, "take_width_bps", lambda _self, _now_us: None)
    assert worst_age_ms(500_000, 300, 20) > 1000
