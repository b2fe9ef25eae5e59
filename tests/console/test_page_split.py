"""Where the time of a picture goes, as the page shows it and tells it to the vehicle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from operator_console.core.screen import snapshot
from tests.console.fakes import Rig
from tests.console.page_rig import CONFIG, VideoRig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

MADE = {"b": 4_000, "d": 10_000}
"""Capture 4 ms, encoding 6 ms."""


@pytest.fixture
def rig(browser: Browser) -> Iterator[VideoRig]:
    made = VideoRig(browser)
    made.connect()
    yield made
    made.page.close()


def page_us(rig: VideoRig) -> int:
    return round(float(rig.page.evaluate("() => performance.now() * 1000")))


def shown_age_ms(rig: VideoRig) -> int:
    return int(rig.text("#picture-age").removeprefix("≥"))


def ride(rig: VideoRig, *, pictures: int, age_ms: int) -> None:
    """Let pictures come 50 ms apart, each so old when it is presented."""
    rig.seen(age_ms=40)
    console = Rig()
    console.lease()
    console.show_picture(40)
    told_us = snapshot(console.session, console.now_ns)["console"]["vehicle_now_us"]
    offset_us = told_us - page_us(rig)
    for step in range(pictures):
        note = {"c": 0, "f": step, "t": page_us(rig) + offset_us - age_ms * 1000, "r": 0}
        rig.tell_note(note | MADE)
        rig.present(step)
        rig.pass_ms(50)


def test_pictures_come__the_vehicle_is_told_where_the_time_went(rig: VideoRig) -> None:
    ride(rig, pictures=40, age_ms=60)

    seen = [note["seen"] for note in rig.echoes() if "seen" in note][-1]
    capture, encode, network, buffer, decode, display = seen["split"]
    assert (capture, encode, buffer, decode, display) == (4, 6, 4, 3, 9)
    assert network == pytest.approx(60 - 4 - 6 - 7, abs=1)
    assert sum(seen["split"]) == pytest.approx(69, abs=1)


def test_pictures_come__their_age_is_sampled_up_to_the_next_one(rig: VideoRig) -> None:
    ride(rig, pictures=40, age_ms=60)

    p50, p95, _, most = [note["seen"]["age"] for note in rig.echoes() if "seen" in note][-1]
    assert p50 == pytest.approx(69 + 25, abs=8)
    assert p95 == pytest.approx(69 + 47, abs=8)
    assert most <= 69 + 51


def test_picture_freezes__the_age_on_the_line_grows(rig: VideoRig) -> None:
    rig.page.click("#chip-picture")
    ride(rig, pictures=20, age_ms=60)
    rig.pass_ms(100)
    before = rig.text("#split")
    rig.pass_ms(400)
    most = int(rig.text("#split").rpartition(" ")[2])
    rig.page.keyboard.press("KeyG")
    rig.pass_ms(50)

    assert rig.text("#split").startswith("从采集到显示，毫秒：采集 4 + 编码 6 + 网络 ")
    assert before.startswith("capture to present, ms: capture 4 + encode 6 + network ")
    assert most > 500


def test_details_are_not_asked_for__the_line_is_hidden(rig: VideoRig) -> None:
    assert rig.page.is_hidden("#split")


def test_monitor_has_its_own_delay__every_age_shown_has_it_inside(rig: VideoRig) -> None:
    ride(rig, pictures=2, age_ms=40)
    before = shown_age_ms(rig)
    rig.tell(CONFIG | {"screen_delay_ms": 100})
    rig.taken()
    rig.pass_ms(50)

    assert shown_age_ms(rig) - before == 100 + 50
