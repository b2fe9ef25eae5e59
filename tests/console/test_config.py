"""A settings file is taken whole or refused in one line that names file, key and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operator_console.shell.config import load_keys, load_settings
from operator_console.shell.web import main
from protocol.messages import generate_identity

GOOD = """
[console]
operator = "op-1"
site = "mine"
vehicle = "truck-07"
port = 8700
simulated = true

[mqtt]
host = "127.0.0.1"
port = 1883

[keys]
device = "op-1.jwk"
trust = "trust.json"
"""


def written(folder: Path, text: str = GOOD) -> Path:
    path = folder / "console.toml"
    path.write_text(text)
    return path


def with_keys(
    folder: Path, *, vehicle: str = "truck-07", operator: str = "op-1", own: bool = True
) -> None:
    """Write an own key and a trust file; ``own`` False gives the operator another key there."""
    private, public = generate_identity()
    known = public if own else generate_identity()[1]
    (folder / "op-1.jwk").write_text(json.dumps(private))
    entries = [
        {"id": vehicle, "role": "vehicle", "public": generate_identity()[1]},
        {"id": operator, "role": "driver", "public": known},
    ]
    (folder / "trust.json").write_text(json.dumps({"identities": entries}))


def test_good_file__is_read_with_paths_of_its_own_folder(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path))

    assert settings.console.operator == "op-1"
    assert settings.console.cameras == (0,)
    assert settings.keys.device == tmp_path / "op-1.jwk"


def test_telemetry_broker__its_files_are_of_the_settings_own_folder(tmp_path: Path) -> None:
    table = '[telemetry]\nhost = "127.0.0.1"\nport = 8884\nca = "site.pem"\n'
    settings = load_settings(written(tmp_path, GOOD + table))

    assert settings.telemetry is not None
    assert settings.telemetry.ca == tmp_path / "site.pem"


def test_watched_machine_that_is_not_trusted__error_names_it(tmp_path: Path) -> None:
    with_keys(tmp_path)
    text = GOOD.replace("port = 8700", 'port = 8700\nwatched = ["truck-08"]', 1)

    with pytest.raises(ValueError, match="vehicle truck-08 is not trusted"):
        load_keys(load_settings(written(tmp_path, text)))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("port = 8700", 'port = "8700"', "console.port"),
        ("port = 8700", "port = 70000", "console.port"),
        ("port = 8700", "colour = 1", "console.colour"),
        ('operator = "op-1"', "", "console.operator"),
        ('operator = "op-1"', 'operator = "op/1"', "console.operator"),
        ("[mqtt]", "[mqtt", "not TOML"),
        ("port = 1883", "port = 0", "mqtt.port"),
    ],
)
def test_file_that_does_not_fit__error_names_file_and_key(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = written(tmp_path, GOOD.replace(before, after, 1))

    with pytest.raises(ValueError, match=r"console\.toml") as error:
        load_settings(path)

    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("cameras", "rear"), [("[0]", 1), ("[0, 1]", 0), ("[0, 1]", 2)])
def test_rear_camera_that_is_not_shown_or_the_main_one__is_refused(
    tmp_path: Path, cameras: str, rear: int
) -> None:
    told = f"simulated = true\ncameras = {cameras}\nrear_camera = {rear}"
    with pytest.raises(ValueError, match="rear_camera must be one of cameras"):
        load_settings(written(tmp_path, GOOD.replace("simulated = true", told)))


def test_one_camera_in_two_places__is_refused(tmp_path: Path) -> None:
    told = "simulated = true\ncameras = [0, 1]\nrear_camera = 1\nleft_camera = 1"
    with pytest.raises(ValueError, match="must be different ones"):
        load_settings(written(tmp_path, GOOD.replace("simulated = true", told)))


def test_file_missing__error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        load_settings(tmp_path / "none.toml")


def test_keys__are_read(tmp_path: Path) -> None:
    with_keys(tmp_path)

    assert set(load_keys(load_settings(written(tmp_path))).trust) == {"truck-07", "op-1"}


def test_vehicle_not_trusted__is_refused(tmp_path: Path) -> None:
    with_keys(tmp_path, vehicle="truck-08")

    with pytest.raises(ValueError, match="truck-07 is not trusted"):
        load_keys(load_settings(written(tmp_path)))


def test_operator_not_trusted__is_refused(tmp_path: Path) -> None:
    with_keys(tmp_path, operator="op-2")

    with pytest.raises(ValueError, match="operator op-1 is not trusted"):
        load_keys(load_settings(written(tmp_path)))


def test_own_key_is_not_the_trusted_one__is_refused(tmp_path: Path) -> None:
    with_keys(tmp_path, own=False)

    with pytest.raises(ValueError, match=r"op-1\.jwk: not the key"):
        load_keys(load_settings(written(tmp_path)))


@pytest.mark.parametrize("name", ["op-1.jwk", "trust.json"])
def test_key_file_damaged__error_names_it(tmp_path: Path, name: str) -> None:
    with_keys(tmp_path)
    (tmp_path / name).write_text("{}")

    with pytest.raises(ValueError, match=name):
        load_keys(load_settings(written(tmp_path)))


def test_main_with_a_bad_file__one_line_on_stderr_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path / "none.toml") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("console: ")


def test_token_file_in_a_missing_folder__one_line_on_stderr_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_keys(tmp_path)
    text = GOOD.replace("port = 8700", 'port = 0\ntoken_file = "none/token"')

    assert main(written(tmp_path, text)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"console: {tmp_path}/none/token: No such file or directory\n"
