"""The identity strip survives hard compression, and is never read wrongly."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

from operator_console.shell.picture_peer import frame_of
from protocol.dbw.e2e import crc8
from protocol.errors import OutOfRange
from protocol.strip import (
    BLACK,
    CELLS,
    COUNTER_MODULUS,
    WHITE,
    draw_strip,
    draw_strip_i420,
    read_strip,
    strip_bits,
    strip_size_px,
)
from vehicle_agent.shell.h264 import OPTIONS, SOFTWARE

FRAMES = 320
SIZES = [(1280, 720), (640, 360), (320, 180)]


def noise(width: int, height: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def strip_from_bits(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    row = np.where(np.repeat(bits, 16), WHITE, BLACK).astype(np.uint8)
    luma = np.full((32, 640), 128, np.uint8)
    luma[:16, : row.size] = row
    return luma


def test_crc__has_the_check_value_of_its_standard() -> None:
    assert crc8(b"123456789") == 0xDF


def test_strip_of_a_known_counter__has_these_cells() -> None:
    cells = "".join(str(bit) for bit in strip_bits(0xABCDEF))
    assert cells == "1010" + f"{0xABCDEF:024b}" + f"{crc8(bytes.fromhex('abcdef')):08b}"


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("counter", [0, 1, 0x555555, 0xAAAAAA, COUNTER_MODULUS - 1])
def test_drawn_strip__is_read_back(width: int, height: int, counter: int) -> None:
    luma = noise(width, height, counter)
    draw_strip(luma, counter)
    assert read_strip(luma) == counter


@pytest.mark.parametrize("counter", [-1, COUNTER_MODULUS])
def test_counter_outside_24_bits__is_refused(counter: int) -> None:
    with pytest.raises(OutOfRange, match="24-bit"):
        draw_strip(np.zeros((720, 1280), np.uint8), counter)


@pytest.mark.parametrize(("width", "height"), [(286, 180), (640, 15)])
def test_picture_too_small_for_the_strip__is_refused(width: int, height: int) -> None:
    luma = np.zeros((height, width), np.uint8)
    with pytest.raises(OutOfRange, match="too small"):
        draw_strip(luma, 1)
    assert read_strip(luma) is None


@pytest.mark.parametrize("cell", range(CELLS))
def test_one_cell_flipped__is_not_read(cell: int) -> None:
    bits = strip_bits(0x123456)
    bits[cell] ^= 1
    assert read_strip(strip_from_bits(bits)) is None


@pytest.mark.parametrize("cell", range(CELLS))
def test_one_cell_grey__is_not_read(cell: int) -> None:
    luma = strip_from_bits(strip_bits(0x123456))
    luma[:16, cell * 16 : cell * 16 + 16] = (WHITE + BLACK) // 2
    assert read_strip(luma) is None


def test_strip_with_too_little_contrast__is_not_read() -> None:
    luma = strip_from_bits(strip_bits(0x123456))
    assert read_strip((luma // 8 + 100).astype(np.uint8)) is None


def test_noise__is_not_read() -> None:
    readings = [read_strip(noise(640, 16, seed)) for seed in range(2000)]
    assert readings == [None] * 2000


def test_whole_picture__has_neutral_chroma_under_the_strip_only() -> None:
    i420 = np.full((360 * 3 // 2, 640), 200, np.uint8)
    draw_strip_i420(i420, 5)
    chroma = i420[360:].reshape(2, 180, 320)
    width_px, height_px = strip_size_px(640)
    assert (chroma[:, : height_px // 2, : width_px // 2] == 128).all()
    assert (chroma[:, height_px // 2 :] == 200).all()
    assert (chroma[:, :, width_px // 2 :] == 200).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_x264_at_quantiser_40__every_strip_is_read_rightly(width: int, height: int) -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = OPTIONS[SOFTWARE] | {"qp": "40"}
    decoder = av.CodecContext.create("h264", "r")
    rng = np.random.default_rng(9)
    blocks = rng.integers(0, 256, (height * 3 // 16 + 1, width // 4), np.uint8)
    texture = blocks.repeat(8, 0).repeat(8, 1)[: height * 3 // 2]
    counters = [int(number) for number in rng.integers(0, COUNTER_MODULUS, FRAMES)]
    read: list[int | None] = []
    for index, counter in enumerate(counters):
        i420 = np.ascontiguousarray(texture[:, index : index + width])
        draw_strip_i420(i420, counter)
        picture = av.VideoFrame.from_ndarray(i420, format="yuv420p")
        picture.pts = index
        for packet in encoder.encode(picture):
            read += [frame_of(decoded) for decoded in decoder.decode(av.Packet(bytes(packet)))]
    read += [frame_of(decoded) for decoded in decoder.decode(None)]
    assert read == counters
