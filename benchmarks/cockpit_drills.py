"""What befalls a cockpit while it drives: how long until brake demand stands on the by-wire bus.

    python -m benchmarks.cockpit_drills [--json] [--quick] [--drill NAME] [--n N]

The demo's real processes, the page in Chromium, a driver at a desk (``_cockpit_hands``) who arms by
the desk's buttons and drives. Then he holds the throttle at 60 % and goes on steering whatever
happens, and at a drawn moment the drill is done. The time counts from just before it to the first
frame of the brake demand that is not taken back, as a listener on the bus saw it by its sender's
stamp. After each the machine must stand and say that a stop has latched, the throttle still held;
only then is what was broken mended, and the driver arms anew.

Where a drill needs the page to notice something, that is in the time: a picture may age 600 ms
before the machine stops for it, and a page that hangs is given up after 250 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._cockpit_hands import Cockpit, cockpit
from benchmarks.common import machine_facts, percentiles
from protocol.signals import DEFAULT_TIMING
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.framebuffer import FrameReader, FrameWriter, Picture

FULL_N, QUICK_N = 20, 1
SPEED_MPS = 1.0
THROTTLE = 0.6
PHASES_S = 0.1
"""A drill begins anywhere in this time, so that no cycle of any process always meets it alike."""
BRAKES_WITHIN_S, STANDS_WITHIN_S, DRIVES_WITHIN_S = 10.0, 20.0, 90.0
BUSY_MS = 2000
CAMERA_PERIOD_S = 1 / 30
STOP_BUTTON, RESTS_S = "#stop", 0.5
STOP_MS = 100.0
"""A STOP is at the machine by then (the field's twenty tests, T20)."""
REACTION_MS = float(DEFAULT_TIMING.reaction_ms)
PICTURE_MS = float(DEFAULT_TIMING.view_stop_ms) + REACTION_MS
"""A picture may age this far, and then the machine reacts as to a lost command."""


class DrillFailed(RuntimeError):
    """Raised when a machine did not do what it must; one line."""


class Repeater:
    """Puts one picture into a camera's buffer again and again, number and stamp and all."""

    def __init__(self, buffer: Path) -> None:
        self._kept = buffer / "picture.kept"
        self._file = buffer / "picture.buf"
        self._kept.unlink(missing_ok=True)
        os.link(self._file, self._kept)
        reader = FrameReader(buffer)
        newest = reader.latest()
        reader.close()
        if newest is None:
            raise DrillFailed("the camera had no picture")
        picture, stamp_us, _ = newest
        height, width = picture.shape[0] * 2 // 3, picture.shape[1]
        self._writer = FrameWriter(buffer, width, height)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(picture, stamp_us), daemon=True)
        self._thread.start()

    def _run(self, picture: Picture, stamp_us: int) -> None:
        while not self._ending.wait(CAMERA_PERIOD_S):
            self._writer.publish(picture, stamp_us)

    def end(self) -> None:
        """Give the buffer back to its camera."""
        self._ending.set()
        self._thread.join()
        self._writer.close()
        self._kept.replace(self._file)


@dataclass
class Stage:
    """One cockpit with what was broken in it.

    Attributes:
        mends: what puts it right, newest last.
    """

    made: Cockpit
    mends: ExitStack = field(default_factory=ExitStack)

    # Each drill breaks one thing, says how it is mended, and returns the time just before.

    def unplug(self) -> int:
        """Pull the desk's plug."""
        self.mends.callback(self.made.hands.plug)
        return self.made.hands.unplug()

    def hide(self) -> int:
        """Put another tab over the page."""
        self.mends.callback(self.made.tab.show)
        return self.made.tab.cover()

    def minimise(self) -> int:
        """Minimise the page's window."""
        self.mends.callback(self.made.tab.show)
        return self.made.tab.minimise()

    def reload(self) -> int:
        """Load the page anew."""
        self.mends.callback(self.made.wait_live)
        at_ns = monotonic_ns()
        self.made.page.evaluate("setTimeout(() => location.reload(), 0)")
        return at_ns

    def leave(self) -> int:
        """Go to another address in the page's tab."""
        self.mends.callback(self.made.reload)
        at_ns = monotonic_ns()
        self.made.page.evaluate("setTimeout(() => location.assign('about:blank'), 0)")
        return at_ns

    def close(self) -> int:
        """Close the page's tab."""
        self.mends.callback(self.made.open_page)
        at_ns = monotonic_ns()
        self.made.page.close()
        return at_ns

    def press(self, key: str) -> int:
        """Press a key of the page's keyboard."""
        at_ns = monotonic_ns()
        self.made.page.keyboard.press(key)
        return at_ns

    def click(self) -> int:
        """Press STOP on the screen with the mouse, which lies on it already."""
        self.made.page.hover(STOP_BUTTON)
        self.made.running.wait(RESTS_S)
        at_ns = monotonic_ns()
        self.made.page.mouse.down()
        self.mends.callback(self.made.page.mouse.up)
        return at_ns

    def press_stop(self) -> int:
        """Press the desk's STOP."""
        self.mends.callback(setattr, self.made.hands, "stop", False)
        return self.made.hands.press_stop()

    def kill_renderer(self) -> int:
        """Kill the process that runs and draws the page."""
        pid = self.made.renderer_pid()
        self.mends.callback(self.made.open_page)
        at_ns = monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return at_ns

    def block(self) -> int:
        """Keep the page's main thread busy."""
        at_ns = monotonic_ns()
        self.made.page.evaluate(
            """(ms) => { setTimeout(() => {
              const end = performance.now() + ms;
              while (performance.now() < end);
            }, 0); }""",
            BUSY_MS,
        )
        return at_ns

    def freeze(self) -> int:
        """Stop the process that sends the pictures."""
        running = self.made.running
        pid = running.pid("media")
        self.mends.callback(os.kill, pid, signal.SIGCONT)
        at_ns = monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        return at_ns

    def repeat(self) -> int:
        """Let the camera deliver its last picture over and over."""
        running = self.made.running
        pid = running.pid("camera")
        self.mends.callback(os.kill, pid, signal.SIGCONT)
        at_ns = monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        self.mends.callback(Repeater(running.plan.buffer(0)).end)
        return at_ns

    def kill_console(self) -> int:
        """Kill the console process; its input process ends with it."""
        running, hands = self.made.running, self.made.hands
        self.mends.callback(self.made.reload)
        self.mends.callback(hands.plug)
        self.mends.callback(running.start_again, "console")
        self.mends.callback(hands.unplug)
        at_ns = monotonic_ns()
        running.kill("console")
        return at_ns


@dataclass(frozen=True, slots=True)
class Drill:
    """One thing that happens, how long the machine may take to brake, ms, and whether the page is
    to be one that nothing is attached to.
    """

    does: Callable[[Stage], int]
    limit_ms: float
    alone: bool = False


DRILLS: Mapping[str, Drill] = {
    "unplug": Drill(Stage.unplug, REACTION_MS),
    "hidden": Drill(Stage.hide, REACTION_MS, alone=True),
    "minimised": Drill(Stage.minimise, REACTION_MS, alone=True),
    "reloaded": Drill(Stage.reload, REACTION_MS),
    "left": Drill(Stage.leave, REACTION_MS),
    "closed": Drill(Stage.close, REACTION_MS),
    "renderer": Drill(Stage.kill_renderer, REACTION_MS),
    "blocked": Drill(Stage.block, PICTURE_MS),
    "frozen": Drill(Stage.freeze, PICTURE_MS),
    "repeated": Drill(Stage.repeat, PICTURE_MS),
    "console": Drill(Stage.kill_console, REACTION_MS),
    "stop-space": Drill(partial(Stage.press, key="Space"), STOP_MS),
    "stop-escape": Drill(partial(Stage.press, key="Escape"), STOP_MS),
    "stop-mouse": Drill(Stage.click, STOP_MS),
    "stop-desk": Drill(Stage.press_stop, STOP_MS),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One drill: until brake demand, ms, and the cause that the machine named."""

    brake_ms: float
    cause: str | None


def sample(made: Cockpit, drill: Drill, phase_s: float) -> Sample:
    """Drive, do the drill, see the machine to its stop, and mend what was broken.

    Raises:
        DrillFailed: it did not brake, or said of no stop. TimeoutError: it did not come to drive.
    """
    running, hands = made.running, made.hands
    hands.throttle = None
    made.drive(SPEED_MPS, DRIVES_WITHIN_S)
    hands.throttle = THROTTLE
    running.wait(phase_s)
    stage = Stage(made)
    with stage.mends:
        at_ns = drill.does(stage)
        try:
            running.until(
                lambda: running.stop_brake_ns(at_ns) is not None, BRAKES_WITHIN_S, "brake demand"
            )
            running.until(lambda: made.stopped and running.parked, STANDS_WITHIN_S, "stop latched")
        except TimeoutError as error:
            raise DrillFailed(str(error)) from error
        brake_ns = running.stop_brake_ns(at_ns)
        state = running.seen.state
    assert brake_ns is not None
    return Sample((brake_ns - at_ns) / 1e6, None if state is None else state.cause)


def samples(name: str, number: int) -> list[Sample]:
    """Return the samples of one drill, from one start of everything."""
    dice = random.Random(name)
    found: list[Sample] = []
    begun_ns = monotonic_ns()
    with cockpit() as made:
        if DRILLS[name].alone:
            made.leave_alone()
        for _ in range(number):
            found.append(sample(made, DRILLS[name], dice.uniform(0.0, PHASES_S)))
            minutes = (monotonic_ns() - begun_ns) / 60e9
            sys.stderr.write(f"{name} {len(found)}: {found[-1]}, {minutes:.1f} min\n")
    return found


def row(name: str, found: list[Sample]) -> dict[str, Any]:
    """Return one drill's figures."""
    figures = percentiles([each.brake_ms for each in found])
    causes = sorted({str(each.cause) for each in found})
    limit_ms = DRILLS[name].limit_ms
    held = figures.max <= limit_ms
    return {
        "drill": name,
        "n": len(found),
        "limit_ms": limit_ms,
        "held": held,
        "causes": causes,
    } | figures.as_dict()


def _text(figures: Mapping[str, Any]) -> str:
    parts = "  ".join(f"{name} {figures[name]:7.1f}" for name in ("p50", "p95", "p99", "max"))
    held = "" if figures["held"] else "  NOT HELD"
    return (
        f"{figures['drill']:<9} n = {figures['n']:<3} {parts}  limit {figures['limit_ms']:g}{held}"
        f"  {', '.join(figures['causes'])}"
    )


def main() -> int:
    """Run the drills; 1 when a machine braked too late or not at all."""
    parser = argparse.ArgumentParser(prog="benchmarks.cockpit_drills", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one of each")
    parser.add_argument("--drill", choices=list(DRILLS), action="append", help="only this one")
    parser.add_argument("--n", type=int, help=f"of each, {FULL_N} unless told")
    chosen = parser.parse_args()
    number = chosen.n or (QUICK_N if chosen.quick else FULL_N)
    try:
        rows = [row(name, samples(name, number)) for name in chosen.drill or DRILLS]
    except (OSError, RuntimeError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        facts = machine_facts()
        print(json.dumps({"name": "cockpit_drills", "unit": "ms", "rows": rows, "machine": facts}))
    else:
        print("\n".join(map(_text, rows)))
    return 0 if all(each["held"] for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
