"""The private folder of a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.run_folder import PREFIX, remove_orphans, run_folder


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary folder of our own."""
    short = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    yield short
    shutil.rmtree(short)


def test_folder__only_its_owner_may_enter_and_it_goes(temporary: Path) -> None:
    with run_folder() as folder:
        (folder / "key").write_text("secret", encoding="utf-8")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_owner_alive__folder_is_no_orphan(temporary: Path) -> None:
    with run_folder() as folder:
        assert remove_orphans(temporary) == 0
        assert folder.is_dir()


def test_owner_dead__next_run_removes_its_folder(temporary: Path) -> None:
    orphan = temporary / f"{PREFIX}dead"
    orphan.mkdir()
    (orphan / "owner.lock").touch()
    with run_folder():
        assert not orphan.exists()


def test_folder_of_someone_else__is_left_alone(temporary: Path) -> None:
    stranger = temporary / f"{PREFIX}notes"
    stranger.mkdir()
    assert remove_orphans(temporary) == 0
    assert stranger.is_dir()


def test_temporary_folder_too_deep__error_says_what_to_set(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = temporary / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(deep))
    with pytest.raises(ValueError, match="set TMPDIR"), run_folder():
        pass
