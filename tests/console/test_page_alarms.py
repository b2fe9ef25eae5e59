"""Alerts on the page: the highest class on top until somebody acknowledges it, and its sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from protocol.state import VehicleMode
from tests.console.page_rig import PageRig

pytestmark = pytest.mark.browser

BOOK = """async (steps) => {
  const { AlarmBook } = await import("/ui/alarms.js");
  const book = new AlarmBook();
  const told = (id, severity) => ({ id, severity, en: id, zh: id });
  return steps.map(([what, at, ...more]) => {
    if (what === "event") return book.event(told(...more), at, 0);
    if (what === "old") return book.event(told(...more), at, 60000);
    if (what === "stand") {
      return book.stand(more[0] && { code: more[0], level: more[1], en: "", zh: "" }, at);
    }
    if (what === "ack") return book.acknowledge();
    if (what === "silence") return book.silence(at);
    if (what === "sound") return book.sound(at, 2000);
    return book.ordered().map((alert) => alert.code);
  });
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[PageRig]:
    rig = PageRig(browser)
    yield rig
    rig.page.close()


@pytest.fixture
def rig(browser: Browser) -> Iterator[PageRig]:
    made = PageRig(browser)
    yield made
    made.page.close()


def book(page: PageRig, *steps: tuple[Any, ...]) -> list[Any]:
    """Return what a book of alerts says at each step: what, when (ms), with what."""
    answers: list[Any] = page.page.evaluate(BOOK, [list(step) for step in steps])
    return answers


def test_flood_of_cautions__an_alarm_before_it_stays_on_top(page: PageRig) -> None:
    flood = [("event", 100 + at, f"C{at}", "caution") for at in range(50)]
    shown = book(page, ("event", 0, "A1", "alarm"), *flood, ("list", 200))[-1]

    assert (shown[0], shown[1], len(shown)) == ("A1", "C49", 12)


def test_acknowledged__the_newest_is_on_top_again(page: PageRig) -> None:
    shown = book(
        page,
        ("event", 0, "A1", "alarm"),
        ("event", 100, "C1", "caution"),
        ("ack", 200),
        ("list", 200),
    )[-1]

    assert shown == ["C1", "A1"]


@pytest.mark.parametrize(
    ("level", "sounds"),
    [
        ("info", [None, None, None, None]),
        ("caution", [None, None, None, None]),
        ("warning", ["warning", None, None, "warning"]),
        ("alarm", ["alarm", None, "alarm", "alarm"]),
        ("emergency", ["emergency", None, "emergency", "emergency"]),
    ],
)
def test_class_of_an_alert__says_how_it_sounds(
    page: PageRig, level: str, sounds: list[str | None]
) -> None:
    at = [("sound", ms) for ms in (0, 1900, 2000, 30000)]

    assert book(page, ("event", 0, "X1", level), *at)[1:] == sounds


def test_silenced__quiet_for_30_s_then_sounds_again_unless_acknowledged(page: PageRig) -> None:
    steps = [("event", 0, "A1", "alarm"), ("sound", 0), ("silence", 1000)]
    steps += [("sound", ms) for ms in (3000, 30900, 31000)]
    steps += [("ack", 32000), ("sound", 40000)]

    assert book(page, *steps) == [None, "alarm", True, None, None, "alarm", None, None]


def test_new_alert_while_another_is_acknowledged__sounds_by_its_own_class(page: PageRig) -> None:
    steps = [("event", 0, "A1", "alarm"), ("ack", 0), ("event", 100, "W1", "warning")]

    assert book(page, *steps, ("sound", 100))[-1] == "warning"


def test_told_of_an_earlier_time__calls_for_nobody(page: PageRig) -> None:
    assert book(page, ("old", 0, "A1", "alarm"), ("sound", 0), ("list", 0)) == [None, None, ["A1"]]


def test_standing_message_of_an_event_just_told__calls_once(page: PageRig) -> None:
    steps = [("event", 0, "L102", "alarm"), ("ack", 100), ("stand", 200, "L102", "alarm")]

    assert book(page, *steps, ("sound", 300))[-1] is None


def test_event_of_a_message_that_stands_already__calls_once(page: PageRig) -> None:
    steps = [("stand", 0, "L102", "alarm"), ("ack", 100), ("event", 200, "L102", "alarm")]

    assert book(page, *steps, ("sound", 300))[-1] is None


@pytest.mark.parametrize(("level", "first"), [("caution", "S1"), ("alarm", "C114")])
def test_message_over__only_what_was_worse_than_a_caution_still_calls(
    page: PageRig, level: str, first: str
) -> None:
    steps = [("stand", 0, "C114", level), ("stand", 100, ""), ("event", 200, "S1", "info")]

    assert book(page, *steps, ("list", 300))[-1][0] == first


def test_message_stands_again_after_it_was_over__calls_again(page: PageRig) -> None:
    steps = [("stand", 0, "C104", "alarm"), ("ack", 100), ("stand", 200, "")]
    steps += [("stand", 20000, "C104", "alarm"), ("sound", 20000)]

    assert book(page, *steps)[-1] == "alarm"


@pytest.mark.parametrize("acknowledged_ms", [100, 3500])
def test_message_stands_again_soon_after_it_was_acknowledged__sounds_until_it_is_anew(
    page: PageRig, acknowledged_ms: int
) -> None:
    link: list[tuple[Any, ...]] = [("stand", 0, "C104", "alarm"), ("sound", 0)]
    link += [("ack", acknowledged_ms), ("stand", 3000, ""), ("stand", 8000, "C104", "alarm")]
    link.sort(key=lambda step: step[1])
    sounds = [("sound", ms) for ms in (8000, 10_000, 60_000)]
    quiet = [("ack", 60_100), ("sound", 65_000)]

    assert book(page, *link, *sounds, *quiet)[5:] == ["alarm"] * 3 + [None, None]


def test_message_that_nobody_acknowledged_flickers__one_sound_follows_the_other(
    page: PageRig,
) -> None:
    on, off = ("C104", "alarm"), ("",)
    flicker = [("stand", at, *(on, off)[at // 100 % 2]) for at in range(0, 1900, 100)]
    steps = [each for step in flicker for each in (step, ("sound", step[1]))]
    told = book(page, *steps, ("sound", 2000))

    assert [told[1], told[-1]] == ["alarm", "alarm"]
    assert set(told[3:-1]) == {None}


def test_acknowledge_key__alert_is_marked_as_seen(rig: PageRig) -> None:
    rig.tell({"t": "event", "id": "V102", "severity": "alarm", "en": "old", "zh": "旧"})
    rig.taken()
    before = rig.page.get_attribute("#events li[data-id=V102]", "data-open")
    rig.page.keyboard.press("Backspace")

    assert (before, rig.page.get_attribute("#events li[data-id=V102]", "data-open")) == (
        "true",
        "false",
    )


def test_first_key_is_a_stop__sound_is_made_ready_only_when_it_is_let_go(rig: PageRig) -> None:
    rig.page.evaluate(
        """() => {
          const Own = window.AudioContext;
          window.made = 0;
          window.AudioContext = class extends Own { constructor() { super(); window.made += 1; } };
        }"""
    )
    rig.page.keyboard.down("Space")
    stops, made = rig.count("action"), rig.page.evaluate("window.made")
    rig.page.keyboard.up("Space")

    assert (stops, made) == (1, 0)
    assert rig.page.evaluate("window.made") == 1


def test_no_key_pressed_yet__page_says_that_alerts_are_silent(rig: PageRig) -> None:
    rig.tell({"t": "event", "id": "V102", "severity": "alarm", "en": "old", "zh": "旧"})
    rig.taken()

    assert rig.text("#chime") == "ALERTS SILENT – press a key"
    assert rig.page.get_attribute("#chime", "data-look") == "caution"


def test_line_is_dead__what_is_spoken_is_what_stands_on_the_screen(rig: PageRig) -> None:
    rig.page.evaluate("""() => {
      window.spoken = [];
      speechSynthesis.getVoices = () => [{ localService: true, lang: "en" }];
      speechSynthesis.speak = (words) => spoken.push(words.text);
      window.SpeechSynthesisUtterance = function (text) { this.text = text; };
    }""")
    rig.state(mode=VehicleMode.STOPPED)
    rig.pass_ms(60)
    rig.page.keyboard.press("KeyV")
    rig.pass_ms(600)
    rig.page.keyboard.press("KeyV")
    alive, dead = rig.page.evaluate("spoken")

    assert alive.startswith("STOPPED")
    assert dead == rig.text("#message-words")


def test_no_voice_on_this_computer__asking_to_speak_says_so(rig: PageRig) -> None:
    rig.page.evaluate("speechSynthesis.getVoices = () => [{ localService: false, lang: 'en' }]")
    rig.page.keyboard.press("KeyV")
    rig.pass_ms(60)

    assert rig.text("#answer") == "No voice on this computer"
