"""What is recorded, live for Foxglove: what is shown, what never, and by what protocol."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from recording import channels
from recording.segment import Segment
from vehicle_agent.shell.live import Live, is_shown

SUBPROTOCOL = "foxglove.sdk.v1"


@pytest.mark.parametrize("topic", [channels.BOOT, channels.KEY, channels.INPUTS, channels.OUTPUTS])
def test_what_could_forge_commands__is_not_shown(topic: str) -> None:
    assert not is_shown(topic)


@pytest.mark.parametrize("topic", [channels.STATE, channels.EVENT, channels.video_topic(2)])
def test_what_people_look_at__is_shown(topic: str) -> None:
    assert is_shown(topic)


def test_segment_with_a_watch__tells_each_message_as_it_is_written(tmp_path: Path) -> None:
    told: list[tuple[str, int, bytes]] = []
    about = {"version": channels.VERSION, "mono_ns": 0, "utc_ns": 5}
    segment = Segment(tmp_path / "log.mcap", about, watch=lambda *message: told.append(message))

    segment.write(channels.STATE, 7, 0, b"{}")
    segment.close()

    assert (channels.STATE, 7, b"{}") in told
    assert told[0][0] == channels.SESSION


async def test_viewer__is_offered_the_channels_with_their_schemas() -> None:
    live = Live(0, "truck-1")
    for topic in (channels.BOOT, channels.STATE, channels.video_topic(0)):
        live.show(topic, 1, b"{}")
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"http://127.0.0.1:{live.port}", protocols=[SUBPROTOCOL]) as socket,
    ):
        told = [json.loads(await socket.receive_str()) for _ in range(2)]
    live.close()

    offered = {each["topic"]: each["schemaName"] for each in told[1]["channels"]}
    assert told[0]["name"] == "truck-1"
    assert offered == {
        channels.STATE: "headframe.vehicle.state",
        channels.video_topic(0): "foxglove.CompressedVideo",
    }
