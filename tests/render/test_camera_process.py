"""The camera as a process: newest truth wins, stamps are honest, errors are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sim import camera_process
from sim.camera_process import Truth, TruthFollower, capture_stamp_us
from tests.render.conftest import MACHINE_FILE, ROOT, SITE_FILE
from vehicle_agent.shell.framebuffer import FrameReader


class Waiting:
    """Datagrams that wait to be read."""

    def __init__(self, *datagrams: bytes) -> None:
        self._datagrams = list(datagrams)

    def recv(self) -> bytes | None:
        return self._datagrams.pop(0) if self._datagrams else None


def datagram(t_us: int, **changes: object) -> bytes:
    values: dict[str, object] = {
        "t_us": t_us, "x_m": 1.0, "y_m": 2.0, "z_m": 0.0, "heading_rad": 0.1, "pitch_rad": 0.0,
        "articulation_rad": 0.0, "speed_mps": 1.0, "curvature_per_m": 0.0, "station_m": 3.0,
        "offset_m": 0.0, "contacts": 0, "distance_m": 4.0, "brake_mps2": 0.0, "park": False,
    }  # fmt: skip
    return json.dumps(values | changes).encode()


def follow(*datagrams: bytes) -> TruthFollower:
    follower = TruthFollower(Waiting(*datagrams))
    follower.drain()
    return follower


def newest(follower: TruthFollower) -> Truth:
    assert follower.newest is not None
    return follower.newest


def test_several_wait__newest_stamp_wins() -> None:
    assert newest(follow(datagram(10), datagram(30), datagram(20))).t_us == 30


@pytest.mark.parametrize(
    "bad",
    [b"", b"{}", b"[1]", b"\xff", datagram(20, x_m=None), datagram(20, heading_rad=float("nan"))],
    ids=["empty", "no_keys", "list", "not_text", "null", "nan"],
)
def test_datagram_that_is_not_truth__is_counted_and_changes_nothing(bad: bytes) -> None:
    follower = follow(datagram(10), bad)
    assert follower.refused == 1
    assert newest(follower).t_us == 10


def test_truth__becomes_the_pose_to_draw() -> None:
    pose = newest(follow(datagram(10))).pose()
    assert (pose.x_m, pose.y_m, pose.heading_rad) == (1.0, 2.0, 0.1)
    assert (pose.station_m, pose.travelled_m) == (3.0, 4.0)


def test_truth_known__stamp_is_the_truths_own() -> None:
    assert capture_stamp_us(newest(follow(datagram(1000))), now_us=9000) == 1000


def test_truth_from_the_future__stamp_is_now() -> None:
    assert capture_stamp_us(newest(follow(datagram(9000))), now_us=1000) == 1000


def test_no_truth_yet__stamp_is_the_exposure() -> None:
    assert capture_stamp_us(None, now_us=1000) == 1000


def command(tmp_path: Path, site: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", camera_process.__name__),
        *("--site", str(site), "--machine", str(MACHINE_FILE)),
        *("--truth", str(tmp_path / "t"), "--buffer", str(tmp_path / "b")),
        *more,
    ]


@pytest.mark.parametrize(
    ("site", "more"),
    [(Path("nowhere.toml"), ()), (MACHINE_FILE, ()), (SITE_FILE, ("--width", "321"))],
    ids=["missing", "not_a_site", "odd_width"],
)
def test_bad_input__one_line_and_exit_1(tmp_path: Path, site: Path, more: tuple[str, ...]) -> None:
    ended = subprocess.run(
        command(tmp_path, site, *more), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("camera_process: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.system
def test_started__is_ready_after_the_first_picture_and_ends_at_sigterm(tmp_path: Path) -> None:
    small = ("--width", "320", "--height", "180", "--lamps")
    with subprocess.Popen(
        command(tmp_path, SITE_FILE, *small), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        reader = FrameReader(tmp_path / "b")
        got = reader.latest()
        reader.close()
        process.terminate()
        assert "pictures" in process.stdout.readline()
        assert process.wait(20) == 0
    assert got is not None
    assert got[0].shape == (270, 320)
