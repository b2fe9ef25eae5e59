"""The range scanner of a demo: truth in, scans to the guardian's socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sim import range_process
from sim.range_process import RangeLoop
from sim.sensors.lookout import SCANNER, Lookout
from sim.simulated_machine import SimulatedMachine
from sim.world.site import load_site
from tests.sim.worlds import DRIFT_FILE, TRUCK_FILE, machine
from vehicle_agent.core.clearance import RangeFinder, decode
from vehicle_agent.shell import ipc
from vehicle_agent.shell.local_bus import DatagramFanout

MS = 1_000_000


class Bench:
    """The scanner between a truth's sender and a guardian's mailbox."""

    def __init__(self, folder: Path) -> None:
        site, parts = load_site(DRIFT_FILE), machine()
        finder = RangeFinder.of(parts.profile.machine, SCANNER.range_m)
        self.machine = SimulatedMachine(parts, site, 1)
        self.guardian = ipc.Mailbox(folder / "agent", ipc.GUARDIAN)
        self.told = DatagramFanout(folder / "truth", "machine")
        self.heard = DatagramFanout(folder / "truth", "finder")
        self.mailbox = ipc.Mailbox(folder / "agent", range_process.NAME)
        self.loop = RangeLoop(Lookout(site, finder, 1, 0), self.heard, self.mailbox)

    def tell(self, now_ns: int) -> None:
        """One datagram of truth."""
        self.told.send(json.dumps(self.machine.truth(now_ns)).encode())

    def scans(self) -> list[bytes]:
        """What the guardian has got since."""
        return list(iter(self.guardian.receive, None))


@contextmanager
def bench() -> Iterator[Bench]:
    with TemporaryDirectory(prefix="hf") as name:
        (Path(name) / "agent").mkdir()
        made = Bench(Path(name))
        with closing(made.guardian), closing(made.told), closing(made.heard), closing(made.mailbox):
            yield made


def test_truth_told__a_scan_of_its_time_goes_to_the_guardian_when_it_is_ready() -> None:
    with bench() as it:
        for at_ms in (1000, 1010, 1040):
            it.tell(at_ms * MS)
            it.loop.wake()
        (datagram,) = it.scans()
        scan = decode(datagram[1:])
        assert datagram[:1] == ipc.TO_GUARDIAN_SCAN
        assert scan is not None
        assert scan.stamp_us == 1_000_000
        assert (scan.ranges_m[0], scan.ranges_m[180]) == pytest.approx((3.25, 3.25), abs=0.1)
        assert it.loop.summary() == "scans sent 1, not taken 0"


def test_machine_that_says_nothing__no_scan() -> None:
    with bench() as it:
        it.loop.wake()
        assert it.scans() == []


def test_hold_up__what_was_missed_is_not_made_good() -> None:
    with bench() as it:
        for at_ms in (1000, 1500, 1510, 1520, 1530, 1540):
            it.tell(at_ms * MS)
            it.loop.wake()
        stamps = [scan.stamp_us for data in it.scans() if (scan := decode(data[1:])) is not None]
        assert stamps == [1_000_000, 1_500_000]


def test_missing_site__one_line_and_exit_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no.toml"
    arguments = [
        *("--site", str(missing), "--machine", str(TRUCK_FILE)),
        *("--truth", str(tmp_path), "--guardian", str(tmp_path)),
    ]
    assert range_process.main(arguments) == 1
    assert capsys.readouterr().err == f"finder: {missing}: No such file or directory\n"
