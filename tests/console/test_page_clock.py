"""The vehicle's clock as the page knows it: each message bounds it from one side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.console.page_rig import VideoRig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

AHEAD_US = 7_000_000
"""Of the vehicle's clock before the page's, in truth."""
KNOWN = """async ([heard, nowMs]) => {
  const { PageClock } = await import("/ui/clock.js");
  const clock = new PageClock();
  for (const [what, ...facts] of heard) clock[what](...facts);
  return clock.known(nowMs);
}"""


LATE = """async (lags) => {
  const { PageClock, ToldTime } = await import("/ui/clock.js");
  const [clock, told] = [new PageClock(), new ToldTime()];
  return lags.map((lagMs, index) => {
    const toldMs = 33 * index;
    const nowMs = toldMs + lagMs;
    clock.hear(toldMs * 1000, 500, told.at(5e6 + toldMs, nowMs));
    return clock.known(nowMs).offsetUs / 1000;
  });
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[VideoRig]:
    made = VideoRig(browser)
    yield made
    made.page.close()


def down(at_ms: float, took_ms: float) -> list[Any]:
    """A message of the vehicle's came at that time of the page."""
    return ["arrived", (at_ms - took_ms) * 1000 + AHEAD_US, at_ms]


def up(at_ms: float, took_ms: float) -> list[Any]:
    """The vehicle told at that time how a message of the page's came."""
    return ["received", took_ms * 1000 + AHEAD_US, at_ms]


def console(at_ms: float, wrong_ms: float, within_ms: float | None) -> list[Any]:
    """The console told the vehicle's clock at that time."""
    within_us = None if within_ms is None else within_ms * 1000
    return ["hear", (at_ms + wrong_ms) * 1000 + AHEAD_US, within_us, at_ms]


def known(page: VideoRig, *heard: list[Any], at_ms: float = 1000) -> tuple[float, float | None]:
    """Return by how much the offset is wrong, and by how much it may be, in ms."""
    got = page.page.evaluate(KNOWN, [list(heard), at_ms])
    within_us = got["withinUs"]
    return (got["offsetUs"] - AHEAD_US) / 1000, None if within_us is None else within_us / 1000


def test_equal_ways__offset_is_exact_within_half_the_round_trip(page: VideoRig) -> None:
    assert known(page, down(900, 300), up(950, 300)) == (0, 300)


def test_unequal_ways__offset_is_wrong_by_half_the_difference_and_within_half_the_trip(
    page: VideoRig,
) -> None:
    assert known(page, down(900, 300), up(950, 20)) == (-140, 160)


def test_quickest_of_each_way__count_though_they_were_not_one_round_trip(page: VideoRig) -> None:
    heard = [down(700, 20), up(720, 400), down(800, 400), up(820, 20), down(900, 90)]
    assert known(page, *heard) == (0, 20)


def test_quick_message_longer_ago_than_the_window__speaks_no_more(page: VideoRig) -> None:
    heard = [down(100, 10), up(110, 10), down(10_200, 50), up(10_210, 50)]
    assert known(page, *heard, at_ms=10_300) == (0, 50)


def test_only_the_vehicles_messages__offset_is_a_lower_bound(page: VideoRig) -> None:
    assert known(page, down(900, 300)) == (-300, None)


def test_console_knows_it_by_a_quicker_link__its_word_counts(page: VideoRig) -> None:
    assert known(page, down(900, 300), up(950, 0), console(990, -1, 3)) == (-1, 5)


def test_console_knows_it_worse__the_pictures_own_link_counts(page: VideoRig) -> None:
    assert known(page, down(900, 10), up(950, 10), console(990, -80, 100)) == (0, 10)


def test_console_has_a_bound_only__the_tighter_bound_counts(page: VideoRig) -> None:
    assert known(page, down(900, 300), console(990, -40, None)) == (-40, None)


def test_link_ended__what_it_told_is_forgotten(page: VideoRig) -> None:
    heard = [down(900, 300), up(950, 300), ["forget"], console(990, -40, None)]
    assert known(page, *heard) == (-40, None)


def test_page_takes_later_and_later_what_the_console_tells__the_clock_is_not_wrong_by_it(
    page: VideoRig,
) -> None:
    wrong_ms = page.page.evaluate(LATE, [2 + min(2000, 7 * each) for each in range(600)])

    assert (min(wrong_ms), max(wrong_ms)) == pytest.approx((-2, -2))


def test_state_waited_before_the_page_took_it__its_ages_and_the_line_count_from_its_telling(
    page: VideoRig,
) -> None:
    stop = "document.getElementById('stop').dataset.look"
    state: dict[str, Any] = {"t": "state", "vehicle": None, "console": {"stop": {}}}
    looks = []
    for told_ms, after_ms in ((1000, 0), (1100, 600), (1700, 0)):
        page.pass_ms(after_ms)
        page.tell(state | {"told_ms": told_ms})
        page.taken()
        page.pass_ms(50)
        looks.append(page.page.evaluate(stop))

    assert looks == ["ready", "no-line", "ready"]


def test_age_may_be_wrong_by_much__the_page_says_by_how_much(browser: Browser) -> None:
    rig = VideoRig(browser)
    rig.connect()
    rig.seen(age_ms=40, vehicle_now_us=None)
    now_us = int(rig.page.evaluate("() => Math.round(performance.now() * 1000)"))
    sent_us = now_us + AHEAD_US - 150_000
    rig.tell_note(
        {"c": 0, "f": 7, "t": sent_us - 10_000, "s": 10_000, "r": 0, "u": 150_000 + AHEAD_US}
    )
    rig.present(7)
    rig.pass_ms(50)

    assert (rig.text("#picture-age"), rig.text("#picture-age-within")) == ("210", "±150")
    rig.page.close()
