"""Turns what is known of driver, machine and clock into conditions, once a tick."""

from __future__ import annotations

from typing import NamedTuple

from protocol.dbw.codec import EcuMode
from protocol.frames import CommandKind
from protocol.profiles import MachineLimits
from protocol.signals import Timing
from protocol.state import VehicleMode
from vehicle_agent.core.bywire import Feedback
from vehicle_agent.core.conditions import Conditions
from vehicle_agent.core.driver import CONFLICT_THROTTLE, Driver
from vehicle_agent.core.failsafe import DRIVING, PARKED
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.relay import NOT_FITTED, RelayView

_MS = 1_000_000
MOVED_MPS = 0.3
MOVED_NS = 200 * _MS
OVER_SPEED_SHARE = 1.15
OVER_SPEED_NS = 500 * _MS
STEER_MISMATCH_SHARE = 0.3
"""Of full curvature; above the lag of a healthy steering at its full rate."""
STEER_MISMATCH_NS = 1_500 * _MS
BRAKE_CHECK_MPS2 = 1.0
BRAKE_MISMATCH_SHARE = 0.3
BRAKE_MISMATCH_NS = 1_500 * _MS
SLOWING_SHARE = 0.3
"""Of the stop's deceleration: what is left of it on the steepest decline, with room to spare."""
SLOWING_MARGIN_MPS = 0.5
OVER_CAP_MPS = 1.5
"""Above the cap by more than a hold-back brake settles at on a decline."""
OVER_CAP_DECEL_MPS2 = 0.3
STOP_BLIND_NS = 500 * _MS
"""Longest time of a stop without a known speed."""
PARK_NOT_SET_NS = 2_000 * _MS
"""Longer than a spring brake's way; its dead time is below half a second."""
AGAINST_MOTION_NS = 1_000 * _MS
AGAINST_MOTION_MPS = 0.3
SUPPLY_LOW_V = 18.0
SUPPLY_LOW_NS = 200 * _MS
RELAY_WELDED_NS = 150 * _MS
"""Longer than a contact's travel and a report's way; data sheets name 10 to 20 ms."""
HEARD_NS = 2_000 * _MS
"""A second authority counts as heard this long: a reset must not slip between two frames."""
RANGE_SHOWN_NS = 1_000 * _MS

ECU_READY = frozenset({EcuMode.ACTIVE, EcuMode.DEGRADED})
ECU_LATCHED = frozenset({EcuMode.SAFE_STOP, EcuMode.ESTOP, EcuMode.FAULT})


class Persisting:
    """True once something has held without a break for a set time."""

    def __init__(self, hold_ns: int) -> None:
        self._hold_ns = hold_ns
        self._since_ns: int | None = None

    def step(self, now_ns: int, holds: bool) -> bool:
        """Return whether it has held long enough."""
        if not holds:
            self._since_ns = None
            return False
        if self._since_ns is None:
            self._since_ns = now_ns
        return now_ns - self._since_ns >= self._hold_ns


class Slowing:
    """Tells when a machine that must slow does not.

    From the moment it must, its speed may lie on a line that falls with the least deceleration
    after the brake's worst delay; above that line it does not slow.

    Args:
        delay_s: worst time until the brake acts. decel_mps2: least deceleration.
        rest_mps: slower than this counts as standing.
    """

    def __init__(self, delay_s: float, decel_mps2: float, rest_mps: float) -> None:
        self._delay_s = delay_s
        self._rest_mps = rest_mps
        self._decel_mps2 = decel_mps2
        self._begun: tuple[int, float] | None = None

    def step(self, now_ns: int, must: bool, speed_mps: float | None) -> bool:
        """Return whether it lies above its line; an unknown speed says nothing here.

        Args:
            must: it must slow. speed_mps: measured, + forwards.
        """
        if not must:
            self._begun = None
        if not must or speed_mps is None:
            return False
        if self._begun is None:
            self._begun = (now_ns, abs(speed_mps))
        since_ns, from_mps = self._begun
        braked_s = max((now_ns - since_ns) / 1e9 - self._delay_s, 0.0)
        line_mps = from_mps + SLOWING_MARGIN_MPS - self._decel_mps2 * braked_s
        return abs(speed_mps) > max(line_mps, self._rest_mps)


class Heard(NamedTuple):
    """What this tick's messages brought, beside commands.

    Attributes:
        stop_by_driver, stop_by_other: stops. second_authority: another valid source.
        out_of_range: a signed command with an illegal value. lease_lost: while driving.
        outside_zone: a locator says so. reset_given: the ECU is just being told of a reset.
    """

    stop_by_driver: bool = False
    stop_by_other: bool = False
    second_authority: bool = False
    out_of_range: bool = False
    lease_lost: bool = False
    outside_zone: bool = False
    reset_given: bool = False


class Health(NamedTuple):
    """What the shell knows of itself.

    Attributes:
        tick_late: this tick came too late. clock_backwards: the clock went back.
        relay: what the watchdog relay says. settings_mismatch: not the approved ones.
        ended_while_driving: from the durable record, first tick only.
        path_silent: a fitted command path gave nothing valid for its time.
    """

    tick_late: bool = False
    clock_backwards: bool = False
    relay: RelayView = NOT_FITTED
    settings_mismatch: bool = False
    ended_while_driving: bool = False
    path_silent: bool = False


class Watch:
    """Holds the timers of conditions that need to persist; everything else is a function."""

    def __init__(self, limits: MachineLimits, timing: Timing) -> None:
        self._limits = limits
        self._timing = timing
        self._moved = Persisting(MOVED_NS)
        self._over_speed = Persisting(OVER_SPEED_NS)
        self._steer = Persisting(STEER_MISMATCH_NS)
        self._brake = Persisting(BRAKE_MISMATCH_NS)
        self._supply = Persisting(SUPPLY_LOW_NS)
        self._welded = Persisting(RELAY_WELDED_NS)
        delay_s, rest_mps = limits.brake_delay_worst_s, limits.standstill_mps
        least_mps2 = SLOWING_SHARE * limits.stop_decel_mps2
        self._stop_slows = Slowing(delay_s, least_mps2, rest_mps)
        self._cap_slows = Slowing(delay_s, OVER_CAP_DECEL_MPS2, rest_mps)
        self._stop_blind = Persisting(STOP_BLIND_NS)
        self._stop_weak = Persisting(BRAKE_MISMATCH_NS)
        self._unparked = Persisting(PARK_NOT_SET_NS)
        self._against = Persisting(AGAINST_MOTION_NS)
        self._second_until_ns = 0
        self._range_until_ns = 0

    def conditions(
        self,
        now_ns: int,
        mode: VehicleMode,
        driver: Driver,
        feedback: Feedback,
        demand: Demand,
        heard: Heard,
        health: Health,
        *,
        standing: bool,
        cap_mps: float,
    ) -> Conditions:
        """Return this tick's conditions.

        Args:
            now_ns: monotonic. mode: before this tick. driver, feedback: what is known.
            demand: what was asked of the machine last. heard, health: this tick's news.
            standing: the machine is at standstill. cap_mps: the speed cap of the last tick.
        """
        limits, timing = self._limits, self._timing
        if heard.second_authority:
            self._second_until_ns = now_ns + HEARD_NS
        if heard.out_of_range:
            self._range_until_ns = now_ns + RANGE_SHOWN_NS
        view_us = driver.view_age_us(now_ns)
        loop_us = driver.loop_us(now_ns)
        speed = feedback.speed_mps
        moving = speed is not None and abs(speed) > MOVED_MPS
        ecu_ns = feedback.ecu_age_ns
        command = driver.newest
        stops = command is not None and command.frame.kind is CommandKind.STOP
        enable_held = (
            command is not None and command.frame.enable and command.frame.kind is CommandKind.DRIVE
        )
        return Conditions(
            command_late=driver.late(now_ns),
            command_stale=driver.stale(now_ns),
            loop_slow=loop_us is not None and loop_us > timing.loop_cap_ms * 1000,
            path_silent=health.path_silent,
            lease_lost=heard.lease_lost,
            view_late=view_us is None or view_us > timing.view_degraded_ms * 1000,
            view_stale=view_us is None or view_us > timing.view_stop_ms * 1000,
            display_unhealthy=not driver.display_ok(),
            enable_released=not enable_held and not standing and not stops,
            enable_never_released=enable_held and not driver.seen_released,
            input_still=not standing and driver.still_ns(now_ns) > timing.still_input_ms * _MS,
            input_conflict=driver.in_conflict(now_ns)
            or self._against_motion(now_ns, driver, speed),
            input_out_of_range=now_ns < self._range_until_ns,
            stop_by_driver=heard.stop_by_driver,
            stop_by_other=heard.stop_by_other,
            ecu_silent=ecu_ns is None or ecu_ns > timing.ecu_stop_ms * _MS,
            ecu_stopped=feedback.ecu is not None and feedback.ecu not in ECU_READY,
            ecu_latched=feedback.ecu in ECU_LATCHED and not heard.reset_given,
            ecu_conflict=feedback.conflict,
            output_mismatch=self._mismatch(now_ns, mode, feedback, demand),
            moved_while_stopped=self._moved.step(
                now_ns, moving and mode in PARKED and feedback.key_remote is not False
            ),
            stop_ineffective=self._stop_fails(now_ns, mode, feedback, demand),
            park_not_set=self._unparked.step(
                now_ns, standing and demand.park and feedback.park_applied is False
            ),
            relay_open=health.relay.not_closed,
            relay_welded=self._welded.step(now_ns, health.relay.welded),
            safety_unknown=feedback.estop == "unknown"
            or feedback.key_remote is None
            or feedback.supply_v is None,
            actuators_unknown=None
            in (feedback.curvature_per_m, feedback.brake_mps2, feedback.pitch_rad),
            estop_open=feedback.estop == "open" or health.relay.estop_open,
            estop_discrepancy=feedback.estop == "discrepancy" or health.relay.estop_discrepancy,
            speed_unknown=speed is None,
            over_speed=self._too_fast(now_ns, mode, speed, cap_mps),
            tilt_exceeded=any(
                angle is not None and abs(angle) > limits.tilt_max_rad
                for angle in (feedback.pitch_rad, feedback.roll_rad)
            ),
            supply_low=self._supply.step(
                now_ns, feedback.supply_v is not None and feedback.supply_v < SUPPLY_LOW_V
            ),
            zone_breached=heard.outside_zone,
            local_key_turned=feedback.key_remote is False,
            second_authority=now_ns < self._second_until_ns,
            guardian_late=health.tick_late,
            clock_trouble=health.clock_backwards,
            settings_mismatch=health.settings_mismatch,
            ended_while_driving=health.ended_while_driving,
        )

    def _too_fast(
        self, now_ns: int, mode: VehicleMode, speed_mps: float | None, cap_mps: float
    ) -> bool:
        limit_mps = OVER_SPEED_SHARE * self._limits.speed_max_mps
        fast = speed_mps is not None and abs(speed_mps) > limit_mps
        above = speed_mps is not None and abs(speed_mps) > cap_mps + OVER_CAP_MPS
        runs_on = self._cap_slows.step(now_ns, mode in DRIVING and above, speed_mps)
        return self._over_speed.step(now_ns, fast) or runs_on

    def _stop_fails(
        self, now_ns: int, mode: VehicleMode, feedback: Feedback, demand: Demand
    ) -> bool:
        stopping = mode is VehicleMode.STOPPING
        blind = self._stop_blind.step(now_ns, stopping and feedback.speed_mps is None)
        runs_on = self._stop_slows.step(now_ns, stopping, feedback.speed_mps)
        weak = self._stop_weak.step(now_ns, stopping and _brakes_too_little(feedback, demand))
        return blind or runs_on or weak

    def _against_motion(self, now_ns: int, driver: Driver, speed_mps: float | None) -> bool:
        command = driver.acting(now_ns)
        against = (
            command is not None
            and speed_mps is not None
            and command.throttle > CONFLICT_THROTTLE
            and command.gear * speed_mps < -AGAINST_MOTION_MPS
        )
        return self._against.step(now_ns, against)

    def _mismatch(self, now_ns: int, mode: VehicleMode, feedback: Feedback, demand: Demand) -> bool:
        driving = mode in DRIVING
        measured = feedback.curvature_per_m
        apart = measured is not None and (
            abs(demand.curvature_per_m - measured)
            > STEER_MISMATCH_SHARE * self._limits.curvature_max_per_m
        )
        steer = self._steer.step(now_ns, driving and demand.steer_valid and apart)
        brake = self._brake.step(now_ns, driving and _brakes_too_little(feedback, demand))
        return steer or brake


def _brakes_too_little(feedback: Feedback, demand: Demand) -> bool:
    """Return whether a brake demand worth checking is reported as mostly not given."""
    given = feedback.brake_mps2
    return (
        demand.brake_mps2 > BRAKE_CHECK_MPS2
        and given is not None
        and given < BRAKE_MISMATCH_SHARE * demand.brake_mps2
    )
