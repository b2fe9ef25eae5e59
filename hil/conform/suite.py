"""The kit as a suite of ``headframe hil run``: one check of one machine is one run of a case."""

from __future__ import annotations

from pathlib import Path

import can

from hil.benchfile import BenchRefused, Conformance, device, resolved
from hil.conform.kit import Kit
from hil.conform.machine import ForeignDefect
from hil.conform.mapping import ForeignCodec, MappingRefused, load_mapping
from hil.conform.ways import BusWay, LockstepWay
from hil.judge import Outcome, Verdict
from vehicle_agent.shell.slcan_bus import SlcanBus

PAUSE_TIMEOUTS = 5


class ConformanceSuite:
    """One foreign machine of a bench file.

    Args:
        path: of the bench file. conformance: what it says.

    Raises:
        BenchRefused: DBC and mapping do not fit each other, or the bus cannot be opened.
    """

    def __init__(self, path: Path, conformance: Conformance) -> None:
        try:
            self._mapping = load_mapping(resolved(path, conformance.mapping))
            self._codec = ForeignCodec(resolved(path, conformance.dbc), self._mapping)
            self._truth = None
            if conformance.machine is not None:
                self._truth = resolved(path, conformance.machine)
                ForeignCodec(self._truth, self._mapping)
            self._bus = None if conformance.channel is None else _open(conformance)
        except (MappingRefused, can.CanError, OSError) as error:
            text = " ".join(str(error).split())
            raise BenchRefused(f"{path}: conformance: {text}") from error

    @property
    def emulated(self) -> bool:
        """Whether the machine is ours, and may have defects."""
        return self._truth is not None

    def run(self, check: str, defects: frozenset[ForeignDefect] = frozenset()) -> Outcome:
        """Run one check on a machine with these defects."""
        way: LockstepWay | BusWay
        if self._truth is not None:
            way = LockstepWay(self._truth, self._mapping, defects)
        else:
            assert self._bus is not None, "the bench file has one of both"
            way = BusWay(self._bus, PAUSE_TIMEOUTS * self._mapping.timeout_ms)
        finding = Kit(self._codec, way).check(check)
        verdict = Verdict.FAIL if finding.wrong else Verdict.PASS
        return Outcome(verdict, "; ".join(finding.wrong))

    def close(self) -> None:
        """Leave the bus."""
        if self._bus is not None:
            self._bus.shutdown()


def _open(conformance: Conformance) -> can.BusABC:
    channel = conformance.channel
    assert channel is not None, "seen by who calls"
    if channel.kind == "slcan":
        return SlcanBus(str(device(channel.kind, channel.port)), channel.bitrate_bps)
    return can.Bus(channel=channel.port, interface=channel.kind, ignore_config=True)
