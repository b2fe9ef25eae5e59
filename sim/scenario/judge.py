"""What came of a run: its figures, and whether each expectation held."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sim.ranks import nearest_rank
from sim.runner.rolling import Rolled, rolled_share
from sim.runner.run import Log, Pace, Run
from sim.runner.watch import Row, Stop, Watch
from sim.scenario.file import Never, Quantity, Scenario

CREEP_M = 0.05
"""Less than this after a stop is the play of tyres and springs."""
COUNTED = frozenset({Quantity.STARTS, Quantity.STOPS, Quantity.FALSE_STOPS, Quantity.CONTACTS})


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: its name, whether it held, and in words what was wanted and seen."""

    name: str
    held: bool
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run.

    Attributes:
        scenario, title: which. seed: of the run. drawn: what varied, by path.
        checks: one for each expectation. figures: by quantity; None where nothing was measured.
        stops: in their order. digest: of everything on bus and link.
        simulated_s: how long it lasted in its own time.
        rolled: the mats of the site, where the machine has a drum.
        rows, faults: for plots, with times since ACTIVE; not part of the result's JSON.
    """

    scenario: str
    title: str
    seed: int
    drawn: dict[str, Any]
    checks: tuple[Check, ...]
    figures: dict[Quantity, float | None]
    stops: tuple[Stop, ...]
    refusals: dict[str, int]
    digest: str
    simulated_s: float
    rolled: tuple[Rolled, ...] = ()
    rows: tuple[Row, ...] = ()
    faults: tuple[tuple[float, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Every expectation held."""
        return all(check.held for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The one JSON object of ``headframe sim run --json``."""
        return {
            "scenario": self.scenario,
            "title": self.title,
            "seed": self.seed,
            "drawn": self.drawn,
            "passed": self.passed,
            "checks": [
                {"name": check.name, "held": check.held, "text": check.text}
                for check in self.checks
            ],
            "figures": {name.value: value for name, value in self.figures.items()},
            "stops": [stop.as_dict() for stop in self.stops],
            "refusals": self.refusals,
            "rolled": [mat.as_dict() for mat in self.rolled],
            "simulated_s": round(self.simulated_s, 2),
            "digest": self.digest,
        }


Attend = Callable[[Run], contextlib.AbstractContextManager[object]]


def run_scenario(
    scenario: Scenario,
    seed: int,
    *,
    log: Log | None = None,
    pace: Pace | None = None,
    attend: Attend | None = None,
) -> Outcome:
    """Run ``scenario`` once and judge it; what varies in it is drawn from ``seed``.

    Args:
        attend: what is open around the run, a log for instance.
    """
    drawn = scenario.draw(seed)
    run = Run(drawn, seed, log)
    with contextlib.nullcontext() if attend is None else attend(run):
        run.finish(pace)
    return outcome_of(run)


def outcome_of(run: Run) -> Outcome:
    """Judge a finished run."""
    scenario, watch = run.scenario, run.watch
    figures = figures_of(run)
    state = watch.state
    refusals = {} if state is None else dict(state.refusals)
    return Outcome(
        scenario=scenario.name,
        title=scenario.file.title,
        seed=run.seed,
        drawn=scenario.drawn,
        checks=tuple(_checks(scenario, watch, figures, refusals)),
        figures=figures,
        stops=tuple(watch.stops),
        refusals=refusals,
        digest=run.digest,
        simulated_s=run.simulated_s,
        rolled=run.rolling.result(),
        rows=tuple(watch.rows),
        faults=tuple(run.notes),
    )


def figures_of(run: Run) -> dict[Quantity, float | None]:
    """Every quantity of a run, rounded to what it is good for."""
    watch, truth = run.watch, run.truth
    stops = watch.stops

    def worst(values: Sequence[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    figures: dict[Quantity, float | None] = {
        Quantity.STARTS: watch.starts,
        Quantity.STOPS: len(stops),
        Quantity.FALSE_STOPS: sum(stop.false for stop in stops),
        Quantity.CONTACTS: truth["contacts"],
        Quantity.DISTANCE_M: truth["distance_m"] - watch.start_m,
        Quantity.OFFSET_MAX_M: watch.offset_max_m,
        Quantity.SPEED_MAX_MPS: watch.speed_max_mps,
        Quantity.OVER_CAP_MAX_MPS: watch.over_cap_max_mps,
        Quantity.CAP_MIN_MPS: watch.cap_min_mps,
        Quantity.BRAKE_AFTER_COMMAND_MS: worst([s.brake_after_command_ms for s in stops]),
        Quantity.STOP_DISTANCE_M: worst([s.stop_distance_m for s in stops]),
        Quantity.BRAKE_DISTANCE_M: worst([s.brake_distance_m for s in stops]),
        Quantity.STOP_TIME_S: worst([s.stood_s for s in stops]),
        Quantity.CREEP_M: worst([s.creep_m for s in stops if s.stood_at_m is not None]),
        Quantity.COMMAND_AGE_P99_MS: _rank(watch.command_ages_ms, 99),
        Quantity.PICTURE_AGE_P95_MS: _rank(run.cockpit.view_ages_ms, 95),
        Quantity.ROLLED_SHARE: rolled_share(run.rolling.result()),
    }
    return {
        name: value if value is None or name in COUNTED else round(value, 3)
        for name, value in figures.items()
    }


def _rank(samples: Sequence[float], percent: int) -> float | None:
    return nearest_rank(sorted(samples), percent) if samples else None


def _checks(
    scenario: Scenario,
    watch: Watch,
    figures: dict[Quantity, float | None],
    refusals: dict[str, int],
) -> list[Check]:
    file = scenario.file
    checks = []
    if Quantity.STARTS not in file.expect:
        checks.append(Check("drive begins", watch.starts > 0, f"ACTIVE {watch.starts} times"))
    if file.causes is not None:
        seen = [stop.cause for stop in watch.stops]
        words = f"wanted {_list(file.causes)}, seen {_list(seen)}"
        checks.append(Check("causes", seen == file.causes, words))
    for quantity, limit in file.expect.items():
        value = figures[quantity]
        held = value is not None and limit.holds(value)
        seen_text = "nothing measured" if value is None else f"{value:g}"
        checks.append(Check(quantity.value, held, f"wanted {limit}, seen {seen_text}"))
    checks += [_never(rule, watch, figures, refusals) for rule in file.never]
    return checks


def _list(events: Sequence[str | None]) -> str:
    return ", ".join(event or "none named" for event in events) or "no stop"


def _never(
    rule: Never,
    watch: Watch,
    figures: dict[Quantity, float | None],
    refusals: dict[str, int],
) -> Check:
    name = f"never: {rule.value}"
    match rule:
        case Never.CONTACT:
            count = figures[Quantity.CONTACTS] or 0
            return Check(name, count == 0, f"{count:g} contacts")
        case Never.STOP:
            return Check(name, not watch.stops, _list([stop.cause for stop in watch.stops]))
        case Never.FALSE_STOP:
            false = [stop.cause for stop in watch.stops if stop.false]
            return Check(name, not false, _list(false))
        case Never.CREEP:
            most_m = max((stop.creep_m for stop in watch.stops), default=0.0)
            return Check(name, most_m <= CREEP_M, f"{most_m:.3f} m after standing")
        case Never.REFUSAL:
            words = ", ".join(f"{reason} {number}" for reason, number in refusals.items())
            return Check(name, not refusals, words or "none refused")
