"""A driver's desk without hardware: layouts, and a device that is a pipe of kernel events."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from operator_console.core.axes import Axis
from operator_console.core.desk import Desk, DeskSnapshot, Fault, Feedback
from operator_console.core.desk_layout import AxisDoes, AxisUse, KeyDoes, KeyUse, Kind, Layout
from operator_console.core.devices import BUS_USB, Identity
from operator_console.core.evdev import (
    EV_ABS,
    EV_KEY,
    EV_SYN,
    SYN_DROPPED,
    SYN_REPORT,
    Controls,
    encode_event,
)
from operator_console.shell.evdev_source import Found
from tests.console.fakes import MS

WHEEL_ID = Identity(BUS_USB, 0x046D, 0xC24F, "usb-1/input0", "00000000000000aa", "wheel")
BOX_ID = Identity(BUS_USB, 0x1209, 0x0001, "usb-2/input0", "00000000000000bb", "box")

STEER, THROTTLE, BRAKE = 0, 2, 5
CLOSES, OPENS, SEAT, STOP, CONFIRM, DISARM = 288, 289, 290, 291, 292, 293
UP, DOWN, PARK, HORN, LIGHTS, BODY_UP, BODY_DOWN, STOP_NC = 294, 295, 296, 297, 298, 299, 300, 301
"""Axes and keys of the desk in these tests, by kernel code."""

CENTRE, LEFT, RIGHT = 32768, 0, 65535
RELEASED, PRESSED = 255, 0
"""Pedals count downwards when pressed, as a G29's do."""


def wheel_axis() -> Axis:
    return Axis(STEER, CENTRE, LEFT, RIGHT, 0, 65535)


def pedal_axis(code: int) -> Axis:
    return Axis(code, RELEASED, PRESSED, None, 0, 255)


KEYS = tuple(
    KeyUse(does, "box", code)
    for does, code in (
        (KeyDoes.ENABLE_CLOSES, CLOSES),
        (KeyDoes.ENABLE_OPENS, OPENS),
        (KeyDoes.SEAT, SEAT),
        (KeyDoes.STOP, STOP),
        (KeyDoes.CONFIRM, CONFIRM),
        (KeyDoes.DISARM, DISARM),
        (KeyDoes.GEAR_UP, UP),
        (KeyDoes.GEAR_DOWN, DOWN),
        (KeyDoes.PARK, PARK),
        (KeyDoes.HORN, HORN),
        (KeyDoes.LIGHTS, LIGHTS),
        (KeyDoes.IMPLEMENT_UP, BODY_UP),
        (KeyDoes.IMPLEMENT_DOWN, BODY_DOWN),
    )
)
PEDALS = (
    AxisUse(AxisDoes.THROTTLE, "wheel", pedal_axis(THROTTLE)),
    AxisUse(AxisDoes.BRAKE, "wheel", pedal_axis(BRAKE)),
)
WHEEL_DESK = Layout(
    Kind.WHEEL,
    {"wheel": WHEEL_ID, "box": BOX_ID},
    (AxisUse(AxisDoes.STEER, "wheel", wheel_axis()), *PEDALS),
    KEYS,
)
STICK_X, STICK_Y = 0, 1
STICK_DESK = Layout(
    Kind.STICKS,
    {"stick": WHEEL_ID, "box": BOX_ID},
    (
        AxisUse(AxisDoes.STEER, "stick", Axis(STICK_X, 512, 0, 1023, 0, 1023)),
        AxisUse(AxisDoes.DRIVE, "stick", Axis(STICK_Y, 512, 0, 1023, 0, 1023)),
    ),
    KEYS,
    steer_rate_per_s=0.5,
)

STANDS = Feedback(0, speed_mps=0.0, steer=0.0, movable=True, active=False, state_age_ms=20.0)


class Hands:
    """A desk of the core with hands on it; every act is one look, 10 ms after the last."""

    def __init__(self, layout: Layout = WHEEL_DESK) -> None:
        self.desk = Desk(layout)
        axes = {STEER: CENTRE, THROTTLE: RELEASED, BRAKE: RELEASED}
        sticks = layout.kind is Kind.STICKS
        names = tuple(layout.devices)
        self.wheel = Controls(axes={STICK_X: 512, STICK_Y: 512} if sticks else axes, moved={STEER})
        self.box = Controls(keys={OPENS, SEAT})
        self.devices: dict[str, Controls | Fault] = {names[0]: self.wheel, names[1]: self.box}
        self.feedback: Feedback | None = STANDS
        self.now_ns = 1_000 * MS

    def look(self, after_ms: float = 10) -> DeskSnapshot:
        self.now_ns += round(after_ms * MS)
        feedback = self.feedback
        if feedback is not None:
            feedback = Feedback(
                self.now_ns,
                feedback.speed_mps,
                feedback.steer,
                feedback.movable,
                feedback.active,
                feedback.state_age_ms,
            )
        return self.desk.look(self.devices, feedback, self.now_ns)

    def axis(self, code: int, raw: int, after_ms: float = 10) -> DeskSnapshot:
        self.wheel.axes[code] = raw
        self.wheel.moved.add(code)
        return self.look(after_ms)

    def press(self, *codes: int, after_ms: float = 10) -> DeskSnapshot:
        self.box.keys |= set(codes)
        self.box.pressed |= set(codes)
        return self.look(after_ms)

    def let_go(self, *codes: int, after_ms: float = 10) -> DeskSnapshot:
        self.box.keys -= set(codes)
        return self.look(after_ms)

    def enable(self, on: bool = True, after_ms: float = 10) -> DeskSnapshot:
        self.box.keys -= {CLOSES, OPENS}
        self.box.keys.add(CLOSES if on else OPENS)
        return self.look(after_ms)

    def prove(self) -> DeskSnapshot:
        """Press and let go of both pedals."""
        snapshot = self.look()
        for code in (THROTTLE, BRAKE):
            self.axis(code, PRESSED)
            snapshot = self.axis(code, RELEASED)
        return snapshot

    def prove_stick(self) -> DeskSnapshot:
        self.look()
        for raw in (0, 512, 1023):
            self.axis(STICK_Y, raw)
        return self.axis(STICK_Y, 512)


@dataclass
class PipeSource:
    """A device whose events come out of a pipe: what the kernel writes, cut anywhere.

    Attributes:
        kept_axes, kept_keys: state that the kernel holds, as ioctls would tell.
        said: events and effects written to the device.
    """

    identity: Identity = WHEEL_ID
    effects: frozenset[int] = frozenset()
    kept_axes: dict[int, int] = field(default_factory=dict)
    kept_keys: set[int] = field(default_factory=set)
    said: list[tuple[int, int, int]] = field(default_factory=list)
    uploaded: list[bytes] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)
    gone: bool = False
    grabbed: bool = False

    def __post_init__(self) -> None:
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # ---- what the hand does ------------------------------------------------------------

    def events(self, *events: tuple[int, int, int], at_us: int = 0) -> None:
        for kind, code, value in events:
            self.kernel_takes(kind, code, value)
            os.write(self.into, encode_event(kind, code, value, at_us))

    def kernel_takes(self, kind: int, code: int, value: int) -> None:
        if kind == EV_ABS:
            self.kept_axes[code] = value
        elif kind == EV_KEY:
            (self.kept_keys.add if value else self.kept_keys.discard)(code)

    def axis(self, code: int, raw: int, at_us: int = 0) -> None:
        self.events((EV_ABS, code, raw), (EV_SYN, SYN_REPORT, 0), at_us=at_us)

    def key(self, code: int, down: bool) -> None:
        self.events((EV_KEY, code, int(down)), (EV_SYN, SYN_REPORT, 0))

    def drop(self) -> None:
        """Let the kernel's buffer overflow."""
        self.events((EV_SYN, SYN_DROPPED, 0))

    def unplug(self) -> None:
        """End the line: what waits is read, then the device is gone."""
        self.gone = True
        os.close(self.into)

    # ---- what the input process asks ---------------------------------------------------

    def fileno(self) -> int:
        return self.out

    def read(self) -> bytes:
        try:
            data = os.read(self.out, 1536)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.ENODEV, "No such device")
        return data

    def _there(self) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")

    def axes(self) -> dict[int, int]:
        self._there()
        return dict(self.kept_axes)

    def keys(self) -> set[int]:
        self._there()
        return set(self.kept_keys)

    def upload(self, effect: bytes) -> bytes:
        self._there()
        self.uploaded.append(effect)
        return effect[:2] + (0).to_bytes(2, "little") + effect[4:]

    def erase(self, effect_id: int) -> None:
        self.erased.append(effect_id)

    def say(self, kind: int, code: int, value: int) -> None:
        self._there()
        self.said.append((kind, code, value))

    def grab(self) -> None:
        self.grabbed = True

    def close(self) -> None:
        os.close(self.out)
        if not self.gone:
            os.close(self.into)


def wheel_source(effects: frozenset[int] = frozenset()) -> PipeSource:
    return PipeSource(
        WHEEL_ID, effects, kept_axes={STEER: CENTRE, THROTTLE: RELEASED, BRAKE: RELEASED}
    )


def box_source() -> PipeSource:
    return PipeSource(BOX_ID, kept_keys={OPENS, SEAT})


@dataclass
class Shelf:
    """Finds what was put on it."""

    sources: dict[str, PipeSource]

    def find(self, wanted: set[str]) -> dict[str, Found]:
        return {name: self.sources.pop(name, Fault.ABSENT) for name in wanted}
