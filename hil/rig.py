"""The bench's parts in one process, moved by one clock: cockpit, guardian, wire, ECU, plant, relay.

In lock-step the clock is simulated and a run repeats bit for bit; in real time the same loop waits
for the computer's. A fault is put in by a :mod:`hil.faults` injector, never by a part itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import can

from hil.agent import TICK_NS, Agent, AgentDefect
from hil.cockpit import BEAT_NS, Cockpit
from hil.drivers.emulated_can import EmulatedCanBus
from hil.drivers.pins import EmulatedPins
from hil.drivers.supply import EmulatedSupply
from hil.keys import OPERATOR, bench_keys
from hil.ports import Level, Pins, Supply, SupplyLimits
from hil.trace import Seen, Trace
from hil.wire import Heard, Wire, WireFrame
from protocol.dbw.codec import ContactState, EcuMode
from protocol.state import VehicleMode
from sim.ecu import EcuInputs, EcuOutput, EcuProfile
from sim.ecu_defects import EcuDefect, defective_ecu
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.machines.parameters import load_machine
from sim.network.model import LinkModel
from sim.network.parameters import LinkParameters
from sim.pursuit import Pose
from sim.receivers import Receiver, receiver_of
from sim.relay import Defect as RelayDefect
from sim.relay import WatchdogRelay
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.site import load_site

START_NS = 3_847_124_342_000_000
"""An odd, large start: nothing may depend on time beginning at zero."""
BROWN_OUT_V = 9.0
"""Below it the ECU's controller resets; as of 24 V vehicle controllers (ISO 16750-2, code E)."""
LINK_HEADER_BYTES = 85
EMULATED_LIMITS = SupplyLimits(nominal_v=24.0, low_v=0.0, high_v=36.0, current_a=5.0)
"""An emulated 24 V system takes no harm; beyond this nothing is modelled."""
_SWITCHES = {"key_remote": "key_remote", "override": "manual_override", "bridge": "relay_bridged"}
CONTACTS = frozenset({"estop_a", "estop_b", *_SWITCHES})
_UNPOWERED = ActuatorDemand(
    curvature_per_m=None,
    accel_mps2=0.0,
    speed_limit_mps=0.0,
    direction=0,
    brake_mps2=0.0,
    park=True,
)
"""Valves without current: no traction, and the spring brake falls in."""


class PoweredEcu:
    """An ECU on its supply: it resets when that breaks down, and boots when it is back.

    Attributes:
        supply_v: forced supply; None: what the machine has.
        boots: power-ups so far. demand: what its outputs ask of the actuators.
    """

    def __init__(self, make: Callable[[], Receiver]) -> None:
        self._make = make
        self.core: Receiver | None = make()
        self.supply_v: float | None = None
        self.boots = 1
        self.demand = _UNPOWERED
        self._inputs = EcuInputs()

    def set_inputs(self, inputs: EcuInputs) -> None:
        """Take the contacts' new state."""
        self._inputs = inputs
        if self.core is not None:
            self.core.set_inputs(inputs)

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """A frame from the bus; lost while there is no power."""
        if self.core is not None:
            self.core.on_frame(now_ns, can_id, data)

    def step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        """One cycle on the supply as it is."""
        output = self._step(now_ns, feedback)
        self.demand = output.demand
        return output

    def _step(self, now_ns: int, feedback: MachineFeedback) -> EcuOutput:
        if self.supply_v is not None:
            feedback = feedback._replace(supply_v=self.supply_v)
        if feedback.supply_v < BROWN_OUT_V:
            self.core = None
            return EcuOutput(_UNPOWERED, ())
        if self.core is None:
            self.core = self._make()
            self.core.set_inputs(self._inputs)
            self.boots += 1
        return self.core.step(now_ns, feedback)


@dataclass(frozen=True, slots=True)
class Mutants:
    """The named defects of one run; none on a good bench."""

    ecu: frozenset[EcuDefect] = frozenset()
    relay: frozenset[RelayDefect] = frozenset()
    agent: frozenset[AgentDefect] = frozenset()


@dataclass(frozen=True, slots=True)
class RigSettings:
    """What a rig is made of.

    Attributes:
        machine, site: files. bitrate_bps: of the wire. link: of the command link; None: none.
        relay_fitted: a watchdog relay is on its line.
    """

    machine: Path
    site: Path
    bitrate_bps: int
    relay_fitted: bool = True
    link: LinkParameters | None = None


@dataclass(slots=True)
class Contacts:
    """The wires of the safety chain, as the bench drives them.

    ``relay_bridged``: the ECU sees the relay's contact closed, whatever it does.
    """

    estop_a: ContactState = ContactState.CLOSED
    estop_b: ContactState = ContactState.CLOSED
    key_remote: bool = True
    manual_override: bool = False
    relay_bridged: bool = False


@dataclass(slots=True)
class _Every:
    period_ns: int
    due_ns: int
    do: Callable[[int], None]


MakeBus = Callable[[Wire, Callable[[], int]], can.BusABC]
Wait = Callable[[int], None]
"""Real time: called with the time of the next event; returns when it has come."""


@dataclass(slots=True)
class _Link:
    """The command link: datagrams each way, late or lost as its model says."""

    model: LinkModel | None
    waiting: list[tuple[int, Callable[[int], object]]] = field(default_factory=list)

    def send(self, now_ns: int, size_bytes: int, deliver: Callable[[int], object]) -> None:
        if self.model is None:
            deliver(now_ns)
            return
        for due_ns in self.model.decide(now_ns, size_bytes + LINK_HEADER_BYTES).deliveries:
            self.waiting.append((due_ns, deliver))

    def run(self, now_ns: int) -> None:
        due = [w for w in self.waiting if w[0] <= now_ns]
        if due:
            self.waiting = [w for w in self.waiting if w[0] > now_ns]
            for _, deliver in sorted(due, key=lambda w: w[0]):
                deliver(now_ns)


class Rig:
    """One bench set-up from power-up on.

    Args:
        settings: what it is made of. seed: of phases, noise and nonces. mutants: defects.
        make_bus: gives the guardian's bus; by default a node of the emulated wire.
        wait: real time; None is lock-step. poll_ns: how often at least the bus is looked after.

    Attributes:
        now_ns: the bench's clock. trace: what was seen. wire, agent, ecu, relay, machine: parts.
        contacts: the safety chain. pins, supply: the ports that drive it.
        polls: called at each event, for what lives beside the rig.
    """

    def __init__(
        self,
        settings: RigSettings,
        seed: int,
        mutants: Mutants | None = None,
        make_bus: MakeBus | None = None,
        wait: Wait | None = None,
        poll_ns: int | None = None,
    ) -> None:
        mutants = mutants or Mutants()
        dice = Random(f"{seed}/phases")  # noqa: S311 - repeatable, not secret
        machine, site = load_machine(settings.machine), load_site(settings.site)
        limits = machine.profile.limits
        self.settings, self.seed, self._wait = settings, seed, wait
        start_ns = self.now_ns = START_NS
        self.profile = machine.profile
        self.trace = Trace()
        self.wire = Wire(settings.bitrate_bps, start_ns, self._on_frame, self._on_error)
        make = make_bus or _emulated_bus
        self.bus = make(self.wire, lambda: self.now_ns)
        self.ecu_node = self.wire.node("ecu", self._ecu_hears)
        self.ecu_node.overwrites = True
        self.wire.node("bench", lambda _: None)  # its own adapter acknowledges what it hears
        self.machine = SimulatedMachine(machine, site, seed)
        profile = machine.profile
        self.ecu = PoweredEcu(
            lambda: (
                defective_ecu(EcuProfile.of(profile), mutants.ecu)
                if profile.adapter is None
                else receiver_of(profile)
            )
        )
        self.machine.ecu = cast("Receiver", self.ecu)
        self.agent = Agent(
            self.bus,
            bench_keys(),
            limits,
            seed,
            relay_fitted=settings.relay_fitted,
            adapter=profile.adapter,
        )
        self.agent.defects = mutants.agent
        self.relay = WatchdogRelay(dice.getrandbits(32) | 1)
        self.relay.defects = set(mutants.relay)
        self.cockpit = Cockpit(bench_keys(), site, limits, dice.randbytes(32))
        self.contacts = Contacts()
        self.pins: Pins = EmulatedPins(self._drive_contact, CONTACTS)
        self.supply: Supply = EmulatedSupply(self._drive_supply, EMULATED_LIMITS)
        self.polls: list[Callable[[int], None]] = []
        self.to_relay: Callable[[bytes], bytes] = bytes
        self.to_agent: Callable[[bytes], bytes] = bytes
        self._down, self._up = _Link(None), _Link(None)
        if settings.link is not None:
            self.fit_link(settings.link)
        self.command_sent_ns: dict[int, int] = {}
        self.command_heard_ns: dict[int, int] = {}
        self.agent.clock = self.clock_ns
        agent_phase_ns = dice.randrange(100_000, TICK_NS - 100_000)
        self._agenda: tuple[_Every, ...] = (
            _Every(BEAT_NS, start_ns + dice.randrange(BEAT_NS), self._beat),
            _Every(ECU_STEP_NS, start_ns + ECU_STEP_NS, self._ecu_step),
            _Every(ECU_STEP_NS, start_ns + dice.randrange(ECU_STEP_NS), self._relay_step),
            _Every(TICK_NS, start_ns + agent_phase_ns, self._tick),
        )
        if poll_ns is not None:
            self._agenda = (*self._agenda, _Every(poll_ns, start_ns + poll_ns, lambda _: None))
        self._sense: tuple[object, ...] = ()

    def close(self) -> None:
        """Leave the bus."""
        self.bus.shutdown()

    def fit_link(self, link: LinkParameters) -> None:
        """Put a command link between cockpit and guardian, from now on."""
        self._down = _Link(LinkModel(link.down, self.seed, "down", self.now_ns))
        self._up = _Link(LinkModel(link.up, self.seed, "up", self.now_ns))

    def clock_ns(self) -> int:
        """Return bench time; in lock-step nothing takes time between two events."""
        return self.now_ns

    # -- the clock

    def run(self, seconds: float) -> None:
        """Run on for a time."""
        self.run_to(self.now_ns + round(seconds * 1e9))

    def run_to(self, to_ns: int) -> None:
        """Run on to a time."""
        while True:
            event = min(self._agenda, key=lambda e: e.due_ns)
            at_ns = min(event.due_ns, to_ns)
            if self._wait is not None:
                self._wait(at_ns)
            for poll in self.polls:
                poll(at_ns)
            self.wire.run_until(at_ns)
            self.now_ns = at_ns
            self._down.run(at_ns)
            self._up.run(at_ns)
            if event.due_ns > to_ns:
                return
            event.due_ns += event.period_ns
            event.do(at_ns)

    def run_until(self, done: Callable[[], bool], within_s: float) -> bool:
        """Run until ``done``, looked at each 5 ms; False when it never was within the time."""
        end_ns = self.now_ns + round(within_s * 1e9)
        while not done():
            if self.now_ns >= end_ns:
                return False
            self.run_to(self.now_ns + ECU_STEP_NS)
        return True

    # -- states that cases begin in

    @property
    def mode(self) -> VehicleMode:
        """The guardian's mode."""
        return self.agent.supervisor.mode

    @property
    def ecu_mode(self) -> EcuMode | None:
        """The ECU's mode; None without power."""
        return None if self.ecu.core is None else self.ecu.core.mode

    @property
    def ecu_words(self) -> str:
        """The ECU's mode, for a person."""
        return "without power" if self.ecu_mode is None else self.ecu_mode.name

    def drives(self) -> bool:
        """Whether guardian and ECU both are ACTIVE and the machine moves."""
        return (
            self.mode is VehicleMode.ACTIVE
            and self.ecu_mode is EcuMode.ACTIVE
            and self.machine.told.speed_mps > 1.0
        )

    # -- what happens

    def _on_frame(self, t_ns: int, sender: str, frame: WireFrame) -> None:
        self.trace.frames.append(Seen(t_ns, sender, frame.can_id, frame.data, frame.extended))

    def _on_error(self, t_ns: int, sender: str) -> None:
        self.trace.errors.append((t_ns, sender))

    def _ecu_hears(self, heard: Heard) -> None:
        if heard.frame is not None and heard.frame.extended:
            self.ecu.on_frame(heard.t_ns, heard.frame.can_id, heard.frame.data)

    def _beat(self, now_ns: int) -> None:
        truth = self.machine.truth(now_ns)
        pose = Pose(
            truth["x_m"],
            truth["y_m"],
            truth["heading_rad"],
            truth["speed_mps"],
            truth["curvature_per_m"],
        )
        self.cockpit.beat(now_ns, pose, self._send_down)

    def _send_down(self, kind: str, data: bytes) -> None:
        sequence = int.from_bytes(data[16:20], "little") if kind == "cmd" else 0
        if kind == "cmd":
            self.command_sent_ns[sequence] = self.now_ns

        def deliver(at_ns: int) -> None:
            heard = self.agent.heard
            if kind == "cmd":
                self.command_heard_ns[sequence] = at_ns
                heard.commands.append((0, data))
            elif kind == "stop":
                heard.stops.append((OPERATOR, data))
            else:
                heard.requests.append((OPERATOR, data))

        self._down.send(self.now_ns, len(data), deliver)

    def _ecu_step(self, now_ns: int) -> None:
        self._set_contacts()
        for can_id, data in self.machine.step(now_ns):
            self.trace.handed.append((now_ns, can_id, data))
            self.ecu_node.post(now_ns, WireFrame(can_id, data))
        trace, plant, demand = self.trace, self.machine.plant.state, self.ecu.demand
        trace.probe(now_ns, "plant.speed_mps", plant.speed_mps)
        trace.probe(now_ns, "plant.brake_mps2", plant.brake_mps2)
        trace.probe(now_ns, "actuator.accel_mps2", demand.accel_mps2)
        trace.probe(now_ns, "actuator.brake_mps2", demand.brake_mps2)
        trace.probe(now_ns, "actuator.curvature_per_m", demand.curvature_per_m)
        trace.probe(now_ns, "actuator.park", demand.park)
        trace.probe(now_ns, "relay.contact", self.relay.contact.name)
        trace.probe(now_ns, "agent.mode", self.mode.value)

    def _drive_contact(self, line: str, level: Level) -> None:
        wanted: dict[str, Any] = {line: ContactState[level]}
        if line in _SWITCHES:
            wanted = {_SWITCHES[line]: level is Level.CLOSED}
        self.contacts = replace(self.contacts, **wanted)

    def _drive_supply(self, volts: float | None) -> None:
        self.ecu.supply_v = volts

    def _set_contacts(self) -> None:
        contacts = self.contacts
        fitted = self.settings.relay_fitted and not contacts.relay_bridged
        relay = self.relay.contact if fitted else ContactState.CLOSED
        state = (
            contacts.estop_a,
            contacts.estop_b,
            contacts.key_remote,
            contacts.manual_override,
            relay,
        )
        if state == self._sense:
            return
        self._sense = state
        self.relay.set_channels(contacts.estop_a, contacts.estop_b)
        self.ecu.set_inputs(
            EcuInputs(
                estop_a=contacts.estop_a,
                estop_b=contacts.estop_b,
                relay_feedback=relay,
                key_remote=contacts.key_remote,
                manual_override=contacts.manual_override,
            )
        )

    def _relay_step(self, now_ns: int) -> None:
        report = self.relay.step(now_ns)
        if report and self.agent.line is not None:
            self.agent.line.take(now_ns, self.to_agent(report))

    def _tick(self, now_ns: int) -> None:
        outputs, stroke = self.agent.tick(now_ns)
        if stroke is not None:
            self.relay.take(now_ns, self.to_relay(stroke))
        if outputs is None:
            return
        session, up = self.cockpit.session, self._up
        state, authority = outputs.state, outputs.authority
        if state is not None:
            up.send(now_ns, len(state), lambda at_ns: session.hear_state(state, at_ns))
        if authority is not None:
            up.send(now_ns, len(authority), lambda at_ns: session.hear_authority(authority, at_ns))
        for _, token in outputs.acks:
            up.send(now_ns, len(token), _answer(self.cockpit, token))
        for event in outputs.events:
            self.trace.marks.append((now_ns, f"event {event}"))


def _answer(cockpit: Cockpit, token: bytes) -> Callable[[int], None]:
    def deliver(at_ns: int) -> None:
        cockpit.session.hear_ack(token, at_ns)

    return deliver


def _emulated_bus(wire: Wire, now_ns: Callable[[], int]) -> can.BusABC:
    return EmulatedCanBus(wire, "agent", now_ns)
