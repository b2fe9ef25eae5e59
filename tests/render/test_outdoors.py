"""Pictures under the open sky: each site, each machine's own nose, and what moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sim.machines.cameras import CameraName
from sim.machines.parameters import load_machine
from sim.render.camera import CameraOptions, CameraPose, FrontCamera
from sim.render.errors import RenderError
from sim.render.mounted import mounted
from sim.render.outdoor_textures import LOOKS, panorama
from sim.world.site import Site, load_site
from tests.render.conftest import ROOT

WIDTH, HEIGHT = 320, 180
SMALL = CameraOptions(width_px=WIDTH, height_px=HEIGHT, scale=1.0)
PLACES = {
    "electric_tractor": "farm_field",
    "rigid_truck_55t": "haul_road",
    "roller_13t": "road_section",
    "truck_8x8_50t": "offroad_track",
}
Seen = tuple[Site, FrontCamera]
MACHINES = sorted(path.stem for path in (ROOT / "configs/machines").glob("*.toml"))


def place(machine: str) -> Site:
    return load_site(ROOT / "configs/sites" / f"{PLACES[machine]}.toml")


def options(machine: str, camera: CameraName = "front") -> CameraOptions:
    parts = load_machine(ROOT / "configs/machines" / f"{machine}.toml")
    return mounted(parts, camera, SMALL)


def pose_at(site: Site, station_m: float, site_s: float = 5.0) -> CameraPose:
    point = site.pose_at(station_m)
    return CameraPose(
        point.x_m, point.y_m, point.z_m, point.heading_rad, math.atan(point.grade),
        point.station_m, roll_rad=math.atan(point.cross_slope), site_s=site_s,
    )  # fmt: skip


def colours(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    return cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420)[16:].astype(np.int16)


def differing(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> int:
    """Pixels that clearly changed."""
    return int((np.abs(colours(first) - colours(second)).max(axis=2) > 24).sum())


@pytest.fixture(scope="module", params=PLACES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def front() -> Iterator[Callable[[str], Seen]]:
    """Each machine's front camera in its own place, built once."""

    @cache
    def built(machine: str) -> Seen:
        site = place(machine)
        camera = FrontCamera(site, options(machine))
        opened.append(camera)
        return site, camera

    opened: list[FrontCamera] = []
    yield built
    for camera in opened:
        camera.close()


@pytest.fixture
def seen(machine: str, front: Callable[[str], Seen]) -> Seen:
    return front(machine)


@pytest.fixture
def roller(front: Callable[[str], Seen]) -> Seen:
    return front("roller_13t")


def test_each_place__has_sky_above_ground_and_structure(seen: Seen) -> None:
    site, camera = seen
    shown = colours(camera.picture(pose_at(site, 60.0), 0))
    bluish = shown[:, :, 2] > shown[:, :, 0] + 6
    assert bluish[:40].mean() > 0.1
    assert bluish[80:120, :60].mean() < 0.1
    assert shown[70:110, 20:300].std() > 8
    assert (shown.max(axis=2) > 252).mean() < 0.02


def test_each_place__same_pose_and_time_give_the_same_bytes(
    seen: Seen,
) -> None:
    site, camera = seen
    first = camera.picture(pose_at(site, 60.0), 40_000).copy()
    camera.picture(pose_at(site, 200.0, 9.0), 80_000)
    assert np.array_equal(camera.picture(pose_at(site, 60.0), 40_000), first)


def test_each_place__over_the_seam_of_its_line_the_picture_goes_on(
    seen: Seen,
) -> None:
    site, camera = seen
    before = camera.picture(pose_at(site, site.length_m - 0.01), 0).copy()
    after = camera.picture(pose_at(site, 0.01), 0)
    assert differing(before, after) < 0.04 * WIDTH * HEIGHT


def test_joint_turns__the_drum_in_the_rollers_view_turns(
    roller: Seen,
) -> None:
    site, camera = roller
    pose = pose_at(site, 60.0)
    straight = camera.picture(pose, 0).copy()
    turned = camera.picture(
        replace(pose, heading_rad=pose.heading_rad + 0.3, joint_rad=0.3), 0
    )  # fmt: skip
    assert differing(straight, turned) > 800


def test_person_walks_by_the_sites_clock__the_picture_shows_it(
    roller: Seen,
) -> None:
    site, camera = roller
    early = camera.picture(pose_at(site, 60.0, 5.0), 0).copy()
    later = camera.picture(pose_at(site, 60.0, 12.0), 0)
    assert differing(early, later) > 60


def test_second_camera_of_the_same_seed__same_bytes(roller: Seen) -> None:
    site, camera = roller
    second = FrontCamera(site, options("roller_13t"))
    picture = second.picture(pose_at(site, 60.0), 0)
    second.close()
    assert np.array_equal(camera.picture(pose_at(site, 60.0), 0), picture)


def test_overcast_site__its_sky_is_grey(roller: Seen) -> None:
    site, camera = roller
    dull = FrontCamera(replace(site, weather="overcast"), options("roller_13t"))
    grey = colours(dull.picture(pose_at(site, 60.0), 0))[2:10]
    dull.close()
    blue = colours(camera.picture(pose_at(site, 60.0), 0))[2:10]
    assert np.median(grey[:, :, 2] - grey[:, :, 0]) < 0.5 * np.median(blue[:, :, 2] - blue[:, :, 0])


def test_rear_and_side_cameras__look_back_and_to_their_sides() -> None:
    names: tuple[CameraName, ...] = ("rear", "left", "right")
    yaws_rad = [options("truck_8x8_50t", name).yaw_rad for name in names]
    assert abs(yaws_rad[0]) == pytest.approx(math.pi)
    assert yaws_rad[1] == -yaws_rad[2] > 0.5


@pytest.mark.parametrize("name", ["front", "rear", "left", "right"])
@pytest.mark.parametrize("machine_name", MACHINES)
def test_shipped_machine__mounts_all_four_cameras(machine_name: str, name: CameraName) -> None:
    built = options(machine_name, name)
    assert built.field_of_view_rad > 1.0
    assert (built.model is None) == built.bonnet


def test_camera_that_the_machine_lacks__is_one_line() -> None:
    parts = load_machine(ROOT / "configs/machines/roller_13t.toml")
    bare = replace(parts, plant=replace(parts.plant, cameras={}))
    with pytest.raises(RenderError, match=r"^roller_13t has no camera 'left'$"):
        mounted(bare, "left", SMALL)


@pytest.mark.parametrize("kind", LOOKS)
def test_clouds_high_in_the_sky__are_drawn_out_neither_up_nor_across(kind: str) -> None:
    look = replace(LOOKS[kind], sun_share=0.0)
    sky = panorama(np.random.default_rng(1), look, 0.0, 512)[:54, :, 0].astype(np.float64)
    clouds = sky - sky.mean(axis=1, keepdims=True)
    up, across = (float(np.abs(np.diff(clouds, axis=axis)).mean()) for axis in (0, 1))
    assert 0.8 < up / across < 2.0
