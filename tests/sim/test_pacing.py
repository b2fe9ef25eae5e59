"""The step grid of a real-time process."""

from __future__ import annotations

from sim.pacing import StepPacer

STEP_NS = 5_000_000


def test_on_time__one_step_each_period() -> None:
    pacer = StepPacer(0, STEP_NS, 4)
    assert [pacer.take(now) for now in (0, 1, STEP_NS - 1, STEP_NS, 2 * STEP_NS)] == [1, 0, 0, 1, 1]
    assert (pacer.late, pacer.skipped) == (0, 0)


def test_two_steps_late__both_are_made() -> None:
    pacer = StepPacer(0, STEP_NS, 4)
    assert pacer.take(STEP_NS + 1) == 2
    assert (pacer.late, pacer.skipped) == (1, 0)
    assert pacer.next_ns == 2 * STEP_NS


def test_long_stall__few_steps_are_made_and_the_rest_counted() -> None:
    pacer = StepPacer(0, STEP_NS, 4)
    assert pacer.take(99 * STEP_NS) == 4
    assert pacer.skipped == 96
    assert pacer.take(99 * STEP_NS + 1) == 0
    assert pacer.wait_ms(99 * STEP_NS + 1_000_000) == 4.0


def test_overdue__waits_not_at_all() -> None:
    assert StepPacer(0, STEP_NS, 4).wait_ms(7) == 0.0


def test_lateness__is_that_of_the_steps_to_the_next_fifty_microseconds() -> None:
    pacer = StepPacer(0, STEP_NS, 4)
    for number in range(100):
        pacer.take(number * STEP_NS + (2_010_000 if number == 7 else 120_000))
    assert pacer.lateness_ms(99) == 0.15
    assert pacer.lateness_ms(100) == 2.05


def test_lateness__look_before_the_time_is_none_and_beyond_the_scale_is_its_end() -> None:
    pacer = StepPacer(STEP_NS, STEP_NS, 4)
    assert (pacer.take(0), pacer.lateness_ms(99)) == (0, 0.0)
    pacer.take(STEP_NS + 9_000_000_000)
    assert pacer.lateness_ms(50) == 50.05
