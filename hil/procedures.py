"""Cases that are more than a fault and its checks: vectors, cycles, loss, replay, latency."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from hil.adapters import adapter_profiles
from hil.faults import Injector
from hil.judge import Outcome, Verdict
from hil.rig import Rig
from hil.wire import WireFrame
from protocol.dbw import matrix
from protocol.dbw.codec import Echo, EcuMode, SupCommand, decode
from protocol.dbw.e2e import crc8
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import COMMANDS, ECHO, Direction
from sim.network.parameters import DirectionParameters, LinkParameters

_MS = 1_000_000
CYCLES_S = 10.0
JITTER_P99_MS = 2.0
MEAN_SHARE = 0.01
GAP_PERIODS = 3
LOSS_WATCH_S = 60.0
HEARD_BEFORE_NS = 1_000 * _MS
"""Longer than any row's time-out. To decode all that was heard since power-up takes
longer than a bench in real time may be late."""
STOP_STEP_NS = 10 * _MS
LATENCY_S, LATENCY_OVER_LINK_S = 10.0, 5.0
SUM_ERROR_MS = 1.0
ECHO_WAY_MAX_MS = 3.0
"""The echo has the lowest priority: its own frame, after one of every other row."""
AGENT_P99_MS = 12.0
"""A tick is 10 ms; a command waits for the next one."""
_HALF_WAY = DirectionParameters(delay_ns=50 * _MS, jitter_ns=25 * _MS, loss=0.02)
FAR_LINK = LinkParameters("far", "100 ms ± 50 there and back, 2 % loss", _HALF_WAY, _HALF_WAY)
_ECU_CLOCK_US = 1 << 16


def _fail(why: str, **more: object) -> Outcome:
    return Outcome(Verdict.FAIL, why, **more)  # type: ignore[arg-type]


def golden_vectors(_rig: Rig, _injector: Injector) -> Outcome:
    """Every protected row at 16 counters: our table, the bitwise definition, and check values."""
    if crc8(b"123456789") != 0xDF:
        return _fail(f"CRC-8 0x2F of 123456789 is {crc8(b'123456789'):#04x}, not 0xdf")
    for spec in matrix.FRAMES:
        for counter in range(matrix.COUNTER_STATES if spec.data_ids is not None else 0):
            assert spec.data_ids is not None, "unprotected rows have no counters here"
            body = bytes((counter,)) + bytes((37 * counter + n) % 256 for n in range(6))
            whole = body + spec.data_ids[counter : counter + 1]
            if crc8(whole) != _bitwise(whole):
                return _fail(f"{spec.name} at counter {counter}: {crc8(whole):#04x}")
    return Outcome(Verdict.PASS)


def _bitwise(data: bytes) -> int:
    """CRC-8, polynomial 0x2F, initial and final XOR 0xFF, by its definition."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x2F) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ 0xFF


def cycle_times(rig: Rig, _injector: Injector) -> Outcome:
    """Mean within 1 %, p99 jitter at most 2 ms, no gap above three cycles."""
    since_ns = rig.now_ns
    rig.run(CYCLES_S)
    figures: dict[str, list[float]] = {}
    for spec in COMMANDS:
        ends = [s.t_ns for s in rig.trace.frames if s.can_id == spec.can_id and s.t_ns >= since_ns]
        gaps_ms = [(b - a) / _MS for a, b in pairwise(ends)]
        if not gaps_ms:
            return _fail(f"{spec.name}: not seen")
        mean_ms = sum(gaps_ms) / len(gaps_ms)
        jitter_ms = sorted(abs(gap - spec.period_ms) for gap in gaps_ms)
        p99_ms = jitter_ms[int(0.99 * (len(jitter_ms) - 1))]
        figures[f"{spec.name} jitter"] = jitter_ms
        if abs(mean_ms / spec.period_ms - 1.0) > MEAN_SHARE:
            return _fail(f"{spec.name}: mean {mean_ms:.2f} ms, nominal {spec.period_ms}")
        if p99_ms > JITTER_P99_MS or max(gaps_ms) > GAP_PERIODS * spec.period_ms:
            return _fail(f"{spec.name}: jitter p99 {p99_ms:.2f} ms, longest {max(gaps_ms):.1f} ms")
    return Outcome(Verdict.PASS, figures=figures)


def random_loss(rig: Rig, injector: Injector) -> Outcome:
    """The ECU stops when a receiver beside it finds a row too old, and at no other time."""
    oracle, frames = DbwReceiver(Direction.TO_ECU), rig.trace.frames
    told = bisect_left(frames, rig.now_ns - HEARD_BEFORE_NS, key=lambda seen: seen.t_ns)
    injector.put({"kind": "drop", "frame": "COMMANDS", "share": 0.2})
    end_ns = rig.now_ns + round(LOSS_WATCH_S * 1e9)
    usable: dict[int, int] = {}
    while rig.now_ns < end_ns:
        rig.run_to(rig.now_ns + 5 * _MS)
        for seen in frames[told:]:
            if oracle.receive(seen.t_ns, seen.can_id, seen.data).message is not None:
                usable[seen.can_id] = seen.t_ns
        told = len(frames)
        too_old = [
            spec
            for spec in COMMANDS[:4]
            if rig.now_ns - usable.get(spec.can_id, 0) > (spec.rx_timeout_ms or 0) * _MS
        ]
        stopped = rig.ecu_mode not in (EcuMode.ACTIVE, EcuMode.DEGRADED)
        if stopped and not too_old:
            return _fail("it stopped though no frame was too old")
        if too_old:
            rig.run_to(rig.now_ns + STOP_STEP_NS)
            if rig.ecu_mode in (EcuMode.ACTIVE, EcuMode.DEGRADED):
                return _fail(f"{too_old[0].name} is too old and it does not stop")
            break
    return Outcome(Verdict.PASS)


def replay(rig: Rig, injector: Injector) -> Outcome:
    """Kill the guardian, acknowledge the stop, and play its recorded session again."""
    agent_frames = [s for s in rig.trace.frames if s.sender == "agent"]
    injector.put({"kind": "kill"})
    injector.put({"kind": "pin", "to": {"bridge": "on"}})
    if not rig.run_until(lambda: rig.machine.told.park_applied is True, 15.0):
        return Outcome(Verdict.INCONCLUSIVE, "the machine did not come to rest")
    node, sender = rig.wire.node("player"), DbwSender()
    for number in range(60):
        sup = SupCommand(EcuMode.STANDBY, False, False, number >= 30, 0xBEEF, 0, number)
        node.post(rig.now_ns, WireFrame(*sender.encode(sup)))
        rig.run_to(rig.now_ns + 10 * _MS)
    if rig.ecu_mode is not EcuMode.STANDBY:
        return Outcome(Verdict.INCONCLUSIVE, f"the ECU is not in STANDBY but {rig.ecu_words}")
    rig.run(0.3)
    since_ns, begun_ns = agent_frames[0].t_ns, rig.now_ns
    for seen in agent_frames:
        at_ns = begun_ns + seen.t_ns - since_ns
        if at_ns > rig.now_ns:
            rig.run_to(at_ns)
        node.post(rig.now_ns, WireFrame(seen.can_id, seen.data))
    bad = [v for _, v in rig.trace.samples("ECU_STATE.state", begun_ns) if v in ("ARMED", "ACTIVE")]
    return _fail(f"a replayed session made it {bad[0]}") if bad else Outcome(Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Way:
    """Where one command was when, monotonic ns, each by the part's own stamp.

    Attributes:
        sent_ns: the console let it go. heard_ns: it was at the guardian. tick_ns: the tick that
            took it began. handed_ns: its supervision frame was given to the adapter. bus_ns: that
            frame's end on the wire, by the bench's listener. rx_us: 16 bits of the ECU's own clock
            when it came there, as the ECU tells. hold_us: from there to its echo, as it tells.
            posted_ns: the ECU gave its echo to its controller, as the bench saw. echo_ns: the
            echo's end on the wire, by the listener.
    """

    sent_ns: int
    heard_ns: int
    tick_ns: int
    handed_ns: int
    bus_ns: int
    rx_us: int
    hold_us: int
    posted_ns: int
    echo_ns: int

    @property
    def rx_offset_us(self) -> int:
        """The ECU's clock less the listener's at the frame's end, 16 bits."""
        return (self.rx_us - self.bus_ns // 1000) % _ECU_CLOCK_US


PARTS = ("link", "guardian waits for its tick", "guardian decides", "bus", "ECU", "echo's way")
WHOLE, MISSED = "whole", "whole less the sum of its parts"


def ways(rig: Rig, since_ns: int, until_ns: int) -> list[Way]:
    """Return the ways of the commands that a tick took and whose echo came in that time.

    Each command counts once.
    """
    trace, agent = rig.trace, rig.agent
    sup_ends = {
        m.sequence: t for t, m in trace.messages("SUP_CMD", since_ns) if isinstance(m, SupCommand)
    }
    posted = {data: t for t, can_id, data in trace.handed if can_id == ECHO.can_id}
    echoes = [(s.t_ns, s.data) for s in trace.frames if s.can_id == ECHO.can_id]
    found: dict[int, Way] = {}
    for end_ns, data in echoes:
        if not since_ns <= end_ns <= until_ns:
            continue
        echo = decode(ECHO.can_id, data)
        assert isinstance(echo, Echo), "its row"
        sequence = echo.sequence
        tick = agent.accepted.get(sequence)
        if tick is None or sequence in found or sequence not in sup_ends or data not in posted:
            continue
        tick_ns, command = tick
        if tick_ns < since_ns:
            continue
        sent_ns, heard_ns = rig.command_sent_ns.get(command), rig.command_heard_ns.get(command)
        if sent_ns is None or heard_ns is None or not sup_ends[sequence] <= end_ns:
            continue
        found[sequence] = Way(
            sent_ns,
            heard_ns,
            tick_ns,
            agent.handed_ns[sequence],
            sup_ends[sequence],
            echo.ecu_rx_us,
            echo.hold_us,
            posted[data],
            end_ns,
        )
    return list(found.values())


def parted(found: list[Way]) -> dict[str, list[float]]:
    """Return the parts, the whole, and what the parts miss of it, ms.

    The ECU's part is what the ECU says of itself, by its own clock: when the frame came, less the
    listener's stamp after the clocks' offset (the middle one of all) is taken off, and how long it
    held the echo. No part is made from the whole.
    """
    offset_us = median_low(way.rx_offset_us for way in found)
    figures: dict[str, list[float]] = {name: [] for name in (*PARTS, WHOLE, MISSED)}
    for way in found:
        later_us = (way.rx_offset_us - offset_us + _ECU_CLOCK_US // 2) % _ECU_CLOCK_US
        late_us = later_us - _ECU_CLOCK_US // 2
        values = (
            (way.heard_ns - way.sent_ns) / _MS,
            (way.tick_ns - way.heard_ns) / _MS,
            (way.handed_ns - way.tick_ns) / _MS,
            (way.bus_ns - way.handed_ns) / _MS,
            (late_us + way.hold_us) / 1e3,
            (way.echo_ns - way.posted_ns) / _MS,
        )
        whole_ms = (way.echo_ns - way.sent_ns) / _MS
        for name, value in zip(
            (*PARTS, WHOLE, MISSED), (*values, whole_ms, whole_ms - sum(values)), strict=True
        ):
            figures[name].append(value)
    return figures


def wrong_in(figures: dict[str, list[float]]) -> str:
    """Return what speaks against the figures; nothing when they hold."""
    missed = max(figures[MISSED], key=abs)
    if abs(missed) > SUM_ERROR_MS:
        return f"the parts miss the whole by {missed:.2f} ms"
    way_ms = max(figures["echo's way"])
    if way_ms > ECHO_WAY_MAX_MS:
        return f"an echo was {way_ms:.2f} ms on its way"
    agent_ms = sorted(map(sum, zip(figures[PARTS[1]], figures[PARTS[2]], strict=True)))
    p99_ms = agent_ms[int(0.99 * (len(agent_ms) - 1))]
    return f"the guardian's p99 is {p99_ms:.1f} ms" if p99_ms > AGENT_P99_MS else ""


def latency(rig: Rig, _injector: Injector) -> Outcome:
    """From a command's leaving the console to its echo, by parts: near, then over a far link."""
    spans = [("", rig.now_ns, _run(rig, LATENCY_S))]
    rig.fit_link(FAR_LINK)
    spans.append((" over the far link", rig.now_ns, _run(rig, LATENCY_OVER_LINK_S)))
    figures: dict[str, list[float]] = {}
    for where, since_ns, until_ns in spans:  # not in between: the bench would be late by it
        found = ways(rig, since_ns, until_ns)
        if not found:
            return Outcome(Verdict.INCONCLUSIVE, f"no echo answered a command{where}")
        parts = parted(found)
        figures |= {f"{name}{where}": values for name, values in parts.items()}
        wrong = wrong_in(parts)
        if wrong:
            return _fail(wrong + where, figures=figures)
    return Outcome(Verdict.PASS, figures=figures)


def _run(rig: Rig, seconds: float) -> int:
    """Run on, and return the bench's time then."""
    rig.run(seconds)
    return rig.now_ns


PROCEDURES: dict[str, Callable[[Rig, Injector], Outcome]] = {
    "adapter_profiles": adapter_profiles,
    "golden_vectors": golden_vectors,
    "cycle_times": cycle_times,
    "random_loss": random_loss,
    "replay": replay,
    "latency": latency,
}
