"""Proves a log by its chain of hashes: the first message that was altered, is missing or moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from protocol.messages import BEFORE_ALL, load_trust
from recording import channels
from recording.chain import MARK_BYTES, Chain, digest
from recording.reader import Log, LogFile, Message
from recording.seal import sealed
from sim.replay.envelope import fault_beside_messages
from sim.replay.times import words


@dataclass(frozen=True, slots=True)
class Place:
    """A link of the chain that holds: messages of a file, from 1, and the head after so many."""

    segment: int
    count: int
    head: str
    log_ns: int

    @property
    def at(self) -> tuple[int, int]:
        """What a head names of it."""
        return self.segment, self.count


@dataclass(slots=True)
class Proof:
    """What came of it.

    Attributes:
        faults: in words, the first of each file. messages: that are proven.
        unproven: messages after the last link of a chain. seals: what is said of each file's seal.
        places: the links that hold. key: that seals were proven by. last_ns: UTC, of all messages.
    """

    messages: int = 0
    unproven: int = 0
    faults: list[str] = field(default_factory=list)
    seals: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    key: OKPKey | None = None
    last_ns: int = 0

    @property
    def holds(self) -> bool:
        """Nothing was found, and something was proven."""
        return not self.faults and self.messages > 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "messages": self.messages,
            "unproven": self.unproven,
            "faults": self.faults,
            "seals": self.seals,
            "heads": self.heads,
        }


def verify(log: Log, machine: OKPKey | None = None) -> Proof:
    """Prove every file, that each goes on from the one before, and the recorder's seals.

    Args:
        machine: the public key that seals must be by; without it the one that the log names itself
            is taken, which proves only that one recorder made all of it.
    """
    proof = Proof(key=machine)
    head: bytes | None = None
    for each in log.files:
        found = len(proof.faults)
        head = _verify_file(each, head, proof)
        beside = (
            None if len(proof.faults) > found or each.lost else fault_beside_messages(each.path)
        )
        if beside is not None:
            proof.faults.append(f"{each.path.name}: {beside}")
    proof.faults += log.lost
    return proof


def _verify_file(file: LogFile, before: bytes | None, proof: Proof) -> bytes | None:
    chain: Chain | None = None
    waiting: list[Message] = []
    head = before
    for message in file.messages():
        proof.last_ns = max(proof.last_ns, message.log_ns)
        if proof.key is None and message.topic in (channels.BOOT, channels.SESSION):
            proof.key = _own_key(message)
        if message.topic != channels.CHAIN:
            waiting.append(message)
            continue
        link = message.json()
        if chain is None:
            head = bytes.fromhex(link["before"])
            resumed = file.metadata.get("headframe", {}).get("resumed") == "True"
            if before is not None and head != before and not resumed:
                proof.faults.append(f"{file.path.name}: does not go on from the file before it")
            chain = Chain(head)
        fault = _gap_before(chain, link, message) or fault_in(waiting, link)
        for each in waiting:
            chain.add(each.topic, each.log_ns, each.data)
        chain.link()
        if fault is None and chain.head.hex() != link["head"]:
            fault = f"the head at {words(message.log_ns)} is not that of the messages before it"
        if fault is not None:
            proof.faults.append(f"{file.path.name}: {fault}")
            return None
        proof.messages += len(waiting)
        waiting.clear()
        head = chain.head
        proof.places.append(Place(_number(file), chain.count, head.hex(), message.log_ns))
    proof.unproven += len(waiting)
    if chain is not None and head is not None:
        proof.heads.append(head.hex())
        proof.seals.append(f"{file.path.name}: {_seal(file, head, proof)}")
    return head


def _own_key(message: Message) -> OKPKey | None:
    """Return the key that a log says is its recorder's: a machine's boot, a cockpit's session."""
    try:
        return OKPKey.import_key(message.json()["signer"])
    except (KeyError, ValueError, TypeError, JoseError):
        return None


def _gap_before(chain: Chain, link: dict[str, Any], at: Message) -> str | None:
    """Return in words what is missing when a link does not go on from the one before."""
    if link["before"] == chain.head.hex():
        return None
    begun = link["count"] - len(link["marks"]) // (2 * MARK_BYTES)
    return (
        f"messages {chain.count + 1} to {begun} of the file are missing or were altered, some"
        f" time before {words(at.log_ns)}"
    )


def fault_in(found: Sequence[Message], link: dict[str, Any]) -> str | None:
    """Return the first fault among the messages of one link, in words."""
    told = bytes.fromhex(link["marks"])
    marks = [told[at : at + MARK_BYTES] for at in range(0, len(told), MARK_BYTES)]
    have = [digest(each.topic, each.log_ns, each.data)[:MARK_BYTES] for each in found]
    if have == marks:
        return None
    place = next(
        (at for at, (one, other) in enumerate(zip(have, marks, strict=False)) if one != other),
        min(len(have), len(marks)),
    )
    where = f"message {link['count'] - len(marks) + place + 1} of the file"
    if place < len(found):
        where += f" ({found[place].topic} at {words(found[place].log_ns)})"
    if sorted(have) == sorted(marks):
        return f"{where} stands in another place than it was written"
    if len(have) < len(marks) and have[place:] == marks[place + len(marks) - len(have) :]:
        return f"{where}: before it {len(marks) - len(have)} are missing"
    if len(have) > len(marks):
        return f"{where} was not written by the recorder"
    return f"{where} was altered"


def _number(file: LogFile) -> int:
    """Return which file of its session one says that it is."""
    text = file.metadata.get("headframe", {}).get("segment", "")
    return int(text) if text.isdigit() else 0


def _seal(file: LogFile, head: bytes, proof: Proof) -> str:
    seal, key = file.metadata.get("seal"), proof.key
    if seal is None:
        return "not sealed"
    if key is None:
        return "sealed, and no key to prove it by"
    content = sealed(seal, key)
    if content is None or content.get("head") != head.hex():
        proof.faults.append(
            f"{file.path.name}: its seal is not this recorder's, or of other content"
        )
        return "seal does not fit"
    return f"sealed with key {key.thumbprint()[:16]}"


def recorder_key(trust: Path, log: Log) -> OKPKey:
    """Return the public key of whoever recorded a log, machine or cockpit, from a trust file.

    Raises:
        ValueError: the file does not name it.
    """
    name = author_of(log)
    people = load_trust(trust.read_text(encoding="utf-8"), BEFORE_ALL)
    if name not in people:
        raise ValueError(f"{trust}: does not name {name}")
    return people[name].key


def author_of(log: Log) -> str:
    """Return who recorded a log: the machine, or the operator of a cockpit."""
    session = log.session()
    return str(session.get("operator" if is_cockpits(log) else "vehicle"))


def is_cockpits(log: Log) -> bool:
    """Return whether a log is a cockpit's."""
    return log.session().get("log") == channels.COCKPIT


def as_text(proof: Proof) -> str:
    """Return the proof for a person."""
    word = "holds" if proof.holds else "DOES NOT HOLD"
    lines = [f"{proof.messages} messages proven, {proof.unproven} not yet chained: {word}"]
    return "\n".join(lines + [f"  {each}" for each in (*proof.faults, *proof.seals)])
