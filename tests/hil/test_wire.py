"""The emulated wire: bit time, arbitration, error counters, bus-off."""

from __future__ import annotations

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.drivers.emulated_can import EmulatedCanBus
from hil.wire import Heard, NodeState, Wire, WireFrame, frame_bits

BITRATE = 500_000
BIT_NS = 2_000
MS = 1_000_000


def made() -> tuple[Wire, list[tuple[int, str, WireFrame]]]:
    carried: list[tuple[int, str, WireFrame]] = []
    wire = Wire(BITRATE, 0, lambda t, who, frame: carried.append((t, who, frame)))
    return wire, carried


def bits_by_definition(frame: WireFrame) -> int:
    """Every bit of ISO 11898-1 written out, one after another."""
    size = f"{len(frame.data):04b}"
    if frame.extended:
        head = f"0{frame.can_id >> 18:011b}11{frame.can_id & 0x3FFFF:018b}000{size}"
    else:
        head = f"0{frame.can_id:011b}000{size}"
    bits = head + "".join(f"{byte:08b}" for byte in frame.data)
    crc = 0
    for bit in bits:
        feedback = int(bit) ^ crc >> 14
        crc = (crc << 1 & 0x7FFF) ^ (0x4599 if feedback else 0)
    bits += f"{crc:015b}"
    stuffed, last, run = 0, "", 0
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed, last, run = stuffed + 1, "10"[int(bit)], 1
    return len(bits) + stuffed + 13


@given(can_id=st.integers(0, 0x1FFFFFFF), data=st.binary(max_size=8), extended=st.booleans())
def test_frame__takes_the_bits_that_the_standard_says(
    can_id: int, data: bytes, extended: bool
) -> None:
    frame = WireFrame(can_id if extended else can_id & 0x7FF, data, extended)
    assert frame_bits(frame) == bits_by_definition(frame)


def test_frames_wait_together__lowest_id_goes_first_whoever_sends_it() -> None:
    wire, carried = made()
    a, b = wire.node("a"), wire.node("b")
    a.post(0, WireFrame(0x0CFF2181, b"\1"))
    a.post(0, WireFrame(0x04FF1080, b"\2"))
    b.post(0, WireFrame(0x08FF1280, b"\3"))
    wire.run_until(10 * MS)
    assert [frame.data for _, _, frame in carried] == [b"\2", b"\3", b"\1"]


def test_standard_id_with_equal_base__wins_over_the_extended_one() -> None:
    assert WireFrame(0x13F, b"", extended=False).priority < WireFrame(0x13F << 18, b"").priority


def test_frame__is_heard_at_its_end_and_not_before() -> None:
    wire, _ = made()
    heard: list[Heard] = []
    sender = wire.node("a")
    wire.node("b", heard.append)
    frame = WireFrame(0x04FF1080, bytes(8))
    sender.post(0, frame)
    end_ns = frame_bits(frame) * BIT_NS
    wire.run_until(end_ns - 1)
    before = list(heard)
    wire.run_until(end_ns)
    assert (before, [h.t_ns for h in heard]) == ([], [end_ns])


def test_nobody_acknowledges__sender_becomes_passive_and_never_bus_off() -> None:
    wire, carried = made()
    sender = wire.node("a")
    sender.post(0, WireFrame(1, b""))
    wire.run_until(100 * MS)
    assert (sender.state, carried) == (NodeState.PASSIVE, [])


def test_every_frame_disturbed__sender_is_bus_off_after_32_and_what_waited_is_gone() -> None:
    wire, _ = made()
    sender, _ = wire.node("a"), wire.node("b")
    wire.spoiled.disturb = lambda who, _: who == "a"
    sender.post(0, WireFrame(1, b""))
    sender.post(0, WireFrame(2, b""))
    wire.run_until(100 * MS)
    assert (sender.state, sender.counts["errors"], sender.waiting) == (NodeState.OFF, 32, [])


def test_bus_off_node_asked_back__joins_after_128_times_11_bits_with_clean_counters() -> None:
    wire, _ = made()
    node = wire.node("a")
    node.off, node.tec = True, 256
    wire.recover(node)
    wire.run_until(1408 * BIT_NS - 1)
    before = node.off
    wire.run_until(1408 * BIT_NS)
    assert (before, node.off, node.tec) == (True, False, 0)


def test_same_id_other_bytes_at_once__both_senders_count_an_error() -> None:
    wire, _ = made()
    a, b = wire.node("a"), wire.node("b")
    a.post(0, WireFrame(5, b"\1"))
    b.post(0, WireFrame(5, b"\2"))
    wire.run_until(frame_bits(WireFrame(5, b"\1")) * BIT_NS // 2 + 17 * BIT_NS)
    assert (a.tec, b.tec) == (8, 8)


def test_node_at_half_the_bit_rate__no_frame_gets_through() -> None:
    wire, carried = made()
    a, b = wire.node("a"), wire.node("b")
    b.bitrate_bps = BITRATE // 2
    a.post(0, WireFrame(5, b"\1"))
    wire.run_until(MS)
    assert carried == []


def test_frame_of_an_id_that_still_waits__takes_its_place_in_a_node_that_overwrites() -> None:
    wire, carried = made()
    node, _ = wire.node("a"), wire.node("b")
    node.overwrites = True
    node.post(0, WireFrame(5, b"\1"))
    node.post(0, WireFrame(5, b"\2"))
    wire.run_until(10 * MS)
    assert [frame.data for _, _, frame in carried] == [b"\2"]


def test_bus_off__send_raises_and_state_says_error() -> None:
    wire, _ = made()
    bus = EmulatedCanBus(wire, "a", lambda: 0)
    bus.node.off = True
    with pytest.raises(can.CanOperationError, match="bus-off"):
        bus.send(can.Message(arbitration_id=5))
    assert bus.state is can.BusState.ERROR
    bus.shutdown()
