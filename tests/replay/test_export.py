"""Exports: tables, a film and bus logs, each read back by the library of those who use it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import av
import can
import numpy as np
import pyarrow.parquet as parquet
import pytest

from headframe import main
from protocol.state import VehicleMode, VehicleState
from recording.reader import open_log
from sim.replay import bus_log, film, tables
from tests.replay.conftest import DARK, PICTURES


def test_film__has_every_picture_at_its_own_time(filmed: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"

    written = film.write_mp4(open_log(filmed), path, 0)

    with av.open(str(path)) as read:
        times_s = [frame.time for frame in read.decode(video=0)]
    assert written == PICTURES
    assert times_s == pytest.approx([0.05 * number for number in range(PICTURES)], abs=1e-3)


def test_film__is_bright_where_nothing_is_drawn_and_red_round_a_stop(filmed: Path) -> None:
    at_ns, picture = next(film.pictures(open_log(filmed), 0))
    state = VehicleState(mode=VehicleMode.STOPPED, cause="L102")

    film.draw(picture, at_ns, state, None)

    assert picture[96, 40].tolist() == pytest.approx([DARK] * 3, abs=6)
    assert picture[96, 0].tolist() == list(film.RED)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360)])
def test_film__has_its_whole_clock_in_the_picture(width: int, height: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    film.draw(picture, 0, None, None)
    columns = np.flatnonzero(picture[: height // 10, width // 2 :].any(axis=(0, 2)))

    assert columns.size > 0
    assert columns.max() < width // 2 - 4


def test_film_of_a_camera_that_there_is_not__is_refused_and_leaves_nothing(
    filmed: Path, tmp_path: Path
) -> None:
    path = tmp_path / "film.mp4"

    with pytest.raises(ValueError, match="no picture of camera 3"):
        film.write_mp4(open_log(filmed), path, 3)
    assert not path.exists()


def test_told__is_the_newest_at_a_time() -> None:
    told = film.Told()
    told.add(10, "a")
    told.add(20, "b")

    assert [told.at(at_ns) for at_ns in (9, 10, 19, 20, 99)] == [None, "a", "a", "b", "b"]


def test_csv__every_table_has_its_rows_and_times(part: Path, tmp_path: Path) -> None:
    counts = tables.write_csv(open_log(part), tmp_path / "out")

    with (tmp_path / "out" / "vehicle_state.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert counts["ticks"] == 120
    assert counts["vehicle_state"] == len(rows) > 0
    assert {"t_s", "utc_ns", "mono_ns", "mode", "speed_mps", "margins.command_ms"} <= rows[0].keys()


def test_parquet__has_the_cells_of_the_rows(part: Path, tmp_path: Path) -> None:
    tables.write_parquet(open_log(part), tmp_path / "out")

    read = parquet.read_table(tmp_path / "out" / "vehicle_state.parquet").to_pylist()
    wanted = [row for name, row in tables.rows(open_log(part)) if name == "vehicle_state"]
    assert [row["speed_mps"] for row in read] == [row["speed_mps"] for row in wanted]
    assert [row["utc_ns"] for row in read] == [row["utc_ns"] for row in wanted]


@pytest.mark.parametrize(
    ("one", "other", "wider"),
    [(int, int, int), (int, float, float), (int, str, str), (type(None), bool, bool)],
)
def test_column__has_a_type_that_holds_all_of_its_cells(
    one: type, other: type, wider: type
) -> None:
    assert tables._wider(one, other) is wider
    assert tables._wider(other, one) is wider


def test_nested_row__is_flat_with_a_dot_between_names() -> None:
    assert tables.flat({"a": {"b": 1}, "c": [1, 2]}) == {"a.b": 1, "c": "[1, 2]"}


@pytest.mark.parametrize(
    ("write", "reader", "ending"),
    [(bus_log.write_asc, can.ASCReader, "asc"), (bus_log.write_blf, can.BLFReader, "blf")],
)
def test_bus_log__python_can_reads_every_frame_again(
    part: Path, tmp_path: Path, write: object, reader: object, ending: str
) -> None:
    path = tmp_path / f"bus.{ending}"
    wanted = Counter((f.arbitration_id, bytes(f.data), f.is_rx) for f in frames_of(part))

    assert callable(write)
    assert callable(reader)
    assert write(open_log(part), path) == wanted.total() > 0
    found = Counter((f.arbitration_id, bytes(f.data), f.is_rx) for f in reader(path))
    assert found == wanted


def frames_of(path: Path) -> list[can.Message]:
    return list(bus_log.frames(open_log(path)))


def test_form_that_there_is_not__is_wrong_usage(part: Path, tmp_path: Path) -> None:
    assert main(["replay", "export", str(part), "--to", "pdf", "--out", str(tmp_path / "x")]) == 2


def test_export_on_the_command_line__says_what_was_written(
    part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bus.blf"

    code = main(["replay", "export", str(part), "--to", "blf", "--out", str(out), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["counts"]["frames"] == len(frames_of(part))
