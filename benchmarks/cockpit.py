"""From the hand to the wire: an input event until its command has left, and until it is on the bus.

A hand moves a control at random moments 15 to 45 ms apart; each event is written as the kernel
writes it, into a FIFO in place of a device. Measured is from the moment before that.

First the input process and the console alone, as two processes: the command goes by MQTT over TCP
to Mosquitto on this computer, until the console's socket has taken the frame that carries the
event. Then the whole demo with ``--cameras`` (four unless told), the page in Chromium, the truck
driving: until the command has left by the first of both paths, and until the guardian has put the
by-wire frame that carries the event on the bus; and from each command to the next, by the stamps
that they left with. The page's own frames and tasks are counted in it. ``--small`` makes the main
camera 640×360, and ``--filmed`` has all cameras play a piece of the way instead of drawing it: for
a computer that cannot be mine, machine, cameras and cockpit at once. ``--background`` prefers
nothing of it to other work on the computer but what asks for real time by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._cockpit_end import STEER
from benchmarks._cockpit_hands import Hand, raw_of
from benchmarks._cockpit_whole import drive_whole
from benchmarks.common import Measurement, percentiles, run
from operator_console.core.evdev import EV_ABS

FULL_EVENTS, QUICK_EVENTS = 8000, 500
ALONE_EVENTS = 5000
"""Without a machine none is overtaken or limited, so that fewer will do."""
APART_S = (0.015, 0.040)
SEED = 9
CAMERAS = 4
SEEN_SHARE = 0.99
SETTLE_S = 0.1
SPREAD = 9_000
"""Steering of ± this many 1e-4 of full lock, each value once in so many events."""
LIMIT_MS = 60.0
"""What an input may age (cockpit rule 10); the command is late for good beyond it."""


def steerings(count: int, dice: random.Random) -> list[int]:
    """Return as many steering values, none of them twice."""
    return dice.sample([value for value in range(-SPREAD, SPREAD + 1) if value], count)


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run Mosquitto on a free port of this computer."""
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    if mosquitto is None:
        raise RuntimeError("needs Debian's mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = folder / "broker.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    process = subprocess.Popen([mosquitto, "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def drive(count: int) -> tuple[dict[int, int], dict[str, Any]]:
    """Return when each steering was written, and when the console had it and sent it."""
    dice = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="hf-") as name, broker(Path(name)) as port:
        fifo = Path(name) / "desk"
        os.mkfifo(fifo)
        into = os.open(fifo, os.O_RDWR)
        command = [sys.executable, "-m", "benchmarks._cockpit_end", "console", str(fifo), str(port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as console:
            try:
                written = _turn(Hand(into), console, count, dice)
                out, _ = console.communicate("", timeout=20.0)
            finally:
                console.kill()
                os.close(into)
    return written, json.loads(out)


def _turn(
    hand: Hand, console: subprocess.Popen[str], count: int, dice: random.Random
) -> dict[int, int]:
    assert console.stdout is not None
    if console.stdout.readline() != "reads\n":
        raise RuntimeError("the desk was not read")
    hand.prepare()
    if console.stdout.readline() != "ready\n":
        raise RuntimeError("the console did not come to send enable")
    written = {}
    for steer in steerings(count, dice):
        time.sleep(dice.uniform(*APART_S))
        written[steer] = hand.report((EV_ABS, STEER, raw_of(steer)))
    time.sleep(SETTLE_S)
    return written


def since(written: dict[int, int], seen_ns: dict[str, int]) -> list[float]:
    """Return the time from each event to where it was seen, ms."""
    return [
        (seen_ns[str(steer)] - at_ns) / 1e6
        for steer, at_ns in written.items()
        if str(steer) in seen_ns
    ]


def measure(quick: bool, cameras: int = CAMERAS, **how: bool) -> Measurement:
    """Input event to command frame and by-wire frame, the page open with its cameras; and alone."""
    count = QUICK_EVENTS if quick else FULL_EVENTS
    alone_count = min(count, ALONE_EVENTS)
    written, seen = drive(alone_count)
    alone = {
        "snapshot at the console": since(written, seen["told_ns"]),
        "command frame on the wire": since(written, seen["left_ns"]),
    }
    if len(alone["command frame on the wire"]) < SEEN_SHARE * alone_count:
        raise RuntimeError(f"too few of {alone_count} events came out as a command")
    whole = drive_whole(count, cameras, **how)
    shown = {
        "command frame on the wire": whole.left_ms,
        "by-wire frame": whole.bywire_ms,
        "command to the next command": whole.gaps_ms,
    }
    if not whole.bywire_ms:
        raise RuntimeError("no event came out as a by-wire frame")
    rows = [
        {"under": under, "until": until, "n": len(found), **percentiles(found).as_dict()}
        for under, each in (("desk and console alone", alone), (f"{cameras} cameras shown", shown))
        for until, found in each.items()
    ]
    page = whole.page
    return Measurement(
        name="cockpit",
        unit="ms",
        samples=whole.bywire_ms,
        notes=f"input event written -> by-wire frame, {cameras} cameras shown in Chromium"
        f"{', the main one 640x360' if how.get('small') else ''}"
        f"{', nothing preferred' if not how.get('preferred', True) else ''}"
        f"{', played from a film' if how.get('filmed') else ''}, truck driving, "
        f"all on this computer; {whole.moves} events, "
        f"{whole.moves - len(whole.bywire_ms)} overtaken or limited; stops "
        f"{whole.stops or 'none'}, driven {whole.drove:.0%} of the time; "
        f"page {page['frames_per_s']} frames a second, longest task "
        f"{page['longest_task_ms']} ms. The rows have the command frame taken by the socket as "
        "well, and both without page, camera and machine",
        rows=[*rows, {"under": "page", **page}],
        held=percentiles(alone["command frame on the wire"]).max <= LIMIT_MS,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cameras", type=int, choices=range(1, 5), default=CAMERAS)
    for name in ("--small", "--filmed", "--background"):
        parser.add_argument(name, action="store_true")
    own, others = parser.parse_known_args()
    how = {"small": own.small, "filmed": own.filmed, "preferred": not own.background}
    sys.exit(run(partial(measure, cameras=own.cameras, **how), others))
