"""An emulated slcan adapter: a pseudo-terminal one side, a node of the emulated wire the other.

It behaves as Lawicel's manual has it; ``strict`` refuses a second O and a speed while open, as some
adapters do. Its answers may come split and merged, and its bytes may be hit by noise.
"""

from __future__ import annotations

import select
from pathlib import Path
from random import Random

from hil.wire import Heard, NodeState, Wire, WireFrame
from sim.relay_process import PseudoTerminal
from vehicle_agent.core.slcan import LINE_MAX_BYTES, SlcanFrame, encode, parse

OK, BELL = b"\r", b"\a"
FLAG_TX_FULL, FLAG_WARNING, FLAG_PASSIVE, FLAG_BUS_ERROR = 0x02, 0x04, 0x20, 0x80
WARNING_COUNT = 96
_SPEEDS = frozenset(b"012345678")


class SlcanCore:
    """The adapter's conduct, bytes in and bytes out.

    Args:
        wire: its bus. name: of its node. strict: refuses what a careful host would not send.

    Attributes:
        open: frames pass. node: its controller.
    """

    def __init__(self, wire: Wire, name: str, *, strict: bool = False) -> None:
        self.open = False
        self.node = wire.node(name, self._hear)
        self._strict = strict
        self._line = bytearray()
        self._out = bytearray()
        self._flags = 0

    def _hear(self, heard: Heard) -> None:
        if heard.frame is None:
            self._flags |= FLAG_BUS_ERROR
        elif self.open:
            frame = heard.frame
            self._out += encode(SlcanFrame(frame.can_id, frame.data, frame.extended))

    def take(self, now_ns: int, data: bytes) -> None:
        """Take what the host wrote."""
        for byte in data:
            if byte != 0x0D:
                self._line.append(byte)
                if len(self._line) > LINE_MAX_BYTES:
                    self._line.clear()
                    self._out += BELL
                continue
            line = bytes(self._line)
            self._line.clear()
            self._out += self._answer(now_ns, line)

    def out(self) -> bytes:
        """Return what is to be written, and forget it."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _answer(self, now_ns: int, line: bytes) -> bytes:
        kind = line[:1]
        if kind in (b"T", b"t", b"R", b"r"):
            return self._send(now_ns, line)
        if kind == b"S":
            bad = len(line) != 2 or line[1] not in _SPEEDS or (self._strict and self.open)
            return BELL if bad else OK
        if line in (b"O", b"L", b"l"):
            refused = self._strict and self.open
            self.open = True
            return BELL if refused else OK
        if line == b"C":
            self.open = False
            return OK
        if line == b"F":
            return f"F{self._take_flags():02X}\r".encode()
        return {b"": OK, b"V": b"V1013\r", b"N": b"NHF01\r", b"Z0": OK}.get(line, BELL)

    def _send(self, now_ns: int, line: bytes) -> bytes:
        frame = parse(line)
        if frame is None or frame.remote or not self.open:
            return BELL
        if not self.node.post(now_ns, WireFrame(frame.can_id, frame.data, frame.extended)):
            self._flags |= FLAG_TX_FULL
            return BELL
        return b"Z\r" if frame.extended else b"z\r"

    def _take_flags(self) -> int:
        flags, self._flags = self._flags, 0
        if max(self.node.tec, self.node.rec) >= WARNING_COUNT:
            flags |= FLAG_WARNING
        if self.node.state is not NodeState.ACTIVE:
            flags |= FLAG_PASSIVE
        return flags


class SlcanDevice:
    """The adapter at the end of a path. Call :meth:`poll` often.

    Args:
        link: path of the device, as by id. core: its conduct. seed: of chunks and noise.

    Attributes:
        noise: share of bytes with a wrong bit, each way. choppy: chunks are cut anywhere.
        changed: bytes that noise has hit.
    """

    def __init__(self, link: Path, core: SlcanCore, seed: int) -> None:
        self._link, self.core = link, core
        self._dice = Random(f"{seed}/slcan")  # noqa: S311 - repeatable, not secret
        self.noise = 0.0
        self.choppy = True
        self.changed = 0
        self._held = b""
        self._terminal: PseudoTerminal | None = PseudoTerminal(link)

    def poll(self, now_ns: int) -> None:
        """Carry bytes both ways."""
        if self._terminal is None:
            self.core.out()
            return
        data = self._terminal.read()
        if data:
            self.core.take(now_ns, self._noisy(data))
        out = self._held + self._noisy(self.core.out())
        keep = self._dice.randrange(len(out) + 1) if self.choppy and len(out) > 1 else 0
        keep = min(keep, LINE_MAX_BYTES)
        self._held = out[len(out) - keep :]
        if len(out) > keep:
            self._terminal.write(out[: len(out) - keep])

    def await_host(self, most_s: float) -> None:
        """Wait until the host has written something."""
        if self._terminal is not None:
            select.select([self._terminal], [], [], most_s)

    def unplug(self) -> None:
        """Go; whoever has it open is hung up."""
        if self._terminal is not None:
            self._terminal.close()
        self._terminal, self._held, self.core.open = None, b"", False

    def plug(self) -> None:
        """Come back under the same path; the terminal behind it is a new one."""
        if self._terminal is None:
            self._terminal = PseudoTerminal(self._link)

    def _noisy(self, data: bytes) -> bytes:
        if self.noise <= 0.0 or not data:
            return data
        dice, out = self._dice, bytearray(data)
        for at in range(len(out)):
            if dice.random() < self.noise:
                out[at] ^= 1 << dice.randrange(8)
                self.changed += 1
        return bytes(out)
