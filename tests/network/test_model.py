"""The link model under a clock that the tests move."""

from __future__ import annotations

import hashlib

import pytest

from sim.network.model import Decision, LinkModel, Verdict
from sim.network.parameters import (
    Bursts,
    CoursePoint,
    DirectionParameters,
    GapMode,
    Gaps,
)

MS = 1_000_000
S = 1000 * MS


def run(
    parameters: DirectionParameters,
    packets: int,
    *,
    every_ns: int = 20 * MS,
    size_bytes: int = 172,
    seed: int = 1,
) -> list[Decision]:
    model = LinkModel(parameters, seed)
    return [model.decide(number * every_ns, size_bytes) for number in range(packets)]


def share_of(verdicts: list[Verdict], verdict: Verdict) -> float:
    return verdicts.count(verdict) / len(verdicts)


def share(decisions: list[Decision], verdict: Verdict) -> float:
    return share_of([decision.verdict for decision in decisions], verdict)


def delays_ms(decisions: list[Decision], every_ns: int = 20 * MS) -> list[float]:
    return [
        (due - number * every_ns) / MS
        for number, decision in enumerate(decisions)
        for due in decision.deliveries
    ]


def test_no_impairment__comes_out_at_once() -> None:
    assert run(DirectionParameters(), 1)[0] == Decision(Verdict.CARRIED, (0,))


def test_delay__is_kept_exactly_without_jitter() -> None:
    assert set(delays_ms(run(DirectionParameters(delay_ns=20 * MS), 100))) == {20.0}


def test_jitter__spreads_both_ways_within_its_limit() -> None:
    found = delays_ms(run(DirectionParameters(delay_ns=20 * MS, jitter_ns=5 * MS), 2000))
    assert 15.0 <= min(found) < 15.2
    assert 24.8 < max(found) <= 25.0


def test_jitter_of_dense_packets__keeps_their_order() -> None:
    decisions = run(DirectionParameters(delay_ns=20 * MS, jitter_ns=15 * MS), 500, every_ns=MS)
    dues = [decision.deliveries[0] for decision in decisions]
    assert dues == sorted(dues)


def test_loss__has_the_share_asked() -> None:
    assert share(run(DirectionParameters(loss=0.02), 50_000), Verdict.LOST) == pytest.approx(
        0.02, abs=0.002
    )


def test_bursts__lose_the_mean_of_gilbert_elliott() -> None:
    """Mean loss = (r·eG + p·eB)/(p + r) with p = 1/8 s and r = 1/2 s."""
    parameters = DirectionParameters(bursts=Bursts(8.0, 2.0, 0.5))
    assert share(run(parameters, 200_000), Verdict.LOST) == pytest.approx(0.1, abs=0.01)


def test_bursts__go_by_time_and_not_by_packets() -> None:
    """Ten times the packets see the same bad seconds."""
    parameters = DirectionParameters(bursts=Bursts(3.0, 1.0, 1.0))
    slow = run(parameters, 1000, every_ns=20 * MS)
    fast = run(parameters, 10_000, every_ns=2 * MS)[::10]
    assert [d.verdict for d in slow] == [d.verdict for d in fast]


def test_gap_that_loses__nothing_comes_out_of_it() -> None:
    gaps = Gaps(1.0, 0.0, 0.3, 0.3, GapMode.LOSE)
    decisions = run(DirectionParameters(gaps=gaps), 130, every_ns=10 * MS)
    lost = [n for n, d in enumerate(decisions) if d.verdict is Verdict.IN_GAP]
    assert lost == list(range(101, 130))


def test_gap_that_stalls__everything_comes_out_together_at_its_end() -> None:
    gaps = Gaps(1.0, 0.0, 0.3, 0.3, GapMode.STALL)
    decisions = run(DirectionParameters(gaps=gaps), 129, every_ns=10 * MS)
    assert {d.deliveries[0] // MS for d in decisions[101:]} == {1300}


def test_rate__packets_queue_behind_each_other() -> None:
    """1250 bytes at 1 Mbit/s take 10 ms."""
    model = LinkModel(DirectionParameters(rate_bps=1e6), 1)
    dues = [model.decide(0, 1250).deliveries[0] // MS for _ in range(3)]
    assert dues == [10, 20, 30]


def test_queue__drops_what_does_not_fit_and_takes_again_when_it_drained() -> None:
    model = LinkModel(DirectionParameters(rate_bps=1e6, queue_bytes=2500), 1)
    at_once = [model.decide(0, 1250).verdict for _ in range(3)]
    later = model.decide(10 * MS, 1250).verdict
    assert at_once == [Verdict.CARRIED, Verdict.CARRIED, Verdict.QUEUE_FULL]
    assert later is Verdict.CARRIED


def test_course__loss_and_rate_are_linear_between_points_and_repeat() -> None:
    course = (CoursePoint(0.0, 0.0, 1e6), CoursePoint(8.0, 1.0, 2e6), CoursePoint(10.0, 1.0, 2e6))
    model = LinkModel(DirectionParameters(course=course), 1)
    assert model.decide(0, 1250).deliveries == (10 * MS,)
    half = [model.decide((3500 + n) * MS, 1).verdict for n in range(1000)]
    assert share_of(half, Verdict.LOST) == pytest.approx(0.5, abs=0.1)
    assert model.decide(9 * S, 1250).verdict is Verdict.LOST
    assert model.decide(20 * S, 1250).deliveries == (20 * S + 10 * MS,)


def test_trace__packets_leave_at_its_opportunities_and_share_one() -> None:
    model = LinkModel(DirectionParameters(trace_ms=(3, 3, 10)), 1)
    first = [model.decide(0, 1000).deliveries[0] // MS for _ in range(5)]
    assert first == [3, 3, 3, 10, 13]


def test_trace__unused_opportunities_are_lost_and_it_repeats() -> None:
    model = LinkModel(DirectionParameters(trace_ms=(3, 10)), 1)
    assert model.decide(5 * MS, 1500).deliveries == (10 * MS,)
    assert model.decide(25 * MS, 1500).deliveries == (30 * MS,)


def test_reorder__the_held_back_packet_is_overtaken() -> None:
    parameters = DirectionParameters(reorder=0.2, reorder_ns=50 * MS)
    dues = [d.deliveries[0] for d in run(parameters, 200)]
    assert dues != sorted(dues)
    assert sum(due - n * 20 * MS == 50 * MS for n, due in enumerate(dues)) == pytest.approx(
        40, abs=15
    )


def test_duplicate__comes_out_twice() -> None:
    assert run(DirectionParameters(duplicate=1.0), 1)[0].deliveries == (0, 0)


def test_dead__carries_nothing() -> None:
    assert share(run(DirectionParameters(loss=1.0), 1000), Verdict.LOST) == 1.0


ALL = DirectionParameters(
    delay_ns=20 * MS,
    jitter_ns=10 * MS,
    loss=0.01,
    bursts=Bursts(2.0, 0.2, 0.3),
    gaps=Gaps(3.0, 0.5, 0.1, 0.2, GapMode.STALL),
    rate_bps=1e6,
    queue_bytes=8000,
    reorder=0.05,
    reorder_ns=30 * MS,
    duplicate=0.05,
)


def test_same_seed__same_decisions() -> None:
    assert run(ALL, 2000) == run(ALL, 2000)


def test_other_seed__other_decisions() -> None:
    assert run(ALL, 2000, seed=1) != run(ALL, 2000, seed=2)


def test_decisions__are_the_same_in_every_process() -> None:
    """Pinned: a log of decisions must mean the same in the next version, or be told apart."""
    digest = hashlib.sha256(repr(run(ALL, 2000)).encode()).hexdigest()
    assert digest[:16] == "17dc4716d9390135"


def test_time_backwards__is_refused() -> None:
    model = LinkModel(DirectionParameters(), 1)
    model.decide(10, 100)
    with pytest.raises(ValueError, match="before"):
        model.decide(9, 100)


def test_for_stream__keeps_delay_rate_and_gaps_and_loses_nothing() -> None:
    stream = ALL.for_stream()
    assert (stream.delay_ns, stream.rate_bps, stream.gaps) == (ALL.delay_ns, 1e6, ALL.gaps)
    assert {d.verdict for d in run(stream, 5000)} == {Verdict.CARRIED}
    assert [len(d.deliveries) for d in run(stream, 100)] == [1] * 100


def test_counts__name_each_verdict() -> None:
    model = LinkModel(DirectionParameters(loss=1.0), 1)
    model.decide(0, 100)
    assert model.counts == {Verdict.LOST: 1}
