"""What the guardian tells the recorder: bounded, without waiting, after all else of a tick is done.

A recorder that is slow or away costs a place in a bounded store and later, when that is full, the
oldest ticks; never time. What was handed over is kept until the recorder says that it is written,
so that the next one can have it if this one is killed. It is asked for a key state by the recorder,
and gives it in its turn.
"""

from __future__ import annotations

import struct
import zlib
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
WRITTEN = struct.Struct("<II")
"""CRC-32 of the boot's content, and the number of its tick."""
KEY_MAX_BYTES = 4 * 1024 * 1024
"""Of a key state's text: 70 KB where commands come by two paths; it goes over compressed."""


def key_text(body: bytes) -> bytes:
    """Return the text of a key state that was handed over.

    Raises:
        ValueError: it is not whole, or longer than 4 MiB.
    """
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(body, KEY_MAX_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("the key state is not whole")
    return text


class TapeSender:
    """Hands every tick to the recorder.

    Args:
        mailbox: of the guardian. setup: of this boot.

    Attributes:
        lost: ticks that found no room, and ticks and key states that could not be written down.
    """

    def __init__(self, mailbox: ipc.Mailbox, setup: Setup) -> None:
        self._mailbox, self._setup = mailbox, setup
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._given: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._number = 0
        self._key_wanted = False
        self.lost = 0
        content = tape.to_bytes(tape.boot_of(setup))
        self._crc = zlib.crc32(content)
        self._boot = ipc.TO_RECORDER_BOOT + content
        self._keep(self._boot)

    def ask_key(self) -> None:
        """The recorder begins a file: it needs the boot and the state to begin from."""
        self._key_wanted = True

    def written(self, body: bytes) -> None:
        """The recorder has written up to a tick, if it is one of this boot."""
        if len(body) != WRITTEN.size:
            return
        crc, number = WRITTEN.unpack(body)
        while crc == self._crc and self._given and self._given[0][0] <= number:
            self._bytes -= len(self._given.popleft()[1])

    def tick(
        self, now_ns: int, given: TickInputs, supervisor: Supervisor, said: TickOutputs
    ) -> None:
        """Keep a tick and offer what is kept; what cannot be written down is lost, and no tick."""
        self._number += 1
        try:
            self._take(now_ns, given, supervisor, said)
        except (ValueError, TypeError):
            self.lost += 1
        self._offer()

    def _take(
        self, now_ns: int, given: TickInputs, supervisor: Supervisor, said: TickOutputs
    ) -> None:
        number = self._number
        key_wanted, self._key_wanted = self._key_wanted, False
        heard = tape.to_bytes(tape.inputs_of(number, now_ns, given))
        spoken = tape.to_bytes(tape.outputs_of(number, now_ns, supervisor, said))
        self._keep(ipc.TO_RECORDER_TICK + SIZES.pack(len(heard)) + heard + spoken)
        if key_wanted:
            state = {"n": number, "t": now_ns, "state": freeze(supervisor, self._setup)}
            self._keep(self._boot)
            key = ipc.TO_RECORDER_KEY + zlib.compress(tape.to_bytes(state), level=1)
            if len(key) > ipc.DATAGRAM_MAX_BYTES:
                raise ValueError("the state is too large for one datagram")
            self._keep(key)

    def _keep(self, datagram: bytes) -> None:
        self._waiting.append((self._number, datagram))
        self._bytes += len(datagram)
        while self._bytes > STORE_BYTES:
            self.lost += not self._given
            _, oldest = (self._given or self._waiting).popleft()
            self._bytes -= len(oldest)

    def _offer(self) -> None:
        for _ in range(SENT_PER_TICK):
            if not self._waiting:
                return
            handed = self._mailbox.hand(ipc.RECORDER, self._waiting[0][1])
            if handed is ipc.Handed.GONE:  # the next recorder gets what this one had not written
                self._waiting.extendleft(reversed(self._given))
                self._given.clear()
            if handed is not ipc.Handed.TAKEN:
                return
            self._given.append(self._waiting.popleft())
