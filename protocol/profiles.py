"""A machine's file: its size, its limits, and its plant for the simulator.

The text is TOML, read at the edge; the agent and the console use [machine], [limits] and
[adapter], the simulator reads [plant] with its own model.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocol.adapters import CARRIED, Adapter
from protocol.sums import in_turn

_Positive = Annotated[float, Field(gt=0.0)]
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


_LENGTH_SLACK_M = 0.05
_AXLES = ("front_joint_m", "rear_joint_m", "wheelbase_m", "second_axle_m")
_KINDS = {
    "articulated": ("front_joint_m", "rear_joint_m"),
    "rigid": ("wheelbase_m",),
    "twin_steer": ("wheelbase_m", "second_axle_m"),
}
"""Which axle distances a machine of each kind has."""


class TrailerSize(BaseModel):
    """[machine.trailer]: what a machine that does not fold tows, in metres.

    Attributes:
        hitch_m: from the reference point back to the hitch. drawbar_m: from there to its axle.
        front_gap_m: from the hitch to the front of its body. tail_m: from its axle to its tail.
        width_m: of its body.
    """

    model_config = _STRICT
    hitch_m: Annotated[float, Field(ge=0.0)]
    drawbar_m: _Positive
    front_gap_m: Annotated[float, Field(ge=0.0)]
    tail_m: Annotated[float, Field(ge=0.0)]
    width_m: _Positive

    @model_validator(mode="after")
    def _begins_ahead_of_its_axle(self) -> Self:
        if self.front_gap_m >= self.drawbar_m:
            raise ValueError("front_gap_m must be less than drawbar_m")
        return self


class MachineSize(BaseModel):
    """What the machine is, in metres.

    The reference point, whose path a curvature means, is the front axle of an articulated
    machine, the rear axle of a rigid one, and the middle between the rear axles of a rigid one
    with two steered axles (twin_steer). Distances to it: front_joint_m and rear_joint_m from
    the joint to each axle (articulated); wheelbase_m to the foremost steered axle and
    second_axle_m to the other (rigid, twin_steer). Overhangs reach from the foremost axle to
    the front and from the rearmost of those points to the tail.
    """

    model_config = _STRICT
    name: str
    title: str
    kind: Literal["articulated", "rigid", "twin_steer"]
    length_m: _Positive
    width_m: _Positive
    front_joint_m: _Positive | None = None
    rear_joint_m: _Positive | None = None
    wheelbase_m: _Positive | None = None
    second_axle_m: _Positive | None = None
    front_overhang_m: _Positive
    rear_overhang_m: _Positive
    camera_height_m: _Positive
    trailer: TrailerSize | None = None

    @property
    def front_of_reference_m(self) -> float:
        """From the reference point to the front."""
        return self.front_overhang_m + (self.wheelbase_m or 0.0)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        parts = {name: getattr(self, name) for name in _AXLES}
        needed = _KINDS[self.kind]
        if {name for name, part in parts.items() if part is not None} != set(needed):
            raise ValueError(f"kind {self.kind} needs {' and '.join(needed)}, and no other axle")
        if self.second_axle_m is not None and self.second_axle_m >= (self.wheelbase_m or 0.0):
            raise ValueError("second_axle_m must be less than wheelbase_m")
        if self.trailer is not None and self.kind == "articulated":
            raise ValueError("kind articulated tows no [machine.trailer]")
        between_m = in_turn(parts[name] for name in needed if name != "second_axle_m")
        parts_m = self.front_overhang_m + between_m + self.rear_overhang_m
        if abs(parts_m - self.length_m) > _LENGTH_SLACK_M:
            raise ValueError(
                f"overhangs and axle distances add up to {parts_m:.2f} m, "
                f"length_m is {self.length_m:.2f} m"
            )
        return self


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
    """One machine file; without an adapter the machine speaks HF-DBW."""

    model_config = _STRICT
    machine: MachineSize
    limits: MachineLimits
    adapter: Adapter | None = None
    plant: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _adapter_carries_the_limits(self) -> Self:
        """Refuse limits whose commands would have no code: the guardian must never meet one."""
        if self.adapter is not None:
            for name, most in CARRIED[self.adapter.kind].items():
                if getattr(self.limits, name) > most:
                    raise ValueError(f"limits.{name}: {self.adapter.kind} carries at most {most}")
        return self


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
    """Return a problem of a settings file as ``key: reason``.

    A key that does not exist goes first: what is missing is often what it was meant to be.
    """
    problems = error.errors()
    unknown = (each for each in problems if each["type"] == "extra_forbidden")
    problem = next(unknown, problems[0])
    key = ".".join(str(part) for part in problem["loc"]) or "file"
    reason = _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{key}: {reason}"
