"""Writes a lock-step run into a log of the same format as a machine's."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame

from recording import channels
from recording.segment import Segment
from recording.software import software
from sim.runner.run import START_NS, Run
from sim.simulated_machine import Truth
from vehicle_agent.core import tape
from vehicle_agent.core.keystate import freeze
from vehicle_agent.core.supervisor import TickInputs, TickOutputs
from vehicle_agent.log.book import write_tick
from vehicle_agent.log.derive import stamp

FIRST_UTC_NS = 1_767_225_600_000_000_000
"""2026-01-01: a simulated run is always of the same day, so that its log repeats byte for byte."""
OFFSET_NS = FIRST_UTC_NS - START_NS
KEY_TICKS = 1_000
FLUSH_TICKS = 50
TRUTH_TICKS = 10


class SimLog(AbstractContextManager["SimLog"]):
    """The log of one run.

    Args:
        path: of the file, new. run: before its first tick; its ticks are written from now on.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._run = run
        self._number = self._told = 0
        setup = run.machine.setup
        session = {
            "version": channels.VERSION,
            "session": f"sim-{run.scenario.name}-{run.seed}",
            "segment": 1,
            "mono_ns": START_NS,
            "utc_ns": FIRST_UTC_NS,
            "simulated": True,
            "vehicle": setup.vehicle,
            "machine": run.scenario.machine.profile.machine.name,
            "scenario": run.scenario.name,
            "seed": run.seed,
            **software(),
        }
        self._segment = Segment(path, session)
        self._segment.attach("scenario.json", "application/json", _json(run.scenario.raw))
        self._write(channels.BOOT, START_NS, tape.to_bytes(tape.boot_of(setup)))
        run.machine.tape = self._tick

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run.machine.tape = None
        self._segment.close()

    def _tick(self, now_ns: int, given: TickInputs, said: TickOutputs) -> None:
        self._number += 1
        number, machine = self._number, self._run.machine
        heard = tape.to_bytes(tape.inputs_of(number, now_ns, given))
        spoken = tape.to_bytes(tape.outputs_of(number, now_ns, machine.supervisor, said))
        write_tick(self._segment, OFFSET_NS, heard, spoken)
        for _, text in self._run.notes[self._told :]:
            self._write(channels.NOTE, now_ns, _json({"note": text}))
        self._told = len(self._run.notes)
        if number % TRUTH_TICKS == 0:
            self._truth(now_ns, machine.simulated.truth(now_ns))
        if number % KEY_TICKS == 0:
            state = {"n": number, "t": now_ns, "state": freeze(machine.supervisor, machine.setup)}
            self._write(channels.KEY, now_ns, tape.to_bytes(state))
        if number % FLUSH_TICKS == 0:
            self._segment.flush()

    def _truth(self, now_ns: int, truth: Truth) -> None:
        self._write(channels.TRUTH, now_ns, _json(dict(truth)))
        pose = PoseInFrame(timestamp=stamp(now_ns + OFFSET_NS), frame_id="site")
        pose.pose.position.x, pose.pose.position.y = truth["x_m"], truth["y_m"]
        half_rad = 0.5 * truth["heading_rad"]
        pose.pose.orientation.z, pose.pose.orientation.w = _sin_cos(half_rad)
        self._write(channels.POSE, now_ns, pose.SerializeToString())

    def _write(self, topic: str, now_ns: int, data: bytes) -> None:
        self._segment.write(topic, now_ns + OFFSET_NS, now_ns, data)


def _sin_cos(angle_rad: float) -> tuple[float, float]:

    return math.sin(angle_rad), math.cos(angle_rad)


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), default=str).encode()
