"""Acceptance: what counts, what does not, and why, each step of the order by itself."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import Refusal
from protocol.frames import CommandFrame, CommandKind, frame_tag, vehicle_id
from protocol.freshness import Acceptance, Accepted, Histogram, Lease, Refused
from protocol.signals import DEFAULT_TIMING

MS = 1_000_000
NOW_NS = 7_777_000 * MS
KEY = bytes(range(32))
OTHER_KEY = bytes(32)
BOOT = 0xB007
VEHICLE_ID = vehicle_id("TRUCK-07")


@pytest.fixture
def acceptance() -> Acceptance:
    made = Acceptance(DEFAULT_TIMING, VEHICLE_ID, BOOT)
    made.open_lease(Lease(key_id=3, epoch=9, key=KEY))
    return made


def frame(age_ms: float = 40, hold_ms: float = 10, **changes: Any) -> CommandFrame:
    values: dict[str, Any] = {
        "kind": CommandKind.DRIVE,
        "vehicle_id": VEHICLE_ID,
        "key_id": 3,
        "ttl_ms": 250,
        "epoch": 9,
        "sequence": 100,
        "boot_tag": BOOT,
        "echo_hold_us": round(hold_ms * 1000),
        "source_stamp_us": 1,
        "echo_stamp_us": NOW_NS // 1000 - round(age_ms * 1000),
        "view_stamp_us": 1,
        "enable": True,
    }
    return CommandFrame(**{**values, **changes})


def reason_of(acceptance: Acceptance, data: bytes, now_ns: int = NOW_NS, path: int = 0) -> Refusal:
    outcome = acceptance.judge(now_ns, data, path)
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def accepted(acceptance: Acceptance, data: bytes, now_ns: int = NOW_NS, path: int = 0) -> Accepted:
    outcome = acceptance.judge(now_ns, data, path)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def test_fresh_command__accepted_with_its_ages(acceptance: Acceptance) -> None:
    outcome = accepted(acceptance, frame(age_ms=40, hold_ms=10).encode(KEY))

    assert (outcome.loop_age_us, outcome.uplink_us, outcome.at_ns) == (40_000, 30_000, NOW_NS)
    assert acceptance.paths[0].accepted == 1
    assert acceptance.paths[0].last_sequence == 100


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (frame(vehicle_id=1), Refusal.WRONG_VEHICLE),
        (frame(boot_tag=1), Refusal.WRONG_BOOT),
        (frame(epoch=8), Refusal.EPOCH_FENCED),
        (frame(epoch=10), Refusal.EPOCH_AHEAD),
        (frame(age_ms=-1, hold_ms=0), Refusal.ECHO_IN_FUTURE),
        (frame(age_ms=10, hold_ms=11), Refusal.ECHO_IN_FUTURE),
        (frame(age_ms=451, hold_ms=199), Refusal.LOOP_TOO_OLD),
        (frame(age_ms=300, hold_ms=49), Refusal.UPLINK_TOO_OLD),
        (frame(age_ms=300, hold_ms=201), Refusal.HOLD_TOO_LONG),
    ],
    ids=lambda value: value.value if isinstance(value, Refusal) else "",
)
@pytest.mark.requirement("HF-CMD-01")
def test_command_wrong_in_one_step__refused_by_that_reason(
    acceptance: Acceptance, made: CommandFrame, reason: Refusal
) -> None:
    assert reason_of(acceptance, made.encode(KEY)) is reason
    assert acceptance.refusals() == {reason: 1}


@pytest.mark.parametrize(
    "made",
    [
        frame(age_ms=450, hold_ms=200),
        frame(age_ms=250, hold_ms=0),
        frame(age_ms=0, hold_ms=0),
        frame(age_ms=200, hold_ms=200),
    ],
)
def test_command_just_inside_every_limit__accepted(
    acceptance: Acceptance, made: CommandFrame
) -> None:
    accepted(acceptance, made.encode(KEY))


@pytest.mark.parametrize("made", [frame(age_ms=450.001, hold_ms=200), frame(250.001, 0)])
@pytest.mark.requirement("HF-CMD-04")
def test_command_a_microsecond_outside__refused(acceptance: Acceptance, made: CommandFrame) -> None:
    reason_of(acceptance, made.encode(KEY))


@pytest.mark.requirement("HF-CMD-04")
def test_queued_copy_delivered_late__refused_however_regularly_it_arrives(
    acceptance: Acceptance,
) -> None:
    burst = [frame(age_ms=40, sequence=101 + number).encode(KEY) for number in range(100)]
    late_ns = NOW_NS + 500 * MS

    reasons = {reason_of(acceptance, data, late_ns + number) for number, data in enumerate(burst)}

    assert reasons == {Refusal.LOOP_TOO_OLD}


@pytest.mark.requirement("HF-CMD-03")
def test_sequence_again_on_the_same_path__replayed(acceptance: Acceptance) -> None:
    data = frame().encode(KEY)
    accepted(acceptance, data)

    assert reason_of(acceptance, data) is Refusal.REPLAYED


@pytest.mark.requirement("HF-CMD-03")
def test_copy_on_the_other_path__duplicate_with_its_lead(acceptance: Acceptance) -> None:
    data = frame().encode(KEY)
    accepted(acceptance, data, path=0)

    assert reason_of(acceptance, data, NOW_NS + 5 * MS, path=1) is Refusal.DUPLICATE
    assert reason_of(acceptance, data, NOW_NS + 6 * MS, path=1) is Refusal.REPLAYED
    assert acceptance.paths[1].duplicates == 1
    assert acceptance.paths[1].last_valid_ns == NOW_NS + 5 * MS
    assert acceptance.paths[0].lead_us.max_us == 5_000


@pytest.mark.parametrize(("late_us", "late"), [(220_000, 0), (220_001, 1)])
def test_copy_too_old_to_count__does_not_show_that_its_path_lives(
    acceptance: Acceptance, late_us: int, late: int
) -> None:
    data = frame(age_ms=40, hold_ms=10).encode(KEY)
    accepted(acceptance, data, path=0)

    assert reason_of(acceptance, data, NOW_NS + late_us * 1000, path=1) is Refusal.DUPLICATE
    copies = acceptance.paths[1]
    assert (copies.duplicates, copies.late) == (1, late)
    assert (copies.last_valid_ns is None) == bool(late)


def test_newest_sequence__is_that_of_the_last_command_that_counted(acceptance: Acceptance) -> None:
    before = acceptance.newest_sequence
    accepted(acceptance, frame().encode(KEY))
    after = acceptance.newest_sequence
    acceptance.close_lease()

    assert (before, after, acceptance.newest_sequence) == (None, 100, None)


@pytest.mark.requirement("HF-AUTH-10")
def test_same_sequence_with_other_bytes__conflicting_copy(acceptance: Acceptance) -> None:
    accepted(acceptance, frame().encode(KEY))

    assert reason_of(acceptance, frame(steer=1).encode(KEY)) is Refusal.CONFLICTING_COPY


@pytest.mark.requirement("HF-CMD-03")
def test_lower_sequence_never_heard__superseded(acceptance: Acceptance) -> None:
    accepted(acceptance, frame(sequence=100).encode(KEY))

    assert reason_of(acceptance, frame(sequence=99).encode(KEY)) is Refusal.SUPERSEDED


def test_echo_going_backwards__refused(acceptance: Acceptance) -> None:
    accepted(acceptance, frame(age_ms=40).encode(KEY))

    assert reason_of(acceptance, frame(age_ms=60, sequence=101).encode(KEY)) is (
        Refusal.ECHO_BACKWARDS
    )


@pytest.mark.requirement("HF-CMD-05")
def test_refused_command__moves_nothing_forward(acceptance: Acceptance) -> None:
    reason_of(acceptance, frame(sequence=200, throttle=0, boot_tag=1).encode(KEY))
    reason_of(acceptance, frame(sequence=200, age_ms=449, hold_ms=0).encode(KEY))

    accepted(acceptance, frame(sequence=101).encode(KEY))


@pytest.mark.requirement("HF-CMD-07")
def test_enable_pair_equal__refused_after_freshness(acceptance: Acceptance) -> None:
    data = frame().encode(KEY)
    body = data[:2] + b"\x00\x00" + data[4:-16]

    assert reason_of(acceptance, body + frame_tag(KEY, body)) is Refusal.ENABLE_MISMATCH


@pytest.mark.requirement("HF-CMD-06")
def test_value_out_of_range__refused_and_sequence_not_used_up(acceptance: Acceptance) -> None:
    data = frame().encode(KEY)
    body = data[:54] + (10_001).to_bytes(2, "little") + data[56:-16]

    assert reason_of(acceptance, body + frame_tag(KEY, body)) is Refusal.OUT_OF_RANGE
    accepted(acceptance, data)


@pytest.mark.requirement("HF-CMD-02")
def test_lease_ended__its_frames_are_fenced_and_the_next_lease_starts_clean(
    acceptance: Acceptance,
) -> None:
    accepted(acceptance, frame(sequence=500).encode(KEY))
    acceptance.close_lease()
    assert reason_of(acceptance, frame(sequence=501).encode(KEY)) is Refusal.EPOCH_FENCED

    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))

    assert reason_of(acceptance, frame(sequence=502).encode(KEY)) is Refusal.EPOCH_FENCED
    accepted(acceptance, frame(key_id=4, epoch=11, sequence=1).encode(OTHER_KEY))


def test_many_leases_later__the_first_key_is_forgotten(acceptance: Acceptance) -> None:
    for number in range(10, 20):
        acceptance.open_lease(Lease(key_id=number, epoch=number, key=OTHER_KEY))

    assert reason_of(acceptance, frame().encode(KEY)) is Refusal.UNKNOWN_KEY


def test_no_lease_at_all__key_unknown() -> None:
    acceptance = Acceptance(DEFAULT_TIMING, VEHICLE_ID, BOOT)

    assert reason_of(acceptance, frame().encode(KEY)) is Refusal.UNKNOWN_KEY


def test_histogram__percentiles_are_upper_bin_edges_and_the_max_is_exact() -> None:
    histogram = Histogram()
    for value_us in [*range(0, 100_000, 1000), 123_456]:
        histogram.add(value_us)

    assert histogram.summary() == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 123.456}


def test_empty_histogram__knows_nothing() -> None:
    assert Histogram().summary() == {"p50": None, "p95": None, "p99": None, "max": None}
