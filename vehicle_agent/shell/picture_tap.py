"""Hands the recorder every access unit as it was sent, and what is known of it; waits for nobody.

What is known of a picture goes apart from it and is never given up for it: a log without pictures
still tells when each was taken, encoded and sent.
"""

from __future__ import annotations

import json
import struct

from vehicle_agent.shell import ipc

PART = struct.Struct("<BBHHQI")
"""Camera, flags (1: key frame), number of this part, of how many, capture stamp µs, picture."""
KEY_FRAME = 1
PARTS_MAX = 64
PART_BYTES = 60_000


class PictureTap:
    """One process's pictures on their way to the recorder.

    Attributes:
        dropped: pictures that were not taken whole.
    """

    def __init__(self, mailbox: ipc.Mailbox) -> None:
        self._mailbox = mailbox
        self._number = 0
        self.dropped = 0

    def take(
        self, camera: int, data: bytes, capture_us: int, meta: dict[str, object], *, key: bool
    ) -> None:
        """Hand over one picture.

        Args:
            camera: its id. data: the access unit. capture_us: monotonic stamp of the capture.
            meta: what is known of it. key: it stands alone.
        """
        self._number = (self._number + 1) & 0xFFFFFFFF
        text = json.dumps(meta, separators=(",", ":")).encode()
        offer = self._mailbox.offer
        if not offer(ipc.RECORDER, ipc.TO_RECORDER_META + bytes([camera]) + text):
            self.dropped += 1
            return
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        if len(parts) > PARTS_MAX:
            self.dropped += 1
            return
        flags = KEY_FRAME if key else 0
        for number, part in enumerate(parts):
            head = PART.pack(camera, flags, number, len(parts), capture_us, self._number)
            if not offer(ipc.RECORDER, ipc.TO_RECORDER_PICTURE + head + part):
                self.dropped += 1
                return
