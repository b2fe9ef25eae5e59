"""Opens a bench's pins and supply, and lets the emulated ones follow them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hil.benchfile import BenchRefused, Channels, Power, RelayBoard, device
from hil.drivers.pins import MirroredPins, RelayBoardPins
from hil.drivers.serial_line import PySerialLine
from hil.drivers.supply import MirroredSupply, ScpiSupply
from hil.ports import Pins, PortLost, Supply, SupplyLimits
from hil.rig import Rig


@dataclass(frozen=True, slots=True)
class Opened:
    """The real ports of a bench; None: emulated."""

    pins: Pins | None = None
    supply: Supply | None = None

    def attach(self, rig: Rig) -> None:
        """Put them before the rig's emulated ports."""
        if self.pins is not None:
            rig.pins = MirroredPins(self.pins, rig.pins)
        if self.supply is not None:
            rig.supply = MirroredSupply(self.supply, rig.supply)

    def close(self) -> None:
        """Open the contacts, switch the supply off, and leave."""
        for port in (self.pins, self.supply):
            if port is not None:
                port.close()


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
        raise BenchRefused(f"{path}: channels.power: {error}") from error
    return Opened(pins, supply)


def _pins(board: RelayBoard) -> Pins:
    return RelayBoardPins(
        PySerialLine(str(device(board.kind, board.port))),
        {str(name): number for name, number in board.lines.items()},
    )


def _supply(power: Power) -> Supply:
    socket = power.port.startswith("socket://")
    url = power.port if socket else str(device(power.kind, power.port))
    limits = SupplyLimits(power.nominal_v, power.low_v, power.high_v, power.current_a)
    return ScpiSupply(PySerialLine(url, power.baud), limits)
