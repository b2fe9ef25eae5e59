"""How J1939 and ISOBUS put a number into bytes, and which codes are no number.

Little-endian. Of an 8-bit field 0…250 are values, 0xFE says error and 0xFF not available; of a
16-bit field 0…0xFAFF are values, 0xFExx says error and 0xFFxx not available. What lies between is
reserved. Nothing is clamped: a value that has no code and a code that has no value are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.dbw.errors import (
    ErrorIndicatedError,
    FrameLengthError,
    NotAvailableError,
    ReservedValueError,
    ValueRangeError,
)

DATA_BYTES = 8
HIGH_U8, HIGH_U16 = 0xFA, 0xFAFF
ABSENT_U8, ABSENT_U16 = 0xFF, 0xFFFF
_ERROR = 0xFE
_FLOAT_NOISE = 1e-6
"""Counts by which a value may lie outside from the rounding of floats alone."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A scaled number: ``value = raw / counts + offset``.

    Attributes:
        name: for the text of a refusal. counts: per unit; negative where the sign is turned.
        offset: value of code 0. high: the highest code that is a value, which tells the width.
    """

    name: str
    counts: float
    offset: float
    high: int

    @property
    def _shift(self) -> int:
        return 8 if self.high == HIGH_U16 else 0

    @property
    def absent(self) -> int:
        """The code that is sent for "not available"."""
        return ABSENT_U16 if self.high == HIGH_U16 else ABSENT_U8

    def pack(self, value: float) -> int:
        """Return the code of a value.

        Raises:
            ValueRangeError: no number, or none that has a code.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueRangeError(f"{self.name}: {value!r} is not a number")
        raw = (value - self.offset) * self.counts
        # NaN fails the comparison.
        if not -_FLOAT_NOISE <= raw <= self.high + _FLOAT_NOISE:
            raise ValueRangeError(f"{self.name}: {value!r} is out of range")
        return round(raw)

    def pack_optional(self, value: float | None) -> int:
        """Return the code of a value; None becomes "not available"."""
        return self.absent if value is None else self.pack(value)

    def unpack(self, raw: int) -> float:
        """Return the value of a code that must have one.

        Raises:
            ErrorIndicatedError, NotAvailableError, ReservedValueError: it has none.
        """
        if raw > self.high:
            raise self._refusal(raw)
        return raw / self.counts + self.offset

    def unpack_optional(self, raw: int) -> float | None:
        """Return the value of a code; None for "error" and "not available".

        Raises:
            ReservedValueError: the code has no meaning.
        """
        return None if raw >> self._shift >= _ERROR else self.unpack(raw)

    def _refusal(self, raw: int) -> Exception:
        top = raw >> self._shift
        if top == ABSENT_U8:
            return NotAvailableError(f"{self.name}: code {raw:#x} says not available")
        if top == _ERROR:
            return ErrorIndicatedError(f"{self.name}: code {raw:#x} says error")
        return ReservedValueError(f"{self.name}: code {raw:#x} is reserved")


def check_choice(name: str, value: int, highest: int) -> int:
    """Return an integer of 0…highest.

    Raises:
        ValueRangeError: it is another.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise ValueRangeError(f"{name}: {value!r} is not one of 0…{highest}")
    return int(value)


def bits(data: bytes, at: int, first: int, count: int) -> int:
    """Return ``count`` bits of byte ``at`` (from 0), the lowest of them bit ``first`` (from 0)."""
    return data[at] >> first & (1 << count) - 1


def flag(name: str, code: int) -> bool:
    """Return a two-bit state that must be known: 0 off, 1 on.

    Raises:
        ErrorIndicatedError, NotAvailableError: 2 and 3.
    """
    if code == 2:
        raise ErrorIndicatedError(f"{name}: code 2 says error")
    if code == 3:
        raise NotAvailableError(f"{name}: code 3 says not available")
    return code == 1


def flag_optional(code: int) -> bool | None:
    """Return a two-bit state; None for "error" and "not available"."""
    return None if code > 1 else code == 1


def flag_code(value: bool | None) -> int:
    """Return the two bits of a state; None becomes "not available"."""
    return 3 if value is None else int(value)


def check_length(name: str, data: bytes, length: int = DATA_BYTES) -> None:
    """Refuse data of another length.

    Raises:
        FrameLengthError: it has one.
    """
    if len(data) != length:
        raise FrameLengthError(f"{name}: {len(data)} bytes, not {length}")
