"""A stand-in for the agent on the by-wire bus: arms the ECU and sends what it is told."""

from __future__ import annotations

from protocol.dbw.codec import (
    BodyCommand,
    BrakeCommand,
    DriveCommand,
    EcuMode,
    SteerCommand,
    SupCommand,
)
from protocol.dbw.endpoint import DbwSender
from sim.machines.interface import ActuatorDemand

CYCLE_NS = 10_000_000
SESSION = 4711
DISABLED_CYCLES = 20


class BusAgent:
    """Call :meth:`frames` each 10 ms; the ECU is armed and active after some 30 cycles."""

    def __init__(self) -> None:
        self._sender = DbwSender()
        self._cycle = 0
        self.enable = True

    def frames(self, wanted: ActuatorDemand) -> list[tuple[int, bytes]]:
        cycle, encode = self._cycle, self._sender.encode
        self._cycle += 1
        enable = self.enable and cycle >= DISABLED_CYCLES
        supervision = SupCommand(
            mode_request=EcuMode.ACTIVE,
            enable=enable,
            estop_request=False,
            fault_ack=False,
            session=SESSION,
            link_age_ms=10,
            sequence=cycle & 0xFFFF,
        )
        curvature = wanted.curvature_per_m or 0.0
        frames = [
            encode(supervision),
            encode(SteerCommand(curvature_per_m=curvature, rate_limit=60, valid=True)),
        ]
        if cycle % 2 == 0:
            drive = DriveCommand(wanted.accel_mps2, wanted.speed_limit_mps, wanted.direction)
            brake = BrakeCommand(wanted.brake_mps2, park=wanted.park, retarder=wanted.retarder)
            frames += [encode(drive), encode(brake)]
        if cycle % 10 == 0:
            body = BodyCommand(gear=wanted.direction, lights=True, horn=False, implement=0.0)
            frames.append(encode(body))
        return frames
