"""Numbers and states in bytes: every edge between value, reserved, error and not available."""

from __future__ import annotations

import math

import pytest

from protocol.dbw.errors import (
    ErrorIndicatedError,
    FrameLengthError,
    NotAvailableError,
    ReservedValueError,
    ValueRangeError,
)
from protocol.j1939.slots import (
    HIGH_U8,
    HIGH_U16,
    Slot,
    bits,
    check_choice,
    check_length,
    flag,
    flag_code,
    flag_optional,
)

BYTE = Slot("share", 250.0, 0.0, HIGH_U8)
WORD = Slot("bend", -4000.0, 8.032, HIGH_U16)


@pytest.mark.parametrize(
    ("slot", "value", "code"),
    [
        (BYTE, 0.0, 0),
        (BYTE, 1.0, 250),
        (BYTE, 0.5, 125),
        (BYTE, 0.0059, 1),
        (WORD, 8.032, 0),
        (WORD, 0.0, 32128),
        (WORD, -8.03175, 64255),
        (WORD, 1, 28128),
    ],
)
def test_value__has_its_code_and_comes_back(slot: Slot, value: float, code: int) -> None:
    assert slot.pack(value) == code
    assert slot.pack_optional(value) == code
    assert slot.unpack(code) == pytest.approx(value, abs=0.5 / abs(slot.counts))
    assert slot.unpack_optional(code) == slot.unpack(code)


def test_value_a_rounding_of_floats_beyond_the_edge__is_the_edge() -> None:
    assert BYTE.pack(1.0 + 3e-9) == 250
    assert BYTE.pack(-3e-9) == 0


def test_millionth_of_a_count_beyond_the_edge__is_the_edge_still() -> None:
    whole = Slot("whole", 1.0, 0.0, HIGH_U8)
    assert whole.pack(-1e-6) == 0
    assert whole.pack(250 + 1e-6) == 250


@pytest.mark.parametrize(
    "value", [-0.001, 1.001, 1.0 + 6e-9, -6e-9, math.nan, math.inf, -math.inf, "1", None, True]
)
def test_value_without_a_code__is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueRangeError, match=r"^share: .*(out of range|not a number)$"):
        BYTE.pack(value)  # type: ignore[arg-type]


def test_nothing__is_not_available() -> None:
    assert BYTE.pack_optional(None) == BYTE.absent == 0xFF
    assert WORD.pack_optional(None) == WORD.absent == 0xFFFF


@pytest.mark.parametrize(
    ("slot", "code", "error"),
    [
        (BYTE, 0xFB, ReservedValueError),
        (BYTE, 0xFD, ReservedValueError),
        (BYTE, 0xFE, ErrorIndicatedError),
        (BYTE, 0xFF, NotAvailableError),
        (WORD, 0xFB00, ReservedValueError),
        (WORD, 0xFDFF, ReservedValueError),
        (WORD, 0xFE00, ErrorIndicatedError),
        (WORD, 0xFEFF, ErrorIndicatedError),
        (WORD, 0xFF00, NotAvailableError),
        (WORD, 0xFFFF, NotAvailableError),
    ],
)
def test_code_without_a_value__is_refused_for_what_it_says(
    slot: Slot, code: int, error: type[Exception]
) -> None:
    words = {
        ReservedValueError: "is reserved",
        ErrorIndicatedError: "says error",
        NotAvailableError: "says not available",
    }
    with pytest.raises(error, match=f"^{slot.name}: code {code:#x} {words[error]}$"):  # type: ignore[index]
        slot.unpack(code)


@pytest.mark.parametrize(
    ("slot", "code"), [(BYTE, 0xFE), (BYTE, 0xFF), (WORD, 0xFE00), (WORD, 0xFFFF)]
)
def test_error_and_not_available__are_nothing_where_that_is_allowed(slot: Slot, code: int) -> None:
    assert slot.unpack_optional(code) is None


@pytest.mark.parametrize(("slot", "code"), [(BYTE, 0xFD), (WORD, 0xFDFF), (WORD, 0xFB00)])
def test_reserved_code__is_refused_even_there(slot: Slot, code: int) -> None:
    with pytest.raises(ReservedValueError, match="is reserved"):
        slot.unpack_optional(code)


def test_choice__is_given_back_or_refused() -> None:
    assert [check_choice("mode", value, 3) for value in range(4)] == [0, 1, 2, 3]
    for wrong in (-1, 4, True, 1.0, None):
        with pytest.raises(ValueRangeError, match=r"^mode: .* is not one of 0…3$"):
            check_choice("mode", wrong, 3)  # type: ignore[arg-type]


def test_bits__are_counted_from_the_lowest() -> None:
    data = bytes((0x00, 0b1011_0110))
    assert bits(data, 1, 0, 2) == 0b10
    assert bits(data, 1, 4, 3) == 0b011
    assert bits(data, 1, 6, 2) == 0b10
    assert bits(data, 0, 6, 2) == 0


def test_states__are_two_bits() -> None:
    assert flag("switch", 0) is False
    assert flag("switch", 1) is True
    with pytest.raises(ErrorIndicatedError, match=r"^switch: code 2 says error$"):
        flag("switch", 2)
    with pytest.raises(NotAvailableError, match=r"^switch: code 3 says not available$"):
        flag("switch", 3)
    assert [flag_optional(code) for code in range(4)] == [False, True, None, None]
    assert [flag_code(value) for value in (False, True, None)] == [0, 1, 3]


def test_length__is_exact() -> None:
    check_length("frame", bytes(8))
    check_length("beat", bytes(1), 1)
    for wrong in (7, 9):
        with pytest.raises(FrameLengthError, match=f"^frame: {wrong} bytes, not 8$"):
            check_length("frame", bytes(wrong))
