"""Identity strip: the frame counter drawn into the picture itself, so that a screen can be asked.

36 square cells from the top left corner, white = 1, most significant bit first:
sync 1010 | 24-bit frame counter | CRC-8 over the counter's 3 bytes (big-endian).
A cell is 16 px, or 8 px where the picture is narrower than 640 px.
The CRC is AUTOSAR CRC8H2F: polynomial 0x2F, initial value 0xFF, final XOR 0xFF, not reflected,
check value 0xDF for "123456789" (AUTOSAR_SWS_CRCLibrary, 7.2.1.2).

Reading refuses whatever is not plainly a strip: low contrast, a cell between black and white, a
wrong sync, a wrong CRC. It measures the centre of each cell only, where coding errors are least.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protocol.dbw.e2e import crc8
from protocol.errors import OutOfRange

Luma = npt.NDArray[np.uint8]

CELLS = 36
COUNTER_MODULUS = 1 << 24
WHITE = 235
"""Nominal peak of 8-bit luma, ITU-R BT.601-7, 2.5.3."""
BLACK = 16
"""Nominal black of 8-bit luma, ITU-R BT.601-7, 2.5.3."""

_LARGE_CELL_PX = 16
_SMALL_CELL_PX = 8
_LARGE_FROM_WIDTH_PX = 640
_SYNC = 0b1010
_SYNC_BITS = np.array([1, 0, 1, 0], np.uint8)
_MIN_CONTRAST = 64
"""White above black in the sync cells: a third of the drawn contrast, far above coding noise."""
_MIN_MARGIN = 0.2
"""Least distance of a cell from the threshold, as a share of the contrast (0.5 is ideal)."""


def cell_px(width_px: int) -> int:
    """Return the edge of a cell in a picture of that width."""
    return _LARGE_CELL_PX if width_px >= _LARGE_FROM_WIDTH_PX else _SMALL_CELL_PX


def strip_size_px(width_px: int) -> tuple[int, int]:
    """Return width and height of the strip in a picture of that width."""
    cell = cell_px(width_px)
    return CELLS * cell, cell


def strip_bits(counter: int) -> npt.NDArray[np.uint8]:
    """Return the 36 cells for `counter`, 0 to 2^24 − 1, as 0 and 1.

    Raises:
        OutOfRange: the counter does not fit 24 bits.
    """
    if not 0 <= counter < COUNTER_MODULUS:
        raise OutOfRange(f"frame counter {counter} is not a 24-bit number")
    counter_bytes = counter.to_bytes(3, "big")
    word = _SYNC << 32 | counter << 8 | crc8(counter_bytes)
    bits = np.unpackbits(np.frombuffer(word.to_bytes(5, "big"), np.uint8))
    return bits[-CELLS:]


def draw_strip(luma: Luma, counter: int) -> None:
    """Draw the strip of `counter` over the top rows of `luma`, shape (height, width), in place.

    Raises:
        OutOfRange: the counter does not fit 24 bits, or the picture is too small for the strip.
    """
    width_px = _checked_width(luma)
    cell = cell_px(width_px)
    row = np.where(np.repeat(strip_bits(counter), cell), WHITE, BLACK).astype(np.uint8)
    luma[:cell, : row.size] = row


def draw_strip_i420(i420: Luma, counter: int) -> None:
    """Draw the strip into a whole I420 picture, shape (height·3/2, width), its chroma neutral.

    Raises:
        OutOfRange: as `draw_strip`.
    """
    height_px, width_px = i420.shape[0] * 2 // 3, i420.shape[1]
    draw_strip(i420[:height_px], counter)
    strip_width_px, strip_height_px = strip_size_px(width_px)
    chroma = i420[height_px:].reshape(2, height_px // 2, width_px // 2)
    chroma[:, : strip_height_px // 2, : strip_width_px // 2] = 128


def read_strip(luma: Luma) -> int | None:
    """Return the frame counter in the top rows of `luma`, shape (≥ cell, width); None if unsure."""
    if luma.ndim != 2 or luma.shape[1] < CELLS * cell_px(luma.shape[1]):
        return None
    cell = cell_px(luma.shape[1])
    if luma.shape[0] < cell:
        return None
    quarter = cell // 4
    rows = luma[quarter : cell - quarter, : CELLS * cell].reshape(-1, CELLS, cell)
    levels = rows[:, :, quarter : cell - quarter].mean(axis=(0, 2))
    white = (levels[0] + levels[2]) / 2
    black = (levels[1] + levels[3]) / 2
    contrast = white - black
    if contrast < _MIN_CONTRAST:
        return None
    above = levels - (white + black) / 2
    if np.abs(above).min() < _MIN_MARGIN * contrast:
        return None
    bits = (above > 0).astype(np.uint8)
    if not np.array_equal(bits[:4], _SYNC_BITS):
        return None
    payload = np.packbits(bits[4:]).tobytes()
    if crc8(payload[:3]) != payload[3]:
        return None
    return int.from_bytes(payload[:3], "big")


def _checked_width(luma: Luma) -> int:
    height_px, width_px = int(luma.shape[0]), int(luma.shape[1])
    strip_width_px, strip_height_px = strip_size_px(width_px)
    if width_px < strip_width_px or height_px < strip_height_px:
        raise OutOfRange(f"a picture of {width_px}x{height_px} is too small for the strip")
    return width_px
