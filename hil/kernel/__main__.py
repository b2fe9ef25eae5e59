"""``python -m hil.kernel camera --out DIR``: real V4L2, in a guest kernel.

Boots Debian's kernel under QEMU with the driver ``vivid``, which makes pictures as a camera would,
and runs the agent's camera on it (camera.py). The first time it fetches the kernel by apt.
``python -m hil.kernel run MODULE[,MODULE…] --out DIR -- COMMAND …`` runs any command there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hil.kernel.lab import LabError, default_folder, prepare, run_in_guest

VIVID = "vivid n_devs=1 input_types=0"
"""One device with one input, a webcam (kernel documentation, admin-guide/media/vivid)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the lab; return the exit code of what ran in the guest, 1 when nothing could."""
    parser = argparse.ArgumentParser(prog="hil.kernel", description=__doc__)
    parser.add_argument("--kernel", type=Path, default=default_folder(), help="where it is kept")
    cases = parser.add_subparsers(dest="case", required=True)
    camera = cases.add_parser("camera")
    other = cases.add_parser("run")
    other.add_argument("modules", help="kernel modules to load, with commas between")
    other.add_argument("command", nargs="+")
    for case in (camera, other):
        case.add_argument("--out", type=Path, required=True, help="folder for what it writes")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out.resolve()
    try:
        kernel = prepare(chosen.kernel)
        if chosen.case == "run":
            code = run_in_guest(kernel, chosen.modules.split(","), chosen.command, out)
        else:
            command = [sys.executable, "-m", "hil.kernel.camera", str(out)]
            code = run_in_guest(kernel, [VIVID], command, out)
    except LabError as error:
        sys.stderr.write(f"hil.kernel: {error}\n")
        return 1
    for name in ("log", "report.json"):
        if (out / name).is_file():
            sys.stdout.write((out / name).read_text(encoding="utf-8") + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
