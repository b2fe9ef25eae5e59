"""What is lost when the recorder, or the machine's computer with all that runs on it, is killed.

The guardian ticks at 100 Hz, four cameras' worth of pictures go to the recorder, and at a random
time SIGKILL ends the recorder alone (the agent would start it again: so does this) or guardian
and recorder at once. A sample is the time, in ms, from the last tick that can be read in the files
to the kill; where only the recorder died, the ticks missing between its files count too. The run
fails when more than a second is lost, or a file cannot be read to where it was flushed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks.common import Measurement, percentiles, run
from recording.reader import Log, logs_under
from sim import demo
from sim.replay.rerun import rerun
from sim.replay.ticks import Steps, TickStep
from sim.run_folder import run_folder
from vehicle_agent.shell import ipc
from vehicle_agent.shell.picture_tap import PictureTap

FULL_KILLS, QUICK_KILLS = 200, 10
LIVES_S = (0.2, 2.5)
LOST_MAX_MS = 1000.0
LAST_S = 4.0
"""The last recorder takes what the guardian has kept."""
CAMERAS = ((0, 30, 16_000), (1, 15, 5_000), (2, 15, 5_000), (3, 15, 5_000))
"""Camera, pictures a second, bytes a picture."""
KEY_EVERY = 60
NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """What was seen: losses in ms, files, and those that could not be read."""

    both_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    gaps: int = 0
    files: int = 0
    unreadable: int = 0
    reruns: int = 0
    unequal: int = 0


class Machine:
    """Guardian and recorder as processes, in a run's folder."""

    def __init__(self, folder: Path) -> None:
        machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
        site = demo.find_config("sites", demo.DEFAULT_SITE)
        self.plan = demo.Plan(folder, machine, site, 1, 1)
        demo.write_keys(folder)
        demo.write_settings(self.plan)
        self.log = self.plan.log_folder
        self._mailbox = ipc.Mailbox(folder / "agent", "media.sock")
        self._tap = PictureTap(self._mailbox)
        self._sent = dict.fromkeys((camera for camera, _, _ in CAMERAS), 0)
        self._begun_ns = time.monotonic_ns()

    def start(self, part: str) -> subprocess.Popen[bytes]:
        """Start one of both; it is ready."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"vehicle_agent.shell.{part}"),
                *("--config", str(self.plan.agent_config)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def live(self, seconds: float) -> None:
        """Send pictures for a while."""
        end_ns = time.monotonic_ns() + round(seconds * NS_PER_S)
        while (now_ns := time.monotonic_ns()) < end_ns:
            for camera, fps, size in CAMERAS:
                due = (now_ns - self._begun_ns) * fps // NS_PER_S
                if due > self._sent[camera]:
                    self._sent[camera] = due
                    key = due % KEY_EVERY == 0
                    data = os.urandom(size * (5 if key else 1))
                    meta: dict[str, object] = {"picture": due, "bytes": len(data)}
                    self._tap.take(camera, data, now_ns // 1000, meta, key=key)
            time.sleep(0.004)

    def close(self) -> None:
        """Close the socket."""
        self._mailbox.close()


@contextmanager
def machine() -> Iterator[Machine]:
    """A machine in a folder that goes afterwards."""
    with run_folder() as folder:
        made = Machine(folder)
        try:
            yield made
        finally:
            made.close()


def kill(*processes: subprocess.Popen[bytes]) -> int:
    """End processes at once; return when, monotonic ns."""
    now_ns = time.monotonic_ns()
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.wait()
    return now_ns


def ticks_of(log: Log) -> list[tuple[int, int]]:
    """Return number and time of every tick."""
    return [(step.number, step.now_ns) for step in Steps(log) if isinstance(step, TickStep)]


def judge(tally: Tally, folder: Path) -> list[tuple[int, int]]:
    """Read every file below; return the newest ticks of all of them."""
    ticks: list[tuple[int, int]] = []
    for log in logs_under(folder):
        tally.files += len(log.files)
        found = ticks_of(log)
        tally.unreadable += not found and not any(True for _ in log.messages())
        ticks += found
    return sorted(ticks, key=lambda tick: tick[1])


def run_again(tally: Tally, folder: Path) -> None:
    """Run what was recorded again, over the files of killed recorders too."""
    result = rerun(Steps(logs_under(folder)[0]))
    tally.reruns += 1
    tally.unequal += not result.equal and result.ticks > 0


def kill_both(tally: Tally, dice: random.Random) -> None:
    """The computer loses its power, as far as a process can tell."""
    with machine() as made:
        recorder, guardian = made.start("recorder"), made.start("guardian")
        begun_ns = time.monotonic_ns()
        made.live(dice.uniform(*LIVES_S))
        at_ns = kill(recorder, guardian)
        ticks = judge(tally, made.log)
        newest_ns = ticks[-1][1] if ticks else begun_ns
        tally.both_ms.append((at_ns - newest_ns) / 1e6)
        run_again(tally, made.log)


def kill_recorder(tally: Tally, dice: random.Random, kills: int) -> None:
    """The recorder dies again and again under a guardian that goes on, and keeps what it can."""
    with machine() as made:
        guardian = made.start("guardian")
        killed_ns = []
        try:
            for _ in range(kills):
                recorder = made.start("recorder")
                made.live(dice.uniform(*LIVES_S))
                killed_ns.append(kill(recorder))
            last = made.start("recorder")
            made.live(LAST_S)
            last.terminate()
            last.wait()
        finally:
            kill(guardian)
        ticks = judge(tally, made.log)
        gaps = [
            (before, (after - before) / 1e6)
            for (one, before), (other, after) in pairwise(ticks)
            if other > one + 1
        ]
        tally.alone_ms += [
            sum(gap_ms for begun_ns, gap_ms in gaps if from_ns - NS_PER_S * 3 < begun_ns <= from_ns)
            for from_ns in killed_ns
        ]
        tally.gaps += len(gaps)
        run_again(tally, made.log)


def measure(quick: bool) -> Measurement:
    """Kill, read, and count."""
    kills = int(os.environ.get("HEADFRAME_KILLS", QUICK_KILLS if quick else FULL_KILLS))
    dice = random.Random(int(os.environ.get("HEADFRAME_SEED", "1")))
    tally = Tally()
    for _ in range(kills // 2):
        kill_both(tally, dice)
    rounds = 10
    for begun in range(0, kills - kills // 2, rounds):
        kill_recorder(tally, dice, min(rounds, kills - kills // 2 - begun))
    samples = tally.both_ms + tally.alone_ms
    held = max(samples) <= LOST_MAX_MS and not tally.unreadable and not tally.unequal
    return Measurement(
        name="recorder_kills",
        unit="ms lost",
        samples=samples,
        rows=[
            {"killed": "guardian and recorder", **percentiles(tally.both_ms).as_dict()},
            {"killed": "recorder alone", **percentiles(tally.alone_ms).as_dict()},
        ],
        n=kills,
        held=held,
        notes=f"{kills} kills, half of the recorder alone, half of guardian and recorder; "
        f"{tally.files} files read, {tally.unreadable} unreadable; "
        f"{tally.gaps} gaps between the files of one guardian; "
        f"{tally.reruns} logs run again, {tally.unequal} not the same",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
