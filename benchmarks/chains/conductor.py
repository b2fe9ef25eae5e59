"""Runs one chain for some seconds: camera, sender, receiver, each a process, and what they cost."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chains.relay import Impairment, Line
from protocol.messages import (
    Role,
    SignalClaims,
    generate_identity,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from vehicle_agent.shell import clock, ipc

ANSWER_WITHIN_S = 30.0
WARM_UP_S = 2.0
VEHICLE, OPERATOR = "truck-1", "operator-1"
AGE_EVERY_US = 10_000
OTHER_WIDTH, OTHER_HEIGHT, OTHER_FPS, OTHER_BIT_RATE_BPS = 640, 360, 15, 600_000
OTHER_PICTURES = "other.npy"
"""File of the further cameras' pictures, beside that of the front camera's."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is sent over which line, and for how long it is measured.

    Attributes:
        width, height, fps, bit_rate_bps: of the front camera. seconds: of measuring.
        impairment: of the line; None is the loopback itself.
        others: further cameras, 640x360 at 15 Hz and 0.6 Mbit/s each; ours only.
    """

    width: int
    height: int
    fps: int
    bit_rate_bps: int
    seconds: float
    impairment: Impairment | None = None
    others: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """What one chain did in one measured time.

    Attributes:
        latencies_ms: of each picture that was decoded: from its capture until it was there.
        ages_ms: of the newest picture that was there, looked at each 10 ms: freezes count.
        cpu_s, sender_cpu_s: processor time of sender and receiver, and of the sender alone, for
            one second.
        shown: share of the captured pictures that were handed out after decoding.
        decoded: share that was decoded: of several that came whole at once, as behind a lost packet
            that was sent again, ours hands out the newest only.
        rate_bps: sent, payload.
        reports: the media process's telemetry of the camera, once a second; empty for stock.
    """

    latencies_ms: list[float]
    ages_ms: list[float]
    cpu_s: float
    sender_cpu_s: float
    shown: float
    decoded: float
    rate_bps: float
    reports: list[dict[str, Any]] = field(default_factory=list)


class Part:
    """One process of a chain, spoken to by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def hear(self) -> dict[str, Any]:
        """Return its next object.

        Raises:
            RuntimeError: it ended.
        """
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_WITHIN_S)
        if not line:
            raise RuntimeError("a part of the chain ended too early")
        got = json.loads(line)
        assert isinstance(got, dict)
        return got

    async def until_ready(self) -> None:
        """Wait until it says so in plain words."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_WITHIN_S)
        if line.strip() != b"ready":
            raise RuntimeError(f"a part of the chain said {line!r} in the place of ready")

    def say(self, content: dict[str, Any]) -> None:
        """Send it an object."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content).encode() + b"\n")


@asynccontextmanager
async def part(module: str, *arguments: str) -> AsyncIterator[Part]:
    """Run a module as a process while the block runs; its input ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        yield Part(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


class Sender:
    """The sending side: takes an offer, gives the answer, and tells at the end what it sent.

    Attributes:
        reports: telemetry of the front camera, where it has any. telemetry: the newest, whole.
    """

    def __init__(self, process: Part) -> None:
        self.process = process
        self.reports: list[dict[str, Any]] = []
        self.telemetry: dict[str, Any] = {}

    async def answer(self, sdp: str, screen: str = "benchmark", *, standby: bool = False) -> str:  # noqa: ARG002
        """Return the answer to an offer of one of the operator's screens."""
        self.process.say({"sdp": sdp})
        return str((await self.process.hear())["sdp"])

    async def finish(self) -> tuple[list[int] | None, int]:
        """Return the capture stamps by picture number (None: they came with the pictures)."""
        self.process.say({})
        told = await self.process.hear()
        return told["stamps_us"], told["bytes"]


class OurSender(Sender):
    """The media process of the product, with the conductor in the place of its link."""

    def __init__(
        self, process: Part, folder: Path, keys: dict[str, dict[str, str]], cameras: int
    ) -> None:
        super().__init__(process)
        self._cameras = cameras
        self._mailbox = ipc.Mailbox(folder, ipc.LINK)
        self._key = load_private_key(json.dumps(keys[OPERATOR]))
        self._trust = load_trust((folder / "trust.json").read_text())
        self._answer: asyncio.Future[str] | None = None
        asyncio.get_running_loop().add_reader(self._mailbox.fileno(), self._on_link)

    async def answer(self, sdp: str, screen: str = "benchmark", *, standby: bool = False) -> str:
        """Return the answer to an offer of one of the operator's screens."""
        claims = SignalClaims(
            iss=OPERATOR,
            aud=VEHICLE,
            role="offer",
            peer="media",
            session=secrets.token_hex(16),
            sdp=sdp,
            cameras=tuple(range(self._cameras)),
            viewer=screen,
            standby=standby,
        )
        token = sign_claims(claims, self._key)
        self._answer = asyncio.get_running_loop().create_future()
        self._mailbox.send(ipc.MEDIA, ipc.with_name(ipc.TO_MEDIA_SIGNAL, OPERATOR, token))
        return await asyncio.wait_for(self._answer, ANSWER_WITHIN_S)

    async def finish(self) -> tuple[list[int] | None, int]:
        """Return no stamps; the bytes are those of the telemetry's rates."""
        asyncio.get_running_loop().remove_reader(self._mailbox.fileno())
        self._mailbox.close()
        return None, int(sum(report["sent_bps"] / 8 for report in self.reports))

    def _on_link(self) -> None:
        while (datagram := self._mailbox.receive()) is not None:
            addressed = ipc.split_name(datagram[1:])
            assert addressed is not None
            if datagram[:1] == ipc.TO_LINK_TELEMETRY:
                self.telemetry = json.loads(addressed.content)
                self.reports.append(self.telemetry["cameras"][0])
                continue
            claims = verify_signed(addressed.content, self._trust)
            waits = self._answer is not None and not self._answer.done()
            if isinstance(claims, SignalClaims) and claims.role == "answer" and waits:
                assert self._answer is not None
                self._answer.set_result(claims.sdp)


def write_agent(folder: Path, buffer: Path, scenario: Scenario) -> dict[str, dict[str, str]]:
    """Write the settings of a media process; return the private keys by name."""
    keys, trusted = {}, []
    for name, role in ((VEHICLE, Role.VEHICLE), (OPERATOR, Role.DRIVER)):
        keys[name], public = generate_identity()
        trusted.append({"id": name, "role": role.value, "public": public})
    (folder / "trust.json").write_text(json.dumps({"identities": trusted}))
    (folder / "device.jwk").write_text(json.dumps(keys[VEHICLE]))
    (folder / "agent.toml").write_text(
        f"""
        vehicle = {{ site = "bench", name = "{VEHICLE}", machine = "none", simulated = true }}
        runtime = {{ dir = ".", record = "record" }}
        keys = {{ device = "device.jwk", trust = "trust.json" }}
        mqtt = {{ host = "127.0.0.1", port = 1 }}
        can = {{ interface = "virtual", channel = "none" }}
        media = {{ ice_addresses = ["127.0.0.1"] }}
        [[cameras]]
        id = 0
        name = "front"
        source = "sim:{buffer}"
        width = {scenario.width}
        height = {scenario.height}
        fps = {scenario.fps}
        bit_rate_bps = {scenario.bit_rate_bps}
        """
        + "".join(
            f"""
            [[cameras]]
            id = {number}
            name = "other {number}"
            source = "sim:{folder / f"other{number}"}"
            width = {OTHER_WIDTH}
            height = {OTHER_HEIGHT}
            fps = {OTHER_FPS}
            bit_rate_bps = {OTHER_BIT_RATE_BPS}
            """
            for number in range(1, scenario.others + 1)
        )
    )
    return keys


@asynccontextmanager
async def our_sender(folder: Path, buffer: Path, scenario: Scenario) -> AsyncIterator[Sender]:
    """Run the product's media process while the block runs."""
    keys = write_agent(folder, buffer, scenario)
    config = ("--config", str(folder / "agent.toml"))
    async with part("vehicle_agent.shell.media", *config) as process:
        await process.until_ready()
        yield OurSender(process, folder, keys, 1 + scenario.others)


@asynccontextmanager
async def stock_sender(folder: Path, buffer: Path, scenario: Scenario) -> AsyncIterator[Sender]:
    """Run a stock aiortc sender while the block runs."""
    del folder
    rate = ("--bit-rate", str(scenario.bit_rate_bps))
    async with part("benchmarks.chains.stock", "send", "--buffer", str(buffer), *rate) as process:
        yield Sender(process)


async def run_chain(ours: bool, pictures: Path, folder: Path, scenario: Scenario) -> Run:
    """Run one chain: warm up, measure, and end it.

    Args:
        ours: our chain, or stock aiortc at both ends.
        pictures: drawn by `benchmarks.chains.pictures`.
        folder: an empty one of this run.
        scenario: what and how long.
    """
    buffer = folder / "camera"
    camera = ("--pictures", str(pictures), "--buffer", str(buffer), "--fps", str(scenario.fps))
    receiver_of = (
        ["benchmarks.chains.ours", "--cameras", str(1 + scenario.others)]
        if ours
        else ["benchmarks.chains.stock", "receive"]
    )
    sending = our_sender if ours else stock_sender
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(part("benchmarks.chains.pictures", *camera))
        await source.until_ready()
        for number in range(1, scenario.others + 1):
            other = (
                *("--pictures", str(pictures.with_name(OTHER_PICTURES))),
                *("--buffer", str(folder / f"other{number}"), "--fps", str(OTHER_FPS)),
            )
            await stack.enter_async_context(part("benchmarks.chains.pictures", *other))
        sender = await stack.enter_async_context(sending(folder, buffer, scenario))
        receiver = await stack.enter_async_context(part(*receiver_of))
        line = Line(scenario.impairment or Impairment())
        await line.open()
        stack.callback(line.close)
        through = scenario.impairment is not None
        offer = (await receiver.hear())["sdp"]
        answer = await sender.answer(line.disguise(offer, 0) if through else offer)
        receiver.say({"sdp": line.disguise(answer, 1) if through else answer})
        await asyncio.sleep(WARM_UP_S)
        line.begin()
        begun_us, before_s = clock.monotonic_us(), [cpu_s(sender.process), cpu_s(receiver)]
        await asyncio.sleep(scenario.seconds)
        ended_us, after_s = clock.monotonic_us(), [cpu_s(sender.process), cpu_s(receiver)]
        receiver.say({})
        seen = (await receiver.hear())["seen"]
        stamps_us, sent_bytes = await sender.finish()
    pairs = [(each[0] if stamps_us is None else stamps_us[each[0]], each[1]) for each in seen]
    within = [(stamp, at) for stamp, at in pairs if begun_us <= at < ended_us]
    if not within:
        raise RuntimeError("no picture came through the chain")
    skips = [each[2] for each in seen if begun_us <= each[1] < ended_us] if ours else [0]
    seconds = (ended_us - begun_us) / 1e6
    return Run(
        latencies_ms=[(at - stamp) / 1000 for stamp, at in within],
        ages_ms=ages_ms(pairs, begun_us, ended_us),
        cpu_s=(sum(after_s) - sum(before_s)) / seconds,
        sender_cpu_s=(after_s[0] - before_s[0]) / seconds,
        shown=len(within) / (scenario.fps * seconds),
        decoded=(len(within) + skips[-1] - skips[0]) / (scenario.fps * seconds),
        rate_bps=8 * sent_bytes / (seconds + WARM_UP_S),
        reports=sender.reports[-round(seconds) :],
    )


def cpu_s(*parts: Part) -> float:
    """Return the processor time that processes have used so far."""
    times = [psutil.Process(each.pid).cpu_times() for each in parts]
    return float(sum(each.user + each.system for each in times))


def ages_ms(pairs: Sequence[tuple[int, int]], begun_us: int, ended_us: int) -> list[float]:
    """Return the age of the newest picture that was there, at even moments."""
    ordered = sorted(pairs, key=lambda pair: pair[1])
    ages: list[float] = []
    newest_us, place = None, 0
    for moment_us in range(begun_us, ended_us, AGE_EVERY_US):
        while place < len(ordered) and ordered[place][1] <= moment_us:
            newest_us = max(newest_us or 0, ordered[place][0])
            place += 1
        if newest_us is not None:
            ages.append((moment_us - newest_us) / 1000)
    return ages
