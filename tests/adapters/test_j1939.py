"""What is allowed as J1939 frames, and what a truck tells by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.adapters import J1939Adapter
from protocol.dbw.codec import BrakeCommand, ExitReason, SteerCommand
from protocol.dbw.errors import FrameLengthError, ReservedValueError
from protocol.dbw.matrix import BRAKE_CMD, STEER_CMD, STEER_FB
from protocol.j1939 import codec
from protocol.j1939.codec import (
    BrakeDemand,
    BrakeMode,
    BrakePedal,
    Checksum,
    EngineCommand,
    EngineState,
    OverrideMode,
    VehicleSpeed,
)
from tests.adapters.parts import MS, START, TICK
from tests.core.parts import LIMITS, limits
from vehicle_agent.core import j1939
from vehicle_agent.core.adapted import Allowed
from vehicle_agent.core.j1939 import J1939Translator

ADAPTER = J1939Adapter(
    kind="j1939",
    address=0x27,
    retarder=0x10,
    tsc1_checksum=Checksum.A,
    tsc1_timeout_ms=90,
    closing_frames=3,
    torque_full_share=0.8,
)
ENGINE_ID, RETARDER_ID = 0x0C000027, 0x0C001027
XBR_ID, TC1_ID = 0x0C040B27, 0x0C010327
EEC1_ID, CCVS1_ID, EBC1_ID, ETC2_ID = 0x0CF00400, 0x18FEF10B, 0x18F0010B, 0x18F00503
GO = Allowed(
    accel_mps2=0.625,
    speed_limit_mps=5.0,
    direction=1,
    curvature_per_m=0.05,
    brake_mps2=0.0,
    retarder=0.0,
    park=False,
    at_rest=False,
    hurry=False,
    alarmed=False,
)
REST = replace(GO, accel_mps2=None, direction=None, curvature_per_m=None, at_rest=True, park=True)
Frames = list[tuple[int, bytes]]


class Truck:
    """A translator, its clock, and what it sent."""

    def __init__(self, adapter: J1939Adapter = ADAPTER, machine: Any = LIMITS) -> None:
        self.translator = J1939Translator(adapter, machine)
        self.now_ns = START

    def send(self, allowed: Allowed, times: int = 1) -> Frames:
        out: Frames = []
        for _ in range(times):
            self.now_ns += TICK
            out += self.translator.frames(self.now_ns, allowed)
        return out

    def hear(self, **changes: bytes) -> None:
        frames = {
            "eec1": codec.encode_eec1(EngineState(0.1, 900.0)),
            "ccvs1": codec.encode_ccvs1(VehicleSpeed(2.0, False, False)),
            "ebc1": codec.encode_ebc1(BrakePedal(0.0, True)),
            "etc2": codec.encode_etc2(3),
            **changes,
        }
        ids = {"eec1": EEC1_ID, "ccvs1": CCVS1_ID, "ebc1": EBC1_ID, "etc2": ETC2_ID}
        for name, data in frames.items():
            assert self.translator.take(self.now_ns, ids[name], data)


def engine(frames: Frames, can_id: int = ENGINE_ID) -> list[EngineCommand]:
    return [codec.decode_tsc1(i, d, Checksum.A)[0] for i, d in frames if i == can_id]


def counters(frames: Frames, can_id: int) -> list[int]:
    return [data[7] & 0x0F for i, data in frames if i == can_id]


def brakes(frames: Frames) -> list[BrakeDemand]:
    return [codec.decode_xbr(i, d)[0] for i, d in frames if i == XBR_ID]


def test_traction__is_torque_of_the_engine_every_10_ms() -> None:
    sent = Truck().send(GO, 10)
    commands = engine(sent)
    # Half of 1.25 m/s², of 80 % torque for all of it.
    assert commands == [EngineCommand(OverrideMode.TORQUE, None, commands[0].torque_share, 3)] * 10
    assert commands[0].torque_share == pytest.approx(0.4)
    assert counters(sent, ENGINE_ID) == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]


@pytest.mark.parametrize(("accel_mps2", "torque"), [(0.0, 0.0), (1.25, 0.8), (2.0, 0.8)])
def test_torque__ends_at_the_share_that_is_full(accel_mps2: float, torque: float) -> None:
    command = engine(Truck().send(replace(GO, accel_mps2=accel_mps2)))[0]
    assert command.torque_share == pytest.approx(torque)


@pytest.mark.requirement("HF-ADPT-02")
def test_traction_that_ends__is_closed_within_10_ms_three_times_then_silent() -> None:
    truck = Truck()
    truck.send(GO, 4)
    closing = replace(GO, accel_mps2=None)
    assert engine(truck.send(closing)) == [EngineCommand(OverrideMode.OFF)]
    assert engine(truck.send(closing, 10)) == [EngineCommand(OverrideMode.OFF)] * 2
    assert engine(truck.send(closing, 100)) == []


def test_machine_at_rest__hears_nothing() -> None:
    assert Truck().send(REST, 50) == []


def test_profile_without_checksum__says_so_in_byte_8() -> None:
    truck = Truck(ADAPTER.model_copy(update={"tsc1_checksum": Checksum.NONE}))
    assert {d[7] for i, d in truck.send(GO, 3) if i == ENGINE_ID} == {0xFF}


def test_brake_demand__is_the_wanted_deceleration_every_20_ms() -> None:
    sent = Truck().send(replace(GO, brake_mps2=2.0), 8)
    demands = brakes(sent)
    assert demands == [BrakeDemand(BrakeMode.MAXIMUM, demands[0].decel_mps2, 0)] * 4
    assert demands[0].decel_mps2 == pytest.approx(2.0, abs=1 / 2048)
    assert counters(sent, XBR_ID) == [0, 1, 2, 3]
    assert counters(Truck().send(GO, 40), XBR_ID)[14:] == [14, 15, 0, 1, 2, 3]


def test_mode_of_the_profile__is_what_is_sent() -> None:
    truck = Truck(ADAPTER.model_copy(update={"xbr_mode": BrakeMode.ADDITION}))
    assert brakes(truck.send(replace(GO, brake_mps2=0.01)))[0].mode is BrakeMode.ADDITION


def test_no_braking__is_said_with_mode_off() -> None:
    assert brakes(Truck().send(GO, 2)) == [BrakeDemand(BrakeMode.OFF, 0.0, 0)]


def test_brakes_at_rest__are_closed_then_silent() -> None:
    truck = Truck()
    truck.send(replace(GO, brake_mps2=2.0), 2)
    assert brakes(truck.send(replace(REST, brake_mps2=2.5), 20)) == [BrakeDemand(BrakeMode.OFF)] * 3


def test_stop_that_begins__brakes_out_of_turn() -> None:
    truck = Truck()
    assert len(brakes(truck.send(GO))) == 1
    stop = replace(GO, accel_mps2=None, brake_mps2=2.0, hurry=True)
    assert [d.mode for d in brakes(truck.send(stop))] == [BrakeMode.MAXIMUM]


def test_brake__goes_out_before_all_else() -> None:
    assert [can_id for can_id, _ in Truck().send(replace(GO, retarder=0.5))] == [
        XBR_ID,
        ENGINE_ID,
        RETARDER_ID,
        TC1_ID,
    ]


@pytest.mark.parametrize(("share", "torque"), [(0.5, -0.5), (1.0, -1.0), (1.2, -1.0)])
def test_retarder__is_negative_torque_every_50_ms(share: float, torque: float) -> None:
    sent = Truck().send(replace(GO, retarder=share), 10)
    commands = engine(sent, RETARDER_ID)
    assert commands == [EngineCommand(OverrideMode.TORQUE, None, commands[0].torque_share, 3)] * 2
    assert commands[0].torque_share == pytest.approx(torque)
    assert counters(sent, RETARDER_ID) == [0, 1]


def test_retarder_that_ends__is_closed() -> None:
    truck = Truck()
    truck.send(replace(GO, retarder=0.5))
    assert engine(truck.send(GO, 30), RETARDER_ID) == [EngineCommand(OverrideMode.OFF)] * 3


def test_truck_without_retarder__is_asked_for_none() -> None:
    truck = Truck(ADAPTER.model_copy(update={"retarder": None}))
    assert {can_id & 0xFFFFFF00 for can_id, _ in truck.send(replace(GO, retarder=1.0), 20)} == {
        can_id & 0xFFFFFF00 for can_id in (XBR_ID, ENGINE_ID, TC1_ID)
    }


@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_gear__is_requested_every_50_ms(direction: int) -> None:
    sent = Truck().send(replace(GO, direction=direction), 10)
    assert [codec.decode_tc1(d) for i, d in sent if i == TC1_ID] == [direction] * 2


def test_nothing_asked_of_the_gear__is_silence() -> None:
    assert [i for i, _ in Truck().send(replace(GO, direction=None), 20) if i == TC1_ID] == []


def test_steering_and_park_brake__go_by_the_module() -> None:
    translator = Truck().translator
    assert translator.rows == (STEER_FB,)
    assert translator.auxiliary(replace(GO, brake_mps2=3.0, park=True)) == (
        (STEER_CMD, SteerCommand(0.05, 250, True)),
        (BRAKE_CMD, BrakeCommand(0.0, True, 0.0)),
    )
    assert translator.auxiliary(REST)[0] == (STEER_CMD, SteerCommand(0.0, 0, False))


@pytest.mark.parametrize(
    ("rate_per_m_s", "counts"),
    [(0.05, 50), (0.2046, 205), (0.2044, 204), (0.0001, 1), (0.25, 250), (0.251, 250)],
)
def test_steering_rate__is_the_machines_within_what_the_row_carries(
    rate_per_m_s: float, counts: int
) -> None:
    truck = Truck(machine=limits(curvature_rate_per_m_s=rate_per_m_s))
    _, steer = truck.translator.auxiliary(GO)[0]
    assert isinstance(steer, SteerCommand)
    assert steer.rate_limit == counts


# What it tells


def test_whole_truck__is_told() -> None:
    truck = Truck()
    truck.hear()
    told = truck.translator.told(truck.now_ns)
    assert (told.whole, told.ready, told.overridden) == (True, True, False)
    assert told.speed_mps == pytest.approx(2.0, abs=0.001)
    assert (told.gear, told.park_applied, told.curvature_per_m) == (1, False, None)
    assert told.exit_reason is ExitReason.CLEAR


def test_truck_not_heard__is_not_whole_and_nothing_is_known_of_it() -> None:
    told = Truck().translator.told(START)
    assert (told.whole, told.ready, told.overridden) == (False, False, False)
    assert (told.speed_mps, told.gear, told.park_applied) == (None, None, None)
    assert (told.curvature_per_m, told.exit_reason) == (None, ExitReason.CLEAR)


@pytest.mark.parametrize(
    ("gear", "speed_mps", "told_gear"), [(4, 2.0, 1), (-1, -2.0, -1), (0, 2.0, 0)]
)
def test_speed__has_the_sign_of_the_gear(gear: int, speed_mps: float, told_gear: int) -> None:
    truck = Truck()
    truck.hear(etc2=codec.encode_etc2(gear))
    told = truck.translator.told(truck.now_ns)
    assert told.speed_mps == pytest.approx(speed_mps, abs=0.001)
    assert told.gear == told_gear


def test_neutral__rolls_on_the_way_of_the_last_gear() -> None:
    truck = Truck()
    truck.hear(etc2=codec.encode_etc2(-2))
    truck.hear(etc2=codec.encode_etc2(0))
    assert truck.translator.told(truck.now_ns).speed_mps == pytest.approx(-2.0, abs=0.001)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("eec1", codec.encode_eec1(EngineState(0.1, None))),
        ("ccvs1", codec.encode_ccvs1(VehicleSpeed(None, False, False))),
        ("ebc1", codec.encode_ebc1(BrakePedal(None, True))),
        ("etc2", codec.encode_etc2(None)),
    ],
)
def test_row_that_says_not_available__is_not_whole(name: str, data: bytes) -> None:
    truck = Truck()
    truck.hear()
    truck.hear(**{name: data})
    told = truck.translator.told(truck.now_ns)
    assert not told.whole
    assert told.speed_mps is None or name == "ebc1"


@pytest.mark.parametrize(
    ("late_id", "timeout_ms"),
    [(EEC1_ID, 100), (CCVS1_ID, 300), (EBC1_ID, 300), (ETC2_ID, 300)],
)
def test_row_that_is_late__is_not_whole(late_id: int, timeout_ms: int) -> None:
    truck = Truck()
    truck.hear()
    fresh = {
        EEC1_ID: codec.encode_eec1(EngineState(0.1, 900.0)),
        CCVS1_ID: codec.encode_ccvs1(VehicleSpeed(2.0, False, False)),
        EBC1_ID: codec.encode_ebc1(BrakePedal(0.0, True)),
        ETC2_ID: codec.encode_etc2(3),
    }
    at_ns = truck.now_ns + timeout_ms * MS
    for can_id in sorted(set(fresh) - {late_id}):
        truck.translator.take(at_ns, can_id, fresh[can_id])
    assert truck.translator.told(at_ns).whole
    assert not truck.translator.told(at_ns + 1).whole


@pytest.mark.parametrize(("share", "overridden"), [(0.048, False), (0.052, True), (1.0, True)])
def test_pedal_in_the_cab__is_somebody_there(share: float, overridden: bool) -> None:
    truck = Truck()
    truck.hear(ebc1=codec.encode_ebc1(BrakePedal(share, True)))
    assert truck.translator.told(truck.now_ns).overridden is overridden


@pytest.mark.parametrize("switch", [False, None])
def test_brakes_that_do_not_say_that_they_take_demands__are_not_ready(switch: bool | None) -> None:
    truck = Truck()
    truck.hear(ebc1=codec.encode_ebc1(BrakePedal(0.0, switch)))
    assert not truck.translator.told(truck.now_ns).ready


def test_park_switch__is_told_as_it_is() -> None:
    truck = Truck()
    truck.hear(ccvs1=codec.encode_ccvs1(VehicleSpeed(0.0, True, False)))
    assert truck.translator.told(truck.now_ns).park_applied is True
    truck.hear(ccvs1=codec.encode_ccvs1(VehicleSpeed(0.0, None, False)))
    assert truck.translator.told(truck.now_ns).park_applied is None


@pytest.mark.parametrize("can_id", [EEC1_ID + 1, CCVS1_ID + 1, 0x04FF2081, 0x0CF00300])
def test_frame_of_another_source_or_group__is_not_taken(can_id: int) -> None:
    assert Truck().translator.take(START, can_id, b"\xff" * 8) is False


def test_bad_frame__is_refused_and_keeps_what_was_good() -> None:
    truck = Truck()
    truck.hear()
    with pytest.raises(FrameLengthError):
        truck.translator.take(truck.now_ns, EEC1_ID, bytes(7))
    with pytest.raises(ReservedValueError):
        truck.translator.take(truck.now_ns, CCVS1_ID, bytes.fromhex("F300FBCFFFFFFFFF"))
    assert truck.translator.told(truck.now_ns).speed_mps == pytest.approx(2.0, abs=0.001)


def test_periods__are_those_of_the_standard() -> None:
    periods = (j1939.TSC1_PERIOD_MS, j1939.RETARDER_PERIOD_MS)
    assert (*periods, j1939.XBR_PERIOD_MS, j1939.TC1_PERIOD_MS) == (10, 50, 20, 50)
