"""Child processes that start in order, say when they are ready, and never outlive their parent.

Each child leads a process group of its own. Ending goes: SIGTERM to every group, a grace, then
SIGKILL; stragglers of a group are killed before its leader is reaped, so that a group id can
not have been given to anyone else. A parent that is killed takes its children along
(sim/tied.py). Used from the main thread only; other threads may run.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vehicle_agent.shell.clock import monotonic_ns

ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 3.0
READY_WORD = "ready"
_LINES_KEPT = 200
_TIED = (sys.executable, "-I", "-S", str(Path(__file__).with_name("tied.py")))


class ChildError(RuntimeError):
    """Raised when a child does not start, or ends before it is ready; one line."""


class Interrupted(Exception):
    """Raised out of a wait when SIGINT, SIGTERM or SIGHUP came.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def own_environment() -> dict[str, str]:
    """Return this process's environment, with Python's imports from this checkout.

    Without PYTHONSAFEPATH ``python -m`` looks first in the folder that the user happens to be in.
    """
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Put round everything that waits on children in a program that knows nothing of them.

    A signal that interrupted a wait then does, once all is cleared away, what it would have done
    without children: SIGINT raises KeyboardInterrupt, SIGTERM ends the program.
    """
    try:
        yield
    except Interrupted as interrupted:
        signal.raise_signal(interrupted.number)
        raise KeyboardInterrupt from interrupted  # it was ignored


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to start.

    Attributes:
        name: for progress lines, errors and the log file.
        command: program and arguments.
        ready_within_s: longest time until it prints a line that begins with ``ready``; None
            for a child that need not.
        if_lost: what a person is told when it ends by itself before its time.
    """

    name: str
    command: Sequence[str]
    ready_within_s: float | None = 30.0
    if_lost: str = "the rest goes on without it"


@dataclass(slots=True)
class Child:
    """A started process.

    Attributes:
        lines: what it printed on stdout besides ``ready``, the newest two hundred lines.
    """

    spec: ChildSpec
    process: subprocess.Popen[bytes]
    pidfd: int
    log: Path
    ready: bool
    started_ns: int
    lines: list[str] = field(default_factory=list)
    partial: bytes = b""
    ended: bool = False


class Children:
    """The children of this process; a context manager that ends them all.

    Args:
        log_directory: gets NAME.log with each child's stderr.
        say: takes one progress line.
        environment: the children's environment; :func:`own_environment` when None.
        niceness: of the children, where this user may set it; 0 leaves it.

    Attributes:
        lost: one ended by itself before its time.
    """

    def __init__(
        self,
        log_directory: Path,
        say: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
        niceness: int = 0,
    ) -> None:
        self._log_directory = log_directory
        self._say = say
        self._environment = own_environment() if environment is None else environment
        self._niceness = niceness
        self.lost = False
        self._children: list[Child] = []
        self._ended_since_ready: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._former_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Children:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._former_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _on_signal(self, number: int, _frame: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, bytes([number]))

    def start(self, spec: ChildSpec) -> Child:
        """Start one child and return at once.

        Raises:
            ChildError: its program cannot be run.
        """
        log = self._log_directory / f"{spec.name}.log"
        program = shutil.which(spec.command[0])
        if program is None:
            raise ChildError(f"{spec.name} cannot be started: no program {spec.command[0]}")
        try:
            with log.open("wb") as errors:
                process = subprocess.Popen(
                    [*_TIED, str(os.getpid()), str(self._niceness), program, *spec.command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=dict(self._environment),
                    start_new_session=True,
                )
        except OSError as error:
            raise ChildError(f"{spec.name} cannot be started: {error}") from error
        child = Child(
            spec,
            process,
            os.pidfd_open(process.pid),
            log,
            ready=spec.ready_within_s is None,
            started_ns=monotonic_ns(),
        )
        self._children.append(child)
        stdout = self._stdout(child)
        os.set_blocking(stdout.fileno(), False)
        self._selector.register(stdout, selectors.EVENT_READ, child)
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        return child

    def named(self, name: str) -> Child | None:
        """Return the child of that name; None when none was started."""
        return next((child for child in self._children if child.spec.name == name), None)

    @property
    def running(self) -> dict[int, str]:
        """Names by process id; one that has just ended stays until it is reaped."""
        children = (child for child in self._children if child.process.returncode is None)
        return {child.process.pid: child.spec.name for child in children}

    def wait_ready(self) -> None:
        """Wait until every started child has said that it is ready.

        A child that was ready and has ended in one breath is left to :meth:`wait_end`.

        Raises:
            ChildError: one ended, or was not ready in time.
            Interrupted: SIGINT or SIGTERM came.
        """
        while waiting := [child for child in self._children if not child.ready]:
            now_ns = monotonic_ns()
            for child in waiting:
                allowed_s = child.spec.ready_within_s or 0.0
                if now_ns - child.started_ns > allowed_s * 1e9:
                    raise ChildError(
                        f"{child.spec.name} was not ready within {allowed_s:g} s{last_words(child)}"
                    )
            for ended in self._pump(0.2):
                if ended not in waiting or not ended.ready:
                    raise self._too_early(ended)
                self._ended_since_ready.append(ended)

    def wait_end(self, awaited: Child | None, seconds: float | None = None) -> bool:
        """Wait until ``awaited`` has ended by itself; None waits for a signal or the time.

        Another child that ends is told of, and not started again: what its loss does to the
        rest is for the rest to show.

        Returns:
            True when it ended, False when ``seconds`` passed first.

        Raises:
            Interrupted: SIGINT or SIGTERM came.
        """
        deadline_ns = None if seconds is None else monotonic_ns() + int(seconds * 1e9)
        while deadline_ns is None or monotonic_ns() < deadline_ns:
            left_s = 0.2 if deadline_ns is None else (deadline_ns - monotonic_ns()) / 1e9
            ended = self._ended_since_ready or self._pump(min(max(left_s, 0.0), 0.2))
            self._ended_since_ready = []
            for child in ended:
                if child is not awaited:
                    self._say(f"{self._too_early(child)}; {child.spec.if_lost}")
            if awaited in ended:
                return True
        return False

    def attend(self, seconds: float) -> None:
        """Look after the children for ``seconds``, once for 0; leave it to others to judge an end.

        Raises:
            Interrupted: SIGINT or SIGTERM came.
        """
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        left_ns = int(seconds * 1e9)
        while left_ns >= 0:
            self._pump(left_ns / 1e9)
            left_ns = deadline_ns - monotonic_ns()

    def finish(self, child: Child, grace_s: float) -> int:
        """Ask one child to end, take what it still prints, and return its exit code.

        A signal meanwhile cuts the grace short.
        """
        self._signal_group(child, signal.SIGTERM)
        self._wait_for([child], grace_s)
        return self._reap(child)

    def discard(self, child: Child) -> None:
        """Reap one child that was ended on purpose and look after it no more."""
        self._reap(child)
        self._children.remove(child)

    def end_all(self) -> None:
        """End every child that is left, the last started first; nothing remains."""
        for child in reversed(self._children):
            self._signal_group(child, signal.SIGTERM)
        self._wait_for(self._children, GRACE_S)
        for child in reversed(self._children):
            self._reap(child)
        self._children.clear()

    def _pump(self, timeout_s: float) -> list[Child]:
        """Take what came; return the children that have just ended."""
        ended: list[Child] = []
        for key, _ in self._selector.select(timeout_s):
            child = key.data
            if child is None:
                raise Interrupted(signal.Signals(os.read(self._wake_read, 64)[0]))
            if key.fd == child.pidfd:
                self._read(child)
                self._selector.unregister(child.pidfd)
                child.ended = True
                ended.append(child)
            else:
                self._read(child)
        return ended

    def _read(self, child: Child) -> None:
        stdout = self._stdout(child)
        while True:
            try:
                data = os.read(stdout.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(stdout)
                return
            *lines, child.partial = (child.partial + data).split(b"\n")
            for line in lines:
                self._take_line(child, line.decode(errors="replace").strip())

    def _take_line(self, child: Child, line: str) -> None:
        if not child.ready and line.split(" ", 1)[0] == READY_WORD:
            child.ready = True
            self._say(f"{child.spec.name} ready after {_age_s(child):.1f} s")
            return
        child.lines.append(line)
        del child.lines[:-_LINES_KEPT]

    def _wait_for(self, children: Sequence[Child], grace_s: float) -> None:
        deadline_ns = monotonic_ns() + int(grace_s * 1e9)
        with contextlib.suppress(Interrupted):  # already ending: asked again, it is at once
            while any(not child.ended for child in children) and monotonic_ns() < deadline_ns:
                self._pump(0.1)

    def _reap(self, child: Child) -> int:
        self._signal_group(child, signal.SIGKILL)
        stdout = self._stdout(child)
        if not stdout.closed:
            child.process.wait()
            for registered in (stdout, child.pidfd):
                with contextlib.suppress(KeyError):
                    self._selector.unregister(registered)
            stdout.close()
            os.close(child.pidfd)
            child.ended = True
        return int(child.process.returncode)

    @staticmethod
    def _signal_group(child: Child, number: signal.Signals) -> None:
        if child.process.returncode is None:  # not reaped: the group id is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, number)

    def _too_early(self, child: Child) -> ChildError:
        self.lost = True
        code = self._reap(child)
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return ChildError(f"{child.spec.name} {how}{last_words(child)}")

    @staticmethod
    def _stdout(child: Child) -> IO[bytes]:
        assert child.process.stdout is not None
        return child.process.stdout


def _age_s(child: Child) -> float:
    return (monotonic_ns() - child.started_ns) / 1e9


def last_words(child: Child) -> str:
    """The last line that the child wrote on stderr, to be put behind an error's text."""
    try:
        lines = child.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last.removeprefix('headframe: ')}" if last else ""
