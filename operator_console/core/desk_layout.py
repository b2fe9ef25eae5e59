"""What each axis and contact of a driver's desk does, and what a desk must have to drive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from operator_console.core.axes import Axis
from operator_console.core.devices import BY_ID, Identity

CONTACTS = 16
"""Of a serial box."""


class Kind(StrEnum):
    """Desks that there are."""

    WHEEL = "wheel"
    STICKS = "sticks"
    """Two sticks of an articulated machine: the left one turns the joint by its rate."""
    GAMEPAD = "gamepad"
    """For simulated machines only."""


class AxisDoes(StrEnum):
    """What an axis asks."""

    STEER = "steer"
    THROTTLE = "throttle"
    BRAKE = "brake"
    DRIVE = "drive"
    """Throttle at one end, brake at the other, rest between."""
    IMPLEMENT = "implement"


class KeyDoes(StrEnum):
    """What a contact asks while it is closed, or at the moment when it closes."""

    ENABLE_CLOSES = "enable_closes"
    ENABLE_OPENS = "enable_opens"
    """The opposite contact: closed while the enable switch is *not* pressed."""
    SEAT = "seat"
    STOP = "stop"
    STOP_OPENS = "stop_opens"
    """A STOP whose contact opens when pressed, so that a cut wire stops."""
    CONFIRM = "confirm"
    DISARM = "disarm"
    GEAR_UP = "gear_up"
    GEAR_DOWN = "gear_down"
    PARK = "park"
    HORN = "horn"
    LIGHTS = "lights"
    IMPLEMENT_UP = "implement_up"
    IMPLEMENT_DOWN = "implement_down"


@dataclass(frozen=True, slots=True)
class AxisUse:
    """One axis of one device, and what it does."""

    does: AxisDoes
    device: str
    axis: Axis


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One contact of one device, and what it does."""

    does: KeyDoes
    device: str
    code: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole desk.

    Attributes:
        devices: who each named device is. axes, keys: what they do.
        steer_rate_per_s: sticks: of full lock a second at full deflection.
    """

    kind: Kind
    devices: Mapping[str, Identity]
    axes: tuple[AxisUse, ...]
    keys: tuple[KeyUse, ...]
    steer_rate_per_s: float = 0.0

    @property
    def needs_seat(self) -> bool:
        """There is a seat switch, so it counts."""
        return any(key.does is KeyDoes.SEAT for key in self.keys)

    def problem(self, *, simulated: bool) -> str | None:
        """Return why this desk may not drive, None when it may; in words for a person."""
        axes = Counter(use.does for use in self.axes)
        doubled = next((does for does, count in axes.items() if count > 1), None)
        if doubled is not None:
            return f"two axes do {doubled}"
        if not axes[AxisDoes.STEER]:
            return "no axis steers"
        pedals = axes[AxisDoes.THROTTLE] and axes[AxisDoes.BRAKE]
        if bool(pedals) == bool(axes[AxisDoes.DRIVE]):
            return "it needs throttle and brake, or one axis that drives, and not both"
        for use in self.axes:
            fault = use.axis.fault()
            if fault is not None:
                return f"axis {use.does}: {fault}"
        used = {use.device for use in self.axes} | {use.device for use in self.keys}
        stray = used - set(self.devices)
        if stray:
            return f"no device is called {min(stray)}"
        serial = {name for name, device in self.devices.items() if device.serial}
        if any(use.device in serial for use in self.axes):
            return "a serial box has contacts and no axis"
        if any(use.device in serial and use.code >= CONTACTS for use in self.keys):
            return f"a serial box has {CONTACTS} contacts, 0 to {CONTACTS - 1}"
        return self._contacts_problem() if simulated else self._real_problem()

    def _contacts_problem(self) -> str | None:
        keys = Counter(use.does for use in self.keys)
        if keys[KeyDoes.ENABLE_CLOSES] != 1 or keys[KeyDoes.ENABLE_OPENS] > 1:
            return "it needs one enable switch"
        if keys[KeyDoes.SEAT] > 1:
            return "it has two seats"
        both = [(use.device, use.code) for use in self.keys]
        if len(set(both)) != len(both):
            return "one contact does two things"
        return None

    def _real_problem(self) -> str | None:
        """A real machine asks more: opposite contacts, a STOP, and a wire to everything."""
        if self.kind is Kind.GAMEPAD:
            return "a gamepad drives simulated machines only"
        wireless = [name for name, device in self.devices.items() if device.wireless]
        if wireless:
            return f"{min(wireless)} is wireless: without its line it repeats what it said last"
        unnamed = [
            name
            for name, device in self.devices.items()
            if device.serial and not device.named_by_id
        ]
        if unnamed:
            return f"{min(unnamed)} must be named by {BY_ID}/…, which stays with the device"
        keys = Counter(use.does for use in self.keys)
        if not keys[KeyDoes.ENABLE_OPENS]:
            return "a real machine needs an enable switch with two opposite contacts"
        if not keys[KeyDoes.STOP] + keys[KeyDoes.STOP_OPENS]:
            return "a real machine needs a STOP button on the desk"
        return self._contacts_problem()
