"""The lab: what needs drivers that this computer's own kernel may not have, in a guest kernel.

``python -m hil.kernel test --out DIR [FILE …]`` runs test modules there with pytest: the lab's own
(SocketCAN, CAN cards, V4L2, evdev, netem, cases of the bench), or the files named. ``camera`` runs
the agent's camera on real V4L2 alone, ``run MODULE[,MODULE…] --out DIR -- COMMAND …`` any command.

Boots Debian's kernel under QEMU; the first time it fetches the kernel by apt.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

from hil.kernel.lab import (
    REPOSITORY,
    Kernel,
    LabError,
    default_folder,
    prepare,
    run_in_guest,
)

VIVID = "vivid n_devs=1 input_types=0"
"""One device with one input, a webcam (kernel documentation, admin-guide/media/vivid)."""
GUEST_TESTS = Path(__file__).parent / "guest"
INPUT_TESTS = REPOSITORY / "tests" / "kernel"
"""Tests of what reads input devices; their names, ``*_uinput.py``, keep them out of make test."""
INPUT_MODULES = ["evdev", "uinput"]
"""Loaded before any test module."""
OUT_VARIABLE = "HEADFRAME_LAB_OUT"
"""In the guest: the folder that tests may write into."""
CARDS = (
    *("-object", "can-bus,id=bus0"),
    *("-device", "kvaser_pci,canbus=bus0"),
    *("-device", "kvaser_pci,canbus=bus0"),
)
"""Two emulated CAN cards on one emulated bus (QEMU, system/devices/can)."""
TESTS_S = 1800.0
ONE_TEST_S = 400


def pytest_command(files: list[Path], out: Path) -> list[str]:
    """Return the command that runs test files in the guest and writes OUT/junit.xml.

    Only the plug-ins that they need: an emulated processor takes a minute to load them all. The
    repository's own settings name options of the others, and stay out for that.
    """
    return [
        *("env", f"{OUT_VARIABLE}={out}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        *(
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-rP",
            "-c",
            "/dev/null",
            f"--rootdir={REPOSITORY}",
        ),
        *("--import-mode=importlib", "--noconftest", "-p", "no:cacheprovider"),
        *("-p", "pytest_timeout", f"--timeout={ONE_TEST_S}"),
        f"--junitxml={out / 'junit.xml'}",
        *(str(file.resolve()) for file in files),
    ]


def told(junit: Path) -> list[str]:
    """Return one line for each test of a JUnit file: what came of it, and its seconds there."""
    lines = []
    for case in Xml.parse(junit).getroot().iter("testcase"):  # noqa: S314 - our own file
        tags = {child.tag for child in case}
        word = next((tag for tag in ("failure", "error", "skipped") if tag in tags), "passed")
        module = case.get("classname", "").rpartition(".")[2]
        lines.append(f"{word:<8}{float(case.get('time', 0)):7.1f} s  {module}: {case.get('name')}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hil.kernel", description=__doc__)
    parser.add_argument("--kernel", type=Path, default=default_folder(), help="where it is kept")
    cases = parser.add_subparsers(dest="case", required=True)
    camera = cases.add_parser("camera")
    tests = cases.add_parser("test")
    tests.add_argument("files", nargs="*", type=Path, help="test modules; the lab's own if none")
    other = cases.add_parser("run")
    other.add_argument("modules", help="kernel modules to load, with commas between")
    other.add_argument("command", nargs="+")
    for case in (camera, tests, other):
        case.add_argument("--out", type=Path, required=True, help="folder for what it writes")
    return parser


def _run(chosen: argparse.Namespace, kernel: Kernel, out: Path) -> int:
    if chosen.case == "run":
        return run_in_guest(kernel, chosen.modules.split(","), chosen.command, out)
    if chosen.case == "camera":
        command = [sys.executable, "-m", "hil.kernel.camera", str(out)]
        return run_in_guest(kernel, [VIVID], command, out)
    files = chosen.files or [GUEST_TESTS, *sorted(INPUT_TESTS.glob("*_uinput.py"))]
    return run_in_guest(kernel, INPUT_MODULES, pytest_command(files, out), out, CARDS, TESTS_S)


def main(arguments: list[str] | None = None) -> int:
    """Run the lab; return the exit code of what ran in the guest, 1 when nothing could."""
    chosen = _parser().parse_args(arguments)
    out: Path = chosen.out.resolve()
    (out / "junit.xml").unlink(missing_ok=True)
    try:
        code = _run(chosen, prepare(chosen.kernel), out)
    except LabError as error:
        sys.stderr.write(f"hil.kernel: {error}\n")
        return 1
    for name in ("log", "report.json"):
        if (out / name).is_file():
            sys.stdout.write((out / name).read_text(encoding="utf-8", errors="replace") + "\n")
    if (out / "junit.xml").is_file():
        sys.stdout.write("\n".join(told(out / "junit.xml")) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
