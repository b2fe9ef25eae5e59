"""What the devices of a desk say becomes what the hands ask, or why nothing counts."""

from __future__ import annotations

import dataclasses

import pytest

from operator_console.core.axes import Axis
from operator_console.core.desk import (
    Counts,
    Desk,
    Fault,
    Feedback,
)
from operator_console.core.desk_layout import AxisDoes, AxisUse, KeyDoes, KeyUse, Layout
from operator_console.core.evdev import Controls
from operator_console.core.inputs import DriverInput
from operator_console.core.switches import CONFIRM_HOLD_NS, PARK_HOLD_NS, SEAT_GRACE_NS
from tests.console.desk_rig import (
    BODY_DOWN,
    BODY_UP,
    BRAKE,
    CENTRE,
    CLOSES,
    CONFIRM,
    DISARM,
    DOWN,
    HORN,
    KEYS,
    LEFT,
    LIGHTS,
    OPENS,
    PARK,
    PRESSED,
    RELEASED,
    RIGHT,
    SEAT,
    STANDS,
    STEER,
    STICK_DESK,
    STICK_X,
    STICK_Y,
    STOP,
    STOP_NC,
    THROTTLE,
    UP,
    WHEEL_DESK,
    Hands,
)
from tests.console.fakes import MS


def asked(snapshot: object) -> DriverInput:
    controls = getattr(snapshot, "controls", None)
    assert isinstance(controls, DriverInput)
    return controls


# ---- words --------------------------------------------------------------------------------


def test_faults__are_told_by_these_words() -> None:
    assert {each.name: each.value for each in Fault} == {
        "NONE": "",
        "ABSENT": "absent",
        "OTHER": "other",
        "DENIED": "denied",
        "TORN": "torn",
        "SILENT": "silent",
        "RANGE": "range",
        "STOP_HELD": "stop_held",
        "CONTACTS": "contacts",
        "SEAT": "seat",
        "BARRED": "barred",
        "CONFLICT": "conflict",
    }


def test_word_of_the_machine_with_a_time_alone__says_nothing() -> None:
    assert Feedback(5) == Feedback(
        5, speed_mps=None, steer=None, movable=False, active=False, state_age_ms=None
    )


# ---- pedals and wheel ---------------------------------------------------------------------


def test_pedals_untouched__a_throttle_that_reads_full_asks_nothing() -> None:
    hands = Hands()
    snapshot = hands.axis(THROTTLE, PRESSED)

    assert asked(snapshot).throttle == 0.0
    assert snapshot.unproven == ("throttle:rest", "brake:press")


def test_pedals_unproven__enable_is_off() -> None:
    hands = Hands()

    assert not asked(hands.enable()).enable


def test_pedals_proven__throttle_brake_and_wheel_are_asked() -> None:
    hands = Hands()
    assert hands.prove().unproven == ()
    hands.axis(STEER, LEFT)
    hands.axis(THROTTLE, 51)
    snapshot = hands.axis(BRAKE, 204)

    assert asked(snapshot).steer == 1.0
    assert asked(snapshot).throttle == pytest.approx(0.8)
    assert asked(snapshot).brake == pytest.approx(0.2)
    assert snapshot.fault is Fault.NONE
    assert snapshot.device == ""
    assert snapshot.steers == 1.0


def test_brake_counts_before_its_pedal_is_proven() -> None:
    assert asked(Hands().axis(BRAKE, PRESSED)).brake == 1.0


def test_wheel_of_which_no_event_came__is_unproven() -> None:
    hands = Hands()
    hands.wheel.moved.clear()

    assert hands.prove().unproven == ("steering:move",)
    assert hands.axis(STEER, RIGHT).unproven == ()


def test_every_look__has_the_next_number() -> None:
    hands = Hands()

    assert [asked(hands.look()).sequence for _ in range(2)] == [1, 2]


def test_number_at_its_end__begins_anew() -> None:
    hands = Hands()
    hands.desk._sequence = 0xFFFF_FFFF

    assert asked(hands.look()).sequence == 0


# ---- losing a device ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wheel", "box"])
@pytest.mark.parametrize("fault", [Fault.ABSENT, Fault.OTHER, Fault.DENIED, Fault.TORN])
def test_device_without_controls__nothing_is_asked_and_the_device_is_named(
    name: str, fault: Fault
) -> None:
    hands = Hands()
    hands.prove()
    hands.devices[name] = fault
    snapshot = hands.look()

    assert snapshot.controls is None
    assert (snapshot.fault, snapshot.device) == (fault, name)
    assert snapshot.steers is None


def test_device_that_nobody_tells_of__is_absent() -> None:
    snapshot = Desk(WHEEL_DESK).look({}, None, 1)

    assert (snapshot.fault, snapshot.device) == (Fault.ABSENT, "wheel")


def test_device_pulled_at_60_percent__pedals_must_be_proven_anew_when_it_comes_back() -> None:
    hands = Hands()
    hands.prove()
    hands.enable()
    hands.axis(THROTTLE, 102)
    hands.devices["wheel"] = Fault.ABSENT
    lost = hands.look()
    hands.devices["wheel"] = hands.wheel
    back = hands.look()

    assert lost.controls is None
    assert lost.unproven == ("throttle:rest", "brake:rest", "steering:move")
    assert asked(back).throttle == 0.0
    assert back.unproven == ("throttle:rest", "brake:press")
    assert not asked(back).enable


def test_box_pulled_and_back_with_enable_held__enable_must_be_let_go_first() -> None:
    hands = Hands()
    hands.prove()
    assert asked(hands.enable()).enable
    hands.devices["box"] = Fault.ABSENT
    hands.look()
    hands.devices["box"] = hands.box

    assert not asked(hands.look()).enable
    hands.enable(on=False)
    assert asked(hands.enable()).enable


def test_device_back__gear_is_neutral() -> None:
    hands = Hands()
    hands.prove()
    hands.axis(BRAKE, PRESSED)
    assert asked(hands.press(UP)).gear == 1
    hands.devices["box"] = Fault.ABSENT
    hands.look()
    hands.devices["box"] = hands.box

    assert asked(hands.look()).gear == 0


@pytest.mark.parametrize(("code", "raw"), [(STEER, 65536), (THROTTLE, 256), (BRAKE, -1)])
def test_axis_outside_of_what_its_sensor_gives__nothing_is_asked(code: int, raw: int) -> None:
    hands = Hands()
    hands.prove()
    snapshot = hands.axis(code, raw)

    assert snapshot.controls is None
    assert (snapshot.fault, snapshot.device) == (Fault.RANGE, "wheel")


def test_axis_that_was_never_read__nothing_is_asked() -> None:
    hands = Hands()
    del hands.wheel.axes[BRAKE]

    assert hands.look().fault is Fault.RANGE


BODY = AxisUse(AxisDoes.IMPLEMENT, "box", Axis(9, 50, 100, 0, 0, 100))


def with_body_stick(raw: int) -> Hands:
    hands = Hands(dataclasses.replace(WHEEL_DESK, axes=(*WHEEL_DESK.axes, BODY)))
    hands.box.axes[BODY.axis.code] = raw
    return hands


def test_axis_of_the_second_device_out_of_range__that_device_is_named() -> None:
    snapshot = with_body_stick(101).look()

    assert (snapshot.fault, snapshot.device) == (Fault.RANGE, "box")


# ---- enable -------------------------------------------------------------------------------


def ready() -> Hands:
    hands = Hands()
    hands.prove()
    hands.enable(on=False)
    return hands


def test_enable_pressed__is_held_until_let_go() -> None:
    hands = ready()

    assert asked(hands.enable()).enable
    assert not asked(hands.enable(on=False)).enable


def test_enable_contacts_both_closed__enable_is_off_at_once_and_a_fault_soon() -> None:
    hands = ready()
    hands.enable()
    hands.box.keys |= {CLOSES, OPENS}
    at_once = hands.look()
    later = hands.look(after_ms=201)

    assert not asked(at_once).enable
    assert at_once.fault is Fault.NONE
    assert not asked(later).enable
    assert (later.fault, later.device) == (Fault.CONTACTS, "box")


def blip(hands: Hands) -> None:
    """The contact that opens touches for one look, and no longer."""
    hands.box.keys.add(OPENS)
    hands.look()
    hands.box.keys.discard(OPENS)


def test_enable_held_and_barred__is_told_until_the_hand_opens() -> None:
    hands = ready()
    hands.enable()
    on = hands.look()
    blip(hands)
    barred = hands.look()
    opened = hands.enable(on=False)
    hands.let_go(OPENS)
    on_its_way = hands.look()

    assert (barred.fault, barred.device) == (Fault.BARRED, "box")
    assert [each.fault for each in (on, opened, on_its_way)] == [Fault.NONE] * 3


def test_contact_that_touches__is_not_told_before_the_hand_is_closed_again() -> None:
    hands = ready()
    hands.enable()
    hands.box.keys.add(OPENS)

    assert hands.look().fault is Fault.NONE


def test_throttle_at_fault_and_enable_barred__the_throttle_is_told_first() -> None:
    hands = ready()
    both_pedals(hands)
    hands.look(after_ms=1001)
    hands.enable()
    blip(hands)
    conflict = hands.look().fault
    hands.axis(THROTTLE, RELEASED)

    assert conflict is Fault.CONFLICT
    assert hands.look().fault is Fault.BARRED


def test_contact_bounces_under_a_held_switch__enable_stays_off_until_the_hand_was_open() -> None:
    hands = ready()
    hands.enable()
    blip(hands)
    after = hands.look()
    hands.enable(on=False)

    assert not asked(after).enable
    assert asked(hands.enable()).enable


def test_held_since_it_was_barred_and_a_contact_bounces__it_is_still_barred() -> None:
    hands = ready()
    hands.let_go(SEAT)
    hands.look(after_ms=SEAT_GRACE_NS / MS + 10)
    hands.enable()
    hands.press(SEAT)
    blip(hands)

    assert not asked(hands.look()).enable


@pytest.mark.parametrize("alike", [{CLOSES, OPENS}, set()])
def test_switch_on_its_way_while_enable_is_barred__must_open_before_it_counts(
    alike: set[int],
) -> None:
    hands = ready()
    hands.box.keys = {STOP, SEAT} | alike
    hands.look()
    hands.box.keys = {CLOSES, SEAT}
    barred = hands.look()
    hands.enable(on=False)

    assert not asked(barred).enable
    assert asked(hands.enable()).enable


def test_switch_let_go_by_way_of_both_contacts_alike__counts_when_pressed_again() -> None:
    hands = ready()
    hands.enable()
    hands.let_go(CLOSES)
    hands.enable(on=False)
    hands.let_go(OPENS)

    assert asked(hands.enable()).enable


def test_enable_contacts_at_fault__hands_and_feet_are_still_told() -> None:
    hands = ready()
    hands.box.keys |= {CLOSES, OPENS}
    hands.look()

    assert asked(hands.axis(BRAKE, PRESSED, after_ms=300)).brake == 1.0


def test_enable_pressed_while_the_seat_is_empty__must_be_let_go_first() -> None:
    hands = ready()
    hands.let_go(SEAT)
    empty = hands.look(after_ms=SEAT_GRACE_NS / MS + 10)
    barred = hands.enable()
    hands.press(SEAT)

    assert (empty.fault, empty.device) == (Fault.SEAT, "box")
    assert not asked(barred).enable
    assert not asked(hands.look()).enable
    hands.enable(on=False)
    assert asked(hands.enable()).enable


def test_seat_left_for_a_moment__enable_goes_on() -> None:
    hands = ready()
    hands.enable()
    hands.let_go(SEAT)

    assert asked(hands.look(after_ms=400)).enable


def test_desk_without_a_seat_switch__nobody_must_sit() -> None:
    keys = tuple(use for use in KEYS if use.code != SEAT)
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.box.keys.discard(SEAT)
    hands.prove()
    hands.enable(on=False)

    assert asked(hands.enable()).enable


def test_desk_with_one_contact__that_contact_enables() -> None:
    keys = tuple(use for use in KEYS if use.code != OPENS)
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.prove()
    hands.enable(on=False)

    assert asked(hands.enable()).enable
    assert not asked(hands.enable(on=False)).enable


def test_desk_with_one_contact_let_go_for_long__is_no_fault_of_contacts() -> None:
    keys = tuple(use for use in KEYS if use.code != OPENS)
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.prove()
    hands.enable(on=False)

    assert hands.look(after_ms=300).fault is Fault.NONE
    assert asked(hands.enable()).enable


def test_enable_held_while_pedals_are_proven__must_be_let_go_first() -> None:
    hands = Hands()
    hands.enable()
    hands.prove()

    assert not asked(hands.look()).enable


# ---- conflict -----------------------------------------------------------------------------


def both_pedals(hands: Hands) -> None:
    hands.axis(THROTTLE, 102)
    hands.axis(BRAKE, 102)


def test_throttle_stays_pressed_under_the_brake__it_counts_no_more_until_let_go() -> None:
    hands = ready()
    both_pedals(hands)
    before = hands.look(after_ms=1000)
    after = hands.look(after_ms=1 / MS)
    off_brake = hands.axis(BRAKE, RELEASED)
    hands.axis(THROTTLE, RELEASED)

    assert before.fault is Fault.NONE
    assert asked(before).throttle == pytest.approx(0.6)
    assert after.fault is Fault.CONFLICT
    assert asked(off_brake).throttle == 0.0
    assert off_brake.fault is Fault.CONFLICT
    assert asked(hands.axis(THROTTLE, 102)).throttle == pytest.approx(0.6)


def test_throttle_at_fault__enable_goes_on() -> None:
    hands = ready()
    hands.enable()
    both_pedals(hands)

    assert asked(hands.look(after_ms=1100)).enable
    assert hands.look().fault is Fault.CONFLICT


def test_both_pedals_down_when_the_desk_begins__is_a_conflict_only_after_a_second() -> None:
    hands = Hands()
    hands.wheel.axes |= {THROTTLE: 102, BRAKE: 102}
    faults = [hands.look(after_ms=after_ms).fault for after_ms in (10, 1000, 1 / MS)]

    assert faults == [Fault.NONE, Fault.NONE, Fault.CONFLICT]


def with_percent_pedals() -> Hands:
    """Pedals whose raw code is the share in percent, proven."""
    axes = (
        WHEEL_DESK.axes[0],
        AxisUse(AxisDoes.THROTTLE, "wheel", Axis(THROTTLE, 0, 100, None, 0, 100)),
        AxisUse(AxisDoes.BRAKE, "wheel", Axis(BRAKE, 0, 100, None, 0, 100)),
    )
    hands = Hands(dataclasses.replace(WHEEL_DESK, axes=axes))
    hands.wheel.axes |= {THROTTLE: 0, BRAKE: 0}
    hands.look()
    for code in (THROTTLE, BRAKE):
        hands.axis(code, 100)
        hands.axis(code, 0)
    return hands


def test_throttle_barred__counts_again_only_from_below_3_percent() -> None:
    hands = with_percent_pedals()
    hands.axis(THROTTLE, 60)
    hands.axis(BRAKE, 60)
    hands.look(after_ms=1001)

    assert hands.axis(THROTTLE, 3).fault is Fault.CONFLICT
    assert hands.axis(THROTTLE, 2).fault is Fault.NONE


def test_contacts_at_fault_under_both_pedals__the_contacts_are_named() -> None:
    hands = ready()
    both_pedals(hands)
    hands.look(after_ms=1001)
    hands.box.keys |= {CLOSES, OPENS}
    hands.look()
    snapshot = hands.look(after_ms=201)

    assert (snapshot.fault, snapshot.device) == (Fault.CONTACTS, "box")


@pytest.mark.parametrize(("throttle", "brake"), [(204, 102), (102, 204)])
def test_one_pedal_hardly_pressed__is_no_conflict(throttle: int, brake: int) -> None:
    hands = ready()
    hands.axis(THROTTLE, throttle)
    hands.axis(BRAKE, brake)

    assert hands.look(after_ms=3000).fault is Fault.NONE


def test_brake_let_go_in_between__the_second_starts_anew() -> None:
    hands = ready()
    both_pedals(hands)
    hands.look(after_ms=900)
    hands.axis(BRAKE, RELEASED)
    hands.axis(BRAKE, 102)

    assert hands.look(after_ms=900).fault is Fault.NONE


def test_conflict_before_a_device_went__is_forgotten_with_it() -> None:
    hands = ready()
    both_pedals(hands)
    hands.devices["box"] = Fault.ABSENT
    hands.look()
    hands.devices["box"] = hands.box

    assert hands.look(after_ms=1500).fault is Fault.NONE


# ---- gear, park, lights, horn, body -------------------------------------------------------


def braked() -> Hands:
    hands = ready()
    hands.axis(BRAKE, 178)
    return hands


def test_gear_buttons_at_a_stand_under_the_brake__one_step_a_press_between_reverse_and_drive() -> (
    None
):
    hands = braked()
    gears = []
    for code in (UP, UP, DOWN, DOWN, DOWN):
        gears.append(asked(hands.press(code)).gear)
        hands.let_go(code)

    assert gears == [1, 1, 0, -1, -1]


def test_gear_button_held__is_one_press() -> None:
    hands = braked()
    hands.press(DOWN)

    assert asked(hands.look()).gear == -1


@pytest.mark.parametrize(
    "changes",
    [
        {"speed_mps": 0.14},
        {"speed_mps": -0.14},
        {"speed_mps": None},
        {"movable": False},
    ],
)
def test_gear_while_moving_or_unknown_or_not_armed__stays(changes: dict[str, object]) -> None:
    hands = braked()
    hands.feedback = dataclasses.replace(STANDS, **changes)  # type: ignore[arg-type]

    assert asked(hands.press(UP)).gear == 0


def test_gear_just_below_walking_out__changes() -> None:
    hands = braked()
    hands.feedback = dataclasses.replace(STANDS, speed_mps=-0.139)

    assert asked(hands.press(UP)).gear == 1


def test_gear_with_less_brake__stays() -> None:
    hands = ready()
    hands.axis(BRAKE, 180)

    assert asked(hands.press(UP)).gear == 0


@pytest.mark.parametrize(("brake", "gear"), [(29, 0), (30, 1)])
def test_gear__wants_30_percent_brake(brake: int, gear: int) -> None:
    hands = with_percent_pedals()
    hands.axis(BRAKE, brake)

    assert asked(hands.press(UP)).gear == gear


def test_gear_without_word_of_the_machine__stays() -> None:
    hands = braked()
    hands.feedback = None

    assert asked(hands.press(UP)).gear == 0


def test_machine_disarmed__gear_falls_to_neutral() -> None:
    hands = braked()
    hands.press(UP)
    hands.feedback = dataclasses.replace(STANDS, movable=False)

    assert asked(hands.look()).gear == 0


@pytest.mark.parametrize(("age_ns", "gear"), [(-1, 0), (0, 1), (500_000_000, 1), (500_000_001, 0)])
def test_word_of_the_machine__counts_for_half_a_second(age_ns: int, gear: int) -> None:
    hands = braked()
    hands.box.pressed.add(UP)
    feedback = dataclasses.replace(STANDS, at_ns=10_000 * MS - age_ns)
    snapshot = hands.desk.look(hands.devices, feedback, 10_000 * MS)

    assert asked(snapshot).gear == gear


def test_park_button_held_for_a_second__changes_the_park_brake_once() -> None:
    hands = ready()
    hands.press(PARK)
    early = hands.look(after_ms=PARK_HOLD_NS / MS - 1)
    late = hands.look(after_ms=1)
    later = hands.look(after_ms=2000)
    hands.let_go(PARK)
    hands.press(PARK)
    again = hands.look(after_ms=1000)

    assert [asked(each).park for each in (early, late, later, again)] == [False, True, True, False]


def test_lights__change_with_each_press() -> None:
    hands = ready()
    states = []
    for _ in range(3):
        states.append(asked(hands.press(LIGHTS)).lights)
        hands.let_go(LIGHTS)

    assert states == [True, False, True]


def test_horn__sounds_while_held() -> None:
    hands = ready()

    assert asked(hands.press(HORN)).horn
    assert not asked(hands.let_go(HORN)).horn


@pytest.mark.parametrize(
    ("codes", "asks"), [((BODY_UP,), 1.0), ((BODY_DOWN,), -1.0), ((BODY_UP, BODY_DOWN), 0.0)]
)
def test_body_buttons__ask_while_held(codes: tuple[int, ...], asks: float) -> None:
    hands = ready()

    assert asked(hands.press(*codes)).implement == asks
    assert asked(hands.let_go(*codes)).implement == 0.0


@pytest.mark.parametrize(("raw", "asks"), [(100, 1.0), (50, 0.0), (0, -1.0)])
def test_body_with_an_axis__asks_what_the_axis_says(raw: int, asks: float) -> None:
    assert asked(with_body_stick(raw).press(BODY_UP)).implement == asks


def test_desk_without_a_horn__sounds_none() -> None:
    keys = tuple(use for use in KEYS if use.code != HORN)

    assert not asked(Hands(dataclasses.replace(WHEEL_DESK, keys=keys)).look()).horn


# ---- STOP, confirm, disarm ----------------------------------------------------------------


def test_stop_pressed__counts_once_however_long_it_is_held() -> None:
    hands = Hands()

    assert hands.press(STOP).counts.stops == 1
    assert hands.look().counts.stops == 1
    hands.let_go(STOP)
    assert hands.press(STOP).counts.stops == 2


def test_stop_pressed_and_let_go_between_two_looks__counts() -> None:
    hands = Hands()
    hands.box.pressed.add(STOP)

    assert hands.look().counts.stops == 1
    hands.box.pressed.add(STOP)
    assert hands.look().counts.stops == 2


def test_stop_held_when_the_desk_begins__counts() -> None:
    hands = Hands()
    hands.box.keys.add(STOP)

    assert hands.look().counts.stops == 1


def test_stop_pressed_while_the_wheel_is_away__counts_all_the_same() -> None:
    hands = Hands()
    hands.devices["wheel"] = Fault.ABSENT
    snapshot = hands.press(STOP)

    assert snapshot.counts.stops == 1
    assert snapshot.fault is Fault.ABSENT


def test_stop_whose_contact_opens__a_cut_wire_stops() -> None:
    keys = (*KEYS, dataclasses.replace(KEYS[3], does=type(KEYS[3].does).STOP_OPENS, code=STOP_NC))
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.box.keys.add(STOP_NC)

    assert hands.look().counts.stops == 0
    assert hands.let_go(STOP_NC).counts.stops == 1
    assert hands.look().counts.stops == 1


def test_stop_that_opens_and_closes_between_two_looks__counts_once() -> None:
    keys = (*KEYS, KeyUse(KeyDoes.STOP_OPENS, "box", STOP_NC))
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.box.keys.add(STOP_NC)
    hands.look()
    hands.box.pressed.add(STOP_NC)
    between = hands.look().counts.stops
    opened = hands.let_go(STOP_NC).counts.stops

    assert between == 1
    assert (opened, hands.press(STOP_NC).counts.stops, hands.look().counts.stops) == (2, 2, 2)


def with_key(does: KeyDoes) -> Layout:
    """The desk with one more contact, at a code of its own."""
    return dataclasses.replace(WHEEL_DESK, keys=(*KEYS, KeyUse(does, "box", STOP_NC)))


def with_cut_wire() -> Hands:
    """A desk that drove, and then the wire of its second STOP was cut."""
    hands = Hands(with_key(KeyDoes.STOP_OPENS))
    hands.box.keys.add(STOP_NC)
    hands.prove()
    hands.enable(on=False)
    hands.enable()
    hands.let_go(STOP_NC)
    hands.enable(on=False)
    return hands


def test_stop_that_stays_down__its_desk_is_named_and_enable_is_off_until_it_is_up() -> None:
    hands = with_cut_wire()
    barred = hands.enable()
    mended = hands.press(STOP_NC)
    hands.enable(on=False)

    assert not asked(barred).enable
    assert (barred.fault, barred.device) == (Fault.STOP_HELD, "box")
    assert not asked(mended).enable
    assert (mended.fault, mended.device) == (Fault.BARRED, "box")
    assert asked(hands.enable()).enable


def test_stop_that_stays_down__takes_no_other_stop_away() -> None:
    hands = with_cut_wire()
    counts = [hands.look().counts.stops]
    for _ in range(2):
        counts.append(hands.press(STOP).counts.stops)
        counts.append(hands.let_go(STOP).counts.stops)

    assert counts == [1, 2, 2, 3, 3]


def test_one_of_two_stops_let_go__the_other_one_still_bars() -> None:
    hands = with_cut_wire()
    hands.press(STOP)

    assert hands.let_go(STOP).fault is Fault.STOP_HELD
    assert hands.press(STOP_NC).fault is Fault.NONE


def test_stop_held_and_contacts_that_differ__the_stop_is_named() -> None:
    hands = ready()
    hands.box.keys |= {CLOSES, OPENS, STOP}
    hands.look()

    assert hands.look(after_ms=201).fault is Fault.STOP_HELD


def test_stop_let_go_and_pressed_again_between_two_looks__counts() -> None:
    hands = Hands()
    hands.press(STOP)

    assert hands.press(STOP).counts.stops == 2


def test_stop_pressed_and_let_go_between_two_looks__bars_nothing() -> None:
    hands = ready()
    hands.box.pressed.add(STOP)

    assert hands.look().fault is Fault.NONE


def test_stop_of_a_box_that_went_and_came_back__counts_anew() -> None:
    hands = Hands()
    hands.press(STOP)
    hands.devices["box"] = Fault.ABSENT
    away = hands.look()
    hands.devices["box"] = hands.box

    assert (away.fault, away.counts.stops) == (Fault.ABSENT, 1)
    assert hands.look().counts.stops == 2


def test_stops_of_two_devices_held__the_first_by_name_is_told() -> None:
    keys = (*KEYS, KeyUse(KeyDoes.STOP, "wheel", STOP))
    hands = Hands(dataclasses.replace(WHEEL_DESK, keys=keys))
    hands.wheel.keys.add(STOP)
    alone = hands.look()
    hands.box.keys.add(STOP)
    both = hands.look()

    assert [(each.device, each.counts.stops) for each in (alone, both)] == [
        ("wheel", 1),
        ("box", 2),
    ]


def test_opening_stop_of_a_box_that_is_away__is_no_stop() -> None:
    hands = Hands(with_key(KeyDoes.STOP_OPENS))
    hands.devices["box"] = Fault.ABSENT
    snapshot = hands.look()

    assert snapshot.counts == Counts()
    assert (snapshot.fault, snapshot.device) == (Fault.ABSENT, "box")


@pytest.mark.parametrize("code", [STOP, STOP_NC])
def test_two_stop_buttons__each_stops_alone(code: int) -> None:
    hands = Hands(with_key(KeyDoes.STOP))
    hands.box.keys.add(code)

    assert hands.look().counts == Counts(stops=1)


@pytest.mark.parametrize("code", [DISARM, STOP_NC])
def test_two_disarm_buttons__each_disarms_alone(code: int) -> None:
    assert Hands(with_key(KeyDoes.DISARM)).press(code).counts == Counts(disarms=1)


def test_confirm_held__counts_once() -> None:
    hands = Hands()
    hands.look()
    hands.press(CONFIRM)

    assert hands.look(after_ms=CONFIRM_HOLD_NS / MS - 1).counts.confirms == 0
    assert hands.look(after_ms=1).counts.confirms == 1
    assert hands.look(after_ms=5000).counts.confirms == 1


def test_disarm__counts_with_each_press() -> None:
    hands = Hands()
    hands.press(DISARM)
    hands.let_go(DISARM)

    assert hands.press(DISARM).counts == Counts(0, 0, 2)


# ---- sticks -------------------------------------------------------------------------------


def test_stick__one_axis_is_throttle_and_brake() -> None:
    hands = Hands(STICK_DESK)
    hands.prove_stick()

    assert asked(hands.axis(STICK_Y, 0)).throttle == 1.0
    pulled = asked(hands.axis(STICK_Y, 1023))
    assert (pulled.throttle, pulled.brake) == (0.0, 1.0)


def test_stick_pulled_out__both_ways_must_be_proven_anew() -> None:
    hands = Hands(STICK_DESK)
    hands.prove_stick()
    hands.devices["stick"] = Fault.ABSENT

    assert hands.look().unproven == ("throttle:rest", "brake:rest")


def test_stick_of_a_machine_that_stands__the_steering_is_where_the_machine_is() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.3)
    hands.prove_stick()
    snapshot = hands.axis(STICK_X, 0)

    assert asked(snapshot).steer == 0.3
    assert snapshot.unproven == ("stick:rest",)


def test_stick_of_a_driven_machine__turns_by_its_rate_from_where_the_machine_is() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.3)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, steer=0.9, active=True)
    hands.axis(STICK_X, 0, after_ms=20)
    left = asked(hands.look(after_ms=20)).steer
    right = asked(hands.axis(STICK_X, 1023, after_ms=20)).steer

    assert left == pytest.approx(0.3 + 0.5 * 0.04)
    assert right == pytest.approx(0.3 + 0.5 * 0.02)


def test_stick_held_for_20_ms__turns_by_exactly_that() -> None:
    hands = Hands(STICK_DESK)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, active=True)

    assert asked(hands.axis(STICK_X, 0, after_ms=20)).steer == 0.01


@pytest.mark.parametrize(
    ("raw", "steer", "unproven"),
    [
        (2, 0.5 * 0.02 * 0.02, ("stick:rest",)),
        (1, 0.0, ()),
        (-1, 0.0, ()),
        (-2, -0.5 * 0.02 * 0.02, ("stick:rest",)),
    ],
)
def test_stick_off_its_rest__turns_from_2_percent_on(
    raw: int, steer: float, unproven: tuple[str, ...]
) -> None:
    percent = AxisUse(AxisDoes.STEER, "stick", Axis(STICK_X, 0, 100, -100, -100, 100))
    hands = Hands(dataclasses.replace(STICK_DESK, axes=(percent, STICK_DESK.axes[1])))
    hands.wheel.axes[STICK_X] = 0
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, active=True)
    snapshot = hands.axis(STICK_X, raw, after_ms=20)

    assert asked(snapshot).steer == pytest.approx(steer)
    assert snapshot.unproven == unproven


def test_machine_of_which_no_word_ever_came__its_steering_is_unknown() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = None
    snapshot = hands.look()

    assert snapshot.unproven[-1] == "steering:unknown"
    assert asked(snapshot).steer == 0.0


def test_stick_at_rest_while_driven__what_was_asked_is_held() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=-0.2)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, steer=0.9, active=True)
    snapshot = hands.look(after_ms=1000)

    assert asked(snapshot).steer == -0.2
    assert snapshot.unproven == ()


def test_stick_held_over__stops_at_the_lock() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.99)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, active=True)
    hands.axis(STICK_X, 0)
    left = [asked(hands.look(after_ms=50)).steer for _ in range(2)]
    hands.axis(STICK_X, 1023)
    right = [asked(hands.look(after_ms=50)).steer for _ in range(100)]

    assert left[-1] == 1.0
    assert right[-1] == -1.0


def test_look_that_comes_late__turns_no_more_than_one_of_50_ms() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.0)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, active=True)
    first = asked(hands.axis(STICK_X, 0, after_ms=10)).steer

    assert asked(hands.look(after_ms=900)).steer == pytest.approx(first + 0.5 * 0.05)


def test_machine_silent_while_driven__what_was_asked_is_held_and_not_turned_on() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.4)
    hands.prove_stick()
    hands.feedback = dataclasses.replace(STANDS, active=True)
    hands.look()
    hands.feedback = None

    assert asked(hands.axis(STICK_X, 0)).steer == 0.4


def test_machine_whose_steering_is_unknown__enable_is_off() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=None)
    hands.prove_stick()
    hands.enable(on=False)
    snapshot = hands.enable()

    assert "steering:unknown" in snapshot.unproven
    assert asked(snapshot).steer == 0.0
    assert not asked(snapshot).enable


def test_stick_desk_comes_back__starts_from_where_the_machine_is_by_then() -> None:
    hands = Hands(STICK_DESK)
    hands.feedback = dataclasses.replace(STANDS, steer=0.4)
    hands.prove_stick()
    hands.devices["stick"] = Fault.ABSENT
    hands.look()
    hands.devices["stick"] = hands.wheel
    hands.feedback = dataclasses.replace(STANDS, steer=-0.4, active=True)

    assert asked(hands.look()).steer == -0.4


def test_controls_of_a_device__are_read_and_not_kept() -> None:
    controls = Controls(axes={STEER: CENTRE})

    assert Desk(WHEEL_DESK).look({"wheel": controls}, Feedback(0), 1).fault is Fault.ABSENT
