"""``headframe console --calibrate``: asks for one movement after the other, writes the desk."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from operator_console.core.axes import Axis
from operator_console.core.desk import Fault
from operator_console.core.desk_layout import AxisDoes, KeyDoes, Kind
from operator_console.core.devices import BY_ID, AxisRange
from operator_console.core.evdev import EV_FF, Controls
from operator_console.core.force import ForceBy, Pull, best_way
from operator_console.core.force_effects import NEW_ID, constant_effect, effect_id_of
from operator_console.core.wizard import Held, Place, closed, learned, moved_axis, opened
from operator_console.shell.box_port import open_box
from operator_console.shell.clock import wait_s
from operator_console.shell.config import load_settings
from operator_console.shell.desk_config import DeskFile, desk_text, plan_of
from operator_console.shell.evdev_source import FOLDER, EventSource, KernelSource

FORCE_TEST = 0.15
FORCE_MOVES = 0.01
"""Of the wheel's range: further than a sensor's noise, less than the length of the push."""

BOX_LOOK_S = 0.02
BOX_SPEAKS_WITHIN_S = 4.0
"""A board that starts anew when its port is opened listens to its programmer first, for two."""

Ask = Callable[[str], str]


class Device(EventSource, Protocol):
    """A device that also tells what its axes can report."""

    @property
    def ranges(self) -> dict[int, AxisRange]:
        """What each axis can report."""
        ...


class SerialBox(Protocol):
    """A box of contacts on a serial line."""

    @property
    def path(self) -> str:
        """The line's name."""
        ...

    def closed(self) -> frozenset[int]:
        """Return the contacts that are closed now.

        Raises:
            WizardEnds: it says nothing that counts.
        """
        ...


class WizardEnds(RuntimeError):
    """Raised when the desk cannot be learned; its text is for a person."""


MOVES: Mapping[Kind, tuple[tuple[AxisDoes, str, str | None], ...]] = {
    Kind.WHEEL: (
        (AxisDoes.STEER, "Turn the wheel 270° to the left", "Turn it 270° to the right"),
        (AxisDoes.THROTTLE, "Press the throttle fully", None),
        (AxisDoes.BRAKE, "Press the brake fully", None),
    ),
    Kind.STICKS: (
        (AxisDoes.STEER, "Push the steering stick fully left", "Push it fully right"),
        (AxisDoes.DRIVE, "Push the driving stick fully forward", "Pull it fully back"),
        (AxisDoes.IMPLEMENT, "Pull the implement stick to raise", "Push it to lower"),
    ),
    Kind.GAMEPAD: (
        (AxisDoes.STEER, "Push the left stick fully left", "Push it fully right"),
        (AxisDoes.THROTTLE, "Press the right trigger fully", None),
        (AxisDoes.BRAKE, "Press the left trigger fully", None),
    ),
}
"""What to move, the first end and the other one."""

OPTIONAL = frozenset({AxisDoes.IMPLEMENT})
EXPO = {Kind.GAMEPAD: 0.4}
"""Cockpit section 8."""

BUTTONS: tuple[tuple[KeyDoes, str], ...] = (
    (KeyDoes.STOP, "the STOP button"),
    (KeyDoes.CONFIRM, "the confirm button"),
    (KeyDoes.DISARM, "the disarm button"),
    (KeyDoes.GEAR_UP, "gear up"),
    (KeyDoes.GEAR_DOWN, "gear down"),
    (KeyDoes.PARK, "the park brake button"),
    (KeyDoes.HORN, "the horn"),
    (KeyDoes.LIGHTS, "the lights button"),
    (KeyDoes.IMPLEMENT_UP, "the button that raises the implement"),
    (KeyDoes.IMPLEMENT_DOWN, "the button that lowers it"),
)


class Wizard:
    """One calibration.

    Args:
        devices: open devices by name. ask: says a line and returns what was typed.
        pause: waits, for the force's direction to show.
        boxes: of contacts, on serial lines.
    """

    def __init__(
        self,
        devices: Mapping[str, Device],
        ask: Ask,
        pause: Callable[[float], None],
        boxes: Mapping[str, SerialBox] | None = None,
    ) -> None:
        self._devices = devices
        self._boxes = boxes or {}
        self._ask = ask
        self._pause = pause
        self._ranges = {name: device.ranges for name, device in devices.items()}
        self._axes: list[dict[str, Any]] = []
        self._keys: list[dict[str, Any]] = []

    def run(self) -> DeskFile:
        """Return the desk that was shown.

        Raises:
            WizardEnds: something that a desk needs was not found.
        """
        kind = self._kind()
        rest = self._held("Let go of everything and sit down, then press Enter")
        for does, first, second in MOVES[kind]:
            self._learn_axis(kind, rest, (does, first, second))
        self._learn_enable(rest)
        self._learn_seat(rest)
        for button, name in BUTTONS:
            self._learn_button(rest, button, name)
        names = {each["device"] for each in self._axes + self._keys}
        content: dict[str, Any] = {
            "kind": kind.value,
            "devices": {
                name: _identity(self._devices[name]) for name in sorted(names & set(self._devices))
            },
            "boxes": {
                name: {"serial": self._boxes[name].path}
                for name in sorted(names & set(self._boxes))
            },
            "axes": self._axes,
            "keys": self._keys,
        }
        force = self._learn_force()
        return DeskFile.model_validate(content | ({} if force is None else {"force": force}))

    def _kind(self) -> Kind:
        kinds = "/".join(each.value for each in Kind)
        answer = self._ask(f"Which desk is it? {kinds} [wheel]").strip() or Kind.WHEEL.value
        try:
            return Kind(answer)
        except ValueError as error:
            raise WizardEnds(f"no desk is called {answer}: {kinds}") from error

    def _held(self, words: str) -> Held:
        self._ask(words)
        return self._now()

    def _now(self) -> Held:
        return Held(
            {name: device.axes() for name, device in self._devices.items()},
            {name: frozenset(device.keys()) for name, device in self._devices.items()}
            | {name: box.closed() for name, box in self._boxes.items()},
        )

    # ---- axes --------------------------------------------------------------------------

    def _learn_axis(self, kind: Kind, rest: Held, move: tuple[AxisDoes, str, str | None]) -> None:
        does, first, second = move
        taken = {(each["device"], each["code"]) for each in self._axes}
        held = self._held(f"{first}, hold it there, then press Enter")
        place = moved_axis(rest, held, self._ranges, taken)
        if place is None:
            if does in OPTIONAL:
                return
            raise WizardEnds(f"{does}: nothing moved")
        other = None if second is None else self._at(place, f"{second}, hold it, then press Enter")
        device, code = place
        full = held.axes[device][code]
        span = self._ranges[device][code]
        axis = learned(code, rest.axes[device][code], full, other, span, expo=EXPO.get(kind, 0.0))
        fault = axis.fault()
        if fault is not None:
            raise WizardEnds(f"{does}: {fault}")
        self._axes.append(_axis_row(does, device, axis))

    def _at(self, place: Place, words: str) -> int:
        return self._held(words).axes[place[0]][place[1]]

    # ---- contacts ----------------------------------------------------------------------

    def _add(self, does: KeyDoes, place: Place) -> None:
        self._keys.append({"does": does.value, "device": place[0], "code": place[1]})

    def _learn_enable(self, rest: Held) -> None:
        held = self._held("Press the enable switch, hold it, then press Enter")
        if not closed(rest, held):
            raise WizardEnds("enable: no contact closed")
        self._add(KeyDoes.ENABLE_CLOSES, closed(rest, held)[0])
        for place in opened(rest, held)[:1]:
            self._add(KeyDoes.ENABLE_OPENS, place)

    def _learn_seat(self, rest: Held) -> None:
        held = self._held("Let go of enable, get up from the seat, then press Enter")
        for place in opened(rest, held)[:1]:
            self._add(KeyDoes.SEAT, place)
        self._ask("Sit down again, then press Enter")

    def _learn_button(self, rest: Held, does: KeyDoes, name: str) -> None:
        held = self._held(f"Press {name}, hold it, then press Enter (without: only Enter)")
        taken = {(each["device"], each["code"]) for each in self._keys}
        found = [place for place in closed(rest, held) if place not in taken]
        cut = [place for place in opened(rest, held) if place not in taken]
        if does is KeyDoes.STOP and cut:
            self._add(KeyDoes.STOP_OPENS, cut[0])
        elif found:
            self._add(does, found[0])

    # ---- force -------------------------------------------------------------------------

    def _learn_force(self) -> dict[str, Any] | None:
        """Push a little to the left and see which way the wheel goes."""
        steer = self._axes[0]
        device, code = self._devices[steer["device"]], steer["code"]
        if best_way(device.effects) is ForceBy.NONE:
            return None
        force = {"device": steer["device"]}
        if best_way(device.effects) is not ForceBy.CONSTANT:
            return force
        self._ask("The wheel will push a little: let go of it, then press Enter")
        before = device.axes()[code]
        effect_id = effect_id_of(device.upload(constant_effect(NEW_ID, Pull(FORCE_TEST))))
        device.say(EV_FF, effect_id, 1)
        self._pause(0.2)
        way = (device.axes()[code] - before) / (steer["full"] - steer["zero"])
        device.say(EV_FF, effect_id, 0)
        device.erase(effect_id)
        if abs(way) < FORCE_MOVES:
            self._ask("The wheel did not move: it is used without force. Press Enter")
            return None
        return force | {"reversed": way < 0}


def _identity(device: Device) -> dict[str, Any]:
    found = device.identity
    return {
        "bus": found.bus,
        "vendor": found.vendor,
        "product": found.product,
        "port": found.port,
        "capabilities": found.capabilities,
        "name": found.name,
    }


def _axis_row(does: AxisDoes, device: str, axis: Axis) -> dict[str, Any]:
    return {
        "does": does.value,
        "device": device,
        "code": axis.code,
        "zero": axis.zero,
        "full": axis.full,
        "other": axis.other,
        "valid": (axis.valid_low, axis.valid_high),
        "dead_zone": axis.dead_zone,
        "expo": axis.expo,
    }


def open_devices(folder: Path = FOLDER) -> dict[str, KernelSource]:
    """Return every device that may be opened, by a short name.

    But for keyboards: they never drive, and on one of them Enter is pressed.
    """
    devices: dict[str, KernelSource] = {}
    for path in sorted(folder.glob("event*"), key=lambda each: (len(each.name), each.name)):
        try:
            source = KernelSource(path)
        except OSError:
            continue
        if source.is_keyboard:
            source.close()
        else:
            devices[path.name] = source
    return devices


class WatchedBox:
    """A box at its port whose lines are taken in all the time, while a person reads and moves.

    Raises:
        WizardEnds: it cannot be opened, or is no box.
    """

    def __init__(self, path: Path, pause: Callable[[float], None]) -> None:
        self.path = str(path)
        opened = open_box(path)
        if isinstance(opened, Fault):
            raise WizardEnds(f"{path} cannot be opened: {opened}; see docs/cockpit.md")
        self._device = opened
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watched box", daemon=True)
        self._thread.start()
        waits = 0
        while waits < BOX_SPEAKS_WITHIN_S / BOX_LOOK_S and isinstance(self._state(), Fault):
            pause(BOX_LOOK_S)
            waits += 1

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ending.wait(BOX_LOOK_S):
                self._state()

    def _state(self) -> Controls | Fault:
        with self._lock:
            self._device.drain()
            return self._device.state

    def closed(self) -> frozenset[int]:
        """Return the contacts that are closed now."""
        try:
            state = self._state()
        except OSError as error:
            raise WizardEnds(f"{self.path}: {error.strerror}") from error
        if isinstance(state, Fault):
            raise WizardEnds(f"{self.path} says nothing that a box says: see docs/cockpit.md")
        return frozenset(state.keys)

    def close(self) -> None:
        """Let the port go."""
        self._ending.set()
        self._thread.join()
        self._device.source.close()


def choose_box(
    ask: Ask, pause: Callable[[float], None], folder: Path = Path(BY_ID)
) -> dict[str, WatchedBox]:
    """Ask which serial line has a box, where there are any; none is opened that was not named.

    Raises:
        WizardEnds: there is no such line, or no box at it.
    """
    lines = sorted(folder.glob("*"))
    if not lines:
        return {}
    names = ", ".join(f"{number} {path.name}" for number, path in enumerate(lines, 1))
    answer = ask(f"Which serial line has a box of contacts: {names} (without: only Enter)").strip()
    if not answer:
        return {}
    if answer not in {str(number) for number in range(1, len(lines) + 1)}:
        raise WizardEnds(f"there is no line {answer}")
    return {"box": WatchedBox(lines[int(answer) - 1], pause)}


def _ask(words: str) -> str:
    return input(f"{words}: ")


def main(config: Path, ask: Ask = _ask) -> int:
    """Calibrate the desk of a console's settings file; return the exit code."""
    try:
        settings = load_settings(config)
    except ValueError as error:
        sys.stderr.write(f"console: {error}\n")
        return 1
    if settings.desk is None:
        sys.stderr.write(f"console: {config}: has no [desk] with the file to write\n")
        return 1
    devices, boxes = open_devices(), dict[str, WatchedBox]()
    try:
        if not devices:
            raise WizardEnds(f"no device in {FOLDER} may be opened: see docs/cockpit.md")
        boxes = choose_box(ask, wait_s)
        desk = Wizard(devices, ask, wait_s, boxes).run()
        problem = plan_of(desk).layout.problem(simulated=settings.console.simulated)
        settings.desk.file.write_text(desk_text(desk), encoding="utf-8")
    except (WizardEnds, OSError, ValueError) as error:
        sys.stderr.write(f"console: {error}\n")
        return 1
    finally:
        for device in devices.values():
            device.close()
        for box in boxes.values():
            box.close()
    sys.stdout.write(f"written: {settings.desk.file}\n")
    if problem is not None:
        sys.stdout.write(f"it may not drive this machine yet: {problem}\n")
    return 0
