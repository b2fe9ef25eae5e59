"""Profile 2 equals two independent packages; the receiver follows HF-DBW v1's rules."""

from __future__ import annotations

import pytest
from cantools.autosar import compute_profile2_crc
from e2e.p02 import e2e_p02_check, e2e_p02_protect
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.dbw import matrix
from protocol.dbw.e2e import E2EReceiver, E2EStatus, crc8, crc_fits, protect
from protocol.dbw.matrix import FrameSpec

MS = 1_000_000
SUP = matrix.SUP_CMD
DRIVE = matrix.DRIVE_CMD
_PROTECTED = [spec for spec in matrix.FRAMES if spec.data_ids is not None]


def _frame(spec: FrameSpec, counter: int, fill: int = 0) -> bytes:
    assert spec.data_ids is not None
    return protect(bytes([counter % 16]) + bytes([fill]) * 6, spec.data_ids)


class _Line:
    """A receiver with a clock."""

    def __init__(self, spec: FrameSpec = SUP, now_ms: int = 1000) -> None:
        self.spec = spec
        self.receiver = E2EReceiver(spec)
        self.now_ms = now_ms

    def take(self, counter: int, after_ms: int | None = None, fill: int = 0) -> E2EStatus:
        self.now_ms += self.spec.period_ms if after_ms is None else after_ms
        return self.receiver.check(self.now_ms * MS, _frame(self.spec, counter, fill))

    def corrupt(self, after_ms: int | None = None) -> E2EStatus:
        self.now_ms += self.spec.period_ms if after_ms is None else after_ms
        frame = _frame(self.spec, 0)
        return self.receiver.check(self.now_ms * MS, bytes([frame[0] ^ 0x10]) + frame[1:])

    def qualified(self) -> _Line:
        for counter in (0, 1, 2):
            self.take(counter)
        assert self.receiver.qualified
        return self

    def timed_out(self) -> bool:
        return self.receiver.timed_out(self.now_ms * MS)


def test_crc_of_the_check_string__is_the_catalogue_value() -> None:
    assert crc8(b"123456789") == 0xDF


@given(
    spec=st.sampled_from(_PROTECTED),
    body=st.binary(min_size=7, max_size=7),
    wrong=st.integers(1, 255),
)
@settings(max_examples=2000)
@pytest.mark.requirement("HF-BUS-01")
def test_protection__equals_autosar_e2e_and_cantools(
    spec: FrameSpec, body: bytes, wrong: int
) -> None:
    assert spec.data_ids is not None
    mine = protect(body, spec.data_ids)
    theirs = bytearray(b"\0" + body)
    e2e_p02_protect(theirs, spec.data_ids, increment_counter=False)
    assert mine == bytes(theirs)
    assert mine[0] == compute_profile2_crc(mine, spec.data_ids[mine[1] & 15])
    assert crc_fits(mine, spec.data_ids)
    broken = bytes([mine[0] ^ wrong]) + mine[1:]
    assert not crc_fits(broken, spec.data_ids)
    assert not e2e_p02_check(broken, spec.data_ids, length=0)


@given(spec=st.sampled_from(_PROTECTED), frame=st.binary(min_size=8, max_size=8))
@settings(max_examples=2000)
@pytest.mark.requirement("HF-BUS-01")
def test_check__agrees_with_autosar_e2e_on_any_bytes(spec: FrameSpec, frame: bytes) -> None:
    assert spec.data_ids is not None
    assert crc_fits(frame, spec.data_ids) == e2e_p02_check(frame, spec.data_ids, length=0)


@pytest.mark.parametrize("length", [0, 1])
def test_check_of_almost_nothing__is_false(length: int) -> None:
    assert not crc_fits(bytes(length), bytes(16))


def test_first_three_frames__only_the_third_is_usable() -> None:
    line = _Line()
    assert [line.take(c) for c in (5, 6, 7, 8)] == [
        E2EStatus.QUALIFYING,
        E2EStatus.QUALIFYING,
        E2EStatus.OK,
        E2EStatus.OK,
    ]


def test_bad_frame_while_qualifying__starts_again() -> None:
    line = _Line()
    line.take(0)
    line.take(1)
    line.corrupt()
    assert [line.take(c) for c in (3, 4, 5)][-2:] == [E2EStatus.QUALIFYING, E2EStatus.OK]


def test_wrap_15_to_0__is_in_sequence() -> None:
    line = _Line().qualified()
    assert {line.take(c) for c in range(3, 100_003)} == {E2EStatus.OK}
    counts = line.receiver.counts
    assert (counts.sequence, counts.lost, counts.repeat, counts.burst) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("spec", "delta", "status"),
    [
        (SUP, 1, E2EStatus.OK),
        (SUP, 2, E2EStatus.SOME_LOST),
        (SUP, 3, E2EStatus.SOME_LOST),
        (SUP, 4, E2EStatus.WRONG_SEQUENCE),
        (SUP, 15, E2EStatus.WRONG_SEQUENCE),
        (DRIVE, 1, E2EStatus.OK),
        (DRIVE, 2, E2EStatus.SOME_LOST),
        (DRIVE, 3, E2EStatus.WRONG_SEQUENCE),
        (DRIVE, 15, E2EStatus.WRONG_SEQUENCE),
    ],
    ids=str,
)
def test_counter_step__is_judged_by_the_rows_limit(
    spec: FrameSpec, delta: int, status: E2EStatus
) -> None:
    line = _Line(spec).qualified()
    assert line.take(2 + delta) is status
    assert line.receiver.counts.lost == (delta - 1 if status.usable else 0)


def test_three_steps_after_the_timeout__qualifies_anew() -> None:
    line = _Line().qualified()
    assert line.take(5, after_ms=50) is E2EStatus.SOME_LOST
    assert line.take(8, after_ms=51) is E2EStatus.QUALIFYING


@pytest.mark.requirement("HF-BUS-03")
def test_wrong_sequence__three_good_frames_before_use() -> None:
    line = _Line(DRIVE).qualified()
    assert [line.take(c) for c in (9, 10, 11, 12, 13)] == [
        E2EStatus.WRONG_SEQUENCE,
        E2EStatus.QUALIFYING,
        E2EStatus.QUALIFYING,
        E2EStatus.OK,
        E2EStatus.OK,
    ]


@pytest.mark.requirement("HF-BUS-02")
def test_repeated_frame__ignored_and_does_not_refresh() -> None:
    line = _Line().qualified()
    assert {line.take(2) for _ in range(5)} == {E2EStatus.REPEATED}
    assert line.receiver.counts.repeat == 5
    assert not line.timed_out()
    line.now_ms += 1
    assert line.timed_out()


def test_counter_frozen_for_ever__never_usable_again() -> None:
    line = _Line().qualified()
    assert not any(line.take(2).usable for _ in range(1000))


def test_bad_crc__does_not_refresh() -> None:
    line = _Line().qualified()
    for _ in range(5):
        assert line.corrupt() is E2EStatus.CRC
    line.corrupt(after_ms=1)
    assert line.timed_out()


def test_one_bad_crc__next_frame_is_usable() -> None:
    line = _Line().qualified()
    line.corrupt()
    assert line.take(4) is E2EStatus.SOME_LOST


@pytest.mark.parametrize("length", [0, 1, 7, 9])
def test_wrong_length__counted_as_bad(length: int) -> None:
    line = _Line().qualified()
    status = line.receiver.check(line.now_ms * MS, bytes(length))
    assert status is E2EStatus.LENGTH
    assert line.receiver.counts.crc == 1


def test_score_at_five__fault_until_three_good_frames() -> None:
    line = _Line(DRIVE).qualified()
    for counter in (3, 4, 5, 6):
        line.corrupt(after_ms=1)
        line.corrupt(after_ms=1)
        if line.receiver.fault:
            break
        assert line.take(counter, after_ms=1).usable
    assert line.receiver.fault
    assert not line.receiver.qualified
    assert [line.take(c, after_ms=20) for c in (7, 8, 9)] == [
        E2EStatus.QUALIFYING,
        E2EStatus.QUALIFYING,
        E2EStatus.OK,
    ]
    assert not line.receiver.fault


def test_score__leaks_one_for_each_good_frame() -> None:
    line = _Line().qualified()
    counter = 3
    for _ in range(50):
        line.corrupt(after_ms=5)
        assert line.take(counter, after_ms=5).usable
        counter += 1
    assert not line.receiver.fault


def test_more_than_1_2_times_the_rate__excess_is_ignored_and_flagged() -> None:
    line = _Line(DRIVE)
    statuses = [line.take(c, after_ms=1) for c in range(40)]
    assert statuses.count(E2EStatus.OK) == 15
    assert set(statuses[17:]) == {E2EStatus.BURST}
    assert line.receiver.burst
    assert line.receiver.counts.burst > 0


def test_burst_over__the_nominal_rate_is_usable_and_not_flagged() -> None:
    line = _Line(DRIVE)
    for counter in range(40):
        line.take(counter, after_ms=1)
    for counter in range(40, 60):
        line.take(counter)
    assert line.take(60) is E2EStatus.OK
    assert not line.receiver.burst


def test_burst__does_not_refresh() -> None:
    line = _Line(DRIVE)
    for counter in range(17):
        line.take(counter, after_ms=1)
    last_ns = line.receiver.last_usable_ns
    assert line.take(17, after_ms=1) is E2EStatus.BURST
    assert line.receiver.last_usable_ns == last_ns


@pytest.mark.parametrize("phase", range(16))
@pytest.mark.requirement("HF-BUS-04")
def test_two_senders_under_one_id__conflict_within_two_cycles(phase: int) -> None:
    line = _Line().qualified()
    statuses = []
    for cycle in range(3, 6):
        statuses.append(line.take(cycle, after_ms=5, fill=0))
        statuses.append(line.take(cycle + phase, after_ms=5, fill=1))
    assert E2EStatus.CONFLICT in statuses[:5]


def test_same_counter_other_bytes_then_the_next__conflict() -> None:
    line = _Line().qualified()
    assert line.take(2, after_ms=1, fill=9) is E2EStatus.REPEATED
    assert line.take(3) is E2EStatus.CONFLICT
    assert line.receiver.counts.conflict == 1


def test_same_frame_twice__is_no_conflict() -> None:
    line = _Line().qualified()
    for counter in range(3, 50):
        assert line.take(counter, after_ms=10) is E2EStatus.OK
        assert line.take(counter, after_ms=0) is E2EStatus.REPEATED


@pytest.mark.parametrize("jump", range(4, 16))
def test_one_jump__is_a_broken_sequence_and_no_conflict(jump: int) -> None:
    line = _Line(matrix.BODY_CMD).qualified()
    statuses = [line.take(2 + jump + step) for step in range(8)]
    assert statuses[0] is E2EStatus.WRONG_SEQUENCE
    assert E2EStatus.CONFLICT not in statuses
    assert statuses[3:] == [E2EStatus.OK] * 5


def test_single_tampered_counter__is_no_conflict() -> None:
    line = _Line().qualified()
    statuses = [line.take(c) for c in (3, 12, 5, 6, 7, 8, 9)]
    assert E2EStatus.CONFLICT not in statuses
    assert statuses[-1] is E2EStatus.OK


def test_late_frame_and_longest_gap__are_counted() -> None:
    line = _Line().qualified()
    line.take(3, after_ms=15)
    assert line.receiver.counts.late == 0
    line.take(4, after_ms=16)
    assert line.receiver.counts.late == 1
    assert line.receiver.counts.max_gap_ms == 16


def test_age__counts_from_the_last_usable_frame() -> None:
    line = _Line()
    assert line.receiver.age_ns(0) is None
    assert line.timed_out()
    line.qualified()
    assert line.receiver.age_ns((line.now_ms + 7) * MS) == 7 * MS


def test_unprotected_row__has_no_receiver() -> None:
    with pytest.raises(ValueError, match="ECHO"):
        E2EReceiver(matrix.ECHO)


def test_repeats_for_longer_than_the_timeout__next_frame_qualifies_anew() -> None:
    line = _Line().qualified()
    for _ in range(5):
        line.take(2)
    assert line.take(3, after_ms=1) is E2EStatus.QUALIFYING


def test_after_a_conflict__three_good_frames_before_use() -> None:
    line = _Line().qualified()
    line.take(2, after_ms=1, fill=9)
    assert line.take(3) is E2EStatus.CONFLICT
    assert [line.take(c) for c in (4, 5, 6)][-2:] == [E2EStatus.QUALIFYING, E2EStatus.OK]


def test_twin_then_a_lost_frame__conflict_still() -> None:
    line = _Line().qualified()
    line.take(2, after_ms=1, fill=9)
    assert line.take(4) is E2EStatus.CONFLICT


def test_twin_then_a_jump__is_forgotten() -> None:
    line = _Line().qualified()
    line.take(2, after_ms=1, fill=9)
    assert line.take(9) is E2EStatus.WRONG_SEQUENCE
    assert line.take(10) is E2EStatus.QUALIFYING
