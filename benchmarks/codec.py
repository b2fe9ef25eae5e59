"""The hot by-wire codec against cantools and autosar-e2e, over a million random frames.

Random bits go into the signals of a random row, protected by ``autosar-e2e``. What our codec takes
must be what cantools reads there by the DBC, signal for signal; encoded again, by ours and by
cantools with ``autosar-e2e``, it must be the same eight bytes. A copy with random bits turned must
be judged alike by both checks of the protection. What our codec refuses (reserved codes, a command
that is not available) is counted by its reason; it is no part of the million.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from e2e.p02 import e2e_p02_check, e2e_p02_protect

from benchmarks.common import Measurement, run
from protocol.dbw import matrix
from protocol.dbw.codec import Message, decode, encode
from protocol.dbw.e2e import crc_fits
from protocol.dbw.errors import DbwError
from protocol.dbw.matrix import COUNTER_STATES, FrameSpec
from tests.dbw.samples import DATABASE, on_bus

FULL_N, QUICK_N = 1_000_000, 20_000
SEED = 20261126
FLIPS_MAX = 4
"""Bits turned in a copy: one to four."""
ABSENT_SHARE = 0.97
"""Codes above that share of "not available" say error or the same; feedback reads both as None."""
FLOAT_ERROR = 1e-6
"""Of a physical value that was multiplied by its scale in another order."""
SHOWN = 5


class Comparison:
    """Counts what was compared, and keeps the first differences."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.copies = self.copies_fit = self.errors_told = 0
        self.differences: list[str] = []
        self._rows = {spec.can_id: DATABASE.get_message_by_frame_id(spec.can_id) for spec in ROWS}

    def differs(self, spec: FrameSpec, what: str, data: bytes) -> None:
        """Note a difference."""
        self.differences.append(f"{spec.name} {data.hex()}: {what}")

    def frame(self, spec: FrameSpec, data: bytes) -> bool:
        """Compare one frame; False when our codec refuses its content."""
        try:
            message = decode(spec.can_id, data)
        except DbwError as error:
            self.refused[error.refusal.value] += 1
            return False
        self.frames[spec.name] += 1
        if self._reads_error_as_absent(spec, message, data):
            return True
        ours = encode(message, data[1] & 0x0F)
        if ours != (spec.can_id, data):
            self.differs(spec, f"encoded again {ours[1].hex()}", data)
        theirs = self._theirs(spec, message, data)
        if theirs != data:
            self.differs(spec, f"cantools and autosar-e2e encode {theirs.hex()}", data)
        return True

    def _theirs(self, spec: FrameSpec, message: Message, data: bytes) -> bytes:
        signals = on_bus(message)
        if spec.data_ids is None:
            return bytes(self._rows[spec.can_id].encode(signals, strict=True))
        signals |= {f"{spec.name}_Crc": 0.0, f"{spec.name}_Counter": float(data[1] & 0x0F)}
        if spec is not matrix.E2E_STAT:
            signals[f"{spec.name}_Mode"] = float(data[1] >> 4)
        encoded = bytearray(self._rows[spec.can_id].encode(signals, strict=True))
        e2e_p02_protect(encoded, spec.data_ids, increment_counter=False)
        return bytes(encoded)

    def _reads_error_as_absent(self, spec: FrameSpec, message: Message, data: bytes) -> bool:
        """Compare the values; True when a code for error was read as not available."""
        read: dict[str, Any] = self._rows[spec.can_id].decode(data, decode_choices=False)
        told = False
        for name, value in on_bus(message).items():
            if abs(read[name] - value) <= FLOAT_ERROR:
                continue
            if name in ABSENT and value == ABSENT[name] and read[name] >= ABSENT_SHARE * value:
                told = True
            else:
                self.differs(spec, f"{name} is {value}, cantools reads {read[name]}", data)
        self.errors_told += told
        return told

    def copy(self, spec: FrameSpec, data: bytes) -> None:
        """Let both judge the protection of bytes."""
        if spec.data_ids is None:
            return
        theirs = bool(e2e_p02_check(data, spec.data_ids, length=0))
        self.copies += 1
        self.copies_fit += theirs
        if crc_fits(data, spec.data_ids) != theirs:
            self.differs(spec, f"autosar-e2e says {theirs}", data)


ROWS = tuple(matrix.FRAMES)
FIELDS = {
    spec.can_id: [
        signal
        for signal in DATABASE.get_message_by_frame_id(spec.can_id).signals
        if not signal.name.startswith(f"{spec.name}_") and signal.multiplexer_ids in (None, [0])
    ]
    for spec in ROWS
}
ABSENT = {
    signal.name: signal.maximum
    for signals in FIELDS.values()
    for signal in signals
    if signal.length >= 8
}
"""By the matrix the highest code says "not available"; flags and states have codes of their own."""


def random_frames(dice: Random) -> Iterator[tuple[FrameSpec, bytes]]:
    """Yield protected frames with random counters and signals, without end.

    Bits that no signal has are 0, and of several kinds of command it is the first.
    """
    while True:
        spec = ROWS[dice.randrange(len(ROWS))]
        bits = dice.randrange(COUNTER_STATES) << 8 if spec.data_ids is not None else 0
        for signal in FIELDS[spec.can_id]:
            raw = 0 if signal.is_multiplexer else dice.getrandbits(signal.length)
            bits |= raw << signal.start
        data = bytearray(bits.to_bytes(8, "little"))
        if spec.data_ids is not None:
            e2e_p02_protect(data, spec.data_ids, increment_counter=False)
        yield spec, bytes(data)


def compare(number: int, seed: int) -> Comparison:
    """Compare ``number`` frames that our codec takes."""
    dice, found = Random(seed), Comparison()
    for spec, data in random_frames(dice):
        if not found.frame(spec, data):
            continue
        flipped = int.from_bytes(data, "little")
        for _ in range(dice.randrange(1, FLIPS_MAX + 1)):
            flipped ^= 1 << dice.randrange(64)
        found.copy(spec, flipped.to_bytes(8, "little"))
        if found.frames.total() == number:
            return found
    raise AssertionError("the frames have no end")


def measure(quick: bool) -> Measurement:
    """Count the differences."""
    found = compare(QUICK_N if quick else FULL_N, SEED)
    for text in found.differences[:SHOWN]:
        sys.stderr.write(f"{text}\n")
    return Measurement(
        name="codec",
        unit="differences",
        samples=[float(len(found.differences))],
        n=found.frames.total(),
        held=not found.differences,
        notes=(
            f"frames compared by row {json.dumps(dict(sorted(found.frames.items())))}; each "
            "decoded by cantools, encoded again by ours and by cantools with autosar-e2e; "
            f"of them {found.errors_told} with a code for error, read as not available and "
            "compared by value alone; "
            f"copies with 1 to {FLIPS_MAX} random bits turned {found.copies}, of which by both "
            f"checks {found.copies_fit} still fit; random frames refused, by reason "
            f"{json.dumps(dict(sorted(found.refused.items())))}; seed {SEED}"
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
