"""The whole chain in one process under a simulated clock: cockpit, link, supervisor, bus, machine.

Everything between the driver's hands and the tyres is what drives a real machine: the console's
core with lease, arming ladder and signed frames, the supervisor at 100 Hz, the bus codec both
ways. Simulated are the driver, the link, the pictures' way, the by-wire ECU (5 ms) and the
machine in its site. The same scenario and seed give the same run, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from operator_console.core.session import ConsoleSession, Outgoing
from protocol.control_peer import CommandPath
from protocol.frames import decode_state
from protocol.messages import Identity, Role, Trust
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from protocol.topics import Topics
from sim.human import CHARACTERS, Human
from sim.pursuit import Pursuit
from sim.runner.agenda import Agenda, Rank
from sim.runner.cockpit import BEAT_LATE_NS, BEAT_NS, Cockpit
from sim.runner.faults import NS_PER_S, Faults, Stage
from sim.runner.link import Link
from sim.runner.machine import Frames, MachineSide
from sim.runner.pictures import PERIOD_NS, Picture, Pictures
from sim.runner.rolling import Rolling
from sim.runner.watch import MOVING, Watch
from sim.scenario.file import Scenario
from sim.sensors.lookout import SCANNER
from sim.simulated_machine import ECU_STEP_NS, Truth
from vehicle_agent.core.clearance import RangeFinder
from vehicle_agent.core.entropy import Entropy
from vehicle_agent.core.record import FIRST
from vehicle_agent.core.supervisor import Setup, TickOutputs

TICK_NS = 10_000_000
START_NS = 3_847_124_342_000_000
"""An odd, large start: nothing may depend on time beginning at zero."""
ACTIVE_WITHIN_NS = 30 * NS_PER_S
SETTLED_NS = NS_PER_S
"""A stop is watched this long after the machine stands."""
PASSED_MAX_M = 10.0
"""A station further behind than this was not passed just now."""
OPERATOR, VEHICLE = "console-1", "SIM-01"


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs in a simulated run; the same in every run, and good for nothing else."""

    operator: OKPKey
    vehicle: OKPKey
    trust: Trust


@lru_cache(maxsize=1)
def simulated_keys() -> Keys:
    """Keys made from their names: a run repeats byte for byte."""
    private = {name: _key(name) for name in (OPERATOR, VEHICLE)}
    roles = {OPERATOR: Role.DRIVER, VEHICLE: Role.VEHICLE}
    trust = {
        name: Identity(name, roles[name], OKPKey.import_key(key.as_dict(private=False)))
        for name, key in private.items()
    }
    return Keys(private[OPERATOR], private[VEHICLE], trust)


def _key(name: str) -> OKPKey:
    seed = hashlib.sha256(f"headframe simulation/{name}".encode()).digest()
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return OKPKey.import_key(pem)


Log = Callable[[dict[str, object]], None]
Pace = Callable[[int], None]
"""Called with simulated time since the start before each tick, ns: may wait."""


class Run:
    """One run of one scenario. ``finish`` runs it to its end; ``tick`` runs 10 ms of it.

    Args:
        scenario: with what varies already drawn. seed: of everything random.
        log: takes one object for each tick of interest, message and event.

    Attributes:
        notes: scripted events as they begin and end, by seconds since ACTIVE.
        watch: what happened. rolling: what a drum has rolled.
        machine, cockpit, link, pictures: the parts.
    """

    def __init__(self, scenario: Scenario, seed: int, log: Log | None = None) -> None:
        def dice(purpose: str) -> Random:
            return Random(f"{seed}/{purpose}")  # noqa: S311 - repeatable, not secret

        self.scenario, self.seed = scenario, seed
        self._paths = scenario.paths
        self.agenda = Agenda(START_NS)
        self.watch = Watch()
        self.rolling = Rolling(scenario.machine, scenario.site)
        self._log = log
        self._digest = hashlib.sha256()
        self._keys = simulated_keys()
        self.link = Link(self.agenda, scenario.link, seed, scenario.site)
        self.machine = self._machine(dice("guardian"))
        self.cockpit = self._cockpit(dice("console"))
        self.pictures = Pictures(
            self.agenda, self.link, self.machine.pose, self._paint, dice("screen")
        )
        stage = Stage(self.agenda, self.link, self.cockpit, self.pictures, self.machine)
        self.faults = Faults(stage, self._note)
        self._places = [e for e in scenario.file.events if e.at_station_m is not None]
        self._timed = [e for e in scenario.file.events if e.at_s is not None]
        self._timer = dice("timer")
        self.notes: list[tuple[float, str]] = []
        self._stood_ns: int | None = None
        self._now_ns = self._second_ns = START_NS
        self.over = False
        self._begin(dice("phase"))

    # -- parts

    def _machine(self, dice: Random) -> MachineSide:
        scenario = self.scenario
        size = scenario.machine.profile.machine
        finder = RangeFinder.of(size, SCANNER.range_m) if scenario.file.range_finder else None
        setup = Setup(
            vehicle=VEHICLE,
            key=self._keys.vehicle,
            trust=self._keys.trust,
            limits=scenario.machine.profile.limits,
            timing=DEFAULT_TIMING,
            boot_tag=1 + dice.getrandbits(31),
            seed=dice.randbytes(32),
            record=FIRST,
            paths=scenario.paths,
            relay_fitted=True,
            finder=finder,
            adapter=scenario.machine.profile.adapter,
            locator=scenario.file.locator,
        )
        load = scenario.file.load
        return MachineSide(setup, scenario.machine, scenario.site, self.seed, load, START_NS)

    def _cockpit(self, dice: Random) -> Cockpit:
        scenario = self.scenario
        entropy = Entropy(dice.randbytes(32))
        session = ConsoleSession(
            OPERATOR,
            Topics("sim", VEHICLE),
            self._keys.operator,
            self._keys.trust,
            simulated=True,
            dice=entropy.take,
            paths=scenario.paths,
        )
        session.words(up=True)
        for path in sorted(scenario.paths):
            session.path(path, up=True)
        who = CHARACTERS[scenario.file.driver.character]
        speed_mps = scenario.file.driver.speed_mps
        if speed_mps is not None:
            who = replace(who, style=replace(who.style, speed_mps=speed_mps))
        limits = scenario.machine.profile.limits
        pursuit = Pursuit(scenario.site, limits, who.style)
        return Cockpit(
            session=session,
            human=Human(who, pursuit, limits, f"{self.seed}/driver"),
            resumes=scenario.file.driver.resumes,
            send=self._send_down,
            ahead_ns=dice.randrange(-(10**15), 10**15),
        )

    def _begin(self, phase: Random) -> None:
        agenda = self.agenda
        agenda.every(START_NS + phase.randrange(BEAT_NS), BEAT_NS, Rank.COCKPIT, self._page_timer)
        agenda.every(
            START_NS + phase.randrange(PERIOD_NS), PERIOD_NS, Rank.CAMERA, self.pictures.capture
        )

    # -- the clock

    def finish(self, pace: Pace | None = None) -> None:
        """Run to the end of the scenario."""
        while not self.over:
            if pace is not None:
                pace(self.agenda.now_ns + TICK_NS - START_NS)
            self.tick()

    def tick(self) -> None:
        """Run on to the end of the supervisor's next tick.

        What is due at the same time as an ECU's cycle happens before it; the supervisor is last.
        """
        for at_ns in range(self._now_ns + ECU_STEP_NS, self._now_ns + TICK_NS + 1, ECU_STEP_NS):
            self.agenda.run_until(at_ns)
            self._count_bus(self.machine.ecu_step(at_ns))
        self._now_ns += TICK_NS
        self._tick(self._now_ns)

    @property
    def mode(self) -> VehicleMode:
        """The machine's mode."""
        return self.machine.supervisor.mode

    @property
    def truth(self) -> Truth:
        """The simulator's own knowledge."""
        return self.machine.simulated.truth(self.agenda.now_ns)

    @property
    def digest(self) -> str:
        """SHA-256 over every frame on bus and link, and over the truth once a second."""
        return self._digest.hexdigest()

    @property
    def simulated_s(self) -> float:
        """How long the run has lasted in its own time."""
        return (self.agenda.now_ns - START_NS) / 1e9

    # -- what happens

    def _page_timer(self, now_ns: int) -> None:
        late_ns = self._timer.randrange(BEAT_LATE_NS)
        self.agenda.at(now_ns + late_ns, Rank.COCKPIT, self.cockpit.beat)

    def _tick(self, now_ns: int) -> None:
        self.link.move(now_ns, self.machine.simulated.station_m)
        if self.machine.defect.guardian_paused:
            self._watch_over(now_ns)
            return
        outputs = self.machine.tick(now_ns)
        self._count_bus(outputs.bus)
        self._send_up(now_ns, outputs)
        watch, truth = self.watch, self.truth
        was_active = watch.active_ns
        self.rolling.follow(truth)
        watch.tick(now_ns, self.mode, outputs, truth, self.cockpit.sent_ns, self.faults.begun_ns)
        if was_active is None and watch.active_ns is not None:
            for event in self._timed:
                self.faults.plan(event, now_ns)
        if self._places and self.mode in MOVING:
            self._pass_places(truth["station_m"])
        if now_ns >= self._second_ns:
            self._second_ns += NS_PER_S
            self._digest.update(self.machine.simulated.plant.digest().encode())
        if self._log is not None:
            self._log_tick(now_ns, outputs, truth)
        self._watch_over(now_ns)

    def _pass_places(self, station_m: float) -> None:
        for event in list(self._places):
            assert event.at_station_m is not None
            past_m = station_m - event.at_station_m
            if self.scenario.site.closed:
                length_m = self.scenario.site.length_m
                past_m = (past_m + 0.5 * length_m) % length_m - 0.5 * length_m
            if 0.0 <= past_m < PASSED_MAX_M:
                self._places.remove(event)
                self.faults.begin(event)

    def _watch_over(self, now_ns: int) -> None:
        """Decide whether this was the last tick."""
        active_ns = self.watch.active_ns
        if active_ns is None:
            self.over = now_ns - START_NS >= ACTIVE_WITHIN_NS
            return
        stands = self.watch.standing_stop is not None
        self._stood_ns = (self._stood_ns or now_ns) if stands else None
        settled = self._stood_ns is not None and now_ns - self._stood_ns >= SETTLED_NS
        nothing_left = not (self.cockpit.resumes or self.faults.on or self.faults.ahead)
        late = now_ns - active_ns >= self.scenario.file.seconds * NS_PER_S
        self.over = late or (settled and nothing_left)

    # -- the link

    def _send_down(self, now_ns: int, message: Outgoing) -> None:
        self._digest.update(message.payload)
        kind, _, sender = message.topic.partition(f"/{VEHICLE}/")[2].partition("/")
        data, heard = message.payload, self.machine
        if self._log is not None and kind != "cmd":
            self._say({"t_s": self._seconds(now_ns), "sent": kind, "data": data.decode()})
        down = self.link.down
        if kind == "cmd":
            if CommandPath.DATA_CHANNEL in self._paths:
                down.send(now_ns, len(data), lambda _: heard.heard.commands.append((1, data)))
            if CommandPath.MQTT in self._paths:
                down.send_surely(
                    now_ns, len(data), lambda _: heard.heard.commands.append((0, data))
                )
        elif kind == "stop":
            down.send(now_ns, len(data), lambda _: heard.heard.stops.append((sender, data)))
        else:
            down.send_surely(
                now_ns, len(data), lambda _: heard.heard.requests.append((sender, data))
            )

    def _send_up(self, now_ns: int, outputs: TickOutputs) -> None:
        up, cockpit = self.link.up, self.cockpit
        state, authority = outputs.state, outputs.authority
        if state is not None:
            self._digest.update(state)
            if CommandPath.DATA_CHANNEL in self._paths:
                up.send(now_ns, len(state), lambda at_ns: cockpit.hear_state(at_ns, state))
            if CommandPath.MQTT in self._paths:
                up.send_surely(now_ns, len(state), lambda at_ns: cockpit.hear_state(at_ns, state))
        if authority is not None:
            self._digest.update(authority)
            size = len(authority)
            up.send_surely(now_ns, size, lambda at_ns: cockpit.hear_authority(at_ns, authority))
        for _, token in outputs.acks:
            self._digest.update(token)
            self._answer(now_ns, token)

    def _answer(self, now_ns: int, token: bytes) -> None:
        self.link.up.send_surely(now_ns, len(token), lambda at_ns: self._hear_ack(at_ns, token))

    def _hear_ack(self, now_ns: int, token: bytes) -> None:
        claims = self.cockpit.hear_ack(now_ns, token)
        if self._log is not None and claims is not None:
            words = {"answer": claims.kind.value, "outcome": claims.outcome.value}
            self._say({"t_s": self._seconds(now_ns), **words, "reason": claims.reason})

    def _paint(self, now_ns: int, picture: Picture) -> None:
        self.cockpit.paint(now_ns, picture)

    def _count_bus(self, frames: Frames) -> None:
        if frames:
            self._digest.update(
                b"".join([can_id.to_bytes(4, "little") + data for can_id, data in frames])
            )

    # -- the log

    def _seconds(self, now_ns: int) -> float:
        return round((now_ns - START_NS) / 1e9, 3)

    def _say(self, content: dict[str, object]) -> None:
        if self._log is not None:
            self._log(content)

    def _note(self, text: str) -> None:
        self.notes.append((self.watch.seconds(self.agenda.now_ns), text))
        self._say({"t_s": self._seconds(self.agenda.now_ns), "fault": text})

    def _log_tick(self, now_ns: int, outputs: TickOutputs, truth: Truth) -> None:
        t_s = self._seconds(now_ns)
        for event in outputs.events:
            self._say({"t_s": t_s, "event": event})
        if outputs.state is not None:
            state = json.loads(decode_state(outputs.state, {}).frame.json)
            self._say({"t_s": t_s, "truth": dict(truth), "state": state})
