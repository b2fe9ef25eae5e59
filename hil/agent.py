"""The guardian on a bench: its real core, its real bus reader and sender, its real relay line.

The guardian's process adds sockets, files and its clock to this and nothing that decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

import can

from hil.keys import VEHICLE, BenchKeys
from protocol.adapters import IsobusAdapter, J1939Adapter
from protocol.dbw.codec import SupCommand, decode
from protocol.dbw.e2e import protect
from protocol.dbw.matrix import BY_ID, SUP_CMD
from protocol.profiles import MachineLimits
from protocol.signals import DEFAULT_TIMING
from vehicle_agent.core.record import FIRST, Record
from vehicle_agent.core.relay import RelayLine
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs
from vehicle_agent.shell.bus import BusReader, BusSender

TICK_NS = 10_000_000
BUS_FRAMES_PER_TICK = 256


class AgentDefect(StrEnum):
    """What can be wrong with a guardian; none of it is on a good one."""

    REPEATS_WHEN_HUNG = "repeats_when_hung"
    """Something below it goes on sending its last command, counted and signed, when it hangs."""
    JITTERS = "jitters"
    """Every seventh tick sends nothing."""
    CATCHES_UP = "catches_up"
    """After a stall it sends every frame it missed."""
    ALWAYS_COMES_BACK = "always_comes_back"
    """However often its controller left the bus, it goes on sending."""


@dataclass(slots=True)
class Heard:
    """What came over the link since the last tick."""

    commands: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    stops: list[tuple[str, bytes]] = field(default_factory=list)


class Agent:
    """One boot of the guardian.

    Args:
        bus: python-can bus. limits: the machine's. seed: of nonces, lease keys, boot tag.
        relay_fitted: a watchdog relay is on its line. keys: of the bench. adapter: of the machine.

    Attributes:
        stalled: its process hangs. dead: it is gone.
        heard: filled by whoever brings messages. accepted: (tick, command sequence) by the
            sequence of the supervision frame of a tick that heard a command. handed_ns: when that
            frame was given to the adapter, by ``clock``.
    """

    def __init__(
        self,
        bus: can.BusABC,
        keys: BenchKeys,
        limits: MachineLimits,
        seed: int,
        *,
        relay_fitted: bool,
        adapter: J1939Adapter | IsobusAdapter | None = None,
    ) -> None:
        dice = Random(f"{seed}/guardian")  # noqa: S311 - repeatable, not secret
        boot_tag = 1 + dice.getrandbits(31)
        self.supervisor = Supervisor(
            Setup(
                vehicle=VEHICLE,
                key=keys.vehicle,
                trust=keys.trust,
                limits=limits,
                timing=DEFAULT_TIMING,
                boot_tag=boot_tag,
                seed=dice.randbytes(32),
                record=FIRST,
                relay_fitted=relay_fitted,
                adapter=adapter,
            )
        )
        self.defects: frozenset[AgentDefect] = frozenset()
        self.line = RelayLine(DEFAULT_TIMING, boot_tag & 0xFFFF) if relay_fitted else None
        self.reader, self.sender = BusReader(), BusSender(bus)
        self.heard = Heard()
        self.stalled = self.dead = False
        self.ticks = 0
        self.accepted: dict[int, tuple[int, int]] = {}
        self.handed_ns: dict[int, int] = {}
        self.clock: Callable[[], int] = lambda: 0
        self._bus = bus
        self._durable: Record | None = FIRST
        self._last: dict[int, bytes] = {}
        self._missed = 0

    def tick(self, now_ns: int) -> tuple[TickOutputs | None, bytes | None]:
        """Do one tick: what is said, and the stroke for the relay. Nothing while it hangs."""
        self.ticks += 1
        if self.dead or self.stalled:
            self._hang()
            return None, None
        heard, self.heard = self.heard, Heard()
        frames = self.reader.drain(self._bus, BUS_FRAMES_PER_TICK, now_ns)
        comes_back = AgentDefect.ALWAYS_COMES_BACK in self.defects
        self.sender.shut = self.reader.given_up and not comes_back
        given = TickInputs(
            commands=tuple(heard.commands),
            requests=tuple(heard.requests),
            stops=tuple(heard.stops),
            bus=tuple((frame.arbitration_id, bytes(frame.data)) for frame in frames),
            durable=self._durable,
            relay=None if self.line is None else self.line.status(now_ns),
        )
        outputs = self.supervisor.step(now_ns, given)
        self._durable = outputs.persist
        self._note(now_ns, heard, outputs)
        self._send(outputs)
        stroke = None
        if self.line is not None:
            healthy = outputs.healthy and not self.sender.not_draining
            stroke = self.line.stroke(now_ns, outputs.relay, healthy=healthy)
        return outputs, stroke

    def _note(self, now_ns: int, heard: Heard, outputs: TickOutputs) -> None:
        sups = [data for can_id, data in outputs.bus if can_id == SUP_CMD.can_id]
        if heard.commands and sups:
            message = decode(SUP_CMD.can_id, sups[-1])
            assert isinstance(message, SupCommand)
            newest = int.from_bytes(heard.commands[-1][1][16:20], "little")
            self.accepted[message.sequence] = (now_ns, newest)

    def _send(self, outputs: TickOutputs) -> None:
        if AgentDefect.JITTERS in self.defects and self.ticks % 7 == 0:
            return
        if AgentDefect.CATCHES_UP in self.defects:
            for _ in range(min(self._missed, 30)):
                self._repeat()
        self._missed = 0
        for can_id, data in outputs.bus:
            self._last[can_id] = data
            self.sender.send_frame(can_id, data)
            if can_id == SUP_CMD.can_id:
                self.handed_ns[int.from_bytes(data[6:8], "little")] = self.clock()

    def _hang(self) -> None:
        self._missed += 1
        if AgentDefect.REPEATS_WHEN_HUNG in self.defects:
            self._repeat()

    def _repeat(self) -> None:
        """Send the last frame of each kind once more, with its counter moved and its CRC right."""
        for can_id, data in tuple(self._last.items()):
            body = bytearray(data[1:])
            body[0] = body[0] & 0xF0 | (body[0] + 1) & 0x0F
            data_ids = BY_ID[can_id].data_ids
            assert data_ids is not None, "every command frame is protected"
            self._last[can_id] = protect(body, data_ids)
            self.sender.send_frame(can_id, self._last[can_id])
