"""Where segments lie: a folder for each session, the oldest go by quota, those round a stop stay.

What is protected is a second name (hard link) of the same file: it costs no copy and no time, and
the ring that removes the first name leaves it. A file system without hard links gets a copy.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protocol.messages import SESSION_NAME
from recording.segment import ENDING, OPEN_SUFFIX

KEPT = "kept"
SESSION_FILE = "session.json"


class Ring:
    """One folder of recordings.

    Args:
        folder: made when it is not there. quota_bytes: of sessions. kept_bytes: of what is
            protected; the oldest stops go when there is more.

    Raises:
        OSError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, quota_bytes: int, kept_bytes: int) -> None:
        self._folder = folder
        self._quota_bytes, self._kept_bytes = quota_bytes, kept_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def begin(self, session: str, content: Mapping[str, Any]) -> Path:
        """Make a session's folder; return it."""
        folder = self._folder / session
        folder.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps(content, indent=1) + "\n"
        (folder / SESSION_FILE).write_text(text, encoding="utf-8")
        return folder

    def newest(self) -> tuple[str, int, float] | None:
        """Return the newest session: its name, its last segment, and when that was written, UTC s.

        None where there is none. What somebody has renamed is none of ours.
        """
        folders = [each for each in self._folders(self._folder) if _is_session(each)]
        if not folders:
            return None
        files = sorted(
            each for each in folders[-1].glob(f"*{ENDING}*") if _number(each).isdecimal()
        )
        if not files:
            return None
        last = files[-1]
        return folders[-1].name, int(_number(last)), last.stat().st_mtime

    def make_room(self, current: Path | None = None, *, for_bytes: int = 0) -> int:
        """Remove the oldest segments beyond the quota; return how many.

        Args:
            current: the segment that is being written. for_bytes: that many more are to come.
        """
        removed = _thin(self._sessions(), self._quota_bytes - for_bytes, current)
        removed += _thin(self._kept(), self._kept_bytes, None)
        for folder in (*self._folders(self._folder), *self._folders(self._folder / KEPT)):
            if not any(folder.glob(f"*{ENDING}*")) and folder.name != KEPT:
                _remove_folder(folder, current)
        return removed

    def remove_oldest(self) -> bool:
        """Remove the oldest finished segment of a session; False when there is none."""
        for path in self._sessions():
            if path.name.endswith(ENDING):
                path.unlink()
                return True
        return False

    def protect(self, session: Path, stop: str, first: int, last: int) -> list[Path]:
        """Keep the segments from ``first`` to ``last`` of a session; return their new names."""
        target = self._folder / KEPT / f"{session.name}-{stop}"
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = []
        for number in range(first, last + 1):
            goal = target / segment_name(number)
            source = session / goal.name
            if not source.is_file():  # it is still being written: a second name of the same file
                source = source.with_name(source.name + OPEN_SUFFIX)
            if source.is_file() and not goal.exists():
                _link(source, goal)
                kept.append(goal)
        about = session / SESSION_FILE
        if about.is_file() and not (target / SESSION_FILE).exists():
            shutil.copy(about, target / SESSION_FILE)
        return kept

    def _sessions(self) -> Iterator[Path]:
        for folder in self._folders(self._folder):
            if folder.name != KEPT:
                yield from sorted(folder.glob(f"*{ENDING}*"))

    def _kept(self) -> Iterator[Path]:
        for folder in self._folders(self._folder / KEPT):
            yield from sorted(folder.glob(f"*{ENDING}"))

    @staticmethod
    def _folders(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return sorted(each for each in folder.iterdir() if each.is_dir())


def segment_name(number: int) -> str:
    """Return the name of a session's segment, which count from 1."""
    return f"{number:05}{ENDING}"


def _is_session(folder: Path) -> bool:
    return folder.name != KEPT and re.fullmatch(SESSION_NAME, folder.name) is not None


def _number(segment: Path) -> str:
    return segment.name.partition(".")[0]


def finish_orphans(folder: Path) -> int:
    """Give the files of a killed recorder their final names; return how many."""
    found = list(folder.glob(f"*/*{ENDING}{OPEN_SUFFIX}"))
    for path in found:
        path.rename(path.with_name(path.name.removesuffix(OPEN_SUFFIX)))
    return len(found)


def _thin(files: Iterator[Path], limit_bytes: int, current: Path | None) -> int:
    """Remove from the front until the rest is within the limit."""
    listed = [(path, path.stat().st_size) for path in files]
    over = sum(size for _, size in listed) - limit_bytes
    removed = 0
    for path, size in listed:
        if over <= 0:
            break
        if path == current:
            continue
        path.unlink()
        over -= size
        removed += 1
    return removed


def _remove_folder(folder: Path, current: Path | None) -> None:
    if current is not None and current.parent == folder:
        return
    (folder / SESSION_FILE).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _link(source: Path, goal: Path) -> None:
    try:
        goal.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, goal)
