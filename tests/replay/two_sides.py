"""A machine's log and a cockpit's of one drive, with each other's heads; and logs made anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from protocol.messages import Identity, Role, Trust, generate_identity
from recording import channels
from recording.backlog import Item
from recording.files import Files, Plan
from recording.heads import HeardHeads, announced
from recording.reader import LogFile, Message, open_log
from recording.ring import Ring, finish_orphans, segment_name
from recording.seal import seal
from recording.segment import Segment

S = 1_000_000_000
UTC_NS = 1_767_225_600 * S
VEHICLE, OPERATOR = "truck-1", "console-1"
NOTE = "/sim/note"
STEP_NS = S // 4
Change = Callable[[list[Message]], Iterable[Message]]


@dataclass(slots=True, kw_only=True)
class SideFiles(Files):
    heads: HeardHeads

    def write(self, now_ns: int, segment: Segment, item: Item) -> None:
        content = self.heads.row(item.data) if item.topic == channels.PEER else item.data
        if content is not None:
            self.put(segment, item.topic, now_ns, content)


class Site:
    """Keys of one machine and one cockpit, and their trust file."""

    def __init__(self) -> None:
        self.keys: dict[str, OKPKey] = {}
        self.public: dict[str, dict[str, str]] = {}
        for name in (VEHICLE, OPERATOR):
            private, self.public[name] = generate_identity()
            self.keys[name] = OKPKey.import_key(dict(private))
        roles = {VEHICLE: Role.VEHICLE, OPERATOR: Role.DRIVER}
        self.trust: Trust = {
            name: Identity(name, role, OKPKey.import_key(dict(self.public[name])))
            for name, role in roles.items()
        }
        self.text = json.dumps(
            {
                "identities": [
                    {"id": name, "role": role.value, "public": self.public[name]}
                    for name, role in roles.items()
                ]
            }
        )

    def about(self, name: str) -> dict[str, Any]:
        own = {"log": channels.COCKPIT, "operator": OPERATOR} if name == OPERATOR else {}
        return {**own, "vehicle": VEHICLE, "signer": self.public[name]}

    def seal(self, name: str, content: Mapping[str, Any]) -> dict[str, str]:
        return seal(content, name, self.keys[name])

    def files(self, folder: Path, name: str, session: str, tell: Callable[[bytes], None]) -> Files:
        def announce(content: Mapping[str, Any]) -> None:
            tell(announced(content, name, VEHICLE, self.keys[name]))

        plan = Plan(
            session=session,
            about=self.about(name),
            offset_ns=UTC_NS,
            attachments=(("trust.json", "application/json", self.text.encode()),),
            segment_ns=4 * S,
            seal=lambda content: self.seal(name, content),
            announce=announce,
        )
        heads = HeardHeads(self.trust, VEHICLE, of_vehicle=name == OPERATOR)
        return SideFiles(Ring(folder, 10**9, 10**9), plan, lambda _: None, heads=heads)

    def drive(
        self,
        folder: Path,
        *,
        seconds: int = 10,
        words: str = "",
        suffix: str = "",
        heard: bool = True,
    ) -> None:
        """Record a drive on both sides, in ``folder``: machine/ and cockpit/."""
        drive = Drive(self, folder, words=words, suffix=suffix, heard=heard)
        drive.until(seconds)
        drive.close()

    def remake(
        self, folder: Path, name: str, change: Change = list, *, by: int = 0, files: int = 99
    ) -> None:
        """Write a log anew with other messages, chained and signed as its own recorder would.

        Args:
            by: added to the numbers of its last ``files``.
        """
        head = bytes(32)
        found = open_log(folder).files
        for at, each in enumerate(found):
            added = by if at >= len(found) - files else 0
            head = self._remake_file(each, name, change, head, added)

    def _remake_file(self, file: LogFile, name: str, change: Change, head: bytes, by: int) -> bytes:
        first, *rest = list(file.messages())
        session, attachments = first.json(), dict(file.attachments)
        file.path.unlink()
        session["segment"] += by
        path = file.path.with_name(segment_name(session["segment"]))
        segment = Segment(path, session, head)
        for kind, data in attachments.items():
            segment.attach(kind, "application/json", data)
        for message in change(rest[1:]):  # the first link is the segment's own
            if message.topic == channels.CHAIN:
                segment.flush()
            else:
                segment.write(message.topic, message.log_ns, message.publish_ns, message.data)
        segment.flush()
        where = {"session": session["session"], "segment": session["segment"]}
        head = segment.chain.head
        count = segment.chain.count
        segment.close(self.seal(name, {**where, "count": count, "head": head.hex()}))
        return head


class Drive:
    """A drive that is being recorded on both sides, in ``folder``: machine/ and cockpit/."""

    def __init__(
        self, site: Site, folder: Path, *, words: str = "", suffix: str = "", heard: bool = True
    ) -> None:
        self.site, self.folder, self.words, self.heard = site, folder, words, heard
        self.step = 0
        self.on_way: dict[str, list[bytes]] = {VEHICLE: [], OPERATOR: []}
        self.sides = {
            name: site.files(folder, name, session + suffix, self.on_way[name].append)
            for name, session in ((VEHICLE, "machine"), (OPERATOR, "cockpit"))
        }

    def until(self, second: float) -> None:
        """Go on until then."""
        while self.step < second * 4:
            now_ns = self.step * STEP_NS
            note = f'{{"n":{self.step},"words":"{self.words}"}}'.encode()
            arrived = {name: self.on_way[name][:] for name in self.on_way}
            for name, files in self.sides.items():
                self.on_way[name].clear()
                files.blocked(now_ns)
                files.take(now_ns, Item(b"n", NOTE, now_ns, note))
                other = OPERATOR if name == VEHICLE else VEHICLE
                for token in arrived[other] if self.heard else ():
                    files.take(now_ns, Item(b"h", channels.PEER, now_ns, token))
                files.look(now_ns, {})
            self.step += 1

    def kill(self, name: str) -> None:
        """Kill a recorder; the next one goes on with its log."""
        killed = self.sides[name]
        assert killed.segment is not None
        killed.segment.abandon()
        finish_orphans(self.folder)
        files = self.site.files(self.folder, name, killed.plan.session, self.on_way[name].append)
        files.plan, files.number = replace(files.plan, resumed=True), killed.number
        self.sides[name] = files

    def restart(self, name: str, session: str, utc_ns: int) -> None:
        """End a recorder orderly, and begin another log with a clock that stands otherwise."""
        self.sides[name].close(self.step * STEP_NS)
        files = self.site.files(self.folder, name, session, self.on_way[name].append)
        files.plan = replace(files.plan, offset_ns=utc_ns)
        self.sides[name] = files

    def close(self) -> None:
        """End both recorders orderly."""
        for files in self.sides.values():
            files.close(self.step * STEP_NS)


def altered(messages: list[Message]) -> Iterable[Message]:
    """The note of the 6th second says something else."""
    for message in messages:
        if message.topic == NOTE and message.json()["n"] == 24:
            yield message._replace(data=b'{"n":24,"words":"something else"}')
        else:
            yield message


def missing(messages: list[Message]) -> Iterable[Message]:
    return (each for each in messages if not (each.topic == NOTE and each.json()["n"] == 24))


def swapped(messages: list[Message]) -> Iterable[Message]:
    """The notes of the 6th second stand in another order."""
    notes = [at for at, each in enumerate(messages) if each.topic == NOTE]
    here = [at for at in notes if messages[at].json()["n"] in (24, 25)]
    result = list(messages)
    for one, other in zip(here, reversed(here), strict=True):
        result[one] = messages[other]
    return result


def shortened(messages: list[Message]) -> Iterable[Message]:
    """Nothing of the 9th second and later is there."""
    return [each for each in messages if each.log_ns < UTC_NS + 8 * S + S // 2]
