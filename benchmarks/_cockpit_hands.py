"""Hands, feet and a real page for the cockpit's benchmarks: one driver at a desk that is a FIFO.

The demo's real processes run, the console's desk is a FIFO that the kernel's events are written
into, and Chromium shows the page. The hands look at the machine as it tells of itself, and at the
simulator's truth to steer by; they arm by the desk's own buttons.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import sys
import termios
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright
from playwright.sync_api import Error as PageError

from benchmarks._cockpit_end import (
    BRAKE,
    CENTRE,
    CLOSES,
    CONFIRM,
    GEAR_DOWN,
    GEAR_UP,
    IDENTITY,
    LAYOUT,
    OPENS,
    PRESSED,
    RELEASED,
    STEER,
    STOP,
    THROTTLE,
)
from benchmarks._cockpit_tab import Tab
from benchmarks._console import DRIVING, STOPPED, pose_of
from benchmarks.chains.browser import CHROMIUM, FLAGS
from operator_console.core.evdev import EV_ABS, EV_KEY, EV_SYN, SYN_REPORT, encode_event
from operator_console.shell.desk_config import DeskFile, desk_text
from protocol.profiles import parse_profile
from protocol.state import VehicleMode, VehicleState
from sim import demo
from sim.children import ChildSpec
from sim.faults.rehearsal import Rehearsal, rehearsal
from sim.pursuit import Pursuit, Style
from sim.tied import be_nice
from sim.world.site import load_site

PERIOD_S = 0.02
PEDAL_S = 0.05
"""For how long a pedal is held where it was pressed to, for the proof of its sensor."""
READ_WITHIN_S = 20.0
"""A console that starts anew on a busy computer takes seconds until its desk is read."""
HELD_BRAKE = 0.45
"""While arming; the ladder asks for 30 %."""
ROUND_S, CYCLED_S, CONFIRM_S = 2.4, 0.2, (0.3, 2.0)
"""While the machine is not armed, from each change of its mode: enable once, if it must be shown,
then confirm held, again and again."""
HOLDS_S = 6.0
"""When the machine is armed enable is let go this often, and held again: something may bar it."""
STANDS_MPS = 0.1
UP_CODES = 3
"""1.2 % of the pedal; in 10 ms the truck's limit of 1.5 m/s³ lets 1.5 % of its 1 m/s² through."""
SAW_CODES = 7
NICENESS = -10
"""Of the hands and the page, where this user may ask for it: as of the demo's processes."""
LIVE_WITHIN_MS = 60_000
SMALL = {"width": 640, "height": 360}
"""Of the main camera, where one computer that is machine and cockpit is to carry it for long."""
FILMING = "sim.camera_process"
SIZE = {"width": 1366, "height": 768}


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

    def wait_read(self) -> None:
        """Wait until everything that was written is read.

        Raises:
            TimeoutError: nobody reads.
        """
        for _ in range(round(READ_WITHIN_S / PEDAL_S)):
            waiting = fcntl.ioctl(self._into, termios.FIONREAD, b"\0" * 4)
            if int.from_bytes(waiting, sys.byteorder) == 0:
                return
            time.sleep(PEDAL_S)
        raise TimeoutError(f"nobody read the desk within {READ_WITHIN_S:g} s")

    def sweep(self) -> None:
        """Move the wheel, press and let go of both pedals."""
        self.report((EV_ABS, STEER, CENTRE))
        for code in (THROTTLE, BRAKE):
            for raw in (RELEASED, PRESSED, RELEASED):
                self.report((EV_ABS, code, raw))
                time.sleep(PEDAL_S)

    def prepare(self) -> None:
        """Prove wheel and pedals, then hold enable."""
        self.sweep()
        self.report((EV_KEY, OPENS, 0), (EV_KEY, CLOSES, 1))


def raw_of(steer: int) -> int:
    """Return the wheel's code for a steering in 1e-4 of full lock."""
    return round(CENTRE - steer * CENTRE / 10_000)


def pedal(share: float) -> int:
    """Return a pedal's code."""
    return round(RELEASED + (PRESSED - RELEASED) * share)


def share_of(code: int) -> float:
    """Return what a pedal's code asks."""
    return (RELEASED - code) / (RELEASED - PRESSED)


@dataclass(slots=True)
class Posture:
    """What every control is to be."""

    steer: float = 0.0
    throttle: float = 0.0
    brake: float = HELD_BRAKE
    enable: bool = False
    confirm: bool = False
    gear_up: bool = False
    gear_down: bool = False
    stop: bool = False

    def codes(self) -> dict[tuple[int, int], int]:
        """Return the kernel's codes."""
        return {
            (EV_ABS, STEER): raw_of(round(self.steer * 10_000)),
            (EV_ABS, THROTTLE): pedal(self.throttle),
            (EV_ABS, BRAKE): pedal(self.brake),
            (EV_KEY, CLOSES): int(self.enable),
            (EV_KEY, OPENS): int(not self.enable),
            (EV_KEY, CONFIRM): int(self.confirm),
            (EV_KEY, GEAR_UP): int(self.gear_up),
            (EV_KEY, GEAR_DOWN): int(self.gear_down),
            (EV_KEY, STOP): int(self.stop),
        }


@dataclass(slots=True)
class Marks:
    """Throttle moves at random moments: a saw of a few codes upon what the way asks.

    Between two of them the throttle stands, and a code comes again only with the saw's next tooth
    or where the way asks for less. Upwards it moves by no more than what the machine's own limit of
    jerk lets through at once, so that the by-wire frame which carries a move carries its very code.

    Attributes:
        apart_s: between two of them.
        written: when each was written, monotonic ns, and its code.
    """

    apart_s: tuple[float, float]
    written: list[tuple[int, int]] = field(default_factory=list)
    code: int = RELEASED
    step: int = 0
    due_s: float = 0.0

    def move(self, wished: int) -> None:
        """Go towards the wished code and the saw's next step, and never stay."""
        self.step = (self.step + 1) % SAW_CODES
        pressed = max(wished - self.step, self.code - UP_CODES, PRESSED)
        self.code = pressed if pressed != self.code else min(pressed + 1, RELEASED - 1)


class Hands(threading.Thread):
    """The driver's hands, in a thread of their own.

    Attributes:
        throttle: asked while driving in place of what the way asks; None leaves it to that.
        stop: the desk's STOP is held.
        instead: what every control is to be, in place of arming and driving.
        marks: throttle moves to be made while driving; None for none.
    """

    def __init__(self, running: Rehearsal, fifo: Path, pursuit: Pursuit) -> None:
        super().__init__(name="hands", daemon=True)
        self.throttle: float | None = None
        self.stop = False
        self.instead: Posture | None = None
        self.marks: Marks | None = None
        self._running, self._fifo, self._pursuit = running, fifo, pursuit
        self._ending = threading.Event()
        self._plugged = threading.Lock()
        self._hand: Hand | None = None
        self._into = -1
        self._held: dict[tuple[int, int], int] = {}
        self._mode: tuple[VehicleMode | None, float] = (None, 0.0)
        self._dice = random.Random(1)

    # ---- the plug ----------------------------------------------------------------------

    def plug(self) -> None:
        """Plug the desk in, and prove its pedals."""
        with self._plugged:
            self._into = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK)
            self._hand = Hand(self._into)
            self._hand.report((EV_ABS, STEER, CENTRE))
            self._hand.wait_read()  # it is looked for each half second
            self._hand.sweep()
            self._held.clear()  # of what was written before it was found, nothing is held now

    def unplug(self) -> int:
        """Pull the plug; return the time just before."""
        with self._plugged:
            at_ns = time.monotonic_ns()
            self._hand = None
            os.close(self._into)
        return at_ns

    def press_stop(self) -> int:
        """Press the desk's STOP and hold it; return the time just before."""
        with self._plugged:
            self.stop = True
            self._held[EV_KEY, STOP] = 1
            if self._hand is None:
                raise RuntimeError("the desk is not plugged in")
            return self._hand.report((EV_KEY, STOP, 1))

    # ---- the hands ---------------------------------------------------------------------

    def end(self) -> None:
        """Let go of everything."""
        self._ending.set()
        self.join()
        if self._hand is not None:
            self.unplug()

    def run(self) -> None:
        """Move until ended."""
        due_s = time.monotonic()
        while not self._ending.wait(max(0.0, min(due_s, self._next_mark()) - time.monotonic())):
            now_s = time.monotonic()
            if now_s >= due_s:
                due_s = max(due_s + PERIOD_S, now_s)
                self._move(self._posture(now_s))
            elif now_s >= self._next_mark():
                self._touch(now_s)

    def _next_mark(self) -> float:
        return float("inf") if self.marks is None else self.marks.due_s

    def _touch(self, now_s: float) -> None:
        """Move the throttle, while the way asks for it."""
        marks = self.marks
        assert marks is not None
        marks.due_s = now_s + self._dice.uniform(*marks.apart_s)
        state, truth = self._state, self._running.seen.truth
        if state is None or state.gear != 1 or not self._drives:
            return
        wished = self._pursuit.controls(pose_of(truth)).throttle
        if wished == 0.0:
            marks.code = RELEASED
            return
        marks.move(pedal(wished))
        at_ns = self._move(self._posture(now_s))
        if at_ns is not None:
            marks.written.append((at_ns, marks.code))

    def _move(self, posture: Posture) -> int | None:
        """Write what is to change; return when it was written, None for nothing."""
        codes = posture.codes()
        with self._plugged:  # a plug that is put in meanwhile holds nothing yet
            changed = [(*each, at) for each, at in codes.items() if self._held.get(each) != at]
            if self._hand is None or not changed:
                return None
            self._held = codes
            try:
                return self._hand.report(*changed)
            except BlockingIOError:  # nobody reads
                return None

    @property
    def _state(self) -> VehicleState | None:
        return self._running.seen.state

    @property
    def _drives(self) -> bool:
        state = self._state
        return state is not None and state.mode in DRIVING

    def _posture(self, now_s: float) -> Posture:
        posture = self.instead or self._wished(now_s)
        return replace(posture, stop=self.stop)

    def _wished(self, now_s: float) -> Posture:
        state, truth = self._state, self._running.seen.truth
        if state is None or not truth:
            return Posture()
        if self._drives:
            return self._driving(state, truth, now_s)
        steer = state.steer_measured or 0.0
        if state.mode is not self._mode[0]:
            self._mode = state.mode, now_s
        since_s = now_s - self._mode[1]
        if state.mode is VehicleMode.ARMED:
            return self._armed(state, steer, since_s)
        within_s = since_s % ROUND_S
        leased = state.mode is VehicleMode.LEASED
        first_s, last_s = CONFIRM_S
        return Posture(
            steer, enable=leased and within_s < CYCLED_S, confirm=first_s < within_s < last_s
        )

    def _armed(self, state: VehicleState, steer: float, since_s: float) -> Posture:
        if "B102" in state.blockers:  # enable was lost at a standstill, with the gear in drive
            return Posture(steer, gear_down=since_s % 0.4 < 0.2)
        opens = since_s % HOLDS_S < CYCLED_S
        return Posture(steer, enable="D102" not in state.blockers and not opens)

    def _driving(self, state: VehicleState, truth: dict[str, Any], now_s: float) -> Posture:
        pose = pose_of(truth)
        wish = self._pursuit.controls(pose)
        if state.gear != 1 and abs(pose.speed_mps) < STANDS_MPS:
            return Posture(wish.steer, enable=True, gear_up=now_s % 0.4 < 0.2)
        if self.throttle is not None:
            return Posture(wish.steer, self.throttle, 0.0, enable=True)
        throttle = wish.throttle
        if self.marks is not None:
            throttle = share_of(self.marks.code)
        return Posture(wish.steer, throttle, wish.brake, enable=True)


class Cockpit:
    """Machine, console, page and hands.

    Attributes:
        running: the processes, seen from outside. page: in Chromium. tab: in place of it.
    """

    def __init__(self, running: Rehearsal, hands: Hands, browser: Browser) -> None:
        self.running, self.hands, self._browser = running, hands, browser
        self.page: Page
        self.cdp: CDPSession
        self.tab: Tab
        self._context: BrowserContext | None = None

    def open_page(self, script: str = "", query: str = "") -> None:
        """Open the page in a window, in place of the one before, and wait for its picture."""
        self.close_page()
        self.page = self._window()
        self._context = self.page.context
        self.cdp = self._context.new_cdp_session(self.page)
        if script:
            self.page.add_init_script(script)
        self.page.goto(self._address(f"?{query}&" if query else "?"))
        self.wait_live()

    def close_page(self) -> None:
        """Close its window, whatever became of it."""
        if self._context is not None:
            with contextlib.suppress(PageError):  # its process was killed
                self._context.close()
            self._context = None

    def beside(self, path: str) -> Page:
        """Open another of the console's pages in a window of its own; the path ends in ? or &."""
        page = self._window()
        page.goto(self._address(path))
        return page

    def _window(self) -> Page:
        return self._browser.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]

    def _address(self, path: str) -> str:
        head, _, token = demo.page_url(self.running.plan).partition("?")
        return f"{head}{path}{token}"

    def leave_alone(self) -> None:
        """Show the page in a tab that nothing is attached to, in place of the page."""
        self.close_page()
        self.tab = Tab(self._browser, demo.page_url(self.running.plan), SIZE)

    def reload(self) -> None:
        """Open the page in its tab once more, and wait for its picture."""
        self.page.goto(demo.page_url(self.running.plan))
        self.wait_live()

    def renderer_pid(self) -> int:
        """Return the process that runs and draws the page: the renderer of most CPU time.

        Raises:
            RuntimeError: there is none.
        """
        renderers = [each for each in self._processes() if each["type"] == "renderer"]
        if not renderers:
            raise RuntimeError("no renderer runs")
        return int(max(renderers, key=lambda each: float(each["cpuTime"]))["id"])

    def kill_gpu(self) -> None:
        """Kill the browser's process that puts pages on the screen."""
        session = self._browser.new_browser_cdp_session()
        session.send("Browser.crashGpuProcess")
        session.detach()

    def prefer_browser(self) -> None:
        """Prefer the browser's session to other work, where this user may."""
        for each in self._processes():
            with contextlib.suppress(OSError):
                Path(f"/proc/{each['id']}/autogroup").write_text(f"{NICENESS}", encoding="ascii")

    def _processes(self) -> list[dict[str, Any]]:
        session = self._browser.new_browser_cdp_session()
        found: list[dict[str, Any]] = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        return found

    def wait_live(self) -> None:
        """Wait for the live picture."""
        self.page.wait_for_selector("#stage[data-live=live]", timeout=LIVE_WITHIN_MS)

    def drive(self, speed_mps: float, within_s: float = 60.0) -> None:
        """Let the hands arm the machine and drive until it is that fast, without brake.

        Raises:
            TimeoutError: it did not come to that; says what the page asks for.
        """
        running = self.running

        def rolls() -> bool:
            state = running.seen.state
            drives = state is not None and state.mode in DRIVING
            return drives and running.speed_mps > speed_mps and running.rolls_free

        try:
            running.until(rolls, within_s, "driving")
        except TimeoutError as error:
            raise TimeoutError(
                f"{error}; the page: {self.page.inner_text('#step-card')}"
            ) from error

    @property
    def mode(self) -> VehicleMode | None:
        """The machine's, as it says."""
        state = self.running.seen.state
        return None if state is None else state.mode

    @property
    def gear(self) -> int | None:
        """The machine's, as it says."""
        state = self.running.seen.state
        return None if state is None else state.gear

    @property
    def stopped(self) -> bool:
        """The machine says that a stop has latched."""
        return self.mode in STOPPED


def _settings(plan: demo.Plan) -> None:
    """Give the console a desk: its file is read, and the FIFO is what is there."""
    desk = DeskFile.model_validate(
        {
            "kind": "wheel",
            "devices": {
                "desk": {
                    name: getattr(IDENTITY, name)
                    for name in ("bus", "vendor", "product", "port", "capabilities")
                }
            },
            "axes": [
                {
                    "does": use.does.value,
                    "device": use.device,
                    "code": use.axis.code,
                    "zero": use.axis.zero,
                    "full": use.axis.full,
                    "other": use.axis.other,
                    "valid": (use.axis.valid_low, use.axis.valid_high),
                }
                for use in LAYOUT.axes
            ],
            "keys": [
                {"does": use.does.value, "device": use.device, "code": use.code}
                for use in LAYOUT.keys
            ],
        }
    )
    (plan.run / "desk.toml").write_text(desk_text(desk), encoding="utf-8")
    os.mkfifo(plan.run / "hands")
    settings = tomllib.loads(plan.console_config.read_text(encoding="utf-8"))
    settings["desk"] = {"file": str(plan.run / "desk.toml")}
    plan.console_config.write_text(demo.toml_text(settings), encoding="utf-8")


def _small_settings(plan: demo.Plan) -> None:
    _settings(plan)
    settings = tomllib.loads(plan.agent_config.read_text(encoding="utf-8"))
    settings["cameras"][0].update(SMALL)
    plan.agent_config.write_text(demo.toml_text(settings), encoding="utf-8")


def _amended(plan: demo.Plan, spec: ChildSpec, *, small: bool, filmed: bool) -> ChildSpec:
    words = list(spec.command)
    if filmed and FILMING in words:
        words[words.index(FILMING)] = "benchmarks._cockpit_film"
    if small and spec.name == "camera":
        for name, pixels in SMALL.items():
            words[words.index(f"--{name}") + 1] = f"{pixels}"
    spec = replace(spec, command=tuple(words))
    if spec.name != "console":
        return spec
    python, *_ = spec.command
    files = ("--config", plan.console_config, "--fifo", plan.run / "hands")
    left = ("--left", plan.run / "left.json")
    module = (python, "-m", "benchmarks._cockpit_console")
    return replace(spec, command=(*module, *map(str, (*files, *left))))


@contextmanager
def cockpit(
    *,
    cameras: int = 1,
    style: Style | None = None,
    script: str = "",
    preferred: bool = True,
    small: bool = False,
    filmed: bool = False,
) -> Iterator[Cockpit]:
    """Run all of it for the time of the block; the machine stands, and its picture is shown.

    Args:
        cameras: how many, as the demo has them. style: of driving.
        script: runs in the page before its own.
        preferred: to other work on this computer, where this user may ask for it.
        small: the main camera gives 640×360 at 30 a second, in place of 1280×720.
        filmed: cameras play a short piece of the way in place of drawing, see ``_cockpit_film``.
    """
    with rehearsal(
        prepare=_small_settings if small else _settings,
        amend=partial(_amended, small=small, filmed=filmed),
        both_paths=True,
        cameras=cameras,
        niceness=NICENESS if preferred else 0,
    ) as running:
        plan = running.plan
        profile = parse_profile(plan.machine.read_text(encoding="utf-8"), str(plan.machine))
        pursuit = Pursuit(load_site(plan.site), profile.limits, style)
        hands = Hands(running, plan.run / "hands", pursuit)
        if preferred:
            be_nice(NICENESS)
        hands.plug()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            made = Cockpit(running, hands, browser)
            if preferred:
                made.prefer_browser()
            try:
                made.open_page(script)
                hands.start()
                yield made
            finally:
                if hands.is_alive():
                    hands.end()
                with contextlib.suppress(Exception):
                    browser.close()
