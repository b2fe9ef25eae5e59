"""The files that build, pin and describe the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+")


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "mutate", "setup"])
def test_make_target__parses(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_constraints__are_exact_pins_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if PIN.fullmatch(line) is None] == []


def test_every_dependency__is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    pinned = {_name(line.partition("==")[0]) for line in text.splitlines()}
    names = {_name(found.group()) for line in wanted if (found := re.match(r"[\w.-]+", line))}
    assert names - pinned == set()


def test_everything_installed__is_pinned() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    pinned = {_name(line.partition("==")[0]) for line in text.splitlines()}
    installed = {_name(found.metadata["Name"]) for found in metadata.distributions()}
    assert installed - pinned - {"pip", "setuptools", "wheel", "headframe"} == set()


def _name(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@pytest.mark.parametrize("script", [".ci/run", ".ci/needs"])
def test_script__is_executable_and_parses(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_need_that_is_there__says_nothing() -> None:
    done = subprocess.run(
        [ROOT / ".ci/needs", "bash=bash", "libc.so.6=libc6", "py:json=python3"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_need_that_cannot_be_installed__one_line_names_the_package() -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            "id() { echo 1000; }; export -f id; .ci/needs no-such-command=no-such-package",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no-such-package" in done.stderr


def test_need_that_apt_does_not_know__last_line_names_the_package(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho E: Unable to locate package >&2\nexit 100\n", encoding="ascii")
    apt.chmod(0o755)
    script = (
        f"id() {{ echo 0; }}; export -f id; PATH={tmp_path}:$PATH; "
        ".ci/needs no-such-command=no-such-package"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no-such-package" in done.stderr.splitlines()[-1]


def test_need_still_absent_after_installing__last_line_says_so(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    apt.chmod(0o755)
    script = (
        f"id() {{ echo 0; }}; export -f id; PATH={tmp_path}:$PATH; "
        ".ci/needs no-such-command=no-such-package"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("still not found: no-such-package")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Enough of a clone for make to set up; its Python notes what it is asked for."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$@" >>asked\n[ "$2" != venv ] || { mkdir -p .venv/bin; '
        "printf '#!/bin/sh\\nexit 0\\n' >.venv/bin/python; chmod +x .venv/bin/python; }\n",
        encoding="ascii",
    )
    python.chmod(0o755)
    return tmp_path


def _set_up(clone: Path) -> list[str]:
    subprocess.run(
        ["make", "setup", f"PYTHON={clone}/python"], cwd=clone, check=True, capture_output=True
    )
    return (clone / "asked").read_text(encoding="ascii").splitlines()


def test_environment_left_without_pip__is_made_anew(clone: Path) -> None:
    broken = clone / ".venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    broken.chmod(0o755)
    assert "-m venv --clear .venv" in _set_up(clone)


def test_environment_with_pip__is_kept(clone: Path) -> None:
    sound = clone / ".venv" / "bin" / "python"
    sound.parent.mkdir(parents=True)
    sound.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    sound.chmod(0o755)
    assert not any("venv" in asked for asked in _set_up(clone))


def test_make__starts_no_script_that_names_the_clones_folder() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    started = set(re.findall(r"\$\(BIN\)/([\w-]+)", text))
    scripts = {
        name
        for name in started - {"python"}
        if (Path(sys.prefix) / "bin" / name).read_bytes()[:2] == b"#!"
    }
    assert scripts == set()


@pytest.mark.parametrize("document", ["README.md", "SAFETY.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_document__links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []
