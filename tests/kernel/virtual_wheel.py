"""A wheel made by the kernel's uinput, which answers force effects as a driver would.

Numbers and layouts: Linux ``include/uapi/linux/uinput.h``.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from operator_console.core.evdev import EV_ABS, EV_FF, EV_KEY, EV_SYN, EVENT, encode_event

EV_UINPUT, UI_FF_UPLOAD, UI_FF_ERASE = 0x0101, 1, 2
UI_DEV_CREATE, UI_DEV_DESTROY = 0x5501, 0x5502
UI_DEV_SETUP, UI_ABS_SETUP = 0x405C5503, 0x401C5504
UI_SET_EVBIT, UI_SET_KEYBIT, UI_SET_ABSBIT, UI_SET_FFBIT = (
    *(0x40045564, 0x40045565),
    *(0x40045567, 0x4004556B),
)
UI_SET_PHYS = 0x4008556C
UI_BEGIN_FF_UPLOAD, UI_END_FF_UPLOAD = 0xC06855C8, 0x406855C9
UI_BEGIN_FF_ERASE, UI_END_FF_ERASE = 0xC00C55CA, 0x400C55CB
UI_GET_SYSNAME = 0x8040552C
SETUP = struct.Struct("@4H80sI")
ABS_SETUP = struct.Struct("@H2x6i")
UPLOAD_BYTES, ERASE_BYTES, EFFECT_AT, EFFECT_BYTES = 104, 12, 8, 48
BUS_USB = 3
EFFECTS_MAX = 4


@dataclass
class VirtualWheel:
    """One device from its making to :meth:`close`, which is as if it were pulled out.

    Attributes:
        uploaded: effects as the kernel passed them on. played: (code, value) of force events.
        erased: ids of effects that were taken back.
    """

    product: int
    port: str
    axes: dict[int, tuple[int, int]] = field(default_factory=dict)
    keys: tuple[int, ...] = ()
    effects: tuple[int, ...] = ()
    uploaded: list[bytes] = field(default_factory=list)
    played: list[tuple[int, int]] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._fd = os.open("/dev/uinput", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        for kind in (EV_KEY, EV_ABS, *((EV_FF,) if self.effects else ())):
            fcntl.ioctl(self._fd, UI_SET_EVBIT, kind)
        for request, codes in (
            (UI_SET_KEYBIT, self.keys),
            (UI_SET_ABSBIT, tuple(self.axes)),
            (UI_SET_FFBIT, self.effects),
        ):
            for code in codes:
                fcntl.ioctl(self._fd, request, code)
        for code, (low, high) in self.axes.items():
            fcntl.ioctl(self._fd, UI_ABS_SETUP, ABS_SETUP.pack(code, 0, low, high, 0, 0, 0))
        fcntl.ioctl(self._fd, UI_SET_PHYS, self.port.encode() + b"\0")
        effects_max = EFFECTS_MAX if self.effects else 0
        setup = SETUP.pack(BUS_USB, 0x1209, self.product, 1, b"virtual wheel", effects_max)
        fcntl.ioctl(self._fd, UI_DEV_SETUP, setup)
        fcntl.ioctl(self._fd, UI_DEV_CREATE)
        self._ending = False
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Its node in /dev/input."""
        told = bytearray(64)
        fcntl.ioctl(self._fd, UI_GET_SYSNAME, told)
        folder = Path("/sys/devices/virtual/input") / told.split(b"\0")[0].decode()
        return Path("/dev/input") / next(folder.glob("event*")).name

    def report(self, *events: tuple[int, int, int]) -> None:
        """Send one report of (type, code, value)."""
        os.write(self._fd, b"".join(encode_event(*each) for each in (*events, (EV_SYN, 0, 0))))

    def until(self, count: int, of: list[bytes] | list[tuple[int, int]] | list[int]) -> None:
        """Wait until a list has that many entries."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(of) >= count, timeout=20)

    def close(self) -> None:
        """Pull it out."""
        self._ending = True
        self._thread.join()
        fcntl.ioctl(self._fd, UI_DEV_DESTROY)
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ending:
            self.close()

    def _answer(self) -> None:
        while not self._ending:
            if select.select([self._fd], [], [], 0.05)[0]:
                for _, _, kind, code, value in EVENT.iter_unpack(os.read(self._fd, 2400)):
                    self._take(kind, code, value)

    def _take(self, kind: int, code: int, value: int) -> None:
        with self._changed:
            if kind == EV_FF:
                self.played.append((code, value))
            elif (kind, code) == (EV_UINPUT, UI_FF_UPLOAD):
                asked = self._begin(UI_BEGIN_FF_UPLOAD, UPLOAD_BYTES, value)
                self.uploaded.append(bytes(asked[EFFECT_AT : EFFECT_AT + EFFECT_BYTES]))
                fcntl.ioctl(self._fd, UI_END_FF_UPLOAD, asked)
            elif (kind, code) == (EV_UINPUT, UI_FF_ERASE):
                asked = self._begin(UI_BEGIN_FF_ERASE, ERASE_BYTES, value)
                self.erased.append(int.from_bytes(asked[8:12], "little"))
                fcntl.ioctl(self._fd, UI_END_FF_ERASE, asked)
            self._changed.notify_all()

    def _begin(self, request: int, size: int, request_id: int) -> bytearray:
        asked = bytearray(request_id.to_bytes(4, "little") + bytes(size - 4))
        fcntl.ioctl(self._fd, request, asked)
        return asked
