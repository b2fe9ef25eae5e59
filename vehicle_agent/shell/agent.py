"""The agent: starts the machine's processes, and starts all but the guardian again when they die.

The guardian's death is not repaired here: by then the ECU and the relay have stopped the
machine, and a person must look. Link, media and recorder are trusted with no motion, so they
may come and go, within a limit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from vehicle_agent.shell import clock
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.lifeline import end_with_parent

_NS_PER_S = 1_000_000_000
READY_LINE = b"ready"
GRACE_NS = 2 * _NS_PER_S
RESTARTS_MAX = 5
RESTART_WINDOW_NS = 60 * _NS_PER_S
RESTART_AFTER_NS = _NS_PER_S // 2
START_FAILED_AFTER_NS = _NS_PER_S
POLL_S = 0.2


@dataclass(slots=True)
class Part:
    """One of the machine's processes.

    Attributes:
        name: module under vehicle_agent.shell. repaired: started again when it dies.
        ready: it has said so; the agent is ready when all are.
    """

    name: str
    repaired: bool
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    again_ns: int | None = None
    starts_ns: deque[int] = field(default_factory=lambda: deque(maxlen=RESTARTS_MAX + 1))


def parts_of(settings: AgentSettings) -> list[Part]:
    """Return the processes that these settings need."""
    parts = [Part("guardian", repaired=False), Part("link", repaired=True)]
    if settings.cameras:
        parts.append(Part("media", repaired=True))
    if settings.recorder is not None:
        parts.append(Part("recorder", repaired=True))
    return parts


class Agent:
    """Parent of the machine's processes; they end with it."""

    def __init__(self, config: Path, parts: list[Part]) -> None:
        self._config = config
        self._parts = parts
        self._selector = selectors.DefaultSelector()
        self._ending = False
        self._told_ready = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for part in self._parts:
            self._start(part)
        failed = False
        while not self._ending and not failed:
            self._read(POLL_S)
            failed = not self._ending and any(self._watch(part) for part in self._parts)
            self._tell_ready()
        self._stop_all()
        return 1 if failed else 0

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _start(self, part: Part) -> None:
        module = f"vehicle_agent.shell.{part.name}"
        part.process = subprocess.Popen(
            [sys.executable, "-m", module, "--config", str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - one thread, prctl only
        )
        part.starts_ns.append(clock.monotonic_ns())
        part.again_ns = None
        stdout = _stdout(part.process)
        os.set_blocking(stdout.fileno(), False)
        self._selector.register(stdout, selectors.EVENT_READ, part)

    def _start_again(self, part: Part, now_ns: int) -> None:
        """Start a part; the guardian must not end because another one cannot be started."""
        try:
            self._start(part)
        except (OSError, subprocess.SubprocessError) as error:
            part.again_ns = now_ns + START_FAILED_AFTER_NS
            _say(f"{part.name} cannot be started: {error}")

    def _read(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            part: Part = key.data
            data = os.read(key.fd, 4096)
            if not data:
                self._selector.unregister(key.fileobj)
            elif READY_LINE in data.split():
                part.ready = True

    def _watch(self, part: Part) -> bool:
        """Look after one part; return True when the agent cannot go on."""
        process, now_ns = part.process, clock.monotonic_ns()
        if process is None:
            if part.again_ns is not None and now_ns >= part.again_ns:
                self._start_again(part, now_ns)
            return False
        code = process.poll()
        if code is None:
            return False
        self._forget(part, process)
        if not self._told_ready:
            _say(f"{part.name} ended before it was ready (code {code})")
            return True
        if not part.repaired:
            _say(f"{part.name} ended (code {code}): the machine stays stopped until a person looks")
            return False
        if self._too_often(part, now_ns):
            _say(f"{part.name} ended {RESTARTS_MAX} times within a minute: tried again in a minute")
            part.again_ns = now_ns + RESTART_WINDOW_NS
            return False
        _say(f"{part.name} ended (code {code}): starting it again")
        part.again_ns = now_ns + RESTART_AFTER_NS
        return False

    @staticmethod
    def _too_often(part: Part, now_ns: int) -> bool:
        recent = [start for start in part.starts_ns if now_ns - start < RESTART_WINDOW_NS]
        return len(recent) > RESTARTS_MAX

    def _forget(self, part: Part, process: subprocess.Popen[bytes]) -> None:
        stdout = _stdout(process)
        with contextlib.suppress(KeyError):
            self._selector.unregister(stdout)
        stdout.close()
        part.process = None

    def _tell_ready(self) -> None:
        if self._told_ready or not all(part.ready for part in self._parts):
            return
        self._told_ready = True
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    def _stop_all(self) -> None:
        running = [part for part in self._parts if part.process is not None]
        for part in running:
            if part.process is not None:
                part.process.terminate()
        deadline_ns = clock.monotonic_ns() + GRACE_NS
        for part in running:
            process = part.process
            if process is None:
                continue
            left_s = max(0.0, (deadline_ns - clock.monotonic_ns()) / _NS_PER_S)
            try:
                process.wait(left_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._forget(part, process)


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _say(text: str) -> None:
    sys.stderr.write(f"agent: {text}\n")
    sys.stderr.flush()


def run(config: Path) -> int:
    """Run the agent of a settings file; return the exit code.

    Raises:
        ValueError: the settings do not fit, naming file, key and reason.
    """
    settings = load_agent_config(config)
    settings.runtime.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Agent(config, parts_of(settings)).run()


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m vehicle_agent.shell.agent --config FILE``."""
    parser = argparse.ArgumentParser(prog="agent")
    parser.add_argument("--config", type=Path, required=True)
    try:
        return run(parser.parse_args(arguments).config)
    except (ValueError, OSError) as error:
        _say(str(error))
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
