"""The command line: one line on stderr and exit 1 for errors, exit 2 for wrong usage."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import headframe

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = headframe.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("demo", "--wings"),
        ("demo", "--driver", "nobody"),
        ("demo", "--seconds", "0"),
        ("demo", "--port", "70000"),
        ("agent",),
        ("console",),
        ("broker", "--port", "many"),
    ],
)
def test_wrong_usage__one_line_and_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, errors = run(*arguments)
    assert code == 2
    assert out == ""
    assert len(errors) == 1
    assert errors[0].startswith("headframe: ")


@pytest.mark.parametrize("command", ["agent", "console"])
def test_missing_settings_file__one_line_names_it(run: Run, command: str, tmp_path: Path) -> None:
    code, _, errors = run(command, "--config", str(tmp_path / "gone.toml"))
    assert code == 1
    assert len(errors) == 1
    assert "gone.toml" in errors[0]


@pytest.mark.parametrize("command", ["agent", "console"])
def test_unknown_key_in_settings__one_line_names_file_key_and_reason(
    run: Run, command: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text("wings = 2\n", encoding="utf-8")
    code, _, errors = run(command, "--config", str(path))
    assert code == 1
    assert len(errors) == 1
    assert "odd.toml" in errors[0]


def test_unknown_machine__one_line_names_the_known_ones(run: Run) -> None:
    code, out, errors = run("demo", "--machine", "submarine", "--no-browser")
    assert (code, out, len(errors)) == (1, "", 1)
    assert "ug_truck_60t" in errors[0]


@pytest.mark.parametrize("command", ["demo", "broker"])
def test_port_in_use__one_line_names_it(run: Run, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, errors = run(command, "--port", port)
    assert (code, len(errors)) == (1, 1)
    assert port in errors[0]
    assert "--port" in errors[0]


def test_help__lists_every_command_and_exits_0(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in ("demo", "agent", "console", "broker", "doctor"))
