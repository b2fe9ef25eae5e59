"""A device's bytes count report by report; what the kernel dropped does not count at all."""

from __future__ import annotations

import pytest

from operator_console.core.evdev import (
    EV_ABS,
    EV_FF,
    EV_KEY,
    EV_REL,
    EV_SYN,
    EVENT,
    KEY_DOWN,
    KEY_REPEAT,
    KEY_UP,
    SYN_DROPPED,
    SYN_REPORT,
    EventReader,
    encode_event,
)


def test_numbers__are_the_kernels() -> None:
    assert (EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_FF) == (0, 1, 2, 3, 0x15)
    assert (SYN_REPORT, SYN_DROPPED) == (0, 3)
    assert (KEY_UP, KEY_DOWN, KEY_REPEAT) == (0, 1, 2)
    assert EVENT.size == 24


def test_event__is_packed_as_the_kernel_packs_it() -> None:
    assert encode_event(3, 0x1234, -2, 2_000_005) == (
        (2).to_bytes(8, "little")
        + (5).to_bytes(8, "little")
        + bytes([3, 0, 0x34, 0x12, 0xFE, 0xFF, 0xFF, 0xFF])
    )
    assert encode_event(1, 2, 3) == bytes(16) + bytes([1, 0, 2, 0, 3, 0, 0, 0])


SYN = encode_event(EV_SYN, SYN_REPORT, 0, 1_000_007)
DROPPED = encode_event(EV_SYN, SYN_DROPPED, 0)


def axis(code: int, value: int) -> bytes:
    return encode_event(EV_ABS, code, value)


def key(code: int, value: int) -> bytes:
    return encode_event(EV_KEY, code, value)


def test_report_without_its_end__changes_nothing() -> None:
    reader = EventReader()

    assert reader.feed(axis(0, 5) + key(288, 1)) == 0
    assert reader.controls.axes == {}
    assert reader.controls.keys == set()


def test_whole_report__counts_at_once_with_its_time() -> None:
    reader = EventReader()

    assert reader.feed(axis(0, 5) + key(288, 1) + SYN) == 1
    assert reader.controls.axes == {0: 5}
    assert reader.controls.moved == {0}
    assert reader.controls.keys == {288}
    assert reader.controls.event_us == 1_000_007


def test_two_reports__are_two() -> None:
    assert EventReader().feed(axis(0, 5) + SYN + axis(0, 6) + SYN) == 2


def test_report_ended__its_events_do_not_count_again() -> None:
    reader = EventReader()
    reader.feed(key(288, 1) + SYN)
    reader.reread({}, set())
    reader.feed(SYN)

    assert reader.controls.keys == set()


@pytest.mark.parametrize("cut", range(len(axis(0, 5) + key(288, 1) + SYN) + 1))
def test_bytes_cut_anywhere__the_report_counts_only_when_it_is_whole(cut: int) -> None:
    data = axis(0, 5) + key(288, 1) + SYN
    reader = EventReader()

    first = reader.feed(data[:cut])
    before = dict(reader.controls.axes)
    second = reader.feed(data[cut:])

    assert (first, second) == ((1, 0) if cut == len(data) else (0, 1))
    assert before == ({0: 5} if cut == len(data) else {})
    assert reader.controls.axes == {0: 5}
    assert reader.controls.keys == {288}


def test_key_let_go__is_up() -> None:
    reader = EventReader()
    reader.feed(key(288, 1) + SYN + key(288, 0) + SYN)

    assert reader.controls.keys == set()


def test_key_up_that_was_not_down__is_no_error() -> None:
    reader = EventReader()
    reader.feed(key(288, 0) + SYN)

    assert reader.controls.keys == set()
    assert reader.malformed == 0


def test_key_pressed_and_let_go_within_one_read__is_not_missed() -> None:
    reader = EventReader()
    reader.feed(key(288, 1) + SYN + key(288, 0) + SYN)

    assert reader.controls.take_pressed() == {288}
    assert reader.controls.take_pressed() == frozenset()


def test_key_repeats__is_no_new_press() -> None:
    reader = EventReader()
    reader.feed(key(288, 1) + SYN)
    reader.controls.take_pressed()
    reader.feed(key(288, 2) + SYN)

    assert reader.controls.take_pressed() == frozenset()
    assert reader.controls.keys == {288}
    assert reader.malformed == 0


def test_key_value_that_no_kernel_sends__is_counted_and_changes_nothing() -> None:
    reader = EventReader()
    reader.feed(key(288, 3) + key(289, -1) + SYN)

    assert reader.controls.keys == set()
    assert reader.malformed == 2


def test_other_kinds_of_events__change_nothing() -> None:
    reader = EventReader()
    reader.feed(encode_event(EV_REL, 0, 7) + encode_event(4, 4, 1) + SYN)

    assert reader.controls.axes == {}
    assert reader.controls.keys == set()
    assert reader.malformed == 0


def test_axis_that_has_the_number_of_a_dropped_report__is_an_axis() -> None:
    reader = EventReader()
    reader.feed(axis(SYN_DROPPED, 9) + SYN)

    assert reader.controls.axes == {SYN_DROPPED: 9}
    assert not reader.stale


def test_nothing_read__nothing_is_known() -> None:
    reader = EventReader()

    assert (reader.stale, reader.controls.event_us) == (False, 0)


def test_dropped_report_is_over__none_of_its_events_count_later() -> None:
    reader = EventReader()
    reader.feed(axis(0, 2) + DROPPED + axis(1, 3) + SYN)
    reader.reread({}, set())
    reader.feed(SYN)

    assert reader.controls.axes == {}


def test_other_syn_codes__end_no_report() -> None:
    reader = EventReader()

    assert reader.feed(axis(0, 5) + encode_event(EV_SYN, 1, 0)) == 0
    assert reader.controls.axes == {}


def test_events_dropped__all_that_belongs_to_that_report_is_worth_nothing() -> None:
    reader = EventReader()
    reader.feed(axis(0, 1) + SYN)
    torn = (reader.feed(axis(0, 2) + DROPPED + axis(0, 3)), reader.stale, reader.waits_for_report)
    ended = (reader.feed(SYN), reader.stale, reader.waits_for_report)

    assert torn == (0, True, True)
    assert ended == (0, True, False)
    assert reader.controls.axes == {0: 1}
    assert reader.drops == 1


def test_events_dropped_twice__both_are_counted() -> None:
    reader = EventReader()
    reader.feed(DROPPED + SYN + DROPPED + SYN)

    assert reader.drops == 2


def test_report_after_the_dropped_one__counts() -> None:
    reader = EventReader()
    reader.feed(DROPPED + axis(0, 3) + SYN)
    reader.reread({0: 3, 1: 9}, {288})

    assert reader.feed(axis(0, 4) + SYN) == 1
    assert reader.controls.axes == {0: 4, 1: 9}
    assert not reader.stale


def test_state_read_anew__takes_the_place_of_what_events_said() -> None:
    reader = EventReader()
    reader.feed(axis(0, 1) + key(288, 1) + SYN)
    reader.controls.take_pressed()
    reader.feed(DROPPED + SYN)
    reader.reread({0: 7}, {289})

    assert reader.controls.axes == {0: 7}
    assert reader.controls.keys == {289}
    assert reader.controls.take_pressed() == {289}


def test_state_read_anew_while_the_torn_report_goes_on__is_still_stale() -> None:
    reader = EventReader()
    reader.feed(DROPPED)
    reader.reread({0: 7}, set())

    assert reader.stale


def test_state_read_anew__is_a_copy() -> None:
    reader = EventReader()
    axes, keys = {0: 7}, {288}
    reader.reread(axes, keys)
    axes[0], keys = 8, set()

    assert reader.controls.axes == {0: 7}
    assert reader.controls.keys == {288}


def test_state_read_anew_with_no_event__axes_are_not_called_moved() -> None:
    reader = EventReader()
    reader.reread({0: 7}, set())

    assert reader.controls.moved == set()
    assert not reader.stale
