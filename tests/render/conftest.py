"""A small camera in the shipped drift, built once: building textures takes the time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.render.camera import CameraOptions, CameraPose, FrontCamera
from sim.world.site import Site, load_site

ROOT = Path(__file__).resolve().parents[2]
SITE_FILE = ROOT / "configs" / "sites" / "mine_drift.toml"
MACHINE_FILE = ROOT / "configs" / "machines" / "ug_truck_60t.toml"
SMALL = CameraOptions(width_px=320, height_px=180, scale=1.0)


def pose_on(site: Site, station_m: float, way: int = 1) -> CameraPose:
    """A truck on the centre line, going `way` along it."""
    point = site.pose_at(station_m)
    return CameraPose(
        x_m=point.x_m,
        y_m=point.y_m,
        z_m=point.z_m,
        heading_rad=point.heading_rad + (0.0 if way > 0 else math.pi),
        pitch_rad=way * math.atan(point.grade),
        station_m=point.station_m,
    )


@pytest.fixture(scope="session")
def site() -> Site:
    return load_site(SITE_FILE)


@pytest.fixture(scope="session")
def camera(site: Site) -> Iterator[FrontCamera]:
    built = FrontCamera(site, SMALL)
    yield built
    built.close()
