"""The front camera of a truck in a drift: a pose goes in, an I420 picture comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.render.drift import Drift
from sim.render.errors import RenderError
from sim.render.finish import STRIP_ROWS, Finish, bonnet_rows
from sim.render.light import Eye, HeadLamps
from sim.render.path import Floats
from sim.render.stage import Backend, Frustum
from sim.world.site import Site


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """How the camera is built in and how pictures are made.

    Attributes:
        width_px, height_px: size of the picture; even, at least 160 × 90.
        height_m: lens above the road, from the machine file.
        ahead_m: lens ahead of the front axle's centre.
        pitch_rad: optical axis below the truck's axis.
        field_of_view_rad: horizontal.
        scale: edge of the drawn picture over that of the sent one; drawing costs its square.
        lamps_lit: the drift's roof lamps burn.
        backend: "software" needs nothing; "opengl" needs EGL and a driver.
        seed: of everything random in the drift's looks.
    """

    width_px: int = 1280
    height_px: int = 720
    height_m: float = 2.2
    ahead_m: float = 0.9
    pitch_rad: float = math.radians(6.0)
    field_of_view_rad: float = math.radians(78.0)
    scale: float = 0.65
    lamps_lit: bool = True
    backend: Backend = "software"
    seed: int = 1


@dataclass(frozen=True, slots=True)
class CameraPose:
    """Where the truck's front unit is (centre of the front axle, on the floor).

    Angles as everywhere: heading and yaw + left, pitch + nose up.
    """

    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    pitch_rad: float
    station_m: float
    travelled_m: float = 0.0


# Sway of the cab over the road's unevenness: amplitudes and wave numbers are engineering choices
# for a truck on laden tyres; a function of the way, so that a standing truck stands still.
_SWAY_PITCH = ((0.0022, 0.83, 0.4), (0.0016, 2.17, 1.9), (0.0008, 4.90, 0.7))
_SWAY_ROLL = ((0.0030, 0.59, 2.2), (0.0014, 1.73, 0.3), (0.0007, 4.10, 1.1))


def _sway(waves: tuple[tuple[float, float, float], ...], way_m: float) -> float:
    return sum(size * math.sin(number * way_m + phase) for size, number, phase in waves)


class FrontCamera:
    """Draws what the truck's front camera sees. Deterministic in site, options, pose and time.

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
        bottom_row = height - bonnet_rows(height)
        frustum = Frustum(
            left=-half_tangent,
            right=half_tangent,
            bottom=-(bottom_row - height / 2.0) / focal_px,
            top=(height / 2.0 - STRIP_ROWS) / focal_px,
        )
        head = HeadLamps()
        self._drift = Drift(
            site,
            _even(width * options.scale),
            _even((bottom_row - STRIP_ROWS) * options.scale),
            frustum,
            seed=options.seed,
            lamps_lit=options.lamps_lit,
            head=head,
            backend=options.backend,
        )
        self._finish = Finish(width, height, focal_px, options.seed)

    def picture(self, pose: CameraPose, exposure_us: int) -> npt.NDArray[np.uint8]:
        """Return the I420 picture, shape (height·3/2, width); valid until the next call.

        `exposure_us` moves what moves by itself: dust and sensor noise.
        """
        drawn = self._drift.draw(self._eye(pose), pose.station_m)
        ambient = self._drift.ambient(pose.station_m)
        return self._finish.picture(drawn, exposure_us, pose.travelled_m, ambient)

    def close(self) -> None:
        """Give the renderer's buffer back."""
        self._drift.close()

    def _eye(self, pose: CameraPose) -> Eye:
        options = self._options
        body = _axes(pose.heading_rad, pose.pitch_rad)
        position_m = np.array((pose.x_m, pose.y_m, pose.z_m))
        position_m += body[:, 0] * options.ahead_m + body[:, 2] * options.height_m
        pitch_rad = pose.pitch_rad - options.pitch_rad + _sway(_SWAY_PITCH, pose.travelled_m)
        view = _axes(pose.heading_rad, pitch_rad)
        roll_rad = _sway(_SWAY_ROLL, pose.travelled_m)
        left = view[:, 1] * math.cos(roll_rad) + view[:, 2] * math.sin(roll_rad)
        return Eye(position_m, view[:, 0], left, np.cross(view[:, 0], left))


def _axes(heading_rad: float, pitch_rad: float) -> Floats:
    """Return forward, left, up as columns; pitch + nose up."""
    ch, sh = math.cos(heading_rad), math.sin(heading_rad)
    cp, sp = math.cos(pitch_rad), math.sin(pitch_rad)
    return np.array(((ch * cp, -sh, -ch * sp), (sh * cp, ch, -sh * sp), (sp, 0.0, cp)))


def _even(size: float) -> int:
    return max(2, round(size / 2.0) * 2)
