"""What running processes take of each processor core, from the kernel's own accounts.

proc(5): /proc/stat for the cores, /proc/PID/stat for a process, ticks of 10 ms as a rule.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_IDLE = slice(3, 5)
"""Idle and waiting for a disk, among a core's times."""
_COUNTED = 8
"""user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already."""
_AFTER_NAME = (1, 11, 12)
"""ppid, utime, stime behind the process's name, which may hold blanks and brackets."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """At one moment, in ticks.

    Attributes:
        cores: busy and all time of each core. processes: parent and time of each process.
    """

    cores: Mapping[str, tuple[int, int]]
    processes: Mapping[int, tuple[int, int]]


def accounts(proc: Path = PROC) -> Accounts:
    """Read the kernel's accounts as they are now."""
    cores = {}
    for line in (proc / "stat").read_text(encoding="ascii").splitlines():
        name, *times = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(time) for time in times[:_COUNTED]]
            cores[name] = (sum(ticks) - sum(ticks[_IDLE]), sum(ticks))
    return Accounts(cores, dict(_processes(proc)))


def _processes(proc: Path) -> Iterator[tuple[int, tuple[int, int]]]:
    for path in proc.glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parent, user, system = (int(fields[index]) for index in _AFTER_NAME)
        yield int(path.parent.name), (parent, user + system)


def core_shares(before: Accounts, after: Accounts) -> dict[str, float]:
    """Share of each core that was busy in between, whoever kept it so."""
    return {
        name: round((busy - before.cores[name][0]) / max(whole - before.cores[name][1], 1), 3)
        for name, (busy, whole) in after.cores.items()
        if name in before.cores
    }


def process_shares(before: Accounts, after: Accounts, named: Mapping[int, str]) -> dict[str, float]:
    """Share of one core that each named process took in between, with all that it started.

    Args:
        before, after: the two moments. named: names by process id.
    """
    core = next(iter(after.cores))
    ticks = max(after.cores[core][1] - before.cores[core][1], 1)
    spent = dict.fromkeys(named.values(), 0)
    for number, (_, time) in after.processes.items():
        owner = _owner(after, number, named)
        if owner is not None:
            spent[owner] += time - before.processes.get(number, (0, 0))[1]
    return {name: round(time / ticks, 3) for name, time in spent.items()}


def _owner(now: Accounts, number: int, named: Mapping[int, str]) -> str | None:
    while number in now.processes:
        if number in named:
            return named[number]
        number = now.processes[number][0]
    return None


def name_of(number: int, proc: Path = PROC) -> str | None:
    """The last part of the module that a process of Python runs; None of another process."""
    try:
        words = (proc / str(number) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if b"-m" not in words[:-1]:
        return None
    return os.fsdecode(words[words.index(b"-m") + 1]).rpartition(".")[2]


def family(now: Accounts, roots: Mapping[int, str], proc: Path = PROC) -> dict[int, str]:
    """``roots``, and what they started themselves as modules: "agent guardian"."""
    named = dict(roots)
    for number, (parent, _) in sorted(now.processes.items()):
        name = name_of(number, proc) if parent in roots else None
        if name is not None:
            named[number] = f"{roots[parent]} {name}"
    return named
