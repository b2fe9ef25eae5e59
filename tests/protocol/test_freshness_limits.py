"""Acceptance at the exact edge of each limit, with every counter and every reason in words."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest

from protocol.errors import Refusal
from protocol.frames import CommandFrame, CommandKind, frame_tag, vehicle_id
from protocol.freshness import Acceptance, Accepted, Histogram, Lease, PathCounters, Refused
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


def frame(age_us: int = 40_000, hold_us: int = 10_000, **changes: Any) -> CommandFrame:
    values: dict[str, Any] = {
        "kind": CommandKind.DRIVE,
        "vehicle_id": VEHICLE_ID,
        "key_id": 3,
        "ttl_ms": 250,
        "epoch": 9,
        "sequence": 100,
        "boot_tag": BOOT,
        "echo_hold_us": hold_us,
        "source_stamp_us": 1,
        "echo_stamp_us": NOW_NS // 1000 - age_us,
        "view_stamp_us": 1,
        "enable": True,
    }
    return CommandFrame(**{**values, **changes})


def judged(
    acceptance: Acceptance, made: CommandFrame, path: int = 0, after_ns: int = 0, key: bytes = KEY
) -> Accepted | Refused:
    return acceptance.judge(NOW_NS + after_ns, made.encode(key), path)


def told(outcome: Accepted | Refused) -> tuple[Refusal, str]:
    assert isinstance(outcome, Refused)
    return outcome.reason, outcome.text


# --- histogram ----------------------------------------------------------------------------------


def test_histogram_bins__are_one_millisecond_wide_and_the_last_takes_all_above() -> None:
    histogram = Histogram()
    for value_us in (-5, 0, 999, 1000, 510_999, 511_000, 2_000_000):
        histogram.add(value_us)

    filled = {index: number for index, number in enumerate(histogram.bins) if number}
    assert filled == {0: 3, 1: 1, 510: 1, 511: 2}
    assert (histogram.count, histogram.max_us) == (7, 2_000_000)


def test_histogram_of_negative_values_only__has_the_maximum_zero() -> None:
    histogram = Histogram()
    histogram.add(-5)

    assert (histogram.max_us, histogram.percentile_ms(0.5)) == (0, 0.0)


def test_new_histogram__has_512_empty_bins_of_its_own() -> None:
    first, second = Histogram(), Histogram()
    first.add(0)

    assert second.bins == [0] * 512
    assert (second.count, second.max_us) == (0, 0)
    assert second.percentile_ms(0.5) is None


@pytest.mark.parametrize(
    ("share", "edge_ms"),
    [(0.0, 6.0), (0.25, 6.0), (0.26, 9.0), (0.5, 9.0), (0.51, 301.0), (0.76, 400.0), (1.0, 400.0)],
)
def test_percentile__is_the_upper_edge_of_its_bin_and_never_above_the_maximum(
    share: float, edge_ms: float
) -> None:
    histogram = Histogram()
    for value_us in (5_000, 8_500, 300_999, 400_000):
        histogram.add(value_us)

    assert histogram.percentile_ms(share) == edge_ms


def test_summary__gives_four_figures_in_milliseconds() -> None:
    histogram = Histogram()
    for value_us in range(0, 200_000, 1000):
        histogram.add(value_us)
    histogram.add(777_777)

    assert histogram.summary() == {"p50": 101.0, "p95": 191.0, "p99": 199.0, "max": 777.777}


# --- counters -----------------------------------------------------------------------------------


def test_new_path__has_counted_nothing() -> None:
    assert asdict(PathCounters()) == {
        "accepted": 0,
        "duplicates": 0,
        "late": 0,
        "overtaken": 0,
        "refused": {},
        "last_sequence": None,
        "last_valid_ns": None,
        "lead_us": {"bins": [0] * 512, "count": 0, "max_us": 0},
        "loop_us": {"bins": [0] * 512, "count": 0, "max_us": 0},
        "uplink_us": {"bins": [0] * 512, "count": 0, "max_us": 0},
    }


def test_acceptance_without_a_number_of_paths__has_two() -> None:
    assert len(Acceptance(DEFAULT_TIMING, VEHICLE_ID, BOOT).paths) == 2


def test_accepted_commands__counted_on_their_path_and_in_the_histograms(
    acceptance: Acceptance,
) -> None:
    made = frame(sequence=100)
    outcome = judged(acceptance, made, path=1)
    judged(acceptance, frame(sequence=105), path=1, after_ns=3)

    assert outcome == Accepted(made, 1, NOW_NS, 40_000, 30_000)
    counters = acceptance.paths[1]
    assert (counters.accepted, counters.duplicates, counters.refused) == (2, 0, {})
    assert (counters.last_sequence, counters.last_valid_ns) == (105, NOW_NS + 3)
    assert acceptance.paths[0] == PathCounters()
    assert (acceptance.loop_us.count, acceptance.loop_us.max_us) == (2, 40_000)
    assert (acceptance.uplink_us.count, acceptance.uplink_us.max_us) == (2, 30_000)
    assert (counters.loop_us.count, counters.loop_us.max_us) == (2, 40_000)
    assert (counters.uplink_us.count, counters.uplink_us.max_us) == (2, 30_000)


def test_copies_on_another_path__their_own_ages_counted_there_and_nowhere_else(
    acceptance: Acceptance,
) -> None:
    judged(acceptance, frame(), path=0)
    judged(acceptance, frame(), path=1, after_ns=2_000_999)

    copies = acceptance.paths[1]
    assert (copies.loop_us.count, copies.loop_us.max_us) == (1, 42_000)
    assert (copies.uplink_us.count, copies.uplink_us.max_us) == (1, 32_000)
    assert acceptance.paths[0].loop_us.count == acceptance.loop_us.count == 1
    assert acceptance.paths[0].uplink_us.count == acceptance.uplink_us.count == 1


def test_refused_commands__counted_by_path_and_reason_and_in_no_histogram(
    acceptance: Acceptance,
) -> None:
    for path in (0, 1, 1):
        assert judged(acceptance, frame(boot_tag=1), path) == Refused(
            Refusal.WRONG_BOOT, path, "command for an earlier boot"
        )
    judged(acceptance, frame(vehicle_id=1), path=1)
    acceptance.count_refusal(1, Refusal.RETAINED)
    acceptance.count_refusal(1, Refusal.RETAINED)

    assert acceptance.paths[0].refused == {Refusal.WRONG_BOOT: 1}
    assert acceptance.paths[1].refused == {
        Refusal.WRONG_BOOT: 2,
        Refusal.WRONG_VEHICLE: 1,
        Refusal.RETAINED: 2,
    }
    assert acceptance.refusals() == {
        Refusal.WRONG_BOOT: 3,
        Refusal.WRONG_VEHICLE: 1,
        Refusal.RETAINED: 2,
    }
    assert acceptance.paths[1].last_valid_ns is None
    assert acceptance.loop_us.count == acceptance.uplink_us.count == 0


# --- each step and its words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "reason", "text"),
    [
        (frame(vehicle_id=1), Refusal.WRONG_VEHICLE, "another vehicle's command"),
        (frame(boot_tag=1), Refusal.WRONG_BOOT, "command for an earlier boot"),
        (frame(epoch=8), Refusal.EPOCH_FENCED, "epoch of an ended lease"),
        (frame(epoch=10), Refusal.EPOCH_AHEAD, "epoch ahead of every lease"),
        (frame(-1, 0), Refusal.ECHO_IN_FUTURE, "echoes a state not yet sent"),
        (frame(450_001, 200_000), Refusal.LOOP_TOO_OLD, "loop too old"),
        (frame(300_000, 200_001), Refusal.HOLD_TOO_LONG, "echo held too long"),
        (frame(9_999, 10_000), Refusal.ECHO_IN_FUTURE, "held longer than the state is old"),
        (frame(250_001, 0), Refusal.UPLINK_TOO_OLD, "command too old"),
    ],
)
def test_just_outside_one_limit__refused_in_these_words(
    acceptance: Acceptance, made: CommandFrame, reason: Refusal, text: str
) -> None:
    assert told(judged(acceptance, made)) == (reason, text)


@pytest.mark.parametrize(
    "made",
    [frame(0, 0), frame(450_000, 200_000), frame(250_000, 0), frame(200_000, 200_000)],
)
def test_just_inside_every_limit__accepted(acceptance: Acceptance, made: CommandFrame) -> None:
    assert isinstance(judged(acceptance, made), Accepted)


def test_enable_pair_or_value_wrong__refused_and_the_sequence_is_free(
    acceptance: Acceptance,
) -> None:
    data = frame().encode(KEY)
    for body in (
        data[:2] + b"\x00\x00" + data[4:-16],
        data[:54] + (10_001).to_bytes(2, "little") + data[56:-16],
    ):
        outcome = acceptance.judge(NOW_NS, body + frame_tag(KEY, body), 0)
        assert isinstance(outcome, Refused)

    assert acceptance.refusals() == {Refusal.ENABLE_MISMATCH: 1, Refusal.OUT_OF_RANGE: 1}
    assert isinstance(judged(acceptance, frame()), Accepted)


def test_echo_of_the_first_moment_of_a_boot__accepted(acceptance: Acceptance) -> None:
    data = frame(echo_stamp_us=0).encode(KEY)

    assert isinstance(acceptance.judge(40 * MS, data, 0), Accepted)


def test_echo_stands_still__accepted_and_backwards_refused(acceptance: Acceptance) -> None:
    judged(acceptance, frame(40_000))

    assert isinstance(judged(acceptance, frame(40_000, sequence=101)), Accepted)
    assert told(judged(acceptance, frame(40_001, sequence=102))) == (
        Refusal.ECHO_BACKWARDS,
        "echo went backwards",
    )


# --- sequences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sequence", [0, 1, 2**32 - 1])
def test_first_command_of_a_lease__may_have_any_sequence(
    acceptance: Acceptance, sequence: int
) -> None:
    assert isinstance(judged(acceptance, frame(sequence=sequence)), Accepted)


def test_sequence_used__told_apart_as_replayed_copied_conflicting_or_superseded(
    acceptance: Acceptance,
) -> None:
    judged(acceptance, frame(sequence=100))

    assert told(judged(acceptance, frame(sequence=100))) == (
        Refusal.REPLAYED,
        "the same command again",
    )
    assert told(judged(acceptance, frame(sequence=100, steer=1), path=1)) == (
        Refusal.CONFLICTING_COPY,
        "same sequence, other bytes",
    )
    assert told(judged(acceptance, frame(sequence=99))) == (
        Refusal.SUPERSEDED,
        "sequence behind the last",
    )
    assert told(judged(acceptance, frame(sequence=100), path=1)) == (
        Refusal.DUPLICATE,
        "copy on the other path",
    )


def test_copies_on_several_paths__each_counts_once_with_its_lead() -> None:
    acceptance = Acceptance(DEFAULT_TIMING, VEHICLE_ID, BOOT, paths=3)
    acceptance.open_lease(Lease(key_id=3, epoch=9, key=KEY))
    judged(acceptance, frame(), path=1)

    reasons = [
        told(judged(acceptance, frame(), path, after_ns))[0]
        for path, after_ns in ((0, 2_000_000), (0, 3_000_000), (2, 7_001_999), (0, 8), (1, 9))
    ]

    assert reasons == [
        Refusal.DUPLICATE,
        Refusal.REPLAYED,
        Refusal.DUPLICATE,
        Refusal.REPLAYED,
        Refusal.REPLAYED,
    ]
    lead_us = acceptance.paths[1].lead_us
    assert (lead_us.count, lead_us.max_us, lead_us.bins[2], lead_us.bins[7]) == (2, 7_001, 1, 1)
    assert [counters.duplicates for counters in acceptance.paths] == [1, 0, 1]
    assert [counters.last_valid_ns for counters in acceptance.paths] == [
        NOW_NS + 2_000_000,
        NOW_NS,
        NOW_NS + 7_001_999,
    ]
    assert acceptance.refusals() == {Refusal.REPLAYED: 3}


@pytest.mark.parametrize(("late_us", "overtaken"), [(220_000, 1), (220_001, 0)])
def test_command_behind_a_newer_one_of_another_path__counts_for_its_path_while_in_time(
    acceptance: Acceptance, late_us: int, overtaken: int
) -> None:
    for sequence in (2, 4):
        judged(acceptance, frame(sequence=sequence), path=0)

    for sequence in (1, 3, 3, 1):
        outcome = judged(acceptance, frame(sequence=sequence), path=1, after_ns=late_us * 1000)
        assert told(outcome)[0] is Refusal.SUPERSEDED

    assert (acceptance.paths[0].overtaken, acceptance.paths[1].overtaken) == (0, 2 * overtaken)
    assert acceptance.paths[1].refused == {Refusal.SUPERSEDED: 4}


def test_command_behind_a_newer_one_of_its_own_path__was_not_overtaken_by_another(
    acceptance: Acceptance,
) -> None:
    for sequence in (0, 2, 4, 6):
        judged(acceptance, frame(sequence=sequence), path=0)
    judged(acceptance, frame(sequence=4), path=1)
    judged(acceptance, frame(sequence=2), path=1)

    judged(acceptance, frame(sequence=5), path=0)
    judged(acceptance, frame(sequence=3), path=1)
    before = acceptance.paths[1].overtaken
    judged(acceptance, frame(sequence=5), path=1)

    assert (acceptance.paths[0].overtaken, before, acceptance.paths[1].overtaken) == (0, 0, 1)


def test_first_command_of_a_path_that_fell_behind__was_overtaken_by_the_other(
    acceptance: Acceptance,
) -> None:
    for sequence, path in ((4, 1), (6, 0), (5, 1), (4, 1)):
        judged(acceptance, frame(sequence=sequence), path=path)

    assert (acceptance.paths[0].overtaken, acceptance.paths[1].overtaken) == (0, 1)


def test_256_sequences__remembered_and_older_ones_superseded(acceptance: Acceptance) -> None:
    for sequence in range(257):
        assert isinstance(judged(acceptance, frame(sequence=sequence)), Accepted)

    assert told(judged(acceptance, frame(sequence=0)))[0] is Refusal.SUPERSEDED
    assert told(judged(acceptance, frame(sequence=1)))[0] is Refusal.REPLAYED
    assert told(judged(acceptance, frame(sequence=256)))[0] is Refusal.REPLAYED


# --- leases -------------------------------------------------------------------------------------


def test_lease_closed__its_frames_are_fenced(acceptance: Acceptance) -> None:
    acceptance.close_lease()

    assert told(judged(acceptance, frame()))[0] is Refusal.EPOCH_FENCED


@pytest.mark.parametrize("epoch", [9, 10, 11])
def test_key_of_an_ended_lease__fenced_up_to_the_newest_epoch(
    acceptance: Acceptance, epoch: int
) -> None:
    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))

    assert told(judged(acceptance, frame(epoch=epoch)))[0] is Refusal.EPOCH_FENCED


def test_key_of_an_ended_lease_under_an_epoch_never_granted__epoch_ahead(
    acceptance: Acceptance,
) -> None:
    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))
    acceptance.close_lease()

    assert told(judged(acceptance, frame(epoch=12)))[0] is Refusal.EPOCH_AHEAD


def test_key_of_the_lease_under_an_older_lease_epoch__fenced(acceptance: Acceptance) -> None:
    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))
    made = frame(key_id=4, epoch=10)

    assert told(judged(acceptance, made, key=OTHER_KEY))[0] is Refusal.EPOCH_FENCED


def test_first_lease_of_all__an_epoch_above_it_is_ahead() -> None:
    acceptance = Acceptance(DEFAULT_TIMING, VEHICLE_ID, BOOT)
    acceptance.open_lease(Lease(key_id=3, epoch=0, key=KEY))

    assert isinstance(judged(acceptance, frame(epoch=0)), Accepted)
    assert told(judged(acceptance, frame(epoch=1)))[0] is Refusal.EPOCH_AHEAD


def test_lease_of_a_lower_epoch_opened_later__the_highest_is_remembered(
    acceptance: Acceptance,
) -> None:
    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))
    acceptance.open_lease(Lease(key_id=3, epoch=9, key=KEY))

    assert told(judged(acceptance, frame(epoch=11)))[0] is Refusal.EPOCH_FENCED
    assert told(judged(acceptance, frame(epoch=12)))[0] is Refusal.EPOCH_AHEAD


def test_next_lease__starts_with_a_clean_sequence_echo_and_memory(acceptance: Acceptance) -> None:
    judged(acceptance, frame(1_000, 0, sequence=500))
    acceptance.open_lease(Lease(key_id=4, epoch=11, key=OTHER_KEY))

    for made in (
        frame(90_000, 0, key_id=4, epoch=11, sequence=0),
        frame(90_000, 0, key_id=4, epoch=11, sequence=500),
    ):
        assert isinstance(judged(acceptance, made, key=OTHER_KEY), Accepted)
    late = frame(90_000, 0, key_id=4, epoch=11, sequence=499)
    assert told(judged(acceptance, late, key=OTHER_KEY))[0] is Refusal.SUPERSEDED


def test_eight_leases_later__the_key_is_still_known_and_after_nine_forgotten(
    acceptance: Acceptance,
) -> None:
    for number in range(10, 18):
        acceptance.open_lease(Lease(key_id=number, epoch=number, key=OTHER_KEY))
    assert told(judged(acceptance, frame()))[0] is Refusal.EPOCH_FENCED

    acceptance.open_lease(Lease(key_id=18, epoch=18, key=OTHER_KEY))
    assert told(judged(acceptance, frame()))[0] is Refusal.UNKNOWN_KEY
    tenth = frame(key_id=10, epoch=10)
    assert told(judged(acceptance, tenth, key=OTHER_KEY))[0] is Refusal.EPOCH_FENCED


def test_key_id_used_again__kept_as_long_as_a_new_one(acceptance: Acceptance) -> None:
    for number in (10, 11, 12, 13, 14, 15, 16, 3, 17, 18):
        key = KEY if number == 3 else OTHER_KEY
        acceptance.open_lease(Lease(key_id=number, epoch=number, key=key))

    assert told(judged(acceptance, frame()))[0] is Refusal.EPOCH_FENCED


def test_words_of_a_broken_frame__reach_the_log(acceptance: Acceptance) -> None:
    outcome = acceptance.judge(NOW_NS, b"", 0)

    assert isinstance(outcome, Refused)
    assert re.fullmatch("command frame has 0 bytes, needs 88", outcome.text)
