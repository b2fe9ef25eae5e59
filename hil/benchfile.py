"""The bench file: which bench this is, what it is made of, and what it can do (YAML, strict).

A bench that names what is not there is refused in one line, before anything moves.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocol.profiles import first_problem

SCHEMA = "headframe-bench/1"
Capability = Literal[
    "drop", "delay", "corrupt", "counter", "insert", "bus_off", "line", "node", "estop",
    "brownout", "plant", "actuator", "relay", "serial", "adapter_noise", "replug", "adapters",
    "error_frames",
]  # fmt: skip
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


_NO_DEVICE = frozenset({"emulated", "slcan_pty", "udp_multicast"})


class BenchRefused(ValueError):
    """Raised when a bench file cannot be used; one line that names file, key and reason."""


class Identity(BaseModel):
    """Which bench this is. ``owner`` is who answers for it."""

    model_config = _STRICT
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")]
    site: str
    owner: str


class Hashed(BaseModel):
    """A file that must be exactly the one that was approved; sha256 None: it is only recorded."""

    model_config = _STRICT
    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Clock(BaseModel):
    """What stamps are worth. ``simulated``: exact. ``monotonic``: of this computer, in user space.

    Attributes:
        error_us: worst error of a stamp, as calibrated; it is printed beside every figure.
        lateness_limit_ms: a bench that is later than this in a step is no evidence.
        slower: seconds of the computer's in a bench second; above 1 for an emulated computer.
    """

    model_config = _STRICT
    source: Literal["simulated", "monotonic"]
    error_us: Annotated[int, Field(ge=0)] = 0
    lateness_limit_ms: Annotated[float, Field(gt=0)] = 5.0
    slower: Annotated[int, Field(ge=1, le=100)] = 1


class CanChannel(BaseModel):
    """A by-wire bus.

    Attributes:
        kind: ``emulated`` is in this process, ``slcan_pty`` beside it an emulated adapter on a
            pseudo-terminal; the others are adapters, by way of python-can.
        port: interface (can0), device, ``by-id:NAME`` of /dev/serial/by-id, or group address.
        peer_port: the bench's own adapter, where that is another one than the guardian's.
    """

    model_config = _STRICT
    kind: Literal["emulated", "slcan_pty", "socketcan", "slcan", "udp_multicast"]
    port: str | None = None
    peer_port: str | None = None
    bitrate_bps: Annotated[int, Field(ge=10_000, le=1_000_000)] = 500_000


class SerialChannel(BaseModel):
    """The watchdog relay's line; this version has the emulated one."""

    model_config = _STRICT
    kind: Literal["emulated"]


Contact = Literal["estop_a", "estop_b", "key_remote", "override", "bridge"]


class RelayBoard(BaseModel):
    """Contacts on a serial relay board (LCUS); lines: number of the relay, from 1, by contact."""

    model_config = _STRICT
    kind: Literal["relay_board"]
    port: str
    lines: Annotated[dict[Contact, Annotated[int, Field(ge=1, le=16)]], Field(min_length=1)]


class GpioLines(BaseModel):
    """Contacts on a GPIO chip; lines: number of the line, from 0, by contact.

    Attributes:
        port: the chip's device; numbers of chips change, a udev link does not.
        active_low: an active line is at low voltage.
    """

    model_config = _STRICT
    kind: Literal["gpio_lines"]
    port: str
    lines: Annotated[dict[Contact, Annotated[int, Field(ge=0, le=1023)]], Field(min_length=1)]
    active_low: bool = False

    @model_validator(mode="after")
    def _one_line_each(self) -> Self:
        if len(set(self.lines.values())) != len(self.lines):
            raise ValueError("two contacts have one line")
        return self


class Power(BaseModel):
    """A laboratory supply that takes SCPI.

    Attributes:
        port: device, ``by-id:NAME``, or socket://host:port. baud: of a device.
        nominal_v: given between faults. low_v, high_v, current_a: never beyond these.
    """

    model_config = _STRICT
    kind: Literal["scpi"]
    port: str
    baud: Annotated[int, Field(ge=1200, le=1_000_000)] = 9600
    nominal_v: Annotated[float, Field(gt=0, le=60)]
    low_v: Annotated[float, Field(ge=0)] = 0.0
    high_v: Annotated[float, Field(gt=0, le=60)]
    current_a: Annotated[float, Field(gt=0, le=100)]

    @model_validator(mode="after")
    def _nominal_is_allowed(self) -> Self:
        if not self.low_v <= self.nominal_v <= self.high_v:
            raise ValueError("nominal_v must lie between low_v and high_v")
        return self


class Channels(BaseModel):
    """The bench's ports by their names in the case files; gpio and power left out: emulated."""

    model_config = _STRICT
    dbw: CanChannel
    relay: SerialChannel | None = None
    gpio: Annotated[RelayBoard | GpioLines, Field(discriminator="kind")] | None = None
    power: Power | None = None


class Conformance(BaseModel):
    """A machine that nobody here has seen: what the suite ``conformance`` looks at.

    Attributes:
        dbc, mapping: under test (docs/hil.md). machine: the DBC of an emulated one.
        channel: python-can's way to a real one; one of both.
    """

    model_config = _STRICT
    dbc: Hashed
    mapping: Hashed
    machine: Hashed | None = None
    channel: CanChannel | None = None

    @model_validator(mode="after")
    def _one_machine(self) -> Self:
        if (self.machine is None) == (self.channel is None):
            raise ValueError("needs machine (emulated) or channel (real), and not both")
        return self


class Limits(BaseModel):
    """Ceilings that hold for the whole run."""

    model_config = _STRICT
    load_max: Annotated[float, Field(gt=0, le=1)] = 0.5


class BenchFile(BaseModel):
    """The whole file.

    Attributes:
        emulate: what the bench plays; this version plays ECU, relay and plant.
        conformance: of a foreign machine, for the suite of that name.
        seed: of every chance; a run is told by it.
    """

    model_config = _STRICT
    schema_: Annotated[Literal["headframe-bench/1"], Field(alias="schema")]
    bench: Identity
    machine: Hashed
    site: Hashed
    dbc: Hashed
    clock: Clock
    channels: Channels
    emulate: list[Literal["ecu", "relay", "plant"]]
    capabilities: list[Capability]
    limits: Limits = Field(default_factory=Limits)
    conformance: Conformance | None = None
    suites: list[str]
    seed: int


def load_bench(path: Path) -> BenchFile:
    """Read a bench file and check its hashes; paths inside count from the file's folder.

    Raises:
        BenchRefused: unreadable, no such key, a wrong hash.
    """
    try:
        bench = BenchFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BenchRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BenchRefused(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise BenchRefused(f"{path}: {first_problem(error)}") from error
    for key, hashed in _hashed(bench):
        digest = sha256(path, hashed, key)
        if hashed.sha256 not in (None, digest):
            raise BenchRefused(
                f"{path}: {key}: {hashed.path} has SHA-256 {digest[:12]}…, "
                f"the bench was approved with {str(hashed.sha256)[:12]}…"
            )
    return bench


def _hashed(bench: BenchFile) -> list[tuple[str, Hashed]]:
    named = [("machine", bench.machine), ("site", bench.site), ("dbc", bench.dbc)]
    foreign = bench.conformance
    if foreign is not None:
        named += [("conformance.dbc", foreign.dbc), ("conformance.mapping", foreign.mapping)]
        if foreign.machine is not None:
            named.append(("conformance.machine", foreign.machine))
    return named


def resolved(path: Path, hashed: Hashed) -> Path:
    """Return where a named file is."""
    return (path.parent / hashed.path).resolve()


def sha256(path: Path, hashed: Hashed, key: str) -> str:
    """Return a named file's digest.

    Raises:
        BenchRefused: it is not there.
    """
    where = resolved(path, hashed)
    try:
        return hashlib.sha256(where.read_bytes()).hexdigest()
    except OSError as error:
        raise BenchRefused(f"{path}: {key}: {where}: {error.strerror}") from error


def check_ports(path: Path, bench: BenchFile) -> None:
    """Check that every port is there.

    Raises:
        BenchRefused: naming the port and what was looked for.
    """
    dbw = bench.channels.dbw
    for key in ("port", "peer_port"):
        port = getattr(dbw, key)
        if dbw.kind in _NO_DEVICE or (port is None and key == "peer_port"):
            continue
        where = device(dbw.kind, port)
        if not where.exists():
            raise BenchRefused(f"{path}: channels.dbw.{key}: {port}: no {where} here")
    for name, other in (("gpio", bench.channels.gpio), ("power", bench.channels.power)):
        if other is None or other.port.startswith("socket://"):
            continue
        where = device(other.kind, other.port)
        if not where.exists():
            raise BenchRefused(f"{path}: channels.{name}.port: {other.port}: no {where} here")


def check_capabilities(path: Path, bench: BenchFile) -> None:
    """Check that the bench has what it takes for each capability that it claims.

    Raises:
        BenchRefused: naming the capability and what it lacks.
    """
    kind = bench.channels.dbw.kind
    lacks = {
        "adapter_noise": kind != "slcan_pty" and f"channels.dbw is {kind}: no emulated adapter",
        "replug": kind != "slcan_pty" and f"channels.dbw is {kind}: no emulated adapter",
        "relay": bench.channels.relay is None and "channels.relay is not there",
        "serial": bench.channels.relay is None and "channels.relay is not there",
        "plant": "plant" not in bench.emulate and "emulate does not name the plant",
        "actuator": "plant" not in bench.emulate and "emulate does not name the plant",
        "brownout": "ecu" not in bench.emulate
        and bench.channels.power is None
        and "neither an emulated ecu nor channels.power",
        "estop": "ecu" not in bench.emulate
        and bench.channels.gpio is None
        and "neither an emulated ecu nor channels.gpio",
    }
    for capability in bench.capabilities:
        if why := lacks.get(capability):
            raise BenchRefused(f"{path}: capabilities: {capability}: {why}")


def device(kind: str, port: str | None) -> Path:
    """Return what a port's name stands for."""
    if port is None:
        return Path("/port-is-not-given")
    if kind == "socketcan":
        return Path("/sys/class/net") / port
    if port.startswith("by-id:"):
        return Path("/dev/serial/by-id") / port.removeprefix("by-id:")
    return Path(port)
