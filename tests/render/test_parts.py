"""The parts under the picture: lens, rings, noise."""

from __future__ import annotations

import numpy as np
import pytest

from sim.render.errors import RenderError
from sim.render.noise import periodic_cells, periodic_noise
from sim.render.path import (
    PLAIN_DETAIL,
    WALL_DETAIL,
    DetailRun,
    lay_rings,
    ring_capacity,
    visible_rings,
)
from sim.render.stage import Backend, Frustum, Mesh, Stage, quad_triangles
from sim.world.site import Site

FRUSTUM = Frustum(left=-0.8, right=0.8, bottom=-0.3, top=0.5)
FORWARD, LEFT, UP = np.eye(3)


@pytest.mark.parametrize(
    "point_m",
    [(10.0, 0.0, 0.0), (10.0, 4.0, 2.0), (10.0, -5.0, -1.5)],
    ids=["axis", "left_high", "right_low"],
)
def test_board_at_known_place__appears_where_a_pinhole_puts_it(
    point_m: tuple[float, float, float],
) -> None:
    width, height = 320, 160
    stage = Stage(width, height, FRUSTUM, "software")
    mesh = Mesh(quad_triangles(1), 4)
    stage.add_mesh(mesh, np.full((8, 8, 3), 255, np.uint8))
    corners = np.array([(0, -1, -1), (0, 1, -1), (0, 1, 1), (0, -1, 1)], np.float32) * 0.3
    mesh.write(corners + np.array(point_m, np.float32), np.zeros((4, 2), np.float32),
               np.full((4, 4), 255, np.uint8))  # fmt: skip
    rows, columns = np.nonzero(stage.draw(FORWARD, LEFT, UP)[:, :, 0] > 128)
    stage.close()
    across = (-point_m[1] / point_m[0] - FRUSTUM.left) / (FRUSTUM.right - FRUSTUM.left)
    down = (FRUSTUM.top - point_m[2] / point_m[0]) / (FRUSTUM.top - FRUSTUM.bottom)
    assert columns.mean() + 0.5 == pytest.approx(across * width, abs=1.0)
    assert rows.mean() + 0.5 == pytest.approx(down * height, abs=1.0)


def test_texture__keeps_its_colours_and_stands_upright() -> None:
    stage = Stage(64, 64, Frustum(-0.5, 0.5, -0.5, 0.5), "software")
    mesh = Mesh(quad_triangles(1), 4)
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :, 0] = 200  # the upper half is red
    picture[32:, :, 2] = 100  # the lower half is blue
    stage.add_mesh(mesh, picture)
    corners = np.array([(2, 1, -1), (2, -1, -1), (2, -1, 1), (2, 1, 1)], np.float32)
    texcoord = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    mesh.write(corners, texcoord, np.full((4, 4), 255, np.uint8))
    drawn = stage.draw(FORWARD, LEFT, UP)
    stage.close()
    assert drawn[16, 32, :3] == pytest.approx([0, 0, 200], abs=4)
    assert drawn[48, 32, :3] == pytest.approx([100, 0, 0], abs=4)


def test_back_end_that_is_not_there__is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Backend = "opengl"
    monkeypatch.setattr("sim.render.stage._PIPES", {backend: ("NoSuchPipe", "p3nosuchmodule")})
    with pytest.raises(RenderError, match=r"^renderer 'opengl' is not available on this machine$"):
        Stage(64, 64, FRUSTUM, backend)


@pytest.mark.parametrize("detail", [WALL_DETAIL, PLAIN_DETAIL], ids=["wall", "plain"])
@pytest.mark.parametrize("way", [1, -1])
def test_visible_rings_from_anywhere__fill_their_arrays_and_reach_the_end_of_sight(
    site: Site, detail: tuple[DetailRun, ...], way: int
) -> None:
    rings = lay_rings(site)
    for station_m in np.arange(0.0, 30.0, 0.07):
        numbers = visible_rings(rings, detail, float(station_m), way) * way
        assert len(numbers) == ring_capacity(rings, detail)
        assert numbers[0] * rings.pitch_m <= way * station_m - 5.5
        assert numbers[-1] * rings.pitch_m >= way * station_m + detail[-1].to_m
        assert np.diff(numbers).min() >= 0
        assert np.diff(numbers).max() == detail[-1].stride


def test_coarse_rings__stand_still_while_the_camera_moves(site: Site) -> None:
    rings = lay_rings(site)
    far = WALL_DETAIL[-1]
    for station_m in np.arange(0.0, 10.0, 0.3):
        numbers = visible_rings(rings, WALL_DETAIL, float(station_m), 1)
        coarse = numbers[numbers * rings.pitch_m > station_m + WALL_DETAIL[-2].to_m + 8.0]
        assert not np.any(coarse % far.stride)


def test_rings_of_a_closed_line__divide_by_the_coarsest_stride(site: Site) -> None:
    assert lay_rings(site).count % WALL_DETAIL[-1].ends_on == 0


def test_noise__repeats_without_a_seam() -> None:
    plane = periodic_noise(np.random.default_rng(1), (64, 128), 1.5)
    inside = np.abs(np.diff(plane, axis=0)).mean()
    seam = np.abs(plane[0] - plane[-1]).mean()
    assert seam < 1.5 * inside


def test_cells__repeat_without_a_seam() -> None:
    distance, _ = periodic_cells(np.random.default_rng(1), 64, 20)
    assert np.abs(distance[0] - distance[-1]).max() <= 1.5
    assert np.abs(distance[:, 0] - distance[:, -1]).max() <= 1.5
