"""The live picture on the page, frame by frame: what is told of it, when it is drawn as live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.page_rig import CONFIG, STANDS_BY_SOON, VideoRig

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

T0_US = 5_000_000_000
ON_TOP = """(selector) => {
  const element = document.querySelector(selector);
  const { left, top, width, height } = element.getBoundingClientRect();
  return document.elementFromPoint(left + width / 2, top + height / 2) === element;
}"""
S_US = 1_000_000


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


def test_announcement_comes_after_its_picture__picture_is_told_again_with_its_stamp(
    rig: VideoRig,
) -> None:
    rig.present(7)
    before = rig.last("view")["capture_us"]
    rig.announce(7, T0_US, 0)

    assert before == 0
    assert rig.last("view")["capture_us"] == T0_US


def test_announcement_lost_and_no_rtp_time__stamp_of_the_older_picture_stays(
    rig: VideoRig,
) -> None:
    rig.picture(7, T0_US)
    rig.present(8, rtp=None)

    assert (rig.last("view")["frame"], rig.last("view")["capture_us"]) == (8, T0_US)


def test_announcement_lost__stamp_comes_from_the_rtp_time(rig: VideoRig) -> None:
    rig.announce(7, T0_US, rtp=0xFFFF_FFFF)
    rig.present(8, rtp=2_999)

    assert rig.last("view")["capture_us"] == T0_US + 33_333


def test_announcement_after_its_rtp_time_was_used__told_stamp_never_goes_back(
    rig: VideoRig,
) -> None:
    rig.announce(7, T0_US, rtp=0)
    rig.present(8, rtp=3_000)
    rig.announce(8, T0_US + 33_330, rtp=3_000)
    rig.pass_ms(100)

    assert rig.last("view")["capture_us"] == T0_US + 33_333


def test_announcements_that_do_not_fit__tell_no_stamp(rig: VideoRig) -> None:
    for wrong in ({"c": 1}, {"f": 8}, {"t": 1.5}, {"r": None}):
        rig.tell_note({"c": 0, "f": 7, "t": T0_US, "r": 0} | wrong)
    rig.present(7, rtp=None)

    assert rig.last("view")["capture_us"] == 0


def test_announcement__is_echoed_at_once_though_its_picture_never_comes(rig: VideoRig) -> None:
    rig.announce(7, T0_US, 0)
    rig.announce(8, T0_US, 0)

    now_us = rig.page.evaluate("() => Math.round(performance.now() * 1000)")
    assert rig.echoes() == [{"c": 0, "f": 7, "p": now_us}, {"c": 0, "f": 8, "p": now_us}]


def test_channel_is_full__no_echo_waits_in_it(rig: VideoRig) -> None:
    rig.page.evaluate("() => { media.peers.at(-1).channel.bufferedAmount = 1; }")
    rig.announce(7, T0_US, 0)

    assert rig.echoes() == []


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


def living(rig: VideoRig) -> list[str]:
    """Return the states of the peer connections that are not closed, oldest first."""
    states: list[str] = rig.page.evaluate("() => media.peers.map((peer) => peer.connectionState)")
    return [state for state in states if state != "closed"]


def test_link_is_away__the_old_session_is_kept_while_new_ones_are_tried(rig: VideoRig) -> None:
    rig.page.evaluate("() => media.peers.at(-1).become('connected')")
    rig.picture(7, T0_US)
    offers = rig.count("offer")
    rig.pass_ms(4000)

    assert rig.count("offer") - offers >= 2
    assert living(rig) == ["connected", "new"]


def test_link_is_back__the_old_session_shows_on_and_the_new_one_is_ended(rig: VideoRig) -> None:
    rig.page.evaluate("() => media.peers.at(-1).become('connected')")
    rig.picture(7, T0_US)
    rig.pass_ms(1500)
    newest = rig.last("offer")["id"]
    rig.page.evaluate(
        "(note) => media.peers.find((peer) => peer.connectionState === 'connected')"
        ".channel.dispatchEvent("
        "new MessageEvent('message', { data: JSON.stringify(note) }))",
        {"c": 0, "f": 60, "t": T0_US + 2 * S_US, "r": 0},
    )
    rig.present(60)

    assert rig.last("bye")["id"] == newest
    assert rig.last("view")["capture_us"] == T0_US + 2 * S_US
    assert living(rig) == ["connected"]


def test_new_session_is_connected_first__the_old_one_is_ended(rig: VideoRig) -> None:
    rig.page.evaluate("() => media.peers.at(-1).become('connected')")
    rig.picture(7, T0_US)
    rig.pass_ms(1500)
    before = living(rig)
    rig.page.evaluate("() => media.peers.at(-1).become('connected')")

    assert (before, living(rig)) == (["connected", "new"], ["connected"])


def test_no_server_is_set__none_is_asked(rig: VideoRig) -> None:
    assert rig.page.evaluate("() => media.peers.at(-1).configuration.iceServers") == []


def test_turn_server_is_set__the_next_session_may_use_it(rig: VideoRig) -> None:
    server = {"urls": "turn:10.0.0.1:3478", "username": "u", "credential": "c"}
    rig.tell(CONFIG | {"ice_servers": [server]})
    rig.taken()
    rig.pass_ms(1500)

    assert rig.page.evaluate("() => media.peers.at(-1).configuration.iceServers") == [server]


# ---- the session that stands by ----------------------------------------------------------------


def become(rig: VideoRig, peer: int, state: str) -> None:
    """Let a peer connection of the page change its state."""
    rig.page.evaluate(f"() => media.peers.at({peer}).become('{state}')")


def tell_on(rig: VideoRig, peer: int, note: dict[str, int]) -> None:
    """Let the vehicle announce a picture by one of the page's peer connections."""
    rig.page.evaluate(
        f"(note) => media.peers.at({peer}).channel.dispatchEvent("
        "new MessageEvent('message', { data: JSON.stringify(note) }))",
        note,
    )


def asked_on(rig: VideoRig, peer: int) -> int:
    """Return how often the page has asked for the pictures by a peer connection."""
    sent = rig.page.evaluate(f"() => media.peers.at({peer}).channel.sent")
    return sum(note == {"show": True} for note in sent)


class KeepingRig(VideoRig):
    """The page, whose standby is set up with the first pictures."""

    replaced = STANDS_BY_SOON

    def ride(self) -> None:
        """Let the vehicle send two pictures, and some time pass."""
        become(self, -1, "connected")
        for step, pause_ms in enumerate((50, 100)):
            self.announce(10 + step, T0_US + step * S_US // 20, 4_500 * step)
            self.present(10 + step, rtp=4_500 * step)
            self.pass_ms(pause_ms)

    def stand_by(self) -> None:
        """Let pictures come until the page has offered a standby, and connect that."""
        self.ride()
        self.answer()
        become(self, -1, "connected")


@pytest.fixture
def keeping(browser: Browser) -> Iterator[KeepingRig]:
    made = KeepingRig(browser)
    made.connect()
    yield made
    made.page.close()


def test_pictures_stop__the_standby_is_asked_and_shown_once_it_is_sent_pictures(
    keeping: KeepingRig,
) -> None:
    first = keeping.last("offer")["id"]
    keeping.stand_by()
    offers, standby = keeping.count("offer"), keeping.last("offer")
    keeping.pass_ms(400)
    asked, living_then = asked_on(keeping, -1), living(keeping)
    tell_on(keeping, -1, {"c": 0, "f": 90, "t": T0_US + 4 * S_US, "r": 77})
    keeping.present(90, rtp=77)

    assert standby["standby"] is True
    assert asked >= 2
    assert living_then == ["connected", "connected"]
    assert keeping.last("bye")["id"] == first
    assert living(keeping) == ["connected"]
    assert keeping.count("offer") == offers
    assert keeping.last("view")["capture_us"] == T0_US + 4 * S_US


def test_pictures_are_told_of_but_not_drawn__the_standby_is_not_asked(keeping: KeepingRig) -> None:
    keeping.stand_by()
    offers = keeping.count("offer")
    for number in range(20, 25):
        tell_on(keeping, -2, {"c": 0, "f": number, "t": T0_US + number * S_US // 20, "r": 0})
        keeping.pass_ms(50)

    assert asked_on(keeping, -1) == 0
    assert living(keeping) == ["connected", "connected"]
    assert keeping.count("offer") == offers


def test_pictures_stand_for_long__the_standby_is_asked_whatever_is_told(
    keeping: KeepingRig,
) -> None:
    keeping.stand_by()
    for number in range(20, 30):
        tell_on(keeping, -2, {"c": 0, "f": number, "t": T0_US + number * S_US // 20, "r": 0})
        keeping.pass_ms(50)

    assert asked_on(keeping, -1) >= 1


def test_page_was_held_up__the_standby_is_asked_only_once_it_looks_again(
    keeping: KeepingRig,
) -> None:
    keeping.stand_by()
    keeping.page.clock.fast_forward(400)  # each timer fires once, as after a stall
    at_once = asked_on(keeping, -1)
    keeping.pass_ms(60)

    assert at_once == 0
    assert asked_on(keeping, -1) >= 1


def test_late_picture_of_the_first_session__is_not_dated_by_the_other_ones_clock(
    keeping: KeepingRig,
) -> None:
    keeping.stand_by()
    shown_us = keeping.last("view")["capture_us"]
    keeping.pass_ms(400)
    tell_on(keeping, -1, {"c": 0, "f": 90, "t": T0_US + 4 * S_US, "r": 77})
    keeping.present(12, rtp=9_000)
    late_us = keeping.last("view")["capture_us"]
    keeping.present(90, rtp=77)
    keeping.present(91, rtp=77 + 9_000)

    assert late_us == shown_us
    assert keeping.last("view")["capture_us"] == T0_US + 4 * S_US + 100_000


def test_first_session_fails_before_its_silence_is_noticed__the_standby_is_turned_to_at_once(
    keeping: KeepingRig,
) -> None:
    keeping.stand_by()
    offers = keeping.count("offer")
    become(keeping, -2, "failed")
    keeping.pass_ms(50)

    assert living(keeping) == ["connected"]
    assert asked_on(keeping, -1) == 1
    assert keeping.count("offer") == offers


def test_neither_session_brings_pictures__a_new_one_is_begun_and_nothing_is_left_of_the_standby(
    keeping: KeepingRig,
) -> None:
    keeping.stand_by()
    offers = keeping.count("offer")
    keeping.pass_ms(1500)

    assert keeping.count("offer") > offers
    assert living(keeping) == ["connected", "new"]


def test_recorded_drive_is_played__no_standby_is_offered(keeping: KeepingRig) -> None:
    keeping.tell(CONFIG | {"replay": True})
    keeping.taken()
    keeping.ride()

    assert "standby" not in keeping.last("offer")


# ---- how it is drawn ---------------------------------------------------------------------------


def test_young_picture_that_moves__is_drawn_as_live(rig: VideoRig) -> None:
    rig.picture(7, T0_US)
    rig.seen(age_ms=40)
    rig.pass_ms(100)

    assert rig.drawn_as == "live"
    assert rig.page.is_hidden("#no-image")


def test_picture_that_moves_but_is_older_than_the_stop_limit__is_hatched_with_its_age(
    rig: VideoRig,
) -> None:
    rig.picture(7, T0_US)
    rig.seen(age_ms=880)
    rig.pass_ms(50)

    assert rig.drawn_as == "old"
    assert rig.text("#no-image-words").startswith("OLD IMAGE 0.9")
    assert rig.page.is_visible("#hatch")


def test_picture_without_a_capture_stamp__is_hatched(rig: VideoRig) -> None:
    rig.present(7, rtp=None)
    rig.seen(age_ms=40)
    rig.pass_ms(50)

    assert rig.drawn_as == "unknown"
    assert rig.page.is_visible("#hatch")


def test_line_to_the_console_down__age_is_unknown_and_the_picture_is_hatched(
    rig: VideoRig,
) -> None:
    rig.seen(age_ms=40)
    rig.drop_line()
    rig.picture(7, T0_US)
    rig.pass_ms(50)

    assert rig.drawn_as == "unknown"


def test_picture_stands_for_300_ms__is_drawn_as_frozen_though_it_is_told_on(rig: VideoRig) -> None:
    rig.picture(7, T0_US)
    rig.seen(age_ms=40)
    rig.pass_ms(300)

    assert rig.drawn_as == "frozen"
    assert rig.text("#no-image-words").startswith("NO LIVE IMAGE 0.")
    assert rig.last("view")["frame"] == 7


@pytest.mark.parametrize(
    ("apart_ms", "live_ms", "frozen_ms"), [(50, 150, 250), (200, 250, 300)], ids=["often", "seldom"]
)
def test_picture_stands__is_drawn_as_frozen_after_200_ms_or_250_where_it_came_seldom(
    rig: VideoRig, apart_ms: int, live_ms: int, frozen_ms: int
) -> None:
    for frame in (7, 8):
        rig.picture(frame, T0_US)
        rig.seen(age_ms=40)
        rig.pass_ms(apart_ms)
    rig.pass_ms(live_ms - apart_ms)
    before = rig.drawn_as
    rig.pass_ms(frozen_ms - live_ms)

    assert (before, rig.drawn_as) == ("live", "frozen")


def test_same_picture_presented_again__is_drawn_as_frozen(rig: VideoRig) -> None:
    rig.picture(7, T0_US)
    rig.seen(age_ms=40)
    for _ in range(6):
        rig.pass_ms(50)
        rig.present(7)

    assert rig.drawn_as == "frozen"


def ride(
    rig: VideoRig, *, pictures: int, scene_changes: bool, screen_changes: bool, first: int = 0
) -> None:
    """Let pictures come with new numbers, 50 ms apart."""
    for step in range(first, first + pictures):
        rig.page.evaluate("(level) => media.paint(level)", 20 + 5 * step * screen_changes)
        note = {"c": 0, "f": 100 + step, "t": T0_US + step * 50_000, "r": 0}
        rig.tell_note(note | {"k": step * scene_changes})
        rig.present(100 + step)
        rig.seen(age_ms=40)
        rig.pass_ms(50)


def test_new_numbers_but_the_same_picture_while_the_scene_changes__is_drawn_as_frozen(
    rig: VideoRig,
) -> None:
    ride(rig, pictures=20, scene_changes=True, screen_changes=False)

    assert rig.drawn_as == "frozen"
    assert rig.last("view")["frame"] == 119
    assert rig.last("view")["capture_us"] < T0_US + 8 * 50_000


@pytest.mark.parametrize("changes", [True, False])
def test_picture_changes_with_its_scene_or_stands_with_it__is_drawn_as_live(
    rig: VideoRig, changes: bool
) -> None:
    ride(rig, pictures=20, scene_changes=changes, screen_changes=changes)

    assert rig.drawn_as == "live"
    assert rig.last("view")["capture_us"] == T0_US + 19 * 50_000


def test_stuck_screen_moves_again__is_drawn_as_live(rig: VideoRig) -> None:
    ride(rig, pictures=12, scene_changes=True, screen_changes=False)
    ride(rig, pictures=6, scene_changes=True, screen_changes=True, first=12)

    assert rig.drawn_as == "live"


def test_video_died_and_came_back__is_drawn_as_live_again(rig: VideoRig) -> None:
    rig.picture(7, T0_US)
    rig.pass_ms(1500)
    dead = rig.drawn_as
    rig.answer()
    rig.picture(8, T0_US + 1_600_000)
    rig.seen(age_ms=40)
    rig.pass_ms(50)

    assert (dead, rig.drawn_as) == ("frozen", "live")


@pytest.mark.parametrize("drives", [True, False])
def test_picture_from_ahead_of_the_vehicles_clock__its_age_is_unknown(
    rig: VideoRig, drives: bool
) -> None:
    rig.tell({"t": "role", "drives": drives})
    rig.picture(7, T0_US)
    rig.seen(age_ms=30)
    rig.pass_ms(50)
    young = rig.drawn_as
    rig.picture(8, T0_US + 2_000_000)
    rig.pass_ms(50)

    assert (young, rig.drawn_as) == ("live", "unknown")


# ---- the direction of travel -------------------------------------------------------------------


OTHER_WAY = {"FRONT": -1, "REAR": 1}
"""The gear whose view is not that one."""


def reverse(rig: VideoRig) -> None:
    """Show a rear camera as well, a picture of each, and let the driver ask for reverse."""
    rig.tell(CONFIG | {"cameras": [0, 2], "rear_camera": 2})
    rig.taken()
    rig.pass_ms(150)
    rig.answer()
    rig.picture(7, T0_US)
    rig.tell_note({"c": 2, "f": 3, "t": T0_US + 5_000, "r": 0})
    rig.present(3, video="video-rear")
    rig.seen(age_ms=40, input={"gear": -1})


def test_rear_camera_is_set__both_are_asked_for_in_one_session(rig: VideoRig) -> None:
    reverse(rig)
    assert rig.last("offer")["cameras"] == [0, 2]


def test_reverse_is_asked_for__the_rear_picture_is_the_main_view_and_is_told(rig: VideoRig) -> None:
    reverse(rig)

    told = rig.last("view")
    assert (told["camera"], told["frame"], told["capture_us"]) == (2, 3, T0_US + 5_000)
    assert rig.text("#camera-tag-words") == "REAR"
    front = rig.count("view")
    rig.picture(8, T0_US + 33_000)
    assert rig.count("view") == front


def test_rear_picture_is_the_main_view__what_must_be_read_lies_over_it(rig: VideoRig) -> None:
    reverse(rig)
    rig.pass_ms(400)

    assert rig.drawn_as == "frozen"
    assert rig.page.evaluate(ON_TOP, "#camera-tag-words")
    assert rig.page.evaluate(ON_TOP, "#rear-banner b")
    assert rig.text("#rear-banner") == "REAR VIEW"
    assert rig.page.evaluate(ON_TOP, "#no-image-words")


def test_forwards_again__the_front_picture_is_the_main_view(rig: VideoRig) -> None:
    reverse(rig)
    banner = rig.page.is_visible("#rear-banner")
    rig.seen(age_ms=40, input={"gear": 1})

    assert (banner, rig.page.is_visible("#rear-banner")) == (True, False)
    told = rig.last("view")
    assert (told["camera"], told["frame"], told["capture_us"]) == (0, 7, T0_US)
    assert rig.text("#camera-tag-words") == "FRONT"


@pytest.fixture(scope="module")
def reversing(browser: Browser) -> Iterator[VideoRig]:
    """A page with a rear camera whose view each test turns before it looks."""
    made = VideoRig(browser)
    reverse(made)
    yield made
    made.page.close()


def moves(rig: VideoRig, asked: int | None, own: int | None, speed_mps: float | None) -> str:
    """Let the machine stop from that motion while the driver asks for a gear; return the view."""
    vehicle = {"mode": "STOPPING", "gear": own, "speed_mps": speed_mps}
    age = {"state_age_ms": 20, "state_max_age_ms": 500}
    rig.tell({"t": "state", "vehicle": vehicle, "console": {"input": {"gear": asked}}, **age})
    rig.taken()
    return rig.text("#camera-tag-words")


@pytest.mark.parametrize("asked", [-1, 0, 1, None])
@pytest.mark.parametrize(
    ("own", "speed_mps", "view"),
    [
        (-1, -2.0, "REAR"),
        (1, 2.0, "FRONT"),
        (-1, None, "REAR"),
        (0, -2.0, "REAR"),
        (None, -2.0, "REAR"),
    ],
)
def test_machine_moves__the_main_view_is_of_its_own_gear_whatever_is_asked(
    reversing: VideoRig, asked: int | None, own: int | None, speed_mps: float | None, view: str
) -> None:
    moves(reversing, -1, -1, 0.0)
    assert moves(reversing, asked, own, speed_mps) == view


@pytest.mark.parametrize(
    ("asked", "own", "view"),
    [(1, -1, "FRONT"), (-1, 1, "REAR"), (0, -1, "REAR"), (None, -1, "REAR"), (0, 0, "FRONT")],
)
def test_machine_stands__the_gear_that_is_asked_for_counts_before_its_own(
    reversing: VideoRig, asked: int | None, own: int, view: str
) -> None:
    moves(reversing, OTHER_WAY[view], OTHER_WAY[view], 0.0)
    assert moves(reversing, asked, own, 0.0) == view


def test_state_too_old_to_tell_a_standstill__the_main_view_stays(reversing: VideoRig) -> None:
    moves(reversing, -1, -1, 0.0)
    vehicle = {"mode": "ACTIVE", "gear": 1, "speed_mps": 0.0}
    age = {"state_age_ms": 501, "state_max_age_ms": 500}
    reversing.tell({"t": "state", "vehicle": vehicle, "console": {"input": {"gear": 1}}, **age})
    reversing.taken()

    assert reversing.text("#camera-tag-words") == "REAR"


def test_no_rear_camera__the_front_picture_stays_in_reverse(rig: VideoRig) -> None:
    rig.picture(7, T0_US)
    rig.seen(age_ms=40, input={"gear": -1})

    assert rig.last("view")["camera"] == 0
    assert rig.text("#camera-tag-words") == "FRONT"


# ---- the mirrors -------------------------------------------------------------------------------


def mirrored(rig: VideoRig) -> None:
    """Show a camera to the left as well, and a picture of each that is live."""
    rig.tell(CONFIG | {"cameras": [0, 3], "left_camera": 3})
    rig.taken()
    rig.pass_ms(150)
    rig.answer()
    rig.picture(7, T0_US)
    rig.tell_note({"c": 3, "f": 3, "t": T0_US, "r": 0})
    rig.present(3, video="video-left")


def test_left_camera_is_set__it_is_asked_for_and_shown_beside_the_main_view(rig: VideoRig) -> None:
    mirrored(rig)
    assert rig.last("offer")["cameras"] == [0, 3]
    assert rig.page.is_visible("#mirror-left")
    assert rig.page.is_hidden("#mirror-right")


def test_mirror_freezes__it_says_so_and_the_main_view_goes_on(rig: VideoRig) -> None:
    mirrored(rig)
    rig.pass_ms(200)
    rig.picture(8, T0_US + 200_000)
    rig.seen(age_ms=40)
    rig.pass_ms(100)

    assert rig.text("#mirror-left-note") == "NO LIVE IMAGE"
    assert rig.page.get_attribute("#mirror-left", "data-live") == "frozen"
    assert rig.drawn_as == "live"
    assert rig.last("view")["camera"] == 0
