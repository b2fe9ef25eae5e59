"""A viewer with a second connection at hand: real peers, and lines that are cut between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiortc.mediastreams import MediaStreamError

from benchmarks.chains.relay import Impairment, Line
from operator_console.core import standby
from operator_console.shell.picture_peer import PicturePeer
from operator_console.shell.viewer import HeadlessViewer
from protocol.errors import Refusal
from tests.media.rig import (
    LOOPBACK,
    OBSERVER,
    WAIT_S,
    Rig,
    Viewing,
    signal,
    viewing,
)
from vehicle_agent.core.queueing import Flow, QueueWatch
from vehicle_agent.shell import clock, media
from vehicle_agent.shell.viewer_peer import ViewerPeer
from vehicle_agent.shell.viewers import SHOW, FrameAnnouncer, ViewerLink, ViewerTrack

NOTHING = Impairment(rates=((0.0, 0.0),))
"""Of a line that carries everything until it is begun, and then no more."""
OTHER_PATH = ["127.0.0.2"]
BORNE_US = 60_000_000


class Wire(Line):
    """A line that is cut by `begin`.

    Attributes:
        media: RTP packets (RFC 3550) that the machine has sent by it; RTCP is none (RFC 5761).
    """

    def __init__(self) -> None:
        super().__init__(NOTHING)
        self.media = 0

    def carry(self, side: int, data: bytes, sender: tuple[str, int]) -> None:
        is_rtp = data[0] >> 6 == 2 and not 192 <= data[1] <= 223
        self.media += side == 1 and is_rtp
        super().carry(side, data, sender)


Patience = Callable[[int], None]
"""Sets how long a silence is borne, in µs."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    """Let a standby be set up with the first picture, and a busy computer be no silence."""

    def bear(silence_us: int) -> None:
        monkeypatch.setattr(standby, "LEAST_SILENCE_US", silence_us)
        monkeypatch.setattr(standby, "MOST_SILENCE_US", silence_us)

    monkeypatch.setattr(standby, "STEADY_US", 0)
    bear(BORNE_US)
    return bear


class Keeper:
    """Carries a viewer's offers of a standby, each by a wire of its own.

    Attributes:
        wires: of the shown connection first, then of each standby.
    """

    def __init__(self, rig: Rig, stack: AsyncExitStack) -> None:
        self._rig = rig
        self._stack = stack
        self.wires: list[Wire] = []

    async def new_wire(self) -> Wire:
        wire = Wire()
        await wire.open()
        self._stack.callback(wire.close)
        self.wires.append(wire)
        return wire

    async def exchange(self, sdp: str) -> str | None:
        wire = await self.new_wire()
        claims = signal(wire.disguise(sdp, 0), standby=True)
        self._rig.send(claims)
        answer = await self._rig.signal_for(claims.session)
        return wire.disguise(answer.sdp, 1)


async def until(holds: Callable[[], bool], view: Viewing) -> None:
    """Look at pictures until it holds."""
    while not holds():
        await view.frame()


@asynccontextmanager
async def kept(rig: Rig) -> AsyncIterator[tuple[Viewing, Keeper]]:
    """Run camera and a viewer whose standby is ready, beside a machine that runs."""
    async with AsyncExitStack() as lines, AsyncExitStack() as stack:
        keeper = Keeper(rig, lines)
        first = await keeper.new_wire()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(rig.film())]
        view = await stack.enter_async_context(viewing(rig, line=first))
        tasks.append(group.create_task(view.viewer.keep_standby(keeper.exchange)))
        await until(lambda: view.viewer.stands_by, view)
        yield view, keeper
        for task in tasks:
            task.cancel()


def shown(rig: Rig) -> ViewerPeer:
    """Return the peer by which pictures go out."""
    (peer,) = [peer for peer in rig.server.peers if not peer.standby]
    return peer


async def test_standby_is_idle__no_picture_goes_there_and_both_are_one_viewer(rig: Rig) -> None:
    async with rig.running(), kept(rig) as (view, keeper):
        report = await rig.report_where(lambda r: r["standby"] == 1)
        first, before, newest = keeper.wires[0], keeper.wires[0].media, (await view.frame()).frame
        await until(lambda: first.media > before + 30, view)

        assert (report["peers"], report["cameras"][0]["viewers"]) == (1, 1)
        assert (await view.frame()).frame > newest
        assert keeper.wires[-1].media == 0


async def test_first_connection_is_cut__pictures_go_on_by_the_standby_and_another_is_set_up(
    rig: Rig, patience: Patience
) -> None:
    async with rig.running(), kept(rig) as (view, keeper):
        (lost, waiting), standby_wire = rig.server.peers, keeper.wires[-1]
        queue, stamps = lost.link.queue, [(await view.frame()).capture_stamp_us]
        keeper.wires[0].begin()
        patience(100_000)
        while view.viewer.turned == 0:
            stamps.append((await view.frame()).capture_stamp_us)
        patience(BORNE_US)
        while len(stamps) < 5:
            stamps.append((await view.frame()).capture_stamp_us)

        assert stamps == sorted(set(stamps))
        assert standby_wire.media > 0
        assert (lost.standby, waiting.standby) == (True, False)
        assert rig.server.feeds[0].tracks == set(waiting.tracks)
        assert waiting.link.queue is queue
        assert view.viewer.unread == 0
        await until(lambda: view.viewer.stands_by, view)
        async with asyncio.timeout(WAIT_S):
            await lost.ended.wait()


async def test_machine_ends_the_first_connection__the_standby_is_sent_the_pictures_unasked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PicturePeer, "ask", lambda _: None)
    async with rig.running(), kept(rig) as (view, keeper):
        waiting, wire = rig.server.peers[-1], keeper.wires[-1]
        shown(rig).end()
        await until(lambda: wire.media > 0, view)

        assert not waiting.standby
        assert rig.server.feeds[0].tracks == set(waiting.tracks)


def ask(peer: ViewerPeer) -> None:
    """Let a viewer have asked for its pictures on that connection."""
    peer.announcer._on_message(json.dumps(SHOW))


async def test_viewer_asks_on_a_standby_that_is_ending__the_first_connection_keeps_the_pictures(
    rig: Rig,
) -> None:
    async with rig.running(), kept(rig) as (view, _):
        first, waiting = rig.server.peers
        waiting.end()
        ask(waiting)
        while_it_is_known = first.standby
        await until(lambda: waiting not in rig.server.peers, view)
        ask(waiting)

        assert not while_it_is_known
        assert not first.standby
        assert rig.server.feeds[0].tracks == set(first.tracks)


async def test_no_place_for_another_viewer_is_free__a_standby_has_its_screens(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "MAX_PEERS", 1)
    async with rig.running(), kept(rig):
        waiting = rig.server.peers[-1]
        ask(waiting)

        assert shown(rig) is waiting
        assert not rig.server.refused


@asynccontextmanager
async def offered(
    rig: Rig, *, standby: bool
) -> AsyncIterator[tuple[ViewerPeer, Callable[[], Awaitable[None]]]]:
    """Offer another connection of the screen; what is yielded beside it makes it."""
    async with HeadlessViewer(lambda _: None, ice_addresses=LOOPBACK) as viewer:
        claims = signal(await viewer.offer(), standby=standby)
        rig.send(claims)
        answer = await rig.signal_for(claims.session)
        peer = rig.server.peers[-1]

        async def connect() -> None:
            await viewer.accept(answer.sdp)
            await reached(peer.connected)

        yield peer, connect


async def reached(event: asyncio.Event) -> None:
    async with asyncio.timeout(WAIT_S):
        await event.wait()


@pytest.mark.parametrize("limit", ["MAX_PEERS", "MAX_PEERS_OF_ONE"])
async def test_screens_place_has_gone_to_another__its_standby_is_not_shown(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(media, limit, 1)
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view, offered(rig, standby=True) as (waiting, connect):
            await view.frame()
            shown(rig).end()
            await reached(rig.server._gone)
            async with viewing(rig, screen="page-2"):
                await connect()
                ask(waiting)

                assert waiting.standby
                assert rig.server.refused == {Refusal.RATE_LIMITED: 1}


async def test_standby_is_shown_while_a_new_session_connects__only_the_new_session_stays(
    rig: Rig,
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            first = shown(rig)
            async with (
                offered(rig, standby=False) as (new, connect_new),
                offered(rig, standby=True) as (waiting, connect_waiting),
            ):
                await connect_waiting()
                ask(waiting)
                await connect_new()
                await reached(first.ended)
                await reached(waiting.ended)

                assert not waiting.standby
                assert not new.ended.is_set()


async def test_machine_boots_again__both_connections_are_over(rig: Rig) -> None:
    async with rig.running(), kept(rig) as (view, _):
        await rig.boot_again()
        async with asyncio.timeout(WAIT_S):
            await view.viewer.ended.wait()


async def test_viewer_dies__nothing_of_either_connection_stays(rig: Rig) -> None:
    async with rig.running():
        async with kept(rig):
            await rig.report_where(lambda r: (r["peers"], r["standby"]) == (1, 1))
        report = await rig.report_where(lambda r: (r["peers"], r["standby"]) == (0, 0))
        assert report["cameras"][0]["viewers"] == 0


@pytest.fixture
def two_paths(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, standby_addresses=OTHER_PATH)
    yield made
    made.close()


def addresses(sdp: str) -> set[str]:
    """Return the addresses of a description's candidates."""
    lines = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    return {fields[4] for fields in lines}


async def test_second_path_is_set__each_standby_goes_by_the_path_that_the_pictures_do_not(
    two_paths: Rig,
) -> None:
    rig, answers = two_paths, list[set[str]]()

    async def exchange(sdp: str) -> str:
        claims = signal(sdp, standby=True)
        rig.send(claims)
        answer = (await rig.signal_for(claims.session)).sdp
        answers.append(addresses(answer))
        return answer

    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            (first,) = rig.server.peers
            offers = [HeadlessViewer(lambda _: None, ice_addresses=LOOPBACK) for _ in range(2)]
            async with offers[0] as second, offers[1] as third:
                await second.accept(await exchange(await second.offer()))
                async with asyncio.timeout(WAIT_S):
                    await rig.server.peers[1].connected.wait()
                rig.server._show(rig.server.peers[1])
                await third.accept(await exchange(await third.offer()))
            assert answers == [set(OTHER_PATH), set(LOOPBACK)]
            assert first.standby


async def test_screen_has_trouble_with_its_path__a_new_session_may_go_by_either(
    two_paths: Rig,
) -> None:
    rig = two_paths
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            async with HeadlessViewer(lambda _: None, ice_addresses=LOOPBACK) as again:
                claims = signal(await again.offer())
                rig.send(claims)
                answer = (await rig.signal_for(claims.session)).sdp
            assert addresses(answer) == {*LOOPBACK, *OTHER_PATH}


async def test_standby_of_a_screen_that_is_shown_nothing__is_refused_and_counted(
    rig: Rig,
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig, operator=OBSERVER):
            async with HeadlessViewer(lambda _: None, ice_addresses=LOOPBACK) as viewer:
                rig.send(signal(await viewer.offer(), standby=True))
            await rig.report_where(lambda r: r["refused"] == {Refusal.NOT_ALLOWED.value: 1})
            assert [peer.operator for peer in rig.server.peers] == [OBSERVER]


def standing_by(rig: Rig) -> ViewerTrack:
    """The first camera's track of another connection, which stands by."""
    feed, announcer = rig.server.feeds[0], FrameAnnouncer(QueueWatch())
    return ViewerTrack(feed, announcer, ViewerLink(), leading=True, waits=True)


async def test_another_connection_takes_over_from_a_fresh_key_frame__it_begins_with_that_one(
    rig: Rig,
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            track = standing_by(rig)
            track.take_over()
            unit = await track.next_access_unit()
            track.stop()

    assert (unit.frame_counter, unit.key) == (1, True)


async def test_another_connection_takes_over_within_a_run_of_pictures__a_key_frame_is_asked_for(
    rig: Rig,
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            await rig.publish()
            await view.frame()
            rig.let_time_pass(1_000_000)
            track = standing_by(rig)
            track.take_over()
            await rig.publish()
            unit = await track.next_access_unit()
            track.stop()

    assert (unit.frame_counter, unit.key) == (3, True)


async def test_stream_that_has_ended_is_to_send__the_camera_does_not_get_it(rig: Rig) -> None:
    async with rig.running():
        await rig.server.ready.wait()
        feed = rig.server.feeds[0]
        asked, read = (
            ViewerTrack(feed, FrameAnnouncer(QueueWatch()), ViewerLink(), leading=True, waits=waits)
            for waits in (True, False)
        )
        asked.stop()
        asked.take_over()
        read.stop()
        with pytest.raises(MediaStreamError):
            await read.next_access_unit()

        assert not feed.tracks


def test_pictures_go_another_way__what_waited_is_answered_for_by_the_first_echo_there() -> None:
    before, after = ViewerLink(), ViewerLink()
    echoed(before.queue, 0, 0, took_us=10)
    before.queue.on_announced((0, 1), 100)
    after.continue_from(before)
    held = after.queue.flow(150_000)
    echoed(after.queue, 2, 200_000, took_us=10)

    assert held is Flow.HOLD
    assert after.queue.flow(200_020) is Flow.SEND


def test_pictures_go_a_longer_way__how_long_it_takes_is_learnt_from_the_first_echo_there() -> None:
    before, after = ViewerLink(), ViewerLink()
    echoed(before.queue, 0, 0, took_us=10)
    after.continue_from(before)
    echoed(after.queue, 1, 200_000, took_us=190_000)
    after.queue.on_announced((0, 2), 400_000)

    assert after.queue.late == 0
    assert after.queue.flow(590_000) is Flow.SEND
    assert after.queue.flow(650_000) is not Flow.SEND


class FakeConnection:
    """Of a peer that is not connected."""

    def on(self, event: str, callback: Callable[..., None]) -> None:
        pass


def connection(*, standby: bool) -> ViewerPeer:
    """Return a peer without a connection."""
    return ViewerPeer(signal("v=0", standby=standby), FakeConnection())  # type: ignore[arg-type]


def test_old_way_echoes_late__nothing_is_learnt_from_it_of_the_longer_new_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = connection(standby=False), connection(standby=True)
    queue = before.link.queue
    echoed(queue, 0, 0, took_us=10_000)
    queue.on_announced((0, 1), 100_000)
    after.take_over([before])
    monkeypatch.setattr(clock, "monotonic_us", lambda: 115_000)
    before.announcer._on_message('{"c": 0, "f": 1}')
    echoed(after.link.queue, 2, 133_000, took_us=150_000)
    queue.on_announced((0, 3), 300_000)

    assert after.link.queue is after.announcer.queue is queue
    assert queue.late == 0
    assert queue.flow(440_000) is Flow.SEND


def echoed(queue: QueueWatch, number: int, sent_us: int, *, took_us: int) -> None:
    """Let a picture be sent, announced and echoed."""
    queue.on_sent(1000, sent_us)
    queue.on_announced((0, number), sent_us)
    queue.on_echo((0, number), sent_us + took_us)
