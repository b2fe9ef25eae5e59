"""The serial line between guardian and watchdog relay: frames, the decoder, and the challenge.

A frame is ``COBS(version u8, type u8, sequence u16, t_ms u16, payload, CRC-16) 0x00``, all fields
little-endian, at 115200 Bd. COBS after Cheshire and Baker (IEEE/ACM Trans. Networking 7, 1999): no
0x00 inside a frame, so a receiver that lost its place is in step again at the next one. The CRC
is CRC-16/CCITT-FALSE over everything before it. ``t_ms`` is the sender's monotonic time, for logs.

| type | from | payload |
|---|---|---|
| 0x40 stroke | guardian | answer u32, wish u8 (:class:`RelayWish`) |
| 0x41 report | relay | challenge u32, contacts u8, reason u8 (:class:`OpenReason`), flags u8, last accepted sequence u16, strokes refused u16 |

Contacts: b0-1 E-stop A, b2-3 E-stop B, b4-5 feedback (codes of ContactState), b6 the relay means
its contact to be closed, b7 discrepancy. Flags: b0 the last accepted sequence is valid, others 0.
Types below 0x40 are left to by-wire payloads over the same frame.

What the relay does: it draws a challenge, sends it in each report, and draws another after each
good answer and after 100 ms. A stroke is good when it answers the standing challenge. Without a
good stroke for 200 ms the contact opens. It opens at once when asked, when an E-stop channel opens
or when the two differ. However it opened, it stays open: it closes only when, after that, good
strokes asked for something else first and then to close. Its contact belongs into the remote path
of propulsion and brake release; the key at the machine set to LOCAL bypasses it by wiring.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

import binascii
import zlib
from collections import Counter
from enum import IntEnum, StrEnum
from struct import Struct
from typing import NamedTuple

from cobs import cobs

from protocol.dbw.codec import ContactState
from protocol.errors import ProtocolError

VERSION = 1
BAUD_RATE_BPS = 115_200
DELIMITER = b"\0"
ENCODED_MAX_BYTES = 64
"""Longer than any frame of this version; what goes on without a delimiter is dropped."""
CHALLENGE_LIFE_MS = 100
"""A stroke held up in an adapter for longer answers nothing any more."""

_HEADER = Struct("<BBHH")
_STROKE = Struct("<IB")
_REPORT = Struct("<IBBBHH")
_CRC_BYTES = 2
_ANSWER = Struct("<4sIHB")
_ANSWER_LABEL = b"HFWR"
_CLOSED_BIT, _DISCREPANCY_BIT = 0x40, 0x80
_ACCEPTED_BIT = 0x01
_CONTACTS = tuple(ContactState)


class FrameType(IntEnum):
    """The type byte."""

    STROKE = 0x40
    REPORT = 0x41


class RelayWish(IntEnum):
    """What the guardian asks of the contact, with each stroke."""

    OPEN = 0
    HOLD = 1
    """Leave it as it is."""
    CLOSE = 2


class OpenReason(IntEnum):
    """Why the contact is open; NONE while it is closed."""

    NONE = 0
    POWER_UP = 1
    SILENT = 2
    """No good stroke for its time."""
    ASKED = 3
    ESTOP = 4
    DISCREPANCY = 5
    WELDED = 6
    """The contact did not follow; the relay will not close again."""


class RelayFault(StrEnum):
    """Why received bytes did not count; the keys of the decoder's counters."""

    LONG = "long"
    COBS = "cobs"
    SHORT = "short"
    CRC = "crc"
    VERSION = "version"
    TYPE = "type"
    LENGTH = "length"
    RESERVED_BITS = "reserved_bits"
    RESERVED_VALUE = "reserved_value"


class RelayFrameError(ProtocolError):
    """Raised when bytes are no frame of this version.

    Attributes:
        fault: which of the reasons it is.
    """

    def __init__(self, fault: RelayFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class RelayStroke(NamedTuple):
    """Guardian to relay: it lives, and this is what it wants.

    Attributes:
        answer: to the newest challenge, see :func:`answer_to`. wish: of the contact.
    """

    answer: int
    wish: RelayWish


class RelayReport(NamedTuple):
    """Relay to guardian: everything it knows.

    Attributes:
        challenge: to be answered by the next stroke.
        estop_a, estop_b: the emergency-stop channels. discrepancy: they differed for too long.
        feedback: the mirror contact, mechanically linked to the main one.
        closed: the relay means its contact to be closed.
        reason: why it is open. last_accepted: sequence of the newest good stroke, or None.
        refused: strokes that were not good, modulo 65536.
    """

    challenge: int
    estop_a: ContactState
    estop_b: ContactState
    feedback: ContactState
    closed: bool
    discrepancy: bool
    reason: OpenReason
    last_accepted: int | None
    refused: int


RelayMessage = RelayStroke | RelayReport


class Received(NamedTuple):
    """A frame that counts: its message, and its header's sequence and time."""

    message: RelayMessage
    sequence: int
    t_ms: int


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected; check value 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def answer_to(challenge: int, sequence: int, wish: RelayWish) -> int:
    """Return what a stroke must carry: CRC-32 (IEEE 802.3) over label, challenge and contents.

    It proves that the sender has read the newest challenge and built this very stroke after it:
    memory that is sent again and again, and a stroke that was held up, answer nothing. It is a
    check for life and no security: who can write to the line can compute it.

    Args:
        challenge: u32 of the report. sequence: u16 of the stroke's header. wish: of the stroke.
    """
    return zlib.crc32(_ANSWER.pack(_ANSWER_LABEL, challenge, sequence, wish))


def encode(message: RelayMessage, sequence: int, t_ms: int) -> bytes:
    """Return the bytes of one frame with the delimiter behind it.

    Args:
        message: what to send. sequence: +1 for each frame. t_ms: monotonic milliseconds; both
            are taken modulo 65536.

    Raises:
        struct.error: a number does not fit its field.
    """
    if isinstance(message, RelayStroke):
        kind, payload = FrameType.STROKE, _STROKE.pack(message.answer, message.wish)
    else:
        kind, payload = FrameType.REPORT, _report_payload(message)
    body = _HEADER.pack(VERSION, kind, sequence & 0xFFFF, t_ms & 0xFFFF) + payload
    return bytes(cobs.encode(body + crc16(body).to_bytes(_CRC_BYTES, "little"))) + DELIMITER


def _report_payload(report: RelayReport) -> bytes:
    contacts = report.estop_a | report.estop_b << 2 | report.feedback << 4
    contacts |= _CLOSED_BIT * report.closed | _DISCREPANCY_BIT * report.discrepancy
    accepted = report.last_accepted
    return _REPORT.pack(
        report.challenge,
        contacts,
        report.reason,
        0 if accepted is None else _ACCEPTED_BIT,
        accepted or 0,
        report.refused,
    )


def decode(encoded: bytes) -> Received:
    """Return the frame in ``encoded``, the bytes between two delimiters.

    Raises:
        RelayFrameError: it is none; ``fault`` says why.
    """
    if len(encoded) > ENCODED_MAX_BYTES:
        raise RelayFrameError(RelayFault.LONG, f"{len(encoded)} bytes and no frame yet")
    try:
        raw = bytes(cobs.decode(encoded))
    except cobs.DecodeError as error:
        raise RelayFrameError(RelayFault.COBS, f"not COBS: {error}") from error
    if len(raw) < _HEADER.size + _CRC_BYTES:
        raise RelayFrameError(RelayFault.SHORT, f"{len(raw)} bytes hold no header and CRC")
    body, crc = raw[:-_CRC_BYTES], int.from_bytes(raw[-_CRC_BYTES:], "little")
    if crc16(body) != crc:
        raise RelayFrameError(RelayFault.CRC, f"CRC {crc:#06x} does not fit")
    version, kind, sequence, t_ms = _HEADER.unpack_from(body)
    if version != VERSION:
        raise RelayFrameError(RelayFault.VERSION, f"version {version} is not spoken")
    return Received(_message(kind, body[_HEADER.size :]), sequence, t_ms)


def _message(kind: int, payload: bytes) -> RelayMessage:
    if kind not in (FrameType.STROKE, FrameType.REPORT):
        raise RelayFrameError(RelayFault.TYPE, f"type {kind:#04x} is not known")
    expected = _STROKE.size if kind == FrameType.STROKE else _REPORT.size
    if len(payload) != expected:
        raise RelayFrameError(
            RelayFault.LENGTH, f"type {kind:#04x} carries {len(payload)} bytes, not {expected}"
        )
    try:
        return _stroke(payload) if kind == FrameType.STROKE else _report(payload)
    except ValueError as error:
        if isinstance(error, RelayFrameError):
            raise
        raise RelayFrameError(RelayFault.RESERVED_VALUE, str(error)) from error


def _stroke(payload: bytes) -> RelayStroke:
    answer, wish = _STROKE.unpack(payload)
    return RelayStroke(answer, RelayWish(wish))


def _report(payload: bytes) -> RelayReport:
    challenge, contacts, reason, flags, accepted, refused = _REPORT.unpack(payload)
    if flags & ~_ACCEPTED_BIT or (accepted and not flags):
        raise RelayFrameError(RelayFault.RESERVED_BITS, f"flags {flags:#04x} are not all known")
    return RelayReport(
        challenge=challenge,
        estop_a=_CONTACTS[contacts & 3],
        estop_b=_CONTACTS[contacts >> 2 & 3],
        feedback=_CONTACTS[contacts >> 4 & 3],
        closed=bool(contacts & _CLOSED_BIT),
        discrepancy=bool(contacts & _DISCREPANCY_BIT),
        reason=OpenReason(reason),
        last_accepted=accepted if flags else None,
        refused=refused,
    )


class FrameDecoder:
    """Takes bytes as they come, in any pieces, and gives the frames that count.

    It keeps at most :data:`ENCODED_MAX_BYTES` of an unfinished frame.

    Attributes:
        frames: frames that counted. faults: everything else, by reason.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.faults: Counter[RelayFault] = Counter()
        self._partial = b""
        self._skipping = False

    def forget(self) -> None:
        """Drop an unfinished frame: the line was opened anew."""
        self._partial, self._skipping = b"", False

    def feed(self, data: bytes) -> tuple[Received, ...]:
        """Return the frames that ``data`` completes, oldest first."""
        *finished, rest = data.split(DELIMITER)
        received = []
        for piece in finished:
            encoded, self._partial = self._partial + piece, b""
            skipped, self._skipping = self._skipping, False
            frame = None if skipped or not encoded else self._decode(encoded)
            if frame is not None:
                received.append(frame)
        self._keep(rest)
        return tuple(received)

    def _decode(self, encoded: bytes) -> Received | None:
        try:
            frame = decode(encoded)
        except RelayFrameError as error:
            self.faults[error.fault] += 1
            return None
        self.frames += 1
        return frame

    def _keep(self, rest: bytes) -> None:
        if self._skipping:
            return
        self._partial += rest[: ENCODED_MAX_BYTES + 1]
        if len(self._partial) > ENCODED_MAX_BYTES:
            self.faults[RelayFault.LONG] += 1
            self._partial, self._skipping = b"", True
