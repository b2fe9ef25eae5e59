"""Ties every requirement to the tests that prove it, by the marks that stand on the tests.

``python -m tests.trace`` writes docs/trace.md; with ``--check`` it writes nothing and fails when
a requirement has no test, a test names a requirement that is not there, or the page is old.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "docs" / "requirements.md"
PAGE = ROOT / "docs" / "trace.md"
MARK = "requirement"
_ROW = re.compile(r"^\| (HF-[A-Z]+-\d\d) \| (.+?) \|$", re.MULTILINE)


def requirements(text: str) -> dict[str, str]:
    """Return the sentence of each requirement by its id.

    Raises:
        ValueError: an id stands twice.
    """
    rows = _ROW.findall(text)
    found = dict(rows)
    if len(found) != len(rows):
        twice = sorted({name for name, _ in rows if [row[0] for row in rows].count(name) > 1})
        raise ValueError(f"requirements.md: {', '.join(twice)} stands twice")
    return found


def marks(source: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield (requirement id, test) for every marked test of a file.

    Raises:
        ValueError: a mark whose ids are not written out.
    """
    yield from _marks(ast.parse(source), name)


def _marks(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        inner = f"{name}::{child.name}"
        for decorator in child.decorator_list:
            for requirement in _ids(decorator, inner):
                yield requirement, inner
        yield from _marks(child, inner)


def _ids(decorator: ast.expr, name: str) -> Iterator[str]:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    if not (isinstance(call, ast.Attribute) and call.attr == MARK):
        return
    arguments = decorator.args if isinstance(decorator, ast.Call) else []
    if not arguments:
        raise ValueError(f"{name}: a mark without an id")
    for argument in arguments:
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            raise ValueError(f"{name}: the id of a mark is not written out")
        yield argument.value


def proofs(folder: Path) -> dict[str, list[str]]:
    """Return the marked tests of a folder by requirement."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        name = path.relative_to(folder.parent).as_posix()
        for requirement, test in marks(path.read_text(encoding="utf-8"), name):
            found.setdefault(requirement, []).append(test)
    return found


def complaints(wanted: dict[str, str], proven: dict[str, list[str]]) -> list[str]:
    """Return what does not fit, one line each."""
    unproven = [f"{name} has no test" for name in wanted if name not in proven]
    unknown = [
        f"{test} names {name}, which is no requirement"
        for name in sorted(set(proven) - set(wanted))
        for test in proven[name]
    ]
    return unproven + unknown


def page(wanted: dict[str, str], proven: dict[str, list[str]]) -> str:
    """Return the text of docs/trace.md."""
    lines = [
        "# Which tests prove which requirement",
        "",
        "Made from `docs/requirements.md` and the marks on the tests; do not edit by hand",
        "(`python -m tests.trace`).",
        "",
        "| requirement | tests |",
        "|---|---|",
    ]
    for name in wanted:
        tests = "<br>".join(f"`{test}`" for test in proven.get(name, ["none"]))
        lines.append(f"| {name} | {tests} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with --check say what is missing."""
    parser = argparse.ArgumentParser(prog="tests.trace")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    try:
        wanted = requirements(REQUIREMENTS.read_text(encoding="utf-8"))
        proven = proofs(ROOT / "tests")
    except ValueError as error:
        sys.stderr.write(f"trace: {error}\n")
        return 1
    wrong = complaints(wanted, proven)
    text = page(wanted, proven)
    if not check and not wrong:
        PAGE.write_text(text, encoding="utf-8")
    elif not wrong and (not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text):
        wrong = ["docs/trace.md is not as the marks; run python -m tests.trace"]
    sys.stderr.writelines(f"trace: {line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
