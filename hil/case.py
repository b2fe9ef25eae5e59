"""Cases as data: where they begin, what goes wrong, and what must be seen for a pass.

A check has one of three forms. ``within_ms``: the signal satisfies it that soon after the fault
took effect. ``holds_ms``: every sample of a span does. ``rises``: a counter grows by that much.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hil.benchfile import Capability
from hil.faults import FaultRefused, needs
from protocol.profiles import first_problem

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
CASES_FILE = Path(__file__).parent / "cases" / "thirty.yaml"
CONFORMANCE_FILE = CASES_FILE.with_name("conformance.yaml")
CONFORMANCE = "conformance"
"""The suite whose cases are checks of the conformance kit."""
Scalar = bool | int | float | str
Repeat = Annotated[int, Field(ge=1, le=100_000)]


class Check(BaseModel):
    """One thing that must be seen. Times are from when the fault took effect."""

    model_config = _STRICT
    signal: str
    op: Literal["==", "!=", "<=", ">=", "in"] = "=="
    value: Scalar | list[str]
    within_ms: float | None = None
    holds_ms: tuple[float, float] | None = Field(default=None, strict=False)
    rises: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        if (self.within_ms is not None) + (self.holds_ms is not None) + self.rises != 1:
            raise ValueError("a check has one of within_ms, holds_ms, rises")
        return self


class Variant(BaseModel):
    """One way to run a case."""

    model_config = _STRICT
    name: str = ""
    faults: list[dict[str, Any]] = Field(default_factory=list)
    before: list[dict[str, Any]] = Field(default_factory=list)
    settle_ms: float = 0.0
    watch_ms: Annotated[float, Field(gt=0, le=600_000)] = 400.0
    checks: list[Check] = Field(default_factory=list)

    @property
    def requires(self) -> frozenset[str]:
        """The capabilities it needs."""
        kinds = [str(fault.get("kind")) for fault in (*self.before, *self.faults)]
        of_faults = {name for kind in kinds for name in needs(kind)}
        seen = any(c.signal.startswith(("actuator.", "plant.")) for c in self.checks)
        return frozenset(of_faults) | ({"actuator"} if seen else set())


class Case(BaseModel):
    """One row of the table of cases.

    Attributes:
        id: HIL-NN; CON-NN for the conformance kit. verifies: requirement ids.
        start: state in which the fault begins.
        procedure: a named procedure in place of faults and checks.
        needs: capabilities beyond those of the faults.
        reaction_max_ms: ceiling of the reported reaction, for the histogram.
    """

    model_config = _STRICT
    id: Annotated[str, Field(pattern=r"^(HIL|CON)-\d\d$")]
    title: str
    suite: str
    verifies: list[Annotated[str, Field(pattern=r"^HF-[A-Z]+-\d\d$")]]
    start: Literal["standby", "driving"] = "driving"
    needs: list[Capability] = Field(default_factory=list)
    procedure: str | None = None
    variants: list[Variant] = Field(default_factory=list)
    once: bool = False

    @property
    def requires(self) -> frozenset[str]:
        """Every capability that some variant of the case needs."""
        return frozenset(self.needs).union(*(v.requires for v in self.variants))


@lru_cache(maxsize=4)
def load_cases(path: Path = CASES_FILE) -> tuple[Case, ...]:
    """Read a file of cases.

    Raises:
        ValueError: one line that names the case and the reason.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    cases = []
    for row in raw["cases"]:
        try:
            case = Case.model_validate(row)
            _ = case.requires
        except (ValidationError, FaultRefused) as error:
            why = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise ValueError(f"{path.name}: {row.get('id', '?')}: {why}") from error
        cases.append(case)
    if len({case.id for case in cases}) != len(cases):
        raise ValueError(f"{path.name}: an id stands twice")
    return tuple(cases)


def every_case() -> tuple[Case, ...]:
    """Return the thirty, and the conformance kit's."""
    return load_cases() + load_cases(CONFORMANCE_FILE)
