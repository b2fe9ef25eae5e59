"""Machine and cockpit say whom they do not trust, and why; neither runs under an expired name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from operator_console.shell import config as console_config
from sim import demo
from vehicle_agent.shell import clock, guardian, keys
from vehicle_agent.shell.config import load_agent_config
from vehicle_agent.shell.keys import Wanted

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATE = datetime(2027, 6, 2, tzinfo=UTC)


@pytest.fixture
def plan(tmp_path: Path) -> demo.Plan:
    """The demo's settings, with keys of a real authority that count for a year."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    plan = demo.Plan(tmp_path, machine, site, 1, 2)
    folder = tmp_path / "keys"
    keys.init(folder, demo.SITE_ID, NOW)
    keys.issue(folder, Wanted(demo.VEHICLE_ID, "vehicle"), NOW)
    keys.issue(folder, Wanted(demo.OPERATORS[0], "driver", days=30), NOW)
    for name in (demo.VEHICLE_ID, demo.OPERATORS[0]):
        (folder / name / "device.jwk").rename(tmp_path / f"{name}.jwk")
    (folder / "trust.json").rename(tmp_path / "trust.json")
    demo.write_settings(plan)
    return plan


def test_guardian__says_which_operator_it_does_not_trust_and_why(
    plan: demo.Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clock, "wall_now", lambda: datetime(2026, 7, 1, tzinfo=UTC))
    trust = guardian._trust(load_agent_config(plan.agent_config))
    assert set(trust) == {demo.VEHICLE_ID}
    assert "console-1 is not trusted: expired on 2026-07-01" in capsys.readouterr().err


def test_guardian_whose_own_key_expired__does_not_start(
    plan: demo.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "wall_now", lambda: LATE)
    with pytest.raises(ValueError, match="truck-1 is not trusted: expired"):
        guardian._trust(load_agent_config(plan.agent_config))


def test_console_whose_own_key_expired__one_line_says_so(
    plan: demo.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_config, "wall_now", lambda: datetime(2026, 7, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="operator console-1 is not trusted: expired"):
        console_config.load_keys(console_config.load_settings(plan.console_config))


def test_console_with_valid_keys__trusts_its_machine(
    plan: demo.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_config, "wall_now", lambda: NOW)
    loaded = console_config.load_keys(console_config.load_settings(plan.console_config))
    assert demo.VEHICLE_ID in loaded.trust
