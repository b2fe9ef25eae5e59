"""Both sides of a link test under a clock that the tests move; and what no machine obeys."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from operator_console.core.link_plot import page, picture
from operator_console.core.link_test import LinkTest, Mark, Sample, report
from protocol.errors import ProtocolError, Refusal
from protocol.frames import COMMAND_BYTES, decode_command, vehicle_id
from protocol.freshness import Acceptance, Lease, Refused
from protocol.probe import EPOCH, KEY, KEY_ID, REFLECTION_BYTES, Reflection, decode_reflection
from protocol.signals import DEFAULT_TIMING
from vehicle_agent.core.mirror import Mirror
from vehicle_agent.shell import ipc, link_test

MS = 1_000_000
PERIOD_NS = 20 * MS
VEHICLE = vehicle_id("truck-1")
ZONE_MPS = 5.0
TEST = 77


class Line:
    """Both sides, and paths with a delay each way; a path may be cut for some time.

    Attributes:
        cuts: from the first to the second of such a pair of times in ns nothing is carried.
    """

    def __init__(self, *delays_ms: int) -> None:
        self.delays_ns = [delay * MS for delay in delays_ms]
        names = ("mqtt", "channel")[: len(delays_ms)]
        self.test = LinkTest(names, VEHICLE, 1, DEFAULT_TIMING)
        self.mirror = Mirror(VEHICLE, DEFAULT_TIMING, ZONE_MPS)
        self.cuts: dict[int, list[tuple[int, int]]] = {}
        self._way: list[tuple[int, int, int, bytes]] = []

    def carry(self, from_ms: int, to_ms: int) -> None:
        """Let both sides speak every 20 ms."""
        for now_ms in range(from_ms, to_ms):
            now_ns = now_ms * MS
            due = sorted(each for each in self._way if each[0] <= now_ns)
            self._way = [each for each in self._way if each[0] > now_ns]
            for at_ns, side, path, data in due:
                hear = (self.mirror.hear, self.test.hear)[side]
                hear(at_ns, path, data)
            if now_ns % PERIOD_NS == 0:
                self._say(now_ns, 0, self.test.probe(now_ns))
                self._say(now_ns, 1, self.mirror.reflection(now_ns))

    def _say(self, now_ns: int, side: int, data: bytes) -> None:
        for path, delay_ns in enumerate(self.delays_ns):
            cut = any(begin <= now_ns < end for begin, end in self.cuts.get(path, ()))
            if side == 0:
                self.test.sent(path, left=True)
            if not cut:
                self._way.append((now_ns + delay_ns, side, path, data))

    def measured(self, seconds: int) -> dict[str, Any]:
        """Settle for a second, measure, and return the figures."""
        self.carry(0, 1000)
        self.test.begin(1000 * MS, TEST)
        self.carry(1000, 1000 + 1000 * seconds)
        return self.test.result((1000 + 1000 * seconds) * MS)


def test_probe__is_as_long_as_a_command_and_no_machine_reads_it() -> None:
    probe = LinkTest(("mqtt",), VEHICLE, TEST, DEFAULT_TIMING).probe(0)
    assert len(probe) == COMMAND_BYTES
    with pytest.raises(ProtocolError) as refused:
        decode_command(probe, {KEY_ID: KEY})
    assert refused.value.reason is Refusal.UNKNOWN_VERSION


@pytest.mark.requirement("HF-CMD-13")
def test_probe_under_a_lease_with_its_own_key__is_refused() -> None:
    guardian = Acceptance(DEFAULT_TIMING, VEHICLE, TEST)
    guardian.open_lease(Lease(KEY_ID, EPOCH, KEY))
    verdict = guardian.judge(0, LinkTest(("mqtt",), VEHICLE, TEST, DEFAULT_TIMING).probe(0), 0)
    assert isinstance(verdict, Refused)
    assert verdict.reason is Refusal.UNKNOWN_VERSION


def test_reflection_cut_short__is_refused_at_every_length() -> None:
    whole = Reflection(1, 2, 3, 4, 5, 6, b"{}").encode()
    for length in range(REFLECTION_BYTES):
        with pytest.raises(ProtocolError):
            decode_reflection(whole[:length])


def test_reflection__reads_back_as_it_was() -> None:
    told = Reflection(1, 2, 3, 4, 5, 6, b'{"a":1}')
    assert decode_reflection(told.encode()) == told


def test_clean_link__nothing_is_lost_and_the_whole_speed_is_allowed() -> None:
    result = Line(20).measured(5)
    path = result["paths"]["mqtt"]
    assert path["round_trip_ms"]["p50"] == path["round_trip_ms"]["max"] == 40.0
    assert (path["lost_there"], path["lost_here"]) == (0.0, 0.0)
    assert result["drive"]["stops"] == result["drive"]["degraded"] == 0
    assert result["speed"]["share"]["p99"] == 1.0
    assert path["silent_there_ms"] == 20.0


def test_long_link__speed_falls_as_the_governor_lets_it() -> None:
    result = Line(110).measured(5)
    loop_ms = result["loop_ms"]["p99"]
    assert 220.0 <= loop_ms <= 245.0
    assert result["speed"]["share"]["p99"] == pytest.approx(200 / loop_ms, abs=0.001)
    assert result["speed"]["cap_mps"]["p99"] == pytest.approx(5.0 * 200 / loop_ms, abs=0.01)
    assert result["drive"]["capped"] == result["drive"]["accepted"] > 200


def test_link_beyond_450_ms__carries_no_drive() -> None:
    result = Line(240).measured(3)
    assert result["drive"]["accepted"] == 0
    assert result["drive"]["refused_as_stale"]["loop_too_old"] > 100
    assert report(result).startswith("This link carries no drive")


@pytest.mark.parametrize(("silent_ms", "degraded", "stops"), [(80, 0, 0), (140, 1, 0), (400, 1, 1)])
def test_outage__is_what_a_drive_would_have_felt(silent_ms: int, degraded: int, stops: int) -> None:
    line = Line(20)
    line.cuts[0] = [(2000 * MS, (2000 + silent_ms) * MS)]
    result = line.measured(4)
    assert (result["drive"]["degraded"], result["drive"]["stops"]) == (degraded, stops)
    assert result["paths"]["mqtt"]["silent_there_ms"] == pytest.approx(silent_ms + 20)
    assert [mark.kind for mark in line.test.marks] == ["degraded"] * degraded + ["stops"] * stops


def test_one_of_two_paths_out__together_nothing_is_felt() -> None:
    line = Line(20, 30)
    line.cuts[0] = [(2000 * MS, 2600 * MS)]
    result = line.measured(4)
    assert result["drive"]["stops"] == result["drive"]["degraded"] == 0
    assert result["paths"]["mqtt"]["silent_there_ms"] == 620.0
    assert result["paths"]["channel"]["silent_there_ms"] == 20.0
    assert result["paths"]["mqtt"]["lost_there"] == pytest.approx(30 / 199, abs=0.001)
    assert result["together"]["lost_there"] == 0.0


def test_old_commands_after_a_stall__came_but_did_not_count() -> None:
    line = Line(20, 20)
    line.delays_ns = [700 * MS, 700 * MS]
    result = line.measured(4)
    assert result["together"]["lost_there"] == 0.0
    assert result["together"]["heard_there"] > 100
    assert result["drive"]["accepted"] == 0


def test_link_dead_to_the_end__the_open_silence_counts() -> None:
    line = Line(20)
    line.cuts[0] = [(2000 * MS, 9000 * MS)]
    result = line.measured(4)
    assert result["paths"]["mqtt"]["silent_here_ms"] == pytest.approx(3000, abs=45)


def test_machine_in_service__is_told_from_nobody() -> None:
    test = LinkTest(("mqtt",), VEHICLE, TEST, DEFAULT_TIMING)
    test.hear(0, 0, b"\x01" + bytes(99))
    assert (test.machine_is_live, test.answered) == (True, False)


def test_reflection_that_is_no_json__is_left_alone() -> None:
    test = LinkTest(("mqtt",), VEHICLE, TEST, DEFAULT_TIMING)
    test.hear(0, 0, Reflection(TEST, 1, 1, 0, 0, 0, b"{").encode())
    assert (test.machine_is_live, test.answered) == (False, False)


def test_command_of_a_drive__is_left_alone_by_the_mirror() -> None:
    mirror = Mirror(VEHICLE, DEFAULT_TIMING, ZONE_MPS)
    mirror.hear(0, 0, b"\x01" + bytes(COMMAND_BYTES - 1))
    assert decode_reflection(mirror.reflection(0)).test == 0


def test_report__says_what_a_person_asks_first() -> None:
    line = Line(110)
    line.cuts[0] = [(3000 * MS, 3400 * MS)]
    text = report(line.measured(10))
    fit, speed = text.splitlines()[:2]
    assert fit == "Not fit to drive: stopped once in 10 s (360 an hour)"
    assert re.match(r"Speed that its loop .*: \d\d % of zone speed, 4\.\d of 5\.0 m/s", speed)
    assert "mqtt" in text


@pytest.mark.parametrize(
    ("cuts_ms", "expected"),
    [
        ((0, 0), "Fit to drive: no stop in 4 s, and never without traction"),
        ((0, 140), "Fit to drive: no stop in 4 s; without traction for a moment once"),
        (
            (400, 140),
            "Not fit to drive: stopped once in 4 s (900 an hour), "
            "and without traction for a moment once more",
        ),
    ],
)
def test_report__begins_with_whether_a_machine_can_be_driven(
    cuts_ms: tuple[int, int], expected: str
) -> None:
    line = Line(20, 20)
    for path in (0, 1):
        line.cuts[path] = [
            (begin_ms * MS, (begin_ms + cut_ms) * MS)
            for begin_ms, cut_ms in zip((2000, 3500), cuts_ms, strict=True)
        ]
    assert report(line.measured(4)).splitlines()[0] == expected


def test_slower_copy_tells_of_earlier_counts__nothing_is_marked_twice_or_taken_back() -> None:
    test = LinkTest(("mqtt", "channel"), VEHICLE, TEST, DEFAULT_TIMING)
    test.begin(0, TEST)
    for path, sequence, stops in ((0, 1, 0), (0, 2, 1), (1, 1, 0), (0, 3, 1), (1, 2, 0)):
        told = json.dumps({"stops": stops}).encode()
        test.hear(MS, path, Reflection(TEST, sequence, sequence, 0, 0, 0, told).encode())
    assert [mark.kind for mark in test.marks] == ["stops"]
    assert test.result(2 * MS)["drive"]["stops"] == 1


def test_picture__is_one_whole_piece_that_needs_nothing_else() -> None:
    samples = [Sample(n / 50, 40.0 + n % 7) for n in range(500)]
    marks = [Mark(3.0, "stops"), Mark(5.0, "degraded")]
    tree = ET.fromstring(picture(10.0, samples, marks))
    assert len(tree.findall(".//{*}circle")) == 500
    assert (
        len([line for line in tree.findall(".//{*}line") if line.find("{*}title") is not None]) == 2
    )
    shown = page("A <b>", Line(20).measured(2), samples, marks)
    assert "A &lt;b&gt;" in shown
    assert re.findall(r'(?:src|href)="', shown) == []


def test_answers_missing_for_long__are_shaded() -> None:
    samples = [Sample(at_s, 40.0) for at_s in (0.05, 0.1, 0.5, 0.55)]
    tree = ET.fromstring(picture(0.6, samples, []))
    shaded = [each for each in tree.findall(".//{*}rect") if each.get("class") == "u"]
    assert [each.get("width") for each in shaded] == ["570.0", "12"]


def test_picture_without_a_sample__can_be_drawn() -> None:
    assert ET.fromstring(picture(0.0, [], [])) is not None


def test_agent_that_runs__is_noticed(tmp_path: Path) -> None:
    before = link_test.guardian_lives(tmp_path)
    with closing(ipc.Mailbox(tmp_path, ipc.GUARDIAN)):
        during = link_test.guardian_lives(tmp_path)
    (tmp_path / ipc.GUARDIAN).touch()
    assert (before, during, link_test.guardian_lives(tmp_path)) == (False, True, False)


def test_result__is_json() -> None:
    assert json.loads(json.dumps(Line(20, 30).measured(2)))["seconds"] == 2.0


def test_socket_path_too_long__is_no_guardian(tmp_path: Path) -> None:
    assert not link_test.guardian_lives(tmp_path / ("x" * 200))
