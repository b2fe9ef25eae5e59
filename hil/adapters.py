"""Machine adapters on the bench: each machine file that names one is driven, and left in every way.

The receivers are the emulated truck's and tractor's, with their own time-outs; the frames are
judged on the wire. What shows that the judgement can fail: a guardian that is killed leaves the
engine's command without a closing frame, and the engine must take that for a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from hil.faults import Injector
from hil.judge import DRIVING_WITHIN_S, Outcome, Verdict
from hil.ports import Level
from hil.rig import Rig
from protocol.dbw.errors import DbwError
from protocol.isobus import codec as isobus
from protocol.isobus.codec import Beat, Steering
from protocol.j1939 import codec as j1939
from protocol.j1939.codec import BrakeDemand, BrakeMode, Checksum, EngineCommand, OverrideMode
from protocol.j1939.ids import parse_id
from sim.j1939_machine import J1939Machine

_MS = 1_000_000
TRUCK, TRACTOR = "truck_8x8_50t.toml", "electric_tractor.toml"
TSC1_TIMEOUT_MS = 90.0
BRAKE_WITHIN_MS = 300.0
STOP_WATCH_S = 6.0


def adapter_profiles(rig: Rig, _injector: Injector) -> Outcome:
    """Golden vectors, then every way out of driving on truck and tractor."""
    wrong = _vectors() + _reserved_codes()
    figures: dict[str, list[float]] = {"brake after the cause, ms": []}
    for machine in (TRUCK, TRACTOR):
        for name, leave in EXITS.items():
            driven = _driving(rig, machine)
            if driven is None:
                return Outcome(Verdict.INCONCLUSIVE, f"{machine}: it never drove")
            since_ns = driven.now_ns
            leave(driven)
            driven.run(STOP_WATCH_S)
            told = _left_rightly(driven, since_ns)
            wrong += [f"{machine}, {name}: {text}" for text in told]
            brake_ms = _braked_ms(driven, since_ns)
            if brake_ms is not None:
                figures["brake after the cause, ms"].append(brake_ms)
            driven.close()
    wrong += _killed(rig)
    return Outcome(Verdict.FAIL if wrong else Verdict.PASS, "; ".join(wrong), figures=figures)


def _driving(rig: Rig, machine: str) -> Rig | None:
    settings = replace(rig.settings, machine=rig.settings.machine.with_name(machine))
    driven = Rig(settings, rig.seed)
    return driven if driven.run_until(driven.drives, DRIVING_WITHIN_S) else None


def _silence_console(rig: Rig) -> None:
    rig.cockpit.silent = True


def _open_estop(rig: Rig) -> None:
    for line in ("estop_a", "estop_b"):
        rig.pins.set(line, Level.OPEN)


def _turn_key(rig: Rig) -> None:
    rig.pins.set("key_remote", Level.OPEN)


EXITS: dict[str, Callable[[Rig], None]] = {
    "console silent": _silence_console,
    "emergency stop": _open_estop,
    "key to local": _turn_key,
}


# -- vectors (reference matrix, 1.1 and 1.2)


def _vectors() -> list[str]:
    fast = EngineCommand(OverrideMode.SPEED, speed_rpm=1200.0)
    last = {
        (Checksum.A, 0): 0x00,
        (Checksum.A, 1): 0x11,
        (Checksum.A, 7): 0x07,
        (Checksum.B, 0): 0x40,
        (Checksum.B, 1): 0x51,
        (Checksum.B, 7): 0x47,
    }
    wrong = [
        f"TSC1 {variant} at counter {counter}"
        for (variant, counter), byte in last.items()
        if j1939.encode_tsc1(0x0C000027, fast, counter, variant)
        != bytes.fromhex("F18025FFFFFFFF") + bytes((byte,))
    ]
    slow = BrakeDemand(BrakeMode.ADDITION, 2.0)
    wrong += [
        f"XBR at counter {counter}"
        for counter, byte in ((0, 0xC0), (1, 0xD1), (15, 0xCF))
        if j1939.encode_xbr(0x0C040B2A, slow, counter)
        != bytes.fromhex("7F6DD0FFFFFFFF") + bytes((byte,))
    ]
    if isobus.encode_guidance(0.0, Steering.INTENDED)[:3] != bytes.fromhex("807DFD"):
        wrong.append("guidance command at zero")
    if [isobus.next_beat(beat) for beat in (250, 251)] != [0, 0]:
        wrong.append("heartbeat after 250 and 251")
    return wrong


def _reserved_codes() -> list[str]:
    """A curvature beyond its codes, and XBR of another scale, are refused."""
    wrong = []
    for curvature_per_m in (8.0323, -8.0321):
        try:
            isobus.encode_guidance(curvature_per_m, Steering.INTENDED)
        except DbwError:
            continue
        wrong.append(f"a curvature of {curvature_per_m} 1/m was sent")
    body = bytes((64254 & 0xFF, 64254 >> 8, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF))
    last = j1939.xbr_checksum(0x0C040B2A, body, 0) << 4
    try:
        j1939.decode_xbr(0x0C040B2A, body + bytes((last,)))
    except DbwError:
        return wrong
    return [*wrong, "XBR by 1/4096 was taken"]


# -- frames on the wire


def _left_rightly(rig: Rig, since_ns: int) -> list[str]:
    """Return what is wrong with the frames of a machine that was left."""
    wrong = []
    engine = [
        (seen.t_ns, seen.data)
        for seen in rig.trace.frames
        if parse_id(seen.can_id).pgn == j1939.TSC1 and parse_id(seen.can_id).destination == 0
    ]
    if engine:
        kept = [(a, b) for a, b in pairwise(engine) if a[1][0] & 0x03 != OverrideMode.OFF]
        gap_ms = max((b[0] - a[0]) / _MS for a, b in kept)
        if gap_ms >= TSC1_TIMEOUT_MS:
            wrong.append(f"a gap of {gap_ms:.0f} ms between engine commands")
        closing = [data[0] & 0x03 for _, data in engine[-2:]]
        if closing != [OverrideMode.OFF, OverrideMode.OFF]:
            wrong.append("the engine's command was not closed twice")
    core = rig.ecu.core
    if isinstance(core, J1939Machine) and core.engine.fault:
        wrong.append("the engine took its command for lost")
    wrong += _heartbeat(rig)
    brake_ms = _braked_ms(rig, since_ns)
    if brake_ms is None or brake_ms > BRAKE_WITHIN_MS:
        told = "no" if brake_ms is None else f"after {brake_ms:.0f} ms a"
        wrong.append(f"{told} brake demand")
    if rig.machine.told.speed_mps > rig.profile.limits.standstill_mps:
        wrong.append("it still moves")
    return wrong


def _heartbeat(rig: Rig) -> list[str]:
    last: int | None = None
    for seen in rig.trace.frames:
        if parse_id(seen.can_id).pgn == isobus.HEARTBEAT and seen.sender == "agent":
            beat, last = isobus.judge_beat(last, seen.data)
            if beat not in (Beat.ALIVE, Beat.ERROR):
                return [f"the heartbeat is {beat.value} at {last}"]
    return []


def _braked_ms(rig: Rig, since_ns: int) -> float | None:
    """Return when the actuators were first asked to brake."""
    samples = rig.trace.samples("actuator.brake_mps2", since_ns)
    return next(
        ((t - since_ns) / _MS for t, v in samples if isinstance(v, float) and v > 0.1), None
    )


def _killed(rig: Rig) -> list[str]:
    """A guardian that is gone: the engine notices, pulls no more, and the machine stops."""
    driven = _driving(rig, TRUCK)
    if driven is None:
        return ["the truck never drove"]
    driven.agent.dead = True
    driven.run(STOP_WATCH_S)
    core = driven.ecu.core
    noticed = isinstance(core, J1939Machine) and core.engine.fault
    stands = driven.machine.told.speed_mps <= driven.profile.limits.standstill_mps
    driven.close()
    wrong = [] if noticed else ["a guardian that was killed left no fault at the engine"]
    return wrong if stands else [*wrong, "a guardian that was killed left the truck moving"]
