"""Scripted driving with the page open, for as long as is asked: what grows, what is dropped.

    python -m benchmarks.cockpit_hour --minutes N [--cameras N] [--small] [--background] [--json]

The demo's real processes, the page in Chromium, a driver at a desk who drives round the mine as
fast as the way allows. Nothing is done to anything: each stop is a false alarm, and so is each
alert above an information, and each cause that the machine names while it drives, that its own
figures of that moment do not bear out. Each half minute: the least JavaScript memory of the page
since the last time (by the browser's own count, each second; a collection that is asked for takes
the processor from the desk for 80 ms and stops the machine), resident memory of its renderer and of
the console process, pictures shown and dropped, frames and tasks of the page.
``--background`` prefers nothing of it to other work on the computer but what asks for real time
by itself, ``--small`` has the main camera give 640×360.

The samples are the longest tasks of the page, one for each look. The notes have the slopes an hour
with their 95 % confidence (least squares); the first third, at most ten minutes, is left out of
them. It holds when no memory surely grows by more than 5 MiB an hour and nothing alarmed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks._cockpit_hands import Cockpit, cockpit
from benchmarks._cockpit_whole import WATCH, page_row, since
from benchmarks._console import DRIVING
from benchmarks.common import Measurement, run
from benchmarks.soak import WARM_UP_H, slope
from protocol.events import EVENTS, Severity
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleState
from protocol.topics import Topics
from sim import demo
from vehicle_agent.shell.clock import monotonic_ns

MINUTES, QUICK_MINUTES = 5.0, 0.5
LOOK_S, QUICK_LOOK_S = 30.0, 5.0
SPEED_MPS, DRIVES_WITHIN_S = 1.0, 300.0
WATCH_S, STALLED_S, WEIGH_S = 0.02, 1.0, 1.0
AROUND_S = 0.5
"""How far around an alert the states are looked at for what it goes by."""
SAMPLED_MS = 30
"""Ages grow between two states that are seen, and the guardian looks more often."""
BORNE_OUT: Mapping[str, Callable[[VehicleState], bool]] = {
    "L101": lambda state: (
        state.margins.command_ms is not None
        and DEFAULT_TIMING.command_stop_ms - state.margins.command_ms
        > DEFAULT_TIMING.command_degraded_ms - SAMPLED_MS
    ),
    "L103": lambda state: (
        state.loop_ms is not None and state.loop_ms > DEFAULT_TIMING.loop_cap_ms - SAMPLED_MS
    ),
    "V101": lambda state: (
        state.margins.view_ms is not None
        and DEFAULT_TIMING.view_stop_ms - state.margins.view_ms
        > DEFAULT_TIMING.view_degraded_ms - SAMPLED_MS
    ),
    "Z107": lambda _: True,  # the mine's zone on call, each round
}
"""What must stand in a state for the alert to be true; every other alert is a false one here."""
MEMORY_MIB_PER_H = 5.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one moment.

    Attributes:
        at_h: since the truck was first under way. heap_mib: least JavaScript memory of the page.
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
    """Counts what the machine tells while it drives, and whether its own figures bear it out.

    Attributes:
        told: alerts above an information, and causes of a degradation. false: those of them that
            the machine's figures of that moment do not bear out. stops: by cause.
        driven_s: for how long it drove.
    """

    def __init__(self, made: Cockpit) -> None:
        self.told: Counter[str] = Counter()
        self.false: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self.driven_s = 0.0
        self._made = made
        self._topic = Topics(demo.SITE_ID, demo.VEHICLE_ID).event
        self._before: tuple[bool, str | None] = (True, None)
        self._states: deque[tuple[float, VehicleState]] = deque()
        self._open: deque[tuple[float, str]] = deque()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="alarms")
        self._client.on_message = self._event
        self._client.connect(demo.HOST, made.running.plan.mqtt_port)
        self._client.subscribe(self._topic, 0)
        self._client.loop_start()

    def _event(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic != self._topic:
            return
        name = str(json.loads(message.payload)["id"])
        if name in EVENTS and EVENTS[name].severity is not Severity.INFO:
            self._open.append((time.monotonic(), name))

    def look(self) -> None:
        """Take in the machine's state."""
        now_s, state = time.monotonic(), self._made.running.seen.state
        if state is None:
            return
        if self._states and now_s - self._states[-1][0] < STALLED_S and state.mode in DRIVING:
            self.driven_s += now_s - self._states[-1][0]
        self._states.append((now_s, state))
        drives = state.mode in DRIVING
        drove, named = self._before
        if drove and not drives:
            self.stops[str(state.cause)] += 1
        if drives and state.cause is not None and state.cause != named:
            self._open.append((now_s, state.cause))
        self._before = drives, state.cause
        while self._open and now_s - self._open[0][0] > AROUND_S:
            self._judge(*self._open.popleft())
        while now_s - self._states[0][0] > 3 * AROUND_S:
            self._states.popleft()

    def _judge(self, at_s: float, name: str) -> None:
        """Count what was told, and see whether the states around it say the same."""
        self.told[name] += 1
        around = [state for seen_s, state in self._states if abs(seen_s - at_s) <= AROUND_S]
        borne_out = BORNE_OUT.get(name)
        if borne_out is None or not any(borne_out(state) for state in around):
            self.false[name] += 1

    def close(self) -> None:
        """Listen no longer, and judge what was told last."""
        self._client.loop_stop()
        while self._open:
            self._judge(*self._open.popleft())


class Watch:
    """Looks at the page and the console now and then."""

    def __init__(self, made: Cockpit) -> None:
        self._made = made
        made.cdp.send("Performance.enable")
        self._renderer = psutil.Process(made.renderer_pid())
        self._console = psutil.Process(made.running.pid("console"))
        self._begun_ns = monotonic_ns()
        self._before = self._watched()
        self._heap_mib = math.inf

    def _watched(self) -> dict[str, Any]:
        watched: dict[str, Any] = self._made.page.evaluate("watched()")
        self._made.page.evaluate("watchAnew()")
        return watched

    def weigh(self) -> None:
        """Note the page's JavaScript memory, where it is the least since the last look."""
        metrics = self._made.cdp.send("Performance.getMetrics")["metrics"]
        heap = next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize")
        self._heap_mib = min(self._heap_mib, heap / MIB)

    def look(self) -> Look:
        """Return what is there now."""
        watched, before = self._watched(), self._before
        self._before = watched
        heap_mib, self._heap_mib = self._heap_mib, math.inf
        both = [(count, before["videos"][name]) for name, count in watched["videos"].items()]
        shown, dropped = (sum(since(now[i], then[i]) for now, then in both) for i in (0, 1))
        return Look(
            (monotonic_ns() - self._begun_ns) / 3.6e12,
            heap_mib,
            self._renderer.memory_info().rss / MIB,
            self._console.memory_info().rss / MIB,
            shown - dropped,
            dropped,
            page_row(watched, before),
        )


def drive(
    minutes: float, look_s: float, cameras: int, *, preferred: bool, small: bool
) -> tuple[list[Look], Alarms]:
    """Drive for so long; return what was found at each look, and what alarmed."""
    looks = []
    with cockpit(cameras=cameras, script=WATCH, preferred=preferred, small=small) as made:
        made.drive(SPEED_MPS, DRIVES_WITHIN_S)
        watch, alarms = Watch(made), Alarms(made)
        for _ in range(max(1, round(minutes * 60 / look_s))):
            until_s = time.monotonic() + look_s
            while time.monotonic() < until_s:
                weighed_s = time.monotonic()
                watch.weigh()
                while time.monotonic() < weighed_s + WEIGH_S:
                    made.running.wait(WATCH_S)
                    alarms.look()
            looks.append(watch.look())
            words = f"stops {dict(alarms.stops)} told {dict(alarms.told)}"
            sys.stderr.write(f"{looks[-1]} {words} false {dict(alarms.false)}\n")
        alarms.close()
    return looks, alarms


def measure(
    quick: bool,
    minutes: float = MINUTES,
    cameras: int = 1,
    *,
    preferred: bool = True,
    small: bool = False,
) -> Measurement:
    """Drive, and watch memory, pictures and alarms."""
    if quick:
        minutes = QUICK_MINUTES
    look_s = QUICK_LOOK_S if quick else LOOK_S
    looks, alarms = drive(minutes, look_s, cameras, preferred=preferred, small=small)
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
    shows = f"{cameras} cameras" + (", the main one 640×360" if small else "")
    quiet = not alarms.stops and not alarms.false
    return Measurement(
        name="cockpit_hour",
        unit="ms",
        samples=[each.page["longest_task_ms"] for each in looks],
        rows=[asdict(each) for each in looks],
        held=quiet and not any(s.surely_above(MEMORY_MIB_PER_H) for s in slopes.values()),
        notes=f"longest task of the page in each look; {alarms.driven_s / 60:.1f} min driven of "
        f"{60 * looks[-1].at_h:.1f}, {shows}. Memory an hour over the last "
        f"{60 * (at_h[-1] - at_h[0]):.0f} min: {told}. Pictures shown {shown}, dropped by the "
        f"browser {dropped}. Stops {dict(alarms.stops) or 'none'}; alerts and causes "
        f"{dict(alarms.told) or 'none'}, of them not borne out by the machine's own figures "
        f"{dict(alarms.false) or 'none'}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--cameras", type=int, choices=range(1, 5), default=1)
    parser.add_argument("--background", action="store_true")
    parser.add_argument("--small", action="store_true")
    own, others = parser.parse_known_args()
    measured = partial(
        measure,
        minutes=own.minutes,
        cameras=own.cameras,
        preferred=not own.background,
        small=own.small,
    )
    sys.exit(run(measured, others))
