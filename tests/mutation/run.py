"""Runs the tests of a module against every mutant of it, each in a process of its own.

``python -m tests.mutation [NAME…]``: prints each mutant that no test noticed, and counts. What
does not depend on the module is imported once, before the processes fork; the module itself is
compiled from its changed tree, constants and tables included.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import importlib
import io
import multiprocessing
import os
import resource
import signal
import sys
import types
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mutation.mutators import Mutant, mutants

ROOT = Path(__file__).parents[2]
TIME_LIMIT_S = 60
"""Far above the slowest selection; a mutant that loops is ended, and counts as noticed."""
MEMORY_LIMIT_BYTES = 8 << 30
PYTEST_ARGS = (
    "-x",
    "-q",
    "--tb=line",
    "--import-mode=importlib",
    "--assert=plain",
    "--noconftest",
    "--config-file=/dev/null",
    "-Werror",
    "-Wignore::pytest.PytestUnknownMarkWarning",
    "-pno:cacheprovider",
    "-pno:logging",
    "-pno:faulthandler",
    "-pno:junitxml",
    "-pno:unraisableexception",
    "-pno:threadexception",
    "-pno:doctest",
    "-pno:pastebin",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A module and the tests that must notice every fault in it, quickest first."""

    module: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The module's name without the part that says nothing."""
        return self.module.removeprefix("vehicle_agent.core.").removeprefix("protocol.")


TARGETS = (
    Target("vehicle_agent.core.gate", ("tests/core/test_gate.py",)),
    Target("vehicle_agent.core.watch", ("tests/core/test_watch.py",)),
    Target("vehicle_agent.core.failsafe", ("tests/core/test_failsafe.py",)),
    Target("vehicle_agent.core.authority", ("tests/core/test_authority.py",)),
    Target("vehicle_agent.core.governor", ("tests/core/test_governor.py",)),
    Target("vehicle_agent.core.clearance", ("tests/core/test_clearance.py",)),
    Target("vehicle_agent.core.beside", ("tests/core/test_clearance.py",)),
    Target("vehicle_agent.core.place", ("tests/core/test_place.py",)),
    Target("vehicle_agent.core.nearby", ("tests/core/test_place.py",)),
    Target("vehicle_agent.core.driver", ("tests/core/test_driver.py",)),
    Target("vehicle_agent.core.record", ("tests/core/test_record.py",)),
    Target("vehicle_agent.core.fair", ("tests/core/test_fair.py",)),
    Target("vehicle_agent.core.paths", ("tests/core/test_paths.py",)),
    Target("operator_console.core.evdev", ("tests/console/test_evdev.py",)),
    Target("operator_console.core.axes", ("tests/console/test_axes.py",)),
    Target("operator_console.core.sweep", ("tests/console/test_sweep_switches.py",)),
    Target("operator_console.core.switches", ("tests/console/test_sweep_switches.py",)),
    Target("operator_console.core.devices", ("tests/console/test_desk_config.py",)),
    Target(
        "operator_console.core.desk_layout",
        ("tests/console/test_desk_config.py", "tests/console/test_desk.py"),
    ),
    Target("operator_console.core.desk", ("tests/console/test_desk.py",)),
    Target("operator_console.core.box_line", ("tests/console/test_box_line.py",)),
    Target("operator_console.core.desk_line", ("tests/console/test_desk_line.py",)),
    Target("operator_console.core.force", ("tests/console/test_force.py",)),
    Target(
        "protocol.freshness",
        ("tests/protocol/test_freshness_limits.py", "tests/protocol/test_freshness.py"),
    ),
    Target(
        "protocol.frames",
        ("tests/protocol/test_frames_limits.py", "tests/protocol/test_frames.py"),
    ),
    Target("protocol.dbw.e2e", ("tests/dbw/test_e2e_limits.py", "tests/dbw/test_e2e.py")),
    Target("protocol.dbw.codec", ("tests/dbw/test_codec_limits.py",)),
    Target("protocol.j1939.ids", ("tests/adapters/test_ids.py",)),
    Target("protocol.j1939.slots", ("tests/adapters/test_slots.py",)),
    Target("protocol.j1939.codec", ("tests/adapters/test_j1939_codec.py",)),
    Target("protocol.isobus.codec", ("tests/adapters/test_isobus_codec.py",)),
    Target("vehicle_agent.core.channel", ("tests/adapters/test_channel.py",)),
    Target("vehicle_agent.core.engagement", ("tests/adapters/test_engagement.py",)),
    Target("vehicle_agent.core.adapted", ("tests/adapters/test_adapted.py",)),
    Target("vehicle_agent.core.j1939", ("tests/adapters/test_j1939.py",)),
    Target("vehicle_agent.core.isobus", ("tests/adapters/test_isobus.py",)),
)


class Ending(IntEnum):
    """Exit status of a mutant's process."""

    SURVIVED = 0
    NOTICED = 1
    BROKEN = 2
    """The tests could not be run; nothing is known of the mutant."""


@dataclass(slots=True)
class Result:
    """What became of a target's mutants. timed_out is a part of killed."""

    total: int = 0
    killed: int = 0
    timed_out: int = 0
    survivors: int = 0

    def add(self, other: Result) -> None:
        """Add the counts of another target."""
        self.total += other.total
        self.killed += other.killed
        self.timed_out += other.timed_out
        self.survivors += other.survivors

    def line(self) -> str:
        """Return the counts as text."""
        late = f" ({self.timed_out} by time-out)" if self.timed_out else ""
        return f"mutants {self.total}, killed {self.killed}{late}, survivors {self.survivors}"


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def source_file(module: str) -> Path:
    """Return the file of one of our modules."""
    return ROOT / (module.replace(".", "/") + ".py")


def imports_of(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {node.module} | {name for name in inner if source_file(name).exists()}
    return found


def modules_to_share(target: Target) -> list[str]:
    """Return the modules that the target's tests load and that do not load the target."""
    imports: dict[str, set[str]] = {}
    waiting = {name for test in target.tests for name in imports_of(ROOT / test)}
    while waiting:
        name = waiting.pop()
        path = source_file(name)
        imports[name] = imports_of(path) if path.exists() else set()
        waiting |= imports[name] - set(imports)
    tainted = {target.module}
    while more := {name for name in imports if imports[name] & tainted} - tainted:
        tainted |= more
    return sorted(set(imports) - tainted)


def run_tests(target: Target) -> tuple[Ending, str]:
    """Run the target's tests in this process; return what they make of it and what they said."""
    paths = [str(ROOT / test) for test in target.tests]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main([*PYTEST_ARGS, f"--rootdir={ROOT}", *paths])
    endings = {
        pytest.ExitCode.OK: Ending.SURVIVED,
        pytest.ExitCode.TESTS_FAILED: Ending.NOTICED,
        pytest.ExitCode.INTERRUPTED: Ending.NOTICED,
    }
    return endings.get(pytest.ExitCode(status), Ending.BROKEN), said.getvalue()


def load(module: str, tree: ast.Module) -> None:
    """Make ``tree`` the content of ``module`` for everything imported from now on."""
    path = str(source_file(module))
    made = types.ModuleType(module)
    made.__file__ = path
    made.__package__, _, leaf = module.rpartition(".")
    sys.modules[module] = made
    setattr(importlib.import_module(made.__package__), leaf, made)
    exec(compile(ast.fix_missing_locations(tree), path, "exec"), made.__dict__)


def judge(target: Target, tree: ast.Module, mutant: Mutant | None) -> Ending:
    """Return what the tests make of a mutant; a module that does not even load is noticed."""
    if mutant is not None:
        mutant.apply()
    try:
        load(target.module, tree)
    except Exception:
        return Ending.NOTICED
    ending, said = run_tests(target)
    if mutant is None and ending is not Ending.SURVIVED:
        say(said)
    return ending


def start(target: Target, tree: ast.Module, mutant: Mutant | None) -> int:
    """Judge a mutant in a forked process that ends with its Ending; return the process id."""
    pid = os.fork()
    if pid:
        return pid
    ending = Ending.BROKEN
    try:
        signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        ending = judge(target, tree, mutant)
    finally:
        os._exit(ending)


def run_target(target: Target, jobs: int, lines: frozenset[int]) -> Result:
    """Judge every mutant of a target, ``jobs`` at a time; of some lines only when they are given.

    Raises:
        RuntimeError: the tests fail without a mutant, or cannot be run.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in modules_to_share(target):
        importlib.import_module(name)
    settings.register_profile("mutation", derandomize=True, database=None, deadline=None)
    settings.load_profile("mutation")
    tree = ast.parse(source_file(target.module).read_bytes())
    _, status = os.waitpid(start(target, tree, None), 0)
    if os.waitstatus_to_exitcode(status) != Ending.SURVIVED:
        raise RuntimeError(f"{target.module}: its tests fail without a mutant")
    waiting = [m for m in mutants(tree)[::-1] if not lines or m.line in lines]
    gc.freeze()
    result = Result(total=len(waiting))
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start(target, tree, mutant)] = mutant
        pid, status = os.wait()
        count(result, target, running.pop(pid), status)
    return result


def count(result: Result, target: Target, mutant: Mutant, status: int) -> None:
    """Count how a mutant's process ended; tell of a survivor."""
    place = f"{source_file(target.module).relative_to(ROOT)}:{mutant.line}"
    if os.WIFSIGNALED(status):
        result.timed_out += 1
        result.killed += 1
    elif os.WEXITSTATUS(status) == Ending.NOTICED:
        result.killed += 1
    elif os.WEXITSTATUS(status) == Ending.SURVIVED:
        result.survivors += 1
        say(f"survivor {place}\n  - {mutant.before}\n  + {mutant.after}")
    else:
        raise RuntimeError(f"{place}: the tests could not be run with {mutant.after}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the named targets, or all; return 1 when a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    known = [target.name for target in TARGETS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lines", nargs="+", type=int, default=(), help="of one module only")
    given = parser.parse_args(arguments)
    if set(given.names) - set(known):
        parser.error(f"known are {', '.join(known)}")
    everything = Result()
    for target in TARGETS:
        if given.names and target.name not in given.names:
            continue
        # A fresh process for each: what it imports must not stay for the next one.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            result = pool.submit(run_target, target, given.jobs, frozenset(given.lines)).result()
        say(f"{target.module}: {result.line()}")
        everything.add(result)
    say(everything.line())
    return 1 if everything.survivors else 0
