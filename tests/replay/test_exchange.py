"""Two logs of one drive prove each other: whatever one side alone does to its own is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headframe import main
from protocol.messages import HeadClaims, sign_claims
from recording import channels
from recording.heads import SESSIONS_KEPT, HeardHeads, announced, proven
from recording.reader import Log, LogFile, Message, open_log
from recording.seal import seal
from recording.segment import Segment
from sim.replay.beginning import beginning_of
from sim.replay.exchange import Exchange, both_as_text, verify_both
from sim.replay.verify import Proof, verify
from tests.replay.two_sides import (
    OPERATOR,
    UTC_NS,
    VEHICLE,
    Change,
    Drive,
    S,
    Site,
    altered,
    missing,
    shortened,
    swapped,
)

SIDES = {"machine": VEHICLE, "cockpit": OPERATOR}


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    folder = tmp_path_factory.mktemp("drive")
    site.drive(folder)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    """Both logs, to be tampered with."""
    shutil.copytree(written, tmp_path / "drive")
    return tmp_path / "drive"


def proof_of(drive: Path) -> Exchange:
    return verify_both(open_log(drive / "machine"), open_log(drive / "cockpit"))


def faults_of(drive: Path, side: str) -> list[str]:
    found = proof_of(drive)
    return (found.machine if side == "machine" else found.cockpit).faults


# -- the heads


def test_heads_told__are_those_of_links_that_are_on_the_disk(written: Path) -> None:
    links = {
        (int(each.metadata["headframe"]["segment"]), row["count"]): row["head"]
        for each in open_log(written / "machine").files
        for row in (message.json() for message in each.messages({channels.CHAIN}))
    }
    kept = [m.json() for m in open_log(written / "cockpit").messages({channels.PEER})]

    assert len(kept) >= 7
    assert all(links[row["segment"], row["count"]] == row["head"] for row in kept)


CONTENT = {"session": "a", "segment": 2, "count": 7, "head": "ab" * 32, "utc_ns": 5}


def head(site: Site, name: str = VEHICLE, vehicle: str = VEHICLE, **changes: Any) -> bytes:
    return announced(CONTENT | changes, name, vehicle, site.keys[name])


def test_head_heard__its_row_has_what_is_signed_and_the_signature(site: Site) -> None:
    row = HeardHeads(site.trust, VEHICLE, of_vehicle=True).row(head(site))
    assert row is not None
    content = json.loads(row)
    claims = proven(content["jws"].encode(), site.trust, VEHICLE, of_vehicle=True)

    assert claims is not None
    assert {name: content[name] for name in CONTENT} == CONTENT
    assert {name: getattr(claims, name) for name in CONTENT} == CONTENT


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 7},
        {"count": 6},
        {"segment": 1, "count": 90},
        {"session": "before", "count": 8, "utc_ns": 4},
        {"session": "unheard", "utc_ns": 5},
    ],
)
def test_head_that_is_not_newer__is_refused_and_keeps_no_other_out(
    site: Site, changes: dict[str, Any]
) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)
    heads.row(head(site, session="before", utc_ns=3))
    heads.row(head(site))

    assert heads.row(head(site, **changes)) is None
    assert heads.refused == 1
    assert heads.row(head(site, count=8)) is not None


def test_old_head_heard_first__keeps_no_newer_session_out(site: Site) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)
    told = [
        head(site, session="today", count=1, utc_ns=2000),
        head(site, session="yesterday", count=99, utc_ns=1000),
        *(head(site, session="today", count=count, utc_ns=2000 + count) for count in (2, 3)),
    ]

    assert [heads.row(each) is not None for each in told] == [True, False, True, True]


def test_sessions_that_go_on_beside_each_other__are_both_heard(site: Site) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)
    told = [head(site, session=each, count=at, utc_ns=at) for at, each in enumerate("ababab")]

    assert [each for each in told if heads.row(each) is None] == []


def test_clock_set_back_within_a_session__it_is_heard_on(site: Site) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)
    told = [head(site, count=1, utc_ns=9), head(site, count=2, utc_ns=4)]

    assert None not in [heads.row(each) for each in told]


def test_sessions_without_end__the_oldest_is_forgotten_and_no_newer_kept_out(site: Site) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)
    rows = [heads.row(head(site, session=f"s{at}", utc_ns=at)) for at in range(SESSIONS_KEPT + 2)]

    assert None not in rows
    assert len(heads._newest[VEHICLE]) == SESSIONS_KEPT
    assert heads.row(head(site, session="s0", count=99, utc_ns=0)) is None


@pytest.mark.parametrize(
    ("name", "vehicle", "of_vehicle"),
    [(OPERATOR, VEHICLE, True), (VEHICLE, VEHICLE, False), (VEHICLE, "truck-2", True)],
)
def test_head_of_another_side_or_machine__is_refused(
    site: Site, name: str, vehicle: str, of_vehicle: bool
) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=of_vehicle)

    assert heads.row(head(site, name, vehicle)) is None


def test_head_of_another_machine_in_the_same_trust_file__is_refused(site: Site) -> None:
    other = replace(site.trust[VEHICLE], id="truck-2")
    claims = HeadClaims.model_validate({"iss": "truck-2", "aud": VEHICLE, **CONTENT})
    heads = HeardHeads({**site.trust, "truck-2": other}, VEHICLE, of_vehicle=True)

    assert heads.row(sign_claims(claims, site.keys[VEHICLE])) is None


@pytest.mark.parametrize("token", [b"", b"a.b.c", b"\xff", b"x" * 60_000])
def test_token_that_is_none__is_refused(site: Site, token: bytes) -> None:
    heads = HeardHeads(site.trust, VEHICLE, of_vehicle=True)

    assert (heads.row(token), heads.refused) == (None, 1)


def test_head_with_one_byte_changed__is_refused(site: Site) -> None:
    token = bytearray(head(site))
    token[-2] ^= 1

    assert HeardHeads(site.trust, VEHICLE, of_vehicle=True).row(bytes(token)) is None


# -- one log, and what its seals are worth


def verdict_of(log: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Exit code and last line."""
    code = main(["replay", "verify", str(log), *more])
    return code, capsys.readouterr().out.splitlines()[-1]


def test_log_sealed__verdict_says_by_whose_word(
    written: Path, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(site.text, encoding="utf-8")
    given = verdict_of(written / "machine", capsys, "--key", str(trust))
    own = verdict_of(written / "machine", capsys)

    assert (given[0], own[0]) == (0, 0)
    assert given[1].startswith("holds, sealed with the key that you gave:")
    assert own[1].startswith("holds, sealed with the key that the log itself names:")


def test_log_without_seal__verdict_says_so_whatever_key_is_given(
    drive: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed_but_for(monkeypatch, {1, 2, 3})
    site.remake(drive / "machine", VEHICLE)
    trust = drive / "trust.json"
    trust.write_text(site.text, encoding="utf-8")
    code, last = verdict_of(drive / "machine", capsys, "--key", str(trust))

    assert code == 0
    assert last.startswith("holds, but not sealed:")


def test_messages_after_the_last_link__count_as_not_sealed() -> None:
    assert Proof(messages=3, key_given=True).verdict.startswith("holds, sealed")
    assert Proof(messages=3, key_given=True, unproven=1).verdict.startswith("holds, but not sealed")


def test_log_altered__verdict_is_the_last_line(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = drive / "machine" / "00002.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    assert verdict_of(drive / "machine", capsys) == (1, "DOES NOT HOLD: see above")


def sealed_but_for(monkeypatch: pytest.MonkeyPatch, unsealed: set[int]) -> None:
    """Files that are made anew are sealed, but for these numbers."""

    def seal_some(site: Site, name: str, content: dict[str, Any]) -> dict[str, str] | None:
        return None if content["segment"] in unsealed else seal(content, name, site.keys[name])

    monkeypatch.setattr(Site, "seal", seal_some)


@pytest.mark.parametrize(
    ("without", "unsealed"), [({1}, set()), ({1, 2}, set()), ({2, 3}, {3}), ({3}, {3})]
)
def test_files_without_a_seal__one_further_on_is_over_them(
    drive: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    without: set[int],
    unsealed: set[int],
) -> None:
    sealed_but_for(monkeypatch, without)
    site.remake(drive / "machine", VEHICLE)
    proof = verify(open_log(drive / "machine"))

    assert proof.holds
    assert proof.unsealed == unsealed
    assert proof.as_dict()["sealed"] is not bool(unsealed)


def test_one_side_not_sealed__verdict_over_both_says_how_far_it_is_proven(
    drive: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed_but_for(monkeypatch, {3})
    site.remake(drive / "machine", VEHICLE)
    last = both_as_text(proof_of(drive)).splitlines()[-1]

    assert last.startswith("both logs hold; not all of the machine's is sealed:")


# -- two logs


def test_both_as_written__hold_by_all_their_heads(written: Path) -> None:
    found = proof_of(written)

    assert found.holds, both_as_text(found)
    assert found.machine.told == found.machine.fitting >= 7
    assert found.cockpit.told == found.cockpit.fitting >= 7


def test_either_order_and_a_trust_file__hold(
    written: Path, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(site.text, encoding="utf-8")
    logs = [str(written / "cockpit"), "--with", str(written / "machine")]
    code = main(["replay", "verify", *logs, "--key", str(trust)])
    alone = main(["replay", "verify", str(written / "cockpit"), "--key", str(trust)])

    assert (code, alone) == (0, 0)
    assert "both logs hold" in capsys.readouterr().out


@pytest.mark.requirement("HF-EVI-02")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("change", [altered, missing, swapped])
def test_log_changed_and_chained_anew_with_its_own_key__place_is_named(
    written: Path, drive: Path, site: Site, side: str, change: Change
) -> None:
    site.remake(drive / side, SIDES[side], change)

    assert verify(open_log(drive / side)).holds, "by itself it looks as written"
    [fault] = faults_of(drive, side)
    found = re.match(r"from message (\d+) of file 2 to message (\d+) of file 2 it was", fault)
    assert found is not None, fault
    assert "it is as it was told" in fault
    file = LogFile(written / side / "00002.mcap")
    at = [m.data[:7] for m in file.messages() if m.topic != channels.CHAIN].index(b'{"n":24') + 1
    assert int(found[1]) <= at <= int(found[2])


@pytest.mark.requirement("HF-EVI-02")
@pytest.mark.parametrize("side", SIDES)
def test_end_cut_off_cleanly__is_named_with_what_the_other_side_was_told(
    drive: Path, site: Site, side: str
) -> None:
    site.remake(drive / side, SIDES[side], shortened)

    [fault] = faults_of(drive, side)
    assert verify(open_log(drive / side)).holds
    assert re.search(r"it ends with message \d+ of file 3.*its end was cut off afterwards", fault)


@pytest.mark.parametrize("side", SIDES)
def test_last_file_taken_away__is_named(drive: Path, side: str) -> None:
    (drive / side / "00003.mcap").unlink()

    assert "its end was cut off afterwards" in faults_of(drive, side)[0]


@pytest.mark.requirement("HF-EVI-02")
@pytest.mark.parametrize("side", SIDES)
def test_whole_log_replaced_by_one_of_the_same_name_and_key__is_named(
    drive: Path, site: Site, side: str, tmp_path: Path
) -> None:
    site.drive(tmp_path / "other", words="another drive")
    shutil.rmtree(drive / side)
    shutil.copytree(tmp_path / "other" / side, drive / side)

    assert re.match("none of the .* heads .* put in another log's place", faults_of(drive, side)[0])


def test_log_of_another_session_at_that_time__is_named(
    drive: Path, site: Site, tmp_path: Path
) -> None:
    site.drive(tmp_path / "other", suffix="-b")
    shutil.rmtree(drive / "machine")
    shutil.copytree(tmp_path / "other" / "machine-b", drive / "machine")

    [fault] = faults_of(drive, "machine")
    assert re.search("told of the log machine: this one stands in its place", fault)


def test_log_signed_with_a_key_of_ones_own__is_named(drive: Path, tmp_path: Path) -> None:
    Site().drive(tmp_path / "other")
    shutil.rmtree(drive / "machine")
    shutil.copytree(tmp_path / "other" / "machine", drive / "machine")

    assert "signed with a key that is not truck-1's" in faults_of(drive, "machine")[0]


def _forged(row: dict[str, Any]) -> bytes:
    return json.dumps(row | {"head": "00" * 32}).encode()


@pytest.mark.parametrize("forged", [_forged, lambda _: b"no row", lambda _: b"{}"])
def test_head_in_the_other_log_changed__it_is_that_logs_fault(
    drive: Path, site: Site, forged: Callable[[dict[str, Any]], bytes]
) -> None:
    def change(messages: list[Message]) -> Iterable[Message]:
        return [
            each._replace(data=forged(each.json())) if each.topic == channels.PEER else each
            for each in messages
        ]

    site.remake(drive / "cockpit", OPERATOR, change)

    assert "is not signed by truck-1" in "".join(faults_of(drive, "cockpit"))


def test_heads_put_in_another_order__are_named(drive: Path, site: Site) -> None:
    def turned(messages: list[Message]) -> Iterable[Message]:
        heads = [each for each in messages if each.topic == channels.PEER]
        again = iter(reversed(heads))
        return [
            next(again)._replace(log_ns=each.log_ns) if each.topic == channels.PEER else each
            for each in messages
        ]

    site.remake(drive / "cockpit", OPERATOR, turned)

    assert "heads of truck-1 were put in another order" in "".join(faults_of(drive, "cockpit"))


@pytest.mark.parametrize(("session", "back_s"), [("machine", 0), ("machine2", 4)])
def test_clock_set_back_between_two_logs__both_hold(
    tmp_path: Path, site: Site, session: str, back_s: int
) -> None:
    drive = Drive(site, tmp_path)
    drive.until(10)
    drive.restart(VEHICLE, "machine2", UTC_NS - 4 * S)
    drive.until(24)
    drive.close()
    machine = open_log(tmp_path / session)
    found = verify_both(machine, open_log(tmp_path / "cockpit"))

    assert found.machine.faults == [], both_as_text(found)
    assert found.machine.told == found.machine.fitting >= 8 - back_s


def test_two_logs_written_at_once__each_stands_in_the_others_place(
    tmp_path: Path, site: Site
) -> None:
    drive = Drive(site, tmp_path)
    for second in range(3, 12, 3):
        drive.until(second)
        drive.on_way[VEHICLE].append(head(site, session="b", utc_ns=UTC_NS + second * S - S // 8))
    drive.close()

    [fault] = faults_of(tmp_path, "machine")
    assert re.search("told of the log b: this one stands in its place", fault)


def test_head_said_again__is_no_fault_of_the_log_that_kept_it(drive: Path, site: Site) -> None:
    def twice(messages: list[Message]) -> Iterable[Message]:
        heads = [each for each in messages if each.topic == channels.PEER]
        last_ns = messages[-1].log_ns
        again = heads * (last_ns > UTC_NS + 9 * S)
        return [*messages, *(each._replace(log_ns=last_ns) for each in again)]

    site.remake(drive / "machine", VEHICLE, twice)

    assert faults_of(drive, "machine") == []


def test_old_heads_said_again_to_a_recorder_that_had_been_killed__are_no_fault(
    tmp_path: Path, site: Site
) -> None:
    drive = Drive(site, tmp_path)
    drive.until(3.25)
    missed = drive.on_way[VEHICLE][:]
    drive.on_way[VEHICLE].clear()
    drive.until(6)
    drive.kill(OPERATOR)
    drive.on_way[VEHICLE] += [*missed, head(site, session="yesterday", utc_ns=5)]
    drive.until(9)
    drive.close()
    found = proof_of(tmp_path)

    assert len(missed) == 1
    assert found.holds, both_as_text(found)


def test_nothing_exchanged__nothing_is_proven(tmp_path: Path, site: Site) -> None:
    site.drive(tmp_path, seconds=3, heard=False)

    assert faults_of(tmp_path, "machine") == [
        "the cockpit's log holds no head of it: nothing is proven"
    ]


def test_first_file_gone_by_its_quota__the_rest_holds(drive: Path) -> None:
    (drive / "machine" / "00001.mcap").unlink()
    found = proof_of(drive)

    assert found.holds, both_as_text(found)
    assert found.machine.fitting < found.machine.told
    assert found.machine.proof.notes == ["files before 2 are not here"]


def test_one_file_of_a_session__is_judged_by_its_own_heads(written: Path) -> None:
    found = verify_both(open_log(written / "machine" / "00002.mcap"), open_log(written / "cockpit"))

    assert found.holds, both_as_text(found)
    assert 2 <= found.machine.told == found.machine.fitting <= 5


@pytest.mark.requirement("HF-EVI-02")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("change", [list, altered])
def test_files_numbered_anew__are_named_altered_or_not(
    drive: Path, site: Site, side: str, change: Change
) -> None:
    site.remake(drive / side, SIDES[side], change, by=100)

    assert verify(open_log(drive / side)).holds, "by itself it looks as written"
    assert "its files were numbered anew" in "".join(faults_of(drive, side))


@pytest.mark.parametrize("side", SIDES)
def test_later_files_numbered_anew__the_gap_is_named(drive: Path, site: Site, side: str) -> None:
    site.remake(drive / side, SIDES[side], altered, by=5, files=1)
    alone = verify(open_log(drive / side))

    assert re.search("it is file 8, and 5 between it and 2 are missing", alone.faults[0])
    assert faults_of(drive, side) != []


def test_files_numbered_anew_after_all_that_was_told__nothing_fits(drive: Path, site: Site) -> None:
    later = [
        each._replace(log_ns=each.log_ns + 60 * S)
        for each in open_log(drive / "machine").files[2].messages()
    ]
    (drive / "machine" / "00001.mcap").unlink()
    (drive / "machine" / "00002.mcap").unlink()
    session = {**later[0].json(), "utc_ns": later[0].log_ns, "segment": 9}
    (drive / "machine" / "00003.mcap").unlink()
    segment = Segment(drive / "machine" / "00009.mcap", session)
    for message in [each for each in later[1:] if each.topic != channels.CHAIN]:
        segment.write(message.topic, message.log_ns, 0, message.data)
    segment.close()

    assert re.match("none of the 9 heads .* nothing is proven", faults_of(drive, "machine")[0])


@pytest.mark.requirement("HF-EVI-02")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("gone", ["00002.mcap", "00003.mcap"])
def test_file_in_the_middle_gone_before_one_that_was_resumed__is_named(
    tmp_path: Path, site: Site, side: str, gone: str
) -> None:
    killed(tmp_path, site, side)
    (tmp_path / side / gone).unlink()

    assert "1 between it and" in verify(open_log(tmp_path / side)).faults[0]
    assert f"file {int(gone[:5])} is missing" in faults_of(tmp_path, side)[0]


def killed(folder: Path, site: Site, side: str) -> None:
    """A drive of which one recorder is killed in its third file, and goes on."""
    drive = Drive(site, folder)
    drive.until(10.5)
    drive.kill(SIDES[side])
    drive.until(14)
    drive.close()


@pytest.mark.parametrize("side", SIDES)
def test_recorder_killed_and_gone_on__both_hold_with_notes(
    tmp_path: Path, site: Site, side: str
) -> None:
    killed(tmp_path, site, side)
    found = proof_of(tmp_path)

    assert found.holds, both_as_text(found)
    assert "begins anew after its recorder was killed" in both_as_text(found)
    assert "was told of nothing beyond it" in both_as_text(found)


@pytest.mark.parametrize("side", SIDES)
def test_end_torn_off_before_a_file_that_was_resumed__is_named(
    tmp_path: Path, site: Site, side: str
) -> None:
    killed(tmp_path, site, side)
    path = tmp_path / side / "00003.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    [fault] = faults_of(tmp_path, side)
    assert re.search(r"file 3, at .* its end was cut off afterwards", fault)


@pytest.mark.parametrize("content", [b'{"segment": 3, "resumed": false}', b'{"segment": 3}'])
def test_file_said_to_be_resumed_by_its_metadata_alone__is_not(content: bytes) -> None:
    file = LogFile(Path(), metadata={"headframe": {"segment": "3", "resumed": "True"}})
    first = Message(channels.SESSION, 1, 1, 0, content)

    assert not beginning_of(file, first).resumed
    assert beginning_of(file, None).resumed


def test_metadata_of_another_number_than_the_first_message__is_named(drive: Path) -> None:
    path = drive / "machine" / "00003.mcap"
    session = next(iter(LogFile(path).messages())).json()
    path.unlink()
    segment = Segment(path, session)
    segment._writer.add_metadata("headframe", {"segment": "4"})
    segment.close()

    faults = verify(Log([LogFile(path)])).faults
    assert faults == ["00003.mcap: its metadata says segment is 4, its first message 3"]


@pytest.mark.parametrize(
    ("attachments", "words"),
    [
        ([("trust.json", b"{}")], "the attachment trust.json is not the one that was written"),
        ([], "the attachment trust.json is missing"),
        ([("trust.json", None), ("page.json", b"1")], "the attachment page.json is not the one"),
        ([("trust.json", None), ("trust.json", b"{}")], "a second attachment is called trust.json"),
    ],
)
def test_attachment_replaced_without_any_key__is_named(
    drive: Path, site: Site, attachments: list[tuple[str, bytes | None]], words: str
) -> None:
    path = drive / "machine" / "00003.mcap"
    messages = [each for each in LogFile(path).messages() if each.topic != channels.CHAIN]
    path.unlink()
    segment = Segment(path, messages[0].json())
    for name, data in attachments:
        segment.attach(name, "application/json", site.text.encode() if data is None else data)
    segment.close()

    assert words in verify(Log([LogFile(path)])).faults[0]


def test_attachment_that_an_older_recorder_wrote__is_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    segment = Segment(path, {"session": "a", "segment": 1, "mono_ns": 0, "utc_ns": 1})
    segment.attach("machine.toml", "application/toml", b"")
    segment.close()
    proof = verify(open_log(path))

    assert proof.holds
    assert proof.notes == ["a.mcap: its chain does not cover what is attached: machine.toml"]


@pytest.mark.parametrize("kept", ["all", "links"])
def test_file_after_one_that_was_abandoned__goes_on_from_a_link_of_it(
    tmp_path: Path, site: Site, kept: str
) -> None:
    about = {"session": "a", "mono_ns": 0, "utc_ns": 1, "vehicle": VEHICLE}
    first = Segment(tmp_path / "00001.mcap", about | {"segment": 1})
    first.write("/sim/note", 2, 2, b"{}")
    first.flush()
    heads = {"all": first.chain.head}
    first.write("/sim/note", 3, 3, b"{}")
    first.flush()
    heads["links"] = first.chain.head
    first.abandon()
    (tmp_path / "00002.mcap.open").touch()  # of a try that the disk did not take either
    Segment(tmp_path / "00003.mcap", about | {"segment": 3}, heads[kept]).close()
    proof = verify(open_log(tmp_path))

    assert proof.holds
    assert len(re.findall("the next file goes on from what is there", "".join(proof.notes))) == 2


def test_file_after_one_of_which_the_disk_kept_less__does_not_hold_by_itself(
    tmp_path: Path,
) -> None:
    about = {"session": "a", "mono_ns": 0, "utc_ns": 1, "vehicle": VEHICLE}
    Segment(tmp_path / "00001.mcap", about | {"segment": 1}).abandon()
    Segment(tmp_path / "00002.mcap", about | {"segment": 2, "resumed": True}, b"h" * 32).close()
    proof = verify(open_log(tmp_path))

    assert (proof.holds, proof.faults, list(proof.torn)) == (False, [], [1])


@pytest.mark.parametrize(
    ("share", "holds"),
    [(0.0, False), (0.02, False), (0.2, False), (0.35, False), (0.65, True), (0.97, True)],
)
@pytest.mark.parametrize("side", SIDES)
def test_last_file_torn_anywhere__it_holds_from_the_last_head_on_and_nothing_is_raised(
    drive: Path, side: str, share: float, holds: bool
) -> None:
    path = drive / side / "00003.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])

    assert not verify(open_log(drive / side)).holds
    assert proof_of(drive).holds is holds


@pytest.mark.parametrize("side", SIDES)
def test_last_file_torn_before_heads_that_were_told__is_no_mere_kill_of_its_recorder(
    drive: Path, side: str
) -> None:
    path = drive / side / "00003.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])

    assert "its end was cut off afterwards" in faults_of(drive, side)[0]


def test_only_file_torn__is_named_too(tmp_path: Path, site: Site) -> None:
    site.drive(tmp_path, seconds=4)
    path = tmp_path / "cockpit" / "00001.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    assert "its end was cut off afterwards" in faults_of(tmp_path, "cockpit")[0]


def test_recorder_killed__its_missing_end_is_a_note_and_no_fault(drive: Path) -> None:
    path = drive / "machine" / "00003.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"zstd")])
    alone = verify(open_log(drive / "machine"))
    found = proof_of(drive)

    assert found.holds, both_as_text(found)
    assert found.machine.told == found.machine.fitting
    assert "was told of nothing beyond it" in found.machine.proof.notes[0]
    assert not alone.holds, "by itself it may as well have been cut off"
    assert "ends without its end" in alone.as_dict()["faults"][0]


def test_bit_altered__the_place_is_named_in_that_log_and_nothing_against_the_other(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = drive / "machine" / "00002.mcap"
    data = bytearray(path.read_bytes())
    data[data.index(b"zstd", len(data) // 2) + 100] ^= 1
    path.write_bytes(data)

    code = main(
        ["replay", "verify", str(drive / "machine"), "--with", str(drive / "cockpit"), "--json"]
    )
    told = json.loads(capsys.readouterr().out)

    assert code == 1
    assert "00002.mcap: messages" in told["machine"]["faults"][0]
    assert told["cockpit"]["faults"] == told["cockpit"]["exchange_faults"] == []


@pytest.mark.parametrize("pair", [("machine", "machine"), ("cockpit", "cockpit")])
def test_two_logs_of_one_side__are_refused(written: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="one log of a machine and one of a cockpit"):
        verify_both(open_log(written / pair[0]), open_log(written / pair[1]))


def test_trust_file_that_does_not_name_one__is_refused(written: Path, site: Site) -> None:
    with pytest.raises(ValueError, match="does not name truck-1"):
        verify_both(
            open_log(written / "machine"),
            open_log(written / "cockpit"),
            {OPERATOR: site.trust[OPERATOR]},
        )
