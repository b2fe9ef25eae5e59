"""VP8 for viewers without H.264: the same rules, and only where H.264 is not offered."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)

from operator_console.shell import rtc_receive
from operator_console.shell.picture_peer import frame_of
from protocol.errors import Refusal
from protocol.strip import draw_strip_i420
from tests.media.rig import LOOPBACK, OBSERVER, Rig, same_capture, signal, viewing
from vehicle_agent.shell.picture_encoder import MIN_KEY_INTERVAL_US, Codec, EncodedPicture
from vehicle_agent.shell.rtc_compat import packetise
from vehicle_agent.shell.vp8 import Vp8Encoder, is_key_frame

WIDTH, HEIGHT, FPS = 640, 360, 30
PERIOD_US = 1_000_000 // FPS
RATE_BPS = 2_000_000
GOLDEN = Path(__file__).parents[1] / "golden"
_rng = np.random.default_rng(4)
SCENE = np.clip(
    cv2.resize(
        _rng.uniform(60, 190, (9, 16)), (2 * WIDTH, HEIGHT * 3 // 2), interpolation=cv2.INTER_CUBIC
    )
    + _rng.uniform(-6, 6, (HEIGHT * 3 // 8, WIDTH // 2)).repeat(4, 0).repeat(4, 1),
    16,
    235,
).astype(np.uint8)


def encode(encoder: Vp8Encoder, first: int, count: int) -> list[EncodedPicture]:
    """Encode pictures of a moving scene, captured one period apart."""
    made = []
    for n in range(first, first + count):
        at = 2 * n % WIDTH
        picture = np.ascontiguousarray(SCENE[:, at : at + WIDTH])
        draw_strip_i420(picture, n)
        made.append(encoder.encode(picture, 5_000_000 + n * PERIOD_US))
    return made


def rate_bps(pictures: list[EncodedPicture]) -> float:
    return sum(len(picture.data) for picture in pictures) * 8 * FPS / len(pictures)


@pytest.fixture
def encoder() -> Vp8Encoder:
    return Vp8Encoder(WIDTH, HEIGHT, FPS, RATE_BPS)


def test_steady_stream__only_the_first_picture_is_a_key_frame(encoder: Vp8Encoder) -> None:
    pictures = encode(encoder, 0, 90)
    assert [n for n, picture in enumerate(pictures) if picture.key] == [0]
    assert all(picture.data for picture in pictures)


def test_key_frame_requests_in_a_flood__keep_the_least_interval(encoder: Vp8Encoder) -> None:
    stamps_us = []
    for n in range(40):
        encoder.request_key_frame()
        if encode(encoder, n, 1)[0].key:
            stamps_us.append(n * PERIOD_US)
    gaps_us = np.diff(stamps_us)
    assert len(stamps_us) > 3
    assert gaps_us.min() >= MIN_KEY_INTERVAL_US
    assert gaps_us.max() < MIN_KEY_INTERVAL_US + PERIOD_US


def test_bit_rate_changed__the_stream_follows_without_a_key_frame(encoder: Vp8Encoder) -> None:
    before = encode(encoder, 0, 90)
    encoder.bit_rate_bps = 500_000
    after = encode(encoder, 90, 90)
    assert 0.6 * RATE_BPS < rate_bps(before[45:]) < 1.2 * RATE_BPS
    assert 0.6 * 500_000 < rate_bps(after[45:]) < 1.2 * 500_000
    assert not any(picture.key for picture in after)


def test_pictures_come_half_as_often__they_have_twice_the_bits() -> None:
    encoder = Vp8Encoder(WIDTH, HEIGHT, FPS, 1_000_000)
    often = encode(encoder, 0, 60)[30:]
    seldom = [encode(encoder, n, 1)[0] for n in range(60, 180, 2)][30:]
    sizes = [np.mean([len(picture.data) for picture in each]) for each in (often, seldom)]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.3)


def test_key_frame_after_a_rate_cut__is_as_much_smaller(encoder: Vp8Encoder) -> None:
    encode(encoder, 0, 60)
    encoder.request_key_frame()
    wide = len(encode(encoder, 60, 1)[0].data)
    encoder.bit_rate_bps = 500_000
    encode(encoder, 61, 60)
    encoder.request_key_frame()
    narrow = encode(encoder, 121, 1)[0]
    assert narrow.key
    assert len(narrow.data) < wide / 2


def test_payloads__carry_every_byte_and_mark_the_first(encoder: Vp8Encoder) -> None:
    picture = encode(encoder, 0, 1)[0]
    payloads = packetise(picture.data, Codec.VP8)
    assert [payload[0] for payload in payloads] == [0x10] + [0] * (len(payloads) - 1)
    assert b"".join(payload[1:] for payload in payloads) == picture.data
    assert max(len(payload) for payload in payloads) <= 1300


def test_frame_without_a_byte__is_no_key_frame() -> None:
    assert not is_key_frame(b"")


# ---- negotiation -------------------------------------------------------------------------------


async def offering(*names: str) -> RTCPeerConnection:
    """Return a peer that offers one video section with these codecs, and a data channel."""
    peer = rtc_receive.new_peer_connection()
    transceiver = peer.addTransceiver("video", direction="recvonly")
    known = RTCRtpReceiver.getCapabilities("video")
    assert known is not None
    transceiver.setCodecPreferences([each for each in known.codecs if each.name.upper() in names])
    peer.createDataChannel("frames", ordered=False, maxRetransmits=0)
    with rtc_receive.ice_addresses(LOOPBACK):
        await peer.setLocalDescription(await peer.createOffer())
    return peer


def settled(sdp: str) -> str:
    """Return a description without what differs from one session to the next."""
    dropped = r"^(o=|a=candidate|a=ice-ufrag|a=ice-pwd|a=fingerprint|a=ssrc|a=msid|c=|s=).*\r\n"
    kept = re.sub(dropped, "", sdp, flags=re.MULTILINE)
    return re.sub(r"^m=(\w+) \d+", r"m=\1 PORT", kept, flags=re.MULTILINE).replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("names", "golden"),
    [(("H264", "VP8", "RTX"), "answer_h264.sdp"), (("VP8", "RTX"), "answer_vp8.sdp")],
)
async def test_offer__is_answered_with_h264_where_there_is_one_and_else_with_vp8(
    rig: Rig, names: tuple[str, ...], golden: str
) -> None:
    async with rig.running():
        peer = await offering(*names)
        claims = signal(peer.localDescription.sdp)
        rig.send(claims)
        answer = await rig.signal_for(claims.session)
        await peer.close()
    assert settled(answer.sdp) == await asyncio.to_thread((GOLDEN / golden).read_text, "utf-8")


async def test_offer_with_neither__is_refused(rig: Rig) -> None:
    async with rig.running():
        peer = await offering("VP8", "RTX")
        rig.send(signal(peer.localDescription.sdp.replace("VP8/90000", "VP9/90000")))
        await rig.report_where(lambda report: report["refused"] == {Refusal.MALFORMED: 1})
        await peer.close()


async def test_viewers_of_both_kinds__each_gets_its_pictures_in_its_own_codec(rig: Rig) -> None:
    async with rig.running(), viewing(rig) as other:
        peer = await offering("VP8", "RTX")
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        peer.on("track", tracks.put_nowait)
        claims = signal(peer.localDescription.sdp, issuer=OBSERVER)
        rig.send(claims)
        answer = await rig.signal_for(claims.session)
        await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        reading = asyncio.create_task(read_numbers(await tracks.get(), 5))
        while not reading.done():
            stamp_us = await rig.publish()
            while not same_capture(await other.frame(), stamp_us):
                pass
        numbers = await reading
        await peer.close()
    assert numbers == sorted(set(numbers))


async def read_numbers(track: MediaStreamTrack, count: int) -> list[int]:
    """Return the numbers in the strips of the next pictures, every one of which can be read."""
    numbers = []
    for _ in range(count):
        picture = await track.recv()
        assert isinstance(picture, av.VideoFrame)
        number = frame_of(picture)
        assert number is not None
        numbers.append(number)
    return numbers
