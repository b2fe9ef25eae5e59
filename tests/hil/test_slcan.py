"""slcan as bytes: every chunking, every kind of noise, and an adapter that answers as tabled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.drivers.slcan_device import SlcanCore
from hil.wire import Wire, WireFrame
from vehicle_agent.core.slcan import SlcanDecoder, SlcanFrame, encode, parse

frames = st.builds(
    lambda can_id, data, extended: SlcanFrame(
        can_id if extended else can_id & 0x7FF, data, extended
    ),
    st.integers(0, 0x1FFFFFFF),
    st.binary(max_size=8),
    st.booleans(),
)


@given(sent=st.lists(frames, max_size=6), cuts=st.lists(st.integers(1, 9), min_size=1))
def test_frames_in_any_chunks__come_out_as_they_went_in(
    sent: list[SlcanFrame], cuts: list[int]
) -> None:
    text, decoder, heard, at = b"".join(map(encode, sent)), SlcanDecoder(), [], 0
    for number in range(len(text)):
        size = cuts[number % len(cuts)]
        heard += decoder.feed(text[at : at + size])
        at += size
    assert heard == sent


@given(noise=st.binary(max_size=300))
def test_any_bytes__raise_nothing_and_the_next_frame_is_heard(noise: bytes) -> None:
    decoder = SlcanDecoder()
    decoder.feed(noise + b"\r")
    frame = SlcanFrame(0x123, b"\1\2", extended=False)
    assert decoder.feed(encode(frame)) == [frame]


@pytest.mark.parametrize(
    "line",
    [b"", b"T", b"t12", b"t1239", b"t8001AA", b"T200000000", b"t1232AA", b"t1231AAB", b"x1230",
     b"t12 0", b"t123-"],
    ids=lambda line: line.decode() or "empty",
)  # fmt: skip
def test_line_that_is_no_frame__is_none(line: bytes) -> None:
    assert parse(line) is None


def test_frame_with_time_stamp__is_the_frame() -> None:
    assert parse(b"t1231AA1234") == SlcanFrame(0x123, b"\xaa", extended=False)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"\r", b"\r"),
        (b"S6\r", b"\r"),
        (b"S9\r", b"\a"),
        (b"O\rO\r", b"\r\a"),
        (b"O\rS5\r", b"\r\a"),
        (b"C\r", b"\r"),
        (b"V\r", b"V1013\r"),
        (b"F\r", b"F00\r"),
        (b"T0CFF21801AA\r", b"\a"),
        (b"O\rT0CFF21801AA\rt1231AA\r", b"\rZ\rz\r"),
        (b"O\rTxyz\r", b"\r\a"),
        (b"Q" * 80, b"\a"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_strict_adapter__answers_as_tabled(said: bytes, answer: bytes) -> None:
    core = SlcanCore(Wire(500_000, 0), "a", strict=True)
    core.take(0, said)
    assert core.out() == answer


def test_tolerant_adapter__bears_a_second_open() -> None:
    core = SlcanCore(Wire(500_000, 0), "a")
    core.take(0, b"O\rO\r")
    assert core.out() == b"\r\r"


def test_disturbed_bus__flags_say_passive_and_bus_error_once() -> None:
    wire = Wire(500_000, 0)
    core, other = SlcanCore(wire, "a"), wire.node("b")
    wire.spoiled.short = True
    core.take(0, b"O\r")
    core.node.post(0, WireFrame(1, b""))
    other.post(0, WireFrame(2, b""))
    wire.run_until(4_000_000)
    core.out()
    core.take(0, b"F\rF\r")
    first, second = core.out().split(b"\r")[:2]
    assert (int(first[1:], 16) & 0xA0, int(second[1:], 16) & 0x80) == (0xA0, 0)
