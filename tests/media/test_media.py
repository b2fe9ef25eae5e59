"""The media process end to end: signed offer in, decoded pictures with capture stamps out."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.chains.relay import Impairment, Line
from operator_console.shell.viewer import HeadlessViewer
from protocol.errors import Refusal
from protocol.frames import StateFrame
from protocol.messages import SignalClaims
from protocol.state import VehicleMode, VehicleState
from tests.media.rig import (
    HEIGHT,
    LOOPBACK,
    OBSERVER,
    OPERATOR,
    PERIOD_US,
    STOP_ONLY,
    SUPERVISOR,
    VEHICLE,
    WAIT_S,
    WIDTH,
    Rig,
    Viewing,
    same_capture,
    signal,
    viewing,
)
from vehicle_agent.core.ladder import Ladder
from vehicle_agent.core.queueing import Flow, QueueWatch
from vehicle_agent.shell import clock, ipc, media
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.feed import CameraFeed
from vehicle_agent.shell.framebuffer import FrameWriter
from vehicle_agent.shell.media import MAX_PEERS_OF_ONE, MediaServer
from vehicle_agent.shell.picture_encoder import MIN_KEY_INTERVAL_US, KeyCause
from vehicle_agent.shell.rtc_compat import AccessUnit
from vehicle_agent.shell.viewers import (
    MAX_SEEN,
    MAX_UNITS_WAITING,
    FrameAnnouncer,
    ViewerLink,
    ViewerTrack,
)


async def offer_sdp(cameras: int = 1) -> str:
    """Return a real offer whose viewer is gone already."""
    async with HeadlessViewer(lambda _: None, range(cameras), ice_addresses=LOOPBACK) as viewer:
        return await viewer.offer()


async def follow(rig: Rig, view: Viewing, pictures: int) -> None:
    """See `pictures` pictures, each published after the last was seen."""
    for _ in range(pictures):
        stamp_us = await rig.publish()
        while not same_capture(await view.frame(), stamp_us):
            pass


async def test_viewer_connects__every_picture_comes_with_its_capture_stamp(rig: Rig) -> None:
    async with rig.running():
        stamp_us = await rig.publish()
        async with viewing(rig) as view:
            for number in range(1, 60):
                frame = await view.frame()
                assert (frame.camera, frame.frame) == (0, number)
                assert same_capture(frame, stamp_us)
                stamp_us = await rig.publish()
            assert view.viewer.unread == 0


async def test_link_that_loses_packets__they_are_sent_again_and_the_pictures_go_on(
    rig: Rig,
) -> None:
    line = Line(Impairment(one_way_s=0.005, loss=0.05, seed=5))
    await line.open()
    async with rig.running():
        await rig.publish()
        async with viewing(rig, line=line) as view:
            await view.frame()
            line.begin()
            wanted_us = await rig.publish() + 40 * PERIOD_US
            async with asyncio.TaskGroup() as group:
                filming = group.create_task(rig.film())
                while (await view.frame()).capture_stamp_us < wanted_us:
                    pass
                filming.cancel()
            assert view.viewer.unread == 0
    line.close()
    assert line.lost > 5


async def test_two_cameras__each_has_its_own_stream_in_the_order_asked_for(rig: Rig) -> None:
    async with rig.running():
        for _ in range(3):
            await rig.publish(1)
        stamps_us = {0: await rig.publish(0), 1: await rig.publish(1)}
        async with viewing(rig, cameras=(1, 0)) as view:
            frames = [await view.frame(), await view.frame()]
            assert {frame.camera for frame in frames} == {0, 1}
            assert all(same_capture(frame, stamps_us[frame.camera]) for frame in frames)


async def test_two_viewers__one_encoder_serves_both(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as first:
            await first.frame()
            async with viewing(rig, operator=OBSERVER) as second:
                report = await rig.report_where(lambda r: r["cameras"][0]["viewers"] == 2)
                for _ in range(15):  # longer than the least interval between key frames
                    stamp_us = await rig.publish()
                    assert same_capture(await first.frame(), stamp_us)
                assert (await second.frame()).capture_stamp_us <= stamp_us
                report = await rig.report_where(lambda r: r["cameras"][0]["sent"] == 16)
                assert report["cameras"][0]["key_frames"] == 2
                assert report["peers"] == 2


async def test_newer_session_of_a_screen__replaces_the_older_once_connected(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as older:
            await older.frame()
            async with viewing(rig) as newer:
                async with asyncio.timeout(WAIT_S):
                    await older.viewer.ended.wait()
                rig.let_time_pass(MIN_KEY_INTERVAL_US)
                await follow(rig, newer, 15)
                assert [peer.session for peer in rig.server.peers] == [newer.session]


async def test_second_screen_of_an_operator__the_first_keeps_its_picture(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as driving:
            await driving.frame()
            async with viewing(rig, screen="page-2") as watching:
                await rig.report_where(lambda r: r["cameras"][0]["viewers"] == 2)
                rig.let_time_pass(MIN_KEY_INTERVAL_US)
                await follow(rig, watching, 5)
                await follow(rig, driving, 5)
                assert not driving.viewer.ended.is_set()
                assert [p.viewer for p in rig.server.peers] == ["page-1", "page-2"]


async def test_offers_in_one_burst__no_more_than_the_operators_share_is_served(rig: Rig) -> None:
    offers = [signal(await offer_sdp(), viewer=f"page-{n}") for n in range(MAX_PEERS_OF_ONE + 2)]
    async with rig.running():
        for claims in offers:
            rig.send(claims)
        report = await rig.report_where(lambda r: bool(r["refused"]))
        assert report["refused"] == {Refusal.RATE_LIMITED.value: 2}
        assert len(rig.server.peers) == MAX_PEERS_OF_ONE


async def test_supervisor_beside_a_driver__only_the_drivers_link_sets_the_rate(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig), viewing(rig, operator=SUPERVISOR):
            await rig.report_where(lambda r: r["cameras"][0]["viewers"] == 2)
            assert sorted(t.leading for t in rig.server.feeds[0].tracks) == [False, True]


async def test_offer_that_never_connects__the_older_session_goes_on(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            dead = signal(await offer_sdp())
            rig.send(dead)
            assert (await rig.signal_for(dead.session)).role == "answer"
            await follow(rig, view, 5)
            assert not view.viewer.ended.is_set()


async def test_viewer_says_bye__its_peer_ends_and_the_camera_rests(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            rig.send(signal("", role="bye", session=view.session, cameras=()))
            async with asyncio.timeout(WAIT_S):
                await view.viewer.ended.wait()
            report = await rig.report_where(lambda r: r["peers"] == 0)
            assert report["cameras"][0]["viewers"] == 0


async def test_viewer_is_gone__nothing_of_what_it_was_sent_is_kept(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            (peer,) = rig.server.peers
            histories = [
                vars(sender)["_RTCRtpSender__rtp_history"]
                for sender in peer._connection.getSenders()
            ]
            kept = [len(history) for history in histories]
        await rig.report_where(lambda report: report["peers"] == 0)
    assert min(kept) > 0
    assert [len(history) for history in histories] == [0]


async def test_viewer_is_gone__its_peer_connection_is_freed_without_waiting_for_others_to_go(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "COLLECT_AFTER_S", 0.3)
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            connection = weakref.ref(rig.server.peers[0]._connection)
        await rig.report_where(lambda _: connection() is None)


async def test_bye_of_somebody_else__changes_nothing(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            rig.send(signal("", issuer=OBSERVER, role="bye", session=view.session, cameras=()))
            await follow(rig, view, 5)
            assert not view.viewer.ended.is_set()


async def test_process_ends__viewers_are_told(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            rig.stop.set()
            assert (await rig.signal_for(view.session)).role == "bye"
            async with asyncio.timeout(WAIT_S):
                await view.viewer.ended.wait()


def refused(reason: Refusal) -> Callable[[dict[str, Any]], bool]:
    return lambda report: report["refused"] == {reason.value: 1}


async def test_session_seen_twice__is_refused_and_counted(rig: Rig) -> None:
    async with rig.running():
        claims = signal(await offer_sdp())
        rig.send(claims)
        await rig.signal_for(claims.session)
        rig.send(claims)
        await rig.report_where(refused(Refusal.REPLAYED))


REFUSED_OFFERS: dict[str, tuple[Callable[[str], SignalClaims], Refusal]] = {
    "other vehicle": (lambda sdp: signal(sdp, audience="truck-2"), Refusal.WRONG_AUDIENCE),
    "role that may not see": (lambda sdp: signal(sdp, issuer=STOP_ONLY), Refusal.WRONG_ROLE),
    "vehicle itself": (lambda sdp: signal(sdp, issuer=VEHICLE), Refusal.WRONG_ROLE),
    "an answer": (lambda sdp: signal(sdp, role="answer"), Refusal.WRONG_ROLE),
    "control peer": (lambda sdp: signal(sdp, peer="control"), Refusal.UNKNOWN_KIND),
    "unknown camera": (lambda sdp: signal(sdp, cameras=(9,)), Refusal.OUT_OF_RANGE),
    "no screen": (lambda sdp: signal(sdp, viewer=""), Refusal.MALFORMED),
    "no camera": (lambda sdp: signal(sdp, cameras=()), Refusal.OUT_OF_RANGE),
    "camera twice": (lambda sdp: signal(sdp, cameras=(0, 0)), Refusal.OUT_OF_RANGE),
    "more cameras than sections": (lambda sdp: signal(sdp, cameras=(0, 1)), Refusal.MALFORMED),
    "no description": (lambda _: signal("nonsense"), Refusal.MALFORMED),
    "broken description": (
        lambda sdp: signal(sdp.replace("a=ice-pwd", "a=ice-xxx")),
        Refusal.MALFORMED,
    ),
    "no H.264": (lambda sdp: signal(sdp.replace("H264", "H265")), Refusal.MALFORMED),
}


@pytest.mark.parametrize("case", REFUSED_OFFERS)
async def test_offer_that_does_not_count__is_refused_and_counted(rig: Rig, case: str) -> None:
    make, reason = REFUSED_OFFERS[case]
    async with rig.running():
        rig.send(make(await offer_sdp()))
        await rig.report_where(refused(reason))
        assert rig.server.peers == []


async def test_offer_signed_with_another_key__is_refused_and_counted(rig: Rig) -> None:
    async with rig.running():
        rig.send(signal(await offer_sdp()), key=OBSERVER)
        await rig.report_where(refused(Refusal.BAD_SIGNATURE))


async def test_offer_that_came_under_another_name__is_refused_and_counted(rig: Rig) -> None:
    async with rig.running():
        rig.send(signal(await offer_sdp()), name=OBSERVER)
        await rig.report_where(refused(Refusal.UNKNOWN_IDENTITY))


@pytest.mark.parametrize("datagram", [b"", b"N", b"Nno-separator", b"Xop\0token", b"N\xff\0t"])
async def test_datagram_that_is_no_signal__is_refused_and_counted(
    rig: Rig, datagram: bytes
) -> None:
    async with rig.running():
        rig.send_raw(datagram)
        await rig.report_where(refused(Refusal.MALFORMED))


async def test_token_of_nobody__is_refused_and_counted(rig: Rig) -> None:
    async with rig.running():
        rig.send_raw(ipc.with_name(ipc.TO_MEDIA_SIGNAL, OPERATOR, b"a.b.c"))
        await rig.report_where(refused(Refusal.MALFORMED))


def unit(number: int, *, key: bool = False) -> AccessUnit:
    return AccessUnit((b"p",), number * 3000, key, number, number * 33_333, b"")


class FakeFeed:
    """Just what a track asks of its feed."""

    def __init__(self, rig: Rig) -> None:
        self.settings = rig.settings.cameras[0]
        self.weight = 1
        self.rests = False
        self.joined: list[ViewerTrack] = []
        self.key_requests = 0

    def join(self, track: ViewerTrack) -> None:
        self.joined.append(track)

    def leave(self, track: ViewerTrack) -> None:
        self.joined.remove(track)

    def request_key_frame(self, _: KeyCause = KeyCause.VIEWER) -> None:
        self.key_requests += 1

    def sent_bps(self, _: int) -> int:
        return 2_000_000

    def update_bit_rate(self) -> None:
        """The tracks have their limits."""


async def test_sender_that_does_not_read__holds_few_pictures_and_goes_on_with_a_key_frame(
    rig: Rig,
) -> None:
    feed = FakeFeed(rig)
    stand_in: CameraFeed = feed  # type: ignore[assignment]
    track = ViewerTrack(stand_in, FrameAnnouncer(QueueWatch()), ViewerLink(), leading=True)
    track.put(unit(0, key=True))
    for number in range(1, 100):
        track.put(unit(number))
    track.put(unit(100, key=True))
    track.put(unit(101))
    assert [(await track.next_access_unit()).frame_counter for _ in range(2)] == [100, 101]
    assert track.skipped == 100
    assert feed.key_requests == 100 - MAX_UNITS_WAITING


async def test_stalled_viewer__the_other_one_gets_every_picture(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            feed = rig.server.feeds[0]
            stalled = ViewerTrack(feed, FrameAnnouncer(QueueWatch()), ViewerLink(), leading=False)
            feed.join(stalled)
            await follow(rig, view, 30)
            assert stalled.skipped > 0
            stalled.stop()


async def test_source_faster_than_the_camera_rate__is_thinned_out(rig: Rig) -> None:
    feed = CameraFeed.__new__(CameraFeed)
    feed.settings = rig.settings.cameras[0]
    feed._next_due_us = 0
    taken = [n for n in range(600) if feed._due(1_000_000 + n * 8_333, 30)]
    assert 145 <= len(taken) <= 155


def linked_tracks(rig: Rig) -> tuple[ViewerLink, list[ViewerTrack]]:
    """Return a link with the rig's two cameras, 2 Mbit/s each sent, the first with weight 4."""
    link = ViewerLink()
    tracks = []
    for number, weight in ((0, 4), (1, 1)):
        feed = FakeFeed(rig)
        feed.settings = rig.settings.cameras[number]
        feed.weight = weight
        stand_in: CameraFeed = feed  # type: ignore[assignment]
        tracks.append(ViewerTrack(stand_in, FrameAnnouncer(link.queue), link, leading=True))
    return link, tracks


async def test_link_too_narrow_for_both_cameras__it_is_shared_by_weight(rig: Rig) -> None:
    link, (front, rear) = linked_tracks(rig)
    for track in (front, rear):
        link.on_estimate(track, 2_000_000, 0)
    assert (front.limit_bps, rear.limit_bps) == (3_000_000, 3_000_000)
    link.on_estimate(front, 1_500_000, 1)
    link.on_estimate(rear, 500_000, 1)
    assert (front.limit_bps, rear.limit_bps) == (1_520_000, 380_000)


async def test_much_loss_of_one_camera__the_whole_link_slows_down(rig: Rig) -> None:
    link, (front, rear) = linked_tracks(rig)
    link.on_loss(0.5, 1)
    assert front.limit_bps + rear.limit_bps == 3_000_000


async def test_rate_too_low_for_the_size__the_viewer_reads_smaller_pictures(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            rig.server.feeds[0]._ladder = Ladder(320, 180, 30)
            rig.let_time_pass(MIN_KEY_INTERVAL_US)
            await follow(rig, view, 5)
            assert view.viewer.unread == 0
            report = await rig.report_where(lambda r: r["cameras"][0]["key_frames"] == 2)
            assert report["cameras"][0]["step"] == "320x180@30"
            assert report["cameras"][0]["key_causes"] == {"viewer": 1, "size": 1}


class FakeChannel:
    """A data channel that is full or not as told."""

    def __init__(self) -> None:
        self.readyState = "open"
        self.bufferedAmount = 0
        self.sent: list[str] = []
        self.listeners: dict[str, Callable[..., None]] = {}

    def on(self, event: str, callback: Callable[..., None]) -> None:
        self.listeners[event] = callback

    def send(self, text: str) -> None:
        self.sent.append(text)


def test_channel_that_is_full__the_newest_announcement_wins() -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    channel.bufferedAmount = 1
    for number in range(5):
        timed = replace(unit(number), begun_us=140_000, done_us=150_000)
        announcer.announce(2, timed, 7 + number, sent_us=153_332)
    channel.bufferedAmount = 0
    channel.listeners["bufferedamountlow"]()
    assert channel.sent == ['{"c":2,"f":4,"t":133332,"r":11,"k":0,"b":6668,"d":16668,"s":20000}']
    assert announcer.dropped == 4


def test_announcement_goes_out_and_is_echoed__the_queue_hears_of_both() -> None:
    channel, queue = FakeChannel(), QueueWatch()
    announcer = FrameAnnouncer(queue)
    announcer.attach(channel)  # type: ignore[arg-type]
    announcer.announce(2, unit(4), 7, clock.monotonic_us())
    channel.listeners["message"]('{"c":2,"f":4}')
    announcer.announce(2, unit(5), 8, clock.monotonic_us())
    assert queue.flow(clock.monotonic_us() + 150_000) is Flow.HOLD


def test_echo_tells_the_pages_clock__next_announcement_says_once_how_far_ahead_ours_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    monkeypatch.setattr(clock, "monotonic_us", lambda: 7_000_000)
    channel.listeners["message"]('{"c":2,"f":4,"p":6000000}')
    monkeypatch.setattr(clock, "monotonic_us", lambda: 7_100_000)
    announcer.announce(2, unit(5), 8, clock.monotonic_us())
    announcer.announce(2, unit(6), 9, clock.monotonic_us())

    assert [json.loads(text).get("u") for text in channel.sent] == [1_000_000, None]


@pytest.mark.parametrize("told", ['"6"', "-1", "1e3", "true", "null", str(1 << 53)])
def test_echo_tells_a_clock_that_is_none__nothing_is_said_of_it(told: str) -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    channel.listeners["message"](f'{{"c":2,"f":4,"p":{told}}}')
    announcer.announce(2, unit(5), 8, clock.monotonic_us())

    assert "u" not in json.loads(channel.sent[0])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"c":2}', '{"c":null,"f":4}', b"\xff"])
def test_echo_that_is_none__is_passed_over(text: str | bytes) -> None:
    channel, queue = FakeChannel(), QueueWatch()
    announcer = FrameAnnouncer(queue)
    announcer.attach(channel)  # type: ignore[arg-type]
    announcer.announce(2, unit(4), 7, clock.monotonic_us())
    channel.listeners["message"](text)
    announcer.announce(2, unit(5), 8, clock.monotonic_us())
    assert queue.flow(clock.monotonic_us() + 150_000) is Flow.SEND


async def test_viewer_sees_a_picture__its_echo_has_come_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            echoed: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
            queue = rig.server.peers[0].link.queue
            monkeypatch.setattr(queue, "on_echo", lambda picture, _: echoed.put_nowait(picture))
            await follow(rig, view, 1)
            async with asyncio.timeout(WAIT_S):
                while await echoed.get() != (0, 2):
                    pass


async def test_pictures_would_wait_for_the_drivers_link__none_is_encoded_until_they_pass(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            queue = rig.server.peers[0].link.queue
            monkeypatch.setattr(queue, "flow", lambda _: Flow.HOLD)
            await rig.publish()
            report = await rig.report_where(lambda r: r["cameras"][0]["held"] == 1)
            assert report["cameras"][0]["sent"] == 1
            monkeypatch.setattr(queue, "flow", lambda _: Flow.SEND)
            await follow(rig, view, 3)


async def test_drivers_link_is_away__probes_are_small_key_frames_and_the_rate_comes_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            queue, feed = rig.server.peers[0].link.queue, rig.server.feeds[0]
            monkeypatch.setattr(queue, "flow", lambda _: Flow.PROBE)
            rig.let_time_pass(MIN_KEY_INTERVAL_US)
            await follow(rig, view, 1)
            assert feed._key_frames == {KeyCause.VIEWER: 1, KeyCause.LINK: 1}
            assert feed._encoder.bit_rate_bps == 500_000
            monkeypatch.setattr(queue, "flow", lambda _: Flow.SEND)
            rig.let_time_pass(2 * PERIOD_US)
            await follow(rig, view, 1)
            assert feed._encoder.bit_rate_bps == 3_000_000


async def test_link_found_narrow__is_shared_out_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, (front, rear) = linked_tracks(rig)
    monkeypatch.setattr(link.queue, "take_width_bps", lambda _: 500_000)
    link.flow(front, 0)
    assert (front.limit_bps, rear.limit_bps) == (360_000, 90_000)


@pytest.mark.parametrize("flow", [Flow.KEY, Flow.PROBE])
async def test_key_frame_goes_first__it_is_the_main_cameras_and_the_others_follow_with_theirs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, flow: Flow
) -> None:
    link, (front, rear) = linked_tracks(rig)
    monkeypatch.setattr(link.queue, "flow", lambda _: flow)
    assert (link.flow(rear, 0), link.flow(front, 0)) == (Flow.HOLD, flow)
    assert min(track.feed.key_requests for track in (front, rear)) > 0  # type: ignore[attr-defined]


async def test_main_camera_is_dead__the_next_ones_key_frame_goes_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, (front, rear) = linked_tracks(rig)
    monkeypatch.setattr(link.queue, "flow", lambda _: Flow.KEY)
    monkeypatch.setattr(front.feed, "sent_bps", lambda _: 0)
    assert link.flow(rear, 0) is Flow.KEY


async def test_pictures_were_dropped__a_small_key_frame_goes_out_and_the_size_stays_small(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            queue, feed = rig.server.peers[0].link.queue, rig.server.feeds[0]
            feed._ladder = Ladder(1280, 720, 30)
            monkeypatch.setattr(queue, "flow", lambda _: Flow.KEY)
            await follow(rig, view, 1)
            assert feed._encoder.size == (640, 360)
            assert feed._encoder.bit_rate_bps == 1_500_000
            monkeypatch.setattr(queue, "flow", lambda _: Flow.SEND)
            rig.let_time_pass(PERIOD_US)
            await follow(rig, view, 1)
            assert feed._encoder.size == (640, 360)


async def test_picture_leaves__its_packets_go_before_its_announcement(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (front, _) = linked_tracks(rig)
    channel = FakeChannel()
    front._announcer.attach(channel)  # type: ignore[arg-type]
    front.put(unit(4, key=True))
    await front.next_access_unit()
    monkeypatch.setattr(clock, "monotonic_us", lambda: 153_332)
    front.on_rtp_timestamp(7)
    assert channel.sent == []

    monkeypatch.setattr(clock, "monotonic_us", lambda: 159_999)
    await asyncio.sleep(0)
    assert json.loads(channel.sent[0])["s"] == 20_000


async def test_packet_from_before_the_newest_key_frame__is_not_sent_again(rig: Rig) -> None:
    _, (front, _) = linked_tracks(rig)
    for number, key in ((0, True), (1, False), (2, True)):
        front.put(unit(number, key=key))
        await front.next_access_unit()
        front.on_rtp_timestamp(number * 3_000 - 3_000 & 0xFFFF_FFFF)
    assert not front.may_retransmit(1, 1000, 0)
    assert front.may_retransmit(2, 1000, 3_000)


async def test_camera_is_covered__is_told_once_as_an_event(rig: Rig) -> None:
    dark = np.full((HEIGHT * 3 // 2, WIDTH), 16, np.uint8)
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            for _ in range(4):
                rig.let_time_pass(1_000_000)
                stamp_us = await rig.publish(show=dark)
                while not same_capture(await view.frame(), stamp_us):
                    pass
            report = await rig.report_where(lambda r: r["cameras"][0]["blank"])
            assert report["cameras"][0]["error"].startswith("the picture shows nothing")
            async with asyncio.timeout(WAIT_S):
                event = await rig.events.get()
            assert (event["id"], event["camera"]) == ("V104", 0)
            await rig.report_where(lambda r: r["cameras"][0]["blank"])
            assert rig.events.empty()


async def test_camera_is_silent_after_it_gave_pictures__is_told_as_an_event(rig: Rig) -> None:
    async with rig.running():
        await rig.publish()
        async with viewing(rig) as view:
            await view.frame()
            async with asyncio.timeout(WAIT_S):
                assert (await rig.events.get())["id"] == "V105"


async def test_camera_that_has_not_given_a_picture_yet__is_no_event(rig: Rig) -> None:
    async with rig.running():
        await rig.report_where(lambda r: bool(r["cameras"][0]["error"]))
        assert rig.events.empty()


SEEN = {"age": [60.0, 80.0, 90, 120.5], "split": [1, 5, 20, 2, 3, -0.5]}


def test_page_says_what_it_saw__it_is_kept_for_the_camera() -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    channel.listeners["message"](json.dumps({"c": 2, "seen": SEEN}))
    assert announcer.seen[2].model_dump() == SEEN


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"age": [1, 2, 3]},
        SEEN | {"age": [1, 2, 3]},
        SEEN | {"split": [1e9] * 6},
        SEEN | {"age": ["1"] * 4},
        SEEN | {"more": 1},
    ],
)
def test_page_says_what_cannot_be__it_is_passed_over(wrong: object) -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    channel.listeners["message"](json.dumps({"c": 2, "seen": wrong}))
    assert announcer.seen == {}


def test_page_speaks_of_ever_new_cameras__some_are_kept() -> None:
    channel, announcer = FakeChannel(), FrameAnnouncer(QueueWatch())
    announcer.attach(channel)  # type: ignore[arg-type]
    for camera in range(100):
        channel.listeners["message"](json.dumps({"c": camera, "seen": SEEN}))
    assert len(announcer.seen) == MAX_SEEN


def state_of(**fields: Any) -> bytes:
    """Return a datagram of the guardian's with that state."""
    driving: dict[str, Any] = {"mode": VehicleMode.ACTIVE, "speed_mps": 2.0, "gear": 1}
    state = VehicleState(**(driving | fields))
    text = state.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    return ipc.TO_MEDIA_STATE + StateFrame(False, 1, 0, 0, 1, 1, 1, text).encode(None)


def give(camera: int, faces: str) -> dict[str, Any]:
    return {"id": camera, "name": faces, "source": f"sim:cam{camera}", "faces": faces}


@pytest.fixture
def all_round(rig: Rig) -> MediaServer:
    """Return the server with a front and a rear camera that are not read."""
    cameras = [CameraSettings(**give(0, "front")), CameraSettings(**give(1, "rear"))]
    rig.server._settings = rig.settings.model_copy(update={"cameras": cameras})
    for settings in cameras:
        feed = FakeFeed(rig)
        feed.settings = settings
        rig.server.feeds[settings.id] = feed  # type: ignore[assignment]
    return rig.server


def test_reverse_gear__front_and_rear_camera_change_their_shares(
    all_round: MediaServer, rig: Rig
) -> None:
    shares = []
    for gear in (1, -1, 0):
        rig.send_raw(state_of(gear=gear))
        all_round._on_datagram()
        shares.append((all_round.feeds[0].weight, all_round.feeds[1].weight))
    assert shares == [(1, 1), (1, 4), (4, 1)]


def test_machine_stands_and_cannot_be_driven_off__cameras_rest_until_it_is_armed(
    all_round: MediaServer, rig: Rig
) -> None:
    rests = []
    for mode in (VehicleMode.LEASED, VehicleMode.ARMED):
        rig.send_raw(state_of(mode=mode, speed_mps=0.0))
        all_round._on_datagram()
        rests.append(all_round.feeds[0].rests)
    assert rests == [True, False]


@pytest.mark.parametrize("content", [b"", b"short", state_of()[1:-20]])
def test_state_that_is_none__is_counted_and_changes_nothing(
    all_round: MediaServer, rig: Rig, content: bytes
) -> None:
    rig.send_raw(ipc.TO_MEDIA_STATE + content)
    all_round._on_datagram()
    assert all_round.refused == {Refusal.MALFORMED: 1}


async def test_machine_rests__half_the_pictures_at_half_the_bits_and_all_at_once_again(
    rig: Rig,
) -> None:
    async with rig.running():
        await rig.server.ready.wait()
        feed = rig.server.feeds[0]
        steps = []
        for rests in (False, True, False):
            feed.rests = rests
            steps.append((feed._step(Flow.SEND, 0).fps, feed._encoder.bit_rate_bps))
        assert steps == [(30, 3_000_000), (15, 1_500_000), (30, 3_000_000)]


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, cameras=4)
    yield made
    made.close()


async def test_one_of_four_cameras_dies__the_others_go_on(four: Rig, tmp_path: Path) -> None:
    async with four.running():
        for camera in range(4):
            await four.publish(camera)
        async with viewing(four, cameras=(0, 1, 2, 3)) as view:
            first = [await view.frame() for _ in range(4)]
            assert {frame.camera for frame in first} == {0, 1, 2, 3}
            await asyncio.to_thread(four.writers[2].close)
            four.writers[2] = await asyncio.to_thread(FrameWriter, tmp_path / "spare", 320, 180)
            for _ in range(20):
                stamps_us = {camera: await four.publish(camera) for camera in (0, 1, 3)}
                for _ in stamps_us:
                    frame = await view.frame()
                    assert same_capture(frame, stamps_us[frame.camera])
            sent = [21, 21, 1, 21]
            report = await four.report_where(lambda r: [c["sent"] for c in r["cameras"]] == sent)
            assert report["cameras"][2]["captured"] == 1
