"""The judge: a pass needs evidence, a limit is a limit."""

from __future__ import annotations

import pytest

from hil.case import Check, Variant
from hil.judge import Verdict, judged
from hil.trace import Seen, Trace
from protocol.dbw.codec import E2eStat, EcuMode, EcuState, ExitReason, encode

MS = 1_000_000
T0 = 1_000 * MS


def told(*states: tuple[float, EcuMode]) -> Trace:
    trace = Trace()
    for at_ms, mode in states:
        can_id, data = encode(EcuState(mode, 0, ExitReason.COMMAND_TIMEOUT, 1, 0, 0), 0)
        trace.frames.append(Seen(T0 + round(at_ms * MS), "ecu", can_id, data))
    return trace


def verdict(trace: Trace, **check: object) -> tuple[Verdict, str]:
    content = {"signal": "ECU_STATE.state", "value": "SAFE_STOP", **check}
    outcome = judged(trace, Variant(checks=[Check.model_validate(content)]), T0, T0)
    return outcome.verdict, outcome.why


def test_reached_at_the_limit__passes_and_gives_its_time() -> None:
    trace = told((20, EcuMode.ACTIVE), (60, EcuMode.SAFE_STOP))
    check = Check(signal="ECU_STATE.state", value="SAFE_STOP", within_ms=60.0)
    outcome = judged(trace, Variant(checks=[check]), T0, T0)
    assert (outcome.verdict, outcome.reaction_ms, outcome.first_cause) == (
        Verdict.PASS,
        60.0,
        "SUP",
    )


def test_reached_too_late__fails_with_time_and_limit() -> None:
    assert verdict(told((61, EcuMode.SAFE_STOP)), within_ms=60.0) == (
        Verdict.FAIL,
        "ECU_STATE.state == SAFE_STOP: after 61.0 ms, limit 60 ms",
    )


@pytest.mark.parametrize("check", [{"within_ms": 60.0}, {"holds_ms": (0, 60)}], ids=str)
def test_nothing_seen__is_no_pass(check: dict[str, object]) -> None:
    assert verdict(Trace(), **check)[0] is Verdict.FAIL


def test_one_sample_of_a_span_otherwise__fails() -> None:
    trace = told((10, EcuMode.SAFE_STOP), (30, EcuMode.ACTIVE), (50, EcuMode.SAFE_STOP))
    assert verdict(trace, holds_ms=(0, 60))[1].endswith("it is ACTIVE after 30.0 ms")


def test_sample_outside_the_span__does_not_count() -> None:
    trace = told((10, EcuMode.ACTIVE), (50, EcuMode.SAFE_STOP))
    assert verdict(trace, holds_ms=(20, 60))[0] is Verdict.PASS


def test_signal_this_bench_does_not_see__fails_and_says_so() -> None:
    _, why = verdict(Trace(), signal="actuator.accel_mps2", within_ms=60.0)
    assert "does not see it" in why


def test_counter_that_the_ecu_never_told__is_no_pass() -> None:
    result = verdict(Trace(), signal="E2E.SUP_CMD.crc", value=1, rises=True)
    assert result == (Verdict.FAIL, "E2E.SUP_CMD.crc: the ECU did not tell it")


@pytest.mark.parametrize(("risen", "expected"), [(0, Verdict.FAIL), (1, Verdict.PASS)])
def test_counter__must_rise_by_the_value(risen: int, expected: Verdict) -> None:
    trace = Trace()
    for at_ns, crc in ((T0 - MS, 4), (T0 + MS, 4 + risen)):
        can_id, data = encode(E2eStat(0, crc, 0, 0, 0, 0, 0), 0)
        trace.frames.append(Seen(at_ns, "ecu", can_id, data))
    assert verdict(trace, signal="E2E.SUP_CMD.crc", value=1, rises=True)[0] is expected
