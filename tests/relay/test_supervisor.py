"""The machine with a relay: it closes in the warning only, and whatever opens it is a stop."""

from __future__ import annotations

import pytest

from protocol.dbw.codec import ContactState, EcuMode
from protocol.messages import Outcome, RequestKind
from protocol.relay import OpenReason, RelayWish
from protocol.state import VehicleMode
from sim.ecu import Ecu
from sim.relay import Defect
from tests.relay.rig import RelayLockstep, RelayRig
from tests.rig import MS, TICK_NS, Rig

M = VehicleMode
OPEN, CLOSED = ContactState.OPEN, ContactState.CLOSED


def word(rig: RelayRig | RelayLockstep) -> str | None:
    return None if rig.state is None else rig.state.relay


def cause(rig: RelayRig | RelayLockstep) -> str | None:
    return None if rig.state is None else rig.state.cause


def test_no_relay_fitted__state_says_so() -> None:
    rig = Rig()
    rig.drive()
    assert rig.state is not None
    assert rig.state.relay == "none"


def test_until_armed__relay_is_open_and_that_is_no_stop() -> None:
    rig = RelayRig()
    rig.arm()
    rig.run(2.0)
    assert rig.is_in(M.ARMED)
    assert not rig.relay.closed
    assert word(rig) == "open"
    assert set(rig.guardian.wishes) == {RelayWish.OPEN}


def test_warning__closes_the_relay_and_then_enables_the_ecu() -> None:
    rig = RelayRig()
    rig.arm()
    rig.hold_enable()
    closed_ns = rig.run_until(lambda: rig.relay.contact is CLOSED, 1.0)
    assert rig.ecu.sup is not None
    assert not rig.ecu.sup.enable
    assert rig.state is not None
    assert rig.state.warning_ms is not None
    rig.run_until(lambda: rig.ecu.sup is not None and rig.ecu.sup.enable, 0.3)
    assert closed_ns < 0.2
    assert rig.is_in(M.ARMED)
    rig.run_until(lambda: rig.is_in(M.ACTIVE), 3.2)
    assert word(rig) == "closed"


def test_driving__relay_is_held_and_never_asked_to_close() -> None:
    rig = RelayRig()
    rig.drive()
    rig.guardian.wishes.clear()
    rig.run(2.0)
    assert rig.is_in(M.ACTIVE)
    assert set(rig.guardian.wishes) == {RelayWish.HOLD}


def test_relay_that_does_not_close__never_active_and_the_driver_is_told() -> None:
    rig = RelayRig()
    rig.arm()
    rig.relay._good_run = -10_000
    rig.hold_enable()
    rig.run(6.0)
    assert rig.is_in(M.ARMED)
    assert "B112" in rig.events
    assert rig.ecu.sup is not None
    assert not rig.ecu.sup.enable


def test_relay_silent__no_warning_and_the_blocker_is_named() -> None:
    rig = RelayRig()
    rig.arm()
    rig.guardian.plugged = False
    rig.run(0.5)
    rig.hold_enable()
    rig.run(4.0)
    assert rig.is_in(M.ARMED)
    assert rig.state is not None
    assert "B112" in rig.state.blockers
    assert word(rig) == "unknown"
    assert "S104" not in rig.events


def test_relay_opens_in_the_warning__warning_ends_and_enable_must_be_pressed_anew() -> None:
    rig = RelayRig()
    rig.arm()
    rig.hold_enable()
    rig.run(1.0)
    assert rig.relay.closed
    rig.relay._open(rig.now_ns, OpenReason.SILENT)
    rig.run(4.0)
    assert rig.is_in(M.ARMED)
    assert rig.state is not None
    assert rig.state.warning_ms is None
    assert "B112" in rig.events
    assert not rig.relay.closed


def test_relay_opens_while_driving__latched_stop_with_its_cause() -> None:
    rig = RelayRig()
    rig.drive()
    rig.relay._open(rig.now_ns, OpenReason.SILENT)
    rig.run(0.03)
    assert rig.is_in(M.STOPPING)
    assert rig.ecu.braking
    rig.halt()
    rig.run(2.5)
    assert rig.is_in(M.STOPPED)
    assert cause(rig) == "M104"


def test_relay_silent_while_driving__stops_after_200_ms() -> None:
    rig = RelayRig()
    rig.drive()
    rig.guardian.plugged = False
    stopped_s = rig.run_until(lambda: rig.is_in(M.STOPPING), 0.4)
    assert 0.15 <= stopped_s <= 0.22
    rig.run(0.1)
    assert cause(rig) == "M104"
    assert word(rig) == "unknown"


def test_strokes_lost_but_reports_heard__relay_opens_and_the_machine_stops() -> None:
    rig = RelayRig()
    rig.drive()
    rig.relay.take = lambda *_: None  # type: ignore[method-assign]
    rig.run_until(lambda: rig.is_in(M.STOPPING), 0.4)
    assert cause(rig) == "M104"
    rig.run(0.1)
    assert not rig.relay.closed


def test_late_tick__no_stroke_from_it() -> None:
    rig = RelayRig()
    rig.drive()
    before = rig.guardian.line.counts["strokes"]
    rig.tick(150 * MS)
    assert rig.guardian.line.counts["strokes"] == before
    assert rig.is_in(M.STOPPING)


def test_controlled_stop__relay_holds_until_standstill_and_then_opens() -> None:
    rig = RelayRig()
    rig.drive()
    rig.press_stop(rig.console)
    rig.run(1.0)
    assert rig.is_in(M.STOPPING)
    assert rig.relay.contact is CLOSED
    rig.halt()
    rig.run(1.5)
    assert rig.is_in(M.STOPPED)
    assert not rig.relay.closed
    assert rig.relay.reason is OpenReason.ASKED


def test_ecu_that_does_not_let_go__relay_opens_under_it_after_500_ms() -> None:
    rig = RelayRig()
    rig.drive()
    rig.press_stop(rig.console)
    rig.run(0.1)
    rig.ecu.follows = False
    rig.halt()
    stopped_s = rig.run_until(lambda: rig.is_in(M.STOPPED), 2.0)
    assert stopped_s < 2.0
    opened_s = rig.run_until(lambda: not rig.relay.closed, 1.0)
    assert 0.45 <= opened_s <= 0.55
    assert rig.ecu.mode is EcuMode.ACTIVE


def test_ecu_silent_while_driving__relay_is_asked_to_open_at_once() -> None:
    rig = RelayRig()
    rig.drive()
    rig.ecu.silent = True
    rig.run_until(lambda: not rig.relay.closed, 0.2)
    assert rig.relay.reason is OpenReason.ASKED


@pytest.mark.parametrize("channels", [(OPEN, CLOSED), (CLOSED, OPEN), (OPEN, OPEN)])
def test_relay_reports_an_open_emergency_stop__hard_stop(
    channels: tuple[ContactState, ContactState],
) -> None:
    rig = RelayRig()
    rig.drive()
    rig.relay.set_channels(*channels)
    rig.run(0.03)
    assert rig.is_in(M.ESTOP)
    assert rig.guardian.wishes[-1] is RelayWish.OPEN
    rig.run(0.1)
    assert cause(rig) == "M105"
    assert rig.state is not None
    assert rig.state.estop == "open"


def test_relay_reports_a_discrepancy__told_and_reset_refused() -> None:
    rig = RelayRig()
    rig.lease()
    rig.relay.set_channels(OPEN, CLOSED)
    rig.run(0.6)
    rig.relay.set_channels(CLOSED, CLOSED)
    rig.run(2.5)
    assert "M106" in rig.events
    assert rig.state is not None
    assert rig.state.estop == "discrepancy"
    rig.ask(RequestKind.RESET)
    rig.run(0.1)
    assert (rig.acks[-1].outcome, rig.acks[-1].reason) == (Outcome.REFUSED, "M106")


def test_welded_relay__stopped_and_no_reset_while_it_is() -> None:
    rig = RelayRig()
    rig.drive()
    rig.relay.defects.add(Defect.WELDED)
    rig.press_stop(rig.console)
    rig.halt()
    rig.run(3.0)
    assert rig.is_in(M.STOPPED)
    assert "M117" in rig.events
    rig.ask(RequestKind.RESET)
    rig.run(0.1)
    assert (rig.acks[-1].outcome, rig.acks[-1].reason) == (Outcome.REFUSED, "M117")


def test_contact_under_way__is_not_taken_for_welded() -> None:
    rig = RelayRig()
    for _ in range(2):
        rig.drive()
        rig.press_stop(rig.console, stop_id=f"{rig.now_ns:032x}"[-32:])
        rig.halt()
        rig.run(3.0)
        rig.ask(RequestKind.RESET)
        rig.run(0.1)
        assert rig.acks[-1].outcome is Outcome.DONE
        rig.ask(RequestKind.RELEASE)
        rig.run(0.1)
    assert "M117" not in rig.events


# -- with the real ECU and truck ---------------------------------------------------------------


@pytest.fixture
def truck() -> RelayLockstep:
    made = RelayLockstep()
    made.under_way(8.0)
    assert made.truth["speed_mps"] > 2.0
    return made


def coast_to_rest(rig: RelayLockstep) -> None:
    for _ in range(2000):
        rig.tick()
        if rig.truth["speed_mps"] == 0.0 and rig.truth["park"]:
            return
    raise AssertionError(f"still moving: {rig.truth}")


def test_relay_opens_while_driving__ecu_stops_the_truck_and_it_stays(truck: RelayLockstep) -> None:
    truck.relay._open(truck.now_ns, OpenReason.SILENT)
    truck.run(0.05)
    assert truck.real.machine.ecu.mode is EcuMode.SAFE_STOP
    coast_to_rest(truck)
    truck.run(10.0)
    assert truck.truth["speed_mps"] == 0.0
    assert truck.truth["contacts"] == 0
    assert truck.is_in(M.STOPPED)
    assert cause(truck) == "M104"


def test_guardian_gone_and_an_ecu_that_goes_on__relay_alone_stops_the_truck(
    truck: RelayLockstep,
) -> None:
    """The ECU's own time-outs are kept quiet by frames that somebody else goes on sending."""
    frames = truck.outputs[-2].bus + truck.outputs[-1].bus
    assert frames
    at_ns = truck.now_ns
    opened_ns = None
    ecu = truck.real.machine.ecu
    assert isinstance(ecu, Ecu)
    ecu._late_now = lambda *_: frozenset()  # type: ignore[method-assign]
    for _ in range(60):
        at_ns += TICK_NS
        truck.relay.step(at_ns)
        truck.wire()
        truck.real.run(at_ns)
        if opened_ns is None and not truck.relay.closed:
            opened_ns = at_ns
            assert ecu.mode is EcuMode.ACTIVE
    assert opened_ns is not None
    assert opened_ns - truck.now_ns <= 200 * MS
    assert ecu.mode is EcuMode.SAFE_STOP


def test_after_a_relay_stop__the_whole_ladder_leads_back_to_driving(truck: RelayLockstep) -> None:
    truck.relay._open(truck.now_ns, OpenReason.SILENT)
    truck.driving = False
    coast_to_rest(truck)
    truck.halt()
    truck.run(2.5)
    truck.ask(RequestKind.RESET)
    truck.run(1.0)
    assert truck.is_in(M.LEASED), (truck.acks[-1], truck.state)
    truck.ask(RequestKind.ARM)
    truck.run(0.2)
    assert truck.acks[-1].outcome is Outcome.DONE, truck.acks[-1]
    assert not truck.relay.closed
    truck.hold_enable()
    truck.run(3.5)
    truck.driving = True
    truck.run(6.0)
    assert truck.is_in(M.ACTIVE)
    assert truck.truth["speed_mps"] > 1.0
    assert word(truck) == "closed"


def test_emergency_stop_pressed_and_released__ladder_leads_back(truck: RelayLockstep) -> None:
    truck.estop = OPEN
    truck.run(0.05)
    assert truck.real.machine.ecu.mode is EcuMode.ESTOP
    truck.driving = False
    coast_to_rest(truck)
    truck.halt()
    truck.run(2.5)
    truck.ask(RequestKind.RESET)
    truck.run(0.1)
    assert (truck.acks[-1].outcome, truck.acks[-1].reason) == (Outcome.REFUSED, "M105")
    truck.estop = CLOSED
    truck.run(0.2)
    truck.ask(RequestKind.RESET)
    truck.run(1.0)
    truck.ask(RequestKind.ARM)
    truck.run(0.2)
    assert truck.acks[-1].outcome is Outcome.DONE, truck.acks[-1]
    truck.hold_enable()
    truck.run(3.5)
    assert truck.is_in(M.ACTIVE)


def test_standstill_with_enable_released__relay_opens_and_no_ecu_stop_latches(
    truck: RelayLockstep,
) -> None:
    truck.driving = False
    truck.hold_enable(neutral=False, brake=10_000)
    truck.run(8.0)
    assert truck.truth["speed_mps"] == 0.0
    truck.hold_enable(enable=False)
    truck.run(1.0)
    assert truck.is_in(M.ARMED)
    assert not truck.relay.closed
    assert truck.real.machine.ecu.mode is EcuMode.STANDBY
    truck.hold_enable()
    truck.run(3.5)
    assert truck.is_in(M.ACTIVE)
