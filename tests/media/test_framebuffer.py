"""The shared picture buffer gives whole, newest pictures across processes and writer restarts."""

from __future__ import annotations

import multiprocessing
import select
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vehicle_agent.shell.framebuffer import FrameReader, FrameWriter, Picture

WIDTH, HEIGHT = 320, 180
WAIT_S = 10.0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[FrameReader]:
    made = FrameReader(tmp_path)
    yield made
    made.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[FrameWriter]:
    made = FrameWriter(tmp_path, WIDTH, HEIGHT)
    yield made
    made.close()


def plain(value: int) -> Picture:
    return np.full((HEIGHT * 3 // 2, WIDTH), value, np.uint8)


def readable(reader: FrameReader, timeout_s: float) -> bool:
    return bool(select.select([reader], [], [], timeout_s)[0])


def test_no_writer_yet__nothing_to_read(reader: FrameReader) -> None:
    assert reader.latest() is None


def test_published_picture__is_read_with_its_stamp(
    reader: FrameReader, writer: FrameWriter
) -> None:
    writer.publish(plain(7), 123_456)
    got = reader.latest()
    assert got is not None
    assert (got[0] == 7).all()
    assert got[1:] == (123_456, 1)


def test_several_published__only_the_newest_is_read_and_the_rest_counted(
    reader: FrameReader, writer: FrameWriter
) -> None:
    for value in range(1, 6):
        writer.publish(plain(value), value)
    got = reader.latest()
    assert got is not None
    assert got[1:] == (5, 5)
    assert reader.skipped == 4
    assert reader.latest() is None


def test_publishing__wakes_the_reader_until_it_has_read(
    reader: FrameReader, writer: FrameWriter
) -> None:
    assert not readable(reader, 0)
    writer.publish(plain(1), 1)
    assert readable(reader, WAIT_S)
    reader.latest()
    assert not readable(reader, 0)


def test_two_readers__each_gets_the_picture(
    reader: FrameReader, writer: FrameWriter, tmp_path: Path
) -> None:
    second = FrameReader(tmp_path)
    writer.publish(plain(3), 3)
    assert readable(reader, WAIT_S)
    assert readable(second, WAIT_S)
    assert reader.latest() is not None
    assert second.latest() is not None
    second.close()


def test_reader_that_never_reads__writer_goes_on(reader: FrameReader, writer: FrameWriter) -> None:
    for value in range(2000):
        writer.publish(plain(value % 256), value)
    assert writer.wakes_dropped > 0
    got = reader.latest()
    assert got is not None
    assert got[2] == 2000


def test_reader_that_died__its_socket_is_removed(tmp_path: Path, writer: FrameWriter) -> None:
    dead = tmp_path / "reader-1-1.sock"
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(dead))
    writer.publish(plain(1), 1)
    assert not dead.exists()


def test_new_writer_with_another_size__reader_follows(tmp_path: Path, reader: FrameReader) -> None:
    first = FrameWriter(tmp_path, WIDTH, HEIGHT)
    first.publish(plain(1), 1)
    assert reader.latest() is not None
    first.close()
    second = FrameWriter(tmp_path, 64, 32)
    second.publish(np.zeros((48, 64), np.uint8), 9)
    got = reader.latest()
    assert got is not None
    assert got[0].shape == (48, 64)
    assert got[1:] == (9, 1)
    second.close()


def test_foreign_file__is_not_read(tmp_path: Path, reader: FrameReader) -> None:
    (tmp_path / "picture.buf").write_bytes(b"x" * 4096)
    assert reader.latest() is None


@pytest.mark.parametrize("size", [(0, 2), (3, 2), (2, 3)])
def test_size_that_i420_cannot_have__is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even width and height"):
        FrameWriter(tmp_path, *size)


def test_picture_of_another_shape__is_refused(writer: FrameWriter) -> None:
    with pytest.raises(ValueError, match="picture must be uint8"):
        writer.publish(np.zeros((HEIGHT, WIDTH), np.uint8), 1)


def _write_as_fast_as_possible(directory: str, count: int) -> None:
    writer = FrameWriter(Path(directory), 640, 360, slots=2)
    for value in range(1, count + 1):
        writer.publish(np.full((540, 640), value % 251, np.uint8), value)
    writer.close()


def test_writer_in_another_process_at_full_speed__no_picture_is_torn(tmp_path: Path) -> None:
    """Two slots and no pause between pictures: the writer laps the reader all the time."""
    count = 3000
    reader = FrameReader(tmp_path)
    process = multiprocessing.get_context("spawn").Process(
        target=_write_as_fast_as_possible, args=(str(tmp_path), count)
    )
    process.start()
    seen = last = 0
    while last < count:
        assert readable(reader, 30.0), "the writer went silent"
        got = reader.latest()
        if got is None:
            continue
        picture, stamp_us, last = got
        assert stamp_us == last
        assert (picture == last % 251).all()
        seen += 1
    process.join()
    reader.close()
    assert seen > 10
