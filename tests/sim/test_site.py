"""The site's geometry: closed, smooth, and located exactly."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.world.files import WorldFileError
from sim.world.site import Site, load_site
from tests.sim.worlds import DRIFT_FILE, STADIUM, stadium

SITE = load_site(DRIFT_FILE)


def test_shipped_drift__is_long_closed_and_tight_as_designed() -> None:
    assert SITE.closed
    assert SITE.length_m >= 800.0
    assert SITE.step_m <= 0.5
    first, last = SITE.centre_line[0], SITE.centre_line[-1]
    assert (last.x_m, last.y_m, last.z_m) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert last.heading_rad - first.heading_rad == pytest.approx(2.0 * math.pi)
    curvatures = [point.curvature_per_m for point in SITE.centre_line]
    assert max(curvatures) == pytest.approx(1.0 / 15.0, rel=1e-3)
    assert min(curvatures) == pytest.approx(-1.0 / 30.0, rel=1e-3)
    grades = [point.grade for point in SITE.centre_line]
    assert (min(grades), max(grades)) == pytest.approx((-1.0 / 7.0, 1.0 / 7.0))
    assert max(point.width_m for point in SITE.centre_line) >= 9.0
    assert min(point.width_m for point in SITE.centre_line) >= 5.5


def test_neighbouring_points__agree_with_heading_grade_and_curvature() -> None:
    for before, after in pairwise(SITE.centre_line):
        run_m = math.hypot(after.x_m - before.x_m, after.y_m - before.y_m)
        course_rad = math.atan2(after.y_m - before.y_m, after.x_m - before.x_m)
        middle_rad = 0.5 * (before.heading_rad + after.heading_rad)
        assert run_m == pytest.approx(SITE.step_m, rel=2e-3)
        assert math.remainder(course_rad - middle_rad, 2.0 * math.pi) == pytest.approx(
            0.0, abs=1e-3
        )
        rise = (after.z_m - before.z_m) / SITE.step_m
        assert rise == pytest.approx(0.5 * (before.grade + after.grade), abs=1e-3)
        turn = (after.heading_rad - before.heading_rad) / SITE.step_m
        assert turn == pytest.approx(
            0.5 * (before.curvature_per_m + after.curvature_per_m), abs=3e-3
        )


def test_two_passages__never_meet_in_plan() -> None:
    points = SITE.centre_line[:-1:4]
    spacing_m = 4 * SITE.step_m
    for index, one in enumerate(points):
        for other_index in range(index + 1, len(points)):
            along_m = (other_index - index) * spacing_m
            if min(along_m, SITE.length_m - along_m) < 60.0:
                continue
            other = points[other_index]
            assert math.hypot(one.x_m - other.x_m, one.y_m - other.y_m) > 20.0


@given(
    station_m=st.floats(0.0, SITE.length_m),
    offset_m=st.floats(-4.5, 4.5),
    hint_m=st.floats(-12.0, 12.0),
)
def test_locate__inverts_pose_and_offset(station_m: float, offset_m: float, hint_m: float) -> None:
    point = SITE.pose_at(station_m)
    found_m, aside_m = SITE.locate(
        point.x_m - offset_m * math.sin(point.heading_rad),
        point.y_m + offset_m * math.cos(point.heading_rad),
        station_m + hint_m,
    )
    assert aside_m == pytest.approx(offset_m, abs=3e-3)
    assert math.remainder(found_m - station_m, SITE.length_m) == pytest.approx(0.0, abs=0.2)


def test_locate_without_hint__finds_the_nearest_passage() -> None:
    point = SITE.pose_at(700.0)
    station_m, offset_m = SITE.locate(point.x_m, point.y_m)
    assert station_m == pytest.approx(700.0, abs=0.01)
    assert offset_m == pytest.approx(0.0, abs=0.01)


def test_stations_beyond_a_closed_line__go_round() -> None:
    assert SITE.pose_at(SITE.length_m + 10.0).x_m == pytest.approx(SITE.pose_at(10.0).x_m)
    assert SITE.pose_at(-10.0).y_m == pytest.approx(SITE.pose_at(SITE.length_m - 10.0).y_m)


def test_zones__cover_the_length_without_gap() -> None:
    assert SITE.zones[0].from_m == 0.0
    assert SITE.zones[-1].to_m == pytest.approx(SITE.length_m)
    assert all(before.to_m == after.from_m for before, after in pairwise(SITE.zones))
    assert SITE.zone_at(500.0).name == "Decline"
    assert SITE.zone_at(500.0).speed_limit_mps == 3.3


def test_stadium__has_the_textbook_length(tmp_path: Path) -> None:
    site = stadium(tmp_path)
    assert site.length_m == pytest.approx(200.0 + 2.0 * (15.0 * math.pi + 8.0))
    assert site.half_width_at(50.0) == pytest.approx(2.75)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("length_m = 100.0", "length_m = 101.0", "misses its start by"),
        ("angle_deg = 180.0", "angle_deg = 170.0", "turns by 350.000°"),
        ("width_m = 5.5", "width_m = nan", "defaults.width_m"),
        ('kind = "arc"', 'kind = "spiral"', "segments.1"),
        ("friction = 0.45", "friction = 0.45\nmud = true", "defaults.mud"),
        ("easing_m = 8.0", "easing_m = 60.0", "turns too little"),
        ('name = "North"', 'name = "North"\nwidth_m = 12.0', "too suddenly"),
        ("start_station_m = 30.0", "start_station_m = 3000.0", "past the end"),
        ("width_easing_m = 6.0", "width_easing_m = 6.0\ngrade_easing_m = 6.0", "not TOML"),
    ],
)
def test_bad_site_file__is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(WorldFileError) as caught:
        stadium(tmp_path, STADIUM.replace(old, new, 1))
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_site_file__is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match="No such file"):
        load_site(tmp_path / "none.toml")


def test_open_line__ends_where_it_ends(tmp_path: Path) -> None:
    straight = STADIUM.split('[[segments]]\nkind = "arc"')[0].replace("true", "false")
    text = straight + '[[segments]]\nkind = "straight"\nname = "Face"\nlength_m = 50.0\n'
    site: Site = stadium(tmp_path, text)
    assert site.length_m == 150.0
    assert site.locate(170.0, 1.0, 140.0) == pytest.approx((150.0, 1.0))
    assert site.wrap(-5.0) == 0.0
