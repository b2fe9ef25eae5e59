"""A log opens with the tools of others."""

from __future__ import annotations

from pathlib import Path

from recording import channels
from recording.reader import open_log
from tests.replay.elsewhere import seen


def test_pictures_of_a_log__others_decode_every_one(filmed: Path) -> None:
    found = seen(filmed)

    assert found["pictures"] == {channels.video_topic(0): found["messages"]["/cam/0/video"]}
    assert found["sizes"] == [(320, 192)]


def test_channels_of_a_log__others_read_every_message_by_published_schemas(stopped: Path) -> None:
    found = seen(stopped)

    assert sum(found["messages"].values()) == sum(1 for _ in open_log(stopped).messages())
    assert found["by_foxglove_schema"].keys() == {"foxglove.Log", "foxglove.PoseInFrame"}
