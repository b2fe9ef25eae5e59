"""Random values for the pure core: drawn from one seed that the shell hands in.

SHA-256 in counter mode: unpredictable to anyone without the seed, and the same again for the
same seed, so that a recorded run can be repeated.
"""

from __future__ import annotations

import hashlib

SEED_BYTES = 32


class Entropy:
    """A stream of bytes from a 32-byte seed."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"seed has {len(seed)} bytes, needs {SEED_BYTES}")
        self._seed = seed
        self._count = 0

    def take(self, size_bytes: int) -> bytes:
        """Return the next ``size_bytes`` (at most 32) bytes."""
        if not 0 < size_bytes <= SEED_BYTES:
            raise ValueError(f"at most {SEED_BYTES} bytes at a time")
        self._count += 1
        block = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return block[:size_bytes]
