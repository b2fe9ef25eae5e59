"""The lock-step drive of the false-stop benchmark: what counts as a stop, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks._crossings import CHANNEL, MQTT, PERIOD_NS, Drive, Way, drive, simulated
from benchmarks.falsestops import together
from sim.network.files import find_link

MS = 1_000_000
DELAY_NS = 20 * MS


def way(count: int, lost: dict[str, range], late_ns: int = DELAY_NS) -> Way:
    """Frames each 20 ms on both paths, of which some numbers never arrive."""
    sent_ns = [PERIOD_NS * number + 7 * MS for number in range(1, count + 1)]
    arrived: dict[str, Sequence[int | None]] = {
        path: [
            None if number in lost.get(path, range(0)) else at_ns + late_ns
            for number, at_ns in enumerate(sent_ns)
        ]
        for path in (MQTT, CHANNEL)
    }
    return Way(sent_ns, arrived)


def out(frames: int, begin: int = 500) -> range:
    return range(begin, begin + frames)


def felt(lost: dict[str, range], paths: Sequence[str] = (MQTT, CHANNEL)) -> tuple[int, int]:
    done = drive(way(1500, {}), way(1500, lost), paths)
    return done.stops, done.degraded


def test_clean_link__nothing_is_felt() -> None:
    done = drive(way(1500, {}), way(1500, {}), (MQTT,))
    assert (done.stops, done.degraded, done.refused) == (0, 0, 0)
    assert done.silence_ms == 20.0


@pytest.mark.parametrize(("frames", "stops", "degraded"), [(4, 0, 0), (7, 0, 1), (20, 1, 1)])
def test_commands_out__are_felt_as_the_machine_feels_them(
    frames: int, stops: int, degraded: int
) -> None:
    assert felt({MQTT: out(frames)}, (MQTT,)) == (stops, degraded)


def test_states_out__stop_as_surely_as_commands_out() -> None:
    done = drive(way(1500, {MQTT: out(40)}), way(1500, {}), (MQTT,))
    assert done.stops == 1
    assert done.refused > 10


def test_one_path_out__together_nothing_is_felt() -> None:
    assert felt({MQTT: out(40)}) == (0, 0)
    assert felt({MQTT: out(40)}, (MQTT,)) == (1, 1)


def test_second_outage_before_the_machine_drives_again__is_no_second_stop() -> None:
    commands = way(1500, {MQTT: out(40)})
    arrived = list(commands.arrived_ns[MQTT])
    arrived[700:740] = [None] * 40
    commands = replace(commands, arrived_ns={MQTT: arrived})
    assert drive(way(1500, {}), commands, (MQTT,)).stops == 1
    arrived[1100:1140] = [None] * 40
    assert drive(way(1500, {}), commands, (MQTT,)).stops == 2


def test_burst_of_old_commands_after_a_stall__none_acts() -> None:
    commands = way(1500, {})
    arrived = list(commands.arrived_ns[MQTT])
    end_ns = commands.sent_ns[600]
    arrived[500:600] = [end_ns] * 100
    stalled = drive(way(1500, {}), replace(commands, arrived_ns={MQTT: arrived}), (MQTT,))
    assert stalled.stops == 1
    assert stalled.refused > 80
    assert stalled.oldest_ms <= 250.0


def test_same_seed__same_drive() -> None:
    link = find_link("lte-loaded")
    one, two = (drive(*simulated(link, 3, 20.0), (MQTT, CHANNEL)) for _ in range(2))
    assert one == two


def test_drives_together__are_summed_and_the_worst_is_kept() -> None:
    one = Drive(1800.0, 1, 4, 300.0, 5, 120.0)
    two = Drive(1800.0, 2, 0, 200.0, 1, 130.0)
    whole = together([one, two])
    assert whole == Drive(3600.0, 3, 4, 300.0, 6, 130.0)
    assert whole.per_hour(whole.stops) == 3.0
