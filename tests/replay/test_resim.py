"""Closed loop again: as recorded where nothing was changed; driven metres where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headframe import main
from recording.reader import open_log
from sim.replay.resim import resim
from sim.replay.settings import changing

GOLDEN = Path(__file__).parents[1] / "golden"


def test_closed_loop_without_a_change__is_as_recorded_bit_for_bit(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["replay", "resim", str(stopped), "--json"])
    told = json.loads(capsys.readouterr().out)["as_it_was"]

    assert code == 0
    assert told["same_ticks"] == told["ticks"] > 0
    assert [stop["cause"] for stop in told["stops"]] == ["D101"]


def test_softer_brake__stands_later_and_the_machine_drove_it(stopped: Path) -> None:
    log = open_log(stopped)

    hard, soft = resim(log), resim(log, changing({"limits.stop_decel_mps2": 0.3}))

    assert not soft.as_recorded
    assert soft.stops[0].cause == hard.stops[0].cause
    assert soft.distance_m > hard.distance_m + 0.1


@pytest.mark.parametrize("name", ["sim_truck_link_cut", "ecu_dies"])
def test_log_that_is_not_of_a_whole_run__is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not of one whole run"):
        resim(open_log(GOLDEN / f"{name}.mcap"))
