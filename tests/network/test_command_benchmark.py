"""The command benchmark's own parts: its links, its brokers' files, and how it judges."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import _command_end, command
from benchmarks._command_end import Hand, Judged, state
from benchmarks.command import ROWS, Row
from protocol.control_peer import CommandPath
from sim.network.files import LINKS, load_link

MADE = [row for row in ROWS if not row.shipped]


@pytest.mark.parametrize("row", MADE, ids=lambda row: row.name)
def test_row__is_a_link_of_its_round_trip_and_loss(row: Row, tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    path.write_text(row.link(), encoding="utf-8")
    link = load_link(path)
    assert link.up == link.down
    assert 2 * link.up.delay_ns == row.rtt_ms * 1_000_000
    assert link.up.loss == row.loss
    assert (link.up.gaps.longest_s if link.up.gaps else 0.0) == row.outage_s


def test_headline__is_one_of_the_rows() -> None:
    assert command.HEADLINE in ROWS


def test_row_of_a_shipped_link__is_that_link(tmp_path: Path) -> None:
    path = tmp_path / "link.toml"
    path.write_text(Row(shipped="wifi-drift").link(), encoding="utf-8")
    assert load_link(path) == load_link(LINKS / "wifi-drift.toml")


def test_our_brokers__have_the_shipped_files_and_their_own_folder(tmp_path: Path) -> None:
    site = command.make_site(tmp_path)
    paths = command.broker_files(tmp_path, site, "both")
    assert [path.name for path in paths] == ["control.conf", "telemetry.conf"]
    assert all("/etc/headframe" not in path.read_text(encoding="utf-8") for path in paths)


def test_command_with_the_newest_echo__is_accepted_once() -> None:
    hand, judged = Hand(), Judged()
    hand.hear(state())
    sent = hand.command()
    judged.take(sent)
    judged.take(sent)
    result = judged.result()
    assert len(result["ages_ms"]) == 1
    assert sum(result["refused"].values()) == 1


def test_figures__tell_too_old_from_overtaken_and_stops_from_shorter_silences() -> None:
    result = {
        "ages_ms": [20.0, 30.0],
        "refused": {"LOOP_TOO_OLD": 1, "UPLINK_TOO_OLD": 2, "HOLD_TOO_LONG": 4, "REPLAYED": 8},
        "silence_ms": 300.4,
        "silences_ms": [101.0, 250.0, 300.4],
        "oldest_bound_ms": 249.96,
        "first": [1, 1],
    }
    found = command.figures(command.HEADLINE, "both", result)
    assert (found["refused_too_old"], found["refused_otherwise"]) == (7, 8)
    assert (found["traction_off"], found["stops"]) == (3, 1)
    assert "20.0/30.0/30.0/30.0" in command.line(found)


def test_no_command_for_long__counts_although_none_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = [10_000_000_000]
    monkeypatch.setattr(_command_end, "monotonic_ns", lambda: now_ns[0])
    hand, judged = Hand(), Judged()
    hand.hear(state())
    judged.take(hand.command())
    now_ns[0] += 260_000_000
    result = judged.result()
    assert result["silences_ms"] == [260.0]
    assert result["silence_ms"] == 260.0


def test_path_still_awaited__only_the_oldest_that_acted_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = [10_000_000_000]
    monkeypatch.setattr(_command_end, "monotonic_ns", lambda: now_ns[0])
    hand, judged = Hand(), Judged(awaited={CommandPath.MQTT, CommandPath.DATA_CHANNEL})
    told = state()
    now_ns[0] += 7_000_000
    hand.hear(told)
    judged.take(hand.command(), CommandPath.MQTT)
    before = (len(judged.ages_ms), judged.oldest_bound_ms)
    sent = hand.command()
    judged.take(sent, CommandPath.MQTT)
    judged.take(sent, CommandPath.DATA_CHANNEL)
    judged.take(hand.command(), CommandPath.MQTT)

    assert before == (0, 7.0)
    assert len(judged.ages_ms) == 1


def test_no_valid_command_by_a_path_for_2_s__the_state_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = [10_000_000_000]
    monkeypatch.setattr(_command_end, "monotonic_ns", lambda: now_ns[0])
    hand, judged = Hand(), Judged()
    before = judged.out(CommandPath.DATA_CHANNEL)
    hand.hear(state())
    judged.take(hand.command(), CommandPath.DATA_CHANNEL)
    now_ns[0] += 2_000_000_000
    within = judged.out(CommandPath.DATA_CHANNEL)
    now_ns[0] += 1

    assert (before, within, judged.out(CommandPath.DATA_CHANNEL)) == (True, False, True)
