"""Slots that never catch up, and commands that are closed before they fall silent."""

from __future__ import annotations

from vehicle_agent.core.channel import Channel, Cycle, Say

MS = 1_000_000
TICK = 10 * MS
START = 3 * 10**15


def sent(channel: Channel, allowed: list[bool]) -> str:
    """What a channel sends tick by tick: C command, x closing, . nothing."""
    letters = {Say.COMMAND: "C", Say.CLOSING: "x", Say.NOTHING: "."}
    return "".join(
        letters[channel.say(START + n * TICK, allowed=one)] for n, one in enumerate(allowed)
    )


def test_cycle__is_due_at_once_and_then_on_its_grid() -> None:
    cycle = Cycle(20)
    assert [cycle.due(START + n * TICK) for n in range(5)] == [True, False, True, False, True]


def test_slot__is_taken_two_milliseconds_early_and_no_earlier() -> None:
    early, too_early = Cycle(20), Cycle(20)
    assert early.due(START)
    assert early.due(START + 18 * MS)
    assert too_early.due(START)
    assert not too_early.due(START + 18 * MS - 1)


def test_slot_taken_early__does_not_shift_the_grid() -> None:
    cycle = Cycle(20)
    due = [cycle.due(START + at * MS) for at in (0, 18, 37, 38, 57, 58)]
    assert due == [True, True, False, True, False, True]


def test_late_tick__skips_what_it_missed_and_begins_a_new_grid() -> None:
    cycle = Cycle(20)
    assert cycle.due(START)
    due = [cycle.due(START + at * MS) for at in (75, 76, 80, 92, 93, 95)]
    assert due == [True, False, False, False, True, False]


def test_tick_just_inside_its_period__stays_on_the_grid() -> None:
    cycle = Cycle(20)
    assert cycle.due(START)
    assert cycle.due(START + 40 * MS - 1)
    assert cycle.due(START + 40 * MS)


def test_tick_a_whole_period_late__begins_a_new_grid() -> None:
    cycle = Cycle(20)
    assert cycle.due(START)
    assert cycle.due(START + 40 * MS)
    assert not cycle.due(START + 58 * MS - 1)
    assert cycle.due(START + 58 * MS)


def test_out_of_turn__makes_a_slot_and_the_cycle_goes_on_from_there() -> None:
    cycle = Cycle(50)
    assert cycle.due(START)
    assert cycle.due(START + TICK, at_once=True)
    assert not cycle.due(START + 50 * MS)
    assert cycle.due(START + 60 * MS)


def test_channel_that_was_never_open__is_silent() -> None:
    assert sent(Channel(10, 2), [False] * 4) == "...."


def test_command_that_ends__is_closed_at_once_then_silent() -> None:
    assert sent(Channel(10, 2), [True] * 3 + [False] * 4) == "CCCxx.."


def test_closing_frames__keep_the_cycle() -> None:
    assert sent(Channel(30, 3), [True] * 4 + [False] * 9) == "C..Cx..x..x.."


def test_closing__does_not_wait_for_its_slot() -> None:
    assert sent(Channel(50, 2), [True] * 2 + [False] * 7) == "C.x....x."


def test_opened_again__begins_at_once() -> None:
    assert sent(Channel(50, 2), [True, False, True, True]) == "CxC."


def test_opened_again_while_closing__has_all_its_closing_frames_the_next_time() -> None:
    assert sent(Channel(10, 3), [True, False, True, False, False, False, False]) == "CxCxxx."


def test_hurry__sends_out_of_turn() -> None:
    channel = Channel(50, 2)
    assert channel.say(START, allowed=True) is Say.COMMAND
    assert channel.say(START + TICK, allowed=True) is Say.NOTHING
    assert channel.say(START + 2 * TICK, allowed=True, at_once=True) is Say.COMMAND


def test_hurry__opens_nothing() -> None:
    assert Channel(50, 2).say(START, allowed=False, at_once=True) is Say.NOTHING


def test_words_of_a_channel__are_these() -> None:
    assert [say.value for say in Say] == ["nothing", "command", "closing"]
