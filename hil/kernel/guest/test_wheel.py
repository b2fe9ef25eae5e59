"""The lab's virtual wheel, read through the kernel's real ``evdev``."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.kernel.wheel import (
    ABS_BRAKE,
    ABS_GAS,
    ABS_WHEEL,
    BTN_TRIGGER,
    EV_ABS,
    EV_KEY,
    EVENT,
    VirtualDevice,
)
from vehicle_agent.shell.clock import monotonic_us

EVIOCSCLOCKID = 0x400445A0
EVIOCGABS_WHEEL = 0x80184540 | ABS_WHEEL
EVIOCGNAME = 0x81004506
CLOCK_MONOTONIC = 1
WAIT_S = 5.0


class Reader:
    """An evdev node, its stamps of the monotonic clock."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.descriptor, EVIOCSCLOCKID, struct.pack("=i", CLOCK_MONOTONIC))

    def events(self, number: int) -> list[tuple[int, int, int, int]]:
        """Read (stamp in µs, type, code, value) until ``number`` came; packets' ends left out."""
        found: list[tuple[int, int, int, int]] = []
        while len(found) < number and select.select([self.descriptor], [], [], WAIT_S)[0]:
            for s, us, kind, code, value in EVENT.iter_unpack(os.read(self.descriptor, 2400)):
                found += [(s * 1_000_000 + us, kind, code, value)] if kind else []
        return found


@pytest.fixture
def wheel() -> Iterator[VirtualDevice]:
    """A wheel that is plugged in."""
    with VirtualDevice() as made:
        yield made


@pytest.fixture
def reader(wheel: VirtualDevice) -> Iterator[Reader]:
    """Its node, open."""
    made = Reader(wheel.path)
    yield made
    os.close(made.descriptor)


def test_wheel_and_pedals_moved__come_as_one_packet_with_monotonic_stamps(
    wheel: VirtualDevice, reader: Reader
) -> None:
    before_us = monotonic_us()
    wheel.move(wheel=-12_000, gas=200, brake=7, trigger=1)
    events = reader.events(4)
    after_us = monotonic_us()

    assert [event[1:] for event in events] == [
        (EV_ABS, ABS_WHEEL, -12_000),
        (EV_ABS, ABS_GAS, 200),
        (EV_ABS, ABS_BRAKE, 7),
        (EV_KEY, BTN_TRIGGER, 1),
    ]
    stamps_us = {event[0] for event in events}
    assert len(stamps_us) == 1
    assert before_us <= stamps_us.pop() <= after_us


def test_nothing_moved__nothing_is_told(wheel: VirtualDevice, reader: Reader) -> None:
    wheel.move(wheel=5)
    wheel.move(wheel=5)
    wheel.move(wheel=6)
    assert [event[3] for event in reader.events(2)] == [5, 6]


def test_axis__tells_its_travel_and_where_it_stands(wheel: VirtualDevice, reader: Reader) -> None:
    wheel.move(wheel=1234)
    told = fcntl.ioctl(reader.descriptor, EVIOCGABS_WHEEL, bytes(24))
    assert struct.unpack("=6i", told)[:3] == (1234, -32768, 32767)
    name = fcntl.ioctl(reader.descriptor, EVIOCGNAME, bytes(256))
    assert name.rstrip(b"\0") == b"Headframe virtual wheel"


def test_pulled_out__reading_says_that_it_is_gone(wheel: VirtualDevice, reader: Reader) -> None:
    wheel.close()
    select.select([reader.descriptor], [], [], WAIT_S)
    with pytest.raises(OSError, match=os.strerror(errno.ENODEV)):
        os.read(reader.descriptor, 240)
