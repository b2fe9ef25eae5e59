"""The control peer's two ends over a real loopback connection: what passes, and who may open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, rtcsctptransport
from OpenSSL import SSL

from operator_console.shell import clock as console_clock
from operator_console.shell import control_peer, rtc_receive
from operator_console.shell.control_peer import SILENT_NS, UPLINK_GRACE_NS, Attempt
from protocol.control_peer import BEAT
from protocol.errors import Refusal
from protocol.frames import COMMAND_BYTES
from tests.peer.rig import DRIVER, OTHER, VEHICLE, WAIT_S, Console, Rig, within
from vehicle_agent.shell import clock, rtc_compat
from vehicle_agent.shell.control_peer import COMMAND_BURST, STOP_BURST

COMMAND = bytes(range(COMMAND_BYTES))
SDP = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
m={kind} 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:0
a=sctp-port:5000
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 00:00
a=setup:actpass
"""


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    async with made.running():
        yield made


@pytest.fixture
async def console(rig: Rig) -> AsyncIterator[Console]:
    made = Console(rig)
    async with made.running():
        yield made


async def left() -> None:
    """Let what was sent leave its channel's buffer."""
    for _ in range(3):
        await asyncio.sleep(0)


async def sent(console: Console) -> None:
    """Send a command behind what was sent before."""
    await left()
    assert console.path.send_command(COMMAND)


async def test_command__arrives_byte_for_byte(rig: Rig, console: Console) -> None:
    assert console.path.send_command(COMMAND)

    assert await within(rig.commands.get()) == COMMAND


async def test_stop__arrives_with_the_name_that_the_offer_was_signed_by(
    rig: Rig, console: Console
) -> None:
    assert console.path.send_stop(b"signed")

    assert await within(rig.stops.get()) == (DRIVER, b"signed")


async def test_state__arrives_byte_for_byte_and_beats_are_no_states(
    rig: Rig, console: Console
) -> None:
    assert rig.peers.peers[0].send(BEAT)
    await left()
    assert rig.peers.peers[0].send(b"state frame")

    assert await within(console.states.get()) == b"state frame"


async def test_second_command_before_the_first_has_left__is_dropped_and_counted(
    rig: Rig, console: Console
) -> None:
    first, second = (console.path.send_command(COMMAND) for _ in range(2))

    assert (first, second) == (True, False)
    assert console.path.counts["not_taken"] == 1


async def test_second_state_before_the_first_has_left__is_dropped_and_counted(
    rig: Rig, console: Console
) -> None:
    rig.peers.send_state(b"one")
    rig.peers.send_state(b"two")

    assert rig.peers.counts["state_dropped"] == 1


async def test_console_that_takes_no_states__its_peer_ends_and_another_goes_on(
    rig: Rig, console: Console
) -> None:
    other = Console(rig, "console-2")
    async with other.running():
        deaf = rig.peers.peers[0]
        assert deaf._control is not None
        deaf._control.transport._remote_max_message_size = 4
        rig.peers.send_state(b"state frame")

        assert await within(other.states.get()) == b"state frame"
        assert deaf.ended.is_set()


async def test_attempt_that_fails_inside__console_goes_on_and_tries_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(rig)
    descriptions = iter([OSError("no address")])
    stock = RTCPeerConnection.createOffer

    async def create_offer(connection: RTCPeerConnection) -> RTCSessionDescription:
        for error in descriptions:
            raise error
        return await stock(connection)

    monkeypatch.setattr(RTCPeerConnection, "createOffer", create_offer)
    async with console.running():
        assert console.path.counts["failed"] == 1


async def test_channel__neither_waits_for_order_nor_sends_again(rig: Rig, console: Console) -> None:
    used = console.path._used
    assert used is not None

    for channel in (used.control, used.stop, rig.peers.peers[0]._control):
        assert channel is not None
        assert (channel.ordered, channel.maxRetransmits) == (False, 0)


@pytest.mark.parametrize("data", [b"", b"\x01" * (COMMAND_BYTES - 1), b"\x01" * 89])
async def test_what_is_no_command__goes_no_further(rig: Rig, console: Console, data: bytes) -> None:
    console.path.send_command(data)
    await sent(console)

    assert await within(rig.commands.get()) == COMMAND
    assert rig.peers.counts == {Refusal.MALFORMED: 1}


async def test_flood_of_stops__commands_of_the_same_console_still_pass(
    rig: Rig, console: Console
) -> None:
    peer = rig.peers.peers[0]
    for _ in range(3 * STOP_BURST):
        rig.peers._on_message(peer, "stop", b"signed")
    await sent(console)

    assert await within(rig.commands.get()) == COMMAND
    assert rig.stops.qsize() <= STOP_BURST + 1
    assert rig.peers.counts[Refusal.RATE_LIMITED] >= 2 * STOP_BURST - 1


async def test_flood_of_commands__no_more_than_a_burst_reaches_the_guardian(
    rig: Rig, console: Console
) -> None:
    for _ in range(10 * COMMAND_BURST):
        rig.peers._on_message(rig.peers.peers[0], "control", COMMAND)

    assert rig.commands.qsize() < 2 * COMMAND_BURST


# ---- who may open -------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["chief", "gate"])
async def test_role_with_a_say__may_open(rig: Rig, operator: str) -> None:
    console = Console(rig, operator)
    async with console.running():
        assert console.path.up


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": "watcher"}, Refusal.WRONG_ROLE),
        ({"issuer": VEHICLE}, Refusal.WRONG_ROLE),
        ({"aud": "truck-2"}, Refusal.WRONG_AUDIENCE),
        ({"role": "answer"}, Refusal.WRONG_ROLE),
        ({"peer": "media"}, Refusal.UNKNOWN_KIND),
        ({"key": "console-2"}, Refusal.BAD_SIGNATURE),
        ({"sdp": "nonsense"}, Refusal.MALFORMED),
        ({"sdp": SDP.format(kind="video")}, Refusal.MALFORMED),
    ],
)
async def test_offer_that_does_not_fit__opens_nothing(
    rig: Rig, console: Console, changes: dict[str, str], reason: Refusal
) -> None:
    token = rig.offer(**{"sdp": SDP.format(kind="application"), **changes})
    rig.peers.take(changes.get("issuer", DRIVER), token)
    await sent(console)
    await within(rig.commands.get())

    assert rig.peers.counts == {reason: 1}
    assert len(rig.peers.peers) == 1


async def test_offer_on_anothers_topic__opens_nothing(rig: Rig, console: Console) -> None:
    rig.peers.take("console-2", rig.offer(SDP.format(kind="application")))
    rig.peers.take("stranger", rig.offer(SDP.format(kind="application")))
    await sent(console)
    await within(rig.commands.get())

    assert rig.peers.counts == {Refusal.UNKNOWN_IDENTITY: 2}


async def test_offer_again__is_refused(rig: Rig, console: Console) -> None:
    rig.peers.take(DRIVER, console.posted[0].payload)
    await sent(console)
    await within(rig.commands.get())

    assert rig.peers.counts == {Refusal.REPLAYED: 1}
    assert len(rig.peers.peers) == 1


async def test_flood_of_offers_by_one__anothers_console_still_opens(rig: Rig) -> None:
    for _ in range(20):
        rig.peers.take("watcher", rig.offer("nonsense", "watcher"))
    console = Console(rig)
    async with console.running():
        assert console.path.up
    assert rig.peers.counts[Refusal.RATE_LIMITED] >= 15


# ---- replacing ----------------------------------------------------------------------------


def _deafened(console: Console) -> Attempt:
    """Let the console hear nothing more by the peer in use, and return that."""
    used = console.path._used
    assert used is not None
    used.control.remove_all_listeners("message")
    return used


async def test_path_silent__new_peer_takes_over_and_the_old_one_ends(
    rig: Rig, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_peer, "OPEN_WITHIN_S", WAIT_S)
    old = rig.peers.peers[0]
    _deafened(console)
    console.clock.advance_ms(SILENT_NS / 1e6 + 1)

    assert not await console.changed()
    assert await console.changed()
    await within(old.ended.wait())
    await sent(console)
    assert await within(rig.commands.get()) == COMMAND


async def test_path_silent_and_no_answer_comes__the_old_peer_goes_on(
    rig: Rig, console: Console
) -> None:
    old = rig.peers.peers[0]
    console.lets_through = False
    console.clock.advance_ms(SILENT_NS / 1e6 + 1)
    console.path._look()  # before the next beat comes
    assert not await console.changed()
    await sent(console)

    assert await within(rig.commands.get()) == COMMAND
    assert await console.changed()  # its beat is heard again
    assert rig.peers.peers == [old]


async def test_path_comes_and_goes_while_a_successor_is_made__both_are_told(
    rig: Rig, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_peer, "OPEN_WITHIN_S", 10 * WAIT_S)
    rig.consoles[DRIVER].clear()  # no answer ever comes
    rig.answered.clear()
    path, used = console.path, _deafened(console)
    console.clock.advance_ms(SILENT_NS / 1e6 + 1)
    told = [await console.changed()]
    await within(rig.answered.wait())
    path._heard(used, BEAT)
    told.append(await console.changed())
    console.clock.advance_ms(SILENT_NS / 1e6 + 1)
    told.append(await console.changed())

    assert told == [False, True, False]
    assert path._tried is not None


async def test_vehicle_hears_nothing_by_this_path__new_peer_takes_over(
    rig: Rig, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = rig.peers.peers[0]
    monkeypatch.setattr(control_peer, "UPLINK_GRACE_NS", 0)
    console.path.uplink_is(out=True)

    await within(old.ended.wait())


async def test_vehicle_hears_nothing_yet_by_a_new_peer__it_is_given_time(
    rig: Rig, console: Console
) -> None:
    console.path.uplink_is(out=True)
    console.clock.advance_ms(UPLINK_GRACE_NS / 1e6 - 1)
    assert console.path._used is not None
    console.path._heard(console.path._used, BEAT)
    soon = console.path._works()
    console.clock.advance_ms(2)

    assert (soon, console.path._works()) == (True, False)


async def test_console_leaves__its_peer_ends(rig: Rig) -> None:
    console = Console(rig)
    async with console.running():
        peer = rig.peers.peers[0]
    await within(peer.ended.wait())


async def test_peer_that_cannot_be_closed__ends_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = set()
    closing = RTCPeerConnection.close

    async def broken(self: RTCPeerConnection) -> None:
        ends.add(self)
        await closing(self)
        raise SSL.Error([])

    console = Console(rig)
    with monkeypatch.context() as patch:
        async with console.running():
            peer = rig.peers.peers[0]
            patch.setattr(RTCPeerConnection, "close", broken)
        await within(peer.ended.wait())
        await left()
        assert len(ends) == 2  # the console's and the vehicle's

    async with Console(rig, OTHER).running():
        assert [each.operator for each in rig.peers.peers] == [OTHER]


async def test_answer_of_another_session__is_refused(rig: Rig, console: Console) -> None:
    console.path.hear_signal(rig.answers[0][1])

    assert console.path.counts[Refusal.REPLAYED] == 1


async def test_answer_signed_by_another__is_refused(rig: Rig, console: Console) -> None:
    token = rig.offer("v=0", "chief", role="answer", aud=DRIVER)
    console.path.hear_signal(token)

    assert console.path.counts == {Refusal.WRONG_ROLE: 1}


def test_sctp__takes_a_loss_for_one_within_a_fifth_of_a_second() -> None:
    rtc_receive.install()

    assert rtcsctptransport.SCTP_RTO_MIN == rtc_compat.SCTP_RTO_MIN_S == 0.2


async def test_sctp__window_never_falls_below_what_50_states_a_second_need() -> None:
    rtc_receive.install()
    connection = rtc_receive.new_peer_connection()
    connection.createDataChannel("any")
    assert connection.sctp is not None
    association: Any = connection.sctp

    association._cwnd = rtcsctptransport.USERDATA_MAX_LENGTH
    least_bytes = association._cwnd
    association._cwnd = 20_000

    assert least_bytes == rtc_compat.SCTP_WINDOW_MIN_BYTES == rtc_receive.SCTP_WINDOW_MIN_BYTES
    assert association._cwnd == 20_000
    await connection.close()


def test_sctp__does_not_read_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    rtc_receive.install()
    monkeypatch.setattr(clock, "monotonic_ns", lambda: 7_000_000_000)
    monkeypatch.setattr(console_clock, "monotonic_ns", lambda: 7_000_000_000)

    assert vars(rtcsctptransport)["time"].time() == 7.0
