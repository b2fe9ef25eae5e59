"""The machine of a lock-step run: real supervisor, bus, relay line, emulated ECU, plant, site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.dbw.codec import ContactState
from sim.ecu import EcuInputs
from sim.machines.faults import Fault, sensor_effects
from sim.machines.parameters import Machine
from sim.pursuit import Pose
from sim.relay import WatchdogRelay
from sim.sensors.suite import Sensed, Suite
from sim.simulated_machine import SimulatedMachine
from sim.world.site import Site
from vehicle_agent.core.record import Record
from vehicle_agent.core.relay import RelayLine
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs

Frames = tuple[tuple[int, bytes], ...]
Tape = Callable[[int, TickInputs, TickOutputs], None]
"""Told of each tick of the supervisor: when, what it heard, what it said."""


@dataclass(slots=True)
class Defect:
    """What scripted faults do to the machine's side; each counts how many are on.

    Attributes:
        ecu_silent: nothing from the ECU reaches the supervisor.
        ecu_deaf: nothing from the supervisor reaches the ECU.
        guardian_paused: the supervisor's process hangs.
        estop: the emergency stop at the machine is pressed.
        local_key: the key at the machine is on LOCAL.
        outside_zone: the locator says so.
        finder_silent, locator_silent: nothing comes from the range finder, the locator.
    """

    ecu_silent: int = 0
    ecu_deaf: int = 0
    guardian_paused: int = 0
    estop: int = 0
    local_key: int = 0
    outside_zone: int = 0
    finder_silent: int = 0
    locator_silent: int = 0


@dataclass(slots=True)
class Heard:
    """What came over the link since the last tick."""

    commands: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    stops: list[tuple[str, bytes]] = field(default_factory=list)


class MachineSide:
    """Everything on board.

    Args:
        setup: of the supervisor. machine, site: files. seed: of the sensors' noise.
        load: share of its payload that the machine carries. start_ns: now.

    Attributes:
        tape: for a log.
    """

    def __init__(
        self, setup: Setup, machine: Machine, site: Site, seed: int, load: float, start_ns: int
    ) -> None:
        self.supervisor = Supervisor(setup)
        self.simulated = SimulatedMachine(machine, site, seed, load)
        fitted = {"finder": setup.finder is not None, "locator": setup.locator}
        self.sensors = Suite(site, machine, seed, start_ns, **fitted)
        self._senses = any(fitted.values())
        self._broken: list[Fault] = []
        self.defect = Defect()
        self.heard = Heard()
        self.durable: Record | None = None
        self.setup = setup
        self.tape: Tape | None = None
        self.relay = WatchdogRelay(seed & 0xFFFFFFFF or 1, setup.timing)
        self._line = RelayLine(setup.timing, setup.boot_tag & 0xFFFF)
        self._from_ecu: list[tuple[int, bytes]] = []
        self._contacts: tuple[bool, bool, ContactState] | None = None

    def ecu_step(self, now_ns: int) -> Frames:
        """The cycle of ECU and relay, 5 ms; returns what the ECU says on the bus."""
        report = self.relay.step(now_ns)
        if report:
            self._line.take(now_ns, report)
        self._set_contacts()
        frames = self.simulated.step(now_ns)
        if not self.defect.ecu_silent:
            self._from_ecu += frames
        return frames

    def tick(self, now_ns: int) -> TickOutputs:
        """The supervisor's tick of 10 ms; its frames reach the ECU at once."""
        heard, self.heard = self.heard, Heard()
        bus, self._from_ecu = tuple(self._from_ecu), []
        sensed = self._sensed(now_ns)
        given = TickInputs(
            commands=tuple(heard.commands),
            requests=tuple(heard.requests),
            stops=tuple(heard.stops),
            bus=bus,
            durable=self.durable,
            relay=self._line.status(now_ns),
            outside_zone=True if self.defect.outside_zone else None,
            scans=() if self.defect.finder_silent else sensed.scans,
            places=() if self.defect.locator_silent else sensed.places,
            nearby=sensed.nearby,
        )
        outputs = self.supervisor.step(now_ns, given)
        if self.tape is not None:
            self.tape(now_ns, given, outputs)
        self.durable = outputs.persist
        stroke = self._line.stroke(now_ns, outputs.relay, healthy=outputs.healthy)
        if stroke is not None:
            self.relay.take(now_ns, stroke)
        if not self.defect.ecu_deaf:
            for can_id, data in outputs.bus:
                self.simulated.on_frame(now_ns, can_id, data)
        return outputs

    def _sensed(self, now_ns: int) -> Sensed:
        if not self._senses:
            return Sensed()
        return self.sensors.step(now_ns, self.simulated.truth(now_ns))

    def break_down(self, fault: Fault) -> None:
        """Have one more fault of an actuator or a sensor."""
        self._broken.append(fault)
        self._set_faults()

    def mend(self, fault: Fault) -> None:
        """Have it no longer."""
        self._broken.remove(fault)
        self._set_faults()

    def _set_faults(self) -> None:
        self.simulated.set_faults(self._broken)
        self.sensors.break_down(sensor_effects(self._broken))

    def pose(self) -> Pose:
        """Where the machine really is."""
        truth = self.simulated.truth(0)
        return Pose(
            truth["x_m"],
            truth["y_m"],
            truth["heading_rad"],
            truth["speed_mps"],
            truth["curvature_per_m"],
        )

    def _set_contacts(self) -> None:
        """Emergency stop, key and the relay's contact are wires to the ECU."""
        estop, local = self.defect.estop > 0, self.defect.local_key > 0
        wanted = (estop, local, self.relay.contact)
        if wanted == self._contacts:
            return
        self._contacts = wanted
        state = ContactState.OPEN if estop else ContactState.CLOSED
        self.relay.set_channels(state, state)
        self.simulated.ecu.set_inputs(
            EcuInputs(estop_a=state, estop_b=state, key_remote=not local, relay_feedback=wanted[2])
        )
