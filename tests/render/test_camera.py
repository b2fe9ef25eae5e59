"""What a driver relies on in the picture: it is there, it follows the truck, it tells left."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sim.render.camera import CameraOptions, FrontCamera
from sim.render.errors import RenderError
from sim.render.finish import STRIP_ROWS, bonnet_rows
from sim.render.path import lay_rings
from sim.world.site import Site
from tests.render.conftest import SMALL, pose_on

WIDTH, HEIGHT = SMALL.width_px, SMALL.height_px
VIEW = slice(STRIP_ROWS, HEIGHT - bonnet_rows(HEIGHT))
STRAIGHT_M = 130.0


def luma(camera: FrontCamera, site: Site, station_m: float, way: int = 1) -> npt.NDArray[np.int16]:
    picture = camera.picture(pose_on(site, station_m, way), exposure_us=0)
    return picture[:HEIGHT].astype(np.int16)


def difference(first: npt.NDArray[np.int16], second: npt.NDArray[np.int16]) -> float:
    return float(np.abs(first[VIEW] - second[VIEW]).mean())


def dark_column(picture: npt.NDArray[np.int16]) -> float:
    """Where the drift goes on: the darkest place about the horizon, −1 left … 1 right."""
    horizon = picture[int(0.33 * HEIGHT) : int(0.45 * HEIGHT)].mean(axis=0).astype(np.float32)
    smooth = cv2.GaussianBlur(horizon[None, :], (0, 0), WIDTH / 40)[0]
    return float(np.argmin(smooth)) / WIDTH * 2.0 - 1.0


def sharpest(site: Site, sign: float) -> float:
    return max(site.centre_line, key=lambda point: sign * point.curvature_per_m).station_m


def test_any_pose__picture_is_i420_of_the_asked_size(camera: FrontCamera, site: Site) -> None:
    picture = camera.picture(pose_on(site, STRAIGHT_M), exposure_us=0)
    assert picture.shape == (HEIGHT * 3 // 2, WIDTH)
    assert picture.dtype == np.uint8


def test_any_pose__picture_has_light_and_structure(camera: FrontCamera, site: Site) -> None:
    view = luma(camera, site, STRAIGHT_M)[VIEW]
    assert view.std() > 15
    assert 40 < view.mean() < 130
    assert (view > 250).mean() < 0.01


def test_truck_drives_one_metre__picture_changes(camera: FrontCamera, site: Site) -> None:
    here = luma(camera, site, STRAIGHT_M)
    assert difference(here, luma(camera, site, STRAIGHT_M + 1.0)) > 4


def test_truck_turns_round__picture_changes(camera: FrontCamera, site: Site) -> None:
    ahead = luma(camera, site, STRAIGHT_M)
    assert difference(ahead, luma(camera, site, STRAIGHT_M, way=-1)) > 8


def test_same_pose_and_time__same_bytes(camera: FrontCamera, site: Site) -> None:
    pose = pose_on(site, STRAIGHT_M)
    first = camera.picture(pose, exposure_us=40_000).copy()
    camera.picture(pose_on(site, 400.0), exposure_us=80_000)
    assert np.array_equal(camera.picture(pose, exposure_us=40_000), first)


def test_second_camera_of_the_same_seed__same_bytes(camera: FrontCamera, site: Site) -> None:
    pose = pose_on(site, STRAIGHT_M)
    second = FrontCamera(site, SMALL)
    picture = second.picture(pose, exposure_us=0)
    assert np.array_equal(camera.picture(pose, exposure_us=0), picture)
    second.close()


def test_standing_truck_later__dust_and_grain_show_the_picture_lives(
    camera: FrontCamera, site: Site
) -> None:
    pose = pose_on(site, STRAIGHT_M)
    first = camera.picture(pose, exposure_us=0).copy()
    later = camera.picture(pose, exposure_us=33_333)
    changed = first[:HEIGHT][VIEW] != later[:HEIGHT][VIEW]
    assert changed.mean() > 0.2


def test_left_bend__drift_goes_on_at_the_left(camera: FrontCamera, site: Site) -> None:
    assert dark_column(luma(camera, site, sharpest(site, 1.0))) < -0.15


def test_right_bend__drift_goes_on_at_the_right(camera: FrontCamera, site: Site) -> None:
    assert dark_column(luma(camera, site, sharpest(site, -1.0))) > 0.15


def test_straight__drift_goes_on_in_the_middle(camera: FrontCamera, site: Site) -> None:
    assert abs(dark_column(luma(camera, site, STRAIGHT_M))) < 0.15


def test_left_bend_driven_the_other_way__drift_goes_on_at_the_right(
    camera: FrontCamera, site: Site
) -> None:
    assert dark_column(luma(camera, site, sharpest(site, 1.0), way=-1)) > 0.15


def test_closed_line_over_its_seam__picture_goes_on(camera: FrontCamera, site: Site) -> None:
    over_seam = difference(luma(camera, site, site.length_m - 0.02), luma(camera, site, 0.02))
    elsewhere = difference(luma(camera, site, 6.0), luma(camera, site, 6.04))
    assert over_seam < 1.5 * elsewhere


def test_detail_changes_while_driving__picture_never_jumps(camera: FrontCamera, site: Site) -> None:
    pitch_m = lay_rings(site).pitch_m
    stations_m = STRAIGHT_M + np.arange(0.0, 9.0, 0.25) * pitch_m
    pictures = [luma(camera, site, float(station_m)) for station_m in stations_m]
    steps = np.array([difference(*pair) for pair in itertools.pairwise(pictures)])
    assert steps.max() < 2.0 * np.median(steps)


def test_any_two_poses__bonnet_stays_where_it_is(camera: FrontCamera, site: Site) -> None:
    colours = [
        camera.picture(pose_on(site, station_m), exposure_us=0)[-4:].copy()
        for station_m in (STRAIGHT_M, 400.0)
    ]
    assert np.array_equal(colours[0], colours[1])


def test_lamps_without_power__picture_is_darker(camera: FrontCamera, site: Site) -> None:
    dark = FrontCamera(site, replace(SMALL, lamps_lit=False))
    lit_mean = luma(camera, site, STRAIGHT_M)[VIEW].mean()
    dark_mean = luma(dark, site, STRAIGHT_M)[VIEW].mean()
    dark.close()
    assert 25 < dark_mean < lit_mean - 1


@pytest.mark.parametrize(
    "options",
    [
        CameraOptions(width_px=321, height_px=180),
        CameraOptions(width_px=320, height_px=80),
        CameraOptions(scale=0.1),
        CameraOptions(scale=2.0),
    ],
    ids=["odd", "small", "coarse", "fine"],
)
def test_size_that_cannot_be_drawn__is_refused(site: Site, options: CameraOptions) -> None:
    with pytest.raises(RenderError):
        FrontCamera(site, options)
