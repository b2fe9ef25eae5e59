"""What a machine looks like from its own cameras, and to others: built from its file's sizes.

A front unit about its reference point on the floor, and a rear unit or trailer about the fold.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.machines.parameters import Machine
from sim.machines.tools import DrumParameters
from sim.render.faces import (
    DARK,
    EARTH,
    GLASS,
    ORANGE,
    RED,
    RUBBER,
    STEEL,
    WHITE,
    YELLOW,
    Builder,
    Faces,
)
from sim.render.outdoor_textures import Colour

DRUM: Colour = (0.50, 0.49, 0.48)
TRACTOR_GREEN: Colour = (0.12, 0.36, 0.20)
TRUCK_GREEN: Colour = (0.33, 0.36, 0.24)


@dataclass(frozen=True, slots=True)
class Model:
    """Faces of both units; ``fold_m`` from the reference point back to the fold."""

    front: Faces
    rear: Faces
    fold_m: float


def model_of(machine: Machine) -> Model:
    """The model that fits a machine's kind and tool."""
    front, rear = Builder(), Builder()
    size, plant = machine.profile.machine, machine.plant
    if size.kind == "articulated" and isinstance(plant.tool, DrumParameters):
        _roller(machine, front, rear)
    elif size.kind == "articulated":
        _underground_truck(machine, front, rear)
    elif size.kind == "twin_steer":
        _truck_8x8(machine, front)
    elif size.width_m > 3.5:
        _rigid_truck(machine, front)
    else:
        _tractor(machine, front)
        _behind_tractor(machine, front, rear)
    return Model(front.faces(), rear.faces(), machine.body.fold_m)


def _underground_truck(machine: Machine, front: Builder, rear: Builder) -> None:
    size = machine.profile.machine
    assert size.front_joint_m is not None
    assert size.rear_joint_m is not None
    nose, half, back = size.front_overhang_m, 0.5 * size.width_m, -size.front_joint_m
    front.box((0.3, nose), (-half + 0.1, half - 0.1), (0.7, 1.65), YELLOW, taper=0.05)
    front.box((nose - 0.02, nose), (-half + 0.3, half - 0.3), (0.75, 1.5), DARK)
    front.box((back + 0.5, 0.3), (-half + 0.5, half - 0.5), (0.7, 1.7), YELLOW)
    front.box((0.0, 1.5), (half - 1.35, half - 0.15), (1.65, 2.7), YELLOW, taper=0.1)
    front.box((0.05, 1.52), (half - 1.25, half - 0.25), (1.95, 2.5), GLASS, taper=0.1)
    for side in (-1.0, 1.0):
        front.wheel(0.0, side * (half - 0.38), 0.93, 0.72)
        rear.wheel(-size.rear_joint_m, side * (half - 0.38), 0.93, 0.72)
    tail = -size.rear_joint_m - size.rear_overhang_m
    rear.box((-1.6, -0.2), (-0.6, 0.6), (0.6, 1.2), DARK)
    rear.box((tail + 0.6, -0.9), (-half + 0.05, half - 0.05), (1.35, 2.65), YELLOW, taper=-0.06)
    rear.box((tail + 0.75, -1.05), (-half + 0.2, half - 0.2), (2.6, 2.75), EARTH, taper=0.35)
    rear.box((tail, tail + 0.6), (-half + 0.2, half - 0.2), (1.45, 2.2), YELLOW)
    for side in (-1.0, 1.0):
        rear.box((tail - 0.02, tail), (side * 1.2 - 0.15, side * 1.2 + 0.15), (1.5, 1.65), RED)


def _roller(machine: Machine, front: Builder, rear: Builder) -> None:
    size = machine.profile.machine
    assert size.front_joint_m is not None
    assert size.rear_joint_m is not None
    half, nose, joint = 0.5 * size.width_m, size.front_overhang_m, -size.front_joint_m
    front.round((0.0, 0.0, 0.76), 0.76, half - 0.16, DRUM, sides=28, end=DARK)
    for side in (-1.0, 1.0):
        y = (side * half - 0.13 * (side > 0), side * half + 0.13 * (side < 0))
        front.box((joint + 0.35, nose), y, (0.62, 1.12), YELLOW)
    front.box((nose - 0.16, nose), (-half, half), (0.62, 1.02), YELLOW)
    front.box((nose - 0.60, nose - 0.52), (-half + 0.12, half - 0.12), (0.9, 1.0), DARK)
    front.box((joint + 0.35, joint + 0.62), (-half, half), (0.6, 1.05), YELLOW)
    front.box((joint, joint + 0.4), (-0.35, 0.35), (0.6, 0.95), DARK)
    axle, tail = -size.rear_joint_m, -size.rear_joint_m - size.rear_overhang_m
    rear.box((-0.5, 0.05), (-0.4, 0.4), (0.6, 1.05), DARK)
    rear.box((tail, axle + 0.5), (-0.72, 0.72), (0.85, 1.75), YELLOW, taper=0.08)
    rear.box((tail, tail + 0.12), (-0.8, 0.8), (0.7, 1.2), DARK)
    rear.box((axle + 0.4, -0.45), (-0.75, 0.75), (0.95, 1.30), YELLOW)
    for x in (axle + 0.55, -0.5):
        for side in (-1.0, 1.0):
            rear.box((x - 0.05, x + 0.05), (side * 0.72 - 0.05, side * 0.72 + 0.05),
                     (1.3, 2.85), DARK)  # fmt: skip
    rear.box((axle + 0.4, -0.35), (-0.85, 0.85), (2.85, 2.95), YELLOW, taper=0.05)
    for side in (-1.0, 1.0):
        rear.wheel(axle, side * (half - 0.32), 0.74, 0.55, YELLOW)


def _rigid_truck(machine: Machine, front: Builder) -> None:
    size = machine.profile.machine
    assert size.wheelbase_m is not None
    half, base, nose = 0.5 * size.width_m, size.wheelbase_m, machine.body.front[0].front_m
    tail = -size.rear_overhang_m
    front.box((base - 0.6, nose - 0.5), (-1.35, 1.35), (0.9, 2.75), YELLOW, taper=0.04)
    front.box((nose - 0.5, nose - 0.47), (-1.1, 1.1), (1.1, 2.5), DARK)
    front.box((base - 0.4, nose - 0.3), (-half + 0.25, half - 0.25), (2.55, 2.70), YELLOW)
    front.box((nose - 0.6, nose - 0.3), (-half + 0.3, half - 0.3), (0.75, 1.1), DARK)
    for y in (-2.0, -1.2, 1.2, 2.0):
        front.box((nose - 0.32, nose - 0.30), (y - 0.18, y + 0.18), (1.5, 1.75), WHITE)
    rail = (nose - 0.35, nose - 0.32)
    for y in range(-4, 5):
        at = y / 4.0 * (half - 0.32)
        front.box(rail, (at - 0.015, at + 0.015), (2.70, 3.30), ORANGE)
    for z in (3.0, 3.28):
        front.box(rail, (-half + 0.3, half - 0.3), (z, z + 0.03), ORANGE)
        for side in (-1.0, 1.0):
            y = side * (half - 0.32)
            front.box((base - 0.3, nose - 0.3), (y - 0.015, y + 0.015), (z, z + 0.03), ORANGE)
    for y in (-1.5, 0.0, 1.5):
        front.box((base + 0.2, nose - 0.6), (y - 0.02, y + 0.02), (2.70, 2.715), DARK)
    front.box((base - 1.6, base - 0.4), (0.3, half - 0.3), (2.7, 4.0), YELLOW, taper=0.08)
    front.box((base - 1.2, base - 0.38), (0.4, half - 0.4), (3.1, 3.85), GLASS, taper=0.08)
    front.box((tail + 0.4, base - 0.5), (-half + 0.4, half - 0.4), (1.9, 3.9), YELLOW, taper=-0.2)
    front.box((base - 1.7, nose - 0.8), (-half + 0.15, half - 0.15), (4.35, 4.55), YELLOW)
    front.box((tail + 0.5, base - 1.2), (-half + 0.5, half - 0.5), (3.9, 4.6), EARTH, taper=0.9)
    for side in (-1.0, 1.0):
        front.wheel(base, side * (half - 0.62), 1.33, 0.82, YELLOW)
        front.wheel(0.0, side * (half - 0.85), 1.33, 1.4, YELLOW)


def _tractor(machine: Machine, front: Builder) -> None:
    size = machine.profile.machine
    assert size.wheelbase_m is not None
    half, base, nose = 0.5 * size.width_m, size.wheelbase_m, machine.body.front[0].front_m
    front.box((0.75, nose - 0.05), (-0.42, 0.42), (0.85, 1.52), TRACTOR_GREEN, taper=0.07)
    front.box((nose - 0.06, nose - 0.02), (-0.32, 0.32), (0.95, 1.38), DARK)
    front.box((0.8, nose - 0.2), (-0.10, 0.10), (1.515, 1.55), DARK)
    front.box((nose - 0.35, nose), (-0.36, 0.36), (0.55, 0.9), DARK)
    for side in (-1.0, 1.0):
        front.box((nose - 0.22, nose - 0.02), (side * 0.3 - 0.09, side * 0.3 + 0.09),
                  (1.34, 1.44), WHITE)  # fmt: skip
        front.wheel(base, side * (half - 0.20), 0.54, 0.36, WHITE)
        front.box((base - 0.42, base + 0.42), (side * (half - 0.20) - 0.19,
                  side * (half - 0.20) + 0.19), (1.12, 1.17), DARK)  # fmt: skip
        front.wheel(0.0, side * (half - 0.24), 0.80, 0.46, WHITE)
        front.box((-0.75, 0.72), (side * (half - 0.26) - 0.26, side * (half - 0.26) + 0.26),
                  (1.58, 1.66), TRACTOR_GREEN, taper=0.03)  # fmt: skip
        front.box((0.70, 0.78), (side * 0.75 - 0.04, side * 0.75 + 0.04), (1.2, 2.5), DARK)
        front.box((-0.78, -0.70), (side * 0.75 - 0.04, side * 0.75 + 0.04), (1.5, 2.5), DARK)
        mirror = side * (half + 0.05)
        front.box((0.72, 0.76), (mirror - 0.11, mirror + 0.11), (1.75, 2.12), DARK)
    front.box((-0.9, 0.9), (-0.85, 0.85), (2.5, 2.6), TRACTOR_GREEN, taper=0.06)
    front.box((-0.6, 0.6), (-0.5, 0.5), (0.6, 1.2), DARK)


def _behind_tractor(machine: Machine, front: Builder, rear: Builder) -> None:
    tool, trailer = machine.plant.mounted, machine.plant.trailer
    tail = -machine.profile.machine.rear_overhang_m
    if tool is not None:
        end, half = tail - tool.length_m, 0.5 * tool.width_m
        front.box((tail - 0.5, tail + 0.1), (-0.4, 0.4), (0.55, 0.7), DARK)
        for x in (tail - 0.55, 0.5 * (tail + end), end + 0.35):
            front.box((x - 0.05, x + 0.05), (-half, half), (0.62, 0.74), RED)
            for index in range(6):
                y = (index - 2.5) / 3.0 * (half - 0.1)
                front.box((x - 0.04, x + 0.04), (y - 0.03, y + 0.03), (0.08, 0.66), STEEL)
        for side in (-0.6, 0.6):
            front.box((end + 0.3, tail - 0.5), (side - 0.05, side + 0.05), (0.64, 0.74), RED)
        front.round((end + 0.18, 0.0, 0.28), 0.2, half - 0.05, DARK, sides=10)
    if trailer is not None:
        rear_end, start = -trailer.drawbar_m - trailer.tail_m, -trailer.front_gap_m
        half = 0.5 * trailer.width_m
        rear.box((start, 0.0), (-0.08, 0.08), (0.5, 0.64), DARK)
        rear.box((rear_end, start), (-half, half), (0.95, 1.65), RED, taper=-0.03)
        rear.box((rear_end + 0.1, start - 0.1), (-half + 0.1, half - 0.1), (1.62, 1.78), EARTH,
                 taper=0.3)  # fmt: skip
        rear.box((rear_end, start), (-0.5, 0.5), (0.6, 0.95), DARK)
        for side in (-1.0, 1.0):
            rear.wheel(-trailer.drawbar_m, side * (half - 0.2), 0.46, 0.34, RED)


def _truck_8x8(machine: Machine, front: Builder) -> None:
    size = machine.profile.machine
    assert size.wheelbase_m is not None
    assert size.second_axle_m is not None
    half, nose = 0.5 * size.width_m, machine.body.front[0].front_m
    tail = -size.rear_overhang_m
    flank = half - 0.05
    front.box((nose - 2.1, nose - 0.1), (-flank, flank), (1.0, 1.72), TRUCK_GREEN)
    front.box(
        (nose - 0.62, nose - 0.16), (-flank + 0.1, flank - 0.1), (1.72, 1.80), DARK, taper=0.03
    )
    front.box((nose - 2.1, nose - 0.25), (-flank, flank), (2.95, 3.05), TRUCK_GREEN, taper=0.05)
    front.box((nose - 2.1, nose - 1.95), (-flank, flank), (1.7, 3.0), TRUCK_GREEN)
    for side in (-1.0, 1.0):
        y = (side * flank - 0.05, side * flank + 0.05)
        for corner in (nose - 0.22, nose - 1.0):
            front.box((corner - 0.06, corner + 0.06), y, (1.7, 2.97), DARK)
    front.box((nose - 0.35, nose), (-half, half), (0.65, 1.05), DARK)
    for side in (-1.0, 1.0):
        front.box((nose - 0.02, nose), (side * 0.95 - 0.14, side * 0.95 + 0.14),
                  (0.75, 0.95), WHITE)  # fmt: skip
        front.box((nose - 0.25, nose - 0.15), (side * (half + 0.12) - 0.12,
                  side * (half + 0.12) + 0.12), (1.9, 2.5), DARK)  # fmt: skip
        for x in (size.wheelbase_m, size.second_axle_m, 0.725, -0.725):
            front.wheel(x, side * (half - 0.2), 0.62, 0.4)
    front.box((tail + 0.1, nose - 2.3), (-0.5, 0.5), (0.7, 1.1), DARK)
    front.box((tail, nose - 2.4), (-half, half), (1.3, 2.5), TRUCK_GREEN)
    front.box((tail + 0.1, nose - 2.5), (-half + 0.1, half - 0.1), (2.5, 2.7), EARTH, taper=0.5)
    front.box((tail + 0.6, nose - 2.4), (-half, half), (1.1, 1.3), RUBBER)
