"""Cases that are more than a fault and its checks: vectors, cycles, loss, replay, latency."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hil.faults import Injector
from hil.judge import Outcome, Verdict
from hil.rig import Rig
from hil.wire import WireFrame
from protocol.dbw import matrix
from protocol.dbw.codec import EcuMode, SupCommand
from protocol.dbw.e2e import crc8
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import COMMANDS, Direction

_MS = 1_000_000
CYCLES_S = 10.0
JITTER_P99_MS = 2.0
MEAN_SHARE = 0.01
GAP_PERIODS = 3
LOSS_WATCH_S = 60.0
STOP_STEP_NS = 10 * _MS
LATENCY_S = 10.0
ECHO_WAY_MAX_MS = 3.0
"""The echo has the lowest priority: its own frame, after one of every other row."""
AGENT_P99_MS = 12.0


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
    oracle, told = DbwReceiver(Direction.TO_ECU), 0
    frames = rig.trace.frames
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
        return Outcome(Verdict.INCONCLUSIVE, f"the ECU is not in STANDBY but {rig.ecu_mode!r}")
    rig.run(0.3)
    since_ns, begun_ns = agent_frames[0].t_ns, rig.now_ns
    for seen in agent_frames:
        at_ns = begun_ns + seen.t_ns - since_ns
        if at_ns > rig.now_ns:
            rig.run_to(at_ns)
        node.post(rig.now_ns, WireFrame(seen.can_id, seen.data))
    bad = [v for _, v in rig.trace.samples("ECU_STATE.state", begun_ns) if v in ("ARMED", "ACTIVE")]
    return _fail(f"a replayed session made it {bad[0]}") if bad else Outcome(Verdict.PASS)


def latency(rig: Rig, _injector: Injector) -> Outcome:
    """From a command's leaving the console to its supervision frame at the ECU, by parts.

    The echo names the supervision frame it answers, when it came (16 bits of µs) and how long it
    was held; the guardian's state names the newest command it had accepted in that tick.
    """
    since_ns = rig.now_ns
    rig.agent.accepted.clear()
    rig.run(LATENCY_S)
    sup_ends = {
        m.sequence: t
        for t, m in rig.trace.messages("SUP_CMD", since_ns)
        if isinstance(m, SupCommand)
    }
    parts: dict[str, list[float]] = {
        "link and guardian": [],
        "bus": [],
        "held by the ECU": [],
        "echo's way": [],
        "whole": [],
    }
    seen: set[int] = set()
    for end_ns, echo in rig.trace.messages("ECHO", since_ns):
        sequence, hold_us = echo.sequence, echo.hold_us  # type: ignore[union-attr]
        tick = rig.agent.accepted.get(sequence)
        if tick is None or sequence in seen or sequence not in sup_ends:
            continue
        tick_ns, command = tick
        sent_ns, bus_ns = rig.command_sent_ns.get(command), sup_ends[sequence]
        if sent_ns is None or bus_ns > end_ns:
            continue
        seen.add(sequence)
        whole_ms = (end_ns - sent_ns) / _MS
        way_ms = (end_ns - bus_ns) / _MS - hold_us / 1e3
        if not 0.0 <= way_ms <= ECHO_WAY_MAX_MS:
            return _fail(f"held {hold_us} µs as told leaves {way_ms:.2f} ms for the echo's way")
        figures = {
            "link and guardian": (tick_ns - sent_ns) / _MS,
            "bus": (bus_ns - tick_ns) / _MS,
            "held by the ECU": hold_us / 1e3,
            "echo's way": way_ms,
            "whole": whole_ms,
        }
        for name, value in figures.items():
            parts[name].append(value)
    if not seen:
        return Outcome(Verdict.INCONCLUSIVE, "no echo answered a command")
    bus_p99 = sorted(parts["bus"])[int(0.99 * (len(parts["bus"]) - 1))]
    if bus_p99 > AGENT_P99_MS:
        return _fail(f"tick to bus p99 is {bus_p99:.1f} ms")
    return Outcome(Verdict.PASS, figures=parts)


PROCEDURES: dict[str, Callable[[Rig, Injector], Outcome]] = {
    "golden_vectors": golden_vectors,
    "cycle_times": cycle_times,
    "random_loss": random_loss,
    "replay": replay,
    "latency": latency,
}
