"""What a vehicle says of itself 50 times a second: the JSON inside a state frame.

Names are long in Python and two letters on the wire; what no decision needs goes to telemetry.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.errors import ProtocolError, Refusal


class VehicleMode(StrEnum):
    """States of the machine's supervisor (design 4.8)."""

    LOCAL = "LOCAL"
    STANDBY = "STANDBY"
    LEASED = "LEASED"
    ARMED = "ARMED"
    ACTIVE = "ACTIVE"
    DEGRADED = "DEGRADED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    ESTOP = "ESTOP"
    FAULT = "FAULT"


class CapReason(StrEnum):
    """The term of the speed governor that holds."""

    MACHINE = "machine"
    ZONE = "zone"
    LOOP = "loop"
    CLEARANCE = "clearance"
    ONE_PATH = "one_path"
    DEGRADED = "degraded"
    VIEW = "view"
    REVERSE = "reverse"


class Margins(BaseModel):
    """Time left before each deadline acts, ms; None where none runs."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )
    command_ms: int | None = Field(default=None, alias="c")
    view_ms: int | None = Field(default=None, alias="v")
    ecu_ms: int | None = Field(default=None, alias="e")


class VehicleState(BaseModel):
    """The state of one vehicle. None is unknown and must be shown as unknown.

    Attributes:
        mode: the supervisor's state.
        cause: event id of the first cause of a stop or degradation.
        accepted: last accepted sequence per path (MQTT, data channel).
        delivered_pct: share of the last seconds' commands that came by each path, in %; None is
            unknown, and empty without a lease.
        silent_paths: numbers of the paths that are out.
        accepted_hold_us: how long ago, at this state's stamp, the newest command was accepted.
        refusals: refusal counters by reason, the non-zero ones that changed last.
        speed_mps: measured, + forwards. steer_commanded, steer_measured: of full lock, + left.
        articulation_rad: joint angle. gear: measured. brake_mps2: measured and commanded.
        grade: pitch of the machine in rad, + uphill.
        cap_mps, cap_reason: speed cap and the term that holds.
        loop_ms: T_loop.
        estop: "closed", "open", "discrepancy" or "unknown". relay: or "none".
        proximity_m: nearest distance per sector; None is unknown; empty is not fitted.
        stop_id: id of the confirmed stop message.
        warning_ms: left of the warning before first motion.
        blockers: what stands between now and the next step, as event ids.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )
    mode: Annotated[VehicleMode, Field(strict=False, alias="st")]
    cause: str | None = Field(default=None, alias="ca")
    accepted: tuple[int | None, int | None] = Field(default=(None, None), alias="sq", strict=False)
    delivered_pct: tuple[int | None, ...] = Field(default=(), alias="dp", strict=False)
    silent_paths: tuple[int, ...] = Field(default=(), alias="ps", strict=False)
    accepted_hold_us: int | None = Field(default=None, alias="ah")
    refusals: dict[str, int] = Field(default_factory=dict, alias="rf")
    speed_mps: float | None = Field(default=None, alias="sv")
    steer_commanded: float | None = Field(default=None, alias="sc")
    steer_measured: float | None = Field(default=None, alias="sm")
    articulation_rad: float | None = Field(default=None, alias="ar")
    gear: int | None = Field(default=None, alias="ge")
    brake_commanded_mps2: float | None = Field(default=None, alias="bc")
    brake_measured_mps2: float | None = Field(default=None, alias="bm")
    park_applied: bool | None = Field(default=None, alias="pb")
    grade: float | None = Field(default=None, alias="gr")
    cap_mps: float = Field(default=0.0, alias="vc")
    cap_reason: Annotated[CapReason | None, Field(strict=False)] = Field(default=None, alias="cr")
    loop_ms: float | None = Field(default=None, alias="tl")
    margins: Margins = Field(default_factory=Margins, alias="mg")
    estop: str = Field(default="unknown", alias="es")
    relay: str = Field(default="unknown", alias="rl")
    proximity_m: tuple[float | None, ...] = Field(default=(), alias="px", strict=False)
    stop_id: str | None = Field(default=None, alias="sp")
    warning_ms: int | None = Field(default=None, alias="wm")
    blockers: tuple[str, ...] = Field(default=(), alias="bl", strict=False)

    def to_json(self) -> bytes:
        """Return the compact wire JSON with the two-letter keys, defaults left out."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()


def parse_state(json: bytes) -> VehicleState:
    """Return the state in a state frame's JSON.

    Raises:
        ProtocolError: MALFORMED; a screen must then show the state as unknown.
    """
    try:
        return VehicleState.model_validate_json(json)
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ProtocolError(f"state JSON does not fit: {first}", Refusal.MALFORMED) from error
