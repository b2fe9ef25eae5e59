"""A serial box on a pseudo-terminal at the real input process, and at the wizard."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_console.core.desk import DeskSnapshot, Fault
from operator_console.core.desk_layout import KeyDoes, KeyUse, Layout
from operator_console.core.desk_line import decode_snapshot
from operator_console.core.devices import serial_box
from operator_console.shell import calibrate
from operator_console.shell.box_port import BoxDevice, DeskFinder, open_box
from operator_console.shell.calibrate import WatchedBox, WizardEnds, choose_box
from operator_console.shell.clock import monotonic_ns, wait_s
from operator_console.shell.desk_config import DeskPlan
from operator_console.shell.evdev_source import EventSource, Finder
from operator_console.shell.inputd import SEARCH_NS, InputProcess
from operator_console.shell.line_process import line_pair
from tests.console.box_rig import (
    CONFIRM,
    ENABLE_CLOSES,
    ENABLE_OPENS,
    SEAT,
    STOP_OPENS,
    PtyBox,
)
from tests.console.desk_rig import (
    BRAKE,
    PRESSED,
    RELEASED,
    STEER,
    THROTTLE,
    WHEEL_DESK,
    WHEEL_ID,
    PipeSource,
    wheel_source,
)

KEYS = tuple(
    KeyUse(does, "box", bit)
    for does, bit in (
        (KeyDoes.ENABLE_CLOSES, ENABLE_CLOSES),
        (KeyDoes.ENABLE_OPENS, ENABLE_OPENS),
        (KeyDoes.SEAT, SEAT),
        (KeyDoes.STOP_OPENS, STOP_OPENS),
        (KeyDoes.CONFIRM, CONFIRM),
    )
)


TURN_NS = 10_000_000


class OneWheel(Finder):
    """Finds one wheel, on a pipe."""

    def __init__(self, wheel: PipeSource) -> None:
        super().__init__({})
        self._wheel = wheel

    def find(self, wanted: set[str]) -> dict[str, EventSource | Fault]:
        return dict.fromkeys(wanted, self._wheel)


class BoxDesk:
    """The input process with a wheel on a pipe and a box on a pseudo-terminal.

    Attributes:
        speaks: the box sends a line before each snapshot.
        box_ns: the time by which the box is found silent: each turn takes TURN_NS of it.
    """

    def __init__(self) -> None:
        self.ours, self.theirs = line_pair()
        self.wheel, self.box, self.speaks = wheel_source(), PtyBox(), True
        devices = {"wheel": WHEEL_ID, "box": serial_box(str(self.box.path))}
        layout = Layout(WHEEL_DESK.kind, devices, WHEEL_DESK.axes, KEYS)
        self.box_ns = monotonic_ns()
        self.finder = DeskFinder(devices, lambda _: OneWheel(self.wheel), lambda: self.box_ns)
        plan = DeskPlan(layout, grab=True, force=None)
        self.process = InputProcess(plan, self.finder, self.theirs, run=7)

    def turn(self) -> DeskSnapshot:
        """Let the box say a line and the process tell what it asks."""
        self.box_ns += TURN_NS
        if self.speaks:
            self.box.say()
            self.arrive()
        while True:
            self.process.step(monotonic_ns())
            with contextlib.suppress(BlockingIOError):
                return decode_snapshot(self.ours.recv(4096)).snapshot

    def arrive(self) -> None:
        """Wait until the line that was said has come through to the process."""
        device = self.process._devices.get("box")
        if device is not None:
            select.select([device.source], [], [])

    def until_fault(self, fault: Fault) -> DeskSnapshot:
        while (told := self.turn()).fault is not fault:
            pass
        return told

    def until_enable(self, on: bool) -> DeskSnapshot:
        while (told := self.turn()).controls is None or told.controls.enable is not on:
            pass
        return told

    def drive(self) -> None:
        """Prove the pedals and press enable."""
        self.until_fault(Fault.NONE)
        self.wheel.axis(STEER, 30000)
        for code in (THROTTLE, BRAKE):
            for raw in (PRESSED, RELEASED):
                self.turn()
                self.wheel.axis(code, raw)
        self.turn()
        self.box.enable(True)
        self.until_enable(True)


@pytest.fixture
def desk() -> Iterator[BoxDesk]:
    made = BoxDesk()
    yield made
    made.process.close()
    made.ours.close()
    made.theirs.close()
    with contextlib.suppress(OSError):
        made.box.unplug()


def test_enable_of_the_box_pressed_and_let_go__is_told(desk: BoxDesk) -> None:
    desk.drive()
    desk.box.enable(False)

    assert desk.until_enable(False).fault is Fault.NONE


def test_box_goes_silent_with_enable_held__enable_is_off_with_the_reason(desk: BoxDesk) -> None:
    desk.drive()
    desk.speaks = False
    told = desk.until_fault(Fault.SILENT)

    assert (told.controls, told.device) == (None, "box")


def test_box_speaks_again_with_enable_held__enable_must_be_let_go(desk: BoxDesk) -> None:
    desk.drive()
    desk.speaks = False
    desk.until_fault(Fault.SILENT)
    desk.speaks = True
    back = desk.until_fault(Fault.BARRED)
    desk.box.enable(False)
    desk.until_fault(Fault.NONE)
    desk.box.enable(True)

    assert back.controls is not None
    assert not back.controls.enable
    assert desk.until_enable(True).fault is Fault.NONE


def test_box_unplugged_with_enable_held__enable_is_off_and_the_box_is_named(desk: BoxDesk) -> None:
    desk.drive()
    desk.speaks = False
    desk.box.unplug()
    told = desk.until_fault(Fault.ABSENT)
    desk.process._search_ns -= SEARCH_NS
    after = desk.turn()

    assert (told.controls, told.device) == (None, "box")
    assert (after.fault, after.device) == (Fault.ABSENT, "box")


def test_contacts_of_the_box_alike_for_longer_than_a_change__is_a_fault(desk: BoxDesk) -> None:
    desk.drive()
    desk.box.closed.add(ENABLE_OPENS)
    at_once = desk.until_enable(False)
    later = desk.until_fault(Fault.CONTACTS)

    assert at_once.fault is Fault.NONE
    assert later.device == "box"


def test_stop_of_the_box__counts(desk: BoxDesk) -> None:
    desk.drive()
    desk.box.closed.discard(STOP_OPENS)
    while desk.turn().counts.stops == 0:
        pass
    desk.box.closed.add(STOP_OPENS)

    assert desk.turn().counts.stops == 1


def test_port_that_is_not_there__is_absent(tmp_path: Path) -> None:
    assert open_box(tmp_path / "none") is Fault.ABSENT


def test_port_that_is_no_terminal__is_denied(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert open_box(tmp_path / "file") is Fault.DENIED


def test_port_that_another_program_has__is_denied() -> None:
    box = PtyBox()
    device = open_box(box.path)
    again = open_box(box.path)
    assert isinstance(device, BoxDevice)
    device.source.close()
    box.unplug()

    assert again is Fault.DENIED


# ---- at the wizard ------------------------------------------------------------------------


class Folder:
    """A folder of serial lines, one of which leads to a box."""

    def __init__(self, folder: Path) -> None:
        self.box = PtyBox()
        self.folder = folder
        (folder / "usb-a").touch()
        (folder / "usb-b").symlink_to(self.box.path)
        self.asked: list[str] = []
        self.now_ns = monotonic_ns()

    def open(self, path: Path) -> BoxDevice | Fault:
        """Open a line whose time stands but for pauses."""
        return open_box(path, lambda: self.now_ns)

    def choose(self, answer: str) -> dict[str, WatchedBox]:
        def ask(words: str) -> str:
            self.asked.append(words)
            return answer

        return choose_box(ask, self.pause, self.folder)

    def pause(self, _seconds: float) -> None:
        """Let the box speak while somebody waits for it."""
        self.now_ns += 2 * TURN_NS
        self.box.say()
        wait_s(0.02)


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    made = Folder(tmp_path)
    monkeypatch.setattr(calibrate, "open_box", made.open)
    yield made
    made.box.unplug()


def test_line_with_a_box_named__its_contacts_are_told(lines: Folder) -> None:
    box = lines.choose("2")["box"]
    told = box.closed()
    box.close()

    assert lines.asked == [
        "Which serial line has a box of contacts: 1 usb-a, 2 usb-b (without: only Enter)"
    ]
    assert box.path == str(lines.folder / "usb-b")
    assert told == {ENABLE_OPENS, SEAT, STOP_OPENS}


def test_no_line_named__none_is_opened(lines: Folder) -> None:
    assert lines.choose(" ") == {}


def test_no_line_there__nothing_is_asked(tmp_path: Path) -> None:
    assert choose_box(lambda _: "1", wait_s, tmp_path) == {}


@pytest.mark.parametrize(
    ("answer", "words"), [("3", "no line 3"), ("usb-a", "no line usb-a"), ("1", "cannot be opened")]
)
def test_line_that_is_none__is_said(lines: Folder, answer: str, words: str) -> None:
    with pytest.raises(WizardEnds, match=words):
        lines.choose(answer)


def test_line_on_which_nothing_speaks__is_said(
    lines: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "pause", lambda _: None)
    box = lines.choose("2")["box"]
    with pytest.raises(WizardEnds, match="says nothing that a box says"):
        box.closed()
    box.close()


def test_box_unplugged_while_it_is_shown__is_said(lines: Folder) -> None:
    box = lines.choose("2")["box"]
    lines.box.unplug()
    box._thread.join()  # it ends when the port does
    with pytest.raises(WizardEnds, match="the port is gone"):
        box.closed()
    box.close()
    lines.box = PtyBox()
