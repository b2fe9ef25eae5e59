"""A machine file for the simulator: [machine], [limits] and [plant], checked and in SI units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError, with_config

from protocol.profiles import MachineProfile, TrailerSize, first_problem, parse_profile
from sim.machines.body import BodySize, MountedParameters, body_of
from sim.machines.brakes import BrakeParameters
from sim.machines.cameras import CameraMount, CameraName
from sim.machines.electric import ElectricParameters
from sim.machines.fields import STRICT, Coefficient, FromDegrees, NotNegative, Positive, Share
from sim.machines.hydrostatic import HydrostaticParameters
from sim.machines.power_shift import PowerShiftParameters
from sim.machines.stability import StabilityParameters
from sim.machines.steering import SteeringParameters
from sim.machines.tools import DrumParameters, DumpBodyParameters, HitchParameters
from sim.machines.trailer import TrailerParameters
from sim.world.files import WorldFileError, read_text

_SlipGain = Annotated[float, Field(ge=0.0, le=5.0), FromDegrees]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class TyreParameters:
    """[plant.tyres].

    Attributes:
        friction: coefficient that the tyres reach on a good floor.
        rolling_resistance: force over load. driven_share: of the load, on driven wheels.
        slip_front_rad_per_mps2, slip_rear_rad_per_mps2: tyre slip by lateral acceleration.
        slip_max_rad: ceiling of either.
    """

    friction: Coefficient
    rolling_resistance: Annotated[float, Field(ge=0.0, le=0.3)]
    driven_share: Share
    slip_front_rad_per_mps2: Annotated[_SlipGain, Field(alias="slip_front_deg_per_mps2")]
    slip_rear_rad_per_mps2: Annotated[_SlipGain, Field(alias="slip_rear_deg_per_mps2")]
    slip_max_rad: Annotated[float, Field(alias="slip_max_deg", ge=0.0, le=10.0), FromDegrees]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PlantParameters:
    """[plant]: what the simulator's machine is made of.

    Attributes:
        empty_kg, payload_kg: mass, and what it carries when loaded.
        mass_factor: inertia of rotating parts, as a multiple of mass.
        drag_area_m2: drag coefficient times area.
        cameras: by name; "front" is the one that a demo sends.
    """

    empty_kg: Positive
    payload_kg: NotNegative
    mass_factor: Annotated[float, Field(ge=1.0, le=1.5)]
    drag_area_m2: NotNegative
    tyres: TyreParameters
    steering: SteeringParameters
    drive: Annotated[
        PowerShiftParameters | ElectricParameters | HydrostaticParameters,
        Field(discriminator="kind"),
    ]
    brakes: BrakeParameters
    stability: StabilityParameters
    tool: Annotated[
        DumpBodyParameters | HitchParameters | DrumParameters | None, Field(discriminator="kind")
    ] = None
    mounted: MountedParameters | None = None
    trailer: TrailerParameters | None = None
    cameras: dict[CameraName, CameraMount] = field(default_factory=dict)

    @property
    def loaded_kg(self) -> float:
        """Gross mass."""
        return self.empty_kg + self.payload_kg


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine file, ready for the simulator."""

    profile: MachineProfile
    body: BodySize
    plant: PlantParameters


_PLANT: TypeAdapter[PlantParameters] = TypeAdapter(PlantParameters)


def plant_parameters(table: Mapping[str, object]) -> PlantParameters:
    """[plant] checked and converted to SI.

    Raises:
        pydantic.ValidationError: a key is missing, unknown or out of range.
    """
    return _PLANT.validate_json(json.dumps(table))


def _check_trailer(known: TrailerSize | None, towed: TrailerParameters | None, path: Path) -> None:
    """Refuse a trailer of which the machine's computer is told nothing, or something else.

    Raises:
        WorldFileError: they are not the same.
    """
    names = TrailerSize.model_fields
    told, true = ([getattr(each, name, None) for name in names] for each in (known, towed))
    if told != true:
        raise WorldFileError(f"{path}: [machine.trailer] and [plant.trailer] are not the same")


def load_machine(path: Path) -> Machine:
    """Read a machine file for the simulator.

    Raises:
        WorldFileError: one line that names the file, the key and the reason.
    """
    try:
        profile = parse_profile(read_text(path), str(path))
        plant = plant_parameters(profile.plant)
        _check_trailer(profile.machine.trailer, plant.trailer, path)
        body = body_of(profile.machine, plant.mounted, plant.trailer)
        return Machine(profile, body, plant)
    except ValidationError as error:
        raise WorldFileError(f"{path}: plant: {first_problem(error)}") from error
    except WorldFileError:
        raise
    except (TypeError, ValueError) as error:
        raise WorldFileError(str(error)) from error
