"""Pedals prove themselves; contacts disagree; seats empty; buttons are held."""

from __future__ import annotations

import pytest

from operator_console.core.sweep import PedalSweep, Sweep
from operator_console.core.switches import (
    CONFIRM_HOLD_NS,
    CONTACTS_DIFFER_NS,
    PARK_HOLD_NS,
    SEAT_GRACE_NS,
    EnableSwitch,
    Hold,
    SeatSwitch,
)
from tests.console.fakes import MS


def swept(*shares: float) -> PedalSweep:
    sweep = PedalSweep()
    for share in shares:
        sweep.see(share)
    return sweep


def test_pedal_at_rest_pressed_and_let_go__is_proven() -> None:
    assert swept(0.0, 0.8, 0.029).done


@pytest.mark.parametrize(
    ("shares", "stage"),
    [
        ((), Sweep.REST),
        ((0.03,), Sweep.REST),
        ((0.029,), Sweep.PRESS),
        ((0.0, 0.0), Sweep.PRESS),
        ((0.0, 0.79), Sweep.PRESS),
        ((0.0, 0.8), Sweep.RELEASE),
        ((0.0, 0.8, 0.03), Sweep.RELEASE),
        ((1.0, 0.5), Sweep.REST),
        ((1.0, 0.0), Sweep.PRESS),
    ],
)
def test_proof_not_complete__says_what_is_still_to_be_seen(
    shares: tuple[float, ...], stage: Sweep
) -> None:
    sweep = swept(*shares)

    assert sweep.stage is stage
    assert not sweep.done


def test_stages__are_worded_as_the_screen_reads_them() -> None:
    assert list(Sweep) == ["rest", "press", "release", "done"]


def test_pedal_that_seems_pressed_until_it_is_touched__must_still_be_pressed() -> None:
    sweep = swept(0.5, 0.5, 0.1, 0.0)

    assert sweep.stage is Sweep.PRESS


def test_pedal_proven__stays_proven() -> None:
    assert swept(0.0, 1.0, 0.0, 1.0).done


# ---- enable: two opposite contacts --------------------------------------------------------


def test_contacts_opposite__is_pressed_or_not() -> None:
    switch = EnableSwitch()

    assert not switch.pressed(closed=False, opened=True, now_ns=0)
    assert switch.pressed(closed=True, opened=False, now_ns=1)
    assert not switch.fault


@pytest.mark.parametrize("both", [True, False])
def test_contacts_alike__enable_is_off_at_once(both: bool) -> None:
    switch = EnableSwitch()
    switch.pressed(closed=True, opened=False, now_ns=0)

    assert switch.pressed(closed=both, opened=both, now_ns=1) is False
    assert not switch.fault


@pytest.mark.parametrize("both", [True, False])
def test_contacts_alike_longer_than_a_change__is_a_fault(both: bool) -> None:
    switch = EnableSwitch()
    switch.pressed(closed=both, opened=both, now_ns=5)
    switch.pressed(closed=both, opened=both, now_ns=5 + CONTACTS_DIFFER_NS)
    before = switch.fault
    switch.pressed(closed=both, opened=both, now_ns=6 + CONTACTS_DIFFER_NS)

    assert (before, switch.fault) == (False, True)


def test_contacts_at_fault__pressed_does_not_count_before_it_was_cleanly_open() -> None:
    switch = EnableSwitch()
    switch.pressed(closed=True, opened=True, now_ns=0)
    switch.pressed(closed=True, opened=True, now_ns=CONTACTS_DIFFER_NS + 1)

    seen = [
        (switch.pressed(closed, not closed, CONTACTS_DIFFER_NS + after), switch.fault)
        for after, closed in ((2, True), (3, False), (4, True))
    ]

    assert seen == [(False, True), (False, False), (True, False)]


def test_contacts_alike_for_long_on_the_way_from_open__pressed_does_not_count() -> None:
    switch = EnableSwitch()
    switch.pressed(closed=False, opened=True, now_ns=0)
    switch.pressed(closed=True, opened=True, now_ns=1)
    switch.pressed(closed=True, opened=True, now_ns=2 + CONTACTS_DIFFER_NS)

    assert not switch.pressed(closed=True, opened=False, now_ns=3 + CONTACTS_DIFFER_NS)
    assert switch.fault


def test_fault_goes_on_while_contacts_stay_alike() -> None:
    switch = EnableSwitch()
    for now_ns in (0, CONTACTS_DIFFER_NS + 1, CONTACTS_DIFFER_NS + 2):
        switch.pressed(closed=True, opened=True, now_ns=now_ns)

    assert switch.fault


def test_contacts_at_fault_and_alike_again__it_is_still_a_fault() -> None:
    switch = EnableSwitch()
    for now_ns, opened in (
        (0, True),
        (CONTACTS_DIFFER_NS + 1, True),
        (CONTACTS_DIFFER_NS + 2, False),
        (CONTACTS_DIFFER_NS + 3, True),
    ):
        switch.pressed(closed=True, opened=opened, now_ns=now_ns)

    assert switch.fault


def test_contacts_alike_twice_briefly__the_time_starts_anew() -> None:
    switch = EnableSwitch()
    switch.pressed(closed=True, opened=True, now_ns=0)
    switch.pressed(closed=True, opened=False, now_ns=150 * MS)
    switch.pressed(closed=True, opened=True, now_ns=160 * MS)
    switch.pressed(closed=True, opened=True, now_ns=300 * MS)

    assert not switch.fault


def seen(switch: EnableSwitch, *contacts: tuple[bool, bool]) -> list[bool]:
    """Return whether the switch counts as pressed at each look, 10 ms apart."""
    return [
        switch.pressed(closed, opened, 10 * MS * number)
        for number, (closed, opened) in enumerate(contacts)
    ]


OPEN, HELD = (False, True), (True, False)


@pytest.mark.parametrize("alike", [(False, False), (True, True)])
def test_contacts_alike_after_pressed__it_must_be_cleanly_open_before_it_counts_again(
    alike: tuple[bool, bool],
) -> None:
    switch = EnableSwitch()

    assert seen(switch, OPEN, HELD, alike, HELD, alike, HELD, OPEN, HELD) == [
        *(False, True, False, False),
        *(False, False, False, True),
    ]
    assert not switch.fault


@pytest.mark.parametrize("alike", [(False, False), (True, True)])
def test_contacts_alike_on_the_way_from_open__mean_nothing(alike: tuple[bool, bool]) -> None:
    assert seen(EnableSwitch(), OPEN, alike, alike, HELD, HELD) == [
        *(False, False, False),
        *(True, True),
    ]


@pytest.mark.parametrize("first", [HELD, (True, True), (False, False)])
def test_switch_never_seen_open__does_not_count(first: tuple[bool, bool]) -> None:
    assert seen(EnableSwitch(), first, HELD, OPEN, HELD) == [False, False, False, True]


# ---- seat ---------------------------------------------------------------------------------


def test_seat_never_taken__is_empty() -> None:
    assert not SeatSwitch().occupied(closed=False, now_ns=1)


def test_seat_left_for_a_moment__still_counts_and_then_not() -> None:
    seat = SeatSwitch()

    assert seat.occupied(closed=True, now_ns=1)
    assert seat.occupied(closed=False, now_ns=10)
    assert seat.occupied(closed=False, now_ns=1 + SEAT_GRACE_NS)
    assert seat.occupied(closed=False, now_ns=2 + SEAT_GRACE_NS) is False


def test_seat_taken_again__the_moment_starts_anew() -> None:
    seat = SeatSwitch()
    seat.occupied(closed=True, now_ns=1)
    seat.occupied(closed=False, now_ns=2)
    seat.occupied(closed=True, now_ns=300)

    assert seat.occupied(closed=False, now_ns=SEAT_GRACE_NS + 100)


# ---- holds --------------------------------------------------------------------------------


def test_held_long_enough__acts_once_and_only_once() -> None:
    hold = Hold(100)
    up = hold.acts(down=False, now_ns=0)

    assert up is False
    assert not hold.acts(down=True, now_ns=10)
    assert not hold.acts(down=True, now_ns=109)
    assert hold.acts(down=True, now_ns=110)
    assert not hold.acts(down=True, now_ns=300)


def test_let_go_too_early__starts_anew() -> None:
    hold = Hold(100)
    hold.acts(down=False, now_ns=0)
    hold.acts(down=True, now_ns=10)
    hold.acts(down=False, now_ns=90)

    assert not hold.acts(down=True, now_ns=120)
    assert hold.acts(down=True, now_ns=220)


def test_down_when_first_seen__never_acts_before_it_was_let_go() -> None:
    hold = Hold(100)

    assert hold.acts(down=True, now_ns=0) is False
    assert not hold.acts(down=True, now_ns=1000)


def test_held_twice__acts_twice() -> None:
    hold = Hold(100)
    for start_ns in (0, 1000):
        hold.acts(down=False, now_ns=start_ns)
        hold.acts(down=True, now_ns=start_ns + 1)
        assert hold.acts(down=True, now_ns=start_ns + 101)


def test_times__are_those_of_the_cockpits_rules() -> None:
    assert CONTACTS_DIFFER_NS == 200 * MS
    assert SEAT_GRACE_NS == 500 * MS
    assert CONFIRM_HOLD_NS == 1500 * MS
    assert PARK_HOLD_NS == 1000 * MS
