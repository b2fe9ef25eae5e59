"""The doctor: each finding says what was found and what to do."""

from __future__ import annotations

import json
import socket
from importlib import metadata
from pathlib import Path

import pytest

from vehicle_agent.shell import doctor
from vehicle_agent.shell.doctor import Finding, Verdict


def test_this_computer__fails_in_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(None, 8700, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert {finding["check"] for finding in report["findings"]} >= {"python", "packages", "clock"}


def test_text__is_one_line_per_finding(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(None, 8700, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.startswith(("OK ", "WARN", "FAIL")) for line in lines)


def test_everything_but_ok__says_what_to_do() -> None:
    findings = list(doctor.examine(None, 8700))
    assert [
        finding for finding in findings if finding.verdict is not Verdict.OK and not finding.remedy
    ] == []


def test_config_missing__fails_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(tmp_path / "gone.toml", 8700, as_json=False) == 1
    assert "gone.toml" in capsys.readouterr().out


def test_old_python__fails() -> None:
    assert doctor.check_python((3, 10)).verdict is Verdict.FAIL


def test_package_of_another_version__warns_and_names_both(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("pytest==0.1\n", encoding="utf-8")
    finding = doctor.check_packages(pins)
    assert finding.verdict is Verdict.WARN
    assert "pinned 0.1" in finding.text


def test_needed_package_missing__fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_needed_packages", lambda: frozenset({"no-such-package"}))
    pins = tmp_path / "constraints.txt"
    pins.write_text("no_such.package==1.0\n", encoding="utf-8")
    assert doctor.check_packages(pins).verdict is Verdict.FAIL


def test_library_missing__names_debians_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", {"libnothere.so.9": "libnothere9"})
    assert doctor.check_libraries().remedy == "apt-get install libnothere9"


@pytest.mark.parametrize(
    ("text", "verdict"), [("20000\n", Verdict.OK), ("200000\n", Verdict.WARN), ("", Verdict.WARN)]
)
def test_tcp_floor__warns_above_20_ms(tmp_path: Path, text: str, verdict: Verdict) -> None:
    path = tmp_path / "tcp_rto_min_us"
    path.write_text(text, encoding="ascii")
    assert doctor.check_tcp(path).verdict is verdict


def test_clock_runs_backwards__fails(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(10**9, 0, -1))
    monkeypatch.setattr(doctor, "monotonic_ns", lambda: next(times))
    assert doctor.check_clock().verdict is Verdict.FAIL


def test_port_taken__warns() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert doctor.check_port(taken.getsockname()[1]).verdict is Verdict.WARN


def test_broker__answers_or_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.check_broker("127.0.0.1", port).verdict is Verdict.OK
    assert doctor.check_broker("127.0.0.1", port).verdict is Verdict.FAIL


def test_finding__one_line_with_its_remedy() -> None:
    finding = Finding("port", Verdict.WARN, "8700: in use", "take another")
    assert finding.line() == "WARN  port        8700: in use -> take another"


def test_headframe_itself_not_installed__its_folder_says_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: str) -> list[str]:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.requires", gone)
    assert {"pydantic", "typer"} <= doctor._needed_packages()


def test_without_the_pins__the_clock_is_still_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    assert doctor.check_clock().verdict is Verdict.OK
