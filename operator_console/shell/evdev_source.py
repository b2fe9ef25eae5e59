"""A kernel input device by its raw ioctls: /dev/input/event*, read without a library.

The field's library for this, python-evdev, comes as source only: it would ask every cockpit for a
C compiler and the kernel's and Python's headers, for the dozen calls used here. Numbers: Linux
``include/uapi/linux/input.h`` and ``include/uapi/asm-generic/ioctl.h``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from operator_console.core.desk import Fault
from operator_console.core.devices import (
    AxisRange,
    Identity,
    capability_digest,
    difference,
    same_make,
)
from operator_console.core.evdev import EV_ABS, EV_FF, EV_KEY, EVENT, encode_event

FOLDER = Path("/dev/input")
READ_BYTES = 64 * EVENT.size
KEY_MAX, ABS_MAX, FF_MAX = 0x2FF, 0x3F, 0x7F
KEY_ENTER, KEY_A = 28, 30
CLOCK_MONOTONIC = 1
_ABSINFO = struct.Struct("@6i")
_ID = struct.Struct("@4H")
_READ, _WRITE = 2, 1


def _ioc(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("E") << 8 | number


def _text_of(number: int) -> int:
    return _ioc(_READ, number, 256)


GID = _ioc(_READ, 0x02, _ID.size)
GNAME, GPHYS = _text_of(0x06), _text_of(0x07)
GKEY = _ioc(_READ, 0x18, KEY_MAX // 8 + 1)
SFF = _ioc(_WRITE, 0x80, 48)
RMFF = _ioc(_WRITE, 0x81, 4)
GRAB = _ioc(_WRITE, 0x90, 4)
SCLOCKID = _ioc(_WRITE, 0xA0, 4)


def _gbit(kind: int, last: int) -> int:
    return _ioc(_READ, 0x20 + kind, last // 8 + 1)


def _gabs(code: int) -> int:
    return _ioc(_READ, 0x40 + code, _ABSINFO.size)


class EventSource(Protocol):
    """What the input process asks of a device; the tests have one on a pipe.

    Every call raises OSError when the device is gone.
    """

    @property
    def identity(self) -> Identity:
        """Who the device is."""
        ...

    @property
    def effects(self) -> frozenset[int]:
        """Force effects that it can do."""
        ...

    def fileno(self) -> int:
        """The descriptor that becomes readable with an event."""
        ...

    def read(self) -> bytes:
        """Return what waits, empty when nothing does."""
        ...

    def axes(self) -> dict[int, int]:
        """Return every axis as the kernel has it now."""
        ...

    def keys(self) -> set[int]:
        """Return the keys that are down as the kernel has them now."""
        ...

    def upload(self, effect: bytes) -> bytes:
        """Give the device a force effect; return it with the id that the kernel gave it."""
        ...

    def erase(self, effect_id: int) -> None:
        """Take an effect from the device."""
        ...

    def say(self, kind: int, code: int, value: int) -> None:
        """Write an event to the device: play an effect, set the gain."""
        ...

    def grab(self) -> None:
        """Keep its events from every other program of this computer."""
        ...

    def close(self) -> None:
        """Let the device go; the kernel erases the effects that it was given."""
        ...


class KernelSource:
    """One open ``/dev/input/eventN``.

    Raises:
        OSError: it cannot be opened or is no input device.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = _open(path)
        try:
            self._codes = _bits(self._fd, _gbit(EV_ABS, ABS_MAX), ABS_MAX)
            self._known_keys = _bits(self._fd, _gbit(EV_KEY, KEY_MAX), KEY_MAX)
            self._effects = _bits(self._fd, _gbit(EV_FF, FF_MAX), FF_MAX)
            self._identity = self._read_identity()
            fcntl.ioctl(self._fd, SCLOCKID, struct.pack("@i", CLOCK_MONOTONIC))
        except OSError:
            self.close()
            raise

    def _read_identity(self) -> Identity:
        bus, vendor, product, _ = _ID.unpack(_ask(self._fd, GID, _ID.size))
        ranges = {code: AxisRange(*self._absinfo(code)[1:3]) for code in self._codes}
        digest = capability_digest(ranges, self._known_keys, self._effects)
        name, port = (_text(self._fd, what) for what in (GNAME, GPHYS))
        return Identity(bus, vendor, product, port, digest, name)

    def _absinfo(self, code: int) -> tuple[int, ...]:
        return _ABSINFO.unpack(_ask(self._fd, _gabs(code), _ABSINFO.size))

    @property
    def identity(self) -> Identity:
        """Who the device is."""
        return self._identity

    @property
    def effects(self) -> frozenset[int]:
        """Force effects that it can do."""
        return self._effects

    @property
    def is_keyboard(self) -> bool:
        """It has the keys to type with."""
        return {KEY_ENTER, KEY_A} <= self._known_keys

    @property
    def ranges(self) -> dict[int, AxisRange]:
        """What each axis can report, as the device says."""
        return {code: AxisRange(*self._absinfo(code)[1:3]) for code in self._codes}

    def fileno(self) -> int:
        """The open descriptor."""
        return self._fd

    def read(self) -> bytes:
        """Return what waits, empty when nothing does."""
        try:
            return os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return b""

    def axes(self) -> dict[int, int]:
        """Return every axis as the kernel has it now."""
        return {code: self._absinfo(code)[0] for code in self._codes}

    def keys(self) -> set[int]:
        """Return the keys that are down as the kernel has them now."""
        return set(_bits(self._fd, GKEY, KEY_MAX))

    def upload(self, effect: bytes) -> bytes:
        """Give the device a force effect; return it with the id that the kernel gave it."""
        given = bytearray(effect)
        fcntl.ioctl(self._fd, SFF, given)
        return bytes(given)

    def erase(self, effect_id: int) -> None:
        """Take an effect from the device."""
        fcntl.ioctl(self._fd, RMFF, effect_id)

    def say(self, kind: int, code: int, value: int) -> None:
        """Write an event to the device."""
        os.write(self._fd, encode_event(kind, code, value))

    def grab(self) -> None:
        """Keep its events from every other program of this computer."""
        fcntl.ioctl(self._fd, GRAB, 1)

    def close(self) -> None:
        """Let the device go."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


def _open(path: Path) -> int:
    """Open for reading and, where that is allowed, for force feedback."""
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags)
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


def _ask(fd: int, request: int, size: int) -> bytes:
    answer = bytearray(size)
    fcntl.ioctl(fd, request, answer)
    return bytes(answer)


def _bits(fd: int, request: int, last: int) -> frozenset[int]:
    answer = _ask(fd, request, last // 8 + 1)
    return frozenset(n for n in range(last + 1) if answer[n // 8] >> n % 8 & 1)


def _text(fd: int, request: int) -> str:
    """Return a name that a device may not have."""
    try:
        return _ask(fd, request, 256).split(b"\0", 1)[0].decode("utf-8", "replace")
    except OSError:
        return ""


Found = EventSource | Fault


class Finder:
    """Finds a layout's devices among those that are plugged in.

    Args:
        known: each device's identity, as calibrated.
        folder: where the kernel has its devices. open_: opens one of them.
    """

    def __init__(
        self,
        known: dict[str, Identity],
        folder: Path = FOLDER,
        open_: Callable[[Path], EventSource] = KernelSource,
    ) -> None:
        self._known = known
        self._folder = folder
        self._open = open_

    def find(self, wanted: set[str]) -> dict[str, Found]:
        """Return what there is of the wanted devices, and why there is not.

        A device is taken only when vendor, product, port and capabilities are the known ones.
        """
        found: dict[str, Found] = dict.fromkeys(wanted, Fault.ABSENT)
        for path in sorted(self._folder.glob("event*")):
            try:
                source = self._open(path)
            except PermissionError:
                self._mark(found, wanted, Fault.DENIED)
                continue
            except OSError:
                continue
            if not self._take(source, found):
                source.close()
        return found

    @staticmethod
    def _mark(found: dict[str, Found], wanted: set[str], fault: Fault) -> None:
        for name in wanted:
            if found[name] is Fault.ABSENT:
                found[name] = fault

    def _take(self, source: EventSource, found: dict[str, Found]) -> bool:
        for name, state in found.items():
            if not isinstance(state, Fault):
                continue
            known = self._known[name]
            if difference(known, source.identity) is None:
                found[name] = source
                return True
            if same_make(known, source.identity):
                found[name] = Fault.OTHER
        return False
