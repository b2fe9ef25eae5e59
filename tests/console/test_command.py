"""The next command: when it is due and what it carries."""

from __future__ import annotations

from operator_console.core.command import CommandBuilder, OnScreen
from operator_console.core.echo import Echo
from operator_console.core.engagement import Lease
from operator_console.core.inputs import DriverInput
from protocol.frames import CommandFrame, CommandKind, SessionKeys
from protocol.signals import DEFAULT_TIMING
from tests.console.fakes import MS

LEASE = Lease(epoch=5, key_id=5, boot_tag=9, keys=SessionKeys(bytes(32), bytes(32)))
ECHO = Echo(stamp_us=70_000, received_ns=0)
SCREEN = OnScreen(camera=2, capture_us=66_000, age_ms=40.4, ok=True)


def build(
    builder: CommandBuilder,
    now_ns: int,
    driver: DriverInput | None,
    kind: CommandKind = CommandKind.DRIVE,
) -> CommandFrame | None:
    return builder.build(now_ns, LEASE, kind, driver, ECHO, SCREEN)


def builder() -> CommandBuilder:
    return CommandBuilder(77, DEFAULT_TIMING)


def built(driver: DriverInput | None, kind: CommandKind = CommandKind.DRIVE) -> CommandFrame:
    frame = build(builder(), 3 * MS, driver, kind)
    assert frame is not None
    return frame


def test_first_command__carries_lease_echo_and_view() -> None:
    frame = built(DriverInput(1, enable=True))

    assert (frame.epoch, frame.key_id, frame.boot_tag, frame.vehicle_id) == (5, 5, 9, 77)
    assert (frame.echo_stamp_us, frame.echo_hold_us) == (70_000, 3_000)
    assert (frame.camera, frame.view_stamp_us, frame.view_age_ms) == (2, 66_000, 40)
    assert frame.display_ok
    assert frame.sequence == 1
    assert frame.ttl_ms == 250


def test_controls__travel_in_steps_of_a_ten_thousandth() -> None:
    frame = built(
        DriverInput(1, steer=-0.12345, throttle=0.5, enable=True, gear=-1, implement=-1.0)
    )

    assert (frame.steer, frame.throttle, frame.gear, frame.implement) == (-1234, 5000, -1, -10_000)
    assert frame.enable


def test_brake_and_throttle_together__brake_wins() -> None:
    frame = built(DriverInput(1, throttle=0.8, brake=0.3, enable=True))

    assert (frame.throttle, frame.brake) == (0, 3000)


def test_parked__asks_no_traction_and_no_implement_and_no_enable() -> None:
    driver = DriverInput(1, throttle=0.8, implement=1.0, enable=True, gear=1)

    frame = built(driver, CommandKind.PARKED)

    assert (frame.throttle, frame.implement, frame.enable) == (0, 0, False)
    assert not frame.neutral


def test_stop__asks_no_enable() -> None:
    frame = built(DriverInput(1, throttle=0.8, enable=True), CommandKind.STOP)

    assert (frame.kind, frame.throttle, frame.enable) == (CommandKind.STOP, 0, False)


def test_no_input__asks_nothing_and_is_not_neutral() -> None:
    frame = built(None, CommandKind.PARKED)

    assert not frame.enable
    assert not frame.neutral
    assert (frame.steer, frame.throttle, frame.brake, frame.gear) == (0, 0, 0, 0)


def test_nothing_changes__one_command_every_20_ms() -> None:
    of, driver = builder(), DriverInput(1)

    sent = [ms for ms in range(101) if build(of, ms * MS, driver, CommandKind.PARKED)]

    assert sent == [0, 20, 40, 60, 80, 100]


def test_input_changes__command_goes_at_once() -> None:
    of = builder()
    build(of, 0, DriverInput(1, enable=True))

    assert build(of, 7 * MS, DriverInput(2, enable=True, steer=0.1)) is not None


def test_input_changes_within_5_ms__waits_for_the_spacing() -> None:
    of = builder()
    build(of, 0, DriverInput(1, enable=True))
    changed = DriverInput(2, enable=True, steer=0.1)

    assert build(of, 4 * MS, changed) is None
    assert of.gap_ns(4 * MS) == 1 * MS
    assert build(of, 5 * MS, changed) is not None


def test_looked_a_little_late__beat_is_kept() -> None:
    of, driver = builder(), DriverInput(1)
    build(of, 0, driver)
    build(of, 23 * MS, driver)

    assert of.due_in_ns(23 * MS) == 17 * MS


def test_looked_periods_late__missed_slots_are_skipped() -> None:
    of, driver = builder(), DriverInput(1)
    build(of, 0, driver)
    build(of, 95 * MS, driver)

    assert of.due_in_ns(95 * MS) == 20 * MS


def test_sequence__rises_by_one_for_each_command() -> None:
    of, driver = builder(), DriverInput(1)
    frames = [build(of, n * 20 * MS, driver) for n in range(5)]

    assert [frame.sequence for frame in frames if frame] == [1, 2, 3, 4, 5]


def test_picture_age_unknown__is_said_as_the_largest() -> None:
    frame = builder().build(0, LEASE, CommandKind.PARKED, None, ECHO, OnScreen())

    assert frame is not None
    assert (frame.view_stamp_us, frame.view_age_ms, frame.display_ok) == (0, 65_535, False)
