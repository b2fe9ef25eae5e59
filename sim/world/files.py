"""Reads a TOML file of the simulated world and says in one line what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


class WorldFileError(ValueError):
    """A site or machine file is missing, malformed or describes an impossible place."""


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        WorldFileError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WorldFileError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise WorldFileError(f"{path}: not UTF-8 text") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file.

    Raises:
        WorldFileError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise WorldFileError(f"{path}: not TOML: {error}") from error
