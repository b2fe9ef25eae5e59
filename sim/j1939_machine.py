"""An emulated truck on J1939: engine, transmission, electronic brakes, and the retrofit's module.

Each controller judges its own command and has its own receive time-out. The engine does as a
Perkins 1200F: TSC1 that ends without a closing frame is a fault, and TSC1 is refused until the key
is turned (reference/hil.md 1.1). The brakes drop a demand that is late.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

from protocol.adapters import J1939Adapter
from protocol.dbw.codec import EcuMode
from protocol.dbw.errors import DbwError
from protocol.j1939 import codec
from protocol.j1939.codec import (
    BrakeDemand,
    BrakeMode,
    BrakePedal,
    EngineCommand,
    EngineState,
    OverrideMode,
    VehicleSpeed,
)
from protocol.j1939.ids import GLOBAL_ADDRESS, Id, parse_id
from sim.ecu import EcuInputs, EcuOutput, EcuProfile
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.retrofit import Retrofit, slew
from vehicle_agent.core.channel import Cycle

_MS = 1_000_000
CommandT = TypeVar("CommandT")
TC1_TIMEOUT_NS = 250 * _MS
COUNTER_STEP_MAX = 3
"""A counter that stays or jumps further is no new command."""
PERIODS_MS = {codec.EEC1: 20, codec.CCVS1: 100, codec.EBC1: 100, codec.ETC2: 100}
_PRIORITIES = {codec.EEC1: 3, codec.CCVS1: 6, codec.EBC1: 6, codec.ETC2: 6}


class CountedCommand(Generic[CommandT]):
    """The newest command of one sender: counted frames only, and its age."""

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self._counter: int | None = None
        self._at_ns = 0
        self.command: CommandT | None = None

    def take(self, now_ns: int, command: CommandT, counter: int) -> bool:
        """Take a good frame; False when its counter does not go on."""
        step = 1 if self._counter is None else (counter - self._counter) % self._counters
        self._counter = counter
        if not 1 <= step <= COUNTER_STEP_MAX and counter != codec.NO_COUNTER:
            return False
        self.command, self._at_ns = command, now_ns
        return True

    def age_ns(self, now_ns: int) -> int:
        """Return its age; nothing can be said before the first one."""
        return now_ns - self._at_ns

    def drop(self) -> None:
        """Act on nothing any more."""
        self.command = None


class Tsc1Receiver:
    """An engine or a retarder that takes TSC1.

    Attributes:
        fault: TSC1 ended without a closing frame; nothing acts until the key is turned.
    """

    def __init__(self, adapter: J1939Adapter) -> None:
        self._variant = adapter.tsc1_checksum
        self._timeout_ns = adapter.tsc1_timeout_ms * _MS
        self._newest: CountedCommand[EngineCommand] = CountedCommand(codec.TSC1_COUNTERS)
        self.fault = False

    def take(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame.

        Raises:
            DbwError: it is bad.
        """
        command, counter = codec.decode_tsc1(can_id, data, self._variant)
        if self._newest.take(now_ns, command, counter) and command.mode is OverrideMode.OFF:
            self._newest.drop()

    def torque_share(self, now_ns: int, *, late_ns: int | None = None) -> float:
        """Return the torque that is asked for; 0 without control."""
        command = self._newest.command
        if command is None:
            return 0.0
        if self._newest.age_ns(now_ns) >= (late_ns or self._timeout_ns):
            self.fault = True
            self._newest.drop()
        asked = command.torque_share if command.mode is OverrideMode.TORQUE else None
        return 0.0 if self.fault or asked is None else asked


class J1939Machine:
    """One truck; one instance is one turn of its key.

    Args:
        profile: its limits. adapter: addresses, checksum and time-outs of its controllers.

    Attributes:
        refused: command frames that did not count, by reason.
    """

    def __init__(self, profile: EcuProfile, adapter: J1939Adapter) -> None:
        self._profile, self._adapter = profile, adapter
        self._module = Retrofit(profile, steers=True)
        self.engine = Tsc1Receiver(adapter)
        self._retarder = Tsc1Receiver(adapter)
        self._xbr: CountedCommand[BrakeDemand] = CountedCommand(codec.XBR_COUNTERS)
        self._gear_asked: tuple[int, int] | None = None
        self._direction = 0
        self._cycles = {pgn: Cycle(ms) for pgn, ms in PERIODS_MS.items()}
        self._stepped_ns: int | None = None
        self._traction_mps2 = self._brake_mps2 = 0.0
        self._pedal_share = 0.0
        self.refused: Counter[str] = Counter()

    @property
    def mode(self) -> EcuMode:
        """In the words of a by-wire ECU: ACTIVE while nothing holds it."""
        return EcuMode.SAFE_STOP if self._module.stopped or self.engine.fault else EcuMode.ACTIVE

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state."""
        self._module.set_inputs(inputs)

    def press_pedal(self, share: float) -> None:
        """Somebody in the cab presses the brake pedal, 0…1."""
        self._pedal_share = share

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from the bus, whatever it is."""
        group = parse_id(can_id)
        if group.source != self._adapter.address:
            self._module.on_frame(now_ns, can_id, data)
            return
        try:
            self._take(now_ns, group, can_id, data)
        except DbwError as error:
            self.refused[error.refusal.value] += 1

    def _take(self, now_ns: int, group: Id, can_id: int, data: bytes) -> None:
        adapter = self._adapter
        if group.pgn == codec.TSC1 and group.destination == adapter.engine:
            self.engine.take(now_ns, can_id, data)
        elif group.pgn == codec.TSC1 and group.destination == adapter.retarder:
            self._retarder.take(now_ns, can_id, data)
        elif group.pgn == codec.XBR and group.destination == adapter.brakes:
            self._xbr.take(now_ns, *codec.decode_xbr(can_id, data))
        elif group.pgn == codec.TC1 and group.destination == adapter.transmission:
            self._gear_asked = (now_ns, codec.decode_tc1(data))
        else:
            self._module.on_frame(now_ns, can_id, data)

    def step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        """Advance to ``now_ns``: decide, and send what is due."""
        dt_s = 0.0 if self._stepped_ns is None else (now_ns - self._stepped_ns) / 1e9
        self._stepped_ns = now_ns
        self._module.step(now_ns, feedback)
        demand = self._demand(now_ns, dt_s, feedback)
        self._traction_mps2, self._brake_mps2 = demand.accel_mps2, demand.brake_mps2
        frames = self._module.frames(now_ns, feedback)
        for pgn, cycle in self._cycles.items():
            if cycle.due(now_ns):
                frames.append((self._id(pgn), self._tell(pgn, feedback)))
        return EcuOutput(demand, tuple(frames))

    def _demand(self, now_ns: int, dt_s: float, feedback: MachineFeedback) -> ActuatorDemand:
        p, module = self._profile, self._module
        direction = self._shifted(now_ns, feedback)
        share = max(self.engine.torque_share(now_ns), 0.0) / self._adapter.torque_full_share
        free = module.contacts_closed and direction != 0 and not module.park
        wanted_mps2 = min(share, 1.0) * p.accel_max_mps2 if free else 0.0
        braked_mps2 = max(self._demanded_mps2(now_ns), module.brake_mps2(now_ns))
        reverse = direction < 0
        return ActuatorDemand(
            curvature_per_m=module.curvature_per_m(now_ns, dt_s, feedback),
            accel_mps2=min(wanted_mps2, self._traction_mps2 + p.traction_jerk_mps3 * dt_s),
            speed_limit_mps=p.reverse_speed_max_mps if reverse else p.speed_max_mps,
            direction=direction,
            brake_mps2=slew(self._brake_mps2, braked_mps2, p.brake_jerk_mps3 * dt_s),
            park=module.park,
            retarder=min(-min(self._retarder.torque_share(now_ns, late_ns=250 * _MS), 0.0), 1.0),
            implement=module.implement(now_ns),
        )

    def _demanded_mps2(self, now_ns: int) -> float:
        """XBR in time; a demand that is late is dropped, as an electronic brake does."""
        demand = self._xbr.command
        late = self._xbr.age_ns(now_ns) > self._adapter.xbr_timeout_ms * _MS
        if demand is None or demand.mode is BrakeMode.OFF or late:
            return 0.0
        return min(demand.decel_mps2, self._profile.service_brake_max_mps2)

    def _shifted(self, now_ns: int, feedback: MachineFeedback) -> int:
        """Shift at standstill only; without a request the transmission goes to neutral there."""
        if abs(feedback.speed_mps) > self._profile.direction_change_mps:
            return self._direction
        asked = self._gear_asked
        fresh = asked is not None and now_ns - asked[0] <= TC1_TIMEOUT_NS
        gear = asked[1] if asked is not None and fresh else 0
        self._direction = (gear > 0) - (gear < 0)
        return self._direction

    def _id(self, pgn: int) -> int:
        adapter = self._adapter
        senders = {codec.EEC1: adapter.engine, codec.ETC2: adapter.transmission}
        source = senders.get(pgn, adapter.brakes)
        return Id(_PRIORITIES[pgn], pgn, source, GLOBAL_ADDRESS).encode()

    def _tell(self, pgn: int, feedback: MachineFeedback) -> bytes:
        if pgn == codec.EEC1:
            torque = self._traction_mps2 / self._profile.accel_max_mps2
            rpm = feedback.engine_rpm if 0.0 <= feedback.engine_rpm <= 8031.0 else None
            return codec.encode_eec1(EngineState(min(torque, 1.25), rpm))
        if pgn == codec.CCVS1:
            speed_mps: float | None = abs(feedback.speed_mps)
            if not abs(feedback.speed_mps) <= 69.0:
                speed_mps = None
            braked = self._brake_mps2 > 0.0
            return codec.encode_ccvs1(VehicleSpeed(speed_mps, feedback.park_applied, braked))
        if pgn == codec.EBC1:
            return codec.encode_ebc1(BrakePedal(self._pedal_share, ebs_switch=True))
        return codec.encode_etc2(feedback.gear)
