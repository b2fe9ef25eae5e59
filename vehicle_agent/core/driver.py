"""The driver as the machine knows him: his newest command, his link, and what he last saw."""

from __future__ import annotations

from collections import deque

from protocol.frames import FULL_SCALE, CommandFrame, CommandKind
from protocol.freshness import Accepted
from protocol.signals import Timing

LOOP_WINDOW_NS = 1_000_000_000
"""The loop time is the worst of this window: jitter must lower the cap, not hide in a mean."""
OWN_SHARE_MS = 25
"""Of the reaction time: two ticks and the way to the bus."""
CONFLICT_NS = 1_000_000_000
CONFLICT_THROTTLE = FULL_SCALE // 20
CONFLICT_BRAKE = FULL_SCALE // 5
NEUTRAL_STEPS = FULL_SCALE // 50
STILL_STEPS = FULL_SCALE // 100
"""An axis that stays within this of where it was has not moved: a sensor's noise is no hand."""
_MS = 1_000_000


class WorstOf:
    """The largest of the values of a window of time.

    A value that a later one reaches will not be the largest again and is not kept, so that the
    first that is kept is the largest.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._times_ns: deque[int] = deque()
        self._values: deque[int] = deque()

    def add(self, now_ns: int, value: int) -> None:
        """Add a value at its time."""
        while self._values and max(self._values[-1], value) == value:
            self._times_ns.pop()
            self._values.pop()
        self._times_ns.append(now_ns)
        self._values.append(value)

    def worst(self, now_ns: int) -> int | None:
        """Return the largest value in the window, None when it is empty."""
        times_ns = self._times_ns
        while times_ns and now_ns - times_ns[0] > self._window_ns:
            times_ns.popleft()
            self._values.popleft()
        return self._values[0] if self._values else None

    def clear(self) -> None:
        """Forget all."""
        self._times_ns.clear()
        self._values.clear()


def is_neutral(command: CommandFrame) -> bool:
    """Return True when throttle, implement and gear are at rest and the console agrees."""
    return (
        command.neutral
        and command.throttle <= NEUTRAL_STEPS
        and abs(command.implement) <= NEUTRAL_STEPS
        and command.gear == 0
    )


class Driver:
    """What acceptance let through, and how long ago."""

    _healthy_since_ns: int
    """Set by the first command: before it the link is late, and never healthy."""

    def __init__(
        self, timing: Timing, main_camera: int = 0, rear_camera: int | None = None
    ) -> None:
        self._timing = timing
        self._late_ns = timing.command_degraded_ms * _MS
        self._main_camera = main_camera
        self._rear_camera = main_camera if rear_camera is None else rear_camera
        self._loop = WorstOf(LOOP_WINDOW_NS)
        self.forget()

    def forget(self) -> None:
        """Start again for another lease."""
        self._newest: Accepted | None = None
        self._acts_until_ns: int | None = None
        self._changed_ns: int | None = None
        self._changed_from: CommandFrame | None = None
        self._conflict_since_ns: int | None = None
        self._released = False
        self._view_us = 0
        self._loop.clear()

    def await_release(self) -> None:
        """From now on enable must be seen open before it counts (arming)."""
        self._released = False

    def take(self, accepted: Accepted) -> None:
        """Let an accepted command become the newest."""
        frame, now_ns = accepted.frame, accepted.at_ns
        before = self._newest
        if before is None or now_ns - before.at_ns > self._late_ns:
            self._healthy_since_ns = now_ns
        if self._changed_from is None or _has_moved(self._changed_from, frame):
            self._changed_ns, self._changed_from = now_ns, frame
        conflict = frame.throttle > CONFLICT_THROTTLE and frame.brake > CONFLICT_BRAKE
        if not conflict:
            self._conflict_since_ns = None
        elif self._conflict_since_ns is None:
            self._conflict_since_ns = now_ns
        self._released = self._released or not frame.enable
        if self._shows_the_way(frame):
            self._view_us = frame.view_stamp_us
        self._newest, self._acts_until_ns = accepted, self._end_of(accepted)
        worst_us = accepted.loop_age_us
        age_us = self.view_age_us(now_ns)
        if age_us is not None:
            worst_us = max(worst_us, min(age_us, self._timing.view_stop_ms * 1000))
        self._loop.add(now_ns, worst_us)

    def _shows_the_way(self, frame: CommandFrame) -> bool:
        """Return whether the driver's main view is of the direction of travel, either at neutral.

        While it is not, the last picture that was ages on: a change of the gear takes the screen
        some pictures, and a screen that keeps the wrong view stops the machine.
        """
        ways = {1: (self._main_camera,), -1: (self._rear_camera,)}
        return frame.camera in ways.get(frame.gear, (self._main_camera, self._rear_camera))

    @property
    def newest(self) -> Accepted | None:
        """The newest accepted command, whatever its age."""
        return self._newest

    def age_ns(self, now_ns: int) -> int | None:
        """Return the time since the newest command was accepted."""
        return None if self._newest is None else now_ns - self._newest.at_ns

    def late(self, now_ns: int) -> bool:
        """Return True when no command was accepted for the degraded time."""
        newest = self._newest
        return newest is None or now_ns - newest.at_ns > self._late_ns

    def stale(self, now_ns: int) -> bool:
        """Return True when the newest command may no longer act."""
        until_ns = self._acts_until_ns
        return until_ns is None or now_ns >= until_ns

    def command_left_ns(self, now_ns: int) -> int | None:
        """Return the time until the newest command stops acting, None without one.

        It may act for its own life and for the table's stop time, and never so long that the
        brake would come later than the reaction time after it left the console: its age when
        it was accepted (the uplink bound, by this machine's clock) is taken off.
        """
        return None if self._acts_until_ns is None else self._acts_until_ns - now_ns

    def _end_of(self, accepted: Accepted) -> int:
        """Return when a command stops acting."""
        timing = self._timing
        longest_ms = min(accepted.frame.ttl_ms, timing.command_ttl_max_ms, timing.command_stop_ms)
        longest_ns = longest_ms * _MS
        reaction_ns = (timing.reaction_ms - OWN_SHARE_MS) * _MS - accepted.uplink_us * 1000
        return accepted.at_ns + min(longest_ns, reaction_ns)

    def acting(self, now_ns: int) -> CommandFrame | None:
        """Return the command that may act now, None when it is late."""
        if self.late(now_ns) or self.stale(now_ns):
            return None
        assert self._newest is not None  # nothing at all is late
        return self._newest.frame

    def neutral(self, now_ns: int) -> bool:
        """Return True when a current command has all controls at rest."""
        command = self.acting(now_ns)
        return command is not None and is_neutral(command)

    def enabled(self, now_ns: int) -> bool:
        """Return True when a current command holds enable and asks to drive."""
        command = self.acting(now_ns)
        return command is not None and command.enable and command.kind is CommandKind.DRIVE

    @property
    def seen_released(self) -> bool:
        """Enable was seen open since arming."""
        return self._released

    def healthy_ns(self, now_ns: int) -> int:
        """Return for how long commands have come without a gap."""
        return 0 if self.late(now_ns) else now_ns - self._healthy_since_ns

    def view_age_us(self, now_ns: int) -> int | None:
        """Return the age of the picture that the driver last saw, None when there is none.

        A stamp from the future is no stamp: it cannot be a picture of this machine.
        """
        age_us = now_ns // 1000 - self._view_us
        return None if self._view_us == 0 or age_us < 0 else age_us

    def loop_us(self, now_ns: int) -> int | None:
        """Return T_loop: the worst of state echo and view over the last second."""
        return self._loop.worst(now_ns)

    def display_ok(self) -> bool:
        """Return what the newest command says of the driver's screen."""
        return self._newest is not None and self._newest.frame.display_ok

    def still_ns(self, now_ns: int) -> int:
        """Return for how long no input has changed."""
        return 0 if self._changed_ns is None else now_ns - self._changed_ns

    def in_conflict(self, now_ns: int) -> bool:
        """Return True when throttle and brake have been pressed together for a second."""
        since = self._conflict_since_ns
        return since is not None and now_ns - since >= CONFLICT_NS


def _has_moved(before: CommandFrame, after: CommandFrame) -> bool:
    """Return whether a hand or foot has changed anything; enable itself does not count."""
    axes = zip(_axes(before), _axes(after))  # noqa: B905 - both have the same four
    return _switches(before) != _switches(after) or any(
        abs(new - old) > STILL_STEPS for old, new in axes
    )


def _axes(frame: CommandFrame) -> tuple[int, ...]:
    return (frame.steer, frame.throttle, frame.brake, frame.implement)


def _switches(frame: CommandFrame) -> tuple[int, bool, bool, bool]:
    return (frame.gear, frame.park_brake, frame.horn, frame.lights)
