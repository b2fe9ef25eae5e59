"""A desk's file is taken whole or refused in one line; a real machine asks more of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from operator_console.core.axes import Axis
from operator_console.core.desk_layout import AxisDoes, AxisUse, KeyDoes, KeyUse, Kind, Layout
from operator_console.core.devices import (
    BUS_BLUETOOTH,
    BUS_SERIAL,
    BUS_USB,
    BUS_VIRTUAL,
    AxisRange,
    Identity,
    capability_digest,
    difference,
    same_make,
    serial_box,
)
from operator_console.shell.config import load_settings
from operator_console.shell.desk_config import DeskFile, ForceUse, desk_text, load_desk, plan_of
from operator_console.shell.web import main
from tests.console import test_config
from tests.console.desk_rig import BOX_ID, CLOSES, KEYS, STICK_DESK, WHEEL_DESK, WHEEL_ID

DESK: dict[str, Any] = {
    "kind": "wheel",
    "devices": {
        "wheel": dataclasses.asdict(WHEEL_ID),
        "box": dataclasses.asdict(BOX_ID),
    },
    "axes": [
        {
            "does": use.does.value,
            "device": use.device,
            "code": use.axis.code,
            "zero": use.axis.zero,
            "full": use.axis.full,
            "other": use.axis.other,
            "valid": [use.axis.valid_low, use.axis.valid_high],
        }
        for use in WHEEL_DESK.axes
    ],
    "keys": [{"does": u.does.value, "device": u.device, "code": u.code} for u in KEYS],
    "force": {"device": "wheel", "cap": 0.3, "full_torque_nm": 20.0, "reversed": True},
}


def written(folder: Path, text: str | None = None) -> Path:
    path = folder / "desk.toml"
    path.write_text(desk_text(DeskFile.model_validate(DESK)) if text is None else text)
    return path


def test_desk_written__is_read_as_it_was(tmp_path: Path) -> None:
    plan = load_desk(written(tmp_path), simulated=False)

    assert plan.layout == dataclasses.replace(WHEEL_DESK, steer_rate_per_s=0.5)
    assert plan.grab
    assert plan.force == ForceUse("wheel", 0.15, reversed=True)


def with_box(keys: tuple[KeyUse, ...] = KEYS, path: str = "/dev/serial/by-id/usb-x") -> Layout:
    """The desk with its box on a serial line, its contacts by their bits."""
    bits = tuple(dataclasses.replace(use, code=use.code - CLOSES) for use in keys)
    devices = {"wheel": WHEEL_ID, "box": serial_box(path)}
    return dataclasses.replace(WHEEL_DESK, devices=devices, keys=bits)


def box_desk(**changes: Any) -> dict[str, Any]:
    """The same as a file."""
    return DESK | {
        "devices": {"wheel": DESK["devices"]["wheel"]},
        "boxes": {"box": {"serial": "/dev/serial/by-id/usb-x"}},
        "keys": [key | {"code": key["code"] - CLOSES} for key in DESK["keys"]],
        **changes,
    }


def test_desk_with_a_serial_box__is_read_as_it_was(tmp_path: Path) -> None:
    text = desk_text(DeskFile.model_validate(box_desk()))
    layout = load_desk(written(tmp_path, text), simulated=False).layout

    assert layout == dataclasses.replace(with_box(), steer_rate_per_s=0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"devices": DESK["devices"]}, "a device and a box are called box"),
        ({"boxes": {"box": {"serial": "/dev/ttyUSB0"}}}, "must be named by /dev/serial/by-id/"),
        ({"force": {"device": "box"}}, "no device is called box"),
    ],
)
def test_desk_whose_serial_box_does_not_fit__is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = written(tmp_path, desk_text(DeskFile.model_validate(box_desk(**changes))))

    with pytest.raises(ValueError, match=words):
        load_desk(path, simulated=False)


def test_desk_without_force__has_none() -> None:
    content = {name: value for name, value in DESK.items() if name != "force"}

    assert plan_of(DeskFile.model_validate(content)).force is None
    assert "[force]" not in desk_text(DeskFile.model_validate(content))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("vendor = 1133", 'vendor = "x"', "devices.wheel.vendor"),
        ('kind = "wheel"', 'kind = "x"', "kind"),
        ("cap = 0.3", "cap = 0.4", "force.cap"),
        ("reversed = true", "reversed = true\ncolour = 1", "force.colour"),
        ('does = "steer"', 'does = "sneer"', "axes.0.does"),
        ("code = 290", "code = 297", "one contact does two things"),
        ('does = "enable_opens"', 'does = "horn"', "two opposite contacts"),
        ('[force]\ndevice = "wheel"', '[force]\ndevice = "x"', "no device is called x"),
        ("[force]", "[force", "not TOML"),
    ],
)
def test_file_that_does_not_fit__error_names_file_and_reason(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = written(tmp_path, written(tmp_path).read_text().replace(before, after, 1))

    with pytest.raises(ValueError, match=r"desk\.toml") as error:
        load_desk(path, simulated=False)

    assert words in str(error.value)


def test_digest__is_of_what_the_file_says_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    text = written(tmp_path).read_text()
    texts = (text, f"# wheel\n{text}", text.replace("code = 290", "code = 310", 1))
    same, commented, other = (
        load_desk(written(tmp_path, each), simulated=False).digest for each in texts
    )

    assert same == commented
    assert same != other


def test_no_file__error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--calibrate"):
        load_desk(tmp_path / "none.toml", simulated=True)


def test_console_with_a_desk__its_file_is_found_beside_the_settings(tmp_path: Path) -> None:
    text = test_config.GOOD + '\n[desk]\nfile = "desk.toml"\n'
    settings = load_settings(test_config.written(tmp_path, text))

    assert settings.desk is not None
    assert settings.desk.file == tmp_path / "desk.toml"


def test_console_whose_desk_may_not_drive__one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_config.with_keys(tmp_path)
    written(tmp_path, written(tmp_path).read_text().replace("enable_opens", "horn"))
    text = test_config.GOOD.replace("simulated = true", "") + '[desk]\nfile = "desk.toml"\n'

    assert main(test_config.written(tmp_path, text)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "two opposite contacts" in lines[0]


# ---- what a desk must have ----------------------------------------------------------------


def without(*does: KeyDoes) -> Layout:
    return dataclasses.replace(
        WHEEL_DESK, keys=tuple(use for use in WHEEL_DESK.keys if use.does not in does)
    )


def with_key(does: KeyDoes, code: int, device: str = "box") -> Layout:
    return dataclasses.replace(WHEEL_DESK, keys=(*WHEEL_DESK.keys, KeyUse(does, device, code)))


def with_axes(*uses: AxisUse) -> Layout:
    return dataclasses.replace(WHEEL_DESK, axes=uses)


STEER_USE, THROTTLE_USE, BRAKE_USE = WHEEL_DESK.axes
DRIVE_USE = STICK_DESK.axes[1]


@pytest.mark.parametrize("layout", [WHEEL_DESK, STICK_DESK])
def test_whole_desk__may_drive_a_real_machine(layout: Layout) -> None:
    assert layout.problem(simulated=False) is None
    assert layout.problem(simulated=True) is None


DIGEST = "217a7a1a1197319e"
PEDALS_OR_ONE = "it needs throttle and brake, or one axis that drives, and not both"


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (with_axes(THROTTLE_USE, BRAKE_USE), "no axis steers"),
        (with_axes(STEER_USE, STEER_USE, THROTTLE_USE, BRAKE_USE), "two axes do steer"),
        (with_axes(STEER_USE, THROTTLE_USE), PEDALS_OR_ONE),
        (with_axes(STEER_USE, BRAKE_USE), PEDALS_OR_ONE),
        (with_axes(STEER_USE), PEDALS_OR_ONE),
        (with_axes(STEER_USE, THROTTLE_USE, BRAKE_USE, DRIVE_USE), PEDALS_OR_ONE),
        (
            with_axes(
                AxisUse(AxisDoes.STEER, "wheel", Axis(0, 1, 1, None, 0, 1)),
                THROTTLE_USE,
                BRAKE_USE,
            ),
            "axis steer: zero and full are the same code",
        ),
        (with_key(KeyDoes.HORN, 700, "pad"), "no device is called pad"),
        (
            dataclasses.replace(WHEEL_DESK, devices={"box": BOX_ID}),
            "no device is called wheel",
        ),
        (without(KeyDoes.ENABLE_CLOSES), "it needs one enable switch"),
        (with_key(KeyDoes.ENABLE_CLOSES, 700), "it needs one enable switch"),
        (with_key(KeyDoes.ENABLE_OPENS, 700), "it needs one enable switch"),
        (with_key(KeyDoes.SEAT, 700), "it has two seats"),
        (with_key(KeyDoes.HORN, CLOSES), "one contact does two things"),
    ],
)
def test_desk_that_cannot_drive_at_all__is_refused_with_its_reason(
    layout: Layout, words: str
) -> None:
    assert layout.problem(simulated=True) == words
    assert layout.problem(simulated=False) == words


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (
            without(KeyDoes.ENABLE_OPENS),
            "a real machine needs an enable switch with two opposite contacts",
        ),
        (without(KeyDoes.STOP), "a real machine needs a STOP button on the desk"),
        (
            dataclasses.replace(WHEEL_DESK, kind=Kind.GAMEPAD),
            "a gamepad drives simulated machines only",
        ),
        (
            dataclasses.replace(
                WHEEL_DESK,
                devices={
                    "wheel": WHEEL_ID,
                    "box": dataclasses.replace(BOX_ID, bus=BUS_BLUETOOTH),
                },
            ),
            "box is wireless: without its line it repeats what it said last",
        ),
    ],
)
def test_desk_good_enough_for_a_simulated_machine__is_refused_for_a_real_one(
    layout: Layout, words: str
) -> None:
    assert layout.problem(simulated=True) is None
    assert layout.problem(simulated=False) == words


def test_stop_whose_contact_opens__is_a_stop() -> None:
    layout = without(KeyDoes.STOP)
    keys = (*layout.keys, KeyUse(KeyDoes.STOP_OPENS, "box", 700))

    assert dataclasses.replace(layout, keys=keys).problem(simulated=False) is None


@pytest.mark.parametrize("does", [KeyDoes.STOP, KeyDoes.STOP_OPENS])
def test_several_stops__are_allowed(does: KeyDoes) -> None:
    assert with_key(does, 700, "wheel").problem(simulated=False) is None


def test_one_code_on_two_devices__is_two_contacts() -> None:
    assert with_key(KeyDoes.STOP, CLOSES, "wheel").problem(simulated=False) is None


def test_wheel__turns_by_no_rate() -> None:
    assert Layout(Kind.WHEEL, {}, (), ()).steer_rate_per_s == 0.0


def test_names__are_those_of_the_desks_file() -> None:
    assert list(Kind) == ["wheel", "sticks", "gamepad"]
    assert list(AxisDoes) == ["steer", "throttle", "brake", "drive", "implement"]
    assert list(KeyDoes) == [
        *("enable_closes", "enable_opens", "seat", "stop", "stop_opens", "confirm", "disarm"),
        *("gear_up", "gear_down", "park", "horn", "lights", "implement_up", "implement_down"),
    ]


# ---- who a device is ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bus", "vendor", "product", "port", "capabilities"])
def test_device_that_differs__is_told_by_what(name: str) -> None:
    other: dict[str, Any] = {name: 99}
    changed = dataclasses.replace(WHEEL_ID, **other)

    assert difference(WHEEL_ID, changed) == name
    assert same_make(WHEEL_ID, changed) is (name not in ("vendor", "product"))


def test_device_under_another_name__is_the_same() -> None:
    assert difference(WHEEL_ID, dataclasses.replace(WHEEL_ID, name="other")) is None


def test_capabilities__differ_by_axis_range_key_and_effect() -> None:
    digests = {
        capability_digest({0: AxisRange(0, 255)}, frozenset({288}), frozenset()),
        capability_digest({0: AxisRange(0, 256)}, frozenset({288}), frozenset()),
        capability_digest({0: AxisRange(1, 255)}, frozenset({288}), frozenset()),
        capability_digest({1: AxisRange(0, 255)}, frozenset({288}), frozenset()),
        capability_digest({0: AxisRange(0, 255)}, frozenset({289}), frozenset()),
        capability_digest({0: AxisRange(0, 255)}, frozenset({288}), frozenset({0x52})),
        capability_digest({}, frozenset({0}), frozenset()),
        capability_digest({}, frozenset(), frozenset({0})),
    }

    assert len(digests) == 8
    assert {len(digest) for digest in digests} == {16}


def test_capabilities__have_a_digest_that_files_keep() -> None:
    ranges = {0: AxisRange(0, 255), 2: AxisRange(-1, 1)}

    assert capability_digest(ranges, frozenset({288, 289}), frozenset({0x52})) == DIGEST


def test_buses__are_the_kernels() -> None:
    assert (BUS_USB, BUS_BLUETOOTH, BUS_VIRTUAL, BUS_SERIAL) == (3, 5, 6, 0x13)
    assert Identity(3, 1, 2, "p", DIGEST).name == ""


@pytest.mark.parametrize(
    ("path", "by_id"),
    [
        ("/dev/serial/by-id/usb-x", True),
        ("/dev/serial/by-id/../ttyUSB0", False),
        ("/dev/serial/by-id", False),
        ("/dev/serial/by-path/usb-x", False),
        ("/dev/ttyUSB0", False),
    ],
)
def test_serial_box__is_its_lines_name_which_may_go_with_the_device(path: str, by_id: bool) -> None:
    box = serial_box(path)

    assert box == Identity(BUS_SERIAL, 0, 0, path, "")
    assert (box.serial, box.named_by_id, box.wireless) == (True, by_id, False)
    assert not WHEEL_ID.serial


def test_two_serial_boxes_without_a_lasting_name__the_first_is_named() -> None:
    others = {"b": serial_box("/dev/ttyS1"), "a": serial_box("/dev/ttyS0")}

    devices = {**with_box().devices, **others}

    assert dataclasses.replace(with_box(), devices=devices).problem(simulated=False) == (
        "a must be named by /dev/serial/by-id/…, which stays with the device"
    )


def test_serial_box_by_any_name__may_drive_a_simulated_machine() -> None:
    assert with_box(path="/dev/pts/1").problem(simulated=True) is None
    assert with_box().problem(simulated=False) is None


@pytest.mark.parametrize(
    ("code", "problem"), [(15, None), (16, "a serial box has 16 contacts, 0 to 15")]
)
def test_serial_box__has_sixteen_contacts(code: int, problem: str | None) -> None:
    layout = with_box((*KEYS, KeyUse(KeyDoes.STOP_OPENS, "box", CLOSES + code)))

    assert layout.problem(simulated=False) == problem


def test_key_of_another_device_beyond_a_boxs_contacts__is_no_fault() -> None:
    keys = (*with_box().keys, KeyUse(KeyDoes.STOP, "wheel", 300))

    assert dataclasses.replace(with_box(), keys=keys).problem(simulated=False) is None


def test_serial_box_with_an_axis__may_not_drive() -> None:
    axes = (dataclasses.replace(STEER_USE, device="box"), THROTTLE_USE, BRAKE_USE)

    assert dataclasses.replace(with_box(), axes=axes).problem(simulated=True) == (
        "a serial box has contacts and no axis"
    )


def test_capabilities_in_any_order__have_one_digest() -> None:
    ranges = {1: AxisRange(0, 1), 0: AxisRange(0, 255)}

    assert capability_digest(ranges, frozenset({3, 1}), frozenset()) == capability_digest(
        dict(sorted(ranges.items())), frozenset({1, 3}), frozenset()
    )
