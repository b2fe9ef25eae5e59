"""The page plays a real stream: encoded, signed for, sent over WebRTC, decoded by chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from operator_console.core.session import Outgoing
from operator_console.shell.clock import monotonic_us
from operator_console.shell.config import ConsoleSettings, Keys
from operator_console.shell.web import Console, load_assets, serving
from protocol.frames import StateFrame, vehicle_id
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics
from tests.console.page_rig import FLAGS
from tests.media.rig import OPERATOR, PERIOD_US, VEHICLE, Rig
from vehicle_agent.shell import ipc

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

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
        super().__init__(run)
        settings = ConsoleSettings.model_validate(
            {
                "console": {"operator": OPERATOR, "site": "mine", "vehicle": VEHICLE, "port": 0},
                "mqtt": {"host": "127.0.0.1", "port": 1},
                "keys": {"device": "unused", "trust": "unused"},
            }
        )
        keys = Keys(self.keys.private[OPERATOR], self.keys.trust)
        self.console = Console(settings, keys, ASSETS, "token", Carrier(self))
        self.films = asyncio.Event()
        self.filmed_us: list[int] = []
        self._states = 0

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
            await asyncio.sleep(PERIOD_US / 1e6)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Run everything but the browser."""
        async with self.running(), serving(self.console), asyncio.TaskGroup() as group:
            self.console.link_changed(True)
            self.console.words_changed(True)
            tasks = [
                group.create_task(work)
                for work in (
                    self.console.pump.send_slow(),
                    self.console.refresh_pages(),
                    self.film(),
                )
            ]
            yield
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = await chromium.new_page()
        await page.goto(address)
        yield page
        await chromium.close()


async def drawn_as(page: Page, live: str) -> None:
    """Wait until the picture is drawn so."""
    await page.wait_for_selector(f"#stage[data-live={live}]")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StreamRig]:
    made = StreamRig(tmp_path)
    yield made
    made.close()


async def test_real_stream__is_live_with_its_own_stamps_then_frozen_then_live_again(
    rig: StreamRig,
) -> None:
    rig.films.set()
    async with rig.playing(), opened(rig.console.address) as page:
        await drawn_as(page, "live")
        view = rig.console.session.view.newest
        rig.films.clear()
        await drawn_as(page, "frozen")
        rig.films.set()
        await drawn_as(page, "live")

    assert view is not None
    assert min(abs(filmed_us - view.capture_us) for filmed_us in rig.filmed_us) <= 12
