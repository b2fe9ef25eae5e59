"""The chain of hashes through a log: which message was altered, is missing or stands elsewhere.

Each message has a mark of four bytes of its own; all messages run into one head. Marks name the
place, heads prove the whole: a head that somebody else has kept, or that the machine has signed,
cannot be met again by another content. Of attachments a file's first message has the digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

MARK_BYTES, DIGEST_BYTES, HEAD_BYTES = 4, 16, 32


def digest(topic: str, log_ns: int, data: bytes) -> bytes:
    """Return the digest of one message; its mark is the beginning of it."""
    head = f"{topic}\0{log_ns}\0".encode()
    return hashlib.blake2b(head + data, digest_size=DIGEST_BYTES).digest()


def attached(attachments: Iterable[tuple[str, str, bytes]]) -> dict[str, str]:
    """Return what the chained first message of a file says of its attachments: SHA-256 by name.

    Args:
        attachments: name, media type and content of each.
    """
    return {name: hashlib.sha256(data).hexdigest() for name, _, data in attachments}


class Chain:
    """Takes messages in their order, and gives a link of the chain now and then.

    Args:
        head: of the file before, or zeros.
    """

    def __init__(self, head: bytes = bytes(HEAD_BYTES)) -> None:
        self._head = head
        self._hash = hashlib.blake2b(head, digest_size=HEAD_BYTES)
        self._marks: list[bytes] = []
        self.count = 0

    def add(self, topic: str, log_ns: int, data: bytes) -> None:
        """Take the next message."""
        whole = digest(topic, log_ns, data)
        self._hash.update(whole)
        self._marks.append(whole[:MARK_BYTES])
        self.count += 1

    def link(self) -> dict[str, Any] | None:
        """Return what to write of the messages since the last link; None when there are none."""
        if not self._marks:
            return None
        marks, self._marks = self._marks, []
        before, self._head = self._head, self._hash.digest()
        return {
            "before": before.hex(),
            "head": self._head.hex(),
            "count": self.count,
            "marks": b"".join(marks).hex(),
        }

    @property
    def head(self) -> bytes:
        """The head of the last link."""
        return self._head
