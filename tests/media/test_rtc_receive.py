"""The receiver: pictures out with their last packet, losses asked for again, bounded queues."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence

import av
import numpy as np
import pytest
from aiortc import RTCRtpReceiver
from aiortc.codecs import CODECS
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from operator_console.shell import picture_peer, rtc_receive
from operator_console.shell.picture_peer import Decoded, StampBook, frame_of
from operator_console.shell.rtc_receive import (
    MAX_UNITS_WAITING,
    NACK_AGAIN_US,
    NACK_TRIES,
    OUTAGE_PACKETS,
    STALL_US,
    Burst,
    MarkerJitterBuffer,
    PictureSink,
    ReceiverUpkeep,
    Unit,
    decoder_worker,
)
from operator_console.shell.viewer import HeadlessViewer
from protocol.strip import draw_strip_i420
from tests.media.rig import LOOPBACK
from vehicle_agent.shell.h264 import H264Encoder

KEY = b"\0\0\0\1\x67k"
DELTA = b"\0\0\0\1\x41d"
WAIT_S = 20.0


def packet(sequence: int, timestamp: int, *, marker: int = 0, data: bytes = b"-") -> RtpPacket:
    made = RtpPacket(sequence_number=sequence % 65536, timestamp=timestamp, marker=marker)
    made.ssrc = 77
    vars(made)["_data"] = data
    return made


def picture(first: int, timestamp: int, parts: int, start: bytes = DELTA) -> list[RtpPacket]:
    return [
        packet(
            first + n,
            timestamp,
            marker=int(n == parts - 1),
            data=start if n == 0 else b"-",
        )
        for n in range(parts)
    ]


def feed(buffer: MarkerJitterBuffer, packets: Sequence[RtpPacket]) -> list[int]:
    """Add packets; return the timestamps of the units released, in order."""
    released = []
    for each in packets:
        _, frame = buffer.add(each)
        if frame is not None:
            assert isinstance(frame, Burst)
            released += [unit.rtp_timestamp for unit in frame.units]
    return released


def test_last_packet_of_a_picture__releases_it_at_once() -> None:
    buffer = MarkerJitterBuffer(64)
    packets = picture(100, 1, 3)
    assert feed(buffer, packets[:2]) == []
    assert feed(buffer, packets[2:]) == [1]


def test_picture_of_one_packet__is_released_with_it() -> None:
    assert feed(MarkerJitterBuffer(64), picture(9, 5, 1)) == [5]


def test_sequence_numbers_that_wrap__change_nothing() -> None:
    buffer = MarkerJitterBuffer(64)
    assert feed(buffer, picture(65534, 1, 4) + picture(65538, 2, 2)) == [1, 2]


def test_missing_packet_comes_late__all_whole_pictures_are_released_together() -> None:
    buffer = MarkerJitterBuffer(64)
    first, second, third = picture(10, 1, 3), picture(13, 2, 2), picture(15, 3, 2)
    assert feed(buffer, [first[0], first[2], *second, *third]) == []
    assert buffer.missing() == [11]
    assert feed(buffer, [first[1]]) == [1, 2, 3]
    assert buffer.missing() == []


def test_packets_out_of_order__the_picture_is_put_together_in_order() -> None:
    buffer = MarkerJitterBuffer(64)
    parts = [packet(20 + n, 1, marker=int(n == 2), data=bytes([n])) for n in range(3)]
    assert feed(buffer, [parts[0], parts[2]]) == []
    _, frame = buffer.add(parts[1])
    assert frame is not None
    assert frame.data == b"\0\1\2"


def test_marker_missing__the_next_timestamp_ends_the_picture() -> None:
    buffer = MarkerJitterBuffer(64)
    assert feed(buffer, [packet(1, 1), packet(2, 1), *picture(3, 2, 1)]) == [1, 2]


def test_whole_key_frame_behind_a_gap__is_taken_and_the_gap_given_up() -> None:
    buffer = MarkerJitterBuffer(64)
    lost = picture(10, 1, 3)
    assert feed(buffer, [lost[0], lost[2], *picture(13, 2, 2)]) == []
    assert feed(buffer, picture(15, 3, 3, KEY)) == [3]
    assert buffer.missing() == []
    assert feed(buffer, picture(18, 4, 1)) == [4]


def test_key_frame_behind_a_gap_not_whole_yet__waits_for_its_packets() -> None:
    buffer = MarkerJitterBuffer(64)
    lost, key = picture(10, 1, 3), picture(13, 2, 3, KEY)
    assert feed(buffer, [lost[0], lost[2], key[0], key[2]]) == []
    assert feed(buffer, [key[1]]) == [2]


def test_packet_older_than_what_was_released__is_ignored() -> None:
    buffer = MarkerJitterBuffer(64)
    old = picture(10, 1, 1)
    assert feed(buffer, [*old, *picture(11, 2, 1), *old]) == [1, 2]


class FakeReceiver:
    """Just what the upkeep asks of a receiver."""

    def __init__(self) -> None:
        self.buffer = MarkerJitterBuffer(64)
        self.__dict__["_RTCRtpReceiver__jitter_buffer"] = self.buffer
        self.nacks: list[list[int]] = []
        self.key_requests = 0

    async def _send_rtcp_nack(self, ssrc: int, lost: list[int]) -> None:
        assert ssrc == 77
        self.nacks.append(lost)

    async def _send_rtcp_pli(self, ssrc: int) -> None:
        assert ssrc == 77
        self.key_requests += 1


def upkeep_of(receiver: FakeReceiver) -> ReceiverUpkeep:
    stand_in: RTCRtpReceiver = receiver  # type: ignore[assignment]
    return ReceiverUpkeep(stand_in)


async def test_nothing_missing__nothing_is_asked() -> None:
    receiver = FakeReceiver()
    feed(receiver.buffer, picture(1, 1, 3))
    upkeep = upkeep_of(receiver)
    for now_us in range(0, 1_000_000, 20_000):
        await upkeep.tick(now_us)
    assert receiver.nacks == []
    assert receiver.key_requests == 0


async def test_packet_stays_missing__it_is_asked_for_again_and_a_key_frame_after_the_stall() -> (
    None
):
    receiver = FakeReceiver()
    lost = picture(1, 1, 3)
    feed(receiver.buffer, [lost[0], lost[2]])
    upkeep = upkeep_of(receiver)
    asked_us, keys_us = [], []
    for now_us in range(0, 400_000, 10_000):
        before = len(receiver.nacks), receiver.key_requests
        await upkeep.tick(now_us)
        asked_us += [now_us] * (len(receiver.nacks) - before[0])
        keys_us += [now_us] * (receiver.key_requests - before[1])
    assert asked_us == [NACK_AGAIN_US * n for n in range(1, NACK_TRIES + 1)]
    assert receiver.nacks == [[2]] * NACK_TRIES
    assert keys_us == [STALL_US]


async def test_many_packets_missing_at_once__a_key_frame_is_asked_for_without_waiting() -> None:
    receiver = FakeReceiver()
    feed(receiver.buffer, [*picture(1, 1, 1), *picture(3 + OUTAGE_PACKETS, 2, 1)])
    upkeep = upkeep_of(receiver)
    await upkeep.tick(0)
    assert receiver.key_requests == 1


async def test_gap_filled__the_asking_ends() -> None:
    receiver = FakeReceiver()
    lost = picture(1, 1, 3)
    feed(receiver.buffer, [lost[0], lost[2]])
    upkeep = upkeep_of(receiver)
    for now_us in (0, 50_000):
        await upkeep.tick(now_us)
    feed(receiver.buffer, [lost[1]])
    for now_us in range(60_000, 500_000, 20_000):
        await upkeep.tick(now_us)
    assert len(receiver.nacks) == 1
    assert receiver.key_requests == 0


def encoded_units(count: int, keys: Sequence[int] = (0,)) -> list[Unit]:
    encoder = H264Encoder(640, 360, 30, 1_000_000)
    units = []
    for n in range(count):
        i420 = np.full((540, 640), 90, np.uint8)
        draw_strip_i420(i420, n)
        if n in keys:
            encoder.request_key_frame()
        encoded = encoder.encode(i420, n * 400_000)
        units.append(Unit(encoded.data, encoded.pts_90khz, encoded.key))
    return units


async def run_worker(
    tasks: Sequence[JitterFrame | None],
) -> tuple[list[int | None], PictureSink, bool]:
    """Decode tasks that all wait already; return the frames, the sink, and the key request."""
    frames: list[int | None] = []

    def on_picture(decoded: av.VideoFrame, _: int) -> None:
        frames.append(frame_of(decoded))

    sink = PictureSink(on_picture)
    codec = next(codec for codec in CODECS["video"] if codec.name == "H264")
    waiting: queue.Queue[tuple[RTCRtpCodecParameters, JitterFrame] | None] = queue.Queue()
    for task in tasks:
        waiting.put(None if task is None else (codec, task))
    waiting.put(None)
    error = threading.Event()
    async with asyncio.timeout(WAIT_S):
        await asyncio.to_thread(decoder_worker, asyncio.get_running_loop(), waiting, sink, error)
    return frames, sink, error.is_set()


async def test_pictures_waiting_for_the_decoder__only_the_newest_is_handed_out() -> None:
    frames, sink, asked = await run_worker([Burst([unit]) for unit in encoded_units(8)])
    assert frames == [7]
    assert sink.skipped == 7
    assert not asked


async def test_key_frame_among_those_waiting__decoding_begins_there() -> None:
    units = encoded_units(8, keys=(0, 5))
    frames, sink, _ = await run_worker([Burst(units)])
    assert frames == [7]
    assert sink.skipped == 2


async def test_too_many_waiting_without_a_key_frame__one_is_asked_for() -> None:
    units = encoded_units(MAX_UNITS_WAITING + 3)
    frames, sink, asked = await run_worker([Burst(units[1:])])
    assert frames == []
    assert sink.restarts == 1
    assert asked


async def test_stream_joined_in_the_middle__waits_for_a_key_frame_and_asks() -> None:
    frames, _, asked = await run_worker([Burst(encoded_units(4)[1:])])
    assert frames == []
    assert asked


def test_data_of_a_key_frame__is_told_from_the_rest() -> None:
    assert rtc_receive.starts_key_frame(KEY)
    assert not rtc_receive.starts_key_frame(DELTA)
    assert not rtc_receive.starts_key_frame(b"")


def test_announced_picture__has_the_announced_stamp() -> None:
    book = StampBook()
    assert book.announce(5, 1_000_003, 90_000) is None
    assert book.stamp_us(Decoded(5, 90_000, 0)) == 1_000_003
    assert book.by_rtp == 0


def test_picture_before_the_first_announcement__waits_for_its_own() -> None:
    book = StampBook()
    early = Decoded(5, 90_000, 0)
    assert book.stamp_us(early) is None
    assert book.announce(4, 1, 1) is None
    assert book.announce(5, 2, 2) == early


@pytest.mark.parametrize("anchor_rtp", [90_000, 0xFFFF_FFF0, 0])
@pytest.mark.parametrize("elapsed_us", [33_333, -33_333, 5_000_000])
def test_announcement_lost__the_rtp_clock_gives_the_stamp(anchor_rtp: int, elapsed_us: int) -> None:
    book = StampBook()
    book.announce(5, 70_000_000, anchor_rtp)
    later = Decoded(6, (anchor_rtp + elapsed_us * 9 // 100) % 2**32, 0)
    stamp_us = book.stamp_us(later)
    assert stamp_us is not None
    assert abs(stamp_us - (70_000_000 + elapsed_us)) <= 12
    assert book.by_rtp == 1


async def test_decoder_that_does_not_end__the_connection_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(_: RTCRtpReceiver) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(picture_peer, "CLOSE_WITHIN_S", 0.5)
    monkeypatch.setattr(rtc_receive, "end_decoder", never)
    async with HeadlessViewer(lambda _: None, ice_addresses=LOOPBACK) as view:
        await view.offer()
    async with asyncio.timeout(WAIT_S):
        await view.ended.wait()
