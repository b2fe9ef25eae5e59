"""A guest kernel under QEMU, with this computer's files, to run a command on real drivers.

Debian's kernel image is unpacked, not installed, and booted by virtme-ng: the guest sees this
computer's file system read-only, and one folder to write into. Software emulation is enough; it
boots in about 15 s. Times measured in it say nothing of real hardware.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "linux-image-amd64"
"""Debian's name for its newest kernel; the package with the files is what it depends on."""
MEMORY, PROCESSORS = "1G", "2"
BOOT_AND_RUN_S = 220.0
ROOT_VARIABLE = "HEADFRAME_KERNEL_ROOT"
"""In the guest: where the unpacked kernel is, for :func:`load`."""
NEEDS = {
    "qemu-system-x86_64": "apt-get install qemu-system-x86",
    "depmod": "apt-get install kmod",
    "virtme-run": "pip install -c constraints.txt -e '.[kernel]'",
}
ENDED = "ended"
"""In the folder to write into: the command's exit code."""


class LabError(RuntimeError):
    """Raised when the lab cannot be made or the guest does not end; one line for a person."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel: its image, and the root of its modules for ``modprobe -d``."""

    image: Path
    root: Path


def default_folder() -> Path:
    """Return where the unpacked kernel is kept; not in /tmp, which the guest has its own of."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "headframe" / "kernel"


def tool(name: str) -> str:
    """Return a program's path: beside this Python, or where root's programs are.

    Raises:
        LabError: it is not there; the text says how to get it.
    """
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin")
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise LabError(f"{name} is missing: {NEEDS[name]}")
    return found


def find_kernel(folder: Path) -> Kernel | None:
    """Return the kernel unpacked in a folder, the newest of several; None for none."""
    images = sorted(folder.glob("boot/vmlinuz-*"))
    ready = [each for each in images if (modules_of(each, folder) / "modules.dep").is_file()]
    return Kernel(ready[-1], folder) if ready else None


def modules_of(image: Path, folder: Path) -> Path:
    """Return the folder of an image's modules."""
    return folder / "lib" / "modules" / image.name.removeprefix("vmlinuz-")


def prepare(folder: Path) -> Kernel:
    """Fetch Debian's kernel by apt, unpack it, and index its modules; once.

    Raises:
        LabError: a tool is missing or fails.
    """
    found = find_kernel(folder)
    if found is not None:
        return found
    depmod = tool("depmod")
    folder.mkdir(parents=True, exist_ok=True)
    depends = _run(["apt-cache", "depends", PACKAGE], folder).split()
    names = [word for word in depends if word.startswith("linux-image-") and word != PACKAGE]
    if not names:
        raise LabError(f"apt knows no {PACKAGE}: apt-get update")
    _run(["apt-get", "download", names[0]], folder)
    archive = next(folder.glob(f"{names[0]}_*.deb"))
    _run(["dpkg", "-x", str(archive), str(folder)], folder)
    archive.unlink()
    _run([depmod, "-b", str(folder), names[0].removeprefix("linux-image-")], folder)
    made = find_kernel(folder)
    if made is None:
        raise LabError(f"{names[0]} holds no kernel with its modules")
    return made


def load(module: str) -> None:
    """In the guest: load a module of its kernel, with its options behind it.

    Raises:
        LabError: this is no guest of the lab, or its kernel refuses the module.
    """
    root = os.environ.get(ROOT_VARIABLE)
    if root is None:
        raise LabError(f"{module}: not in a guest of the lab")
    _run(["/sbin/modprobe", "-d", root, *module.split()], REPOSITORY)


def guest_command(
    kernel: Kernel, modules: list[str], command: list[str], out: Path, devices: tuple[str, ...] = ()
) -> list[str]:
    """Return the command that boots the guest and runs another in it, from this repository.

    Args:
        kernel: to boot. modules: to load, each with its options behind it.
        command: to run. out: the folder that it may write into.
        devices: QEMU's arguments for emulated hardware.
    """
    loads = [f"modprobe -d {shlex.quote(str(kernel.root))} {each}" for each in modules]
    root = f"export {ROOT_VARIABLE}={shlex.quote(str(kernel.root))}"
    runs = [f"cd {shlex.quote(str(REPOSITORY))}", root, *loads, shlex.join(command)]
    log, ended = (shlex.quote(str(out / name)) for name in ("log", ENDED))
    return [
        tool("virtme-run"),
        *("--kimg", str(kernel.image), "--mods", "auto", "--disable-kvm"),
        *("--qemu-bin", tool("qemu-system-x86_64")),
        *("--memory", MEMORY, "--cpus", PROCESSORS, f"--rwdir={out}"),
        *(f"-q={argument}" for argument in devices),
        *("--script-sh", f"{{ {' && '.join(runs)}; }} > {log} 2>&1; echo $? > {ended}"),
    ]


def run_in_guest(
    kernel: Kernel,
    modules: list[str],
    command: list[str],
    out: Path,
    devices: tuple[str, ...] = (),
    within_s: float = BOOT_AND_RUN_S,
) -> int:
    """Run a command in the guest; return its exit code. What it says is in the folder's ``log``.

    Raises:
        LabError: the guest did not boot, or did not end in time.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / ENDED).unlink(missing_ok=True)
    booting = guest_command(kernel, modules, command, out.resolve(), devices)
    with (out / "boot.log").open("wb") as console:
        try:
            subprocess.run(
                booting,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                timeout=within_s,
                check=False,
                env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the guest did not end within {within_s:g} s") from error
    if not (out / ENDED).is_file():
        raise LabError(f"the guest did not run its command: see {out / 'boot.log'}")
    return int((out / ENDED).read_text(encoding="utf-8"))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{command[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout
