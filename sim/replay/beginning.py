"""What each file of a log says of itself: its number, and whether it goes on after a kill.

It stands in the file's first message, which is chained, and in its metadata, which is not. The
first message also has the digests of what is attached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recording.chain import attached
from recording.reader import LogFile, Message

METADATA, ATTACHMENTS = "headframe", "attachments"


@dataclass(frozen=True, slots=True)
class Beginning:
    """Of one file.

    Attributes:
        content: of its first message. session: which log it is of; empty where it does not say.
        segment: its number in the log; None where it does not say.
        resumed: it is the first file of a recorder that goes on with the log of a killed one.
    """

    content: Mapping[str, Any]
    session: str
    segment: int | None
    resumed: bool


def beginning_of(file: LogFile, first: Message | None) -> Beginning:
    """Return what a file says; where it has no first message, what its metadata says."""
    content = _content(first)
    said = content or file.metadata.get(METADATA, {})
    number = str(said.get("segment", ""))
    return Beginning(
        content=content,
        session=str(said.get("session", "")),
        segment=int(number) if number.isdecimal() else None,
        resumed=str(said.get("resumed", "")) == "True",
    )


def _content(first: Message | None) -> Mapping[str, Any]:
    try:
        return {} if first is None else first.json()
    except ValueError:
        return {}


def fault_in_metadata(file: LogFile, content: Mapping[str, Any]) -> str | None:
    """Return in words what the metadata says otherwise than the first message; None: nothing."""
    metadata = file.metadata.get(METADATA, {})
    for name, value in content.items():
        if isinstance(value, str | int) and metadata.get(name, str(value)) != str(value):
            return f"its metadata says {name} is {metadata[name]}, its first message {value}"
    return None


def fault_in_attachments(file: LogFile, content: Mapping[str, Any]) -> str | None:
    """Return in words which attachment is not the one that the first message has the digest of.

    None where all are, or where it has none: so it is in logs of before.
    """
    digests = content.get(ATTACHMENTS)
    if not isinstance(digests, Mapping):
        return None
    found = attached((name, "", data) for name, data in file.attachments.items())
    wrong = sorted(name for name in found if digests.get(name) != found[name])
    if wrong:
        return f"the attachment {wrong[0]} is not the one that was written"
    missing = sorted(digests.keys() - found.keys())
    if missing and file.torn is None:
        return f"the attachment {missing[0]} is missing"
    return None


def fault_in_order(session: str, number: int, this: Beginning) -> str | None:
    """Return in words why one file is not the next of a log; None where it is.

    Args:
        session, number: of the file before; empty and 0 where they are not known.
    """
    if session and this.session and session != this.session:
        return f"it is of the log {this.session}, the file before it of {session}"
    if number == 0 or this.segment is None or this.segment == number + 1:
        return None
    if this.segment > number:
        missing = this.segment - number - 1
        return f"it is file {this.segment}, and {missing} between it and {number} are missing"
    return f"it is file {this.segment}, and stands after {number}"
