"""A media server on simulated cameras, with keys of its own, for the tests of this folder."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from joserfc.jwk import OKPKey

from benchmarks.chains.relay import Line
from operator_console.shell.picture_peer import ViewedFrame
from operator_console.shell.viewer import HeadlessViewer
from protocol.messages import (
    SignalClaims,
    generate_identity,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import AgentSettings
from vehicle_agent.shell.framebuffer import FrameWriter, Picture
from vehicle_agent.shell.media import MediaServer

VEHICLE = "truck-1"
OPERATOR = "operator-a"
OBSERVER = "observer-a"
SUPERVISOR = "supervisor-a"
STOP_ONLY = "stopper-a"
ROLES = {
    OPERATOR: "driver",
    OBSERVER: "observer",
    SUPERVISOR: "supervisor",
    STOP_ONLY: "stop_only",
    VEHICLE: "vehicle",
}
LOOPBACK = ["127.0.0.1"]
WAIT_S = 20.0
PERIOD_US = 33_333
WIDTH, HEIGHT = 640, 360


class Keys:
    """Private keys of everybody, and one trust file's content."""

    def __init__(self) -> None:
        self.private: dict[str, OKPKey] = {}
        identities = []
        for name, role in ROLES.items():
            private, public = generate_identity()
            self.private[name] = load_private_key(json.dumps(private))
            identities.append({"id": name, "role": role, "public": public})
        self.trust = load_trust(json.dumps({"identities": identities}))


def settings_for(
    run: Path,
    cameras: int = 1,
    sound: str | None = None,
    standby_addresses: Sequence[str] = (),
) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "vehicle": {"site": "mine", "name": VEHICLE, "machine": "m.toml", "simulated": True},
            "runtime": {"dir": str(run), "record": str(run / "record")},
            "keys": {"device": "k", "trust": "t"},
            "mqtt": {"host": "127.0.0.1", "port": 1883},
            "can": {"interface": "virtual", "channel": "c"},
            "cameras": [
                {
                    "id": number,
                    "name": f"camera {number}",
                    "source": f"sim:{run / f'cam{number}'}",
                    "width": WIDTH,
                    "height": HEIGHT,
                }
                for number in range(cameras)
            ],
            "media": {
                "ice_addresses": LOOPBACK,
                "standby_addresses": list(standby_addresses),
            },
            "sound": None if sound is None else {"source": sound},
        }
    )


def pictures() -> Picture:
    """Return a still I420 picture with some detail."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(40, 200, (HEIGHT * 3 // 2 // 20, WIDTH // 20), np.uint8)
    return np.ascontiguousarray(coarse.repeat(20, 0).repeat(20, 1))


def signal(
    sdp: str,
    *,
    issuer: str = OPERATOR,
    audience: str = VEHICLE,
    role: str = "offer",
    peer: str = "media",
    session: str | None = None,
    cameras: tuple[int, ...] = (0,),
    viewer: str = "page-1",
    standby: bool = False,
) -> SignalClaims:
    return SignalClaims.model_validate(
        {
            "iss": issuer,
            "aud": audience,
            "role": role,
            "peer": peer,
            "session": session or secrets.token_hex(16),
            "sdp": sdp,
            "cameras": cameras,
            "viewer": viewer,
            "standby": standby,
        }
    )


class Rig:
    """The server, the link's end of its sockets, and the cameras' writers."""

    def __init__(
        self,
        run: Path,
        cameras: int = 1,
        sound: str | None = None,
        standby_addresses: Sequence[str] = (),
    ) -> None:
        self.keys = Keys()
        self.settings = settings_for(run, cameras, sound, standby_addresses)
        self.writers = [FrameWriter(run / f"cam{n}", WIDTH, HEIGHT) for n in range(cameras)]
        self.server = MediaServer(self.settings, self.keys.trust, self.keys.private[VEHICLE])
        self.stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.telemetry: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._signals: dict[str, asyncio.Queue[SignalClaims]] = {}
        self._link = ipc.Mailbox(run, ipc.LINK)
        self._stamp_us = 1_000_000
        self._picture = pictures()

    async def publish(self, camera: int = 0, show: Picture | None = None) -> int:
        """Publish the next picture; return its capture stamp, one period after the one before."""
        self._stamp_us += PERIOD_US
        stamp_us = self._stamp_us
        picture = self._picture if show is None else show
        await asyncio.to_thread(self.writers[camera].publish, picture, stamp_us)
        return stamp_us

    async def film(self) -> None:
        """Publish pictures at the camera's pace, for ever."""
        while True:
            await self.publish()
            await asyncio.sleep(PERIOD_US / 1e6)

    def let_time_pass(self, duration_us: int) -> None:
        """Let the next picture's capture stamp be that much later."""
        self._stamp_us += duration_us

    def send(
        self, claims: SignalClaims, *, key: str | None = None, name: str | None = None
    ) -> None:
        token = sign_claims(claims, self.keys.private[key or claims.iss])
        self.send_raw(ipc.with_name(ipc.TO_MEDIA_SIGNAL, name or claims.iss, token))

    def send_raw(self, datagram: bytes) -> None:
        assert self._link.send(ipc.MEDIA, datagram)

    async def signal_for(self, session: str) -> SignalClaims:
        """Return the vehicle's next signal of that session."""
        async with asyncio.timeout(WAIT_S):
            return await self._queue(session).get()

    async def report_where(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first telemetry for which `holds`."""
        async with asyncio.timeout(WAIT_S):
            while True:
                report = await self.telemetry.get()
                if holds(report):
                    return report

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the server inside."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link.fileno(), self._on_link)
        self._begin()
        try:
            yield
        finally:
            await self._end()
            loop.remove_reader(self._link.fileno())

    async def boot_again(self) -> None:
        """End the server and begin with a new one, which knows nothing of the old one's viewers."""
        await self._end()
        await asyncio.to_thread(self.server.close)
        key = self.keys.private[VEHICLE]
        self.server = await asyncio.to_thread(MediaServer, self.settings, self.keys.trust, key)
        self.stop = asyncio.Event()
        self._begin()

    def _begin(self) -> None:
        self._serving = asyncio.create_task(self.server.run(self.stop), name="media server")

    async def _end(self) -> None:
        assert self._serving is not None
        self.stop.set()
        await asyncio.wait_for(self._serving, WAIT_S)

    def close(self) -> None:
        self.server.close()
        self._link.close()
        for writer in self.writers:
            writer.close()

    def _queue(self, session: str) -> asyncio.Queue[SignalClaims]:
        return self._signals.setdefault(session, asyncio.Queue())

    def _on_link(self) -> None:
        while (datagram := self._link.receive()) is not None:
            if datagram[:1] == ipc.TO_LINK_EVENT:
                self.events.put_nowait(json.loads(datagram[1:]))
                continue
            addressed = ipc.split_name(datagram[1:])
            assert addressed is not None
            if datagram[:1] == ipc.TO_LINK_TELEMETRY:
                self.telemetry.put_nowait(json.loads(addressed.content))
                continue
            claims = verify_signed(addressed.content, self.keys.trust)
            assert isinstance(claims, SignalClaims)
            assert claims.iss == VEHICLE
            assert claims.aud == addressed.name
            self._queue(claims.session).put_nowait(claims)


def same_capture(frame: ViewedFrame, stamp_us: int) -> bool:
    """Return whether the frame is of that capture; the RTP clock tells it to 12 µs."""
    return abs(frame.capture_stamp_us - stamp_us) <= 12


class Viewing:
    """A connected headless viewer and the pictures it gave."""

    def __init__(
        self, viewer: HeadlessViewer, session: str, frames: asyncio.Queue[ViewedFrame]
    ) -> None:
        self.viewer = viewer
        self.session = session
        self.frames = frames

    async def frame(self) -> ViewedFrame:
        async with asyncio.timeout(WAIT_S):
            return await self.frames.get()


@asynccontextmanager
async def viewing(
    rig: Rig,
    *,
    operator: str = OPERATOR,
    cameras: tuple[int, ...] = (0,),
    screen: str = "page-1",
    line: Line | None = None,
) -> AsyncIterator[Viewing]:
    """Connect a viewer; with a line between, it carries all that both send."""
    frames: asyncio.Queue[ViewedFrame] = asyncio.Queue()
    async with HeadlessViewer(frames.put_nowait, cameras, ice_addresses=LOOPBACK) as viewer:
        offer = await viewer.offer()
        offer = offer if line is None else line.disguise(offer, 0)
        claims = signal(offer, issuer=operator, cameras=cameras, viewer=screen)
        rig.send(claims)
        answer = await rig.signal_for(claims.session)
        assert answer.role == "answer"
        await viewer.accept(answer.sdp if line is None else line.disguise(answer.sdp, 1))
        yield Viewing(viewer, claims.session, frames)
