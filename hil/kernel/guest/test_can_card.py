"""Real card drivers: two emulated Kvaser PCI cards (SJA1000) on one emulated bus, driven by Linux.

The emulated controllers have no bit errors and no bus-off; those are the emulated wire's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import can
import pytest

from hil.kernel.guest.interfaces import call
from hil.kernel.guest.test_socketcan import FRAME, heard, settings
from hil.kernel.lab import load
from protocol.dbw.matrix import DRIVE_CMD, STEER_CMD
from vehicle_agent.shell.bus import BusReader, BusSender, open_bus

BITRATE = "500000"
CARDS = ("can0", "can1")


@contextmanager
def cards_up() -> Iterator[None]:
    """Both cards up at the matrix's bit rate, for the time of the block."""
    for module in ("can", "can-raw", "can-dev", "kvaser_pci"):
        load(module)
    for name in CARDS:
        call("ip", "link", "set", name, "type", "can", "bitrate", BITRATE)
        call("ip", "link", "set", name, "up")
    try:
        yield
    finally:
        for name in CARDS:
            call("ip", "link", "set", name, "down")


@pytest.fixture
def cards() -> Iterator[tuple[can.BusABC, can.BusABC]]:
    """One end open on each of both cards."""
    with cards_up(), open_bus(settings(CARDS[0])) as ours, open_bus(settings(CARDS[1])) as other:
        yield ours, other


def test_frame__goes_by_one_cards_driver_and_comes_by_the_others(
    cards: tuple[can.BusABC, can.BusABC],
) -> None:
    ours, other = cards
    BusSender(ours).send_frame(DRIVE_CMD.can_id, FRAME)
    BusSender(other).send_frame(STEER_CMD.can_id, FRAME[::-1])

    assert [(m.arbitration_id, bytes(m.data)) for m in heard(other)] == [(DRIVE_CMD.can_id, FRAME)]
    assert [(m.arbitration_id, bytes(m.data)) for m in heard(ours)] == [
        (STEER_CMD.can_id, FRAME[::-1])
    ]


def test_card_driver__is_kvasers_at_the_matrix_bit_rate(
    cards: tuple[can.BusABC, can.BusABC],
) -> None:
    assert len(cards) == len(CARDS)
    driver = Path("/sys/class/net") / CARDS[0] / "device" / "driver"
    assert driver.resolve().name == "kvaser_pci"
    assert f"bitrate {BITRATE}" in call("ip", "-details", "link", "show", CARDS[0])


def test_own_frame__comes_back_when_the_controller_has_sent_it(
    cards: tuple[can.BusABC, can.BusABC],
) -> None:
    _, other = cards
    with open_bus(settings(CARDS[0], receive_own_messages=True)) as echoing:
        BusSender(echoing).send_frame(DRIVE_CMD.can_id, FRAME)
        own = heard(echoing)
    assert [(m.arbitration_id, m.is_rx) for m in own] == [(DRIVE_CMD.can_id, False)]
    assert [m.arbitration_id for m in heard(other)] == [DRIVE_CMD.can_id]


def test_card_down_and_up__guardians_end_lives_and_is_heard_again(
    cards: tuple[can.BusABC, can.BusABC],
) -> None:
    ours, other = cards
    sender, reader = BusSender(ours), BusReader()
    call("ip", "link", "set", CARDS[0], "down")
    assert not sender.send_frame(DRIVE_CMD.can_id, FRAME)
    assert reader.drain(ours, 8, 0) == []

    call("ip", "link", "set", CARDS[0], "up")
    assert sender.send_frame(STEER_CMD.can_id, FRAME)
    assert [m.arbitration_id for m in heard(other)] == [STEER_CMD.can_id]
