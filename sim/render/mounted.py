"""The options of a camera as a machine's file mounts it."""

from __future__ import annotations

from dataclasses import replace

from sim.machines.cameras import CameraName
from sim.machines.parameters import Machine
from sim.render.camera import CameraOptions
from sim.render.errors import RenderError
from sim.render.machine_model import model_of


def mounted(machine: Machine, name: CameraName, options: CameraOptions) -> CameraOptions:
    """``options`` with place, direction and view of the machine's camera ``name``.

    The front of an underground truck is painted; every other machine is seen as its model.

    Raises:
        RenderError: the machine's file mounts no such camera.
    """
    mount = machine.plant.cameras.get(name)
    if mount is None:
        raise RenderError(f"{machine.profile.machine.name} has no camera {name!r}")
    size = machine.profile.machine
    painted = name == "front" and size.kind == "articulated" and mount.unit == "front"
    return replace(
        options,
        height_m=mount.height_m,
        ahead_m=mount.ahead_m,
        left_m=mount.left_m,
        pitch_rad=-mount.pitch_rad,
        yaw_rad=mount.yaw_rad,
        field_of_view_rad=mount.view_rad,
        on_rear=mount.unit == "rear",
        bonnet=painted,
        model=None if painted else model_of(machine),
    )
