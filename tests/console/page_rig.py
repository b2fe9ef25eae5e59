"""The page in Debian's chromium with a console played by the test, under the test's clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Route, WebSocketRoute

from operator_console.core.screen import snapshot
from operator_console.shell.web import CONTENT_TYPES, DOORS, HEADERS, load_assets
from protocol.strip import CELLS, cell_px, draw_strip
from tests.console.fakes import Rig

ASSETS = load_assets()
BASE = "http://127.0.0.1:8700"
PAUSED_AHEAD_S = 30
"""The page's time is stopped at a moment that must not have passed when the browser is asked."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONFIG = {
    "t": "config",
    "operator": "op-1",
    "site": "mine",
    "vehicle": "truck-07",
    "simulated": True,
    "page_drives": True,
    "cameras": [0],
}


def serve(route: Route) -> None:
    name = route.request.url.removeprefix(BASE).partition("?")[0].removeprefix("/ui/")
    name = DOORS.get(name, name)
    kind = CONTENT_TYPES["." + name.rpartition(".")[2]]
    route.fulfill(body=ASSETS[name], headers=HEADERS | {"Content-Type": kind})


NEXT_TASK = """() => new Promise((done) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(0);
  channel.port2.postMessage(0);
})"""


class PageRig:
    """The page under a clock that only the test moves, with every message it sent.

    Attributes:
        scripts: run in the page before its own. door: which page, and what it is asked.
        replaced: files served in the place of the page's own, by name.
    """

    door = "/?"
    scripts: tuple[str, ...] = ()
    replaced: Mapping[str, bytes] = MappingProxyType({})

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1366, "height": 768})
        for script in self.scripts:
            self.page.add_init_script(script)
        self.sent: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.socket: WebSocketRoute | None = None
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.clock.install()
        self.page.route("**/*", serve)
        for name, body in self.replaced.items():
            headers = HEADERS | {"Content-Type": "text/javascript"}
            self.page.route(f"**/ui/{name}", partial(Route.fulfill, body=body, headers=headers))
        self.page.route_web_socket("**/ws?*", self._connected)
        self.page.goto(f"{BASE}{self.door}token=t")
        self.page.wait_for_function("document.getElementById('vehicle-name').textContent !== '—'")
        self.page.clock.pause_at(self.page.evaluate("Date.now()") / 1000 + PAUSED_AHEAD_S)
        self.marks = 0

    def _connected(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(lambda text: self.sent.append(json.loads(text)))
        self.tell(CONFIG)
        self.tell({"t": "role", "drives": True})

    def tell(self, message: dict[str, Any]) -> None:
        assert self.socket is not None
        self.socket.send(json.dumps(message))

    def state(self, **changes: Any) -> None:
        """Let the console tell a state of a leased vehicle."""
        rig = Rig()
        rig.lease()
        rig.step(20, **changes)
        self.tell(snapshot(rig.session, rig.now_ns))
        self.taken()

    def taken(self) -> None:
        """Wait until the page has taken all that it was told: its messages come in order."""
        self.marks += 1
        mark = f"S{self.marks}"
        self.tell({"t": "event", "id": mark, "severity": "info", "en": "mark", "zh": "mark"})
        self.page.wait_for_selector(f"#events b:text-is('{mark}')")

    def drop_line(self) -> None:
        """Close the page's line; none comes up again."""
        assert self.socket is not None
        self.page.route_web_socket("**/ws?*", lambda socket: socket.close())
        self.socket.close()
        self.page.wait_for_selector("#stop[data-look=no-line]")

    def pass_ms(self, ms: int) -> None:
        self.page.clock.run_for(ms)

    def settle(self) -> None:
        """Let the page run what its last input began, and take what it sent meanwhile."""
        for _ in range(3):
            self.page.evaluate(NEXT_TASK)

    def last(self, kind: str) -> dict[str, Any]:
        self.settle()
        return [message for message in self.sent if message["t"] == kind][-1]

    def count(self, kind: str) -> int:
        self.settle()
        return sum(message["t"] == kind for message in self.sent)

    def text(self, selector: str) -> str:
        return self.page.text_content(selector) or ""


WIDTH_PX = 1280
"""Of the pictures that fake_media.js draws."""

STANDS_BY_SOON = {"standby.js": ASSETS["standby.js"].replace(b"= 3000;", b"= 100;")}
"""The page's rule, but that it sets its standby up with the first pictures."""

FAKE_MEDIA = Path(__file__).with_name("fake_media.js").read_text(encoding="utf-8")


class VideoRig(PageRig):
    """The page with a vehicle's video played by the test: pictures come when it says so."""

    scripts = (FAKE_MEDIA,)
    newest_us: int | None = None

    def connect(self) -> None:
        """Let the page offer, and answer its newest offer."""
        self.pass_ms(150)
        self.answer()

    def answer(self) -> None:
        self.tell({"t": "answer", "id": self.last("offer")["id"], "sdp": "answered"})
        self.taken()

    def announce(self, frame: int, capture_us: int, rtp: int) -> None:
        """Let the vehicle announce a picture."""
        self.tell_note({"c": 0, "f": frame, "t": capture_us, "r": rtp})

    def tell_note(self, note: dict[str, Any]) -> None:
        self.newest_us = note["t"]
        self.page.evaluate("(note) => window.media.tell(note)", note)

    def echoes(self) -> list[dict[str, Any]]:
        """Return what the page has sent to the vehicle over the newest channel."""
        sent: list[dict[str, Any]] = self.page.evaluate("() => media.peers.at(-1).channel.sent")
        return sent

    def present(self, frame: int, rtp: int | None = 0, video: str = "video") -> None:
        """Let the browser put a picture on the screen."""
        row = np.full((cell_px(WIDTH_PX), WIDTH_PX), 90, np.uint8)
        draw_strip(row, frame)
        cells = row[8, 8 :: cell_px(WIDTH_PX)][:CELLS].tolist()
        self.page.evaluate(
            "([cells, rtp, video]) => window.media.show(cells, rtp, video)", [cells, rtp, video]
        )

    def picture(self, frame: int, capture_us: int) -> None:
        """Let a picture come as it should: announced, then presented."""
        self.announce(frame, capture_us, 0)
        self.present(frame)

    def seen(self, age_ms: float, **console: Any) -> None:
        """Let the console tell a state by whose clock the newest picture is that old."""
        rig = Rig()
        rig.lease()
        rig.show_picture(age_ms)
        told = snapshot(rig.session, rig.now_ns)
        if self.newest_us is not None:
            told["console"]["vehicle_now_us"] = self.newest_us + round(age_ms * 1000)
        told["console"] |= console
        self.tell(told)
        self.taken()

    @property
    def drawn_as(self) -> str | None:
        return self.page.get_attribute("#stage", "data-live")
