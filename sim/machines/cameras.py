"""[plant.cameras]: where a machine carries its cameras, and which way they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, with_config

from sim.machines.fields import STRICT, FromDegrees

CameraName = Literal["front", "rear", "left", "right"]
_Along = Annotated[float, Field(ge=-20.0, le=20.0)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class CameraMount:
    """One camera.

    Attributes:
        unit: that carries it; "rear" is the rear unit or the trailer.
        ahead_m, left_m, height_m: of the lens, from the reference point on the floor; on the
            rear unit from the fold.
        yaw_rad: where it looks, + left of ahead. pitch_rad: + up.
        view_rad: horizontal field of view.
    """

    ahead_m: _Along
    left_m: _Along
    height_m: Annotated[float, Field(gt=0.0, le=12.0)]
    yaw_rad: Annotated[float, Field(alias="yaw_deg", ge=-180.0, le=180.0), FromDegrees]
    pitch_rad: Annotated[float, Field(alias="pitch_deg", ge=-60.0, le=30.0), FromDegrees]
    view_rad: Annotated[float, Field(alias="view_deg", ge=30.0, le=130.0), FromDegrees]
    unit: Literal["front", "rear"] = "front"
