"""Logs that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.replay.cut import cut
from sim.replay.times import stop_ns
from tests.replay.shifts import log_of
from vehicle_agent.log.reader import open_log


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which the driver opens his hand."""
    return log_of(tmp_path_factory.mktemp("logs"), "driver_lets_go")


@pytest.fixture(scope="session")
def part(stopped: Path) -> Path:
    """A hundred and twenty ticks of it round the stop."""
    log = open_log(stopped)
    at_ns = stop_ns(log, 1)
    return cut(log, stopped.with_name("part.mcap"), at_ns - 7 * 10**8, at_ns + 5 * 10**8).path
