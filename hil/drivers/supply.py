"""The supply: an emulated one, and one that takes SCPI over a serial line or a TCP socket."""

from __future__ import annotations

import math
from collections.abc import Callable

from hil.drivers.serial_line import PySerialLine
from hil.ports import PortLost, Supply, SupplyLimits


class EmulatedSupply:
    """A voltage that only exists here.

    Args:
        drive: called with each forced voltage; None: as the machine has it. limits: of the bench.
    """

    def __init__(self, drive: Callable[[float | None], None], limits: SupplyLimits) -> None:
        self._drive, self._limits = drive, limits
        self._volts = limits.nominal_v

    def give(self, volts: float) -> None:
        """Put a voltage on the output."""
        self._limits.check(volts)
        self._volts = volts
        self._drive(volts)

    def restore(self) -> None:
        """Go back to what the machine has."""
        self._volts = self._limits.nominal_v
        self._drive(None)

    def measured_v(self) -> float:
        """Return what stands at the output."""
        return self._volts

    def close(self) -> None:
        """Switch the output off."""
        self._volts = 0.0
        self._drive(0.0)


class ScpiSupply:
    """A laboratory supply that takes SCPI (IEEE 488.2 line ends).

    Args:
        line: to it. limits: of the bench; the current limit is set once.

    Attributes:
        identity: what it answers to ``*IDN?``; for the report.

    Raises:
        PortLost: it does not answer, or reports an error.
    """

    def __init__(self, line: PySerialLine, limits: SupplyLimits) -> None:
        self._line, self._limits = line, limits
        self.identity = self._ask("*IDN?")
        self._tell(f"CURR {limits.current_a:.3f}")
        self.restore()
        self._tell("OUTP ON")

    def give(self, volts: float) -> None:
        """Put a voltage on the output."""
        self._limits.check(volts)
        self._tell(f"VOLT {volts:.3f}")

    def restore(self) -> None:
        """Go back to the nominal voltage."""
        self._tell(f"VOLT {self._limits.nominal_v:.3f}")

    def measured_v(self) -> float:
        """Return what stands at the output, as the supply measures it."""
        answer = self._ask("MEAS:VOLT?")
        try:
            volts = float(answer)
        except ValueError:
            volts = math.nan
        if not math.isfinite(volts):
            raise PortLost(f"MEAS:VOLT?: {answer!r} is no voltage")
        return volts

    def close(self) -> None:
        """Switch the output off, and leave the line."""
        try:
            self._tell("OUTP OFF")
        finally:
            self._line.close()

    def _ask(self, query: str) -> str:
        self._line.waiting()
        self._line.write(query.encode() + b"\n")
        return self._line.line().decode("ascii", "replace").strip()

    def _tell(self, command: str) -> None:
        """Send a command, and ask whether it was taken: only the error queue says no."""
        self._line.write(command.encode() + b"\n")
        answer = self._ask("SYST:ERR?")
        if not answer.lstrip("+").startswith("0"):
            raise PortLost(f"{command}: the supply says {answer}")


class MirroredSupply:
    """A real supply that the emulated one follows."""

    def __init__(self, real: Supply, emulated: Supply) -> None:
        self._real, self._emulated = real, emulated

    def give(self, volts: float) -> None:
        """Put a voltage on both."""
        self._real.give(volts)
        self._emulated.give(volts)

    def restore(self) -> None:
        """Restore both."""
        self._real.restore()
        self._emulated.restore()

    def measured_v(self) -> float:
        """Return what the real one measures."""
        return self._real.measured_v()

    def close(self) -> None:
        """Switch both off."""
        self._real.close()
        self._emulated.close()
