"""Scenario files: YAML in, checked models out, errors that name file, key and reason in one line.

A scenario says which machine drives where, over which link, with which driver, what goes wrong
and when, and what must and must never come of it. ``docs/scenarios.md`` describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Self, Union

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from protocol.control_peer import CommandPath
from protocol.profiles import first_problem
from sim.machines.faults import parse_fault
from sim.machines.parameters import Machine, load_machine
from sim.network.files import DirectionFile, find_link, link_of
from sim.network.parameters import LinkParameters
from sim.radio.files import find_coverage
from sim.world.drift import check_width
from sim.world.site import Site, load_site
from sim.world.things_file import MoverTable

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SCENARIOS = CONFIGS / "scenarios"
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]
_Time = Annotated[float, Field(ge=0.0, le=3600.0)]


class ScenarioError(ValueError):
    """A scenario that cannot be run; one line that says why."""


class Doing(StrEnum):
    """What can go wrong without further settings. Those with ``for_s`` end again."""

    CUT_LINK = "cut_link"
    """Nothing gets through, either way."""
    CUT_COMMANDS = "cut_commands"
    CUT_STATES = "cut_states"
    """Nothing from the machine gets through: states and pictures."""
    STALL_LINK = "stall_link"
    """All is held back, then comes out in one burst."""
    STALL_COMMANDS = "stall_commands"
    KILL_CONSOLE = "kill_console"
    SILENCE_PAGE = "silence_page"
    """The page says nothing: no hands, no pictures."""
    PRESS_STOP = "press_stop"
    LET_GO = "let_go"
    """The driver opens his hand while moving."""
    FREEZE_HANDS = "freeze_hands"
    FULL_THROTTLE = "full_throttle"
    FREEZE_PICTURE = "freeze_picture"
    """The camera gives the same picture for ever."""
    KILL_CAMERA = "kill_camera"
    PRESS_ESTOP = "press_estop"
    TURN_KEY = "turn_key"
    """The key at the machine goes to LOCAL."""
    LEAVE_ZONE = "leave_zone"
    SILENCE_ECU = "silence_ecu"
    """Nothing from the by-wire ECU reaches the supervisor."""
    DEAFEN_ECU = "deafen_ecu"
    """Nothing from the supervisor reaches the ECU."""
    PAUSE_GUARDIAN = "pause_guardian"
    SILENCE_FINDER = "silence_finder"
    """Nothing comes from the range finder."""
    SILENCE_LOCATOR = "silence_locator"
    """Nothing comes from the locator."""


class _Event(BaseModel):
    """When: at a time since the machine was first ACTIVE, or where it passes a station."""

    model_config = _STRICT
    at_s: _Time | None = None
    at_station_m: Annotated[float, Field(ge=0.0)] | None = None
    for_s: _Seconds | None = None

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if (self.at_s is None) == (self.at_station_m is None):
            raise ValueError("needs at_s or at_station_m, and not both")
        return self


class Mishap(_Event):
    """Something of :class:`Doing` happens, for ever or ``for_s``."""

    do: Annotated[Doing, Field(strict=False)]


class DelayLink(_Event):
    """Every way takes ``delay_ms`` longer."""

    do: Literal["delay_link"]
    delay_ms: Annotated[float, Field(gt=0.0, le=60_000.0)]


class ChangeLink(_Event):
    """The link becomes another one; with ``for_s`` the first one comes back."""

    do: Literal["change_link"]
    link: str


class MachineFault(_Event):
    """Something breaks on the machine: one of sim/machines/faults.py, by its ``kind``."""

    do: Literal["machine_fault"]
    fault: dict[str, Any]

    @field_validator("fault")
    @classmethod
    def _known(cls, table: dict[str, Any]) -> dict[str, Any]:
        parse_fault(table)
        return table


class CloseZone(_Event):
    """A zone may not be entered; with ``for_s`` it opens again."""

    do: Literal["close_zone"]
    zone: str


class LetIn(_Event):
    """The control room lets a machine into a ``call`` zone, once; with ``for_s`` only so long.

    Attributes:
        machine: which one, a name in configs or a file; None is the one that drives here.
    """

    do: Literal["let_in"]
    zone: str
    machine: str | None = None


_OWN_SETTINGS = frozenset({"delay_link", "change_link", "machine_fault", "close_zone", "let_in"})


def _event_kind(given: Any) -> str:
    do = given.get("do") if isinstance(given, Mapping) else getattr(given, "do", None)
    return do if do in _OWN_SETTINGS else "mishap"


Event = Annotated[
    Union[  # noqa: UP007 - tags stand beside the types
        Annotated[Mishap, Tag("mishap")],
        Annotated[DelayLink, Tag("delay_link")],
        Annotated[ChangeLink, Tag("change_link")],
        Annotated[MachineFault, Tag("machine_fault")],
        Annotated[CloseZone, Tag("close_zone")],
        Annotated[LetIn, Tag("let_in")],
    ],
    Discriminator(_event_kind),
]


class DriverFile(BaseModel):
    """Who drives.

    Attributes:
        character: careful or hasty. speed_mps: on a straight run; None is his own.
        resumes: after a stop he resets, arms and drives on.
    """

    model_config = _STRICT
    character: Literal["careful", "hasty"] = "careful"
    speed_mps: Annotated[float, Field(gt=0.0, le=25.0)] | None = None
    resumes: bool = False


class InlineLink(BaseModel):
    """A link written into the scenario, as in configs/links."""

    model_config = _STRICT
    up: DirectionFile
    down: DirectionFile


def _link_kind(given: Any) -> str:
    return "name" if isinstance(given, str) else "inline"


LinkChoice = Annotated[
    Union[  # noqa: UP007 - tags stand beside the types
        Annotated[str, Tag("name")], Annotated[InlineLink, Tag("inline")]
    ],
    Discriminator(_link_kind),
]


class Quantity(StrEnum):
    """What a run is measured by; every one is in its result."""

    STARTS = "starts"
    STOPS = "stops"
    FALSE_STOPS = "false_stops"
    CONTACTS = "contacts"
    DISTANCE_M = "distance_m"
    OFFSET_MAX_M = "offset_max_m"
    SPEED_MAX_MPS = "speed_max_mps"
    OVER_CAP_MAX_MPS = "over_cap_max_mps"
    CAP_MIN_MPS = "cap_min_mps"
    BRAKE_AFTER_COMMAND_MS = "brake_after_command_ms"
    STOP_DISTANCE_M = "stop_distance_m"
    BRAKE_DISTANCE_M = "brake_distance_m"
    STOP_TIME_S = "stop_time_s"
    CREEP_M = "creep_m"
    COMMAND_AGE_P99_MS = "command_age_p99_ms"
    PICTURE_AGE_P95_MS = "picture_age_p95_ms"
    ROLLED_SHARE = "rolled_share"
    """Of the area of all mats, that a drum has gone over."""


class Never(StrEnum):
    """What must not happen at all."""

    CONTACT = "contact"
    STOP = "stop"
    FALSE_STOP = "false_stop"
    CREEP = "creep"
    """Motion after the machine stood in a stop."""
    REFUSAL = "refusal"
    """A command of the driver's that the machine refused."""


class Limit(BaseModel):
    """Bounds of one quantity, both inclusive."""

    model_config = _STRICT
    min: float | None = None
    max: float | None = None
    equal: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is self.max is self.equal is None:
            raise ValueError("needs min, max or equal")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within."""
        return (
            (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.equal is None or value == self.equal)
        )

    def __str__(self) -> str:
        words = (("at least", self.min), ("at most", self.max), ("exactly", self.equal))
        return ", ".join(f"{word} {value:g}" for word, value in words if value is not None)


class Range(BaseModel):
    """A number drawn evenly from ``from`` to ``to``."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, populate_by_name=True
    )
    low: float = Field(alias="from")
    high: float = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("from is above to")
        return self


class ScenarioFile(BaseModel):
    """The whole file.

    Attributes:
        machine, site: a name in configs, or a file. link: a name, a file, or written out.
        movers: people and other machines beside those of the site, as a site file has them.
        load: share of its payload that the machine carries.
        range_finder: a scanner at its front slows it for what lies ahead.
        locator: tells it its place, and what the site's zones rule there.
        seconds: of driving at most, from the moment the machine is first ACTIVE.
        paths: by which commands and states travel; requests always go by MQTT.
        causes: event ids of the stops, in their order; None leaves them open.
        expect: limits by quantity. never: what must not happen.
        vary: by path of a key: values, or a range, to draw from in each run.
    """

    model_config = _STRICT
    title: str
    machine: str = "ug_truck_60t"
    load: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    range_finder: bool = False
    locator: bool = False
    site: str = "mine_drift"
    start_station_m: Annotated[float, Field(ge=0.0)] | None = None
    movers: list[MoverTable] = Field(default_factory=list)
    link: LinkChoice = "fibre-5g"
    paths: Annotated[list[Literal["data_channel", "mqtt"]], Field(min_length=1)] = Field(
        default=["data_channel"]
    )
    driver: DriverFile = DriverFile()
    seconds: _Seconds
    events: list[Event] = Field(default_factory=list)
    causes: list[Annotated[str, Field(pattern=r"^[A-Z]\d{3}$")]] | None = None
    expect: dict[Annotated[Quantity, Field(strict=False)], Limit] = Field(default_factory=dict)
    never: list[Annotated[Never, Field(strict=False)]] = Field(default_factory=list)
    vary: dict[str, Range | list[Any]] = Field(default_factory=dict)

    @field_validator("vary")
    @classmethod
    def _something_to_draw(cls, vary: dict[str, Range | list[Any]]) -> dict[str, Range | list[Any]]:
        for path, choice in vary.items():
            if choice == []:
                raise ValueError(f"{path} has nothing to draw from")
        return vary


class Scenario:
    """A scenario that can be run: its file, and the machine, site and link that it names.

    Attributes:
        name: of the file. file: as written. drawn: what ``vary`` drew for this one.
        machine, site, link: as named, with the start where the scenario wants it.
    """

    def __init__(self, name: str, raw: Mapping[str, Any], source: str) -> None:
        self.name, self._source = name, source
        self._raw = raw
        self.drawn: dict[str, Any] = {}
        self.file = _checked(raw, source)
        try:
            self.machine = _machine(self.file)
            self.site = _site(self.file)
            check_width(self.site, self.machine.body)
            self.link = _link(self.file.link, name)
            _check_radio(self.link, self.site)
            for event in self.file.events:
                if isinstance(event, ChangeLink):
                    _check_radio(find_link(event.link), self.site)
        except ValueError as error:
            raise ScenarioError(f"{source}: {error}") from error

    @property
    def paths(self) -> frozenset[CommandPath]:
        """The command paths that are fitted."""
        return frozenset(CommandPath[name.upper()] for name in self.file.paths)

    @property
    def raw(self) -> Mapping[str, Any]:
        """The file's content, plain: what a worker elsewhere needs to build the same."""
        return self._raw

    def draw(self, seed: int) -> Scenario:
        """The scenario of one run: what varies is drawn from ``seed``."""
        if not self.file.vary:
            return self
        raw, drawn = dict(self._raw), {}
        for path, choice in self.file.vary.items():
            dice = Random(f"{seed}/vary/{path}")  # noqa: S311 - repeatable, not secret
            value = _draw(choice, dice)
            raw = _with(raw, path.split("."), value, f"{self._source}: vary.{path}")
            drawn[path] = value
        scenario = Scenario(self.name, raw | {"vary": {}}, self._source)
        scenario.drawn = drawn
        return scenario

    def check_extremes(self) -> None:
        """Build the scenario with each value that ``vary`` may draw at its ends.

        Raises:
            ScenarioError: one of them does not fit.
        """
        for path, choice in self.file.vary.items():
            ends = (choice.low, choice.high) if isinstance(choice, Range) else choice
            where = f"{self._source}: vary.{path}"
            for value in ends:
                raw = _with(dict(self._raw), path.split("."), value, where)
                Scenario(self.name, raw | {"vary": {}}, where)


def _draw(choice: Range | Sequence[Any], dice: Random) -> Any:
    if isinstance(choice, Range):
        return round(dice.uniform(choice.low, choice.high), 6)
    return dice.choice(choice)


def _with(raw: Any, path: Sequence[str], value: Any, where: str) -> Any:
    """A copy of ``raw`` with ``value`` at ``path``; only the last key may be new."""
    key, rest = path[0], path[1:]
    if isinstance(raw, list):
        if not key.isdigit() or int(key) >= len(raw):
            raise ScenarioError(f"{where}: there is no item {key}")
        copy: Any = list(raw)
        copy[int(key)] = _with(raw[int(key)], rest, value, where) if rest else value
        return copy
    if not isinstance(raw, Mapping):
        raise ScenarioError(f"{where}: {key} stands in nothing that has keys")
    if not rest:
        return {**raw, key: value}
    return {**raw, key: _with(raw.get(key, {}), rest, value, where)}


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses the same key twice, as it would silently take the last one."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise yaml.YAMLError(f"key {key!r} stands twice, line {key_node.start_mark.line + 1}")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: one line that names the file, the key and the reason.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ScenarioError(f"{path}: {reason}") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: no keys in it")
    scenario = Scenario(path.stem, raw, str(path))
    scenario.check_extremes()
    return scenario


def find_scenario(name: str) -> Scenario:
    """Return a scenario by its name in configs/scenarios, or by its file.

    Raises:
        ScenarioError: there is none, or it cannot be run.
    """
    shipped = SCENARIOS / f"{name}.yaml"
    if Path(name).name == name and shipped.is_file():
        return load_scenario(shipped)
    if name.endswith((".yaml", ".yml")):
        return load_scenario(Path(name))
    raise ScenarioError(f"no scenario {name!r}; there are: {', '.join(scenario_names())}")


def scenario_names() -> list[str]:
    """Names in configs/scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def _checked(raw: Mapping[str, Any], source: str) -> ScenarioFile:
    try:
        return ScenarioFile.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError(f"{source}: {first_problem(error)}") from error


def _config(kind: str, name: str) -> Path:
    folder = CONFIGS / kind
    shipped = folder / f"{name}.toml"
    if Path(name).name == name and shipped.is_file():
        return shipped
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise ScenarioError(f"no {kind.removesuffix('s')} {name!r}; there are: {known}")


@lru_cache(maxsize=8)
def _machine_file(path: Path) -> Machine:
    return load_machine(path)


@lru_cache(maxsize=8)
def _site_file(path: Path) -> Site:
    return load_site(path)


def known_as(machine: str) -> str:
    """The name by which a site knows a machine, from its name in configs or its file.

    Raises:
        ScenarioError: there is no such machine.
    """
    return _machine_file(_config("machines", machine)).profile.machine.name


def _machine(file: ScenarioFile) -> Machine:
    return _machine_file(_config("machines", file.machine))


def _site(file: ScenarioFile) -> Site:
    site = _site_file(_config("sites", file.site))
    for number, event in enumerate(file.events):
        _within(site, f"events.{number}.at_station_m", event.at_station_m)
    _within(site, "start_station_m", file.start_station_m)
    _zones_known(site, file)
    for number, table in enumerate(file.movers):
        for _, station_m, _ in table.way:
            _within(site, f"movers.{number}.way", station_m)
    if file.movers:
        movers = (*site.things.movers, *(table.mover(site.abeam) for table in file.movers))
        site = replace(site, things=replace(site.things, movers=movers))
    if file.start_station_m is None:
        return site
    return replace(site, start_station_m=file.start_station_m)


def _zones_known(site: Site, file: ScenarioFile) -> None:
    names = dict.fromkeys(zone.name for zone in site.zones)
    on_call = dict.fromkeys(zone.name for zone in site.zones if zone.entry == "call")
    for number, event in enumerate(file.events):
        if not isinstance(event, CloseZone | LetIn):
            continue
        if not file.locator:
            raise ScenarioError(f"events.{number}: {event.do} needs locator: true")
        fit, which = (on_call, "call zone") if isinstance(event, LetIn) else (names, "zone")
        if event.zone not in fit:
            known = ", ".join(fit) or "none"
            raise ScenarioError(
                f"events.{number}.zone: no {which} {event.zone!r}; there are: {known}"
            )
        if isinstance(event, LetIn) and event.machine is not None:
            known_as(event.machine)


def _within(site: Site, key: str, station_m: float | None) -> None:
    if station_m is not None and station_m > site.length_m:
        raise ScenarioError(f"{key}: {station_m:g} m lies past the site's end, {site.length_m:.1f}")


def _link(link: str | InlineLink, name: str) -> LinkParameters:
    if isinstance(link, str):
        return find_link(link)
    return link_of(f"{name} (inline)", "written into the scenario", link.up, link.down, CONFIGS)


def _check_radio(link: LinkParameters, site: Site) -> None:
    """A link with a radio map belongs to one site."""
    if link.radio is not None:
        find_coverage(link.radio, site)
