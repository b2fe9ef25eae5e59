"""One contract over every kind of CAN port: what the guardian may rely on, whatever it is."""

from __future__ import annotations

import select
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import can
import pytest

from hil.benchfile import BenchRefused, CanChannel
from hil.drivers.bridge import BusBridge
from hil.drivers.emulated_can import EmulatedCanBus
from hil.drivers.slcan_device import SlcanCore, SlcanDevice
from hil.realtime import open_medium
from hil.wire import Wire
from vehicle_agent.shell.bus import BusReader, BusSender
from vehicle_agent.shell.local_bus import LocalCanBus
from vehicle_agent.shell.slcan_bus import SlcanBus

BITRATE = 500_000
ROUNDS = 200
FRAMES = 8
"""A folder of datagram sockets holds some ten that nobody has read yet."""


@dataclass
class Pair:
    """The port under test, another node, and what moves the bytes between them."""

    port: can.BusABC
    other: can.BusABC
    move: Callable[[], None]
    device: SlcanDevice | None = None

    def heard(self, bus: can.BusABC, number: int, rounds: int = ROUNDS) -> list[can.Message]:
        reader, frames = BusReader(), list[can.Message]()
        for _ in range(rounds):
            self.move()
            frames += reader.drain(bus, 64, 0)
            if len(frames) >= number:
                break
            if isinstance(bus, SlcanBus) and bus.fileno() >= 0:
                select.select([bus], [], [], 0.02)
        return frames


def emulated(_folder: Path) -> Pair:
    wire = Wire(BITRATE, 0)
    now_ns = iter(range(0, 10**12, 10**6))
    return Pair(
        EmulatedCanBus(wire, "a", lambda: wire.now_ns),
        EmulatedCanBus(wire, "b", lambda: wire.now_ns),
        lambda: wire.run_until(next(now_ns)),
    )


def local(folder: Path) -> Pair:
    return Pair(
        LocalCanBus(str(folder), name="a"), LocalCanBus(str(folder), name="b"), lambda: None
    )


def slcan(folder: Path) -> Pair:
    wire = Wire(BITRATE, 0)
    now_ns = iter(range(0, 10**12, 10**6))
    device = SlcanDevice(folder / "tty", SlcanCore(wire, "a", strict=True), seed=1)

    def move() -> None:
        device.poll(wire.now_ns)
        wire.run_until(next(now_ns))
        device.poll(wire.now_ns)

    port = SlcanBus(str(folder / "tty"), BITRATE)
    pair = Pair(port, EmulatedCanBus(wire, "b", lambda: wire.now_ns), move, device)
    device.await_host(1.0)
    move()
    return pair


@pytest.fixture(params=[emulated, local, slcan], ids=lambda make: make.__name__)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    made: Pair = request.param(tmp_path)
    yield made
    made.port.shutdown()
    made.other.shutdown()
    if made.device is not None:
        made.device.unplug()


def frame(number: int, *, extended: bool = True) -> can.Message:
    can_id = 0x0CFF2180 + number if extended else 0x100 + number
    return can.Message(arbitration_id=can_id, data=[number] * 8, is_extended_id=extended)


def seen(frames: list[can.Message]) -> list[tuple[int, bool, bytes]]:
    return [(m.arbitration_id, m.is_extended_id, bytes(m.data)) for m in frames]


class TestEveryCanPort:
    def test_frames_sent__come_out_whole_and_in_order(self, pair: Pair) -> None:
        sent = [frame(n) for n in range(FRAMES)]
        assert all(BusSender(pair.port).send_frame(m.arbitration_id, bytes(m.data)) for m in sent)
        assert seen(pair.heard(pair.other, FRAMES)) == seen(sent)

    def test_frames_of_others__are_read_whole_and_in_order(self, pair: Pair) -> None:
        sent = [frame(n) for n in range(FRAMES)]
        for message in sent:
            pair.other.send(message)
        assert seen(pair.heard(pair.port, FRAMES)) == seen(sent)

    def test_standard_id__stays_standard(self, pair: Pair) -> None:
        pair.other.send(frame(1, extended=False))
        assert seen(pair.heard(pair.port, 1)) == seen([frame(1, extended=False)])

    def test_own_frames__are_not_heard(self, pair: Pair) -> None:
        pair.port.send(frame(1))
        pair.heard(pair.other, 1)
        assert BusReader().drain(pair.port, 64, 0) == []

    def test_nothing_waits__read_returns_at_once(self, pair: Pair) -> None:
        assert pair.port.recv(0) is None

    def test_port_shut_twice__does_not_raise(self, pair: Pair) -> None:
        pair.port.shutdown()
        pair.port.shutdown()


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Pair]:
    made = slcan(tmp_path)
    yield made
    made.port.shutdown()
    made.other.shutdown()
    assert made.device is not None
    made.device.unplug()


def test_noise_on_the_line__reader_lives_and_every_bad_line_is_counted(adapter: Pair) -> None:
    assert adapter.device is not None
    assert isinstance(adapter.port, SlcanBus)
    adapter.device.noise = 0.01
    reader = BusReader()
    for number in range(300):
        adapter.other.send(frame(number % 100))
        adapter.move()
        reader.drain(adapter.port, 64, 0)
    adapter.device.noise = 0.0
    adapter.other.send(frame(101))
    last = adapter.heard(adapter.port, 10_000, rounds=15)[-1]
    assert (last.arbitration_id, reader.counts["raised"]) == (frame(101).arbitration_id, 0)
    assert adapter.port.decoder.counts["malformed"] > 0


def test_adapter_unplugged__send_raises_and_it_opens_again_by_its_path(tmp_path: Path) -> None:
    wire = Wire(BITRATE, 0)
    now_ns = iter(range(0, 10**12, 50_000_000))
    device = SlcanDevice(tmp_path / "tty", SlcanCore(wire, "a"), seed=1)
    bus = SlcanBus(str(tmp_path / "tty"), BITRATE, now_ns=lambda: next(now_ns))
    device.unplug()
    select.select([bus], [], [], 1.0)
    gone = bus.recv(0)
    with pytest.raises(can.CanOperationError, match="away"):
        bus.send(frame(1))
    device.plug()
    again = [bus.recv(0) for _ in range(10)]
    device.await_host(1.0)
    device.poll(0)
    assert (gone, set(again), bus.events["opened"], device.core.open) == (None, {None}, 2, True)
    bus.shutdown()
    device.unplug()


def test_device_that_is_not_there__is_named(tmp_path: Path) -> None:
    with pytest.raises(can.CanInitializationError, match="tty: cannot be opened"):
        SlcanBus(str(tmp_path / "tty"), BITRATE)


def test_bridge__carries_frames_between_a_medium_and_the_wire(tmp_path: Path) -> None:
    wire = Wire(BITRATE, 0)
    guardian = LocalCanBus(str(tmp_path), name="guardian")
    bench = LocalCanBus(str(tmp_path), name="bench")
    bridge = BusBridge(wire, "agent", bench)
    ecu = EmulatedCanBus(wire, "ecu", lambda: wire.now_ns)
    guardian.send(frame(1))
    bridge.poll(0)
    wire.run_until(1_000_000)
    ecu.send(frame(2))
    wire.run_until(2_000_000)
    reader = BusReader()
    heard = (seen(reader.drain(ecu, 8, 0)), seen(reader.drain(guardian, 8, 0)))
    for bus in (guardian, bench, ecu):
        bus.shutdown()
    assert heard == (seen([frame(1)]), seen([frame(2)]))


def test_interface_that_is_not_there__is_one_line_with_its_name() -> None:
    channel = CanChannel(kind="slcan", port="/dev/no")
    with pytest.raises(BenchRefused, match=r"channels.dbw: slcan /dev/no: /dev/no: cannot be"):
        open_medium(channel, Wire(BITRATE, 0), 1)


def test_interface_headframe_slcan__names_this_bus() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    named = tomllib.loads(text)["project"]["entry-points"]["can.interface"]["headframe_slcan"]
    assert named == f"{SlcanBus.__module__}:{SlcanBus.__name__}"
