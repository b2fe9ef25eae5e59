"""The page itself in Debian's chromium, against a console played by the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from operator_console.core.desk import Fault
from operator_console.core.screen import snapshot
from protocol.state import VehicleMode
from protocol.strip import cell_px, draw_strip, strip_size_px
from tests.console.fakes import Rig
from tests.console.page_rig import CONFIG, PageRig
from tests.console.test_desk_session import DeskRig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def still(browser: Browser) -> Iterator[PageRig]:
    """One page for all tests that only ask its modules."""
    made = PageRig(browser)
    yield made
    made.page.close()


@pytest.fixture
def rig(browser: Browser) -> Iterator[PageRig]:
    made = PageRig(browser)
    yield made
    made.page.close()


def run_module(rig: PageRig, name: str, body: str, argument: object = None) -> Any:
    return rig.page.evaluate(
        f"async (given) => {{ const m = await import('/ui/{name}'); {body} }}", argument
    )


# ---- the identity strip -------------------------------------------------------------------


@pytest.mark.parametrize("width_px", [480, 640, 1280])
@pytest.mark.parametrize("counter", [0, 1, 0xABCDEF, 0xFFFFFF])
def test_strip_drawn_by_the_vehicle__page_reads_the_same_number(
    still: PageRig, width_px: int, counter: int
) -> None:
    luma = np.full((32, width_px), 90, np.uint8)
    draw_strip(luma, counter)

    assert read_in_page(still, luma, width_px) == counter


@pytest.mark.parametrize("cell", [0, 3, 4, 20, 35])
def test_strip_with_one_cell_wrong__is_not_read(still: PageRig, cell: int) -> None:
    luma = np.full((32, 1280), 90, np.uint8)
    draw_strip(luma, 0x123456)
    luma[:16, cell * 16 : cell * 16 + 16] = 251 - luma[:16, cell * 16 : cell * 16 + 16]

    assert read_in_page(still, luma, 1280) is None


def test_picture_without_a_strip__is_not_read(still: PageRig) -> None:
    assert read_in_page(still, np.full((32, 1280), 90, np.uint8), 1280) is None


def read_in_page(still: PageRig, luma: np.ndarray[Any, Any], width_px: int) -> int | None:
    width, height = strip_size_px(width_px)
    rgba = np.repeat(luma[:height, :width, None], 4, axis=2).reshape(-1).tolist()
    body = "return m.readStrip(new Uint8ClampedArray(given.rgba), given.cell);"
    read = run_module(still, "strip.js", body, {"rgba": rgba, "cell": cell_px(width_px)})
    assert read is None or isinstance(read, int)
    return read


# ---- hands --------------------------------------------------------------------------------


def test_at_rest__inputs_come_at_least_50_times_a_second(rig: PageRig) -> None:
    before = rig.count("input")
    rig.pass_ms(1000)

    assert rig.count("input") - before >= 50
    assert rig.last("input")["enable"] is False
    assert rig.last("input")["gear"] == 0


def test_keys_held__ramps_run_and_enable_is_sent(rig: PageRig) -> None:
    for key in ("ShiftLeft", "KeyW", "KeyA"):
        rig.page.keyboard.down(key)
    rig.pass_ms(1000)
    sent = rig.last("input")

    assert sent["enable"] is True
    assert sent["throttle"] == pytest.approx(0.4, abs=0.02)
    assert sent["steer"] == pytest.approx(0.5, abs=0.02)


def test_focus_lost__everything_is_released_and_stays_released(rig: PageRig) -> None:
    rig.page.keyboard.down("ShiftLeft")
    rig.page.keyboard.down("KeyW")
    rig.pass_ms(500)
    rig.page.evaluate("window.dispatchEvent(new Event('blur'))")
    at_once = rig.last("input")
    rig.page.evaluate("window.dispatchEvent(new Event('focus'))")
    rig.page.keyboard.down("ShiftLeft")
    rig.pass_ms(200)

    assert (at_once["enable"], at_once["throttle"]) == (False, 0)
    assert rig.last("input")["enable"] is False


def held_enable(rig: PageRig) -> None:
    """Hold Shift and W until enable has gone out."""
    rig.page.keyboard.down("ShiftLeft")
    rig.page.keyboard.down("KeyW")
    rig.pass_ms(100)
    assert rig.last("input")["enable"] is True


def dispatch(rig: PageRig, made: str) -> None:
    """Let the browser tell an event that its own keyboard does not agree with."""
    rig.page.evaluate(f"window.dispatchEvent(new {made})")


def test_context_menu_with_enable_held__hands_open_and_no_menu_comes(rig: PageRig) -> None:
    held_enable(rig)
    rig.page.evaluate(
        "window.addEventListener('contextmenu', (event) => { window.barred = event; })"
    )
    rig.page.mouse.click(400, 300, button="right")
    rig.pass_ms(100)

    assert rig.page.evaluate("window.barred.defaultPrevented") is True
    assert (rig.last("input")["enable"], rig.last("input")["throttle"]) == (False, 0)


@pytest.mark.parametrize(
    "event",
    [
        "MouseEvent('contextmenu', {shiftKey: true, cancelable: true})",
        "PointerEvent('pointerdown', {button: 2, shiftKey: true})",
        "PointerEvent('pointermove', {shiftKey: false})",
        "PointerEvent('pointerdown', {button: 0, shiftKey: false})",
        "KeyboardEvent('keydown', {code: 'KeyA', shiftKey: false})",
        "KeyboardEvent('keyup', {code: 'KeyW', shiftKey: false})",
    ],
)
def test_event_that_shows_shift_open_or_hides_its_release__enable_falls_and_stays_off(
    rig: PageRig, event: str
) -> None:
    held_enable(rig)
    dispatch(rig, event)
    at_once = rig.last("input")["enable"]
    rig.pass_ms(200)

    assert at_once is False
    assert rig.last("input")["enable"] is False


@pytest.mark.parametrize("code", ["ShiftLeft", "ShiftRight"])
def test_both_shifts_held_and_one_release_told__enable_falls(rig: PageRig, code: str) -> None:
    held_enable(rig)
    rig.page.keyboard.down("ShiftRight")
    dispatch(rig, f"KeyboardEvent('keyup', {{code: '{code}', shiftKey: true}})")
    rig.pass_ms(100)

    assert rig.last("input")["enable"] is False


def test_pointer_moved_with_shift_held__enable_stays(rig: PageRig) -> None:
    held_enable(rig)
    rig.page.mouse.move(500, 300)
    rig.page.mouse.move(520, 320)
    rig.pass_ms(100)

    assert rig.last("input")["enable"] is True


def test_page_hidden__is_said_at_once_and_inputs_end(rig: PageRig) -> None:
    rig.page.keyboard.down("ShiftLeft")
    rig.page.evaluate(
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    said, before = rig.count("hidden"), rig.count("input")
    rig.pass_ms(500)

    assert said == 1
    assert rig.count("input") == before


def test_page_about_to_be_left__is_said_before_what_comes_next_is_there(rig: PageRig) -> None:
    rig.page.keyboard.down("ShiftLeft")
    rig.page.evaluate("window.dispatchEvent(new Event('beforeunload'))")
    rig.pass_ms(50)

    assert rig.count("hidden") == 1
    assert rig.last("input")["enable"] is False


def test_page_visible_again__enable_stays_off(rig: PageRig) -> None:
    rig.page.keyboard.down("ShiftLeft")
    for state in ("hidden", "visible"):
        rig.page.evaluate(
            f"Object.defineProperty(document, 'visibilityState', {{value: '{state}',"
            "configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
        )
    rig.pass_ms(100)

    assert rig.last("input")["enable"] is False


@pytest.mark.parametrize("key", ["Space", "Escape"])
def test_stop_key__stops_also_with_the_help_sheet_open(rig: PageRig, key: str) -> None:
    rig.page.keyboard.press("Slash")
    rig.page.keyboard.press(key)

    assert rig.last("action") == {"t": "action", "do": "stop"}


def test_stop_key_with_another_held__stops_all_the_same(rig: PageRig) -> None:
    both = [f"{other}+{key}" for key in ("Space", "Escape") for other in ("Control", "Alt", "Meta")]
    for keys in both:
        rig.page.keyboard.press(keys)
    rig.settle()
    actions = [each for each in rig.sent if each["t"] == "action"]

    assert actions == [{"t": "action", "do": "stop"}] * len(both)


def test_stop_key__stops_in_every_mode_of_the_machine(rig: PageRig) -> None:
    for mode in VehicleMode:
        rig.state(mode=mode)
        rig.page.keyboard.press("Space")
    rig.settle()
    actions = [each for each in rig.sent if each["t"] == "action"]

    assert actions == [{"t": "action", "do": "stop"}] * len(VehicleMode)


HIDE_AND_SHOW = """() => {
  for (const value of ["hidden", "visible"]) {
    Object.defineProperty(document, "visibilityState", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }
}"""


@pytest.fixture(scope="module")
def arming(browser: Browser) -> Iterator[PageRig]:
    """One page for the tests of its arm button."""
    made = PageRig(browser)
    yield made
    made.page.close()


def hold_arm_button(rig: PageRig) -> None:
    """Lay a finger on the button: unlike a mouse it gives no focus that could be lost."""
    rig.sent.clear()
    rig.state(mode=VehicleMode.LEASED)
    rig.pass_ms(60)
    rig.page.dispatch_event("[data-hold=arm]", "pointerdown")
    rig.pass_ms(200)


def arms(rig: PageRig) -> int:
    """Return how often arming was asked for by the time a hold is long over."""
    for _ in range(4):
        rig.state(mode=VehicleMode.LEASED)
        rig.pass_ms(400)
    rig.settle()
    return rig.sent.count({"t": "action", "do": "arm"})


def test_arm_button_held__arm_is_asked_once(arming: PageRig) -> None:
    hold_arm_button(arming)

    assert arms(arming) == 1


def test_page_hidden_while_the_arm_button_is_held__arm_is_not_asked(arming: PageRig) -> None:
    hold_arm_button(arming)
    arming.page.evaluate(HIDE_AND_SHOW)

    assert arms(arming) == 0


def test_arm_button_disabled_while_it_is_held__arm_is_not_asked(arming: PageRig) -> None:
    hold_arm_button(arming)
    arming.state(mode=VehicleMode.ESTOP)
    arming.pass_ms(60)

    assert arms(arming) == 0


def test_stop_button__stops_as_the_pointer_goes_down(rig: PageRig) -> None:
    rig.page.hover("#stop")
    rig.page.mouse.down()

    assert rig.last("action") == {"t": "action", "do": "stop"}


def test_arm_keys_held_one_and_a_half_seconds__arm_is_asked_once(rig: PageRig) -> None:
    for key in ("BracketLeft", "BracketRight", "Backslash"):
        rig.page.keyboard.down(key)
    rig.pass_ms(1400)
    early = rig.count("action")
    rig.pass_ms(2000)

    assert early == 0
    assert rig.sent.count({"t": "action", "do": "arm"}) == 1


def test_gear_key_without_the_brake__gear_stays_and_the_driver_is_told(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=0.0)
    rig.page.keyboard.press("KeyE")
    rig.pass_ms(100)

    assert rig.last("input")["gear"] == 0
    assert "hold the brake" in rig.text("#answer")


def test_gear_key_standing_with_the_brake_held__gear_is_asked(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=0.0)
    rig.page.keyboard.down("KeyS")
    rig.pass_ms(300)
    rig.page.keyboard.press("KeyE")
    rig.pass_ms(30)

    assert rig.last("input")["gear"] == 1


def test_speed_unknown__gear_is_not_changed(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=None)
    rig.page.keyboard.down("KeyS")
    rig.pass_ms(300)
    rig.page.keyboard.press("KeyE")
    rig.pass_ms(30)

    assert rig.last("input")["gear"] == 0


def test_viewer__sends_no_input(rig: PageRig) -> None:
    rig.tell({"t": "role", "drives": False})
    rig.taken()
    before = rig.count("input")
    rig.pass_ms(500)

    assert rig.count("input") == before


# ---- screen -------------------------------------------------------------------------------


def test_state_comes__is_shown_with_its_cap_and_gear(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=5.0, cap_mps=5.5, gear=1)
    rig.pass_ms(60)

    assert rig.text("#mode-words") == "REMOTE ACTIVE"
    assert rig.text("#speed") == "18.0"
    assert rig.text("#cap") == "20"
    assert rig.text("#gear") == "D"
    assert rig.page.get_attribute("#border", "data-look") == "active"


@pytest.mark.parametrize(
    ("mode", "colour"),
    [(VehicleMode.ACTIVE, "rgb(42, 111, 202)"), (VehicleMode.STOPPING, "rgb(217, 48, 58)")],
)
def test_machine_driven_or_stopping__its_mode_stands_on_that_colour(
    rig: PageRig, mode: VehicleMode, colour: str
) -> None:
    rig.state(mode=mode)
    rig.pass_ms(60)
    shown = rig.page.evaluate("getComputedStyle(document.getElementById('mode')).backgroundColor")

    assert shown == colour


def test_state_older_than_500_ms__everything_is_unknown(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=5.0, gear=1, estop="closed")
    rig.pass_ms(600)

    assert rig.text("#mode-words") == "STATE UNKNOWN"
    assert rig.text("#speed") == "—"
    assert rig.text("#gear") == "?"
    assert rig.text("#chain-estop dd") == "UNKNOWN"
    assert rig.page.get_attribute("#border", "data-look") == "unknown"


def test_state_too_old__every_instrument_is_hatched(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=2.0)
    rig.pass_ms(60)
    fresh = rig.page.get_attribute("#hud", "class")
    rig.pass_ms(600)

    assert fresh == ""
    assert rig.page.get_attribute("#hud", "class") == "stale"


def test_log_is_played__page_says_replay(rig: PageRig) -> None:
    rig.tell(CONFIG | {"replay": True})
    rig.pass_ms(20)

    mark = "getComputedStyle(document.body, '::after').content"
    assert rig.page.evaluate(mark) == '"REPLAY"'


def test_desk_drives__page_sends_no_input_and_shows_the_ladder(rig: PageRig) -> None:
    rig.tell(CONFIG | {"page_drives": False})
    desk = DeskRig()
    desk.leased()
    desk.desk(unproven=("throttle:press",))
    rig.tell(snapshot(desk.session, desk.now_ns))
    rig.taken()
    before = rig.count("input")
    rig.page.keyboard.down("Shift")
    rig.pass_ms(100)

    assert rig.count("input") == before
    assert "✓  Picture\n✓  Machine's checks\n✓  Desk\nA4  Press the throttle fully" in rig.text(
        "#blockers"
    )
    assert rig.text("#step-words") == "Press the throttle fully"


def test_wheel_unplugged__page_says_fault_and_which_device(rig: PageRig) -> None:
    desk = DeskRig()
    desk.leased()
    desk.desk(Fault.ABSENT)
    rig.tell(snapshot(desk.session, desk.now_ns))
    rig.taken()
    rig.pass_ms(60)

    assert rig.text("#chain-input dd") == "FAULT"
    assert "Wheel is not plugged in" in rig.text("#message-words")


def test_event_comes_again__is_counted_in_one_line(rig: PageRig) -> None:
    for _ in range(3):
        rig.tell({"t": "event", "id": "V101", "severity": "warning", "en": "late", "zh": "迟"})
    rig.taken()

    assert rig.page.locator("#events li[data-id=V101]").count() == 1
    assert rig.text("#events li[data-id=V101] em") == "×3"


def test_value_missing__is_a_dash_and_never_a_number(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=None, gear=None, articulation_rad=None)
    rig.pass_ms(60)

    assert [rig.text(name) for name in ("#speed", "#gear", "#articulation")] == ["—", "?", "—"]


def sector_looks(rig: PageRig) -> list[str | None]:
    sectors = rig.page.locator("#sectors > g").all()
    return [sector.get_attribute("data-look") for sector in sectors]


def test_proximity_measured__each_sector_says_how_near_and_an_unknown_one_asks(
    rig: PageRig,
) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, proximity_m=(None, 2.0, 5.0, 20.0))
    rig.pass_ms(60)

    assert sector_looks(rig) == ["unknown", "near", "mid", "far"]
    assert rig.page.locator("#sectors text:visible").all_text_contents() == ["?", "2", "5"]


def test_proximity_unknown__ring_stays_and_every_sector_asks(rig: PageRig) -> None:
    rig.pass_ms(60)
    before = sector_looks(rig)
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, proximity_m=(1.0, 2.0, 5.0, 20.0))
    rig.pass_ms(600)

    assert before == ["unknown"] * 8
    assert sector_looks(rig) == ["unknown"] * 4
    assert rig.page.locator("#sectors text:visible").count() == 4


def test_proximity_not_fitted__no_ring_and_it_is_said(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, proximity_m=())
    rig.pass_ms(60)

    assert sector_looks(rig) == []
    assert rig.text("#plan-note") == "no sensors"


def test_articulation_unknown__no_straight_machine_is_drawn(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, articulation_rad=0.1)
    rig.pass_ms(60)
    drawn = rig.page.is_visible("#rear-unit")
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, articulation_rad=None)
    rig.pass_ms(60)

    assert drawn
    assert rig.page.is_hidden("#rear-unit")
    assert rig.page.is_visible("#rear-unknown")


def test_state_is_told__its_number_is_given_back_as_seen(rig: PageRig) -> None:
    rig.tell({"t": "state", "n": 41, "vehicle": None, "console": {}})
    rig.taken()

    assert rig.last("seen") == {"t": "seen", "n": 41}


def test_line_is_full__presses_and_what_was_seen_go_out_all_the_same(rig: PageRig) -> None:
    sent = rig.page.evaluate("""async () => {
      const { ConsoleSocket } = await import("/ui/socket.js");
      const sent = [];
      const socket = { readyState: 1, bufferedAmount: 1e6, send: (text) => sent.push(text) };
      const line = Object.assign(Object.create(ConsoleSocket.prototype), { socket, dropped: 0 });
      for (const t of ["input", "view", "seen", "action"]) line.send({ t });
      return sent.map((text) => JSON.parse(text).t);
    }""")

    assert sent == ["seen", "action"]


def test_no_picture__is_never_shown_as_live(rig: PageRig) -> None:
    rig.pass_ms(100)

    assert rig.page.get_attribute("#stage", "data-live") == "none"
    assert rig.page.is_visible("#no-image")
    assert rig.count("view") == 0


def test_no_answer_to_an_offer__next_offer_comes_without_a_click(rig: PageRig) -> None:
    offers: list[str] = []
    for _ in range(3):
        rig.pass_ms(1200)
        rig.page.wait_for_function("1")
        offers = [message["id"] for message in rig.sent if message["t"] == "offer"]

    assert len(set(offers)) >= 2
    assert "H264" in rig.last("offer")["sdp"]


def test_exception_in_the_page__screen_says_fault_and_every_sign_of_life_ends(
    rig: PageRig,
) -> None:
    rig.page.evaluate(
        "dispatchEvent(new ErrorEvent('error', {error: new Error('broken'), message: 'broken'}))"
    )
    before = len(rig.sent)
    rig.pass_ms(1000)

    assert rig.page.is_visible("#fault")
    assert "broken" in rig.text("#fault-text")
    assert len(rig.sent) == before


def test_message_that_the_page_cannot_read__is_a_fault(rig: PageRig) -> None:
    assert rig.socket is not None
    rig.socket.send("{")
    rig.page.wait_for_selector("#fault", state="visible")


def test_driving_screen__raises_no_error_and_breaks_no_policy(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0, proximity_m=(None, 2.0, 5.0, 20.0))
    rig.tell({"t": "event", "id": "S105", "severity": "info", "en": "a", "zh": "b"})
    rig.page.keyboard.press("Slash")
    rig.pass_ms(500)

    assert rig.errors == []
    assert rig.page.is_hidden("#fault")


# ---- the line to the console --------------------------------------------------------------


def test_line_down__stop_shows_it_and_a_press_is_said_not_to_be_sent(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.LEASED)
    rig.pass_ms(60)
    rig.drop_line()
    before = rig.text("#stop-note")
    rig.page.keyboard.press("Space")

    assert before == "no line to the console"
    assert rig.text("#stop-note") == "NOT SENT – use the hard-wired E-stop"
    assert rig.page.get_attribute("#stop", "data-look") == "unconfirmed"
    assert rig.text("#message-code") == "C100"
    assert "hard-wired E-stop" in rig.text("#message-words")
    assert rig.page.locator("#step-card button:enabled").count() == 0


def test_console_silent__stop_is_not_said_to_be_sent(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.LEASED)
    rig.pass_ms(600)
    rig.page.keyboard.press("Space")

    assert rig.text("#stop-note") == "NOT SENT – use the hard-wired E-stop"


def test_console_dies_just_after_its_last_word__a_press_between_is_not_sent(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.LEASED)
    rig.page.keyboard.press("Space")
    state: dict[str, Any] = {"t": "state", "vehicle": None, "console": {"stop": {}}}
    rig.pass_ms(50)
    rig.tell(state)
    rig.taken()
    rig.pass_ms(600)

    assert rig.text("#stop-note") == "NOT SENT – use the hard-wired E-stop"


def test_console_dies_with_a_stop_pending__it_is_said_not_to_be_confirmed(rig: PageRig) -> None:
    rig.page.keyboard.press("Space")
    rig.pass_ms(150)
    rig.tell({"t": "state", "vehicle": None, "console": {"stop": {"pending": True}}})
    rig.taken()
    rig.pass_ms(60)
    pending = rig.text("#stop-note")
    rig.pass_ms(600)

    assert pending == "sent – waiting for the machine"
    assert rig.text("#stop-note") == "NOT CONFIRMED – hard-wired E-stop"
    assert rig.page.get_attribute("#stop", "data-look") == "unconfirmed"


def test_console_has_not_spoken_yet__page_connects_and_then_says_it_is_down(rig: PageRig) -> None:
    rig.page.reload()  # the clock of the first load jumped when it was paused
    rig.pass_ms(60)
    early = (rig.text("#mode-words"), rig.text("#message-code"))
    rig.pass_ms(3000)

    assert early == ("CONNECTING", "C122")
    assert rig.text("#message-code") == "C100"


# ---- what makes sense now -----------------------------------------------------------------


def test_driving__only_stop_can_be_pressed(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=3.0)
    rig.pass_ms(60)

    assert rig.page.locator("#step-card button:enabled").count() == 0
    assert rig.page.is_enabled("#stop")


def test_viewer__may_press_stop_and_ask_for_the_seat_only(rig: PageRig) -> None:
    rig.tell({"t": "role", "drives": False})
    rig.state(mode=VehicleMode.LEASED, speed_mps=0.0)
    rig.pass_ms(60)

    assert rig.page.locator("#step-card button:enabled").count() == 0
    assert rig.page.is_enabled("#take-seat")
    assert rig.page.is_enabled("#stop")
    assert rig.text("#picture-age").endswith("—")


def test_leased_by_another_console__holder_is_named_while_it_is_announced(rig: PageRig) -> None:
    other = Rig()
    other.vehicle.holder = "op-2"
    other.session.hear_authority(other.vehicle.authority(), other.now_ns)
    other.step(20, mode=VehicleMode.LEASED)
    rig.tell(snapshot(other.session, other.now_ns))
    rig.taken()
    rig.pass_ms(60)

    told = rig.text("#mode-words"), rig.text("#chain-holder")
    other.step(1001)
    rig.tell(snapshot(other.session, other.now_ns))
    rig.taken()
    rig.pass_ms(60)

    assert told[0] == "HELD BY op-2"
    assert told[1].endswith("op-2")
    assert rig.text("#mode-words") == "HELD BY ANOTHER"
    assert rig.text("#chain-holder").endswith("UNKNOWN")


def test_machine_falls_from_active_to_armed__lever_falls_to_neutral(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=0.0)
    rig.page.keyboard.down("KeyS")
    rig.pass_ms(300)
    rig.page.keyboard.press("KeyE")
    rig.pass_ms(30)
    driven = rig.last("input")["gear"]
    rig.state(mode=VehicleMode.ARMED, speed_mps=0.0)
    rig.pass_ms(30)

    assert (driven, rig.last("input")["gear"]) == (1, 0)


def test_machine_moves__help_closes_and_does_not_open(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=0.0)
    rig.page.keyboard.press("Slash")
    opened = rig.page.is_visible("#help")
    rig.state(mode=VehicleMode.ACTIVE, speed_mps=1.0)
    closed = rig.page.is_hidden("#help")
    rig.page.keyboard.press("Slash")

    assert opened
    assert closed
    assert rig.page.is_hidden("#help")


def test_both_paths_deliver__lamp_shows_the_share_of_each(rig: PageRig) -> None:
    rig.state(delivered_pct=(97, 100))
    rig.pass_ms(60)

    assert rig.text("#lamp-paths em") == "97 / 100 %"
    assert rig.page.get_attribute("#lamp-paths", "data-look") == "off"


def test_one_path_silent__lamp_is_yellow_and_names_it(rig: PageRig) -> None:
    rig.state(delivered_pct=(100, 0), silent_paths=(1,))
    rig.pass_ms(60)

    assert rig.text("#lamp-paths em") == "DATA out"
    assert rig.page.get_attribute("#lamp-paths", "data-look") == "caution"


def test_not_driven__cap_and_lamps_claim_nothing(rig: PageRig) -> None:
    rig.state(mode=VehicleMode.LEASED, cap_mps=0.0)
    rig.page.keyboard.press("KeyL")
    rig.pass_ms(60)

    assert rig.text("#cap") == "—"
    assert rig.text("#lamp-lights em") == "—"


def test_focus_lost__is_said_before_the_hands_open(rig: PageRig) -> None:
    rig.page.keyboard.down("ShiftLeft")
    rig.page.evaluate("window.dispatchEvent(new Event('blur'))")
    rig.settle()
    kinds = [message["t"] for message in rig.sent]

    assert kinds.index("blurred") < len(kinds) - 1
    assert rig.last("input")["enable"] is False


def test_events_told_again_on_a_new_line__are_not_counted_twice(rig: PageRig) -> None:
    event = {"t": "event", "id": "V101", "severity": "warning", "en": "late", "zh": "迟"}
    rig.tell(event | {"age_ms": 60_000})
    rig.taken()
    rig.tell(CONFIG)
    rig.tell(event)
    rig.taken()

    assert rig.text("#events li[data-id=V101] em") == ""
