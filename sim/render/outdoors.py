"""A place under the open sky as a camera's renderer sees it, drawn for one pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.faces import Builder, Faces, joined, upright
from sim.render.light import Eye
from sim.render.outdoor_textures import (
    CROP_TILE_M,
    GROUND_TILE_M,
    LOOKS,
    PANORAMA_HIGH_RAD,
    PANORAMA_LOW_RAD,
    ROW_PITCH_M,
    Bytes,
    Colour,
    asphalt_surface,
    crop_surface,
    grass_surface,
    leaf_surface,
    paint_surface,
    panorama,
    road_bed_surface,
    rubble_surface,
    shadow_surface,
    soil_surface,
    tree_picture,
    weathered,
)
from sim.render.path import PLAIN_DETAIL, Floats, lay_rings, ring_capacity, visible_rings
from sim.render.props import BILLBOARDS, mover_faces, obstacle_faces
from sim.render.relief import PITCH_M, SUNK_M, VERGE_M, lay_relief
from sim.render.ribbon import Ribbon, Sheet, ground_m, lay_ribbon
from sim.render.stage import (
    Backend,
    Frustum,
    Mesh,
    Stage,
    grid_triangles,
    quad_triangles,
    single_triangles,
)
from sim.render.tunnel import Singles
from sim.world.site import Site
from sim.world.things import Fence, Mover, Patch

SUN_RAD = 2.3
"""Heading of the sun; it stands 37° high."""
SUN = np.array((0.8 * math.cos(SUN_RAD), 0.8 * math.sin(SUN_RAD), 0.6))
SKY_SHARE, SUN_SHARE = 0.42, 0.85
_WINDOW = 38
_AHEAD_M = 105.0
_WAY_SAMPLES = 60
_FACES, _BODY_FACES = 800, 300
_BILLBOARDS = 90
_SHADOWS = 40
_DOME_M = 187.0
_DOME_COLUMNS, _DOME_ROWS = 60, 8
"""So fine that clouds do not break at the edges of its faces."""
_ROWS = 34
_ALONG_M = np.array((-2.0, 0.0, 2.0, 4.0, 7.0, 11.0, 16.0, 23.0, 32.0, 45.0, 64.0))
_ACROSS_M = np.array((-64.0, -44.0, -28.0, -16.0, -8.0, 0.0, 8.0, 16.0, 28.0, 44.0, 64.0))
_RIDGE = ((-0.25, 0.0), (-0.12, 0.20), (0.12, 0.20), (0.25, 0.0))
_SHEET_M = np.array((-175, -90, -45, -22, -10, -4, 0, 4, 8, 13, 20, 30, 45, 70, 110, 175), float)
_PATCHES: dict[str, tuple[Colour, float]] = {
    "crop": ((0.82, 0.82, 0.82), 0.0),
    "stubble": ((0.70, 0.62, 0.40), 0.0),
    "soil": ((0.62, 0.52, 0.40), 0.0),
    "grass": ((0.36, 0.46, 0.20), 0.0),
    "mud": ((0.36, 0.29, 0.22), 0.0),
    "asphalt": ((0.46, 0.46, 0.475), 0.05),
    "asphalt_hot": ((0.235, 0.235, 0.245), 0.09),
    "concrete": ((0.78, 0.77, 0.74), 0.03),
}
"""Colour in the sun, and how high it lies above the ground round it."""


@dataclass(frozen=True, slots=True)
class _Object:
    """Faces of something that stands, in the site."""

    faces: Faces
    middle_m: Floats


class Outdoors:
    """All surfaces of one open site, ready to be drawn from any pose in it.

    Deterministic: the same site, seed, pose, time and size give the same bytes.
    """

    def __init__(
        self, site: Site, width_px: int, height_px: int, frustum: Frustum, *, seed: int,
        backend: Backend,
    ) -> None:  # fmt: skip
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(9)]
        self._site = site
        self._look = weathered(LOOKS[site.kind], site.weather)
        self._haze = np.array(self._look.haze, np.float32)
        self.rings = rings = lay_rings(site)
        stations_m = [point.station_m for point in site.centre_line]
        self._cross = np.interp(
            rings.station_m, stations_m, [point.cross_slope for point in site.centre_line]
        )
        self._relief = lay_relief(streams[0], site, rings, self._cross, self._look, SUN)
        self._stage = Stage(width_px, height_px, frustum, backend)
        paint = paint_surface(streams[3])
        self._body = _face_mesh(self._stage, _BODY_FACES, paint)
        self._props = _face_mesh(self._stage, _FACES, paint)
        self._objects, self._trees = self._stand(streams[1])
        self._middles_m = np.array([each.middle_m for each in self._objects]).reshape(-1, 3)
        self._movers = [
            (mover, mover_faces(mover), self._way_heights(mover)) for mover in site.things.movers
        ]
        grass = site.kind != "pit"
        ground = grass_surface(streams[2]) if grass else rubble_surface(streams[2])
        crops = [patch for patch in site.things.patches if patch.kind == "crop"]
        leaves = leaf_surface(streams[3])
        hedges = [hedge for fence in site.things.fences for hedge in _hedge(fence)]
        self._hedge_corner_m = np.array([hedge[0] for hedge in hedges], np.float32)
        self._hedge_texcoord = np.array([hedge[1] for hedge in hedges], np.float32)
        tone = np.array([hedge[2] for hedge in hedges], np.float32)
        green = np.array((0.33, 0.42, 0.20), np.float32) * tone[:, None]
        self._hedge_colour = np.repeat(green, 4, axis=0)
        pieces = max(1, len(hedges))
        self._hedge_mesh = Mesh(quad_triangles(pieces), 4 * pieces)
        self._stage.add_mesh(self._hedge_mesh, leaves)
        self._crop = crops[0] if crops else None
        columns = _ROWS * len(_RIDGE)
        breaks = frozenset(range(len(_RIDGE) - 1, columns, len(_RIDGE)))
        self._ridges = Mesh(grid_triangles(len(_ALONG_M), columns, breaks),
                            len(_ALONG_M) * columns)  # fmt: skip
        self._patches: list[tuple[Patch, Mesh, float]] = []
        if self._crop:
            self._stage.add_mesh(self._ridges, leaves)
        for patch in reversed(site.things.patches):
            mesh = Mesh(grid_triangles(len(_SHEET_M), 3), len(_SHEET_M) * 3)
            self._stage.add_mesh(mesh, _patch_surface(streams[4], patch))
            self._patches.append((patch, mesh, CROP_TILE_M))
        self._ribbon: Ribbon | None = None
        if site.kind in ("track", "pit"):
            self._ribbon = lay_ribbon(
                streams[5], site, rings, self._cross, self._relief, self._look, SUN
            )
            bed = road_bed_surface(streams[6], ruts=site.kind == "track")
            pictures = (bed, ground, ground)
            rows = ring_capacity(rings, PLAIN_DETAIL)
            self._ribbon_meshes = []
            for sheet, picture in zip(self._ribbon.sheets, pictures, strict=True):
                wide = sheet.position_m.shape[1]
                mesh = Mesh(grid_triangles(rows, wide), rows * wide)
                self._stage.add_mesh(mesh, picture)
                self._ribbon_meshes.append(mesh)
        self._ground = Mesh(grid_triangles(_WINDOW, _WINDOW), _WINDOW * _WINDOW)
        self._stage.add_mesh(self._ground, ground)
        self._tree_meshes = []
        for _ in range(2):
            mesh = Mesh(quad_triangles(_BILLBOARDS), _BILLBOARDS * 4, each=4)
            self._stage.add_mesh(mesh, tree_picture(streams[7]), cut=True)
            self._tree_meshes.append(mesh)
        self._dome = _dome(self._stage, panorama(streams[8], self._look, SUN_RAD))
        self._shadows = Mesh(single_triangles(_SHADOWS), _SHADOWS * 3, each=3)
        self._stage.add_mesh(self._shadows, shadow_surface())

    def close(self) -> None:
        """Give the renderer's buffer back."""
        self._stage.close()

    def ambient(self, station_m: float) -> float:  # noqa: ARG002 - the sun shines everywhere
        """Return how much light falls on the machine, 0…1."""
        return 1.0

    def _stand(self, rng: np.random.Generator) -> tuple[list[_Object], npt.NDArray[np.float64]]:
        """What stands: objects of faces; and trees as rows of x, y, z, height, picture."""
        objects, trees = [], []
        for obstacle in self._site.things.obstacles:
            foot_m = np.array((obstacle.x_m, obstacle.y_m, self._floor(obstacle.x_m, obstacle.y_m)))
            if obstacle.kind in BILLBOARDS:
                trees.append((*foot_m, obstacle.height_m, float(rng.integers(2))))
                continue
            faces = obstacle_faces(obstacle, float(rng.random()))
            faces = faces.moved(upright(obstacle.heading_rad), foot_m)
            objects.append(_Object(faces, foot_m))
        for fence in self._site.things.fences:
            objects += [_Object(faces, faces.corner_m.mean(axis=(0, 1)).astype(float))
                        for faces in _fence(fence)]  # fmt: skip
        trees += self._scatter(rng)
        return objects, np.array(trees, np.float64).reshape(-1, 5)

    def _scatter(self, rng: np.random.Generator) -> list[tuple[float, ...]]:
        """Trees and bushes out of the machine's reach: they stand for looks only."""
        count = {"field": 130, "road": 150, "track": 420, "pit": 60}[self._site.kind]
        relief = self._relief
        trees: list[tuple[float, ...]] = []
        rows, columns = relief.height_m.shape
        for _ in range(count):
            row, column = int(rng.integers(12, rows - 12)), int(rng.integers(12, columns - 12))
            away_m = float(relief.away_m[row, column])
            least_m = {"field": 34.0, "road": 26.0, "track": 12.0, "pit": 60.0}[self._site.kind]
            if away_m < least_m or relief.covered[row, column]:
                continue
            x_m, y_m = relief.x0_m + PITCH_M * column, relief.y0_m + PITCH_M * row
            bush = self._site.kind == "pit" or rng.random() < 0.3
            height_m = rng.uniform(1.2, 2.4) if bush else rng.uniform(5.0, 11.0)
            trees.append((x_m, y_m, float(relief.height_m[row, column]) - 0.2, height_m,
                          float(rng.integers(2))))  # fmt: skip
        return trees

    def _way_heights(self, mover: Mover) -> tuple[Floats, Floats]:
        """The ground under a mover's way, by time."""
        times_s = np.linspace(0.0, mover.times_s[-1], _WAY_SAMPLES)
        places = (mover.at(min(float(at_s), mover.times_s[-1] - 1e-6)) for at_s in times_s)
        return times_s, np.array([self._floor(x_m, y_m) for x_m, y_m, _ in places])

    def _floor(self, x_m: float, y_m: float) -> float:
        station_m, offset_m = self._site.locate(x_m, y_m)
        return ground_m(self._site, self._relief, station_m, offset_m)

    # -- one picture

    def draw(
        self, eye: Eye, station_m: float, time_s: float = 0.0, body: Faces | None = None
    ) -> npt.NDArray[np.uint8]:
        """Draw the view of ``eye``; BGRA, valid until the next call.

        Args:
            eye: the camera's.
            station_m: of the machine. time_s: of the site's clock, for what moves.
            body: of the machine itself, in the site.
        """
        eye_m = eye.position_m.astype(np.float32)
        if body is not None:
            self._write_faces(self._body, body, eye_m, _BODY_FACES)
        self._write_props(eye, time_s)
        self._write_hedges(eye_m)
        if self._crop is not None:
            self._write_ridges(eye, self._crop)
        for patch, mesh, tile_m in self._patches:
            self._write_patch(patch, mesh, tile_m, eye_m)
        run = self._write_ribbon(eye, station_m)
        self._write_ground(eye, run)
        self._write_trees(eye)
        return self._stage.draw(eye.forward, eye.left, eye.up)

    def _hazed(self, colour: Singles, relative_m: Singles) -> npt.NDArray[np.uint8]:
        """RGBA of points: their colour, lost in the haze with distance."""
        distance_m = np.sqrt(np.einsum("...i,...i->...", relative_m, relative_m))
        clear = np.exp(-self._look.extinction_per_m * distance_m)[..., None].astype(np.float32)
        packed = np.full((*distance_m.shape, 4), 255, np.uint8)
        shown = colour * clear + (self._haze * 1.25) * (1.0 - clear)
        packed[..., :3] = np.clip(shown * 255.0, 0.0, 255.0)
        return packed

    def _write_faces(self, mesh: Mesh, faces: Faces, eye_m: Singles, most: int) -> None:
        relative_m = faces.corner_m - eye_m
        seen = np.nonzero(np.einsum("ij,ij->i", relative_m[:, 0], faces.normal) < 0.0)[0]
        if len(seen) > most:
            away = np.einsum("ij,ij->i", relative_m[seen, 0], relative_m[seen, 0])
            seen = seen[np.argsort(away, kind="stable")[:most]]
        if not len(seen):
            mesh.clear()
            return
        lit = np.clip(faces.normal[seen] @ SUN.astype(np.float32), 0.0, 1.0)
        sky = 0.8 + 0.2 * faces.normal[seen, 2]
        colour = faces.colour[seen] * (0.50 * sky + 0.72 * lit)[:, None]
        packed = self._hazed(colour, relative_m[seen].mean(axis=1))
        mesh.write(relative_m[seen], faces.texcoord(seen), np.repeat(packed, 4, axis=0))

    def _write_props(self, eye: Eye, time_s: float) -> None:
        near = []
        shadows: list[tuple[float, float, float, float]] = []
        to_m = self._middles_m - eye.position_m
        seen = (to_m @ eye.forward > -8.0) & (np.einsum("ij,ij->i", to_m, to_m) < 150.0**2)
        near += [self._objects[number].faces for number in np.nonzero(seen)[0]]
        for mover, faces, (times_s, heights_m) in self._movers:
            x_m, y_m, heading_rad = mover.at(time_s)
            z_m = float(np.interp(time_s % mover.times_s[-1], times_s, heights_m))
            near.append(faces.moved(upright(heading_rad), (x_m, y_m, z_m)))
            size_m = 0.55 if mover.kind == "person" else 0.5 * faces.corner_m[:, :, :2].max() * 1.6
            shadows.append((x_m, y_m, z_m, float(size_m)))
        self._write_faces(self._props, joined(near), eye.position_m.astype(np.float32), _FACES)
        self._write_shadows(eye, shadows)

    def _write_shadows(self, eye: Eye, feet: list[tuple[float, float, float, float]]) -> None:
        """A dark disc under each mover and under the trees near the camera."""
        trees = self._trees
        near = np.hypot(trees[:, 0] - eye.position_m[0], trees[:, 1] - eye.position_m[1]) < 70.0
        rows = trees[near, :4] * np.array((1.0, 1.0, 1.0, 0.38))
        foot = np.concatenate((np.array(feet, float).reshape(-1, 4), rows))[:_SHADOWS]
        if not len(foot):
            foot = np.array([(*eye.position_m[:2], eye.position_m[2] - 500.0, 0.1)])
        middle = np.empty((len(foot), 3))
        middle[:, :2] = foot[:, :2] - 0.9 * SUN[:2] / SUN[2] * foot[:, 3:]
        middle[:, 2] = np.maximum(foot[:, 2], self._relief.at(middle[:, 0], middle[:, 1])) + 0.12
        reach = 1.0 - math.sqrt(0.5)
        edge = foot[:, 3:] / reach
        along = np.array((math.cos(SUN_RAD), math.sin(SUN_RAD), 0.0)) * edge * 1.3
        across = np.array((-math.sin(SUN_RAD), math.cos(SUN_RAD), 0.0)) * edge
        first = middle - (along + across) * reach
        corners = np.stack((first, first + along, first + across), axis=1) - eye.position_m
        texcoord = np.tile(np.array([(0, 0), (1, 0), (0, 1)], np.float32), (len(foot), 1))
        dark = np.full((len(foot) * 3, 4), 255 * self._look.shadow_share, np.uint8)
        self._shadows.write(corners.astype(np.float32), texcoord, dark)

    def _write_hedges(self, eye_m: Singles) -> None:
        if not len(self._hedge_corner_m):
            return
        corner_m = self._hedge_corner_m - eye_m
        packed = self._hazed(self._hedge_colour, corner_m.reshape(-1, 3))
        self._hedge_mesh.write(corner_m, self._hedge_texcoord, packed)

    def _write_ridges(self, eye: Eye, patch: Patch) -> None:
        """Rows of plants near the camera, as ridges of leaves on the painted rows."""
        along, across = patch.place(float(eye.position_m[0]), float(eye.position_m[1]))
        cosine, sine = math.cos(patch.heading_rad), math.sin(patch.heading_rad)
        ahead = float(eye.forward[0] * cosine + eye.forward[1] * sine)
        aside = float(eye.forward[1] * cosine - eye.forward[0] * sine)
        steps = _ALONG_M * math.copysign(1.0, ahead) if abs(ahead) > 0.6 else _ACROSS_M
        half_l, half_w = 0.5 * patch.length_m, 0.5 * patch.width_m
        along_m = np.clip(along + steps, -half_l, half_l)
        first = math.floor((across + 7.0 * aside) / ROW_PITCH_M) - _ROWS // 2
        rows = np.arange(first, first + _ROWS)
        middle_m = (rows + 0.5) * ROW_PITCH_M
        inside = np.abs(middle_m) < half_w - 0.2
        profile = np.array(_RIDGE)
        across_m = np.where(inside, middle_m, np.clip(middle_m, -half_w, half_w))
        wide = (across_m[:, None] + profile[None, :, 0] * inside[:, None]).ravel()
        up = np.tile(profile[:, 1], _ROWS) * np.repeat(inside, len(_RIDGE))
        a = np.broadcast_to(along_m[:, None], (len(along_m), len(wide)))
        c = np.broadcast_to(wide[None, :], a.shape)
        place = np.stack(
            (patch.x_m + a * cosine - c * sine, patch.y_m + a * sine + c * cosine,
             np.broadcast_to(up, a.shape) - 0.02), axis=2,
        )  # fmt: skip
        relative_m = (place - eye.position_m).astype(np.float32)
        texcoord = np.stack((np.broadcast_to(np.tile((0.0, 0.35, 0.65, 1.0), _ROWS), a.shape),
                             (a - math.floor(along)) / 1.6), axis=2)  # fmt: skip
        tone = 0.90 + 0.10 * np.sin(rows * 12.9898)
        shade = (tone[:, None] * np.array((0.55, 1.02, 1.02, 0.66))[None, :]).ravel()
        green = np.array((0.42, 0.54, 0.22), np.float32)
        colour = np.broadcast_to(shade[None, :, None] * green, place.shape).astype(np.float32)
        self._ridges.write(relative_m, texcoord.astype(np.float32), self._hazed(colour, relative_m))

    def _write_patch(self, patch: Patch, mesh: Mesh, tile_m: float, eye_m: Singles) -> None:
        colour, up_m = _PATCHES[patch.kind]
        along, _ = patch.place(float(eye_m[0]), float(eye_m[1]))
        cosine, sine = math.cos(patch.heading_rad), math.sin(patch.heading_rad)
        half_l, half_w = 0.5 * patch.length_m, 0.5 * patch.width_m
        a = np.clip(along + _SHEET_M, -half_l, half_l)[:, None] + np.zeros(3)
        c = np.broadcast_to(np.array((half_w, 0.0, -half_w)), a.shape)
        place = np.stack(
            (patch.x_m + a * cosine - c * sine, patch.y_m + a * sine + c * cosine,
             np.full(a.shape, up_m)), axis=2,
        )  # fmt: skip
        relative_m = (place - eye_m).astype(np.float32)
        near = math.floor(along / tile_m)
        texcoord = np.stack((c / tile_m, a / tile_m - near), axis=2).astype(np.float32)
        shade = np.broadcast_to(np.array(colour, np.float32) * 1.15, place.shape)
        mesh.write(relative_m, texcoord, self._hazed(shade.astype(np.float32), relative_m))

    def _write_ribbon(self, eye: Eye, station_m: float) -> tuple[float, float] | None:
        """The driven line near the camera; returns the run of stations that it covers."""
        if self._ribbon is None:
            return None
        rings = self.rings
        ring = round(station_m / rings.pitch_m) % rings.count
        way = 1 if float(rings.ahead[ring] @ eye.forward) >= 0.0 else -1
        numbers = visible_rings(rings, PLAIN_DETAIL, station_m, way)
        laps, picks = np.divmod(numbers, rings.count)
        for sheet, mesh in zip(self._ribbon.sheets, self._ribbon_meshes, strict=True):
            self._write_sheet(sheet, mesh, eye, picks, laps)
        return float(numbers.min()) * rings.pitch_m, float(numbers.max()) * rings.pitch_m

    def _write_sheet(
        self, sheet: Sheet, mesh: Mesh, eye: Eye, picks: npt.NDArray[np.intp],
        laps: npt.NDArray[np.intp],
    ) -> None:  # fmt: skip
        relative_m = sheet.position_m[picks] - eye.position_m.astype(np.float32)
        texcoord = sheet.texcoord[picks]
        if sheet.lap:
            texcoord[:, :, 1] += (laps * sheet.lap)[:, None]
        texcoord = texcoord - np.floor(texcoord[0, 0])
        mesh.write(relative_m, texcoord, self._hazed(sheet.colour[picks], relative_m))

    def _write_ground(self, eye: Eye, run: tuple[float, float] | None) -> None:
        relief = self._relief
        rows, columns = relief.height_m.shape
        flat = eye.forward[:2] / max(float(np.hypot(*eye.forward[:2])), 1e-6)
        middle = eye.position_m[:2] + flat * _AHEAD_M
        column = int((middle[0] - relief.x0_m) / PITCH_M) - _WINDOW // 2
        row = int((middle[1] - relief.y0_m) / PITCH_M) - _WINDOW // 2
        column, row = min(max(column, 0), columns - _WINDOW), min(max(row, 0), rows - _WINDOW)
        part = np.s_[row : row + _WINDOW, column : column + _WINDOW]
        x_m = relief.x0_m + PITCH_M * (column + np.arange(_WINDOW))
        y_m = relief.y0_m + PITCH_M * (row + np.arange(_WINDOW))
        place = np.empty((_WINDOW, _WINDOW, 3))
        place[:, :, 0], place[:, :, 1] = x_m[None, :], y_m[:, None]
        place[:, :, 2] = relief.height_m[part] - 0.25 * relief.covered[part]
        if run is not None:
            length_m = self.rings.length_m
            past_m = (relief.station_m[part] - run[0]) % length_m
            under = (past_m < run[1] - run[0]) & (relief.away_m[part] < VERGE_M - 4.0)
            place[:, :, 2] -= SUNK_M * under
        relative_m = (place - eye.position_m).astype(np.float32)
        origin = np.floor(eye.position_m[:2] / GROUND_TILE_M) * GROUND_TILE_M
        texcoord = ((place[:, :, :2] - origin) / GROUND_TILE_M).astype(np.float32)
        self._ground.write(relative_m, texcoord, self._hazed(relief.colour[part], relative_m))

    def _write_trees(self, eye: Eye) -> None:
        trees = self._trees
        to = trees[:, :3] - eye.position_m
        square = np.einsum("ij,ij->i", to, to)
        seen = np.nonzero((to @ eye.forward > 0.5) & (square < 182.0**2))[0]
        seen = seen[np.argsort(square[seen], kind="stable")]
        for number, mesh in enumerate(self._tree_meshes):
            mine = seen[trees[seen, 4] == number][:_BILLBOARDS]
            if not len(mine):
                mesh.clear()
                continue
            foot, height = to[mine], trees[mine, 3]
            side = np.stack((-foot[:, 1], foot[:, 0]), axis=1)
            side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
            left = np.concatenate((side, np.zeros((len(mine), 1))), axis=1)
            left *= (0.5 * height)[:, None]
            up = np.zeros((len(mine), 3))
            up[:, 2] = height
            corner = np.stack(
                (foot + left, foot - left, foot - left + up, foot + left + up), axis=1
            )
            texcoord = np.tile(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32),
                               (len(mine), 1))  # fmt: skip
            tone = 0.92 + 0.16 * np.sin(trees[mine, 0] * 1.7 + trees[mine, 1])
            colour = (np.array((1.0, 1.0, 1.0)) * tone[:, None]).astype(np.float32)
            packed = self._hazed(colour, foot.astype(np.float32))
            mesh.write(corner.astype(np.float32), texcoord, np.repeat(packed, 4, axis=0))


def _face_mesh(stage: Stage, count: int, picture: Bytes) -> Mesh:
    mesh = Mesh(quad_triangles(count), count * 4, each=4)
    mesh.clear()
    stage.add_mesh(mesh, picture)
    return mesh


def _patch_surface(rng: np.random.Generator, patch: Patch) -> Bytes:
    if patch.kind == "crop":
        return crop_surface(rng)
    if patch.kind in ("asphalt", "asphalt_hot", "concrete"):
        return asphalt_surface(rng, hot=patch.kind == "asphalt_hot")
    return grass_surface(rng) if patch.kind == "grass" else soil_surface(rng)


def _runs(fence: Fence, pitch_m: float) -> list[tuple[Floats, float, float]]:
    """Pieces of a fence: middle, heading, length."""
    pieces = []
    for (x0, y0), (x1, y1) in zip(fence.points[:-1], fence.points[1:], strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        count = max(1, round(length / pitch_m))
        for index in range(count):
            share = (index + 0.5) / count
            middle = np.array((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share, 0.0))
            pieces.append((middle, math.atan2(y1 - y0, x1 - x0), length / count))
    return pieces


def _fence(fence: Fence) -> list[Faces]:
    """Posts and wires, or kerb stones."""
    if fence.kind == "hedge":
        return []
    found = []
    pitch_m = 4.0 if fence.kind == "wire" else 1.0 if fence.kind == "kerb" else 3.0
    for index, (middle, heading_rad, length_m) in enumerate(_runs(fence, pitch_m)):
        build = Builder()
        half = 0.5 * length_m
        if fence.kind == "wire":
            build.box((-0.05, 0.05), (-0.05, 0.05), (0.0, fence.height_m), (0.45, 0.38, 0.30))
            for z in (0.5, 0.8, fence.height_m - 0.05):
                build.box((0.0, length_m), (-0.012, 0.012), (z, z + 0.024), (0.55, 0.55, 0.55))
        else:
            tone = 0.66 + 0.05 * math.sin(7.0 * index)
            y = (-fence.radius_m, fence.radius_m)
            build.box(
                (-half + 0.01, half - 0.01), y, (0.0, fence.height_m), (tone, tone, 0.97 * tone)
            )
        found.append(build.faces().moved(upright(heading_rad), middle))
    return found


_Hedge = tuple[list[Sequence[float]], list[tuple[float, float]], float]


def _hedge(fence: Fence) -> list[_Hedge]:
    """Both flanks and the top of each piece: corners, texture places, lightness."""
    if fence.kind != "hedge":
        return []
    found: list[_Hedge] = []
    for index, (middle, heading_rad, length_m) in enumerate(_runs(fence, 7.0)):
        turn = upright(heading_rad)
        half, wide = 0.5 * length_m, fence.radius_m
        tall = fence.height_m * (1.0 + 0.12 * math.sin(5.1 * index))
        for side, tone in ((1.0, 0.75), (-1.0, 1.0)):
            low, high = side * wide, 0.7 * side * wide
            corners = [(-half, low, -0.1), (half, low, -0.1), (half, high, tall),
                       (-half, high, tall)]  # fmt: skip
            found.append(([turn @ np.array(c) + middle for c in corners],
                          [(0.0, 0.0), (length_m / 2.0, 0.0), (length_m / 2.0, 1.0), (0.0, 1.0)],
                          tone))  # fmt: skip
        top = [(-half, -0.7 * wide, tall), (half, -0.7 * wide, tall), (half, 0.7 * wide, tall),
               (-half, 0.7 * wide, tall)]  # fmt: skip
        found.append(([turn @ np.array(c) + middle for c in top],
                      [(0.0, 0.0), (length_m / 2.0, 0.0), (length_m / 2.0, 0.6), (0.0, 0.6)],
                      1.15))  # fmt: skip
    return found


def _dome(stage: Stage, picture: Bytes) -> Mesh:
    """The sky: a drum round the camera, in the site's directions."""
    turn = np.linspace(0.0, 2.0 * np.pi, _DOME_COLUMNS + 1)
    up = np.array((PANORAMA_LOW_RAD, *np.linspace(0.0, PANORAMA_HIGH_RAD, _DOME_ROWS)))
    place = np.stack(
        (np.broadcast_to(np.cos(turn), (len(up), len(turn))) * np.cos(up)[:, None],
         np.broadcast_to(np.sin(turn), (len(up), len(turn))) * np.cos(up)[:, None],
         np.broadcast_to(np.sin(up)[:, None], (len(up), len(turn)))), axis=2,
    )  # fmt: skip
    share = (up - PANORAMA_LOW_RAD) / (PANORAMA_HIGH_RAD - PANORAMA_LOW_RAD)
    texcoord = np.stack(
        (np.broadcast_to(turn / (2.0 * np.pi), place.shape[:2]),
         np.broadcast_to(share[:, None], place.shape[:2])), axis=2,
    )  # fmt: skip
    mesh = Mesh(grid_triangles(len(up), len(turn)), len(up) * len(turn))
    mesh.write((place * _DOME_M).astype(np.float32), texcoord.astype(np.float32),
               np.full((place.shape[0] * place.shape[1], 4), 255, np.uint8))  # fmt: skip
    stage.add_mesh(mesh, picture)
    return mesh
