"""Brokers that live as long as a file's tests; each test has its own clients."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import rig


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rig.make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def control(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Broker]:
    with rig.mosquitto(tmp_path_factory.mktemp("control"), site, "control.conf") as broker:
        yield broker


@pytest.fixture(scope="module")
def telemetry(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Broker]:
    with rig.mosquitto(tmp_path_factory.mktemp("telemetry"), site, "telemetry.conf") as broker:
        yield broker


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hf-") as folder:
        yield Path(folder)
