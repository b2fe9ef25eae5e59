"""What the search has found: each example as small as it could be made."""

from __future__ import annotations

import pytest

from protocol.errors import Refusal
from protocol.frames import STATE_JSON_MAX_BYTES
from protocol.messages import Outcome, RequestKind
from protocol.state import CapReason, Margins, VehicleMode, VehicleState
from tests.proof.test_machine import scene
from tests.proof.world import HELD, U32_MAX
from tests.rig import MS
from vehicle_agent.core.report import REFUSALS_SHOWN

M = VehicleMode


@pytest.mark.requirement("HF-STOP-05")
def test_reset_in_the_tick_that_first_reports_motion__refused() -> None:
    world = scene("stopped")
    driver = world.people["console-1"]
    world._number |= 1  # the next tick is one in which the ECU reports its speed
    world.ecu.speed_mps = 2.0

    world.ask(RequestKind.RESET, driver)
    world.tick()

    assert world.mode is M.STOPPED
    assert world.supervisor._failsafe.latched == "D106"


@pytest.mark.requirement("HF-STOP-04", "HF-GUARD-04")
def test_old_mark_on_disk_while_its_removal_is_still_being_written__no_motion_on_it() -> None:
    world = scene("driving")
    world.restart()
    world.tick()
    world.climb("console-1", 2)
    world.disk_ns = 4_000 * MS
    driver = world.people["console-1"]

    world.ask(RequestKind.RESET, driver)
    world.ticks(6)
    world.ask(RequestKind.ARM, driver)
    world.ticks(6)
    driver.wish = dict(HELD)
    world.ticks(385)

    assert world.mode is M.ARMED


@pytest.mark.requirement("HF-AUTH-11")
def test_key_turned_to_local_while_a_grant_waits_for_the_disk__grant_refused() -> None:
    world = scene("fresh")
    world.ticks(35)
    world.disk_ns = None
    world.ask(RequestKind.LEASE)
    world.tick()

    world.ecu.key_remote = False
    world.ticks(10)
    world.disk_ns = 0
    world.ticks(10)

    assert world.mode is M.LOCAL
    assert world.supervisor._authority.holder is None
    assert [(ack.outcome, ack.reason) for ack in world.acks] == [(Outcome.REFUSED, "M111")]


@pytest.mark.requirement("HF-GUARD-07")
def test_longest_state__fits() -> None:
    longest = sorted((reason.value for reason in Refusal), key=len)[-REFUSALS_SHOWN:]
    state = VehicleState(
        mode=M.STOPPING,
        cause="M105",
        accepted=(U32_MAX, U32_MAX),
        accepted_hold_us=10**15,
        refusals=dict.fromkeys(longest, 10**7),
        speed_mps=-12.345,
        steer_commanded=-0.1234,
        steer_measured=-0.1234,
        articulation_rad=-0.1234,
        gear=-1,
        brake_commanded_mps2=2.55,
        brake_measured_mps2=2.55,
        park_applied=False,
        grade=-0.1234,
        cap_mps=5.55,
        cap_reason=CapReason.CLEARANCE,
        loop_ms=450.1,
        margins=Margins(command_ms=250, view_ms=600, ecu_ms=100),
        estop="discrepancy",
        relay="unknown",
        stop_id="c" * 32,
        blockers=("B101", "B102", "B103"),
    )

    assert len(state.to_json()) <= STATE_JSON_MAX_BYTES
