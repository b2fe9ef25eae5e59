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
from vehicle_agent.shell.cameras import (
    LATE_FOR_US,
    LATE_MAX_US,
    SILENT_US,
    Camera,
    CameraCounters,
    Picture,
    SimulatedCamera,
    ThreadedCamera,
    fit_i420,
    open_camera,
)
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.framebuffer import FrameReader, FrameWriter
from vehicle_agent.shell.picture_watch import BlankWatch, ChangeCount, FrozenWatch
from vehicle_agent.shell.sources import (
    DRIVER_STAMP_MAX_AGE_US,
    MJPG,
    Arrived,
    DriverClock,
    SourceLost,
    SourcePicture,
    SourcePictures,
    Wait,
    negotiate,
    stamped,
    stream_pictures,
)

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
    still_waits = asyncio.create_task(camera.newest())
    await asyncio.sleep(0)
    camera.close()
    still_waits.cancel()
    assert isinstance(camera, SimulatedCamera)
    await asyncio.to_thread(camera._thread.shutdown)
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


PERIOD_US = 40_000


def still(level: int = 0) -> Picture:
    return np.full((HEIGHT * 3 // 2, WIDTH), level, np.uint8)


class FakeSource:
    """Gives pictures as old as told, each once the one before was taken, and counts its openings.

    Attributes:
        closed: how often it was closed.
    """

    def __init__(self, ages_us: list[int], level_step: int = 1) -> None:
        self._ages_us = ages_us
        self._step = level_step
        self.opened = 0
        self.closed = 0

    def open(self, wait: Wait) -> SourcePictures:
        self.opened += 1
        try:
            for number, age_us in enumerate(self._ages_us):
                stamp_us = clock.monotonic_us() - age_us
                yield SourcePicture(still(number * self._step % 256), stamp_us)
            wait(WAIT_S)
        finally:
            self.closed += 1


async def camera_on(source: FakeSource, kind: str = "rtsp://camera") -> ThreadedCamera:
    return ThreadedCamera(settings(kind), source.open)


async def test_picture_that_was_old_when_it_came__is_not_handed_out() -> None:
    camera = await camera_on(FakeSource([LATE_MAX_US + 1000, LATE_MAX_US + 1000, 0]))
    async with asyncio.timeout(WAIT_S):
        picture = await camera.newest()
    camera.close()
    assert picture.number == 1
    assert camera.counters.late == 2


async def test_pictures_late_for_long__the_source_is_lost_and_so_opened_again() -> None:
    camera = await camera_on(FakeSource([]))
    camera.close()
    late, since_us = SourcePicture(still(), 0), LATE_MAX_US + 1
    camera._take(late, since_us)
    camera._take(late, since_us + LATE_FOR_US - 1)
    with pytest.raises(SourceLost, match=r"pictures come 2500 ms late"):
        camera._take(late, since_us + LATE_FOR_US)


async def test_source_that_ends__is_closed_and_opened_again() -> None:
    class Ending(FakeSource):
        def open(self, wait: Wait) -> SourcePictures:
            for picture in super().open(wait):
                yield picture
                return

    source = Ending([0])
    camera = await camera_on(source)
    async with asyncio.timeout(WAIT_S):
        await camera.newest()
        await camera.newest()
    camera.close()
    assert source.opened == 2
    assert camera.counters.opened == 2


def arrivals(lags_us: list[int], drift_ppm: int = 0) -> list[Arrived]:
    """Return a stream of a camera whose own clock is elsewhere and runs a little wrong."""
    picture = still()
    taken_us = [1_000_000_000 + n * PERIOD_US for n in range(len(lags_us))]
    return [
        Arrived(picture, 77 + n * PERIOD_US * (1_000_000 + drift_ppm) // 1_000_000, taken + lag)
        for n, (taken, lag) in enumerate(zip(taken_us, lags_us, strict=True))
    ]


def errors_us(lags_us: list[int], drift_ppm: int = 0) -> list[int]:
    """Return how much later than its capture each picture was stamped."""
    stamps_us = [picture.capture_stamp_us for picture in stamped(arrivals(lags_us, drift_ppm))]
    return [stamp - 1_000_000_000 - n * PERIOD_US for n, stamp in enumerate(stamps_us)]


def test_stream_that_stalled__its_old_pictures_keep_their_time_of_capture() -> None:
    stall_us = [max(0, 2_000_000 - n * PERIOD_US) for n in range(50)]
    errors = errors_us([5_000] * 100 + stall_us + [5_000] * 10)
    assert max(errors) <= 5_000 + 1_000
    assert min(errors) >= 0


def test_stream_late_for_minutes__the_lag_is_not_forgotten() -> None:
    errors = errors_us([5_000] * 100 + [405_000] * (120_000_000 // PERIOD_US))
    assert max(errors) <= 5_000 + 25_000


@pytest.mark.parametrize("drift_ppm", [-100, 100])
def test_camera_clock_that_runs_wrong__makes_no_lag(drift_ppm: int) -> None:
    pictures = 600_000_000 // PERIOD_US
    errors = errors_us([5_000] * pictures, drift_ppm)
    assert max(errors) <= 5_001
    assert min(errors) >= 4_990


async def test_stream_that_ends__its_pictures_came_with_the_streams_own_stamps(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "clip.avi"
    await asyncio.to_thread(write_clip, clip, 6)
    wanted = settings("rtsp://camera").model_copy(update={"source": str(clip)})
    pictures = await asyncio.to_thread(lambda: list(stream_pictures(wanted)))
    stamps_us = [picture.pts_us for picture in pictures]
    assert stamps_us[-3:] == [60_000, 80_000, 100_000]
    assert pictures[-1].i420.shape == (HEIGHT * 3 // 2, WIDTH)
    assert abs(int(pictures[-1].i420[0, 0]) - 220) < 5


def test_stream_without_time_stamps__is_refused() -> None:
    with pytest.raises(SourceLost, match="no time stamps"):
        next(stamped([Arrived(still(), None, 1)]))


class FakeDevice:
    """A device that gives a rate for each format; sizes as asked, up to its largest."""

    def __init__(self, rates_fps: dict[float, float], largest: tuple[int, int]) -> None:
        self._rates_fps = rates_fps
        self._largest = largest
        self._set: dict[int, float] = {cv2.CAP_PROP_FOURCC: RAW}

    def get(self, what: int, /) -> float:
        found = {
            cv2.CAP_PROP_FPS: self._rates_fps[self._set[cv2.CAP_PROP_FOURCC]],
            cv2.CAP_PROP_FRAME_WIDTH: min(self._set.get(what, 0.0), self._largest[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: min(self._set.get(what, 0.0), self._largest[1]),
        }
        return found.get(what, self._set.get(what, 0.0))

    def set(self, what: int, value: float, /) -> bool:
        takes = what != cv2.CAP_PROP_FOURCC or value in self._rates_fps
        self._set |= {what: value} if takes else {}
        return takes


RAW = 1.0


@pytest.mark.parametrize(
    ("rates_fps", "chosen"),
    [({RAW: 30.0, MJPG: 30.0}, RAW), ({RAW: 10.0, MJPG: 30.0}, MJPG), ({RAW: 10.0}, RAW)],
    ids=["raw-is-quick", "raw-is-slow", "raw-only"],
)
def test_device__is_asked_for_jpeg_only_where_raw_pictures_come_too_slowly(
    rates_fps: dict[float, float], chosen: float
) -> None:
    device = FakeDevice(rates_fps, (1920, 1080))
    negotiate(device, settings("/dev/video0"))
    assert device.get(cv2.CAP_PROP_FOURCC) == chosen
    assert device.get(cv2.CAP_PROP_FRAME_WIDTH) == WIDTH


def test_device_that_gives_less_than_was_asked_for__is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    negotiate(FakeDevice({RAW: 15.0}, (160, 120)), settings("/dev/video0"))
    said = "/dev/video0 gives 160x120 at 15 Hz; 320x180 at 30 Hz were asked for"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_driver_stamp_of_our_clock__is_believed_also_when_old() -> None:
    driver = DriverClock()
    assert driver.stamp_us(1_000_000, 1_010_000) == 1_000_000
    late_us = 2_000_000 + DRIVER_STAMP_MAX_AGE_US
    assert driver.stamp_us(1_500_000, late_us) == 1_500_000


@pytest.mark.parametrize("driver_us", [5, 99_000_000])
def test_driver_stamp_of_another_clock__is_replaced_by_now(driver_us: int) -> None:
    assert DriverClock().stamp_us(driver_us, 10_000_000) == 10_000_000


def test_driver_slow_to_start__its_first_old_stamps_are_believed_too() -> None:
    driver = DriverClock()
    told = [(60_000_000, 60_700_000), (60_300_000, 60_800_000), (60_600_000, 60_900_000)]
    assert [driver.stamp_us(*each) for each in told] == [60_000_000, 60_300_000, 60_600_000]


def test_driver_that_shows_our_clock_later__pictures_from_before_are_left_out() -> None:
    driver = DriverClock()
    told = [(0, 60_700_000), (60_300_000, 60_800_000), (60_750_000, 60_900_000)]
    assert [driver.stamp_us(*each) for each in told] == [60_700_000, None, 60_750_000]


def test_picture_that_repeats_itself__grows_old_after_the_time() -> None:
    watch = FrozenWatch(after_us=100)
    stamps_us = [watch.stamp_us(still(7), taken_us) for taken_us in (1000, 1050, 1099, 1100, 1150)]
    assert stamps_us == [1000, 1050, 1099, 1000, 1000]
    assert watch.stamp_us(still(8), 1200) == 1200


def test_picture_with_a_sensors_noise__is_live() -> None:
    rng = np.random.default_rng(3)
    watch = FrozenWatch(after_us=1)
    for taken_us in range(1000, 60_000, 1000):
        noisy = still(100) + rng.integers(0, 2, (HEIGHT * 3 // 2, WIDTH), np.uint8)
        assert watch.stamp_us(noisy, taken_us) == taken_us


async def test_device_that_hangs__its_stamp_stands_still_and_it_is_counted() -> None:
    camera = await camera_on(FakeSource([]), "/dev/video0")
    for now_us in (5_000_000, 5_999_000, 6_000_000):
        camera._put(still(1), now_us, now_us)
    async with asyncio.timeout(WAIT_S):
        picture = await camera.newest()
    camera.close()
    assert (picture.capture_stamp_us, picture.taken_us) == (5_000_000, 6_000_000)
    assert camera.counters.frozen == 1
    assert camera.counters.trouble(6_000_000) == "the same picture again and again"


async def test_recording_of_a_standing_world__is_not_held_for_frozen() -> None:
    camera = await camera_on(FakeSource([]), "file:/clip.avi")
    for now_us in (5_000_000, 9_000_000):
        camera._put(still(1), now_us, now_us)
    camera.close()
    assert camera.counters.frozen == 0


def test_pictures_that_do_not_come__are_said_to_be_missing() -> None:
    counters = CameraCounters(expected_us=1_000_000)
    assert counters.trouble(1_000_000 + SILENT_US - 1) == ""
    assert counters.trouble(4_500_000) == "no picture for 3 s"


def test_camera_nobody_waits_for__is_not_said_to_be_silent() -> None:
    assert CameraCounters().trouble(9_000_000) == ""


def scene(brightness: float, seed: int = 1) -> Picture:
    """Return a picture of blocks up to so bright, with a sensor's noise."""
    rng = np.random.default_rng(seed)
    blocks = np.random.default_rng(5).random((9, 16)).repeat(20, 0).repeat(20, 1) * brightness
    luma = 16 + blocks + rng.normal(0, 6, (HEIGHT, WIDTH))
    whole = np.full((HEIGHT * 3 // 2, WIDTH), 128.0)
    whole[:HEIGHT] = luma
    clipped: Picture = np.clip(whole, 0, 255).astype(np.uint8)
    return clipped


def lamp_at_night() -> Picture:
    """Return a dark picture with one small lamp far away."""
    picture = scene(0.0)
    picture[85:93, 150:158] = 120
    return picture


def blank_after(picture: Picture, contrast: int = 4) -> list[bool]:
    """Return what is told of pictures each 100 ms for a second, with 500 ms to wait."""
    watch = BlankWatch(contrast, 500_000)
    return [watch.is_blank(picture, n * 100_000) for n in range(10)]


@pytest.mark.parametrize("level", [16, 60, 235])
def test_picture_that_shows_nothing__is_blank_after_the_time(level: int) -> None:
    assert blank_after(still(level)) == [False] * 6 + [True] * 4


def test_covered_lens_with_a_sensors_noise__is_blank() -> None:
    assert blank_after(scene(0.0))[-1]


@pytest.mark.parametrize("picture", [scene(12.0), scene(200.0), lamp_at_night()])
def test_dark_place_with_a_little_light__is_no_blank_picture(picture: Picture) -> None:
    assert not any(blank_after(picture))


def test_contrast_of_nothing_asked_for__nothing_is_blank() -> None:
    assert not any(blank_after(still(16), contrast=0))


def test_picture_shows_something_again__is_no_longer_blank() -> None:
    watch = BlankWatch(4, 0)
    assert watch.is_blank(still(16), 0)
    assert not watch.is_blank(scene(100.0), 200_000)


async def test_camera_is_covered__says_that_its_picture_shows_nothing() -> None:
    camera = await camera_on(FakeSource([]), "file:/clip.avi")
    for now_us in (5_000_000, 7_000_000):
        camera._put(still(16), now_us, now_us)
    assert camera.counters.trouble(7_000_000).startswith("the picture shows nothing")
    camera._put(scene(90.0), 7_300_000, 7_300_000)
    assert camera.counters.trouble(7_300_000) == ""
    camera.close()


def test_scene_that_stands_still_under_noise__has_not_changed() -> None:
    changes = ChangeCount()
    assert {changes.count(scene(100.0, seed)) for seed in range(20)} == {0}


def test_scene_that_moves__is_counted() -> None:
    changes = ChangeCount()
    moving = [np.roll(scene(100.0), 20 * step, axis=1) for step in range(4)]
    assert [changes.count(picture) for picture in moving] == [0, 1, 2, 3]


def test_lamp_that_flickers__is_no_change_of_the_scene() -> None:
    changes = ChangeCount()
    assert [changes.count(picture) for picture in (scene(0.0), lamp_at_night())] == [0, 0]


async def test_camera_has_its_own_delay__the_capture_stamp_is_set_back_by_it() -> None:
    slow = settings("file:/clip.avi").model_copy(update={"own_delay_ms": 80})
    camera = ThreadedCamera(slow, FakeSource([]).open)
    camera._put(still(1), 5_000_000, 5_000_000)
    async with asyncio.timeout(WAIT_S):
        picture = await camera.newest()
    camera.close()
    assert (picture.capture_stamp_us, picture.taken_us) == (4_920_000, 5_000_000)
