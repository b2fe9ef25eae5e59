"""The wizard learns a desk from what changes, and says what it could not find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operator_console.core.desk_layout import AxisDoes, KeyDoes
from operator_console.core.devices import AxisRange, serial_box
from operator_console.core.evdev import EV_ABS, EV_FF
from operator_console.core.force import FF_AUTOCENTRE, FF_CONSTANT
from operator_console.core.wizard import Held, closed, moved_axis, opened
from operator_console.shell import calibrate
from operator_console.shell.calibrate import Wizard, WizardEnds
from operator_console.shell.desk_config import DeskFile, plan_of
from tests.console import test_config
from tests.console.desk_rig import (
    BOX_ID,
    BRAKE,
    CENTRE,
    CLOSES,
    LEFT,
    OPENS,
    PRESSED,
    RELEASED,
    RIGHT,
    SEAT,
    STEER,
    STOP,
    THROTTLE,
    WHEEL_ID,
    PipeSource,
)


class Learnt(PipeSource):
    """A device with the ranges that it tells."""

    ranges_told: dict[int, AxisRange]

    @property
    def ranges(self) -> dict[int, AxisRange]:
        return self.ranges_told


class Obedient:
    """A driver who does what he is told, by words in the line that he reads."""

    def __init__(self, effects: set[int], *, pushes: int = -2000) -> None:
        self.wheel = Learnt(
            WHEEL_ID,
            frozenset(effects),
            kept_axes={STEER: CENTRE, THROTTLE: RELEASED, BRAKE: RELEASED},
        )
        self.wheel.ranges_told = {
            STEER: AxisRange(0, 65535),
            THROTTLE: AxisRange(0, 255),
            BRAKE: AxisRange(0, 255),
        }
        self.box = Learnt(BOX_ID, kept_keys={OPENS, SEAT})
        self.box.ranges_told = {}
        self.pushes = pushes
        self.read: list[str] = []
        self.acts: dict[str, Callable[[], None]] = {
            "to the left": lambda: self.turn(STEER, LEFT + 1000),
            "to the right": lambda: self.turn(STEER, RIGHT - 1000),
            "throttle": lambda: self.turn(THROTTLE, PRESSED),
            "brake fully": lambda: self.turn(BRAKE, PRESSED),
            "enable switch": lambda: self.hold(CLOSES, SEAT),
            "get up": lambda: self.hold(OPENS),
            "STOP": lambda: self.hold(OPENS, SEAT, STOP),
        }

    def turn(self, code: int, raw: int) -> None:
        self.rest()
        self.wheel.kept_axes[code] = raw

    def hold(self, *keys: int) -> None:
        self.rest()
        self.box.kept_keys = set(keys)

    def rest(self) -> None:
        self.wheel.kept_axes = {STEER: CENTRE, THROTTLE: RELEASED, BRAKE: RELEASED}
        self.box.kept_keys = {OPENS, SEAT}

    def ask(self, words: str) -> str:
        self.read.append(words)
        self.rest()
        for part, act in self.acts.items():
            if part in words:
                act()
        return ""

    def pause(self, _seconds: float) -> None:
        self.wheel.kernel_takes(EV_ABS, STEER, CENTRE + self.pushes)

    def learn(self) -> DeskFile:
        try:
            devices = {"event3": self.wheel, "event7": self.box}
            return Wizard(devices, self.ask, self.pause).run()
        finally:
            self.wheel.close()
            self.box.close()


def test_wheel_and_box_shown__the_desk_may_drive_a_real_machine() -> None:
    desk = Obedient({FF_CONSTANT}).learn()
    layout = plan_of(desk).layout

    assert layout.problem(simulated=False) is None
    assert layout.devices == {"event3": WHEEL_ID, "event7": BOX_ID}
    steer, throttle, brake = (use.axis for use in layout.axes)
    assert (steer.zero, steer.full, steer.other) == (CENTRE, 1000, 64535)
    assert (steer.valid_low, steer.valid_high, steer.dead_zone) == (0, 65535, 0.0)
    assert (throttle.code, throttle.zero, throttle.full, throttle.other) == (2, 255, 0, None)
    assert (brake.code, brake.dead_zone) == (BRAKE, 0.04)
    assert [(use.does, use.code) for use in layout.keys] == [
        (KeyDoes.ENABLE_CLOSES, CLOSES),
        (KeyDoes.ENABLE_OPENS, OPENS),
        (KeyDoes.SEAT, SEAT),
        (KeyDoes.STOP, STOP),
    ]


class ToldBox:
    """A serial box whose contacts the driver sets by what he is told."""

    path = "/dev/serial/by-id/usb-box"

    def __init__(self, driver: Obedient) -> None:
        self.driver = driver

    def closed(self) -> frozenset[int]:
        return frozenset(key - CLOSES for key in self.driver.box.kept_keys)


def test_serial_box_shown__its_contacts_are_learned_and_its_line_is_written() -> None:
    driver = Obedient(set())
    desk = Wizard(
        {"event3": driver.wheel}, driver.ask, driver.pause, {"box": ToldBox(driver)}
    ).run()
    driver.wheel.close()
    driver.box.close()
    layout = plan_of(desk).layout

    assert layout.problem(simulated=False) is None
    assert layout.devices == {"event3": WHEEL_ID, "box": serial_box(ToldBox.path)}
    assert [(use.does, use.device, use.code) for use in layout.keys] == [
        (KeyDoes.ENABLE_CLOSES, "box", 0),
        (KeyDoes.ENABLE_OPENS, "box", 1),
        (KeyDoes.SEAT, "box", 2),
        (KeyDoes.STOP, "box", 3),
    ]


@pytest.mark.parametrize(("pushes", "reversed_"), [(-2000, False), (2000, True)])
def test_force__is_reversed_when_the_wheel_goes_the_other_way(pushes: int, reversed_: bool) -> None:
    driver = Obedient({FF_CONSTANT}, pushes=pushes)
    desk = driver.learn()

    assert desk.force is not None
    assert desk.force.reversed is reversed_
    assert driver.wheel.said == [(EV_FF, 0, 1), (EV_FF, 0, 0)]
    assert driver.wheel.erased == [0]


def test_wheel_that_does_not_move_by_its_force__is_used_without() -> None:
    driver = Obedient({FF_CONSTANT}, pushes=100)

    assert driver.learn().force is None
    assert "did not move" in driver.read[-1]


@pytest.mark.parametrize(("effects", "has_force"), [({FF_AUTOCENTRE}, True), (set(), False)])
def test_wheel_without_a_constant_force__is_not_pushed(effects: set[int], has_force: bool) -> None:
    driver = Obedient(effects)

    assert (driver.learn().force is not None) is has_force
    assert driver.wheel.said == []


def test_stop_whose_contact_opens__is_learned_as_one() -> None:
    driver = Obedient(set())
    driver.acts["STOP"] = lambda: driver.hold(OPENS)
    driver.acts["get up"] = driver.rest
    keys = {each.does: each.code for each in driver.learn().keys}

    assert keys[KeyDoes.STOP_OPENS] == SEAT
    assert KeyDoes.SEAT not in keys


@pytest.mark.parametrize(
    ("part", "words"),
    [("throttle", "throttle: nothing moved"), ("enable switch", "enable: no contact closed")],
)
def test_thing_that_a_desk_needs_is_not_shown__is_said(part: str, words: str) -> None:
    driver = Obedient(set())
    driver.acts[part] = driver.rest

    with pytest.raises(WizardEnds, match=words):
        driver.learn()


def test_wheel_turned_the_same_way_twice__is_said() -> None:
    driver = Obedient(set())
    driver.acts["to the right"] = driver.acts["to the left"]

    with pytest.raises(WizardEnds, match="steer: zero does not lie between"):
        driver.learn()


def test_desk_that_there_is_not__is_said() -> None:
    driver = Obedient(set())

    with pytest.raises(WizardEnds, match="no desk is called bicycle"):
        Wizard({}, lambda _: "bicycle", driver.pause).run()
    driver.wheel.close()
    driver.box.close()


def test_settings_without_a_desk__one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate.main(test_config.written(tmp_path)) == 1
    assert "has no [desk]" in capsys.readouterr().err


def test_no_device_may_be_opened__one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "open_devices", dict)
    text = test_config.GOOD + '\n[desk]\nfile = "desk.toml"\n'

    assert calibrate.main(test_config.written(tmp_path, text)) == 1
    assert "docs/cockpit.md" in capsys.readouterr().err
    assert not (tmp_path / "desk.toml").exists()


def test_desk_learned__its_file_is_written_and_what_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Obedient(set())
    driver.acts["STOP"] = driver.rest
    devices: Any = {"wheel": driver.wheel, "box": driver.box}
    monkeypatch.setattr(calibrate, "open_devices", lambda: devices)
    text = test_config.GOOD.replace("simulated = true", "") + '[desk]\nfile = "desk.toml"\n'

    assert calibrate.main(test_config.written(tmp_path, text), driver.ask) == 0
    assert "needs a STOP button" in capsys.readouterr().out
    assert (tmp_path / "desk.toml").read_text().startswith('kind = "wheel"')


# ---- what changed -------------------------------------------------------------------------

RANGES = {"a": {0: AxisRange(0, 100), 1: AxisRange(0, 1000)}, "b": {0: AxisRange(5, 5)}}
REST = Held({"a": {0: 50, 1: 500}, "b": {0: 5}}, {"a": frozenset({1}), "b": frozenset()})


def held(first: int, second: int) -> Held:
    return Held({"a": {0: first, 1: second}, "b": {0: 5}}, REST.keys)


@pytest.mark.parametrize(
    ("now", "taken", "found"),
    [
        (held(71, 500), set(), ("a", 0)),
        (held(29, 500), set(), ("a", 0)),
        (held(70, 500), set(), None),
        (held(75, 900), set(), ("a", 1)),
        (held(100, 900), set(), ("a", 0)),
        (held(100, 900), {("a", 0)}, ("a", 1)),
        (held(100, 500), {("a", 0)}, None),
    ],
)
def test_axis_that_moved_furthest_of_its_range__is_the_one(
    now: Held, taken: set[tuple[str, int]], found: tuple[str, int] | None
) -> None:
    assert moved_axis(REST, now, RANGES, taken) == found


def test_contacts__that_closed_and_that_opened() -> None:
    now = Held(REST.axes, {"a": frozenset(), "b": frozenset({7, 3})})

    assert closed(REST, now) == [("b", 3), ("b", 7)]
    assert opened(REST, now) == [("a", 1)]


def test_moves__name_what_each_kind_of_desk_must_have() -> None:
    needed = {kind: [does for does, _, _ in moves] for kind, moves in calibrate.MOVES.items()}

    assert all(AxisDoes.STEER is does[0] for does in needed.values())
