"""The media process as it is started: settings from files, one-line errors, a clean end."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.messages import generate_identity
from vehicle_agent.shell import ipc

WAIT_S = 30.0


def write_settings(run: Path, source: str) -> Path:
    private, public = generate_identity()
    (run / "device.jwk").write_text(json.dumps(private))
    identity = {"id": "truck-1", "role": "vehicle", "public": public}
    (run / "trust.json").write_text(json.dumps({"identities": [identity]}))
    config = run / "agent.toml"
    config.write_text(
        f"""
        [vehicle]
        site = "mine"
        name = "truck-1"
        machine = "machine.toml"
        [runtime]
        dir = "."
        record = "record"
        [keys]
        device = "device.jwk"
        trust = "trust.json"
        [mqtt]
        host = "127.0.0.1"
        port = 1883
        [can]
        interface = "virtual"
        channel = "c"
        [[cameras]]
        id = 0
        name = "front"
        source = "{source}"
        """
    )
    return config


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vehicle_agent.shell.media", "--config", str(config)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def test_terminated__it_ends_at_once_and_leaves_no_socket(tmp_path: Path) -> None:
    link = ipc.Mailbox(tmp_path, ipc.LINK)
    process = start(write_settings(tmp_path, f"sim:{tmp_path / 'cam'}"))
    assert select.select([link], [], [], WAIT_S)[0], "no telemetry came"
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=WAIT_S)
    link.close()
    assert (process.returncode, said) == (0, "ready\n")
    assert errors == "media: WARNING camera 0 (front): no picture yet\n"
    assert not (tmp_path / ipc.MEDIA).exists()


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda run: (run / "agent.toml").unlink(), "agent.toml: cannot be read"),
        (lambda run: (run / "device.jwk").write_text("{}"), "device.jwk: not an Ed25519"),
        (lambda run: (run / "trust.json").unlink(), "trust.json: "),
        (
            lambda run: write_settings(run, "http://camera"),
            "agent.toml: cameras.0.source: 'http://camera' is none of",
        ),
    ],
    ids=["settings", "key", "trust", "source"],
)
def test_settings_that_do_not_fit__one_line_and_exit_1(
    tmp_path: Path, break_it: Callable[[Path], object], reason: str
) -> None:
    config = write_settings(tmp_path, f"sim:{tmp_path / 'cam'}")
    break_it(tmp_path)
    process = start(config)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert reason in errors
    assert len(errors.splitlines()) == 1
