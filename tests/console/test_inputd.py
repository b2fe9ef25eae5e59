"""The input process against pipes of kernel events: whole reports, lost events, pulled plugs."""

from __future__ import annotations

import dataclasses
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_console.core.desk import Fault, Feedback
from operator_console.core.desk_line import Dated, decode_snapshot, encode_feedback
from operator_console.core.devices import Identity
from operator_console.core.evdev import EV_ABS, EV_FF, EV_KEY, EV_SYN, SYN_REPORT, Controls
from operator_console.core.force import FF_AUTOCENTRE, FF_CONSTANT, FF_SPRING, Pull
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.desk_config import DeskPlan, ForceUse
from operator_console.shell.evdev_source import EventSource, Finder
from operator_console.shell.force_out import FF_GAIN, ForceOut
from operator_console.shell.input_device import InputDevice
from operator_console.shell.inputd import SEARCH_NS, InputProcess
from operator_console.shell.line_process import line_pair
from tests.console.desk_rig import (
    BOX_ID,
    BRAKE,
    CLOSES,
    LEFT,
    OPENS,
    PRESSED,
    RELEASED,
    STEER,
    STOP,
    THROTTLE,
    WHEEL_DESK,
    WHEEL_ID,
    PipeSource,
    Shelf,
    box_source,
    wheel_source,
)

NEVER_NS = 1 << 62

PLAN = DeskPlan(WHEEL_DESK, grab=True, force=ForceUse("wheel", 0.3, reversed=False))


class InputRig:
    """An input process in this one, its devices on pipes, its line in the test's hand."""

    def __init__(self) -> None:
        self.ours, theirs = line_pair()
        self.theirs = theirs
        self.wheel = wheel_source(effects=frozenset({FF_CONSTANT}))
        self.box = box_source()
        self.shelf = Shelf({"wheel": self.wheel, "box": self.box})
        self.process = InputProcess(PLAN, self.shelf, theirs, run=7)
        self.process._check_ns = NEVER_NS
        self.heard: list[Dated] = []

    def turn(self) -> Dated:
        """Let the process work until it has told once more; return that."""
        while True:
            self.process.step(monotonic_ns())
            before = len(self.heard)
            self.take()
            if len(self.heard) > before:
                self.process._check_ns = NEVER_NS
                return self.heard[-1]

    def take(self) -> None:
        try:
            while True:
                self.heard.append(decode_snapshot(self.ours.recv(4096)))
        except BlockingIOError:
            return

    def prove(self) -> None:
        self.wheel.axis(STEER, 30000)
        for code in (THROTTLE, BRAKE):
            for raw in (PRESSED, RELEASED):
                self.turn()
                self.wheel.axis(code, raw)
        self.turn()

    def search(self) -> None:
        """Let the time pass after which devices are looked for."""
        self.process._search_ns -= SEARCH_NS

    def check(self) -> None:
        """Let the devices be asked for their state in the next turn; by itself it is never time."""
        self.process._check_ns = 0


@pytest.fixture
def rig() -> Iterator[InputRig]:
    made = InputRig()
    yield made
    made.process.close()
    made.ours.close()
    made.theirs.close()


def test_desk_with_its_devices__tells_with_number_run_and_time(rig: InputRig) -> None:
    first, second = rig.turn(), rig.turn()

    assert (first.run, first.sequence, second.sequence) == (7, 1, 2)
    assert first.snapshot.fault is Fault.NONE
    assert 0 < first.at_us <= second.at_us <= monotonic_ns() // 1000
    assert rig.wheel.grabbed


def test_event__is_told_at_once_with_its_own_time(rig: InputRig) -> None:
    rig.turn()
    rig.wheel.axis(STEER, LEFT, at_us=1234)
    told = rig.turn()

    assert told.event_us == 1234
    assert told.snapshot.controls is not None
    assert told.snapshot.controls.steer == 1.0


def test_report_that_has_not_ended__is_not_told(rig: InputRig) -> None:
    rig.turn()
    rig.wheel.events((EV_ABS, STEER, LEFT))
    halfway = rig.turn()
    rig.wheel.events((EV_SYN, SYN_REPORT, 0))
    whole = rig.turn()

    assert halfway.snapshot.controls is not None
    assert whole.snapshot.controls is not None
    assert (halfway.snapshot.controls.steer, whole.snapshot.controls.steer) == (0.0, 1.0)


def test_wheel_unplugged_at_60_percent_throttle__enable_is_off_with_the_reason(
    rig: InputRig,
) -> None:
    rig.prove()
    rig.box.events((EV_KEY, CLOSES, 1), (EV_KEY, OPENS, 0), (EV_SYN, SYN_REPORT, 0))
    rig.wheel.axis(THROTTLE, 102)
    driving = rig.turn().snapshot.controls
    while driving is None or not driving.enable or driving.throttle < 0.5:
        driving = rig.turn().snapshot.controls
    rig.wheel.unplug()
    lost = rig.turn().snapshot

    assert lost.controls is None
    assert (lost.fault, lost.device) == (Fault.ABSENT, "wheel")


def test_device_that_dies_without_a_word__is_found_out_by_asking_it(rig: InputRig) -> None:
    rig.turn()
    rig.box.gone = True
    rig.check()
    lost = rig.turn().snapshot
    rig.box.gone = False

    assert (lost.fault, lost.device) == (Fault.ABSENT, "box")


def test_wheel_plugged_in_again__pedals_must_be_proven_anew(rig: InputRig) -> None:
    rig.prove()
    rig.wheel.unplug()
    rig.turn()
    rig.wheel = wheel_source(effects=frozenset({FF_CONSTANT}))
    rig.shelf.sources["wheel"] = rig.wheel
    rig.search()
    back = rig.turn().snapshot

    assert back.fault is Fault.NONE
    assert back.unproven == ("throttle:press", "brake:press", "steering:move")


def test_events_dropped__nothing_counts_until_the_state_is_read_anew(rig: InputRig) -> None:
    rig.turn()
    rig.wheel.drop()
    rig.wheel.events((EV_ABS, STEER, 1))
    torn = rig.turn().snapshot
    rig.wheel.kernel_takes(EV_ABS, STEER, LEFT)
    rig.wheel.events((EV_SYN, SYN_REPORT, 0))
    rig.check()
    healed = rig.turn().snapshot

    assert (torn.controls, torn.fault, torn.device) == (None, Fault.TORN, "wheel")
    assert healed.controls is not None
    assert healed.controls.steer == 1.0


def test_flood_of_events__the_state_is_the_kernels_and_no_stop_is_missed(rig: InputRig) -> None:
    rig.turn()
    for raw in range(20_000, 20_400):
        rig.wheel.axis(STEER, raw)
    rig.box.key(STOP, True)
    rig.box.key(STOP, False)
    while rig.turn().snapshot.counts.stops == 0:
        pass
    while rig.wheel.read():
        rig.process.step(monotonic_ns())
    rig.check()
    rig.turn()
    state = rig.process._devices["wheel"].state

    assert isinstance(state, Controls)
    assert state.axes == rig.wheel.kept_axes


def test_console_gone__the_process_ends(rig: InputRig) -> None:
    rig.turn()
    rig.ours.close()
    rig.process.run()

    with pytest.raises(OSError, match="Bad file descriptor"):
        rig.wheel.read()


def test_console_takes_nothing__snapshots_are_dropped_and_never_wait(rig: InputRig) -> None:
    while rig.process.unsent == 0:
        rig.process.step(monotonic_ns())
    rig.take()

    assert rig.heard[0].sequence == 1
    assert rig.turn().sequence > len(rig.heard)


def test_device_that_cannot_be_grabbed__is_not_used(
    rig: InputRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(rig.box, "grab", busy)

    assert rig.turn().snapshot.fault is Fault.DENIED
    rig.box = box_source()


def test_machine_driven_with_enable__the_wheel_is_pulled_and_let_go_at_the_end(
    rig: InputRig,
) -> None:
    rig.prove()
    rig.box.events((EV_KEY, CLOSES, 1), (EV_KEY, OPENS, 0), (EV_SYN, SYN_REPORT, 0))
    while not rig.wheel.uploaded:
        feedback = Feedback(monotonic_ns(), 1.0, 0.5, True, True, 20.0)
        rig.ours.send(encode_feedback(feedback))
        rig.turn()
    rig.process.close()

    assert int.from_bytes(rig.wheel.uploaded[0][16:18], "little", signed=True) > 0
    assert rig.wheel.uploaded[-1][16:18] == bytes(2)
    assert rig.wheel.said[-1] == (EV_FF, 0, 0)
    assert rig.wheel.erased == [0]


# ---- one device ---------------------------------------------------------------------------


def test_state_that_events_missed__is_healed_and_counted() -> None:
    source = wheel_source()
    device = InputDevice(source)
    source.kernel_takes(EV_ABS, STEER, 5)
    device.check()
    device.check()

    assert device.healed == 1
    assert isinstance(device.state, Controls)
    assert device.state.axes[STEER] == 5
    source.close()


def test_key_down_when_a_device_is_opened__is_no_press() -> None:
    source = box_source()
    device = InputDevice(source)

    assert isinstance(device.state, Controls)
    assert device.state.take_pressed() == frozenset()
    assert OPENS in device.state.keys
    source.close()


# ---- finding them -------------------------------------------------------------------------


class Bench:
    """A folder of devices and what opening each of them gives."""

    def __init__(self, folder: Path, *devices: Identity | OSError) -> None:
        self.folder = folder
        self.opened: list[PipeSource] = []
        self._devices = {folder / f"event{number}": each for number, each in enumerate(devices)}
        for path in self._devices:
            path.touch()

    def open(self, path: Path) -> EventSource:
        device = self._devices[path]
        if isinstance(device, OSError):
            raise device
        self.opened.append(PipeSource(device))
        return self.opened[-1]

    def found(self) -> dict[str, str]:
        finder = Finder({"wheel": WHEEL_ID, "box": BOX_ID}, self.folder, self.open)
        return {
            name: each.value if isinstance(each, Fault) else each.identity.port
            for name, each in finder.find({"wheel", "box"}).items()
        }


def other(known: Identity, **changes: object) -> Identity:
    return dataclasses.replace(known, **changes)  # type: ignore[arg-type]


def test_devices_that_are_the_known_ones__are_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path, other(WHEEL_ID, vendor=1), BOX_ID, WHEEL_ID)

    assert bench.found() == {"wheel": "usb-1/input0", "box": "usb-2/input0"}


def test_nothing_plugged_in__is_absent(tmp_path: Path) -> None:
    assert Bench(tmp_path).found() == {"wheel": "absent", "box": "absent"}


@pytest.mark.parametrize(
    "changes", [{"port": "usb-9/input0"}, {"capabilities": "0" * 16}, {"bus": 5}]
)
def test_device_of_the_same_make_elsewhere_or_otherwise__is_another(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    assert Bench(tmp_path, other(WHEEL_ID, **changes)).found()["wheel"] == "other"


def test_device_of_another_name__is_the_same(tmp_path: Path) -> None:
    assert Bench(tmp_path, other(WHEEL_ID, name="x")).found()["wheel"] == "usb-1/input0"


def test_device_that_may_not_be_read__is_said(tmp_path: Path) -> None:
    assert Bench(tmp_path, PermissionError(errno.EACCES, "no"), BOX_ID).found() == {
        "wheel": "denied",
        "box": "usb-2/input0",
    }


def test_device_that_goes_while_it_is_opened__is_absent(tmp_path: Path) -> None:
    assert Bench(tmp_path, OSError(errno.ENODEV, "gone")).found()["wheel"] == "absent"


# ---- force --------------------------------------------------------------------------------


def forced(effects: set[int], *, fails: bool = False) -> tuple[PipeSource, ForceOut]:
    source = wheel_source(effects=frozenset(effects))
    source.gone = fails
    out = ForceOut(source, reversed_=False, cap=0.3)
    out.begin()
    return source, out


def felt(source: PipeSource, out: ForceOut, pull: Pull, *, code: int | None = None) -> None:
    """Pull until the device was told."""
    out.pull(pull)
    while not source.uploaded and code not in [each[1] for each in source.said[1:]]:
        assert out.broken is None


def test_wheel_that_only_springs__gets_a_spring() -> None:
    source, out = forced({FF_SPRING})
    felt(source, out, Pull(0.1, 0.2, 0.3))
    out.end()

    assert source.uploaded[0][0] == FF_SPRING
    assert source.said[:2] == [(EV_FF, FF_GAIN, 0xFFFF), (EV_FF, FF_AUTOCENTRE, 0)]
    source.close()


def test_wheel_that_only_centres__is_centred_within_the_cap_and_let_go() -> None:
    source, out = forced({FF_AUTOCENTRE})
    felt(source, out, Pull(0.1, 0.2, 0.9), code=FF_AUTOCENTRE)
    out.end()

    assert (EV_FF, FF_AUTOCENTRE, round(0.3 * 0xFFFF)) in source.said
    assert source.said[-1] == (EV_FF, FF_AUTOCENTRE, 0)
    source.close()


def test_wheel_without_force__is_left_alone() -> None:
    source, out = forced({0x50})
    out.pull(Pull(0.1))
    out.end()

    assert source.said == []
    source.close()


def test_wheel_that_fails__its_error_is_kept_and_nothing_else_ends() -> None:
    source, out = forced({FF_CONSTANT}, fails=True)
    out.end()

    assert isinstance(out.broken, OSError)
    source.gone = False
    source.close()


def test_pair_of_lines__keeps_messages_apart() -> None:
    ours, theirs = line_pair()
    theirs.send(b"one")
    theirs.send(b"two")

    assert (ours.recv(100), ours.recv(100)) == (b"one", b"two")
    assert ours.type == socket.SOCK_SEQPACKET
    for each in (ours, theirs):
        each.close()
