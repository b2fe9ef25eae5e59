"""Builds the next command frame from what is held, seen and heard at this moment."""

from __future__ import annotations

from typing import NamedTuple

from operator_console.core.echo import Echo
from operator_console.core.engagement import Lease
from operator_console.core.inputs import REST, DriverInput
from protocol.frames import FULL_SCALE, CommandFrame, CommandKind
from protocol.signals import COMMAND_SPACING_MIN_MS, Timing

SPACING_NS = COMMAND_SPACING_MIN_MS * 1_000_000
U16_MAX = (1 << 16) - 1
U32_MAX = (1 << 32) - 1


class OnScreen(NamedTuple):
    """What the driver has in view, as it travels in a command.

    Attributes:
        camera: main view. capture_us: its capture stamp, 0 for none.
        age_ms: as this console computes it, None when unknown.
        ok: the display is alive, visible and fresh.
    """

    camera: int = 0
    capture_us: int = 0
    age_ms: float | None = None
    ok: bool = False


def _scaled(value: float) -> int:
    return round(value * FULL_SCALE)


class CommandBuilder:
    """Numbers the commands of one console and knows when the next is due."""

    def __init__(self, vehicle_id: int, timing: Timing) -> None:
        self._vehicle_id = vehicle_id
        self._timing = timing
        self._sequence = 0
        self._last: CommandFrame | None = None
        self._last_ns: int | None = None
        self._due_ns = 0
        self._period_ns = timing.command_period_ms * 1_000_000

    def build(
        self,
        now_ns: int,
        lease: Lease,
        kind: CommandKind,
        driver: DriverInput | None,
        echo: Echo,
        screen: OnScreen,
    ) -> CommandFrame | None:
        """Return the next command when it is due, else None.

        It is due at once when what is asked has changed, 5 ms after the last one at the
        earliest, and every 20 ms in any case. Without a valid input nothing is asked: no
        enable, no axes, and not neutral either, for an unplugged device is not a resting hand.
        """
        if self.gap_ns(now_ns) > 0:
            return None
        frame = self._frame(now_ns, lease, kind, driver, echo, screen)
        period_over = self._last_ns is None or now_ns >= self._due_ns
        if not period_over and self._last is not None and _asks_same(frame, self._last):
            return None
        self._sequence += 1
        self._last, self._last_ns = frame, now_ns
        self._set_due(now_ns, period_over=period_over)
        return frame

    def _set_due(self, now_ns: int, *, period_over: bool) -> None:
        """Keep the beat; a slot missed by a whole period is skipped, never caught up."""
        late_ns = now_ns - self._due_ns
        on_beat = period_over and 0 <= late_ns < self._period_ns
        self._due_ns = (self._due_ns if on_beat else now_ns) + self._period_ns

    def due_in_ns(self, now_ns: int) -> int:
        """Time until the next command is due even without a change."""
        return max(0, self._due_ns - now_ns)

    def gap_ns(self, now_ns: int) -> int:
        """Time until the next command may go out at all."""
        if self._last_ns is None:
            return 0
        return max(0, self._last_ns + SPACING_NS - now_ns)

    def _frame(
        self,
        now_ns: int,
        lease: Lease,
        kind: CommandKind,
        driver: DriverInput | None,
        echo: Echo,
        screen: OnScreen,
    ) -> CommandFrame:
        frame = CommandFrame(
            kind=kind,
            vehicle_id=self._vehicle_id,
            key_id=lease.key_id,
            ttl_ms=self._timing.command_ttl_max_ms,
            epoch=lease.epoch,
            sequence=self._sequence + 1,
            boot_tag=lease.boot_tag,
            echo_hold_us=min((now_ns - echo.received_ns) // 1000, U32_MAX),
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=echo.stamp_us,
            view_stamp_us=screen.capture_us,
            camera=screen.camera,
            view_age_ms=U16_MAX if screen.age_ms is None else min(round(screen.age_ms), U16_MAX),
            display_ok=screen.ok,
        )
        if driver is None:
            return frame
        drives = kind is CommandKind.DRIVE
        braking = driver.brake >= REST
        return frame._replace(
            steer=_scaled(driver.steer),
            throttle=_scaled(driver.throttle) if drives and not braking else 0,
            brake=_scaled(driver.brake),
            gear=driver.gear,
            implement=_scaled(driver.implement) if drives else 0,
            enable=drives,
            neutral=driver.neutral,
            park_brake=driver.park,
            horn=driver.horn,
            lights=driver.lights,
        )


def _asks_same(new: CommandFrame, old: CommandFrame) -> bool:
    return _wish_of(new) == _wish_of(old)


def _wish_of(frame: CommandFrame) -> tuple[object, ...]:
    return (
        frame.kind,
        frame.flags,
        frame.steer,
        frame.throttle,
        frame.brake,
        frame.gear,
        frame.implement,
    )
