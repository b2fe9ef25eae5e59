"""One case, one run: reach the start, put the fault in, watch, and judge from the trace.

A pass needs evidence for every check. What could not be brought about is inconclusive, what the
bench cannot do is not-run, and a bench that broke its own limits is a bench error: none is a pass.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from hil.case import Case, Check, Variant
from hil.faults import BenchCannot, FaultRefused, Injector, settle
from hil.rig import Rig
from hil.trace import Trace, Value

_MS = 1_000_000
STANDBY_S = 1.5
DRIVING_WITHIN_S = 20.0
PHASES_S = 0.1
"""A fault begins anywhere in this time: no cycle of any part may always meet it alike."""
UNDER_WAY_S = 1.2
"""Driven before a fault: every row's counters have been told by then."""


class Verdict(StrEnum):
    """What a run comes to, from worst to best."""

    BENCH_ERROR = "bench-error"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not-run"
    PASS = "pass"  # noqa: S105 - a verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one variant.

    Attributes:
        why: of anything but a pass. reaction_ms: of the first check with a limit.
        limit_ms: of that check. reaction_of: what it asks for.
        first_cause: as the ECU told it. figures: more, by name.
        slice_path: log around a failure, once written. story: what happened in it.
        late_ms: how late the bench was at worst, in real time.
    """

    verdict: Verdict
    why: str = ""
    reaction_ms: float | None = None
    limit_ms: float | None = None
    reaction_of: str = ""
    first_cause: str = ""
    figures: dict[str, list[float]] = field(default_factory=dict)
    t0_ns: int | None = None
    slice_path: str = ""
    story: tuple[str, ...] = ()
    late_ms: float = 0.0


def bring(rig: Rig, start: str) -> str:
    """Bring a fresh rig to a state; return what is wrong, or nothing."""
    if start == "standby":
        rig.cockpit.silent = True
        rig.run(STANDBY_S)
        return "" if rig.ecu_mode is not None else "the ECU is not powered"
    if not rig.run_until(rig.drives, DRIVING_WITHIN_S):
        return f"it never drove: guardian {rig.mode.value}, ECU {rig.ecu_words}"
    rig.run(UNDER_WAY_S)
    return "" if rig.drives() else f"it does not drive on: guardian {rig.mode.value}"


def run_variant(rig: Rig, injector: Injector, variant: Variant) -> Outcome:
    """Run one variant on a rig that is in its start state."""
    begun_ns = rig.now_ns
    try:
        rig.run(injector.phase_s(PHASES_S))
        for fault in variant.before:
            injector.put(fault)
        rig.run(variant.settle_ms / 1e3)
        injections = [injector.put(fault) for fault in variant.faults]
    except BenchCannot as error:
        return Outcome(Verdict.NOT_RUN, str(error))
    except FaultRefused as error:
        return Outcome(Verdict.BENCH_ERROR, str(error))
    rig.run(variant.watch_ms / 1e3 + 0.02)
    t0_ns = settle(injections[0], rig)
    if t0_ns is None:
        return Outcome(Verdict.INCONCLUSIVE, "the fault never took effect on the bus")
    rig.trace.marks.append((t0_ns, "fault effective"))
    return judged(rig.trace, variant, t0_ns, begun_ns)


def judged(trace: Trace, variant: Variant, t0_ns: int, begun_ns: int) -> Outcome:
    """Judge a trace by a variant's checks."""
    reaction = next((c for c in variant.checks if c.within_ms is not None), None)
    reaction_ms = None if reaction is None else _reached_ms(trace, reaction, t0_ns)
    found = [_wrong(trace, check, t0_ns, begun_ns) for check in variant.checks]
    wrong = [text for text in found if text]
    causes = [str(v) for _, v in trace.samples("ECU_STATE.first_cause", t0_ns) if v != "NONE"]
    return Outcome(
        verdict=Verdict.FAIL if wrong else Verdict.PASS,
        why="; ".join(wrong),
        reaction_ms=reaction_ms,
        limit_ms=None if reaction is None else reaction.within_ms,
        reaction_of="" if reaction is None else _asked(reaction),
        first_cause=causes[0] if causes else "",
        t0_ns=t0_ns,
    )


_OPS: dict[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": lambda a, b: isinstance(a, float | int) and isinstance(b, float | int) and a <= b,
    ">=": lambda a, b: isinstance(a, float | int) and isinstance(b, float | int) and a >= b,
}


def _satisfies(check: Check, value: Value) -> bool:
    if isinstance(check.value, list):
        return value in check.value
    if check.signal.endswith("curvature_per_m") and value is None:
        return True  # frozen where it stands
    return _OPS[check.op](value, check.value)


def _asked(check: Check) -> str:
    value = " or ".join(check.value) if isinstance(check.value, list) else check.value
    op = "" if check.op in ("==", "in") else f"{check.op} "
    return f"{check.signal} {op}{value}"


def _reached_ms(trace: Trace, check: Check, t0_ns: int) -> float | None:
    try:
        samples = trace.samples(check.signal, t0_ns)
    except KeyError:  # told as what is wrong, by who asks for the evidence
        return None
    return next(((t - t0_ns) / _MS for t, value in samples if _satisfies(check, value)), None)


def _wrong(trace: Trace, check: Check, t0_ns: int, begun_ns: int) -> str:
    """Return what speaks against a pass; nothing when the evidence is there."""
    try:
        samples = trace.samples(check.signal, t0_ns)
    except KeyError:
        return f"{check.signal}: this bench does not see it"
    want = f"{check.signal} {check.op} {check.value}"
    if check.within_ms is not None:
        reached_ms = _reached_ms(trace, check, t0_ns)
        if reached_ms is None:
            return f"{want}: never"
        late = reached_ms > check.within_ms
        return f"{want}: after {reached_ms:.1f} ms, limit {check.within_ms:g} ms" if late else ""
    if check.rises:
        return _not_risen(trace, check, samples, begun_ns)
    assert check.holds_ms is not None, "the case file's model sees to it"
    from_ms, to_ms = check.holds_ms
    inside = [(t, v) for t, v in samples if from_ms <= (t - t0_ns) / _MS <= to_ms]
    bad = [(t, v) for t, v in inside if not _satisfies(check, v)]
    if bad:
        return f"{want}: it is {bad[0][1]} after {(bad[0][0] - t0_ns) / _MS:.1f} ms"
    silence = check.signal.split(".")[0] not in ("ECU_STATE", "actuator", "agent", "relay", "plant")
    return "" if inside or silence else f"{want}: no sample"


def _not_risen(trace: Trace, check: Check, samples: list[tuple[int, Value]], begun_ns: int) -> str:
    before = [v for t, v in trace.samples(check.signal, 0) if t < begun_ns]
    if not samples or not before:
        return f"{check.signal}: the ECU did not tell it"
    was, now = before[-1], samples[-1][1]
    assert isinstance(was, float)
    assert isinstance(now, float)
    risen = now - was
    ok = risen <= 0 if check.op == "<=" else risen >= float(str(check.value))
    return "" if ok else f"{check.signal} rose by {risen:g}, expected {check.op} {check.value}"


def run_case(rig: Rig, case: Case, variant: Variant | None, injector: Injector) -> Outcome:
    """Run a case on a rig in its start state, by its procedure or by its variant."""
    if case.procedure is not None:
        from hil.procedures import PROCEDURES  # noqa: PLC0415 - they judge with this module

        return PROCEDURES[case.procedure](rig, injector)
    assert variant is not None, "a case without a procedure has variants"
    return run_variant(rig, injector, variant)
