"""Both relays on real loopback sockets, under a clock that the tests move."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from sim.network.files import find_link
from sim.network.parameters import DirectionParameters, GapMode, Gaps, LinkParameters
from sim.network.station import Station
from sim.network.tcp_relay import HELD_MAX_BYTES, Packet, TcpRelay
from sim.network.udp_relay import CLIENTS_MAX, UdpRelay
from sim.network.wire import Wire
from sim.network.wires import make_wires

Wires = tuple[Wire[Packet], Wire[Packet]]

MS = 1_000_000
WAIT_S = 5.0


def link(up: DirectionParameters, down: DirectionParameters | None = None) -> LinkParameters:
    return LinkParameters("test", "test", up, up if down is None else down)


def step(station: Station, now_ns: int) -> None:
    """Read whatever has come to the station, then release what is due."""
    while ready := select.select(station.readers(), [], [], 0)[0]:
        for descriptor in ready:
            station.read(now_ns, descriptor)
    station.release(now_ns)


def arrived(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def until_read(station: Station, now_ns: int) -> None:
    """Wait for something to come to the station, and read it."""
    ready = select.select(station.readers(), [], [], WAIT_S)[0]
    assert ready
    step(station, now_ns)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(WAIT_S)
        yield sock


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT_S)
        yield sock


def udp(server: socket.socket, parameters: LinkParameters) -> UdpRelay:
    return UdpRelay(0, server.getsockname()[1], *make_wires(parameters, 1, 0))


def test_datagram__waits_for_its_delay_and_the_answer_finds_its_client(
    server: socket.socket, client: socket.socket
) -> None:
    with closing(udp(server, link(DirectionParameters(delay_ns=20 * MS)))) as relay:
        client.sendto(b"hello", ("127.0.0.1", relay.port))
        until_read(relay, 0)
        relay.release(20 * MS - 1)
        early = arrived(server)
        relay.release(20 * MS)
        data, back = server.recvfrom(100)
        server.sendto(b"answer", back)
        until_read(relay, 30 * MS)
        relay.release(50 * MS)
        assert (early, data, client.recv(100)) == (False, b"hello", b"answer")


def test_datagram_on_a_dead_link__never_arrives(
    server: socket.socket, client: socket.socket
) -> None:
    with closing(udp(server, find_link("dead"))) as relay:
        client.sendto(b"hello", ("127.0.0.1", relay.port))
        until_read(relay, 0)
        assert (relay.next_ns(), arrived(server)) == (None, False)


def test_datagram_doubled__arrives_twice(server: socket.socket, client: socket.socket) -> None:
    with closing(udp(server, link(DirectionParameters(duplicate=1.0)))) as relay:
        client.sendto(b"hello", ("127.0.0.1", relay.port))
        until_read(relay, 0)
        assert [server.recv(100), server.recv(100)] == [b"hello", b"hello"]


def test_more_clients_than_kept__the_oldest_goes(server: socket.socket) -> None:
    with closing(udp(server, link(DirectionParameters()))) as relay:
        for _ in range(CLIENTS_MAX + 1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
                each.sendto(b"x", ("127.0.0.1", relay.port))
                until_read(relay, 0)
        assert len(relay.readers()) == CLIENTS_MAX + 1


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(WAIT_S)
        yield sock


class Stream:
    """A connection through a TCP relay: both ends and the relay."""

    def __init__(self, listener: socket.socket, parameters: LinkParameters) -> None:
        dead = parameters.up.dead
        wires: Wires = make_wires(parameters, 1, 0, stream=True)
        self.relay = TcpRelay(0, listener.getsockname()[1], *wires, dead=dead)
        self.near = socket.create_connection(("127.0.0.1", self.relay.port))
        until_read(self.relay, 0)
        self.far, _ = listener.accept()
        for end in (self.near, self.far):
            end.settimeout(WAIT_S)

    def close(self) -> None:
        self.relay.close()
        self.near.close()
        self.far.close()


def test_bytes__wait_for_their_delay(listener: socket.socket) -> None:
    with closing(Stream(listener, link(DirectionParameters(delay_ns=20 * MS)))) as stream:
        stream.near.sendall(b"hello")
        until_read(stream.relay, 0)
        stream.relay.release(20 * MS - 1)
        early = arrived(stream.far)
        stream.relay.release(20 * MS)
        assert (early, stream.far.recv(100)) == (False, b"hello")


def test_lossy_link__a_stream_loses_nothing(listener: socket.socket) -> None:
    with closing(Stream(listener, link(DirectionParameters(loss=0.5)))) as stream:
        for number in range(50):
            stream.near.sendall(bytes([number]))
            until_read(stream.relay, number)
        received = b""
        while len(received) < 50:
            received += stream.far.recv(100)
        assert received == bytes(range(50))


def test_gap__stalls_a_stream_and_then_all_comes_at_once(listener: socket.socket) -> None:
    gaps = Gaps(1.0, 0.0, 0.5, 0.5, GapMode.LOSE)
    with closing(Stream(listener, link(DirectionParameters(gaps=gaps)))) as stream:
        for at_ms in (1100, 1200, 1300):
            stream.near.sendall(b"old")
            until_read(stream.relay, at_ms * MS)
        stalled = arrived(stream.far)
        stream.relay.release(1501 * MS)
        assert (stalled, stream.far.recv(100)) == (False, b"oldoldold")


def fill(stream: Stream) -> None:
    """Send until neither the relay nor the kernel's buffers take more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            stream.near.send(bytes(65536))
            step(stream.relay, 0)


def test_full_link__stops_reading_so_that_the_sender_notices(listener: socket.socket) -> None:
    with closing(Stream(listener, link(DirectionParameters(rate_bps=1e3)))) as stream:
        stream.near.settimeout(0)
        fill(stream)
        assert len(stream.relay.readers()) == 2
        assert HELD_MAX_BYTES <= stream.relay._up.held_bytes < HELD_MAX_BYTES + 1448


def test_dead_link__reads_nothing(listener: socket.socket) -> None:
    with closing(Stream(listener, find_link("dead"))) as stream:
        stream.near.sendall(b"hello")
        step(stream.relay, 0)
        assert (len(stream.relay.readers()), stream.relay.next_ns()) == (1, None)


def test_end_of_stream__comes_out_after_the_last_byte_and_both_ends_close(
    listener: socket.socket,
) -> None:
    with closing(Stream(listener, link(DirectionParameters(delay_ns=MS)))) as stream:
        stream.near.sendall(b"last")
        stream.near.shutdown(socket.SHUT_WR)
        until_read(stream.relay, 0)
        stream.relay.release(MS)
        assert (stream.far.recv(100), stream.far.recv(100)) == (b"last", b"")
        stream.far.close()
        until_read(stream.relay, 2 * MS)
        stream.relay.release(3 * MS)
        assert stream.near.recv(100) == b""
        assert len(stream.relay.readers()) == 1


def test_target_that_does_not_listen__the_connection_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    wires: Wires = make_wires(link(DirectionParameters()), 1, 0, stream=True)
    with closing(TcpRelay(0, port, *wires)) as relay:
        near = socket.create_connection(("127.0.0.1", relay.port))
        until_read(relay, 0)
        near.settimeout(WAIT_S)
        assert near.recv(100) == b""
        near.close()
