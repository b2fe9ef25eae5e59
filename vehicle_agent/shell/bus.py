"""The by-wire bus at the machine's edge: opened from settings, drained, written without waiting.

No Notifier and no cyclic tasks: one corrupt slcan byte ends a Notifier's thread, and a cyclic task
in the kernel goes on sending the last command when this process hangs.
"""

from __future__ import annotations

from collections import Counter, deque

import can

from vehicle_agent.shell.config import CanSettings

NOT_DRAINING_FRAMES = 10
"""Sends refused in a row after which the bus counts as not draining."""
BROKEN_READS = 100
"""Reads that raised in a row after which the adapter counts as lost."""
BUS_OFF_CLASS = 0x40
"""Bit in the id of an error frame: the controller has left the bus (``linux/can/error.h``)."""
BUS_OFFS_MAX, BUS_OFF_WINDOW_NS = 3, 60_000_000_000
"""The controller may come back twice by itself; the third time in a minute it stays away."""


def open_bus(settings: CanSettings) -> can.BusABC:
    """Return the bus that ``settings`` name, by way of python-can and its plug-ins only.

    Raises:
        can.CanError: the interface is unknown or the adapter cannot be opened.
        OSError: the adapter's device or folder cannot be used.
    """
    options = dict(settings.options)
    if settings.bitrate_bps is not None:
        options["bitrate"] = settings.bitrate_bps
    try:
        return can.Bus(
            channel=settings.channel, interface=settings.interface, ignore_config=True, **options
        )
    except NotImplementedError as error:
        raise can.CanInterfaceNotImplementedError(str(error)) from error


class BusReader:
    """Takes everything that waits on the bus, with a guard round each frame.

    Attributes:
        counts: ``frames`` given on; ``error_frames``, ``remote_frames``, ``fd_frames`` left out,
            ``bus_offs`` among the first; reads that raised, as ``raised:<type>``.
        given_up: the controller left the bus for the third time in a minute, by when its error
            frames were read (a driver stamps them by the wall clock, which may step). It stays so
            until the process ends: somebody has to look at the wire.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.given_up = False
        self._raised_in_a_row = 0
        self._bus_offs_ns: deque[int] = deque(maxlen=BUS_OFFS_MAX)

    @property
    def broken(self) -> bool:
        """True when reading did nothing but raise for :data:`BROKEN_READS` reads."""
        return self._raised_in_a_row >= BROKEN_READS

    def drain(self, bus: can.BusABC, budget: int, now_ns: int) -> list[can.Message]:
        """Return what waits at ``now_ns``, oldest first, in ``budget`` reads at most.

        A read that raises is counted and the next one tried: a bad frame never hides those
        behind it, and a dead adapter costs no more than the budget.
        """
        frames: list[can.Message] = []
        for _ in range(budget):
            try:
                message = bus.recv(0)
            except Exception as error:
                self.counts[f"raised:{type(error).__name__}"] += 1
                self._raised_in_a_row += 1
                continue
            self._raised_in_a_row = 0
            if message is None:
                break
            left_out = _left_out(message)
            self.counts[left_out or "frames"] += 1
            if message.is_error_frame and message.arbitration_id & BUS_OFF_CLASS:
                self._bus_off(now_ns)
            if left_out is None:
                frames.append(message)
        return frames

    def _bus_off(self, now_ns: int) -> None:
        self.counts["bus_offs"] += 1
        times_ns = self._bus_offs_ns
        times_ns.append(now_ns)
        if len(times_ns) == BUS_OFFS_MAX and now_ns - times_ns[0] <= BUS_OFF_WINDOW_NS:
            self.given_up = True


def _left_out(message: can.Message) -> str | None:
    """Return why a message carries nothing for a codec; None when it is a data frame."""
    if message.is_error_frame:
        return "error_frames"
    if message.is_remote_frame:
        return "remote_frames"
    return "fd_frames" if message.is_fd else None


class BusSender:
    """Writes frames and never waits.

    There is no queue: a frame that the bus does not take (ENOBUFS, bus-off, unplugged) is dropped
    and counted, and the next slot sends the newest command instead of it.

    Attributes:
        sent: frames taken by the bus.
        failed: frames dropped, by the name of what was raised; ``shut`` while :attr:`shut`.
        shut: nothing is sent; the ECU hears silence and stops by its own timers.
    """

    def __init__(self, bus: can.BusABC) -> None:
        self._bus = bus
        self._failed_in_a_row = 0
        self.sent = 0
        self.failed: Counter[str] = Counter()
        self.shut = False

    @property
    def not_draining(self) -> bool:
        """True when the last :data:`NOT_DRAINING_FRAMES` frames were all refused."""
        return self._failed_in_a_row >= NOT_DRAINING_FRAMES

    def send_frame(self, can_id: int, data: bytes) -> bool:
        """Send one 29-bit data frame; False when the bus did not take it, or is shut."""
        if self.shut:
            return self._dropped("shut")
        message = can.Message(arbitration_id=can_id, data=data, is_extended_id=True)
        try:
            self._bus.send(message, timeout=0)
        except Exception as error:
            return self._dropped(type(error).__name__)
        self._failed_in_a_row = 0
        self.sent += 1
        return True

    def _dropped(self, why: str) -> bool:
        self.failed[why] += 1
        self._failed_in_a_row += 1
        return False
