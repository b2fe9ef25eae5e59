"""Files of a log: what a killed writer leaves, what a damaged one still tells, who goes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcap.reader import make_reader

from recording import channels
from recording.backlog import Backlog, Item
from recording.migrations import Steps, UnknownVersionError, steps_for
from recording.reader import Log, LogFile, logs_under, open_log
from recording.ring import Ring, finish_orphans, segment_name
from recording.segment import Segment

ABOUT = {"version": 1, "mono_ns": 1_000, "utc_ns": 2_000}
NOTE = "/sim/note"


def note(number: int) -> bytes:
    return json.dumps({"note": number, "filling": "x" * 50}).encode()


def written(path: Path, blocks: int, in_block: int = 10) -> Segment:
    """A segment of so many flushed blocks, still open."""
    segment = Segment(path, ABOUT)
    for block in range(blocks):
        for each in range(in_block):
            number = block * in_block + each
            segment.write(NOTE, 3_000 + number, number, note(number))
        segment.flush()
    return segment


def notes(file: LogFile) -> list[int]:
    return [message.json()["note"] for message in file.messages({NOTE})]


def test_file_finished__opens_with_its_index_and_without(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mcap", 3).close()
    file = LogFile(path)

    with path.open("rb") as stream:
        theirs = [message.data for _, _, message in make_reader(stream).iter_messages([NOTE])]

    assert notes(file) == list(range(30))
    assert theirs == [note(number) for number in range(30)]
    assert (file.whole, file.lost, file.version) == (True, [], 1)


def test_file_never_finished__all_that_was_flushed_is_there(tmp_path: Path) -> None:
    segment = written(tmp_path / "a.mcap", 3)
    segment.write(NOTE, 9_000, 9, note(99))
    file = LogFile(segment.path)

    assert notes(file) == list(range(30))
    assert not file.whole
    assert "ends without its end" in file.lost[0]
    segment.close()


def test_session_asked_for_afterwards__what_is_lost_is_still_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    written(path, 2).abandon()
    log = open_log(path.with_name("a.mcap.open"))
    list(log.messages())
    session = log.session()

    assert session["version"] == 1
    assert "ends without its end" in log.lost[0]


def test_file_cut_anywhere__reads_up_to_there(tmp_path: Path) -> None:
    data = written(tmp_path / "a.mcap", 8).close().read_bytes()
    path = tmp_path / "cut.mcap"
    before: list[int] = []
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        found = notes(LogFile(path))
        assert found[: len(before)] == before
        before = found
    assert before == list(range(80))


def test_bits_altered_anywhere__never_raises(tmp_path: Path) -> None:
    data = written(tmp_path / "a.mcap", 4).close().read_bytes()
    path = tmp_path / "altered.mcap"
    for place in range(0, len(data), 61):
        altered = bytearray(data)
        altered[place] ^= 0x10
        path.write_bytes(altered)
        file = LogFile(path)
        assert set(notes(file)) <= set(range(40))


def test_chunk_damaged__is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    segment = written(tmp_path / "a.mcap", 2)
    place = segment.size_bytes
    for number in range(20, 40):
        segment.write(NOTE, 3_000 + number, number, note(number))
        if number in (29, 39):
            segment.flush()
    path = segment.close()
    data = bytearray(path.read_bytes())
    data[place + 80] ^= 0xFF
    path.write_bytes(data)
    file = LogFile(path)

    assert notes(file) == [*range(20), *range(30, 40)]
    assert f"chunk at byte {place} is damaged" in file.lost[0]
    assert file.whole


def test_chunk_damaged__time_is_told_as_in_every_other_text(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a.mcap", ABOUT)
    place = segment.size_bytes
    begun_ns = 1_767_226_138_010_000_000
    segment.write(NOTE, begun_ns, 0, note(0))
    segment.write(NOTE, begun_ns + 490_000_000, 1, note(1))
    path = segment.close()
    data = bytearray(path.read_bytes())
    data[place + 80] ^= 0xFF
    path.write_bytes(data)
    file = LogFile(path)

    assert notes(file) == []
    assert file.lost[0].endswith("is damaged: 0.49 s lost from 00:08:58.010")


def test_topic_nobody_asked_for__is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mcap", 1).close()

    topics = {message.topic for message in LogFile(path).messages()}

    assert topics == {channels.SESSION, channels.CHAIN, NOTE}


def test_files_of_a_session__are_read_in_order_open_one_last(tmp_path: Path) -> None:
    written(tmp_path / segment_name(1), 1).close()
    still_open = written(tmp_path / segment_name(2), 1)

    log = open_log(tmp_path)

    assert [each.path.name for each in log.files] == ["00001.mcap", "00002.mcap.open"]
    assert len(list(log.messages({NOTE}))) == 20
    still_open.close()


def test_folder_of_sessions__each_is_a_log(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / segment_name(1), 1).close()

    assert [log.files[0].path.parent.name for log in logs_under(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("name", ["", "nothing.mcap"])
def test_no_log__is_said_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no"):
        open_log(tmp_path / name)


def test_older_version__goes_through_the_steps_of_its_topic() -> None:
    steps: Steps = {1: {"/x": lambda each: {**each, "two": 2}}, 2: {"/y": lambda each: each}}

    [step] = steps_for(1, "/x", steps, 3)

    assert step({"one": 1}) == {"one": 1, "two": 2}
    assert len(steps_for(1, "/y", steps, 3)) == 1
    assert steps_for(2, "/x", steps, 3) == ()


def test_version_without_a_way__is_refused() -> None:
    with pytest.raises(UnknownVersionError, match="from version 1"):
        steps_for(1, "/x", {}, 2)


def test_version_of_today__needs_no_step() -> None:
    assert steps_for(channels.VERSION, channels.BOOT) == ()


def test_boot_of_the_first_version__knows_neither_adapter_nor_locator(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a.mcap", ABOUT)
    segment.write(channels.BOOT, 3_000, 3, b'{"vehicle":"x"}')
    segment.close()

    [boot] = Log([LogFile(tmp_path / "a.mcap")]).messages({channels.BOOT})

    assert boot.json() == {"vehicle": "x", "adapter": None, "locator": False}


# -- what waits


def item(size: int, camera: int | None = None, *, key: bool = False) -> Item:
    topic = NOTE if camera is None else channels.video_topic(camera)
    return Item(b"x", topic, 0, bytes(size), camera=camera, key=key)


def test_room_for_all__comes_out_in_order() -> None:
    backlog = Backlog(100, 100)
    items = [item(10), item(20, 0, key=True), item(30)]

    assert all(map(backlog.put, items))
    assert [backlog.take(0) for _ in items] == items
    assert (backlog.take(0), backlog.take_dropped()) == (None, {})


def test_no_room_left__pictures_make_way_for_the_rest() -> None:
    backlog = Backlog(100, 100)
    backlog.put(item(60, 0, key=True))

    assert backlog.put(item(50))
    assert backlog.take_dropped() == {"/cam/0/video": 1}
    assert backlog.take(0) == item(50)


def test_no_room_even_without_pictures__newest_is_dropped_and_counted() -> None:
    backlog = Backlog(100, 100)
    backlog.put(item(60))

    assert not backlog.put(item(50))
    assert backlog.take_dropped() == {NOTE: 1}
    assert backlog.take_dropped() == {}


def test_picture_dropped__the_next_count_from_a_key_frame_on() -> None:
    backlog = Backlog(100, 30)
    backlog.put(item(20, 0, key=True))
    backlog.put(item(20, 0))
    backlog.take(0)

    taken = [backlog.put(item(5, 0)), backlog.put(item(5, 1)), backlog.put(item(5, 0, key=True))]

    assert taken == [False, True, True]
    assert backlog.take_dropped() == {"/cam/0/video": 2}


def test_closed__what_waits_still_comes_out() -> None:
    backlog = Backlog()
    backlog.put(item(1))
    backlog.close()

    before = backlog.closed
    backlog.take(0)

    assert (before, backlog.closed, backlog.wait(0)) == (False, True, True)


# -- the folder


def fill(folder: Path, session: str, numbers: range, size: int = 1000) -> Path:
    place = folder / session
    place.mkdir(exist_ok=True)
    for number in numbers:
        (place / segment_name(number)).write_bytes(bytes(size))
    return place


def test_more_than_the_quota__oldest_segments_go_first(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 3_000, 10_000)
    old = fill(tmp_path, "20260101", range(1, 3))
    new = fill(tmp_path, "20260102", range(1, 4))

    removed = ring.make_room()

    assert removed == 2
    assert not old.exists()
    assert len(list(new.iterdir())) == 3


def test_segment_being_written__never_goes(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 0, 0)
    place = fill(tmp_path, "20260101", range(1, 3))

    ring.make_room(place / segment_name(2))

    assert [path.name for path in place.iterdir()] == [segment_name(2)]


def test_segments_round_a_stop__outlive_the_ring(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 0, 10_000)
    session = ring.begin("20260101", {"vehicle": "x"})
    fill(tmp_path, "20260101", range(1, 4))

    ring.protect(session, "stop", 2, 3)
    ring.make_room()

    kept = tmp_path / "kept" / "20260101-stop"
    assert sorted(path.name for path in kept.iterdir()) == [
        segment_name(2),
        segment_name(3),
        "session.json",
    ]


def test_segment_protected_while_it_is_written__grows_on(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 10**9, 10**9)
    session = ring.begin("20260101", {})
    segment = written(session / segment_name(1), 1)

    kept = ring.protect(session, "stop", 1, 1)
    segment.write(NOTE, 9_000, 9, note(10))
    segment.close()

    assert notes(LogFile(kept[0])) == list(range(11))


def test_too_many_kept__oldest_stops_go(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 10_000, 1_500)
    session = fill(tmp_path, "20260101", range(1, 3))
    for number in (1, 2):
        ring.protect(session, f"stop{number}", number, number)

    ring.make_room()

    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["20260101-stop2"]


def test_names_that_are_no_recorders__are_not_gone_on_with(tmp_path: Path) -> None:
    for name in ("20260101/00002.mcap", "20260101/cut.mcap", "my drive/00003.mcap"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    newest = Ring(tmp_path, 10, 10).newest()

    assert newest is not None
    assert newest[:2] == ("20260101", 2)


def test_file_of_a_killed_recorder__gets_its_name(tmp_path: Path) -> None:
    (tmp_path / "20260101").mkdir()
    segment = written(tmp_path / "20260101" / segment_name(1), 1)

    assert finish_orphans(tmp_path) == 1
    assert notes(LogFile(tmp_path / "20260101" / segment_name(1))) == list(range(10))
    segment.abandon()


def test_log_of_no_files__has_lost_nothing() -> None:
    assert Log([]).lost == []
