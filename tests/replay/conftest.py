"""Logs that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from protocol.state import VehicleMode, VehicleState
from recording import channels
from recording.reader import open_log
from recording.segment import Segment
from sim.replay import film
from sim.replay.cut import cut
from sim.replay.times import stop_ns
from tests.replay.shifts import log_of

FIRST_NS, STEP_NS = 1_767_225_600_000_000_000, 50_000_000
PICTURES = 5
DARK = 40


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which the driver opens his hand."""
    return log_of(tmp_path_factory.mktemp("logs"), "driver_lets_go")


@pytest.fixture(scope="session")
def part(stopped: Path) -> Path:
    """A hundred and twenty ticks of it round the stop."""
    log = open_log(stopped)
    at_ns = stop_ns(log, 1)
    return cut(log, stopped.with_name("part.mcap"), at_ns - 7 * 10**8, at_ns + 5 * 10**8).path


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of one camera: each picture brighter than the one before; a state, and no commands."""
    path = tmp_path_factory.mktemp("film") / "filmed.mcap"
    segment = Segment(path, {"version": channels.VERSION, "mono_ns": 0, "utc_ns": FIRST_NS})
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 192, "yuv420p"
    encoder.time_base = film.TIME_BASE
    encoder.options = {"tune": "zerolatency"}
    state = VehicleState(mode=VehicleMode.STOPPED, cause="L102", speed_mps=1.5, steer_measured=0.5)
    segment.write(channels.STATE, FIRST_NS, 0, state.to_json())
    for number in range(PICTURES):
        grey = np.full((192, 320, 3), DARK + 30 * number, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="bgr24")
        frame.pts, frame.time_base = number, film.TIME_BASE
        for packet in encoder.encode(frame):
            unit = CompressedVideo(data=bytes(packet), format="h264")
            at_ns = FIRST_NS + number * STEP_NS
            segment.write(channels.video_topic(0), at_ns, 0, unit.SerializeToString())
    segment.close()
    return path
