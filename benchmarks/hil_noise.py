"""Guardian and ECU over slcan with one wrong byte in a thousand: does a wrong frame ever act?

Every frame that one side takes is looked up among those that the other side sent in that direction.
The driver resets and drives on after each stop that lost frames cause. Bench time goes three times
as fast as the clock.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hil.benchfile import CanChannel
from hil.realtime import TimedRig
from hil.rig import Mutants, RigSettings
from protocol.dbw.endpoint import DbwReceiver, Received
from protocol.dbw.matrix import Direction
from sim.ecu import Ecu, EcuProfile

ROOT = Path(__file__).resolve().parents[1]
NOISE = 1e-3
BITRATE = 500_000
STEP_S = 1.0


class Watched(DbwReceiver):
    """A receiver that tells what it took.

    Attributes:
        taken: protected frames that counted. wrong: those of them that nobody sent. ECHO carries
            no protection, and nothing acts on it.
    """

    def __init__(self, direction: Direction, was_sent: Callable[[int, bytes], bool]) -> None:
        super().__init__(direction)
        self._was_sent = was_sent
        self.taken = self.wrong = 0

    def receive(self, now_ns: int, can_id: int, data: bytes) -> Received:
        """Judge one frame, and look it up when it counts."""
        received = super().receive(now_ns, can_id, data)
        spec = received.spec
        if received.message is not None and spec is not None and spec.data_ids is not None:
            self.taken += 1
            self.wrong += not self._was_sent(can_id, bytes(data))
        return received


def measure(minutes: float) -> dict[str, object]:
    """Drive for ``minutes`` of bench time."""
    settings = RigSettings(
        ROOT / "configs/machines/ug_truck_60t.toml",
        ROOT / "configs/sites/mine_drift.toml",
        BITRATE,
    )
    rig = TimedRig(settings, 1, Mutants(), CanChannel(kind="slcan_pty"))
    by_agent: set[tuple[int, bytes]] = set()
    by_ecu: set[tuple[int, bytes]] = set()
    at_ecu = Watched(Direction.TO_ECU, lambda can_id, data: (can_id, data) in by_agent)
    at_agent = Watched(Direction.TO_AGENT, lambda can_id, data: (can_id, data) in by_ecu)
    rig.ecu.core = Ecu(EcuProfile.of(rig.profile), receiver=at_ecu)
    send, hear = rig.agent.sender.send_frame, rig.agent.reader.drain

    def sending(can_id: int, data: bytes) -> bool:
        by_agent.add((can_id, data))
        return send(can_id, data)

    def hearing(bus: object, budget: int, now_ns: int) -> object:
        frames = hear(bus, budget, now_ns)  # type: ignore[arg-type]
        for frame in frames:
            at_agent.receive(rig.now_ns, frame.arbitration_id, bytes(frame.data))
        return frames

    rig.agent.sender.send_frame = sending  # type: ignore[method-assign]
    rig.agent.reader.drain = hearing  # type: ignore[method-assign,assignment]
    post = rig.ecu_node.post

    def posting(at_ns: int, frame: object) -> bool:
        by_ecu.add((frame.can_id, frame.data))  # type: ignore[attr-defined]
        return post(at_ns, frame)  # type: ignore[arg-type]

    rig.ecu_node.post = posting  # type: ignore[method-assign]
    rig.cockpit.presses_reset = True
    rig.run_until(rig.drives, 20.0)
    adapter = rig.medium.adapter
    assert adapter is not None
    adapter.noise = NOISE
    driven_s, stops, drove = 0.0, 0, True
    for _ in range(round(60.0 * minutes / STEP_S)):
        rig.run(STEP_S)
        drives = rig.mode.value in ("ACTIVE", "DEGRADED")
        stops += drove and not drives
        driven_s += STEP_S * drives
        drove = drives
    adapter.noise = 0.0
    before = rig.agent.reader.counts["frames"]
    rig.run(0.2)
    decoder = rig.bus.decoder.counts  # type: ignore[attr-defined]
    result = {
        "minutes": minutes,
        "bytes_hit": adapter.changed,
        "lines_malformed_at_guardian": decoder["malformed"],
        "frames_taken_by_ecu": at_ecu.taken,
        "frames_taken_by_guardian": at_agent.taken,
        "wrong_frames_taken": at_ecu.wrong + at_agent.wrong,
        "stops": stops,
        "events": dict(Counter(text for _, text in rig.trace.marks)),
        "second_source_at_ecu": at_ecu.refused["second_source"],
        "driven_s": driven_s,
        "reader_alive": rig.agent.reader.counts["frames"] > before,
    }
    rig.close()
    return result


def main() -> int:
    """Run the benchmark; 1 when a wrong frame was taken or the reader died."""
    parser = argparse.ArgumentParser(prog="benchmarks.hil_noise", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute in place of ten")
    arguments = parser.parse_args()
    result = measure(0.5 if arguments.quick else 10.0)
    print(json.dumps(result))
    return int(bool(result["wrong_frames_taken"]) or not result["reader_alive"])


if __name__ == "__main__":
    raise SystemExit(main())
