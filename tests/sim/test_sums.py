"""Sums that a run's bytes depend on: none is left to the built-in, which differs by Python."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from protocol.sums import in_turn
from recording.reader import open_log
from sim.render import camera
from sim.replay.rerun import rerun
from sim.replay.ticks import Steps
from sim.replay.whatif_table import over
from sim.runner.run import Run
from sim.scenario.file import Scenario
from sim.sweep.runs import Verdict, summary
from sim.world import generate
from sim.world.site import load_site

ROOT = Path(__file__).parents[2]
SITES = sorted((ROOT / "configs" / "sites").glob("*.toml"))
LOG = ROOT / "tests" / "golden" / "tilts.mcap"
SCENARIO = {"title": "Made up", "seconds": 0.2}


@pytest.fixture
def floats_summed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Floats that were given to the built-in sum since the test began."""
    given: list[object] = []
    add = builtins.sum

    def noting_sum(values: Iterable[Any], /, start: Any = 0) -> Any:
        items = list(values)
        given.extend(each for each in items if isinstance(each, float))
        return add(items, start)

    monkeypatch.setattr(builtins, "sum", noting_sum)
    return given


def run() -> object:
    lockstep = Run(Scenario("made_up", SCENARIO, "made_up.yaml"), 1)
    lockstep.finish()
    return lockstep.digest


def test_values_added_in_turn__rounding_is_that_of_each_step() -> None:
    assert in_turn([0.1] * 10) == 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1
    assert in_turn([1e16, 1.0, -1e16]) == 0.0
    assert in_turn([]) == 0.0


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(run, id="run"),
        pytest.param(lambda: [load_site(path) for path in SITES], id="sites"),
        pytest.param(lambda: generate.site_text("road", 1), id="road"),
        pytest.param(lambda: generate.site_text("pit", 1), id="loop"),
        pytest.param(lambda: camera._sway(camera._SWAY_ROLL, 12.5), id="sway"),
        pytest.param(lambda: rerun(Steps(open_log(LOG))), id="rerun"),
        pytest.param(lambda: over(LOG, {"limits.zone_speed_mps": 3.0}), id="what_if"),
        pytest.param(
            lambda: summary([Verdict(1, True, error="none ran", simulated_s=0.1)], 1.0), id="sweep"
        ),
    ],
)
def test_work_that_bytes_depend_on__leaves_no_floats_to_the_built_in_sum(
    work: Callable[[], object], floats_summed: list[object]
) -> None:
    work()

    assert floats_summed == []
