"""The watch over command paths: who is silent, what share came, how long nothing came."""

from __future__ import annotations

import pytest

from protocol.freshness import PathCounters
from vehicle_agent.core.paths import SLICE_NS, SLICES, PathFigures, PathWatch

MS = 1_000_000
LIMIT_NS = 2_000 * MS
START_NS = 1_000_000 * MS


class Traffic:
    """A command each 20 ms, looked at as often; the second path may lose some."""

    def __init__(self, paths: frozenset[int] = frozenset({0, 1})) -> None:
        self.watch = PathWatch(paths, LIMIT_NS)
        self.counters = (PathCounters(), PathCounters())
        self.now_ns = START_NS
        self.sequence = 0
        self.watch.begin(self.now_ns)

    def run(self, seconds: float, *, second_delivers: int = 1, first_speaks: bool = True) -> None:
        """Let time pass; the second path delivers each ``second_delivers``-th, 0 for none."""
        for _ in range(round(seconds * 50)):
            self.now_ns += 20 * MS
            if first_speaks:
                self.sequence += 1
                self.counters[0].accepted += 1
                self.counters[0].last_valid_ns = self.now_ns
            if second_delivers and self.sequence % second_delivers == 0:
                self.counters[1].duplicates += 1
                self.counters[1].last_valid_ns = self.now_ns
            self.watch.look(self.now_ns, self.sequence, self.counters)

    @property
    def silent(self) -> tuple[int, ...]:
        return self.watch.silent(self.now_ns, self.counters)


@pytest.mark.parametrize(("after_ms", "expected"), [(2000, ()), (2001, (1,))])
def test_one_path_never_heard__out_when_its_time_is_over(
    after_ms: int, expected: tuple[int, ...]
) -> None:
    traffic = Traffic()
    traffic.counters[0].last_valid_ns = START_NS + after_ms * MS

    assert traffic.watch.silent(START_NS + after_ms * MS, traffic.counters) == expected


def test_both_paths_heard_lately__none_is_out() -> None:
    traffic = Traffic()
    traffic.run(3.0)

    assert traffic.silent == ()


def test_path_heard_again__is_no_longer_out() -> None:
    traffic = Traffic()
    traffic.run(3.0, second_delivers=0)
    before = traffic.silent
    traffic.run(0.1)

    assert (before, traffic.silent) == ((1,), ())


def test_only_one_path_fitted__its_silence_is_not_told_here() -> None:
    traffic = Traffic(frozenset({0}))
    traffic.run(3.0, first_speaks=False)

    assert traffic.silent == ()


def test_new_lease__silence_counts_from_its_beginning() -> None:
    traffic = Traffic()
    traffic.run(3.0, second_delivers=0)
    traffic.watch.begin(traffic.now_ns)

    assert traffic.silent == ()


def test_half_of_the_commands_came_by_a_path__its_share_is_50() -> None:
    traffic = Traffic()
    traffic.run(6.0, second_delivers=2)

    assert traffic.watch.figures(0).delivered_pct == 100
    assert traffic.watch.figures(1).delivered_pct == 50


def test_copies_that_came_late__are_not_delivered() -> None:
    traffic = Traffic()
    traffic.run(1.0, second_delivers=0)
    traffic.counters[1].duplicates = traffic.counters[1].late = 50
    traffic.watch.look(traffic.now_ns, traffic.sequence, traffic.counters)

    assert traffic.watch.figures(1).delivered_pct == 0


def test_commands_overtaken_by_the_quicker_path__came_all_the_same() -> None:
    traffic = Traffic()
    traffic.run(1.0, second_delivers=0)
    traffic.counters[1].overtaken = 49
    traffic.watch.look(traffic.now_ns, traffic.sequence, traffic.counters)

    assert traffic.watch.figures(1).delivered_pct == 100


def test_share__is_of_the_commands_of_the_last_5_s_to_one_half() -> None:
    traffic = Traffic()
    traffic.run(0.02)
    traffic.run(4.98, second_delivers=0)
    traffic.run(0.5)
    whole = traffic.watch.figures(1).delivered_pct
    traffic.run(4.5)

    assert (whole, traffic.watch.figures(1).delivered_pct) == (10, 100)


@pytest.mark.parametrize(("commands", "share"), [(1, None), (2, 100), (3, 100)])
def test_share__is_known_from_the_second_command_on(commands: int, share: int | None) -> None:
    traffic = Traffic()
    traffic.run(commands * 0.02)

    assert traffic.watch.figures(0).delivered_pct == share


def test_slow_path_catches_up__its_share_is_never_above_100() -> None:
    traffic = Traffic()
    traffic.run(1.0)
    traffic.counters[1].duplicates += 10
    traffic.watch.look(traffic.now_ns, traffic.sequence, traffic.counters)

    assert traffic.watch.figures(1).delivered_pct == 100


def test_one_of_101_commands__is_a_share_of_0() -> None:
    traffic = Traffic()
    traffic.run(102 * 0.02, second_delivers=0)
    traffic.counters[1].duplicates = 1
    traffic.watch.look(traffic.now_ns, traffic.sequence, traffic.counters)

    assert traffic.watch.figures(1).delivered_pct == 0


@pytest.mark.parametrize(("period_ns", "share"), [(500 * MS, 100), (500 * MS - 1, 90)])
def test_part_of_the_window__is_left_behind_after_half_a_second_and_no_sooner(
    period_ns: int, share: int
) -> None:
    traffic = Traffic(frozenset({0}))
    for look in range(11):
        traffic.counters[0].accepted += look != 1
        traffic.watch.look(START_NS + look * period_ns, look, traffic.counters)

    assert traffic.watch.figures(0).delivered_pct == share


def test_silence__is_told_as_long_as_its_own_part_of_the_window_counts() -> None:
    traffic = Traffic()
    traffic.run(1.0)
    traffic.run(0.3, second_delivers=0)
    traffic.run(4.0)

    assert traffic.watch.figures(1).silent_ms == 300


def test_new_lease__figures_of_the_one_before_are_gone() -> None:
    traffic = Traffic()
    traffic.run(3.0)
    traffic.watch.begin(traffic.now_ns)

    assert traffic.watch.figures(0) == PathFigures(None, None)


def test_silence__is_told_in_whole_milliseconds_that_have_passed() -> None:
    traffic = Traffic()
    traffic.run(0.02)
    traffic.watch.look(traffic.now_ns + 999_999, traffic.sequence, traffic.counters)

    assert traffic.watch.figures(0).silent_ms == 0


def test_no_command_was_given__no_share_is_known() -> None:
    watch = PathWatch(frozenset({0, 1}), LIMIT_NS)
    watch.begin(START_NS)
    watch.look(START_NS, None, (PathCounters(), PathCounters()))

    assert watch.figures(0) == PathFigures(None, None)
    assert watch.delivered_pct(0) is None


def test_path_that_is_not_fitted__has_no_figures() -> None:
    traffic = Traffic(frozenset({0}))
    traffic.run(1.0)

    assert traffic.watch.figures(1) == PathFigures(None, None)
    assert traffic.watch.delivered_pct(1) is None


def test_pause_of_300_ms__is_the_longest_silence_until_the_window_has_passed() -> None:
    traffic = Traffic()
    traffic.run(1.0)
    traffic.run(0.3, second_delivers=0)
    traffic.run(1.0)
    within = traffic.watch.figures(1).silent_ms
    traffic.run(SLICES * SLICE_NS / 1e9)

    assert within == 300
    assert traffic.watch.figures(1).silent_ms == 0
