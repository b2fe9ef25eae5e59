"""The pages beside the driver's, in a real browser: charts, machines, a screen for one camera."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from operator_console.core.screen import machine_line, snapshot
from protocol.state import VehicleMode
from tests.console.fakes import Rig
from tests.console.page_rig import CONFIG, PageRig, VideoRig

pytestmark = pytest.mark.browser

MEDIA = {
    "encoder": "libx264",
    "cameras": [
        {
            "id": 0,
            "name": "front",
            "step": "1280x720@30",
            "target_bps": 4_000_000,
            "fps": 30,
            "qp": 24,
            "viewers": 1,
            "error": "",
            "seen": {"age": [50, 60, 70, 80], "split": [1, 4, 20, 3, 5, 8]},
        }
    ],
}
FACTS = {"software": "0.1.0", "limits": {"speed_max_mps": 8.0}, "settings_sha256": "ab12"}
SERIES = """async (heards) => {
  const { PLANS, Series } = await import("/ui/charts.js");
  const series = new Series();
  heards.forEach((heard, at) => series.take(at, heard));
  return Object.fromEntries(PLANS.map(([title], at) => [title, series.charts[at]]));
}"""


PRESS = """async (steps) => {
  const { StopPress } = await import("/ui/press.js");
  const press = new StopPress();
  const heard = { up: true, heardMs: 0 };
  press.pressed(true, heard, 0);
  return steps.map(([nowMs, up, heardMs, stop]) => press.shown(stop, { up, heardMs }, nowMs)[1]);
}"""


class EngineerRig(PageRig):
    door = "/engineer?"


class SupervisorRig(PageRig):
    door = "/supervisor?"


class WingRig(VideoRig):
    door = "/wing?side=left&"


class OtherRig(PageRig):
    """A machine's camera, in a window that outlived the console's watching that machine."""

    door = "/wing?camera=0&vehicle=truck-08&"


def slow(rig: PageRig, group: str, content: dict[str, Any]) -> None:
    rig.tell({"t": "slow", "group": group, "content": content, "age_ms": 0})


@pytest.fixture
def engineer(browser: Browser) -> Iterator[PageRig]:
    rig = EngineerRig(browser)
    yield rig
    rig.page.close()


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A page for what needs its modules only."""
    rig = EngineerRig(browser)
    yield rig.page
    rig.page.close()


@pytest.fixture
def supervisor(browser: Browser) -> Iterator[PageRig]:
    rig = SupervisorRig(browser)
    yield rig
    rig.page.close()


@pytest.fixture
def wing(browser: Browser) -> Iterator[VideoRig]:
    rig = WingRig(browser)
    yield rig
    rig.page.close()


@pytest.fixture
def other(browser: Browser) -> Iterator[PageRig]:
    rig = OtherRig(browser)
    yield rig
    rig.page.close()


def beat(rig: PageRig) -> None:
    """Let the console tell a state, as it does 30 times a second."""
    session = Rig()
    session.lease()
    session.step(20, mode=VehicleMode.ACTIVE)
    rig.tell(snapshot(session.session, session.now_ns))


def test_engineers_page__draws_every_chart_and_words_its_legend_in_chinese(
    engineer: PageRig,
) -> None:
    slow(engineer, "media", MEDIA)
    engineer.pass_ms(1100)

    engineer.page.keyboard.press("KeyG")
    engineer.pass_ms(1100)
    words = " ".join(engineer.page.locator("#charts .u-label").all_inner_texts())

    assert engineer.page.locator("#charts .uplot canvas").count() == 8
    assert set(re.findall(r"[A-Za-z_]{2,}", words)) == {"T_loop", "MQTT", "DATA"}
    assert engineer.errors == []


def test_chart_pointed_at__its_time_is_of_a_day_of_24_hours(engineer: PageRig) -> None:
    slow(engineer, "media", MEDIA)
    engineer.pass_ms(2200)
    chart = engineer.page.locator("#charts .u-over").first
    chart.hover()

    time = engineer.page.locator("#charts .u-legend .u-value").first.inner_text()
    assert re.fullmatch(r"[012]\d:\d\d:\d\d", time)
    assert engineer.errors == []


def test_settings__are_those_that_the_machine_reports(engineer: PageRig) -> None:
    before = engineer.text("#settings")
    slow(engineer, "factsheet", FACTS)
    engineer.settle()

    assert before == ""
    assert "limits.speed_max_mps8" in engineer.text("#settings")
    assert "settings_sha256ab12" in engineer.text("#settings")


def test_refusals__are_listed_by_reason_and_go_when_nobody_tells_them(engineer: PageRig) -> None:
    slow(engineer, "control", {"refused": {"duplicate": 3, "loop_too_old": 7}})
    engineer.pass_ms(1100)
    told = engineer.page.locator("#refused tr").all_inner_texts()
    engineer.pass_ms(4000)

    assert told == ["command: loop_too_old\t7", "command: duplicate\t3"]
    assert engineer.text("#refused") == "not told"


def test_recorders__are_shown_with_what_they_lost(engineer: PageRig) -> None:
    slow(engineer, "recorder", {"segment": 3, "bytes": 2_500_000, "lost": {}, "error": None})
    full = {"segment": 2, "bytes": 0, "lost": {"/cockpit/heard": 12}, "error": "No space left"}
    slow(engineer, "cockpit_recorder", full)
    engineer.pass_ms(1100)

    assert engineer.page.locator("#recorders tr").all_inner_texts() == [
        "machine\t3 · 2.50 MB",
        "cockpit\tNo space left",
        "cockpit, lost: /cockpit/heard\t12",
    ]


def test_encoder__is_shown_with_its_step_of_the_ladder(engineer: PageRig) -> None:
    slow(engineer, "media", MEDIA)
    engineer.pass_ms(1100)

    assert "1280x720@30 · 4.00 Mbit/s · 30 fps · QP 24" in engineer.text("#ladder")


def test_series__keeps_a_gap_where_nothing_is_told_and_counts_totals_up(modules: Page) -> None:
    heards = [
        {"state": {}, "slow": {"media": MEDIA, "control": {"refused": {"duplicate": 3}}}},
        {"state": {}, "slow": {"control": {"refused": {"duplicate": 5, "short": 1}}}},
        {"state": {}, "slow": {}},
    ]
    series = modules.evaluate(SERIES, heards)

    assert [column[0] for column in series["chart.picture"][1:]] == [1, 4, 20, 3, 5, 8]
    assert [column[1] for column in series["chart.picture"][1:]] == [None] * 6
    assert series["chart.refused"] == [[0, 1, 2], [None, 3, None]]


OTHER = {"vehicle": "truck-08", "holder_known": True, "holder": "op-2", "mode": "ACTIVE"}


def machines(rig: PageRig, told_ms: float | None = None, **changes: Any) -> None:
    session = Rig()
    session.step(20, mode=VehicleMode.STANDBY, speed_mps=0.0)
    own = machine_line(session.session, session.now_ns) | {"camera": 0}
    told = [own, own | OTHER | changes]
    rig.tell({"t": "machines", "machines": told, "told_ms": told_ms})
    beat(rig)
    rig.settle()
    rig.pass_ms(110)


def test_supervisor__sees_who_drives_what_and_stops_any(supervisor: PageRig) -> None:
    machines(supervisor)
    rows = supervisor.page.locator("#machines tr").all_inner_texts()
    supervisor.page.click("#machines [data-vehicle=truck-08]")

    assert supervisor.text("#stop b") == "STOP truck-07"
    assert rows[0].startswith("truck-07\tSTANDBY\t0.0\t—\t—")
    assert rows[1].startswith("truck-08\tREMOTE ACTIVE\t0.0\top-2")
    assert supervisor.last("action") == {"t": "action", "do": "stop", "vehicle": "truck-08"}


def test_machines_not_told_any_more__are_dashes_and_their_rows_go(supervisor: PageRig) -> None:
    machines(supervisor)
    supervisor.pass_ms(1200)

    rows = supervisor.page.locator("#machines tr").all_inner_texts()
    supervisor.tell({"t": "machines", "machines": []})
    supervisor.settle()
    supervisor.pass_ms(110)

    assert rows[1].startswith("truck-08\t—\t—")
    assert supervisor.page.locator("#machines tr").count() == 0


def test_machines_told_long_before_the_page_took_it__are_dashes(supervisor: PageRig) -> None:
    machines(supervisor, told_ms=1000)
    supervisor.pass_ms(1600)
    machines(supervisor, told_ms=1100)

    assert others_row(supervisor).startswith("truck-08\t—\t—")


OTHERS_STOP = "#machines [data-vehicle=truck-08]"


def others_row(rig: PageRig) -> str:
    return rig.page.inner_text("#machines tr:has([data-vehicle=truck-08])")


def test_row_changes_under_mouse_and_focus__each_press_of_its_stop_goes_out_once(
    supervisor: PageRig,
) -> None:
    machines(supervisor, speed_mps=4.0)
    supervisor.page.hover(OTHERS_STOP)
    supervisor.page.mouse.down()
    machines(supervisor, speed_mps=4.1)
    supervisor.page.mouse.up()
    by_mouse = supervisor.count("action")
    supervisor.page.focus(OTHERS_STOP)
    machines(supervisor, speed_mps=4.2)
    supervisor.page.keyboard.press("Enter")

    assert "15.1" in others_row(supervisor)
    assert (by_mouse, supervisor.count("action")) == (1, 2)
    assert supervisor.last("action")["vehicle"] == "truck-08"


def test_stop_in_a_row_on_a_dead_line__is_said_not_to_be_sent(supervisor: PageRig) -> None:
    machines(supervisor)
    supervisor.drop_line()
    supervisor.page.click(OTHERS_STOP)

    assert "NOT SENT – use the hard-wired E-stop" in others_row(supervisor)
    assert supervisor.text("#stop-note") == "no line to the console"


def told(rig: PageRig, *messages: dict[str, Any]) -> None:
    """Let the console tell messages beside a state of its own, and the page draw them."""
    for message in messages:
        rig.tell(message)
    beat(rig)
    rig.settle()
    rig.pass_ms(110)


REFUSED = {
    "t": "ack",
    "kind": "stop",
    "outcome": "refused",
    "reason": "unknown_vehicle",
    "vehicle": "truck-08",
}
NONE_WATCHED: dict[str, Any] = {"t": "machines", "machines": []}
NO_STOP = "NO STOP FROM HERE – this console does not know that machine – hard-wired E-stop"


def test_stop_of_a_machine_watched_no_more__its_row_stays_and_says_why(
    supervisor: PageRig,
) -> None:
    machines(supervisor)
    supervisor.page.click(OTHERS_STOP)
    told(supervisor, REFUSED, NONE_WATCHED)

    assert NO_STOP in others_row(supervisor)
    assert supervisor.text("#stop-note") == "controlled stop · Space"


def test_refusal_after_another_press__is_said_of_the_machine_that_it_names(
    supervisor: PageRig,
) -> None:
    machines(supervisor)
    supervisor.page.click(OTHERS_STOP)
    supervisor.page.click("#stop")
    told(supervisor, REFUSED)

    assert NO_STOP in others_row(supervisor)
    assert supervisor.text("#stop-note") == "controlled stop · Space"


def test_camera_of_a_machine_watched_no_more__has_no_stop_and_says_so(other: PageRig) -> None:
    told(other, NONE_WATCHED)
    before = other.page.get_attribute("#stop", "data-look"), other.text("#stop-note")
    other.page.click("#stop")
    told(other, REFUSED)

    assert other.text("#stop b") == "STOP truck-08"
    assert before == ("no-line", NO_STOP)
    assert other.page.get_attribute("#stop", "data-look") == "unconfirmed"
    assert other.text("#stop-note") == NO_STOP


def test_console_falls_silent_just_after_a_press__not_sent_then_press_again(
    supervisor: PageRig,
) -> None:
    machines(supervisor)
    supervisor.page.click("#stop")
    supervisor.page.click(OTHERS_STOP)
    supervisor.pass_ms(600)
    silent = supervisor.text("#stop-note"), others_row(supervisor)
    machines(supervisor)

    assert silent[0] == "NOT SENT – use the hard-wired E-stop"
    assert silent[0] in silent[1]
    assert supervisor.text("#stop-note") == "NOT SENT – press again"
    assert "NOT SENT – press again" in others_row(supervisor)


def test_press__is_said_to_be_lost_unless_the_console_lived_long_enough_to_know_of_it(
    modules: Page,
) -> None:
    pending, none = {"pending": True}, dict[str, Any]()
    steps = [
        [90, True, 90, none],
        [600, False, 90, none],
        [700, True, 700, pending],
        [800, True, 800, none],
        [7000, True, 7000, none],
        [7600, False, 7000, pending],
        [7700, True, 7700, none],
        [14000, True, 14000, none],
        [14600, False, 14000, none],
    ]

    assert modules.evaluate(PRESS, steps) == [
        "controlled stop · Space",
        "NOT SENT – use the hard-wired E-stop",
        "sent – waiting for the machine",
        "NOT SENT – press again",
        "controlled stop · Space",
        "NOT CONFIRMED – hard-wired E-stop",
        "NOT CONFIRMED – hard-wired E-stop",
        "controlled stop · Space",
        "no line to the console",
    ]


@pytest.mark.parametrize("key", ["Space", "Escape"])
def test_stop_key_on_a_page_that_watches__stops_the_consoles_machine_and_the_focused_one(
    supervisor: PageRig, key: str
) -> None:
    machines(supervisor)
    supervisor.page.keyboard.press(key)
    alone = supervisor.count("action"), supervisor.last("action")
    supervisor.page.focus(OTHERS_STOP)
    supervisor.page.keyboard.press(key)
    supervisor.settle()
    stops = [each for each in supervisor.sent if each["t"] == "action"]

    assert alone == (1, {"t": "action", "do": "stop"})
    assert stops[1:] == [alone[1], alone[1] | {"vehicle": "truck-08"}]


def test_wing_is_told_a_state__gives_its_number_back(wing: VideoRig) -> None:
    wing.tell({"t": "state", "n": 41, "vehicle": None, "console": {}})
    wing.page.wait_for_function("1")

    assert wing.last("seen") == {"t": "seen", "n": 41}


def test_left_wing__asks_for_the_left_camera_and_mirrors_it(wing: VideoRig) -> None:
    wing.tell(CONFIG | {"cameras": [0, 3], "left_camera": 3})
    wing.settle()
    wing.pass_ms(150)

    assert wing.last("offer")["cameras"] == [3]
    assert wing.page.get_attribute("#picture", "class") == "mirrored"


def test_wing_lags_behind_the_console__its_line_counts_from_the_telling(wing: VideoRig) -> None:
    state: dict[str, Any] = {"t": "state", "vehicle": None, "console": {"stop": {}}}
    looks = []
    for told_ms, after_ms in ((1000, 0), (1100, 600), (1700, 0)):
        wing.pass_ms(after_ms)
        wing.tell(state | {"told_ms": told_ms})
        wing.settle()
        wing.pass_ms(50)
        looks.append(wing.page.get_attribute("#stop", "data-look"))

    assert looks == ["ready", "no-line", "ready"]


def test_wing_without_a_picture__says_that_it_is_not_live(wing: VideoRig) -> None:
    wing.pass_ms(150)

    assert wing.drawn_as == "none"
    assert wing.text("#no-image-words") == "NO LIVE IMAGE"
    assert wing.page.get_attribute("#border", "data-look") == "unknown"


def shown(wing: VideoRig, frame: int, within_us: int | None) -> None:
    """Let the left camera's picture of 40 ms ago come onto the screen."""
    session = Rig()
    session.lease()
    state = snapshot(session.session, session.now_ns)
    now_us = 1_040_000 * (frame + 1)
    clock = {"vehicle_now_us": now_us, "vehicle_now_within_us": within_us}
    wing.tell(state | {"console": state["console"] | clock})
    wing.settle()
    wing.tell_note({"c": 3, "f": frame, "t": now_us - 40_000, "r": 0})
    wing.present(frame)


def test_wing__tells_an_age_that_is_no_exact_one_and_a_freeze_within_300_ms(
    wing: VideoRig,
) -> None:
    wing.tell(CONFIG | {"cameras": [0, 3], "left_camera": 3})
    wing.settle()
    wing.pass_ms(150)
    wing.tell({"t": "answer", "id": wing.last("offer")["id"], "sdp": "answered"})
    wing.settle()
    words, drawn = [], []
    for frame, within_us in ((1, None), (2, 500), (3, 60_000)):
        shown(wing, frame, within_us)
        wing.pass_ms(60)
        words.append(wing.text("#age-words"))
        drawn.append(wing.drawn_as)
        wing.pass_ms(240)
        drawn.append(wing.drawn_as)
        wing.pass_ms(50)

    assert drawn == ["live", "frozen"] * 3
    assert [re.sub(r"\d+ ", "# ", each, count=1) for each in words] == [
        "≥# ms",
        "# ms",
        "# ±62 ms",
    ]
