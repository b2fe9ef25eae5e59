"""What the guardian tells the recorder: bounded, without waiting, after all else of a tick is done.

A recorder that is slow or away costs a place in a bounded store and later, when that is full, the
oldest ticks; never time. It is asked for a key state by the recorder, and gives it in its turn.
"""

from __future__ import annotations

import struct
from collections import deque

from vehicle_agent.core import tape
from vehicle_agent.core.keystate import freeze
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs
from vehicle_agent.shell import ipc

STORE_BYTES = 8 * 1024 * 1024
"""About two minutes of ticks."""
SENT_PER_TICK = 16
"""Datagrams that are offered after one tick: what was held back for long must not make one late."""
SIZES = struct.Struct("<I")


class TapeSender:
    """Hands every tick to the recorder.

    Args:
        mailbox: of the guardian. setup: of this boot.

    Attributes:
        lost: ticks that found no room.
    """

    def __init__(self, mailbox: ipc.Mailbox, setup: Setup) -> None:
        self._mailbox, self._setup = mailbox, setup
        self._store: deque[bytes] = deque()
        self._bytes = 0
        self._number = 0
        self._key_wanted = False
        self.lost = 0
        self._boot = ipc.TO_RECORDER_BOOT + tape.to_bytes(tape.boot_of(setup))
        self._keep(self._boot)

    def ask_key(self) -> None:
        """The recorder begins a file: it needs the boot and the state to begin from."""
        self._key_wanted = True

    def tick(
        self, now_ns: int, given: TickInputs, supervisor: Supervisor, said: TickOutputs
    ) -> None:
        """Keep a tick and offer what is kept."""
        self._number += 1
        number = self._number
        heard = tape.to_bytes(tape.inputs_of(number, now_ns, given))
        spoken = tape.to_bytes(tape.outputs_of(number, now_ns, supervisor, said))
        self._keep(ipc.TO_RECORDER_TICK + SIZES.pack(len(heard)) + heard + spoken)
        if self._key_wanted:
            self._key_wanted = False
            state = {"n": number, "t": now_ns, "state": freeze(supervisor, self._setup)}
            self._keep(self._boot)
            self._keep(ipc.TO_RECORDER_KEY + tape.to_bytes(state))
        self._offer()

    def _keep(self, datagram: bytes) -> None:
        self._store.append(datagram)
        self._bytes += len(datagram)
        while self._bytes > STORE_BYTES:
            self._bytes -= len(self._store.popleft())
            self.lost += 1

    def _offer(self) -> None:
        for _ in range(SENT_PER_TICK):
            if not self._store or not self._mailbox.offer(ipc.RECORDER, self._store[0]):
                return
            self._bytes -= len(self._store.popleft())
