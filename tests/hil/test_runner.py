"""Cases on the emulated bench: the good parts pass, the defective ones are noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import can
import pytest

import headframe
from hil.benchfile import BenchRefused, load_bench
from hil.case import Case, load_cases
from hil.coverage import LAYERS, NOT_FAULTS
from hil.faults import FaultRefused, Injector
from hil.judge import Outcome, Verdict
from hil.report import Spread, write
from hil.report_page import page
from hil.report_schema import Report, schema_text
from hil.runner import GOOD, Benches, Mutant, Options, Result, all_mutants, in_copy, run, variants
from hil.trace import Seen, Trace
from tests.hil.test_benchfile import EMULATED, changed

ROOT = Path(__file__).resolve().parents[2]
CASES = {case.id: case for case in load_cases()}
MUTANTS = {mutant.name: mutant for mutant in all_mutants()}
SEED = 7


def lacking(folder: Path) -> Path:
    """The emulated bench without machine adapters."""
    return changed(folder, ", adapters]", "]")


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    made = Benches(EMULATED, load_bench(EMULATED))
    yield made
    made.close()


def verdicts(benches: Benches, mutant: Mutant, case: Case) -> set[Verdict]:
    return {benches.run(mutant, SEED, case, v, None).verdict for v in variants(case)}


@pytest.mark.parametrize("case_id", ["HIL-01", "HIL-05", "HIL-09", "HIL-18", "HIL-25", "HIL-30"])
def test_good_parts__case_passes(benches: Benches, case_id: str) -> None:
    assert verdicts(benches, GOOD, CASES[case_id]) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("mutant", "case_id"),
    [
        ("ecu:ignores_timeouts", "HIL-05"),
        ("ecu:skips_crc", "HIL-09"),
        ("agent:repeats_when_hung", "HIL-17"),
        ("ecu:ignores_lost_speed", "HIL-28"),
    ],
)
def test_defective_part__case_fails(benches: Benches, mutant: str, case_id: str) -> None:
    assert Verdict.FAIL in verdicts(benches, MUTANTS[mutant], CASES[case_id])


def test_same_seed__same_run(benches: Benches) -> None:
    case = CASES["HIL-05"]
    first, second = (benches.run(GOOD, SEED, case, case.variants[0], None) for _ in range(2))
    assert first == second


def test_capability_missing__case_is_not_run_and_says_which(tmp_path: Path) -> None:
    result = run(Options(lacking(tmp_path), tmp_path, cases=("HIL-29",), repeat=2, mutants=False))
    assert (result.cases[0].verdict, result.cases[0].why) == (
        Verdict.NOT_RUN,
        "the bench lacks adapters",
    )


def test_progress__tells_each_case_with_its_verdict(tmp_path: Path) -> None:
    said: list[str] = []
    run(
        Options(lacking(tmp_path), tmp_path, cases=("HIL-29",), repeat=1, mutants=False),
        said.append,
    )
    assert said == ["repeat 1 of 1", "HIL-29 not-run"]


def test_nothing_could_be_run__is_no_pass(tmp_path: Path) -> None:
    result = run(Options(lacking(tmp_path), tmp_path, cases=("HIL-29",), repeat=1, mutants=False))
    assert result.verdict is Verdict.NOT_RUN


def test_injector__refuses_what_the_bench_cannot_do(benches: Benches) -> None:
    rig, _ = benches.ready(GOOD, SEED, "driving")
    injector = Injector(rig, frozenset({"delay"}), SEED)
    with pytest.raises(FaultRefused, match="drop: this bench cannot do drop"):
        injector.put({"kind": "drop", "frame": "SUP_CMD"})


def test_raising_run__is_a_bench_error_and_no_pass() -> None:
    def broken() -> Outcome:
        raise RuntimeError("adapter is gone")

    assert in_copy(broken) == Outcome(Verdict.BENCH_ERROR, "RuntimeError: adapter is gone")


def test_unknown_case__is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchRefused, match="--case HIL-99"):
        run(Options(EMULATED, tmp_path, cases=("HIL-99",)))


def a_result(folder: Path) -> Result:
    """A run whose good parts are swapped for a defective ECU: it has a failure to report."""
    bench = load_bench(EMULATED)
    made = Benches(EMULATED, bench)
    case = CASES["HIL-05"]
    options = Options(lacking(folder), folder, cases=("HIL-05", "HIL-29"), repeat=1, mutants=False)
    result = run(options)
    bad = made.run(MUTANTS["ecu:ignores_timeouts"], SEED, case, case.variants[0], folder / "logs")
    made.close()
    result.cases[0].runs.append((case.variants[0].name, SEED, bad))
    result.caught = {"ecu:ignores_timeouts": {"HIL-05": Verdict.FAIL}}
    return result


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write(a_result(folder))
    return folder


def test_json_report__keeps_to_its_schema(written: Path) -> None:
    report = Report.model_validate_json((written / "report.json").read_text(encoding="utf-8"))
    assert (report.verdict, report.cases[0].variants[0].passed) == ("fail", 1)


def test_schema_in_docs__is_the_one_of_the_code() -> None:
    assert (ROOT / "docs/schema/hil-report.json").read_text(encoding="utf-8") == schema_text()


def test_junit__failure_is_a_failure_and_not_run_is_skipped(written: Path) -> None:
    root = parse(written / "junit.xml").getroot()
    assert {tag: len(root.findall(f".//{tag}")) for tag in ("failure", "skipped", "error")} == {
        "failure": 1,
        "skipped": 1,
        "error": 0,
    }


def test_page__needs_nothing_else_and_names_what_was_not_shown(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    outside = [word for word in ("http://", "https://", "<script", "src=") if word in text]
    assert (outside, "the bench lacks adapters" in text) == ([], True)


def variant(name: str, verdict: str, passed: int) -> dict[str, Any]:
    return {
        "name": name,
        "verdict": verdict,
        "runs": 20,
        "passed": passed,
        "limit_ms": None,
        "reaction_of": "",
        "reaction_ms": None,
        "samples_ms": [],
        "first_causes": {},
        "figures_ms": {},
        "not_passed": [
            {"verdict": "not-run", "why": "the bench lacks replug", "log": "", "seed": 1}
        ][passed:],
    }


def test_page__a_pass_in_part_is_told_at_the_top_and_at_its_case(written: Path) -> None:
    report = json.loads((written / "report.json").read_text(encoding="utf-8"))
    variants = [variant("cable", "pass", 20), variant("adapter", "not-run", 0)]
    report["cases"] = [report["cases"][0] | {"id": "HIL-24", "verdict": "pass", "why": ""}]
    report["cases"][0]["variants"] = variants
    report["verdicts"]["pass"] = 1
    text = page(report)
    assert "1 of the 37 cases of the table are shown to pass, 1 of them only in part" in text
    assert '<div class="why">1 of 2 not run</div>' in text
    assert "<b>HIL-24</b> adapter: not shown, the bench lacks replug." in text


def test_page__names_cases_that_no_defect_made_fail_and_those_not_tried(written: Path) -> None:
    report = json.loads((written / "report.json").read_text(encoding="utf-8"))
    named = report["cases"][0] | {"verdict": "pass"}
    report["cases"] = [named | {"id": "HIL-05"}, named | {"id": "HIL-28"}, named | {"id": "HIL-01"}]
    report["mutants"][0]["verdicts"]["HIL-28"] = "pass"
    text = page(report)
    assert "Cases that failed on none of them: <b>HIL-28</b>." in text
    assert "Cases that were not tried on them: <b>HIL-01</b>." in text


@pytest.mark.parametrize("ending", [".asc", ".blf"])
def test_failure__leaves_logs_that_python_can_reads(written: Path, ending: str) -> None:
    run_ = not_passed(written)
    with can.LogReader((written / "logs" / run_["log"]).with_suffix(ending)) as log:
        assert sum(1 for _ in log) > 500


def not_passed(written: Path) -> dict[str, Any]:
    report = json.loads((written / "report.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = report["cases"][0]["variants"][0]["not_passed"][0]
    return found


def test_failure__says_what_happened_in_order(written: Path) -> None:
    story = not_passed(written)["story"]
    times_ms = [float(line.split()[0]) for line in story]
    assert times_ms == sorted(times_ms)
    assert "+0.0 ms fault effective" in story
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "<li>+0.0 ms fault effective" in text


def test_coverage__names_requirement_in_words_and_by_layer_of_fault(written: Path) -> None:
    report = json.loads((written / "report.json").read_text(encoding="utf-8"))
    row = next(row for row in report["coverage"] if row["requirement"] == "HF-ECU-03")
    assert row["text"] != ""
    assert row["layers"] == {"frame timing": [{"id": "HIL-05", "verdict": "fail"}]}


def test_requirement_that_no_case_speaks_to__is_named(written: Path) -> None:
    report = json.loads((written / "report.json").read_text(encoding="utf-8"))
    named = {row["requirement"] for row in report["uncovered"]}
    assert "HF-GUARD-02" in named
    assert not named & {row["requirement"] for row in report["coverage"]}


def test_every_kind_of_fault__has_its_layer() -> None:
    layered = [kind for kinds in LAYERS.values() for kind in kinds]
    used = {f["kind"] for c in CASES.values() for v in c.variants for f in (*v.before, *v.faults)}
    assert used - NOT_FAULTS <= set(layered)
    assert len(layered) == len(set(layered))


def test_story__names_events_in_words_and_changes_alone() -> None:
    trace = Trace(marks=[(3_000_000, "event M105"), (9_000_000, "out of the span")])
    for t_ms, contact in ((1, "CLOSED"), (2, "CLOSED"), (4, "OPEN")):
        trace.probe(t_ms * 1_000_000, "relay.contact", contact)
    assert trace.story(0, 8_000_000, 2_000_000) == (
        "+1.0 ms guardian tells M105: Emergency stop pressed",
        "+2.0 ms relay is OPEN",
    )


def test_disturbed_frames__are_error_frames_in_the_log(tmp_path: Path) -> None:
    trace = Trace(frames=[Seen(20, "agent", 1, b"a"), Seen(40, "ecu", 2, b"b")], errors=[(30, "")])
    assert trace.write_slice(tmp_path / "x.asc", 10, 35) == 2
    with can.LogReader(tmp_path / "x.blf") as log:
        assert [message.is_error_frame for message in log] == [False, True]


def test_spread__quantiles_are_values_that_were_measured() -> None:
    assert Spread.of([float(n) for n in range(1, 101)]) == Spread(100, 50.0, 95.0, 99.0, 100.0)


def test_worst_run__makes_the_verdict_of_its_case(tmp_path: Path) -> None:
    result = run(Options(EMULATED, tmp_path, cases=("HIL-01",), repeat=1, mutants=False))
    result.cases[0].runs.append(("", 1, replace(result.cases[0].runs[0][2], verdict=Verdict.FAIL)))
    assert result.verdict is Verdict.FAIL


def test_command_line__bad_bench_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = headframe.main(["hil", "run", "--bench", "/no.yaml", "--report", str(tmp_path)])
    assert (code, capsys.readouterr().err) == (
        1,
        "headframe: /no.yaml: cannot be read: No such file or directory\n",
    )


def test_command_line__list_names_all_thirty_and_the_kits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert headframe.main(["hil", "list", "--json"]) == 0
    listed = [case["id"] for case in json.loads(capsys.readouterr().out)["cases"]]
    assert listed == [f"HIL-{n:02}" for n in range(1, 31)] + [f"CON-{n:02}" for n in range(1, 8)]
