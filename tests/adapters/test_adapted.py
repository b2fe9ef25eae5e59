"""The gate before every adapter: only fresh data of an engaged machine, all else is denied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from protocol.dbw import matrix
from protocol.dbw.codec import (
    BodyCommand,
    BrakeCommand,
    BrakeSource,
    ContactState,
    EcuMode,
    ExitReason,
    Message,
    ParkState,
    decode,
)
from protocol.dbw.errors import CrcError
from protocol.dbw.matrix import BRAKE_CMD, STEER_FB, FrameSpec
from protocol.signals import DEFAULT_TIMING
from tests.adapters.parts import (
    BRAKES,
    DRIVE,
    ENABLE,
    MS,
    PARKED,
    REST,
    SAFE,
    START,
    STOP,
    TICK,
    Module,
)
from tests.core.parts import LIMITS
from vehicle_agent.core.adapted import AdaptedWire, Allowed, Rows, Told
from vehicle_agent.core.bywire import Supervision
from vehicle_agent.core.gate import Demand

OWN_ID, BAD_ID = 0x0CF00400, 0x0CF00401
STANDS = Told(
    whole=True,
    ready=True,
    overridden=False,
    exit_reason=ExitReason.CLEAR,
    speed_mps=0.05,
    curvature_per_m=None,
    gear=1,
    park_applied=None,
)
ROLLS = replace(STANDS, speed_mps=2.0)


@dataclass
class Standard:
    """A translator that says what the test sets, and keeps what it was allowed."""

    known: Told = STANDS
    rows: tuple[FrameSpec, ...] = (STEER_FB,)
    taken: list[tuple[int, int, bytes]] = field(default_factory=list)
    allowed: list[Allowed] = field(default_factory=list)

    def take(self, now_ns: int, can_id: int, data: bytes) -> bool:
        if can_id == BAD_ID:
            raise CrcError("bad")
        if can_id == OWN_ID:
            self.taken.append((now_ns, can_id, data))
        return can_id == OWN_ID

    def told(self, now_ns: int) -> Told:
        assert now_ns >= START
        return self.known

    def frames(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        assert now_ns >= START
        self.allowed.append(allowed)
        return [(OWN_ID, b"own")]

    def auxiliary(self, allowed: Allowed) -> tuple[tuple[FrameSpec, Message], ...]:
        return ((BRAKE_CMD, BrakeCommand(allowed.brake_mps2, allowed.park, 0.0)),)


class Bench:
    def __init__(self) -> None:
        self.standard, self.module = Standard(), Module()
        self.wire = AdaptedWire(self.standard, LIMITS, DEFAULT_TIMING)
        self.now_ns = START
        self.sent: list[tuple[int, bytes]] = []

    def tick(
        self,
        demand: Demand = PARKED,
        supervision: Supervision = REST,
        times: int = 1,
        *,
        at_once: bool = False,
    ) -> Allowed:
        for _ in range(times):
            self.now_ns += TICK
            self.wire.receive(self.now_ns, self.module.frames())
            self.sent = list(self.wire.transmit(self.now_ns, demand, supervision, at_once=at_once))
        return self.standard.allowed[-1]

    def driving(self) -> Bench:
        self.tick(times=5)
        assert self.tick(DRIVE, ENABLE).direction == 1
        self.standard.known = ROLLS
        return self

    @property
    def mode(self) -> EcuMode:
        return self.wire.engagement.mode


def test_engaged_and_fresh__everything_asked_for_is_allowed() -> None:
    bench = Bench().driving()
    wanted = DRIVE._replace(brake_mps2=0.75, retarder=0.5)
    assert bench.tick(wanted, ENABLE) == Allowed(
        accel_mps2=0.625,
        speed_limit_mps=5.0,
        direction=1,
        curvature_per_m=0.05,
        brake_mps2=0.75,
        retarder=0.5,
        park=False,
        at_rest=False,
        hurry=False,
        alarmed=False,
    )


def test_not_engaged_at_standstill__only_the_park_brake_and_its_demand_are_left() -> None:
    bench = Bench()
    assert bench.tick(DRIVE, REST, 5) == Allowed(
        accel_mps2=None,
        speed_limit_mps=5.0,
        direction=None,
        curvature_per_m=None,
        brake_mps2=2.5,
        retarder=0.0,
        park=True,
        at_rest=True,
        hurry=False,
        alarmed=False,
    )


@pytest.mark.requirement("HF-ADPT-01")
def test_not_engaged_and_rolling__brakes_at_least_as_a_stop_does() -> None:
    bench = Bench().driving()
    allowed = bench.tick(DRIVE._replace(retarder=1.0), REST)
    assert bench.mode is EcuMode.SAFE_STOP
    assert (allowed.accel_mps2, allowed.direction, allowed.curvature_per_m) == (None, None, None)
    assert (allowed.brake_mps2, allowed.retarder) == (2.5, 0.0)
    assert (allowed.park, allowed.at_rest, allowed.alarmed) == (False, False, True)
    assert bench.tick(STOP._replace(brake_mps2=3.5), REST).brake_mps2 == 3.5
    assert bench.tick(STOP._replace(park=True), REST).park


def test_stop_of_the_supervisor__closes_traction_and_keeps_the_curve() -> None:
    allowed = Bench().driving().tick(STOP, ENABLE)
    assert (allowed.accel_mps2, allowed.curvature_per_m) == (None, 0.05)
    assert (allowed.brake_mps2, allowed.alarmed) == (2.0, False)


def test_walking_pace__is_traction_too() -> None:
    demand = DRIVE._replace(speed_limit_mps=0.4)
    assert Bench().driving().tick(demand, ENABLE).accel_mps2 == 0.625


def test_engaged_at_standstill__is_not_at_rest_and_not_parked_unasked() -> None:
    bench = Bench().driving()
    bench.standard.known = STANDS
    allowed = bench.tick(DRIVE, ENABLE)
    assert (allowed.at_rest, allowed.park) == (False, False)


def test_open_emergency_stop__is_an_alarm() -> None:
    bench = Bench().driving()
    bench.module.safety = SAFE._replace(estop_a=ContactState.OPEN)
    assert bench.tick(DRIVE, ENABLE, 3).alarmed


def test_old_exit_reason__is_waited_out_by_the_clock() -> None:
    bench = Bench()
    bench.standard.known = replace(STANDS, exit_reason=ExitReason.SPEED_HIGH)
    bench.tick(times=5)
    bench.tick(DRIVE, ENABLE, 40)
    assert bench.wire.engagement.mode is EcuMode.ACTIVE
    bench.tick(DRIVE, ENABLE, 20)
    assert bench.mode is EcuMode.SAFE_STOP


@pytest.mark.parametrize(
    "demand",
    [
        DRIVE._replace(speed_limit_mps=0.0),
        DRIVE._replace(direction=0),
        DRIVE._replace(park=True),
    ],
    ids=["no speed", "no direction", "parked"],
)
def test_nothing_to_travel_for__traction_is_closed(demand: Demand) -> None:
    assert Bench().driving().tick(demand, ENABLE).accel_mps2 is None


def test_reverse__is_allowed_too() -> None:
    allowed = Bench().driving().tick(DRIVE._replace(direction=-1), ENABLE)
    assert (allowed.accel_mps2, allowed.direction) == (0.625, -1)


@pytest.mark.requirement("HF-ADPT-01")
@pytest.mark.parametrize(("age_ms", "accel_mps2"), [(250, 0.625), (251, None), (None, None)])
def test_data_that_is_not_fresh__moves_nothing(
    age_ms: int | None, accel_mps2: float | None
) -> None:
    allowed = Bench().driving().tick(DRIVE, ENABLE._replace(link_age_ms=age_ms))
    assert allowed.accel_mps2 == accel_mps2
    assert allowed.curvature_per_m == 0.05


def test_negative_traction__is_none() -> None:
    assert Bench().driving().tick(DRIVE._replace(accel_mps2=-1.0), ENABLE).accel_mps2 == 0.0


def test_steering_that_is_not_valid__is_closed() -> None:
    allowed = Bench().driving().tick(DRIVE._replace(steer_valid=False), ENABLE)
    assert allowed.curvature_per_m is None


def test_enable_gone_in_the_same_tick__closes_even_while_still_engaged() -> None:
    bench = Bench().driving()
    bench.standard.known = STANDS
    allowed = bench.tick(DRIVE, REST)
    assert bench.wire.engagement.mode is EcuMode.STANDBY
    assert (allowed.accel_mps2, allowed.direction, allowed.alarmed) == (None, None, False)


def silent(row: str) -> dict[str, Any]:
    return {row: None}


@pytest.mark.requirement("HF-ADPT-01")
@pytest.mark.parametrize(
    ("module", "known", "mode"),
    [
        (silent("safety"), {}, EcuMode.SAFE_STOP),
        (silent("brakes"), {}, EcuMode.SAFE_STOP),
        (silent("steering"), {}, EcuMode.SAFE_STOP),
        ({}, {"whole": False}, EcuMode.SAFE_STOP),
        ({}, {"ready": False}, EcuMode.SAFE_STOP),
        ({}, {"overridden": True}, EcuMode.STANDBY),
        ({}, {"exit_reason": ExitReason.SPEED_HIGH}, EcuMode.SAFE_STOP),
        ({"safety": SAFE._replace(relay_feedback=ContactState.OPEN)}, {}, EcuMode.SAFE_STOP),
        ({"safety": SAFE._replace(key_remote=False)}, {}, EcuMode.STANDBY),
        ({"safety": SAFE._replace(manual_override=True)}, {}, EcuMode.STANDBY),
        ({"safety": SAFE._replace(estop_b=ContactState.OPEN)}, {}, EcuMode.ESTOP),
        ({"safety": SAFE._replace(estop_a=ContactState.UNKNOWN)}, {}, EcuMode.ESTOP),
        (
            {"brakes": BRAKES._replace(source_bits=BrakeSource.ECU_STOP)},
            {},
            EcuMode.SAFE_STOP,
        ),
        ({"brakes": BRAKES._replace(source_bits=BrakeSource.ESTOP)}, {}, EcuMode.SAFE_STOP),
    ],
)
def test_anything_wrong_with_the_machine__ends_traction(
    module: dict[str, Any], known: dict[str, Any], mode: EcuMode
) -> None:
    bench = Bench().driving()
    bench.tick(DRIVE, ENABLE)
    for name, row in module.items():
        setattr(bench.module, name, row)
    bench.standard.known = replace(ROLLS, **known)
    allowed = bench.tick(DRIVE, ENABLE, 15)
    assert bench.mode is mode
    assert (allowed.accel_mps2, allowed.curvature_per_m, allowed.direction) == (None, None, None)
    assert allowed.brake_mps2 == 2.5


def test_tilt_unknown__is_for_the_supervisor_to_judge() -> None:
    bench = Bench().driving()
    bench.module.tilt = None
    assert bench.tick(DRIVE, ENABLE, 30).accel_mps2 == 0.625
    assert bench.wire.feedback(bench.now_ns).pitch_rad is None


def test_standard_without_a_row_beside__does_not_miss_it() -> None:
    bench = Bench()
    bench.standard.rows = ()
    bench.module.steering = None
    bench.driving()
    assert bench.tick(DRIVE, ENABLE, 15).accel_mps2 == 0.625


@pytest.mark.parametrize(
    ("speed_mps", "rests"), [(0.05, True), (-0.05, True), (0.051, False), (None, False)]
)
def test_standstill__is_known_or_it_is_none(speed_mps: float | None, rests: bool) -> None:
    bench = Bench()
    bench.standard.known = replace(STANDS, speed_mps=speed_mps)
    allowed = bench.tick(DRIVE._replace(park=False), REST, 5)
    assert (allowed.at_rest, allowed.park) == (rests, rests)


def test_safety_unknown__is_not_at_rest() -> None:
    bench = Bench()
    bench.module.safety = None
    assert not bench.tick(times=15).at_rest


def test_supervision__reaches_the_engagement() -> None:
    bench = Bench().driving()
    assert bench.wire.engagement.session == 7
    bench.tick(DRIVE._replace(estop=True), ENABLE)
    assert bench.mode is EcuMode.SAFE_STOP
    bench.standard.known = STANDS
    bench.tick(PARKED, REST)
    bench.tick(PARKED, REST._replace(fault_ack=True))
    assert bench.wire.engagement.mode is EcuMode.STANDBY


# Feedback


def test_feedback__is_what_standard_and_module_tell() -> None:
    bench = Bench().driving()
    bench.tick(DRIVE, ENABLE)
    told = bench.wire.feedback(bench.now_ns + 3 * MS)
    assert (told.ecu, told.ecu_age_ns, told.session_echo) == (EcuMode.ACTIVE, 3 * MS, 7)
    assert (told.ecu_reason, told.estop, told.key_remote) == (ExitReason.CLEAR, "closed", True)
    assert (told.speed_mps, told.gear) == (2.0, 1)
    assert told.curvature_per_m == pytest.approx(0.0625, abs=2e-4)
    assert told.steer_angle_rad == pytest.approx(0.25, abs=2e-4)
    assert (told.brake_mps2, told.park_applied) == (0.5, False)
    assert told.pitch_rad == pytest.approx(0.05)
    assert told.roll_rad == pytest.approx(-0.03)
    assert (told.supply_v, told.conflict) == (24.0, False)


def test_nothing_heard__nothing_is_known() -> None:
    wire = AdaptedWire(Standard(replace(STANDS, whole=False)), LIMITS, DEFAULT_TIMING)
    told = wire.feedback(START)
    assert (told.ecu, told.ecu_age_ns, told.estop, told.key_remote) == (
        None,
        None,
        "unknown",
        None,
    )
    assert (told.curvature_per_m, told.steer_angle_rad, told.brake_mps2) == (None, None, None)
    assert (told.park_applied, told.pitch_rad, told.roll_rad, told.supply_v) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("row", ["safety", "brakes", "steering"])
def test_row_too_old__is_a_silent_ecu(row: str) -> None:
    bench = Bench().driving()
    setattr(bench.module, row, None)
    bench.tick(DRIVE, ENABLE, 11)
    told = bench.wire.feedback(bench.now_ns)
    assert (told.ecu, told.ecu_age_ns) == (None, None)


def test_standard_not_whole__is_a_silent_ecu() -> None:
    bench = Bench().driving()
    bench.standard.known = replace(ROLLS, whole=False)
    told = bench.wire.feedback(bench.now_ns)
    assert (told.ecu, told.ecu_age_ns) == (None, None)


def test_what_the_standard_tells__goes_before_the_module() -> None:
    bench = Bench().driving()
    bench.standard.known = replace(ROLLS, curvature_per_m=0.0, park_applied=True)
    told = bench.wire.feedback(bench.now_ns)
    assert (told.curvature_per_m, told.park_applied) == (0.0, True)


@pytest.mark.parametrize(
    ("park", "applied"),
    [
        (ParkState.APPLIED, True),
        (ParkState.RELEASED, False),
        (ParkState.MOVING, None),
        (ParkState.UNKNOWN, None),
    ],
)
def test_park_brake__is_known_or_it_is_none(park: ParkState, applied: bool | None) -> None:
    bench = Bench()
    bench.module.brakes = BRAKES._replace(park=park)
    bench.tick(times=5)
    assert bench.wire.feedback(bench.now_ns).park_applied is applied


def test_second_sender_of_the_module__is_a_conflict_for_two_seconds() -> None:
    bench = Bench().driving()
    can_id, data = bench.module.frames()[0]
    bench.wire.receive(bench.now_ns, [(can_id ^ 0x03, data)] * 2)
    assert bench.wire.feedback(bench.now_ns).conflict
    assert bench.wire.feedback(bench.now_ns + 2_000 * MS - 1).conflict
    assert not bench.wire.feedback(bench.now_ns + 2_000 * MS).conflict


def test_frames_that_do_not_count__are_counted_and_hide_none_behind_them() -> None:
    bench = Bench().driving()
    safety = bench.module.frames()[0]
    spoiled = (safety[0], bytes(8))
    own = (OWN_ID, b"12345678")
    bench.wire.receive(bench.now_ns, [(BAD_ID, b""), own, spoiled, own])
    assert bench.wire.refused["crc"] == 2
    assert bench.standard.taken == [(bench.now_ns, *own)] * 2


def test_frame_of_the_standard__is_none_of_the_modules() -> None:
    bench = Bench()
    before = dict(bench.wire.refused)
    bench.wire.receive(bench.now_ns, [(OWN_ID, b"x")])
    assert dict(bench.wire.refused) == before


# Frames


def sent_rows(bench: Bench) -> list[str]:
    return [matrix.BY_ID[can_id].name for can_id, _ in bench.sent if can_id in matrix.BY_ID]


def test_rows_beside__go_out_in_their_own_cycles() -> None:
    bench = Bench()
    names = []
    for _ in range(20):
        bench.tick()
        assert bench.sent[0] == (OWN_ID, b"own")
        names += sent_rows(bench)
    assert (names.count("BRAKE_CMD"), names.count("BODY_CMD")) == (10, 2)


def test_stop_that_begins__is_sent_out_of_turn() -> None:
    bench = Bench()
    bench.tick()
    assert sent_rows(bench) == ["BRAKE_CMD", "BODY_CMD"]
    assert not bench.tick().hurry
    assert sent_rows(bench) == []
    assert bench.tick(at_once=True).hurry
    assert sent_rows(bench) == ["BRAKE_CMD", "BODY_CMD"]


def test_body__follows_the_demand_and_its_tool_only_when_engaged() -> None:
    bench = Bench().driving()
    wanted = DRIVE._replace(horn=True, lights=True, implement=0.5)

    def body(supervision: Supervision) -> BodyCommand:
        bench.tick(wanted, supervision, at_once=True)
        message = decode(*next(f for f in bench.sent if f[0] == matrix.BODY_CMD.can_id))
        assert isinstance(message, BodyCommand)
        return message

    assert body(ENABLE) == BodyCommand(gear=1, lights=True, horn=True, implement=0.504)
    assert body(REST) == BodyCommand(gear=1, lights=True, horn=True, implement=0.0)


# Rows of a standard


def test_row__is_known_up_to_its_time_out() -> None:
    rows = Rows({5: 100}, {5: 3})
    assert rows.get(START, 5) is None
    assert not rows.whole(START)
    rows.keep(START, 5, "said")
    assert rows.get(START + 100 * MS, 5) == "said"
    assert rows.whole(START + 100 * MS)
    assert rows.get(START + 100 * MS + 1, 5) is None
    rows.forget(5)
    assert rows.get(START, 5) is None
    rows.forget(5)


def test_whole__is_every_row() -> None:
    rows = Rows({5: 100, 6: 100}, {5: 3, 6: 3})
    rows.keep(START, 5, "said")
    assert not rows.whole(START)
    rows.keep(START, 6, "said")
    assert rows.whole(START)


def test_row_of_another_source__is_not_one_of_these() -> None:
    rows = Rows({5: 100}, {5: 3})
    assert rows.mine(5, 3)
    assert not rows.mine(5, 4)
    assert not rows.mine(6, 3)
