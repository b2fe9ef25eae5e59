"""A USB GPIO chip that is not there: a CP2112 by ``uhid``, driven by the kernel's own driver.

For tests in the guest kernel, whose Debian build leaves ``gpio-sim`` out. Reports are those of the
chip's interface specification (Silicon Labs AN495, 4 and 5); numbers are of ``linux/uhid.h``.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import threading
from pathlib import Path
from typing import Self

LINES = 8
VENDOR, PRODUCT = 0x10C4, 0xEA90
CONFIG, GET, SET, VERSION, SMBUS = 2, 3, 4, 5, 6
"""Feature reports."""
_UHID_DESTROY, _UHID_GET, _UHID_GET_REPLY, _UHID_CREATE2 = 1, 9, 10, 11
_UHID_SET, _UHID_SET_REPLY = 13, 14
_BUS_USB = 3
_EVENT_BYTES = 4380
_CREATE2 = struct.Struct("=I128s64s64sHHIIII4096s")
_GET_REPORT = struct.Struct("=IIBB")
_SET_REPORT = struct.Struct("=IIBBH")
_DESCRIPTOR = bytes.fromhex(
    "06 00 FF 09 01 A1 01 15 00 26 FF 00 75 08"
    " 85 02 95 04 09 01 B1 02 85 03 95 01 09 01 B1 02 85 04 95 02 09 01 B1 02"
    " 85 05 95 02 09 01 B1 02 85 06 95 0D 09 01 B1 02 C0"
)
"""One vendor's collection with the feature reports 2 to 6 (USB HID 1.11, 6.2.2)."""


class VirtualChip:
    """The chip from its making until :meth:`close`, which is as if it were pulled out.

    Attributes:
        high: whether a line's pin is at high voltage. outputs: whether the chip drives it.
        shorted: pins that stay as they are given here, whatever is driven.
    """

    def __init__(self) -> None:
        self.high = [False] * LINES
        self.outputs = [False] * LINES
        self.shorted: dict[int, bool] = {}
        self._descriptor = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        name = b"Headframe virtual CP2112"
        created = _CREATE2.pack(
            *(_UHID_CREATE2, name, b"", b"", len(_DESCRIPTOR), _BUS_USB),
            *(VENDOR, PRODUCT, 0x0100, 0, _DESCRIPTOR),
        )
        os.write(self._descriptor, created)
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Pull it out; again is nothing more."""
        if self._ending:
            return
        self._ending = True
        self._thread.join()
        os.write(self._descriptor, struct.pack("=I", _UHID_DESTROY))
        os.close(self._descriptor)

    def path(self) -> Path | None:
        """Return its device, once the kernel has it."""
        chips = Path("/sys/bus/gpio/devices").glob("gpiochip*")
        ours = f"{VENDOR:04X}:{PRODUCT:04X}"
        found = [each.name for each in chips if ours in str(each.resolve())]
        return Path("/dev") / found[0] if found else None

    def _run(self) -> None:
        while not self._ending:
            if select.select([self._descriptor], [], [], 0.05)[0]:
                event = os.read(self._descriptor, _EVENT_BYTES)
                kind = struct.unpack_from("=I", event)[0]
                if kind == _UHID_GET:
                    _, number, report, _ = _GET_REPORT.unpack_from(event)
                    data = self._read(report)
                    failed = 0 if data else errno.EIO
                    reply = struct.pack("=IIHH", _UHID_GET_REPLY, number, failed, len(data))
                    os.write(self._descriptor, reply + data)
                elif kind == _UHID_SET:
                    _, number, report, _, size = _SET_REPORT.unpack_from(event)
                    self._write(report, event[_SET_REPORT.size :][:size])
                    os.write(self._descriptor, struct.pack("=IIH", _UHID_SET_REPLY, number, 0))

    def _read(self, report: int) -> bytes:
        return {
            CONFIG: bytes((CONFIG, _bits(self.outputs), _bits(self.outputs), 0, 0)),
            GET: bytes((GET, _bits(self.high))),
            VERSION: bytes((VERSION, 0x0C, 0x03)),
            SMBUS: bytes((SMBUS, *bytes(13))),
        }.get(report, b"")

    def _write(self, report: int, data: bytes) -> None:
        if report == CONFIG:
            self.outputs = [bool(data[1] >> line & 1) for line in range(LINES)]
        elif report == SET:
            for line in range(LINES):
                if data[2] >> line & 1:
                    self.high[line] = self.shorted.get(line, bool(data[1] >> line & 1))


def _bits(lines: list[bool]) -> int:
    return sum(1 << line for line, on in enumerate(lines) if on)
