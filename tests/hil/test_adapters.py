"""The bench's own look at machine adapters: its vectors, and what it says of wrong frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil import adapters
from hil.adapters import _left_rightly, _reserved_codes, _vectors
from hil.rig import Rig, RigSettings
from hil.trace import Seen
from protocol.isobus import codec as isobus
from protocol.j1939 import codec as j1939
from protocol.j1939.codec import Checksum, EngineCommand, OverrideMode

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ENGINE_ID, BEAT_ID = 0x0C000080, 0x0CF0E480
MS = 1_000_000


def rig() -> Rig:
    settings = RigSettings(
        CONFIGS / "machines" / adapters.TRUCK, CONFIGS / "sites" / "mine_drift.toml", 500_000
    )
    return Rig(settings, 1)


def engine_frame(mode: OverrideMode, counter: int) -> bytes:
    command = EngineCommand(mode, torque_share=0.1)
    return j1939.encode_tsc1(ENGINE_ID, command, counter % 8, Checksum.A)


def judged(frames: list[tuple[int, int, bytes]]) -> list[str]:
    made = rig()
    made.trace.frames += [Seen(t_ms * MS, "agent", i, data) for t_ms, i, data in frames]
    made.trace.probe(10 * MS, "actuator.brake_mps2", 1.0)
    wrong = _left_rightly(made, 0)
    made.close()
    return wrong


OPEN, OFF = OverrideMode.TORQUE, OverrideMode.OFF


@pytest.mark.parametrize(
    ("frames", "wrong"),
    [
        ([(0, OPEN), (10, OPEN), (20, OFF), (30, OFF)], []),
        ([(0, OPEN), (10, OFF), (20, OFF), (500, OPEN), (510, OFF), (520, OFF)], []),
        ([(0, OPEN), (10, OPEN)], ["the engine's command was not closed twice"]),
        ([(0, OPEN), (10, OPEN), (20, OFF)], ["the engine's command was not closed twice"]),
        ([(0, OPEN), (90, OFF), (100, OFF)], ["a gap of 90 ms between engine commands"]),
    ],
)
def test_engine_command__is_judged_by_how_it_ends(
    frames: list[tuple[int, OverrideMode]], wrong: list[str]
) -> None:
    sent = [(t, ENGINE_ID, engine_frame(mode, n)) for n, (t, mode) in enumerate(frames)]
    assert judged(sent) == wrong


@pytest.mark.parametrize(
    ("beats", "wrong"),
    [
        ([251, 0, 1], []),
        ([249, 250, 0], []),
        ([1, 254, 251], []),
        ([1, 1], ["the heartbeat is repeated at 1"]),
        ([1, 3], ["the heartbeat is jumped at 3"]),
        ([250, 255], ["the heartbeat is shutdown at 255"]),
    ],
)
def test_heartbeat__is_judged_by_its_round(beats: list[int], wrong: list[str]) -> None:
    sent = [(100 * n, BEAT_ID, isobus.encode_beat(beat)) for n, beat in enumerate(beats)]
    assert judged(sent) == wrong


def test_machine_that_is_not_asked_to_brake__is_told() -> None:
    made = rig()
    made.trace.probe(0, "actuator.brake_mps2", 0.0)
    assert _left_rightly(made, 0) == ["no brake demand"]
    made.trace.probe(400 * MS, "actuator.brake_mps2", 1.0)
    assert _left_rightly(made, 0) == ["after 400 ms a brake demand"]
    made.close()


def test_vectors_and_reserved_codes__are_right() -> None:
    assert _vectors() + _reserved_codes() == []
