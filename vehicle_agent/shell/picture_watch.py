"""What a camera's pictures show: always the same, nothing at all, or something new.

All three look at luma only. Means over a grid of blocks tell a scene from a sensor's noise: noise
averages out of them, a lamp in a dark drift does not.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

FROZEN_SAMPLE_PX = 8
"""Every eighth luma sample of every eighth row is compared: 14400 of a 720p picture."""
GRID_COLUMNS, GRID_ROWS = 16, 9
SAMPLED_COLUMNS = 320
"""A block has some 400 samples then: noise of 10 levels moves its mean by half a level."""
BLANK_EVERY_US = 200_000
"""How often a picture is looked at for its being blank."""
CHANGE_LEVELS = 4
"""A block whose mean has moved by more shows something else; H.264 at its coarsest keeps it."""
CHANGE_BLOCKS = 3
"""One or two alone may be a lamp that flickers."""
CHANGES_MODULUS = 1 << 16


def luma_of(i420: Picture) -> Picture:
    """Return the luma rows of an I420 picture, shape (H*3/2, W)."""
    return i420[: i420.shape[0] * 2 // 3]


def block_means(i420: Picture) -> npt.NDArray[np.int16]:
    """Return the mean luma of each of 9 x 16 blocks, 0 to 255, of every fourth sample in 720p."""
    step = max(1, i420.shape[1] // SAMPLED_COLUMNS)
    sampled = np.ascontiguousarray(luma_of(i420)[::step, ::step])
    size = (GRID_COLUMNS, GRID_ROWS)
    return cv2.resize(sampled, size, interpolation=cv2.INTER_AREA).astype(np.int16)


class FrozenWatch:
    """Holds the capture stamp back while a camera repeats itself.

    No two pictures of a sensor are the same: its noise sees to that. A camera or a grabber that
    hangs gives the same picture under ever new stamps, and it must grow old.
    """

    def __init__(self, after_us: int) -> None:
        self._after_us = after_us
        self._sample: Picture | None = None
        self._since_us = 0

    def stamp_us(self, i420: Picture, taken_us: int) -> int:
        """Return since when the scene is known to look like this."""
        sample = luma_of(i420)[::FROZEN_SAMPLE_PX, ::FROZEN_SAMPLE_PX]
        if self._sample is None or not np.array_equal(sample, self._sample):
            self._sample = sample.copy()
            self._since_us = taken_us
        return taken_us if taken_us - self._since_us < self._after_us else self._since_us


class BlankWatch:
    """Tells a picture that shows nothing: a covered lens, a dead sensor, a place without light.

    Args:
        contrast: in levels of 256; blocks that differ less show nothing. 0: never told.
        after_us: how long pictures must show nothing.
    """

    def __init__(self, contrast: int, after_us: int) -> None:
        self._contrast = contrast
        self._after_us = after_us
        self._looked_us: int | None = None
        self._since_us: int | None = None
        self._blank = False

    def is_blank(self, i420: Picture, taken_us: int) -> bool:
        """Return whether the pictures have shown nothing for the time."""
        if self._looked_us is not None and taken_us - self._looked_us < BLANK_EVERY_US:
            return self._blank
        self._looked_us = taken_us
        means = block_means(i420)
        if means.max() - means.min() >= self._contrast:
            self._since_us = None
        elif self._since_us is None:
            self._since_us = taken_us
        self._blank = self._since_us is not None and taken_us - self._since_us >= self._after_us
        return self._blank


class ChangeCount:
    """Counts how often the scene has become another one, so that a screen can check itself.

    A screen that shows the same while this goes on shows no live picture. One that shows the same
    while this stands still shows a scene that stands still.
    """

    def __init__(self) -> None:
        self._shown: npt.NDArray[np.int16] | None = None
        self._changes = 0

    def count(self, i420: Picture) -> int:
        """Return the number of changes, modulo 2^16, with this picture."""
        means = block_means(i420)
        if self._shown is None:
            self._shown = means
        elif np.count_nonzero(np.abs(means - self._shown) > CHANGE_LEVELS) >= CHANGE_BLOCKS:
            self._shown = means
            self._changes = (self._changes + 1) % CHANGES_MODULUS
        return self._changes
