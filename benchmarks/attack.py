"""Commands that must not act, a million of each kind: how many did, and why the rest did not.

The eight error classes of IEC 61784-3 (as printed in OPC 10000-15, table 2), and six ways in
which an attacker or an old session differs. Each comes in by the link, which marks what a broker
kept, and is judged by the guardian's own acceptance under a simulated clock, between honest
commands that must go on counting. Several leases have ended before the present one: their keys
are real, and known to the guardian as retired. ``ours`` is the number that acted: it must be 0,
and the exit code is 1 when it is not.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from benchmarks.common import Measurement, run
from protocol.errors import Refusal
from protocol.frames import COMMAND_BYTES, TAG_BYTES, CommandFrame, CommandKind, vehicle_id
from protocol.freshness import RETIRED_KEYS, Acceptance, Accepted, Lease, Refused
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics
from sim import demo
from sim.run_folder import run_folder
from vehicle_agent.core.driver import Driver
from vehicle_agent.core.rate import Buckets
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import load_agent_config
from vehicle_agent.shell.link import Link

_MS = 1_000_000
FULL_N, QUICK_N = 1_000_000, 20_000
HONEST_EVERY = 50
"""An honest command after so many attacks: the door must still open for it."""
BOOT = 0xB007_B007
VEHICLE = vehicle_id(demo.VEHICLE_ID)
CMD_TOPIC = Topics(demo.SITE_ID, demo.VEHICLE_ID).cmd(demo.OPERATORS[0])
LEASES = tuple(
    Lease(number, number, bytes([number]) * 32) for number in range(41 - RETIRED_KEYS, 42)
)
*RETIRED, PRESENT = LEASES
KEY_ID, EPOCH, KEY = PRESENT.key_id, PRESENT.epoch, PRESENT.key
NEVER_LEASED = Lease(999, EPOCH, bytes([99]) * 32)
"""What someone has who made himself a key."""
DRIVE = {
    "kind": CommandKind.DRIVE,
    "vehicle_id": VEHICLE,
    "key_id": KEY_ID,
    "ttl_ms": 250,
    "epoch": EPOCH,
    "boot_tag": BOOT,
    "echo_hold_us": 5_000,
    "throttle": 3000,
    "gear": 1,
    "enable": True,
}


class Wire:
    """Takes the link's datagrams in the place of the guardian's mailbox."""

    def __init__(self) -> None:
        self.datagram = b""

    def send(self, _to: str, datagram: bytes) -> None:
        """Take a datagram."""
        self.datagram = datagram


class Door:
    """The link's own sorting of what comes from the broker."""

    def __init__(self, link: Link, wire: Wire) -> None:
        link._commands = Buckets(0, 1)  # all get through: what is judged here is not their rate
        self._link, self._wire = link, wire

    def sorted(self, payload: bytes, *, retained: bool) -> bytes:
        """Return the datagram that the guardian gets of a command message."""
        self._wire.datagram = b""
        self._link._to_machine(CMD_TOPIC, payload, retained=retained)
        return self._wire.datagram


@contextmanager
def door() -> Iterator[Door]:
    """Make a link with the demo's settings, and no broker."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    with run_folder() as folder:
        plan = demo.Plan(folder, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
        demo.write_keys(folder)
        demo.write_settings(plan)
        settings, wire = load_agent_config(plan.agent_config), Wire()
        yield Door(Link(settings, cast("ipc.Mailbox", wire)), wire)


class Scene:
    """One lease after others that have ended, one clock, one honest console."""

    def __init__(self, seed: str, way_in: Door) -> None:
        self.dice = random.Random(seed)
        self.now_ns = 5_000_000 * _MS
        self.acceptance = Acceptance(DEFAULT_TIMING, VEHICLE, BOOT)
        self.driver = Driver(DEFAULT_TIMING)
        self._way_in = way_in
        for lease in LEASES:
            self.acceptance.open_lease(lease)
        self.sequence = 0
        self.accepted = 0
        self.last = b""
        self.honest()

    def frame(self, age_ms: int = 30, **changes: int) -> CommandFrame:
        """A command that would count now, but for ``changes``."""
        self.sequence += 1
        now_us = self.now_ns // 1000
        stamps = {
            "source_stamp_us": now_us,
            "echo_stamp_us": now_us - age_ms * 1000,
            "view_stamp_us": now_us - 60_000,
        }
        made: dict[str, Any] = {**DRIVE, "sequence": self.sequence, **stamps, **changes}
        return CommandFrame(**made)

    def honest(self) -> None:
        """Let the honest console send one command; it must be accepted."""
        self.now_ns += 20 * _MS
        self.last = self.frame().encode(KEY)
        outcome = self.judge(self.last)
        if not isinstance(outcome, Accepted):
            raise RuntimeError(f"an honest command was refused: {outcome.reason}")
        self.driver.take(outcome)
        self.accepted = outcome.frame.sequence

    def judge(self, payload: bytes, *, retained: bool = False, path: int = 0) -> Accepted | Refused:
        """Let one message in as the link and the guardian do."""
        datagram = self._way_in.sorted(payload, retained=retained)
        if datagram[:1] == ipc.TO_GUARDIAN_RETAINED:
            self.acceptance.count_refusal(path, Refusal.RETAINED)
            return Refused(Refusal.RETAINED, path, "kept by the broker")
        return self.acceptance.judge(self.now_ns, datagram[2:], path)


Attack = Callable[[Scene], bytes]


def corruption(scene: Scene) -> bytes:
    """One to sixteen flipped bits of a command that would count."""
    data = bytearray(scene.frame().encode(KEY))
    for bit in scene.dice.sample(range(COMMAND_BYTES * 8), scene.dice.randint(1, 16)):
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def repetition(scene: Scene) -> bytes:
    """The last accepted command again."""
    return scene.last


def wrong_sequence(scene: Scene) -> bytes:
    """A command overtaken by later ones, fresh all the same."""
    behind = scene.dice.randint(1, 1000)
    return scene.frame(sequence=max(0, scene.accepted - behind)).encode(KEY)


def delay(scene: Scene) -> bytes:
    """A command whose age cannot be shown to be within its limits."""
    late_ms = scene.dice.randint(256, 20_000)
    return scene.frame(age_ms=late_ms).encode(KEY)


def insertion(scene: Scene) -> bytes:
    """A command of someone who never had a lease, under a key of his own."""
    return scene.frame(key_id=NEVER_LEASED.key_id).encode(NEVER_LEASED.key)


def masquerade(scene: Scene) -> bytes:
    """An earlier holder in the present one's place: his own real key, the present epoch."""
    earlier = scene.dice.choice(RETIRED)
    return scene.frame(key_id=earlier.key_id).encode(earlier.key)


def addressing(scene: Scene) -> bytes:
    """A command with a good tag, for another vehicle."""
    return scene.frame(vehicle_id=scene.dice.choice((0, VEHICLE ^ 1, 0xFFFF_FFFF))).encode(KEY)


def forged_tag(scene: Scene) -> bytes:
    """A holder's command with other steering under its own tag."""
    frame = scene.frame()
    tag = frame.encode(KEY)[-TAG_BYTES:]
    steered = frame._replace(steer=scene.dice.choice((-1, 1)) * scene.dice.randint(1, 10_000))
    return steered.encode(KEY)[:-TAG_BYTES] + tag


def old_epoch(scene: Scene) -> bytes:
    """An earlier holder's command of his own lease; every other time the present key's."""
    earlier = scene.dice.choice(RETIRED)
    if scene.dice.random() < 0.5:
        return scene.frame(key_id=earlier.key_id, epoch=earlier.epoch).encode(earlier.key)
    return scene.frame(epoch=earlier.epoch).encode(KEY)


def old_boot(scene: Scene) -> bytes:
    """A command for another start of the guardian."""
    return scene.frame(boot_tag=scene.dice.randrange(BOOT)).encode(KEY)


def other_key(scene: Scene) -> bytes:
    """The lease's key id over a tag of another key, an ended lease's or a guessed one."""
    guess = scene.dice.choice((scene.dice.choice(RETIRED).key, scene.dice.randbytes(32)))
    return scene.frame().encode(guess)


def kept_by_broker(scene: Scene) -> bytes:
    """What a broker kept, the retain mark lost on the way: whole, signed, and old."""
    return scene.frame(age_ms=scene.dice.randint(1_000, 3_600_000)).encode(KEY)


def retained(scene: Scene) -> bytes:
    """A command that would count, but for the broker's mark that it was kept."""
    return scene.frame().encode(KEY)


MARKED = "retained copy"
ATTACKS: dict[str, Attack] = {
    "corruption": corruption,
    "unintended repetition": repetition,
    "wrong sequence": wrong_sequence,
    "unacceptable delay": delay,
    "insertion": insertion,
    "masquerade": masquerade,
    "wrong addressing": addressing,
    "forged tag": forged_tag,
    "old epoch": old_epoch,
    "old boot": old_boot,
    "other key": other_key,
    MARKED: retained,
    "retained copy, mark lost": kept_by_broker,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one class: refused by reason, and acted on."""

    name: str
    injected: int
    refused: Counter[str]
    acted: int

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {number}" for reason, number in self.refused.most_common())
        return f"{self.name}: injected {self.injected}, refused ({reasons}), acted on {self.acted}"


def inject(name: str, n: int, way_in: Door) -> Tally:
    """Inject ``n`` commands of one class and count."""
    scene, attack = Scene(name, way_in), ATTACKS[name]
    refused: Counter[str] = Counter()
    acted = 0
    for number in range(n):
        if number % HONEST_EVERY == 0:
            scene.honest()
        outcome = scene.judge(attack(scene), retained=name == MARKED, path=number % 2)
        if isinstance(outcome, Accepted):
            acted += 1
        else:
            refused[outcome.reason.value] += 1
    # a copy on the other path is no second command: it is counted, and acts no second time
    return Tally(name, n, refused, acted)


def loss(n: int, way_in: Door) -> Tally:
    """Lose every command for a random time: the last one may not act beyond its own."""
    scene = Scene("loss", way_in)
    acted = 0
    for _ in range(n):
        scene.honest()
        gone_ns = scene.dice.randint(DEFAULT_TIMING.command_stop_ms, 5_000) * _MS
        acted += scene.driver.acting(scene.now_ns + gone_ns) is not None
    return Tally("loss", n, Counter({"stale": n - acted}), acted)


def measure(n: int) -> Measurement:
    """Inject every class; the one sample is the number of commands that acted."""
    with door() as way_in:
        tallies = [inject(name, n, way_in) for name in ATTACKS]
        tallies.insert(3, loss(n, way_in))
    for tally in tallies:
        sys.stderr.write(f"{tally}\n")
    injected, acted = sum(t.injected for t in tallies), sum(t.acted for t in tallies)
    return Measurement(
        name="attack",
        unit="count",
        samples=[float(acted)],
        n=injected,
        notes="; ".join(map(str, (f"injected {injected}, acted on {acted}", *tallies))),
        held=acted == 0,
    )


def main() -> int:
    """Run with ``--n`` commands for each class."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--n", type=int, default=FULL_N)
    chosen, others = parser.parse_known_args()
    return run(lambda quick: measure(min(chosen.n, QUICK_N) if quick else chosen.n), others)


if __name__ == "__main__":
    sys.exit(main())
