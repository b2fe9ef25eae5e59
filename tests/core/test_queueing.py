"""Late echoes tell of a queue in front of a link, and early ones that come together do not."""

from __future__ import annotations

import pytest

from vehicle_agent.core.queueing import (
    ANSWERS_US,
    FIRST_PROBE_US,
    KEPT,
    LEARN_ANEW_US,
    PROBE_AGAIN_US,
    ROOM_AFTER_US,
    Flow,
    QueueWatch,
)

PERIOD_US = 33_000
WAY_US = 40_000
BITS = 100_000
US = 1_000_000
SEND, HOLD = Flow.SEND, Flow.HOLD


class Rig:
    """A link on which pictures of 100 kbit have gone well so far, one each 33 ms.

    Attributes:
        now_us: when the last one left.
        number: of the last one.
    """

    def __init__(self) -> None:
        self.watch = QueueWatch()
        self.now_us = 0
        self.number = 0
        for _ in range(30):
            self.send()
            self.watch.on_echo((0, self.number), self.now_us + WAY_US)
        self.now_us += WAY_US

    def send(self, bits: int = BITS) -> int:
        """Send the next picture; return its number."""
        self.now_us += PERIOD_US
        self.number += 1
        self.watch.on_sent(bits, self.now_us)
        self.watch.on_announced((0, self.number), self.now_us)
        return self.number

    def echo(self, number: int, after_us: int) -> int:
        """Let an echo come so long after the last picture; return when."""
        at_us = self.now_us + after_us
        self.watch.on_echo((0, number), at_us)
        return at_us


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_no_echo_ever__pictures_go_out() -> None:
    watch = QueueWatch()
    watch.on_announced((0, 1), 0)
    assert watch.flow(US) is SEND


def test_echo_on_its_way__pictures_go_out(rig: Rig) -> None:
    rig.send()
    assert rig.watch.flow(rig.now_us + 89_000) is SEND


def test_echo_a_twentieth_of_a_second_late__pictures_are_held_back(rig: Rig) -> None:
    rig.send()
    assert rig.watch.flow(rig.now_us + 91_000) is HOLD


def test_late_echo_comes__pictures_go_out_again(rig: Rig) -> None:
    number = rig.send()
    assert rig.watch.flow(rig.echo(number, 150_000)) is SEND
    assert rig.watch.late == 1


def test_echo_of_an_older_picture__answers_for_no_newer_one(rig: Rig) -> None:
    number = rig.send()
    rig.send()
    assert rig.watch.flow(rig.echo(number, 100_000)) is HOLD


def test_echo_of_a_newer_picture__answers_for_the_lost_ones_before_it(rig: Rig) -> None:
    for _ in range(3):
        rig.send()
    at_us = rig.echo(rig.number, WAY_US)
    assert rig.watch.flow(at_us + US) is SEND


@pytest.mark.parametrize("picture", [(0, 999), (1, 30)])
def test_echo_of_what_was_never_sent__changes_nothing(rig: Rig, picture: tuple[int, int]) -> None:
    rig.send()
    rig.watch.on_echo(picture, rig.now_us + 1)
    assert rig.watch.flow(rig.now_us + 91_000) is HOLD


def test_no_echo_for_long__probes_go_out_seldom(rig: Rig) -> None:
    rig.send()
    probed_us = rig.now_us + FIRST_PROBE_US
    assert rig.watch.flow(probed_us - 1) is HOLD
    assert rig.watch.flow(probed_us) is Flow.PROBE
    rig.watch.on_sent(1_000, probed_us)
    assert rig.watch.flow(probed_us + PROBE_AGAIN_US - 1) is HOLD
    assert rig.watch.flow(probed_us + PROBE_AGAIN_US) is Flow.PROBE


def test_link_is_back_after_an_outage__pictures_go_out_and_it_is_not_said_narrow(rig: Rig) -> None:
    rig.send()
    rig.now_us += US
    at_us = rig.echo(rig.send(), WAY_US)
    assert rig.watch.flow(at_us) is SEND
    assert rig.watch.take_width_bps(at_us + 33_000) is None


def test_viewer_that_answers_no_more__is_sent_everything(rig: Rig) -> None:
    for _ in range(ANSWERS_US // PERIOD_US + 2):
        rig.send()
    assert rig.watch.flow(rig.now_us + 100_000) is SEND


def narrowed(rig: Rig) -> int:
    """Let the link narrow so that pictures are dropped; return when that is known."""
    rig.echo(rig.send(), WAY_US)
    late = rig.send()
    late_us = rig.now_us
    for _ in range(3):
        rig.send()
    at_us = late_us + WAY_US + 200_000
    rig.watch.on_echo((0, late), at_us)
    return at_us


def test_link_narrows__its_width_is_told_once(rig: Rig) -> None:
    at_us = narrowed(rig)
    assert rig.watch.take_width_bps(at_us + 9_000) is None
    assert rig.watch.take_width_bps(at_us + 33_000) == 500_000
    assert rig.watch.take_width_bps(at_us + 33_000) is None


def test_pictures_dropped__a_key_frame_is_next_and_then_nothing_before_its_echo(rig: Rig) -> None:
    at_us = narrowed(rig) + 33_000
    rig.watch.take_width_bps(at_us)
    assert rig.watch.flow(at_us) is Flow.KEY
    rig.now_us = at_us - PERIOD_US
    key = rig.send()
    assert rig.watch.flow(at_us + 1) is HOLD
    rig.watch.on_echo((0, key - 1), at_us + 100_000)
    assert rig.watch.flow(at_us + 100_001) is HOLD
    rig.watch.on_echo((0, key), at_us + 200_000)
    assert rig.watch.flow(at_us + 200_001) is SEND


def test_pictures_dropped_just_now__the_queue_is_given_time_for_a_key_frame(rig: Rig) -> None:
    at_us = narrowed(rig) + 33_000
    rig.watch.take_width_bps(at_us)
    assert rig.watch.flow(rig.now_us + ROOM_AFTER_US - 1) is HOLD
    assert rig.watch.flow(rig.now_us + ROOM_AFTER_US) is Flow.KEY


def test_link_a_little_too_narrow__its_width_is_told_and_no_key_frame_is_due(rig: Rig) -> None:
    rig.echo(rig.send(), WAY_US)
    late = rig.send()
    rig.send()
    at_us = rig.echo(late, 100_000)
    assert rig.watch.take_width_bps(at_us + 33_000) == pytest.approx(1_000_000, rel=0.1)
    assert rig.watch.flow(at_us + 33_000) is HOLD


def test_link_that_only_held_back__is_not_said_narrow(rig: Rig) -> None:
    numbers = [rig.send() for _ in range(5)]
    for number in numbers:
        at_us = rig.echo(number, 150_000)
    assert rig.watch.take_width_bps(at_us + 33_000) is None


def test_quiet_picture_is_late__says_nothing_of_the_width(rig: Rig) -> None:
    rig.echo(rig.send(bits=1_000), WAY_US)
    late = rig.send(bits=1_000)
    rig.send(bits=1_000)
    at_us = rig.echo(late, 100_000)
    assert rig.watch.take_width_bps(at_us + 33_000) is None


def test_sender_paused_before_the_late_echo__the_pause_is_not_held_against_the_link(
    rig: Rig,
) -> None:
    rig.echo(rig.send(), WAY_US)
    rig.now_us += US
    late = rig.send()
    rig.send()
    at_us = rig.echo(late, WAY_US + 100_000 - PERIOD_US)
    assert rig.watch.take_width_bps(at_us + 33_000) == pytest.approx(1_000_000, rel=0.1)


def test_way_has_become_longer__after_a_while_that_is_usual(rig: Rig) -> None:
    for _ in range(LEARN_ANEW_US // PERIOD_US + 2):
        rig.echo(rig.send(), 200_000)
        rig.now_us += 200_000
    late = rig.watch.late
    rig.echo(rig.send(), 200_000)
    assert rig.watch.late == late


def test_queue_that_grows_slowly__is_late_all_the_same(rig: Rig) -> None:
    for number in range(60):
        rig.echo(rig.send(), WAY_US + 3_000 * number)
        rig.now_us += WAY_US
    assert rig.watch.late > 0


def test_way_that_shakes__is_given_more_time(rig: Rig) -> None:
    for number in range(60):
        rig.echo(rig.send(), WAY_US + 49_000 * (number % 2))
        rig.now_us += 100_000
    rig.send()
    assert rig.watch.flow(rig.now_us + WAY_US + 45_000) is SEND
    assert rig.watch.flow(rig.now_us + WAY_US + 55_000) is HOLD


def test_more_pictures_than_are_remembered__the_oldest_are_forgotten(rig: Rig) -> None:
    first = rig.send()
    for _ in range(KEPT):
        rig.send()
    rig.echo(first, 10_000_000)
    assert rig.watch.late == 0
