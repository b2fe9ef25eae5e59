"""Logs that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.shifts import log_of


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which the driver opens his hand."""
    return log_of(tmp_path_factory.mktemp("logs"), "driver_lets_go")
