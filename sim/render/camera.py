"""A camera on a machine in a site: a pose goes in, an I420 picture comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.sums import in_turn
from sim.render.drift import Drift
from sim.render.errors import RenderError
from sim.render.faces import Faces, joined
from sim.render.finish import STRIP_ROWS, Finish, bonnet_rows
from sim.render.light import Eye, HeadLamps
from sim.render.machine_model import Model
from sim.render.outdoors import Outdoors
from sim.render.path import Floats
from sim.render.stage import Backend, Frustum
from sim.world.site import Site


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """How the camera is built in and how pictures are made; as it is, a truck's front camera.

    Attributes:
        width_px, height_px: size of the picture; even, at least 160 × 90.
        height_m: lens above the road, from the machine file.
        ahead_m, left_m: lens from the machine's reference point, or from the fold.
        pitch_rad: optical axis below the unit's axis. yaw_rad: to the left of it.
        on_rear: the rear unit or the trailer carries it.
        field_of_view_rad: horizontal.
        scale: edge of the drawn picture over that of the sent one; drawing costs its square.
        lamps_lit: the drift's roof lamps burn.
        backend: "software" needs nothing; "opengl" needs EGL and a driver.
        seed: of everything random in the place's looks.
        bonnet: the underground truck's front edge is painted over the lowest rows.
        model: the machine itself, where it comes into view; None leaves it out.
    """

    width_px: int = 1280
    height_px: int = 720
    height_m: float = 2.2
    ahead_m: float = 0.9
    left_m: float = 0.0
    yaw_rad: float = 0.0
    on_rear: bool = False
    pitch_rad: float = math.radians(6.0)
    field_of_view_rad: float = math.radians(78.0)
    scale: float = 0.65
    lamps_lit: bool = True
    backend: Backend = "software"
    seed: int = 1
    bonnet: bool = True
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class CameraPose:
    """Where the machine's front unit is (its reference point, on the floor).

    Angles as everywhere: heading and yaw + left, pitch + nose up, roll + left side up; the joint
    is the front heading minus the rear's. ``site_s`` is the site's clock.
    """

    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    pitch_rad: float
    station_m: float
    travelled_m: float = 0.0
    roll_rad: float = 0.0
    joint_rad: float = 0.0
    site_s: float = 0.0


# Sway of the cab over the road's unevenness: amplitudes and wave numbers are engineering choices
# for a truck on laden tyres; a function of the way, so that a standing truck stands still.
_SWAY_PITCH = ((0.0022, 0.83, 0.4), (0.0016, 2.17, 1.9), (0.0008, 4.90, 0.7))
_SWAY_ROLL = ((0.0030, 0.59, 2.2), (0.0014, 1.73, 0.3), (0.0007, 4.10, 1.1))


def _sway(waves: tuple[tuple[float, float, float], ...], way_m: float) -> float:
    return in_turn(size * math.sin(number * way_m + phase) for size, number, phase in waves)


class FrontCamera:
    """Draws what a machine's camera sees. Deterministic in site, options, pose and time.

    Raises RenderError for a size that cannot be drawn or a back end that is not there.
    """

    def __init__(self, site: Site, options: CameraOptions) -> None:
        width, height = options.width_px, options.height_px
        if width < 160 or height < 90 or width % 2 or height % 2:
            raise RenderError(f"picture size {width}x{height}: even and at least 160x90 is needed")
        if not 0.25 <= options.scale <= 1.0:
            raise RenderError(f"scale {options.scale}: 0.25 to 1 is possible")
        self._options = options
        half_tangent = math.tan(options.field_of_view_rad / 2.0)
        focal_px = width / 2.0 / half_tangent
        bottom_row = height - (bonnet_rows(height) if options.bonnet else 0)
        frustum = Frustum(
            left=-half_tangent,
            right=half_tangent,
            bottom=-(bottom_row - height / 2.0) / focal_px,
            top=(height / 2.0 - STRIP_ROWS) / focal_px,
        )
        drawn = (_even(width * options.scale), _even((bottom_row - STRIP_ROWS) * options.scale))
        self._place = _place(site, options, drawn, frustum)
        self._finish = Finish(
            width, height, focal_px, options.seed, bonnet=options.bonnet, beams=site.kind == "drift"
        )

    def picture(self, pose: CameraPose, exposure_us: int) -> npt.NDArray[np.uint8]:
        """Return the I420 picture, shape (height·3/2, width); valid until the next call.

        `exposure_us` moves what moves by itself: dust and sensor noise.
        """
        eye = self._eye(pose)
        drawn = self._place.draw(eye, pose.station_m, pose.site_s, self._body(pose))
        ambient = self._place.ambient(pose.station_m)
        return self._finish.picture(drawn, exposure_us, pose.travelled_m, ambient)

    def close(self) -> None:
        """Give the renderer's buffer back."""
        self._place.close()

    def _body(self, pose: CameraPose) -> Faces | None:
        """The machine's own faces, in the site."""
        model = self._options.model
        if model is None:
            return None
        front, place_m = _unit(pose, 0.0), np.array((pose.x_m, pose.y_m, pose.z_m))
        rear, fold_m = _unit(pose, pose.joint_rad), place_m - front[:, 0] * model.fold_m
        return joined((model.front.moved(front, place_m), model.rear.moved(rear, fold_m)))

    def _eye(self, pose: CameraPose) -> Eye:
        options = self._options
        body = _unit(pose, 0.0)
        position_m = np.array((pose.x_m, pose.y_m, pose.z_m))
        if options.on_rear and options.model is not None:
            position_m -= body[:, 0] * options.model.fold_m
            body = _unit(pose, pose.joint_rad)
        position_m += body @ np.array((options.ahead_m, options.left_m, options.height_m))
        sway_rad = _sway(_SWAY_PITCH, pose.travelled_m)
        forward = body @ _axes(options.yaw_rad, sway_rad - options.pitch_rad)
        roll_rad = _sway(_SWAY_ROLL, pose.travelled_m)
        left = forward[:, 1] * math.cos(roll_rad) + forward[:, 2] * math.sin(roll_rad)
        return Eye(position_m, forward[:, 0], left, np.cross(forward[:, 0], left))


def _place(
    site: Site, options: CameraOptions, size_px: tuple[int, int], frustum: Frustum
) -> Drift | Outdoors:
    """The place to draw: underground or under the open sky."""
    if site.kind != "drift":
        return Outdoors(site, *size_px, frustum, seed=options.seed, backend=options.backend)
    return Drift(
        site,
        *size_px,
        frustum,
        seed=options.seed,
        lamps_lit=options.lamps_lit,
        head=HeadLamps(),
        backend=options.backend,
    )


def _unit(pose: CameraPose, joint_rad: float) -> Floats:
    """Axes of the front unit, or of the rear one by the joint's angle."""
    flat = _axes(pose.heading_rad - joint_rad, pose.pitch_rad)
    cosine, sine = math.cos(pose.roll_rad), math.sin(pose.roll_rad)
    left = flat[:, 1] * cosine + flat[:, 2] * sine
    return np.stack((flat[:, 0], left, np.cross(flat[:, 0], left)), axis=1)


def _axes(heading_rad: float, pitch_rad: float) -> Floats:
    """Return forward, left, up as columns; pitch + nose up."""
    ch, sh = math.cos(heading_rad), math.sin(heading_rad)
    cp, sp = math.cos(pitch_rad), math.sin(pitch_rad)
    return np.array(((ch * cp, -sh, -ch * sp), (sh * cp, ch, -sh * sp), (sp, 0.0, cp)))


def _even(size: float) -> int:
    return max(2, round(size / 2.0) * 2)
