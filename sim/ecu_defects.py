"""The by-wire ECU with named defects: each leaves out one thing that a good ECU does.

A bench runs its cases against these first. A case that passes on an ECU that lacks what it asks
for shows nothing; the table of defect and case is part of the bench's report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from protocol.dbw import matrix
from protocol.dbw.codec import (
    ContactState,
    Echo,
    EcuMode,
    ExitReason,
    Message,
    SafetyIo,
    SupCommand,
)
from protocol.dbw.e2e import crc8, crc_fits, protect
from protocol.dbw.endpoint import DbwReceiver, Received
from protocol.dbw.matrix import COMMANDS, COUNTER_STATES, Direction, FrameSpec
from sim.ecu import Ecu, EcuInputs, EcuProfile, FirstCause
from sim.machines.interface import ActuatorDemand, MachineFeedback


class EcuDefect(StrEnum):
    """What can be wrong with an ECU."""

    IGNORES_TIMEOUTS = "ignores_timeouts"
    """What was once received counts for ever."""
    SLOW_TIMEOUTS = "slow_timeouts"
    """Its time-outs are longer by 30 ms."""
    SKIPS_CRC = "skips_crc"
    """It looks at no CRC."""
    SKIPS_DATA_ID = "skips_data_id"
    """Its CRC leaves out the DataID: content under another frame's id passes."""
    SKIPS_COUNTER = "skips_counter"
    """It looks at no counter."""
    REFRESHES_ON_REPEATS = "refreshes_on_repeats"
    """A repeated frame makes its row fresh."""
    SKIPS_LIMITS = "skips_limits"
    """It obeys commands beyond the machine's limits."""
    ANY_SESSION = "any_session"
    """It takes commands of any session, and a session twice."""
    NO_EDGE = "no_edge"
    """Enable counts without having been seen low."""
    NO_HANDSHAKE = "no_handshake"
    """One frame with enable makes it active."""
    HEALS_ALONE = "heals_alone"
    """Once the cause is gone it is active again."""
    IGNORES_SECOND_SENDER = "ignores_second_sender"
    """It hears whoever sends its frames."""
    KEEPS_TRACTION = "keeps_traction"
    """Its stop brakes and leaves the traction on."""
    NO_BRAKE = "no_brake"
    """Its stop takes the traction off and does not brake."""
    WRONG_CAUSE = "wrong_cause"
    """It tells the last cause of a stop as the first."""
    BLIND_TO_CHANNEL_B = "blind_to_channel_b"
    """It reads emergency-stop channel A only."""
    SWAPS_CHANNELS = "swaps_channels"
    """It reports channel A as B and B as A."""
    NO_DISCREPANCY = "no_discrepancy"
    """It does not compare the channels."""
    ESTOP_HEALS = "estop_heals"
    """Its emergency stop does not latch."""
    IGNORES_RELAY = "ignores_relay"
    """It does not look at the relay's contact."""
    IGNORES_SUPPLY = "ignores_supply"
    """It does not watch its supply."""
    HASTY_SUPPLY = "hasty_supply"
    """It tells a low supply within its first two seconds."""
    BOOTS_ACTIVE = "boots_active"
    """After a power-up it goes on where it was."""
    IGNORES_LOST_SPEED = "ignores_lost_speed"
    """It takes a speed that it does not know for standstill."""
    ECHOES_LATE = "echoes_late"
    """Its echo leaves out how long it was held."""


class _DefectiveReceiver(DbwReceiver):
    """A receiver that leaves checks out: what it does not check, it makes right first."""

    def __init__(self, defects: frozenset[EcuDefect]) -> None:
        super().__init__(Direction.TO_ECU)
        self._defects = defects
        self._counters: dict[int, int] = {}

    def receive(self, now_ns: int, can_id: int, data: bytes) -> Received:
        """Judge one frame as far as these defects let it."""
        if EcuDefect.IGNORES_SECOND_SENDER in self._defects:
            can_id = next((s.can_id for s in COMMANDS if s.pgn == matrix.pgn_of(can_id)), can_id)
        spec = matrix.BY_ID.get(can_id)
        if spec is not None and spec in COMMANDS and len(data) == spec.dlc:
            data = self._mended(spec, data)
        return super().receive(now_ns, can_id, data)

    def _mended(self, spec: FrameSpec, data: bytes) -> bytes:
        defects = self._defects
        assert spec.data_ids is not None, "every command frame is protected"
        if EcuDefect.SKIPS_CRC in defects or (
            EcuDefect.SKIPS_DATA_ID in defects and _fits_any_id(data)
        ):
            data = protect(data[1:], spec.data_ids)
        renumber = EcuDefect.SKIPS_COUNTER in defects
        if EcuDefect.IGNORES_SECOND_SENDER in defects:
            renumber = True
        if renumber and crc_fits(data, spec.data_ids):
            counter = (self._counters.get(spec.can_id, -1) + 1) % COUNTER_STATES
            self._counters[spec.can_id] = counter
            data = protect(bytes((data[1] & 0xF0 | counter,)) + data[2:], spec.data_ids)
        return data


def _fits_any_id(data: bytes) -> bool:
    """Whether the CRC is right under the DataID of any frame of the matrix."""
    return any(
        crc8(data[1:] + bytes((spec.data_ids[data[1] & 0x0F],))) == data[0]
        for spec in matrix.FRAMES
        if spec.data_ids is not None
    )


class DefectiveEcu(Ecu):
    """The ECU with some of its checks left out."""

    def __init__(self, profile: EcuProfile, defects: frozenset[EcuDefect]) -> None:
        super().__init__(profile, receiver=_DefectiveReceiver(defects))
        self._defects = defects
        self._counter_heard: dict[int, bytes] = {}
        self._boot_done = False

    # -- commands

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take one frame from the bus."""
        spec = matrix.BY_ID.get(can_id)
        if EcuDefect.REFRESHES_ON_REPEATS in self._defects and spec in COMMANDS:
            assert spec is not None
            assert spec.data_ids is not None
            repeated = self._counter_heard.get(can_id) == data[1:2]
            if repeated and crc_fits(data, spec.data_ids):
                self._accept(now_ns, spec)
            self._counter_heard[can_id] = data[1:2]
        super().on_frame(now_ns, can_id, data)

    def _on_conflict(self, now_ns: int) -> None:
        if EcuDefect.IGNORES_SECOND_SENDER not in self._defects:
            super()._on_conflict(now_ns)

    def _fits_machine(self, message: Message) -> bool:
        return EcuDefect.SKIPS_LIMITS in self._defects or super()._fits_machine(message)

    def _on_sup(self, now_ns: int, sup: SupCommand) -> None:
        if EcuDefect.ANY_SESSION in self._defects:
            self._used_sessions.clear()
            if self._session:
                sup = sup._replace(session=self._session)
        super()._on_sup(now_ns, sup)

    def _standby_frame(self, now_ns: int, sup: SupCommand) -> None:
        if EcuDefect.NO_EDGE in self._defects and sup.enable:
            self._disable_heard = True
        if EcuDefect.NO_HANDSHAKE in self._defects and sup.enable:
            self._valid_run = self._enabled_run = 3
        super()._standby_frame(now_ns, sup)
        if EcuDefect.NO_HANDSHAKE in self._defects and self.mode is EcuMode.ARMED:
            self.mode = EcuMode.ACTIVE

    def _late_now(self, now_ns: int) -> frozenset[FrameSpec]:
        if EcuDefect.IGNORES_TIMEOUTS in self._defects:
            return frozenset(spec for spec in COMMANDS if spec not in self._accepted_ns)
        slow_ns = 30_000_000 if EcuDefect.SLOW_TIMEOUTS in self._defects else 0
        return super()._late_now(now_ns - slow_ns)

    # -- stops

    def _stop(self, now_ns: int, mode: EcuMode, reason: ExitReason, cause: FirstCause) -> None:
        super()._stop(now_ns, mode, reason, cause)
        if EcuDefect.WRONG_CAUSE in self._defects:
            self.reason, self.first_cause = reason, cause

    def _watch(self, now_ns: int, feedback: MachineFeedback) -> None:
        super()._watch(now_ns, feedback)
        healed = self.mode is EcuMode.SAFE_STOP and not self._late & set(COMMANDS[:4])
        if EcuDefect.HEALS_ALONE in self._defects and healed and self._sup is not None:
            self._session = self._sup.session
            self.mode = EcuMode.ACTIVE
        opened = self._inputs.estop_open
        if EcuDefect.ESTOP_HEALS in self._defects and self.mode is EcuMode.ESTOP and not opened:
            self._to_standby(ExitReason.CLEAR, FirstCause.NONE)
        if EcuDefect.BOOTS_ACTIVE in self._defects and not self._boot_done:
            self._boots_active()

    def _boots_active(self) -> None:
        """Take up whatever session is heard, as if it had never been away."""
        sup = self._sup
        fresh = not self._late & set(COMMANDS[:4])
        if sup is not None and sup.enable and self.mode is EcuMode.STANDBY and fresh:
            self.mode, self._session, self._boot_done = EcuMode.ACTIVE, sup.session, True

    def _watch_feedback(self, now_ns: int, feedback: MachineFeedback) -> None:
        if EcuDefect.IGNORES_LOST_SPEED in self._defects and not math.isfinite(feedback.speed_mps):
            feedback = feedback._replace(speed_mps=0.0)
        super()._watch_feedback(now_ns, feedback)

    def _watch_contacts(self, now_ns: int) -> None:
        real, seen = self._inputs, self._inputs
        if EcuDefect.BLIND_TO_CHANNEL_B in self._defects:
            seen = replace(seen, estop_b=seen.estop_a)
        if EcuDefect.IGNORES_RELAY in self._defects:
            seen = replace(seen, relay_feedback=ContactState.CLOSED)
        self._inputs = seen
        super()._watch_contacts(now_ns)
        self._inputs = real
        if EcuDefect.NO_DISCREPANCY in self._defects:
            self._discrepancy = False

    def _watch_supply(self, now_ns: int, feedback: MachineFeedback, power_up_ns: int) -> None:
        if EcuDefect.IGNORES_SUPPLY in self._defects:
            return
        if EcuDefect.HASTY_SUPPLY in self._defects:
            if feedback.supply_v < 18.0:
                self._stop(now_ns, EcuMode.SAFE_STOP, ExitReason.FUNCTION_FAULT, FirstCause.SUPPLY)
            return
        super()._watch_supply(now_ns, feedback, power_up_ns)

    def _stop_demand(self, now_ns: int, dt_s: float, feedback: MachineFeedback) -> ActuatorDemand:
        before_mps2, latched = self._traction_mps2, self.mode is EcuMode.SAFE_STOP
        demand = super()._stop_demand(now_ns, dt_s, feedback)
        if not latched:
            return demand
        if EcuDefect.KEEPS_TRACTION in self._defects and self._drive is not None:
            demand = demand._replace(
                accel_mps2=max(before_mps2, 0.1),
                speed_limit_mps=self._drive.speed_limit_mps,
                direction=self._drive.direction,
            )
        if EcuDefect.NO_BRAKE in self._defects:
            demand = demand._replace(brake_mps2=0.0, park=False)
        return demand

    # -- frames out

    def _safety_message(self, feedback: MachineFeedback) -> SafetyIo:
        message = super()._safety_message(feedback)
        if EcuDefect.SWAPS_CHANNELS in self._defects:
            return message._replace(estop_a=message.estop_b, estop_b=message.estop_a)
        return message

    def _message(
        self, spec: FrameSpec, now_ns: int, feedback: MachineFeedback, demand: ActuatorDemand
    ) -> Message | None:
        message = super()._message(spec, now_ns, feedback, demand)
        if EcuDefect.ECHOES_LATE in self._defects and isinstance(message, Echo):
            return message._replace(hold_us=0)
        return message


def defective_ecu(
    profile: EcuProfile, defects: Iterable[EcuDefect], inputs: EcuInputs | None = None
) -> Ecu:
    """Return an ECU with these defects; without any, the good one."""
    chosen = frozenset(defects)
    ecu = DefectiveEcu(profile, chosen) if chosen else Ecu(profile)
    if inputs is not None:
        ecu.set_inputs(inputs)
    return ecu
