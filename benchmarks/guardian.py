"""The guardian's beat, idle and with both cores saturated, and what one command costs it.

The beat is read from outside: the stamps that SUP_CMD frames carry on the by-wire bus, 10 ms
apart by the matrix. The guardian runs as on a machine, with the simulated ECU on the bus.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from benchmarks.common import Measurement, Percentiles, percentiles, run
from protocol.dbw.codec import DriveFeedback, encode
from protocol.dbw.matrix import SUP_CMD
from protocol.frames import CommandFrame, CommandKind, decode_state, session_keys, vehicle_id
from protocol.messages import (
    AckClaims,
    Identity,
    RequestClaims,
    RequestKind,
    Role,
    generate_identity,
    sign_claims,
    verify_signed,
)
from protocol.profiles import parse_profile
from protocol.signals import DEFAULT_TIMING
from sim import demo
from sim.children import Children, ChildSpec
from sim.run_folder import run_folder
from vehicle_agent.core.record import FIRST, Record
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs
from vehicle_agent.shell import ipc
from vehicle_agent.shell.local_bus import LocalCanBus

FULL_S, QUICK_S = 300.0, 10.0
COST_N = 5000
REPORT_WITHIN_NS = 3_000_000_000
PERIOD_MS = SUP_CMD.period_ms
TICK_NS = DEFAULT_TIMING.guardian_tick_ms * 1_000_000
BUSY = "while True: pass"


@contextmanager
def guardian() -> Iterator[tuple[LocalCanBus, ipc.Mailbox]]:
    """Run machine and guardian; gives a listener on the bus, and the link's mailbox."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    with run_folder() as folder:
        plan = demo.Plan(folder, machine, site, 1, 1)
        demo.write_keys(folder)
        demo.write_settings(plan)
        module = (sys.executable, "-m", "vehicle_agent.shell.guardian")
        with Children(folder, lambda _text: None) as children:
            for spec in demo.stages(plan)[0]:
                if spec.name == "machine":
                    children.start(spec)
            children.wait_ready()
            mailbox = ipc.Mailbox(folder / "agent", ipc.LINK)
            children.start(
                ChildSpec("guardian", (*module, "--config", str(plan.agent_config)), 30.0)
            )
            children.wait_ready()
            with LocalCanBus(str(plan.run / "can"), name="benchmark") as bus:
                yield bus, mailbox
            mailbox.close()


def beat_ms(bus: LocalCanBus, seconds: float) -> list[float]:
    """Return how far each gap between two SUP_CMD frames was from 10 ms."""
    end_ns = time.monotonic_ns() + round(seconds * 1e9)
    stamps: list[float] = []
    while bus.recv(0) is not None:
        pass
    while time.monotonic_ns() < end_ns:
        message = bus.recv(0.1)
        if message is not None and message.arbitration_id == SUP_CMD.can_id:
            stamps.append(message.timestamp)
    return [abs((after - before) * 1e3 - PERIOD_MS) for before, after in pairwise(stamps)]


def newest_report(mailbox: ipc.Mailbox) -> dict[str, object]:
    """Return the guardian's own newest figures; what had queued up before is thrown away."""
    while mailbox.receive() is not None:
        pass
    end_ns = time.monotonic_ns() + REPORT_WITHIN_NS
    while time.monotonic_ns() < end_ns:
        select.select([mailbox], [], [], 0.1)
        datagram = mailbox.receive() or b""
        addressed = ipc.split_name(datagram[1:])
        if datagram[:1] == ipc.TO_LINK_TELEMETRY and addressed and addressed.name == "guardian":
            return dict(json.loads(addressed.content))
    return {}


@contextmanager
def saturated() -> Iterator[None]:
    """Two busy processes of ordinary priority, one for each core."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class Leased:
    """A supervisor with a lease, in this process, to time one command."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        key, own = self._identity("console-1", Role.DRIVER)
        vehicle_key, vehicle = self._identity("bench", Role.VEHICLE)
        machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
        profile = parse_profile(machine.read_text(encoding="utf-8"), machine.name)
        trust = {"console-1": own, "bench": vehicle}
        self.supervisor = Supervisor(
            Setup(
                "bench",
                vehicle_key,
                trust,
                profile.limits,
                DEFAULT_TIMING,
                1,
                bytes(32),
                FIRST,
            )
        )
        self._durable: Record | None = FIRST
        outputs = self.step()
        assert outputs.authority is not None
        ephemeral = X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        request = RequestClaims(
            iss="console-1",
            aud="bench",
            id="0" * 32,
            kind=RequestKind.LEASE,
            nonce=json.loads(outputs.authority)["nonce"],
            boot=1,
            x25519=public.hex(),
        )
        for _ in range(50):
            self._still()
        outputs = self.step(requests=(("console-1", sign_claims(request, key)),))
        while not outputs.acks:
            outputs = self.step()
        ack = verify_signed(outputs.acks[0][1], trust)
        if not isinstance(ack, AckClaims) or ack.x25519 is None:
            raise RuntimeError(f"no lease: {ack}")
        self._ack = ack
        self._key = session_keys(ephemeral, bytes.fromhex(ack.x25519), 1, ack.epoch).command
        self._sequence = 0
        self._echo_us = self.now_ns // 1000

    @staticmethod
    def _identity(name: str, role: Role) -> tuple[OKPKey, Identity]:
        private, public = generate_identity()
        return OKPKey.import_key(dict(private)), Identity(
            name, role, OKPKey.import_key(dict(public))
        )

    def _still(self) -> None:
        """One tick with the machine reporting that it stands."""
        self.step(bus=_standing(self.now_ns))

    def step(
        self,
        requests: tuple[tuple[str, bytes], ...] = (),
        commands: tuple[tuple[int, bytes], ...] = (),
        bus: tuple[tuple[int, bytes], ...] = (),
    ) -> TickOutputs:
        """One tick."""
        self.now_ns += TICK_NS
        given = TickInputs(commands=commands, requests=requests, bus=bus, durable=self._durable)
        outputs = self.supervisor.step(self.now_ns, given)
        self._durable = outputs.persist
        if outputs.state is not None:
            self._echo_us = decode_state(outputs.state, {}).frame.stamp_us
        return outputs

    def command(self) -> bytes:
        """The next honest command."""
        self._sequence += 1
        return CommandFrame(
            kind=CommandKind.PARKED,
            vehicle_id=vehicle_id("bench"),
            key_id=self._ack.key_id,
            ttl_ms=250,
            epoch=self._ack.epoch,
            sequence=self._sequence,
            boot_tag=1,
            echo_hold_us=0,
            source_stamp_us=0,
            echo_stamp_us=self._echo_us,
            view_stamp_us=self._echo_us,
            neutral=True,
            display_ok=True,
        ).encode(self._key)


def _standing(now_ns: int) -> tuple[tuple[int, bytes], ...]:
    counter = now_ns // TICK_NS % 16
    return (encode(DriveFeedback(0.0, 800.0, 0, 0.0), counter),)


def command_cost_us() -> Percentiles:
    """Return what one tick with one command costs: verify, judge, decide, encode."""
    leased = Leased()
    samples = []
    for _ in range(COST_N):
        command = leased.command()
        before_ns = time.perf_counter_ns()
        leased.step(commands=((0, command),))
        samples.append((time.perf_counter_ns() - before_ns) / 1e3)
    return percentiles(samples)


def measure(quick: bool) -> Measurement:
    """Listen to the beat, idle and saturated, and time verify-and-step."""
    seconds = QUICK_S if quick else FULL_S
    cost = command_cost_us()
    with guardian() as (bus, mailbox):
        idle = beat_ms(bus, seconds)
        with saturated():
            loaded = beat_ms(bus, seconds)
        own = newest_report(mailbox)
    worst = percentiles(loaded)
    return Measurement(
        name="guardian",
        unit="ms",
        samples=idle,
        notes=(
            f"ours is the distance of each 10 ms beat from 10 ms over {seconds:g} s idle; with "
            f"both cores saturated over {seconds:g} s: p50 {worst.p50:.3f} p95 {worst.p95:.3f} "
            f"p99 {worst.p99:.3f} max {worst.max:.3f} ms, n {len(loaded)}; verify and step with "
            f"one command: p50 {cost.p50:.0f} p95 {cost.p95:.0f} p99 {cost.p99:.0f} max "
            f"{cost.max:.0f} us, n {COST_N}; ticks {own.get('ticks')}, skipped "
            f"{own.get('skipped')}, got {json.dumps(own.get('got'))}"
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
