"""The guest kernel's lab, as far as it goes without booting one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hil.kernel import lab
from hil.kernel.__main__ import main, pytest_command, told
from hil.kernel.camera import report
from hil.kernel.lab import Kernel, LabError, find_kernel, guest_command
from vehicle_agent.shell.cameras import CameraPicture


def unpacked(folder: Path, version: str, *, indexed: bool = True) -> None:
    """Put an image and its modules' folder where ``dpkg -x`` would."""
    (folder / "boot").mkdir(exist_ok=True)
    (folder / "boot" / f"vmlinuz-{version}").touch()
    modules = folder / "lib" / "modules" / version
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch() if indexed else None


def test_several_kernels__the_newest_whose_modules_are_indexed_is_taken(tmp_path: Path) -> None:
    unpacked(tmp_path, "6.1.0-52-amd64")
    unpacked(tmp_path, "6.1.0-56-amd64")
    unpacked(tmp_path, "6.1.0-60-amd64", indexed=False)

    assert find_kernel(tmp_path) == Kernel(tmp_path / "boot" / "vmlinuz-6.1.0-56-amd64", tmp_path)


def test_nothing_unpacked__there_is_no_kernel(tmp_path: Path) -> None:
    assert find_kernel(tmp_path) is None


def test_guest_command__loads_the_modules_then_runs_and_tells_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "tool", lambda name: f"/bin/{name}")
    kernel = Kernel(Path("/k/boot/vmlinuz-1"), Path("/k"))
    command = guest_command(kernel, ["vivid n_devs=1", "vcan"], ["echo", "a b"], Path("/out"))

    assert command[0] == "/bin/virtme-run"
    assert command[-1] == (
        f"{{ cd {lab.REPOSITORY} && export HEADFRAME_KERNEL_ROOT=/k"
        " && modprobe -d /k vivid n_devs=1 && modprobe -d /k vcan"
        " && echo 'a b'; } > /out/log 2>&1; echo $? > /out/ended"
    )


def test_guest_command_with_devices__gives_each_argument_to_qemu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "tool", lambda name: f"/bin/{name}")
    kernel = Kernel(Path("/k/boot/vmlinuz-1"), Path("/k"))
    command = guest_command(kernel, [], ["true"], tmp_path, ("-device", "kvaser_pci"))

    assert [part for part in command if part.startswith("-q=")] == ["-q=-device", "-q=kvaser_pci"]


def test_load_outside_a_guest__says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lab.ROOT_VARIABLE, raising=False)
    with pytest.raises(LabError, match="vcan: not in a guest of the lab"):
        lab.load("vcan")


def test_pytest_in_the_guest__runs_the_files_named_and_writes_junit(tmp_path: Path) -> None:
    command = pytest_command([Path("/x/test_wheel.py")], tmp_path)
    assert command[-2:] == [f"--junitxml={tmp_path / 'junit.xml'}", "/x/test_wheel.py"]


def test_told__one_line_for_each_test_with_what_came_of_it(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase classname="hil.kernel.guest.test_wheel" name="a"'
        ' time="1.25"/><testcase classname="x" name="b" time="0.5"><failure message="no"/>'
        "</testcase></testsuite></testsuites>",
        encoding="utf-8",
    )
    assert told(junit) == ["passed      1.2 s  test_wheel: a", "failure     0.5 s  x: b"]


def test_tool_missing__says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(LabError, match=r"depmod is missing: apt-get install kmod"):
        lab.tool("depmod")


def test_lab_that_cannot_be_made__one_line_and_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    code = main(["--kernel", str(tmp_path), "camera", "--out", str(tmp_path)])

    assert code == 1
    assert capsys.readouterr().err == "hil.kernel: depmod is missing: apt-get install kmod\n"


def test_report__has_ages_and_gaps_in_ms() -> None:
    i420 = np.zeros((3, 2), np.uint8)
    pictures = [CameraPicture(i420, us, us, 1) for us in (0, 66_000, 133_000)]

    assert report(pictures, [2_000, 9_000, 4_000], 3) == {
        "pictures": 3,
        "numbers_read": 3,
        "age_p50_ms": 4.0,
        "age_max_ms": 9.0,
        "gap_p50_ms": 66.5,
        "gap_min_ms": 66.0,
    }
