"""The bench of ``configs/benches/socketcan.yaml`` on real SocketCAN: its cases, and a pulled cable.

An emulated processor is too slow for the bench's own beat: a bench second takes ``SLOWER`` of the
guest's. What is real here is the driver, the socket and python-can; no time is a real one's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hil.benchfile import load_bench
from hil.judge import Verdict, bring
from hil.kernel.guest.interfaces import call, virtual_can
from hil.kernel.guest.test_camera import OUT_VARIABLE
from hil.kernel.lab import REPOSITORY
from hil.realtime import TimedRig
from hil.report import write
from hil.runner import GOOD, Benches, Options, run
from protocol.dbw.codec import EcuMode
from protocol.state import VehicleMode

BENCH = REPOSITORY / "configs" / "benches" / "socketcan.yaml"
SLOWER = 10
LATENESS_LIMIT_MS = 10.0
CASES = ("HIL-01", "HIL-05", "HIL-06", "HIL-09", "HIL-10", "HIL-12", "HIL-18", "HIL-19", "HIL-25")
SEED = 20260110
DRIVING = (VehicleMode.ACTIVE, VehicleMode.DEGRADED)
STOPPED = (VehicleMode.STOPPING, VehicleMode.STOPPED, VehicleMode.ESTOP)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The shipped file, its interface there (a virtual one), its clock slower."""
    table = yaml.safe_load(BENCH.read_text(encoding="utf-8"))
    for key in ("machine", "site", "dbc"):
        table[key]["path"] = str(BENCH.parent / table[key]["path"])
    table["clock"] |= {"slower": SLOWER, "lateness_limit_ms": LATENESS_LIMIT_MS}
    table["channels"]["dbw"]["port"] = "vcan1"
    path = tmp_path_factory.mktemp("bench") / "socketcan-guest.yaml"
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    with virtual_can("vcan1"):
        yield path


def test_cases__pass_over_socketcan(bench: Path) -> None:
    out = Path(os.environ[OUT_VARIABLE]) / "bench"
    result = run(Options(bench, out, cases=CASES, repeat=1, mutants=False))
    write(result)
    found = {case.case.id: (case.verdict, case.why) for case in result.cases}
    assert found == dict.fromkeys(CASES, (Verdict.PASS, ""))


def test_interface_down_while_driving__stops_and_only_a_reset_starts_again(bench: Path) -> None:
    rig = Benches(bench, load_bench(bench)).fresh(GOOD, SEED)
    assert isinstance(rig, TimedRig)
    try:
        assert bring(rig, "driving") == ""
        rig.judged_from_here()
        call("ip", "link", "set", "vcan1", "down")
        rig.run(0.4)
        assert rig.ecu_mode is EcuMode.SAFE_STOP
        assert rig.mode in STOPPED

        call("ip", "link", "set", "vcan1", "up")
        rig.run(6.0)
        assert rig.mode in STOPPED, "up again is no reason to drive"

        rig.cockpit.presses_reset = True
        assert rig.run_until(lambda: rig.mode in DRIVING, 30.0)
    finally:
        rig.close()
