"""python-can on the emulated wire: what drives a real adapter drives this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import can

from hil.wire import Node, Wire, WireFrame
from vehicle_agent.shell.bus import BUS_OFF_CLASS

_NS_PER_S = 1_000_000_000
CLASSIC_MAX_BYTES = 8


class EmulatedCanBus(can.BusABC):
    """One node of a :class:`Wire` as a python-can bus.

    Args:
        wire: the wire. name: of the node.
        now_ns: the bench's clock; a frame is in its mailbox from then on.

    Attributes:
        node: the controller, with its error counters.
    """

    def __init__(self, wire: Wire, name: str, now_ns: Callable[[], int], **kwargs: Any) -> None:
        self.node: Node = wire.node(name)
        self._wire, self._now_ns = wire, now_ns
        self._bus_offs_told = 0
        self.channel_info = f"emulated {name}"
        super().__init__(channel=name, **kwargs)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:  # noqa: ARG002
        """Put one frame into a mailbox; never waits.

        Raises:
            can.CanOperationError: no classic data frame, bus-off, or every mailbox is taken.
        """
        if msg.is_fd or msg.is_remote_frame or len(msg.data) > CLASSIC_MAX_BYTES:
            raise can.CanOperationError("the emulated wire carries classic data frames only")
        frame = WireFrame(msg.arbitration_id, bytes(msg.data), msg.is_extended_id)
        if not self.node.post(self._now_ns(), frame):
            why = "bus-off" if self.node.off else "every mailbox is taken"
            raise can.CanOperationError(f"{self.node.name}: {why}")

    @property
    def state(self) -> can.BusState:
        """Fault confinement as python-can has it."""
        if self.node.off:
            return can.BusState.ERROR
        passive = self.node.state.value == "error-passive"
        return can.BusState.PASSIVE if passive else can.BusState.ACTIVE

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        if new_state is can.BusState.ACTIVE:
            self._wire.recover(self.node)

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:  # noqa: ARG002
        """Return what waits. Nothing is waited for: the bench alone moves the wire."""
        if not self.node.received:
            return None, False
        heard = self.node.received.popleft()
        frame, stamp_s = heard.frame, heard.t_ns / _NS_PER_S
        if frame is None:
            return self._error(stamp_s), False
        return (
            can.Message(
                timestamp=stamp_s,
                arbitration_id=frame.can_id,
                is_extended_id=frame.extended,
                data=frame.data,
                channel=self.channel_info,
            ),
            False,
        )

    def _error(self, stamp_s: float) -> can.Message:
        """An error frame as SocketCAN has it; of one that put the node off the bus it says so."""
        offs = self.node.counts["bus_off"]
        told, self._bus_offs_told = self._bus_offs_told, offs
        error_class = BUS_OFF_CLASS if offs > told else 0
        return can.Message(timestamp=stamp_s, arbitration_id=error_class, is_error_frame=True)

    @staticmethod
    def _detect_available_configs() -> list[can.typechecking.AutoDetectedConfig]:
        return []
