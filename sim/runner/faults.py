"""What scripted events do to a lock-step run, and how they end again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.machines.faults import parse_fault
from sim.network.files import find_link
from sim.runner.agenda import Agenda, Rank
from sim.runner.cockpit import Cockpit
from sim.runner.link import Link, Way
from sim.runner.machine import MachineSide
from sim.runner.pictures import Pictures
from sim.scenario.file import (
    ChangeLink,
    CloseZone,
    DelayLink,
    Doing,
    Event,
    LetIn,
    MachineFault,
    Mishap,
    known_as,
)
from sim.sensors.zones import ZoneWatch

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that an event can touch."""

    agenda: Agenda
    link: Link
    cockpit: Cockpit
    pictures: Pictures
    machine: MachineSide


Switch = Callable[[Stage, int], None]
"""Turns something on by +1 and off by −1; several faults of one kind may overlap."""


def _cut(stage: Stage, change: int) -> None:
    stage.link.up.trouble.cut += change
    stage.link.down.trouble.cut += change


def _cut_commands(stage: Stage, change: int) -> None:
    stage.link.down.trouble.cut += change


def _cut_states(stage: Stage, change: int) -> None:
    stage.link.up.trouble.cut += change


def _hold(way: Way, change: int, now_ns: int) -> None:
    way.trouble.stalled += change
    if way.trouble.stalled == 0:
        way.release(now_ns)


def _stall(stage: Stage, change: int) -> None:
    _hold(stage.link.up, change, stage.agenda.now_ns)
    _hold(stage.link.down, change, stage.agenda.now_ns)


def _stall_commands(stage: Stage, change: int) -> None:
    _hold(stage.link.down, change, stage.agenda.now_ns)


def _press_stop(stage: Stage, change: int) -> None:
    if change > 0:
        stage.cockpit.press_stop(stage.agenda.now_ns)


def _mishap(name: str) -> Switch:
    def switch(stage: Stage, change: int) -> None:
        mishap = stage.cockpit.mishap
        setattr(mishap, name, getattr(mishap, name) + change)

    return switch


def _camera(name: str) -> Switch:
    def switch(stage: Stage, change: int) -> None:
        camera = stage.pictures.camera
        setattr(camera, name, getattr(camera, name) + change)

    return switch


def _defect(name: str) -> Switch:
    def switch(stage: Stage, change: int) -> None:
        defect = stage.machine.defect
        setattr(defect, name, getattr(defect, name) + change)

    return switch


SWITCHES: dict[Doing, Switch] = {
    Doing.CUT_LINK: _cut,
    Doing.CUT_COMMANDS: _cut_commands,
    Doing.CUT_STATES: _cut_states,
    Doing.STALL_LINK: _stall,
    Doing.STALL_COMMANDS: _stall_commands,
    Doing.KILL_CONSOLE: _mishap("dead"),
    Doing.SILENCE_PAGE: _mishap("page_silent"),
    Doing.PRESS_STOP: _press_stop,
    Doing.LET_GO: _mishap("let_go"),
    Doing.FREEZE_HANDS: _mishap("hands_frozen"),
    Doing.FULL_THROTTLE: _mishap("full_throttle"),
    Doing.FREEZE_PICTURE: _camera("frozen"),
    Doing.KILL_CAMERA: _camera("dead"),
    Doing.PRESS_ESTOP: _defect("estop"),
    Doing.TURN_KEY: _defect("local_key"),
    Doing.LEAVE_ZONE: _defect("outside_zone"),
    Doing.SILENCE_ECU: _defect("ecu_silent"),
    Doing.DEAFEN_ECU: _defect("ecu_deaf"),
    Doing.SILENCE_FINDER: _defect("finder_silent"),
    Doing.SILENCE_LOCATOR: _defect("locator_silent"),
    Doing.PAUSE_GUARDIAN: _defect("guardian_paused"),
}


class Faults:
    """The scripted events of one run.

    Attributes:
        begun_ns: when the newest one began, None before the first.
        on: how many are on now and will end again.
    """

    def __init__(self, stage: Stage, tell: Callable[[str], None]) -> None:
        self._stage, self._tell = stage, tell
        self.begun_ns: int | None = None
        self._closed: list[str] = []
        self.on = 0
        self.ahead = 0

    def plan(self, event: Event, active_ns: int) -> None:
        """Let a timed event happen; the machine became ACTIVE at ``active_ns``."""
        if event.at_s is None:
            return
        self.ahead += 1

        def due(_: int) -> None:
            self.ahead -= 1
            self.begin(event)

        self._stage.agenda.at(active_ns + round(event.at_s * NS_PER_S), Rank.FAULT, due)

    def begin(self, event: Event) -> None:
        """Let the event happen now, and end when it is to."""
        agenda = self._stage.agenda
        self.begun_ns = agenda.now_ns
        self._tell(f"{event.do} begins")
        end = self._turn_on(event)
        if event.for_s is None:
            return
        self.on += 1

        def over(_: int) -> None:
            self.on -= 1
            self._tell(f"{event.do} ends")
            end()

        agenda.at(agenda.now_ns + round(event.for_s * NS_PER_S), Rank.FAULT, over)

    def _turn_on(self, event: Event) -> Callable[[], None]:
        """Turn it on; return what turns it off."""
        stage = self._stage
        match event:
            case Mishap():
                switch = SWITCHES[event.do]
                switch(stage, 1)
                return lambda: switch(stage, -1)
            case DelayLink():
                delay_ns = round(event.delay_ms * 1e6)
                self._delay(delay_ns)
                return lambda: self._delay(-delay_ns)
            case MachineFault():
                fault = parse_fault(event.fault)
                stage.machine.break_down(fault)
                return lambda: stage.machine.mend(fault)
            case CloseZone():
                self._closed.append(event.zone)
                self._tell_zones()
                return lambda: self._reopen(event.zone)
            case LetIn():
                room, machine = self._zones.room, self._machine_of(event)
                room.let_in(event.zone, machine)
                return lambda: room.take_back(event.zone, machine)
            case ChangeLink():
                before = stage.link.parameters
                stage.link.change(find_link(event.link), stage.agenda.now_ns)
                return lambda: stage.link.change(before, stage.agenda.now_ns)

    def _reopen(self, zone: str) -> None:
        self._closed.remove(zone)
        self._tell_zones()

    def _tell_zones(self) -> None:
        self._zones.closed = frozenset(self._closed)

    @property
    def _zones(self) -> ZoneWatch:
        locator = self._stage.machine.sensors.locator
        assert locator is not None, "checked by the scenario"
        return locator.zones

    def _machine_of(self, event: LetIn) -> str:
        return self._zones.name if event.machine is None else known_as(event.machine)

    def _delay(self, change_ns: int) -> None:
        self._stage.link.up.trouble.delay_ns += change_ns
        self._stage.link.down.trouble.delay_ns += change_ns
