"""Shares of cores and processes, from accounts like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

from sim.load import Accounts, accounts, core_shares, family, name_of, process_shares

BEFORE = Accounts(
    {"cpu0": (100, 1000), "cpu1": (200, 1000)},
    {1: (0, 500), 10: (1, 50), 11: (10, 5), 12: (11, 7), 20: (1, 3)},
)
AFTER = Accounts(
    {"cpu0": (150, 1200), "cpu1": (400, 1200)},
    {1: (0, 900), 10: (1, 60), 11: (10, 25), 12: (11, 17), 13: (11, 4), 20: (1, 3)},
)


def test_core__its_share_is_what_was_busy_of_what_passed() -> None:
    assert core_shares(BEFORE, AFTER) == {"cpu0": 0.25, "cpu1": 1.0}


def test_process__counts_with_all_that_it_started_and_that_has_no_name_of_its_own() -> None:
    shares = process_shares(BEFORE, AFTER, {10: "agent", 11: "agent guardian", 20: "console"})
    assert shares == {"agent": 0.05, "agent guardian": 0.17, "console": 0.0}


def written(folder: Path) -> Path:
    (folder / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 10 1 20 60 4 1 2 3 8 0\n"
        "cpu1 0 0 0 100 0 0 0 0 0 0\n"
        "intr 5\n", encoding="ascii",
    )  # fmt: skip
    agent, link, cat = "python -m a.b.agent --config x", "python -m c.link", "cat x"
    for number, parent, words in ((7, 1, agent), (8, 7, link), (9, 7, cat)):
        (folder / str(number)).mkdir()
        (folder / str(number) / "stat").write_text(
            f"{number} (odd) na me) S {parent} 1 1 0 -1 4 0 0 0 0 30 12 0 0\n", encoding="ascii"
        )
        (folder / str(number) / "cmdline").write_bytes(words.replace(" ", "\0").encode() + b"\0")
    return folder


def test_accounts__are_read_as_proc_has_them(tmp_path: Path) -> None:
    now = accounts(written(tmp_path))
    assert now.cores == {"cpu0": (37, 101), "cpu1": (0, 100)}
    assert now.processes == {7: (1, 42), 8: (7, 42), 9: (7, 42)}


def test_family__names_modules_that_a_root_started(tmp_path: Path) -> None:
    proc = written(tmp_path)
    assert family(accounts(proc), {7: "agent"}, proc) == {7: "agent", 8: "agent link"}
    assert [name_of(number, proc) for number in (7, 9, 99)] == ["agent", None, None]


def test_this_computer__has_cores_and_this_process() -> None:
    now = accounts()
    assert now.cores
    assert now.processes[os.getpid()][0] == os.getppid()
