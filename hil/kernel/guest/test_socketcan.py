"""The guardian's bus reader and sender on real SocketCAN, by the virtual interface ``vcan``."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import can
import pytest

from hil.kernel.guest.interfaces import call, narrow, virtual_can
from protocol.dbw.codec import DriveCommand
from protocol.dbw.endpoint import DbwReceiver, DbwSender
from protocol.dbw.matrix import DRIVE_CMD, STEER_CMD, Direction
from vehicle_agent.shell.bus import NOT_DRAINING_FRAMES, BusReader, BusSender, open_bus
from vehicle_agent.shell.config import CanSettings

FRAME = bytes(range(8))
WAIT_S = 5.0
"""A frame on a virtual interface takes microseconds; an emulated processor may take its time."""
CAN_ERR_BUSOFF = 0x40
"""Of ``linux/can/error.h``: the controller is off the bus."""


def settings(interface: str, **options: object) -> CanSettings:
    """The guardian's settings, as an agent's file has them."""
    return CanSettings(interface="socketcan", channel=interface, options=options)


def heard(bus: can.BusABC, number: int = 1) -> list[can.Message]:
    """Drain as the guardian does until ``number`` frames came, or none came in time."""
    reader, frames = BusReader(), list[can.Message]()
    while len(frames) < number and select.select([bus], [], [], WAIT_S)[0]:
        frames += reader.drain(bus, 64, 0)
    return frames


@dataclass
class Pair:
    """Two guardians' ends on one interface."""

    name: str
    ours: can.BusABC
    other: can.BusABC


@pytest.fixture
def pair() -> Iterator[Pair]:
    """One virtual interface with two ends open on it."""
    with (
        virtual_can("vcan0") as name,
        open_bus(settings(name)) as ours,
        open_bus(settings(name)) as other,
    ):
        yield Pair(name, ours, other)


def test_frames_both_ways__arrive_whole_with_29_bits(pair: Pair) -> None:
    there, back = BusSender(pair.ours), BusSender(pair.other)
    assert there.send_frame(DRIVE_CMD.can_id, FRAME)
    assert back.send_frame(STEER_CMD.can_id, FRAME[::-1])

    got = [*heard(pair.other), *heard(pair.ours)]
    assert [(m.arbitration_id, bytes(m.data), m.is_extended_id) for m in got] == [
        (DRIVE_CMD.can_id, FRAME, True),
        (STEER_CMD.can_id, FRAME[::-1], True),
    ]


def test_protected_row__is_taken_by_the_receiver_after_three(pair: Pair) -> None:
    sender, receiver, bus = DbwSender(), DbwReceiver(Direction.TO_ECU), BusSender(pair.ours)
    wanted = DriveCommand(0.5, 5.0, 1)
    for _ in range(4):
        bus.send_frame(*sender.encode(wanted))
    frames = heard(pair.other, 4)
    taken = [
        receiver.receive(20_000_000 * n, m.arbitration_id, bytes(m.data)).message
        for n, m in enumerate(frames)
    ]
    assert taken == [None, None, wanted, wanted]


def test_own_frames_asked_for__come_back_with_the_kernels_stamp(pair: Pair) -> None:
    with open_bus(settings(pair.name, receive_own_messages=True)) as echoing:
        BusSender(echoing).send_frame(DRIVE_CMD.can_id, FRAME)
        BusSender(echoing).send_frame(STEER_CMD.can_id, FRAME)
        own = heard(echoing, 2)
    seen = heard(pair.other, 2)

    assert [m.is_rx for m in own] == [False, False]
    assert own[0].timestamp < own[1].timestamp
    assert [m.timestamp for m in own] == [m.timestamp for m in seen]  # one stamp for each frame


def test_own_frames_not_asked_for__stay_away(pair: Pair) -> None:
    BusSender(pair.ours).send_frame(DRIVE_CMD.can_id, FRAME)
    assert heard(pair.other)
    assert BusReader().drain(pair.ours, 8, 0) == []


def test_filter__keeps_other_rows_in_the_kernel(pair: Pair) -> None:
    only = {"can_id": STEER_CMD.can_id, "can_mask": 0x1FFFFFFF, "extended": True}
    with open_bus(settings(pair.name, can_filters=[only])) as filtered:
        for can_id in (DRIVE_CMD.can_id, STEER_CMD.can_id, DRIVE_CMD.can_id):
            BusSender(pair.ours).send_frame(can_id, FRAME)
        got = heard(filtered)
        left = BusReader().drain(filtered, 8, 0)
    assert [m.arbitration_id for m in [*got, *left]] == [STEER_CMD.can_id]


def test_error_frame_of_a_controller__is_counted_and_hides_nothing(pair: Pair) -> None:
    error = struct.pack("=IB3x8s", socket.CAN_ERR_FLAG | CAN_ERR_BUSOFF, 8, bytes(8))
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as controller:
        controller.bind((pair.name,))
        controller.send(error)
    BusSender(pair.other).send_frame(DRIVE_CMD.can_id, FRAME)

    reader, frames = BusReader(), list[can.Message]()
    while not frames and select.select([pair.ours], [], [], WAIT_S)[0]:
        frames += reader.drain(pair.ours, 64, 0)
    assert [m.arbitration_id for m in frames] == [DRIVE_CMD.can_id]
    assert reader.counts == {"error_frames": 1, "bus_offs": 1, "frames": 1}


def test_queue_full__frame_is_dropped_at_once_and_the_bus_counts_as_not_draining(
    pair: Pair,
) -> None:
    sender = BusSender(pair.ours)
    room = 5
    with narrow(pair.name, "delay", "60s", "limit", str(room)):
        taken = [
            sender.send_frame(DRIVE_CMD.can_id, FRAME) for _ in range(room + NOT_DRAINING_FRAMES)
        ]
        assert taken == [True] * room + [False] * NOT_DRAINING_FRAMES
        assert sender.failed == {"CanOperationError": NOT_DRAINING_FRAMES}  # ENOBUFS
        assert sender.not_draining
    assert sender.send_frame(STEER_CMD.can_id, FRAME)
    assert not bool(sender.not_draining)
    assert [m.arbitration_id for m in heard(pair.other)] == [STEER_CMD.can_id]  # nothing late


def test_interface_down_and_up__sends_fail_reads_live_and_both_come_back(pair: Pair) -> None:
    sender, reader = BusSender(pair.ours), BusReader()
    call("ip", "link", "set", pair.name, "down")
    assert reader.drain(pair.ours, 8, 0) == []
    assert reader.counts["raised:CanOperationError"] == 1  # ENETDOWN, told once
    assert not reader.broken
    assert not sender.send_frame(DRIVE_CMD.can_id, FRAME)

    call("ip", "link", "set", pair.name, "up")
    BusReader().drain(pair.other, 8, 0)
    assert sender.send_frame(STEER_CMD.can_id, FRAME)
    assert [m.arbitration_id for m in heard(pair.other)] == [STEER_CMD.can_id]
    BusSender(pair.other).send_frame(DRIVE_CMD.can_id, FRAME)
    assert [m.arbitration_id for m in heard(pair.ours)] == [DRIVE_CMD.can_id]
