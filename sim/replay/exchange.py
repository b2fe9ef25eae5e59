"""Proves two logs of one drive by each other: machine and cockpit each kept the other's heads.

Either chain alone is proof only against who cannot make it anew. A head that the other side has
written down cannot be met by another content: so what was altered, taken out, cut off or put in a
log's place afterwards shows in the other log, unless that was altered by its own maker too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import OKPKey

from protocol.messages import BEFORE_ALL, HeadClaims, Identity, Role, Trust, load_trust
from recording import channels
from recording.heads import proven
from recording.moments import words
from recording.reader import Log, Message
from sim.replay.verify import Place, Proof, author_of, findings, is_cockpits, verify

TRUST = "trust.json"


@dataclass(frozen=True, slots=True)
class Told:
    """A head of one log that the other log has kept.

    Attributes:
        kept_ns: when it came there, UTC. run: of the keeping recorder, which may be killed and go
            on: then it does not know any more what it has heard.
    """

    claims: HeadClaims
    kept_ns: int
    run: int

    @property
    def at(self) -> tuple[int, int]:
        """File and messages in it."""
        return self.claims.segment, self.claims.count


@dataclass(slots=True)
class Side:
    """One of both logs.

    Attributes:
        what: "machine" or "cockpit". name: whose it is. proof: of its own chain.
        whole: all files of its session are here; of one file only its own heads are judged.
        told: how many heads of it the other log has. fitting: of these. until_ns: the newest.
        faults: what the other log says against it.
    """

    what: str
    log: Log
    name: str
    proof: Proof
    whole: bool
    told: int = 0
    fitting: int = 0
    until_ns: int = 0
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.proof.as_dict() | {
            "name": self.name,
            "told": self.told,
            "fitting": self.fitting,
            "exchange_faults": self.faults,
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of both."""

    machine: Side
    cockpit: Side

    @property
    def holds(self) -> bool:
        """Both chains hold, and neither log says anything against the other."""
        sides = (self.machine, self.cockpit)
        return all(side.proof.holds and not side.faults for side in sides)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "machine": self.machine.as_dict(),
            "cockpit": self.cockpit.as_dict(),
        }


def verify_both(log: Log, other: Log, trust: Trust | None = None) -> Exchange:
    """Prove two logs, each alone and by the other.

    Args:
        log, other: of machine and cockpit, in either order.
        trust: whose keys count; without it each log is judged by the keys in the other one.

    Raises:
        ValueError: they are not one of each, or of two machines.
    """
    if is_cockpits(log) == is_cockpits(other):
        raise ValueError("one log of a machine and one of a cockpit are needed")
    machine_log, cockpit_log = (other, log) if is_cockpits(log) else (log, other)
    vehicle, driven = (each.session().get("vehicle") for each in (machine_log, cockpit_log))
    if vehicle != driven:
        raise ValueError(f"the machine is {vehicle}, and the cockpit drove {driven}")
    machine, cockpit = _side("machine", machine_log, trust), _side("cockpit", cockpit_log, trust)
    for subject, keeper in ((machine, cockpit), (cockpit, machine)):
        _confront(subject, keeper, _trust_in(keeper.log) if trust is None else trust)
    return Exchange(machine, cockpit)


def _side(what: str, log: Log, trust: Trust | None) -> Side:
    name = author_of(log)
    if trust is not None and name not in trust:
        raise ValueError(f"the trust file does not name {name}")
    proof = verify(log, None if trust is None else trust[name].key)
    return Side(what, log, name, proof, whole=not log.single)


def _trust_in(log: Log) -> Trust:
    """Return the identities that a log's own side trusted; none where it does not say."""
    text = next((each.attachments[TRUST] for each in log.files if TRUST in each.attachments), None)
    try:
        return {} if text is None else load_trust(text.decode("utf-8"), BEFORE_ALL)
    except ValueError:
        return {}


def _confront(subject: Side, keeper: Side, trust: Trust) -> None:
    """Judge one log by what the other one kept of it."""
    key = trust[subject.name].key if subject.name in trust else None
    if key is not None and _differs(key, subject.proof.key):
        subject.faults.append(f"it is signed with a key that is not {subject.name}'s")
    key = key or subject.proof.key
    if key is None:
        subject.faults.append("no key is known to prove its heads by")
        return
    told = _in_order(subject, keeper, list(_kept(subject, keeper, key)))
    session = subject.log.session().get("session")
    own = [each for each in told if each.claims.session == session]
    if not subject.whole:
        own = [each for each in own if each.claims.segment in _segments(subject)]
    subject.told = len(own)
    stranger = _between(told, session) or (None if own else _meanwhile(told, subject))
    if stranger is not None:
        subject.faults.append(
            f"at {words(stranger.kept_ns)} the {keeper.what} was told of the log"
            f" {stranger.claims.session}: this one stands in its place"
        )
    elif not own:
        subject.faults.append(f"the {keeper.what}'s log holds no head of it: nothing is proven")
    else:
        _judge(subject, keeper, own)
    if not subject.faults:
        _excuse_torn(subject, keeper)


def _differs(key: OKPKey, other: OKPKey | None) -> bool:
    return other is not None and key.thumbprint() != other.thumbprint()


def _kept(subject: Side, keeper: Side, key: OKPKey) -> Iterator[Told]:
    """Return the heads of one log that the other one kept; one that is not signed is a fault."""
    vehicle = str(keeper.log.session().get("vehicle"))
    of_vehicle = subject.what == "machine"
    role = Role.VEHICLE if of_vehicle else Role.DRIVER
    people = {subject.name: Identity(subject.name, role, key)}
    run = 0
    for message in keeper.log.messages({channels.PEER, channels.SESSION}):
        row = _row(message)
        if message.topic == channels.SESSION:
            run += row.get("resumed") is True
            continue
        if row.get("iss", subject.name) != subject.name:
            continue
        claims = proven(_token(row), people, vehicle, of_vehicle=of_vehicle)
        if claims is None or any(getattr(claims, name) != row.get(name) for name in _TOLD):
            keeper.faults.append(
                f"a head of {words(message.log_ns)} in it is not signed by {subject.name}"
            )
            return
        yield Told(claims, message.log_ns, run)


def _row(message: Message) -> Mapping[str, Any]:
    """Return what a row says; nothing where it is none."""
    try:
        return message.json()
    except ValueError:
        return {}


_TOLD = ("session", "segment", "count", "head", "utc_ns")


def _token(row: Mapping[str, Any]) -> bytes:
    return str(row.get("jws")).encode("ascii", "replace")


def _in_order(subject: Side, keeper: Side, told: list[Told]) -> list[Told]:
    """Return heads, each once, up to the first that is not newer than one before it of its log."""
    newest: dict[tuple[str, int], tuple[int, int]] = {}
    kept: dict[tuple[str, int, int, str], Told] = {}
    for each in told:
        session, of_run = each.claims.session, (each.claims.session, each.run)
        if kept.setdefault((session, *each.at, each.claims.head), each) is not each:
            continue
        if each.at <= newest.get(of_run, (0, 0)):
            keeper.faults.append(
                f"the head of {words(each.kept_ns)} in it is not newer than the one before:"
                f" heads of {subject.name} were put in another order"
            )
            break
        newest[of_run] = each.at
    else:
        return list(kept.values())
    return list(kept.values())[:-1]


def _between(told: list[Told], session: object) -> Told | None:
    """Return a head of another log of the same author that came while this one was told of.

    By the order in the keeping log: clocks are set back. What is older than all of this log's was
    only said again, to a recorder that had been killed.
    """
    own = [at for at, each in enumerate(told) if each.claims.session == session]
    if not own:
        return None
    first, last = own[0], own[-1]
    from_ns, until_ns = told[first].claims.utc_ns, told[last].claims.utc_ns
    return next(
        (
            each
            for each in told[first:last]
            if each.claims.session != session and from_ns < each.claims.utc_ns < until_ns
        ),
        None,
    )


def _meanwhile(told: list[Told], subject: Side) -> Told | None:
    """Return a head of another log of the same author that is of the time of this one."""
    from_ns, until_ns = subject.proof.first_ns, subject.proof.last_ns
    return next((each for each in told if from_ns < each.claims.utc_ns < until_ns), None)


def _segments(side: Side) -> set[int]:
    return {place.segment for place in side.proof.places}


def _first(side: Side) -> int:
    """Return the number of the first file that is here."""
    return min((*_segments(side), *side.proof.broken), default=0)


def _judge(subject: Side, keeper: Side, told: list[Told]) -> None:
    """Find the first head that the log does not meet."""
    proof = subject.proof
    places = {place.at: place for place in proof.places}
    met: Place | None = None
    for each in told:
        place = places.get(each.at)
        if place is not None and place.head == each.claims.head:
            met = place
            subject.fitting += 1
            subject.until_ns = place.log_ns
        elif place is not None or not _need_not_be_met(subject, each):
            subject.faults.append(_fault(subject, keeper, each, met, len(told)))
            return
    if not subject.fitting and not proof.broken:
        subject.faults.append(
            f"none of the {len(told)} heads that the {keeper.what} was told is of what is here:"
            " nothing is proven"
        )


def _need_not_be_met(subject: Side, told: Told) -> bool:
    """Return whether a head is of what its chain's own fault is about, or of what a quota took."""
    proof, segment = subject.proof, told.claims.segment
    gone = segment < _first(subject) and told.claims.utc_ns <= proof.first_ns
    return gone or segment in proof.broken


def _fault(subject: Side, keeper: Side, told: Told, met: Place | None, number: int) -> str:
    """Return in words why a head is not met."""
    segment = told.claims.segment
    here = [place for place in subject.proof.places if place.segment <= segment]
    first = _first(subject)
    if segment < first:
        return (
            f"it begins with file {first} at {words(subject.proof.first_ns)}, and the"
            f" {keeper.what} was told of file {segment} at {words(told.claims.utc_ns)}: its files"
            " were numbered anew, or its beginning was taken away"
        )
    last_of_all = not here or here[-1] is subject.proof.places[-1]
    ends = last_of_all or (here[-1].segment == segment and segment in subject.proof.torn)
    if ends and (not here or told.at > here[-1].at):
        return _cut_off(keeper, told, here[-1:])
    if not here or here[-1].segment < segment:
        return f"file {segment} is missing, and the {keeper.what} was told of it"
    return _altered(keeper, told, met, number)


def _excuse_torn(subject: Side, keeper: Side) -> None:
    """Take a missing end for a killed recorder's: the other side was told of nothing beyond it."""
    for torn in subject.proof.torn.values():
        subject.proof.notes.append(f"{torn}; the {keeper.what} was told of nothing beyond it")
    subject.proof.torn.clear()


def _cut_off(keeper: Side, told: Told, last: list[Place]) -> str:
    ends = (
        f"ends with message {last[0].count} of file {last[0].segment}, at {words(last[0].log_ns)}"
        if last
        else "holds nothing"
    )
    return (
        f"it {ends}, and the {keeper.what} was told of message {told.claims.count} of file"
        f" {told.claims.segment}, of {words(told.claims.utc_ns)}: its end was cut off afterwards"
    )


def _altered(keeper: Side, told: Told, met: Place | None, number: int) -> str:
    here = f"message {told.claims.count} of file {told.claims.segment}"
    kept = f"the {keeper.what} was told another head at {words(told.claims.utc_ns)}"
    if met is None:
        return (
            f"none of the {number} heads that the {keeper.what} was told is its own: it was put"
            f" in another log's place, or altered before {here} and chained anew ({kept})"
        )
    return (
        f"from message {met.count + 1} of file {met.segment} to {here} it was altered and chained"
        f" anew: {kept}; up to {words(met.log_ns)} it is as it was told"
    )


def both_as_text(found: Exchange) -> str:
    """Return the proof for a person."""
    lines: list[str] = []
    for side, keeper in ((found.machine, found.cockpit), (found.cockpit, found.machine)):
        first, *more = findings(side.proof)
        lines += [f"{side.what} {side.name}: {first}", *more]
        if side.told:
            fitting = f"  {side.fitting} of {side.told} heads that the {keeper.what} kept fit"
            before_s = (side.proof.last_ns - side.until_ns) / 1e9
            until = f", the last {before_s:.1f} s before its end" if side.fitting else ""
            lines.append(fitting + until)
        lines += [f"  {each}" for each in side.faults]
    return "\n".join([*lines, _verdict(found)])


def _verdict(found: Exchange) -> str:
    if not found.holds:
        return "THE LOGS DO NOT HOLD: see above"
    verdict = "both logs hold"
    for side in (found.machine, found.cockpit):
        if not side.proof.sealed:
            verdict += (
                f"; not all of the {side.what}'s is sealed: what is not is proven up to the last"
                " head that the other one kept"
            )
    return verdict
