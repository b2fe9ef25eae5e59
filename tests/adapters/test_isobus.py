"""What is allowed as ISOBUS frames, and what a tractor tells by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.adapters import IsobusAdapter
from protocol.dbw.codec import BrakeCommand, ExitReason
from protocol.dbw.errors import FrameLengthError
from protocol.dbw.matrix import BRAKE_CMD
from protocol.isobus import codec
from protocol.isobus.codec import (
    GuidanceState,
    SelectedSpeed,
    SpeedCommand,
    Steering,
    WheelSpeed,
)
from tests.adapters.parts import MS, START, TICK
from tests.adapters.test_j1939 import GO as TRUCK_GO
from tests.core.parts import LIMITS
from vehicle_agent.core import isobus
from vehicle_agent.core.adapted import Allowed
from vehicle_agent.core.isobus import IsobusTranslator

ADAPTER = IsobusAdapter(
    kind="isobus", address=0x26, tractor=0xF0, closing_frames=3, speed_horizon_s=2.0
)
GUIDANCE_ID, SPEED_ID, BEAT_ID = 0x0CADF026, 0x0CFD4326, 0x0CF0E426
STATE_ID, SELECTED_ID, WHEEL_ID, THEIR_BEAT_ID = 0x0CAC26F0, 0x0CF022F0, 0x0CFE48F0, 0x0CF0E4F0
GO = TRUCK_GO
REST = replace(GO, accel_mps2=None, direction=None, curvature_per_m=None, at_rest=True)
STATE = GuidanceState(0.0625, False, True, 0, ExitReason.CLEAR)
SELECTED = SelectedSpeed(2.0, ExitReason.CLEAR, True)
WHEELS = WheelSpeed(2.0, True, True)
Frames = list[tuple[int, bytes]]


class Tractor:
    """A translator, its clock, and what it sent."""

    def __init__(self) -> None:
        self.translator = IsobusTranslator(ADAPTER, LIMITS)
        self.now_ns, self.beat = START, 255

    def send(self, allowed: Allowed, times: int = 1) -> Frames:
        out: Frames = []
        for _ in range(times):
            self.now_ns += TICK
            out += self.translator.frames(self.now_ns, allowed)
        return out

    def hear(
        self,
        state: GuidanceState = STATE,
        selected: SelectedSpeed = SELECTED,
        wheels: WheelSpeed = WHEELS,
        at_ns: int | None = None,
        without: int = 0,
    ) -> None:
        self.beat = 251 if self.beat > 251 else codec.next_beat(self.beat)
        frames = {
            STATE_ID: codec.encode_guidance_state(state),
            SELECTED_ID: codec.encode_selected_speed(selected),
            WHEEL_ID: codec.encode_wheel_speed(wheels),
            THEIR_BEAT_ID: codec.encode_beat(self.beat),
        }
        for can_id, data in frames.items():
            if can_id != without:
                assert self.translator.take(at_ns or self.now_ns, can_id, data)
        self.translator.told(at_ns or self.now_ns)


def guidance(frames: Frames) -> list[tuple[Any, Steering]]:
    return [codec.decode_guidance(data) for can_id, data in frames if can_id == GUIDANCE_ID]


def speeds(frames: Frames) -> list[SpeedCommand]:
    return [codec.decode_speed_command(data) for can_id, data in frames if can_id == SPEED_ID]


def beats(frames: Frames) -> list[int]:
    return [data[0] for can_id, data in frames if can_id == BEAT_ID]


def test_steering_that_begins__is_not_intended_three_times_then_intended_every_40_ms() -> None:
    tractor = Tractor()
    tractor.hear()
    sent = guidance(tractor.send(GO, 24))
    assert sent[:3] == [(pytest.approx(0.0625), Steering.NOT_INTENDED)] * 3
    assert sent[3:] == [(pytest.approx(0.05), Steering.INTENDED)] * 3


def test_straight_ahead__is_intended_too() -> None:
    sent = guidance(Tractor().send(replace(GO, curvature_per_m=0.0), 13))
    assert sent[3] == (pytest.approx(0.0), Steering.INTENDED)


def test_steering_that_begins_again__is_announced_again() -> None:
    tractor = Tractor()
    tractor.send(GO, 24)
    tractor.send(replace(GO, curvature_per_m=None), 24)
    assert [status for _, status in guidance(tractor.send(GO, 20))] == [
        Steering.NOT_INTENDED,
        Steering.NOT_INTENDED,
        Steering.NOT_INTENDED,
        Steering.INTENDED,
        Steering.INTENDED,
    ]


def test_steering_that_ends__is_not_intended_at_the_measured_curvature_then_silent() -> None:
    tractor = Tractor()
    tractor.hear()
    tractor.send(GO, 20)
    ended = replace(GO, curvature_per_m=None)
    assert guidance(tractor.send(ended)) == [(pytest.approx(0.0625), Steering.NOT_INTENDED)]
    assert len(guidance(tractor.send(ended, 100))) == 2


def test_steering_that_ends_before_it_was_measured__names_no_curve() -> None:
    tractor = Tractor()
    tractor.send(GO, 20)
    closing = guidance(tractor.send(replace(GO, curvature_per_m=None)))
    assert closing == [(pytest.approx(0.0), Steering.NOT_INTENDED)]


def test_traction__is_a_set_point_ahead_of_the_measured_speed_every_100_ms() -> None:
    tractor = Tractor()
    tractor.hear()
    sent = speeds(tractor.send(GO, 20))
    assert sent == [SpeedCommand(2.0 + 0.625 * 2.0, 5.0, True)] * 2


def test_traction_before_a_speed_was_heard__counts_from_standstill() -> None:
    assert speeds(Tractor().send(GO)) == [SpeedCommand(1.25, 5.0, True)]


def test_traction_backwards__counts_from_the_magnitude() -> None:
    tractor = Tractor()
    tractor.hear(wheels=WheelSpeed(1.0, False, True))
    assert speeds(tractor.send(replace(GO, direction=-1))) == [SpeedCommand(2.25, 5.0, False)]


@pytest.mark.parametrize(("limit_mps", "sent_mps"), [(3.0, 3.0), (20.0, 8.0)])
def test_set_point__ends_at_the_cap_and_the_machines_own_limit(
    limit_mps: float, sent_mps: float
) -> None:
    tractor = Tractor()
    tractor.hear(wheels=WheelSpeed(7.5, True, True))
    sent = speeds(tractor.send(replace(GO, speed_limit_mps=limit_mps)))
    assert sent == [SpeedCommand(sent_mps, sent_mps, True)]


def test_no_acceleration__is_a_set_point_of_zero() -> None:
    tractor = Tractor()
    tractor.hear()
    assert speeds(tractor.send(replace(GO, accel_mps2=0.0))) == [SpeedCommand(0.0, 5.0, True)]


def test_neutral__points_forwards() -> None:
    assert speeds(Tractor().send(replace(GO, direction=0)))[0].forwards


def test_traction_that_ends__is_zero_at_once_three_times_then_silent() -> None:
    tractor = Tractor()
    tractor.hear()
    tractor.send(GO, 3)
    ended = replace(GO, accel_mps2=None, direction=None)
    assert speeds(tractor.send(ended)) == [SpeedCommand(0.0, 5.0, True)]
    assert speeds(tractor.send(ended, 100)) == [SpeedCommand(0.0, 5.0, True)] * 2


def test_tractor_at_rest__hears_the_heartbeat_alone() -> None:
    assert {can_id for can_id, _ in Tractor().send(REST, 50)} == {BEAT_ID}


def test_heartbeat__begins_with_251_and_goes_round_every_100_ms() -> None:
    tractor = Tractor()
    sent = beats(tractor.send(REST, 30))
    assert sent == [251, 0, 1]
    sent = beats(tractor.send(REST, 10 * 251))
    assert sent[-4:] == [249, 250, 0, 1]


def test_latched_stop__is_an_error_in_the_heartbeat_and_then_a_new_beginning() -> None:
    tractor = Tractor()
    tractor.send(GO, 20)
    alarmed = replace(REST, alarmed=True)
    assert beats(tractor.send(alarmed, 20)) == [254, 254]
    assert beats(tractor.send(REST, 20)) == [251, 0]


def test_brake_valve_and_park_brake__go_by_the_module() -> None:
    translator = Tractor().translator
    assert translator.rows == ()
    wanted = replace(GO, brake_mps2=1.5, park=True, retarder=0.5)
    assert translator.auxiliary(wanted) == ((BRAKE_CMD, BrakeCommand(1.5, True, 0.5)),)
    assert translator.auxiliary(replace(wanted, retarder=1.2))[0][1] == BrakeCommand(1.5, True, 1.0)


# What it tells


def test_whole_tractor__is_told() -> None:
    tractor = Tractor()
    tractor.hear()
    told = tractor.translator.told(tractor.now_ns)
    assert (told.whole, told.ready, told.overridden) == (True, True, False)
    assert (told.speed_mps, told.gear, told.park_applied) == (2.0, 1, None)
    assert told.curvature_per_m == pytest.approx(0.0625)
    assert told.exit_reason is ExitReason.CLEAR


def test_tractor_not_heard__is_not_whole_and_nothing_is_known_of_it() -> None:
    told = Tractor().translator.told(START)
    assert (told.whole, told.ready, told.overridden) == (False, False, False)
    assert (told.speed_mps, told.gear, told.park_applied) == (None, None, None)
    assert (told.curvature_per_m, told.exit_reason) == (None, ExitReason.CLEAR)


@pytest.mark.parametrize(
    ("wheels", "speed_mps"),
    [
        (WheelSpeed(1.5, True, True), 1.5),
        (WheelSpeed(1.5, False, True), -1.5),
        (WheelSpeed(1.5, None, True), None),
        (WheelSpeed(0.0, None, True), 0.0),
        (WheelSpeed(None, True, True), None),
        (WheelSpeed(None, False, True), None),
    ],
)
def test_speed__has_its_direction_or_is_unknown(
    wheels: WheelSpeed, speed_mps: float | None
) -> None:
    tractor = Tractor()
    tractor.hear(wheels=wheels)
    told = tractor.translator.told(tractor.now_ns)
    assert (told.speed_mps, told.whole) == (speed_mps, speed_mps is not None)


def test_speed_with_nothing_else__is_known_still() -> None:
    tractor = Tractor()
    tractor.translator.take(START, WHEEL_ID, codec.encode_wheel_speed(WHEELS))
    assert tractor.translator.told(START).speed_mps == 2.0


@pytest.mark.parametrize("late_id", [STATE_ID, SELECTED_ID, WHEEL_ID, THEIR_BEAT_ID])
def test_row_that_is_late__is_not_whole(late_id: int) -> None:
    tractor = Tractor()
    tractor.hear()
    at_ns = tractor.now_ns + 300 * MS
    tractor.hear(at_ns=at_ns, without=late_id)
    assert tractor.translator.told(at_ns).whole
    assert not tractor.translator.told(at_ns + 1).whole


def test_curvature_not_available__is_not_whole() -> None:
    tractor = Tractor()
    tractor.hear(state=replace(STATE, curvature_per_m=None))
    assert not tractor.translator.told(tractor.now_ns).whole


@pytest.mark.parametrize(
    ("state", "wheels"),
    [
        (replace(STATE, ready=False), WHEELS),
        (replace(STATE, ready=None), WHEELS),
        (replace(STATE, locked_out=True), WHEELS),
        (replace(STATE, locked_out=None), WHEELS),
        (STATE, replace(WHEELS, key_on=False)),
        (STATE, replace(WHEELS, key_on=None)),
    ],
)
def test_tractor_that_does_not_say_that_it_takes_commands__is_not_ready(
    state: GuidanceState, wheels: WheelSpeed
) -> None:
    tractor = Tractor()
    tractor.hear(state=state, wheels=wheels)
    assert not tractor.translator.told(tractor.now_ns).ready


@pytest.mark.parametrize(
    ("steering", "speed", "told"),
    [
        (ExitReason.CLEAR, ExitReason.SPEED_HIGH, ExitReason.SPEED_HIGH),
        (ExitReason.OPERATOR_OVERRIDE, ExitReason.CLEAR, ExitReason.OPERATOR_OVERRIDE),
        (ExitReason.GEAR, ExitReason.SPEED_LOW, ExitReason.GEAR),
    ],
)
def test_exit_reason__is_the_first_of_steering_and_speed(
    steering: ExitReason, speed: ExitReason, told: ExitReason
) -> None:
    tractor = Tractor()
    tractor.hear(
        state=replace(STATE, exit_reason=steering), selected=replace(SELECTED, exit_reason=speed)
    )
    assert tractor.translator.told(tractor.now_ns).exit_reason is told


@pytest.mark.parametrize(("forwards", "gear"), [(True, 1), (False, -1), (None, None)])
def test_gear__is_the_selected_direction(forwards: bool | None, gear: int | None) -> None:
    tractor = Tractor()
    tractor.hear(selected=replace(SELECTED, forwards=forwards))
    assert tractor.translator.told(tractor.now_ns).gear == gear


@pytest.mark.parametrize("beat", [254, 255, 100])
def test_heartbeat_that_says_error_or_jumps__is_not_whole_at_once(beat: int) -> None:
    tractor = Tractor()
    tractor.hear()
    tractor.hear()
    assert tractor.translator.take(tractor.now_ns, THEIR_BEAT_ID, bytes((beat,)))
    assert not tractor.translator.told(tractor.now_ns).whole


def test_heartbeat_that_stays__does_not_make_itself_younger() -> None:
    tractor = Tractor()
    tractor.hear()
    for n in range(1, 4):
        at_ns = tractor.now_ns + n * 100 * MS
        tractor.hear(at_ns=at_ns, without=THEIR_BEAT_ID)
        tractor.translator.take(at_ns, THEIR_BEAT_ID, bytes((251,)))
    assert tractor.translator.told(tractor.now_ns + 300 * MS).whole
    assert not tractor.translator.told(tractor.now_ns + 301 * MS).whole


def test_steering_known_once__is_held_while_it_is_not_available() -> None:
    tractor = Tractor()
    tractor.hear()
    tractor.hear(state=replace(STATE, curvature_per_m=None))
    tractor.send(GO)
    closing = guidance(tractor.send(replace(GO, curvature_per_m=None)))
    assert closing == [(pytest.approx(0.0625), Steering.NOT_INTENDED)]


@pytest.mark.parametrize("can_id", [STATE_ID ^ 1, WHEEL_ID ^ 1, 0x04FF2081, GUIDANCE_ID])
def test_frame_of_another_source_or_group__is_not_taken(can_id: int) -> None:
    assert Tractor().translator.take(START, can_id, b"\xff" * 8) is False


def test_bad_frame__is_refused_and_keeps_what_was_good() -> None:
    tractor = Tractor()
    tractor.hear()
    for can_id in (STATE_ID, SELECTED_ID, WHEEL_ID, THEIR_BEAT_ID):
        with pytest.raises(FrameLengthError):
            tractor.translator.take(tractor.now_ns, can_id, bytes(7))
    assert tractor.translator.told(tractor.now_ns).whole


def test_standing_tractor__is_asked_for_what_lies_ahead_of_nothing() -> None:
    tractor = Tractor()
    tractor.hear(wheels=WheelSpeed(0.0, True, True))
    assert speeds(tractor.send(GO)) == [SpeedCommand(1.25, 5.0, True)]


def test_heartbeat_heard_in_the_middle_of_its_round__is_alive() -> None:
    tractor = Tractor()
    tractor.beat = 16
    tractor.hear()
    assert tractor.translator.told(tractor.now_ns).whole


def test_periods__are_those_of_the_standard_or_shorter() -> None:
    periods = (isobus.GUIDANCE_PERIOD_MS, isobus.SPEED_PERIOD_MS, isobus.HEARTBEAT_PERIOD_MS)
    assert periods == (40, 100, 100)
