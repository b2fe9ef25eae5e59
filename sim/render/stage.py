"""The one place that talks to Panda3D: a buffer, a lens, and meshes whose points change."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from panda3d.core import (
    Camera,
    FrameBufferProperties,
    Geom,
    GeomNode,
    GeomTriangles,
    GeomVertexArrayFormat,
    GeomVertexData,
    GeomVertexFormat,
    GraphicsEngine,
    GraphicsOutput,
    GraphicsPipe,
    GraphicsPipeSelection,
    InternalName,
    LMatrix4f,
    MatrixLens,
    NodePath,
    OmniBoundingVolume,
    SamplerState,
    Texture,
    TransparencyAttrib,
    WindowProperties,
    load_prc_file_data,
)

from sim.render.errors import RenderError
from sim.render.path import Floats
from sim.render.tunnel import Singles

Backend = Literal["software", "opengl"]

_PIPES: dict[str, tuple[str, str]] = {
    "software": ("TinyOffscreenGraphicsPipe", "p3tinydisplay"),
    "opengl": ("eglGraphicsPipe", "p3headlessgl"),
}
_SETTINGS = "audio-library-name null\nnotify-level fatal\ntextures-power-2 none\n"
NEAR_M, FAR_M = 0.35, 190.0


@contextlib.contextmanager
def _native_output_muted() -> Iterator[None]:
    """Send what C++ libraries write to stderr to nowhere: our own error says it in one line."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@dataclass(frozen=True, slots=True)
class Frustum:
    """What the picture covers, as tangents from the optical axis."""

    left: float
    right: float
    bottom: float
    top: float


def _vertex_format() -> Any:
    place = GeomVertexArrayFormat()
    place.add_column(InternalName.get_vertex(), 3, Geom.NT_float32, Geom.C_point)
    place.add_column(InternalName.get_texcoord(), 2, Geom.NT_float32, Geom.C_texcoord)
    colour = GeomVertexArrayFormat()
    colour.add_column(InternalName.get_color(), 4, Geom.NT_uint8, Geom.C_color)
    vertex_format = GeomVertexFormat()
    vertex_format.add_array(place)
    vertex_format.add_array(colour)
    return GeomVertexFormat.register_format(vertex_format)


class Mesh:
    """Triangles of fixed topology whose points and colours are written anew for each picture.

    Args:
        triangles: (triangles, 3) or (items, 6), numbers of points.
        vertices: how many points there are.
        each: of a mesh of separate items, the points of one: items that are not written are then
            not drawn. 0 for a mesh that is always whole.
    """

    def __init__(self, triangles: npt.NDArray[np.uint16], vertices: int, *, each: int = 0) -> None:
        self._triangles, self._each = triangles.reshape(-1, triangles.shape[-1]), each
        data = GeomVertexData("mesh", _vertex_format(), Geom.UH_dynamic)
        data.set_num_rows(vertices)
        primitive = GeomTriangles(Geom.UH_dynamic if each else Geom.UH_static)
        primitive.set_index_type(Geom.NT_uint16)
        geom = Geom(data)
        geom.add_primitive(primitive)
        # the points are chosen for the view: bounds would be worked out anew for each picture
        everywhere = OmniBoundingVolume()
        geom.set_bounds(everywhere)
        self.node = GeomNode("mesh")
        self.node.add_geom(geom)
        self.node.set_bounds(everywhere)
        self.node.set_final(True)
        self._shown = 0
        self._show(len(self._triangles))

    def _show(self, items: int) -> None:
        """Draw the first ``items`` rows of triangles."""
        if items == self._shown:
            return
        self._shown = items
        numbers = np.ascontiguousarray(self._triangles[:items])
        rows = self.node.modify_geom(0).modify_primitive(0).modify_vertices()
        rows.unclean_set_num_rows(numbers.size)
        memoryview(rows).cast("B")[:] = numbers.data.cast("B")

    def write(self, relative_m: Singles, texcoord: Singles, colour: npt.NDArray[np.uint8]) -> None:
        """Set the first points of the mesh, from arrays of any shape whose last axis is a point's.

        The rest collapse onto the first point, or are not drawn, and show nothing.
        """
        count = relative_m.size // 3
        if self._each:
            self._show(max(1, count // self._each))
        data = self.node.modify_geom(0).modify_vertex_data()
        place = np.frombuffer(memoryview(data.modify_array(0)).cast("B"), np.float32).reshape(-1, 5)
        place[:count, :3] = relative_m.reshape(-1, 3)
        place[:count, 3:] = texcoord.reshape(-1, 2)
        place[count:] = place[0]
        colours = memoryview(data.modify_array(1)).cast("B")
        colours[: count * 4] = np.ascontiguousarray(colour).data.cast("B")

    def clear(self) -> None:
        """Show nothing."""
        nothing = np.zeros((max(1, self._each), 3), np.float32)
        self.write(nothing, nothing[:, :2], np.zeros((len(nothing), 4), np.uint8))


def grid_triangles(
    rows: int, columns: int, breaks: frozenset[int] = frozenset()
) -> npt.NDArray[np.uint16]:
    """Return the triangles of a grid, nearest row first, without quads after `breaks`."""
    keep = np.array([column for column in range(columns - 1) if column not in breaks])
    corner = (np.arange(rows - 1)[:, None] * columns + keep[None, :]).ravel()
    quads = np.stack(
        (corner, corner + columns, corner + 1, corner + 1, corner + columns, corner + columns + 1),
        axis=1,
    )
    if rows * columns > np.iinfo(np.uint16).max:
        raise RenderError(f"a mesh of {rows * columns} points is too large")
    return quads.astype(np.uint16)


def quad_triangles(count: int) -> npt.NDArray[np.uint16]:
    """Return the triangles of `count` separate quads of four points each."""
    base = np.arange(count)[:, None] * 4
    return np.asarray(base + np.array([[0, 1, 2, 0, 2, 3]]), np.uint16)


def single_triangles(count: int) -> npt.NDArray[np.uint16]:
    """Return `count` separate triangles of three points each."""
    return np.arange(3 * count, dtype=np.uint16).reshape(-1, 3)


class Stage:
    """An offscreen buffer seen through one lens at the origin; meshes come in camera-relative.

    Raises RenderError when the back end cannot be opened.
    """

    def __init__(self, width_px: int, height_px: int, frustum: Frustum, backend: Backend) -> None:
        load_prc_file_data("headframe", _SETTINGS)
        pipe_type, module = _PIPES[backend]
        with _native_output_muted():
            pipe = GraphicsPipeSelection.get_global_ptr().make_pipe(pipe_type, module)
            if pipe is None or not pipe.is_valid():
                raise RenderError(f"renderer '{backend}' is not available on this machine")
            self._engine = GraphicsEngine(pipe)
            wanted = FrameBufferProperties()
            wanted.set_rgba_bits(8, 8, 8, 8)
            wanted.set_depth_bits(24)
            self._buffer = self._engine.make_output(
                pipe, "camera", 0, wanted, WindowProperties.size(width_px, height_px),
                GraphicsPipe.BF_refuse_window,
            )  # fmt: skip
            if self._buffer is None:
                raise RenderError(f"renderer '{backend}' opened no picture buffer")
        self._size = (height_px, width_px)
        self._meshes = 0
        self._buffer.set_clear_color((0.0, 0.0, 0.0, 1.0))
        self._copy = Texture("copy")
        self._buffer.add_render_texture(self._copy, GraphicsOutput.RTM_copy_ram)
        self._root = NodePath("scene")
        self._root.set_two_sided(True)
        camera = Camera("camera")
        camera.set_lens(_lens(frustum))
        self._camera = self._root.attach_new_node(camera)
        self._buffer.make_display_region().set_camera(self._camera)

    def close(self) -> None:
        """Give the buffer back."""
        self._engine.remove_all_windows()

    def add_mesh(self, mesh: Mesh, picture: npt.NDArray[np.uint8], *, cut: bool = False) -> None:
        """Show a mesh under a texture: RGB covers, RGBA is blended over what is there.

        With ``cut`` RGBA covers where its alpha is more than half, and is not there elsewhere.

        Meshes are drawn in the order in which they were added.
        """
        rows, columns, channels = picture.shape
        texture = Texture("surface")
        blended = channels == 4
        texture.setup_2d_texture(
            columns, rows, Texture.T_unsigned_byte, Texture.F_rgba if blended else Texture.F_rgb
        )
        order = [2, 1, 0, 3] if blended else [2, 1, 0]
        texture.set_ram_image(np.ascontiguousarray(picture[::-1, :, order]).tobytes())
        texture.set_minfilter(SamplerState.FT_linear_mipmap_nearest)
        texture.set_magfilter(SamplerState.FT_linear)
        path = self._root.attach_new_node(mesh.node)
        path.set_texture(texture)
        path.set_bin("fixed", self._meshes)
        self._meshes += 1
        if cut:
            path.set_transparency(TransparencyAttrib.M_binary)
        elif blended:
            path.set_transparency(TransparencyAttrib.M_alpha)
            path.set_depth_write(False)

    def draw(self, forward: Floats, left: Floats, up: Floats) -> npt.NDArray[np.uint8]:
        """Draw from the origin along `forward`; return BGRA, top row first, valid until next."""
        right = -left
        # Panda3D's camera looks along +y with z up; z is turned over so that the first row of the
        # copy, which Panda3D takes from the bottom, is the top of the picture
        matrix = np.eye(4)
        matrix[:3, :3] = right, forward, -up
        self._camera.set_mat(LMatrix4f(*matrix.ravel().tolist()))
        self._engine.render_frame()
        image = self._copy.get_ram_image()
        return np.frombuffer(image, np.uint8).reshape(*self._size, 4)


def _lens(frustum: Frustum) -> Any:
    """An off-axis lens; the picture is drawn upside down, so top and bottom change places."""
    low, high = -frustum.top, -frustum.bottom
    width, height = frustum.right - frustum.left, high - low
    lens = MatrixLens()
    depth = FAR_M - NEAR_M
    # rows: x right, y forward, z up (Panda3D) -> clip x, y, z, w
    matrix = np.zeros((4, 4))
    matrix[0, 0] = 2.0 / width
    matrix[1] = (
        -(frustum.right + frustum.left) / width,
        -(high + low) / height,
        (FAR_M + NEAR_M) / depth,
        1.0,
    )
    matrix[2, 1] = 2.0 / height
    matrix[3, 2] = -2.0 * FAR_M * NEAR_M / depth
    lens.set_user_mat(LMatrix4f(*matrix.ravel().tolist()))
    return lens
