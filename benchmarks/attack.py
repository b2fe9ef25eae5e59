"""Commands that must not act, a million of each kind: how many did, and why the rest did not.

The eight error classes of IEC 61784-3 (as printed in OPC 10000-15, table 2), and five ways in
which an attacker or an old session differs. Each is judged by the guardian's own acceptance
under a simulated clock, between honest commands that must go on counting.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.common import Measurement, run
from protocol.frames import COMMAND_BYTES, CommandFrame, CommandKind, frame_tag, vehicle_id
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.signals import DEFAULT_TIMING
from vehicle_agent.core.driver import Driver

_MS = 1_000_000
FULL_N, QUICK_N = 1_000_000, 20_000
HONEST_EVERY = 50
"""An honest command after so many attacks: the door must still open for it."""
BOOT, EPOCH, KEY_ID = 0xB007_B007, 41, 41
VEHICLE = vehicle_id("TRUCK-07")
KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))


class Scene:
    """One lease, one clock, one honest console."""

    def __init__(self, seed: str) -> None:
        self.dice = random.Random(seed)
        self.now_ns = 5_000_000 * _MS
        self.acceptance = Acceptance(DEFAULT_TIMING, VEHICLE, BOOT)
        self.driver = Driver(DEFAULT_TIMING)
        self.acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))
        self.sequence = 0
        self.accepted = 0
        self.last = b""
        self.honest()

    def frame(self, age_ms: int = 30, **changes: int) -> CommandFrame:
        """A command that would count now."""
        self.sequence += 1
        made = CommandFrame(
            kind=CommandKind.DRIVE,
            vehicle_id=VEHICLE,
            key_id=KEY_ID,
            ttl_ms=250,
            epoch=EPOCH,
            sequence=self.sequence,
            boot_tag=BOOT,
            echo_hold_us=5_000,
            source_stamp_us=self.now_ns // 1000,
            echo_stamp_us=self.now_ns // 1000 - age_ms * 1000,
            view_stamp_us=self.now_ns // 1000 - 60_000,
            throttle=3000,
            gear=1,
            enable=True,
        )
        return replace(made, **changes) if changes else made  # type: ignore[arg-type]

    def honest(self) -> None:
        """Let the honest console send one command; it must be accepted."""
        self.now_ns += 20 * _MS
        self.last = self.frame().encode(KEY)
        outcome = self.acceptance.judge(self.now_ns, self.last, 0)
        if not isinstance(outcome, Accepted):
            raise RuntimeError(f"an honest command was refused: {outcome.reason}")
        self.driver.take(outcome)
        self.accepted = outcome.frame.sequence


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
    return replace(scene.frame(), sequence=max(0, scene.accepted - behind)).encode(KEY)


def delay(scene: Scene) -> bytes:
    """A command whose age cannot be shown to be within its limits."""
    late_ms = scene.dice.randint(256, 20_000)
    return scene.frame(age_ms=late_ms).encode(KEY)


def insertion(scene: Scene) -> bytes:
    """A well-formed command from a source without the key."""
    body = scene.frame().encode(KEY)[:-16]
    return body + scene.dice.randbytes(16)


def masquerade(scene: Scene) -> bytes:
    """A command made under another lease's key, in the holder's name."""
    return scene.frame().encode(OTHER_KEY)


def addressing(scene: Scene) -> bytes:
    """A command with a good tag, for another vehicle."""
    return scene.frame(vehicle_id=scene.dice.choice((0, VEHICLE ^ 1, 0xFFFF_FFFF))).encode(KEY)


def forged_tag(scene: Scene) -> bytes:
    """A changed body under a tag made with a guessed key."""
    body = scene.frame(steer=scene.dice.randint(-10_000, 10_000)).encode(KEY)[:-16]
    return body + frame_tag(scene.dice.randbytes(32), body)


def old_epoch(scene: Scene) -> bytes:
    """The holder's key and an epoch that has ended."""
    return scene.frame(epoch=scene.dice.randrange(EPOCH)).encode(KEY)


def old_boot(scene: Scene) -> bytes:
    """A command for another start of the guardian."""
    return scene.frame(boot_tag=scene.dice.randrange(BOOT)).encode(KEY)


def other_key(scene: Scene) -> bytes:
    """A key id that no lease has."""
    return scene.frame(key_id=scene.dice.randrange(1000, 65_535)).encode(OTHER_KEY)


def retained_copy(scene: Scene) -> bytes:
    """What a broker kept, with the retain mark lost on the way: whole, signed, and old."""
    return scene.frame(age_ms=scene.dice.randint(1_000, 3_600_000)).encode(KEY)


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
    "retained copy": retained_copy,
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


def inject(name: str, n: int) -> Tally:
    """Inject ``n`` commands of one class and count."""
    scene, attack = Scene(name), ATTACKS[name]
    refused: Counter[str] = Counter()
    acted = 0
    for number in range(n):
        if number % HONEST_EVERY == 0:
            scene.honest()
        outcome = scene.acceptance.judge(scene.now_ns, attack(scene), number % 2)
        if isinstance(outcome, Accepted):
            acted += 1
        else:
            refused[outcome.reason.value] += 1
    # a copy on the other path is no second command: it is counted, and acts no second time
    return Tally(name, n, refused, acted)


def loss(n: int) -> Tally:
    """Lose every command for a random time: the last one may not act beyond its own."""
    scene = Scene("loss")
    acted = 0
    for _ in range(n):
        scene.honest()
        gone_ns = scene.dice.randint(DEFAULT_TIMING.command_stop_ms, 5_000) * _MS
        acted += scene.driver.acting(scene.now_ns + gone_ns) is not None
    return Tally("loss", n, Counter({"stale": n - acted}), acted)


def measure(n: int) -> Measurement:
    """Inject every class and give the number that acted, one sample for each class."""
    tallies = [inject(name, n) for name in ATTACKS]
    tallies.insert(3, loss(n))
    for tally in tallies:
        sys.stderr.write(f"{tally}\n")
    return Measurement(
        name="attack",
        unit="count",
        samples=[float(tally.acted) for tally in tallies],
        notes="; ".join(map(str, tallies)),
    )


def main() -> int:
    """Run with ``--n`` commands for each class."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--n", type=int, default=FULL_N)
    chosen, others = parser.parse_known_args()
    return run(lambda quick: measure(min(chosen.n, QUICK_N) if quick else chosen.n), others)


if __name__ == "__main__":
    sys.exit(main())
