"""The wires between relay, emergency-stop button and machine: datagrams fanned out in a folder.

The relay says its contact each 10 ms; whoever plays the button says its channels. A relay that
falls silent has no power, and its contact is open.
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.dbw.codec import ContactState
from vehicle_agent.shell.local_bus import DatagramFanout

RELAY, ESTOP_A, ESTOP_B = "relay", "estop_a", "estop_b"
DEAD_NS = 100_000_000
"""Silence of the relay after which its contact counts as open."""
READ_BUDGET = 32


class Wires:
    """One node on the wires.

    Args:
        directory: the folder. name: this node's.

    Attributes:
        levels: contact state by wire as last heard or said; the button's channels rest closed.
        malformed: datagrams that did not count.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._fanout = DatagramFanout(directory, name)
        self._relay_ns: int | None = None
        self.malformed = 0
        self.levels = {
            RELAY: ContactState.OPEN,
            ESTOP_A: ContactState.CLOSED,
            ESTOP_B: ContactState.CLOSED,
        }

    def fileno(self) -> int:
        """Return the descriptor, readable when something was said."""
        return self._fanout.fileno()

    def say(self, **levels: ContactState) -> None:
        """Put levels on wires: ``relay``, ``estop_a``, ``estop_b``."""
        self.levels.update(levels)
        self._fanout.send(json.dumps({name: level.name for name, level in levels.items()}).encode())

    def hear(self, now_ns: int) -> dict[str, ContactState]:
        """Take what was said, oldest first; return all levels as they stand at ``now_ns``."""
        for _ in range(READ_BUDGET):
            data = self._fanout.recv()
            if data is None:
                break
            try:
                said = {name: ContactState[level] for name, level in json.loads(data).items()}
            except (ValueError, KeyError, AttributeError, TypeError):
                self.malformed += 1
                continue
            self.levels.update({name: said[name] for name in self.levels if name in said})
            if RELAY in said:
                self._relay_ns = now_ns
        if self._relay_ns is not None and now_ns - self._relay_ns > DEAD_NS:
            self._relay_ns = None
            self.levels[RELAY] = ContactState.OPEN
        return self.levels

    def close(self) -> None:
        """Leave the wires."""
        self._fanout.close()
