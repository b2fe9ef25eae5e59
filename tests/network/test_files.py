"""Link files and traces: every shipped one loads, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.network.files import LINKS, find_link, load_link
from sim.network.model import LinkModel, Verdict
from sim.network.trace import parse_trace

SHIPPED = sorted(LINKS.glob("*.toml"))
PRESETS = {"dead", "fibre-5g", "lte-loaded", "transpacific", "tunnel-bend", "wifi-drift"}
SMALL = '[link]\nname = "x"\ntitle = "x"\n[up]\n{up}\n[down]\n'


def test_links_without_a_place__are_the_presets_of_the_design() -> None:
    assert {path.stem for path in SHIPPED if load_link(path).radio is None} == PRESETS


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_link__loads_and_bears_its_files_name(path: Path) -> None:
    assert load_link(path).name == path.stem


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_link__decides_for_two_minutes_of_commands(path: Path) -> None:
    link = load_link(path)
    models = [LinkModel(link.up, 1, "up"), LinkModel(link.down, 1, "down")]
    for number in range(6000):
        for model in models:
            model.decide(number * 20_000_000, 172)
    carried = [model.counts[Verdict.CARRIED] > 4500 for model in models]
    assert carried == [link.name != "dead"] * 2


def test_transpacific__is_190_ms_there_and_back() -> None:
    link = find_link("transpacific")
    assert link.up.delay_ns + link.down.delay_ns == 190_000_000


def test_unknown_link__names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="lte-loaded"):
        find_link("string-and-cans")


@pytest.mark.parametrize(
    ("up", "reason"),
    [
        ("delay_ms = -1.0", "up.delay_ms"),
        ("loss = nan", "up.loss"),
        ("loss = 2", "up.loss"),
        ("wings = 2", "up.wings"),
        ("course = [{ at_s = 0.0 }]", "two or more points"),
        ("course = [{ at_s = 0.0, rate_kbps = 1.0 }, { at_s = 1.0 }]", "every point or at none"),
        ("gaps = { every_s = 1.0, shortest_ms = 2.0, longest_ms = 1.0 }", "longest_ms"),
        ('trace = "x"\nrate_kbps = 1.0', "takes the place"),
        ('trace = "gone.trace"', "gone.trace"),
    ],
)
def test_wrong_value__one_line_names_file_and_key(tmp_path: Path, up: str, reason: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(SMALL.format(up=up), encoding="utf-8")
    with pytest.raises(ValueError, match=reason) as caught:
        load_link(path)
    assert len(str(caught.value).splitlines()) == 1


def test_trace_beside_the_link__is_read(tmp_path: Path) -> None:
    (tmp_path / "drive.trace").write_text("1\n2\n2\n5\n", encoding="ascii")
    path = tmp_path / "odd.toml"
    path.write_text(SMALL.format(up='trace = "drive.trace"'), encoding="utf-8")
    assert load_link(path).up.trace_ms == (1, 2, 2, 5)


@pytest.mark.parametrize("text", ["", "0\n", "2\n1\n", "one\n", "-1\n", "1.5\n"])
def test_bad_trace__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"drive\.trace"):
        parse_trace(text, "drive.trace")
