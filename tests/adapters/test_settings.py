"""[adapter] of a machine file: what it may say, and what is refused before anything moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.adapters import IsobusAdapter, J1939Adapter
from protocol.j1939.codec import BrakeMode, Checksum
from protocol.profiles import parse_profile
from tests.sim.worlds import MACHINES


def text(machine: str) -> str:
    return Path(MACHINES / f"{machine}.toml").read_text(encoding="utf-8")


def test_truck_and_tractor__name_their_adapters() -> None:
    truck = parse_profile(text("truck_8x8_50t"), "truck").adapter
    assert isinstance(truck, J1939Adapter)
    assert (truck.tsc1_checksum, truck.tsc1_timeout_ms) == (Checksum.A, 90)
    assert (truck.xbr_mode, truck.closing_frames) == (BrakeMode.MAXIMUM, 2)
    tractor = parse_profile(text("electric_tractor"), "tractor").adapter
    assert isinstance(tractor, IsobusAdapter)
    assert (tractor.guidance_timeout_ms, tractor.speed_timeout_ms) == (150, 300)
    assert parse_profile(text("ug_truck_60t"), "mine truck").adapter is None


@pytest.mark.parametrize(
    ("machine", "old", "new", "said"),
    [
        ("truck_8x8_50t", 'kind = "j1939"', 'kind = "canopen"', "adapter"),
        ("truck_8x8_50t", 'tsc1_checksum = "A"', 'tsc1_checksum = "C"', "adapter.j1939.tsc1_check"),
        ("truck_8x8_50t", 'tsc1_checksum = "A"', "#", "tsc1_checksum: is missing"),
        ("truck_8x8_50t", "retarder = 16", "retarder = 254", "adapter.j1939.retarder"),
        ("truck_8x8_50t", "retarder = 16", "closing_frames = 1", "adapter.j1939.closing_frames"),
        ("truck_8x8_50t", "retarder = 16", "xbr_mode = 0", "xbr_mode: OFF never brakes"),
        ("truck_8x8_50t", "retarder = 16", "xbr_timeout_ms = 20", "adapter.j1939.xbr_timeout_ms"),
        ("truck_8x8_50t", "retarder = 16", "gearbox = 3", "gearbox: there is no such setting"),
        ("truck_8x8_50t", "tsc1_timeout_ms = 90", "tsc1_timeout_ms = 20", "tsc1_timeout_ms"),
        ("electric_tractor", "tractor = 240", "tractor = 240.5", "adapter.isobus.tractor"),
        ("electric_tractor", "tractor = 240", "", "tractor: is missing"),
        (
            "truck_8x8_50t",
            "service_brake_max_mps2 = 4.0",
            "service_brake_max_mps2 = 15.7",
            "limits.service_brake_max_mps2: j1939 carries at most 15.6",
        ),
        (
            "electric_tractor",
            "speed_max_mps = 6.9 ",
            "speed_max_mps = 64.3 ",
            "limits.speed_max_mps: isobus carries at most 64.2",
        ),
    ],
)
def test_adapter_with_a_mistake__is_refused_in_one_line(
    machine: str, old: str, new: str, said: str
) -> None:
    whole = text(machine)
    assert old in whole
    with pytest.raises(ValueError, match=said) as caught:
        parse_profile(whole.replace(old, new, 1), "bad")
    assert "\n" not in str(caught.value)
