"""The page's server: who may connect, who drives, and what reaches the vehicle."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from operator_console.core.notes import Notes
from operator_console.core.screen import snapshot
from operator_console.shell import web
from operator_console.shell.page_token import page_token
from operator_console.shell.pump import Pump
from operator_console.shell.web import Console, Page, Shown, load_assets, main, serving
from protocol.events import EVENTS
from protocol.frames import CommandKind
from protocol.messages import RequestKind
from protocol.state import VehicleMode
from tests.console import test_config
from tests.console.fakes import (
    CLOCK_AHEAD_US,
    OPERATOR,
    TOPICS,
    FakeVehicle,
    ManualClock,
    MemoryTransport,
    Rig,
    console_keys,
    console_settings,
    input_message,
    view_message,
)

ASSETS = load_assets()
WATCHES = "&watch=1"
COMMENT = re.compile(r"^\s*(//|\*).*$", re.MULTILINE)


class WebRig:
    """A served console with a fake vehicle behind an in-memory transport."""

    def __init__(
        self, vehicle: FakeVehicle | None = None, port: int = 0, watched: tuple[str, ...] = ()
    ) -> None:
        self.vehicle = vehicle or FakeVehicle()
        self.transport = MemoryTransport()
        self.clock = ManualClock()
        keys = console_keys(self.vehicle)
        token = page_token(keys.device, "one run of the computer")
        settings = console_settings(port)
        seat = settings.console.model_copy(update={"watched": watched})
        settings = settings.model_copy(update={"console": seat})
        self.console = Console(settings, keys, ASSETS, token, self.transport, self.clock)
        self.console.link_changed(True)
        self.console.words_changed(True)
        self.http = ClientSession()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.console.port}"

    @asynccontextmanager
    async def page(self, more: str = "") -> AsyncIterator[ClientWebSocketResponse]:
        url = f"{self.base}/ws?token={self.console.token}{more}"
        async with self.http.ws_connect(url, origin=self.base) as page:
            assert (await page.receive_json())["t"] == "config"
            yield page

    async def said(self, page: ClientWebSocketResponse, *messages: dict[str, Any]) -> None:
        """Send messages and wait until the console has taken them all.

        The server reads a page's messages in order, so its refusal of a nonsense action at
        the end means that all before it have been taken.
        """
        for message in (*messages, {"t": "action", "do": "nonsense"}):
            await page.send_json(message)
        while (await page.receive_json()).get("reason") != "unknown_action":
            pass

    def hear_state(self, **changes: Any) -> None:
        stamp_us = self.clock() // 1000 + CLOCK_AHEAD_US
        self.console.hear(TOPICS.state, self.vehicle.state_frame(stamp_us, **changes))

    def lease(self) -> None:
        self.console.hear(TOPICS.authority, self.vehicle.authority())
        self.console.session.act("lease", self.clock())
        message = self.console.session.next_request(self.clock())
        assert message is not None
        grant = self.vehicle.grant(self.vehicle.request(message))
        self.console.hear(TOPICS.ack(OPERATOR), grant)
        self.hear_state(mode=VehicleMode.LEASED)


@pytest.fixture
async def rig() -> AsyncIterator[WebRig]:
    made = WebRig()
    async with made.http, serving(made.console):
        yield made


# ---- who may connect ----------------------------------------------------------------------


async def test_page_with_its_token__is_served_under_a_strict_policy(rig: WebRig) -> None:
    async with rig.http.get(rig.console.address) as answer:
        text = await answer.text()

    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "STOP" in text


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%C3%A4"])
async def test_page_without_its_token__is_refused(rig: WebRig, query: str) -> None:
    async with rig.http.get(f"{rig.base}/{query}") as answer:
        assert answer.status == 403
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_websocket_without_its_token__is_refused(rig: WebRig) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await rig.http.ws_connect(f"{rig.base}/ws?token=wrong", origin=rig.base)

    assert refused.value.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:80", None])
async def test_websocket_of_another_origin__is_refused(rig: WebRig, origin: str | None) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await rig.http.ws_connect(f"{rig.base}/ws?token={rig.console.token}", origin=origin)

    assert refused.value.status == 403
    assert rig.console.counts["origin_refused"] == 1


async def test_console_started_again__its_open_page_comes_back_with_the_same_token() -> None:
    first = WebRig()
    async with first.http, serving(first.console), first.page():
        port = first.console.port
    second = WebRig(first.vehicle, port)
    url = f"http://127.0.0.1:{port}"
    async with second.http, serving(second.console):
        page = await second.http.ws_connect(f"{url}/ws?token={first.console.token}", origin=url)
        assert (await page.receive_json())["t"] == "config"
        assert await page.receive_json() == {"t": "role", "drives": True}


async def test_other_host_name__is_refused(rig: WebRig) -> None:
    async with rig.http.get(rig.console.address, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("path", ["../config.py", "..%2Fshell%2Fweb.py", "none.js", "%00"])
async def test_asset_outside_the_page__is_not_served(rig: WebRig, path: str) -> None:
    async with rig.http.get(f"{rig.base}/ui/{path}") as answer:
        assert answer.status in (400, 404)


async def test_every_asset__is_served_and_free_of_other_hosts(rig: WebRig) -> None:
    for name in ASSETS:
        async with rig.http.get(f"{rig.base}/ui/{name}") as answer:
            text = await answer.text()
        assert answer.status == 200, name
        assert "https://" not in COMMENT.sub("", text), name


@pytest.mark.parametrize("name", ["index.html", "engineer.html", "supervisor.html", "wing.html"])
def test_page__has_no_inline_script_or_style(name: str) -> None:
    text = ASSETS[name].decode()

    assert "<style" not in text
    assert " style=" not in text
    assert " onclick" not in text
    assert text.count("<script") == text.count('<script type="module" src=')


def test_port_in_use__one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_config.with_keys(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = test_config.GOOD.replace("port = 8700", f"port = {port}")
        code = main(test_config.written(tmp_path, text))

    assert code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"127.0.0.1:{port}" in lines[0]


# ---- who drives ---------------------------------------------------------------------------


async def test_second_page__is_a_viewer(rig: WebRig) -> None:
    async with rig.page() as first, rig.page() as second:
        assert await first.receive_json() == {"t": "role", "drives": True}
        assert await second.receive_json() == {"t": "role", "drives": False}


async def test_viewer_input__does_not_count(rig: WebRig) -> None:
    async with rig.page(), rig.page() as viewer:
        await rig.said(viewer, input_message(1, enable=True))

    assert rig.console.counts["input_of_viewer"] == 1
    assert rig.console.session.inputs.current(rig.clock()) is None


async def test_viewer_asks_for_the_lease__is_refused_in_words(rig: WebRig) -> None:
    async with rig.page(), rig.page() as viewer:
        await viewer.receive_json()
        await viewer.send_json({"t": "action", "do": "lease"})
        answer = await viewer.receive_json()

    assert (answer["t"], answer["outcome"], answer["reason"]) == ("ack", "refused", "viewer")


async def test_viewer_presses_stop__stop_is_pending(rig: WebRig) -> None:
    async with rig.page(), rig.page() as viewer:
        await rig.said(viewer, {"t": "action", "do": "stop"})

    assert rig.console.session.stops.pending is not None


async def test_viewer_claims_a_seat_that_is_taken__stays_a_viewer(rig: WebRig) -> None:
    async with rig.page() as first, rig.page() as viewer:
        await first.receive_json()
        await viewer.receive_json()
        await rig.said(viewer, {"t": "action", "do": "drive"}, input_message(1))

    assert rig.console.counts["input_of_viewer"] == 1


async def test_driving_page_closes__its_input_and_picture_are_gone(rig: WebRig) -> None:
    async with rig.page() as page:
        await rig.said(page, input_message(1), view_message(1, 1000))
        assert rig.console.session.inputs.current(rig.clock()) is not None
    async with rig.page() as page:
        assert await page.receive_json() == {"t": "role", "drives": True}

    assert rig.console.session.inputs.current(rig.clock()) is None
    assert rig.console.session.view.newest is None


async def test_silent_driver_of_a_moving_machine__keeps_the_seat(rig: WebRig) -> None:
    async with rig.page() as first, rig.page() as viewer:
        await first.receive_json()
        await viewer.receive_json()
        rig.clock.advance_ms(2500)
        rig.hear_state(mode=VehicleMode.ACTIVE, speed_mps=2.0)
        await viewer.send_json({"t": "action", "do": "drive"})
        moving = await viewer.receive_json()
        rig.clock.advance_ms(20)
        rig.hear_state(mode=VehicleMode.STOPPED, speed_mps=0.0)
        await viewer.send_json({"t": "action", "do": "drive"})
        standing = await viewer.receive_json()

    assert (moving["outcome"], moving["reason"]) == ("refused", "seat_moving")
    assert standing == {"t": "role", "drives": True}


# ---- what a page may say ------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "1", '{"t":1}', '{"t":"x"}', "[" * 5000])
async def test_nonsense__is_counted_and_the_page_stays(rig: WebRig, text: str) -> None:
    async with rig.page() as page:
        await page.send_str(text)
        await rig.said(page, input_message(1))

    assert rig.console.counts["page_message_malformed"] == 1


@pytest.mark.parametrize("depth", [8, 9, 900, 5000])
async def test_message_nested_too_deep__is_counted_and_the_page_stays(
    rig: WebRig, depth: int
) -> None:
    rig.console.notes = Notes(lambda _: None)
    async with rig.page() as page:
        inner = "[" * (depth - 1) + "]" * (depth - 1)
        await page.send_str(f'{{"t": "input", "x": {inner}}}')
        await rig.said(page, input_message(1))

    assert rig.console.counts["page_message_malformed"] == (depth > 8)


async def test_input_out_of_range__is_refused_and_counted(rig: WebRig) -> None:
    async with rig.page() as page:
        await rig.said(page, input_message(1, throttle=1.5))

    assert rig.console.counts["input_refused"] == 1


async def test_page_floods__is_closed(rig: WebRig) -> None:
    async with rig.page() as page:
        for number in range(2100):
            await page.send_json(input_message(number))
        kinds = [message.type async for message in page]

    assert page.close_code == 1008
    assert WSMsgType.ERROR not in kinds


async def test_message_too_long__closes_the_page(rig: WebRig) -> None:
    async with rig.page() as page:
        await page.send_str(json.dumps({"t": "offer", "sdp": "x" * 70_000}))
        _ = [message async for message in page]

    assert page.close_code == 1009


async def test_ninth_page__is_refused(rig: WebRig) -> None:
    url = f"{rig.base}/ws?token={rig.console.token}"
    pages = [await rig.http.ws_connect(url, origin=rig.base) for _ in range(8)]

    with pytest.raises(WSServerHandshakeError) as refused:
        await rig.http.ws_connect(url, origin=rig.base)

    assert refused.value.status == 503
    assert not any(page.closed for page in pages)
    for page in pages:
        await page.close()


# ---- what a page hears --------------------------------------------------------------------


async def test_state_shown_twice_to_a_slow_page__only_the_newest_is_written(rig: WebRig) -> None:
    async with rig.page() as page:
        await page.receive_json()
        rig.console.show()
        rig.hear_state(mode=VehicleMode.LOCAL)
        rig.console.show()
        shown = await page.receive_json()

    assert shown["vehicle"]["mode"] == "LOCAL"


async def told(rig: WebRig, page: ClientWebSocketResponse, *messages: dict[str, Any]) -> list[int]:
    """Show a state and let the page say those messages; return the states that it got meanwhile."""
    rig.console.show()
    for message in (*messages, {"t": "action", "do": "nonsense"}):
        await page.send_json(message)
    numbers = []
    while (message := await page.receive_json()).get("reason") != "unknown_action":
        numbers += [message["n"]] if message["t"] == "state" else []
    return numbers


async def test_page_gives_no_state_back__is_sent_few_and_then_the_newest_when_it_does(
    rig: WebRig,
) -> None:
    async with rig.page() as page:
        stopped = [number for _ in range(8) for number in await told(rig, page)]
        again = await told(rig, page, {"t": "seen", "n": 3})
        last = await told(rig, page)

    assert stopped == [1, 2, 3, 4, 5]
    assert (again, last) == ([9], [10])


async def test_page_gives_each_state_back__is_sent_each(rig: WebRig) -> None:
    async with rig.page(WATCHES) as page:
        numbers = [await told(rig, page, {"t": "seen", "n": number}) for number in range(1, 9)]

    assert numbers == [[number] for number in range(1, 9)]
    assert rig.console.counts["seen_malformed"] == 0


async def behind_by(rig: WebRig, page: ClientWebSocketResponse, late_ms: float) -> None:
    """Let the driver's page be behind by that by the time it has not been up for 501 ms."""
    await rig.said(page, view_message(1, 1000))
    rig.clock.advance_ms(501 - late_ms)
    await told(rig, page)
    rig.clock.advance_ms(late_ms)
    await rig.said(page, view_message(1, 1000))


@pytest.mark.parametrize(("late_ms", "healthy"), [(250, True), (251, False)])
async def test_drivers_page_is_behind_what_it_was_told__its_display_is_not_healthy(
    rig: WebRig, late_ms: float, healthy: bool
) -> None:
    async with rig.page() as page:
        await behind_by(rig, page, late_ms)
        behind = rig.console.session.on_screen(rig.clock()).ok
        await rig.said(page, {"t": "seen", "n": 1}, view_message(2, 2000))
        up = rig.console.session.on_screen(rig.clock()).ok
        times = snapshot(rig.console.session, rig.clock())["console"]["views_behind"]

    assert (behind, up, times) == (healthy, True, not healthy)


async def test_drivers_page_is_behind__the_screen_says_so(rig: WebRig) -> None:
    async with rig.page() as page:
        rig.hear_state(mode=VehicleMode.STANDBY)
        await behind_by(rig, page, 251)
        message = snapshot(rig.console.session, rig.clock())["console"]["message"]

    assert message["code"] == "C128"


@pytest.mark.parametrize("number", [None, True, "1", 1.0, 0, -1, 2])
async def test_number_of_no_state_that_was_sent__is_counted_and_gives_nothing_back(
    rig: WebRig, number: object
) -> None:
    async with rig.page() as page:
        await told(rig, page)
        await rig.said(page, {"t": "seen", "n": number})
        served = next(iter(rig.console._pages.values()))
        rig.clock.advance_ms(7)

        assert served.behind_ns(rig.clock()) == 7_000_000
    assert rig.console.counts["seen_malformed"] == 1


async def test_page_has_seen_nothing_for_seconds__is_cut_off(rig: WebRig) -> None:
    async with rig.page() as page:
        await told(rig, page)
        rig.clock.advance_ms(5000)
        late = await told(rig, page)
        rig.clock.advance_ms(1)
        rig.console.show()
        kinds = [message.type async for message in page]

    assert (late, kinds) == ([2], [])
    assert page.close_code == 1006


async def test_driver_that_only_takes_states__does_not_keep_the_seat_by_it(rig: WebRig) -> None:
    rig.hear_state(mode=VehicleMode.STOPPED, speed_mps=0.0)
    async with rig.page() as first, rig.page() as viewer:
        await told(rig, first)
        rig.clock.advance_ms(2500)
        rig.hear_state(mode=VehicleMode.STOPPED, speed_mps=0.0)
        served = next(iter(rig.console._pages.values()))
        rig.console.take(served, '{"t": "seen", "n": 1}')
        await rig.said(viewer, {"t": "action", "do": "drive"})
        driver = rig.console._seat.driver

    assert (driver, rig.console.counts["seen_malformed"]) == (2, 0)


async def test_event__reaches_every_page_in_both_languages(rig: WebRig) -> None:
    async with rig.page() as first, rig.page() as second:
        rig.console.hear(TOPICS.event, b'{"id":"V102","severity":3}')
        for page in (first, second):
            await page.receive_json()
            event = await page.receive_json()
            assert (event["t"], event["id"], event["severity"]) == ("event", "V102", "alarm")
            assert event["en"]
            assert event["zh"]


async def test_page_comes_later__is_told_the_newest_events_with_their_age(rig: WebRig) -> None:
    newest = list(EVENTS)[:14]
    for event_id in newest:
        rig.console.hear(TOPICS.event, json.dumps({"id": event_id}).encode())
    rig.clock.advance_ms(3000)
    async with rig.page() as page:
        await page.receive_json()
        events = [await page.receive_json() for _ in range(12)]

    assert [event["id"] for event in events] == newest[2:]
    assert {event["age_ms"] for event in events} == {3000}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "event_malformed"),
        (b"[]", "event_malformed"),
        (b"{}", "event_malformed"),
        (b"\xff", "event_malformed"),
        (b'{"id":7}', "event_unknown"),
        (b'{"id":["V102"]}', "event_unknown"),
        (b'{"id":"V999"}', "event_unknown"),
        (b'{"id":"\\ud800"}', "event_unknown"),
    ],
)
async def test_event_that_does_not_fit__is_counted_and_shown_to_no_page_now_or_later(
    rig: WebRig, payload: bytes, reason: str
) -> None:
    async with rig.page() as page:
        await page.receive_json()
        rig.console.hear(TOPICS.event, payload)
        rig.console.show()
        shown = await page.receive_json()
    async with rig.page() as page:
        await page.receive_json()
        rig.console.show()
        again = await page.receive_json()

    assert (shown["t"], again["t"]) == ("state", "state")
    assert rig.console.counts == {reason: 1}


async def test_offer_id_that_is_no_unicode__its_answer_ends_no_page(rig: WebRig) -> None:
    transport = StepTransport(rig.clock, 1)
    rig.console.pump = Pump(rig.console.session, transport, rig.clock)
    async with rig.page() as page:
        await page.receive_json()
        await page.send_str(r'{"t": "offer", "id": "\ud800", "sdp": "v=0", "cameras": [0]}')
        await pumped(rig.console.pump.send_slow(), transport)
        offer = rig.vehicle.signal(transport.sent[0])
        rig.console.hear(TOPICS.signal(OPERATOR), rig.vehicle.signal_answer(offer))

        assert (await page.receive_json())["t"] == "answer"


@pytest.mark.parametrize("standby", [False, True])
async def test_offer__goes_out_signed_and_its_answer_comes_back(rig: WebRig, standby: bool) -> None:
    transport = StepTransport(rig.clock, 1)
    pump = Pump(rig.console.session, transport, rig.clock)
    rig.console.pump = pump
    async with rig.page() as page:
        await page.receive_json()
        offered = {"t": "offer", "id": "o-1", "sdp": "v=0 offer", "cameras": [0]}
        await page.send_json(offered | {"standby": standby})
        await pumped(pump.send_slow(), transport)
        offer = rig.vehicle.signal(transport.sent[0])
        rig.console.hear(TOPICS.signal(OPERATOR), rig.vehicle.signal_answer(offer))

        assert await page.receive_json() == {"t": "answer", "id": "o-1", "sdp": "v=0 answer"}
        assert offer.standby is standby


async def test_lease_granted__page_is_told(rig: WebRig) -> None:
    async with rig.page() as page:
        await page.receive_json()
        rig.lease()
        answer = await page.receive_json()

    assert answer == {"t": "ack", "kind": "lease", "outcome": "granted", "reason": ""}


# ---- the pump -----------------------------------------------------------------------------


class StepTransport(MemoryTransport):
    """Moves the clock with each message and ends the run after enough of them."""

    def __init__(self, clock: ManualClock, enough: int) -> None:
        super().__init__()
        self._clock = clock
        self._enough = enough
        self.done = asyncio.Event()

    async def publish(self, message: Any) -> bool:
        self.sent.append(message)
        self._clock.advance_ms(50)
        if len(self.sent) >= self._enough:
            self.done.set()
            await asyncio.Event().wait()
        return True


async def pumped(work: Any, transport: StepTransport) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await transport.done.wait()
        task.cancel()


async def test_stop_pressed__stops_go_out_until_confirmed() -> None:
    rig = Rig()
    rig.hear_state()
    transport = StepTransport(rig.clock, 5)
    pump = Pump(rig.session, transport, rig.clock)
    rig.session.act("stop", rig.now_ns)
    pump.acted()
    await pumped(pump.send_stops(), transport)
    ids = {rig.vehicle.stop(message).id for message in transport.sent}
    rig.step(20, stop_id=ids.pop())

    assert not ids
    assert rig.session.next_stop(rig.now_ns) is None


async def test_input_stale_in_the_running_pump__command_without_enable_goes_out() -> None:
    rig = Rig()
    rig.ready_to_enable()
    rig.drive_input(enable=True)
    transport = StepTransport(rig.clock, 3)
    await pumped(Pump(rig.session, transport, rig.clock).send_commands(), transport)
    frames = [rig.vehicle.command(message) for message in transport.sent]

    assert [frame.enable for frame in frames] == [True, True, False]
    assert frames[2].kind is CommandKind.PARKED


async def test_view_silent_in_the_running_pump__display_falls() -> None:
    rig = Rig()
    rig.ready_to_enable()
    rig.show_picture()
    transport = StepTransport(rig.clock, 8)
    await pumped(Pump(rig.session, transport, rig.clock).send_commands(), transport)
    frames = [rig.vehicle.command(message) for message in transport.sent]

    assert [frame.display_ok for frame in frames] == [True] * 6 + [False] * 2


async def test_link_down__posted_messages_are_forgotten() -> None:
    rig = WebRig()
    async with rig.http:
        offer = rig.console.signalling.offer(1, "o-1", "v=0", [0])
        assert offer is not None
        rig.console.pump.post(offer)
        rig.console.words_changed(False)
        transport = StepTransport(rig.clock, 1)
        rig.console.hear(TOPICS.authority, rig.vehicle.authority())
        rig.console.session.act("lease", rig.clock())
        pump = rig.console.pump
        pump._words = transport
        await pumped(pump.send_slow(), transport)

    assert rig.vehicle.request(transport.sent[0]).kind is RequestKind.LEASE


# ---- pages that take nothing ----------------------------------------------------------------


class StoppedSocket:
    """The line of a browser that was stopped: nothing is ever taken."""

    closed = False

    def __init__(self) -> None:
        self.sending = asyncio.Event()

    async def send_str(self, text: str) -> None:
        self.sending.set()
        await asyncio.Event().wait()

    async def close(self, **_: Any) -> None:
        await asyncio.Event().wait()


def stopped_page() -> tuple[Page, StoppedSocket, asyncio.Event]:
    """Return a page of a stopped browser, its line, and what is set when it is cut."""
    line: Any = StoppedSocket()
    cut = asyncio.Event()
    return Page(1, line, cut.set), line, cut


async def test_page_stopped_with_a_message_under_way__is_cut_off_when_too_many_wait() -> None:
    page, line, cut = stopped_page()
    writer = asyncio.create_task(page.write())
    page.tell({"n": 0})
    await line.sending.wait()
    for number in range(web.KEPT_FOR_PAGE):
        page.tell({"n": number})
    before = cut.is_set()
    page.tell({"n": "one too many"})
    writer.cancel()

    assert (before, cut.is_set()) == (False, True)
    assert not page._kept


async def test_page_takes_nothing_in_time__is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TAKEN_WITHIN_S", 0)
    page, _, cut = stopped_page()
    writer = asyncio.create_task(page.write())
    page.show(Shown(1, 0, "{}"))
    await cut.wait()
    writer.cancel()


async def test_console_ends__no_page_waits_for_another_to_close(
    rig: WebRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = asyncio.Barrier(2)

    async def close(self: Page) -> None:
        await both.wait()

    monkeypatch.setattr(Page, "say_goodbye", close)
    async with rig.page(), rig.page():
        await rig.console._close_pages(rig.console.application())

    assert both.n_waiting == 0


async def test_console_ends_with_a_stopped_page__cuts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TAKEN_WITHIN_S", 0)
    page, _, cut = stopped_page()
    await page.say_goodbye()

    assert cut.is_set()


async def test_page_that_is_cut_off__leaves_the_seat(rig: WebRig) -> None:
    async with rig.page() as stopped:
        await rig.said(stopped, input_message(1))
        next(iter(rig.console._pages.values())).cut_off()
        assert (await stopped.receive()).type is WSMsgType.CLOSED
    async with rig.page() as page:
        assert await page.receive_json() == {"t": "role", "drives": True}
