"""The pytest plug-in: an integrator's tests on a bench pass, fail and skip as they must."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.hil.test_benchfile import EMULATED

ROOT = Path(__file__).resolve().parents[2]
OWN_TESTS = """
STOPS = {"signal": "ECU_STATE.state", "value": "SAFE_STOP"}

def test_stops(hil):
    hil.start("driving")
    hil.put("drop", frame="SUP_CMD")
    outcome = hil.expect(300, {**STOPS, "within_ms": 60})
    assert outcome.first_cause == "SUP"

def test_asks_too_much(hil):
    hil.start("standby")
    hil.put("wait")
    hil.expect(20, {**STOPS, "within_ms": 1})

def test_needs_more(hil):
    hil.put("replug", for_ms=10)
"""


def test_own_tests_on_a_bench__pass_fail_and_skip(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN_TESTS, encoding="utf-8")
    call = [sys.executable, "-m", "pytest", "-p", "hil.plugin", "--hil-bench", str(EMULATED)]
    call += ["-q", "-rsf", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        call, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "1 failed, 1 passed, 1 skipped" in done.stdout
    assert "not-run: the bench lacks replug" in done.stdout
