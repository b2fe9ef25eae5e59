"""The page's token outlives the console and not the computer's run, and leaks to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from operator_console.shell.page_token import computer_boot_id, page_token, write_address
from protocol.messages import Role
from tests.console.fakes import identity

KEY, _ = identity("op-1", Role.DRIVER)
OTHER_KEY, _ = identity("op-2", Role.DRIVER)


def test_same_key_in_the_same_run_of_the_computer__token_is_the_same() -> None:
    assert page_token(KEY, "a") == page_token(KEY, "a")
    assert len(page_token(KEY, "a")) == 32


def test_computer_booted_or_another_key__token_is_another() -> None:
    assert len({page_token(KEY, "a"), page_token(KEY, "b"), page_token(OTHER_KEY, "a")}) == 3


def test_nothing_names_the_computers_run__token_lasts_for_one_start() -> None:
    assert page_token(KEY, None) != page_token(KEY, None)


def test_this_computer__names_its_run() -> None:
    assert computer_boot_id() == computer_boot_id() is not None


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_boot_id_that_says_nothing__is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "boot_id"
    path.write_bytes(content)

    assert computer_boot_id(path) is None


def test_no_boot_id__is_none(tmp_path: Path) -> None:
    assert computer_boot_id(tmp_path / "boot_id") is None


def test_address_file_that_others_can_read__is_replaced_by_one_that_they_cannot(
    tmp_path: Path,
) -> None:
    path = tmp_path / "address"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_address("http://127.0.0.1:1/?token=t", path)
        seen_by_reader = reader.read()

    assert path.read_text() == "http://127.0.0.1:1/?token=t\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert seen_by_reader == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["no/address", "."])
def test_address_file_that_cannot_be_written__one_line_names_it_and_nothing_stays(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        write_address("a", tmp_path / where)

    assert list(tmp_path.iterdir()) == []
