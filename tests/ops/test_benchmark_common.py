"""The benchmarks' one output object."""

from __future__ import annotations

import json

import pytest

from benchmarks.common import Measurement, Peer, percentiles, report, run

KEYS = {"name", "unit", "n", "ours", "peer", "ratio", "machine", "notes"}


def test_percentiles__are_samples_by_nearest_rank() -> None:
    found = percentiles([float(value) for value in range(1, 101)])
    assert (found.p50, found.p95, found.p99, found.max) == (50.0, 95.0, 99.0, 100.0)


def test_one_sample__is_every_percentile() -> None:
    assert percentiles([3.0]).as_dict() == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [float("inf")]])
def test_samples_that_say_nothing__are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="sample"):
        percentiles(samples)


def test_without_peer__peer_and_ratio_are_null() -> None:
    found = report(Measurement("x", "ms", [1.0, 2.0]))
    assert set(found) == KEYS
    assert (found["peer"], found["ratio"], found["n"]) == (None, None, 2)


def test_with_peer__ratio_is_ours_over_theirs() -> None:
    found = report(Measurement("x", "ms", [1.0], Peer("stock 1.0", percentiles([4.0]))))
    assert found["peer"] == {"name": "stock 1.0", "p50": 4.0, "p95": 4.0, "p99": 4.0, "max": 4.0}
    assert found["ratio"] == {"p50": 0.25, "p95": 0.25}


def test_several_conditions__their_rows_stand_beside_the_rest() -> None:
    found = report(Measurement("x", "ms", [1.0], rows=({"link": "a"}, {"link": "b"})))
    assert set(found) == KEYS | {"rows"}
    assert found["rows"] == [{"link": "a"}, {"link": "b"}]


def test_json__is_one_object_with_the_same_keys_when_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[bool] = []

    def measure(quick: bool) -> Measurement:
        asked.append(quick)
        return Measurement("x", "ms", [1.0])

    assert run(measure, ["--json", "--quick"]) == 0
    assert asked == [True]
    assert set(json.loads(capsys.readouterr().out)) == KEYS


def test_text__names_unit_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda _: Measurement("x", "ms", [1.5], notes="loopback"), [])
    printed = capsys.readouterr().out
    assert "x [ms], n = 1" in printed
    assert "loopback" in printed


def test_measurement_fails__one_line_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    def measure(quick: bool) -> Measurement:
        raise RuntimeError("no camera")

    assert run(measure, []) == 1
    assert capsys.readouterr().err == "benchmark: no camera\n"


def test_limit_broken__figures_are_printed_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda _: Measurement("x", "count", [2.0], n=500, held=False), ["--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["n"], printed["ours"]["p50"]) == (500, 2.0)


def test_ctrl_c__one_line_and_exit_130(capsys: pytest.CaptureFixture[str]) -> None:
    def measure(quick: bool) -> Measurement:
        raise KeyboardInterrupt

    assert run(measure, []) == 130
    assert capsys.readouterr().err == "benchmark: interrupted\n"
