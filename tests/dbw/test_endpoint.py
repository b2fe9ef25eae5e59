"""The two ends of the bus: counting sender, judging receiver."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.dbw import matrix
from protocol.dbw.codec import DriveCommand, Echo, EcuMode, EcuState, ExitReason, encode
from protocol.dbw.e2e import E2EStatus, protect
from protocol.dbw.endpoint import SECOND_SOURCE_NS, DbwReceiver, DbwSender
from protocol.dbw.errors import NotAvailableError, ValueRangeError
from protocol.dbw.matrix import Direction

MS = 1_000_000
DRIVE = DriveCommand(0.5, 5.0, 1)


def _qualified() -> tuple[DbwSender, DbwReceiver]:
    sender, receiver = DbwSender(), DbwReceiver(Direction.TO_ECU)
    for step in range(3):
        receiver.receive(step * 20 * MS, *sender.encode(DRIVE))
    return sender, receiver


def test_sender__counts_each_frame_on_its_own() -> None:
    sender = DbwSender()
    counters = [sender.encode(DRIVE)[1][1] & 15 for _ in range(17)]
    assert counters == [*range(16), 0]
    state = EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0)
    assert sender.encode(state)[1][1] & 15 == 0


def test_sender_refuses_a_value__counter_stays() -> None:
    sender = DbwSender()
    with pytest.raises(ValueRangeError):
        sender.encode(DriveCommand(math.nan, 5.0, 1))
    assert sender.encode(DRIVE)[1][1] & 15 == 0


def test_good_frame__gives_message_and_age() -> None:
    sender, receiver = _qualified()
    received = receiver.receive(60 * MS, *sender.encode(DRIVE))
    assert received.message == DRIVE
    assert received.status is E2EStatus.OK
    assert receiver.age_ns(matrix.DRIVE_CMD, 75 * MS) == 15 * MS


def test_good_crc_bad_value__no_message_not_younger_and_counted() -> None:
    sender, receiver = _qualified()
    _, data = sender.encode(DRIVE)
    assert matrix.DRIVE_CMD.data_ids is not None
    bad = protect(data[1:6] + b"\x03\x00", matrix.DRIVE_CMD.data_ids)
    received = receiver.receive(60 * MS, matrix.DRIVE_CMD.can_id, bad)
    assert received.message is None
    assert isinstance(received.error, NotAvailableError)
    assert receiver.refused["not_available"] == 1
    assert receiver.age_ns(matrix.DRIVE_CMD, 60 * MS) == 20 * MS


def test_timed_out__only_above_the_rows_timeout() -> None:
    _, receiver = _qualified()
    assert not receiver.timed_out(matrix.DRIVE_CMD, 140 * MS)
    assert receiver.timed_out(matrix.DRIVE_CMD, 140 * MS + 1)
    assert receiver.timed_out(matrix.SUP_CMD, 0)


def test_row_without_duty__has_no_timeout() -> None:
    with pytest.raises(ValueError, match="ECHO"):
        DbwReceiver(Direction.TO_AGENT).timed_out(matrix.ECHO, 0)


OTHER = 0x08FF1181


@pytest.mark.parametrize("other", [OTHER, 0x08FF1100, 0x0CFF1180, 0x00FF1180])
@pytest.mark.requirement("HF-BUS-04")
def test_two_frames_of_a_group_under_another_id__conflict(other: int) -> None:
    _, receiver = _qualified()
    intruder = DbwSender()
    first, second = (
        receiver.receive(t_ms * MS, other, intruder.encode(DRIVE)[1]) for t_ms in (45, 65)
    )
    assert (first.conflict, second.conflict) == (False, True)
    assert (first.message, second.message) == (None, None)
    assert receiver.refused == {"qualifying": 2, "second_source": 2}


def test_one_frame_under_another_id__is_not_used_and_no_conflict() -> None:
    sender, receiver = _qualified()
    received = receiver.receive(60 * MS, OTHER, sender.encode(DRIVE)[1])
    assert not received.conflict
    assert received.message is None
    assert receiver.age_ns(matrix.DRIVE_CMD, 60 * MS) == 20 * MS


def test_two_frames_under_two_other_ids__no_conflict() -> None:
    sender, receiver = _qualified()
    receiver.receive(60 * MS, OTHER, sender.encode(DRIVE)[1])
    assert not receiver.receive(80 * MS, OTHER + 1, sender.encode(DRIVE)[1]).conflict


@pytest.mark.parametrize(("later_ns", "conflict"), [(0, True), (1, False)])
def test_second_frame_under_another_id__counts_within_half_a_second(
    later_ns: int, conflict: bool
) -> None:
    sender, receiver = _qualified()
    receiver.receive(60 * MS, OTHER, sender.encode(DRIVE)[1])
    again_ns = 60 * MS + SECOND_SOURCE_NS + later_ns
    assert receiver.receive(again_ns, OTHER, sender.encode(DRIVE)[1]).conflict is conflict


def test_wrong_crc_under_another_id__is_nobodys_however_often() -> None:
    sender, receiver = _qualified()
    spoiled = [bytes(8), sender.encode(DRIVE)[1][:7], b""]
    heard = [receiver.receive((60 + n) * MS, OTHER, data) for n, data in enumerate(spoiled)]
    assert [(each.conflict, each.status) for each in heard] == [(False, E2EStatus.CRC)] * 3
    assert receiver.refused["crc"] == 3
    assert receiver.refused["second_source"] == 0


def test_two_echoes_under_another_id__conflict_though_echo_has_no_crc() -> None:
    receiver = DbwReceiver(Direction.TO_AGENT)
    other, data = matrix.ECHO.can_id + 1, encode(Echo(1, 2, 3), 0)[1]
    assert not receiver.receive(5 * MS, other, data).conflict
    assert receiver.receive(15 * MS, other, data).conflict


@pytest.mark.parametrize("other", [0x04FF2081, 0x18FEF100, 0x123, 0])
def test_id_of_nobody_here__is_no_business(other: int) -> None:
    received = DbwReceiver(Direction.TO_ECU).receive(0, other, bytes(8))
    assert received.spec is None
    assert not received.conflict


def test_echo__comes_without_protection() -> None:
    receiver = DbwReceiver(Direction.TO_AGENT)
    received = receiver.receive(5 * MS, *encode(Echo(1, 2, 3), 0))
    assert received.message == Echo(1, 2, 3)
    assert receiver.age_ns(matrix.ECHO, 6 * MS) == MS


def test_malformed_echo__refused_and_counted() -> None:
    receiver = DbwReceiver(Direction.TO_AGENT)
    assert receiver.receive(0, matrix.ECHO.can_id, b"\1" * 8).message is None
    assert receiver.receive(0, matrix.ECHO.can_id, b"\0" * 7).message is None
    assert receiver.refused == {"reserved_bits": 1, "length": 1}


@given(
    can_id=st.sampled_from([s.can_id for s in matrix.FRAMES]) | st.integers(0, 0x1FFFFFFF),
    data=st.binary(max_size=12),
    direction=st.sampled_from(Direction),
)
@settings(max_examples=500)
@pytest.mark.requirement("HF-BUS-07")
def test_any_bytes_under_any_id__never_raise(
    can_id: int, data: bytes, direction: Direction
) -> None:
    receiver = DbwReceiver(direction)
    for step in range(4):
        receiver.receive(step * 10 * MS, can_id, data)


def test_bytearray_from_the_bus__is_taken_as_bytes() -> None:
    sender, receiver = _qualified()
    can_id, data = sender.encode(DRIVE)
    assert receiver.receive(60 * MS, can_id, bytes(bytearray(data))).message == DRIVE
