"""What the driver's page makes of trouble: how long until it no longer shows what is not so.

    python -m benchmarks.cockpit_screen [--json] [--quick] [--n N]

The demo's real processes, the page in Chromium, the machine standing under the driver's lease; with
the front camera alone, but for ``mirror``, which has three. At a drawn moment something is done to
it. A trial in which something else changed that must not is told as disturbed.

Each time the page paints it is noted in it what it says; the time counts from just before the
deed to the first painting that says what it must. Both are of this computer's monotonic clock; how
exactly the page's own time was laid upon it is told.

``gpu`` is another matter: the process that puts the page on the screen is killed, and the sample is
the longest time in which the page then did not paint. A console that hears no painting for 250 ms
lets enable go by itself. ``loaded`` counts from the page being asked for to the live picture, and
it holds only if nothing was asked of any other address and the page broke no rule of its policy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Request

from benchmarks._cockpit_hands import Cockpit, Posture, cockpit
from benchmarks.cockpit_drills import Repeater
from benchmarks.common import machine_facts, percentiles
from operator_console.shell.web import HOST
from vehicle_agent.shell.clock import monotonic_ns

FULL_N, QUICK_N = 20, 1
GPU_N_MAX = 3
"""A browser whose drawing process dies more often within minutes gives up."""
PHASES_S = 0.1
SETTLES_S = 1.0
SEEN_WITHIN_S, WELL_WITHIN_S = 5.0, 30.0
PAINTS_AGAIN_S = 3.0
CLOCK_TRIES = 30
FROZEN_MS, STATE_MS, LOADED_MS, BEAT_MS = 300.0, 600.0, 3000.0, 250.0
"""Limits of the field's twenty tests (T9, T10 and T12; T18; T1), and the page's heartbeat (T7)."""
WATCH = """
window.painted = [];
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => broken.push(event.blockedURI));
{
  const live = (selector) => document.querySelector(selector)?.dataset.live ?? "";
  let before = "", at = performance.now();
  const frame = () => {
    const now = performance.now();
    const said = {
      main: live("#stage"),
      left: live("#mirror-left"),
      speed: document.getElementById("speed")?.textContent ?? "",
      border: document.getElementById("border")?.dataset.look ?? "",
    };
    const words = JSON.stringify(said);
    painted.push([now, now - at, words === before ? null : said]);
    if (painted.length > 4000) painted.splice(0, 2000);
    [before, at] = [words, now];
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
"""
WELL = """() => {
  const left = document.getElementById("mirror-left");
  const may = (what) => !document.querySelector(`[data-do=${what}]`).disabled;
  if (may("lease")) document.querySelector("[data-do=lease]").click();
  return may("release") && (left.hidden || left.dataset.live === "live")
    && document.getElementById("speed").textContent !== "—"
    && document.getElementById("border").dataset.look !== "unknown";
}"""
LIVE, UNKNOWN = "live", "—"
Said = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clock:
    """Lays the page's time upon this computer's.

    Attributes:
        offset_ms: to be added to the page's. within_ms: how far wrong that may be.
    """

    offset_ms: float
    within_ms: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that is done, and what the page must then say.

    Attributes:
        does: breaks it and returns the time just before, monotonic ns, and what mends it.
        said: what must come. stays: what must not change meanwhile. cameras: that it needs.
    """

    does: Callable[[Cockpit], tuple[int, Callable[[], None]]]
    said: Callable[[Said], bool]
    limit_ms: float
    stays: Callable[[Said], bool] = lambda _said: True
    cameras: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """How long it took until the page said so, ms, and whether what must not change did."""

    ms: float
    disturbed: bool = False


class TrialFailed(RuntimeError):
    """Raised when the page did not say what it must; one line."""


def paused(name: str) -> Callable[[Cockpit], tuple[int, Callable[[], None]]]:
    """Return what pauses a process."""

    def does(made: Cockpit) -> tuple[int, Callable[[], None]]:
        pid = made.running.pid(name)
        at_ns = monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        return at_ns, lambda: os.kill(pid, signal.SIGCONT)

    return does


def repeated(made: Cockpit) -> tuple[int, Callable[[], None]]:
    """Let the main camera deliver its last picture over and over."""
    at_ns, goes_on = paused("camera")(made)
    repeater = Repeater(made.running.plan.buffer(0))

    def mend() -> None:
        repeater.end()
        goes_on()

    return at_ns, mend


TRIALS: Mapping[str, Trial] = {
    "frozen": Trial(paused("media"), lambda said: said["main"] != LIVE, FROZEN_MS),
    "repeated": Trial(repeated, lambda said: said["main"] != LIVE, FROZEN_MS),
    "mirror": Trial(
        paused("camera-left"),
        lambda said: said["left"] != LIVE,
        FROZEN_MS,
        stays=lambda said: said["main"] == LIVE,
        cameras=3,
    ),
    "silent": Trial(
        paused("guardian"),
        lambda said: said["speed"] == UNKNOWN and said["border"] == "unknown",
        STATE_MS,
    ),
}


def clock_of(made: Cockpit) -> Clock:
    """Return the page's clock, by the quickest of some questions."""
    found = []
    for _ in range(CLOCK_TRIES):
        before_ns = monotonic_ns()
        page_ms = float(made.page.evaluate("performance.now()"))
        after_ns = monotonic_ns()
        half_ms = (after_ns - before_ns) / 2e6
        found.append(Clock(before_ns / 1e6 + half_ms - page_ms, half_ms))
    return min(found, key=lambda clock: clock.within_ms)


def paintings(made: Cockpit) -> list[tuple[float, float, Said | None]]:
    """Return when the page painted since last asked, how long after the one before, both ms, and
    what it said where that was new.
    """
    return [(at, gap, said) for at, gap, said in made.page.evaluate("painted.splice(0)")]


def well(made: Cockpit) -> None:
    """Wait until control is taken and everything is shown, and a moment longer."""
    made.wait_live()
    made.page.wait_for_function(WELL, timeout=WELL_WITHIN_S * 1000)
    made.running.wait(SETTLES_S)


def sample(made: Cockpit, trial: Trial, clock: Clock, phase_s: float) -> Seen:
    """Do it once; return what was seen.

    Raises:
        TrialFailed: the page did not say what it must.
    """
    well(made)
    made.running.wait(phase_s)
    paintings(made)
    at_ns, mend = trial.does(made)
    said: list[tuple[float, Said]] = []

    def seen() -> bool:
        for at_ms, _, words in paintings(made):
            told_ms = at_ms + clock.offset_ms - at_ns / 1e6
            if words is not None and told_ms > 0:
                said.append((told_ms, words))
        return any(trial.said(words) for _, words in said)

    try:
        made.running.until(seen, SEEN_WITHIN_S, "the page to say so")
    except TimeoutError as error:
        raise TrialFailed(f"{error}; it said {said}") from error
    finally:
        mend()
    took_ms = next(told_ms for told_ms, words in said if trial.said(words))
    return Seen(took_ms, not all(trial.stays(words) for _, words in said))


def gpu_killed(made: Cockpit, phase_s: float) -> float:
    """Kill the process that draws; return the longest time without a painting after it, ms.

    Raises:
        TrialFailed: the page did not come to paint again.
    """
    well(made)
    made.running.wait(phase_s)
    paintings(made)
    made.kill_gpu()
    made.running.wait(PAINTS_AGAIN_S)
    gaps = [gap for _, gap, _ in paintings(made)]
    if not gaps:
        raise TrialFailed("the page painted no more")
    return max(gaps)


def loaded(made: Cockpit) -> float:
    """Load the page; return the time until its live picture, ms.

    Raises:
        TrialFailed: it asked another address, or broke a rule of its policy.
    """
    elsewhere: list[str] = []

    def asked(request: Request) -> None:
        if urlsplit(request.url).hostname != HOST:
            elsewhere.append(request.url)

    made.page.on("request", asked)
    at_ns = monotonic_ns()
    made.reload()
    took_ms = (monotonic_ns() - at_ns) / 1e6
    made.page.remove_listener("request", asked)
    broken = made.page.evaluate("broken")
    if elsewhere or broken:
        raise TrialFailed(f"asked of others: {elsewhere}; refused by the policy: {broken}")
    return took_ms


def row(name: str, found: Sequence[Seen], limit_ms: float) -> dict[str, Any]:
    """Return one trial's figures."""
    figures = percentiles([each.ms for each in found])
    disturbed = sum(each.disturbed for each in found)
    held = figures.max <= limit_ms and not disturbed
    head = {"trial": name, "n": len(found), "limit_ms": limit_ms, "held": held}
    return head | {"disturbed": disturbed} | figures.as_dict()


def rows(number: int) -> tuple[list[dict[str, Any]], Clock]:
    """Return the figures of every trial, and the clock that fits worst."""
    dice = random.Random("screen")
    found, clocks = [], []
    for cameras in sorted({trial.cameras for trial in TRIALS.values()}):
        with cockpit(cameras=cameras, script=WATCH) as made:
            made.hands.instead = Posture(brake=0.0)
            clocks.append(clock_of(made))
            for name, trial in TRIALS.items():
                if trial.cameras == cameras:
                    phases_s = [dice.uniform(0.0, PHASES_S) for _ in range(number)]
                    each = [sample(made, trial, clocks[-1], phase_s) for phase_s in phases_s]
                    found.append(row(name, each, trial.limit_ms))
                    sys.stderr.write(f"{text(found[-1])}\n")
            if cameras == 1:
                took = [Seen(loaded(made)) for _ in range(number)]
                found.append(row("loaded", took, LOADED_MS))
                phases_s = [dice.uniform(0.0, PHASES_S) for _ in range(min(number, GPU_N_MAX))]
                gaps = [Seen(gpu_killed(made, phase_s)) for phase_s in phases_s]
                found.append(row("gpu", gaps, BEAT_MS))
    return found, max(clocks, key=lambda clock: clock.within_ms)


def text(figures: Mapping[str, Any]) -> str:
    """Return a row as a line."""
    parts = "  ".join(f"{name} {figures[name]:7.1f}" for name in ("p50", "p95", "p99", "max"))
    limit = f"limit {figures['limit_ms']:g}" + ("" if figures["held"] else "  NOT HELD")
    disturbed = f"  {figures['disturbed']} disturbed" if figures["disturbed"] else ""
    return f"{figures['trial']:<9} n = {figures['n']:<3} {parts}  {limit}{disturbed}"


def main() -> int:
    """Run the trials; 1 when the page was too late."""
    parser = argparse.ArgumentParser(prog="benchmarks.cockpit_screen", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one of each")
    parser.add_argument("--n", type=int, help=f"of each, {FULL_N} unless told")
    chosen = parser.parse_args()
    try:
        found, clock = rows(chosen.n or (QUICK_N if chosen.quick else FULL_N))
    except (OSError, RuntimeError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        exact = {"clock_within_ms": round(clock.within_ms, 3), "machine": machine_facts()}
        print(json.dumps({"name": "cockpit_screen", "unit": "ms", "rows": found} | exact))
    else:
        print("\n".join(map(text, found)))
    return 0 if all(each["held"] for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
