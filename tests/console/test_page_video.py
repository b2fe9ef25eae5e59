"""The live picture on the page, frame by frame: what is told of it, when it is drawn as live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.page_rig import VideoRig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

T0_US = 5_000_000_000


@pytest.fixture
def rig(browser: Browser) -> Iterator[VideoRig]:
    made = VideoRig(browser)
    made.connect()
    yield made
    made.page.close()


# ---- what is told ------------------------------------------------------------------------------


def test_picture_presented__is_told_with_its_capture_stamp(rig: VideoRig) -> None:
    rig.picture(7, T0_US)

    told = rig.last("view")
    assert (told["frame"], told["capture_us"], told["visible"]) == (7, T0_US, True)


def test_picture_frozen_on_a_page_that_paints__is_told_again_with_the_same_stamp(
    rig: VideoRig,
) -> None:
    rig.picture(7, T0_US)
    before = rig.count("view")
    rig.pass_ms(500)

    assert rig.count("view") - before >= 5
    assert rig.last("view")["capture_us"] == T0_US


# ---- the end of a session ----------------------------------------------------------------------


def test_video_dead_for_a_second__new_session_begins_and_the_old_picture_is_told_no_more(
    rig: VideoRig,
) -> None:
    rig.picture(7, T0_US)
    offers = rig.count("offer")
    rig.pass_ms(1500)
    begun, before = rig.count("offer"), rig.count("view")
    rig.pass_ms(300)

    assert begun > offers
    assert rig.count("view") == before


def test_vehicle_booted__its_first_picture_counts_though_number_and_clock_begin_anew(
    rig: VideoRig,
) -> None:
    rig.picture(7, T0_US)
    rig.pass_ms(1500)
    rig.answer()
    rig.picture(7, 9_000_000)

    assert rig.last("view")["capture_us"] == 9_000_000
