"""The desk on real evdev: a virtual wheel in the guest kernel, its force asked for and read back.

``python -m hil.kernel run evdev,uinput --out DIR -- python -m pytest --noconftest -c /dev/null
tests/kernel/inputd_uinput.py``; its name keeps it out of ``make test``.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from operator_console.core.axes import Axis
from operator_console.core.desk import Fault, Feedback
from operator_console.core.desk_layout import AxisDoes, AxisUse, Layout
from operator_console.core.desk_line import Dated, decode_snapshot, encode_feedback
from operator_console.core.evdev import EV_ABS, EV_KEY, Controls
from operator_console.core.force import FF_AUTOCENTRE, FF_CONSTANT
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.desk_config import DeskPlan, ForceUse
from operator_console.shell.evdev_source import Finder, KernelSource
from operator_console.shell.force_out import FF_GAIN
from operator_console.shell.input_device import InputDevice
from operator_console.shell.inputd import InputProcess
from operator_console.shell.line_process import line_pair
from tests.console.desk_rig import (
    BRAKE,
    CENTRE,
    CLOSES,
    KEYS,
    LEFT,
    OPENS,
    PEDALS,
    PRESSED,
    RELEASED,
    SEAT,
    STEER,
    STOP,
    THROTTLE,
    WHEEL_DESK,
)
from tests.kernel.virtual_wheel import VirtualWheel

WHEEL_PORT, BOX_PORT = "usb-virtual-1/input0", "usb-virtual-2/input0"
AXES = {STEER: (0, 65535), THROTTLE: (0, 255), BRAKE: (0, 255)}
BOX_KEYS = tuple(use.code for use in KEYS)


def plug_in_wheel(port: str = WHEEL_PORT) -> VirtualWheel:
    wheel = VirtualWheel(0x11, port, AXES, (300,), (FF_CONSTANT, FF_GAIN, FF_AUTOCENTRE))
    wheel.report((EV_ABS, STEER, CENTRE), (EV_ABS, THROTTLE, RELEASED), (EV_ABS, BRAKE, RELEASED))
    return wheel


@pytest.fixture
def wheel() -> Iterator[VirtualWheel]:
    with plug_in_wheel() as made:
        yield made


@pytest.fixture
def box() -> Iterator[VirtualWheel]:
    with VirtualWheel(0x22, BOX_PORT, keys=BOX_KEYS) as made:
        made.report((EV_KEY, OPENS, 1), (EV_KEY, SEAT, 1))
        yield made


def layout_of(wheel: VirtualWheel, box: VirtualWheel) -> Layout:
    devices = {}
    for name, device in (("wheel", wheel), ("box", box)):
        source = KernelSource(device.path)
        devices[name] = source.identity
        source.close()
    steer = AxisUse(AxisDoes.STEER, "wheel", Axis(STEER, CENTRE, LEFT, 65535, 0, 65535))
    return dataclasses.replace(WHEEL_DESK, devices=devices, axes=(steer, *PEDALS))


class Rig:
    """An input process on the guest's devices."""

    def __init__(self, wheel: VirtualWheel, box: VirtualWheel) -> None:
        self.layout = layout_of(wheel, box)
        assert self.layout.problem(simulated=False) is None
        plan = DeskPlan(self.layout, grab=True, force=ForceUse("wheel", 0.3, reversed=False))
        self.ours, self.theirs = line_pair()
        self.process = InputProcess(plan, Finder(dict(self.layout.devices)), self.theirs, run=7)

    def turn(self) -> Dated:
        """Let the process tell once more; return the newest that it said."""
        newest = None
        while newest is None:
            self.process.step(monotonic_ns())
            newest = self.take()
        return newest

    def take(self) -> Dated | None:
        newest = None
        try:
            while True:
                newest = decode_snapshot(self.ours.recv(4096))
        except BlockingIOError:
            return newest

    def prove(self, wheel: VirtualWheel) -> None:
        self.turn()
        wheel.report((EV_ABS, STEER, CENTRE + 1))
        for code in (THROTTLE, BRAKE):
            for raw in (PRESSED, RELEASED):
                wheel.report((EV_ABS, code, raw))
                for _ in range(3):
                    self.turn()


@pytest.fixture
def rig(wheel: VirtualWheel, box: VirtualWheel) -> Iterator[Rig]:
    made = Rig(wheel, box)
    yield made
    made.process.close()
    made.ours.close()
    made.theirs.close()


def test_device__tells_vendor_product_port_and_ranges(wheel: VirtualWheel) -> None:
    source = KernelSource(wheel.path)
    identity, ranges = source.identity, source.ranges
    source.close()

    assert (identity.bus, identity.vendor, identity.product) == (3, 0x1209, 0x11)
    assert (identity.port, identity.name) == (WHEEL_PORT, "virtual wheel")
    assert {code: (each.low, each.high) for code, each in ranges.items()} == AXES
    assert {FF_CONSTANT, FF_GAIN} <= source.effects


def test_wheel_turned__its_state_and_stamp_are_the_kernels(wheel: VirtualWheel) -> None:
    device = InputDevice(KernelSource(wheel.path))
    before_us = monotonic_ns() // 1000
    wheel.report((EV_ABS, STEER, 1234), (EV_KEY, 300, 1))
    reports = device.drain()
    after_us = monotonic_ns() // 1000
    state = device.state

    assert isinstance(state, Controls)
    assert reports == 1
    assert (state.axes[STEER], state.keys, state.moved) == (1234, {300}, {STEER})
    assert before_us <= state.event_us <= after_us
    device.source.close()


def test_kernel_drops_events__the_state_is_read_anew_and_is_the_kernels(
    wheel: VirtualWheel,
) -> None:
    device = InputDevice(KernelSource(wheel.path))
    for raw in range(3000):
        wheel.report((EV_ABS, STEER, raw), (EV_ABS, THROTTLE, raw % 256))
    device.drain()
    device.check()
    state = device.state

    assert device.reader.drops >= 1
    assert isinstance(state, Controls)
    assert state.axes == device.source.axes()
    assert state.axes[STEER] == 2999
    device.source.close()


def test_desk_in_its_ports__drives(rig: Rig, wheel: VirtualWheel, box: VirtualWheel) -> None:
    rig.prove(wheel)
    box.report((EV_KEY, OPENS, 0), (EV_KEY, CLOSES, 1))
    wheel.report((EV_ABS, THROTTLE, 102))
    for _ in range(3):
        snapshot = rig.turn().snapshot

    assert snapshot.controls is not None
    assert snapshot.controls.enable
    assert snapshot.controls.throttle == pytest.approx(0.6)


def test_wheel_pulled_out_at_60_percent__nothing_is_asked_and_it_is_named(
    rig: Rig, wheel: VirtualWheel
) -> None:
    rig.prove(wheel)
    wheel.report((EV_ABS, THROTTLE, 102))
    rig.turn()
    wheel.close()
    snapshot = rig.turn().snapshot
    while snapshot.controls is not None:
        snapshot = rig.turn().snapshot

    assert (snapshot.fault, snapshot.device) == (Fault.ABSENT, "wheel")


def test_wheel_in_another_port__is_another(rig: Rig, wheel: VirtualWheel) -> None:
    rig.turn()
    wheel.close()
    rig.turn()
    with plug_in_wheel("usb-virtual-9/input0"):
        snapshot = rig.turn().snapshot
        while snapshot.fault is Fault.ABSENT:
            snapshot = rig.turn().snapshot

    assert (snapshot.fault, snapshot.device) == (Fault.OTHER, "wheel")


def test_wheel_back_in_its_port__must_prove_its_pedals(rig: Rig, wheel: VirtualWheel) -> None:
    rig.prove(wheel)
    wheel.close()
    rig.turn()
    with plug_in_wheel():
        snapshot = rig.turn().snapshot
        while snapshot.controls is None:
            snapshot = rig.turn().snapshot

    assert "throttle:press" in snapshot.unproven


def test_stop_pressed_for_a_moment__is_counted(rig: Rig, box: VirtualWheel) -> None:
    rig.turn()
    box.report((EV_KEY, STOP, 1))
    box.report((EV_KEY, STOP, 0))
    snapshot = rig.turn().snapshot
    while snapshot.counts.stops == 0:
        snapshot = rig.turn().snapshot

    assert snapshot.counts.stops == 1


def test_device_grabbed__nobody_else_hears_it(rig: Rig, wheel: VirtualWheel) -> None:
    rig.turn()
    other = KernelSource(wheel.path)
    wheel.report((EV_ABS, STEER, 4321))
    heard = other.read()

    assert heard == b""
    with pytest.raises(OSError, match="busy") as refused:
        other.grab()
    assert refused.value.errno == errno.EBUSY
    other.close()


def test_machine_driven__the_force_reaches_the_wheel_and_is_erased_at_the_end(
    rig: Rig, wheel: VirtualWheel, box: VirtualWheel
) -> None:
    rig.prove(wheel)
    box.report((EV_KEY, OPENS, 0), (EV_KEY, CLOSES, 1))
    while not wheel.uploaded:
        told = Feedback(monotonic_ns(), 1.0, 0.5, movable=True, active=True, state_age_ms=20.0)
        rig.ours.send(encode_feedback(told))
        rig.turn()
    wheel.until(2, wheel.played)
    first = wheel.uploaded[0]
    rig.process.close()
    wheel.until(1, wheel.erased)

    assert int.from_bytes(first[:2], "little") == FF_CONSTANT
    assert 0 < int.from_bytes(first[16:18], "little", signed=True) <= round(0.3 * 0x7FFF)
    assert (FF_GAIN, 0xFFFF) in wheel.played
    assert (0, 1) in wheel.played
    assert wheel.uploaded[-1][16:18] == bytes(2)
    assert wheel.erased == [0]


PUSHES = """
import sys, time
from pathlib import Path
from operator_console.core.force import Pull
from operator_console.core.evdev import EV_FF
from operator_console.core.force_effects import NEW_ID, constant_effect, effect_id_of
from operator_console.shell.evdev_source import KernelSource
source = KernelSource(Path(sys.argv[1]))
source.say(EV_FF, effect_id_of(source.upload(constant_effect(NEW_ID, Pull(0.2)))), 1)
print("pushes", flush=True)
time.sleep(600)
"""


def test_process_killed_while_it_pushes__the_kernel_takes_the_force_away(
    wheel: VirtualWheel,
) -> None:
    command = [sys.executable, "-c", PUSHES, str(wheel.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as pushing:
        assert pushing.stdout is not None
        assert pushing.stdout.readline() == b"pushes\n"
        os.kill(pushing.pid, signal.SIGKILL)
    wheel.until(1, wheel.erased)

    assert wheel.erased == [0]
