"""Lawicel's serial line CAN (slcan) as bytes: frames to lines and back; no port and no clock.

A line that is no frame is counted and skipped, whatever it holds: a corrupt byte must cost one
frame and never the reader. The line itself carries no checksum; the frames' own protection does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

LINE_MAX_BYTES = 64
"""Longer than any line of classic CAN with a time stamp; more without an end is noise."""
CLASSIC_MAX_BYTES = 8
EXTENDED_ID_MAX = 0x1FFFFFFF
STANDARD_ID_MAX = 0x7FF
BITRATES = {
    10_000: "S0",
    20_000: "S1",
    50_000: "S2",
    100_000: "S3",
    125_000: "S4",
    250_000: "S5",
    500_000: "S6",
    800_000: "S7",
    1_000_000: "S8",
}
"""As Lawicel has them; python-can takes S7 for 750 kbit/s."""
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_REPLIES = frozenset({b"", b"z", b"Z"})
_STAMP_DIGITS = 4


@dataclass(frozen=True, slots=True)
class SlcanFrame:
    """One classic frame as a line carries it."""

    can_id: int
    data: bytes
    extended: bool = True
    remote: bool = False


def encode(frame: SlcanFrame) -> bytes:
    """Return a frame's line, its end included."""
    kind = ("R" if frame.extended else "r") if frame.remote else ("T" if frame.extended else "t")
    digits = 8 if frame.extended else 3
    body = "" if frame.remote else frame.data.hex().upper()
    return f"{kind}{frame.can_id:0{digits}X}{len(frame.data)}{body}\r".encode()


def parse(line: bytes) -> SlcanFrame | None:
    """Return the frame of a line without its end; None when it is none."""
    kind, rest = line[:1], line[1:]
    if kind not in (b"T", b"t", b"R", b"r") or not _HEX.issuperset(rest):
        return None
    extended, remote = kind in b"TR", kind in b"Rr"
    digits = 8 if extended else 3
    if len(rest) <= digits:
        return None
    can_id, size = int(rest[:digits], 16), rest[digits] - ord("0")
    body = rest[digits + 1 :]
    expected = 0 if remote else 2 * size
    in_range = can_id <= (EXTENDED_ID_MAX if extended else STANDARD_ID_MAX)
    fits = len(body) in (expected, expected + _STAMP_DIGITS)
    if not (in_range and fits and 0 <= size <= CLASSIC_MAX_BYTES):
        return None
    data = bytes(size) if remote else bytes.fromhex(body[:expected].decode())
    return SlcanFrame(can_id, data, extended, remote)


class SlcanDecoder:
    """Cuts what an adapter says into lines, whatever chunks it comes in.

    Attributes:
        counts: ``frames``; ``refused`` commands (the adapter's bell); ``malformed`` lines;
            ``overlong`` noise without an end.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._line = bytearray()

    def feed(self, data: bytes) -> list[SlcanFrame]:
        """Take bytes; return the frames that they end."""
        frames = []
        for byte in data:
            if byte == 0x07:
                self.counts["refused"] += 1
                self._line.clear()
            elif byte in b"\r\n":
                frame = self._ended()
                if frame is not None:
                    frames.append(frame)
            elif len(self._line) < LINE_MAX_BYTES:
                self._line.append(byte)
            else:
                self.counts["overlong"] += 1
                self._line.clear()
        return frames

    def forget(self) -> None:
        """The line was lost: a half-heard frame counts no more."""
        self._line.clear()

    def _ended(self) -> SlcanFrame | None:
        line = bytes(self._line)
        self._line.clear()
        if line in _REPLIES or line[:1] in (b"V", b"N", b"F"):
            return None
        frame = parse(line)
        self.counts["malformed" if frame is None else "frames"] += 1
        return frame
