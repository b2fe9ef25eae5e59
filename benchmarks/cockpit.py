"""From the hand to the wire: an input event until its command frame has left the console.

A hand turns a wheel at random moments 15 to 40 ms apart; each event is written as the kernel writes
it, into a FIFO in place of a device. The input process and the console are the real ones, as two
processes; the command goes by MQTT over TCP to Mosquitto on this computer. Measured is from the
moment before the event is written to the moment when the console's socket has taken the frame that
carries it. No page is open and no camera runs.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

from benchmarks._cockpit_end import (
    BRAKE,
    CENTRE,
    CLOSES,
    OPENS,
    PRESSED,
    RELEASED,
    STEER,
    THROTTLE,
)
from benchmarks.common import Measurement, percentiles, run
from operator_console.core.evdev import EV_ABS, EV_KEY, EV_SYN, SYN_REPORT, encode_event

FULL_EVENTS, QUICK_EVENTS = 5200, 500
APART_S = (0.015, 0.040)
SEED = 9
SETTLE_S = 0.1
SPREAD = 9_000
"""Steering of ± this many 1e-4 of full lock, each value once in so many events."""
LIMIT_MS = 60.0
"""What an input may age (cockpit rule 10); the command is late for good beyond it."""


class Hand:
    """Writes reports of one device."""

    def __init__(self, into: int) -> None:
        self._into = into

    def report(self, *events: tuple[int, int, int]) -> int:
        """Write one whole report; return the monotonic time just before."""
        at_ns = time.monotonic_ns()
        whole = (*events, (EV_SYN, SYN_REPORT, 0))
        os.write(self._into, b"".join(encode_event(*each, at_ns // 1000) for each in whole))
        return at_ns

    def prepare(self) -> None:
        """Move the wheel, press and let go of both pedals, then hold enable."""
        self.report((EV_ABS, STEER, CENTRE))
        for code in (THROTTLE, BRAKE):
            for raw in (RELEASED, PRESSED, RELEASED):
                self.report((EV_ABS, code, raw))
                time.sleep(SETTLE_S)
        self.report((EV_KEY, OPENS, 0), (EV_KEY, CLOSES, 1))


def steerings(count: int, dice: random.Random) -> list[int]:
    """Return as many steering values, none of them twice."""
    return dice.sample([value for value in range(-SPREAD, SPREAD + 1) if value], count)


def raw_of(steer: int) -> int:
    """Return the wheel's code for a steering in 1e-4 of full lock."""
    return round(CENTRE - steer * CENTRE / 10_000)


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


def measure(quick: bool) -> Measurement:
    """Input event to command frame on the wire."""
    count = QUICK_EVENTS if quick else FULL_EVENTS
    written, seen = drive(count)
    told, left = (since(written, seen[name]) for name in ("told_ns", "left_ns"))
    if len(left) < 0.99 * count:
        raise RuntimeError(f"only {len(left)} of {count} events came out as a command")
    return Measurement(
        name="cockpit",
        unit="ms",
        samples=left,
        notes=f"input event written -> command frame taken by the socket (MQTT, loopback); {count} "
        f"events, {count - len(left)} overtaken by the next one; no page, no camera",
        rows=[
            {"until": "snapshot at the console", "n": len(told), **percentiles(told).as_dict()},
            {"until": "command frame on the wire", "n": len(left), **percentiles(left).as_dict()},
        ],
        held=percentiles(left).max <= LIMIT_MS,
    )


if __name__ == "__main__":
    sys.exit(run(measure))
