"""The encoder: key frames only on request, rate changes without one, real capture times."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vehicle_agent.shell.h264 import H264Encoder, is_key_frame
from vehicle_agent.shell.picture_encoder import (
    MIN_BIT_RATE_BPS,
    MIN_KEY_INTERVAL_US,
    EncodedPicture,
    pts_from_us,
)
from vehicle_agent.shell.rtc_compat import packetise

WIDTH, HEIGHT, FPS = 640, 360, 30
PERIOD_US = 1_000_000 // FPS
RATE_BPS = 2_000_000
TEXTURE = np.random.default_rng(4).integers(0, 256, (HEIGHT * 3 // 2, WIDTH * 2), np.uint8)


def encode(encoder: H264Encoder, first: int, count: int) -> list[EncodedPicture]:
    """Encode pictures of a moving texture, captured one period apart from second 5 on."""
    return [
        encoder.encode(
            np.ascontiguousarray(TEXTURE[:, 4 * (n % 150) : 4 * (n % 150) + WIDTH]),
            5_000_000 + n * PERIOD_US,
        )
        for n in range(first, first + count)
    ]


def rate_bps(pictures: list[EncodedPicture]) -> float:
    return sum(len(picture.data) for picture in pictures) * 8 * FPS / len(pictures)


@pytest.fixture
def encoder() -> H264Encoder:
    return H264Encoder(WIDTH, HEIGHT, FPS, RATE_BPS)


def test_steady_stream__only_the_first_picture_is_a_key_frame(encoder: H264Encoder) -> None:
    pictures = encode(encoder, 0, 300)
    assert [n for n, picture in enumerate(pictures) if picture.key] == [0]
    assert encoder.key_frames == 1


def test_key_frame_request__the_next_picture_is_one(encoder: H264Encoder) -> None:
    encode(encoder, 0, 30)
    encoder.request_key_frame()
    assert [picture.key for picture in encode(encoder, 30, 3)] == [True, False, False]


def test_requests_in_a_flood__keep_the_least_interval(encoder: H264Encoder) -> None:
    stamps_us = []
    for n in range(60):
        encoder.request_key_frame()
        if encode(encoder, n, 1)[0].key:
            stamps_us.append(n * PERIOD_US)
    gaps_us = np.diff(stamps_us)
    assert len(stamps_us) > 3
    assert gaps_us.min() >= MIN_KEY_INTERVAL_US
    assert gaps_us.max() < MIN_KEY_INTERVAL_US + PERIOD_US


def test_bit_rate_changed__the_stream_follows_without_a_key_frame(encoder: H264Encoder) -> None:
    before = encode(encoder, 0, 120)
    encoder.bit_rate_bps = 500_000
    after = encode(encoder, 120, 120)
    assert 0.6 * RATE_BPS < rate_bps(before[60:]) < 1.1 * RATE_BPS
    assert 0.6 * 500_000 < rate_bps(after[60:]) < 1.1 * 500_000
    assert not any(picture.key for picture in after)


def test_key_frame_after_a_rate_cut__takes_no_more_of_the_link_than_before() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, RATE_BPS)
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (HEIGHT * 3 // 64 + 1, WIDTH // 16), np.uint8)
    size = (WIDTH * 2, HEIGHT * 3 // 2)
    smooth = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def key_frame_ms(first: int) -> float:
        encoder.request_key_frame()
        sizes = []
        for n in range(first, first + 60):
            shown = np.ascontiguousarray(smooth[:, 4 * (n % 60) : 4 * (n % 60) + WIDTH])
            sizes.append(len(encoder.encode(shown, 5_000_000 + n * PERIOD_US).data))
        return sizes[0] * 8000 / encoder.bit_rate_bps

    key_frame_ms(0)
    assert key_frame_ms(60) < 60
    encoder.bit_rate_bps = 300_000
    key_frame_ms(120)
    assert key_frame_ms(180) < 60


@pytest.mark.parametrize(
    ("wanted_bps", "kept_bps"), [(1, MIN_BIT_RATE_BPS), (RATE_BPS * 5, RATE_BPS)]
)
def test_bit_rate_outside_its_limits__is_limited(
    encoder: H264Encoder, wanted_bps: int, kept_bps: int
) -> None:
    encoder.bit_rate_bps = wanted_bps
    assert encoder.bit_rate_bps == kept_bps


def test_requested_key_frame__is_no_burst(encoder: H264Encoder) -> None:
    mean_bytes = np.mean([len(picture.data) for picture in encode(encoder, 0, 120)[30:]])
    encoder.request_key_frame()
    assert len(encode(encoder, 120, 1)[0].data) < 3 * mean_bytes


def test_presentation_time__is_the_capture_stamp_in_90_khz(encoder: H264Encoder) -> None:
    pictures = encode(encoder, 0, 10)
    assert [p.pts_90khz for p in pictures] == [
        pts_from_us(5_000_000 + n * PERIOD_US) for n in range(10)
    ]


def test_capture_stamp_that_stands_still__time_goes_on(encoder: H264Encoder) -> None:
    picture = np.ascontiguousarray(TEXTURE[:, :WIDTH])
    times = [encoder.encode(picture, 1_000).pts_90khz for _ in range(3)]
    assert times == [90, 91, 92]


def test_one_picture_in__one_access_unit_out_at_once(encoder: H264Encoder) -> None:
    assert all(len(picture.data) > 0 for picture in encode(encoder, 0, 50))


def test_payloads__fit_a_datagram_and_carry_every_byte_of_the_slices(encoder: H264Encoder) -> None:
    picture = encode(encoder, 0, 1)[0]
    payloads = packetise(picture.data)
    assert max(len(payload) for payload in payloads) <= 1300
    assert sum(len(payload) for payload in payloads) >= len(picture.data) - 32


@pytest.mark.parametrize(
    ("annex_b", "key"),
    [
        (b"\0\0\0\1\x67\x42", True),
        (b"\0\0\1\x65\x88", True),
        (b"\0\0\0\1\x09\x10\0\0\1\x65\x88", True),
        (b"\0\0\0\1\x41\x9a", False),
        (b"\0\0\0\1\x41\x9a\0\0\1\x67", False),
        (b"", False),
        (b"\0\0\1", False),
    ],
)
def test_access_unit__is_recognised_as_key_frame(annex_b: bytes, key: bool) -> None:
    assert is_key_frame(annex_b) is key


def test_bit_rate_cut_and_raised_again__the_stream_uses_it_as_before(encoder: H264Encoder) -> None:
    before = encode(encoder, 0, 150)
    encoder.bit_rate_bps = 500_000
    encode(encoder, 150, 60)
    encoder.bit_rate_bps = RATE_BPS
    after = encode(encoder, 210, 150)
    assert rate_bps(after[60:]) > 0.8 * rate_bps(before[60:])


@pytest.mark.parametrize(("opened_fps", "real_fps"), [(30, 15), (15, 30), (30, 30), (30, 10)])
def test_pictures_come_at_another_rate__the_bit_rate_is_kept(
    opened_fps: int, real_fps: int
) -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, opened_fps, RATE_BPS)
    encoder.fps = max(opened_fps, real_fps)
    period_us = 1_000_000 // real_fps
    sizes = [
        len(encoder.encode(np.ascontiguousarray(TEXTURE[:, n : n + WIDTH]), n * period_us).data)
        for n in range(120)
    ]
    assert 0.55 * RATE_BPS < sum(sizes[60:]) * 8 * real_fps / 60 < 1.1 * RATE_BPS
