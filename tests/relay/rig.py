"""Supervisor rigs with a relay on their line: the fake ECU's, and the whole chain's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protocol.dbw.codec import ContactState
from protocol.relay import RelayWish
from protocol.signals import DEFAULT_TIMING
from sim.ecu import EcuInputs
from sim.relay import WatchdogRelay
from tests.chain.lockstep import Lockstep
from tests.rig import Rig
from vehicle_agent.core.relay import RelayLine
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs


class RelayedSupervisor(Supervisor):
    """A supervisor whose guardian has a relay: each step reads it first and strokes it last."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(replace(setup, relay_fitted=True))
        self.relay = WatchdogRelay(seed=11)
        self.line = RelayLine(DEFAULT_TIMING, 100)
        self.plugged = True
        self.wishes: list[RelayWish] = []

    def step(self, now_ns: int, given: TickInputs) -> TickOutputs:
        report = self.relay.step(now_ns)
        if self.plugged:
            self.line.take(now_ns, report)
        outputs = super().step(now_ns, given._replace(relay=self.line.status(now_ns)))
        stroke = self.line.stroke(now_ns, outputs.relay, healthy=outputs.healthy)
        if stroke is not None and self.plugged:
            self.relay.take(now_ns, stroke)
        self.wishes.append(outputs.relay)
        return outputs


class RelayRig(Rig):
    """The fake ECU's rig with a relay."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.guardian = RelayedSupervisor(self.setup)
        self.supervisor = self.guardian

    @property
    def relay(self) -> WatchdogRelay:
        return self.guardian.relay


class RelayLockstep(Lockstep):
    """The whole chain with a relay whose contact the emulated ECU feels."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.guardian = RelayedSupervisor(self.setup)
        self.supervisor = self.guardian
        self.estop = ContactState.CLOSED

    @property
    def relay(self) -> WatchdogRelay:
        return self.guardian.relay

    def tick(self, step_ns: int = 10_000_000) -> Any:
        self.wire()
        return super().tick(step_ns)

    def wire(self) -> None:
        """Pass the relay's contact and the emergency stop to those that feel them."""
        self.relay.set_channels(self.estop, self.estop)
        self.real.machine.ecu.set_inputs(EcuInputs(self.estop, self.estop, self.relay.contact))
