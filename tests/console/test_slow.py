"""Slow values for the screen: shown as told with their age, and never what a page cannot read."""

from __future__ import annotations

import json

import pytest

from operator_console.core.slow import CONTENT_MAX_BYTES, SlowValues
from tests.console.fakes import MS, TOPICS
from tests.console.test_web import WebRig, rig

__all__ = ["rig"]

POSITION = TOPICS.telemetry("position")
PLACE = {"fix": "good", "x_m": 1.5, "y_m": -2.0}


def test_place_told__is_passed_on_with_its_group() -> None:
    told = SlowValues(TOPICS).hear(POSITION, json.dumps(PLACE).encode(), 0)

    assert told == {"t": "slow", "group": "position", "content": PLACE, "age_ms": 0.0}


def test_page_comes_later__is_told_the_newest_of_each_group_with_its_age() -> None:
    slow = SlowValues(TOPICS)
    slow.hear(POSITION, b'{"fix":null}', 0)
    slow.hear(POSITION, json.dumps(PLACE).encode(), 100 * MS)
    slow.hear(TOPICS.factsheet, b'{"v":1}', 200 * MS)

    assert [(each["group"], each["content"], each["age_ms"]) for each in slow.all(300 * MS)] == [
        ("position", PLACE, 200.0),
        ("factsheet", {"v": 1}, 100.0),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[1]",
        b"{",
        b"\xff",
        b'{"x_m":NaN}',
        b'{"x_m":Infinity}',
        b'{"x_m":1e999}',
        b"[" * 5000,
        b'{"x":"' + b"a" * CONTENT_MAX_BYTES + b'"}',
    ],
    ids=["empty", "list", "cut", "no text", "nan", "infinite", "too large", "deep", "long"],
)
def test_content_that_a_page_cannot_read__is_refused_and_counted(payload: bytes) -> None:
    slow = SlowValues(TOPICS)

    assert slow.hear(POSITION, payload, 0) is None
    assert (slow.refused, slow.all(0)) == (1, [])


def test_topic_of_another_vehicle__is_refused() -> None:
    assert SlowValues(TOPICS).hear("headframe/v1/mine/other/factsheet", b"{}", 0) is None


async def test_page__is_told_slow_values_as_they_come_and_those_from_before(rig: WebRig) -> None:
    rig.console.hear_slow(TOPICS.factsheet, b'{"v":1}')
    async with rig.page() as page:
        before = [await page.receive_json() for _ in range(2)]
        rig.console.hear_slow(POSITION, b'{"fix":null}')
        after = await page.receive_json()

    assert [before[1]["group"], after["group"]] == ["factsheet", "position"]
