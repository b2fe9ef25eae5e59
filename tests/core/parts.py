"""A machine's limits and a command in round, distinct numbers, for tests of single parts."""

from __future__ import annotations

from typing import Any

from protocol.frames import CommandFrame, CommandKind
from protocol.profiles import MachineLimits

MS = 1_000_000
S = 1_000 * MS

LIMITS = MachineLimits(
    speed_max_mps=8.0,
    zone_speed_mps=5.0,
    reverse_speed_max_mps=3.0,
    curvature_max_per_m=0.125,
    curvature_rate_per_m_s=0.5,
    curvature_jerk_per_m_s2=100.0,
    accel_max_mps2=1.25,
    traction_jerk_mps3=1.5,
    service_brake_max_mps2=4.0,
    brake_jerk_mps3=12.0,
    stop_decel_mps2=2.5,
    brake_delay_s=0.5,
    brake_delay_worst_s=2.0,
    standstill_mps=0.05,
    tilt_max_rad=0.35,
)


def limits(**changes: float) -> MachineLimits:
    """Return the limits with some of them changed."""
    return LIMITS.model_copy(update=changes)


def command(**changes: Any) -> CommandFrame:
    """Return a drive command with enable and all else at rest."""
    values: dict[str, Any] = {
        "kind": CommandKind.DRIVE,
        "vehicle_id": 1,
        "key_id": 2,
        "ttl_ms": 250,
        "epoch": 3,
        "sequence": 4,
        "boot_tag": 5,
        "echo_hold_us": 0,
        "source_stamp_us": 0,
        "echo_stamp_us": 0,
        "view_stamp_us": 0,
        "enable": True,
    }
    return CommandFrame(**{**values, **changes})
