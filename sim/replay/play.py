"""Plays a log into the real console page: no broker, no machine, nothing that could reach one.

The console of the cockpit runs here with keys that were made for the moment and a line that ends in
this process. It is told the states, events and pictures of the log; what it says goes nowhere, but
for the page's wish for pictures, which are answered from here.
"""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import signal
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web
from aiortc.mediastreams import MediaStreamError
from joserfc.jwk import OKPKey

from operator_console.core.session import Outgoing
from operator_console.shell.config import ConsoleSettings, Keys
from operator_console.shell.web import Console, load_assets, serving
from protocol.errors import ProtocolError
from protocol.frames import StateFrame, vehicle_id
from protocol.messages import (
    Identity,
    Role,
    SignalClaims,
    generate_identity,
    sign_claims,
    verify_signed,
)
from recording.reader import Log
from sim.replay.player import Picture, Player, Reel, reel_of
from vehicle_agent.shell import clock, rtc_compat
from vehicle_agent.shell.picture_encoder import Codec
from vehicle_agent.shell.rtc_compat import AccessUnit, SharedStreamTrack, packetise
from vehicle_agent.shell.viewer_peer import ViewerPeer
from vehicle_agent.shell.viewers import FrameAnnouncer

STEP_S = 0.01
OPERATOR, SITE = "replay", "replay"
UNITS_WAITING_MAX = 600
"""From a key frame up to the moment that was jumped to."""
APART_US = 1000
"""So far apart are pictures that lead to a moment: a browser takes those of one time for one."""
BEGIN_AGAIN_NS = 3_000_000_000
PLAYER_FILES = ("player.html", "player.js", "player.css")
_COUNTER = 1 << 24
_NS_PER_S = 1_000_000_000


class ReplayTrack(SharedStreamTrack):
    """One camera of the log on its way to one page."""

    codec = Codec.H264

    def __init__(self, camera: int, player: Player, announcer: FrameAnnouncer) -> None:
        super().__init__()
        self.camera = camera
        self._player, self._announcer = player, announcer
        self._units: deque[AccessUnit] = deque(maxlen=UNITS_WAITING_MAX)
        self._ready = asyncio.Event()
        self._sending: AccessUnit | None = None
        self._joined = False
        self._begun_ns = 0

    def put(self, unit: AccessUnit) -> None:
        """Take a picture that is due; nothing is kept before the page listens."""
        if self._joined:
            self._units.append(unit)
            self._ready.set()

    async def next_access_unit(self) -> AccessUnit:
        """Return the next picture."""
        if not self._joined:
            self._joined, self._begun_ns = True, clock.monotonic_ns()
            self._player.want_key(self.camera)
        while not self._units:
            if self.readyState != "live":
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        self._sending = self._units.popleft()
        return self._sending

    def stop(self) -> None:
        """End the stream."""
        super().stop()
        self._ready.set()

    def on_rtp_timestamp(self, rtp_timestamp: int) -> None:
        """Announce the picture that leaves now."""
        if self._sending is not None:
            sent_us = clock.monotonic_us()
            self._announcer.announce(self.camera, self._sending, rtp_timestamp, sent_us)

    def on_key_frame_request(self) -> None:
        """Begin at the key frame before the moment again; not while that may be on its way."""
        now_ns = clock.monotonic_ns()
        if now_ns - self._begun_ns >= BEGIN_AGAIN_NS:
            self._begun_ns = now_ns
            self._player.want_key(self.camera)

    def on_rate_estimate(self, bit_rate_bps: int) -> None:
        """A recorded stream has the rate that it has."""

    def on_loss(self, share: float) -> None:
        """As for the rate."""

    def on_missing(self, sequence_numbers: Sequence[int]) -> None:
        """As for the rate."""

    def may_retransmit(self, sequence_number: int, size_bytes: int, rtp_timestamp: int) -> bool:  # noqa: ARG002
        """On this computer there is room."""
        return True


class Nowhere:
    """The console's line: what it says ends here; a wish for pictures is handed on.

    Attributes:
        swallowed: messages that went nowhere.
    """

    def __init__(self, trust: dict[str, Identity]) -> None:
        self._trust = trust
        self.wishes: asyncio.Queue[SignalClaims] = asyncio.Queue()
        self.swallowed = 0

    async def publish(self, message: Outgoing) -> bool:
        """Take a message of the console."""
        try:
            claims = verify_signed(message.payload, self._trust)
        except ProtocolError:
            claims = None
        if isinstance(claims, SignalClaims):
            self.wishes.put_nowait(claims)
        else:
            self.swallowed += 1
        return True


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is read before the page is served: the log, its machine's name, the page's files."""

    reel: Reel
    vehicle: str
    assets: Mapping[str, bytes]


def prepared(log: Log) -> Prepared:
    """Read everything that playing a log takes.

    Raises:
        ValueError: nothing in it can be played.
    """
    own = {name: (files("sim.replay") / name).read_bytes() for name in PLAYER_FILES}
    vehicle = str(log.session().get("vehicle", "vehicle"))
    return Prepared(reel_of(log), vehicle, load_assets() | own)


class Playing:
    """A console, a player, and the page's peers.

    Args:
        what: to be played. port: of the page on this computer; 0 takes any.
    """

    def __init__(self, what: Prepared, port: int = 0) -> None:
        rtc_compat.install()
        self.player = Player(what.reel)
        self.vehicle = what.vehicle
        self._page_bytes = what.assets[PLAYER_FILES[0]]
        own, trust, self._vehicle_key = _keys(self.vehicle)
        self.nowhere = Nowhere(trust)
        cameras = sorted(self.player.reel.cameras) or [0]
        settings = ConsoleSettings.model_validate(
            {
                "console": {
                    "operator": OPERATOR,
                    "site": SITE,
                    "vehicle": self.vehicle,
                    "port": port,
                    "cameras": cameras,
                },
                "mqtt": {"host": "127.0.0.1", "port": 1},
                "keys": {"device": Path("none"), "trust": Path("none")},
            }
        )
        self.console = Console(
            settings, Keys(own, trust), what.assets, secrets.token_urlsafe(16), self.nowhere
        )
        self.console.replay = True
        self.peers: list[ViewerPeer] = []
        self.tracks: list[ReplayTrack] = []
        self.refused: Counter[str] = Counter()
        self._boot_tag = secrets.randbits(32)
        self._sequence = 0

    @property
    def player_address(self) -> str:
        """Of the page with the controls."""
        return self.console.address.replace("/?", "/player?")

    # -- what is told to the console

    def step(self, now_ns: int) -> None:
        """Tell what is due."""
        due = self.player.due(now_ns)
        console = self.console
        if due.state is not None:
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            frame = StateFrame(
                leased=False,
                vehicle_id=vehicle_id(self.vehicle),
                key_id=0,
                epoch=0,
                sequence=self._sequence,
                boot_tag=self._boot_tag,
                stamp_us=now_ns // 1000,
                json=due.state,
            )
            console.hear(console.topics.state, frame.encode(None))
        for event in due.events:
            console.hear(console.topics.event, json.dumps({"id": event}).encode())
        for track in self.tracks:
            pictures = due.pictures.get(track.camera, [])
            first_us = now_ns // 1000 - APART_US * (len(pictures) - 1)
            for number, picture in enumerate(pictures):
                track.put(_unit(picture, first_us + APART_US * number))

    async def run(self) -> None:
        """Tell what is due, for ever."""
        self.console.link_changed(True)
        self.console.words_changed(True)
        while True:
            self.step(clock.monotonic_ns())
            await asyncio.sleep(STEP_S)

    # -- pictures

    async def serve_pictures(self) -> None:
        """Answer every wish for pictures, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                claims = await self.nowhere.wishes.get()
                if claims.role == "bye":
                    for peer in self.peers:
                        if peer.session == claims.session:
                            peer.end()
                elif claims.role == "offer":
                    group.create_task(self._serve(claims), name=f"page {claims.session[:8]}")

    async def _serve(self, claims: SignalClaims) -> None:
        peer = ViewerPeer(claims, rtc_compat.new_peer_connection([]))
        tracks = [ReplayTrack(camera, self.player, peer.announcer) for camera in claims.cameras]
        self.peers.append(peer)
        self.tracks += tracks
        try:
            peer.show(tracks)
            sdp = await peer.answer(claims.sdp, ["127.0.0.1"])
            self._answer(claims, sdp)
            await peer.settle()
            if peer.connected.is_set():
                await peer.ended.wait()
        except (ValueError, ProtocolError) as error:
            self.refused[str(error)] += 1
        finally:
            self.peers.remove(peer)
            for track in tracks:
                self.tracks.remove(track)
                track.stop()
            await peer.close()

    def _answer(self, offer: SignalClaims, sdp: str) -> None:
        claims = SignalClaims(
            iss=self.vehicle,
            aud=OPERATOR,
            role="answer",
            peer="media",
            session=offer.session,
            sdp=sdp,
        )
        topic = self.console.topics.signal(OPERATOR)
        self.console.hear(topic, sign_claims(claims, self._vehicle_key))

    # -- the controls

    def add_controls(self, app: web.Application) -> None:
        """Add the page with the controls, and what it asks."""
        app.router.add_get("/player", self._page)
        app.router.add_get("/player/state", self._state)
        app.router.add_post("/player/do", self._do)

    def _check(self, request: web.Request) -> None:
        given = request.query.get("token", "")
        if not secrets.compare_digest(given.encode(), self.console.token.encode()):
            raise web.HTTPForbidden(text="Open the address that was printed.\n")

    async def _page(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.Response(body=self._page_bytes, content_type="text/html", charset="utf-8")

    async def _state(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response(self.state(clock.monotonic_ns()))

    async def _do(self, request: web.Request) -> web.Response:
        self._check(request)
        try:
            wish = await request.json()
            self.do(clock.monotonic_ns(), str(wish["do"]), float(wish.get("value", 0.0)))
        except (ValueError, TypeError, KeyError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.json_response(self.state(clock.monotonic_ns()))

    def do(self, now_ns: int, what: str, value: float = 0.0) -> None:
        """Do what a control asks: play, pause, seek (s from the beginning), step (s), speed.

        Raises:
            ValueError: there is no such control, or no such speed.
        """
        player = self.player
        at_ns = player.clock.at(now_ns)
        match what:
            case "play":
                player.clock.play(now_ns)
            case "pause":
                player.clock.pause(now_ns)
            case "seek":
                player.seek(now_ns, player.reel.first_ns + round(value * _NS_PER_S))
            case "step":
                player.seek(now_ns, at_ns + round(value * _NS_PER_S))
            case "speed":
                player.clock.set_speed(now_ns, value)
            case _:
                raise ValueError(f"no control {what!r}")

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return where the player is, for its page."""
        reel, timer = self.player.reel, self.player.clock
        return {
            "at_s": (timer.at(now_ns) - reel.first_ns) / _NS_PER_S,
            "length_s": (reel.last_ns - reel.first_ns) / _NS_PER_S,
            "utc_ms": timer.at(now_ns) // 1_000_000,
            "playing": timer.playing,
            "speed": timer.speed,
            "events": [
                [round((at_ns - reel.first_ns) / _NS_PER_S, 2), json.loads(content)["id"]]
                for at_ns, content in zip(reel.events.times_ns, reel.events.things, strict=True)
            ],
        }


def _keys(vehicle: str) -> tuple[OKPKey, dict[str, Identity], OKPKey]:
    """Keys for the moment: the console's, whom it trusts, and the vehicle's."""
    pairs = {}
    for name, role in ((OPERATOR, Role.DRIVER), (vehicle, Role.VEHICLE)):
        private, public = generate_identity()
        key = OKPKey.import_key(dict(private))
        pairs[name] = (key, Identity(name, role, OKPKey.import_key(dict(public))))
    trust = {name: identity for name, (_, identity) in pairs.items()}
    return pairs[OPERATOR][0], trust, pairs[vehicle][0]


def _unit(picture: Picture, now_us: int) -> AccessUnit:
    return AccessUnit(
        payloads=packetise(picture.data),
        pts_90khz=now_us * 9 // 100,
        key=picture.key,
        frame_counter=picture.number % _COUNTER,
        capture_stamp_us=now_us,
        data=picture.data,
        changes=picture.changes,
        begun_us=now_us,
        done_us=now_us,
    )


async def play(what: Prepared, port: int, at_s: float, speed: float) -> None:
    """Play a log until SIGTERM or Ctrl-C.

    Raises:
        ValueError: no such speed. OSError: the port is in use.
    """
    playing = Playing(what, port)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    now_ns = clock.monotonic_ns()
    playing.do(now_ns, "seek", at_s)
    playing.do(now_ns, "speed", speed)
    playing.player.clock.play(now_ns)
    async with serving(playing.console, playing.add_controls), asyncio.TaskGroup() as group:
        work = (
            playing.run(),
            playing.serve_pictures(),
            playing.console.pump.send_slow(),
            playing.console.refresh_pages(),
        )
        tasks = [group.create_task(each) for each in work]
        gc.freeze()
        sys.stdout.write(f"console {playing.console.address}\nplayer  {playing.player_address}\n")
        sys.stdout.flush()
        await ending.wait()
        for task in tasks:
            task.cancel()
