"""The console process: the page on 127.0.0.1, the broker link, and the tasks between them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import secrets
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web

from operator_console.core.alerts import catalogue_message
from operator_console.core.desk import Counts
from operator_console.core.notes import Notes
from operator_console.core.recorder_watch import RecorderWatch
from operator_console.core.screen import confirmed_action, machine_line, snapshot
from operator_console.core.seat import Seat
from operator_console.core.session import ACTIONS, ConsoleSession, Outgoing
from operator_console.core.slow import COCKPIT_RECORDER, SlowValues, slow_message
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.config import ConsoleSettings, Keys, load_keys, load_settings
from operator_console.shell.control_peer import ControlPath
from operator_console.shell.desk_config import load_desk
from operator_console.shell.desk_process import DeskProcess, inputd_command
from operator_console.shell.link import MqttLink, Transport
from operator_console.shell.page_token import computer_boot_id, page_token, write_address
from operator_console.shell.pump import Pump
from operator_console.shell.realtime import CONSOLE_PRIORITY, ask_ahead
from operator_console.shell.recorder_process import RecorderProcess, Tap, recorder_command
from operator_console.shell.signalling import Answered, Signalling
from operator_console.shell.watched import watch
from protocol.control_peer import CommandPath
from protocol.events import EVENTS
from protocol.messages import Role, peer_of, tells_head
from protocol.topics import Topics

LOGGER = logging.getLogger(__name__)

HOST = "127.0.0.1"
UI = Path(__file__).resolve().parent.parent / "ui"
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"} | {
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SCREEN_PERIOD_S = 1 / 30
MESSAGE_MAX_BYTES = 64 * 1024
PAGE_DEPTH_MAX = 8
"""A page's messages are two deep. What can be read is not always what can be written again: the
recorder's notes of one nested 952 deep raised RecursionError."""

MESSAGES_MAX_PER_S = 2000
PAGES_MAX = 8
STATES_UNSEEN_MAX = 5
"""States on their way to a page which it has not given back as seen; it is told no more of them
until it has. A page that draws each of 30 a second has one or two."""

SEEN_WITHIN_NS = 5_000_000_000
"""A page that has not seen for this long what it was told is stopped or gone."""

KEPT_FOR_PAGE = 64
"""Answers and events that wait for one page; a page that takes none of them is cut off."""

TAKEN_WITHIN_S = 1.0
"""A page whose line, its buffers full, takes nothing for this long is stopped or gone."""

MACHINES_PERIOD_S = 0.2
"""How often a page that watches is told of every machine."""

DOORS = {
    "/": "index.html",
    "/engineer": "engineer.html",
    "/supervisor": "supervisor.html",
    "/wing": "wing.html",
}
"""The pages by their addresses; all need the token."""

OF_SUPERVISOR = frozenset({"lease", "take_over", "offer", "release"})
"""What a supervisor's page may ask beside a stop: nothing of it moves a machine."""

EVENTS_KEPT = 12
"""The newest events, for a page that comes later."""

Json = dict[str, Any]


class Shown(NamedTuple):
    """One ``state`` message: its number, when it was made by the console's clock, its text."""

    number: int
    made_ns: int
    text: str


class Page:
    """One browser page: slow messages in order, of the state only the newest.

    The page gives the number of each state back that it has taken. The buffers of its line hold
    minutes of them, so that few are sent ahead of what it has seen: what it shows is young, or it
    is known to be behind.

    A page that takes nothing is cut off: nothing is kept for it without bound, and nobody waits
    for it. Its browser opens a new line when it lives again.

    Args:
        number: names it here. socket: its line. cut: ends that line at once.
        watches: it is an engineer's, a supervisor's or a wing, and never drives.
    """

    def __init__(
        self,
        number: int,
        socket: web.WebSocketResponse,
        cut: Callable[[], None],
        *,
        watches: bool = False,
    ) -> None:
        self.number = number
        self.watches = watches
        self.socket = socket
        self._cut = cut
        self._kept: deque[str] = deque()
        self._newest: Shown | None = None
        self._unseen: deque[Shown] = deque()
        self._sent_number = 0
        self._wake = asyncio.Event()
        self._second = 0
        self._in_second = 0

    def tell(self, message: Json) -> None:
        """Send in its turn."""
        if len(self._kept) >= KEPT_FOR_PAGE:
            self.cut_off()
            return
        self._kept.append(json.dumps(message))
        self._wake.set()

    def show(self, newest: Shown) -> None:
        """Send the newest state; one that still waits is replaced."""
        if self.behind_ns(newest.made_ns) > SEEN_WITHIN_NS:
            self.cut_off()
            return
        self._newest = newest
        self._wake.set()

    def seen(self, number: object) -> bool:
        """The page has taken the state of this number; return whether it was told one."""
        if isinstance(number, bool) or not isinstance(number, int):
            return False
        if not 0 < number <= self._sent_number:
            return False
        while self._unseen and self._unseen[0].number <= number:
            self._unseen.popleft()
        self._wake.set()
        return True

    def behind_ns(self, now_ns: int) -> int:
        """How old the oldest state is that the page was told and has not seen."""
        return now_ns - self._unseen[0].made_ns if self._unseen else 0

    def floods(self, now_ns: int) -> bool:
        """Return whether this page sends more than any page has reason to."""
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second > MESSAGES_MAX_PER_S

    async def write(self) -> None:
        """Write what waits until the page is gone."""
        while not self.socket.closed:
            await self._wake.wait()
            self._wake.clear()
            while self._kept:
                await self._send(self._kept.popleft())
            if self._newest is not None and len(self._unseen) < STATES_UNSEEN_MAX:
                newest, self._newest = self._newest, None
                self._unseen.append(newest)
                self._sent_number = newest.number
                await self._send(newest.text)

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self.socket.send_str(text)
        except TimeoutError:
            self.cut_off()

    def cut_off(self) -> None:
        """End the line at once; what waited is dropped."""
        self._kept.clear()
        self._newest = None
        self._cut()

    async def say_goodbye(self) -> None:
        """Close the line; one that does not answer in time is cut."""
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self.socket.close(code=WSCloseCode.GOING_AWAY, message=b"console ends")
        except TimeoutError:
            self.cut_off()


class Console:
    """One console: a session, a transport and its pages.

    Args:
        settings: of this console. keys: own key and trusted identities.
        assets: the page's files by name, see :func:`load_assets`.
        token: what a page must bring along, see :func:`page_token`.
        transport: carries commands to the vehicle; the caller feeds :meth:`hear`.
        clock_ns: monotonic clock.
        words: carries stops, requests and signals; None: the same as commands.
        aside: carries what concerns the watched machines; None: the same as commands.
        recorder: command of the process that records; None: nothing is recorded.

    Attributes:
        watched: other machines by name, for a supervisor's page.
        replay: a log is played here: pages say so.
        direct: the data channels to the vehicle; None where none is configured.
        desk: the input process; None where a page's keyboard drives, or nothing does.
        recorder: writes down what happens here; None where nothing does.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        keys: Keys,
        assets: Mapping[str, bytes],
        token: str,
        transport: Transport,
        clock_ns: Callable[[], int] = monotonic_ns,
        words: Transport | None = None,
        aside: Transport | None = None,
        recorder: Sequence[str] | None = None,
    ) -> None:
        seat = settings.console
        self.topics = Topics(seat.site, seat.vehicle)
        self.token = token
        self.replay = False
        both = settings.control_peer is not None
        self.session = ConsoleSession(
            seat.operator,
            self.topics,
            keys.device,
            keys.trust,
            simulated=seat.simulated,
            has_desk=settings.desk is not None,
            paths=frozenset(CommandPath) if both else frozenset({CommandPath.MQTT}),
        )
        self.desk = self._new_desk(settings)
        self.direct = self._new_direct(settings, keys)
        self.recorder = None if recorder is None else self._new_recorder(recorder, clock_ns())
        self.notes = Notes(None if self.recorder is None else self.recorder.tap.give)
        self.pump = Pump(self.session, transport, clock_ns, words, self.direct, self.notes)
        self.signalling = Signalling(seat.operator, self.topics, keys.device, keys.trust)
        self.counts: Counter[str] = Counter()
        self.port = seat.port
        self._settings = seat
        self._clock_ns = clock_ns
        self._seat = Seat()
        self._assets = assets
        self._pages: dict[int, Page] = {}
        self._next_page = 1
        self._events: deque[tuple[str, int]] = deque(maxlen=EVENTS_KEPT)
        self._states_shown = 0
        self.slow = SlowValues(self.topics)
        self._recorder_topic = self.topics.telemetry("recorder")
        self.watched = {
            name: watch(
                seat.operator, Topics(seat.site, name), keys, aside or transport, clock_ns, words
            )
            for name in seat.watched
        }

    def _new_desk(self, settings: ConsoleSettings) -> DeskProcess | None:
        if settings.desk is None:
            return None
        command = inputd_command(settings.desk.file, simulated=settings.console.simulated)
        return DeskProcess(
            command,
            self.hear_desk,
            self.desk_gone,
            lambda: self.session.desk_feedback(self._clock_ns()),
            self.session.desk_ended_too_often,
        )

    def _new_recorder(self, command: Sequence[str], now_ns: int) -> RecorderProcess:
        self.session.recorder = RecorderWatch(now_ns)
        return RecorderProcess(command, Tap(), self._hear_recorder, self._recorder_gone)

    def _new_direct(self, settings: ConsoleSettings, keys: Keys) -> ControlPath | None:
        if settings.control_peer is None:
            return None
        return ControlPath(
            settings.console.operator,
            self.topics,
            keys.device,
            keys.trust,
            settings.control_peer.ice_addresses,
            post=self._post_signal,
            on_state=self._hear_state_direct,
            on_change=self._direct_changed,
        )

    # ---- from the recorder -------------------------------------------------------------

    def _hear_recorder(self, word: Json) -> None:
        """Take in what the recorder says of itself: for the screen, the engineer, the machine."""
        evidence = word.get("evidence")
        if isinstance(evidence, str) and self.session.words_up:
            topic = self.topics.signal(self._settings.operator)
            self.pump.post(Outgoing(topic, evidence.encode()))
        figures, watch = word.get("figures"), self.session.recorder
        if isinstance(figures, dict) and watch is not None:
            watch.hear(figures, self._clock_ns())
            self._tell_all(slow_message(COCKPIT_RECORDER, figures, 0.0))

    def _recorder_gone(self) -> None:
        if self.session.recorder is not None:
            self.session.recorder.gone(self._clock_ns())

    # ---- from the desk -----------------------------------------------------------------

    def hear_desk(self, data: bytes) -> None:
        """Take in a datagram of the input process."""
        now_ns = self._clock_ns()
        refused = self.session.desk_refused.total()
        pressed = self.session.desk_input(data, now_ns)
        counts = self.session.desk_refused.total() == refused
        self.notes.hands(now_ns, "desk", data.decode("utf-8", "replace"), counts=counts)
        if pressed.stops:
            self.notes.asked(now_ns, "stop", "desk")
        if pressed.disarms:
            self.notes.asked(now_ns, "disarm", "desk")
            self.session.act("disarm", now_ns)
        if pressed.confirms:
            action = confirmed_action(self.session, now_ns)
            if action is not None:
                self.notes.asked(now_ns, action, "desk")
                self.session.act(action, now_ns)
        if pressed != Counts():
            self.pump.acted()
        self.pump.changed()

    def desk_gone(self) -> None:
        """The input process ended: enable is off with the next command."""
        self.notes.asked(self._clock_ns(), "desk_gone", "desk")
        self.session.desk_gone()
        self.pump.changed()

    # ---- from the broker ---------------------------------------------------------------

    @property
    def state_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """What is heard on the line that carries commands, with its QoS."""
        return ((self.topics.state, 0),)

    @property
    def word_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """What is heard on the line that carries stops and requests, with its QoS."""
        operator = self._settings.operator
        return (
            (self.topics.authority, 0),
            (self.topics.ack(operator), 1),
            (self.topics.signal(operator), 1),
            (self.topics.event, 1),
        )

    def link_changed(self, up: bool) -> None:
        """The line for commands came or went."""
        self.notes.path(self._clock_ns(), CommandPath.MQTT.name, up=up)
        self.session.path(CommandPath.MQTT, up)

    def words_changed(self, up: bool) -> None:
        """The line for stops, requests and signals came or went."""
        self.notes.path(self._clock_ns(), "WORDS", up=up)
        self.session.words(up)
        if not up:
            self.pump.forget_posted()

    def _direct_changed(self, up: bool) -> None:
        self.notes.path(self._clock_ns(), CommandPath.DATA_CHANNEL.name, up=up)
        self.session.path(CommandPath.DATA_CHANNEL, up)

    def _post_signal(self, message: Outgoing) -> bool:
        if self.session.words_up:
            self.pump.post(message)
        return self.session.words_up

    def _hear_state_direct(self, payload: bytes) -> None:
        self._hear_state(payload, CommandPath.DATA_CHANNEL)

    def _hear_state(self, payload: bytes, path: CommandPath) -> None:
        now_ns = self._clock_ns()
        verdict = self.session.hear_state(payload, now_ns, path)
        self.notes.heard(now_ns, path, verdict, payload)
        if self.direct is not None:
            self.direct.uplink_is(out=self.session.uplink_out(CommandPath.DATA_CHANNEL, now_ns))

    def hear(self, topic: str, payload: bytes) -> None:
        """Take in one message of the vehicle."""
        if topic == self.topics.state:
            self._hear_state(payload, CommandPath.MQTT)
        elif topic == self.topics.authority:
            now_ns = self._clock_ns()
            counts = self.session.hear_authority(payload, now_ns)
            self.notes.told(now_ns, "authority", payload, counts=counts)
            self.pump.acted()
        elif topic == self.topics.ack(self._settings.operator):
            self._hear_ack(payload)
        elif topic == self.topics.signal(self._settings.operator):
            self._hear_signal(payload)
        elif topic == self.topics.event:
            self._hear_event(payload)

    def _hear_ack(self, payload: bytes) -> None:
        now_ns = self._clock_ns()
        claims = self.session.hear_ack(payload, now_ns)
        self.notes.told(now_ns, "answer", payload, counts=claims is not None)
        if claims is not None:
            self._tell_all(_ack(claims.kind, claims.outcome, claims.reason))

    def _hear_signal(self, payload: bytes) -> None:
        if tells_head(payload):
            return  # a broker gives back what was said
        if self.direct is not None and peer_of(payload) == "control":
            self.direct.hear_signal(payload)
            return
        self._pass_on(self.signalling.take(payload))

    def hear_watched(self, topic: str, payload: bytes) -> None:
        """Take in one message of a machine that is watched."""
        for each in self.watched.values():
            self._pass_on(each.hear(topic, payload, self._clock_ns()))

    @property
    def watched_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """What is heard of the watched machines, with its QoS."""
        return tuple(one for each in self.watched.values() for one in each.subscriptions)

    def _pass_on(self, answered: Answered | None) -> None:
        page = None if answered is None else self._pages.get(answered.page)
        if answered is not None and page is not None:
            page.tell({"t": "answer", "id": answered.offer_id, "sdp": answered.sdp})

    def _hear_event(self, payload: bytes) -> None:
        """Take in an event, which nobody signs: only the catalogue's own words are shown."""
        event_id = self._event_in(payload)
        self.notes.told(self._clock_ns(), "event", payload, counts=event_id is not None)
        if event_id is None:
            return
        self._events.append((event_id, self._clock_ns()))
        self._tell_all(_event(event_id))

    def _event_in(self, payload: bytes) -> str | None:
        try:
            event_id = json.loads(payload)["id"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.counts["event_malformed"] += 1
            return None
        if not isinstance(event_id, str) or event_id not in EVENTS:
            self.counts["event_unknown"] += 1
            return None
        return event_id

    def hear_slow(self, topic: str, payload: bytes) -> None:
        """Take in a message of the vehicle that only the screen needs."""
        now_ns = self._clock_ns()
        message = self.slow.hear(topic, payload, now_ns)
        if topic == self.topics.factsheet:
            self.notes.told(now_ns, "factsheet", payload, counts=message is not None)
        if message is not None:
            if topic == self._recorder_topic:
                self._hear_head(now_ns, message["content"].pop("evidence", None))
            self._tell_all(message)

    def _hear_head(self, now_ns: int, evidence: object) -> None:
        """The machine's recorder tells how far it has got: for this cockpit's recorder alone."""
        if isinstance(evidence, str):
            self.notes.head(now_ns, evidence.encode("ascii", "replace"))

    def _tell_all(self, message: Json) -> None:
        for page in self._pages.values():
            page.tell(message)

    # ---- from a page -------------------------------------------------------------------

    def take(self, page: Page, text: str) -> None:
        """Take in one message of a page; what does not fit is counted and dropped."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if _is_deeper(message, PAGE_DEPTH_MAX):
            message = None
        kind = message.get("t") if isinstance(message, dict) else None
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            self.counts["page_message_malformed"] += 1
            return
        if kind != "seen":  # a hidden page takes its messages too, and leaves its seat
            self._seat.heard(page.number, self._clock_ns())
        handler(self, page, message)

    def _on_seen(self, page: Page, message: Json) -> None:
        if not page.seen(message.get("n")):
            self.counts["seen_malformed"] += 1

    def _on_input(self, page: Page, message: Json) -> None:
        if self._seat.driver != page.number:
            self.counts["input_of_viewer"] += 1
            return
        now_ns = self._clock_ns()
        counts = self.session.driver_input(message, now_ns)
        self.notes.hands(now_ns, f"page {page.number}", message, counts=counts)
        if not counts:
            self.counts["input_refused"] += 1
        self.pump.changed()

    def _on_view(self, page: Page, message: Json) -> None:
        if self._seat.driver != page.number:
            return
        now_ns = self._clock_ns()
        counts = self.session.driver_view(message, now_ns, page.behind_ns(now_ns))
        self.notes.viewed(now_ns, message, counts=counts)
        if not counts:
            self.counts["view_refused"] += 1

    def _on_hidden(self, page: Page, message: Json) -> None:
        if self._seat.driver == page.number:
            self.notes.viewed(self._clock_ns(), message, counts=True)
            self.session.driver_gone()
            self.pump.changed()

    def _on_blurred(self, page: Page, message: Json) -> None:
        if self._seat.driver == page.number:
            self.notes.viewed(self._clock_ns(), message, counts=True)
            self.session.driver_blurred()

    def _on_action(self, page: Page, message: Json) -> None:
        action, vehicle = message.get("do"), message.get("vehicle")
        drives = self._seat.driver == page.number or self._supervises(page, action)
        self.notes.asked(self._clock_ns(), str(action), f"page {page.number}")
        if vehicle not in (None, self.topics.vehicle):
            self._stop_watched(page, action, vehicle)
        elif action == "drive" and not page.watches:
            self._give_seat(page)
        elif not isinstance(action, str) or action not in ACTIONS:
            self.counts["action_unknown"] += 1
            page.tell(_ack("", "refused", "unknown_action"))
        elif not (drives or action == "stop"):
            page.tell(_ack(action, "refused", "viewer"))
        else:
            self.session.act(action, self._clock_ns())
            self.pump.acted()

    def _supervises(self, page: Page, action: object) -> bool:
        return page.watches and self.session.role is Role.SUPERVISOR and action in OF_SUPERVISOR

    def _stop_watched(self, page: Page, action: object, vehicle: object) -> None:
        """Of a machine that is only watched, the stop is all that may be asked."""
        watched = self.watched.get(vehicle) if isinstance(vehicle, str) else None
        if watched is None or action != "stop":
            page.tell(_ack("stop", "refused", "unknown_vehicle") | {"vehicle": vehicle})
            return
        watched.stop(self._clock_ns())

    def _give_seat(self, page: Page) -> None:
        """Hand the seat over when no page drives; from a silent one only at standstill."""
        before, now_ns = self._seat.driver, self._clock_ns()
        if before is not None and not self.session.stands(now_ns):
            page.tell(_ack("drive", "refused", "seat_moving"))
            return
        if not self._seat.claim(page.number, now_ns):
            page.tell(_ack("drive", "refused", "seat_taken"))
        elif before != page.number:
            self.session.driver_gone()
            for each in self._pages.values():
                each.tell(self._role(each))

    def _on_offer(self, page: Page, message: Json) -> None:
        offer_id, sdp, cameras = message.get("id"), message.get("sdp"), message.get("cameras")
        fits = isinstance(offer_id, str) and len(offer_id) <= 64 and isinstance(sdp, str)
        if not fits or not isinstance(cameras, list):
            self.counts["offer_malformed"] += 1
            return
        assert isinstance(offer_id, str)
        assert isinstance(sdp, str)
        signalling, pump = self._media_of(message)
        standby = message.get("standby") is True
        offer = signalling.offer(page.number, offer_id, sdp, cameras, standby=standby)
        if offer is not None:
            pump.post(offer)

    def _on_bye(self, page: Page, message: Json) -> None:
        offer_id = message.get("id")
        if isinstance(offer_id, str):
            self._end_media(page, offer_id)

    def _media_of(self, message: Json) -> tuple[Signalling, Pump]:
        name = message.get("vehicle")
        watched = self.watched.get(name) if isinstance(name, str) else None
        if watched is None:
            return self.signalling, self.pump
        return watched.signalling, watched.pump

    def _end_media(self, page: Page, offer_id: str | None = None) -> None:
        for signalling, pump in (
            (self.signalling, self.pump),
            *((each.signalling, each.pump) for each in self.watched.values()),
        ):
            for farewell in signalling.bye(page.number, offer_id):
                pump.post(farewell)

    _handlers: ClassVar[dict[str, Callable[[Console, Page, Json], None]]] = {
        "seen": _on_seen,
        "input": _on_input,
        "view": _on_view,
        "hidden": _on_hidden,
        "blurred": _on_blurred,
        "action": _on_action,
        "offer": _on_offer,
        "bye": _on_bye,
    }

    # ---- the web server ----------------------------------------------------------------

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(middlewares=[self._guard])
        for door in DOORS:
            app.router.add_get(door, self._index)
        app.router.add_get("/ui/{name}", self._asset)
        app.router.add_get("/ws", self._websocket)
        app.on_shutdown.append(self._close_pages)
        return app

    @property
    def address(self) -> str:
        """The address to open, the token included."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse other hosts' names (DNS rebinding) and put the headers on every answer."""
        if request.host != f"{HOST}:{self.port}":
            self.counts["host_refused"] += 1
            return web.Response(status=403, text="wrong host\n", headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _token_fits(self, request: web.Request) -> bool:
        given = request.query.get("token", "")
        return secrets.compare_digest(given.encode(), self.token.encode())

    async def _index(self, request: web.Request) -> web.Response:
        if not self._token_fits(request):
            self.counts["token_refused"] += 1
            raise web.HTTPForbidden(text="Open the address that the console printed.\n")
        return _file(DOORS[request.path], self._assets)

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._assets:
            raise web.HTTPNotFound
        return _file(name, self._assets)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Origin") != f"http://{HOST}:{self.port}":
            self.counts["origin_refused"] += 1
            raise web.HTTPForbidden(text="wrong origin\n")
        if not self._token_fits(request):
            self.counts["token_refused"] += 1
            raise web.HTTPForbidden(text="wrong token\n")
        if len(self._pages) >= PAGES_MAX:
            raise web.HTTPServiceUnavailable(text="too many pages\n")
        socket = web.WebSocketResponse(compress=False, max_msg_size=MESSAGE_MAX_BYTES)
        await socket.prepare(request)
        assert request.transport is not None
        watches = request.query.get("watch") == "1"
        with self._joined(socket, request.transport, watches=watches) as page:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(_quietly(page.write()), name=f"page {page.number}")
                await self._read(page)
                writer.cancel()
        return socket

    @contextlib.contextmanager
    def _joined(
        self, socket: web.WebSocketResponse, line: asyncio.Transport, *, watches: bool
    ) -> Iterator[Page]:
        page = Page(self._next_page, socket, line.abort, watches=watches)
        self._next_page += 1
        self._pages[page.number] = page
        if not watches:
            self._seat.join(page.number, self._clock_ns())
        page.tell(self._config())
        page.tell(self._role(page))
        now_ns = self._clock_ns()
        for event_id, at_ns in self._events:
            page.tell(_event(event_id, (now_ns - at_ns) / 1e6))
        for message in self.slow.all(now_ns):
            page.tell(message)
        try:
            yield page
        finally:
            del self._pages[page.number]
            if self._seat.leave(page.number):
                self.session.driver_gone()
                self.pump.changed()
            self._end_media(page)

    async def _read(self, page: Page) -> None:
        async for message in page.socket:
            if message.type is not WSMsgType.TEXT:
                return
            if page.floods(self._clock_ns()):
                await page.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"flood")
                return
            self.take(page, message.data)
            # Buffered messages would otherwise be read without ever letting another task run.
            await asyncio.sleep(0)

    async def _close_pages(self, app: web.Application) -> None:
        del app
        async with asyncio.TaskGroup() as group:
            for page in self._pages.values():
                group.create_task(page.say_goodbye(), name=f"goodbye {page.number}")

    def _config(self) -> Json:
        seat = self._settings
        return {
            "t": "config",
            "operator": seat.operator,
            "site": seat.site,
            "vehicle": seat.vehicle,
            "simulated": seat.simulated,
            "replay": self.replay,
            "page_drives": self.session.page_drives,
            "cameras": list(seat.cameras),
            "sound": seat.sound,
            "rear_camera": seat.rear_camera,
            "left_camera": seat.left_camera,
            "right_camera": seat.right_camera,
            "screen_delay_ms": seat.screen_delay_ms,
            "ice_servers": [
                {"urls": each.url, "username": each.username or "", "credential": each.secret or ""}
                for each in seat.ice_servers
            ],
        }

    def _role(self, page: Page) -> Json:
        return {"t": "role", "drives": self._seat.driver == page.number}

    async def refresh_pages(self) -> None:
        """Show every page the newest state 30 times a second, for ever."""
        while True:
            if self._pages:
                self.show()
            await asyncio.sleep(SCREEN_PERIOD_S)

    async def refresh_machines(self) -> None:
        """Tell the pages that watch of every machine five times a second, for ever."""
        while True:
            self.show_machines()
            await asyncio.sleep(MACHINES_PERIOD_S)

    def show_machines(self) -> None:
        """Tell the pages that watch of every machine as it is now."""
        pages = [page for page in self._pages.values() if page.watches]
        if not pages:
            return
        now_ns = self._clock_ns()
        machines = [
            machine_line(self.session, now_ns) | {"camera": self._settings.cameras[0]},
            *(each.line(now_ns) | {"camera": 0} for each in self.watched.values()),
        ]
        for page in pages:
            page.tell({"t": "machines", "machines": machines, "told_ms": now_ns / 1e6})

    def show(self) -> None:
        """Give every page the state as it is now."""
        now_ns = self._clock_ns()
        state = snapshot(self.session, now_ns)
        self.notes.shown(now_ns, state)
        self._states_shown += 1
        text = json.dumps(state | {"n": self._states_shown, "told_ms": now_ns / 1e6})
        for page in self._pages.values():
            page.show(Shown(self._states_shown, now_ns, text))


def _ack(kind: str, outcome: str, reason: str) -> Json:
    return {"t": "ack", "kind": kind, "outcome": outcome, "reason": reason}


def _is_deeper(value: object, levels: int) -> bool:
    """Return whether more than so many arrays and objects stand in one another."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _event(event_id: str, age_ms: float = 0.0) -> Json:
    words = catalogue_message(event_id)
    return {
        "t": "event",
        "id": words.code,
        "severity": words.level,
        "en": words.en,
        "zh": words.zh,
        "age_ms": age_ms,
    }


def load_assets() -> dict[str, bytes]:
    """The page's files, read once: nothing else on this disk can be asked for."""
    return {path.name: path.read_bytes() for path in UI.iterdir() if path.suffix in CONTENT_TYPES}


def _file(name: str, assets: Mapping[str, bytes]) -> web.Response:
    kind = CONTENT_TYPES[Path(name).suffix]
    return web.Response(body=assets[name], content_type=kind, charset="utf-8")


async def _quietly(work: Awaitable[None]) -> None:
    """A page that went while it was written to is no fault of the console."""
    with contextlib.suppress(ConnectionError):
        await work


@contextlib.asynccontextmanager
async def serving(
    console: Console, extend: Callable[[web.Application], None] = lambda _: None
) -> AsyncIterator[None]:
    """Serve the page while the block runs.

    Args:
        extend: adds to what is served.

    Raises:
        OSError: the port is in use.
    """
    app = console.application()
    extend(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, console.port, reuse_address=True)
        await site.start()
        console.port = runner.addresses[0][1]
        yield
    finally:
        await runner.cleanup()


async def run(
    settings: ConsoleSettings,
    keys: Keys,
    assets: Mapping[str, bytes],
    token: str,
    recorder: Sequence[str] | None = None,
) -> None:
    """Run one console until SIGTERM or Ctrl-C.

    Args:
        recorder: command of the process that records; None: nothing is recorded.

    Raises:
        OSError: the page's port is in use.
        ValueError: the token file cannot be written.
    """
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    seat = settings.console
    commands, words = (MqttLink(settings.mqtt, seat.operator) for _ in range(2))
    aside = MqttLink(settings.mqtt, seat.operator)
    console = Console(
        settings, keys, assets, token, commands, words=words, aside=aside, recorder=recorder
    )
    slow = MqttLink(settings.telemetry or settings.mqtt, seat.operator)
    async with serving(console):
        if seat.token_file is not None:
            await asyncio.to_thread(write_address, console.address, seat.token_file)
        await _until(ending, console, commands, words, slow, aside)


async def _until(
    ending: asyncio.Event,
    console: Console,
    commands: MqttLink,
    words: MqttLink,
    slow: MqttLink,
    aside: MqttLink,
) -> None:
    work = {
        "commands": console.pump.send_commands(),
        "stops": console.pump.send_stops(),
        "requests": console.pump.send_slow(),
        "screen": console.refresh_pages(),
        "line": commands.run(console.state_subscriptions, console.hear, console.link_changed),
        "words": words.run(console.word_subscriptions, console.hear, console.words_changed),
        "slow": slow.run(console.slow.subscriptions, console.hear_slow, lambda _: None),
    }
    work["machines"] = console.refresh_machines()
    if console.watched:
        subscriptions = console.watched_subscriptions
        work["watched"] = aside.run(subscriptions, console.hear_watched, lambda _: None)
    for name, each in console.watched.items():
        work[f"stops {name}"] = each.pump.send_stops()
        work[f"signals {name}"] = each.pump.send_slow()
    if console.recorder is not None:
        work["recorder"] = console.recorder.run()
    if console.desk is not None:
        work["desk"] = console.desk.run()
    if console.direct is not None:
        work["direct"] = console.direct.run()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each, name=name) for name, each in work.items()]
        await asyncio.to_thread(_announce, console)
        await ending.wait()
        for task in tasks:
            task.cancel()


def _announce(console: Console) -> None:
    gc.collect()
    gc.freeze()  # what is there stays: a full collection took 58 ms of the input's 60 while driving
    sys.stdout.write(f"ready {console.address}\n")
    sys.stdout.flush()


def main(config: Path) -> int:
    """Run the console of a settings file; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="console: %(message)s")
    try:
        settings = load_settings(config)
        keys = load_keys(settings)
        if settings.desk is not None:  # what is wrong with it is said before anything starts
            load_desk(settings.desk.file, simulated=settings.console.simulated)
    except ValueError as error:
        sys.stderr.write(f"console: {error}\n")
        return 1
    try:
        token = page_token(keys.device, computer_boot_id())
        recorder = None if settings.recorder is None else recorder_command(config)
        asyncio.run(run(settings, keys, load_assets(), token, recorder))
    except ValueError as error:
        sys.stderr.write(f"console: {error}\n")
        return 1
    except OSError as error:
        address = f"{HOST}:{settings.console.port}"
        sys.stderr.write(f"console: {address}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="operator_console.shell.web")
    _parser.add_argument("--config", type=Path, required=True)
    ask_ahead(CONSOLE_PRIORITY)
    sys.exit(main(_parser.parse_args().config))
