"""Other machines than the truck follow the drift under signed commands, supervisor and ECU."""

from __future__ import annotations

import pytest

from sim.simulated_machine import SimulatedMachine
from sim.world.site import load_site
from tests import rig
from tests.chain.lockstep import Lockstep
from tests.sim.worlds import DRIFT_FILE, MACHINES, shipped


@pytest.mark.parametrize("name", ["electric_tractor_trailer", "roller_13t"])
def test_armed_machine__follows_the_drift_and_touches_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig, "MACHINE_FILE", MACHINES / f"{name}.toml")
    chain = Lockstep()
    chain.real.machine = SimulatedMachine(shipped(name), load_site(DRIFT_FILE), seed=1)
    chain.under_way(5.0)
    truth = chain.truth
    assert chain.profile.machine.name == name
    assert truth["contacts"] == 0
    assert truth["distance_m"] > 4.0
    assert abs(truth["offset_m"]) < 0.3
