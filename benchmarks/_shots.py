"""Pictures of the cockpit, of a real demo driven at a desk: ``python -m benchmarks._shots DIR``.

Each is what a driver, a supervisor or an engineer sees at that moment; nothing is painted in. The
hands are those of the cockpit's benchmarks. A picture is taken from the browser's side, so that the
page is not held up by it.
"""

from __future__ import annotations

import base64
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page

from benchmarks._cockpit_hands import HELD_BRAKE, Cockpit, Posture, cockpit
from protocol.state import VehicleMode
from sim.pursuit import Style

SMALL, FULL = (1366, 768), (1920, 1080)
SPEED_MPS, UNDER_WAY_MPS = 2.5, 1.5
DRIVES_WITHIN_S, TURNS_WITHIN_S = 120.0, 30.0
LOOK_S, SIT_S, CHARTS_S, ALONE_S = 0.7, 4.0, 20.0, 3.5
REVERSE, STANDS_MPS, TRIES = -1, 0.05, 3
BACK_MPS, BACK_THROTTLE = 0.4, 0.7
SCREENS = ("wing-left", "main", "wing-right")


@dataclass(frozen=True, slots=True)
class Camera:
    """Takes pictures of pages into a folder."""

    made: Cockpit
    folder: Path

    def take(self, name: str, page: Page | None = None) -> None:
        """Take one of a page, by default the driver's."""
        page = page or self.made.page
        self.made.running.wait(LOOK_S)
        session = page.context.new_cdp_session(page)
        taken = session.send("Page.captureScreenshot", {"optimizeForSpeed": True})
        session.detach()
        (self.folder / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def take_driving(self, name: str, size: tuple[int, int] = SMALL) -> None:
        """Take one of the driver's page while the machine is under way, in a size."""
        self.made.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
        self.take(name)


def shoot(folder: Path) -> None:
    """Drive the demo once and take every picture.

    Raises:
        TimeoutError: the machine did not do what a picture needs.
    """
    with cockpit(style=Style(speed_mps=SPEED_MPS)) as made:
        camera = Camera(made, folder)
        _refused(made, camera)
        camera.take_driving("driving")
        camera.take_driving("driving-1080p", FULL)
        with _key(made, "KeyN"):
            camera.take_driving("night")
        with _key(made, "KeyG"):
            camera.take_driving("chinese")
            camera.take_driving("chinese-1080p", FULL)
        _degraded(made, camera)
        _beside(made, camera)
        _stopped(made, camera)
    with cockpit(cameras=2, style=Style(speed_mps=SPEED_MPS), small=True) as made:
        _reverse(made, Camera(made, folder))
    with cockpit(cameras=4) as made:
        _screens(made, Camera(made, folder))


def _refused(made: Cockpit, camera: Camera) -> None:
    """Ask to arm with the throttle pressed: the refusal names it."""
    hands, running = made.hands, made.running
    hands.instead = Posture(brake=0.0)
    camera.take("standby")
    hands.instead = Posture(confirm=True)
    running.until(lambda: made.mode is VehicleMode.LEASED, TURNS_WITHIN_S, "the lease")
    hands.instead = Posture(brake=0.0)
    running.wait(LOOK_S)
    hands.instead = Posture(throttle=0.15, brake=HELD_BRAKE, confirm=True)
    running.wait(SIT_S)
    camera.take("arming-refused")
    hands.instead = None


@contextmanager
def _key(made: Cockpit, key: str) -> Iterator[None]:
    """Press a key before and after."""
    made.page.keyboard.press(key)
    yield
    made.page.keyboard.press(key)


def _degraded(made: Cockpit, camera: Camera) -> None:
    """One of both paths is silent."""
    made.page.set_viewport_size({"width": SMALL[0], "height": SMALL[1]})
    made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
    made.running.signal("broker", signal.SIGSTOP)
    try:
        made.running.wait(ALONE_S)
        camera.take("degraded")
    finally:
        made.running.signal("broker", signal.SIGCONT)


def _screens(made: Cockpit, camera: Camera) -> None:
    """All cameras on one screen, and on three: the driver's page has the middle one for itself.

    The machine stands: a small computer that is machine and cockpit at once does no more.
    """
    made.hands.instead = Posture(brake=0.0)
    camera.take("four-cameras")
    made.open_page(query="screen=main")
    wings = [made.beside(f"wing?side={side}&") for side in ("left", "right")]
    made.running.wait(SIT_S)
    for name, page in zip(SCREENS, (wings[0], made.page, wings[1]), strict=True):
        camera.take(name, page)
    pictures = [cv2.imread(str(camera.folder / f"{name}.png")) for name in SCREENS]
    whole = np.hstack([each for each in pictures if each is not None])
    cv2.imwrite(str(camera.folder / "three-screens.png"), whole)


def _beside(made: Cockpit, camera: Camera) -> None:
    for name in ("engineer", "supervisor"):
        page = made.beside(f"{name}?")
        made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
        made.running.wait(CHARTS_S if name == "engineer" else SIT_S)
        camera.take(name, page)
        page.close()


def _stopped(made: Cockpit, camera: Camera) -> None:
    """The desk's plug is pulled, and then the picture stands."""
    made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
    made.hands.unplug()
    camera.take("stopping")
    made.running.until(lambda: made.stopped, TURNS_WITHIN_S, "stop latched")
    camera.take("stopped")
    made.hands.plug()
    made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
    made.running.signal("media", signal.SIGSTOP)
    try:
        camera.take("no-live-image")
        made.running.until(lambda: made.stopped, TURNS_WITHIN_S, "stop latched")
    finally:
        made.running.signal("media", signal.SIGCONT)


def _reverse(made: Cockpit, camera: Camera) -> None:
    """Roll backwards; where enable is lost at the standstill before, once more from the start."""
    for tries_left in reversed(range(TRIES)):
        try:
            _roll_back(made)
        except TimeoutError:
            if not tries_left:
                raise
            made.hands.instead = None
        else:
            break
    made.wait_live()
    camera.take("reverse")
    made.hands.instead = None


def _has_gear(made: Cockpit, gear: int) -> bool:
    return made.gear == gear


def _roll_back(made: Cockpit) -> None:
    hands, running = made.hands, made.running
    made.drive(UNDER_WAY_MPS, DRIVES_WITHIN_S)
    hands.instead = Posture(enable=True)
    running.until(lambda: abs(running.speed_mps) < STANDS_MPS, TURNS_WITHIN_S, "standstill")
    for gear in (0, REVERSE):
        hands.instead = Posture(enable=True, gear_down=True)
        running.wait(LOOK_S)
        hands.instead = Posture(enable=True)
        running.wait(LOOK_S)
        running.until(partial(_has_gear, made, gear), TURNS_WITHIN_S, f"gear {gear}")
    hands.instead = Posture(throttle=BACK_THROTTLE, brake=0.0, enable=True)
    running.until(lambda: running.speed_mps < -BACK_MPS, TURNS_WITHIN_S, "rolling back")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    shoot(folder)
