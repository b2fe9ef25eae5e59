"""Fixtures of the media tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media.rig import Rig
from vehicle_agent.shell import media


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A media server with two simulated cameras, not running yet; its telemetry is quick."""
    monkeypatch.setattr(media, "TELEMETRY_PERIOD_S", 0.05)
    made = Rig(tmp_path, cameras=2)
    yield made
    made.close()
