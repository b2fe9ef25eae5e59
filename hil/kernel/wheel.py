"""A steering wheel that is not there: made with ``uinput``, read as any other by ``evdev``.

For tests in the guest kernel. Numbers are those of ``linux/uinput.h``, ``linux/input.h`` and
``linux/input-event-codes.h``.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

EV_SYN, EV_KEY, EV_ABS = 0, 1, 3
ABS_WHEEL, ABS_GAS, ABS_BRAKE = 0x08, 0x09, 0x0A
BTN_TRIGGER = 0x120
_UI_SET_EVBIT, _UI_SET_KEYBIT, _UI_SET_ABSBIT = 0x40045564, 0x40045565, 0x40045567
_UI_DEV_SETUP, _UI_ABS_SETUP = 0x405C5503, 0x401C5504
_UI_DEV_CREATE, _UI_DEV_DESTROY = 0x5501, 0x5502
_NAME_BYTES = 64
_UI_GET_SYSNAME = 0x8000552C | _NAME_BYTES << 16
_BUS_USB = 3
_SETUP = struct.Struct("=4H80sI")
_ABS_SETUP = struct.Struct("=H2x6i")
EVENT = struct.Struct("=qqHHi")
"""Seconds, microseconds, type, code, value: ``struct input_event`` of a 64-bit kernel."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its code, and the ends of its travel."""

    code: int
    low: int
    high: int
    fuzz: int = 0
    flat: int = 0


WHEEL = (Axis(ABS_WHEEL, -32768, 32767), Axis(ABS_GAS, 0, 255), Axis(ABS_BRAKE, 0, 255))


class VirtualDevice:
    """An input device from its making until :meth:`close`, which is as if it were pulled out.

    Args:
        name: as evdev tells it. axes, keys: what it has. vendor, product: its USB ids.

    Attributes:
        path: its node in /dev/input.

    Raises:
        OSError: /dev/uinput is not there or not allowed.
    """

    def __init__(
        self,
        name: str = "Headframe virtual wheel",
        axes: tuple[Axis, ...] = WHEEL,
        keys: tuple[int, ...] = (BTN_TRIGGER,),
        vendor: int = 0x1209,
        product: int = 0x0001,
    ) -> None:
        self._descriptor = os.open("/dev/uinput", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        for kind in (EV_KEY, EV_ABS):
            fcntl.ioctl(self._descriptor, _UI_SET_EVBIT, kind)
        for key in keys:
            fcntl.ioctl(self._descriptor, _UI_SET_KEYBIT, key)
        for axis in axes:
            fcntl.ioctl(self._descriptor, _UI_SET_ABSBIT, axis.code)
            setup = _ABS_SETUP.pack(axis.code, 0, axis.low, axis.high, axis.fuzz, axis.flat, 0)
            fcntl.ioctl(self._descriptor, _UI_ABS_SETUP, setup)
        identity = _SETUP.pack(_BUS_USB, vendor, product, 1, name.encode()[:79], 0)
        fcntl.ioctl(self._descriptor, _UI_DEV_SETUP, identity)
        fcntl.ioctl(self._descriptor, _UI_DEV_CREATE)
        self.path = self._node()

    def _node(self) -> Path:
        told = fcntl.ioctl(self._descriptor, _UI_GET_SYSNAME, bytes(_NAME_BYTES))
        folder = Path("/sys/devices/virtual/input") / told.rstrip(b"\0").decode()
        return Path("/dev/input") / next(folder.glob("event*")).name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def move(self, **values: int) -> None:
        """Report axes (``wheel``, ``gas``, ``brake``) and keys (``trigger``) in one packet."""
        codes = {
            "wheel": (EV_ABS, ABS_WHEEL),
            "gas": (EV_ABS, ABS_GAS),
            "brake": (EV_ABS, ABS_BRAKE),
            "trigger": (EV_KEY, BTN_TRIGGER),
        }
        self.emit(*((*codes[name], value) for name, value in values.items()))

    def emit(self, *events: tuple[int, int, int]) -> None:
        """Report events of (type, code, value) in one packet."""
        packed = [EVENT.pack(0, 0, *event) for event in (*events, (EV_SYN, 0, 0))]
        os.write(self._descriptor, b"".join(packed))

    def close(self) -> None:
        """Pull it out."""
        if self._descriptor >= 0:
            fcntl.ioctl(self._descriptor, _UI_DEV_DESTROY)
            os.close(self._descriptor)
            self._descriptor = -1
