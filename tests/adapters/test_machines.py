"""The emulated truck and tractor behind their adapters: time-outs, closing frames, exits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from protocol.adapters import IsobusAdapter, J1939Adapter
from protocol.dbw.codec import BrakeCommand, ContactState, EcuMode, ExitReason
from protocol.dbw.endpoint import DbwSender
from protocol.dbw.matrix import DRIVE_CMD, SUP_CMD
from protocol.isobus import codec as isobus
from protocol.isobus.codec import Steering
from protocol.j1939 import codec as j1939
from protocol.j1939.codec import BrakeDemand, BrakeMode, Checksum
from protocol.j1939.ids import Id, parse_id
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from sim.ecu import EcuInputs, EcuProfile
from sim.isobus_machine import IsobusMachine
from sim.j1939_machine import J1939Machine
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.runner.run import Run
from sim.scenario.file import find_scenario
from tests.adapters.parts import DRIVE, ENABLE, MS, PARKED, REST, START, STOP
from tests.sim.worlds import shipped
from vehicle_agent.core.adapted import AdaptedWire
from vehicle_agent.core.bywire import Supervision
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.isobus import IsobusTranslator
from vehicle_agent.core.j1939 import J1939Translator

STANDING = MachineFeedback(
    speed_mps=0.0,
    accel_mps2=0.0,
    curvature_per_m=0.0,
    steer_angle_rad=0.0,
    engine_rpm=800.0,
    gear=1,
    brake_mps2=0.0,
    park_applied=True,
    yaw_rate_radps=0.0,
    pitch_rad=0.0,
    roll_rad=0.0,
    implement=0.0,
    supply_v=24.0,
)
ROLLING = STANDING._replace(speed_mps=2.0, park_applied=False)
OPEN = ContactState.OPEN
STEP = 5 * MS
Frames = list[tuple[int, bytes]]


class Loop:
    """An adapter and its machine on one bus; the machine moves as the test says.

    Attributes:
        felt: what the machine's sensors say. muted: frames of the agent that are lost.
    """

    def __init__(self, name: str, agent: dict[str, Any] | None = None) -> None:
        profile = shipped(name).profile
        adapter, ecu = profile.adapter, EcuProfile.of(profile)
        translator: J1939Translator | IsobusTranslator
        self.machine: J1939Machine | IsobusMachine
        if isinstance(adapter, J1939Adapter):
            self.machine = J1939Machine(ecu, adapter)
            spoken = adapter.model_copy(update=agent or {})
            translator = J1939Translator(spoken, profile.limits)
        else:
            assert isinstance(adapter, IsobusAdapter)
            self.machine = IsobusMachine(ecu, adapter)
            translator = IsobusTranslator(adapter, profile.limits)
        self.wire = AdaptedWire(translator, profile.limits, DEFAULT_TIMING)
        self.profile, self.felt, self.now_ns = profile, STANDING, START
        self.muted: Callable[[int], bool] = lambda _: False
        self.heard: list[tuple[int, int, bytes]] = []
        self._said: Frames = []
        self.output = ActuatorDemand(None, 0.0, 0.0, 0, 0.0, park=True)

    def step(self) -> None:
        self.now_ns += STEP
        result = self.machine.step(self.now_ns, self.felt)
        self.output = result.demand
        self._said += result.frames

    def tick(
        self, demand: Demand = PARKED, supervision: Supervision = REST, times: int = 1
    ) -> Loop:
        for _ in range(times):
            self.step()
            self.step()
            said, self._said = self._said, []
            self.wire.receive(self.now_ns, said)
            for can_id, data in self.wire.transmit(self.now_ns, demand, supervision, at_once=False):
                if not self.muted(can_id):
                    self.heard.append((self.now_ns, can_id, data))
                    self.machine.on_frame(self.now_ns, can_id, data)
        return self

    def put(self, can_id: int, data: bytes) -> None:
        self.machine.on_frame(self.now_ns, can_id, data)

    def driving(self) -> Loop:
        self.tick(times=60).tick(PARKED, ENABLE, 5)
        assert self.wire.engagement.mode is EcuMode.ACTIVE
        self.tick(DRIVE, ENABLE, 30)
        self.felt = ROLLING
        self.tick(DRIVE, ENABLE, 40)
        assert self.output.accel_mps2 > 0.1
        return self


def truck(**agent: Any) -> Loop:
    return Loop("truck_8x8_50t", agent)


def tractor() -> Loop:
    return Loop("electric_tractor")


def steps_until(loop: Loop, done: Callable[[], bool], most: int = 200) -> float:
    """Milliseconds of the machine's own steps, with nothing from the agent, until ``done``."""
    begun_ns = loop.now_ns
    while not done():
        loop.step()
        assert loop.now_ns - begun_ns < most * STEP
    return (loop.now_ns - begun_ns) / MS


# Both


@pytest.mark.parametrize("make", [truck, tractor])
def test_driven__pulls_steers_and_brakes_as_asked(make: Callable[[], Loop]) -> None:
    loop = make().driving()
    assert loop.tick(DRIVE, ENABLE, 40).output.accel_mps2 == pytest.approx(0.625, abs=0.02)
    assert loop.output.curvature_per_m == pytest.approx(0.05, abs=0.001)
    assert (loop.output.direction, loop.output.park) == (1, False)
    loop.tick(STOP._replace(brake_mps2=2.0), ENABLE, 40)
    assert loop.output.accel_mps2 == 0.0
    assert loop.output.brake_mps2 == pytest.approx(2.0, abs=0.001)
    assert loop.machine.mode is EcuMode.ACTIVE
    assert dict(loop.machine.refused) == {}


@pytest.mark.parametrize("make", [truck, tractor])
def test_reverse__is_engaged_at_standstill_only(make: Callable[[], Loop]) -> None:
    loop = make().driving()
    back = DRIVE._replace(direction=-1)
    assert loop.tick(back, ENABLE, 40).output.direction == 1
    loop.felt = STANDING._replace(park_applied=False)
    assert loop.tick(back, ENABLE, 40).output.direction == -1


@pytest.mark.requirement("HF-ADPT-04")
@pytest.mark.parametrize("make", [truck, tractor])
def test_guardian_gone__no_traction_and_the_module_brakes(make: Callable[[], Loop]) -> None:
    loop = make().driving()
    braked_ms = steps_until(loop, lambda: loop.output.brake_mps2 > 0.0)
    assert braked_ms <= 110.0
    steps_until(loop, lambda: loop.output.accel_mps2 == 0.0)
    assert (loop.now_ns - START) > 0
    assert loop.machine.mode is EcuMode.SAFE_STOP
    loop.felt = STANDING
    loop.step()
    assert loop.output.park


@pytest.mark.parametrize("make", [truck, tractor])
def test_guardian_back_after_a_gap__nothing_moves_before_standstill_and_park(
    make: Callable[[], Loop],
) -> None:
    loop = make().driving()
    for _ in range(80):
        loop.step()
    loop.tick(DRIVE, ENABLE, 50)
    assert loop.output.accel_mps2 == 0.0
    assert loop.output.brake_mps2 >= loop.profile.limits.stop_decel_mps2 - 0.001
    loop.felt = STANDING
    loop.tick(PARKED, REST, 20)
    assert not loop.machine.mode.name.startswith("SAFE") or isinstance(loop.machine, J1939Machine)


@pytest.mark.parametrize("make", [truck, tractor])
@pytest.mark.parametrize(
    "inputs",
    [
        EcuInputs(estop_a=OPEN, estop_b=OPEN),
        EcuInputs(relay_feedback=OPEN),
        EcuInputs(key_remote=False),
        EcuInputs(manual_override=True),
    ],
    ids=["estop", "relay", "key", "override"],
)
def test_contact_opens__no_traction_at_the_next_step(
    make: Callable[[], Loop], inputs: EcuInputs
) -> None:
    loop = make().driving()
    loop.machine.set_inputs(inputs)
    loop.step()
    assert loop.output.accel_mps2 == 0.0
    assert loop.output.brake_mps2 > 0.0
    loop.tick(DRIVE, ENABLE, 60)
    assert loop.output.accel_mps2 == 0.0
    assert loop.wire.engagement.mode is not EcuMode.ACTIVE


@pytest.mark.parametrize("make", [truck, tractor])
def test_second_sender_of_the_modules_row__stops(make: Callable[[], Loop]) -> None:
    loop = make().driving()
    intruder = DbwSender()
    for _ in range(2):
        can_id, data = intruder.encode(BrakeCommand(0.0, False, 0.0))
        loop.put(can_id ^ 0x02, data)
    loop.step()
    assert loop.machine.mode is EcuMode.SAFE_STOP


@pytest.mark.parametrize("make", [truck, tractor])
def test_commands_of_another_address__are_nothing(make: Callable[[], Loop]) -> None:
    loop = make()
    loop.driving()
    before = loop.output
    for _, can_id, data in loop.heard[-20:]:
        if can_id >> 16 & 0xFF != 0xFF:
            loop.put(can_id ^ 0x05, data)
    loop.step()
    assert loop.output.curvature_per_m == pytest.approx(before.curvature_per_m, abs=0.001)
    assert dict(loop.machine.refused) == {}


# The truck


def tsc1_gaps_ms(loop: Loop) -> tuple[float, bytes]:
    """The longest gap between engine commands, and the last of them."""
    engine = [(t, d) for t, i, d in loop.heard if parse_id(i).pgn == 0 and i & 0xFF00 == 0]
    times = [t for t, _ in engine]
    longest = max((b - a for a, b in pairwise(times)), default=0)
    return longest / MS, engine[-1][1]


@pytest.mark.requirement("HF-ADPT-02")
@pytest.mark.parametrize(
    ("demand", "supervision", "inputs"),
    [
        (STOP, ENABLE, EcuInputs()),
        (STOP, REST, EcuInputs()),
        (STOP._replace(estop=True), REST, EcuInputs()),
        (DRIVE, ENABLE._replace(link_age_ms=251), EcuInputs()),
        (DRIVE, ENABLE, EcuInputs(estop_a=OPEN, estop_b=OPEN)),
        (DRIVE, ENABLE, EcuInputs(key_remote=False)),
        (DRIVE, ENABLE._replace(session=9), EcuInputs()),
    ],
    ids=["stop", "released", "hard stop", "stale", "estop", "key", "session"],
)
def test_every_exit__closes_the_engines_command_before_its_time_out(
    demand: Demand, supervision: Supervision, inputs: EcuInputs
) -> None:
    loop = truck().driving()
    assert isinstance(loop.machine, J1939Machine)
    loop.machine.set_inputs(inputs)
    loop.tick(demand, supervision, 60)
    gap_ms, last = tsc1_gaps_ms(loop)
    assert last[0] & 0x03 == 0
    assert gap_ms < 90.0
    assert loop.now_ns - loop.heard[-1][0] < 500 * MS
    assert not loop.machine.engine.fault
    assert loop.output.accel_mps2 == 0.0


def test_command_that_just_ends__is_a_fault_until_the_key_is_turned() -> None:
    loop = truck().driving()
    assert isinstance(loop.machine, J1939Machine)
    engine = loop.machine.engine
    ended_ms = steps_until(loop, lambda: engine.fault)
    assert ended_ms == 90.0
    assert loop.output.accel_mps2 == 0.0
    loop.felt = STANDING
    loop.tick(PARKED, REST._replace(fault_ack=True), 20).tick(PARKED, REST, 20)
    loop.tick(DRIVE, ENABLE._replace(session=8), 60)
    assert engine.fault
    assert loop.output.accel_mps2 == 0.0


def test_engine_that_knows_the_other_checksum__does_not_pull() -> None:
    loop = truck(tsc1_checksum=Checksum.B)
    loop.tick(times=60).tick(DRIVE, ENABLE, 100)
    assert loop.output.accel_mps2 == 0.0
    assert loop.machine.refused["crc"] > 20


def test_counter_that_stays__is_no_new_command() -> None:
    loop = truck().driving()
    assert isinstance(loop.machine, J1939Machine)
    engine = loop.machine.engine
    last = next(d for _, i, d in reversed(loop.heard) if parse_id(i).pgn == 0)
    can_id = Id(3, 0, 0x80, 0x00).encode()
    for _ in range(20):
        loop.put(can_id, last)
        loop.step()
    assert engine.fault
    assert loop.output.accel_mps2 == 0.0


def test_brake_demand_that_is_late__is_dropped_and_the_module_brakes() -> None:
    loop = truck().driving()
    loop.tick(STOP._replace(brake_mps2=2.0), ENABLE, 30)
    loop.muted = lambda can_id: parse_id(can_id).pgn == j1939.XBR
    loop.tick(STOP._replace(brake_mps2=2.0), ENABLE, 30)
    assert loop.output.brake_mps2 == 0.0
    loop.muted = lambda _: True
    loop.tick(STOP, ENABLE, 30)
    assert loop.output.brake_mps2 == pytest.approx(loop.profile.limits.stop_decel_mps2)


def test_zero_of_a_sender_that_counts_in_1_4096__brakes_as_before_and_never_pulls() -> None:
    loop = truck().driving()
    can_id = Id(3, j1939.XBR, 0x80, 0x0B).encode()
    body = bytes((64254 & 0xFF, 64254 >> 8, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF))
    loop.put(can_id, body + bytes((j1939.xbr_checksum(can_id, body, 3) << 4 | 3,)))
    assert loop.machine.refused["out_of_range"] == 1


def test_pedal_in_the_cab__ends_remote_control() -> None:
    loop = truck().driving()
    assert isinstance(loop.machine, J1939Machine)
    loop.machine.press_pedal(0.3)
    loop.tick(DRIVE, ENABLE, 20)
    assert loop.wire.engagement.mode is EcuMode.STANDBY
    assert loop.output.accel_mps2 == 0.0


def test_retarder__holds_back_as_asked_and_is_closed() -> None:
    loop = truck().driving()
    assert loop.tick(DRIVE._replace(retarder=0.5), ENABLE, 10).output.retarder == 0.5
    assert loop.tick(DRIVE, ENABLE, 20).output.retarder == 0.0


def test_brake_demand_by_another_mode__is_off() -> None:
    loop = truck().driving()
    can_id = Id(3, j1939.XBR, 0x80, 0x0B).encode()
    for counter in range(5):
        demand = BrakeDemand(BrakeMode.OFF, 3.0)
        loop.put(can_id, j1939.encode_xbr(can_id, demand, counter))
        loop.step()
    assert loop.output.brake_mps2 == 0.0


# The tractor


def test_guidance_that_is_late__lets_go_and_waits_for_not_intended() -> None:
    loop = tractor().driving()
    assert isinstance(loop.machine, IsobusMachine)
    loop.muted = lambda can_id: parse_id(can_id).pgn == isobus.GUIDANCE_COMMAND
    loop.tick(DRIVE, ENABLE, 12)
    assert loop.output.curvature_per_m == pytest.approx(0.05, abs=0.001)
    loop.tick(DRIVE, ENABLE, 10)
    assert loop.output.curvature_per_m is None
    assert loop.machine.steering_exit is ExitReason.COMMAND_TIMEOUT
    loop.muted = lambda _: False
    can_id = Id(3, isobus.GUIDANCE_COMMAND, 0x80, 0xF0).encode()
    loop.put(can_id, isobus.encode_guidance(0.05, Steering.INTENDED))
    loop.step()
    assert loop.output.curvature_per_m is None
    loop.put(can_id, isobus.encode_guidance(0.0, Steering.NOT_INTENDED))
    loop.put(can_id, isobus.encode_guidance(0.05, Steering.INTENDED))
    loop.step()
    assert loop.output.curvature_per_m is not None


def test_tractor_that_let_go__ends_remote_control_with_its_reason() -> None:
    loop = tractor().driving()
    loop.muted = lambda can_id: parse_id(can_id).pgn == isobus.GUIDANCE_COMMAND
    loop.tick(DRIVE, ENABLE, 40)
    assert loop.wire.engagement.mode is EcuMode.SAFE_STOP
    assert loop.wire.engagement.reason is ExitReason.COMMAND_TIMEOUT
    assert (loop.output.accel_mps2, loop.output.brake_mps2) == (0.0, 3.0)


def test_curvature_that_the_tractor_cannot_turn__lets_go() -> None:
    loop = tractor().driving()
    assert isinstance(loop.machine, IsobusMachine)
    can_id = Id(3, isobus.GUIDANCE_COMMAND, 0x80, 0xF0).encode()
    loop.put(can_id, isobus.encode_guidance(0.6, Steering.INTENDED))
    loop.step()
    assert loop.output.curvature_per_m is None
    assert loop.machine.steering_exit is ExitReason.OUT_OF_RANGE


@pytest.mark.parametrize("lost", [isobus.SPEED_COMMAND, isobus.HEARTBEAT])
def test_speed_command_or_heartbeat_that_is_late__ends_traction(lost: int) -> None:
    loop = tractor().driving()
    assert isinstance(loop.machine, IsobusMachine)
    loop.muted = lambda can_id: parse_id(can_id).pgn == lost
    loop.tick(DRIVE, ENABLE, 18)
    assert loop.output.accel_mps2 > 0.1
    loop.tick(DRIVE, ENABLE, 30)
    assert loop.output.accel_mps2 == 0.0
    assert loop.machine.speed_exit is ExitReason.COMMAND_TIMEOUT


def test_speed_command_that_ends_with_zero__is_no_exit() -> None:
    loop = tractor().driving()
    assert isinstance(loop.machine, IsobusMachine)
    loop.tick(STOP, ENABLE, 80)
    assert loop.machine.speed_exit is ExitReason.CLEAR
    assert loop.wire.engagement.mode is EcuMode.ACTIVE
    loop.tick(DRIVE, ENABLE, 40)
    assert loop.output.accel_mps2 > 0.1


# The whole chain


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("truck_over_j1939_loses_its_link", {j1939.TSC1, j1939.XBR, j1939.TC1}),
        (
            "tractor_over_isobus_loses_its_link",
            {isobus.GUIDANCE_COMMAND, isobus.SPEED_COMMAND, isobus.HEARTBEAT},
        ),
    ],
)
def test_driver_in_the_cockpit__drives_it_by_its_own_standard(name: str, spoken: set[int]) -> None:
    run = Run(find_scenario(name), 1)
    sent: set[int] = set()
    say = run.machine.simulated.on_frame

    def hear(now_ns: int, can_id: int, data: bytes) -> None:
        sent.add(parse_id(can_id).pgn)
        say(now_ns, can_id, data)

    run.machine.simulated.on_frame = hear  # type: ignore[method-assign]
    for _ in range(880):
        run.tick()
    assert run.mode is VehicleMode.ACTIVE
    assert run.truth["speed_mps"] > 1.0
    assert sent >= spoken
    assert not sent & {SUP_CMD.pgn, DRIVE_CMD.pgn}
