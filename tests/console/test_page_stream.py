"""The page plays a real stream: encoded, signed for, sent over WebRTC, decoded by chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from operator_console.core.session import Outgoing
from operator_console.shell.clock import monotonic_us
from operator_console.shell.config import ConsoleSettings, Keys
from operator_console.shell.web import Console, load_assets, serving
from protocol.frames import StateFrame, vehicle_id
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics
from tests.console.page_rig import FLAGS, STANDS_BY_SOON
from tests.media.rig import OPERATOR, PERIOD_US, VEHICLE, Rig
from vehicle_agent.shell import ipc
from vehicle_agent.shell.sound import TONE_HZ
from vehicle_agent.shell.viewer_peer import ViewerPeer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

ASSETS = load_assets()
TOPICS = Topics("mine", VEHICLE)


@dataclass(frozen=True)
class Carrier:
    """Takes what the console sends to the media server, as broker and link would."""

    rig: Rig

    async def publish(self, message: Outgoing) -> bool:
        self.rig.send_raw(ipc.with_name(ipc.TO_MEDIA_SIGNAL, OPERATOR, message.payload))
        return True


class StreamRig(Rig):
    """A media server and a console that carries its signals, as link and broker would."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, sound="sim:tone")
        self.console = self.new_console()
        self.films = asyncio.Event()
        self.filmed_us: list[int] = []
        self._filmed = asyncio.Condition()
        self._states = 0

    def new_console(self, port: int = 0) -> Console:
        """Return a console that knows nothing of its pages."""
        seat = {"operator": OPERATOR, "site": "mine", "vehicle": VEHICLE, "port": port}
        settings = ConsoleSettings.model_validate(
            {
                "console": seat | {"sound": True},
                "mqtt": {"host": "127.0.0.1", "port": 1},
                "keys": {"device": "unused", "trust": "unused"},
            }
        )
        keys = Keys(self.keys.private[OPERATOR], self.keys.trust)
        return Console(settings, keys, ASSETS, "token", Carrier(self))

    def _on_link(self) -> None:
        while (datagram := self._link.receive()) is not None:
            addressed = ipc.split_name(datagram[1:])
            assert addressed is not None
            if datagram[:1] != ipc.TO_LINK_TELEMETRY:
                self.console.hear(TOPICS.signal(OPERATOR), addressed.content)

    def say_state(self) -> None:
        """Let the console hear the vehicle, so that it knows the vehicle's clock."""
        self._states += 1
        frame = StateFrame(
            leased=False,
            vehicle_id=vehicle_id(VEHICLE),
            key_id=0,
            epoch=1,
            sequence=self._states,
            boot_tag=1,
            stamp_us=monotonic_us(),
            json=VehicleState(mode=VehicleMode.STANDBY).to_json(),
        )
        self.console.hear(TOPICS.state, frame.encode(None))

    async def film(self) -> None:
        """Take pictures while ``films`` is set; say the state in any case."""
        while True:
            self.say_state()
            if self.films.is_set():
                self.filmed_us.append(monotonic_us())
                writer, picture = self.writers[0], self._picture
                await asyncio.to_thread(writer.publish, picture, self.filmed_us[-1])
                async with self._filmed:
                    self._filmed.notify_all()
            await asyncio.sleep(PERIOD_US / 1e6)

    async def films_more(self, pictures: int) -> None:
        """Wait until so many more pictures were taken."""
        wanted = len(self.filmed_us) + pictures
        async with self._filmed:
            await self._filmed.wait_for(lambda: len(self.filmed_us) >= wanted)

    def shown(self) -> list[str]:
        """Return the sessions by which pictures go out."""
        return [peer.session for peer in self.server.peers if not peer.standby]

    def broker(self, up: bool) -> None:
        """Let both lines to the broker come or go."""
        self.console.link_changed(up)
        self.console.words_changed(up)

    @asynccontextmanager
    async def machine(self) -> AsyncIterator[None]:
        """Run the machine's side and its camera."""
        async with self.running(), asyncio.TaskGroup() as group:
            filming = group.create_task(self.film())
            yield
            filming.cancel()

    @asynccontextmanager
    async def cockpit(self) -> AsyncIterator[None]:
        """Run the console."""
        async with serving(self.console), asyncio.TaskGroup() as group:
            self.broker(up=True)
            work = (self.console.pump.send_slow(), self.console.refresh_pages())
            tasks = [group.create_task(each) for each in work]
            yield
            for task in tasks:
                task.cancel()

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Run everything but the browser."""
        async with self.machine(), self.cockpit():
            yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(chromium: Browser, address: str) -> AsyncIterator[Page]:
    page = await chromium.new_page()
    await page.goto(address)
    yield page
    await page.close()


@dataclass(frozen=True)
class Tab:
    """A page that no tool is attached to, for in one that is focus is emulated: it never hides."""

    session: CDPSession
    page: str
    other: str

    async def show(self) -> None:
        await self.session.send("Target.activateTarget", {"targetId": self.page})

    async def cover(self) -> None:
        await self.session.send("Target.activateTarget", {"targetId": self.other})


@asynccontextmanager
async def tab(chromium: Browser, address: str) -> AsyncIterator[Tab]:
    session = await chromium.new_browser_cdp_session()
    wanted = ({"url": address, "newWindow": True}, {"url": "about:blank"})
    opened = [await session.send("Target.createTarget", each) for each in wanted]
    made = Tab(session, *(each["targetId"] for each in opened))
    await made.show()
    yield made
    for target in (made.page, made.other):
        await session.send("Target.closeTarget", {"targetId": target})


HEARS_THE_TONE = """(hz) => {
  const stream = document.getElementById("sound-audio").srcObject;
  if (!window.ear) {
    const context = new AudioContext();
    window.ear = context.createAnalyser();
    window.ear.fftSize = 8192;
    context.createMediaStreamSource(stream).connect(window.ear);
  }
  const levels = new Float32Array(window.ear.frequencyBinCount);
  window.ear.getFloatFrequencyData(levels);
  const loudest = levels.indexOf(Math.max(...levels));
  return Math.abs(loudest * window.ear.context.sampleRate / window.ear.fftSize - hz) < 10;
}"""


async def drawn_as(page: Page, live: str) -> None:
    """Wait until the picture is drawn so."""
    await page.wait_for_selector(f"#stage[data-live={live}]")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StreamRig]:
    made = StreamRig(tmp_path)
    yield made
    made.close()


async def test_real_stream__is_live_with_its_own_stamps_then_frozen_then_live_again(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()
    async with rig.playing(), opened(chromium, rig.console.address) as page:
        await drawn_as(page, "live")
        view = rig.console.session.view.newest
        rig.films.clear()
        await drawn_as(page, "frozen")
        rig.films.set()
        await drawn_as(page, "live")

    assert view is not None
    assert min(abs(filmed_us - view.capture_us) for filmed_us in rig.filmed_us) <= 12


async def test_another_tab_over_the_page__it_vouches_for_nothing_until_it_is_seen_again(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()

    def vouched_us() -> int | None:
        view = rig.console.session.view.newest
        return None if view is None else view.capture_us

    async with rig.playing(), tab(chromium, rig.console.address) as page:
        while not vouched_us():
            await rig.films_more(1)
        await page.cover()
        while vouched_us() is not None:
            await rig.films_more(1)
        await rig.films_more(10)
        covered = vouched_us()
        await page.show()
        while not vouched_us():
            await rig.films_more(1)

    assert covered is None


async def test_sound__is_off_until_asked_for_then_the_microphone_is_heard_and_its_loss_is_told(
    rig: StreamRig, chromium: Browser
) -> None:
    async with rig.playing(), opened(chromium, rig.console.address) as page:
        await page.wait_for_selector("#sound[data-sound=off]")
        assert rig.server.listeners.peers == []
        await page.click("#sound")
        await page.wait_for_selector("#sound[data-sound=on]")
        await page.wait_for_function(HEARS_THE_TONE, arg=TONE_HZ)
        rig.server.listeners.peers[0].end()
        await page.wait_for_selector("#sound[data-sound=lost]")
        await page.click("#sound")
        await page.wait_for_selector("#sound[data-sound=off]")


async def test_broker_goes_and_comes__the_picture_goes_on_in_its_session(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()
    async with rig.playing(), opened(chromium, rig.console.address) as page:
        await drawn_as(page, "live")
        sessions = rig.shown()
        rig.broker(up=False)
        gone_us = monotonic_us()
        await rig.films_more(20)
        view = rig.console.session.view.newest
        rig.broker(up=True)
        await rig.films_more(10)
        after = rig.shown()

    assert view is not None
    assert view.capture_us > gone_us
    assert after == sessions


def cut(peer: ViewerPeer) -> None:
    """Let nothing that the machine sends to a peer get anywhere."""

    async def nowhere(*_: object) -> None:
        """Lose it."""

    ice = vars(peer._connection.getSenders()[0].transport.transport)["_connection"]
    ice._nominated[1].protocol.send_data = nowhere


async def test_nothing_comes_by_the_first_session__the_picture_goes_on_by_the_standby(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()
    rig.console._assets = ASSETS | STANDS_BY_SOON
    async with rig.playing(), opened(chromium, rig.console.address) as page:
        await drawn_as(page, "live")
        while not [peer for peer in rig.server.peers if peer.standby and peer.connected.is_set()]:
            await rig.films_more(1)
        first, standby = rig.server.peers
        cut(first)
        await drawn_as(page, "frozen")
        await drawn_as(page, "live")
        shown = rig.shown()

    assert shown == [standby.session]


async def test_machine_boots_again__the_picture_is_back_without_a_click(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()
    async with rig.playing(), opened(chromium, rig.console.address) as page:
        await drawn_as(page, "live")
        await rig.boot_again()
        await drawn_as(page, "frozen")
        await drawn_as(page, "live")
        assert len(rig.shown()) == 1


async def test_console_starts_again__the_picture_is_back_and_told_without_a_click(
    rig: StreamRig, chromium: Browser
) -> None:
    rig.films.set()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(rig.machine())
        async with AsyncExitStack() as first:
            await first.enter_async_context(rig.cockpit())
            page = await stack.enter_async_context(opened(chromium, rig.console.address))
            await drawn_as(page, "live")
        await page.wait_for_selector("#stop[data-look=no-line]")
        rig.console = rig.new_console(rig.console.port)
        await stack.enter_async_context(rig.cockpit())
        await drawn_as(page, "live")
        begun_us = monotonic_us()
        await rig.films_more(20)
        view = rig.console.session.view.newest

    assert view is not None
    assert view.capture_us > begun_us
