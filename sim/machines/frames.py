"""How steering turns a machine: the kinematics of its frame, with tyre slip.

Axes as ISO 8855: x forwards, y left, angles positive to the left. The reference point is the
one that rolls straight ahead of its own unit: the front axle's centre of an articulated
machine; the rear axle's of a rigid one, or the middle between its rear axles.

Articulated: both axles' velocity directions give the yaw rate (Altafini 1999; the tests check
it against the rear axle's own equation). Rigid: the single track, whose foremost steered axle
stands for all; a second one follows by its linkage towards the same turning centre
(tan of its angle is its distance over the radius).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from protocol.profiles import MachineSize


class Frame(Protocol):
    """What the plant asks of a frame. Curvatures and angles are + left."""

    def angle_for(self, curvature_per_m: float) -> float:
        """The actuator's angle at which the reference point runs on ``curvature_per_m``."""
        ...

    def curvature_of(self, angle_rad: float) -> float:
        """The reference point's curvature, 1/m, at a steady angle, without slip."""
        ...

    def shown_angle(self, angle_rad: float) -> float:
        """What the machine reports: the joint angle, or the mean of its steered axles."""
        ...

    def yaw_rate(
        self,
        plan_mps: float,
        angle_rad: float,
        rate_radps: float,
        front_slip_rad: float,
        rear_slip_rad: float,
    ) -> float:
        """Yaw rate of the front unit, rad/s, when the reference point moves at ``plan_mps``."""
        ...

    def course_slip(self, front_slip_rad: float, rear_slip_rad: float) -> float:
        """How far the reference point's course leaves its unit's heading."""
        ...


@dataclass(frozen=True, slots=True)
class ArticulatedFrame:
    """Two units with a joint. Distances from the joint to each axle."""

    front_joint_m: float
    rear_joint_m: float

    def angle_for(self, curvature_per_m: float) -> float:
        """Inverse of :meth:`curvature_of`; what no joint angle reaches gives the nearest."""
        lead = curvature_per_m * self.front_joint_m
        share = curvature_per_m * self.rear_joint_m / math.sqrt(1.0 + lead * lead)
        return math.atan(lead) + math.asin(min(max(share, -1.0), 1.0))

    def curvature_of(self, angle_rad: float) -> float:
        """Of the front axle."""
        return math.sin(angle_rad) / (self.front_joint_m * math.cos(angle_rad) + self.rear_joint_m)

    def shown_angle(self, angle_rad: float) -> float:
        """The joint angle."""
        return angle_rad

    def yaw_rate(
        self,
        plan_mps: float,
        angle_rad: float,
        rate_radps: float,
        front_slip_rad: float,
        rear_slip_rad: float,
    ) -> float:
        """Of the front unit; the joint's own rate turns it even at standstill."""
        rear = self.rear_joint_m * math.cos(rear_slip_rad)
        return (
            plan_mps * math.sin(angle_rad + front_slip_rad - rear_slip_rad) + rate_radps * rear
        ) / (self.front_joint_m * math.cos(angle_rad - rear_slip_rad) + rear)

    def course_slip(self, front_slip_rad: float, rear_slip_rad: float) -> float:  # noqa: ARG002 - its reference is in front
        """The front axle's own slip."""
        return front_slip_rad


@dataclass(frozen=True, slots=True)
class RigidFrame:
    """A single track.

    Attributes:
        wheelbase_m: from the reference point to the foremost steered axle.
        second_axle_m: to a second steered axle; None when there is none.
    """

    wheelbase_m: float
    second_axle_m: float | None = None

    def angle_for(self, curvature_per_m: float) -> float:
        """Angle of the foremost steered axle."""
        return math.atan(curvature_per_m * self.wheelbase_m)

    def curvature_of(self, angle_rad: float) -> float:
        """Of the rear axle, or of the middle between the rear axles."""
        return math.tan(angle_rad) / self.wheelbase_m

    def shown_angle(self, angle_rad: float) -> float:
        """Mean over the steered axles."""
        if self.second_axle_m is None:
            return angle_rad
        follower_rad = math.atan(math.tan(angle_rad) * self.second_axle_m / self.wheelbase_m)
        return 0.5 * (angle_rad + follower_rad)

    def yaw_rate(
        self,
        plan_mps: float,
        angle_rad: float,
        rate_radps: float,  # noqa: ARG002 - turning the wheels turns no body
        front_slip_rad: float,
        rear_slip_rad: float,
    ) -> float:
        """Both axles' velocities are those of one rigid body."""
        cosine = math.cos(rear_slip_rad)
        across = cosine * math.tan(angle_rad + front_slip_rad) - math.sin(rear_slip_rad)
        return plan_mps * across / self.wheelbase_m

    def course_slip(self, front_slip_rad: float, rear_slip_rad: float) -> float:  # noqa: ARG002 - its reference is at the rear
        """The rear axle's own slip."""
        return rear_slip_rad


def frame_of(size: MachineSize) -> Frame:
    """The frame of a machine, by its kind."""
    if size.kind == "articulated":
        assert size.front_joint_m is not None, "checked by MachineSize"
        assert size.rear_joint_m is not None, "checked by MachineSize"
        return ArticulatedFrame(size.front_joint_m, size.rear_joint_m)
    assert size.wheelbase_m is not None, "checked by MachineSize"
    return RigidFrame(size.wheelbase_m, size.second_axle_m)
