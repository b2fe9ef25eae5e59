"""Hypothesis strategies and the bridge to cantools for every by-wire message."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cantools
from hypothesis import strategies as st

from protocol.dbw import codec
from protocol.dbw.codec import BodyFunction, ContactState, ExitReason, Message, ParkState

DATABASE: Any = cantools.database.load_file(
    Path(__file__).parents[2] / "configs/dbc/headframe_dbw_v1.dbc", strict=True
)


def _or_none(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _floats(low: int, high: int, count: float) -> st.SearchStrategy[float]:
    """Return values from ``low`` to ``high`` counts, between counts but off the halves.

    At an exact half two right ways of rounding differ in the last bit of a float.
    """
    return st.builds(
        lambda raw, part: min(max(raw + part, low), high) * count,
        st.integers(low, high),
        st.floats(-0.49, 0.49),
    )


_flag = st.booleans()
_u16 = st.integers(0, 65535)
_count = st.integers(0, 250)
_contact = st.sampled_from(ContactState)
_functions = st.integers(0, 15).map(BodyFunction)

MESSAGES: dict[type[Message], st.SearchStrategy[Any]] = {
    codec.SupCommand: st.builds(
        codec.SupCommand,
        st.sampled_from(sorted(codec.REQUESTABLE)),
        _flag,
        _flag,
        _flag,
        _u16,
        _or_none(st.integers(0, 1000)),
        _u16,
    ),
    codec.SteerCommand: st.builds(
        codec.SteerCommand,
        _floats(-32127, 32128, 0.00025),
        _count,
        _flag,
        _or_none(_floats(0, 250, 0.1)),
    ),
    codec.DriveCommand: st.builds(
        codec.DriveCommand,
        _floats(-32000, 32000, 0.001),
        _floats(0, 64255, 0.001),
        st.sampled_from([-1, 0, 1]),
    ),
    codec.BrakeCommand: st.builds(
        codec.BrakeCommand, _floats(0, 64255, 0.001), _flag, _floats(0, 250, 0.004)
    ),
    codec.BodyCommand: st.builds(
        codec.BodyCommand,
        st.integers(-125, 125),
        _flag,
        _flag,
        _floats(-125, 125, 0.008),
        _functions,
    ),
    codec.EcuState: st.builds(
        codec.EcuState,
        st.sampled_from(codec.EcuMode),
        st.integers(0, 15),
        st.sampled_from(ExitReason),
        _count,
        st.integers(0, 31),
        _u16,
    ),
    codec.SafetyIo: st.builds(
        codec.SafetyIo,
        _contact,
        _contact,
        _flag,
        _contact,
        _flag,
        _flag,
        _or_none(_floats(0, 250, 0.2)),
        _contact,
    ),
    codec.SteerFeedback: st.builds(
        codec.SteerFeedback,
        _or_none(_floats(-32000, 32000, math.pi / 18000)),
        _or_none(_floats(-32127, 32128, 0.00025)),
        _or_none(st.sampled_from([0, 1, 2, 3, 6])),
        _or_none(_floats(0, 250, 0.1)),
    ),
    codec.DriveFeedback: st.builds(
        codec.DriveFeedback,
        _or_none(_floats(-32000, 32000, 0.001)),
        _or_none(_floats(0, 64255, 0.125)),
        _or_none(st.integers(-125, 125)),
        _or_none(_floats(-125, 125, 0.05)),
    ),
    codec.BrakeFeedback: st.builds(
        codec.BrakeFeedback,
        _or_none(_floats(0, 64255, 0.001)),
        _or_none(_floats(0, 64255, 0.01)),
        st.sampled_from(ParkState),
        st.integers(0, 31),
    ),
    codec.Motion: st.builds(
        codec.Motion,
        _or_none(_floats(-2000, 2000, 0.001)),
        _or_none(_floats(-125, 125, 0.05)),
        _or_none(_floats(-500, 500, 0.002)),
        _or_none(_floats(-500, 500, 0.002)),
        _or_none(_floats(-125, 125, 0.05)),
    ),
    codec.BodyFeedback: st.builds(
        codec.BodyFeedback, _or_none(_floats(-125, 125, 0.008)), _flag, _flag, _functions
    ),
    codec.Echo: st.builds(codec.Echo, _u16, _u16, _u16),
    codec.E2eStat: st.builds(
        codec.E2eStat,
        st.integers(0, 4),
        _count,
        _count,
        _count,
        _count,
        _count,
        _or_none(st.integers(0, 1000)),
    ),
}

_AGE_MS = 4.0


def _absent(value: float | None, na: float, scale: float = 1.0) -> float:
    """Return the DBC's physical value; ``na`` is the physical value of "not available"."""
    return na if value is None else value * scale


def _curvature(value: float | None) -> float:
    return 65535 * 0.25 - 8032 if value is None else -1000.0 * value


def _age(value: int | None) -> float:
    return 1020.0 if value is None else math.ceil(value / _AGE_MS) * _AGE_MS


def _parts(functions: BodyFunction, names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(bool(functions & 1 << bit)) for bit, name in enumerate(names)}


_ON_BUS: dict[type[Message], Callable[[Any], dict[str, float]]] = {
    codec.SupCommand: lambda m: {
        "ModeRequest": m.mode_request,
        "Enable": m.enable,
        "EnableInverse": not m.enable,
        "StopRequest": m.estop_request,
        "FaultAck": m.fault_ack,
        "Session": m.session,
        "LinkAge": _age(m.link_age_ms),
        "Sequence": m.sequence,
    },
    codec.SteerCommand: lambda m: {
        "CurvatureCommand": _curvature(m.curvature_per_m),
        "RateLimit": m.rate_limit,
        "SteerKind": 0,
        "SteerValid": m.valid,
        "SpeedBasis": _absent(m.speed_basis_mps, 25.5),
    },
    codec.DriveCommand: lambda m: {
        "AccelCommand": m.accel_mps2,
        "SpeedLimit": m.speed_limit_mps,
        "DriveDirection": {0: 0, 1: 1, -1: 2}[m.direction],
        "DriveKind": 0,
    },
    codec.BrakeCommand: lambda m: {
        "DecelCommand": m.decel_mps2,
        "ParkCommand": m.park,
        "BrakeKind": 0,
        "RetarderCommand": m.retarder * 100.0,
    },
    codec.BodyCommand: lambda m: {
        "GearCommand": m.gear,
        "LightsCommand": m.lights,
        "HornCommand": m.horn,
        "ImplementCommand": m.implement * 100.0,
        **_parts(m.functions, ("BedCommand", "HitchCommand", "PtoCommand", "DrumCommand")),
    },
    codec.EcuState: lambda m: {
        "State": m.state,
        "SubState": m.sub_state,
        "ExitReason": m.reason,
        "FirstCause": m.first_cause,
        **{
            f"Timeout{name}": float(bool(m.timeout_bits & 1 << bit))
            for bit, name in enumerate(("Sup", "Steer", "Drive", "Brake", "Body"))
        },
        "SessionEcho": m.session_echo,
    },
    codec.SafetyIo: lambda m: {
        "EstopA": m.estop_a,
        "EstopB": m.estop_b,
        "EstopDiscrepancy": m.discrepancy,
        "RelayFeedback": m.relay_feedback,
        "KeyRemote": m.key_remote,
        "DoorSeat": m.door_seat,
        "ManualOverride": m.manual_override,
        "Supply": _absent(m.supply_v, 51.0),
    },
    codec.SteerFeedback: lambda m: {
        "SteerAngle": _absent(m.angle_rad, 327.67, 180.0 / math.pi),
        "CurvatureMeasured": _curvature(m.curvature_per_m),
        "ActuatorCurrent": _absent(m.actuator_current_a, 25.5),
        "LimitStatus": _absent(m.limit_status, 7),
    },
    codec.DriveFeedback: lambda m: {
        "Speed": _absent(m.speed_mps, 32.767),
        "EngineSpeed": _absent(m.engine_rpm, 8191.875),
        "Gear": _absent(m.gear, 127),
        "AccelEcho": _absent(m.accel_mps2, 6.35),
    },
    codec.BrakeFeedback: lambda m: {
        "Deceleration": _absent(m.decel_mps2, 65.535),
        "Pressure": _absent(m.pressure_bar, 655.35),
        "ParkState": m.park,
        **{
            f"Source{name}": float(bool(m.source_bits & 1 << bit))
            for bit, name in enumerate(("Command", "EcuStop", "Estop", "Retarder", "Park"))
        },
    },
    codec.Motion: lambda m: {
        "YawRate": _absent(m.yaw_rate_radps, 2.047),
        "AccelX": _absent(m.ax_mps2, 6.35),
        "AccelY": _absent(m.ay_mps2, 6.35),
        "Pitch": _absent(m.pitch_rad, 1.022),
        "Roll": _absent(m.roll_rad, 1.022),
    },
    codec.BodyFeedback: lambda m: {
        "Implement": _absent(m.implement, 104.0, 100.0),
        "Lights": m.lights,
        "Horn": m.horn,
        **_parts(m.functions, ("Bed", "Hitch", "Pto", "Drum")),
    },
    codec.Echo: lambda m: {
        "EchoSequence": m.sequence,
        "EcuRxTime": m.ecu_rx_us,
        "HoldTime": m.hold_us,
    },
    codec.E2eStat: lambda m: {
        "FrameIndex": m.frame,
        "CrcErrors": m.crc,
        "Repeats": m.repeat,
        "Lost": m.lost,
        "Late": m.late,
        "Bursts": m.burst,
        "MaxGap": _age(m.max_gap_ms),
    },
}


def on_bus(message: Message) -> dict[str, float]:
    """Return the message as the DBC's signals and units, written here by hand from the matrix."""
    return {name: float(value) for name, value in _ON_BUS[type(message)](message).items()}


def any_message() -> st.SearchStrategy[Message]:
    """Return a strategy over all messages of the matrix."""
    return st.one_of(*MESSAGES.values())
