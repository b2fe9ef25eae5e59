"""One console and one vehicle in memory: lease, enable, stop, and every way to lose them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from operator_console.core.engagement import Engagement
from operator_console.core.screen import machine_line, snapshot
from protocol.control_peer import CommandPath
from protocol.errors import Refusal
from protocol.frames import CommandKind, SessionKeys
from protocol.messages import AckClaims, Outcome, RequestKind, Role, sign_claims
from protocol.state import VehicleMode
from tests.console.fakes import (
    MS,
    OPERATOR,
    TOPICS,
    VEHICLE,
    Rig,
    identity,
    input_message,
    view_message,
)

ENABLED = [VehicleMode.ARMED, VehicleMode.ACTIVE, VehicleMode.DEGRADED]
OTHERS = [mode for mode in VehicleMode if mode not in ENABLED]


def enabled_rig(mode: VehicleMode = VehicleMode.ACTIVE) -> Rig:
    """Return a rig whose last command carried enable."""
    rig = Rig()
    rig.ready_to_enable()
    rig.drive_input(enable=True)
    assert rig.command().enable
    rig.step(20, mode=mode)
    return rig


# ---- lease --------------------------------------------------------------------------------


def test_no_lease__no_command_is_sent() -> None:
    rig = Rig()
    rig.hear_state()
    rig.drive_input(enable=True)

    assert rig.session.next_command(rig.now_ns) is None


def test_lease_asked__request_is_signed_with_nonce_boot_and_key() -> None:
    rig = Rig()

    claims = rig.ask("lease")

    assert (claims.iss, claims.aud, claims.kind) == (OPERATOR, VEHICLE, RequestKind.LEASE)
    assert claims.nonce == f"{1:032x}"
    assert (claims.boot, claims.epoch) == (rig.vehicle.boot_tag, 0)
    assert claims.x25519 is not None


def test_lease_granted__parked_commands_go_out_under_its_epoch() -> None:
    rig = Rig()
    rig.lease()

    frame = rig.command()

    assert frame.kind is CommandKind.PARKED
    assert frame.epoch == rig.vehicle.epoch
    assert not frame.enable


def test_lease_granted_but_no_proven_state_yet__no_command_without_an_echo() -> None:
    rig = Rig()
    claims = rig.ask("lease")
    rig.session.hear_ack(rig.vehicle.grant(claims), rig.now_ns)

    assert rig.session.next_command(rig.now_ns) is None


def test_grant_signed_by_another__is_refused() -> None:
    rig = Rig()
    claims = rig.ask("lease")
    rig.vehicle.key, _ = identity(VEHICLE, Role.VEHICLE)

    assert rig.session.hear_ack(rig.vehicle.grant(claims), rig.now_ns) is None
    assert rig.session.lease is None
    assert rig.session.refused[Refusal.BAD_SIGNATURE] == 1


def test_grant_by_a_trusted_operator__is_no_vehicle() -> None:
    rig = Rig()
    claims = rig.ask("lease")
    forged = AckClaims(
        iss=OPERATOR,
        aud=OPERATOR,
        id=claims.id,
        kind=RequestKind.LEASE,
        outcome=Outcome.GRANTED,
        boot=1,
    )

    assert rig.session.hear_ack(sign_claims(forged, rig.vehicle.operator_key), rig.now_ns) is None
    assert rig.session.refused[Refusal.WRONG_ROLE] == 1


def test_grant_for_another_operator__is_refused() -> None:
    rig = Rig()
    claims = rig.ask("lease").model_copy(update={"iss": "op-2"})

    assert rig.session.hear_ack(rig.vehicle.grant(claims), rig.now_ns) is None
    assert rig.session.refused[Refusal.WRONG_AUDIENCE] == 1


def test_grant_heard_twice__second_is_a_replay() -> None:
    rig = Rig()
    grant = rig.vehicle.grant(rig.ask("lease"))
    rig.session.hear_ack(grant, rig.now_ns)

    assert rig.session.hear_ack(grant, rig.now_ns) is None
    assert rig.session.refused[Refusal.REPLAYED] == 1


def test_request_under_a_lease__carries_its_epoch() -> None:
    rig = Rig()
    rig.lease()

    assert rig.ask("arm").epoch == rig.vehicle.epoch


def test_another_holder_announced__lease_is_lost_and_commands_end() -> None:
    rig = Rig()
    rig.lease()
    rig.vehicle.epoch += 1
    rig.session.hear_authority(rig.vehicle.authority(holder="op-2"), rig.now_ns)

    rig.drive_input()

    assert rig.session.next_command(rig.now_ns) is None
    assert rig.session.lease_lost


def test_announcement_older_than_the_grant__costs_no_lease() -> None:
    rig = Rig()
    rig.lease()

    rig.session.hear_authority(
        rig.vehicle.authority(holder=None, epoch=rig.vehicle.epoch - 1), rig.now_ns
    )

    assert rig.session.lease is not None


def test_guardian_restarted__lease_is_lost() -> None:
    rig = Rig()
    rig.lease()
    rig.session.hear_authority(rig.vehicle.authority(boot=0xBEEF), rig.now_ns)

    assert rig.session.lease is None


def test_released__lease_ends_without_alarm() -> None:
    rig = Rig()
    rig.lease()
    claims = rig.ask("release")
    rig.session.hear_ack(rig.vehicle.answer(claims, Outcome.DONE), rig.now_ns)

    assert rig.session.lease is None
    assert not rig.session.lease_lost


def test_other_operator_holds__engagement_says_so() -> None:
    rig = Rig()
    rig.hear_state()
    rig.session.hear_authority(rig.vehicle.authority(holder="op-2"), rig.now_ns)

    assert rig.session.engagement(rig.now_ns) is Engagement.OTHER


def announced_ago(ms: float, **changes: Any) -> Rig:
    """Return a rig whose machine announced its authority that long ago, and speaks still."""
    rig = Rig()
    rig.session.hear_authority(rig.vehicle.authority(**changes), rig.now_ns)
    rig.step(ms, mode=VehicleMode.ACTIVE)
    return rig


@pytest.mark.parametrize(("age_ms", "known"), [(1000, True), (1000.001, False)])
def test_holder_announced__is_unknown_after_a_second(age_ms: float, known: bool) -> None:
    rig = announced_ago(age_ms, holder="op-2")
    expected = "op-2" if known else None

    assert rig.session.holder_known(rig.now_ns) is known
    assert rig.session.other_holder(rig.now_ns) == expected
    line = machine_line(rig.session, rig.now_ns)
    assert (line["holder"], line["holder_known"]) == (expected, known)


@pytest.mark.parametrize(
    ("takes_over", "left_ms", "age_ms", "waits"),
    [
        (False, 600, 599, True),
        (False, 600, 600, False),
        (False, 9000, 1001, False),
        (True, 0, 1000, True),
        (True, 0, 1001, False),
    ],
)
def test_request_of_another_announced__stands_until_it_lapses_or_is_announced_no_more(
    takes_over: bool, left_ms: int, age_ms: float, waits: bool
) -> None:
    pending = {"operator": "op-3", "takes_over": takes_over, "left_ms": left_ms}
    rig = announced_ago(age_ms, holder=OPERATOR, pending=pending)

    assert rig.session.waiting(rig.now_ns) == ("op-3" if waits else None)
    assert rig.session.taken_over(rig.now_ns) is (takes_over and waits)


@pytest.mark.parametrize(
    ("keys", "how_far"),
    [(SessionKeys(bytes(32), bytes(32)), Engagement.OTHER), (None, Engagement.FREE)],
    ids=["leased", "free"],
)
def test_holder_announced_no_more__states_of_a_leased_machine_say_that_another_has_it(
    keys: SessionKeys | None, how_far: Engagement
) -> None:
    rig = Rig()
    rig.vehicle.keys = keys
    rig.session.hear_authority(rig.vehicle.authority(holder="op-2"), rig.now_ns)
    rig.step(1500, mode=VehicleMode.LEASED)

    assert rig.session.engagement(rig.now_ns) is how_far


# ---- enable -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ENABLED)
def test_held_in_a_mode_that_can_move__drive_with_enable(mode: VehicleMode) -> None:
    rig = enabled_rig(mode)
    rig.drive_input(enable=True, throttle=0.4)

    frame = rig.command()

    assert (frame.kind, frame.enable, frame.throttle) == (CommandKind.DRIVE, True, 4000)


@pytest.mark.parametrize("mode", OTHERS)
def test_held_in_any_other_mode__parked_without_enable(mode: VehicleMode) -> None:
    rig = enabled_rig(mode)
    rig.drive_input(enable=True, throttle=0.4)

    frame = rig.command()

    assert (frame.kind, frame.enable, frame.throttle) == (CommandKind.PARKED, False, 0)


def test_held_before_the_machine_armed__must_be_released_first() -> None:
    rig = Rig()
    rig.lease()
    rig.drive_input(enable=True)
    rig.command()
    rig.step(20, mode=VehicleMode.ARMED)
    rig.drive_input(enable=True)

    assert not rig.command().enable
    assert rig.session.gate.must_release


def test_input_older_than_60_ms__enable_is_off_and_stays_off_while_held() -> None:
    rig = enabled_rig()
    rig.step(61)
    stale = rig.command()
    rig.drive_input(enable=True, throttle=0.5)
    rig.step(20)
    rig.drive_input(enable=True, throttle=0.5)

    assert not stale.enable
    assert not stale.neutral
    assert not rig.command().enable


def test_released_and_held_again_after_a_gap__enable_comes_back() -> None:
    rig = enabled_rig()
    rig.step(61)
    rig.command()
    rig.step(20)
    rig.drive_input()
    rig.command()
    rig.step(20)
    rig.drive_input(enable=True)

    assert rig.command().enable


def test_page_hidden__no_enable_and_no_display_at_once() -> None:
    rig = enabled_rig()
    rig.session.driver_gone()

    frame = rig.command()

    assert (frame.enable, frame.display_ok, frame.view_stamp_us) == (False, False, 0)


def test_broker_came_back__enable_must_be_released_first() -> None:
    rig = enabled_rig()
    rig.session.path(CommandPath.MQTT, False)
    rig.session.path(CommandPath.MQTT, True)
    rig.drive_input(enable=True)

    assert not rig.command().enable


def test_state_silent_500_ms__enable_is_off() -> None:
    rig = enabled_rig()
    rig.clock.advance_ms(501)
    rig.drive_input(enable=True)

    assert not rig.command().enable


def test_real_machine__page_input_is_not_taken() -> None:
    rig = Rig(simulated=False)

    assert not rig.session.driver_input(input_message(1), rig.now_ns)


# ---- view ---------------------------------------------------------------------------------


def test_view_within_250_ms__display_ok_with_its_capture_stamp() -> None:
    rig = enabled_rig()
    rig.show_picture(age_ms=30)
    rig.clock.advance_ms(20)
    frame = rig.command()

    assert frame.display_ok
    assert frame.view_stamp_us == rig.vehicle_us - 50_000


def test_view_silent_longer_than_250_ms__display_is_not_ok_and_stamp_stays() -> None:
    rig = enabled_rig()
    rig.show_picture()
    for _ in range(13):
        rig.step(20)
        rig.drive_input(enable=True)
        frame = rig.command()

    assert not frame.display_ok
    assert frame.enable
    assert frame.view_stamp_us != 0


def test_vehicle_booted__old_picture_is_forgotten() -> None:
    rig = enabled_rig()
    rig.show_picture()
    rig.vehicle.boot_tag += 1
    rig.vehicle.end_lease()
    rig.clock.advance_ms(600)
    rig.hear_state()

    assert rig.session.view.newest is None


def test_machine_booted_to_a_smaller_clock__old_picture_beats_on_and_the_new_one_counts() -> None:
    rig = enabled_rig()
    old_us = rig.vehicle_us
    rig.session.driver_view(view_message(7, old_us), rig.now_ns)
    rig.vehicle.end_lease()
    rig.vehicle.boot_tag += 1
    rig.clock.advance_ms(30_000)
    early = rig.session.driver_view(view_message(7, old_us), rig.now_ns)
    rig.session.hear_state(rig.vehicle.state_frame(9_000_000), rig.now_ns)
    beat = rig.session.driver_view(view_message(7, old_us), rig.now_ns)
    rig.clock.advance_ms(50)
    shown = rig.session.driver_view(view_message(1, 9_020_000), rig.now_ns)

    assert (early, beat, shown) == (True, False, True)
    assert rig.session.on_screen(rig.now_ns).capture_us == 9_020_000


def test_lease_taken_with_an_old_picture_on_the_page__first_state_drops_it() -> None:
    rig = Rig()
    claims = rig.ask(RequestKind.LEASE)
    rig.session.hear_ack(rig.vehicle.grant(claims), rig.now_ns)
    rig.session.driver_view(view_message(7, rig.vehicle_us + 60_000_000), rig.now_ns)
    rig.step(20, mode=VehicleMode.LEASED)
    rig.show_picture()

    assert rig.session.on_screen(rig.now_ns).capture_us == rig.vehicle_us - 40_000


# ---- echo ---------------------------------------------------------------------------------


def test_echo__is_the_newest_proven_stamp_with_the_time_held() -> None:
    rig = Rig()
    rig.lease()
    stamp_us = rig.vehicle_us
    rig.clock.advance_ms(12)

    frame = rig.command()

    assert (frame.echo_stamp_us, frame.echo_hold_us) == (stamp_us, 12_000)


def test_newest_state_was_late__the_quicker_one_before_is_the_echo() -> None:
    rig = Rig()
    rig.lease()
    quick_us = rig.vehicle_us
    late = rig.vehicle.state_frame(quick_us + 20_000)
    rig.clock.advance_ms(90)
    rig.session.hear_state(late, rig.now_ns)

    frame = rig.command()

    assert (frame.echo_stamp_us, frame.echo_hold_us) == (quick_us, 90_000)


def test_state_without_proof_while_leased__is_no_echo() -> None:
    rig = Rig()
    rig.lease()
    proven_us = rig.vehicle_us
    keys, rig.vehicle.keys = rig.vehicle.keys, None
    rig.step(10)
    rig.vehicle.keys = keys
    rig.clock.advance_ms(10)

    assert rig.command().echo_stamp_us == proven_us
    assert rig.session.refused[Refusal.UNKNOWN_KEY] == 1


def test_state_with_a_forged_byte__is_refused() -> None:
    rig = Rig()
    rig.lease()
    data = bytearray(rig.vehicle.state_frame(rig.vehicle_us + 1))
    data[50] ^= 1

    rig.session.hear_state(bytes(data), rig.now_ns)

    assert rig.session.refused[Refusal.BAD_TAG] == 1


def test_older_state_arrives_late__newest_stands() -> None:
    rig = Rig()
    rig.lease()
    late = rig.vehicle.state_frame(rig.vehicle_us + 1000)
    rig.step(20)
    newest_us = rig.vehicle_us
    rig.session.hear_state(late, rig.now_ns)

    assert rig.command().echo_stamp_us == newest_us
    assert rig.session.refused[Refusal.ECHO_BACKWARDS] == 1


def test_proven_state_replayed_after_a_silence__is_refused_and_the_state_stays_unknown() -> None:
    rig = enabled_rig()
    rig.clock.advance_ms(20)
    moving = rig.vehicle.state_frame(rig.vehicle_us, mode=VehicleMode.ACTIVE, speed_mps=5.0)
    rig.session.hear_state(moving, rig.now_ns)
    rig.step(10_000, mode=VehicleMode.STOPPED, speed_mps=0.0)
    rig.clock.advance_ms(600)
    rig.session.hear_state(moving, rig.now_ns)

    assert rig.session.refused[Refusal.ECHO_BACKWARDS] == 1
    assert rig.session.mode(rig.now_ns) is None


def test_proven_state_replayed_after_the_lease__is_refused() -> None:
    rig = enabled_rig()
    rig.clock.advance_ms(20)
    moving = rig.vehicle.state_frame(rig.vehicle_us, mode=VehicleMode.ACTIVE, speed_mps=5.0)
    rig.session.hear_state(moving, rig.now_ns)
    rig.vehicle.end_lease()
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.clock.advance_ms(3000)
    rig.session.hear_state(moving, rig.now_ns)

    assert not rig.session.state_known(rig.now_ns)


@pytest.mark.parametrize("begin", [Rig.lease, Rig.hear_state])
def test_state_arrives_three_seconds_late__is_three_seconds_old(
    begin: Callable[[Rig], None],
) -> None:
    rig = Rig()
    begin(rig)
    rig.clock.advance_ms(20)
    late = rig.vehicle.state_frame(rig.vehicle_us)
    rig.clock.advance_ms(3000)
    rig.session.hear_state(late, rig.now_ns)

    assert snapshot(rig.session, rig.now_ns)["state_age_ms"] == pytest.approx(3000)
    assert not rig.session.state_known(rig.now_ns)


def test_forged_state_far_ahead_during_a_silence__ages_no_proven_state() -> None:
    rig = enabled_rig()
    keys = rig.vehicle.keys
    rig.clock.advance_ms(600)
    rig.vehicle.keys = None
    forged = rig.vehicle.state_frame(rig.vehicle_us + 60_000_000)
    rig.session.hear_state(forged, rig.now_ns)
    rig.vehicle.keys = keys
    rig.step(20, mode=VehicleMode.DEGRADED)

    assert rig.session.mode(rig.now_ns) is VehicleMode.DEGRADED


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_state_cut_short__is_counted_and_harmless(size: int) -> None:
    rig = Rig()
    data = rig.vehicle.state_frame(rig.vehicle_us)

    rig.session.hear_state(data[:size], rig.now_ns)

    assert rig.session.heard is None
    assert sum(rig.session.refused.values()) == 1


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"epoch":-1}'])
def test_authority_that_does_not_fit__is_counted(data: bytes) -> None:
    rig = Rig()

    rig.session.hear_authority(data, rig.now_ns)

    assert rig.session.refused[Refusal.MALFORMED] == 1
    assert rig.session.authority is None


# ---- stop ---------------------------------------------------------------------------------


def test_stop__is_signed_and_said_at_20_hz_until_the_state_confirms_its_id() -> None:
    rig = enabled_rig()
    rig.session.act("stop", rig.now_ns)
    stops = []
    for _ in range(10):
        message = rig.session.next_stop(rig.now_ns)
        stops += [] if message is None else [rig.vehicle.stop(message)]
        rig.step(20)

    assert len(stops) == 4
    assert len({stop.id for stop in stops}) == 1
    assert stops[0].stamp_us > 0
    rig.step(20, stop_id=stops[0].id, mode=VehicleMode.STOPPING)
    assert rig.session.next_stop(rig.now_ns + 1000 * MS) is None


def test_stop_pending__commands_are_stops_without_enable() -> None:
    rig = enabled_rig()
    rig.session.act("stop", rig.now_ns)
    rig.drive_input(enable=True, throttle=1.0)

    frame = rig.command()

    assert (frame.kind, frame.enable, frame.throttle) == (CommandKind.STOP, False, 0)


def test_stop_confirmed_with_enable_still_held__enable_stays_off() -> None:
    rig = enabled_rig()
    rig.session.act("stop", rig.now_ns)
    rig.drive_input(enable=True)
    rig.command()
    assert rig.session.stops.pending is not None
    rig.step(20, stop_id=rig.session.stops.pending.id)
    rig.drive_input(enable=True)

    frame = rig.command()

    assert (frame.kind, frame.enable) == (CommandKind.PARKED, False)


def test_stop_without_a_lease__is_sent_all_the_same() -> None:
    rig = Rig()
    rig.hear_state()
    rig.session.act("stop", rig.now_ns)
    message = rig.session.next_stop(rig.now_ns)

    assert message is not None
    assert message.topic == TOPICS.stop(OPERATOR)
    assert rig.vehicle.stop(message).boot == rig.vehicle.boot_tag


def test_unknown_action__is_refused() -> None:
    assert not Rig().session.act("launch", 0)


# ---- screen -------------------------------------------------------------------------------


def test_snapshot_before_anything_is_heard__says_unknown() -> None:
    rig = Rig()
    shown = snapshot(rig.session, rig.now_ns)

    assert shown["vehicle"] is None
    assert shown["state_age_ms"] is None
    assert shown["console"]["message"]["code"] == "C105"


def test_snapshot_while_driving__carries_round_trip_and_picture_age() -> None:
    rig = enabled_rig()
    rig.drive_input(enable=True)
    frame = rig.command()
    rig.step(10, accepted=(frame.sequence, None), accepted_hold_us=4_000)
    rig.show_picture(age_ms=33)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["rtt_ms"] == pytest.approx(6.0)
    assert console["picture_age_ms"] == pytest.approx(33.0, abs=4)
    assert not console["picture_age_is_least"]
    assert console["display_ok"]
    assert console["engagement"] == "enabled"


def test_released_ten_minutes_ago__round_trip_is_gone_and_picture_age_is_a_lower_bound() -> None:
    rig = enabled_rig()
    rig.drive_input()
    rig.step(10, accepted=(rig.command().sequence, None), accepted_hold_us=4_000)
    claims = rig.ask("release")
    rig.session.hear_ack(rig.vehicle.answer(claims, Outcome.DONE), rig.now_ns)
    rig.vehicle.end_lease()
    rig.step(600_000, mode=VehicleMode.STANDBY)
    rig.show_picture(age_ms=33)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["rtt_ms"] is None
    assert console["picture_age_ms"] == pytest.approx(33.0)
    assert console["picture_age_is_least"]


def test_snapshot_idle_vehicle_at_1_hz__state_stays_known() -> None:
    rig = Rig()
    rig.hear_state()
    rig.clock.advance_ms(1900)

    assert rig.session.state_known(rig.now_ns)
    assert snapshot(rig.session, rig.now_ns)["state_max_age_ms"] == 2500


# ---- why enable fell ----------------------------------------------------------------------


def why(rig: Rig) -> str | None:
    """Return the code that explains the stop which the machine now reports."""
    rig.command()
    rig.step(20, mode=VehicleMode.STOPPING, cause="D101")
    shown = snapshot(rig.session, rig.now_ns)["console"]["why"]
    return None if shown is None else shown["en"]


def test_page_silent__stop_is_explained_with_the_whole_gap() -> None:
    rig = enabled_rig()
    rig.step(50)
    first = why(rig)
    rig.clock.advance_ms(100)
    rig.drive_input(enable=True)

    assert first is not None
    assert "did not report" in first
    console = snapshot(rig.session, rig.now_ns)["console"]
    assert "190 ms" in console["why"]["en"]
    assert (console["input_gaps"], console["input_gap_longest_ms"]) == (1, 190)


def test_page_silent_and_back__leaving_it_later_does_not_change_the_words() -> None:
    rig = enabled_rig()
    rig.step(50)
    why(rig)
    rig.drive_input(enable=False)
    rig.session.driver_gone()

    assert "did not report" in snapshot(rig.session, rig.now_ns)["console"]["why"]["en"]


def test_page_hidden__stop_is_explained() -> None:
    rig = enabled_rig()
    rig.session.driver_gone()

    assert why(rig) == "Page hidden or left – keep this page in front while driving"


def test_window_blurred__stop_is_explained() -> None:
    rig = enabled_rig()
    rig.session.driver_blurred()
    rig.drive_input(enable=False)

    assert why(rig) == "Window lost focus – click nothing else while driving"


def test_shift_let_go__stop_is_explained_until_it_is_over() -> None:
    rig = enabled_rig()
    rig.drive_input(enable=False)
    first = why(rig)
    rig.step(20, mode=VehicleMode.LEASED)
    rig.step(20, mode=VehicleMode.STOPPED)

    assert first == "Shift was let go"
    assert snapshot(rig.session, rig.now_ns)["console"]["why"] is None


def test_machine_stopped_first__letting_go_explains_nothing() -> None:
    rig = enabled_rig()
    rig.step(20, mode=VehicleMode.STOPPING, cause="D101")
    rig.drive_input(enable=False)

    assert why(rig) is None


# ---- what makes sense now -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "speed_mps", "expected"),
    [
        (VehicleMode.LEASED, 0.0, ["arm", "release"]),
        (VehicleMode.ARMED, 0.0, ["release"]),
        (VehicleMode.ACTIVE, 2.0, []),
        (VehicleMode.ACTIVE, None, []),
        (VehicleMode.STOPPING, 1.0, []),
        (VehicleMode.STOPPED, 0.0, ["reset", "release"]),
        (VehicleMode.ESTOP, None, ["reset", "release"]),
    ],
)
def test_buttons__only_what_makes_sense_now(
    mode: VehicleMode, speed_mps: float | None, expected: list[str]
) -> None:
    rig = Rig()
    rig.lease()
    rig.step(20, mode=mode, speed_mps=speed_mps)

    assert snapshot(rig.session, rig.now_ns)["console"]["may"] == expected


def test_broker_down__no_button_makes_sense() -> None:
    rig = Rig()
    rig.hear_state()
    free = snapshot(rig.session, rig.now_ns)["console"]["may"]
    rig.session.words(False)

    assert free == ["lease"]
    assert snapshot(rig.session, rig.now_ns)["console"]["may"] == []


# ---- the end of a lease -------------------------------------------------------------------


def test_own_release__state_stays_known_until_the_idle_one_comes() -> None:
    rig = Rig()
    rig.lease()
    claims = rig.ask("release")
    rig.session.hear_ack(rig.vehicle.answer(claims, Outcome.DONE), rig.now_ns)
    rig.clock.advance_ms(1200)

    assert rig.session.state_known(rig.now_ns)


def test_lease_ended__state_stays_known_until_the_idle_one_comes() -> None:
    rig = Rig()
    rig.lease()
    rig.vehicle.end_lease()
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.clock.advance_ms(1200)

    assert rig.session.state_known(rig.now_ns)


def test_another_holds_the_machine__silent_state_is_unknown_after_500_ms() -> None:
    rig = Rig()
    rig.lease()
    rig.vehicle.epoch += 1
    rig.vehicle.holder = "op-2"
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.clock.advance_ms(501)

    assert not rig.session.state_known(rig.now_ns)
