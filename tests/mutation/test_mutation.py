"""The mutation runner is honest: it makes every kind of fault, and tells of the unnoticed ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutators import mutants
from tests.mutation.run import TARGETS, Target, modules_to_share, source_file

ROOT = Path(__file__).parents[2]


def changes(source: str) -> set[str]:
    """Every changed source that the mutants of ``source`` give."""
    found = set()
    for number in range(len(mutants(ast.parse(source)))):
        tree = ast.parse(source)
        mutants(tree)[number].apply()
        found.add(ast.unparse(ast.fix_missing_locations(tree)))
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a >= b", {"a > b", "a < b"}),
        ("a == b", {"a != b"}),
        ("a is None", {"a is not None"}),
        ("a in b", {"a not in b"}),
        ("a and b", {"a or b", "a", "b"}),
        ("a or b or c", {"a and b and c", "a or b", "a or c", "b or c"}),
        ("not a", {"a"}),
        ("-a", {"a"}),
        ("a + b", {"a - b"}),
        ("a << b", {"a >> b"}),
        ("a & b", {"a | b"}),
        ("a // b", {"a * b"}),
        ("x = 0", {"x = 1"}),
        ("x = 7", {"x = 6", "x = 8"}),
        ("x = 0.5", {"x = 1.5", "x = 0.25"}),
        ("x = True", {"x = False"}),
        ("x = None", {"x = ''"}),
        ("x = 'a'", {"x = 'XXa'"}),
        ("x = b'a'", {"x = b'XXa'"}),
        ("x = f'{a}'", {"x = f'XX{a}'"}),
        ("x = a if b else c", {"x = a", "x = c"}),
        ("x = {a: b, c: d}", {"x = {a: b}", "x = {c: d}"}),
        ("x = [a, b]", {"x = [a]", "x = [b]"}),
        ("f(a, k=b)", {"f(None, k=b)", "f(a)", "pass"}),
        ("x = min(a)", {"x = max(a)", "x = min(None)"}),
        ("x += a", {"x -= a", "pass"}),
        ("x.y = a", {"pass"}),
        ("raise a", {"pass"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    x = a", {"def f():\n    x = None"}),
        ("def f(k=1):\n    pass", {"def f(k=2):\n    pass", "def f(k=0):\n    pass"}),
        ("if a:\n    f", {"if True:\n    f", "if False:\n    f"}),
        ("while a:\n    break", {"while False:\n    break", "while a:\n    continue"}),
        ("x = [a for a in b if c]", {f"x = [a for a in b if {word}]" for word in (True, False)}),
    ],
)
def test_construct__is_changed_in_every_way_that_counts(source: str, expected: set[str]) -> None:
    assert expected <= changes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Text."""',
        "import a",
        "from a import b",
        "__all__ = ['a']",
        "assert a == 1",
        "x: int | None",
        "def f(a: int | None) -> int | str:\n    pass",
        "@d(1)\nclass A:\n    pass",
    ],
)
def test_what_has_no_behaviour__is_left_alone(source: str) -> None:
    assert changes(source) == set()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target__has_its_module_and_its_tests(target: Target) -> None:
    assert source_file(target.module).exists()
    assert [test for test in target.tests if not (ROOT / test).exists()] == []
    assert target.module not in modules_to_share(target)


def counts_of(module: str, test: str, line: str) -> str:
    number = source_file(module).read_text(encoding="utf-8").splitlines().index(line) + 1
    code = (
        "from tests.mutation.run import Target, run_target\n"
        f"print(run_target(Target({module!r}, ({test!r},)), 1, frozenset({{{number}}})).line())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_fault_that_a_test_notices__killed() -> None:
    said = counts_of(
        "vehicle_agent.core.governor", "tests/core/test_governor.py", "ONE_PATH_SHARE = 0.5"
    )

    assert said == "mutants 2, killed 2, survivors 0\n"


def test_fault_that_no_test_notices__survives_and_is_told() -> None:
    said = counts_of(
        "vehicle_agent.core.governor", "tests/core/test_record.py", "ONE_PATH_SHARE = 0.5"
    )

    assert "survivor vehicle_agent/core/governor.py:" in said
    assert "  - 0.5\n  + 1.5\n" in said
    assert said.endswith("mutants 2, killed 0, survivors 2\n")
