"""The command line: one line on stderr and exit 1 for errors, exit 2 for wrong usage."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headframe
from operator_console.shell.realtime import step_back
from protocol.broker_settings import BrokerSettings

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run ``headframe``; where a console asks for real time, this process gives it back."""

    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = headframe.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    yield call
    step_back()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("demo", "--wings"),
        ("demo", "--driver", "nobody"),
        ("demo", "--seconds", "0"),
        ("demo", "--seconds", "inf"),
        ("demo", "--seconds", "nan"),
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
    assert all(
        name in out for name in ("demo", "agent", "console", "broker", "doctor", "link-test")
    )


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["headframe", *{arguments!r}]
import headframe
sys.exit(headframe.main())
"""


def _without(missing: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on a computer where these packages are not installed."""
    code = WITHOUT.format(missing=missing, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("package", ["typer", "pydantic", "cryptography"])
def test_package_missing__one_line_names_it_and_what_to_do(package: str) -> None:
    done = _without({package}, "demo", "--no-browser")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"headframe: missing package {package}; run: make setup\n"


def test_nothing_installed__doctor_still_speaks() -> None:
    done = _without({"typer", "pydantic", "can", "cv2", "numpy", "aiohttp"}, "doctor", "--json")
    findings = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert "packages" in findings
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.toml"), "a.toml: No such file"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ValueError("a.toml: key: reason"), "a.toml: key: reason"),
    ],
)
def test_error__is_told_without_its_number(error: Exception, text: str) -> None:
    assert headframe._plain(error).startswith(text)


def test_error_of_pydantic__is_key_and_reason() -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its text is what is tested
        BrokerSettings.model_validate({"host": "x", "port": 1, "colour": "red"})
    assert headframe._plain(raised.value) == "colour: there is no such setting"
