"""pytest on a bench: ``pytest -p hil.plugin --hil-bench FILE`` gives tests the fixture ``hil``.

The same rig, faults and judgement as the case file's; a test for a machine of one's own needs no
more. What the bench cannot do skips the test with its reason: it never passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.benchfile import check_ports, load_bench
from hil.case import Check, Variant
from hil.faults import Injection, Injector, needs, settle
from hil.judge import Outcome, Verdict, bring, judged
from hil.rig import Rig
from hil.runner import GOOD, Benches

OPTION, SEED_OPTION = "--hil-bench", "--hil-seed"


class HilBench:
    """One test's bench, from power-up on.

    Attributes:
        rig: its parts. capabilities: what it can do.
    """

    def __init__(self, rig: Rig, capabilities: frozenset[str], seed: int) -> None:
        self.rig, self.capabilities = rig, capabilities
        self._injector = Injector(rig, capabilities, seed)
        self._first: Injection | None = None
        self._begun_ns = rig.now_ns

    def start(self, state: str) -> None:
        """Bring it to ``standby`` or ``driving``; a bench that does not come there skips."""
        wrong = bring(self.rig, state)
        if wrong:
            pytest.skip(f"inconclusive: {wrong}")
        self._begun_ns = self.rig.now_ns

    def put(self, kind: str, **parameters: Any) -> None:
        """Put a fault in; one that this bench cannot do skips the test."""
        missing = sorted(set(needs(kind)) - self.capabilities)
        if missing:
            pytest.skip(f"not-run: the bench lacks {', '.join(missing)}")
        injection = self._injector.put({"kind": kind, **parameters})
        self._first = self._first or injection

    def expect(self, watch_ms: float, *checks: dict[str, Any]) -> Outcome:
        """Watch, and judge by checks as the case file has them, from when the first fault acted.

        Raises:
            AssertionError: a check did not hold, with what was seen.
        """
        self.rig.run(watch_ms / 1e3)
        t0_ns = None if self._first is None else settle(self._first, self.rig)
        if t0_ns is None:
            pytest.skip("inconclusive: no fault took effect on the bus")
        variant = Variant(watch_ms=watch_ms, checks=[Check.model_validate(c) for c in checks])
        outcome = judged(self.rig.trace, variant, t0_ns, self._begun_ns)
        assert outcome.verdict is Verdict.PASS, outcome.why
        return outcome


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plug-in."""
    group = parser.getgroup("hil")
    group.addoption(OPTION, type=Path, help="bench file (YAML)")
    group.addoption(SEED_OPTION, type=int, default=None, help="in place of the bench's own seed")


@pytest.fixture
def hil(request: pytest.FixtureRequest) -> Iterator[HilBench]:
    """A bench of the file that ``--hil-bench`` names; without one the test is skipped."""
    path: Path | None = request.config.getoption(OPTION)
    if path is None:
        pytest.skip(f"not-run: no {OPTION}")
    bench = load_bench(path)
    check_ports(path, bench)
    chosen: int | None = request.config.getoption(SEED_OPTION)
    seed = bench.seed if chosen is None else chosen
    benches = Benches(path, bench)
    rig = benches.fresh(GOOD, seed)
    yield HilBench(rig, frozenset(bench.capabilities), seed)
    rig.close()
    left = benches.close()
    assert not left, left
