"""Scripted driving with the page open, for as long as is asked: what grows, what is dropped.

    python -m benchmarks.cockpit_hour --minutes N [--cameras N] [--background] [--json] [--quick]

The demo's real processes, the page in Chromium, a driver at a desk who drives round the mine as
fast as the way allows. Nothing is done to anything: each stop, each alert above an information, and
each cause that the machine names while it drives is a false alarm. Each half minute: the page's
live JavaScript memory (after a collection, by the browser's own count), resident memory of its
renderer and of the console process, pictures shown and dropped, frames and tasks of the page.
``--background`` prefers nothing of it to other work on the computer.

The samples are the longest tasks of the page, one for each look. The notes have the slopes an hour
with their 95 % confidence (least squares); the first third, at most ten minutes, is left out of
them. It holds when no memory surely grows by more than 5 MiB an hour and nothing alarmed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks._cockpit_hands import Cockpit, cockpit
from benchmarks._cockpit_whole import WATCH, page_row
from benchmarks._console import DRIVING
from benchmarks.common import Measurement, run
from benchmarks.soak import WARM_UP_H, slope
from protocol.events import EVENTS, Severity
from protocol.topics import Topics
from sim import demo
from vehicle_agent.shell.clock import monotonic_ns

MINUTES, QUICK_MINUTES = 5.0, 0.5
LOOK_S, QUICK_LOOK_S = 30.0, 5.0
SPEED_MPS, DRIVES_WITHIN_S = 1.0, 300.0
WATCH_S = 0.1
MEMORY_MIB_PER_H = 5.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one moment.

    Attributes:
        at_h: since the truck was first under way. heap_mib: live JavaScript memory of the page.
        renderer_mib, console_mib: resident. shown, dropped: pictures of all cameras since the
            last look. page: see :func:`page_row`.
    """

    at_h: float
    heap_mib: float
    renderer_mib: float
    console_mib: float
    shown: int
    dropped: int
    page: dict[str, Any]


class Alarms:
    """Counts what the machine tells that nobody gave it a reason for."""

    def __init__(self, made: Cockpit) -> None:
        self.events: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self.driven_s = 0.0
        self._made = made
        self._before: tuple[bool, str | None] = (True, None)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="alarms")
        self._client.on_message = self._event
        self._client.connect(demo.HOST, made.running.plan.mqtt_port)
        self._client.subscribe(Topics(demo.SITE_ID, demo.VEHICLE_ID).event, 0)
        self._client.loop_start()

    def _event(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        name = str(json.loads(message.payload)["id"])
        if name in EVENTS and EVENTS[name].severity is not Severity.INFO:
            self.events[name] += 1

    def look(self, seconds: float) -> None:
        """Take in the machine's state, as of the last so many seconds."""
        state = self._made.running.seen.state
        drives = state is not None and state.mode in DRIVING
        cause = None if state is None else state.cause
        drove, named = self._before
        if drives:
            self.driven_s += seconds
        if drove and not drives:
            self.stops[str(cause)] += 1
        if drives and cause is not None and cause != named:
            self.causes[cause] += 1
        self._before = drives, cause

    def close(self) -> None:
        """Listen no longer."""
        self._client.loop_stop()


class Watch:
    """Looks at the page and the console now and then."""

    def __init__(self, made: Cockpit) -> None:
        self._made = made
        made.cdp.send("Performance.enable")
        self._renderer = psutil.Process(made.renderer_pid())
        self._console = psutil.Process(made.running.pid("console"))
        self._begun_ns = monotonic_ns()
        self._before = self._watched()

    def _watched(self) -> dict[str, Any]:
        watched: dict[str, Any] = self._made.page.evaluate("watched()")
        self._made.page.evaluate("watchAnew()")
        return watched

    def look(self) -> Look:
        """Return what is there now."""
        cdp = self._made.cdp
        watched, before = self._watched(), self._before
        self._before = watched
        cdp.send("HeapProfiler.collectGarbage")
        metrics = cdp.send("Performance.getMetrics")["metrics"]
        heap = next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize")
        self._made.page.evaluate("watchAnew()")  # the collection is the measurement's
        now, then = watched["videos"].values(), before["videos"].values()
        shown, dropped = (sum(v[i] for v in now) - sum(v[i] for v in then) for i in (0, 1))
        return Look(
            (monotonic_ns() - self._begun_ns) / 3.6e12,
            heap / MIB,
            self._renderer.memory_info().rss / MIB,
            self._console.memory_info().rss / MIB,
            shown - dropped,
            dropped,
            page_row(watched, before),
        )


def drive(
    minutes: float, look_s: float, cameras: int, *, preferred: bool
) -> tuple[list[Look], Alarms]:
    """Drive for so long; return what was found at each look, and what alarmed."""
    looks = []
    with cockpit(cameras=cameras, script=WATCH, preferred=preferred) as made:
        made.drive(SPEED_MPS, DRIVES_WITHIN_S)
        watch, alarms = Watch(made), Alarms(made)
        for _ in range(max(1, round(minutes * 60 / look_s))):
            for _ in range(round(look_s / WATCH_S)):
                made.running.wait(WATCH_S)
                alarms.look(WATCH_S)
            looks.append(watch.look())
            words = f"stops {dict(alarms.stops)} causes {dict(alarms.causes)}"
            sys.stderr.write(f"{looks[-1]} {words} events {dict(alarms.events)}\n")
        alarms.close()
    return looks, alarms


def measure(
    quick: bool, minutes: float = MINUTES, cameras: int = 1, *, preferred: bool = True
) -> Measurement:
    """Drive, and watch memory, pictures and alarms."""
    if quick:
        minutes = QUICK_MINUTES
    look_s = QUICK_LOOK_S if quick else LOOK_S
    looks, alarms = drive(minutes, look_s, cameras, preferred=preferred)
    from_h = min(WARM_UP_H, looks[-1].at_h / 3)
    counted = [each for each in looks if each.at_h > from_h]
    at_h = [each.at_h for each in counted]
    memory = {
        "page's JavaScript": [each.heap_mib for each in counted],
        "renderer": [each.renderer_mib for each in counted],
        "console": [each.console_mib for each in counted],
    }
    slopes = {name: slope(at_h, values) for name, values in memory.items()}
    told = "; ".join(
        f"{name} {slopes[name]} MiB (at the end {values[-1]:.1f})"
        for name, values in memory.items()
    )
    shown, dropped = (sum(getattr(each, n) for each in looks) for n in ("shown", "dropped"))
    quiet = not alarms.stops and not alarms.causes and not alarms.events
    return Measurement(
        name="cockpit_hour",
        unit="ms",
        samples=[each.page["longest_task_ms"] for each in looks],
        rows=[asdict(each) for each in looks],
        held=quiet and not any(s.surely_above(MEMORY_MIB_PER_H) for s in slopes.values()),
        notes=f"longest task of the page in each look; {alarms.driven_s / 60:.1f} min driven of "
        f"{60 * looks[-1].at_h:.1f}, {cameras} cameras. Memory an hour over the last "
        f"{60 * (at_h[-1] - at_h[0]):.0f} min: {told}. Pictures shown {shown}, dropped by the "
        f"browser {dropped}. Stops {dict(alarms.stops) or 'none'}, causes named while driving "
        f"{dict(alarms.causes) or 'none'}, events {dict(alarms.events) or 'none'}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--cameras", type=int, choices=range(1, 5), default=1)
    parser.add_argument("--background", action="store_true")
    own, others = parser.parse_known_args()
    measured = partial(
        measure, minutes=own.minutes, cameras=own.cameras, preferred=not own.background
    )
    sys.exit(run(measured, others))
