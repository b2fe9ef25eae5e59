"""The command benchmark's own parts: its links, its brokers' files, and how it judges."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import command
from benchmarks._command_end import Echo, Judged, state
from benchmarks.command import ROWS, Row
from sim.network.files import load_link


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
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


def test_our_brokers__have_the_shipped_files_and_their_own_folder(tmp_path: Path) -> None:
    site = command.make_site(tmp_path)
    paths = command.broker_files(tmp_path, site, "both")
    assert [path.name for path in paths] == ["control.conf", "telemetry.conf"]
    assert all("/etc/headframe" not in path.read_text(encoding="utf-8") for path in paths)


def test_command_with_the_newest_echo__is_accepted_once() -> None:
    echo, judged = Echo(), Judged()
    echo.hear(state())
    sent = echo.command()
    judged.take(sent)
    judged.take(sent)
    result = judged.result()
    assert len(result["ages_ms"]) == 1
    assert sum(result["refused"].values()) == 1
