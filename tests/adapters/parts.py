"""The retrofit's module as a test plays it: rows of HF-DBW with what the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.dbw.codec import (
    BrakeFeedback,
    BrakeSource,
    ContactState,
    Motion,
    ParkState,
    SafetyIo,
    SteerFeedback,
)
from protocol.dbw.endpoint import DbwSender
from vehicle_agent.core.bywire import Supervision
from vehicle_agent.core.gate import Demand

MS = 1_000_000
TICK = 10 * MS
START = 7 * 10**15
CLOSED = ContactState.CLOSED

SAFE = SafetyIo(
    estop_a=CLOSED,
    estop_b=CLOSED,
    discrepancy=False,
    relay_feedback=CLOSED,
    key_remote=True,
    manual_override=False,
    supply_v=24.0,
)
BRAKES = BrakeFeedback(
    decel_mps2=0.5, pressure_bar=None, park=ParkState.RELEASED, source_bits=BrakeSource.COMMAND
)
STEERING = SteerFeedback(angle_rad=0.25, curvature_per_m=0.0625, limit_status=0)
TILT = Motion(yaw_rate_radps=0.0, ax_mps2=0.0, pitch_rad=0.05, roll_rad=-0.03)

REST = Supervision(enable=False, session=7, fault_ack=False, link_age_ms=20)
ENABLE = REST._replace(enable=True)
PARKED = Demand(brake_mps2=2.5)
DRIVE = Demand(
    curvature_per_m=0.05,
    steer_valid=True,
    accel_mps2=0.625,
    speed_limit_mps=5.0,
    direction=1,
    park=False,
)
STOP = Demand(curvature_per_m=0.05, steer_valid=True, direction=1, brake_mps2=2.0, park=False)


@dataclass
class Module:
    """Sends its rows each tick; a row set to None is silent."""

    safety: SafetyIo | None = SAFE
    brakes: BrakeFeedback | None = BRAKES
    steering: SteerFeedback | None = STEERING
    tilt: Motion | None = TILT
    _sender: DbwSender = field(default_factory=DbwSender)

    def frames(self) -> list[tuple[int, bytes]]:
        rows = (self.safety, self.brakes, self.steering, self.tilt)
        return [self._sender.encode(row) for row in rows if row is not None]
