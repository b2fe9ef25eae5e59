"""Another revision of this software, in a git worktree for a while, run as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recording.software import ROOT
from sim.replay import decisions as program

LAST_LINES = 3


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Give a folder with a revision's files; it goes afterwards.

    Raises:
        ValueError: there is no such revision, or no repository.
    """
    with tempfile.TemporaryDirectory(prefix="headframe-revision-") as place:
        folder = Path(place) / "tree"
        _git("worktree", "add", "--detach", "--force", str(folder), revision)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> None:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - the git that the repository is used with
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"git {arguments[0]} {arguments[1]}: {_end(done.stderr)}")


def decided_by(folder: Path, log: Path, shown: int | None = None) -> dict[str, Any]:
    """Return what the revision in a folder decides over a log (sim/replay/decisions.py).

    Raises:
        ValueError: it cannot read the log.
    """
    arguments = [str(log.resolve()), *([] if shown is None else [str(shown)])]
    done = subprocess.run(
        [sys.executable, "-P", str(Path(program.__file__).resolve()), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{log.name}: that revision cannot run it: {_end(done.stderr)}")
    result: dict[str, Any] = json.loads(done.stdout)
    if Path(result["folder"]).resolve() != folder.resolve():
        raise ValueError(f"the code of {result['folder']} was run, not that of {folder}")
    return result


def _end(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-LAST_LINES:])
