"""A TURN server by setting, against a real one: Debian's coturn."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aioice.ice
import pytest
from pydantic import SecretStr

from operator_console.shell.picture_peer import ViewedFrame
from operator_console.shell.viewer import HeadlessViewer
from protocol.ice_settings import IceServer
from tests.media.rig import LOOPBACK, WAIT_S, Rig, signal

TURNSERVER = shutil.which("turnserver", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(TURNSERVER is None, reason="needs Debian's coturn"),
]
NAME, SECRET = "truck", "a secret"


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[IceServer]:
    """Run a server that relays on this computer only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert TURNSERVER is not None
    command = [
        *(TURNSERVER, "-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"),
        *("--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"),
        *("--listening-port", f"{port}", "--allow-loopback-peers"),
        *("--lt-cred-mech", "--realm", "headframe", "--user", f"{NAME}:{SECRET}"),
        *("--pidfile", str(tmp_path / "pid"), "--userdb", str(tmp_path / "turn.db")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "SQLite DB connection success" in line:
                break
        yield IceServer(url=f"turn:127.0.0.1:{port}", username=NAME, password=SecretStr(SECRET))
        process.terminate()
        process.stdout.read()


async def test_machine_is_reachable_by_its_turn_server_only__pictures_come(
    rig: Rig, turn: IceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = rig.settings.media.model_copy(update={"ice_servers": [turn], "ice_addresses": []})
    rig.server._settings = rig.settings.model_copy(update={"media": media})
    frames: asyncio.Queue[ViewedFrame] = asyncio.Queue()
    async with rig.running(), HeadlessViewer(frames.put_nowait, (0,), LOOPBACK) as viewer:
        claims = signal(await viewer.offer())
        monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [])
        rig.send(claims)
        answer = await rig.signal_for(claims.session)
        candidates = [line for line in answer.sdp.splitlines() if "a=candidate" in line]
        await viewer.accept(answer.sdp)
        await rig.publish()
        async with asyncio.timeout(WAIT_S):
            frame = await frames.get()
    assert candidates
    assert all(" typ relay " in line for line in candidates)
    assert frame.frame > 0
