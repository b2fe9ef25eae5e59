"""One contract over each kind of port, fake and real driver alike; and what a bench refuses."""

from __future__ import annotations

import os
import select
import socketserver
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hil.benchfile import BenchFile, BenchRefused, check_capabilities, check_ports, load_bench
from hil.case import Case, Variant
from hil.drivers.gpio_lines import GpioLinePins
from hil.drivers.opened import open_ports
from hil.drivers.pins import EmulatedPins, MirroredPins, RelayBoardPins
from hil.drivers.serial_line import PySerialLine, fake_pair
from hil.drivers.supply import EmulatedSupply, MirroredSupply, ScpiSupply
from hil.faults import BenchCannot, Injector
from hil.judge import Verdict, run_variant
from hil.plugin import HilBench, hil
from hil.ports import Level, Pins, PortLost, PortRefused, SerialLine, Supply, SupplyLimits
from hil.rig import Rig, RigSettings
from hil.runner import GOOD, Benches, Options, run

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
BENCHES = CONFIGS / "benches"
LIMITS = SupplyLimits(nominal_v=24.0, low_v=0.0, high_v=32.0, current_a=5.0)
WAIT_S = 5.0


class Terminal:
    """The far end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def read(self, number: int) -> bytes:
        got = b""
        while len(got) < number and select.select([self.master], [], [], WAIT_S)[0]:
            got += os.read(self.master, 256)
        return got

    def hang_up(self) -> None:
        """As when the cable is pulled; again is nothing more."""
        if self.master >= 0:
            os.close(self.master)
            os.close(self._slave)
            self.master = -1

    def close(self) -> None:
        self.hang_up()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


# Serial lines


@dataclass
class Ends:
    """The line under test, and its far end."""

    line: SerialLine
    put: Callable[[bytes], object]
    got: Callable[[int], bytes]


def fake_ends(_terminal: Terminal) -> Ends:
    one, other = fake_pair()
    return Ends(one, other.write, lambda _: other.waiting())


def real_ends(terminal: Terminal) -> Ends:
    line = PySerialLine(terminal.path, 115200)
    return Ends(line, lambda data: os.write(terminal.master, data), terminal.read)


@pytest.mark.parametrize("make", [fake_ends, real_ends], ids=["fake", "pyserial"])
class TestSerialLine:
    def test_bytes__go_both_ways_in_order(
        self, make: Callable[[Terminal], Ends], terminal: Terminal
    ) -> None:
        ends = make(terminal)
        ends.line.write(b"\x00\xff")
        ends.line.write(b"more")
        assert ends.got(6) == b"\x00\xffmore"
        ends.put(b"answer\x00")
        heard = b""
        for _ in range(10_000):
            heard += ends.line.waiting()
        assert heard == b"answer\x00"
        ends.line.close()

    def test_nothing_waits__nothing_comes(
        self, make: Callable[[Terminal], Ends], terminal: Terminal
    ) -> None:
        ends = make(terminal)
        assert ends.line.waiting() == b""
        ends.line.close()

    def test_line_that_was_left__is_lost(
        self, make: Callable[[Terminal], Ends], terminal: Terminal
    ) -> None:
        ends = make(terminal)
        ends.line.close()
        with pytest.raises(PortLost):
            ends.line.write(b"x")
        with pytest.raises(PortLost):
            ends.line.waiting()


def test_device_that_is_not_there__is_lost_by_name() -> None:
    with pytest.raises(PortLost, match="/dev/nothing-here"):
        PySerialLine("/dev/nothing-here")


def test_line_without_an_end__is_no_answer(terminal: Terminal) -> None:
    line = PySerialLine(terminal.path, patience_s=0.01)
    os.write(terminal.master, b"half")
    with pytest.raises(PortLost, match="no answer"):
        line.line()
    line.close()
    with pytest.raises(PortLost):
        line.line()


# Pins


@dataclass
class Wired:
    """Pins under test, and what stands at each contact."""

    pins: Pins
    level: Callable[[str], str]


WIRED = {"estop_a": 1, "estop_b": 2, "override": 3}


def emulated_pins(_terminal: Terminal) -> Wired:
    levels = {"estop_a": "CLOSED", "estop_b": "CLOSED", "override": "OPEN"}

    def drive(line: str, level: Level) -> None:
        levels[line] = str(level)

    return Wired(EmulatedPins(drive, frozenset(levels)), lambda line: levels[line])


def board_pins(terminal: Terminal) -> Wired:
    state: dict[int, int] = {}
    pins = RelayBoardPins(PySerialLine(terminal.path), WIRED)

    def level(line: str) -> str:
        while select.select([terminal.master], [], [], 0.0)[0]:
            command = terminal.read(4)
            for at in range(0, len(command), 4):
                start, number, on, total = command[at : at + 4]
                assert (start + number + on) & 0xFF == total
                state[number] = on
        return "CLOSED" if state[WIRED[line]] else "OPEN"

    return Wired(pins, level)


def mirrored_pins(terminal: Terminal) -> Wired:
    real, emulated = board_pins(terminal), emulated_pins(terminal)

    def level(line: str) -> str:
        assert real.level(line) == emulated.level(line)
        return real.level(line)

    return Wired(MirroredPins(real.pins, emulated.pins), level)


class Value(Enum):
    """As libgpiod has it."""

    INACTIVE, ACTIVE = 0, 1


class Chip(ModuleType):
    """libgpiod's package as far as the driver uses it, with one chip of eight lines.

    Attributes:
        volts: True is high, by line. stuck: lines that do not follow. held: lines of others.
    """

    class RequestReleasedError(Exception):
        """As libgpiod raises it."""

    LineSettings = SimpleNamespace
    line = SimpleNamespace(Value=Value, Direction=SimpleNamespace(OUTPUT="output"))

    def __init__(self) -> None:
        super().__init__("gpiod")
        self.volts: dict[int, bool] = {}
        self.stuck: dict[int, bool] = {}
        self.held: set[int] = set()
        self._low: dict[int, bool] = {}

    def request_lines(self, chip: str, config: dict[int, Any], consumer: str) -> Chip:
        assert (chip, consumer) == ("/dev/gpiochip7", "headframe hil")
        for number, settings in config.items():
            if number > 7:
                raise ValueError("offset is out of range")
            if number in self.held:
                raise OSError(16, "Device or resource busy")
            assert settings.direction == "output"
            self._low[number] = settings.active_low
            self.set_value(number, settings.output_value)
        self.held |= set(config)
        return self

    def set_value(self, number: int, value: Value) -> None:
        high = (value is Value.ACTIVE) is not self._low[number]
        self.volts[number] = self.stuck.get(number, high)

    def get_value(self, number: int) -> Value:
        if not self.held:
            raise self.RequestReleasedError("GPIO lines have been released")
        return Value(self.volts[number] is not self._low[number])

    def release(self) -> None:
        self.held.clear()


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    monkeypatch.setitem(sys.modules, "gpiod", made)
    return made


def gpio_pins(chip: Chip, *, active_low: bool = False) -> Wired:
    pins = GpioLinePins("/dev/gpiochip7", WIRED, active_low=active_low)
    levels = {not active_low: "CLOSED", active_low: "OPEN"}
    return Wired(pins, lambda line: levels[chip.volts[WIRED[line]]])


MAKES: dict[str, Callable[[Terminal, Chip], Wired]] = {
    "emulated": lambda terminal, _: emulated_pins(terminal),
    "board": lambda terminal, _: board_pins(terminal),
    "both": lambda terminal, _: mirrored_pins(terminal),
    "gpio": lambda _, chip: gpio_pins(chip),
    "gpio_active_low": lambda _, chip: gpio_pins(chip, active_low=True),
}


@pytest.fixture(params=list(MAKES))
def wired(request: pytest.FixtureRequest, terminal: Terminal, chip: Chip) -> Wired:
    return MAKES[request.param](terminal, chip)


class TestPins:
    def test_contact__is_as_at_the_start_and_then_as_driven(self, wired: Wired) -> None:
        assert wired.pins.lines == {"estop_a", "estop_b", "override"}
        assert wired.level("override") == wired.pins.driven("override") == "OPEN"
        assert wired.level("estop_a") == wired.pins.driven("estop_a") == "CLOSED"
        wired.pins.set("estop_a", Level.OPEN)
        assert wired.level("estop_a") == wired.pins.driven("estop_a") == "OPEN"
        assert wired.level("estop_b") == "CLOSED"
        wired.pins.set("estop_a", Level.CLOSED)
        assert wired.level("estop_a") == "CLOSED"

    def test_contact_that_is_not_wired__is_refused_with_those_that_are(self, wired: Wired) -> None:
        said = r"horn: no such contact on this bench \(wired: estop_a, estop_b, override\)"
        with pytest.raises(PortRefused, match=said):
            wired.pins.set("horn", Level.OPEN)
        with pytest.raises(PortRefused, match=said):
            wired.pins.driven("horn")

    def test_bench_that_ends__leaves_every_contact_open(self, wired: Wired) -> None:
        wired.pins.set("override", Level.CLOSED)
        wired.pins.close()
        assert {wired.level(line) for line in WIRED} == {"OPEN"}


def test_line_that_does_not_follow__is_lost_and_not_believed(chip: Chip) -> None:
    pins = gpio_pins(chip).pins
    chip.stuck[1] = True
    said = r"/dev/gpiochip7 line 1 \(estop_a\): does not follow to OPEN"
    with pytest.raises(PortLost, match=said):
        pins.set("estop_a", Level.OPEN)
    assert pins.driven("estop_a") == "CLOSED"
    with pytest.raises(PortLost, match=said):
        pins.close()
    assert chip.held == set()


def test_line_that_does_not_follow_at_the_end__keeps_no_other_one_closed(chip: Chip) -> None:
    wired = gpio_pins(chip)
    wired.pins.set("override", Level.CLOSED)
    chip.stuck[WIRED["estop_a"]] = True
    with pytest.raises(PortLost, match="estop_a"):
        wired.pins.close()
    assert {wired.level(line) for line in ("estop_b", "override")} == {"OPEN"}


def test_real_contact_that_fails_at_the_end__leaves_no_emulated_one_closed(chip: Chip) -> None:
    seen: dict[str, Level] = {}
    emulated = EmulatedPins(seen.__setitem__, frozenset(WIRED))
    pins = MirroredPins(gpio_pins(chip).pins, emulated)
    chip.stuck[WIRED["estop_a"]] = True
    with pytest.raises(PortLost, match="estop_a"):
        pins.close()
    assert seen == dict.fromkeys(WIRED, Level.OPEN)


def test_line_of_another__is_lost_by_chip(chip: Chip) -> None:
    chip.held.add(2)
    with pytest.raises(PortLost, match=r"/dev/gpiochip7: .*busy"):
        gpio_pins(chip)


def test_line_that_the_chip_has_not__is_lost_by_chip(chip: Chip) -> None:
    with pytest.raises(PortLost, match=r"/dev/gpiochip7: offset is out of range"):
        GpioLinePins("/dev/gpiochip7", {"estop_a": 8})


def test_lines_given_back__are_lost(chip: Chip) -> None:
    pins = gpio_pins(chip).pins
    pins.close()
    with pytest.raises(PortLost, match=r"line 1 \(estop_a\): GPIO lines have been released"):
        pins.set("estop_a", Level.CLOSED)


def test_line__has_no_error(chip: Chip) -> None:
    with pytest.raises(PortRefused, match="estop_a: a line is active or not"):
        gpio_pins(chip).pins.set("estop_a", Level.ERROR)


def test_package_that_is_missing__is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(PortLost, match=r"gpiochip7: needs pip install 'headframe\[gpio\]'"):
        GpioLinePins("/dev/gpiochip7", WIRED)


def test_relay__has_no_error(terminal: Terminal) -> None:
    wired = board_pins(terminal)
    with pytest.raises(PortRefused, match="estop_a: a relay is open or closed"):
        wired.pins.set("estop_a", Level.ERROR)


def test_relay_board__gets_the_published_bytes(terminal: Terminal) -> None:
    RelayBoardPins(PySerialLine(terminal.path), {"estop_a": 1})
    assert terminal.read(4) == bytes.fromhex("A00101A2")


# Supplies


@dataclass
class Instrument:
    """A supply that takes SCPI: what it was told, and what it answers."""

    volts: float = 0.0
    amps: float = 0.0
    on: bool = False
    errors: list[str] = field(default_factory=list)
    measures: str | None = None

    def take(self, line: str) -> str | None:
        word, _, value = line.partition(" ")
        match word:
            case "*IDN?":
                return "HEADFRAME,PSU,1,0"
            case "VOLT":
                self.volts = float(value)
            case "CURR":
                self.amps = float(value)
            case "OUTP":
                self.on = value == "ON"
            case "MEAS:VOLT?":
                return self.measures or f"{self.volts if self.on else 0.0:.3f}"
            case "SYST:ERR?":
                return self.errors.pop() if self.errors else '0,"No error"'
        return None


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    instrument: Instrument


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        for line in self.rfile:
            answer = server.instrument.take(line.decode().strip())
            if answer is not None:
                self.wfile.write(answer.encode() + b"\n")


@dataclass
class Powered:
    """A supply under test, and what stands at its output."""

    supply: Supply
    volts: Callable[[], float]


@pytest.fixture
def lab() -> Iterator[tuple[str, Instrument]]:
    """A SCPI supply on a TCP port of this computer."""
    with _Server(("127.0.0.1", 0), _Talk) as server:
        server.instrument = Instrument()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"socket://127.0.0.1:{server.server_address[1]}", server.instrument
        server.shutdown()
        thread.join()


def emulated_supply(_lab: tuple[str, Instrument]) -> Powered:
    forced: list[float | None] = [None]
    supply = EmulatedSupply(forced.append, LIMITS)
    return Powered(supply, lambda: 24.0 if forced[-1] is None else forced[-1])


def scpi_supply(lab: tuple[str, Instrument]) -> Powered:
    url, instrument = lab
    supply = ScpiSupply(PySerialLine(url), LIMITS)
    return Powered(supply, lambda: instrument.volts if instrument.on else 0.0)


def mirrored_supply(lab: tuple[str, Instrument]) -> Powered:
    real, emulated = scpi_supply(lab), emulated_supply(lab)

    def volts() -> float:
        assert real.volts() == emulated.volts()
        return real.volts()

    return Powered(MirroredSupply(real.supply, emulated.supply), volts)


@pytest.mark.parametrize(
    "make", [emulated_supply, scpi_supply, mirrored_supply], ids=["emulated", "scpi", "both"]
)
class TestSupply:
    def test_voltage__is_given_measured_and_restored(
        self, make: Callable[[Any], Powered], lab: tuple[str, Instrument]
    ) -> None:
        powered = make(lab)
        assert powered.supply.measured_v() == powered.volts() == 24.0
        powered.supply.give(9.5)
        assert powered.supply.measured_v() == powered.volts() == 9.5
        powered.supply.restore()
        assert powered.volts() == 24.0
        powered.supply.close()

    @pytest.mark.parametrize("volts", [-0.1, 32.1, float("nan")])
    def test_voltage_beyond_the_limits__is_refused_and_not_given(
        self, make: Callable[[Any], Powered], lab: tuple[str, Instrument], volts: float
    ) -> None:
        powered = make(lab)
        with pytest.raises(PortRefused, match=r"V: this bench gives 0 to 32 V"):
            powered.supply.give(volts)
        assert powered.volts() == 24.0
        powered.supply.close()

    def test_bench_that_ends__leaves_the_output_off(
        self, make: Callable[[Any], Powered], lab: tuple[str, Instrument]
    ) -> None:
        powered = make(lab)
        powered.supply.close()
        assert powered.volts() == 0.0


def test_scpi_supply__has_its_current_limit_and_an_identity(lab: tuple[str, Instrument]) -> None:
    supply = ScpiSupply(PySerialLine(lab[0]), LIMITS)
    assert (supply.identity, lab[1].amps) == ("HEADFRAME,PSU,1,0", 5.0)
    supply.close()


def test_supply_that_says_no__is_lost_with_its_words(lab: tuple[str, Instrument]) -> None:
    supply = ScpiSupply(PySerialLine(lab[0]), LIMITS)
    lab[1].errors.append('-222,"Data out of range"')
    with pytest.raises(PortLost, match=r"VOLT 12.000: the supply says -222,.Data out of range"):
        supply.give(12.0)
    supply.close()


@pytest.mark.parametrize("answer", ["OVLD", "nan"])
def test_measurement_that_is_none__is_lost(lab: tuple[str, Instrument], answer: str) -> None:
    supply = ScpiSupply(PySerialLine(lab[0]), LIMITS)
    lab[1].measures = answer
    with pytest.raises(PortLost, match=f"'{answer}' is no voltage"):
        supply.measured_v()
    supply.close()


# On a bench


def bench_with(text: str, tmp_path: Path) -> tuple[Path, BenchFile]:
    path = tmp_path / "bench.yaml"
    whole = (BENCHES / "emulated.yaml").read_text(encoding="utf-8")
    whole = whole.replace(RELAY, text, 1)
    path.write_text(whole.replace("path: ../", f"path: {CONFIGS}/"), encoding="utf-8")
    return path, load_bench(path)


RELAY = "  relay: {kind: emulated}\n"
GPIO = "  gpio: {{kind: relay_board, port: '{0}', lines: {{estop_a: 1}}}}\n"
POWER = "  power: {{kind: scpi, port: '{0}', nominal_v: 24, high_v: 32, current_a: 5}}\n"


def rig() -> Rig:
    return Rig(
        RigSettings(
            CONFIGS / "machines" / "ug_truck_60t.toml",
            CONFIGS / "sites" / "mine_drift.toml",
            500_000,
        ),
        1,
    )


def test_faults__go_by_the_benchs_ports(
    terminal: Terminal, lab: tuple[str, Instrument], tmp_path: Path
) -> None:
    text = GPIO.format(terminal.path) + POWER.format(lab[0])
    path, bench = bench_with(text, tmp_path)
    check_ports(path, bench)
    opened = open_ports(path, bench.channels)
    made = rig()
    opened.attach(made)
    assert terminal.read(8) == bytes.fromhex("A00101A2 A00101A2")
    injector = Injector(made, frozenset({"estop", "brownout"}), 1)
    injector.put({"kind": "pin", "to": {"estop_a": "OPEN"}})
    injector.put({"kind": "supply", "volts": 6.0, "for_ms": 20})
    assert terminal.read(4) == bytes.fromhex("A00100A1")
    assert (made.contacts.estop_a.name, made.ecu.supply_v) == ("OPEN", 6.0)
    assert lab[1].volts == 6.0
    made.run(0.04)
    assert (lab[1].volts, made.ecu.supply_v) == (24.0, None)
    for fault in (
        {"kind": "pin", "to": {"estop_b": "OPEN"}},
        {"kind": "pin", "to": {"estop_a": "ERROR"}},
        {"kind": "supply", "volts": 40.0},
    ):
        with pytest.raises(BenchCannot, match=r"on this bench|open or closed|this bench gives"):
            injector.put(fault)
    assert lab[1].volts == 24.0
    opened.close()
    assert not lab[1].on
    made.close()


def test_bench_of_gpio_lines__opens_those_of_the_file(chip: Chip, tmp_path: Path) -> None:
    text = (
        "  gpio: {kind: gpio_lines, port: /dev/gpiochip7, lines: {estop_a: 4}, active_low: true}\n"
    )
    _, bench = bench_with(text, tmp_path)
    opened = open_ports(tmp_path, bench.channels)
    assert (chip.held, chip.volts) == ({4}, {4: False})
    assert opened.close() == ""
    assert (chip.held, chip.volts) == (set(), {4: True})


def test_two_contacts_on_one_line__are_refused(tmp_path: Path) -> None:
    text = "  gpio: {kind: gpio_lines, port: /dev/x, lines: {estop_a: 4, estop_b: 4}}\n"
    with pytest.raises(BenchRefused, match="two contacts have one line"):
        bench_with(text, tmp_path)


def test_next_run__begins_with_every_contact_and_the_voltage_as_at_the_start(
    terminal: Terminal, lab: tuple[str, Instrument], tmp_path: Path
) -> None:
    path, bench = bench_with(GPIO.format(terminal.path) + POWER.format(lab[0]), tmp_path)
    benches = Benches(path, bench)
    first = benches.fresh(GOOD, 1)
    first.pins.set("estop_a", Level.OPEN)
    first.supply.give(9.0)
    second = benches.fresh(GOOD, 2)
    assert terminal.read(16)[-8:] == bytes.fromhex("A00100A1 A00101A2")
    assert (second.pins.driven("estop_a"), lab[1].volts) == ("CLOSED", 24.0)
    for made in (first, second):
        made.close()
    assert benches.close() == ""


def test_supply_that_does_not_answer__leaves_no_contact_closed(
    terminal: Terminal, tmp_path: Path
) -> None:
    text = GPIO.format(terminal.path) + POWER.format("socket://127.0.0.1:1")
    path, bench = bench_with(text, tmp_path)
    with pytest.raises(BenchRefused, match=r"channels.power"):
        open_ports(path, bench.channels)
    assert terminal.read(8)[-4:] == bytes.fromhex("A00100A1")


def test_port_lost_in_a_run__is_a_bench_error_and_the_others_are_left_safe(
    terminal: Terminal, lab: tuple[str, Instrument], tmp_path: Path
) -> None:
    text = RELAY + GPIO.format(terminal.path) + POWER.format(lab[0])
    path, _ = bench_with(text, tmp_path)
    before = lab[1].take

    def take(line: str) -> str | None:
        terminal.hang_up()
        return before(line)

    lab[1].take = take  # type: ignore[method-assign]
    result = run(Options(path, tmp_path / "out", cases=("HIL-01",), repeat=1, mutants=False))
    assert result.verdict is Verdict.BENCH_ERROR
    assert result.stopped.startswith(f"HIL-01: {terminal.path}: ")
    assert f"channels.gpio was not left safe: {terminal.path}" in result.stopped
    assert not lab[1].on


def test_bench_of_a_pytest_case__leaves_its_ports_safe(
    lab: tuple[str, Instrument], tmp_path: Path
) -> None:
    path, _ = bench_with(POWER.format(lab[0]), tmp_path)
    options = {"--hil-bench": path, "--hil-seed": None}
    request = SimpleNamespace(config=SimpleNamespace(getoption=options.get))
    benches = hil.__wrapped__(request)  # type: ignore[attr-defined]
    assert isinstance(next(benches), HilBench)
    assert lab[1].on
    assert list(benches) == []
    assert not lab[1].on


def test_fault_that_the_ports_cannot_do__is_not_run_and_never_a_pass() -> None:
    made = rig()
    case = Case.model_validate({"id": "HIL-25", "title": "x", "suite": "estop", "verifies": []})
    variant = Variant.model_validate({"faults": [{"kind": "supply", "volts": 99.0}]})
    outcome = run_variant(made, Injector(made, frozenset({"brownout"}), 1), variant)
    assert case.suite == "estop"
    assert outcome.verdict is Verdict.NOT_RUN
    assert outcome.why == "supply: 99 V: this bench gives 0 to 36 V"
    made.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GPIO.format("/dev/no"), r"channels.gpio.port: /dev/no: no /dev/no here"),
        (POWER.format("by-id:psu"), r"channels.power.port: by-id:psu: no /dev/serial/by-id/psu"),
    ],
)
def test_port_that_is_not_there__is_named(text: str, said: str, tmp_path: Path) -> None:
    path, bench = bench_with(text, tmp_path)
    with pytest.raises(BenchRefused, match=said):
        check_ports(path, bench)


def test_supply_that_does_not_answer__is_named(tmp_path: Path) -> None:
    path, bench = bench_with(POWER.format("socket://127.0.0.1:1"), tmp_path)
    check_ports(path, bench)
    with pytest.raises(BenchRefused, match=r"channels.power: socket://127.0.0.1:1: .*refused"):
        open_ports(path, bench.channels)


def test_relay_board_that_is_none__is_named(tmp_path: Path) -> None:
    file = tmp_path / "no-tty"
    file.write_text("", encoding="utf-8")
    path, bench = bench_with(GPIO.format(file), tmp_path)
    with pytest.raises(BenchRefused, match=r"channels.gpio: .*no-tty"):
        open_ports(path, bench.channels)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[drop,", "[replug, drop,", "capabilities: replug: channels.dbw is emulated: no emulated"),
        ("[drop,", "[adapter_noise, drop,", "capabilities: adapter_noise: channels.dbw is emul"),
        ("  relay: {kind: emulated}\n", "", "capabilities: relay: channels.relay is not there"),
        ("[ecu, relay, plant]", "[ecu, relay]", "capabilities: plant: emulate does not name"),
        ("[ecu, relay, plant]", "[relay, plant]", "capabilities: estop: neither an emulated ecu"),
    ],
)
def test_capability_that_the_bench_has_not__is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    text = (BENCHES / "emulated.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "bench.yaml"
    path.write_text(text.replace(old, new, 1).replace("path: ../", f"path: {CONFIGS}/"))
    with pytest.raises(BenchRefused, match=said):
        check_capabilities(path, load_bench(path))


@pytest.mark.parametrize("path", sorted(BENCHES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_bench__has_what_it_claims(path: Path) -> None:
    check_capabilities(path, load_bench(path))


def test_nominal_voltage_beyond_the_limits__is_refused(tmp_path: Path) -> None:
    text = POWER.format("socket://127.0.0.1:1").replace("nominal_v: 24", "nominal_v: 48")
    with pytest.raises(BenchRefused, match="nominal_v must lie between low_v and high_v"):
        bench_with(text, tmp_path)
