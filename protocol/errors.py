"""Everything that can be wrong with what arrives, told apart, each with a reason code.

A receiver refuses, counts under ``reason`` and goes on; nothing here may end a loop.
"""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a command, a request or a message did not count; the counters' keys."""

    SHORT = "short"
    LONG = "long"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_KIND = "unknown_kind"
    RESERVED_BITS = "reserved_bits"
    UNKNOWN_KEY = "unknown_key"
    BAD_TAG = "bad_tag"
    WRONG_VEHICLE = "wrong_vehicle"
    WRONG_BOOT = "wrong_boot"
    EPOCH_FENCED = "epoch_fenced"
    EPOCH_AHEAD = "epoch_ahead"
    DUPLICATE = "duplicate"
    CONFLICTING_COPY = "conflicting_copy"
    ECHO_IN_FUTURE = "echo_in_future"
    LOOP_TOO_OLD = "loop_too_old"
    UPLINK_TOO_OLD = "uplink_too_old"
    HOLD_TOO_LONG = "hold_too_long"
    ECHO_BACKWARDS = "echo_backwards"
    ENABLE_MISMATCH = "enable_mismatch"
    OUT_OF_RANGE = "out_of_range"
    CONFLICTING_INPUT = "conflicting_input"
    NOT_ALLOWED = "not_allowed"
    RETAINED = "retained"
    SUPERSEDED = "superseded"
    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_IDENTITY = "unknown_identity"
    WRONG_NONCE = "wrong_nonce"
    WRONG_ROLE = "wrong_role"
    WRONG_AUDIENCE = "wrong_audience"
    REPLAYED = "replayed"
    RATE_LIMITED = "rate_limited"


class ProtocolError(ValueError):
    """Raised when bytes or text from outside do not count; carries its reason code."""

    reason: Refusal = Refusal.MALFORMED

    def __init__(self, text: str, reason: Refusal | None = None) -> None:
        super().__init__(text)
        if reason is not None:
            self.reason = reason


class FrameShort(ProtocolError):
    """Raised when a frame ends before its fixed length."""

    reason = Refusal.SHORT


class FrameLong(ProtocolError):
    """Raised when a frame goes on after its fixed length."""

    reason = Refusal.LONG


class UnknownVersion(ProtocolError):
    """Raised when the version byte is none that this program speaks."""

    reason = Refusal.UNKNOWN_VERSION


class UnknownKind(ProtocolError):
    """Raised when the kind byte names no known frame."""

    reason = Refusal.UNKNOWN_KIND


class ReservedBits(ProtocolError):
    """Raised when bits that must be zero are not."""

    reason = Refusal.RESERVED_BITS


class UnknownKey(ProtocolError):
    """Raised when no key is held under the frame's key id."""

    reason = Refusal.UNKNOWN_KEY


class BadTag(ProtocolError):
    """Raised when the authentication tag does not fit the bytes."""

    reason = Refusal.BAD_TAG


class OutOfRange(ProtocolError):
    """Raised when a field's value lies outside its range; it is never clamped."""

    reason = Refusal.OUT_OF_RANGE


class EnableMismatch(ProtocolError):
    """Raised when the enable bit and its inverse agree."""

    reason = Refusal.ENABLE_MISMATCH
