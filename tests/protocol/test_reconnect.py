"""When a lost broker is tried again: at once, and with patience later."""

from __future__ import annotations

import pytest

from protocol.reconnect import (
    PATIENT_CONNECT_S,
    PATIENT_WAIT_S,
    QUICK_CONNECT_S,
    SHORTEST_CONNECT_S,
    Try,
    next_try,
)

QUICK_TRIES = 6


@pytest.mark.parametrize(
    ("failed", "share", "expected"),
    [
        (0, 0.0, Try(0.0, QUICK_CONNECT_S)),
        (0, 1.0, Try(0.1, QUICK_CONNECT_S)),
        (QUICK_TRIES - 1, 0.0, Try(0.0, QUICK_CONNECT_S)),
        (QUICK_TRIES, 0.0, Try(PATIENT_WAIT_S[0], PATIENT_CONNECT_S)),
        (1000, 1.0, Try(PATIENT_WAIT_S[1], PATIENT_CONNECT_S)),
    ],
)
def test_tries_so_far__say_how_soon_and_how_patient_the_next_is(
    failed: int, share: float, expected: Try
) -> None:
    got = next_try(failed, share)

    assert got.wait_s == pytest.approx(expected.wait_s)
    assert got.connect_within_s == expected.connect_within_s


def test_quick_tries__go_on_beyond_an_outage_of_two_seconds() -> None:
    tries = [next_try(failed, 0.0) for failed in range(QUICK_TRIES)]

    assert sum(each.wait_s + each.connect_within_s for each in tries) > 2.0


@pytest.mark.parametrize(
    ("round_trip_s", "expected_s"),
    [(0.01, SHORTEST_CONNECT_S), (0.06, 0.15), (0.19, QUICK_CONNECT_S)],
)
def test_round_trip_known__a_try_takes_no_longer_than_that_allows(
    round_trip_s: float, expected_s: float
) -> None:
    got = next_try(0, 1.0, round_trip_s)

    assert got.connect_within_s == pytest.approx(expected_s)
    assert got.wait_s == pytest.approx(expected_s / 4)


@pytest.mark.parametrize("round_trip_s", [0.0, 0.01, 0.06, 1.0])
def test_short_tries__are_over_after_three_seconds(round_trip_s: float) -> None:
    tries = [next_try(failed, 1.0, round_trip_s) for failed in range(100)]
    quick = [each for each in tries if each.connect_within_s < PATIENT_CONNECT_S]

    assert 2.3 < sum(each.connect_within_s for each in quick) < 2.8
    assert sum(each.wait_s + each.connect_within_s for each in quick) < 3.5
