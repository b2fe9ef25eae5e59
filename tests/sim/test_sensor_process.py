"""The sensors of a demo: truth in, what they see to the guardian's socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sim import sensor_process
from sim.sensor_process import SensorLoop
from sim.sensors.suite import Suite
from sim.simulated_machine import SimulatedMachine
from sim.world.site import load_site
from tests.sim.worlds import DRIFT_FILE, TRUCK_FILE, machine
from vehicle_agent.core import nearby, place
from vehicle_agent.core.clearance import decode
from vehicle_agent.shell import ipc
from vehicle_agent.shell.local_bus import DatagramFanout

MS = 1_000_000


class Bench:
    """The sensors between a truth's sender and a guardian's mailbox."""

    def __init__(self, folder: Path) -> None:
        site, parts = load_site(DRIFT_FILE), machine()
        sensors = Suite(site, parts, 1, 0, finder=True, locator=True)
        self.machine = SimulatedMachine(parts, site, 1)
        self.guardian = ipc.Mailbox(folder / "agent", ipc.GUARDIAN)
        self.told = DatagramFanout(folder / "truth", "machine")
        self.heard = DatagramFanout(folder / "truth", "sensors")
        self.mailbox = ipc.Mailbox(folder / "agent", sensor_process.NAME)
        self.loop = SensorLoop(sensors, self.heard, self.mailbox)

    def tell(self, now_ns: int) -> None:
        """One datagram of truth."""
        self.told.send(json.dumps(self.machine.truth(now_ns)).encode())

    def got(self, kind: bytes) -> list[bytes]:
        """What of a kind the guardian has got since; the rest is dropped."""
        return [each[1:] for each in iter(self.guardian.receive, None) if each[:1] == kind]


@contextmanager
def bench() -> Iterator[Bench]:
    with TemporaryDirectory(prefix="hf") as name:
        (Path(name) / "agent").mkdir()
        made = Bench(Path(name))
        with closing(made.guardian), closing(made.told), closing(made.heard), closing(made.mailbox):
            yield made


def told(it: Bench, *times_ms: int) -> None:
    for at_ms in times_ms:
        it.tell(at_ms * MS)
        it.loop.wake()


def test_truth_told__a_scan_of_its_time_goes_to_the_guardian_when_it_is_ready() -> None:
    with bench() as it:
        told(it, 1000, 1010, 1040)
        scan = decode(*it.got(ipc.TO_GUARDIAN_SCAN))
        assert scan is not None
        assert scan.stamp_us == 1_000_000
        assert (scan.ranges_m[0], scan.ranges_m[180]) == pytest.approx((3.25, 3.25), abs=0.1)
        assert it.loop.summary() == "sent 1, not taken 0"


def test_truth_told__place_and_distances_go_to_the_guardian_too() -> None:
    with bench() as it:
        told(it, 1000, 1090)
        read = place.decode(*it.got(ipc.TO_GUARDIAN_PLACE))
        assert read is not None
        assert (read.stamp_us, read.fix, read.limit_mps) == (1_000_000, place.Fix.TAG, 5.5)
    with bench() as it:
        told(it, 1000, 1090)
        ring = nearby.Nearby()
        ring.take(1_090_000, it.got(ipc.TO_GUARDIAN_NEARBY))
        assert ring.refused == 0
        assert ring.over(1_090_000, ())[2] == pytest.approx(1.5, abs=0.2)


def test_machine_that_says_nothing__nothing_is_sensed() -> None:
    with bench() as it:
        it.loop.wake()
        assert it.loop.summary() == "sent 0, not taken 0"


def test_hold_up__what_was_missed_is_not_made_good() -> None:
    with bench() as it:
        told(it, 1000, 1500, 1510, 1520, 1530, 1540)
        scans = [decode(data) for data in it.got(ipc.TO_GUARDIAN_SCAN)]
        stamps = [scan.stamp_us for scan in scans if scan is not None]
        assert stamps == [1_000_000, 1_500_000]


def test_missing_site__one_line_and_exit_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no.toml"
    arguments = [
        *("--site", str(missing), "--machine", str(TRUCK_FILE)),
        *("--truth", str(tmp_path), "--guardian", str(tmp_path)),
    ]
    assert sensor_process.main(arguments) == 1
    assert capsys.readouterr().err == f"sensors: {missing}: No such file or directory\n"
