"""An slcan adapter as a python-can bus: interface ``headframe_slcan``.

python-can's own one loses its reader to one corrupt byte and waits two seconds to open. This one
counts a bad line and reads on, opens an adapter that was unplugged again by its path, and looks at
the terminal in a thread of its own (see shell/relay.py: reading a terminal can wait for a worker of
the kernel). Nothing that waited while it was away is sent afterwards.
"""

from __future__ import annotations

import os
import select
import termios
from collections import deque
from collections.abc import Callable
from typing import Any

import can
import serial

from vehicle_agent.core.slcan import BITRATES, SlcanDecoder, SlcanFrame, encode
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.relay import READ_MAX_BYTES, REOPEN_FIRST_NS, REOPEN_LAST_NS, Pump

TTY_BAUD = 921_600
"""The by-wire matrix needs 460 800 and more; USB adapters ignore it."""
_NS_PER_S = 1_000_000_000


class SlcanBus(can.BusABC):
    """One adapter that may come and go.

    Args:
        channel: its device; give a path by id, which stays the same when it is plugged in again.
        bitrate: one of Lawicel's, bit/s. now_ns: monotonic clock.

    Attributes:
        decoder: its counters tell what was lost. events: ``opened``, ``open_failed``, ``lost``,
            ``cut`` and ``not_taken`` writes.

    Raises:
        can.CanInitializationError: an unknown bit rate, or the device cannot be opened at first.
    """

    def __init__(
        self,
        channel: Any,
        bitrate: int = 500_000,
        can_filters: can.typechecking.CanFilters | None = None,
        now_ns: Callable[[], int] = monotonic_ns,
        **kwargs: object,
    ) -> None:
        self.decoder = SlcanDecoder()
        self.events: dict[str, int] = dict.fromkeys(
            ("opened", "open_failed", "lost", "cut", "not_taken"), 0
        )
        self._path, self._now_ns = str(channel), now_ns
        self._pump: Pump | None = None
        self._descriptor = -1
        self._waiting: deque[can.Message] = deque()
        self._pause_ns = REOPEN_FIRST_NS
        self._reopen_ns = 0
        self._is_shutdown = True  # until it stands: a failed start leaves nothing to shut
        if bitrate not in BITRATES:
            raise can.CanInitializationError(f"slcan has no bit rate {bitrate}")
        self._speed = BITRATES[bitrate]
        self._open()
        if self.fileno() < 0:
            raise can.CanInitializationError(f"{self._path}: cannot be opened")
        self.channel_info = f"headframe_slcan {channel}"
        super().__init__(channel=channel, can_filters=can_filters, **kwargs)
        self._is_shutdown = False

    def fileno(self) -> int:
        """Return a descriptor, readable when bytes wait or the adapter went; -1 when it is away."""
        return -1 if self._pump is None else self._pump.descriptor

    def send(self, msg: can.Message, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write one classic frame; never waits.

        Raises:
            can.CanOperationError: the adapter is away, or the line took less than the frame.
        """
        if self._pump is None:
            raise can.CanOperationError(f"{self._path}: the adapter is away")
        line = encode(
            SlcanFrame(msg.arbitration_id, bytes(msg.data), msg.is_extended_id, msg.is_remote_frame)
        )
        try:
            taken = os.write(self._descriptor, line)
        except BlockingIOError:
            self.events["not_taken"] += 1
            raise can.CanOperationError(f"{self._path}: the line is full") from None
        except OSError as error:
            self._lose()
            raise can.CanOperationError(f"{self._path}: {error.strerror}") from error
        if taken < len(line):
            self.events["cut"] += 1
            raise can.CanOperationError(f"{self._path}: the line took a part of a frame")

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if not self._waiting:
            self._read(0.0 if timeout is None else timeout)
        return (self._waiting.popleft() if self._waiting else None), False

    def _read(self, timeout_s: float) -> None:
        if self._pump is None:
            self._open()
            return
        if timeout_s > 0:
            select.select([self._pump.descriptor], [], [], timeout_s)
        try:
            data = os.read(self._pump.descriptor, READ_MAX_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._lose()
            return
        self._pause_ns = REOPEN_FIRST_NS
        stamp_s = self._now_ns() / _NS_PER_S
        self._waiting.extend(_message(frame, stamp_s) for frame in self.decoder.feed(data))

    def _open(self) -> None:
        now_ns = self._now_ns()
        if now_ns < self._reopen_ns:
            return
        try:
            port = serial.Serial(self._path, TTY_BAUD, timeout=0, write_timeout=0, exclusive=True)
            self._descriptor, self._pump = port.fileno(), Pump(port)
            os.write(self._descriptor, f"\rC\r{self._speed}\rO\r".encode())
        except (OSError, ValueError, RuntimeError, termios.error):
            self.events["open_failed"] += 1
            self._let_go()
            self._wait(now_ns)
            return
        self.events["opened"] += 1

    def _lose(self) -> None:
        self.events["lost"] += 1
        self._let_go()
        self.decoder.forget()
        self._waiting.clear()
        self._wait(self._now_ns())

    def _let_go(self) -> None:
        pump, self._pump, self._descriptor = self._pump, None, -1
        if pump is not None:
            pump.let_go()

    def _wait(self, now_ns: int) -> None:
        self._reopen_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, REOPEN_LAST_NS)

    def shutdown(self) -> None:
        """Close the adapter's channel and leave it. A second call does nothing."""
        super().shutdown()
        pump = self._pump
        if pump is not None:
            try:
                os.write(self._descriptor, b"C\r")
            except OSError:  # it is gone, or full: it will be closed when it is opened again
                self.events["not_taken"] += 1
            self._let_go()
            pump.join()

    @staticmethod
    def _detect_available_configs() -> list[can.typechecking.AutoDetectedConfig]:
        return []


def _message(frame: SlcanFrame, stamp_s: float) -> can.Message:
    return can.Message(
        timestamp=stamp_s,
        arbitration_id=frame.can_id,
        is_extended_id=frame.extended,
        is_remote_frame=frame.remote,
        dlc=len(frame.data),
        data=None if frame.remote else frame.data,
    )
