"""Both languages, both colour schemes, every size: legible, complete, and by the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from protocol.state import CapReason, VehicleMode
from tests.console.page_rig import ASSETS, PageRig
from tests.console.test_page_way import DRIVEN, FACTS

pytestmark = pytest.mark.browser

SIZES = [(1920, 1080), (1366, 768)]
ENTRY = re.compile(r'"([a-z_]+(?:\.[A-Za-z_.]+)?)":')
CHINESE = re.compile("[\u4e00-\u9fff]")

CONTRASTS = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const luminance = ([r, g, b]) => [r, g, b]
    .map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    .reduce((sum, x, at) => sum + x * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element, under) => {
    const layers = [];
    for (let each = element; each && each.id !== "stage"; each = each.parentElement) {
      layers.push(parse(getComputedStyle(each).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), under);
  };
  const ratio = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  for (const each of document.querySelectorAll("#border *, #help *")) {
    const own = [...each.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !each.checkVisibility() || each.closest(":disabled, svg")) continue;
    const style = getComputedStyle(each);
    for (const picture of [[0, 0, 0, 1], [255, 255, 255, 1]]) {
      const below = ground(each, picture);
      const colour = over(parse(style.color), below);
      found.push([ratio(colour, below), `${each.id || each.className} ${each.textContent}`]);
    }
  }
  return found;
}"""

CLIPPED = """() => [...document.querySelectorAll(
    "#top *, #hud *, .buttons button, #chain-card *, #stop *, #step-card *, .inset p *")]
  .filter((each) => each.children.length === 0 && each.textContent && each.checkVisibility()
    && !each.closest("svg"))
  .filter((each) => {
    const box = each.getBoundingClientRect();
    const around = each.closest("#top > *, .cell, button, .card, #stop, .inset");
    const room = around.getBoundingClientRect();
    return each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline"
      || box.right > room.right + 1 || box.left < room.left - 1
      || box.right > innerWidth || box.bottom > innerHeight;
  }).map((each) => each.id + " " + each.textContent)"""

CHOOSE = "async (code) => (await import('/ui/text.js')).choose(code)"
FOCUSED = "() => document.activeElement.id || document.activeElement.dataset.do || ''"


@pytest.fixture
def rig(browser: Browser) -> Iterator[PageRig]:
    made = PageRig(browser)
    yield made
    made.page.close()


def show(rig: PageRig, **changes: Any) -> None:
    """Let everything that can have words have some."""
    rig.tell({"t": "slow", "group": "factsheet", "content": FACTS, "age_ms": 0})
    rig.tell({"t": "event", "id": "V102", "severity": "alarm", "en": "old", "zh": "旧"})
    rig.state(**(DRIVEN | {"delivered_pct": (97, 100), "grade": -0.1} | changes))
    rig.pass_ms(60)


def test_both_tables__have_the_same_keys_and_chinese_in_one(rig: PageRig) -> None:
    english, chinese = (ASSETS[f"words_{code}.js"].decode() for code in ("en", "zh"))

    assert ENTRY.findall(english) == ENTRY.findall(chinese)
    assert len(ENTRY.findall(english)) > 150
    assert not CHINESE.search(english.replace('"top.language": "中文"', "").replace("语言", ""))


def test_chinese_chosen__no_english_word_is_left(rig: PageRig) -> None:
    show(rig)
    rig.page.evaluate(CHOOSE, "zh")
    rig.pass_ms(60)
    words = rig.page.inner_text("#hud") + rig.page.inner_text("#side")
    left = set(re.findall(r"[A-Za-z]{2,}", words)) - {"km", "Shift", "mark"}

    assert rig.text("#mode-words") == "遥控中"
    assert rig.text("#cap-line").startswith("限速")
    assert left == set()


def test_language_key__switches_and_is_remembered(rig: PageRig) -> None:
    rig.page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
    rig.page.keyboard.press("KeyG")
    chosen = rig.text("#step-card h2")
    rig.page.keyboard.press("KeyG")

    assert (chosen, rig.text("#step-card h2")) == ("下一步", "Next step")


@pytest.mark.parametrize("scheme", ["dark", "night"])
@pytest.mark.parametrize(
    "changes",
    [
        {"mode": VehicleMode.ACTIVE},
        {"mode": VehicleMode.DEGRADED, "cause": "L104", "cap_reason": CapReason.ONE_PATH},
        {"mode": VehicleMode.STOPPING, "cause": "L102"},
        {"mode": VehicleMode.STOPPED, "cause": "L102", "estop": "open", "blockers": ("L102",)},
    ],
    ids=["active", "degraded", "stopping", "stopped"],
)
def test_every_text__has_a_contrast_of_4_5(
    rig: PageRig, scheme: str, changes: dict[str, Any]
) -> None:
    show(rig, **changes)
    rig.page.evaluate("(name) => { document.documentElement.dataset.scheme = name; }", scheme)
    found = rig.page.evaluate(CONTRASTS)

    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []


@pytest.mark.parametrize("size", SIZES, ids=["1080p", "laptop"])
@pytest.mark.parametrize("code", ["en", "zh"])
def test_size_and_language__no_text_is_clipped(
    rig: PageRig, size: tuple[int, int], code: str
) -> None:
    rig.page.set_viewport_size({"width": size[0], "height": size[1]})
    rig.page.evaluate(CHOOSE, code)
    show(rig, mode=VehicleMode.LEASED)
    show(rig)

    assert rig.page.evaluate(CLIPPED) == []


def test_night_key__colours_change_and_back(rig: PageRig) -> None:
    rig.page.keyboard.press("KeyN")
    night = rig.page.get_attribute("html", "data-scheme")
    rig.page.keyboard.press("KeyN")

    assert (night, rig.page.get_attribute("html", "data-scheme")) == ("night", "dark")


def test_keyboard_alone__reaches_and_presses_every_button(rig: PageRig) -> None:
    rig.tell({"t": "role", "drives": True})
    rig.state(mode=VehicleMode.LEASED, speed_mps=0.0)
    rig.pass_ms(60)
    reached = set()
    for _ in range(12):
        rig.page.keyboard.press("Tab")
        reached.add(rig.page.evaluate(FOCUSED))
    rig.page.focus("[data-do=release]")
    rig.page.keyboard.press("Enter")

    assert reached >= {"chip-picture", "language", "night", "help-open", "release", "stop"}
    assert reached >= {"alerts-ack", "alerts-silence"}
    assert rig.last("action")["do"] == "release"
