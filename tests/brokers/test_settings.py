"""Settings of a broker: what belongs together, and that no secret goes out in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operator_console.shell.config import load_settings
from protocol.broker_settings import BrokerSettings
from sim import demo
from vehicle_agent.shell.config import load_agent_config

HERE = {"host": "h", "port": 8883}
TLS = """[mqtt]
host = "10.0.0.7"
port = 8883
ca = "keys/ca.crt"
cert = "keys/tls.crt"
key = "keys/tls.key"
"""


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ca": "c", "cert": "x"}, "cert and key"),
        ({"ca": "c", "key": "x"}, "cert and key"),
        ({"ca": "c", "username": "x"}, "username and password"),
        ({"username": "x", "password": "y"}, "without TLS"),
        ({"cert": "x", "key": "y"}, "without TLS"),
        ({"port": 0}, "port"),
        ({"wings": 2}, "wings"),
    ],
)
def test_half_a_setting__is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        BrokerSettings.model_validate(HERE | given)


def test_password__is_not_shown() -> None:
    settings = BrokerSettings.model_validate(
        HERE | {"ca": "c", "username": "x", "password": "hush-hush"}
    )
    assert "hush" not in f"{settings!r} {settings}"
    assert settings.secret == "hush-hush"


@pytest.fixture
def plan(tmp_path: Path) -> demo.Plan:
    """The demo's settings with another [mqtt]."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    plan = demo.Plan(tmp_path, machine, site, 1, 2)
    demo.write_settings(plan)
    for path in (plan.agent_config, plan.console_config):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('[mqtt]\nhost = "127.0.0.1"\nport = 2\n', TLS))
    return plan


def test_paths_of_tls__count_from_the_settings_file(plan: demo.Plan) -> None:
    keys = plan.run / "keys"
    for mqtt in (
        load_agent_config(plan.agent_config).mqtt,
        load_settings(plan.console_config).mqtt,
    ):
        assert (mqtt.ca, mqtt.cert, mqtt.key) == (
            keys / "ca.crt",
            keys / "tls.crt",
            keys / "tls.key",
        )


def test_telemetry_broker__is_none_unless_named(plan: demo.Plan) -> None:
    assert load_agent_config(plan.agent_config).telemetry is None
    with plan.agent_config.open("a", encoding="utf-8") as file:
        file.write(TLS.replace("[mqtt]", "[telemetry]"))
    telemetry = load_agent_config(plan.agent_config).telemetry
    assert telemetry is not None
    assert telemetry.ca == plan.run / "keys" / "ca.crt"
