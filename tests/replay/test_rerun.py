"""The supervisor run again over a log: the same again, and the first thing that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recording import channels
from recording.reader import Log, Message, open_log
from sim.replay.cut import cut, golden, join
from sim.replay.rerun import Rerun, rerun
from sim.replay.settings import changes_of, changing
from sim.replay.ticks import Step, Steps, TickStep
from sim.replay.whatif import what_if
from vehicle_agent.core import tape

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.mcap"))


def steps_of(path: Path) -> list[Step]:
    return list(Steps(open_log(path)))


def stop_ns(path: Path) -> int:
    return rerun(Steps(open_log(path))).stops_now[0].utc_ns


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_log_run_again__every_decision_is_the_same(path: Path) -> None:
    log = open_log(path)

    result = rerun(Steps(log))

    assert (str(result.first), result.skipped, log.lost) == ("None", 0, [])
    assert result.equal
    assert len(result.stops_now) == 1


def test_whole_run_run_again__ticks_and_key_states_are_the_same(stopped: Path) -> None:
    result = rerun(Steps(open_log(stopped)))

    assert result.equal
    assert (result.skipped, result.missing) == (0, 0)
    assert [stop.cause for stop in result.stops_now] == ["D101"]


class CutKeys:
    """A log whose key states lack their end."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        for message in self._log.messages(topics):
            is_key = message.topic == channels.KEY
            yield message._replace(data=message.data[:-1]) if is_key else message


def test_key_states_not_whole__are_passed_over_and_counted(stopped: Path) -> None:
    log = open_log(stopped)
    keys = rerun(Steps(log)).keys
    cut_keys: Any = CutKeys(log)

    result = rerun(Steps(cut_keys))

    assert keys > 0
    assert (result.broken_keys, result.keys) == (keys, 0)
    assert (result.equal, result.skipped, result.missing) == (True, 0, 0)
    assert result.as_dict()["broken_key_states"] == keys


def test_key_state_that_a_log_begins_with_is_not_whole__its_ticks_cannot_be_run(
    part: Path,
) -> None:
    cut_keys: Any = CutKeys(open_log(part))

    result = rerun(Steps(cut_keys))

    assert result.broken_keys == 1
    assert (result.ticks, result.equal) == (0, False)
    assert result.skipped > 0


def test_one_input_altered__first_difference_is_named(part: Path) -> None:
    steps = steps_of(part)
    place = next(
        number
        for number, step in enumerate(steps)
        if isinstance(step, TickStep) and step.given.commands
    )
    altered = steps[place]
    assert isinstance(altered, TickStep)
    heard = {name: each for name, each in altered.heard.items() if name != "commands"}
    steps[place] = replace(altered, given=tape.given_of(heard))

    result = rerun(steps)

    assert not result.equal
    assert result.first is not None
    assert result.first.number == altered.number


def test_outputs_in_another_hand__are_compared_by_what_they_say(part: Path) -> None:
    steps = steps_of(part)
    for step in (each for each in steps if isinstance(each, TickStep)):
        assert step.said is not None
        step.said = json.dumps(json.loads(step.said)).encode()

    result = rerun(steps)

    assert result.equal
    assert result.compared == result.ticks > 0


def test_ticks_missing__goes_on_from_the_next_key_state(stopped: Path) -> None:
    steps = [
        step
        for step in steps_of(stopped)
        if not (isinstance(step, TickStep) and 300 <= step.number < 320)
    ]
    for number, step in enumerate(steps):
        if isinstance(step, TickStep) and step.number == 320:
            steps[number] = replace(step, missing=20)

    result = rerun(steps)

    assert (result.missing, result.skipped) == (20, 681)
    assert result.equal


def test_cut_out_of_the_middle__runs_by_itself(stopped: Path, tmp_path: Path) -> None:
    at_ns = stop_ns(stopped)

    written = cut(open_log(stopped), tmp_path / "cut.mcap", at_ns - 10**9, at_ns + 10**9)
    result = rerun(Steps(open_log(written.path)))

    assert (written.ticks, result.ticks, result.skipped) == (200, 200, 0)
    assert result.equal
    assert [stop.cause for stop in result.stops_now] == ["D101"]


def test_time_without_ticks__cannot_be_cut(part: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tick"):
        cut(open_log(part), tmp_path / "cut.mcap", 0, 1)


def test_golden_log_of_other_decisions__differs(part: Path, tmp_path: Path) -> None:
    at_ns = stop_ns(part)
    written = golden(open_log(part), tmp_path / "g.mcap", at_ns - 10**8, at_ns + 10**8)
    other = changing({"signals.view_stop_ms": 500.0})

    result = rerun_with(written.path, other)

    assert result.differences > 0
    assert result.first is not None
    assert "digest" in result.first.fields


def rerun_with(path: Path, change: object) -> Rerun:
    from sim.replay.rerun import Runner
    from sim.replay.ticks import BootStep, KeyStep

    runner = Runner(change)  # type: ignore[arg-type]
    for step in Steps(open_log(path)):
        if isinstance(step, BootStep):
            runner.boot(step)
        elif isinstance(step, KeyStep):
            runner.key(step)
        else:
            runner.tick(step)
    return runner.result


def test_log_joined_into_one_file__runs_the_same(part: Path, tmp_path: Path) -> None:
    written = join(open_log(part), tmp_path / "all.mcap")

    assert rerun(Steps(open_log(written.path))).equal


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("signals.command.stop_ms=200", {"signals.command_stop_ms": 200.0}),
        ("signals.view_stop_ms=900", {"signals.view_stop_ms": 900.0}),
        ("limits.zone_speed_mps=2.5", {"limits.zone_speed_mps": 2.5}),
    ],
)
def test_setting_named__is_understood(text: str, changes: dict[str, float]) -> None:
    assert changes_of([text]) == changes


@pytest.mark.parametrize(
    "text",
    [
        "signals.command.stop_ms",
        "signals.nothing=1",
        "speed=1",
        "signals.lease_ms=x",
        "signals.lease_ms=1.5",
        "signals.lease_ms=0",
    ],
)
def test_setting_that_is_none__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        changes_of([text])


def test_nothing_changed__the_same_stops(part: Path) -> None:
    result = what_if(steps_of(part), changing({})).as_dict()

    assert (result["stops_then"], result["gained"], result["lost"]) == (1, 0, 0)
    assert result["stops"][0]["later_ms"] == 0
    assert result["metres_then"] == result["metres_now"]


def test_link_cut_and_shorter_time__stops_earlier_and_nearer() -> None:
    path = next(each for each in GOLDEN if each.stem == "sim_truck_link_cut")

    result = what_if(steps_of(path), changing({"signals.command_stop_ms": 150.0})).as_dict()

    assert result["earlier"] == 1
    assert result["stops"][0]["later_ms"] == -100
    assert result["metres_now"]["mean"] < result["metres_then"]["mean"]


def test_view_may_be_older__that_stop_is_lost() -> None:
    path = next(each for each in GOLDEN if each.stem == "sim_truck_picture_frozen")

    result = what_if(steps_of(path), changing({"signals.view_stop_ms": 5000.0})).as_dict()

    assert (result["stops_then"], result["lost"], result["gained"]) == (1, 1, 0)
    assert result["stops"][0]["now"] is None
