"""What can be wrong, as flags named so that false is healthy; each has a label for people."""

from __future__ import annotations

from itertools import compress
from typing import NamedTuple


class Conditions(NamedTuple):
    """Everything that the fail-safe table looks at, for one tick. All false is healthy.

    Attributes:
        command_late: no accepted command for the degraded time.
        command_stale: no accepted command for the stop time or the command's own life.
        loop_slow: the loop time lies above the full-speed limit.
        path_silent: one of several command paths gave nothing valid for its time.
        lease_lost: the lease ended while the machine was driving.
        view_late: the main picture is older than the degraded time.
        view_stale: the main picture is older than the stop time, frozen, or there is none.
        display_unhealthy: the driver's screen does not vouch for itself.
        enable_released: the dead-man is open while the machine moves.
        enable_never_released: the dead-man was not seen open since arming.
        input_still: enable held and moving, and no input changed for the set time.
        input_conflict: throttle together with brake, or against the motion, for over one second.
        input_out_of_range: a signed command carried a value outside its range.
        stop_by_driver: the holder's stop frame or stop message.
        stop_by_other: a stop message of someone else who may stop.
        ecu_silent: no valid ECU state for its time.
        ecu_stopped: the ECU left its active state by itself.
        ecu_latched: the ECU holds a stop of its own, and no reset is on its way to it.
        ecu_conflict: a second sender speaks under the ECU's frames.
        output_mismatch: steering or brake does not follow the command.
        moved_while_stopped: speed without permission.
        stop_ineffective: stopping, and the machine does not slow, or its speed is unknown.
        park_not_set: standing stopped, and the park brake is not reported as set.
        relay_open: the watchdog relay is fitted and not proven to be closed.
        relay_welded: the watchdog relay's contact stays closed though it should be open.
        safety_unknown: emergency-stop chain, key or supply is not reported.
        actuators_unknown: measured steering, brake or tilt is not reported.
        estop_open: an emergency-stop channel is open.
        estop_discrepancy: the two channels disagree.
        speed_unknown: no valid speed for its time.
        over_speed: above the machine's own maximum, or not slowing to its speed cap.
        tilt_exceeded: pitch or roll beyond the machine's limit.
        supply_low: supply below the machine's limit.
        zone_breached: a locator reports it outside the allowed zone.
        local_key_turned: the key at the machine is on local.
        second_authority: a second valid source was heard.
        guardian_late: this tick came too late.
        clock_trouble: the clock went backwards.
        settings_mismatch: keys or settings differ from the approved ones.
        ended_while_driving: the last run of the guardian ended while it drove.
    """

    command_late: bool = False
    command_stale: bool = False
    loop_slow: bool = False
    path_silent: bool = False
    lease_lost: bool = False
    view_late: bool = False
    view_stale: bool = False
    display_unhealthy: bool = False
    enable_released: bool = False
    enable_never_released: bool = False
    input_still: bool = False
    input_conflict: bool = False
    input_out_of_range: bool = False
    stop_by_driver: bool = False
    stop_by_other: bool = False
    ecu_silent: bool = False
    ecu_stopped: bool = False
    ecu_latched: bool = False
    ecu_conflict: bool = False
    output_mismatch: bool = False
    moved_while_stopped: bool = False
    stop_ineffective: bool = False
    park_not_set: bool = False
    relay_open: bool = False
    relay_welded: bool = False
    safety_unknown: bool = False
    actuators_unknown: bool = False
    estop_open: bool = False
    estop_discrepancy: bool = False
    speed_unknown: bool = False
    over_speed: bool = False
    tilt_exceeded: bool = False
    supply_low: bool = False
    zone_breached: bool = False
    local_key_turned: bool = False
    second_authority: bool = False
    guardian_late: bool = False
    clock_trouble: bool = False
    settings_mismatch: bool = False
    ended_while_driving: bool = False

    def present(self) -> frozenset[str]:
        """Return the names of the conditions that hold."""
        return frozenset(compress(CONDITION_NAMES, self))


CONDITION_NAMES = Conditions._fields
