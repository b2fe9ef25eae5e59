"""The numbers that make a plant: a machine file's [plant] and [machine], in SI units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from protocol.profiles import MachineProfile, MachineSize, first_problem, parse_profile
from sim.world.files import WorldFileError, read_text

_KMH = 1.0 / 3.6


@dataclass(frozen=True, slots=True)
class BodySize:
    """The two rectangles of an articulated machine, joined end to end.

    Attributes:
        front_joint_m: joint to front axle; rear_joint_m: joint to rear axle.
        front_overhang_m: front axle to bumper; rear_overhang_m: rear axle to tail.
        width_m: of both units.
    """

    front_joint_m: float
    rear_joint_m: float
    front_overhang_m: float
    rear_overhang_m: float
    width_m: float


@dataclass(frozen=True, slots=True)
class PlantParameters:
    """An articulated truck's plant.

    Attributes:
        mass_kg: as loaded. mass_factor: inertia of rotating parts, as a multiple of mass.
        power_w: engine; driveline_efficiency: engine to wheel.
        traction_force_max_n: at the wheels, in first gear.
        engine_tau_s: engine and converter lag. shift_gap_s: no traction while shifting.
        gear_speeds_mps: top speed of each gear.
        retarder_power_w, retarder_ramp_s: at the wheels; time from nothing to full.
        rolling_resistance: force over load. drag_area_m2: drag coefficient times area.
        friction: coefficient that the tyres reach on a good floor.
        brake_dead_time_s, brake_tau_s: demand to deceleration. brake_max_mps2: its ceiling.
        park_brake_mps2, park_dead_time_s: spring-applied; all or nothing.
        steer_limit_rad, steer_rate_radps: of the joint. steer_dead_time_s, steer_tau_s: lag.
        steer_dead_band_rad: joint error that moves no oil.
        slip_front_rad_per_mps2, slip_rear_rad_per_mps2: tyre slip by lateral acceleration.
        slip_max_rad: ceiling of either.
        body_raise_s: dump body, down to up.
    """

    mass_kg: float
    mass_factor: float
    power_w: float
    driveline_efficiency: float
    traction_force_max_n: float
    engine_tau_s: float
    shift_gap_s: float
    gear_speeds_mps: tuple[float, ...]
    retarder_power_w: float
    retarder_ramp_s: float
    rolling_resistance: float
    drag_area_m2: float
    friction: float
    brake_dead_time_s: float
    brake_tau_s: float
    brake_max_mps2: float
    park_brake_mps2: float
    park_dead_time_s: float
    steer_limit_rad: float
    steer_rate_radps: float
    steer_dead_time_s: float
    steer_tau_s: float
    steer_dead_band_rad: float
    slip_front_rad_per_mps2: float
    slip_rear_rad_per_mps2: float
    slip_max_rad: float
    body_raise_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine file, ready for the simulator."""

    profile: MachineProfile
    body: BodySize
    plant: PlantParameters


_Positive = Annotated[float, Field(gt=0.0)]
_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_Delay = Annotated[float, Field(ge=0.0, le=5.0)]


class _PlantTable(BaseModel):
    """[plant] as written, with the units that machine sheets use."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
    mass_kg: _Positive
    mass_factor: Annotated[float, Field(ge=1.0, le=1.5)]
    power_w: _Positive
    driveline_efficiency: _Share
    traction_force_max_n: _Positive
    engine_tau_s: _Positive
    shift_gap_s: _Delay
    gear_speeds_kmh: Annotated[list[_Positive], Field(min_length=1)]
    retarder_power_w: _Positive
    retarder_ramp_s: _Positive
    rolling_resistance: Annotated[float, Field(ge=0.0, le=0.3)]
    drag_area_m2: Annotated[float, Field(ge=0.0)]
    friction: Annotated[float, Field(gt=0.0, le=1.5)]
    brake_dead_time_s: _Delay
    brake_tau_s: _Positive
    brake_max_mps2: _Positive
    park_brake_mps2: _Positive
    park_dead_time_s: _Delay
    steer_limit_deg: Annotated[float, Field(gt=0.0, le=60.0)]
    steer_rate_deg_s: _Positive
    steer_dead_time_s: _Delay
    steer_tau_s: _Positive
    steer_dead_band_deg: Annotated[float, Field(ge=0.0, le=5.0)]
    slip_front_deg_per_mps2: Annotated[float, Field(ge=0.0, le=5.0)]
    slip_rear_deg_per_mps2: Annotated[float, Field(ge=0.0, le=5.0)]
    slip_max_deg: Annotated[float, Field(ge=0.0, le=10.0)]
    body_raise_s: _Positive

    @field_validator("gear_speeds_kmh")
    @classmethod
    def _rising(cls, speeds_kmh: list[float]) -> list[float]:
        if any(after <= before for before, after in pairwise(speeds_kmh)):
            raise ValueError("gear speeds must rise")
        return speeds_kmh


def plant_parameters(table: dict[str, object]) -> PlantParameters:
    """[plant] checked and converted to SI.

    Raises:
        pydantic.ValidationError: a key is missing, unknown or out of range.
    """
    raw = _PlantTable.model_validate(table)
    plain = raw.model_dump(
        exclude={
            "gear_speeds_kmh",
            "steer_limit_deg",
            "steer_rate_deg_s",
            "steer_dead_band_deg",
            "slip_front_deg_per_mps2",
            "slip_rear_deg_per_mps2",
            "slip_max_deg",
        }
    )
    return PlantParameters(
        **plain,
        gear_speeds_mps=tuple(speed_kmh * _KMH for speed_kmh in raw.gear_speeds_kmh),
        steer_limit_rad=math.radians(raw.steer_limit_deg),
        steer_rate_radps=math.radians(raw.steer_rate_deg_s),
        steer_dead_band_rad=math.radians(raw.steer_dead_band_deg),
        slip_front_rad_per_mps2=math.radians(raw.slip_front_deg_per_mps2),
        slip_rear_rad_per_mps2=math.radians(raw.slip_rear_deg_per_mps2),
        slip_max_rad=math.radians(raw.slip_max_deg),
    )


def body_size(size: MachineSize) -> BodySize:
    """The rectangles of an articulated machine.

    Raises:
        WorldFileError: the machine has no joint, or its parts do not add up to its length.
    """
    if size.kind != "articulated" or size.front_joint_m is None or size.rear_joint_m is None:
        raise WorldFileError(f"{size.name}: this plant needs an articulated machine")
    parts_m = size.front_overhang_m + size.front_joint_m + size.rear_joint_m + size.rear_overhang_m
    if abs(parts_m - size.length_m) > 0.05:
        raise WorldFileError(
            f"{size.name}: overhangs and joint distances add up to {parts_m:.2f} m, "
            f"length_m is {size.length_m:.2f} m"
        )
    return BodySize(
        size.front_joint_m,
        size.rear_joint_m,
        size.front_overhang_m,
        size.rear_overhang_m,
        size.width_m,
    )


def load_machine(path: Path) -> Machine:
    """Read a machine file for the simulator.

    Raises:
        WorldFileError: one line that names the file, the key and the reason.
    """
    try:
        profile = parse_profile(read_text(path), str(path))
        return Machine(profile, body_size(profile.machine), plant_parameters(profile.plant))
    except ValidationError as error:
        raise WorldFileError(f"{path}: plant: {first_problem(error)}") from error
    except WorldFileError:
        raise
    except ValueError as error:
        raise WorldFileError(str(error)) from error
