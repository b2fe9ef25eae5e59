"""The receiver's rules frame by frame: exact counters, exact times, and what a break forgets."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from protocol.dbw import matrix
from protocol.dbw.e2e import E2ECounts, E2EReceiver, E2EStatus, crc8, crc_fits, protect
from protocol.dbw.matrix import FrameSpec

MS = 1_000_000
SUP = matrix.SUP_CMD
DRIVE = matrix.DRIVE_CMD
OK, LOST, QUALIFYING = E2EStatus.OK, E2EStatus.SOME_LOST, E2EStatus.QUALIFYING


def sealed(spec: FrameSpec, counter: int, fill: int = 0) -> bytes:
    assert spec.data_ids is not None
    return protect(bytes([counter % 16, *[fill] * 6]), spec.data_ids)


class Line:
    """A receiver and the clock of its frames."""

    def __init__(self, spec: FrameSpec = SUP) -> None:
        self.spec = spec
        self.receiver = E2EReceiver(spec)
        self.now_ns = 1000 * MS

    def take(self, counter: int, after_ns: int | None = None, fill: int = 0) -> E2EStatus:
        self.now_ns += self.spec.period_ms * MS if after_ns is None else after_ns
        return self.receiver.check(self.now_ns, sealed(self.spec, counter, fill))

    def spoil(self, times: int = 1) -> list[E2EStatus]:
        """Take frames whose CRC does not fit, one nanosecond apart."""
        frame = sealed(self.spec, 0)
        self.now_ns += times
        return [self.receiver.check(self.now_ns, b"\0" + frame[1:]) for _ in range(times)]

    def counted(self) -> dict[str, int]:
        return {name: value for name, value in asdict(self.receiver.counts).items() if value}


@pytest.fixture
def line() -> Line:
    """A line whose counter stands at 2, qualified."""
    made = Line()
    assert [made.take(counter) for counter in (0, 1, 2)] == [QUALIFYING, QUALIFYING, OK]
    return made


def has_fault(line: Line) -> bool:
    return line.receiver.fault


# --- CRC ----------------------------------------------------------------------------------------


def test_crc__is_that_of_the_catalogue() -> None:
    assert crc8(b"") == 0x00
    assert crc8(b"123456789") == 0xDF
    assert crc8(bytes(range(256))) == 0x06
    assert crc8(b"\x80") == 0x5E


@pytest.mark.parametrize("counter", range(16))
def test_protection__is_the_crc_over_the_body_and_the_counters_data_id(counter: int) -> None:
    body = bytes([0x50 | counter, 1, 2, 3, 4, 5, 6])
    data_ids = bytes(range(100, 116))

    protected = protect(body, data_ids)

    assert protected == bytes([crc8(body + data_ids[counter : counter + 1])]) + body
    assert crc_fits(protected, data_ids)
    assert not crc_fits(protected, bytes(range(99, 115)))


def test_two_bytes__are_enough_to_be_checked_and_one_is_not() -> None:
    data_ids = bytes(range(16))
    crc = crc8(b"\x03\x03")

    assert crc_fits(bytes([crc, 3]), data_ids)
    assert crc_fits(bytes([crc]), data_ids) is False
    assert crc_fits(b"", data_ids) is False


# --- a new receiver -----------------------------------------------------------------------------


def test_new_receiver__has_counted_nothing_and_trusts_nothing() -> None:
    receiver = E2EReceiver(SUP)

    assert asdict(receiver.counts) == dict.fromkeys(
        ("ok", "crc", "repeat", "lost", "sequence", "late", "burst", "conflict", "max_gap_ms"), 0
    )
    assert receiver.counts == E2ECounts()
    assert receiver.spec is SUP
    assert receiver.last_usable_ns is None
    assert receiver.age_ns(5) is None
    assert receiver.timed_out(0)
    assert (receiver.qualified, receiver.fault, receiver.burst) == (False, False, False)


def test_row_without_protection__has_no_receiver() -> None:
    with pytest.raises(ValueError, match=r"^ECHO carries no E2E protection$"):
        E2EReceiver(matrix.ECHO)


def test_statuses__two_are_usable_and_each_has_its_word() -> None:
    assert {status.name: status.value for status in E2EStatus} == {
        "OK": "ok",
        "SOME_LOST": "some_lost",
        "QUALIFYING": "qualifying",
        "REPEATED": "repeated",
        "WRONG_SEQUENCE": "wrong_sequence",
        "LENGTH": "length",
        "CRC": "crc",
        "BURST": "burst",
        "CONFLICT": "conflict",
    }
    assert [status for status in E2EStatus if status.usable] == [OK, LOST]


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "silence_ms"), [(SUP, 50), (DRIVE, 100), (matrix.MOTION, 200), (matrix.E2E_STAT, 5000)]
)
def test_silence__times_out_after_the_rows_time_or_five_periods(
    spec: FrameSpec, silence_ms: int
) -> None:
    line = Line(spec)
    for counter in range(3):
        line.take(counter)
    assert line.receiver.last_usable_ns == line.now_ns

    assert not line.receiver.timed_out(line.now_ns + silence_ms * MS)
    assert line.receiver.timed_out(line.now_ns + silence_ms * MS + 1)
    assert line.receiver.age_ns(line.now_ns + 7) == 7


def test_silence_exactly_the_time_out__the_sequence_goes_on(line: Line) -> None:
    assert line.take(3, after_ns=50 * MS) is OK
    assert line.take(4, after_ns=50 * MS + 1) is QUALIFYING
    assert not line.receiver.qualified


def test_gap_above_one_and_a_half_periods__counted_as_late(line: Line) -> None:
    line.take(3, after_ns=15 * MS)
    assert line.counted() == {"ok": 2, "max_gap_ms": 15}

    line.take(4, after_ns=15 * MS + 1)
    line.take(5, after_ns=15 * MS + 1)
    line.take(6)
    assert line.counted() == {"ok": 5, "late": 2, "max_gap_ms": 15}


def test_longest_gap__is_the_longest_of_all_in_whole_milliseconds(line: Line) -> None:
    line.take(3, after_ns=30 * MS - 1)
    line.take(4, after_ns=10 * MS)

    assert line.receiver.counts.max_gap_ms == 29


# --- the sequence -------------------------------------------------------------------------------


def test_lost_frames__counted_and_the_frame_usable(line: Line) -> None:
    assert line.take(4) is LOST
    assert line.take(7) is LOST
    assert line.take(8) is OK
    assert line.counted() == {"ok": 4, "lost": 3, "max_gap_ms": 10}


def test_repeated_frame__counted_and_moves_nothing(line: Line) -> None:
    assert line.take(2) is E2EStatus.REPEATED
    assert line.take(2) is E2EStatus.REPEATED

    assert line.counted() == {"ok": 1, "repeat": 2}
    assert line.receiver.age_ns(line.now_ns) == 20 * MS
    assert line.take(3) is OK


def test_broken_sequence__counted_and_qualifies_anew(line: Line) -> None:
    assert line.take(9) is E2EStatus.WRONG_SEQUENCE
    assert not line.receiver.qualified
    assert [line.take(counter) for counter in (10, 11, 12)] == [QUALIFYING, QUALIFYING, OK]
    assert line.counted() == {"ok": 2, "sequence": 1, "late": 1, "max_gap_ms": 40}


def test_goes_on_where_the_broken_sequence_stood__conflict(line: Line) -> None:
    line.take(9)

    assert line.take(3) is E2EStatus.CONFLICT
    assert line.counted() == {"ok": 1, "sequence": 1, "conflict": 1}


def test_goes_on_where_it_stood_before_the_counters_wrap__conflict() -> None:
    line = Line()
    for counter in (13, 14, 15):
        line.take(counter)
    line.take(8)

    assert line.take(0) is E2EStatus.CONFLICT


def test_goes_on_where_it_stood_two_frames_ago__forgotten(line: Line) -> None:
    line.take(9)
    line.take(10)

    assert line.take(3) is E2EStatus.WRONG_SEQUENCE


def test_silence_after_a_broken_sequence__where_it_stood_is_forgotten(line: Line) -> None:
    line.take(9)
    line.take(2, after_ns=60 * MS)

    assert line.take(3) is QUALIFYING


def test_twin_heard_and_a_silence__the_twin_is_forgotten(line: Line) -> None:
    line.take(2, fill=9)
    line.take(3, after_ns=60 * MS)

    assert line.take(4) is QUALIFYING
    assert line.receiver.counts.conflict == 0


@pytest.mark.parametrize("again", [0, 9])
def test_twin_heard_once_then_repeats__still_a_conflict(line: Line, again: int) -> None:
    line.take(2, fill=9)
    line.take(2, fill=again)

    assert line.take(3) is E2EStatus.CONFLICT


@pytest.mark.parametrize(("counter", "status"), [(5, "conflict"), (6, "wrong_sequence")])
def test_twin_heard__a_step_inside_the_rows_limit_is_a_conflict(
    line: Line, counter: int, status: str
) -> None:
    line.take(2, fill=9)

    assert line.take(counter) == status


def test_conflict__told_once_then_three_good_frames(line: Line) -> None:
    line.take(2, fill=9)

    assert line.take(3) is E2EStatus.CONFLICT
    assert not line.receiver.qualified
    assert [line.take(counter) for counter in (4, 5, 6)] == [QUALIFYING, QUALIFYING, OK]


# --- the score ----------------------------------------------------------------------------------


def test_five_bad_frames__fault_and_one_good_less(line: Line) -> None:
    def verdict() -> tuple[bool, bool]:
        return line.receiver.fault, line.receiver.qualified

    assert line.spoil(4) == [E2EStatus.CRC] * 4
    assert verdict() == (False, True)
    line.spoil()
    assert verdict() == (True, False)
    line.spoil(10)
    assert line.take(3) is QUALIFYING
    assert verdict() == (False, False)
    assert line.receiver.counts.crc == 15


def test_new_receiver__needs_five_bad_frames_for_a_fault() -> None:
    line = Line()
    line.spoil(4)
    assert not has_fault(line)
    line.spoil(1)
    assert has_fault(line)


def test_good_frames__do_not_save_up_against_later_bad_ones(line: Line) -> None:
    for counter in range(3, 30):
        line.take(counter)

    line.spoil(5)
    assert line.receiver.fault


def test_two_bad_frames_one_good__the_score_rises_by_one(line: Line) -> None:
    line.spoil(2)
    line.take(3)
    line.spoil(3)
    assert not has_fault(line)
    line.spoil(1)
    assert has_fault(line)


def test_broken_sequences__count_for_the_score_and_not_as_crc(line: Line) -> None:
    for counter in (9, 2, 9, 14):
        line.take(counter)
    line.spoil(1)

    assert line.receiver.fault
    assert (line.receiver.counts.sequence, line.receiver.counts.crc) == (4, 1)


def test_bad_frame_before_the_first_good_one__qualifying_takes_three() -> None:
    line = Line()
    line.spoil(1)
    assert [line.take(counter) for counter in (0, 1)] == [QUALIFYING] * 2
    line.spoil(1)
    assert [line.take(counter) for counter in (2, 3, 4)] == [QUALIFYING, QUALIFYING, OK]


@pytest.mark.parametrize("length", [0, 1, 7, 9])
def test_wrong_length__bad_and_counted_with_the_crc(line: Line, length: int) -> None:
    for _ in range(5):
        assert line.receiver.check(line.now_ns, bytes(length)) is E2EStatus.LENGTH

    assert line.receiver.counts.crc == 5
    assert line.receiver.fault


# --- the rate -----------------------------------------------------------------------------------


def filled(gap_ns: int) -> tuple[Line, list[E2EStatus]]:
    """A line of 15 frames a window whose window is full, one gap before the next frame."""
    line = Line(DRIVE)
    statuses = [line.take(counter, after_ns=0) for counter in range(17)]
    statuses.append(line.take(17, after_ns=gap_ns))
    return line, statuses


def test_window_full__the_next_frame_is_ignored_until_the_window_has_passed() -> None:
    line, statuses = filled(100 * MS)
    assert statuses == [QUALIFYING] * 2 + [OK] * 15 + [E2EStatus.BURST]
    assert line.receiver.age_ns(line.now_ns) == 100 * MS
    assert line.receiver.counts.ok == 15


def test_frames_in_the_window__flagged_as_a_burst_from_the_sixteenth() -> None:
    line = Line(DRIVE)
    flags = []
    for counter in range(17):
        line.take(counter, after_ns=1)
        flags.append(line.receiver.burst)

    assert flags == [False] * 15 + [True] * 2
    assert line.receiver.counts.burst == 2


@pytest.mark.parametrize(("after_ns", "burst"), [(250 * MS - 1, True), (250 * MS, False)])
def test_oldest_of_sixteen_leaves_the_window__no_burst(after_ns: int, burst: bool) -> None:
    line = Line(DRIVE)
    frame = sealed(DRIVE, 0)
    for number in range(15):
        line.receiver.check(line.now_ns + number, frame)
    line.receiver.check(line.now_ns + after_ns, frame)

    assert line.receiver.burst is burst
    assert line.receiver.counts.burst == burst


@pytest.mark.parametrize(("last_ns", "status"), [(1, "burst"), (0, "ok")])
def test_oldest_usable_frame_leaves_the_window__the_next_is_usable(
    last_ns: int, status: str
) -> None:
    line = Line(DRIVE)
    for counter in range(17):
        line.take(counter, after_ns=0)
    line.take(18, after_ns=90 * MS)
    line.take(20, after_ns=90 * MS)

    assert line.take(21, after_ns=70 * MS - last_ns) == status
