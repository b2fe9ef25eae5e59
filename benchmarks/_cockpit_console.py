"""The demo's console with its desk on a FIFO: ``--config FILE --fifo FIFO --left FILE``.

It is the real console process, but for two things: its input process reads the FIFO in place of a
device, and it notes when a command with another throttle first left on either path. It writes those
times into ``--left`` when it ends, as a list of [monotonic ns, throttle in 1e-4].
"""

from __future__ import annotations

import argparse
import json
import sys
from array import array
from pathlib import Path

from operator_console.core.session import Outgoing
from operator_console.shell import web
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.control_peer import ControlPath
from operator_console.shell.link import MqttLink
from operator_console.shell.realtime import CONSOLE_PRIORITY, ask_ahead
from protocol.frames import COMMAND_BYTES

SEQUENCE, THROTTLE = slice(16, 20), slice(54, 56)
"""Where they stand in a command frame."""

BEHIND_MAX = 1000
"""A number further back is of another lease."""


class Left:
    """When each change of the throttle left."""

    def __init__(self) -> None:
        self._times_ns, self._throttles = array("q"), array("q")  # small: it runs for hours
        self._sequence = -1

    def frame(self, payload: bytes) -> None:
        """Note a command that has left; the other path's copy is none."""
        sequence = int.from_bytes(payload[SEQUENCE], "little")
        behind = 0 <= self._sequence - sequence < BEHIND_MAX
        if len(payload) != COMMAND_BYTES or behind:
            return
        self._sequence = sequence
        throttle = int.from_bytes(payload[THROTTLE], "little")
        if not self._throttles or self._throttles[-1] != throttle:
            self._times_ns.append(monotonic_ns())
            self._throttles.append(throttle)

    @property
    def changes(self) -> list[tuple[int, int]]:
        """Monotonic time in ns, and the throttle in 1e-4."""
        return list(zip(self._times_ns, self._throttles, strict=True))


class NotedLink(MqttLink):
    """The line to the broker; notes what its socket has taken."""

    left: Left

    async def publish(self, message: Outgoing) -> bool:
        """Send it."""
        sent = await super().publish(message)
        if sent:
            self.left.frame(message.payload)
        return sent


class NotedPath(ControlPath):
    """The data channels; notes what they have taken."""

    left: Left

    def send_command(self, frame: bytes) -> bool:
        """Send it."""
        sent = super().send_command(frame)
        if sent:
            self.left.frame(frame)
        return sent


def main() -> int:
    """Run the console; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--config", "--fifo", "--left"):
        parser.add_argument(name, type=Path, required=True)
    chosen = parser.parse_args()
    left = NotedLink.left = NotedPath.left = Left()
    command = (sys.executable, "-m", "benchmarks._cockpit_end", "inputd", str(chosen.fifo))
    vars(web).update(
        MqttLink=NotedLink, ControlPath=NotedPath, inputd_command=lambda *_, **__: command
    )
    ask_ahead(CONSOLE_PRIORITY)
    code = web.main(chosen.config)
    chosen.left.write_text(json.dumps(left.changes), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
