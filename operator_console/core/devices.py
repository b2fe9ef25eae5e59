"""Which device this is: vendor, product, port and capabilities, and what differs from the known.

A wheel in another port, a box with another firmware or a second pad of the same make is not the
device that was calibrated (cockpit rule 8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

BUS_USB, BUS_BLUETOOTH, BUS_VIRTUAL, BUS_SERIAL = 0x03, 0x05, 0x06, 0x13
"""Linux ``include/uapi/linux/input.h``."""

BY_ID = PurePosixPath("/dev/serial/by-id")
"""Where udev names serial devices by maker, product and serial number, whatever their port."""


@dataclass(frozen=True, slots=True)
class AxisRange:
    """What a device says that an axis can report."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself.

    Attributes:
        bus: as the kernel numbers buses. vendor, product: of the maker.
        port: where it is plugged in, as the kernel names it; part of who it is.
        capabilities: digest of its axes with their ranges, its keys and its force effects.
        name: for people; not part of who it is.
    """

    bus: int
    vendor: int
    product: int
    port: str
    capabilities: str
    name: str = ""

    @property
    def wireless(self) -> bool:
        """Its line to this computer can fade: what it says last may be said for ever."""
        return self.bus == BUS_BLUETOOTH

    @property
    def serial(self) -> bool:
        """It is a box of contacts on a serial line, and its port that line's name."""
        return self.bus == BUS_SERIAL

    @property
    def named_by_id(self) -> bool:
        """Its line has a name that goes with the device, and not with where it is plugged in."""
        return PurePosixPath(self.port).parent == BY_ID


def serial_box(path: str) -> Identity:
    """Return who the box on a serial line is: the line's name says it."""
    return Identity(BUS_SERIAL, 0, 0, path, "")


def capability_digest(
    axes: Mapping[int, AxisRange], keys: frozenset[int], effects: frozenset[int]
) -> str:
    """Return a short digest of what a device can report and do."""
    ranges = [f"a{code}:{axes[code].low}:{axes[code].high}" for code in sorted(axes)]
    switches = [f"k{code}" for code in sorted(keys)]
    forces = [f"f{code}" for code in sorted(effects)]
    text = " ".join(ranges + switches + forces)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def same_make(known: Identity, found: Identity) -> bool:
    """Return whether two devices are of one make, wherever they are plugged in."""
    return (known.vendor, known.product) == (found.vendor, found.product)


def difference(known: Identity, found: Identity) -> str | None:
    """Return what tells a found device from the known one, None when it is that one."""
    for name, mine, other in (
        ("vendor", known.vendor, found.vendor),
        ("product", known.product, found.product),
        ("bus", known.bus, found.bus),
        ("port", known.port, found.port),
        ("capabilities", known.capabilities, found.capabilities),
    ):
        if mine != other:
            return name
    return None
