from __future__ import annotations

import pytest

from tests.trace import complaints, marks, page, requirements

TEXT = "| HF-CMD-01 | One. |\n| HF-BUS-02 | Two. |\n"


def test_requirements__are_the_rows_of_the_tables() -> None:
    assert requirements(TEXT) == {"HF-CMD-01": "One.", "HF-BUS-02": "Two."}


def test_id_that_stands_twice__refused_by_name() -> None:
    with pytest.raises(ValueError, match="HF-CMD-01 stands twice"):
        requirements(TEXT + "| HF-CMD-01 | Again. |\n")


def test_marks__found_on_functions_coroutines_and_classes() -> None:
    source = (
        "@pytest.mark.requirement('A', 'B')\ndef test_one(): ...\n"
        "@mark.requirement('C')\nclass TestAll:\n"
        "    @pytest.mark.requirement('D')\n    async def test_two(self): ...\n"
    )

    assert list(marks(source, "t.py")) == [
        ("A", "t.py::test_one"),
        ("B", "t.py::test_one"),
        ("C", "t.py::TestAll"),
        ("D", "t.py::TestAll::test_two"),
    ]


@pytest.mark.parametrize("mark", ["requirement", "requirement()", "requirement(NAME)"])
def test_mark_without_an_id_written_out__refused(mark: str) -> None:
    with pytest.raises(ValueError, match=r"t.py::test_one: .* mark"):
        list(marks(f"@pytest.mark.{mark}\ndef test_one(): ...\n", "t.py"))


def test_unproven_and_unknown__both_told() -> None:
    wrong = complaints({"A": "One.", "B": "Two."}, {"A": ["x"], "C": ["y"]})

    assert wrong == ["B has no test", "y names C, which is no requirement"]


def test_page__lists_every_requirement_with_its_tests() -> None:
    assert "| A | `x`<br>`y` |" in page({"A": "One."}, {"A": ["x", "y"]})
