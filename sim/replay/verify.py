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
from recording.chain import HEAD_BYTES, MARK_BYTES, Chain, digest
from recording.moments import words
from recording.reader import Log, LogFile, Message
from recording.seal import sealed
from sim.replay.beginning import (
    ATTACHMENTS,
    Beginning,
    beginning_of,
    fault_in_attachments,
    fault_in_metadata,
    fault_in_order,
)
from sim.replay.envelope import fault_beside_messages


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
        torn: by number, files whose end is missing while nothing else says that it was not cut off.
        notes: what is no fault, and is to be known.
        places: the links that hold. broken: numbers of files whose chain does not hold.
        unsealed: numbers of files whose content no seal is over, theirs or one further on.
        key: that seals were proven by. key_given: by whoever asks, not by the log itself.
        first_ns, last_ns: UTC, of all messages.
    """

    messages: int = 0
    unproven: int = 0
    faults: list[str] = field(default_factory=list)
    torn: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seals: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    unsealed: set[int] = field(default_factory=set)
    key: OKPKey | None = None
    key_given: bool = False
    first_ns: int = 0
    last_ns: int = 0

    @property
    def holds(self) -> bool:
        """Nothing was found, and something was proven."""
        return not self.faults and not self.torn and self.messages > 0

    @property
    def sealed(self) -> bool:
        """A seal is over all of it: no file is without, and no message came after the last link."""
        return not self.unsealed and self.unproven == 0

    @property
    def verdict(self) -> str:
        """What it comes to, for a person who asks whether anything was altered."""
        if not self.holds:
            return "DOES NOT HOLD: see above"
        if not self.sealed:
            return (
                "holds, but not sealed: no accident altered it, and nothing proves that nobody did,"
                " since anybody can chain messages anew; ask for the log as its recorder wrote it,"
                " or for the other side's (--with)"
            )
        if not self.key_given:
            return (
                "holds, sealed with the key that the log itself names: who sealed it made all of"
                " it, and who that was only a key from elsewhere tells (--key)"
            )
        return (
            "holds, sealed with the key that you gave: of what is here nothing was altered, added,"
            " taken out or moved"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "sealed": self.sealed,
            "messages": self.messages,
            "unproven": self.unproven,
            "faults": [*self.faults, *self.torn.values()],
            "notes": self.notes,
            "seals": self.seals,
            "heads": self.heads,
        }


@dataclass(slots=True)
class _Proven:
    """One file, as far as it is proven.

    Attributes:
        number: in its log; 0 where that is not known. said: of itself.
        heads: of its links; of the file before where it has none. ends: files that end there.
        faults: the first of it.
    """

    file: LogFile
    number: int = 0
    said: Beginning = field(default_factory=lambda: Beginning({}, "", None, False))
    heads: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str | None) -> None:
        """Take a fault; the first counts."""
        if fault is not None and not self.faults:
            self.faults.append(f"{self.file.path.name}: {fault}")


def verify(log: Log, machine: OKPKey | None = None) -> Proof:
    """Prove every file, that each goes on from the one before, and the recorder's seals.

    Args:
        machine: the public key that seals must be by; without it the one that the log names itself
            is taken, which proves only that one recorder made all of it.
    """
    proof = Proof(key=machine, key_given=machine is not None)
    before: _Proven | None = None
    for each in log.files:
        this = _verify_file(each, before, proof)
        if not this.faults and not each.lost:
            this.add(fault_beside_messages(each.path))
        proof.faults += this.faults
        proof.faults += [words for words in each.lost if words != each.torn]
        if each.torn is not None:
            proof.torn[this.number] = each.torn
        before = this
        if each is log.files[0] and not log.single and this.number > 1:
            proof.notes.append(f"files before {this.number} are not here")
    return proof


def _verify_file(file: LogFile, before: _Proven | None, proof: Proof) -> _Proven:
    this = _Proven(file)
    chain: Chain | None = None
    waiting: list[Message] = []
    first: Message | None = None
    for message in file.messages():
        proof.first_ns = proof.first_ns or message.log_ns
        proof.last_ns = max(proof.last_ns, message.log_ns)
        if first is None and message.topic == channels.SESSION:
            first = message
        if proof.key is None and message.topic in (channels.BOOT, channels.SESSION):
            proof.key = _own_key(message)
        if message.topic != channels.CHAIN:
            waiting.append(message)
            continue
        link = message.json()
        if chain is None:
            _begin(this, before, first)
            chain = Chain(bytes.fromhex(link["before"]))
            this.add(_gap_between(before, this, chain.head, proof))
        fault = _gap_before(chain, link, message) or fault_in(waiting, link)
        for each in waiting:
            chain.add(each.topic, each.log_ns, each.data)
        chain.link()
        if fault is None and chain.head.hex() != link["head"]:
            fault = f"the head at {words(message.log_ns)} is not that of the messages before it"
        if fault is not None:
            this.add(fault)
            this.heads = []
            proof.broken.add(this.number)
            return this
        proof.messages += len(waiting)
        waiting.clear()
        this.heads.append(chain.head)
        proof.places.append(Place(this.number, chain.count, chain.head.hex(), message.log_ns))
    proof.unproven += len(waiting)
    if chain is None:
        _begin(this, before, first)
        proof.unsealed.add(this.number)
        if before is not None:
            this.heads, this.ends = before.heads, [*before.ends, *this.ends]
        return this
    proof.heads.append(chain.head.hex())
    proof.seals.append(f"{file.path.name}: {_seal(this, chain, proof)}")
    this.add(fault_in_metadata(file, this.said.content))
    this.add(fault_in_attachments(file, this.said.content))
    if file.attachments and ATTACHMENTS not in this.said.content:
        names = ", ".join(sorted(file.attachments))
        proof.notes.append(f"{file.path.name}: its chain does not cover what is attached: {names}")
    return this


def _begin(this: _Proven, before: _Proven | None, first: Message | None) -> None:
    """Note which file of its log one is."""
    this.said = beginning_of(this.file, first)
    session, number = ("", 0) if before is None else (before.said.session, before.number)
    this.number = this.said.segment or (number + 1 if number else 0)
    this.ends = [this.number]
    this.add(fault_in_order(session, number, this.said))


def _gap_between(before: _Proven | None, this: _Proven, head: bytes, proof: Proof) -> str | None:
    """Return in words that a file does not go on from the one before it; None where it does."""
    if before is None or not before.heads:
        return None
    torn = before.file.torn is not None
    if head == before.heads[-1]:
        proof.unsealed.difference_update(before.ends)
    if head in (before.heads if torn else before.heads[-1:]):
        for words in [proof.torn.pop(each) for each in before.ends if each in proof.torn]:
            proof.notes.append(f"{words}; the next file goes on from what is there")
        return None
    if this.said.resumed and (torn or head == bytes(HEAD_BYTES)):
        proof.notes.append(
            f"{this.file.path.name}: begins anew after its recorder was killed or its disk failed"
        )
        return None
    return "does not go on from the file before it"


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


def _seal(this: _Proven, chain: Chain, proof: Proof) -> str:
    seal, key = this.file.metadata.get("seal"), proof.key
    if seal is None or key is None:
        proof.unsealed.add(this.number)
    if seal is None:
        return "not sealed"
    if key is None:
        return "sealed, and no key to prove it by"
    content = sealed(seal, key)
    wanted = {"head": chain.head.hex(), "segment": this.number, "session": this.said.session}
    if content is None or any(content.get(name) != value for name, value in wanted.items()):
        this.add("its seal is not this recorder's, or of other content")
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
    """Return the proof for a person, the verdict last."""
    return "\n".join([*findings(proof), proof.verdict])


def findings(proof: Proof) -> list[str]:
    """Return what was found, in lines for a person."""
    told = (*proof.faults, *proof.torn.values(), *proof.notes, *proof.seals)
    fit = f"{proof.messages} messages fit their chain, {proof.unproven} are not yet chained"
    return [fit, *(f"  {each}" for each in told)]
