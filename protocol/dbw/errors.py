"""What can be wrong with a by-wire frame or value, told apart, each with its own count key."""

from __future__ import annotations

from enum import StrEnum

from protocol.errors import ProtocolError, Refusal


class DbwRefusal(StrEnum):
    """Why a by-wire frame or value did not count; the keys of the bus counters."""

    UNKNOWN_FRAME = "unknown_frame"
    LENGTH = "length"
    CRC = "crc"
    RESERVED_BITS = "reserved_bits"
    RESERVED_VALUE = "reserved_value"
    NOT_AVAILABLE = "not_available"
    ERROR_INDICATED = "error_indicated"
    OUT_OF_RANGE = "out_of_range"
    INVERSE_MISMATCH = "inverse_mismatch"
    UNSUPPORTED_KIND = "unsupported_kind"


class DbwError(ProtocolError):
    """Raised when a by-wire frame is not decoded or a value is not encoded.

    Attributes:
        refusal: which of the reasons it is.
    """

    refusal: DbwRefusal


class UnknownFrameError(DbwError):
    """Raised when a CAN id is none of HF-DBW v1."""

    refusal = DbwRefusal.UNKNOWN_FRAME
    reason = Refusal.UNKNOWN_KIND


class FrameLengthError(DbwError):
    """Raised when the data is not exactly as long as the matrix says."""

    refusal = DbwRefusal.LENGTH
    reason = Refusal.MALFORMED


class CrcError(DbwError):
    """Raised when the CRC does not fit the bytes and the DataID of the counter."""

    refusal = DbwRefusal.CRC
    reason = Refusal.BAD_TAG


class ReservedBitsError(DbwError):
    """Raised when bits that carry nothing in this version are not zero."""

    refusal = DbwRefusal.RESERVED_BITS
    reason = Refusal.RESERVED_BITS


class ReservedValueError(DbwError):
    """Raised when a signal carries a code that has no meaning in this version."""

    refusal = DbwRefusal.RESERVED_VALUE
    reason = Refusal.OUT_OF_RANGE


class NotAvailableError(DbwError):
    """Raised when a signal that must have a value says "not available"."""

    refusal = DbwRefusal.NOT_AVAILABLE
    reason = Refusal.OUT_OF_RANGE


class ErrorIndicatedError(DbwError):
    """Raised when a signal that must have a value says "error"."""

    refusal = DbwRefusal.ERROR_INDICATED
    reason = Refusal.OUT_OF_RANGE


class ValueRangeError(DbwError):
    """Raised when a value to be sent is no finite number inside the signal's range."""

    refusal = DbwRefusal.OUT_OF_RANGE
    reason = Refusal.OUT_OF_RANGE


class InverseMismatchError(DbwError):
    """Raised when the enable bit and its inverse agree."""

    refusal = DbwRefusal.INVERSE_MISMATCH
    reason = Refusal.ENABLE_MISMATCH


class UnsupportedKindError(DbwError):
    """Raised when a command is of a kind (angle, torque, pedal) that Headframe does not speak."""

    refusal = DbwRefusal.UNSUPPORTED_KIND
    reason = Refusal.UNKNOWN_KIND
