"""The bridge as a process of its own, for whoever wants to run programs on both sides of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sim.network.bridge import Place
from vehicle_agent.shell.lifeline import end_with_parent

END_WITHIN_S = 5.0


@contextlib.contextmanager
def bridged(link: str, seed: int = 1, log: Path | None = None) -> Iterator[tuple[Place, Place]]:
    """Run the bridge over ``link`` (a name or a file); yields the places of machine and surface.

    Raises:
        RuntimeError: it does not start; one line that says why.
    """
    command = [sys.executable, "-m", "sim.network", "bridge", "--link", link, "--seed", f"{seed}"]
    if log is not None:
        command += ["--log", str(log)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - prctl only
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            words = process.stdout.readline().split()
            if len(words) != 5 or words[0] != "ready":
                raise RuntimeError(process.stderr.read().strip() or "the bridge did not start")
            yield Place(words[1], words[2]), Place(words[3], words[4])
        finally:
            process.terminate()
            process.wait(END_WITHIN_S)
