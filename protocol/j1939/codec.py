"""The J1939 parameter groups that drive a truck: commands TSC1, XBR, TC1; EEC1, CCVS1, EBC1, ETC2.

Layouts, scales and checksums: reference/hil.md 1.1 with the sources named there. SI in Python.
A command whose checksum, counter, length or value does not fit is refused, never repaired, and
what says "error" or "not available" is no command.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from protocol.dbw.errors import CrcError, ReservedValueError, ValueRangeError
from protocol.j1939.slots import (
    ABSENT_U8,
    HIGH_U8,
    HIGH_U16,
    Slot,
    bits,
    check_choice,
    check_length,
    flag_code,
    flag_optional,
)

TSC1, TC1, XBR = 0x0000, 0x0100, 0x0400
EEC1, EBC1, ETC2, CCVS1 = 0xF004, 0xF001, 0xF005, 0xFEF1
TSC1_COUNTERS, XBR_COUNTERS = 8, 16
NO_COUNTER = 0x0F
_MPS_PER_KMH = 1.0 / 3.6

_RPM = Slot("engine speed", 8.0, 0.0, HIGH_U16)
_TORQUE = Slot("torque", 100.0, -1.25, HIGH_U8)
_ACCEL = Slot("external acceleration", 2048.0, -15.687, HIGH_U16)
_NO_BRAKING_HIGHEST = 32128
"""The code next above the one for no braking, 32127; both lie within a count of zero."""
_GEAR = Slot("gear", 1.0, -125.0, HIGH_U8)
_SPEED = Slot("wheel-based speed", 256.0 / _MPS_PER_KMH, 0.0, HIGH_U16)
_PEDAL = Slot("brake pedal", 250.0, 0.0, HIGH_U8)


class Checksum(StrEnum):
    """TSC1's published checksums. They differ in half of all frames: an engine knows one."""

    A = "A"
    """(((s >> 6) & 3) + (s >> 3) + s) & 7 (Deutz Stage V)."""
    B = "B"
    """((s >> 6) + (s >> 3) + s) & 7 (PACCAR)."""
    NONE = "none"
    """Byte 8 says not available: neither counter nor checksum."""


class OverrideMode(IntEnum):
    """TSC1's override control mode; OFF ends control."""

    OFF = 0
    SPEED = 1
    TORQUE = 2
    LIMIT = 3


class BrakeMode(IntEnum):
    """XBR's control mode. Positions and meaning of 1 and 2 are to be confirmed per machine."""

    OFF = 0
    ADDITION = 1
    MAXIMUM = 2


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """TSC1.

    Attributes:
        mode: what is asked. speed_rpm: 0…8031.875; None is not available.
        torque_share: −1.25…1.25 of the reference torque; None is not available.
        priority: 0 highest … 3 lowest.
    """

    mode: OverrideMode
    speed_rpm: float | None = None
    torque_share: float | None = None
    priority: int = 3


@dataclass(frozen=True, slots=True)
class BrakeDemand:
    """XBR.

    Attributes:
        mode: how it joins the driver's pedal; OFF releases.
        decel_mps2: 0…15.687, a magnitude. priority: 0 highest … 3 lowest.
    """

    mode: BrakeMode
    decel_mps2: float = 0.0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class EngineState:
    """EEC1: torque_share −1.25…1.25, speed_rpm; None is not told."""

    torque_share: float | None
    speed_rpm: float | None


@dataclass(frozen=True, slots=True)
class VehicleSpeed:
    """CCVS1: speed_mps is a magnitude, 0…69.7; None is not told."""

    speed_mps: float | None
    park_applied: bool | None
    brake_pressed: bool | None


@dataclass(frozen=True, slots=True)
class BrakePedal:
    """EBC1: pedal_share 0…1; ebs_switch: brakes take demands; None is not told."""

    pedal_share: float | None
    ebs_switch: bool | None


# --- Checksums --------------------------------------------------------------------------------


def _sum(can_id: int, data: bytes, counter: int) -> int:
    return sum(data[:7]) + counter + sum(can_id >> shift & 0xFF for shift in (0, 8, 16, 24))


def tsc1_checksum(can_id: int, data: bytes, counter: int, variant: Checksum) -> int:
    """Return the 3-bit checksum of bytes 1…7, the counter and the identifier."""
    total = _sum(can_id, data, counter)
    top = total >> 6 & 3 if variant is Checksum.A else total >> 6
    return top + (total >> 3) + total & 7


def xbr_checksum(can_id: int, data: bytes, counter: int) -> int:
    """Return the 4-bit checksum of bytes 1…7, the counter and the identifier."""
    total = _sum(can_id, data, counter)
    return (total >> 4) + total & 0xF


# --- Commands ---------------------------------------------------------------------------------


def encode_tsc1(can_id: int, command: EngineCommand, counter: int, variant: Checksum) -> bytes:
    """Return TSC1's bytes.

    Raises:
        ValueRangeError: a value has no code, or the mode asks for one that is missing.
    """
    asked = {
        OverrideMode.OFF: True,
        OverrideMode.SPEED: command.speed_rpm is not None,
        OverrideMode.TORQUE: command.torque_share is not None,
        OverrideMode.LIMIT: None not in (command.speed_rpm, command.torque_share),
    }
    if not asked[command.mode]:
        raise ValueRangeError(f"TSC1: mode {command.mode.name} without its value")
    priority = check_choice("TSC1 priority", command.priority, 3)
    check_choice("TSC1 counter", counter, TSC1_COUNTERS - 1)
    speed = _RPM.pack_optional(command.speed_rpm)
    body = bytes(
        (
            0xC0 | priority << 4 | command.mode,
            speed & 0xFF,
            speed >> 8,
            _TORQUE.pack_optional(command.torque_share),
            0xFF,
            0xFF,
            0xFF,
        )
    )
    if variant is Checksum.NONE:
        return body + b"\xff"
    return body + bytes((tsc1_checksum(can_id, body, counter, variant) << 4 | counter,))


def decode_tsc1(can_id: int, data: bytes, variant: Checksum) -> tuple[EngineCommand, int]:
    """Return a command and its counter (:data:`NO_COUNTER` in a profile without one).

    Raises:
        DbwError: length, checksum, counter, or a value that is reserved, missing or an error.
    """
    check_length("TSC1", data)
    counter, checksum = data[7] & 0x0F, data[7] >> 4
    if variant is Checksum.NONE:
        if data[7] != ABSENT_U8:
            raise ReservedValueError("TSC1: this engine's profile knows no counter")
    elif counter >= TSC1_COUNTERS:
        raise ReservedValueError(f"TSC1: counter {counter} is reserved")
    elif checksum != tsc1_checksum(can_id, data, counter, variant):
        raise CrcError(f"TSC1: checksum {checksum} does not fit")
    mode = OverrideMode(bits(data, 0, 0, 2))
    speed, torque = data[1] | data[2] << 8, data[3]
    with_speed = mode in (OverrideMode.SPEED, OverrideMode.LIMIT)
    with_torque = mode in (OverrideMode.TORQUE, OverrideMode.LIMIT)
    command = EngineCommand(
        mode,
        _RPM.unpack(speed) if with_speed else _RPM.unpack_optional(speed),
        _TORQUE.unpack(torque) if with_torque else _TORQUE.unpack_optional(torque),
        bits(data, 0, 4, 2),
    )
    return command, counter


def encode_xbr(can_id: int, demand: BrakeDemand, counter: int) -> bytes:
    """Return XBR's bytes: no endurance brake integration, urgency not told.

    Raises:
        ValueRangeError: a value has no code.
    """
    priority = check_choice("XBR priority", demand.priority, 3)
    check_choice("XBR counter", counter, XBR_COUNTERS - 1)
    if demand.decel_mps2 < 0.0:
        raise ValueRangeError(f"XBR: {demand.decel_mps2!r} would accelerate")
    raw = _ACCEL.pack(-demand.decel_mps2)
    body = bytes(
        (raw & 0xFF, raw >> 8, 0xC0 | demand.mode << 4 | priority << 2, 0xFF, 0xFF, 0xFF, 0xFF)
    )
    return body + bytes((xbr_checksum(can_id, body, counter) << 4 | counter,))


def decode_xbr(can_id: int, data: bytes) -> tuple[BrakeDemand, int]:
    """Return a demand and its counter.

    A demand that would accelerate is refused: a sender that counts in 1/4096 m/s² asks for
    +15.687 m/s² when it means no braking.

    Raises:
        DbwError: length, checksum, or a value that is reserved, missing, an error or wrong.
    """
    check_length("XBR", data)
    counter, checksum = data[7] & 0x0F, data[7] >> 4
    if checksum != xbr_checksum(can_id, data, counter):
        raise CrcError(f"XBR: checksum {checksum} does not fit")
    mode = bits(data, 2, 4, 2)
    if mode > BrakeMode.MAXIMUM:
        raise ReservedValueError(f"XBR: control mode {mode} is reserved")
    raw = data[0] | data[1] << 8
    accel_mps2 = _ACCEL.unpack(raw)
    if raw > _NO_BRAKING_HIGHEST:
        raise ValueRangeError(f"XBR: {accel_mps2:+.3f} m/s² would accelerate")
    return BrakeDemand(BrakeMode(mode), max(-accel_mps2, 0.0), bits(data, 2, 2, 2)), counter


def encode_tc1(gear: int) -> bytes:
    """Return TC1's bytes: negative gears are reverse, 0 is neutral.

    Raises:
        ValueRangeError: the gear has no code.
    """
    return b"\xff\xff" + bytes((_GEAR.pack(gear),)) + b"\xff" * 5


def decode_tc1(data: bytes) -> int:
    """Return the requested gear.

    Raises:
        DbwError: length, or a code that is no gear.
    """
    check_length("TC1", data)
    return round(_GEAR.unpack(data[2]))


# --- What the machine tells -------------------------------------------------------------------


def encode_eec1(state: EngineState) -> bytes:
    """Return EEC1's bytes.

    Raises:
        ValueRangeError: a value has no code.
    """
    speed = _RPM.pack_optional(state.speed_rpm)
    torque = _TORQUE.pack_optional(state.torque_share)
    return bytes((0xFF, 0xFF, torque, speed & 0xFF, speed >> 8, 0xFF, 0xFF, 0xFF))


def decode_eec1(data: bytes) -> EngineState:
    """Return what the engine tells.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("EEC1", data)
    return EngineState(
        _TORQUE.unpack_optional(data[2]), _RPM.unpack_optional(data[3] | data[4] << 8)
    )


def encode_ccvs1(speed: VehicleSpeed) -> bytes:
    """Return CCVS1's bytes.

    Raises:
        ValueRangeError: a value has no code.
    """
    raw = _SPEED.pack_optional(speed.speed_mps)
    return bytes(
        (
            0xF3 | flag_code(speed.park_applied) << 2,
            raw & 0xFF,
            raw >> 8,
            0xCF | flag_code(speed.brake_pressed) << 4,
            0xFF,
            0xFF,
            0xFF,
            0xFF,
        )
    )


def decode_ccvs1(data: bytes) -> VehicleSpeed:
    """Return speed, park brake and brake switch.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("CCVS1", data)
    return VehicleSpeed(
        _SPEED.unpack_optional(data[1] | data[2] << 8),
        flag_optional(bits(data, 0, 2, 2)),
        flag_optional(bits(data, 3, 4, 2)),
    )


def encode_ebc1(pedal: BrakePedal) -> bytes:
    """Return EBC1's bytes.

    Raises:
        ValueRangeError: a value has no code.
    """
    switch = 0x3F | flag_code(pedal.ebs_switch) << 6
    return bytes((switch, _PEDAL.pack_optional(pedal.pedal_share))) + b"\xff" * 6


def decode_ebc1(data: bytes) -> BrakePedal:
    """Return what the brakes tell of pedal and switch.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("EBC1", data)
    return BrakePedal(_PEDAL.unpack_optional(data[1]), flag_optional(data[0] >> 6))


def encode_etc2(gear: int | None) -> bytes:
    """Return ETC2's bytes.

    Raises:
        ValueRangeError: the gear has no code.
    """
    return b"\xff" * 3 + bytes((_GEAR.pack_optional(gear),)) + b"\xff" * 4


def decode_etc2(data: bytes) -> int | None:
    """Return the gear that is engaged.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("ETC2", data)
    gear = _GEAR.unpack_optional(data[3])
    return None if gear is None else round(gear)
