"""How a machine that does not speak HF-DBW is driven: [adapter] of its file.

What the standard has no frame for (steering on J1939, the brake valve on ISOBUS, park brake,
emergency stop, tilt) goes by rows of HF-DBW on the same bus: they are legal Proprietary B groups,
and a small module of the retrofit takes and sends them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocol.j1939.codec import BrakeMode, Checksum

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Address = Annotated[int, Field(ge=0, le=253)]
_Share = Annotated[float, Field(gt=0.0, le=1.25)]
LATE_FRAMES = 3
"""A receiver's time-out has room for so many periods: one late tick never trips it."""
CLOSING_MIN = 2


class J1939Adapter(BaseModel):
    """A truck with an engine, a transmission and electronic brakes on J1939.

    Attributes:
        address: ours. engine, transmission, brakes, retarder: theirs; retarder None: none.
        tsc1_checksum: which one the engine knows. tsc1_timeout_ms: after which it takes a command
            as lost. closing_frames: frames of mode OFF that end control, before the silence.
        torque_full_share: of the reference torque that the machine's greatest acceleration needs.
        xbr_mode: how a demand joins the pedal. xbr_timeout_ms: of the brakes.
    """

    model_config = _STRICT
    kind: Literal["j1939"]
    address: _Address
    engine: _Address = 0x00
    transmission: _Address = 0x03
    brakes: _Address = 0x0B
    retarder: _Address | None = None
    tsc1_checksum: Annotated[Checksum, Field(strict=False)]
    tsc1_timeout_ms: Annotated[int, Field(ge=30, le=1000)]
    closing_frames: Annotated[int, Field(ge=CLOSING_MIN, le=10)] = CLOSING_MIN
    torque_full_share: _Share = 1.0
    xbr_mode: Annotated[BrakeMode, Field(strict=False)] = BrakeMode.MAXIMUM
    xbr_timeout_ms: Annotated[int, Field(ge=60, le=1000)] = 100

    @model_validator(mode="after")
    def _brakes_when_asked(self) -> Self:
        if self.xbr_mode is BrakeMode.OFF:
            raise ValueError("xbr_mode: OFF never brakes")
        return self


class IsobusAdapter(BaseModel):
    """A tractor that takes guidance and machine selected speed commands.

    Attributes:
        address: ours. tractor: its own. closing_frames: of "not intended", before the silence.
        speed_horizon_s: a wanted acceleration becomes a set point this far ahead.
        guidance_timeout_ms, speed_timeout_ms: after which the tractor lets go.
    """

    model_config = _STRICT
    kind: Literal["isobus"]
    address: _Address
    tractor: _Address
    closing_frames: Annotated[int, Field(ge=CLOSING_MIN, le=10)] = CLOSING_MIN
    speed_horizon_s: Annotated[float, Field(ge=0.2, le=5.0)] = 1.0
    guidance_timeout_ms: Annotated[int, Field(ge=60, le=1000)] = 150
    speed_timeout_ms: Annotated[int, Field(ge=60, le=1000)] = 300


Adapter = Annotated[J1939Adapter | IsobusAdapter, Field(discriminator="kind")]

CARRIED: dict[str, dict[str, float]] = {
    "j1939": {"service_brake_max_mps2": 15.6, "curvature_max_per_m": 8.0},
    "isobus": {"speed_max_mps": 64.2, "curvature_max_per_m": 8.0, "service_brake_max_mps2": 64.0},
}
"""The largest limits of a machine for which every command has a code, by kind."""
