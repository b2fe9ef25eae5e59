"""Console, supervisor, ECU, truck and drift in one process, under one simulated clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol.dbw import codec
from protocol.dbw.endpoint import DbwReceiver
from protocol.dbw.matrix import Direction
from protocol.frames import CommandKind
from protocol.state import VehicleMode
from sim.machines.parameters import load_machine
from sim.pursuit import Pose, Pursuit
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.site import load_site
from tests.rig import TICK_NS, FakeEcu, Rig
from tests.sim.worlds import DRIFT_FILE, TRUCK_FILE


@dataclass
class RealEcu(FakeEcu):
    """The emulated ECU with its truck, in the place of the stand-in; also listens to the bus."""

    machine: SimulatedMachine = field(
        default_factory=lambda: SimulatedMachine(
            load_machine(TRUCK_FILE), load_site(DRIFT_FILE), seed=1
        )
    )
    now_ns: int = 0
    deaf: bool = False
    said: list[tuple[int, bytes]] = field(default_factory=list)
    listener: DbwReceiver = field(default_factory=lambda: DbwReceiver(Direction.TO_ECU))

    def run(self, now_ns: int) -> None:
        """Let ECU and truck live for one tick, up to ``now_ns``."""
        for step in range(TICK_NS // ECU_STEP_NS):
            at_ns = now_ns - TICK_NS + (step + 1) * ECU_STEP_NS
            self.said += self.machine.step(at_ns)

    def frames(self, number: int) -> tuple[tuple[int, bytes], ...]:
        said, self.said = tuple(self.said), []
        return () if self.silent else said

    def take(self, now_ns: int, frames: tuple[tuple[int, bytes], ...]) -> None:
        for can_id, data in () if self.deaf else frames:
            self.machine.on_frame(now_ns, can_id, data)
            message = self.listener.receive(now_ns, can_id, data).message
            if isinstance(message, codec.BrakeCommand):
                self.brake = message


class Lockstep(Rig):
    """A rig whose machine is the simulated truck, and whose driver follows the drift."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.real = RealEcu()
        self.ecu = self.real
        self.pursuit = Pursuit(load_site(DRIFT_FILE), self.profile.limits)
        self.driving = False

    def tick(self, step_ns: int = TICK_NS) -> Any:
        self.real.run(self.now_ns + step_ns)
        if self.driving:
            self._steer()
        return super().tick(step_ns)

    @property
    def truth(self) -> Any:
        return self.real.machine.truth(self.now_ns)

    def _steer(self) -> None:
        truth = self.truth
        wish = self.pursuit.controls(
            Pose(
                truth["x_m"],
                truth["y_m"],
                truth["heading_rad"],
                truth["speed_mps"],
                truth["curvature_per_m"],
            )
        )
        self.console.wish = {
            "kind": CommandKind.DRIVE,
            "enable": True,
            "display_ok": True,
            "gear": 1,
            "steer": round(wish.steer * 10_000),
            "throttle": round(wish.throttle * 10_000),
            "brake": round(wish.brake * 10_000),
        }

    def under_way(self, seconds: float) -> None:
        """Arm, wait for the warning, and drive along the drift for ``seconds``."""
        self.activate()
        self.driving = True
        self.run(seconds)
        assert self.is_in(VehicleMode.ACTIVE, VehicleMode.DEGRADED), self.state
