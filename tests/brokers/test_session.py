"""docs/mosquitto-session.sh: from nothing to a driving session over Mosquitto with mTLS."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.brokers import rig

pytestmark = [pytest.mark.system, rig.needs_mosquitto]
SCRIPT = rig.ROOT / "docs" / "mosquitto-session.sh"


@pytest.mark.timeout(180)
def test_session_over_mosquitto__drives() -> None:
    ports = {name: f"{rig.free_port()}" for name in ("CONTROL_PORT", "TELEMETRY_PORT", "PAGE_PORT")}
    with tempfile.TemporaryDirectory(prefix="hf-") as folder:
        done = subprocess.run(
            [SCRIPT, Path(folder, "s"), "8"],
            env=os.environ | ports,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["distance_m"] > 0.0
    assert result["pictures_decoded"] > 0
