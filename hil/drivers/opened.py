"""Opens a bench's pins and supply, and lets the emulated ones follow them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hil.benchfile import BenchRefused, Channels, GpioLines, Power, RelayBoard, device
from hil.drivers.gpio_lines import GpioLinePins
from hil.drivers.pins import MirroredPins, RelayBoardPins
from hil.drivers.serial_line import PySerialLine
from hil.drivers.supply import MirroredSupply, ScpiSupply
from hil.ports import Pins, PortLost, Supply, SupplyLimits, at_start
from hil.rig import Rig


@dataclass(frozen=True, slots=True)
class Opened:
    """The real ports of a bench; None: emulated."""

    pins: Pins | None = None
    supply: Supply | None = None

    def restore(self) -> None:
        """Put every contact and the voltage back to what they are before any fault.

        Raises:
            PortLost: one does not answer.
        """
        if self.pins is not None:
            for line in sorted(self.pins.lines):
                self.pins.set(line, at_start(line))
        if self.supply is not None:
            self.supply.restore()

    def attach(self, rig: Rig) -> None:
        """Put them, as at the start, before the rig's emulated ports."""
        self.restore()
        if self.pins is not None:
            rig.pins = MirroredPins(self.pins, rig.pins)
        if self.supply is not None:
            rig.supply = MirroredSupply(self.supply, rig.supply)

    def close(self) -> str:
        """Open the contacts, switch the supply off, and leave; return what could not be done."""
        left = []
        for name, port in (("gpio", self.pins), ("power", self.supply)):
            try:
                if port is not None:
                    port.close()
            except PortLost as error:
                left.append(f"channels.{name} was not left safe: {error}")
        return "; ".join(left)


def open_ports(path: Path, channels: Channels) -> Opened:
    """Open what a bench file names.

    Raises:
        BenchRefused: naming the port, and why it cannot be used.
    """
    try:
        pins = None if channels.gpio is None else _pins(channels.gpio)
    except PortLost as error:
        raise BenchRefused(f"{path}: channels.gpio: {error}") from error
    try:
        supply = None if channels.power is None else _supply(channels.power)
    except PortLost as error:
        Opened(pins).close()
        raise BenchRefused(f"{path}: channels.power: {error}") from error
    return Opened(pins, supply)


def _pins(board: RelayBoard | GpioLines) -> Pins:
    where = str(device(board.kind, board.port))
    lines = {str(name): number for name, number in board.lines.items()}
    if isinstance(board, GpioLines):
        return GpioLinePins(where, lines, active_low=board.active_low)
    return RelayBoardPins(PySerialLine(where), lines)


def _supply(power: Power) -> Supply:
    socket = power.port.startswith("socket://")
    url = power.port if socket else str(device(power.kind, power.port))
    limits = SupplyLimits(power.nominal_v, power.low_v, power.high_v, power.current_a)
    return ScpiSupply(PySerialLine(url, power.baud), limits)
