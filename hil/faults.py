"""The fault injector: typed faults, what each needs of a bench, and when it really took effect.

A bench that cannot do a fault refuses it before anything moves. The time that counts is not the
one at which a fault was asked for: for what is missing or spoiled it is the end of the last good
frame on the wire, for what is put in it is the end of the first such frame, for a pin its edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from hil.drivers.slcan_device import SlcanDevice
from hil.ports import Level, PortRefused
from hil.realtime import TimedRig
from hil.rig import Rig
from hil.wire import WireFrame
from protocol.dbw import codec, matrix
from protocol.dbw.e2e import protect
from protocol.dbw.endpoint import DbwSender
from protocol.dbw.matrix import COUNTER_STATES, FrameSpec
from protocol.relay import FrameDecoder, RelayStroke
from protocol.relay import encode as encode_line
from sim.machines.faults import parse_fault
from sim.relay import Defect as RelayDefect

_MS = 1_000_000
FLOOD_PERIOD_NS = 100_000
RESTART_NS = 200 * _MS
"""A bus-off node is let back after this."""
IN_FLIGHT_NS = 2 * _MS
"""What a guardian sent before it hung is still on its way for so long."""
INTRUDER_ADDRESS = 0x82


class FaultRefused(ValueError):
    """Raised when a fault is unknown, badly described, or nothing this bench can do."""


class BenchCannot(FaultRefused):
    """Raised when the bench has no such contact or voltage: the case is not run."""


@dataclass(slots=True)
class Injection:
    """One fault under way.

    Attributes:
        asked_ns: when it was asked for. effective_ns: when it took effect; None: not yet.
        ended: it is taken off.
    """

    asked_ns: int
    effective_ns: int | None = None
    ended: bool = False
    row: FrameSpec | None = None
    absent: bool = False
    acted_ns: int | None = None
    put_in: bytes | None = None


Act = Callable[[int, FrameSpec, bytes], list[tuple[int, int, bytes]] | None]
"""(time, row, data) to (time, id, data) of what goes on; None: leave the frame as it is."""


class Injector:
    """Puts faults into one rig.

    Args:
        rig: the bench's parts. capabilities: what the bench declares. seed: of chances.
    """

    def __init__(self, rig: Rig, capabilities: frozenset[str], seed: int) -> None:
        self._rig, self._capabilities = rig, capabilities
        self._dice = Random(f"{seed}/faults")  # noqa: S311 - repeatable, not secret
        self._rules: dict[str, list[tuple[frozenset[FrameSpec], Act]]] = {"agent": [], "ecu": []}
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._ticks: list[Callable[[int], None]] = []
        self._intruders = 0
        for name in self._rules:
            rig.wire.nodes[name].gateway = partial(self._through, name)
        rig.polls.append(self._poll)

    def put(self, spec: Mapping[str, Any]) -> Injection:
        """Begin a fault.

        Raises:
            FaultRefused: unknown kind, bad parameters, or a capability that is missing.
        """
        table = dict(spec)
        kind = str(table.pop("kind", ""))
        for capability in needs(kind):
            if capability not in self._capabilities:
                raise BenchCannot(f"{kind}: this bench cannot do {capability}")
        injection = Injection(self._rig.now_ns)
        try:
            getattr(self, f"_do_{kind}")(injection, **table)
        except PortRefused as error:
            raise BenchCannot(f"{kind}: {error}") from error
        except (TypeError, KeyError, AttributeError) as error:
            raise FaultRefused(f"{kind}: {error}") from error
        what = ", ".join(f"{key} {value}" for key, value in table.items())
        self._rig.trace.marks.append((self._rig.now_ns, f"fault put in: {kind} {what}".strip()))
        return injection

    def phase_s(self, most_s: float) -> float:
        """Draw how long to wait before a fault."""
        return most_s * self._dice.random()

    # -- machinery

    def _through(self, node: str, at_ns: int, frame: WireFrame) -> list[tuple[int, WireFrame]]:
        spec = matrix.BY_ID.get(frame.can_id)
        passing = [(at_ns, frame.can_id, frame.data)]
        if spec is not None:
            for rows, act in tuple(self._rules[node]):
                if spec in rows:
                    passing = [
                        after
                        for t_ns, can_id, data in passing
                        for after in _applied(act, t_ns, spec, can_id, data)
                    ]
        return [(t_ns, WireFrame(can_id, data)) for t_ns, can_id, data in passing]

    def _poll(self, now_ns: int) -> None:
        due = [do for at_ns, do in self._later if at_ns <= now_ns]
        if due:
            self._later = [entry for entry in self._later if entry[0] > now_ns]
            for do in due:
                do()
        for tick in tuple(self._ticks):
            tick(now_ns)

    def _after(self, ms: float, do: Callable[[], None]) -> None:
        self._later.append((self._rig.now_ns + round(ms * _MS), do))

    def _rule(
        self,
        injection: Injection,
        frame: str,
        act: Act,
        for_ms: float | None = None,
        count: int | None = None,
        *,
        absent: bool,
    ) -> None:
        """Let a rule act on a row's frames, for a time or a number of them."""
        rows = _rows(frame)
        node = "agent" if next(iter(rows)).direction is matrix.Direction.TO_ECU else "ecu"
        injection.row = next(iter(rows)) if len(rows) == 1 else None
        injection.absent = absent
        left: dict[FrameSpec, int] = dict.fromkeys(rows, count or 0)

        def limited(
            at_ns: int, spec: FrameSpec, data: bytes
        ) -> list[tuple[int, int, bytes]] | None:
            if count is not None:
                if left[spec] == 0:
                    return None
                left[spec] -= 1
            passed = act(at_ns, spec, data)
            if passed is not None and injection.acted_ns is None:
                injection.acted_ns = at_ns
                injection.row = spec
                injection.put_in = passed[0][2] if passed else None
            return passed

        entry = (rows, limited)
        self._rules[node].append(entry)
        if for_ms is not None:
            self._after(for_ms, partial(self._rules[node].remove, entry))

    # -- frames: content and timing

    def _do_drop(
        self,
        injection: Injection,
        frame: str,
        share: float = 1.0,
        for_ms: float | None = None,
        count: int | None = None,
    ) -> None:
        def act(_at: int, _spec: FrameSpec, _data: bytes) -> list[tuple[int, int, bytes]] | None:
            return [] if share >= 1.0 or self._dice.random() < share else None

        self._rule(injection, frame, act, for_ms, count, absent=True)

    def _do_delay(
        self, injection: Injection, frame: str, ms: float, jitter_ms: float = 0.0
    ) -> None:
        last_ns: dict[FrameSpec, int] = {}

        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            late_ns = round((ms + jitter_ms * self._dice.random()) * _MS)
            due_ns = max(at_ns + late_ns, last_ns.get(spec, 0) + _MS)  # a line keeps the order
            last_ns[spec] = due_ns
            return [(due_ns, spec.can_id, data)]

        self._rule(injection, frame, act, absent=True)

    def _do_corrupt(self, injection: Injection, frame: str, count: int | None = None) -> None:
        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            spoiled = bytearray(data)
            bit = self._dice.randrange(16, 64)
            spoiled[bit // 8] ^= 1 << bit % 8
            return [(at_ns, spec.can_id, bytes(spoiled))]

        self._rule(injection, frame, act, count=count, absent=True)

    def _do_value(
        self,
        injection: Injection,
        frame: str,
        to: dict[str, Any],
        count: int | None = None,
    ) -> None:
        """Other values in a frame whose CRC and counter stay right; ``bN`` sets a raw byte."""
        fields = {key: _value(key, v) for key, v in to.items() if not _is_byte(key)}
        raw = {int(key[1:]): int(v) for key, v in to.items() if _is_byte(key)}

        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            if fields:
                message: Any = codec.decode(spec.can_id, data)
                data = codec.encode(message._replace(**fields), data[1] & 0x0F)[1]
            body = bytearray(data)
            for at, byte in raw.items():
                body[at] = byte
            return [(at_ns, spec.can_id, _sealed(spec, body))]

        self._rule(injection, frame, act, count=count, absent=False)

    def _do_counter(
        self, injection: Injection, frame: str, mode: str, by: int = 6, count: int | None = None
    ) -> None:
        """frozen: it stays; jump: it goes on ``by`` further; back: it runs backwards."""
        first: dict[FrameSpec, int] = {}
        number: dict[FrameSpec, int] = {}

        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            counter = data[1] & 0x0F
            begun = first.setdefault(spec, (counter - 1) % COUNTER_STATES)
            number[spec] = number.get(spec, 0) + 1
            wanted = {
                "frozen": begun,
                "jump": counter + by,
                "back": begun - number[spec],
            }[mode]
            body = bytearray(data)
            body[1] = body[1] & 0xF0 | wanted % COUNTER_STATES
            return [(at_ns, spec.can_id, _sealed(spec, body))]

        self._rule(injection, frame, act, count=count, absent=mode == "frozen")

    def _do_duplicate(self, injection: Injection, frame: str, times: int = 2) -> None:
        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            return [(at_ns + n * _MS, spec.can_id, data) for n in range(times)]

        self._rule(injection, frame, act, absent=False)

    def _do_catch_up(self, injection: Injection, frame: str, hold_ms: float) -> None:
        """Hold frames back, then let them all go at once: a sender that makes good."""
        held: list[tuple[int, bytes]] = []
        until_ns = self._rig.now_ns + round(hold_ms * _MS)

        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]] | None:
            if at_ns < until_ns:
                held.append((spec.can_id, data))
                return []
            if not held:
                return None
            out = [(at_ns, can_id, old) for can_id, old in held]
            held.clear()
            return [*out, (at_ns, spec.can_id, data)]

        self._rule(injection, frame, act, absent=True)

    def _do_masquerade(
        self, injection: Injection, content: str, under: str, count: int | None = None
    ) -> None:
        """Send one frame's bytes, CRC and all, in the place of another's."""
        newest: dict[str, bytes] = {}

        def keep(_at: int, _spec: FrameSpec, data: bytes) -> None:
            newest["content"] = data

        def act(at_ns: int, spec: FrameSpec, data: bytes) -> list[tuple[int, int, bytes]]:
            other, donor = newest.get("content", data), next(iter(_rows(content)))
            body = bytearray(other)
            body[1] = body[1] & 0xF0 | data[1] & 0x0F
            return [(at_ns, spec.can_id, _sealed(donor, body))]

        self._rules["agent"].append((_rows(content), keep))
        self._rule(injection, under, act, count=count, absent=False)

    # -- bus and nodes

    def _do_second_sender(self, injection: Injection, frame: str, address: str) -> None:
        """Another node sends a command row, whole and counted: ``same`` or ``other`` address.

        It wants something else than the guardian: two that send the same bytes at the same
        count cannot be told apart, and need not be.
        """
        row = next(iter(_rows(frame)))
        self._intruders += 1
        node = self._rig.wire.node(f"intruder-{self._intruders}")
        sender = DbwSender()
        due_ns = self._rig.now_ns + 3 * _MS
        off_beat_ns = self._dice.randrange(_MS // 5, 2 * _MS)  # no part of the rig sends then
        newest: dict[str, bytes] = {}

        def keep(_at: int, _spec: FrameSpec, data: bytes) -> None:
            newest["data"] = data

        def tick(now_ns: int) -> None:
            nonlocal due_ns
            if now_ns < due_ns or "data" not in newest:
                return
            due_ns += row.period_ms * _MS
            _, data = sender.encode(_otherwise(codec.decode(row.can_id, newest["data"])))
            can_id = row.can_id
            if address == "other":
                can_id = can_id & ~0xFF | INTRUDER_ADDRESS
            if injection.acted_ns is None:
                injection.acted_ns, injection.put_in = now_ns, data
            node.post(now_ns + off_beat_ns, WireFrame(can_id, data))

        injection.row = row
        self._rules["agent"].append((frozenset({row}), keep))
        self._ticks.append(tick)

    def _do_flood(self, injection: Injection, for_ms: float, can_id: int = 0) -> None:
        """A babbling node: one id, as fast as the wire takes it."""
        self._intruders += 1
        node = self._rig.wire.node(f"babbler-{self._intruders}")
        injection.effective_ns = self._rig.now_ns
        end_ns = self._rig.now_ns + round(for_ms * _MS)
        frame = WireFrame(can_id, bytes(8), extended=False)

        def tick(now_ns: int) -> None:
            if now_ns < end_ns:
                while len(node.waiting) < 30:
                    node.mail(now_ns, frame)
            else:
                node.waiting.clear()

        self._ticks.append(tick)

    def _do_bus_off(self, injection: Injection, node: str, times: int = 1) -> None:
        """Disturb a node's frames until it is off; it is let back after 200 ms, ``times`` times."""
        wire = self._rig.wire
        target = wire.nodes[node]
        left, off_ns = times, -1
        injection.row = matrix.SUP_CMD if node == "agent" else matrix.ECU_STATE
        injection.absent, injection.acted_ns = True, self._rig.now_ns
        wire.spoiled.disturb = lambda sender, _: sender == node

        def tick(now_ns: int) -> None:
            nonlocal left, off_ns
            if target.off and off_ns < 0:
                off_ns, left = now_ns, left - 1
                if left == 0:
                    wire.spoiled.disturb = None
            elif target.off and now_ns - off_ns >= RESTART_NS:
                wire.recover(target)
            elif not target.off:
                off_ns = -1

        self._ticks.append(tick)

    def _do_bus_off_told(self, injection: Injection, times: int) -> None:
        """The guardian's node, whose adapter tells the guardian that it left the bus."""
        self._do_bus_off(injection, "agent", times)

    def _do_line(self, injection: Injection, what: str, for_ms: float | None = None) -> None:
        """short, no_termination, open (the guardian's stub), bitrate (the guardian's is wrong)."""
        wire = self._rig.wire
        node = wire.nodes["agent"]
        injection.row, injection.absent = matrix.SUP_CMD, True
        injection.acted_ns = self._rig.now_ns

        def turn(on: bool) -> None:
            wire.spoiled.short = on and what == "short"
            wire.spoiled.floating = on and what == "no_termination"
            node.connected = not (on and what == "open")
            node.bitrate_bps = (
                wire.bitrate_bps // 2 if on and what == "bitrate" else wire.bitrate_bps
            )

        if what not in ("short", "open", "no_termination", "bitrate"):
            raise KeyError(what)
        turn(True)
        if for_ms is not None:
            self._after(for_ms, partial(turn, False))

    def _do_stall(self, injection: Injection, ms: float | None = None) -> None:
        """The guardian's process hangs; None: for ever."""
        injection.row, injection.absent = matrix.SUP_CMD, True
        injection.acted_ns = self._rig.now_ns + IN_FLIGHT_NS
        self._rig.agent.stalled = True
        if ms is not None:
            self._after(ms, partial(setattr, self._rig.agent, "stalled", False))

    def _do_kill(self, injection: Injection) -> None:
        """The guardian's process ends."""
        injection.row, injection.absent = matrix.SUP_CMD, True
        injection.acted_ns = self._rig.now_ns + IN_FLIGHT_NS
        self._rig.agent.dead = True

    # -- pins, supply, sensors, serial line

    def _do_pin(
        self,
        injection: Injection,
        to: dict[str, str],
        for_ms: float | None = None,
    ) -> None:
        """Set contacts: estop_a, estop_b (OPEN, CLOSED, ERROR); key, override, bridge (on, off)."""
        pins = self._rig.pins
        wanted = {name: _LEVELS[level] for name, level in to.items()}
        before = {name: pins.driven(name) for name in wanted}

        def drive(levels: dict[str, Level]) -> None:
            for name, level in levels.items():
                pins.set(name, level)

        drive(wanted)
        injection.effective_ns = self._rig.now_ns
        if for_ms is not None:
            self._after(for_ms, partial(drive, before))

    def _do_supply(self, injection: Injection, volts: float, for_ms: float | None = None) -> None:
        self._rig.supply.give(volts)
        injection.effective_ns = self._rig.now_ns
        if for_ms is not None:
            self._after(for_ms, self._rig.supply.restore)

    def _do_machine(self, injection: Injection, fault: dict[str, Any]) -> None:
        """A fault of an actuator or a sensor, as the simulator's machines have them."""
        self._rig.machine.set_faults([parse_fault(fault)])
        injection.effective_ns = self._rig.now_ns

    def _do_weld_relay(self, injection: Injection) -> None:
        """A wire beside the relay's contact: it stays closed whatever the relay does."""
        self._rig.relay.defects.add(RelayDefect.WELDED)
        injection.effective_ns = self._rig.now_ns

    def _do_serial_noise(self, injection: Injection, share: float) -> None:
        """Change bytes on the relay's line, both ways."""
        self._rig.to_relay = self._rig.to_agent = partial(self._noisy, share)
        injection.effective_ns = self._rig.now_ns

    def _do_wrong_answers(self, injection: Injection) -> None:
        """Strokes whose answer does not fit the relay's challenge; all else about them is right."""
        decoder = FrameDecoder()

        def wrong(data: bytes) -> bytes:
            return b"".join(
                encode_line(r.message._replace(answer=r.message.answer ^ 1), r.sequence, 0)
                for r in decoder.feed(data)
                if isinstance(r.message, RelayStroke)
            )

        self._rig.to_relay = wrong
        injection.effective_ns = self._rig.now_ns

    def _do_serial_cut(self, injection: Injection, for_ms: float | None = None) -> None:
        """Unplug the relay's line."""
        rig = self._rig
        rig.to_relay = rig.to_agent = lambda _: b""
        injection.effective_ns = rig.now_ns
        if for_ms is not None:
            self._after(for_ms, partial(setattr, rig, "to_relay", bytes))
            self._after(for_ms, partial(setattr, rig, "to_agent", bytes))

    def _noisy(self, share: float, data: bytes) -> bytes:
        dice = self._dice
        return bytes(
            byte ^ (1 << dice.randrange(8)) if dice.random() < share else byte for byte in data
        )

    # -- the adapter of a bench that has one

    def _do_adapter_noise(self, injection: Injection, share: float) -> None:
        """Change bytes between the guardian and its CAN adapter, both ways."""
        self._adapter().noise = share
        injection.effective_ns = self._rig.now_ns

    def _do_replug(self, injection: Injection, for_ms: float) -> None:
        """Pull the CAN adapter out, and plug it in again: the same path, another terminal."""
        adapter = self._adapter()
        injection.row, injection.absent = matrix.SUP_CMD, True
        injection.acted_ns = self._rig.now_ns
        adapter.unplug()
        self._after(for_ms, adapter.plug)

    def _adapter(self) -> SlcanDevice:
        adapter = self._rig.medium.adapter if isinstance(self._rig, TimedRig) else None
        if adapter is None:
            raise FaultRefused("this bench has no emulated adapter")
        return adapter

    # -- the driver

    def _do_drive_off(self, injection: Injection) -> None:
        """The driver takes the lease, arms and drives off; the enable edge on the bus counts."""
        self._rig.cockpit.silent = False
        injection.row, injection.acted_ns = matrix.SUP_CMD, self._rig.now_ns
        injection.put_in = b"enable"

    def _do_resume(self, injection: Injection) -> None:
        """After a stop the driver acknowledges it and drives on."""
        self._rig.cockpit.presses_reset = True
        injection.effective_ns = self._rig.now_ns

    def _do_silent_console(self, injection: Injection) -> None:
        """The console's process ends."""
        self._rig.cockpit.silent = True
        injection.effective_ns = self._rig.now_ns

    def _do_wait(self, injection: Injection) -> None:
        """Nothing: what is watched happens by itself."""
        injection.effective_ns = self._rig.now_ns


_LEVELS = {**{level.value: level for level in Level}, "on": Level.CLOSED, "off": Level.OPEN}
_NEEDS: dict[str, tuple[str, ...]] = {
    "drop": ("drop",),
    "delay": ("delay",),
    "corrupt": ("corrupt",),
    "value": ("corrupt", "counter"),
    "counter": ("counter",),
    "duplicate": ("insert",),
    "catch_up": ("delay",),
    "masquerade": ("corrupt", "counter"),
    "second_sender": ("insert",),
    "flood": ("insert",),
    "bus_off": ("bus_off",),
    "bus_off_told": ("bus_off", "error_frames"),
    "line": ("line",),
    "stall": ("node",),
    "kill": ("node",),
    "pin": ("estop",),
    "supply": ("brownout",),
    "machine": ("plant",),
    "weld_relay": ("relay",),
    "serial_noise": ("serial",),
    "wrong_answers": ("serial",),
    "serial_cut": ("serial",),
    "adapter_noise": ("adapter_noise",),
    "replug": ("replug",),
    "drive_off": (),
    "resume": (),
    "silent_console": (),
    "wait": (),
}


def needs(kind: str) -> tuple[str, ...]:
    """Return the capabilities a kind of fault needs.

    Raises:
        FaultRefused: there is no such fault.
    """
    try:
        return _NEEDS[kind]
    except KeyError:
        raise FaultRefused(f"there is no fault {kind!r}") from None


def settle(injection: Injection, rig: Rig) -> int | None:
    """Return when the fault took effect, from the trace; None when it never did."""
    if injection.effective_ns is not None or injection.acted_ns is None:
        return injection.effective_ns
    assert injection.row is not None, "a fault that acted on frames knows its row"
    can_id, acted_ns = injection.row.can_id, injection.acted_ns
    if injection.absent:
        ends = [s.t_ns for s in rig.trace.frames if s.can_id == can_id and s.t_ns < acted_ns]
        injection.effective_ns = ends[-1] if ends else None
    elif injection.put_in == b"enable":
        edges = [t for t, on in rig.trace.samples("SUP_CMD.enable", acted_ns) if on]
        injection.effective_ns = edges[0] if edges else None
    else:
        pgn = matrix.pgn_of(can_id)
        ends = [
            s.t_ns
            for s in rig.trace.frames
            if matrix.pgn_of(s.can_id) == pgn and s.t_ns >= acted_ns and s.data == injection.put_in
        ]
        clashes = [t for t, _ in rig.trace.errors if t >= acted_ns]  # it met another's at once
        injection.effective_ns = next(iter(ends or clashes), None)
    return injection.effective_ns


def _applied(
    act: Act, t_ns: int, spec: FrameSpec, can_id: int, data: bytes
) -> list[tuple[int, int, bytes]]:
    passed = act(t_ns, spec, data)
    return [(t_ns, can_id, data)] if passed is None else passed


def _rows(frame: str) -> frozenset[FrameSpec]:
    if frame == "COMMANDS":
        return frozenset(matrix.COMMANDS)
    found = frozenset(spec for spec in matrix.FRAMES if spec.name == frame)
    if not found:
        raise KeyError(frame)
    return found


def _is_byte(key: str) -> bool:
    return key[0] == "b" and key[1:].isdigit()


def _value(key: str, value: Any) -> Any:
    """Return a value as the codec takes it: modes go by their names."""
    return codec.EcuMode[value] if key == "mode_request" else value


def _otherwise(message: codec.Message) -> codec.Message:
    """Return a command that asks for a little more to the left; others as they are."""
    if isinstance(message, codec.SteerCommand):
        return message._replace(curvature_per_m=0.5 * message.curvature_per_m + 0.01)
    return message


def _sealed(spec: FrameSpec, data: bytes | bytearray) -> bytes:
    assert spec.data_ids is not None, "only protected rows are changed"
    return protect(bytes(data[1:]), spec.data_ids)
