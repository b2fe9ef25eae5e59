"""A drift as the front camera's renderer sees it: surfaces chosen, lit and drawn for one pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.faces import Faces, joined, upright
from sim.render.furniture import Lamp, Quads, furnish, hang_lamps, station_texts
from sim.render.light import EXTINCTION_PER_M, Eye, HeadLamps, Lighting, bake_lamps
from sim.render.outdoor_textures import paint_surface
from sim.render.path import (
    PLAIN_DETAIL,
    WALL_DETAIL,
    DetailRun,
    lay_rings,
    ring_capacity,
    visible_rings,
)
from sim.render.props import mover_faces, obstacle_faces
from sim.render.stage import Backend, Frustum, Mesh, Stage, grid_triangles, quad_triangles
from sim.render.textures import GLOW_REACH, glow_surface, road_surface, rock_surfaces, sign_atlas
from sim.render.tunnel import ROOF_COLUMNS, Grid, Singles, road_grid, services_grid, wall_grid
from sim.world.site import Site

_DETAILS: tuple[tuple[DetailRun, ...], ...] = (WALL_DETAIL, PLAIN_DETAIL)
BOARD_CAPACITY = 400
THINGS = 900
"""Faces of what stands and moves and of the machine itself, at most."""
THINGS_REACH_M = 90.0
GLOW_CAPACITY = 16
_GLOW_SIZE_M = 1.7


@dataclass(slots=True)
class _Surface:
    """A grid with its light, shown by one mesh for each run of columns."""

    grid: Grid
    baked: npt.NDArray[np.float32]
    meshes: list[tuple[slice, Mesh]]
    detail: tuple[DetailRun, ...]
    glossy: bool


class Drift:
    """All surfaces of one site, ready to be drawn from any pose in it.

    Deterministic: the same site, seed, pose and size give the same bytes.
    """

    def __init__(
        self,
        site: Site,
        width_px: int,
        height_px: int,
        frustum: Frustum,
        *,
        seed: int,
        lamps_lit: bool,
        head: HeadLamps,
        backend: Backend,
    ) -> None:
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)]
        self.rings = lay_rings(site)
        self._site = site
        self._stage = Stage(width_px, height_px, frustum, backend)
        self._lighting = Lighting(head)
        atlas = sign_atlas(streams[0], station_texts(self.rings))
        wall_picture, roof_picture = rock_surfaces(streams[1])
        wall = wall_grid(streams[2], self.rings)
        lamps = hang_lamps(streams[3], self.rings)
        self._lamps: tuple[Lamp, ...] = lamps if lamps_lit else ()
        first, last = ROOF_COLUMNS
        services = services_grid(streams[6], self.rings, atlas)
        self._things = Mesh(quad_triangles(THINGS), THINGS * 4, each=4)
        self._things.clear()
        self._stage.add_mesh(self._things, paint_surface(np.random.default_rng(seed)))
        self._movers = [(mover, mover_faces(mover)) for mover in site.things.movers]
        self._standing = []
        for obstacle in site.things.obstacles:
            foot_m = self._foot(obstacle.x_m, obstacle.y_m)
            faces = obstacle_faces(obstacle, 0.5).moved(upright(obstacle.heading_rad), foot_m)
            self._standing.append((faces, foot_m))
        # what stands in front comes first: hidden pixels are then refused before texturing
        self._services = self._surface(services, PLAIN_DETAIL, [(0, None, atlas.picture)])
        self._road = self._surface(
            road_grid(streams[4], self.rings),
            PLAIN_DETAIL,
            [(0, None, road_surface(streams[5]))],
            glossy=True,
        )
        self._wall = self._surface(
            wall,
            WALL_DETAIL,
            [(0, first, wall_picture), (first, last, roof_picture), (last, None, wall_picture)],
        )
        self._surfaces = (self._services, self._road, self._wall)
        self._boards: Quads = furnish(site, self.rings, atlas, lamps, lamps_lit)
        self._board_mesh = Mesh(quad_triangles(BOARD_CAPACITY), BOARD_CAPACITY * 4, each=4)
        self._stage.add_mesh(self._board_mesh, atlas.picture)
        self._glow_mesh = Mesh(quad_triangles(GLOW_CAPACITY), GLOW_CAPACITY * 4, each=4)
        self._stage.add_mesh(self._glow_mesh, glow_surface())

    def close(self) -> None:
        """Give the renderer's buffer back."""
        self._stage.close()

    def _surface(
        self,
        grid: Grid,
        detail: tuple[DetailRun, ...],
        parts: list[tuple[int, int | None, npt.NDArray[np.uint8]]],
        *,
        glossy: bool = False,
    ) -> _Surface:
        """Make a surface of `parts`: first column, last column (None: the grid's), texture."""
        rows = ring_capacity(self.rings, detail)
        meshes = []
        for first, last, picture in parts:
            part = slice(first, grid.position_m.shape[1] if last is None else last + 1)
            columns = part.stop - part.start
            mesh = Mesh(grid_triangles(rows, columns, grid.breaks), rows * columns)
            self._stage.add_mesh(mesh, picture)
            meshes.append((part, mesh))
        return _Surface(grid, bake_lamps(self.rings, grid, self._lamps), meshes, detail, glossy)

    def draw(
        self, eye: Eye, station_m: float, time_s: float = 0.0, body: Faces | None = None
    ) -> npt.NDArray[np.uint8]:
        """Draw the view of `eye`, which is near `station_m`; BGRA, valid until the next call.

        `time_s` is the site's clock, for what moves; `body` the machine itself, in the site.
        """
        ring = round(station_m / self.rings.pitch_m) % self.rings.count
        way = 1 if float(self.rings.ahead[ring] @ eye.forward) >= 0.0 else -1
        numbers = {detail: visible_rings(self.rings, detail, station_m, way) for detail in _DETAILS}
        views = {detail: np.divmod(run, self.rings.count) for detail, run in numbers.items()}
        drawn = numbers[WALL_DETAIL]
        inside = np.zeros(self.rings.count, bool)
        inside[np.arange(drawn.min(), drawn.max() + 1) % self.rings.count] = True
        lamps = [lamp for lamp in self._lamps if lamp.burns and inside[lamp.ring]]
        lamps_m = np.array([lamp.position_m - eye.position_m for lamp in lamps], np.float32)
        lamps_m = lamps_m.reshape(-1, 3)
        for surface in self._surfaces:
            laps, rows = views[surface.detail]
            self._write_surface(surface, eye, rows, laps, lamps_m)
        self._write_boards(eye, inside)
        self._write_glows(eye, lamps_m)
        self._write_things(eye, time_s, body)
        return self._stage.draw(eye.forward, eye.left, eye.up)

    def ambient(self, station_m: float) -> float:
        """Return how much roof-lamp light falls on the truck at `station_m`, about 0…1."""
        ring = round(station_m / self.rings.pitch_m) % self.rings.count
        road = self._road.baked
        return float(min(1.0, road[ring].mean() * 3.0))

    def _write_surface(
        self,
        surface: _Surface,
        eye: Eye,
        picks: npt.NDArray[np.intp],
        laps: npt.NDArray[np.intp],
        lamps_m: Singles,
    ) -> None:
        grid = surface.grid
        relative_m = (grid.position_m[picks] - eye.position_m.astype(np.float32)).reshape(-1, 3)
        normal = grid.normal[picks].reshape(-1, 3)
        texcoord = grid.texcoord[picks]
        if grid.lap:
            # near zero: the renderer keeps texture coordinates in fixed point
            texcoord[:, :, 1] += (laps * grid.lap)[:, None]
            texcoord[:, :, 1] -= np.floor(texcoord[0, 0, 1])
        head = self._lighting.head_light(relative_m, normal, eye)
        lamp = surface.baked[picks].reshape(-1)
        if surface.glossy and len(lamps_m):
            gloss = grid.gloss[picks].reshape(-1)
            lamp = lamp + self._lighting.lamp_gloss(relative_m, gloss, lamps_m)
        distance_m = np.sqrt(np.einsum("ij,ij->i", relative_m, relative_m))
        albedo = grid.albedo[picks].reshape(-1, 3)
        colour = self._lighting.colours(albedo, head, lamp, distance_m)
        points_m = relative_m.reshape(len(picks), -1, 3)
        colour = colour.reshape(len(picks), -1, 4)
        for part, mesh in surface.meshes:
            mesh.write(points_m[:, part], texcoord[:, part], colour[:, part])

    def _write_things(self, eye: Eye, time_s: float, body: Faces | None) -> None:
        """What stands and moves, and the machine itself, in its own beams and dim lamp light."""
        near = [] if body is None else [body]
        for faces, middle_m in self._standing:
            if np.linalg.norm(middle_m - eye.position_m) < THINGS_REACH_M:
                near.append(faces)
        for mover, faces in self._movers:
            x_m, y_m, heading_rad = mover.at(time_s)
            if math.hypot(x_m - eye.position_m[0], y_m - eye.position_m[1]) < THINGS_REACH_M:
                near.append(faces.moved(upright(heading_rad), self._foot(x_m, y_m)))
        if not near:
            self._things.clear()
            return
        faces = joined(near)
        relative_m = faces.corner_m - eye.position_m.astype(np.float32)
        seen = np.nonzero(np.einsum("ij,ij->i", relative_m[:, 0], faces.normal) < 0.0)[0][:THINGS]
        middle_m = relative_m[seen].mean(axis=1)
        head = self._lighting.head_light(middle_m, faces.normal[seen], eye)
        lamp = (0.10 + 0.06 * faces.normal[seen, 2]) * (1.0 if self._lamps else 0.0)
        distance_m = np.linalg.norm(middle_m, axis=1)
        colour = self._lighting.colours(faces.colour[seen], head, lamp, distance_m)
        if len(seen):
            self._things.write(relative_m[seen], faces.texcoord(seen), np.repeat(colour, 4, axis=0))
        else:
            self._things.clear()

    def _foot(self, x_m: float, y_m: float) -> npt.NDArray[np.float64]:
        station_m, _ = self._site.locate(x_m, y_m)
        return np.array((x_m, y_m, self._site.pose_at(station_m).z_m))

    def _write_boards(self, eye: Eye, inside: npt.NDArray[np.bool_]) -> None:
        boards = self._boards
        index = np.nonzero(inside[boards.ring])[0]
        corner_m = boards.corner_m[index] - eye.position_m.astype(np.float32)
        centre_m = corner_m.mean(axis=1)
        distance_m = np.sqrt(np.einsum("ij,ij->i", centre_m, centre_m))
        facing = np.einsum("ij,ij->i", centre_m, boards.normal[index]) < 0.0
        ahead = centre_m @ eye.forward.astype(np.float32) > -1.0
        keep = np.nonzero(facing & ahead)[0]
        keep = keep[np.argsort(distance_m[keep], kind="stable")][:BOARD_CAPACITY]
        index, corner_m, centre_m, distance_m = (
            index[keep], corner_m[keep], centre_m[keep], distance_m[keep],
        )  # fmt: skip
        light = self._lighting.board_light(
            centre_m, boards.normal[index], boards.response[index], eye
        )
        lamp = np.full(len(index), 0.05 if self._lamps else 0.0, np.float32)
        colour = self._lighting.colours(
            np.ones((len(index), 3), np.float32), light, lamp, distance_m * 0.6
        )
        self._board_mesh.write(
            corner_m,
            boards.texcoord[index],
            np.repeat(colour, 4, axis=0),
        )

    def _write_glows(self, eye: Eye, lamps_m: Singles) -> None:
        """A halo in the dust round each lamp, and its image drawn out on the wet floor."""
        corners: list[Singles] = []
        colours: list[npt.NDArray[np.uint8]] = []
        distance_m = np.linalg.norm(lamps_m, axis=1)
        for lamp_m, away_m in sorted(
            zip(lamps_m, distance_m, strict=True), key=lambda pair: -float(pair[1])
        ):
            if len(corners) == GLOW_CAPACITY:
                break
            size_m = _GLOW_SIZE_M * (0.7 + 0.012 * float(away_m))
            right, up = -eye.left * size_m, eye.up * size_m
            strength = 235.0 * float(np.exp(-EXTINCTION_PER_M * away_m))
            corners.append(_glow_triangle(lamp_m * (1.0 - 0.3 / away_m), right, up))
            colours.append(np.array([[214, 240, 255, strength]] * 4, np.uint8))
        if not corners:
            corners, colours = [np.zeros((4, 3), np.float32)], [np.zeros((4, 4), np.uint8)]
        texcoord = np.tile(
            np.array([(0, 0), (1, 0), (0, 1), (0, 0)], np.float32), (len(corners), 1)
        )
        self._glow_mesh.write(np.concatenate(corners), texcoord, np.concatenate(colours))


def _glow_triangle(
    centre_m: npt.NDArray[np.floating],
    right: npt.NDArray[np.floating],
    up: npt.NDArray[np.floating],
) -> Singles:
    """Return a triangle (as a quad whose last corner is its first) that shows the whole glow."""
    corner_m = centre_m - right - up
    edge = 2.0 / (2.0 * GLOW_REACH)
    return np.array((corner_m, corner_m + right * edge, corner_m + up * edge, corner_m), np.float32)
