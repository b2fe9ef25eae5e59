"""A machine's file: its size, its limits, and its plant for the simulator.

The text is TOML, read at the edge; the agent and the console use [machine] and [limits],
the simulator reads [plant] with its own model.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_Positive = Annotated[float, Field(gt=0.0)]
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class MachineSize(BaseModel):
    """What the machine is, in metres. Joint distances are None for a rigid frame."""

    model_config = _STRICT
    name: str
    title: str
    kind: Literal["articulated", "rigid", "twin_steer"]
    length_m: _Positive
    width_m: _Positive
    front_joint_m: _Positive | None = None
    rear_joint_m: _Positive | None = None
    front_overhang_m: _Positive
    rear_overhang_m: _Positive
    camera_height_m: _Positive


class MachineLimits(BaseModel):
    """What the agent holds the machine to; SI units, magnitudes."""

    model_config = _STRICT
    speed_max_mps: _Positive
    zone_speed_mps: _Positive
    reverse_speed_max_mps: _Positive
    curvature_max_per_m: _Positive
    curvature_rate_per_m_s: _Positive
    curvature_jerk_per_m_s2: _Positive
    accel_max_mps2: _Positive
    traction_jerk_mps3: _Positive
    service_brake_max_mps2: _Positive
    brake_jerk_mps3: _Positive
    stop_decel_mps2: _Positive
    brake_delay_s: _Positive
    brake_delay_worst_s: _Positive
    standstill_mps: _Positive
    tilt_max_rad: _Positive


class MachineProfile(BaseModel):
    """One machine file."""

    model_config = _STRICT
    machine: MachineSize
    limits: MachineLimits
    plant: dict[str, Any] = Field(default_factory=dict)


def parse_profile(text: str, source: str) -> MachineProfile:
    """Return the machine in ``text``.

    Args:
        text: TOML.
        source: file name for error texts.

    Raises:
        ValueError: naming the file, the key and the reason.
    """
    try:
        return MachineProfile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: not TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{source}: {first_problem(error)}") from error


_PLAIN = {"missing": "is missing", "extra_forbidden": "there is no such setting"}


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a settings file as ``key: reason``."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "file"
    reason = _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{key}: {reason}"
