"""When a lost broker is tried again: at once, and with patience later."""

from __future__ import annotations

import pytest

from protocol.reconnect import (
    PATIENT_CONNECT_S,
    PATIENT_WAIT_S,
    QUICK_CONNECT_S,
    QUICK_TRIES,
    QUICK_WAIT_S,
    Try,
    next_try,
)


@pytest.mark.parametrize(
    ("failed", "share", "expected"),
    [
        (0, 0.0, Try(QUICK_WAIT_S[0], QUICK_CONNECT_S)),
        (0, 1.0, Try(QUICK_WAIT_S[1], QUICK_CONNECT_S)),
        (QUICK_TRIES - 1, 0.0, Try(QUICK_WAIT_S[0], QUICK_CONNECT_S)),
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
