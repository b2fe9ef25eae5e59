"""The thread between what waits and the disk: at the disk's pace, and nobody waits for it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import replace

from recording.backlog import Backlog
from recording.files import Files, Plan
from recording.ring import Ring

TAKE_S = 0.1
RESUMED_WITHIN_S = 60.0
"""A session whose last file was written within this time is that of a recorder that was killed."""


class Writing:
    """Writes what waits until nothing more comes, and then finishes the file.

    Args:
        files: on the disk. backlog: what waits. clock_ns: monotonic.
        report: called again and again with the time, whether anything can be written or not.
    """

    def __init__(
        self,
        files: Files,
        backlog: Backlog,
        clock_ns: Callable[[], int],
        report: Callable[[int], None],
    ) -> None:
        self._files, self._backlog = files, backlog
        self._clock_ns, self._report = clock_ns, report
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def goes_on(self) -> bool:
        """Nothing but a disk was ever in the way; else the process is of no use any more."""
        return self._error is None

    def finish(self) -> None:
        """Nothing more comes: write what waits, finish the file; returns when that is done.

        Raises:
            Exception: what ended the thread before, so that it ends the process too.
        """
        self._backlog.close()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._write()
        except Exception as error:
            traceback.print_exception(error)
            self._error = error

    def _write(self) -> None:
        files, backlog, clock_ns = self._files, self._backlog, self._clock_ns
        while not backlog.closed:
            now_ns = clock_ns()
            if files.blocked(now_ns):
                if backlog.wait(TAKE_S):
                    break
                self._report(now_ns)
                continue
            item = backlog.take(TAKE_S)
            now_ns = clock_ns()
            if item is not None:
                files.take(now_ns, item)
            files.look(now_ns, backlog.take_dropped())
            self._report(now_ns)
        files.close(clock_ns())


def resumed(plan: Plan, ring: Ring, now_s: float, *, killed: bool) -> tuple[Plan, int]:
    """Return the plan that goes on with the session of a recorder that was just killed.

    Args:
        now_s: UTC. killed: a file was left open.

    Returns:
        The plan, and the number of the session's newest file; 0 in a new session.
    """
    newest = ring.newest()
    if not killed or newest is None:
        return plan, 0
    session, number, written_s = newest
    if not 0.0 <= now_s - written_s <= RESUMED_WITHIN_S:
        return plan, 0
    return replace(plan, session=session, resumed=True), number
