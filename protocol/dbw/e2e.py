"""AUTOSAR E2E profile 2 over one frame: protection, and the receiver's rules.

Byte 0 is CRC-8 (polynomial 0x2F, initial and final XOR 0xFF) over bytes 1…7 and the DataID of
the counter; the low nibble of byte 1 is the counter 0…15 (AUTOSAR PRS_E2EProtocol, profile 2).
The receiver adds the rules of HF-DBW v1: a repeated frame never refreshes, three good frames
requalify a broken sequence, a leaky score, a limit on the rate, and the marks of a second sender.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from protocol.dbw.matrix import BURST_WINDOW_MS, COUNTER_STATES, DATA_BYTES, FrameSpec

_POLYNOMIAL = 0x2F
_NS_PER_MS = 1_000_000
_COUNTER_MASK = COUNTER_STATES - 1
_BURST_WINDOW_NS = BURST_WINDOW_MS * _NS_PER_MS

QUALIFY_FRAMES = 3
"""Good frames in a row before a sequence counts (first contact, and after it broke)."""
SCORE_FAULT = 5
"""Leaky score (+1 bad, −1 good) at which the sequence no longer counts."""
LATE_PERIODS_X10 = 15
"""A gap above 1.5 periods counts as late."""


def _crc_step(value: int) -> int:
    for _ in range(8):
        value = ((value << 1) ^ _POLYNOMIAL) & 0xFF if value & 0x80 else value << 1
    return value


_TABLE = tuple(bytes(_crc_step(value) for value in range(256)))
"""A tuple: the interpreter is quicker at its elements than at those of bytes."""


def crc8(data: bytes | bytearray) -> int:
    """Return CRC-8/AUTOSAR (0x2F, init and final XOR 0xFF); 0xDF for b"123456789"."""
    crc = 0xFF
    table = _TABLE
    for byte in data:
        crc = table[crc ^ byte]
    return crc ^ 0xFF


def frame_crc(body: bytes | bytearray, data_ids: bytes) -> int:
    """Return the CRC over ``body`` and the DataID of the counter.

    Args:
        body: seven bytes; the low nibble of the first is the counter.
        data_ids: DataID by counter.
    """
    t = _TABLE
    head, a, b, c, d, e, f = body
    crc = t[t[t[t[t[t[t[head ^ 0xFF] ^ a] ^ b] ^ c] ^ d] ^ e] ^ f]
    return t[crc ^ data_ids[head & _COUNTER_MASK]] ^ 0xFF


def protect(body: bytes | bytearray, data_ids: bytes) -> bytes:
    """Return ``body`` (byte 1 on: mode and counter, payload) with its CRC in front.

    Args:
        body: seven bytes; the low nibble of the first is the counter.
        data_ids: DataID by counter.
    """
    return bytes((frame_crc(body, data_ids),)) + body


def crc_fits(data: bytes | bytearray, data_ids: bytes) -> bool:
    """True when byte 0 is the CRC of the other bytes and the DataID of the counter."""
    if len(data) < 2:
        return False
    crc = crc8(data[1:]) ^ 0xFF
    return _TABLE[crc ^ data_ids[data[1] & _COUNTER_MASK]] ^ 0xFF == data[0]


class E2EStatus(StrEnum):
    """What the receiver makes of one frame; only OK and SOME_LOST may be used."""

    OK = "ok"
    SOME_LOST = "some_lost"
    QUALIFYING = "qualifying"
    REPEATED = "repeated"
    WRONG_SEQUENCE = "wrong_sequence"
    LENGTH = "length"
    CRC = "crc"
    BURST = "burst"
    CONFLICT = "conflict"

    @property
    def usable(self) -> bool:
        """True when the frame's content may be looked at."""
        return self in _USABLE


_USABLE = frozenset({E2EStatus.OK, E2EStatus.SOME_LOST})


@dataclass(slots=True)
class E2ECounts:
    """What one frame's receiver has seen since it started.

    Attributes:
        ok: frames usable. crc: wrong CRC or length. repeat: same counter again.
        lost: frames missing by the counter. sequence: broken sequences.
        late: usable frames more than 1.5 periods after the one before.
        burst: frames above 1.2 times the nominal rate. conflict: marks of a second sender.
        max_gap_ms: longest time between two usable frames.
    """

    ok: int = 0
    crc: int = 0
    repeat: int = 0
    lost: int = 0
    sequence: int = 0
    late: int = 0
    burst: int = 0
    conflict: int = 0
    max_gap_ms: int = 0


class E2EReceiver:
    """Judges the frames of one row of the matrix; pure, the time is passed in.

    Two senders under one id are told by their counters: a frame that goes on exactly where an
    earlier sequence stood after a foreign frame came between, or a frame in sequence after the
    last counter was heard again with other bytes.

    Attributes:
        counts: what was seen.
        last_usable_ns: when the last usable frame came; None before the first.
    """

    def __init__(self, spec: FrameSpec) -> None:
        if spec.data_ids is None:
            raise ValueError(f"{spec.name} carries no E2E protection")
        self.spec = spec
        self.counts = E2ECounts()
        self.last_usable_ns: int | None = None
        self._data_ids = spec.data_ids
        silence_ms = spec.rx_timeout_ms or 5 * spec.period_ms
        self._silence_ns = silence_ms * _NS_PER_MS
        self._late_ns = spec.period_ms * LATE_PERIODS_X10 * _NS_PER_MS // 10
        self._max_delta = spec.max_delta
        self._last: tuple[int, bytes] | None = None
        self._score = 0
        self._start_anew()
        self._arrivals: deque[int] = deque(maxlen=spec.window_frames + 1)
        self._used: deque[int] = deque(maxlen=spec.window_frames)
        self._burst = False

    def _start_anew(self) -> None:
        self._good = 0
        self._twin_heard = False
        self._left_counter: int | None = None

    @property
    def qualified(self) -> bool:
        """True when the sequence stands and the next frame of it may be used."""
        return self._good >= QUALIFY_FRAMES

    @property
    def fault(self) -> bool:
        """True while the leaky score stands at its limit."""
        return self._score >= SCORE_FAULT

    @property
    def burst(self) -> bool:
        """True when the last frame came above 1.2 times the nominal rate."""
        return self._burst

    def age_ns(self, now_ns: int) -> int | None:
        """Return the time since the last usable frame; None before the first."""
        return None if self.last_usable_ns is None else now_ns - self.last_usable_ns

    def timed_out(self, now_ns: int) -> bool:
        """True when no usable frame came within the receive time-out, or none ever."""
        return self.last_usable_ns is None or now_ns - self.last_usable_ns > self._silence_ns

    def check(self, now_ns: int, data: bytes) -> E2EStatus:
        """Judge one frame and count it.

        Args:
            now_ns: monotonic time of reading it.
            data: the frame's bytes.
        """
        arrivals = self._arrivals
        arrivals.append(now_ns)
        self._burst = len(arrivals) == arrivals.maxlen and now_ns - arrivals[0] < _BURST_WINDOW_NS
        self.counts.burst += self._burst
        if len(data) != DATA_BYTES:
            return self._bad(E2EStatus.LENGTH)
        if frame_crc(data[1:], self._data_ids) != data[0]:
            return self._bad(E2EStatus.CRC)
        status = self._judge_sequence(now_ns, data)
        if status is not E2EStatus.REPEATED:
            self._last = (now_ns, data)
        return status

    def _judge_sequence(self, now_ns: int, data: bytes) -> E2EStatus:
        last = self._last
        if last is None or now_ns - last[0] > self._silence_ns:
            self._start_anew()
            return self._good_frame(lost=0)
        counter, last_data = data[1], last[1]
        last_counter = last_data[1]
        delta = (counter - last_counter) & _COUNTER_MASK
        if delta == 0:
            self.counts.repeat += 1
            self._twin_heard = self._twin_heard or data != last_data
            return E2EStatus.REPEATED
        left_counter = self._left_counter
        second_sender = (delta <= self._max_delta and self._twin_heard) or (
            left_counter is not None and (counter - left_counter) & _COUNTER_MASK == 1
        )
        self._twin_heard = False
        self._left_counter = None
        if second_sender:
            self.counts.conflict += 1
            self._good = 0
            return E2EStatus.CONFLICT
        if delta > self._max_delta:
            self._left_counter = last_counter
            self.counts.sequence += 1
            return self._bad(E2EStatus.WRONG_SEQUENCE, breaks=True)
        return self._good_frame(lost=delta - 1)

    def _good_frame(self, lost: int) -> E2EStatus:
        counts, used = self.counts, self._used
        counts.lost += lost
        if self._score:
            self._score -= 1
        self._good = good = min(QUALIFY_FRAMES, self._good + 1)
        if good < QUALIFY_FRAMES:
            return E2EStatus.QUALIFYING
        now_ns = self._arrivals[-1]
        if len(used) == used.maxlen and now_ns - used[0] < _BURST_WINDOW_NS:
            return E2EStatus.BURST
        used.append(now_ns)
        last_ns, self.last_usable_ns = self.last_usable_ns, now_ns
        if last_ns is not None:
            gap_ns = now_ns - last_ns
            counts.late += gap_ns > self._late_ns
            counts.max_gap_ms = max(counts.max_gap_ms, gap_ns // _NS_PER_MS)
        counts.ok += 1
        return E2EStatus.SOME_LOST if lost else E2EStatus.OK

    def _bad(self, status: E2EStatus, *, breaks: bool = False) -> E2EStatus:
        if status is not E2EStatus.WRONG_SEQUENCE:
            self.counts.crc += 1
        self._score = min(SCORE_FAULT, self._score + 1)
        if breaks or self.fault or not self.qualified:
            self._good = 0
        return status
