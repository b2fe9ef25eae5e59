"""The two ends of HF-DBW: a sender that counts, and a receiver that judges and decodes."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from protocol.dbw import matrix
from protocol.dbw.codec import CAN_IDS, Message, decode, decode_checked, encode
from protocol.dbw.e2e import E2EReceiver, E2EStatus, crc_fits
from protocol.dbw.errors import DbwError
from protocol.dbw.matrix import COUNTER_STATES, Direction, FrameSpec

SECOND_SOURCE_NS = 500_000_000
"""Two whole frames under one foreign id within this time are a second sender."""


class DbwSender:
    """Encodes messages; the counter of a frame moves by one for each frame given out."""

    def __init__(self) -> None:
        self._counters = dict.fromkeys(matrix.BY_ID, 0)

    def encode(self, message: Message) -> tuple[int, bytes]:
        """Return CAN id and bytes of the next frame with ``message``.

        Raises:
            ValueRangeError: nothing is given out and the counter stays.
        """
        can_id = CAN_IDS[type(message)]
        counter = self._counters[can_id]
        frame = encode(message, counter)
        self._counters[can_id] = (counter + 1) % COUNTER_STATES
        return frame


class Received(NamedTuple):
    """What the receiver makes of one frame.

    Attributes:
        spec: its row; None when the id belongs to nobody this end listens to.
        status: the E2E verdict; None when no such verdict applies (ECHO, foreign ids).
        message: the content; None unless every check passed.
        error: why a frame with a good CRC and sequence was still refused.
        conflict: a second sender was heard.
    """

    spec: FrameSpec | None
    status: E2EStatus | None = None
    message: Message | None = None
    error: DbwError | None = None
    conflict: bool = False


_FOREIGN = Received(spec=None)


class DbwReceiver:
    """Receives one direction of the matrix; pure, the time is passed in.

    A refused frame, whatever the reason, does not make its row younger: :meth:`age_ns` counts
    from the last frame whose content was good.

    A second sender under another address is heard by its second whole frame. One alone may be a
    frame of the right sender: noise on a serial line can turn a bit of the address, which no CRC
    of the matrix covers. It is not used, and a frame with a wrong CRC is nobody's.

    Attributes:
        refused: frames refused, by reason.
    """

    def __init__(self, direction: Direction) -> None:
        rows = [spec for spec in matrix.FRAMES if spec.direction is direction]
        self.channels: dict[int, E2EReceiver] = {
            spec.can_id: E2EReceiver(spec) for spec in rows if spec.data_ids is not None
        }
        self.refused: Counter[str] = Counter()
        self._by_pgn = {spec.pgn: spec for spec in rows}
        self._good_ns: dict[int, int] = {}
        self._foreign_ns: dict[int, int] = {}

    def receive(self, now_ns: int, can_id: int, data: bytes) -> Received:
        """Judge and decode one frame read at ``now_ns``; never raises on what came."""
        channel = self.channels.get(can_id)
        if channel is None:
            return self._unprotected(now_ns, can_id, data)
        spec, status = channel.spec, channel.check(now_ns, data)
        if status is not E2EStatus.OK and status is not E2EStatus.SOME_LOST:
            self.refused[status.value] += 1
            return Received(spec, status, conflict=status is E2EStatus.CONFLICT)
        try:
            message = decode_checked(spec, data)
        except DbwError as error:
            self.refused[error.refusal.value] += 1
            return Received(spec, status, error=error)
        self._good_ns[can_id] = now_ns
        return Received(spec, status, message)

    def _foreign(self, now_ns: int, spec: FrameSpec, can_id: int, data: bytes) -> Received:
        """Refuse a frame of a row under another id than the row's; a second one is a conflict."""
        if spec.data_ids is not None and not crc_fits(data, spec.data_ids):
            self.refused[E2EStatus.CRC.value] += 1
            return Received(spec, E2EStatus.CRC)
        self.refused["second_source"] += 1
        before_ns = self._foreign_ns.get(can_id)
        self._foreign_ns[can_id] = now_ns
        again = before_ns is not None and now_ns - before_ns <= SECOND_SOURCE_NS
        return Received(spec, conflict=again)

    def _unprotected(self, now_ns: int, can_id: int, data: bytes) -> Received:
        """A frame without E2E protection, of nobody, or under another source's address."""
        spec = self._by_pgn.get(matrix.pgn_of(can_id))
        if spec is None:
            return _FOREIGN
        if can_id != spec.can_id:
            return self._foreign(now_ns, spec, can_id, data)
        try:
            message = decode(can_id, data)
        except DbwError as error:
            self.refused[error.refusal.value] += 1
            return Received(spec, error=error)
        self._good_ns[can_id] = now_ns
        return Received(spec, message=message)

    def age_ns(self, spec: FrameSpec, now_ns: int) -> int | None:
        """Return the time since the row's last good frame; None before the first."""
        good_ns = self._good_ns.get(spec.can_id)
        return None if good_ns is None else now_ns - good_ns

    def timed_out(self, spec: FrameSpec, now_ns: int) -> bool:
        """True when the row's last good frame is older than its time-out, or none came.

        Raises:
            ValueError: the row has no time-out.
        """
        if spec.rx_timeout_ms is None:
            raise ValueError(f"{spec.name} has no receive time-out")
        good_ns = self._good_ns.get(spec.can_id)
        return good_ns is None or now_ns - good_ns > spec.rx_timeout_ms * 1_000_000
