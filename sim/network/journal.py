"""The link's decisions as JSON lines: every one, numbered, in two files of bounded length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from sim.network.model import Decision
from sim.network.wire import Note

LINES_PER_FILE = 200_000


class Journal:
    """Writes decisions; when a file is full it becomes FILE.old and a new one begins.

    At least the newest ``lines`` decisions are always there; ``n`` shows how many went before.

    Args:
        path: where to write. lines: at most this many in one file.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, lines: int = LINES_PER_FILE) -> None:
        self._path = path
        self._lines = lines
        self._number = 0
        self._file: TextIO = path.open("w", encoding="utf-8")

    def of(self, direction: str) -> Note:
        """Return what notes the decisions of one direction."""

        def note(now_ns: int, size_bytes: int, decision: Decision) -> None:
            self._write(
                {
                    "n": self._number,
                    "at_us": now_ns // 1000,
                    "direction": direction,
                    "bytes": size_bytes,
                    "verdict": decision.verdict.value,
                    "due_us": [due_ns // 1000 for due_ns in decision.deliveries],
                }
            )

        return note

    def _write(self, line: dict[str, object]) -> None:
        if self._number and self._number % self._lines == 0:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".old"))
            self._file = self._path.open("w", encoding="utf-8")
        self._number += 1
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
