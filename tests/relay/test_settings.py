"""The relay in the agent's settings: a path or nothing, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.demo import Plan, find_config, write_keys, write_settings
from vehicle_agent.shell.config import load_agent_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The demo's own settings."""
    plan = Plan(
        tmp_path,
        find_config("machines", "ug_truck_60t"),
        find_config("sites", "mine_drift"),
        8700,
        18830,
    )
    write_keys(tmp_path)
    write_settings(plan)
    return plan.agent_config


def changed(config: Path, old: str, new: str) -> Path:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")
    return config


def test_demo__has_a_relay(config: Path) -> None:
    settings = load_agent_config(config)
    assert settings.relay is not None
    assert settings.relay.port == config.parent / "relay"


def test_no_section__no_relay(config: Path) -> None:
    port = config.parent / "relay"
    assert load_agent_config(changed(config, f'[relay]\nport = "{port}"\n', "")).relay is None


def test_relative_port__counts_from_the_files_folder(config: Path) -> None:
    settings = load_agent_config(changed(config, f'"{config.parent / "relay"}"', '"tty7"'))
    assert settings.relay is not None
    assert settings.relay.port == config.parent / "tty7"


@pytest.mark.parametrize("line", ["port = 7", 'port = "/dev/x"\nbaud = 9600', "speed = 1"])
def test_anything_else__is_refused_by_name(config: Path, line: str) -> None:
    port = config.parent / "relay"
    with pytest.raises(ValueError, match=r"agent\.toml: relay"):
        load_agent_config(changed(config, f'port = "{port}"', line))
