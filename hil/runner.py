"""Runs cases on a bench: first against mutants, then in order with repeats, then the report.

On an emulated bench the way to the start state is gone once for each seed; every run is a copy of
that moment in a process of its own, so that no run can leave anything behind for the next.
"""

from __future__ import annotations

import gc
import os
import pickle
import platform
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hil.agent import AgentDefect
from hil.benchfile import (
    BenchFile,
    BenchRefused,
    check_capabilities,
    check_ports,
    load_bench,
    resolved,
)
from hil.case import CONFORMANCE, Case, Variant, every_case
from hil.conform.machine import ForeignDefect
from hil.conform.suite import ConformanceSuite
from hil.drivers.opened import open_ports
from hil.faults import Injector
from hil.judge import Outcome, Verdict, bring, run_case
from hil.ports import PortLost
from hil.realtime import TimedRig
from hil.rig import Mutants, Rig, RigSettings
from sim.ecu_defects import EcuDefect
from sim.relay import Defect as RelayDefect
from vehicle_agent.shell.realtime import ask_realtime

_MS = 1_000_000
TRIES_IN_TIME = 5
SLICE_NS = 2_000 * _MS
ORDER = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Options:
    """What to run: empty suites and cases take all.

    Attributes:
        repeat: of each variant. prompt: where the clock is real, ask for real-time priority.
    """

    bench: Path
    report: Path
    suites: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    repeat: int = 20
    mutants: bool = True
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Mutant:
    """One named defect."""

    name: str
    mutants: Mutants
    foreign: frozenset[ForeignDefect] = frozenset()


@dataclass(slots=True)
class CaseResult:
    """All runs of one case."""

    case: Case
    runs: list[tuple[str, int, Outcome]] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The worst of what could be run; a case without runs was not run."""
        verdicts = [o.verdict for _, _, o in self.runs if o.verdict is not Verdict.NOT_RUN]
        return min(verdicts, key=ORDER.index) if verdicts else Verdict.NOT_RUN

    @property
    def why(self) -> str:
        """Of its worst run."""
        worst = self.verdict
        return next((o.why for _, _, o in self.runs if o.verdict is worst and o.why), "")


@dataclass(slots=True)
class Result:
    """A whole run of a bench. ``caught``: cases that failed, by mutant."""

    options: Options
    bench: BenchFile
    cases: list[CaseResult] = field(default_factory=list)
    caught: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    stopped: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of its cases; cases that the bench cannot run do not count."""
        if self.stopped:
            return Verdict.BENCH_ERROR
        verdicts = [c.verdict for c in self.cases if c.verdict is not Verdict.NOT_RUN]
        return min(verdicts, key=ORDER.index) if verdicts else Verdict.NOT_RUN


def all_mutants() -> list[Mutant]:
    """Return every named defect, one at a time."""
    return [
        *(Mutant(f"ecu:{d}", Mutants(ecu=frozenset({d}))) for d in EcuDefect),
        *(Mutant(f"relay:{d}", Mutants(relay=frozenset({d}))) for d in RelayDefect),
        *(Mutant(f"agent:{d}", Mutants(agent=frozenset({d}))) for d in AgentDefect),
        *(Mutant(f"machine:{d}", Mutants(), frozenset({d})) for d in ForeignDefect),
    ]


def chosen(bench: BenchFile, options: Options) -> list[Case]:
    """Return the cases asked for, in their order.

    Raises:
        BenchRefused: a suite or a case that there is not.
    """
    every = every_case()
    if CONFORMANCE in options.suites and bench.conformance is None:
        raise BenchRefused(f"--suite {CONFORMANCE}: the bench file names no foreign machine")
    for name in options.suites:
        if name not in {case.suite for case in every}:
            raise BenchRefused(f"--suite {name}: there is no such suite")
    for name in options.cases:
        if name not in {case.id for case in every}:
            raise BenchRefused(f"--case {name}: there is no such case")
    return [
        case
        for case in every
        if case.suite in (options.suites or bench.suites)
        and (not options.cases or case.id in options.cases)
    ]


class Benches:
    """Makes rigs of one bench, and keeps those that stand in a start state."""

    def __init__(self, path: Path, bench: BenchFile, *, prompt: bool = False) -> None:
        self.bench = bench
        self._prompt = prompt
        self.settings = RigSettings(
            machine=resolved(path, bench.machine),
            site=resolved(path, bench.site),
            bitrate_bps=bench.channels.dbw.bitrate_bps,
            relay_fitted=bench.channels.relay is not None,
        )
        self.capabilities = frozenset(bench.capabilities)
        foreign = bench.conformance
        self.conformance = None if foreign is None else ConformanceSuite(path, foreign)
        self.ports = open_ports(path, bench.channels)
        self._ready: dict[tuple[str, int, str], tuple[Rig, str]] = {}

    def missing(self, case: Case, variant: Variant | None) -> list[str]:
        """Return the capabilities a variant needs and this bench has not."""
        needed = frozenset(case.needs) | (frozenset() if variant is None else variant.requires)
        return sorted(needed - self.capabilities)

    def fresh(self, mutant: Mutant, seed: int) -> Rig:
        """Return a rig at power-up."""
        channel = self.bench.channels.dbw
        rig = (
            Rig(self.settings, seed, mutant.mutants)
            if channel.kind == "emulated"
            else TimedRig(self.settings, seed, mutant.mutants, channel, self.bench.clock.slower)
        )
        self.ports.attach(rig)
        return rig

    def ready(self, mutant: Mutant, seed: int, start: str) -> tuple[Rig, str]:
        """Return a rig in its start state, and what is wrong with it."""
        key = (mutant.name, seed, start)
        if key not in self._ready:
            for old in [k for k in self._ready if k[:2] != key[:2]]:
                self._ready.pop(old)[0].close()
            rig = self.fresh(mutant, seed)
            self._ready[key] = (rig, bring(rig, start))
        return self._ready[key]

    def close(self) -> str:
        """Leave every rig and port; return what was not left safe."""
        for rig, _ in self._ready.values():
            rig.close()
        self._ready.clear()
        if self.conformance is not None:
            self.conformance.close()
        return self.ports.close()

    def fits(self, mutant: Mutant, case: Case) -> bool:
        """Return whether a case can notice a mutant: it is a part of what the case looks at."""
        if case.suite != CONFORMANCE:
            return not mutant.foreign
        return bool(mutant.foreign) and self.conformance is not None and self.conformance.emulated

    def run(
        self, mutant: Mutant, seed: int, case: Case, variant: Variant | None, folder: Path | None
    ) -> Outcome:
        """Run one variant once, on a copy of the start state; ``folder`` takes failures' logs."""
        if case.suite == CONFORMANCE:
            assert self.conformance is not None, "chosen only with one"
            return self.conformance.run(str(case.procedure), mutant.foreign)
        try:
            if self.bench.channels.dbw.kind != "emulated":
                return self._run_in_time(mutant, seed, case, variant, folder)
            rig, wrong = self.ready(mutant, seed, case.start)
        except PortLost as error:
            return Outcome(Verdict.BENCH_ERROR, str(error))
        if wrong:
            return Outcome(Verdict.INCONCLUSIVE, wrong)
        return in_copy(lambda: self._judged(rig, seed, case, variant, folder))

    def _run_in_time(
        self, mutant: Mutant, seed: int, case: Case, variant: Variant | None, folder: Path | None
    ) -> Outcome:
        """Run on a fresh rig in real time; once more when the bench came late: no evidence."""
        limit_ms = self.bench.clock.lateness_limit_ms
        late_ms = 0.0
        for _ in range(TRIES_IN_TIME):
            outcome = self._once_in_time(mutant, seed, case, variant, folder)
            if outcome.late_ms <= limit_ms:
                return outcome
            late_ms = outcome.late_ms
        return Outcome(
            Verdict.BENCH_ERROR,
            f"the bench was {late_ms:.1f} ms late, {TRIES_IN_TIME} times over its limit",
        )

    def _once_in_time(
        self, mutant: Mutant, seed: int, case: Case, variant: Variant | None, folder: Path | None
    ) -> Outcome:
        """Run once. On SocketCAN, which has no threads, a copy of the start state runs.

        A start state that was not reached by a bench that came late says nothing of the parts: the
        way there is gone again.
        """

        def judged(rig: Rig) -> Outcome:
            assert isinstance(rig, TimedRig), "its channel is a real one"
            with undisturbed(prompt=self._prompt):
                rig.judged_from_here()
                outcome = self._judged(rig, seed, case, variant, folder)
            late_ms = rig.pacer.latest_ns / _MS
            rig.drain()
            return replace(outcome, late_ms=late_ms)

        if self.bench.channels.dbw.kind == "socketcan":
            kept, wrong = self.ready(mutant, seed, case.start)
            return Outcome(Verdict.INCONCLUSIVE, wrong) if wrong else in_copy(lambda: judged(kept))
        wrong = ""
        for _ in range(TRIES_IN_TIME):
            rig = self.fresh(mutant, seed)
            assert isinstance(rig, TimedRig), "its channel is a real one"
            try:
                wrong = bring(rig, case.start)
                if not wrong:
                    return judged(rig)
                if rig.pacer.latest_ns <= self.bench.clock.lateness_limit_ms * _MS:
                    break
            finally:
                rig.close()
        return Outcome(Verdict.INCONCLUSIVE, wrong)

    def _judged(
        self, rig: Rig, seed: int, case: Case, variant: Variant | None, folder: Path | None
    ) -> Outcome:
        self.ports.restore()
        outcome = run_case(rig, case, variant, Injector(rig, self.capabilities, seed))
        if folder is None or outcome.verdict is Verdict.PASS:
            return outcome
        return _with_slice(rig, outcome, folder / _slice_name(case, variant, seed))


@contextmanager
def undisturbed(*, prompt: bool) -> Iterator[None]:
    """Python's garbage collector rests; ``prompt``: memory locked, real-time priority, if granted.

    Not on the way to the start state: Linux holds up whoever takes a whole processor so.
    """
    gc.collect()
    gc.disable()
    try:
        if prompt:
            ask_realtime()
        yield
    finally:
        if prompt:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        gc.unfreeze()
        gc.enable()


def _slice_name(case: Case, variant: Variant | None, seed: int) -> str:
    name = "" if variant is None else "".join(c if c.isalnum() else "-" for c in variant.name)
    return f"{case.id}{'-' + name if name else ''}-{seed}.asc"


def _with_slice(rig: Rig, outcome: Outcome, path: Path) -> Outcome:
    path.parent.mkdir(parents=True, exist_ok=True)
    middle_ns = rig.now_ns if outcome.t0_ns is None else outcome.t0_ns
    span = (middle_ns - SLICE_NS, middle_ns + SLICE_NS)
    rig.trace.write_slice(path, *span)
    return replace(outcome, slice_path=path.name, story=rig.trace.story(*span, middle_ns))


def in_copy(do: Callable[[], Outcome]) -> Outcome:
    """Call ``do`` in a copy of this process; what it changes there is gone when it returns."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on: other threads are not in the copy. It needs none, and ends with _exit.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            data = pickle.dumps(do())
        except Exception as error:
            text = traceback.format_exception_only(error)[-1].strip()
            data = pickle.dumps(Outcome(Verdict.BENCH_ERROR, text))
        with os.fdopen(write_end, "wb") as sink:
            sink.write(data)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as source:
        data = source.read()
    os.waitpid(child, 0)
    if not data:
        return Outcome(Verdict.BENCH_ERROR, "the run's process ended without a word")
    outcome: Outcome = pickle.loads(data)  # noqa: S301 - our own process wrote it
    return outcome


def variants(case: Case) -> Iterable[Variant | None]:
    """Return a case's variants; a procedure is its own."""
    return case.variants or (None,)


GOOD = Mutant("", Mutants())


def try_mutants(
    benches: Benches, cases: list[Case], seed: int
) -> Iterator[tuple[str, str, Verdict]]:
    """Yield (mutant, case, verdict) of every case on every mutant, once each."""
    for mutant in all_mutants():
        for case in cases:
            able = [v for v in variants(case) if not benches.missing(case, v)]
            if case.once or not able or not benches.fits(mutant, case):
                continue
            verdicts = (benches.run(mutant, seed, case, v, None).verdict for v in able)
            yield mutant.name, case.id, min(verdicts, key=ORDER.index)


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> Result:
    """Run a bench.

    Raises:
        BenchRefused: the file, a port, a suite or a case cannot be used.
    """
    bench = load_bench(options.bench)
    check_ports(options.bench, bench)
    check_capabilities(options.bench, bench)
    result = Result(options, bench)
    benches = Benches(options.bench, bench, prompt=options.prompt)
    try:
        _run_all(benches, chosen(bench, options), result, say)
    finally:
        left = benches.close()
    result.stopped = "; ".join(filter(None, (result.stopped, left)))
    return result


def _run_all(
    benches: Benches, cases: list[Case], result: Result, say: Callable[[str], None]
) -> None:
    options, seed = result.options, result.bench.seed
    if options.mutants:
        for mutant, case_id, verdict in try_mutants(benches, cases, seed):
            row = result.caught.setdefault(mutant, {})
            if not row:
                say(f"mutant {mutant}")
            row[case_id] = verdict
    result.cases = [CaseResult(case) for case in cases]
    for number in range(options.repeat):
        say(f"repeat {number + 1} of {options.repeat}")
        for into in result.cases:
            if number and (into.case.once or into.verdict is Verdict.NOT_RUN):
                continue
            _run_once(benches, into, seed + number, options.report / "logs")
            say(f"{into.case.id} {into.verdict}")
            if into.verdict is Verdict.BENCH_ERROR:
                result.stopped = f"{into.case.id}: {into.why}"
                _mark_the_rest(result.cases)
                return


def _mark_the_rest(cases: list[CaseResult]) -> None:
    for case in cases:
        if not case.runs:
            case.runs = [("", 0, Outcome(Verdict.NOT_RUN, "the run had stopped"))]


def _run_once(benches: Benches, into: CaseResult, seed: int, folder: Path) -> None:
    for variant in variants(into.case):
        name = "" if variant is None else variant.name
        missing = benches.missing(into.case, variant)
        if missing:
            outcome = Outcome(Verdict.NOT_RUN, f"the bench lacks {', '.join(missing)}")
        else:
            outcome = benches.run(GOOD, seed, into.case, variant, folder)
        into.runs.append((name, seed, outcome))


def environment() -> dict[str, str]:
    """What this run was made on, for the report."""
    return {"system": platform.platform(), "python": sys.version.split()[0]}
