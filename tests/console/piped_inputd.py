"""The real input process with hands on pipes: ``python -m tests.console.piped_inputd --line N``.

Its pedals are proven, enable is held and the throttle at 60 % by the time it tells its first
snapshots that count.
"""

from __future__ import annotations

import argparse
import socket

from operator_console.core.evdev import EV_KEY, EV_SYN, SYN_REPORT
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.desk_config import DeskPlan
from operator_console.shell.inputd import InputProcess, new_run, serve
from tests.console.desk_rig import (
    BRAKE,
    CLOSES,
    OPENS,
    PRESSED,
    RELEASED,
    STEER,
    THROTTLE,
    WHEEL_DESK,
    Shelf,
    box_source,
    wheel_source,
)

LOOK_NS = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--line", type=int, required=True)
    wheel, box = wheel_source(), box_source()
    with socket.socket(fileno=parser.parse_args().line) as line:
        plan = DeskPlan(WHEEL_DESK, grab=True, force=None)
        process = InputProcess(plan, Shelf({"wheel": wheel, "box": box}), line, new_run())

        def look() -> None:
            until_ns = monotonic_ns() + 2 * LOOK_NS
            while monotonic_ns() < until_ns:
                process.step(monotonic_ns())

        look()
        wheel.axis(STEER, 32768)
        for code in (THROTTLE, BRAKE):
            for raw in (PRESSED, RELEASED):
                wheel.axis(code, raw)
                look()
        wheel.axis(THROTTLE, 102)
        box.events((EV_KEY, CLOSES, 1), (EV_KEY, OPENS, 0), (EV_SYN, SYN_REPORT, 0))
        serve(process)


if __name__ == "__main__":
    main()
