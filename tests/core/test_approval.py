"""The digest of the approved settings: everything that decides changes it, nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.adapters import IsobusAdapter
from protocol.control_peer import CommandPath
from protocol.messages import Role, Trust
from protocol.profiles import MachineLimits
from protocol.signals import DEFAULT_TIMING, Timing
from tests.core.parts import LIMITS, limits
from tests.rig import TRUST, new_identity
from vehicle_agent.core.approval import settings_sha256

BOTH = frozenset(CommandPath)
APPROVED = settings_sha256("truck", LIMITS, DEFAULT_TIMING, TRUST, BOTH, 40.0)


def test_same_settings_in_another_order__same_digest() -> None:
    turned = dict(reversed(list(TRUST.items())))

    assert settings_sha256("truck", LIMITS, DEFAULT_TIMING, turned, [1, 0], 40.0) == APPROVED


@pytest.mark.parametrize(
    ("vehicle", "machine", "timing", "trust"),
    [
        ("other", LIMITS, DEFAULT_TIMING, TRUST),
        ("truck", limits(stop_decel_mps2=2.4), DEFAULT_TIMING, TRUST),
        ("truck", LIMITS, replace(DEFAULT_TIMING, view_stop_ms=599), TRUST),
        ("truck", LIMITS, DEFAULT_TIMING, {**TRUST, "new": new_identity("new", Role.DRIVER)[1]}),
        (
            "truck",
            LIMITS,
            DEFAULT_TIMING,
            {**TRUST, "gate": replace(TRUST["gate"], role=Role.DRIVER)},
        ),
        (
            "truck",
            LIMITS,
            DEFAULT_TIMING,
            {**TRUST, "gate": new_identity("gate", Role.STOP_ONLY)[1]},
        ),
    ],
    ids=["vehicle", "limit", "time", "one more", "role", "key"],
)
@pytest.mark.requirement("HF-GUARD-09")
def test_one_thing_changed__another_digest(
    vehicle: str, machine: MachineLimits, timing: Timing, trust: Trust
) -> None:
    assert settings_sha256(vehicle, machine, timing, trust, BOTH, 40.0) != APPROVED


@pytest.mark.requirement("HF-GUARD-09")
def test_second_command_path_taken_away__another_digest() -> None:
    alone = settings_sha256("truck", LIMITS, DEFAULT_TIMING, TRUST, {CommandPath.MQTT}, 40.0)

    assert alone != APPROVED


@pytest.mark.parametrize("range_m", [None, 41.0])
@pytest.mark.requirement("HF-GUARD-09")
def test_range_finder_taken_away_or_another_one__another_digest(range_m: float | None) -> None:
    assert settings_sha256("truck", LIMITS, DEFAULT_TIMING, TRUST, BOTH, range_m) != APPROVED


@pytest.mark.parametrize("address", [128, 129])
@pytest.mark.requirement("HF-GUARD-09")
def test_machine_driven_another_way__another_digest(address: int) -> None:
    driven = IsobusAdapter(kind="isobus", address=128, tractor=240)
    other = driven.model_copy(update={"address": address + 1})
    args = ("truck", LIMITS, DEFAULT_TIMING, TRUST, BOTH, 40.0)
    assert settings_sha256(*args, driven) not in (APPROVED, settings_sha256(*args, other))
