"""The matrix table says what the DBC says, and the DBC loads strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cantools
import pytest

from protocol.dbw import matrix
from protocol.dbw.matrix import Direction, FrameSpec, pgn_of

DBC = Path(__file__).parents[2] / "configs/dbc/headframe_dbw_v1.dbc"


@pytest.fixture(scope="module")
def database() -> Any:
    return cantools.database.load_file(DBC, strict=True)


def test_dbc__has_exactly_the_frames_of_the_table(database: Any) -> None:
    assert [m.frame_id for m in database.messages] == [s.can_id for s in matrix.FRAMES]


@pytest.mark.parametrize("spec", matrix.FRAMES, ids=lambda s: s.name)
def test_row__equals_the_dbc(database: Any, spec: FrameSpec) -> None:
    message = database.get_message_by_frame_id(spec.can_id)
    attributes = {name: a.value for name, a in message.dbc.attributes.items()}
    assert message.name == spec.name
    assert message.is_extended_frame
    assert message.length == spec.dlc
    assert message.cycle_time == spec.period_ms
    assert attributes.get("RxTimeout") == spec.rx_timeout_ms
    assert message.senders == ["AGENT" if spec.direction is Direction.TO_ECU else "ECU"]
    if spec.data_ids is None:
        assert "E2EProfile" not in attributes
    else:
        assert attributes["E2EProfile"] == 2
        assert attributes["E2EMaxDelta"] == spec.max_delta
        assert bytes.fromhex(attributes["E2EDataIdList"]) == spec.data_ids


@pytest.mark.parametrize("spec", matrix.FRAMES, ids=lambda s: s.name)
def test_every_signal__has_a_comment(database: Any, spec: FrameSpec) -> None:
    message = database.get_message_by_frame_id(spec.can_id)
    assert message.comment
    assert all(signal.comment for signal in message.signals)


@pytest.mark.parametrize(
    ("spec", "can_id", "period_ms", "timeout_ms"),
    [
        (matrix.SUP_CMD, 0x04FF1080, 10, 50),
        (matrix.STEER_CMD, 0x08FF1280, 10, 50),
        (matrix.DRIVE_CMD, 0x08FF1180, 20, 100),
        (matrix.BRAKE_CMD, 0x04FF1380, 20, 100),
        (matrix.BODY_CMD, 0x10FF1480, 100, 500),
        (matrix.ECU_STATE, 0x04FF2081, 20, 100),
        (matrix.SAFETY_IO, 0x04FF2681, 20, 100),
        (matrix.STEER_FB, 0x0CFF2181, 10, 50),
        (matrix.DRIVE_FB, 0x0CFF2281, 20, 100),
        (matrix.BRAKE_FB, 0x0CFF2381, 20, 100),
        (matrix.MOTION, 0x0CFF2481, 20, 200),
        (matrix.BODY_FB, 0x18FF2581, 100, 500),
        (matrix.ECHO, 0x18FF2881, 10, None),
        (matrix.E2E_STAT, 0x18FF2781, 1000, None),
    ],
    ids=lambda v: v.name if isinstance(v, FrameSpec) else None,
)
def test_row__is_the_published_one(
    spec: FrameSpec, can_id: int, period_ms: int, timeout_ms: int | None
) -> None:
    assert (spec.can_id, spec.period_ms, spec.rx_timeout_ms) == (can_id, period_ms, timeout_ms)


def test_data_ids__differ_between_frames_at_every_counter() -> None:
    lists = [spec.data_ids for spec in matrix.FRAMES if spec.data_ids is not None]
    for counter in range(16):
        assert len({ids[counter] for ids in lists}) == len(lists)
    assert all(len(set(ids)) == len(ids) == 16 for ids in lists)


def test_sequence_steps__three_for_the_fast_commands_and_two_for_the_rest() -> None:
    three = {spec.name for spec in matrix.FRAMES if spec.max_delta == 3}
    assert three == {"SUP_CMD", "STEER_CMD"}
    assert {s.max_delta for s in matrix.FRAMES} == {2, 3}


def test_window__is_1_2_times_the_nominal_frames_in_250_ms() -> None:
    assert [s.window_frames for s in matrix.COMMANDS] == [30, 30, 15, 15, 3]


def test_pgn__leaves_out_priority_and_source() -> None:
    assert pgn_of(0x04FF1080) == pgn_of(0x1CFF1033) == matrix.SUP_CMD.pgn == 0xFF10
