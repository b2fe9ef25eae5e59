"""One driver's desk: what the devices say becomes what the hands ask, or why nothing counts.

Losing a device is never neutral: without all its devices a desk asks nothing at all, and enable
is off with the reason (cockpit rules 2, 3, 8 and 11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from operator_console.core.desk_layout import AxisDoes, KeyDoes, KeyUse, Kind, Layout
from operator_console.core.evdev import Controls
from operator_console.core.inputs import REST, DriverInput
from operator_console.core.sweep import RELEASED, PedalSweep
from operator_console.core.switches import (
    CONFIRM_HOLD_NS,
    PARK_HOLD_NS,
    EnableSwitch,
    Hold,
    SeatSwitch,
)

CONFLICT = 0.20
CONFLICT_NS = 1_000_000_000
"""Throttle and brake both pressed for this long: one of them is stuck (cockpit 3.3)."""

GEAR_BRAKE_MIN = 0.30
GEAR_SPEED_MAX_MPS = 0.14
"""0.5 km/h (cockpit section 8)."""

FEEDBACK_MAX_AGE_NS = 500_000_000
"""What the console said of the machine is unknown after this."""

STEP_MAX_S = 0.05
"""A look later than this does not turn a rate into a jump."""


class Fault(StrEnum):
    """Why a desk asks nothing, or why its enable is off."""

    NONE = ""
    ABSENT = "absent"
    """A device is not there, or was pulled out."""
    OTHER = "other"
    """A device of the same make is there that is not the calibrated one."""
    DENIED = "denied"
    """A device is not there, and some may not be looked at: udev permissions."""
    TORN = "torn"
    """The kernel dropped events, or a box began to speak: the device's state is read anew."""
    SILENT = "silent"
    """A box on a serial line says nothing, or nothing that counts."""
    RANGE = "range"
    """An axis reports what its sensor cannot give."""
    STOP_HELD = "stop_held"
    """A STOP is down, or its wire is cut: nothing is enabled before it is up again."""
    CONTACTS = "contacts"
    """The two contacts of the enable switch do not agree."""
    SEAT = "seat"
    """Nobody sits here."""
    BARRED = "barred"
    """Enable is held and does not count: it was held while something barred it."""
    CONFLICT = "conflict"
    """Throttle and brake were pressed together for too long: the throttle counts no more."""


_STOPS = frozenset({KeyDoes.STOP, KeyDoes.STOP_OPENS})
_FAULTS_OF = {
    Fault.CONTACTS: KeyDoes.ENABLE_CLOSES,
    Fault.SEAT: KeyDoes.SEAT,
    Fault.BARRED: KeyDoes.ENABLE_CLOSES,
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the machine does, as the console last told.

    Attributes:
        at_ns: when it was told. speed_mps, steer: measured, + left; None is unknown.
        movable: armed or driving. active: it is driven.
        state_age_ms: age of the machine's state, None when unknown.
    """

    at_ns: int
    speed_mps: float | None = None
    steer: float | None = None
    movable: bool = False
    active: bool = False
    state_age_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each button acted since the desk's process started; lost messages lose none."""

    stops: int = 0
    confirms: int = 0
    disarms: int = 0


@dataclass(frozen=True, slots=True)
class DeskSnapshot:
    """What a desk asks at one moment.

    Attributes:
        controls: of hands and feet; None when none of it counts.
        fault, device: why nothing counts or enable is off, and whose fault it is.
        unproven: pedals and axes that have not been seen to follow the hand yet.
        steers: raw steering share for the force loop, None when unknown.
    """

    controls: DriverInput | None
    fault: Fault
    device: str
    unproven: tuple[str, ...]
    counts: Counts
    steers: float | None = None


class Desk:
    """Follows one layout's devices; every call takes the time."""

    _must_open: bool
    """Set by every look, the first included: then nothing is proven, which bars enable."""

    _looked_ns: int
    """When controls were last asked; set before there is a steering to turn on from."""

    _stops_down: frozenset[tuple[str, int]]
    """Every STOP that was down at the last look: its device, and its contact's code."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sweeps = {name: PedalSweep() for name in ("throttle", "brake")}
        self._enable = EnableSwitch()
        self._seat = SeatSwitch()
        self._confirm = Hold(CONFIRM_HOLD_NS)
        self._park_hold = Hold(PARK_HOLD_NS)
        self._counts = Counts()
        self._stops_down = frozenset()
        self._gear = 0
        self._park = False
        self._lights = False
        self._conflict_since_ns: int | None = None
        self._throttle_barred = False
        self._turned: float | None = None
        self._sequence = 0

    # ---- one look ----------------------------------------------------------------------

    def look(
        self,
        devices: Mapping[str, Controls | Fault],
        feedback: Feedback | None,
        now_ns: int,
    ) -> DeskSnapshot:
        """Return what the desk asks now.

        Args:
            devices: each device's controls, or why it has none.
            feedback: newest word of the machine, None when there was none.
        """
        here = {name: each for name, each in devices.items() if isinstance(each, Controls)}
        self._forget_absent(here)
        pressed = {name: each.take_pressed() for name, each in here.items()}
        known = _young(feedback, now_ns)
        self._buttons(here, pressed, known, now_ns)
        lost = self._lost(devices)
        if lost is not None:
            return self._nothing(*lost)
        axes = self._axes(here)
        if isinstance(axes, str):
            return self._nothing(Fault.RANGE, axes)
        return self._asked(axes, here, pressed, known, now_ns)

    def _nothing(self, fault: Fault, device: str) -> DeskSnapshot:
        self._gear, self._turned = 0, None
        self._must_open = True
        self._conflict_since_ns = None
        return DeskSnapshot(None, fault, device, self._unproven({}), self._counts)

    def _forget_absent(self, here: Mapping[str, Controls]) -> None:
        """A device that went must prove its pedals again when it comes back."""
        for use in self._layout.axes:
            if use.device not in here:
                for name in _proofs_of(use.does):
                    self._sweeps[name] = PedalSweep()

    def _lost(self, devices: Mapping[str, Controls | Fault]) -> tuple[Fault, str] | None:
        """Return why the first device without controls has none, and its name."""
        for name in self._layout.devices:
            found = devices.get(name, Fault.ABSENT)
            if isinstance(found, Fault):
                return found, name
        return None

    # ---- axes --------------------------------------------------------------------------

    def _axes(self, here: Mapping[str, Controls]) -> dict[AxisDoes, float] | str:
        """Return what each axis asks, or the device of the first one that is out of range."""
        shares: dict[AxisDoes, float] = {}
        for use in self._layout.axes:
            raw = here[use.device].axes.get(use.axis.code)
            share = None if raw is None else use.axis.share(raw)
            if share is None:
                return use.device
            shares[use.does] = share
        return shares

    def _unproven(self, here: Mapping[str, Controls]) -> tuple[str, ...]:
        """Names of what must still be moved, each with how far its proof is."""
        names = [f"{name}:{each.stage}" for name, each in self._sweeps.items() if not each.done]
        if self._layout.kind is not Kind.STICKS and not self._steering_moved(here):
            names.append("steering:move")
        return tuple(names)

    def _steering_moved(self, here: Mapping[str, Controls]) -> bool:
        return any(
            use.does is AxisDoes.STEER
            and use.device in here
            and use.axis.code in here[use.device].moved
            for use in self._layout.axes
        )

    def _pedals(self, axes: Mapping[AxisDoes, float], now_ns: int) -> tuple[float, float]:
        """Return throttle and brake; a throttle that was not proven asks nothing."""
        drive = axes.get(AxisDoes.DRIVE)
        throttle = max(0.0, axes[AxisDoes.THROTTLE] if drive is None else drive)
        brake = max(0.0, axes[AxisDoes.BRAKE] if drive is None else -drive)
        self._sweeps["throttle"].see(throttle)
        self._sweeps["brake"].see(brake)
        self._note_conflict(throttle, brake, now_ns)
        asks = self._sweeps["throttle"].done and not self._throttle_barred
        return throttle if asks else 0.0, brake

    def _note_conflict(self, throttle: float, brake: float, now_ns: int) -> None:
        """Bar the throttle when it stays pressed under the brake, until it is seen at rest."""
        if throttle < RELEASED:
            self._throttle_barred = False
        if throttle <= CONFLICT or brake <= CONFLICT:
            self._conflict_since_ns = None
        elif self._conflict_since_ns is None:
            self._conflict_since_ns = now_ns
        elif now_ns - self._conflict_since_ns > CONFLICT_NS:
            self._throttle_barred = True

    def _steered(
        self, share: float, feedback: Feedback | None, now_ns: int
    ) -> tuple[float | None, bool]:
        """Return the steering asked, None when unknown, and whether a stick is off its rest.

        A wheel stands for a steering angle. A stick turns the joint: it starts from where the
        machine's steering is, and goes on from there only while the machine is driven. With no
        word of the machine what was asked last is held.
        """
        if self._layout.kind is not Kind.STICKS:
            return share, False
        off = abs(share) >= REST
        if feedback is None:
            return self._turned, off
        if self._turned is None or not feedback.active:
            self._turned = feedback.steer
        elif off:
            turn = share * self._layout.steer_rate_per_s * self._step_s(now_ns)
            self._turned = min(1.0, max(-1.0, self._turned + turn))
        return self._turned, off

    def _step_s(self, now_ns: int) -> float:
        return min(max((now_ns - self._looked_ns) / 1e9, 0.0), STEP_MAX_S)

    # ---- contacts ----------------------------------------------------------------------

    def _down(self, here: Mapping[str, Controls], does: KeyDoes) -> bool:
        return any(
            use.code in here[use.device].keys
            for use in self._layout.keys
            if use.does is does and use.device in here
        )

    def _hit(self, pressed: Mapping[str, frozenset[int]], does: KeyDoes) -> bool:
        return any(
            use.code in pressed.get(use.device, ()) for use in self._layout.keys if use.does is does
        )

    def _buttons(
        self,
        here: Mapping[str, Controls],
        pressed: Mapping[str, frozenset[int]],
        feedback: Feedback | None,
        now_ns: int,
    ) -> None:
        """STOP and disarm count from every device that is there, whatever the others do.

        Each STOP counts for itself, so that one that stays down takes none of the others away.
        """
        down, hit = frozenset(self._stops_held(here)), frozenset(self._stops_hit(pressed))
        new = ((down | hit) - self._stops_down) | (down & hit)
        counts = self._counts
        self._counts = Counts(
            counts.stops + len(new),
            counts.confirms + self._confirm.acts(self._down(here, KeyDoes.CONFIRM), now_ns),
            counts.disarms + self._hit(pressed, KeyDoes.DISARM),
        )
        self._stops_down = down
        if feedback is None or not feedback.movable:
            self._gear = 0
        if self._park_hold.acts(self._down(here, KeyDoes.PARK), now_ns):
            self._park = not self._park
        if self._hit(pressed, KeyDoes.LIGHTS):
            self._lights = not self._lights

    def _stops(self) -> Iterator[KeyUse]:
        return (use for use in self._layout.keys if use.does in _STOPS)

    def _stops_held(self, here: Mapping[str, Controls]) -> Iterator[tuple[str, int]]:
        """Yield each STOP that is down now, of the devices that are there."""
        for use in self._stops():
            if use.device in here:
                closed = use.code in here[use.device].keys
                if closed is (use.does is KeyDoes.STOP):
                    yield use.device, use.code

    def _stops_hit(self, pressed: Mapping[str, frozenset[int]]) -> Iterator[tuple[str, int]]:
        """Yield each STOP that was down since the last look, however briefly."""
        for use in self._stops():
            if use.code in pressed.get(use.device, ()):
                yield use.device, use.code

    def _shift(
        self, pressed: Mapping[str, frozenset[int]], brake: float, feedback: Feedback | None
    ) -> None:
        """Change gear at a stand under the brake, one step for each press."""
        steps = self._hit(pressed, KeyDoes.GEAR_UP) - self._hit(pressed, KeyDoes.GEAR_DOWN)
        if feedback is None or feedback.speed_mps is None or not feedback.movable:
            return
        if abs(feedback.speed_mps) < GEAR_SPEED_MAX_MPS and brake >= GEAR_BRAKE_MIN:
            self._gear = min(1, max(-1, self._gear + steps))

    def _enable_contacts(self, here: Mapping[str, Controls]) -> tuple[bool, bool]:
        """Return whether the contact that closes is closed, and the one that opens."""
        closed = self._down(here, KeyDoes.ENABLE_CLOSES)
        opposite = any(use.does is KeyDoes.ENABLE_OPENS for use in self._layout.keys)
        return closed, self._down(here, KeyDoes.ENABLE_OPENS) if opposite else not closed

    def _barred_by(self, here: Mapping[str, Controls], now_ns: int) -> Fault:
        """Return what bars enable, whatever the hand does."""
        if self._stops_down:
            return Fault.STOP_HELD
        if self._enable.fault:
            return Fault.CONTACTS
        if self._layout.needs_seat and not self._seat.occupied(
            self._down(here, KeyDoes.SEAT), now_ns
        ):
            return Fault.SEAT
        return Fault.NONE

    def _counts_now(self, held: bool, *, is_open: bool, barred: bool) -> bool:
        """Return whether enable goes out: after it was barred the hand must be seen open.

        Contacts that are alike show no open hand. So each time that enable comes on, it comes
        from there, and the console may take any enable that is off for a hand let go.
        """
        self._must_open = not is_open and (barred or self._must_open)
        return held and not self._must_open

    # ---- all together ------------------------------------------------------------------

    def _asked(
        self,
        axes: Mapping[AxisDoes, float],
        here: Mapping[str, Controls],
        pressed: Mapping[str, frozenset[int]],
        feedback: Feedback | None,
        now_ns: int,
    ) -> DeskSnapshot:
        throttle, brake = self._pedals(axes, now_ns)
        steer, stick_off = self._steered(axes[AxisDoes.STEER], feedback, now_ns)
        self._shift(pressed, brake, feedback)
        closed, opened = self._enable_contacts(here)
        held = self._enable.pressed(closed, opened, now_ns)
        fault = self._barred_by(here, now_ns)
        unknown = ("steering:unknown",) if steer is None else ()
        unproven = (*self._unproven(here), *unknown)
        is_open, barred = opened and not closed, bool(fault or unproven)
        enable = self._counts_now(held, is_open=is_open, barred=barred)
        if not fault and self._throttle_barred:
            fault = Fault.CONFLICT
        elif not fault and closed and not opened and not enable:
            fault = Fault.BARRED
        self._looked_ns = now_ns
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        controls = DriverInput(
            sequence=self._sequence,
            steer=steer or 0.0,
            throttle=throttle,
            brake=brake,
            enable=enable,
            gear=self._gear,
            park=self._park,
            horn=self._down(here, KeyDoes.HORN),
            lights=self._lights,
            implement=self._implement(axes, here),
        )
        off = ("stick:rest",) if stick_off else ()
        device = self._device_of(fault)
        return DeskSnapshot(
            controls, fault, device, (*unproven, *off), self._counts, axes[AxisDoes.STEER]
        )

    def _implement(self, axes: Mapping[AxisDoes, float], here: Mapping[str, Controls]) -> float:
        up, down = KeyDoes.IMPLEMENT_UP, KeyDoes.IMPLEMENT_DOWN
        keys = float(self._down(here, up)) - float(self._down(here, down))
        return axes.get(AxisDoes.IMPLEMENT, keys)

    def _device_of(self, fault: Fault) -> str:
        if fault is Fault.STOP_HELD:
            return min(self._stops_down)[0]
        does = _FAULTS_OF.get(fault)
        return next((use.device for use in self._layout.keys if use.does is does), "")


def _young(feedback: Feedback | None, now_ns: int) -> Feedback | None:
    """Return the feedback while it is young enough to act on."""
    if feedback is None or not 0 <= now_ns - feedback.at_ns <= FEEDBACK_MAX_AGE_NS:
        return None
    return feedback


def _proofs_of(does: AxisDoes) -> tuple[str, ...]:
    return {
        AxisDoes.THROTTLE: ("throttle",),
        AxisDoes.BRAKE: ("brake",),
        AxisDoes.DRIVE: ("throttle", "brake"),
    }.get(does, ())
