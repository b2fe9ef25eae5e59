"""A real medium between guardian and bench: what comes by it goes onto the emulated wire, and back.

The guardian has one adapter, the bench the other; behind the bench's stands the emulated ECU with
every fault that the wire can have. So the same cases run over real adapters and their drivers.
"""

from __future__ import annotations

from collections import Counter

import can

from hil.wire import Heard, Wire, WireFrame
from vehicle_agent.shell.bus import BusReader

READ_BUDGET = 256


class BusBridge:
    """The bench's end of a medium, as a node of the wire. Call :meth:`poll` often.

    Attributes:
        node: on the wire, in the place of the guardian's. failed: frames the medium did not take.
    """

    def __init__(self, wire: Wire, name: str, bus: can.BusABC) -> None:
        self.node = wire.node(name, self._hear)
        self.failed: Counter[str] = Counter()
        self._bus, self._reader = bus, BusReader()

    def poll(self, now_ns: int) -> None:
        """Take what the guardian sent, and put it onto the wire at ``now_ns``."""
        for message in self._reader.drain(self._bus, READ_BUDGET, now_ns):
            frame = WireFrame(message.arbitration_id, bytes(message.data), message.is_extended_id)
            if not self.node.post(now_ns, frame):
                self.failed["wire"] += 1

    def _hear(self, heard: Heard) -> None:
        frame = heard.frame
        if frame is None:
            return
        message = can.Message(
            arbitration_id=frame.can_id, data=frame.data, is_extended_id=frame.extended
        )
        try:
            self._bus.send(message, timeout=0)
        except Exception as error:
            self.failed[type(error).__name__] += 1
