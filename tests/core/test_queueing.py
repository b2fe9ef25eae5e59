"""Late echoes tell of a queue in front of a link, and early ones that come together do not."""

from __future__ import annotations

import pytest

from vehicle_agent.core.queueing import (
    ANSWERS_US,
    KEPT,
    LEARN_ANEW_US,
    LONGEST_HOLD_US,
    QueueWatch,
)

PERIOD_US = 33_000
WAY_US = 40_000
BITS = 100_000
US = 1_000_000


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
        self.watch.on_announced((0, self.number), self.now_us)
        self.watch.on_sent(bits, self.now_us)
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
    assert not watch.holds(US)


def test_echo_on_its_way__pictures_go_out(rig: Rig) -> None:
    rig.send()
    assert not rig.watch.holds(rig.now_us + 89_000)


def test_echo_a_twentieth_of_a_second_late__pictures_are_held_back(rig: Rig) -> None:
    rig.send()
    assert rig.watch.holds(rig.now_us + 91_000)


def test_late_echo_comes__pictures_go_out_again(rig: Rig) -> None:
    number = rig.send()
    assert not rig.watch.holds(rig.echo(number, 150_000))
    assert rig.watch.late == 1


def test_echo_of_an_older_picture__answers_for_no_newer_one(rig: Rig) -> None:
    number = rig.send()
    rig.send()
    assert rig.watch.holds(rig.echo(number, 100_000))


def test_echo_of_a_newer_picture__answers_for_the_lost_ones_before_it(rig: Rig) -> None:
    for _ in range(3):
        rig.send()
    at_us = rig.echo(rig.number, WAY_US)
    assert not rig.watch.holds(at_us + US)


@pytest.mark.parametrize("picture", [(0, 999), (1, 30)])
def test_echo_of_what_was_never_sent__changes_nothing(rig: Rig, picture: tuple[int, int]) -> None:
    rig.send()
    rig.watch.on_echo(picture, rig.now_us + 1)
    assert rig.watch.holds(rig.now_us + 91_000)


def test_held_for_long__one_picture_goes_out(rig: Rig) -> None:
    rig.send()
    assert rig.watch.holds(rig.now_us + LONGEST_HOLD_US - 1)
    assert not rig.watch.holds(rig.now_us + LONGEST_HOLD_US)


def test_viewer_that_answers_no_more__is_sent_everything(rig: Rig) -> None:
    for _ in range(ANSWERS_US // PERIOD_US + 2):
        rig.send()
    assert not rig.watch.holds(rig.now_us + 100_000)


def test_link_narrows__width_is_told_once_and_that_pictures_were_dropped(rig: Rig) -> None:
    first = rig.send()
    rig.echo(first, WAY_US)
    late = rig.send()
    for _ in range(3):
        rig.send()
    at_us = rig.echo(late, WAY_US + 200_000 - 4 * PERIOD_US + PERIOD_US)
    assert rig.watch.take_narrow(at_us + 9_000) is None
    narrow = rig.watch.take_narrow(at_us + 33_000)
    assert narrow is not None
    assert narrow.width_bps == pytest.approx(500_000, rel=0.2)
    assert narrow.dropped
    assert rig.watch.take_narrow(at_us + 33_000) is None
    assert not rig.watch.holds(at_us + 33_000)


def test_link_a_little_too_narrow__no_picture_is_said_dropped(rig: Rig) -> None:
    rig.echo(rig.send(), WAY_US)
    late = rig.send()
    rig.send()
    at_us = rig.echo(late, 100_000)
    narrow = rig.watch.take_narrow(at_us + 33_000)
    assert narrow is not None
    assert not narrow.dropped


def test_link_that_only_held_back__is_not_said_narrow(rig: Rig) -> None:
    numbers = [rig.send() for _ in range(5)]
    for number in numbers:
        at_us = rig.echo(number, 150_000)
    assert rig.watch.take_narrow(at_us + 33_000) is None


def test_quiet_picture_is_late__says_nothing_of_the_width(rig: Rig) -> None:
    rig.echo(rig.send(bits=1_000), WAY_US)
    late = rig.send(bits=1_000)
    rig.send(bits=1_000)
    at_us = rig.echo(late, 100_000)
    assert rig.watch.take_narrow(at_us + 33_000) is None


def test_way_has_become_longer__after_a_while_that_is_usual(rig: Rig) -> None:
    for _ in range(LEARN_ANEW_US // PERIOD_US + 2):
        rig.echo(rig.send(), 200_000)
        rig.now_us += 200_000
    late = rig.watch.late
    rig.echo(rig.send(), 200_000)
    assert rig.watch.late == late


def test_way_that_shakes__is_given_more_time(rig: Rig) -> None:
    for number in range(60):
        rig.echo(rig.send(), WAY_US + 45_000 * (number % 2))
        rig.now_us += 100_000
    rig.send()
    assert not rig.watch.holds(rig.now_us + 110_000)


def test_more_pictures_than_are_remembered__the_oldest_are_forgotten(rig: Rig) -> None:
    first = rig.send()
    for _ in range(KEPT):
        rig.send()
    rig.echo(first, 10_000_000)
    assert rig.watch.late == 0
