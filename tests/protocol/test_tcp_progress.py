"""A connection counts as stalled when what was sent stays unacknowledged, and only then."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest

from protocol.tcp_progress import STALLED_NS, TCP_INFO_BYTES, Progress, TcpInfo, decode_tcp_info

ON_ITS_WAY = TcpInfo(unacked=2, acknowledged_bytes=1000, round_trip_us=40_000)
BEGUN_NS = 10_000_000_000
LATER_NS = BEGUN_NS + STALLED_NS + 1


@pytest.fixture
def progress() -> Progress:
    watched = Progress()
    assert not watched.stalled(BEGUN_NS, ON_ITS_WAY)
    return watched


def test_nothing_acknowledged_for_long__stalled(progress: Progress) -> None:
    assert progress.stalled(LATER_NS, ON_ITS_WAY)


def test_nothing_acknowledged_for_the_limit__not_yet(progress: Progress) -> None:
    assert not progress.stalled(BEGUN_NS + STALLED_NS, ON_ITS_WAY)


def test_more_acknowledged_meanwhile__not_stalled(progress: Progress) -> None:
    assert not progress.stalled(LATER_NS, replace(ON_ITS_WAY, acknowledged_bytes=1001))
    assert not progress.stalled(LATER_NS + STALLED_NS, replace(ON_ITS_WAY, acknowledged_bytes=1001))


def test_nothing_on_its_way__an_idle_connection_is_not_stalled(progress: Progress) -> None:
    assert not progress.stalled(LATER_NS, replace(ON_ITS_WAY, unacked=0))
    assert not progress.stalled(LATER_NS + STALLED_NS, ON_ITS_WAY)


def test_long_round_trip__is_given_two_of_them() -> None:
    progress, slow = Progress(), replace(ON_ITS_WAY, round_trip_us=400_000)
    assert not progress.stalled(BEGUN_NS, slow)
    assert not progress.stalled(BEGUN_NS + 800_000_000, slow)
    assert progress.stalled(BEGUN_NS + 800_000_001, slow)


def test_no_word_of_the_kernel__not_stalled(progress: Progress) -> None:
    assert not progress.stalled(LATER_NS, None)


def test_round_trip__is_that_of_before_the_stall(progress: Progress) -> None:
    progress.stalled(LATER_NS, replace(ON_ITS_WAY, round_trip_us=400_000))
    assert progress.round_trip_us == 40_000


def test_fields__stand_where_linux_has_them() -> None:
    data = bytearray(TCP_INFO_BYTES)
    struct.pack_into("<I", data, 24, 3)
    struct.pack_into("<I", data, 68, 40_000)
    struct.pack_into("<Q", data, 120, 1 << 40)
    assert decode_tcp_info(bytes(data)) == TcpInfo(3, 1 << 40, 40_000)


def test_an_older_kernels_shorter_word__is_none() -> None:
    assert decode_tcp_info(bytes(TCP_INFO_BYTES - 1)) is None


def test_real_connection__its_kernel_tells_what_was_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = socket.create_connection(server.getsockname())
        with stream, server.accept()[0] as other:
            stream.sendall(bytes(1000))
            other.sendall(other.recv(1000, socket.MSG_WAITALL))
            stream.recv(1000, socket.MSG_WAITALL)
            found = decode_tcp_info(
                stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
            )
    assert found is not None
    assert found.unacked == 0
    assert found.acknowledged_bytes >= 1000
    assert 0 < found.round_trip_us < 1_000_000
