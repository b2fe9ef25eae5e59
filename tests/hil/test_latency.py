"""Latency by parts: the parts are each measured by their own stamps, and must make the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hil import procedures
from hil.benchfile import load_bench
from hil.faults import Injector
from hil.judge import Outcome, Verdict, bring
from hil.procedures import MISSED, PARTS, WHOLE, Way, parted, ways, wrong_in
from hil.rig import Rig
from hil.runner import GOOD, Benches, in_copy
from protocol.dbw.endpoint import DbwReceiver, Received
from sim.network.parameters import DirectionParameters, LinkParameters
from tests.hil.test_benchfile import EMULATED

MS = 1_000_000
SEED = 7
SECONDS = 1.0
PLANTED_MS = 20.0
LINK, WAITS, DECIDES, BUS, ECU, ECHO_WAY = PARTS
WAY = Way(0, 1 * MS, 5 * MS, 6 * MS, 7 * MS, 7_000, 2_000, 9 * MS, 10 * MS)
"""A millisecond each, but 4 waiting for the tick and 2 in the ECU."""


def middle_ms(figures: dict[str, list[float]]) -> dict[str, float]:
    return {name: sorted(values)[len(values) // 2] for name, values in figures.items()}


@pytest.fixture(scope="module")
def driving() -> Iterator[Rig]:
    """A driving rig, of which only copies are run."""
    benches = Benches(EMULATED, load_bench(EMULATED))
    rig, wrong = benches.ready(GOOD, SEED, "driving")
    assert wrong == ""
    yield rig
    benches.close()


@pytest.fixture(scope="module")
def measured(driving: Rig) -> Callable[[Callable[[Rig], None]], dict[str, float]]:
    """Middle of each part on a copy of the rig that was changed before."""

    def measure(change: Callable[[Rig], None]) -> dict[str, float]:
        def run() -> Outcome:
            change(driving)
            since_ns = driving.now_ns
            driving.run(SECONDS)
            found = ways(driving, since_ns, driving.now_ns)
            return Outcome(Verdict.PASS, figures=parted(found))

        figures = in_copy(run).figures
        assert max(map(abs, figures[MISSED])) < 0.01
        return middle_ms(figures)

    return measure


Measured = Callable[[Callable[[Rig], None]], dict[str, float]]


def far(rig: Rig) -> None:
    way = DirectionParameters(delay_ns=round(PLANTED_MS) * MS)
    rig.fit_link(LinkParameters("far", "", up=DirectionParameters(), down=way))


def held_before_the_bus(rig: Rig) -> None:
    delay = {"kind": "delay", "frame": "SUP_CMD", "ms": PLANTED_MS}
    Injector(rig, frozenset({"delay"}), SEED).put(delay)


@pytest.mark.parametrize(
    ("change", "part"), [(far, LINK), (held_before_the_bus, BUS)], ids=["link", "bus"]
)
@pytest.mark.requirement("HF-CMD-10")
def test_known_delay_planted_in_a_part__is_found_there_and_in_the_whole(
    measured: Measured, change: Callable[[Rig], None], part: str
) -> None:
    before, after = measured(lambda _: None), measured(change)
    assert after[part] - before[part] == pytest.approx(PLANTED_MS, abs=1.0)
    unmoved = [name for name in (LINK, DECIDES, BUS, ECHO_WAY) if name != part]
    assert [after[name] for name in unmoved] == pytest.approx(
        [before[name] for name in unmoved], abs=1.0
    )


def test_two_spans__both_are_reckoned_when_both_are_over(
    driving: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []

    def noted(rig: Rig, since_ns: int, until_ns: int) -> list[Way]:
        asked.append((since_ns, until_ns, rig.now_ns))
        return ways(rig, since_ns, until_ns)

    def run() -> Outcome:
        monkeypatch.setattr(procedures, "ways", noted)
        monkeypatch.setattr(procedures, "LATENCY_S", SECONDS)
        monkeypatch.setattr(procedures, "LATENCY_OVER_LINK_S", SECONDS)
        outcome = procedures.latency(driving, Injector(driving, frozenset(), SEED))
        return Outcome(outcome.verdict, f"{[at - driving.now_ns for each in asked for at in each]}")

    span = round(SECONDS * 1e9)
    assert in_copy(run) == Outcome(Verdict.PASS, f"{[-2 * span, -span, 0, -span, 0, 0]}")


def test_start_state_not_reached__is_told_in_words(driving: Rig) -> None:
    def run() -> Outcome:
        driving.cockpit.silent = True
        driving.run(1.0)
        return Outcome(Verdict.INCONCLUSIVE, bring(driving, "driving"))

    words = "it never drove: guardian STOPPED, ECU STANDBY"
    assert in_copy(run) == Outcome(Verdict.INCONCLUSIVE, words)


def test_random_loss__decodes_no_older_history_than_it_needs(
    driving: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    class Noting(DbwReceiver):
        def receive(self, now_ns: int, can_id: int, data: bytes) -> Received:
            heard.append(now_ns)
            return super().receive(now_ns, can_id, data)

    def run() -> Outcome:
        begun_ns = driving.now_ns
        monkeypatch.setattr(procedures, "DbwReceiver", Noting)
        monkeypatch.setattr(procedures, "LOSS_WATCH_S", 0.01)
        outcome = procedures.random_loss(driving, Injector(driving, frozenset({"drop"}), SEED))
        older = [at for at in heard if at < begun_ns - procedures.HEARD_BEFORE_NS]
        return Outcome(outcome.verdict, f"{len(older)} older")

    assert in_copy(run) == Outcome(Verdict.PASS, "0 older")


def test_parts_of_one_way__make_the_whole() -> None:
    figures = parted([WAY])
    assert [figures[name] for name in PARTS] == [[1.0], [4.0], [1.0], [1.0], [2.0], [1.0]]
    assert (figures[WHOLE], figures[MISSED]) == ([10.0], [0.0])


def test_ecus_clock_elsewhere__changes_nothing() -> None:
    shifted = replace(WAY, rx_us=(WAY.rx_us + 60_000) % 65_536)
    assert parted([shifted]) == parted([WAY])


def test_ecu_tells_a_shorter_hold__the_parts_miss_the_whole() -> None:
    figures = parted([replace(WAY, hold_us=500)])
    assert figures[MISSED] == [1.5]
    assert wrong_in(figures) == "the parts miss the whole by 1.50 ms"


def test_ecu_tells_one_frame_later_than_the_others__the_parts_miss_the_whole() -> None:
    figures = parted([WAY, WAY, replace(WAY, rx_us=WAY.rx_us + 3_000)])
    assert figures[MISSED] == [0.0, 0.0, -3.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"posted_ns": 6 * MS, "hold_us": -1_000}, "an echo was 4.00 ms on its way"),
        ({"tick_ns": -7 * MS, "heard_ns": -20 * MS, "sent_ns": -21 * MS}, "the guardian's p99"),
    ],
)
def test_part_too_long__is_named(changes: dict[str, int], words: str) -> None:
    assert wrong_in(parted([replace(WAY, **changes)])).startswith(words)
