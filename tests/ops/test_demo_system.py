"""The whole demo, as a user starts it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sim.run_folder import remove_orphans

ROOT = Path(__file__).parents[2]
DEMO = (sys.executable, str(ROOT / "headframe.py"), "demo", "--no-browser", "--port", "0")
FIGURES = {
    "interrupted",
    "distance_m",
    "contacts",
    "commands_accepted",
    "pictures_decoded",
    "stops",
    "unexplained_stops",
    "stop_causes",
    "picture_age_ms",
    "command_age_ms",
    "busy_cores",
    "cores_taken",
    "real_time",
}
PERCENTILES = {"p50", "p95", "p99", "max"}
PROCESSES = {
    "broker",
    "machine_process",
    "relay_process",
    "camera_process",
    "agent",
    "guardian",
    "link",
    "media",
    "web",
    "cockpit_recorder",
}
pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short temporary folder of our own."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary)}


def _module(process: psutil.Process) -> str:
    """The last part of the module that a process of ours runs."""
    words = process.cmdline()
    return words[words.index("-m") + 1].rsplit(".", 1)[-1] if "-m" in words else ""


def test_scripted_drive__moves_touches_nothing_and_explains_itself(
    environment: dict[str, str], temporary: Path
) -> None:
    done = subprocess.run(
        [*DEMO, "--driver", "scripted", "--seconds", "30", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) == FIGURES
    assert set(figures["picture_age_ms"]) == set(figures["command_age_ms"]) == PERCENTILES
    assert (figures["contacts"], figures["stop_causes"], figures["interrupted"]) == (0, [], False)
    assert figures["distance_m"] > 75.0
    assert figures["commands_accepted"] > 1450
    assert figures["pictures_decoded"] > 850
    assert list(temporary.iterdir()) == []


def test_drive_over_a_link_that_dies__figures_say_what_it_carried_and_lost(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        [*DEMO, "--link", "dead", "--driver", "scripted", "--seconds", "8", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    link = figures["link"]
    assert set(figures) == FIGURES | {"link"}
    assert (link["name"], link["dead"], link["peers"] > 0) == ("dead", True, True)
    assert link["up"]["webrtc"]["lost"] > 0
    assert link["up"]["webrtc"]["carried"] > 500
    assert figures["pictures_decoded"] > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_ended__no_process_is_left(
    number: signal.Signals, environment: dict[str, str], temporary: Path
) -> None:
    demo = subprocess.Popen(
        DEMO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    assert demo.stderr is not None
    with demo.stdout, demo.stderr:
        address = demo.stdout.readline().strip()
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        children = psutil.Process(demo.pid).children(recursive=True)
        assert {_module(child) for child in children} >= PROCESSES
        guardian = next(child for child in children if _module(child) == "guardian")
        ranks = [os.sched_getscheduler(thread.id) for thread in guardian.threads()]
        assert len(ranks) > 1
        assert len(set(ranks)) == 1
        pidfds = [os.pidfd_open(child.pid) for child in children]
        demo.send_signal(number)
        assert demo.wait(30) == (-number if number is signal.SIGKILL else 0)
        assert all(select.select([pidfd], [], [], 20.0)[0] for pidfd in pidfds)
        assert "Traceback" not in demo.stderr.read()
    for pidfd in pidfds:
        os.close(pidfd)
    remove_orphans(temporary)  # as the next run does after a kill
    assert list(temporary.iterdir()) == []
