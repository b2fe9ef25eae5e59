"""The guardian benchmark's light console, in lock-step with supervisor and simulated machine."""

from __future__ import annotations

from benchmarks.guardian import TICK_NS, Lockstep


def test_light_console__drives_in_spells_and_stops_nothing() -> None:
    lockstep = Lockstep()
    for _ in range(30_000_000_000 // TICK_NS):
        lockstep.step()
    assert lockstep.console.count.spells == 2
    assert lockstep.console.count.stops == []


def test_cost__is_taken_of_drive_commands_with_ecu_frames_only() -> None:
    lockstep = Lockstep()
    while not lockstep.took_us:
        lockstep.step()
    assert lockstep.console.drives
    assert lockstep.console.count.drive_commands >= 1
    assert lockstep.bus_frames > 0
