"""The whole chain for the cockpit benchmark: hand, desk, console, guardian, bus, page open.

All of the demo's processes with their cameras, and Chromium with the page that shows them. The
truck drives round the mine; the hand moves the throttle at random moments. Each move is looked for
where the console's commands leave, and in the guardian's DRIVE_CMD frames on the by-wire bus by the
stamp that their sender gave them.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks._cockpit_end import PRESSED, RELEASED
from benchmarks._cockpit_hands import Cockpit, Marks, cockpit, share_of
from benchmarks._console import DRIVING
from protocol.dbw.codec import DriveCommand, decode
from protocol.dbw.matrix import DRIVE_CMD
from sim.pursuit import Style
from vehicle_agent.shell.local_bus import LocalCanBus

APART_S = (0.020, 0.045)
SPEED_MPS = 2.5
"""Below every cap of the mine, so that the throttle alone decides."""
UNDER_WAY_MPS = 1.0
WITHIN_S = 780.0
"""The moves made by then are what is measured."""
UNDER_WAY_S = 240.0
"""A computer that carries all of it only just may stop the machine several times before that."""
LOST_AFTER_NS = 500_000_000
"""A move not seen by then was overtaken by the next, or the guardian limited it."""
WATCH = """
window.watch = { begun: performance.now(), frames: 0, longestFrame: 0, tasks: 0, longestTask: 0 };
{
  let before = performance.now();
  const frame = (now) => {
    watch.frames += 1;
    watch.longestFrame = Math.max(watch.longestFrame, now - before);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      watch.tasks += 1;
      watch.longestTask = Math.max(watch.longestTask, each.duration);
    }
  }).observe({ type: "longtask" });
}
window.watched = () => ({
  ...watch,
  ms: performance.now() - watch.begun,
  videos: Object.fromEntries([...document.querySelectorAll("video")].map((each) => {
    const { totalVideoFrames, droppedVideoFrames } = each.getVideoPlaybackQuality();
    return [each.id, [totalVideoFrames, droppedVideoFrames]];
  })),
});
window.watchAnew = () => {
  Object.assign(watch, { begun: performance.now(), frames: 0, longestFrame: 0 });
  Object.assign(watch, { tasks: 0, longestTask: 0 });
};
"""
"""What the page's frames and tasks are, counted inside it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """One run's results.

    Attributes:
        moves: how many the hand made. left_ms, bywire_ms: from each to the command that left, and
            to the by-wire frame. gaps_ms: from each command to the next.
        page: frames a second, longest task and more, see ``page_row``.
        stops: causes of the stops that nobody asked for.
        drove: share of the time in which the machine was driven.
    """

    moves: int
    left_ms: list[float]
    bywire_ms: list[float]
    gaps_ms: list[float]
    page: dict[str, Any]
    stops: list[str | None]
    drove: float


class DriveFrames:
    """Listens to the guardian's traction demands until closed."""

    def __init__(self, folder: str) -> None:
        self.changes: list[tuple[int, int]] = []
        self._bus = LocalCanBus(folder, name="throttle")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            message = self._bus.recv(0.1)
            if message is None or message.arbitration_id != DRIVE_CMD.can_id:
                continue
            frame = decode(DRIVE_CMD.can_id, bytes(message.data))
            assert isinstance(frame, DriveCommand)
            code = round(frame.accel_mps2 * 1000)
            if not self.changes or self.changes[-1][1] != code:
                self.changes.append((round(message.timestamp * 1e9), code))

    def close(self) -> None:
        """Leave the bus."""
        self._ending.set()
        self._thread.join()
        self._bus.shutdown()


def delays_ms(
    written: Sequence[tuple[int, int]], seen: Sequence[tuple[int, int]], full: int
) -> list[float]:
    """Return the time from each move to where its value was first seen, ms.

    It is looked for until another move has the same code. One not seen by then is left out.

    Args:
        written: when, and the pedal's code. seen: when each other value was first there.
        full: the value of a pedal that is fully pressed.
    """
    times = [at_ns for at_ns, _ in seen]
    again_ns: dict[int, int] = {}
    found = []
    for at_ns, code in reversed(written):
        until_ns = min(again_ns.get(code, at_ns + LOST_AFTER_NS), at_ns + LOST_AFTER_NS)
        again_ns[code] = at_ns
        wanted, near = share_of(code) * full, full / (RELEASED - PRESSED) / 4
        since = range(bisect_left(times, at_ns), bisect_left(times, until_ns))
        first = next((n for n in since if abs(seen[n][1] - wanted) <= near), None)
        if first is not None:
            found.append((times[first] - at_ns) / 1e6)
    return found[::-1]


def _watch_stops(made: Cockpit, moves: int, marks: Marks) -> tuple[list[str | None], float]:
    """Drive on until so many moves were made, 13 minutes at most.

    Returns:
        causes of stops, and the share of the time driven.
    """
    stops: list[str | None] = []
    drove = True
    looks = driven = 0
    until_s = time.monotonic() + WITHIN_S
    while len(marks.written) < moves and time.monotonic() < until_s:
        made.running.wait(0.05)
        state = made.running.seen.state
        drives = state is not None and state.mode in DRIVING
        if drove and not drives:
            stops.append(None if state is None else state.cause)
        drove = drives
        looks += 1
        driven += drives
    return stops, driven / looks


def since(now: int, before: int) -> int:
    """Return what a count has grown by; one of a new stream starts from nothing."""
    return now - before if now >= before else now


def page_row(watched: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return what the page did between two looks."""
    seconds = watched["ms"] / 1000
    pictures = {
        name: {
            "fps": round(since(total, before["videos"][name][0]) / seconds, 1),
            "dropped": since(dropped, before["videos"][name][1]),
        }
        for name, (total, dropped) in watched["videos"].items()
    }
    return {
        "seconds": round(seconds, 1),
        "frames_per_s": round(watched["frames"] / seconds, 1),
        "longest_frame_ms": round(watched["longestFrame"], 1),
        "tasks_over_50_ms": watched["tasks"],
        "longest_task_ms": round(watched["longestTask"], 1),
        "pictures": pictures,
    }


def drive_whole(moves: int, cameras: int, **how: bool) -> Whole:
    """Drive until the hand has made so many moves.

    Args:
        moves: how many. cameras: how many. how: see ``cockpit``.

    Raises:
        TimeoutError: the machine did not come to drive.
    """
    style = Style(speed_mps=SPEED_MPS)
    with cockpit(cameras=cameras, style=style, script=WATCH, **how) as made:
        frames = DriveFrames(str(made.running.plan.run / "can"))
        made.drive(UNDER_WAY_MPS, UNDER_WAY_S)
        marks = made.hands.marks = Marks(APART_S)
        begun = len(made.running.seen.commands)
        before = made.page.evaluate("watched()")
        made.page.evaluate("watchAnew()")
        stops, drove = _watch_stops(made, moves, marks)
        made.hands.marks = None
        sent_us = sorted(made.running.seen.commands[begun:])
        watched = made.page.evaluate("watched()")
        time.sleep(LOST_AFTER_NS / 1e9)
        frames.close()
        made.running.signal("console", signal.SIGTERM)
        left = made.running.plan.run / "left.json"
        made.running.until(lambda: left.exists() and left.stat().st_size > 0, 10.0, "its notes")
        made.running.wait(0.2)
        changes = json.loads(left.read_text(encoding="utf-8"))
    return Whole(
        len(marks.written),
        delays_ms(marks.written, changes, 10_000),
        delays_ms(marks.written, frames.changes, 1000),
        [(after - sent) / 1000 for sent, after in pairwise(sent_us)],
        page_row(watched, before),
        stops,
        drove,
    )
