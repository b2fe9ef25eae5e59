"""A desk drives the session: nobody else does, and what it loses is never taken for neutral."""

from __future__ import annotations

from typing import Any

import pytest

from operator_console.core.desk import Counts, DeskSnapshot, Fault
from operator_console.core.desk_line import Dated, SnapshotRefusal, encode_snapshot
from operator_console.core.inputs import DriverInput
from operator_console.core.letgo import Away
from operator_console.core.screen import confirmed_action, snapshot
from operator_console.core.session import ConsoleSession
from protocol.control_peer import CommandPath
from protocol.frames import CommandKind
from protocol.state import VehicleMode
from tests.console.desk_rig import OPENS, Hands
from tests.console.fakes import MS, OPERATOR, TOPICS, Rig, input_message


class DeskRig(Rig):
    """A session with a desk; what the desk says is one snapshot each time."""

    def __init__(self, *, simulated: bool = False) -> None:
        super().__init__()
        self.session = ConsoleSession(
            OPERATOR,
            TOPICS,
            self.vehicle.operator_key,
            self.vehicle.trust,
            simulated=simulated,
            has_desk=True,
        )
        self.session.words(True)
        self.session.path(CommandPath.MQTT, True)
        self.counts = Counts()

    def desk(
        self,
        fault: Fault = Fault.NONE,
        unproven: tuple[str, ...] = (),
        late_ms: float = 0,
        **asks: Any,
    ) -> Counts:
        controls = None if fault is Fault.ABSENT else DriverInput(self.inputs + 1, **asks)
        device = "" if fault is Fault.NONE else "wheel"
        return self.say(DeskSnapshot(controls, fault, device, unproven, self.counts), late_ms)

    def say(self, said: DeskSnapshot, late_ms: float = 0) -> Counts:
        self.inputs += 1
        at_us = (self.now_ns - round(late_ms * MS)) // 1000
        return self.session.desk_input(
            encode_snapshot(Dated(1, self.inputs, at_us, at_us, said)), self.now_ns
        )

    def leased(self) -> None:
        self.lease()
        self.step(20, mode=VehicleMode.LEASED, steer_measured=0.0)
        self.show_picture()

    def climbed(self) -> None:
        """Everything done but the hold that confirms."""
        self.leased()
        self.desk(enable=True)
        self.desk(enable=False)
        self.desk(brake=0.5)

    def armed(self) -> None:
        """Armed, enable seen open, the next command due."""
        self.climbed()
        self.step(20, mode=VehicleMode.ARMED)
        self.desk()
        self.command()
        self.clock.advance_ms(20)

    def driving(self) -> None:
        self.armed()
        self.desk(enable=True, throttle=0.6, gear=1)
        assert self.command().enable
        self.clock.advance_ms(20)


@pytest.fixture
def rig() -> DeskRig:
    return DeskRig()


def refusal(rig: DeskRig) -> dict[str, Any]:
    answer: dict[str, Any] = snapshot(rig.session, rig.now_ns)["console"]["answer"]
    return answer


# ---- who drives ---------------------------------------------------------------------------


@pytest.mark.parametrize("simulated", [True, False])
def test_console_with_a_desk__a_pages_keyboard_never_drives(simulated: bool) -> None:
    rig = DeskRig(simulated=simulated)

    assert not rig.session.driver_input(input_message(1), rig.now_ns)
    assert not rig.session.page_drives
    assert rig.session.driver(rig.now_ns) is None


def test_console_without_a_desk__a_desks_snapshot_is_nothing() -> None:
    said = encode_snapshot(
        Dated(1, 1, 1, 1, DeskSnapshot(DriverInput(1), Fault.NONE, "", (), Counts(1)))
    )
    session = Rig().session

    assert session.desk_input(said, 1000) == Counts()
    assert session.stops.pending is None


def test_desk_that_drives__its_hands_and_feet_go_out(rig: DeskRig) -> None:
    rig.armed()
    rig.desk(enable=True, throttle=0.6, steer=0.01, gear=1, horn=True)
    frame = rig.command()

    assert (frame.kind, frame.enable) == (CommandKind.DRIVE, True)
    assert (frame.throttle, frame.steer, frame.gear, frame.horn) == (6000, 100, 1, True)


def test_no_page_shows_the_picture__enable_does_not_go_out(rig: DeskRig) -> None:
    rig.armed()
    rig.session.view.clear()
    rig.desk(enable=True)

    assert not rig.command().enable


def test_page_hidden_and_back_with_enable_held__enable_must_be_let_go_first(rig: DeskRig) -> None:
    rig.driving()
    rig.session.driver_gone()
    rig.show_picture()
    rig.desk(enable=True)
    held = rig.command().enable
    rig.clock.advance_ms(20)
    rig.desk()
    rig.command()
    rig.clock.advance_ms(20)
    rig.desk(enable=True)

    assert not held
    assert rig.command().enable


def test_page_hidden_and_back_and_a_contact_bounces__enable_must_be_let_go_first(
    rig: DeskRig,
) -> None:
    hands = Hands()
    hands.prove()

    def sent() -> bool:
        """What the hands do now goes to the console, and on to the machine."""
        rig.say(hands.look())
        enable = rig.command().enable
        rig.clock.advance_ms(20)
        return enable

    rig.armed()
    hands.enable()
    before = sent()
    rig.session.driver_gone()
    rig.show_picture()
    hidden = sent()
    hands.box.keys.add(OPENS)
    blip = sent()
    hands.box.keys.discard(OPENS)
    held = [sent() for _ in range(3)]
    hands.enable(on=False)
    let_go = sent()
    hands.enable()

    assert before
    assert [hidden, blip, *held, let_go] == [False] * 6
    assert sent()


# ---- losing it ----------------------------------------------------------------------------


def test_wheel_unplugged_at_60_percent__no_enable_and_not_neutral(rig: DeskRig) -> None:
    rig.driving()
    rig.desk(Fault.ABSENT)
    frame = rig.command()

    assert (frame.kind, frame.enable) == (CommandKind.PARKED, False)
    assert not frame.neutral
    assert (frame.throttle, frame.brake) == (0, 0)
    let_go = rig.session.enable_watch.last
    assert let_go is not None
    assert (let_go.why, let_go.words[0]) == (Away.DESK, "Wheel is not plugged in")


def test_wheel_unplugged__the_screen_says_so_in_both_languages(rig: DeskRig) -> None:
    rig.leased()
    rig.desk(Fault.ABSENT)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["message"]["code"] == "C111"
    assert console["message"]["en"].endswith("Wheel is not plugged in")
    assert console["message"]["zh"].endswith("未连接")
    assert console["desk"]["fault"]["en"] == "Wheel is not plugged in"
    assert not console["input_barred"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.SEAT, "Nobody in the seat"),
        (Fault.CONTACTS, "Enable contacts disagree"),
        (Fault.STOP_HELD, "STOP is held"),
        (Fault.CONFLICT, "Throttle and brake together"),
    ],
)
def test_desk_at_fault_when_armed__message_and_next_step_say_so(
    rig: DeskRig, fault: Fault, words: str
) -> None:
    rig.armed()
    rig.step(20, mode=VehicleMode.ARMED)
    rig.show_picture()
    rig.desk(fault)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["message"]["code"] == "C126"
    assert console["message"]["en"].startswith(f"DESK – {words}")
    assert console["message"]["zh"] == f"操纵台 – {console['desk']['fault']['zh']}"
    assert console["step"]["en"] == console["desk"]["fault"]["en"]


def test_enable_held_but_barred_by_the_desk__driver_is_told_to_open_the_hand(rig: DeskRig) -> None:
    rig.armed()
    rig.step(20, mode=VehicleMode.ARMED)
    rig.show_picture()
    rig.desk(Fault.BARRED)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["message"]["code"] == "C113"
    assert console["step"]["en"] == "Let go of enable, then press it"


def test_throttle_and_brake_together_while_driving__is_an_alarm(rig: DeskRig) -> None:
    rig.driving()
    rig.step(20, mode=VehicleMode.ACTIVE)
    rig.show_picture()
    rig.desk(Fault.CONFLICT, enable=True, brake=0.5, gear=1)
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert (console["message"]["code"], console["message"]["level"]) == ("C125", "alarm")
    assert console["step"]["en"] == "Throttle and brake together: let go of the throttle fully"


def test_contact_bounces_while_driving__the_hand_is_what_fell(rig: DeskRig) -> None:
    rig.driving()
    rig.desk(Fault.BARRED)
    rig.command()
    let_go = rig.session.enable_watch.last

    assert let_go is not None
    assert let_go.why is Away.OPENED


def test_stop_by_a_pulled_plug__is_explained_while_it_stands(rig: DeskRig) -> None:
    rig.driving()
    rig.desk(Fault.ABSENT)
    rig.command()
    rig.step(20, mode=VehicleMode.STOPPED, cause="D101")
    why = snapshot(rig.session, rig.now_ns)["console"]["why"]

    assert (why["code"], why["en"]) == ("C123", "Wheel is not plugged in")


def test_desk_silent_for_more_than_60_ms__no_enable(rig: DeskRig) -> None:
    rig.driving()
    rig.clock.advance_ms(41)
    frame = rig.command()

    assert not frame.enable
    assert not frame.neutral
    let_go = rig.session.enable_watch.last
    assert let_go is not None
    assert (let_go.why, let_go.silent_ms) == (Away.SILENT, 61.0)


def test_snapshot_older_than_60_ms_when_it_arrives__counts_for_nothing(rig: DeskRig) -> None:
    rig.armed()
    rig.clock.advance_ms(60)
    rig.desk(late_ms=61, enable=True)

    assert not rig.command().enable
    assert rig.session.desk_refused[SnapshotRefusal.OLD] == 1


def test_input_process_gone__no_enable_at_once(rig: DeskRig) -> None:
    rig.driving()
    rig.session.desk_gone()

    assert not rig.command().enable


def test_input_process_ends_again_and_again__screen_and_ladder_say_so_until_it_speaks(
    rig: DeskRig,
) -> None:
    rig.leased()
    rig.session.desk_gone()
    rig.session.desk_ended_too_often()
    seen = snapshot(rig.session, rig.now_ns)["console"]
    rig.desk()
    after = snapshot(rig.session, rig.now_ns)["console"]

    assert not rig.command().enable
    assert "Desk program keeps ending" in seen["message"]["en"]
    assert seen["desk"]["fault"]["en"] == seen["desk"]["rungs"][2]["en"]
    assert after["desk"]["fault"] is None


def test_nonsense_from_the_desk__no_enable_and_it_is_counted(rig: DeskRig) -> None:
    rig.driving()
    rig.session.desk_input(b"nonsense", rig.now_ns)

    assert not rig.command().enable
    assert rig.session.desk_refused[SnapshotRefusal.MALFORMED] == 1


def test_snapshot_repeated__presses_nothing(rig: DeskRig) -> None:
    rig.leased()
    rig.desk()
    rig.inputs -= 1
    rig.counts = Counts(1, 1, 1)

    assert rig.desk() == Counts()
    assert rig.session.stops.pending is None
    assert rig.session.desk_refused[SnapshotRefusal.BACKWARDS] == 1


# ---- STOP ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "late_ms"), [(Fault.NONE, 0), (Fault.ABSENT, 0), (Fault.NONE, 900)]
)
def test_stop_on_the_desk__is_pending_whatever_else_it_says(
    rig: DeskRig, fault: Fault, late_ms: float
) -> None:
    rig.counts = Counts(1)
    rig.desk(fault, late_ms=late_ms)

    assert rig.session.stops.pending is not None


def test_stop_that_stays_down__nothing_is_reset_and_the_screen_says_why(rig: DeskRig) -> None:
    rig.leased()
    rig.step(20, mode=VehicleMode.STOPPED, estop="closed")
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.desk(Fault.STOP_HELD)
    rig.session.act("reset", rig.now_ns)
    step = snapshot(rig.session, rig.now_ns)["console"]["step"]

    assert rig.session.next_request(rig.now_ns) is None
    assert (refusal(rig)["reason"], refusal(rig)["words"]["en"]) == ("A3", step["en"])
    assert (step["action"], step["en"]) == (
        "",
        "STOP is held: release it; if it stays so, check its wire",
    )
    assert confirmed_action(rig.session, rig.now_ns) is None


def test_stop_up_again__the_stop_is_reset(rig: DeskRig) -> None:
    rig.leased()
    rig.step(20, mode=VehicleMode.STOPPED, estop="closed")
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.desk(Fault.STOP_HELD)
    rig.desk()
    action = confirmed_action(rig.session, rig.now_ns)
    rig.session.act("reset", rig.now_ns)

    assert action == "reset"
    assert rig.session.next_request(rig.now_ns) is not None


@pytest.mark.parametrize(("late_ms", "confirms"), [(60, 1), (61, 0), (2000, 0)])
def test_confirm_in_an_old_snapshot__is_no_confirm(
    rig: DeskRig, late_ms: float, confirms: int
) -> None:
    rig.leased()
    rig.clock.advance_ms(2000)
    rig.desk()
    rig.counts = Counts(1, 1, 1)

    assert rig.desk(late_ms=late_ms) == Counts(1, confirms, 1)
    assert rig.desk() == Counts()


@pytest.mark.parametrize(("stalled_ms", "confirms"), [(60, 1), (61, 0), (2000, 0)])
def test_confirm_in_the_first_snapshot_after_a_stall__is_no_confirm(
    rig: DeskRig, stalled_ms: float, confirms: int
) -> None:
    rig.leased()
    rig.desk()
    rig.clock.advance_ms(stalled_ms)
    rig.counts = Counts(1, 1, 1)

    assert rig.desk() == Counts(1, confirms, 1)
    rig.counts = Counts(1, 2, 1)
    assert rig.desk() == Counts(0, 1, 0)


def test_confirm_in_the_first_snapshot_after_nonsense__is_no_confirm(rig: DeskRig) -> None:
    rig.leased()
    rig.desk()
    rig.session.desk_input(b"nonsense", rig.now_ns)
    rig.counts = Counts(confirms=1)

    assert rig.desk() == Counts()


# ---- neutral ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steer", "measured", "neutral"),
    [(0.3, 0.31, True), (0.0, 0.3, False), (0.0, None, False), (0.3, 0.26, False)],
)
def test_wheel__is_at_rest_where_the_machines_steering_is(
    rig: DeskRig, steer: float, measured: float | None, neutral: bool
) -> None:
    rig.leased()
    rig.step(20, steer_measured=measured)
    rig.desk(steer=steer)

    assert rig.command().neutral is neutral


def test_pedals_unproven__are_not_neutral(rig: DeskRig) -> None:
    rig.leased()
    rig.desk(unproven=("brake:press",))

    assert not rig.command().neutral


def test_blocker_of_the_machine__is_worded_for_the_desk(rig: DeskRig) -> None:
    rig.leased()
    rig.step(20, mode=VehicleMode.STOPPED, blockers=("B102",), estop="closed")
    rig.desk(steer=0.5)
    step = snapshot(rig.session, rig.now_ns)["console"]["step"]

    assert step["en"] == "Not neutral: turn the wheel to where the machine is"


# ---- the ladder ---------------------------------------------------------------------------


def test_ladder_climbed__arming_is_asked_of_the_machine(rig: DeskRig) -> None:
    rig.climbed()
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.session.act("arm", rig.now_ns)

    assert rig.session.next_request(rig.now_ns) is not None


@pytest.mark.parametrize(
    ("asks", "code", "words"),
    [
        ({"unproven": ("brake:press",)}, "A4", "Press the brake fully"),
        ({"steer": 0.2}, "A5", "Turn the wheel 20 % to the right, where the machine's steering is"),
        ({"brake": 0.1}, "A8", "Hold the brake"),
        (
            {"fault": Fault.STOP_HELD},
            "A3",
            "STOP is held: release it; if it stays so, check its wire",
        ),
        ({"fault": Fault.SEAT}, "A3", "Nobody in the seat: sit down, then enable anew"),
    ],
)
def test_arming_with_something_missing__is_refused_here_and_named(
    rig: DeskRig, asks: dict[str, Any], code: str, words: str
) -> None:
    rig.climbed()
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.desk(**asks)
    rig.session.act("arm", rig.now_ns)
    answer = refusal(rig)

    assert rig.session.next_request(rig.now_ns) is None
    assert (answer["outcome"], answer["reason"]) == ("refused", code)
    assert answer["words"]["en"] == words


def test_refused_rung_that_stands_by_now__still_says_what_to_do(rig: DeskRig) -> None:
    rig.climbed()
    rig.desk(brake=0.0)
    rig.session.act("arm", rig.now_ns)
    rig.desk(brake=0.5)

    assert refusal(rig)["words"]["en"] == "Hold the brake"


def test_enable_not_cycled_since_control_was_taken__arming_is_refused(rig: DeskRig) -> None:
    rig.desk(enable=True)
    rig.desk()
    rig.leased()
    rig.desk(brake=0.5)
    rig.session.act("arm", rig.now_ns)

    assert refusal(rig)["reason"] == "A7"


def test_contact_bounces_and_the_hand_stays_closed__enable_must_be_cycled_anew(
    rig: DeskRig,
) -> None:
    rig.leased()
    rig.desk(enable=True)
    rig.desk()
    rig.desk(Fault.BARRED)
    rig.desk(brake=0.5)
    rig.session.act("arm", rig.now_ns)

    assert refusal(rig)["reason"] == "A7"


def test_desk_lost_on_the_way__enable_must_be_cycled_anew(rig: DeskRig) -> None:
    rig.climbed()
    rig.desk(Fault.ABSENT)
    rig.desk(brake=0.5)
    rig.session.act("arm", rig.now_ns)

    assert refusal(rig)["reason"] == "A7"


def test_next_step__is_the_first_rung_that_is_missing(rig: DeskRig) -> None:
    rig.leased()
    rig.desk(unproven=("throttle:press",))
    console = snapshot(rig.session, rig.now_ns)["console"]

    assert console["step"]["en"] == "Press the throttle fully"
    assert [rung["done"] for rung in console["desk"]["rungs"]] == [
        *(True, True, True, False),
        *(True, True, False, False),
    ]


def test_ladder_climbed__the_next_step_is_the_hold(rig: DeskRig) -> None:
    rig.climbed()
    step = snapshot(rig.session, rig.now_ns)["console"]["step"]

    assert (step["action"], step["en"]) == ("arm", "Arm: hold the confirm button for 1.5 s")


def test_confirm_held__takes_the_step_that_comes_next(rig: DeskRig) -> None:
    rig.session.hear_authority(rig.vehicle.authority(), rig.now_ns)
    rig.hear_state(mode=VehicleMode.STANDBY)
    free = confirmed_action(rig.session, rig.now_ns)
    rig.leased()
    leased = confirmed_action(rig.session, rig.now_ns)
    rig.desk()
    rig.step(20, mode=VehicleMode.STOPPED, estop="closed")
    stopped = confirmed_action(rig.session, rig.now_ns)
    rig.step(20, mode=VehicleMode.ACTIVE)

    assert (free, leased, stopped) == ("lease", "arm", "reset")
    assert confirmed_action(rig.session, rig.now_ns) is None


# ---- the machine back ---------------------------------------------------------------------


def test_desk_is_told__what_the_machine_does(rig: DeskRig) -> None:
    rig.leased()
    rig.step(20, mode=VehicleMode.ACTIVE, speed_mps=1.5, steer_measured=-0.25)
    rig.clock.advance_ms(30)
    told = rig.session.desk_feedback(rig.now_ns)

    assert (told.speed_mps, told.steer, told.movable, told.active) == (1.5, -0.25, True, True)
    assert told.at_ns == rig.now_ns
    assert told.state_age_ms == 30.0


def test_machine_silent_or_not_ours__the_desk_is_told_nothing(rig: DeskRig) -> None:
    rig.hear_state(mode=VehicleMode.ACTIVE, speed_mps=1.0)
    not_ours = rig.session.desk_feedback(rig.now_ns)
    rig.leased()
    rig.clock.advance_ms(501)
    silent = rig.session.desk_feedback(rig.now_ns)

    assert (not_ours.active, not_ours.state_age_ms) == (False, None)
    assert (silent.active, silent.speed_mps) == (False, None)
