"""A log in the real console: what is due when, pictures on the page, and that nothing leaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from operator_console.core.screen import snapshot
from operator_console.core.session import Outgoing
from operator_console.shell.viewer import HeadlessViewer
from operator_console.shell.web import serving
from recording.reader import open_log
from sim.replay.play import Nowhere, Playing, Prepared, prepared
from sim.replay.player import Picture, Player, PlayerClock, Reel, Row
from vehicle_agent.shell import clock

S = 1_000_000_000


def test_clock__runs_at_its_speed_and_stands_at_the_end() -> None:
    timer = PlayerClock(100 * S, 110 * S)
    timer.play(0)
    timer.set_speed(2 * S, 2.0)

    assert [timer.at(now_ns) for now_ns in (2 * S, 3 * S, 90 * S)] == [102 * S, 104 * S, 110 * S]


def test_clock__pause_holds_and_play_goes_on_from_there() -> None:
    timer = PlayerClock(0, 100 * S)
    timer.play(0)
    timer.pause(3 * S)
    held_ns = timer.at(50 * S)
    timer.play(60 * S)

    assert held_ns == 3 * S
    assert timer.at(61 * S) == 4 * S


def test_clock__seek_outside_the_log_is_its_nearest_end() -> None:
    timer = PlayerClock(10 * S, 20 * S)
    timer.seek(0, 5 * S)
    low_ns = timer.at(0)
    timer.seek(0, 25 * S)

    assert (low_ns, timer.at(0)) == (10 * S, 20 * S)


@pytest.mark.parametrize("speed", [0.0, -1.0, 11.0, float("nan")])
def test_speed_out_of_range__is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="is wanted"):
        PlayerClock(0, S).set_speed(0, speed)


@pytest.fixture
def player() -> Player:
    """Ten seconds: a state each second, an event at 3 s, 10 pictures/s, a key frame each 2 s."""
    states = Row([n * S for n in range(11)], [b"%d" % n for n in range(11)])
    events = Row([3 * S], [b'{"id": "L101"}'])
    pictures = [
        Picture(n * S // 10, b"%d" % n, key=n % 20 == 0, number=n, changes=0) for n in range(101)
    ]
    return Player(Reel(0, 10 * S, states, events, {0: pictures}))


def numbers(player: Player, now_ns: int) -> list[int]:
    return [each.number for each in player.due(now_ns).pictures[0]]


def test_playing__each_thing_is_due_once(player: Player) -> None:
    player.clock.play(0)
    first = player.due(0)
    later = player.due(3 * S)

    assert first.state == b"0"
    assert later.state == b"3"
    assert later.events == ["L101"]
    assert [each.number for each in later.pictures[0]] == list(range(1, 31))
    assert player.due(3 * S).events == []


def test_seek__pictures_begin_with_the_key_frame_before_and_events_are_not_told(
    player: Player,
) -> None:
    player.due(0)
    player.seek(0, 55 * S // 10)
    due = player.due(0)

    assert [each.number for each in due.pictures[0]] == list(range(40, 56))
    assert due.events == []
    assert due.state == b"5"


def test_seek_back__what_comes_then_follows(player: Player) -> None:
    player.clock.play(0)
    player.due(8 * S)
    player.seek(8 * S, 2 * S)

    assert numbers(player, 8 * S) == [20]
    assert numbers(player, 8 * S + S // 5) == [21, 22]


def test_pause__state_is_told_again_and_again_and_no_picture(player: Player) -> None:
    player.due(0)

    assert [player.due(now_ns).state for now_ns in (S // 100, S // 10)] == [None, b"0"]
    assert numbers(player, S) == []


def test_screen_that_joins__gets_the_key_frame_before(player: Player) -> None:
    player.clock.play(0)
    player.due(3 * S)
    player.want_key(0)

    assert numbers(player, 3 * S) == list(range(20, 31))


@pytest.fixture
def what(filmed: Path) -> Prepared:
    return prepared(open_log(filmed))


async def test_console_that_plays__shows_the_log_and_says_so(what: Prepared) -> None:
    playing = Playing(what)
    now_ns = clock.monotonic_ns()

    playing.step(now_ns)

    shown = snapshot(playing.console.session, now_ns)["vehicle"]
    assert (shown["mode"], shown["cause"], shown["speed_mps"]) == ("STOPPED", "L102", 1.5)
    assert playing.console._config()["replay"] is True


async def test_what_the_console_says__goes_nowhere() -> None:
    nowhere = Nowhere({})

    assert await nowhere.publish(Outgoing("headframe/v1/site/truck/cmd", b"command"))
    assert (nowhere.swallowed, nowhere.wishes.qsize()) == (1, 0)


async def test_page_of_a_console_that_plays__gets_pictures_of_the_log(
    what: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = Playing(what)
    seen = asyncio.Event()
    async with serving(playing.console, playing.add_controls), asyncio.TaskGroup() as group:
        work = (playing.run(), playing.serve_pictures(), playing.console.pump.send_slow())
        tasks = [group.create_task(each) for each in work]
        async with (
            HeadlessViewer(lambda _: None, ice_addresses=["127.0.0.1"]) as viewer,
            aiohttp.ClientSession(f"http://127.0.0.1:{playing.console.port}") as http,
        ):
            counted = viewer._shown._on_decoded

            def on_decoded(*arguments: Any) -> None:
                counted(*arguments)
                seen.set()

            monkeypatch.setattr(viewer._shown, "_on_decoded", on_decoded)
            socket = await http.ws_connect(
                f"/ws?token={playing.console.token}", origin=origin(playing)
            )
            offer = {"t": "offer", "id": "a", "sdp": await viewer.offer(), "cameras": [0]}
            await socket.send_json(offer)
            await viewer.accept(await answer_on(socket))
            await asyncio.wait_for(seen.wait(), 20)
            await socket.close()
        for task in tasks:
            task.cancel()

    assert viewer.taken >= 1


def origin(playing: Playing) -> str:
    return f"http://127.0.0.1:{playing.console.port}"


async def answer_on(socket: aiohttp.ClientWebSocketResponse) -> str:
    async for message in socket:
        content = json.loads(message.data)
        if content["t"] == "answer":
            return str(content["sdp"])
    raise AssertionError("the line ended")


async def test_controls__need_the_token_and_move_the_player(what: Prepared) -> None:
    playing = Playing(what)
    async with (
        serving(playing.console, playing.add_controls),
        aiohttp.ClientSession(origin(playing)) as http,
    ):
        refused = await http.post("/player/do", json={"do": "play"})
        asked = {"do": "seek", "value": 0.0}
        moved = await http.post(f"/player/do?token={playing.console.token}", json=asked)
        wrong = await http.post(f"/player/do?token={playing.console.token}", json={"do": "fly"})
        state = await moved.json()

    assert (refused.status, moved.status, wrong.status) == (403, 200, 400)
    assert (state["at_s"], state["playing"]) == (0.0, False)
