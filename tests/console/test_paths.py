"""Two command paths at the console: the newest state of either, the same bytes on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from operator_console.core.screen import snapshot
from operator_console.core.session import Outgoing
from operator_console.shell.pump import Lane, Pump
from protocol.control_peer import CommandPath
from protocol.errors import Refusal
from tests.console.fakes import ManualClock, MemoryTransport, Rig

MQTT, CHANNEL = CommandPath.MQTT, CommandPath.DATA_CHANNEL


@dataclass
class StuckTransport(MemoryTransport):
    """Takes a message and never lets it go."""

    async def publish(self, message: Outgoing) -> bool:
        self.sent.append(message)
        await asyncio.Event().wait()
        return True


@dataclass
class FakeChannel:
    """Data channels that move the clock with each message and know when there were enough."""

    clock: ManualClock
    enough: int
    commands: list[bytes] = field(default_factory=list)
    stops: list[bytes] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def send_command(self, frame: bytes) -> bool:
        return self._take(self.commands, frame)

    def send_stop(self, token: bytes) -> bool:
        return self._take(self.stops, token)

    def _take(self, taken: list[bytes], data: bytes) -> bool:
        taken.append(data)
        self.clock.advance_ms(50)
        if len(taken) >= self.enough:
            self.done.set()
        return True


async def pumped(work: Coroutine[Any, Any, None], channel: FakeChannel) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await channel.done.wait()
        task.cancel()


def driving() -> Rig:
    rig = Rig()
    rig.session.path(CHANNEL, True)
    rig.ready_to_enable()
    rig.drive_input(enable=True)
    return rig


# ---- states -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [MQTT, CHANNEL])
@pytest.mark.requirement("HF-CMD-17")
def test_state_by_both_paths__counts_once_and_its_copy_is_no_refusal(first: CommandPath) -> None:
    rig = Rig()
    rig.lease()
    rig.clock.advance_ms(20)
    frame = rig.vehicle.state_frame(rig.vehicle_us)
    before = rig.session.state_rate.rate_hz(rig.now_ns)
    for path in (first, CommandPath(1 - first)):
        rig.session.hear_state(frame, rig.now_ns, path)

    assert rig.command().echo_stamp_us == rig.vehicle_us
    assert rig.session.refused == {}
    assert rig.session.state_rate.rate_hz(rig.now_ns) == before + 1
    assert all(rate.rate_hz(rig.now_ns) > 0 for rate in rig.session.state_rates.values())


def test_copy_of_a_state_twice_on_one_path__is_refused() -> None:
    rig = Rig()
    rig.lease()
    rig.clock.advance_ms(20)
    frame = rig.vehicle.state_frame(rig.vehicle_us)
    for path in (MQTT, CHANNEL, CHANNEL):
        rig.session.hear_state(frame, rig.now_ns, path)

    assert rig.session.refused == {Refusal.ECHO_BACKWARDS: 1}


@pytest.mark.requirement("HF-CMD-17")
def test_older_state_by_the_slower_path__is_dropped() -> None:
    rig = Rig()
    rig.lease()
    rig.clock.advance_ms(20)
    older = rig.vehicle.state_frame(rig.vehicle_us, speed_mps=1.0)
    rig.clock.advance_ms(20)
    newer_us = rig.vehicle_us
    rig.session.hear_state(rig.vehicle.state_frame(newer_us, speed_mps=2.0), rig.now_ns, CHANNEL)
    rig.session.hear_state(older, rig.now_ns, MQTT)

    assert rig.session.heard is not None
    assert rig.session.heard.state.speed_mps == 2.0
    assert rig.command().echo_stamp_us == newer_us


def test_forged_copy_of_a_proven_state__is_refused_by_its_tag() -> None:
    rig = Rig()
    rig.lease()
    rig.clock.advance_ms(20)
    frame = rig.vehicle.state_frame(rig.vehicle_us)
    rig.session.hear_state(frame, rig.now_ns, MQTT)
    rig.session.hear_state(frame[:-1] + bytes([frame[-1] ^ 1]), rig.now_ns, CHANNEL)

    assert rig.session.refused == {Refusal.BAD_TAG: 1}
    assert rig.session.state_rates[CHANNEL].rate_hz(rig.now_ns) == 0.0


# ---- paths that come and go ---------------------------------------------------------------


@pytest.mark.parametrize("lost", [MQTT, CHANNEL])
def test_one_of_two_paths_lost_and_back__enable_stays(lost: CommandPath) -> None:
    rig = driving()
    before = rig.command().enable
    rig.session.path(lost, False)
    rig.clock.advance_ms(20)
    without = rig.command().enable
    rig.session.path(lost, True)
    rig.clock.advance_ms(20)

    assert (before, without, rig.command().enable) == (True, True, True)


def test_both_paths_lost_and_one_back__enable_must_be_released_first() -> None:
    rig = driving()
    for path, up in ((MQTT, False), (CHANNEL, False), (CHANNEL, True)):
        rig.session.path(path, up)
    rig.drive_input(enable=True)

    assert not rig.command().enable


@pytest.mark.parametrize(
    ("silent", "expected"), [((), [False, False]), ((1,), [False, True]), ((0,), [True, False])]
)
def test_vehicle_says_that_a_path_is_silent__the_screen_names_it(
    silent: tuple[int, ...], expected: list[bool]
) -> None:
    rig = Rig()
    rig.lease()
    rig.step(20, silent_paths=silent, delivered_pct=(100, 97))
    paths = snapshot(rig.session, rig.now_ns)["console"]["paths"]

    assert [path["out"] for path in paths] == expected
    assert [path["delivered_pct"] for path in paths] == [100, 97]
    assert rig.session.uplink_out(CHANNEL, rig.now_ns) is (1 in silent)


def test_state_silent__no_share_of_a_path_is_claimed() -> None:
    rig = Rig()
    rig.lease()
    rig.step(20, silent_paths=(1,), delivered_pct=(100, 97))
    rig.clock.advance_ms(600)
    paths = snapshot(rig.session, rig.now_ns)["console"]["paths"]

    assert [path["delivered_pct"] for path in paths] == [None, None]
    assert not rig.session.uplink_out(CHANNEL, rig.now_ns)


def test_no_path_stands__driver_is_told_that_the_link_is_lost() -> None:
    rig = Rig()
    rig.lease()
    rig.session.path(MQTT, False)
    message = snapshot(rig.session, rig.now_ns)["console"]["message"]

    assert message["code"] == "C104"


def test_mqtt_lost_and_data_channel_stands__link_is_not_said_to_be_lost() -> None:
    rig = Rig()
    rig.session.path(CHANNEL, True)
    rig.lease()
    rig.session.path(MQTT, False)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["message"] is None or console["message"]["code"] != "C104"
    assert [path["out"] for path in console["paths"]] == [True, False]


def _out(rig: Rig) -> list[bool]:
    return [part["out"] for part in snapshot(rig.session, rig.now_ns)["console"]["paths"]]


def _both_paths() -> Rig:
    rig = Rig()
    rig.session.paths = frozenset(CommandPath)
    rig.session.path(CHANNEL, True)
    rig.lease()
    return rig


@pytest.mark.parametrize(("silent", "expected"), [(MQTT, [True, False]), (CHANNEL, [False, True])])
def test_path_stands_and_brings_no_state_that_the_other_brings__it_is_out(
    silent: CommandPath, expected: list[bool]
) -> None:
    rig = _both_paths()
    frame = rig.vehicle.state_frame(rig.vehicle_us + 1)
    for path in CommandPath:
        rig.session.hear_state(frame, rig.now_ns, path)
    rig.clock.advance_ms(2000)
    other = CommandPath(1 - silent)
    rig.session.hear_state(rig.vehicle.state_frame(rig.vehicle_us), rig.now_ns, other)
    at_the_limit = _out(rig)
    rig.clock.advance_ms(1)

    assert at_the_limit == [False, False]
    assert _out(rig) == expected


def test_path_that_has_brought_nothing_yet__is_out_until_a_copy_comes() -> None:
    rig = _both_paths()
    before = _out(rig)
    frame = rig.vehicle.state_frame(rig.vehicle_us + 1)
    for path in CommandPath:
        rig.session.hear_state(frame, rig.now_ns, path)

    assert (before, _out(rig)) == ([False, True], [False, False])


def test_vehicle_silent_on_both__no_path_is_blamed() -> None:
    rig = _both_paths()
    rig.clock.advance_ms(10_000)

    assert _out(rig) == [False, False]


# ---- the pump -----------------------------------------------------------------------------


@pytest.mark.requirement("HF-CMD-17")
async def test_command__leaves_by_both_paths_with_the_same_bytes() -> None:
    rig = driving()
    line, channel = MemoryTransport(), FakeChannel(rig.clock, 3)
    await pumped(Pump(rig.session, line, rig.clock, direct=channel).send_commands(), channel)

    assert [message.payload for message in line.sent[:2]] == channel.commands[:2]


async def test_command_line_clogged__the_data_channel_goes_on_and_nothing_waits() -> None:
    rig = driving()
    line, channel = StuckTransport(), FakeChannel(rig.clock, 5)
    pump = Pump(rig.session, line, rig.clock, direct=channel)
    await pumped(pump.send_commands(), channel)

    assert len(line.sent) == 1
    assert len(channel.commands) == 5
    assert pump.command_lane.dropped >= 3


@pytest.mark.parametrize("make", [MemoryTransport, StuckTransport])
async def test_stop__leaves_by_every_line_whatever_the_others_do(
    make: Callable[[], MemoryTransport],
) -> None:
    rig = driving()
    commands, words, channel = make(), MemoryTransport(), FakeChannel(rig.clock, 3)
    rig.session.act("stop", rig.now_ns)
    pump = Pump(rig.session, commands, rig.clock, words=words, direct=channel)
    await pumped(pump.send_stops(), channel)

    assert [message.payload for message in words.sent[:2]] == channel.stops[:2]
    assert commands.sent[0].payload == channel.stops[0]


async def test_line_busy__what_comes_meanwhile_is_dropped_and_counted() -> None:
    lane = Lane(StuckTransport())
    task = asyncio.create_task(lane.run())
    taken = [lane.offer(Outgoing("t", b"%d" % number)) for number in range(3)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert taken == [True, False, False]
    assert lane.dropped == 2


def test_no_path_took_a_command__its_rate_is_not_claimed() -> None:
    rig = driving()
    rig.command()

    assert rig.session.command_rate.rate_hz(rig.now_ns) == 0.0
