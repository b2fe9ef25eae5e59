"""The real-time process from outside: its bus, its truth, its end and its refusals."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from protocol.dbw import matrix
from protocol.dbw.codec import EcuMode, EcuState
from protocol.dbw.endpoint import DbwReceiver
from protocol.dbw.matrix import Direction
from sim import machine_process
from tests.sim.worlds import DRIFT_FILE, ROOT, TRUCK_FILE
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout, LocalCanBus

WAIT_S = 20.0


def arguments(folder: Path, machine: Path = TRUCK_FILE, site: Path = DRIFT_FILE) -> list[str]:
    return [
        *("--machine", str(machine)),
        *("--site", str(site)),
        *("--can", str(folder / "can")),
        *("--truth", str(folder / "truth")),
    ]


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sim.machine_process", *arguments(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.system
def test_running_process__speaks_on_the_bus_and_tells_the_truth() -> None:
    with TemporaryDirectory(prefix="hf") as name:
        folder = Path(name)
        truth = DatagramFanout(folder / "truth", "test")
        receiver = DbwReceiver(Direction.TO_AGENT)
        heard: set[str] = set()
        state: EcuState | None = None
        with started(folder) as process, LocalCanBus(str(folder / "can"), name="test") as bus:
            while state is None or state.state is not EcuMode.STANDBY or len(heard) < 8:
                message = bus.recv(WAIT_S)
                assert message is not None
                received = receiver.receive(
                    monotonic_ns(), message.arbitration_id, bytes(message.data)
                )
                if received.message is not None and received.spec is not None:
                    heard.add(received.spec.name)
                if isinstance(received.message, EcuState):
                    state = received.message
            assert select.select([truth], [], [], WAIT_S)[0]
            record = json.loads(truth.recv() or b"")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=WAIT_S)
        truth.close()
        assert process.returncode == 0
        assert errors.startswith("machine: steps late by at most ")
        assert errors.count("\n") == 1
        assert matrix.ECU_STATE.name in heard
        assert record["speed_mps"] == 0.0
        assert record["station_m"] == pytest.approx(24.0, abs=1e-3)
        assert abs(record["t_us"] - monotonic_ns() // 1000) < 60_000_000
        assert not list((folder / "can").glob("ecu*"))


def test_missing_site__one_line_and_exit_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine_process.main(arguments(tmp_path, site=tmp_path / "no.toml")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"machine: {tmp_path / 'no.toml'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("empty_kg = 45000.0", "empty_kg = -1.0", "plant: empty_kg"),
        ("empty_kg = 45000.0", "empty_kg = 45000.0\nwings = 2", "plant: wings"),
        ("length_m = 11.6", "length_m = 12.6", "add up to 11.60 m"),
        ('kind = "articulated"', 'kind = "rigid"', "kind rigid needs wheelbase_m"),
        ("width_m = 3.5", "width_m = 6.6", "does not fit at the start"),
        ("[6.1, 8.0", "[8.0, 6.1", "gear speeds must rise"),
        ("speed_max_mps = 8.0", "", "limits.speed_max_mps"),
    ],
)
def test_bad_machine_file__one_line_and_exit_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    text = TRUCK_FILE.read_text(encoding="utf-8")
    assert old in text
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert machine_process.main(arguments(tmp_path, machine=bad)) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_bus_folder_that_is_a_file__one_line_and_exit_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "can").write_text("", encoding="utf-8")
    assert machine_process.main(arguments(tmp_path)) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_wrong_usage__exit_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        machine_process.main(["--machine"])
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
