"""Stories of a drive: what the machine does when something goes wrong, and how it goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from protocol.dbw.codec import ContactState, EcuMode
from protocol.errors import Refusal
from protocol.frames import CommandKind
from protocol.messages import Claims, Outcome, RequestKind, Trust, verify_signed
from protocol.relay import RelayWish
from protocol.signals import DEFAULT_TIMING
from protocol.state import CapReason, VehicleMode
from tests.rig import MS, TICK_NS, VEHICLE, FakeConsole, Rig
from vehicle_agent.core import authority as authority_module
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.record import Record
from vehicle_agent.core.supervisor import REQUESTS_OF_ONE, Supervisor, TickInputs

M = VehicleMode
MOVING = (M.ACTIVE, M.DEGRADED)


def until_brake_ms(rig: Rig, within_s: float = 1.0) -> float:
    """Milliseconds of test time until a brake frame of a stop stands on the bus."""
    start_ns = rig.now_ns
    rig.run_until(lambda: not rig.is_in(*MOVING) and rig.ecu.braking, within_s)
    return (rig.now_ns - start_ns) / MS


def silence(rig: Rig) -> None:
    rig.console.sends = False


def blind_downlink(rig: Rig) -> None:
    rig.downlink = False


def freeze_view(rig: Rig) -> None:
    stamp_us = rig.now_ns // 1000
    rig.console.view_lag_ms = None
    rig.console.wish = {**rig.console.wish, "view_stamp_us": stamp_us}


def no_view(rig: Rig) -> None:
    rig.console.view_lag_ms = None


def bad_display(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "display_ok": False}


def release_enable(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "enable": False}


def stop_frame(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "kind": CommandKind.STOP}


def stop_message(rig: Rig) -> None:
    rig.press_stop(rig.console)


def stop_at_the_gate(rig: Rig) -> None:
    gate = FakeConsole("gate", boot=rig.console.boot)
    rig.press_stop(gate)


def ecu_dies(rig: Rig) -> None:
    rig.ecu.silent = True


def ecu_stops(rig: Rig) -> None:
    rig.ecu.follows = False
    rig.ecu.mode = EcuMode.SAFE_STOP


def safety_io_lost(rig: Rig) -> None:
    rig.ecu.estop_a = rig.ecu.estop_b = ContactState.UNKNOWN


def second_ecu(rig: Rig) -> None:
    for _ in range(2):
        frames = rig.ecu.frames(2)
        rig.inject_bus(tuple((can_id - 1, data) for can_id, data in frames))
        rig.tick()


def estop_pressed(rig: Rig) -> None:
    rig.ecu.estop_a = rig.ecu.estop_b = ContactState.OPEN


def one_estop_channel(rig: Rig) -> None:
    rig.ecu.estop_a = ContactState.ERROR


def key_to_local(rig: Rig) -> None:
    rig.ecu.key_remote = False


def supply_sags(rig: Rig) -> None:
    rig.ecu.supply_v = 17.0


def tilts(rig: Rig) -> None:
    rig.ecu.pitch_rad = 0.4


def runs_away(rig: Rig) -> None:
    rig.ecu.speed_mps = 1.2 * rig.profile.limits.speed_max_mps


def steering_stuck(rig: Rig) -> None:
    rig.ecu.curvature_per_m = -0.05


def brake_weak(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "throttle": 0, "brake": 8000}
    rig.ecu.brake_mps2 = 0.1


def guardian_sleeps(rig: Rig) -> None:
    rig.tick(300 * MS)


def clock_back(rig: Rig) -> None:
    rig.tick(-50 * MS)


def other_bytes_same_sequence(rig: Rig) -> None:
    twin = replace(rig.console, sequence=rig.console.sequence - 1)
    rig.inject(twin.command(rig.now_ns, steer=77))


def second_console_arms(rig: Rig) -> None:
    other = FakeConsole("console-2")
    other.nonce, other.boot, other.epoch = rig.console.nonce, rig.console.boot, 1
    rig.ask(RequestKind.ARM, other)


@pytest.mark.parametrize(
    ("mishap", "cause", "mode"),
    [
        (silence, "L102", M.STOPPING),
        (blind_downlink, "L102", M.STOPPING),
        (freeze_view, "V102", M.STOPPING),
        (no_view, "V102", M.STOPPING),
        (bad_display, "V103", M.STOPPING),
        (release_enable, "D101", M.STOPPING),
        (stop_frame, "D105", M.STOPPING),
        (stop_message, "D105", M.STOPPING),
        (stop_at_the_gate, "D106", M.STOPPING),
        (ecu_dies, "M101", M.STOPPING),
        (ecu_stops, "M102", M.STOPPING),
        (safety_io_lost, "M115", M.STOPPING),
        (second_ecu, "M114", M.STOPPING),
        (estop_pressed, "M105", M.ESTOP),
        (one_estop_channel, "M106", M.ESTOP),
        (key_to_local, "M120", M.STOPPING),
        (supply_sags, "M110", M.STOPPING),
        (tilts, "M109", M.STOPPING),
        (runs_away, "M108", M.STOPPING),
        (steering_stuck, "M103", M.STOPPING),
        (brake_weak, "M103", M.STOPPING),
        (guardian_sleeps, "G101", M.STOPPING),
        (clock_back, "G102", M.STOPPING),
        (other_bytes_same_sequence, "G104", M.STOPPING),
        (second_console_arms, "G104", M.STOPPING),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.requirement(
    "HF-CMD-09",
    "HF-CMD-11",
    "HF-AUTH-10",
    "HF-AUTH-11",
    "HF-STOP-09",
    "HF-STOP-12",
    "HF-STOP-14",
    "HF-VIEW-02",
    "HF-VIEW-03",
    "HF-ECU-01",
    "HF-ECU-02",
    "HF-ECU-06",
    "HF-ECU-08",
    "HF-ECU-09",
    "HF-GUARD-01",
    "HF-GUARD-02",
    "HF-BUS-04",
)
def test_mishap_while_driving__stops_on_held_curvature_and_names_the_cause(
    mishap: Callable[[Rig], None], cause: str, mode: VehicleMode
) -> None:
    rig = Rig()
    rig.drive(steer=1500)
    rig.run(1.0)
    held = rig.supervisor.demand.curvature_per_m

    mishap(rig)
    until_brake_ms(rig, within_s=3.0)
    rig.run(0.3)

    demand = rig.supervisor.demand
    assert rig.is_in(mode)
    assert demand.accel_mps2 == 0.0
    assert demand.curvature_per_m == pytest.approx(held, abs=1e-6)
    assert demand.brake_mps2 >= rig.profile.limits.stop_decel_mps2
    assert rig.events.count(cause) == 1
    assert rig.state is not None or mishap is blind_downlink
    rig.downlink = True
    rig.run(0.1)
    assert rig.state is not None
    assert rig.state.cause == cause


@pytest.mark.requirement("HF-CMD-09")
def test_commands_cut__brake_demand_within_the_table_of_the_last_command() -> None:
    rig = Rig()
    rig.drive()

    silence(rig)

    assert until_brake_ms(rig) <= DEFAULT_TIMING.command_stop_ms + 20


@pytest.mark.parametrize("travel_ms", [0, 40, 80, 120, 160, 200, 240])
@pytest.mark.requirement("HF-CMD-10")
def test_commands_cut_on_a_slow_link__brake_within_the_reaction_time_of_leaving_the_console(
    travel_ms: int,
) -> None:
    rig = Rig()
    rig.drive()
    silence(rig)
    left_ns = rig.now_ns
    honest = rig.console.command(left_ns, echo_hold_us=0, echo_stamp_us=left_ns // 1000)
    rig.run(travel_ms / 1000)
    rig.inject(honest)

    rig.run_until(lambda: not rig.is_in(*MOVING) and rig.ecu.braking, 1.0)
    rig.run(0.1)
    assert rig.state is not None
    assert rig.state.cause == "L102"
    rig.now_ns -= 100 * MS

    assert (rig.now_ns - left_ns) / MS <= DEFAULT_TIMING.reaction_ms


@pytest.mark.requirement("HF-CMD-08")
def test_commands_late__traction_off_then_back_by_itself_without_a_jump() -> None:
    rig = Rig()
    rig.drive(throttle=10_000)
    rig.run(2.0)

    silence(rig)
    rig.run(0.15)
    assert rig.is_in(M.DEGRADED)
    assert rig.supervisor.demand.accel_mps2 == 0.0
    rig.console.sends = True
    before = len(rig.outputs)
    rig.run(1.0)

    assert rig.is_in(M.ACTIVE)
    assert rig.supervisor.demand.accel_mps2 == pytest.approx(1.0)
    assert len(rig.outputs) > before
    assert "L102" not in rig.events


def test_traction__never_rises_faster_than_its_jerk_limit() -> None:
    rig = Rig()
    rig.drive(throttle=10_000)
    rig.console.wish = {**rig.console.wish, "throttle": 0}
    rig.run(0.2)
    rig.console.wish = {**rig.console.wish, "throttle": 10_000}
    steps: list[Demand] = []
    for _ in range(50):
        rig.tick()
        steps.append(rig.supervisor.demand)

    limit = rig.profile.limits.traction_jerk_mps3 * TICK_NS / 1e9
    rises = [b.accel_mps2 - a.accel_mps2 for a, b in pairwise(steps)]
    assert max(rises) <= limit + 1e-9


@pytest.mark.parametrize(
    "mishap", [silence, freeze_view, estop_pressed, ecu_stops, second_console_arms]
)
@pytest.mark.requirement("HF-STOP-01")
def test_after_a_stop_everything_healthy_again__stays_stopped(
    mishap: Callable[[Rig], None],
) -> None:
    rig = Rig()
    rig.drive()
    mishap(rig)
    rig.run(1.0)

    rig.ecu = type(rig.ecu)(speed_mps=0.0)
    rig.console.sends, rig.console.view_lag_ms = True, 60
    rig.console.wish.pop("view_stamp_us", None)
    rig.hold_enable(neutral=False, throttle=9000, gear=1)
    rig.run(10.0)

    assert rig.is_in(M.STOPPED, M.ESTOP)
    assert rig.supervisor.demand.accel_mps2 == 0.0
    assert rig.supervisor.demand.park


def stopped(rig: Rig) -> None:
    """Driven, stopped by the driver, standing with neutral controls."""
    rig.drive()
    stop_message(rig)
    rig.run(0.2)
    rig.halt()
    rig.run(2.5)
    assert rig.is_in(M.STOPPED)


@pytest.mark.requirement("HF-STOP-06")
def test_reset_with_everything_good__goes_to_leased_and_no_further() -> None:
    rig = Rig()
    stopped(rig)

    rig.ask(RequestKind.RESET)
    rig.run(5.0)

    assert rig.is_in(M.LEASED)
    assert rig.acks[-1].outcome is Outcome.DONE


def keep_throttle(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "throttle": 2000, "neutral": False}


def claim_neutral_with_throttle(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "throttle": 2000, "neutral": True}


def keep_gear(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "gear": 1}


def keep_enable(rig: Rig) -> None:
    rig.console.wish = {**rig.console.wish, "enable": True, "kind": CommandKind.DRIVE}


def roll(rig: Rig) -> None:
    rig.ecu.speed_mps = 0.2


def break_link(rig: Rig) -> None:
    rig.console.sends = False
    rig.run(0.5)
    rig.console.sends = True
    rig.run(1.0)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (keep_throttle, "B102"),
        (claim_neutral_with_throttle, "B102"),
        (keep_gear, "B102"),
        (keep_enable, "B102"),
        (roll, "B101"),
        (break_link, "B103"),
        (estop_pressed, "M105"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.requirement("HF-STOP-05")
def test_reset_while_something_is_missing__refused_with_its_reason(
    spoil: Callable[[Rig], None], reason: str
) -> None:
    rig = Rig()
    stopped(rig)
    spoil(rig)
    rig.run(0.2)

    rig.ask(RequestKind.RESET)
    rig.run(0.1)

    assert rig.is_in(M.STOPPED, M.ESTOP)
    assert rig.acks[-1].outcome is Outcome.REFUSED
    assert rig.acks[-1].reason == reason


@pytest.mark.requirement("HF-STOP-07")
def test_enable_held_during_arming__no_warning_until_it_was_released() -> None:
    rig = Rig()
    rig.arm()
    rig.run(0.1)
    rig.supervisor._driver.await_release()
    rig.hold_enable()
    rig.run(5.0)
    assert rig.is_in(M.ARMED)
    assert rig.state is not None
    assert "D102" in rig.state.blockers

    rig.console.wish = {**rig.console.wish, "enable": False}
    rig.run(0.1)
    rig.hold_enable()
    rig.run(3.2)

    assert rig.is_in(M.ACTIVE)


@pytest.mark.requirement("HF-STOP-08")
def test_warning_before_motion__lasts_three_seconds_with_the_horn() -> None:
    rig = Rig()
    rig.arm()
    rig.hold_enable()
    rig.run(0.05)

    took_s = rig.run_until(lambda: rig.is_in(M.ACTIVE), 4.0)

    assert 2.9 <= took_s + 0.05 <= 3.1
    assert rig.events.count("S104") == 1


@pytest.mark.requirement("HF-STOP-08")
def test_throttle_during_the_warning__starts_the_warning_again() -> None:
    rig = Rig()
    rig.arm()
    rig.hold_enable()
    rig.run(2.0)
    rig.hold_enable(neutral=False, throttle=3000)
    rig.run(0.1)
    rig.hold_enable()
    rig.run(2.5)

    assert rig.is_in(M.ARMED)
    rig.run(1.0)
    assert rig.is_in(M.ACTIVE)


@pytest.mark.requirement("HF-GUARD-04")
def test_record_not_durable__no_motion_however_long() -> None:
    rig = Rig()
    rig.arm()
    rig.disk_works = False
    rig.hold_enable()

    rig.run(10.0)

    assert rig.is_in(M.ARMED)


@pytest.mark.requirement("HF-AUTH-03")
def test_epoch_not_durable__lease_not_granted() -> None:
    rig = Rig()
    rig.run(0.5)
    rig.disk_works = False

    rig.ask(RequestKind.LEASE)
    rig.run(2.0)

    assert rig.acks == []
    assert rig.is_in(M.STANDBY)


@pytest.mark.requirement("HF-STOP-04")
def test_guardian_died_while_driving__next_boot_starts_stopped() -> None:
    rig = Rig()
    rig.drive()
    last = [out.persist for out in rig.outputs if out.persist is not None][-1]

    reborn = Rig(record=last)
    reborn.run(0.1)

    assert reborn.is_in(M.STOPPED)
    assert reborn.state is not None
    assert reborn.state.cause == "G105"


@pytest.mark.requirement("HF-STOP-03")
def test_latched_stop__survives_restart_with_its_cause() -> None:
    rig = Rig()
    rig.drive()
    silence(rig)
    rig.run(1.0)
    last = [out.persist for out in rig.outputs if out.persist is not None][-1]

    reborn = Rig(record=last)
    reborn.lease()

    assert last.latch == "L102"
    assert reborn.is_in(M.STOPPED)
    assert reborn.state is not None
    assert reborn.state.cause == "L102"


@pytest.mark.requirement("HF-AUTH-02")
def test_restart__epoch_is_higher_than_any_before() -> None:
    rig = Rig()
    rig.lease()
    last = [out.persist for out in rig.outputs if out.persist is not None][-1]

    reborn = Rig(record=last)
    reborn.lease()

    assert reborn.console.epoch > rig.console.epoch


def another(rig: Rig, name: str = "console-2") -> FakeConsole:
    other = FakeConsole(name, nonce=rig.console.nonce, boot=rig.console.boot, sends=False)
    rig.others.append(other)
    return other


def test_second_console_asks_for_the_lease__queued_and_nothing_moves() -> None:
    rig = Rig()
    rig.drive()
    other = another(rig)

    rig.ask(RequestKind.LEASE, other)
    rig.run(0.2)

    first = rig.acks[-1]
    assert first.outcome is Outcome.QUEUED
    assert rig.authority["pending"]["operator"] == "console-2"
    assert "S108" in rig.events
    assert rig.is_in(M.ACTIVE)
    rig.run(10.0)
    last = rig.acks[-1]
    assert (last.outcome, last.reason) == (Outcome.REFUSED, "B111")
    assert rig.is_in(M.ACTIVE)
    assert other.keys is None


@pytest.mark.requirement("HF-CMD-02", "HF-AUTH-07")
def test_offer_at_standstill_and_neutral__lease_changes_hands_under_a_new_epoch() -> None:
    rig = Rig()
    rig.lease()
    rig.run(0.5)
    old = rig.console
    other = another(rig)
    rig.ask(RequestKind.LEASE, other)
    rig.run(0.1)

    rig.ask(RequestKind.OFFER, to="console-2")
    rig.run(0.2)

    assert rig.authority["holder"] == "console-2"
    assert other.epoch > old.epoch
    rig.inject(old.command(rig.now_ns))
    rig.run(1.1)
    assert rig.telemetry["control"]["refused"][Refusal.EPOCH_FENCED] > 0


@pytest.mark.requirement("HF-AUTH-07")
def test_offer_while_moving_or_not_neutral_or_to_another__refused() -> None:
    rig = Rig()
    rig.drive()
    rig.ask(RequestKind.LEASE, another(rig))
    rig.run(0.1)

    rig.ask(RequestKind.OFFER, to="console-2")
    rig.run(0.1)
    moving = rig.acks[-1].reason
    rig.ask(RequestKind.OFFER, to="chief")
    rig.run(0.1)

    assert (moving, rig.acks[-1].reason) == ("B101", "B108")
    assert rig.authority["holder"] == "console-1"


@pytest.mark.requirement("HF-AUTH-08")
def test_supervisor_takes_over_a_moving_machine__it_stops_first_then_he_holds_it() -> None:
    rig = Rig()
    rig.drive()
    chief = another(rig, "chief")

    rig.ask(RequestKind.TAKE_OVER, chief)
    rig.run(0.2)
    assert rig.is_in(M.STOPPING)
    assert rig.authority["holder"] == "console-1"
    rig.ecu.speed_mps = 0.0
    rig.run(1.0)

    assert rig.authority["holder"] == "chief"
    assert chief.keys is not None
    assert rig.is_in(M.STOPPED)
    assert rig.state is not None
    assert rig.state.cause == "D106"


@pytest.mark.requirement("HF-AUTH-08")
def test_holder_dies_while_a_take_over_stops_the_machine__the_supervisor_has_it_at_standstill() -> (
    None
):
    rig = Rig()
    rig.drive()
    chief = another(rig, "chief")
    rig.ask(RequestKind.TAKE_OVER, chief)
    silence(rig)
    rig.run(2.5)
    assert rig.authority == {**rig.authority, "holder": None}
    rig.ecu.speed_mps = 0.0
    rig.run(1.0)

    assert rig.authority["holder"] == "chief"
    assert rig.is_in(M.STOPPED)


def test_holder_releases_while_another_waits__he_has_it_at_once() -> None:
    rig = Rig()
    rig.lease()
    other = another(rig)
    rig.ask(RequestKind.LEASE, other)
    rig.run(0.2)
    rig.ask(RequestKind.RELEASE)
    rig.run(0.2)

    assert rig.authority["holder"] == "console-2"
    assert rig.acks[-1].outcome is Outcome.GRANTED


@pytest.mark.parametrize("kind", [RequestKind.LEASE, RequestKind.TAKE_OVER])
@pytest.mark.requirement("HF-AUTH-11")
def test_key_turned_to_local__holder_and_waiting_lose_it_and_are_told(kind: RequestKind) -> None:
    rig = Rig()
    rig.drive()
    chief = another(rig, "chief")
    key_to_local(rig)
    rig.run(0.2)
    rig.ask(kind, chief)
    rig.run(0.2)
    rig.halt()
    rig.run(1.0)

    assert rig.is_in(M.LOCAL)
    assert rig.authority["holder"] is None
    assert rig.acks[-1].reason == "M111"
    rig.ask(kind, chief)
    rig.run(0.2)
    assert (rig.acks[-1].outcome, rig.acks[-1].reason) == (Outcome.REFUSED, "M111")


@pytest.mark.requirement("HF-AUTH-13")
def test_request_held_back_for_long__refused_by_its_nonce() -> None:
    rig = Rig()
    rig.lease()
    rig.run(2.5)
    held_back = rig.console.request(RequestKind.ARM)
    rig.run(4.1)
    rig._requests.append((rig.console.name, held_back))
    rig.run(0.1)

    assert rig.is_in(M.LEASED)
    assert rig.telemetry["control"]["requests_refused"] == {"wrong_nonce": 1}


@pytest.mark.requirement("HF-AUTH-09")
def test_driver_may_not_take_over__refused_by_role() -> None:
    rig = Rig()
    rig.drive()

    rig.ask(RequestKind.TAKE_OVER, another(rig))
    rig.run(0.2)

    assert rig.acks[-1].reason == "B109"
    assert rig.is_in(M.ACTIVE)


@pytest.mark.requirement("HF-AUTH-05")
def test_lease_left_alone__ends_after_two_seconds_and_another_may_drive() -> None:
    rig = Rig()
    rig.lease()
    silence(rig)
    rig.run(2.2)
    assert rig.is_in(M.STANDBY)

    other = FakeConsole("console-2", nonce=rig.console.nonce, boot=rig.console.boot)
    rig.others.append(other)
    rig.ask(RequestKind.LEASE, other)
    rig.run(0.2)

    assert rig.acks[-1].outcome is Outcome.GRANTED
    assert rig.authority["holder"] == "console-2"


@pytest.mark.requirement("HF-AUTH-06")
def test_parked_lease__ends_after_a_minute_without_enable() -> None:
    rig = Rig()
    rig.lease()

    rig.run(59.0)
    assert rig.is_in(M.LEASED)
    rig.run(2.0)

    assert rig.is_in(M.STANDBY)


@pytest.mark.requirement("HF-STOP-14")
def test_enable_released_at_standstill__back_to_armed_and_parked_without_a_stop() -> None:
    rig = Rig()
    rig.drive()
    rig.ecu.speed_mps = 0.0
    rig.hold_enable(brake=5000, gear=1, neutral=False)
    rig.run(1.0)

    rig.halt()
    rig.run(0.2)

    assert rig.is_in(M.ARMED)
    assert rig.events.count("S110") == 1
    assert rig.supervisor.demand.park
    assert rig.state is not None
    assert rig.state.cause is None


@pytest.mark.requirement("HF-STOP-17")
def test_machine_rolls_while_parked__emergency_stop_asked() -> None:
    rig = Rig()
    rig.lease()
    rig.ecu.speed_mps = 0.5

    rig.run(0.5)

    assert rig.is_in(M.ESTOP)
    assert rig.ecu.sup is not None
    assert rig.ecu.sup.estop_request


@pytest.mark.parametrize(("view_ms", "loop_cap"), [(100, 5.5), (250, 4.4)])
@pytest.mark.requirement("HF-CMD-15")
def test_slow_loop__cap_falls_in_proportion(view_ms: int, loop_cap: float) -> None:
    rig = Rig()
    rig.drive()
    rig.console.view_lag_ms = view_ms - 4

    rig.run(1.5)

    assert rig.state is not None
    assert rig.state.cap_mps == pytest.approx(loop_cap, rel=0.05)


@pytest.mark.requirement("HF-VIEW-01")
def test_late_view__cap_falls_and_says_why() -> None:
    rig = Rig()
    rig.drive()
    rig.console.view_lag_ms = 500

    rig.run(1.5)

    assert rig.is_in(M.ACTIVE)
    assert rig.state is not None
    assert rig.state.cap_reason is CapReason.VIEW
    assert rig.state.cap_mps < 2.0


@pytest.mark.requirement("HF-STOP-12")
def test_stop_message_confirmed_in_the_state__and_executed_once() -> None:
    rig = Rig()
    stopped(rig)
    rig.ask(RequestKind.RESET)
    rig.run(0.2)
    assert rig.is_in(M.LEASED)

    rig.press_stop(rig.console)
    rig.run(0.2)

    assert rig.is_in(M.LEASED)
    assert rig.state is not None
    assert rig.state.stop_id == "cd" * 16


@pytest.mark.requirement("HF-STOP-13")
def test_old_stop_message__only_logged() -> None:
    rig = Rig()
    rig.drive()

    rig.press_stop(rig.console, age_ms=6000)
    rig.run(0.2)

    assert rig.is_in(M.ACTIVE)


@pytest.mark.requirement("HF-AUTH-09")
def test_observer_stop_or_lease__refused_by_role() -> None:
    rig = Rig()
    rig.drive()
    watcher = FakeConsole("watcher", nonce=rig.console.nonce, boot=rig.console.boot)

    rig.press_stop(watcher)
    rig.ask(RequestKind.LEASE, watcher)
    rig.run(1.1)

    assert rig.is_in(M.ACTIVE)
    assert rig.telemetry["control"]["requests_refused"][Refusal.WRONG_ROLE] == 2


@pytest.mark.requirement("HF-AUTH-04")
def test_request_replayed__refused_by_its_nonce() -> None:
    rig = Rig()
    rig.run(0.5)
    token = rig.console.request(RequestKind.LEASE)
    rig._requests = [("console-1", token), ("console-1", token)]

    rig.run(1.2)

    assert rig.telemetry["control"]["requests_refused"] == {Refusal.WRONG_NONCE: 1}


@pytest.mark.requirement("HF-CMD-12")
def test_retained_command__refused_and_told() -> None:
    rig = Rig()
    rig.drive()

    rig.inject_retained()
    rig.run(1.1)

    assert rig.is_in(M.ACTIVE)
    assert "L106" in rig.events
    assert rig.telemetry["control"]["refused"][Refusal.RETAINED] == 1


@pytest.mark.requirement("HF-CMD-13")
def test_garbage_commands__counted_and_nothing_moves() -> None:
    rig = Rig()
    rig.lease()

    for data in (b"", b"\x00" * 87, b"\xff" * 88, b"\x01" * 200):
        rig.inject(data)
    rig.run(1.1)

    assert rig.is_in(M.LEASED)
    refused = rig.telemetry["control"]["refused"]
    assert refused[Refusal.SHORT] == 2
    assert refused[Refusal.LONG] == 1
    assert refused[Refusal.UNKNOWN_VERSION] == 1


@pytest.mark.requirement("HF-CMD-16")
def test_two_paths_one_silent__cap_and_no_stop() -> None:
    rig = Rig(paths=frozenset({0, 1}))
    rig.drive()

    rig.run(3.0)

    assert rig.is_in(M.ACTIVE)
    assert rig.state is not None
    assert rig.state.cap_reason is CapReason.ONE_PATH
    assert "L104" in rig.events


@pytest.mark.requirement("HF-CMD-16", "HF-CMD-17")
@pytest.mark.parametrize("lost", [0, 1])
def test_each_of_two_paths_killed__cap_no_stop_the_state_names_it_and_it_recovers(
    lost: int,
) -> None:
    rig = Rig(paths=frozenset({0, 1}))
    rig.ways = (0, 1)
    rig.drive()
    rig.run(1.0)
    assert rig.state is not None
    both = (rig.state.cap_reason, rig.state.silent_paths, rig.state.delivered_pct)

    rig.ways = (1 - lost,)
    rig.run(3.0)
    one = (rig.mode, rig.state.cap_reason, rig.state.silent_paths)
    rig.ways = (0, 1)
    rig.run(0.2)

    assert both == (CapReason.ZONE, (), (100, 100))
    assert one == (M.ACTIVE, CapReason.ONE_PATH, (lost,))
    assert (rig.mode, rig.state.cap_reason, rig.state.silent_paths) == (
        M.ACTIVE,
        CapReason.ZONE,
        (),
    )


@pytest.mark.requirement("HF-CMD-16")
def test_data_channel_never_there__the_machine_drives_under_the_cap_from_the_start() -> None:
    rig = Rig(paths=frozenset({0, 1}))
    rig.activate()
    rig.run(0.2)

    assert rig.is_in(M.ACTIVE)
    assert rig.state is not None
    assert (rig.state.cap_reason, rig.state.silent_paths) == (CapReason.ONE_PATH, (1,))


def test_paths__telemetry_tells_share_and_longest_silence_of_each() -> None:
    rig = Rig(paths=frozenset({0, 1}))
    rig.ways = (0, 1)
    rig.drive()
    rig.ways = (1,)
    rig.run(1.0)
    mqtt, channel = rig.telemetry["control"]["paths"]

    assert 800 <= mqtt["silent_ms"] <= 1010
    assert mqtt["delivered_pct"] < 100
    assert (channel["delivered_pct"], channel["silent_ms"]) == (100, 10)


def count_proofs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that gets every token whose signature is checked."""
    looked_at: list[bytes] = []

    def counted(token: bytes, trust: Trust) -> Claims:
        looked_at.append(token)
        return verify_signed(token, trust)

    monkeypatch.setattr(authority_module, "verify_signed", counted)
    return looked_at


@pytest.mark.requirement("HF-STOP-23")
def test_stops_flooded_by_one__anothers_stop_acts_in_the_same_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = count_proofs(monkeypatch)
    rig = Rig()
    watcher, gate = FakeConsole("watcher"), FakeConsole("gate")
    rig.others += [watcher, gate]
    rig.drive()
    looked_at.clear()
    for number in range(40):
        rig.press_stop(watcher, f"{number:032x}")
    rig.press_stop(gate)
    for number in range(40):
        rig.press_stop(watcher, f"{number:032x}")
    rig.tick()

    assert rig.is_in(M.STOPPING)
    assert len(looked_at) == 2
    rig.run(0.3)
    assert rig.telemetry["control"]["stops"] == {
        "gate": {"heard": 1, "dropped": 0},
        "watcher": {"heard": 80, "dropped": 79},
    }


@pytest.mark.requirement("HF-STOP-23")
def test_requests_flooded_by_one__only_a_few_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = count_proofs(monkeypatch)
    rig = Rig()
    rig.run(0.1)
    for _ in range(60):
        rig.ask(RequestKind.LEASE)
    rig.tick()

    assert len(looked_at) == REQUESTS_OF_ONE


@pytest.mark.requirement("HF-GUARD-03")
def test_same_inputs_again__same_outputs_byte_for_byte() -> None:
    rig = Rig()
    rig.drive()
    silence(rig)
    rig.run(1.0)

    again = Supervisor(dataclasses.replace(rig.setup))

    assert [again.step(now_ns, given) for now_ns, given in rig.inputs] == rig.outputs


def test_gear_changed_while_moving__direction_kept_and_traction_off() -> None:
    rig = Rig()
    rig.drive(throttle=5000)

    rig.console.wish = {**rig.console.wish, "gear": -1}
    rig.run(0.1)

    assert rig.supervisor.demand.direction == 1
    assert rig.supervisor.demand.accel_mps2 == 0.0


def test_throttle_and_brake_together__brake_wins_at_once_and_degrades_after_a_second() -> None:
    rig = Rig()
    rig.drive(throttle=5000)

    rig.console.wish = {**rig.console.wish, "brake": 4000}
    rig.run(0.05)
    assert rig.supervisor.demand.accel_mps2 == 0.0
    rig.run(1.1)

    assert rig.is_in(M.DEGRADED)
    assert "D104" in rig.events


@pytest.mark.requirement("HF-STOP-18")
@pytest.mark.requirement("HF-STOP-21")
def test_traction_off_for_a_conflict__brake_and_steering_still_obey() -> None:
    rig = Rig()
    rig.drive()
    rig.hold_enable(neutral=False, throttle=600, brake=2100, gear=1)
    rig.run(1.2)
    assert rig.is_in(M.DEGRADED)

    rig.hold_enable(neutral=False, throttle=600, brake=10_000, steer=-8000, gear=1)
    rig.run(1.0)

    assert rig.is_in(M.DEGRADED)
    assert rig.supervisor.demand.brake_mps2 == rig.profile.limits.service_brake_max_mps2
    assert rig.supervisor.demand.curvature_per_m < -0.03


def no_brake(rig: Rig) -> None:
    rig.ecu.brake_mps2 = 0.0


def no_speed(rig: Rig) -> None:
    rig.ecu.silent = True


def runs_on(rig: Rig) -> None:
    rig.ecu.brake_mps2 = None


@pytest.mark.parametrize(("fault", "within_s"), [(no_brake, 2.0), (no_speed, 1.0), (runs_on, 4.0)])
@pytest.mark.requirement("HF-STOP-20")
def test_stop_does_not_work__hardest_stop_asked_and_that_is_the_cause_from_then_on(
    fault: Callable[[Rig], None], within_s: float
) -> None:
    rig = Rig()
    rig.drive()
    stop_message(rig)
    rig.run(0.2)
    assert rig.is_in(M.STOPPING)
    fault(rig)

    rig.run(within_s)

    assert rig.is_in(M.ESTOP)
    assert "M118" in rig.events
    assert rig.supervisor.demand.estop
    assert rig.outputs[-1].relay is RelayWish.OPEN
    assert rig.state is not None
    assert rig.state.cause == "M118"


@pytest.mark.requirement("HF-GUARD-09")
def test_settings_not_the_approved_ones__leased_machine_stops_and_cannot_be_armed() -> None:
    rig = Rig()
    rig.supervisor = Supervisor(replace(rig.setup, settings_mismatch=True))
    rig.lease()
    rig.run(2.5)
    rig.ask(RequestKind.RESET)
    rig.run(0.2)

    assert rig.is_in(M.STOPPED)
    assert rig.acks[-1].reason == "G103"


def test_locator_says_outside_the_zone__stops() -> None:
    rig = Rig()
    rig.drive()

    rig.supervisor.step(rig.now_ns + TICK_NS, TickInputs(outside_zone=False))
    assert rig.is_in(M.ACTIVE)
    rig.supervisor.step(rig.now_ns + 2 * TICK_NS, TickInputs(outside_zone=True))

    assert rig.is_in(M.STOPPING)


@pytest.mark.parametrize("begin", [Rig.lease, Rig.arm])
def test_ecu_stopped_by_itself_before_driving__stop_with_its_cause(
    begin: Callable[[Rig], None],
) -> None:
    rig = Rig()
    begin(rig)
    ecu_stops(rig)
    rig.run(0.1)

    assert rig.is_in(M.STOPPED)
    assert rig.state is not None
    assert rig.state.cause == "M102"


def test_ecu_that_does_not_obey_the_reset__stops_again_and_never_arms() -> None:
    rig = Rig()
    rig.lease()
    ecu_stops(rig)
    rig.run(2.5)
    rig.ask(RequestKind.RESET)
    rig.run(0.4)
    assert rig.is_in(M.LEASED)

    rig.run(0.2)

    assert rig.is_in(M.STOPPED)
    assert rig.events.count("M102") == 2


def test_stop_just_after_a_reset__takes_back_its_acknowledgement() -> None:
    rig = Rig()
    stopped(rig)
    rig.ask(RequestKind.RESET)
    rig.run(0.05)
    assert rig.ecu.sup is not None
    assert rig.ecu.sup.fault_ack

    rig.press_stop(rig.console, "ef" * 16)
    rig.run(0.05)

    assert rig.is_in(M.STOPPED)
    assert not rig.ecu.sup.fault_ack


def test_reset_of_a_faulty_ecu__refused_until_its_power_was_off() -> None:
    rig = Rig()
    rig.lease()
    ecu_stops(rig)
    rig.ecu.mode = EcuMode.FAULT
    rig.run(2.5)
    rig.ask(RequestKind.RESET)
    rig.run(0.2)

    assert rig.is_in(M.FAULT)
    assert rig.acks[-1].reason == "B105"


def test_ecu_that_has_not_let_go__warning_waits_and_the_state_says_why() -> None:
    rig = Rig()
    rig.arm()
    rig.ecu.follows = False
    rig.ecu.mode = EcuMode.ARMED
    rig.hold_enable()
    rig.run(1.0)

    assert rig.is_in(M.ARMED)
    assert "S104" not in rig.events
    assert rig.state is not None
    assert rig.state.blockers == ("B105",)

    rig.ecu.mode = EcuMode.STANDBY
    rig.run(0.1)

    assert "S104" in rig.events


def test_ecu_active_in_another_session__no_motion() -> None:
    rig = Rig()
    rig.arm()
    rig.ecu.session_shift = 1
    rig.hold_enable()
    rig.run(6.0)

    assert rig.is_in(M.ARMED)


def test_inputs_held_still_for_a_minute__stop() -> None:
    rig = Rig()
    rig.drive()

    rig.run(61.0)

    assert rig.state is not None
    assert rig.state.cause == "D103"


def test_durable_record_lags__latest_record_carries_the_latch() -> None:
    rig = Rig()
    rig.drive()
    silence(rig)
    rig.run(0.5)

    records = [out.persist for out in rig.outputs if out.persist is not None]
    generations = [record.generation for record in records]

    assert generations == sorted(set(generations))
    assert records[-1] == Record(records[-1].generation, records[-1].epoch, "L102")
    assert rig.setup.vehicle == VEHICLE
