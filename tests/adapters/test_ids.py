"""J1939 identifiers: taken apart and put together, against the ids of published frames."""

from __future__ import annotations

import pytest

from protocol.j1939.ids import GLOBAL_ADDRESS, Id, parse_id

PUBLISHED = [
    (0x0C000027, Id(3, 0x0000, 0x27, 0x00)),
    (0x0C040B2A, Id(3, 0x0400, 0x2A, 0x0B)),
    (0x0CAD131C, Id(3, 0xAD00, 0x1C, 0x13)),
    (0x0CE00003, Id(3, 0xE000, 0x03, 0x00)),
    (0x0CF00400, Id(3, 0xF004, 0x00)),
    (0x18FEF10B, Id(6, 0xFEF1, 0x0B)),
    (0x04FF1080, Id(1, 0xFF10, 0x80)),
    (0x1CFFFFFE, Id(7, 0xFFFF, 0xFE)),
    (0x0CEF0027, Id(3, 0xEF00, 0x27, 0x00)),
    (0x0DF00203, Id(3, 0x1F002, 0x03)),
    (0x0DEF8203, Id(3, 0x1EF00, 0x03, 0x82)),
]


@pytest.mark.parametrize(("can_id", "parts"), PUBLISHED, ids=[hex(i) for i, _ in PUBLISHED])
def test_published_id__is_taken_apart_and_put_together(can_id: int, parts: Id) -> None:
    assert parse_id(can_id) == parts
    assert parts.encode() == can_id


def test_broadcast__is_for_everybody() -> None:
    assert parse_id(0x0CF00400).destination == GLOBAL_ADDRESS == 0xFF
