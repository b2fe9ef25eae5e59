"""What recording costs, and how fast a log's decisions are made again.

A sample is the speed, in times real time, of one golden log run again: reading it, the supervisor's
ticks, and comparing everything that was said; by the processor time of this process, with the same
by the wall and the computer's noise in the notes. The run fails when one decision is not the same.
Rows: what one tick costs the guardian's side (its JSON) and the disk's side; the guardian's
lateness and work with a recorder beside it (four cameras' pictures) and without; the recorder's
share of a core; and how long the ``mcap`` library takes to the first message after a jump.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcap.reader import make_reader

from benchmarks.common import Measurement, run
from benchmarks.recorder_kills import Machine, machine
from benchmarks.sim_clock import Stopwatch
from recording import channels
from recording.reader import open_log
from recording.segment import Segment
from sim.replay.rerun import Rerun, rerun
from sim.replay.ticks import BootStep, Steps, TickStep
from vehicle_agent.core import tape
from vehicle_agent.core.supervisor import Supervisor
from vehicle_agent.log.book import write_tick
from vehicle_agent.shell import ipc

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
TICK_S = 0.01
FULL_S, QUICK_S = 60.0, 5.0
SEEKS = 20


def again(path: Path, watch: Stopwatch) -> tuple[float, float, bool]:
    """Run a log again; return its time and the processor's, s, and whether all was the same."""
    results: list[Rerun] = []
    processor_s = watch.time(lambda: results.append(rerun(Steps(open_log(path)))))
    return results[0].ticks * TICK_S, processor_s, results[0].equal


def costs(path: Path, folder: Path) -> dict[str, Any]:
    """What a tick costs the guardian to tell, and the recorder to write; µs, medians."""
    supervisor: Supervisor | None = None
    told, written = [], []
    about = {"version": channels.VERSION, "mono_ns": 0, "utc_ns": 0}
    segment = Segment(folder / "cost.mcap", about)
    for step in Steps(open_log(path)):
        if isinstance(step, BootStep):
            supervisor = Supervisor(step.setup)
        elif isinstance(step, TickStep) and supervisor is not None:
            said = supervisor.step(step.now_ns, step.given)
            begun_ns = time.perf_counter_ns()
            heard = tape.to_bytes(tape.inputs_of(step.number, step.now_ns, step.given))
            spoken = tape.to_bytes(tape.outputs_of(step.number, step.now_ns, supervisor, said))
            told.append((time.perf_counter_ns() - begun_ns) / 1e3)
            begun_ns = time.perf_counter_ns()
            write_tick(segment, 0, heard, spoken)
            written.append((time.perf_counter_ns() - begun_ns) / 1e3)
    messages = sum(segment.counts.values())
    segment.close()
    return {
        "what": "one tick",
        "told_us": round(statistics.median(told), 1),
        "written_us": round(statistics.median(written), 1),
        "written_us_per_message": round(sum(written) / messages, 1),
        "bytes": round((folder / "cost.mcap").stat().st_size / len(told)),
    }


def beside(made: Machine, seconds: float, *, recorded: bool) -> dict[str, Any]:
    """Run guardian, and recorder if wanted; return the guardian's own figures of its beat."""
    if not recorded:
        forget_recorder(made.plan.agent_config)
    link = ipc.Mailbox(made.plan.run / "agent", ipc.LINK)
    recorder = made.start("recorder") if recorded else None
    guardian = made.start("guardian")
    figures: dict[str, Any] = {}
    end_ns = time.monotonic_ns() + round(seconds * 1e9)
    while time.monotonic_ns() < end_ns:
        made.live(0.05)
        while (datagram := link.receive()) is not None:
            addressed = ipc.split_name(datagram[1:])
            told = addressed is not None and addressed.name == "guardian"
            if datagram[:1] == ipc.TO_LINK_TELEMETRY and told and addressed is not None:
                figures = json.loads(addressed.content)
    guardian.terminate()
    guardian.wait()
    row = {
        "what": "guardian with a recorder" if recorded else "guardian without a recorder",
        "lateness_ms": figures.get("lateness_ms"),
        "work_ms": figures.get("work_ms"),
        "skipped": figures.get("skipped"),
    }
    if recorder is not None:
        row["recorder_share_of_a_core"] = round(share(recorder, seconds), 3)
        row["not_recorded"] = figures.get("not_recorded")
    link.close()
    return row


def forget_recorder(config: Path) -> None:
    """Take the recorder out of an agent's file, where it is the last table."""
    text = config.read_text(encoding="utf-8")
    config.write_text(text[: text.index("[recorder]")], encoding="utf-8")


def share(process: subprocess.Popen[bytes], seconds: float) -> float:
    """End a process; return its processor time by wall time, its start included."""
    process.terminate()
    _, _, used = os.wait4(process.pid, 0)
    with suppress(ChildProcessError):
        process.wait()
    return (used.ru_utime + used.ru_stime) / seconds


def seek_ms(path: Path) -> list[float]:
    """Jump to places in a log by its index; return the times to the first message, ms."""
    times = []
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
        assert summary is not None
        assert summary.statistics is not None
        begun, end = summary.statistics.message_start_time, summary.statistics.message_end_time
        for part in range(1, SEEKS + 1):
            at = begun + (end - begun) * part // (SEEKS + 1)
            stream.seek(0)
            begun_ns = time.perf_counter_ns()
            next(iter(make_reader(stream).iter_messages(starting_at=at)))
            times.append((time.perf_counter_ns() - begun_ns) / 1e6)
    return times


def measure(quick: bool) -> Measurement:
    """Run golden logs again, and weigh the recorder."""
    paths = sorted(GOLDEN.glob("*.mcap"))
    watch = Stopwatch()
    results = [again(path, watch) for path in paths]
    noise = watch.noise(sum(simulated_s for simulated_s, _, _ in results))
    seconds = QUICK_S if quick else FULL_S
    rows: list[dict[str, Any]] = []
    with machine() as made:
        rows.append(costs(GOLDEN / "sim_truck_stall_two_paths.mcap", made.plan.run))
        rows.append(beside(made, seconds, recorded=True))
        log = next(made.log.glob("*/00001.mcap"))
        jumps = sorted(seek_ms(log))
        rows.append(
            {
                "what": "seek",
                "p50_ms": round(jumps[len(jumps) // 2], 1),
                "max_ms": round(jumps[-1], 1),
                "mb": round(log.stat().st_size / 1e6, 1),
            }
        )
    with machine() as made:
        rows.append(beside(made, seconds, recorded=False))
    equal = sum(same for _, _, same in results)
    return Measurement(
        name="replay",
        unit="x real time",
        samples=[simulated_s / processor_s for simulated_s, processor_s, _ in results],
        rows=rows,
        held=equal == len(paths),
        notes=f"{equal} of {len(paths)} golden logs the same again, bit for bit; {noise}",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
