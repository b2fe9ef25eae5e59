"""Bench files: what is shipped loads; what is not there is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.benchfile import BenchRefused, check_ports, load_bench
from hil.case import CASES_FILE, load_cases
from tests.trace import REQUIREMENTS, requirements

BENCHES = Path(__file__).resolve().parents[2] / "configs" / "benches"
EMULATED = BENCHES / "emulated.yaml"


def changed(folder: Path, old: str, new: str) -> Path:
    text = EMULATED.read_text(encoding="utf-8")
    assert old in text
    text = text.replace(old, new).replace("path: ..", f"path: {BENCHES.parent}")
    path = folder / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(BENCHES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_bench__loads_and_its_hashes_are_right(path: Path) -> None:
    assert load_bench(path).dbc.sha256 is not None


def test_port_that_is_not_there__is_named_with_its_key(tmp_path: Path) -> None:
    path = changed(
        tmp_path, "{kind: emulated, bitrate_bps: 500000}", "{kind: slcan, port: /dev/no}"
    )
    with pytest.raises(BenchRefused, match=r"channels.dbw.port: /dev/no: no /dev/no here"):
        check_ports(path, load_bench(path))


def test_wrong_hash__names_file_and_both_digests(tmp_path: Path) -> None:
    digest = str(load_bench(EMULATED).dbc.sha256)
    path = changed(tmp_path, digest, "0" * 64)
    with pytest.raises(BenchRefused, match=rf"dbc: .*{digest[:12]}….*000000000000…"):
        load_bench(path)


def test_unknown_capability__is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "[drop,", "[teleport,")
    with pytest.raises(BenchRefused, match=r"capabilities.0"):
        load_bench(path)


def test_unknown_key__is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "seed:", "sed: 1\nseed:")
    with pytest.raises(BenchRefused, match="sed"):
        load_bench(path)


def test_file_not_there__is_one_line() -> None:
    with pytest.raises(BenchRefused, match="cannot be read"):
        load_bench(Path("/nowhere/bench.yaml"))


def test_thirty_cases__each_with_a_number_of_its_own() -> None:
    assert [case.id for case in load_cases()] == [f"HIL-{n:02}" for n in range(1, 31)]


def test_requirements_of_the_cases__are_all_in_the_table() -> None:
    known = requirements(REQUIREMENTS.read_text(encoding="utf-8"))
    assert {name for case in load_cases() for name in case.verifies} <= set(known)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("kind: drop,", "kind: dorp,", "no fault 'dorp'"),
        ("within_ms: 60}", "within_ms: 60, rises: true}", "one of within_ms"),
        ("id: HIL-30", "id: HIL-29", "stands twice"),
        ("start: standby", "start: flying", "start"),
    ],
    ids=["fault", "two kinds of check", "id twice", "start"],
)
def test_case_file_with_a_mistake__is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(CASES_FILE.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        load_cases(path)
