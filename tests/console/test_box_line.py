"""Lines of a serial box: what counts, what does not, and what silence and a new start mean."""

from __future__ import annotations

from collections import Counter

import pytest

from operator_console.core.box_line import (
    BAUD_RATE_BPS,
    SETTLE_NS,
    SILENT_NS,
    BoxReader,
    BoxRefusal,
    BoxRefused,
    decode_line,
    encode_line,
)
from operator_console.core.desk import Fault
from operator_console.core.evdev import Controls
from tests.console.fakes import MS

PERIOD_NS = 20 * MS
START_NS = 1_000 * MS
LINE = b"HFBOX1 2A 000B FAF2"


class Box:
    """A box at a reader; each act is one line, 20 ms after the last."""

    def __init__(self) -> None:
        self.reader = BoxReader()
        self.now_ns = START_NS
        self.number = 250

    def says(self, *contacts: int, step: int = 1, after_ns: int = PERIOD_NS) -> int:
        """Let lines come; return the changes that the last one made."""
        changes = 0
        for each in contacts:
            self.number = (self.number + step) % 256
            self.now_ns += after_ns
            changes = self.reader.feed(encode_line(self.number, each), self.now_ns)
        return changes

    def settle(self, contacts: int = 0) -> None:
        self.says(*[contacts] * 5)
        assert isinstance(self.state(), Controls)

    def state(self, after_ns: int = 0) -> Controls | Fault:
        return self.reader.state(self.now_ns + after_ns)


def keys_of(state: Controls | Fault) -> set[int]:
    assert isinstance(state, Controls)
    return state.keys


# ---- one line -----------------------------------------------------------------------------


def test_line__is_what_the_documentation_shows() -> None:
    assert encode_line(42, 0b1011) == LINE + b"\n"
    assert BAUD_RATE_BPS == 115_200


@pytest.mark.parametrize(
    ("number", "contacts"), [(0, 0), (255, 0xFFFF), (1, 0x8000), (128, 1), (42, 0b1011)]
)
def test_line_encoded__is_decoded_as_it_was(number: int, contacts: int) -> None:
    line = encode_line(number, contacts)

    assert decode_line(line[:-1]) == (number, contacts)
    assert decode_line(line[:-1] + b"\r") == (number, contacts)


def refusal_of(line: bytes) -> BoxRefusal:
    with pytest.raises(BoxRefused) as refused:
        decode_line(line)
    assert str(refused.value) == refused.value.reason.value
    return refused.value.reason


@pytest.mark.parametrize("length", range(len(LINE)))
def test_line_cut_short__is_malformed(length: int) -> None:
    assert refusal_of(LINE[:length]) is BoxRefusal.MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        LINE.lower(),
        LINE + b"0",
        b"0" + LINE,
        LINE + b"\r\r",
        LINE.replace(b" ", b"  "),
        LINE.replace(b" ", b"_"),
        LINE.replace(b"2A", b"2G"),
    ],
)
def test_line_of_another_form__is_malformed(line: bytes) -> None:
    assert refusal_of(line) is BoxRefusal.MALFORMED


@pytest.mark.parametrize(
    ("place", "other"),
    [(7, b"3"), (8, b"B"), (10, b"8"), (13, b"A"), (15, b"0"), (18, b"3"), (5, b"2")],
)
def test_line_with_one_character_changed__its_crc_does_not_fit(place: int, other: bytes) -> None:
    assert refusal_of(LINE[:place] + other + LINE[place + 1 :]) is BoxRefusal.CRC


def test_line_of_another_version__is_refused_as_one() -> None:
    assert refusal_of(b"HFBOX2 2A 000B D7B6") is BoxRefusal.VERSION


def test_refusals__are_told_by_these_words() -> None:
    assert [each.value for each in BoxRefusal] == [
        "box_long",
        "box_malformed",
        "box_version",
        "box_crc",
        "box_repeated",
    ]


# ---- bytes as they come -------------------------------------------------------------------


def test_line_in_single_bytes__counts_once_it_has_ended() -> None:
    reader = BoxReader()
    changes = [reader.feed(bytes([each]), START_NS) for each in encode_line(1, 0b101)]

    assert changes == [0] * 19 + [1]
    assert reader.controls.keys == {0, 2}


def test_lines_in_one_read__each_counts() -> None:
    reader = BoxReader()
    lines = b"".join(encode_line(number, number) for number in (1, 2, 3, 4))

    assert reader.feed(lines + encode_line(5, 0)[:6], START_NS) == 4
    assert reader.feed(encode_line(5, 0)[6:], START_NS) == 1
    assert reader.refused == Counter()


def test_read_that_begins_within_a_line__the_next_one_counts() -> None:
    reader = BoxReader()

    assert reader.feed(encode_line(1, 1)[7:] + encode_line(2, 1), START_NS) == 1
    assert reader.refused == {BoxRefusal.MALFORMED: 1}


def test_line_with_a_carriage_return_cut_before_its_end__counts() -> None:
    reader = BoxReader()
    reader.feed(encode_line(1, 1)[:-1] + b"\r", START_NS)

    assert reader.feed(b"\n", START_NS) == 1
    assert reader.refused == Counter()


def test_bytes_without_an_end__are_dropped_up_to_the_next_and_counted_once() -> None:
    reader = BoxReader()
    for _ in range(20):
        reader.feed(b"x" * 15, START_NS)
    kept = reader._rest
    reader.feed(b"y\n" + encode_line(1, 1), START_NS)

    assert kept is None
    assert reader.refused == {BoxRefusal.LONG: 1}
    assert reader.controls.keys == {0}


def test_bytes_without_an_end_twice__are_counted_twice() -> None:
    reader = BoxReader()
    for _ in range(2):
        reader.feed(b"x" * 21, START_NS)
        reader.feed(b"\n", START_NS)

    assert reader.refused == {BoxRefusal.LONG: 2}


# ---- contacts -----------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(16))
def test_contact_closed__is_a_key_by_its_bit(bit: int) -> None:
    box = Box()
    box.settle(1 << bit)

    assert keys_of(box.state()) == {bit}


def test_contacts_change__is_told_with_its_time_and_what_closed_is_pressed() -> None:
    box = Box()
    box.settle(0b0010)
    changes = [box.says(0b0010), box.says(0b0101), box.says(0b0101)]
    controls = box.state()

    assert changes == [0, 1, 0]
    assert isinstance(controls, Controls)
    assert controls.take_pressed() == {0, 2}
    assert controls.event_us == (box.now_ns - PERIOD_NS) // 1000
    assert controls.axes == {}


def test_contact_closed_and_open_again_between_two_looks__was_pressed() -> None:
    box = Box()
    box.settle()
    box.says(1, 0, 2, 0)
    controls = box.state()

    assert isinstance(controls, Controls)
    assert controls.keys == set()
    assert controls.take_pressed() == {0, 1}


# ---- life ---------------------------------------------------------------------------------


def test_box_of_which_nothing_came__is_silent() -> None:
    assert BoxReader().state(START_NS) is Fault.SILENT


def test_box_that_begins_to_speak__counts_after_60_ms() -> None:
    box = Box()
    box.says(1)
    began_ns = box.now_ns
    box.says(1, 1, 1)
    states = [box.reader.state(began_ns + after_ns) for after_ns in (0, SETTLE_NS - 1, SETTLE_NS)]

    assert SETTLE_NS == 60 * MS
    assert states[:2] == [Fault.TORN, Fault.TORN]
    assert keys_of(states[2]) == {0}
    assert box.reader.began == 1


def test_contact_closed_while_it_settles__is_down_and_only_what_closed_later_was_pressed() -> None:
    box = Box()
    box.says(1, 1, 1, 3)
    controls = box.state()

    assert isinstance(controls, Controls)
    assert controls.keys == {0, 1}
    assert controls.take_pressed() == {1}


def test_box_silent_for_100_ms__is_silent_and_no_sooner() -> None:
    box = Box()
    box.settle()

    assert SILENT_NS == 100 * MS
    assert isinstance(box.state(SILENT_NS), Controls)
    assert box.state(SILENT_NS + 1) is Fault.SILENT


@pytest.mark.parametrize(("after_ns", "began"), [(SILENT_NS, 1), (SILENT_NS + 1, 2)])
def test_box_speaks_again__settles_anew_only_after_silence(after_ns: int, began: int) -> None:
    box = Box()
    box.settle(1)
    box.says(1, after_ns=after_ns)

    assert box.reader.began == began
    assert (box.state() is Fault.TORN) is (began == 2)


@pytest.mark.parametrize(("step", "began"), [(1, 1), (5, 1), (6, 2), (255, 2)])
def test_numbers_that_jump__are_another_start_of_the_box(step: int, began: int) -> None:
    box = Box()
    box.settle(1)
    box.says(1, step=step)

    assert box.reader.began == began
    assert (box.state() is Fault.TORN) is (began == 2)


def test_number_after_its_end__goes_on() -> None:
    box = Box()
    box.number = 253
    box.says(*[0] * 9)

    assert box.reader.began == 1
    assert box.number == 6


def test_box_that_starts_anew_between_two_looks__is_told_all_the_same() -> None:
    box = Box()
    box.settle(1)
    lines = b"".join(encode_line(number, 1) for number in (0, 1, 2, 3, 4))
    box.number = 100
    box.says(1)
    box.reader.feed(lines, box.now_ns)

    assert box.state() is Fault.TORN


def test_same_line_again_and_again__is_no_sign_of_life() -> None:
    box = Box()
    box.settle(1)
    changes = box.says(0, 0, 0, 0, 0, step=0)

    assert changes == 0
    assert keys_of(box.state()) == {0}
    box.says(0, step=0)
    assert box.state() is Fault.SILENT
    assert box.reader.refused == {BoxRefusal.REPEATED: 6}


def test_lines_whose_crc_does_not_fit__are_no_sign_of_life() -> None:
    box = Box()
    box.settle(1)
    for _ in range(6):
        box.now_ns += PERIOD_NS
        box.reader.feed(LINE[:-1] + b"0\n", box.now_ns)

    assert box.state() is Fault.SILENT
    assert box.reader.refused == {BoxRefusal.CRC: 6}
