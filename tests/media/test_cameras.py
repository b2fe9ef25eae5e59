"""Cameras: newest picture, capture stamp, re-opening, and errors in one line."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media.rig import WAIT_S
from vehicle_agent.shell import clock
from vehicle_agent.shell.cameras import Camera, fit_i420, open_camera
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.framebuffer import FrameReader, FrameWriter

WIDTH, HEIGHT = 320, 180


def settings(source: str) -> CameraSettings:
    return CameraSettings(id=3, name="test", source=source, width=WIDTH, height=HEIGHT)


def write_clip(path: Path, pictures: int) -> None:
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (WIDTH * 2, HEIGHT * 2)
    )
    assert writer.isOpened()
    for number in range(pictures):
        writer.write(np.full((HEIGHT * 2, WIDTH * 2, 3), 20 + number * 40, np.uint8))
    writer.release()


async def error_of(camera: Camera) -> str:
    """Wait until the camera's thread has met trouble, without sleeping."""

    def wait() -> str:
        pause = threading.Event()
        for _ in range(1000):
            if camera.counters.error not in ("", "not opened yet"):
                return camera.counters.error
            pause.wait(0.01)
        raise TimeoutError

    return await asyncio.to_thread(wait)


@pytest.mark.parametrize("source", ["", "sim:", "file:", "http://x", "/etc/passwd", "video0"])
async def test_source_of_unknown_kind__is_refused_by_name(source: str) -> None:
    with pytest.raises(ValueError, match="camera 3: source"):
        open_camera(settings(source))


async def test_file__plays_in_a_loop_at_the_wanted_size(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    await asyncio.to_thread(write_clip, clip, 4)
    camera = open_camera(settings(f"file:{clip}"))
    before_us = clock.monotonic_us()
    async with asyncio.timeout(WAIT_S):
        pictures = [await camera.newest() for _ in range(10)]
    camera.close()
    assert {picture.i420.shape for picture in pictures} == {(HEIGHT * 3 // 2, WIDTH)}
    stamps_us = [picture.capture_stamp_us for picture in pictures]
    assert stamps_us == sorted(stamps_us)
    assert before_us <= stamps_us[0] <= stamps_us[-1] <= clock.monotonic_us()
    assert camera.counters.error == ""
    assert camera.counters.opened == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [("file:/nowhere/clip.avi", "no such file"), ("/dev/video99", "no such device")],
)
async def test_source_that_is_not_there__says_so_in_one_line(source: str, reason: str) -> None:
    camera = open_camera(settings(source))
    error = await error_of(camera)
    camera.close()
    assert reason in error
    assert "\n" not in error


async def test_file_that_appears_later__is_opened_then(tmp_path: Path) -> None:
    clip = tmp_path / "late.avi"
    camera = open_camera(settings(f"file:{clip}"))
    assert "no such file" in await error_of(camera)
    await asyncio.to_thread(write_clip, tmp_path / "made.avi", 3)
    await asyncio.to_thread((tmp_path / "made.avi").rename, clip)
    async with asyncio.timeout(WAIT_S):
        assert (await camera.newest()).number >= 1
    camera.close()
    assert camera.counters.error == ""


async def test_simulated_camera__waits_for_the_next_picture(tmp_path: Path) -> None:
    writer = await asyncio.to_thread(FrameWriter, tmp_path, WIDTH, HEIGHT)
    camera = open_camera(settings(f"sim:{tmp_path}"))
    picture = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)
    async with asyncio.timeout(WAIT_S):
        await asyncio.to_thread(writer.publish, picture, 11)
        assert (await camera.newest()).capture_stamp_us == 11
        waiting = asyncio.create_task(camera.newest())
        await asyncio.to_thread(writer.publish, picture, 22)
        assert (await waiting).capture_stamp_us == 22
    camera.close()
    await asyncio.to_thread(writer.close)


async def test_simulated_pictures_nobody_took__are_dropped_and_counted(tmp_path: Path) -> None:
    writer = await asyncio.to_thread(FrameWriter, tmp_path, WIDTH, HEIGHT)
    camera = open_camera(settings(f"sim:{tmp_path}"))
    picture = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)
    for stamp_us in range(1, 8):
        await asyncio.to_thread(writer.publish, picture, stamp_us)
    async with asyncio.timeout(WAIT_S):
        assert (await camera.newest()).capture_stamp_us == 7
    camera.close()
    await asyncio.to_thread(writer.close)
    assert camera.counters.dropped == 6
    assert camera.counters.captured == 7


async def test_camera_closed__its_reader_is_gone(tmp_path: Path) -> None:
    camera = open_camera(settings(f"sim:{tmp_path}"))
    waiting = asyncio.create_task(camera.newest())
    writer = await asyncio.to_thread(FrameWriter, tmp_path, WIDTH, HEIGHT)
    reader = await asyncio.to_thread(FrameReader, tmp_path)
    picture = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)
    await asyncio.to_thread(writer.publish, picture, 1)
    async with asyncio.timeout(WAIT_S):
        await waiting
    camera.close()
    await asyncio.to_thread(writer.close)
    await asyncio.to_thread(reader.close)
    sockets = await asyncio.to_thread(lambda: list(tmp_path.glob("*.sock")))
    assert sockets == []


def test_picture_of_the_wanted_size__is_not_copied() -> None:
    picture = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)
    assert fit_i420(picture, WIDTH, HEIGHT) is picture


def test_picture_of_another_size__keeps_luma_and_chroma_apart() -> None:
    picture = np.full((360 * 3 // 2, 640), 50, np.uint8)
    picture[360:450] = 90
    picture[450:] = 170
    fitted = fit_i420(picture, WIDTH, HEIGHT)
    assert fitted.shape == (HEIGHT * 3 // 2, WIDTH)
    assert (fitted[:HEIGHT] == 50).all()
    assert (fitted[HEIGHT : HEIGHT * 5 // 4] == 90).all()
    assert (fitted[HEIGHT * 5 // 4 :] == 170).all()
