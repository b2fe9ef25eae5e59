"""Engineer's, supervisor's and wing pages: they watch and stop, and take no driver's seat."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from operator_console.shell.config import SeatSettings
from operator_console.shell.web import serving
from protocol.messages import Identity, RequestKind, Role
from protocol.state import VehicleMode
from protocol.topics import Topics
from tests.console.fakes import CLOCK_AHEAD_US, OPERATOR, VEHICLE, FakeVehicle, identity
from tests.console.test_web import WebRig, rig

__all__ = ["rig"]

OTHER = "truck-08"
WATCH = "&watch=1"


@pytest.fixture
async def site() -> AsyncIterator[WebRig]:
    """A supervisor's console that watches another machine."""
    vehicle = FakeVehicle()
    own = vehicle.trust[OPERATOR]
    vehicle.trust = {
        **vehicle.trust,
        OPERATOR: Identity(OPERATOR, Role.SUPERVISOR, own.key),
        OTHER: identity(OTHER, Role.VEHICLE)[1],
    }
    made = WebRig(vehicle, watched=(OTHER,))
    async with made.http, serving(made.console):
        yield made


@pytest.mark.parametrize("door", ["/engineer", "/supervisor", "/wing"])
async def test_page_beside__needs_the_token_and_is_served_under_the_same_policy(
    rig: WebRig, door: str
) -> None:
    async with rig.http.get(f"{rig.base}{door}") as answer:
        refused = answer.status
    async with rig.http.get(f"{rig.base}{door}?token={rig.console.token}") as answer:
        policy = answer.headers["Content-Security-Policy"]

    assert (refused, answer.status) == (403, 200)
    assert "unsafe" not in policy


async def test_watching_page_comes_first__the_drivers_page_has_the_seat(rig: WebRig) -> None:
    async with rig.page(WATCH) as wing, rig.page() as driver:
        roles = [await page.receive_json() for page in (wing, driver)]

    assert [role["drives"] for role in roles] == [False, True]


@pytest.mark.parametrize("action", ["arm", "reset", "take_over", "lease"])
async def test_watching_page_of_a_driver__asks_for_nothing(rig: WebRig, action: str) -> None:
    async with rig.page(WATCH) as page:
        await page.receive_json()
        await page.send_json({"t": "action", "do": action})
        answer = await page.receive_json()

    assert (answer["outcome"], answer["reason"]) == ("refused", "viewer")


async def test_watching_page_asks_for_the_seat__has_none(rig: WebRig) -> None:
    async with rig.page(WATCH) as page:
        await rig.said(page, {"t": "action", "do": "drive"})

    assert rig.console._seat.driver is None


@pytest.mark.parametrize("action", ["arm", "reset"])
async def test_supervisors_page__asks_for_nothing_that_leads_to_motion(
    site: WebRig, action: str
) -> None:
    async with site.page(WATCH) as page:
        await page.receive_json()
        await page.send_json({"t": "action", "do": action})

        assert (await page.receive_json())["reason"] == "viewer"


async def test_supervisors_page_takes_over__signed_request_is_due(site: WebRig) -> None:
    site.console.hear(site.console.topics.authority, site.vehicle.authority())
    async with site.page(WATCH) as page:
        await site.said(page, {"t": "action", "do": "take_over"})
        asked = site.console.session.next_request(site.clock())

    assert asked is not None
    assert site.vehicle.request(asked).kind is RequestKind.TAKE_OVER


async def test_stop_of_a_watched_machine__goes_to_that_machine_alone(site: WebRig) -> None:
    async with site.page(WATCH) as page:
        await site.said(page, {"t": "action", "do": "stop", "vehicle": OTHER})
    stop = site.console.watched[OTHER].session.next_stop(site.clock())

    assert stop is not None
    assert stop.topic == Topics("mine", OTHER).stop(OPERATOR)
    assert site.vehicle.stop(stop).aud == OTHER
    assert site.console.session.next_stop(site.clock()) is None


async def test_stop_that_names_the_consoles_own_machine__stops_it(site: WebRig) -> None:
    async with site.page(WATCH) as page:
        await site.said(page, {"t": "action", "do": "stop", "vehicle": VEHICLE})

    assert site.console.session.next_stop(site.clock()) is not None


@pytest.mark.parametrize(
    ("action", "vehicle"), [("stop", "truck-99"), ("stop", 7), ("take_over", OTHER), ("arm", OTHER)]
)
async def test_anything_else_of_another_machine__is_refused(
    site: WebRig, action: str, vehicle: object
) -> None:
    async with site.page(WATCH) as page:
        await page.receive_json()
        await page.send_json({"t": "action", "do": action, "vehicle": vehicle})

        refusal = await page.receive_json()
        assert (refusal["reason"], refusal["vehicle"]) == ("unknown_vehicle", vehicle)
    assert site.console.session.requests.asked is None


async def test_machines__are_told_to_pages_that_watch_with_what_each_says(site: WebRig) -> None:
    site.hear_state(mode=VehicleMode.STANDBY, speed_mps=0.0)
    other = Topics("mine", OTHER)
    async with site.page(WATCH) as page:
        await page.receive_json()
        site.console.show_machines()
        told = await page.receive_json()

    assert told["told_ms"] == site.clock() / 1e6
    own, watched = told["machines"]
    assert (own["vehicle"], own["mode"], own["speed_mps"]) == (VEHICLE, "STANDBY", 0.0)
    assert (watched["vehicle"], watched["mode"], watched["holder"]) == (OTHER, None, None)
    assert (other.state, 0) in site.console.watched_subscriptions


async def test_holder_of_a_watched_machine__is_told(site: WebRig) -> None:
    authority = site.vehicle.authority(holder="op-2")
    site.console.hear_watched(Topics("mine", OTHER).authority, authority)

    assert site.console.watched[OTHER].line(site.clock())["holder"] == "op-2"


async def test_state_of_the_own_machine__says_nothing_of_a_watched_one(site: WebRig) -> None:
    stamp_us = site.clock() // 1000 + CLOCK_AHEAD_US
    frame = site.vehicle.state_frame(stamp_us, mode=VehicleMode.ACTIVE)
    site.console.hear_watched(Topics("mine", OTHER).state, frame)

    assert site.console.watched[OTHER].line(site.clock())["mode"] is None


async def test_camera_of_a_watched_machine__is_asked_of_that_machine(site: WebRig) -> None:
    offer = {"t": "offer", "id": "o-1", "sdp": "v=0", "cameras": [0], "vehicle": OTHER}
    async with site.page(WATCH) as page:
        await site.said(page, offer)
    posted = site.console.watched[OTHER].pump._posted

    assert [message.topic for message in posted][:1] == [Topics("mine", OTHER).signal(OPERATOR)]
    assert site.vehicle.signal(posted[0]).aud == OTHER


@pytest.mark.parametrize("watched", [["truck-07"], ["a", "a"]])
def test_watched_machine_named_twice__settings_are_refused(watched: list[str]) -> None:
    with pytest.raises(ValueError, match="watched must name other machines"):
        SeatSettings.model_validate(
            {"operator": OPERATOR, "site": "mine", "vehicle": VEHICLE, "watched": watched}
        )
