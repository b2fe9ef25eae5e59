"""Snapshots pass whole or not at all, and count for 60 ms from when the devices were read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from operator_console.core.desk import Counts, DeskSnapshot, Fault, Feedback
from operator_console.core.desk_line import (
    DATAGRAM_MAX_BYTES,
    Dated,
    DeskSlot,
    Presses,
    SnapshotRefusal,
    SnapshotRefused,
    decode_feedback,
    decode_snapshot,
    encode_feedback,
    encode_snapshot,
)
from operator_console.core.inputs import DriverInput
from tests.console.fakes import MS

ASKED = DriverInput(
    7,
    steer=-0.25,
    throttle=0.5,
    brake=0.125,
    enable=True,
    gear=-1,
    park=True,
    horn=True,
    lights=True,
    implement=-1.0,
)
SNAPSHOT = DeskSnapshot(ASKED, Fault.CONFLICT, "wheel", ("throttle:rest",), Counts(1, 2, 3))
DATED = Dated(11, 5, 1_000_000, 999_000, SNAPSHOT)
NOTHING = dataclasses.replace(SNAPSHOT, controls=None, fault=Fault.ABSENT)


def content(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode_snapshot(DATED)) | changes).encode()


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NOTHING])
def test_snapshot__comes_out_as_it_went_in(snapshot: DeskSnapshot) -> None:
    dated = dataclasses.replace(DATED, snapshot=snapshot)

    assert decode_snapshot(encode_snapshot(dated)) == dated
    assert len(encode_snapshot(dated)) < DATAGRAM_MAX_BYTES == 2048


def test_figures__are_rounded_to_less_than_a_step_of_the_frame() -> None:
    third = ASKED._replace(steer=1 / 3, throttle=1 / 3, brake=2 / 3, implement=1 / 3)
    data = encode_snapshot(
        dataclasses.replace(DATED, snapshot=dataclasses.replace(SNAPSHOT, controls=third))
    )
    controls = json.loads(data)["controls"]

    assert [controls[name] for name in ("steer", "throttle", "brake", "implement")] == [
        0.33333,
        0.33333,
        0.66667,
        0.33333,
    ]


def refused(data: bytes) -> bool:
    try:
        decode_snapshot(data)
    except SnapshotRefused:
        return True
    return False


def test_every_truncation__is_refused() -> None:
    data = encode_snapshot(DATED)

    assert [length for length in range(len(data)) if not refused(data[:length])] == []


@pytest.mark.parametrize("name", sorted(json.loads(encode_snapshot(DATED))))
def test_field_missing__is_refused(name: str) -> None:
    fields = json.loads(encode_snapshot(DATED))
    del fields[name]

    with pytest.raises(SnapshotRefused):
        decode_snapshot(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("run", "seq") for value in (True, "1", 1.0, -1, 1 << 32)),
        *({name: -1} for name in ("at_us", "event_us", "stops", "confirms", "disarms")),
        {"fault": "xx"},
        {"fault": 1},
        {"device": None},
        {"unproven": "a"},
        {"unproven": [1]},
        {"unproven": ["a"] * 9},
        {"controls": 1},
        {"controls": {}},
        {"controls": {"seq": 1, "throttle": math.nan}},
    ],
)
def test_field_that_does_not_fit__is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SnapshotRefused):
        decode_snapshot(content(**changes))


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"\xff", b"[" * 5000, b"null"])
def test_what_is_no_object__is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotRefused, match=r"^no JSON object$"):
        decode_snapshot(data)


def test_throttle_out_of_range__is_refused_and_never_clamped() -> None:
    controls = json.loads(encode_snapshot(DATED))["controls"] | {"throttle": 1.001}

    with pytest.raises(SnapshotRefused, match="throttle"):
        decode_snapshot(content(controls=controls))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": -1}, r"run: no whole number in 0\.\.4294967295"),
        ({"at_us": 1 << 63}, r"at_us: no whole number in 0\.\.9223372036854774"),
        ({"device": 1}, "device: no text"),
        ({"unproven": 1}, "unproven: no short list"),
        ({"unproven": ["a"] * 9}, "unproven: no short list"),
        ({"unproven": [1]}, "unproven: no text"),
        ({"unproven": ["a", 1]}, "unproven: no text"),
        ({"controls": 1}, "no JSON object"),
    ],
)
def test_refusal__names_the_field(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SnapshotRefused, match=f"^{words}$"):
        decode_snapshot(content(**changes))


def test_refusals__are_told_by_these_words() -> None:
    assert {each.name: each.value for each in SnapshotRefusal} == {
        "MALFORMED": "desk_malformed",
        "BACKWARDS": "desk_backwards",
        "FUTURE": "desk_future",
        "OLD": "desk_old",
    }


def test_numbers_at_their_ends__pass() -> None:
    high = (1 << 32) - 1
    dated = decode_snapshot(content(run=high, seq=0, stops=high, unproven=["a"] * 8))

    assert (dated.run, dated.sequence, dated.snapshot.counts.stops) == (high, 0, high)


STAMP_END_US = 9_223_372_036_854_774
"""A microsecond before the last whole one whose nanoseconds fit into 63 bits."""


@pytest.mark.parametrize("name", ["at_us", "event_us"])
def test_stamp__passes_at_its_end_and_not_above(name: str) -> None:
    at_end = decode_snapshot(content(**{name: STAMP_END_US}))

    assert getattr(at_end, name) == STAMP_END_US
    with pytest.raises(SnapshotRefused, match=f"^{name}: "):
        decode_snapshot(content(**{name: STAMP_END_US + 1}))


# ---- the slot -----------------------------------------------------------------------------

READ_NS = DATED.at_us * 1000


def test_snapshot_60_ms_old__counts_and_a_nanosecond_later_not() -> None:
    slot = DeskSlot()

    assert slot.offer(DATED, READ_NS + 60 * MS) is None
    assert slot.current(READ_NS + 60 * MS) == SNAPSHOT
    assert slot.current(READ_NS + 60 * MS + 1) is None
    assert slot.age_ms(READ_NS + 61 * MS) == 61.0


def test_snapshot_that_arrives_late__does_not_count_however_new_it_is() -> None:
    slot = DeskSlot()

    assert slot.offer(DATED, READ_NS + 60 * MS + 1) is SnapshotRefusal.OLD
    assert slot.newest is None


def test_snapshot_read_in_the_future__does_not_count() -> None:
    slot = DeskSlot()

    assert slot.offer(DATED, READ_NS - 1) is SnapshotRefusal.FUTURE
    assert slot.newest is None
    assert slot.offer(DATED, READ_NS) is None
    assert slot.current(READ_NS - 1) is None
    assert slot.current(READ_NS) == SNAPSHOT


@pytest.mark.parametrize(
    ("sequence", "refusal"),
    [
        (5, SnapshotRefusal.BACKWARDS),
        (4, SnapshotRefusal.BACKWARDS),
        (6, None),
        ((5 + (1 << 31) - 1) & 0xFFFF_FFFF, None),
        ((5 + (1 << 31)) & 0xFFFF_FFFF, SnapshotRefusal.BACKWARDS),
    ],
)
def test_sequence__only_goes_on(sequence: int, refusal: SnapshotRefusal | None) -> None:
    slot = DeskSlot()
    slot.offer(DATED, READ_NS)

    assert slot.offer(dataclasses.replace(DATED, sequence=sequence), READ_NS) is refusal


def test_sequence_at_its_end__goes_on_at_zero() -> None:
    slot = DeskSlot()
    slot.offer(dataclasses.replace(DATED, sequence=0xFFFF_FFFF), READ_NS)

    assert slot.offer(dataclasses.replace(DATED, sequence=0), READ_NS) is None


def test_another_run__begins_anywhere() -> None:
    slot = DeskSlot()
    slot.offer(DATED, READ_NS)

    assert slot.offer(dataclasses.replace(DATED, run=12, sequence=1), READ_NS) is None


def test_nothing_came__nothing_counts() -> None:
    slot = DeskSlot()

    assert slot.current(0) is None
    assert slot.age_ms(0) is None


def test_cleared__nothing_counts() -> None:
    slot = DeskSlot()
    slot.offer(DATED, READ_NS)
    slot.clear()

    assert slot.current(READ_NS) is None


# ---- presses ------------------------------------------------------------------------------


def counted(run: int, *counts: int) -> Dated:
    return dataclasses.replace(
        DATED, run=run, snapshot=dataclasses.replace(SNAPSHOT, counts=Counts(*counts))
    )


def test_first_snapshot_of_a_run__a_stop_before_it_counts_and_nothing_else() -> None:
    presses = Presses()

    assert presses.new_in(counted(1, 2, 3, 4)) == Counts(2, 0, 0)
    assert presses.new_in(counted(1, 2, 3, 4)) == Counts()
    assert presses.new_in(counted(2, 1, 5, 5)) == Counts(1, 0, 0)


def test_presses__are_told_once() -> None:
    presses = Presses()
    presses.new_in(counted(1, 0, 0, 0))

    assert presses.new_in(counted(1, 1, 2, 3)) == Counts(1, 2, 3)
    assert presses.new_in(counted(1, 2, 2, 4)) == Counts(1, 0, 1)


def test_counts_that_fall__are_no_press() -> None:
    presses = Presses()
    presses.new_in(counted(1, 5, 0, 0))
    presses.new_in(counted(1, 5, 5, 5))

    assert presses.new_in(counted(1, 4, 4, 4)) == Counts()


# ---- feedback -----------------------------------------------------------------------------

FEEDBACK = Feedback(123, -1.5, 0.25, movable=True, active=True, state_age_ms=40.0)


@pytest.mark.parametrize("feedback", [FEEDBACK, Feedback(5)])
def test_feedback__comes_out_as_it_went_in(feedback: Feedback) -> None:
    assert decode_feedback(encode_feedback(feedback)) == feedback


@pytest.mark.parametrize(
    "changes",
    [
        *({name: math.nan} for name in ("speed_mps", "steer", "state_age_ms")),
        *({name: True} for name in ("speed_mps", "steer", "state_age_ms")),
        *({name: "1"} for name in ("speed_mps", "steer", "state_age_ms")),
        {"speed_mps": 100.1},
        {"speed_mps": -100.1},
        {"steer": 2.1},
        {"state_age_ms": 1.1e9},
        {"movable": 1},
        {"active": None},
        {"at_ns": -1},
        {"at_ns": None},
    ],
)
def test_feedback_that_does_not_fit__is_refused(changes: dict[str, Any]) -> None:
    data = json.dumps(json.loads(encode_feedback(FEEDBACK)) | changes).encode()

    with pytest.raises(SnapshotRefused, match=next(iter(changes))):
        decode_feedback(data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"speed_mps": "1"}, "speed_mps: no number"),
        ({"speed_mps": 100.1}, r"speed_mps: not within 100\.0"),
        ({"state_age_ms": 1e9 + 0.5}, r"state_age_ms: not within 1000000000\.0"),
        ({"movable": 1}, "movable: no true or false"),
        (
            {"at_ns": STAMP_END_US * 1000 + 1},
            r"at_ns: no whole number in 0\.\.9223372036854774000",
        ),
    ],
)
def test_refusal_of_feedback__names_the_field(changes: dict[str, Any], words: str) -> None:
    data = json.dumps(json.loads(encode_feedback(FEEDBACK)) | changes).encode()

    with pytest.raises(SnapshotRefused, match=f"^{words}$"):
        decode_feedback(data)


def test_feedback_at_its_ends__passes() -> None:
    ends = Feedback(
        STAMP_END_US * 1000, speed_mps=-100.0, steer=2.0, movable=True, state_age_ms=1e9
    )

    assert decode_feedback(encode_feedback(ends)) == ends
