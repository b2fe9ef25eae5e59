"""What takes a machine's commands: a by-wire ECU, or the controllers that its adapter drives."""

from __future__ import annotations

from typing import Protocol

from protocol.adapters import IsobusAdapter
from protocol.dbw.codec import EcuMode
from protocol.profiles import MachineProfile
from sim.ecu import Ecu, EcuInputs, EcuOutput, EcuProfile
from sim.isobus_machine import IsobusMachine
from sim.j1939_machine import J1939Machine
from sim.machines.interface import MachineFeedback


class Receiver(Protocol):
    """Frames in, demands and frames out; pure, the time is passed in."""

    @property
    def mode(self) -> EcuMode:
        """What it is in."""
        ...

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state."""
        ...

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from the bus, whatever it is."""
        ...

    def step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        """Advance to ``now_ns``: decide, and send what is due (called every 5 ms)."""
        ...


def receiver_of(profile: MachineProfile) -> Receiver:
    """Return what takes the commands of a machine at power-up."""
    limits, adapter = EcuProfile.of(profile), profile.adapter
    if adapter is None:
        return Ecu(limits)
    if isinstance(adapter, IsobusAdapter):
        return IsobusMachine(limits, adapter)
    return J1939Machine(limits, adapter)
