"""The acceptance table: every shipped machine keeps every bound, and the program says so."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import acceptance
from benchmarks.acceptance import Bound, Row, judge, rows
from sim.machines import trials
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import OpenGround
from tests.sim.worlds import MACHINES, machine, shipped

ROWS = [row for path in sorted(MACHINES.glob("*.toml")) for row in rows(shipped(path.stem))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.machine}: {row.quantity}")
def test_row__keeps_its_bound(row: Row) -> None:
    result = judge(row)
    assert result.held, result
    assert result.source


def test_worse_machine__does_not_keep_its_bounds() -> None:
    truck = machine()
    slack = replace(truck.plant.brakes, max_mps2=0.8, park_mps2=0.3)
    tight = replace(truck.plant.steering, limit_rad=0.5)
    worse = replace(truck, plant=replace(truck.plant, brakes=slack, steering=tight))
    asked = {
        "turning radius left": False,
        "lock to lock": False,
        "stop from 10 km/h at 0 %": True,
        "stop from 20 km/h at -14 %": False,
        "creep on -20 %, park brake": False,
    }
    found = {row.quantity: judge(row) for row in rows(worse) if row.quantity in asked}
    assert {quantity: result.held for quantity, result in found.items()} == asked
    assert found["stop from 20 km/h at -14 %"].value is None


def test_unknown_machine__has_no_sheet() -> None:
    truck = machine()
    size = truck.profile.machine.model_copy(update={"name": "submarine"})
    other = replace(truck, profile=truck.profile.model_copy(update={"machine": size}))
    with pytest.raises(ValueError, match="no sheet of submarine"):
        list(rows(other))


def test_law__is_the_published_table_less_the_operators_second() -> None:
    """30 CFR 57.14101 table M-1, 140 to 250 klb: 56 ft at 10 mph, 133 ft at 20 mph."""
    for speed_mph, table_ft in ((10.0, 56.0), (20.0, 133.0)):
        speed_mps = speed_mph * 0.44704
        limit_m = trials.legal_stop_m(speed_mps, 0.0, 2.0) + speed_mps
        assert limit_m == pytest.approx(table_ft * 0.3048, rel=0.02)


def test_place_that_is_never_reached__is_told() -> None:
    plant = MachinePlant(machine(), OpenGround(), trials.ORIGIN)
    with pytest.raises(trials.TrialError, match="not reached in 100 s"):
        trials.reach(plant, 1.0, trials.COAST)


def test_trial_that_never_ends__is_never_and_not_held() -> None:
    def never() -> float:
        raise trials.TrialError("gone")

    result = judge(Row("machine", "quantity", "m", never, Bound(0.0, 1.0, "a rule")))
    assert (result.value, result.held) == (None, False)
    assert "never" in acceptance.as_text([result])


def _two(held: bool) -> list[acceptance.Result]:
    bound = Bound(0.0, 2.0 if held else 0.5, "a sheet")
    lines = (("quantity", bound), ("creep", Bound(1.0, 1.0, "a rule")))
    return [judge(Row("machine", name, "m", lambda: 1.0, each)) for name, each in lines]


@pytest.mark.parametrize("held", [True, False])
def test_program__prints_the_table_and_fails_with_a_row(
    held: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(acceptance, "results", lambda: _two(held))
    monkeypatch.setattr(sys, "argv", ["acceptance"])
    assert acceptance.main() == (0 if held else 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["machine", "quantity", "value", "unit", "bound", "source"]
    assert ("NOT HELD" in lines[1]) is not held
    assert "= 1" in lines[2]


def test_program_with_json__prints_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(acceptance, "results", lambda: _two(True))
    monkeypatch.setattr(sys, "argv", ["acceptance", "--json"])
    assert acceptance.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert said["held"] is True
    assert said["rows"][0]["source"] == "a sheet"
