"""A drive in lock-step: when each frame arrived on each path, and what the machine made of it.

The judges are the guardian's own: acceptance, and the driver's times (late: traction off; stale:
latched stop). Ticks are 10 ms. After a stop the machine counts as driving again once commands have
come for 5 s without a gap: the restart guard's 2 s and the warning's 3 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.frames import CommandFrame, CommandKind
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.signals import DEFAULT_TIMING
from sim.network.model import LinkModel
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.network.stream_model import StreamModel
from vehicle_agent.core.driver import Driver

MQTT, CHANNEL = "mqtt", "data channel"
PERIOD_NS = 20_000_000
COMMAND_BYTES, STATE_BYTES = 240, 620
"""On the wire: frame, topic, TLS, TCP and IP; a datagram is some 20 bytes shorter."""

VEHICLE, BOOT, EPOCH, KEY_ID, KEY = 1, 7, 1, 1, bytes(range(32))
TICK_NS = DEFAULT_TIMING.guardian_tick_ms * 1_000_000
AGAIN_NS = (DEFAULT_TIMING.link_healthy_ms + DEFAULT_TIMING.warning_ms) * 1_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a drive.

    Attributes:
        sent_ns: when each frame left. arrived_ns: when it arrived, by path; None: never.
    """

    sent_ns: Sequence[int]
    arrived_ns: dict[str, Sequence[int | None]]


@dataclass(frozen=True, slots=True)
class Drive:
    """What a drive felt.

    Attributes:
        stops: latched ones. degraded: times that traction was off, those before a stop included.
        silence_ms: longest time without an accepted command. refused: as stale.
        oldest_ms: age bound of the oldest command that acted.
    """

    seconds: float
    stops: int
    degraded: int
    silence_ms: float
    refused: int
    oldest_ms: float

    def per_hour(self, number: int) -> float:
        """Return a number of this drive as so many an hour."""
        return number * 3600 / self.seconds

    def line(self) -> str:
        """The drive in figures."""
        return (
            f"{self.per_hour(self.stops):.1f} stops/h, "
            f"{self.per_hour(self.degraded):.0f} times traction off/h, "
            f"longest silence {self.silence_ms:.0f} ms, oldest acting {self.oldest_ms:.0f} ms"
        )


def simulated(link: LinkParameters, seed: int, seconds: float) -> tuple[Way, Way]:
    """Return states up and commands down as the models carry them, MQTT and datagrams alike."""
    count = round(seconds * 1e9 / PERIOD_NS)
    sent = range(0, count * PERIOD_NS, PERIOD_NS)
    round_trip_ns = link.up.delay_ns + link.down.delay_ns

    def way(name: str, given: DirectionParameters, size: int, shift_ns: int) -> Way:
        radio = LinkModel(given, seed, name)
        stream = StreamModel(radio, given, round_trip_ns, seed, name, 0)
        sent_ns = [at + shift_ns for at in sent]
        arrived: dict[str, list[int | None]] = {MQTT: [], CHANNEL: []}
        for at_ns in sent_ns:
            arrived[MQTT].append(stream.decide(at_ns, size).deliveries[0])
            arrived[CHANNEL].append(next(iter(radio.decide(at_ns, size).deliveries), None))
        return Way(sent_ns, dict(arrived))

    return way("up", link.up, STATE_BYTES, 0), way("down", link.down, COMMAND_BYTES, 7_000_000)


def drive(up: Way, down: Way, paths: Sequence[str]) -> Drive:
    """Return what a drive over these paths felt."""
    acceptance = Acceptance(DEFAULT_TIMING, VEHICLE, BOOT)
    acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))
    driver = Driver(DEFAULT_TIMING)
    frames = list(_commands(up, down, paths))
    stops = degraded = oldest_us = silence_ns = 0
    driving_from_ns: int | None = None
    for at_ns, number, path in _arrivals(down, paths):
        verdict = acceptance.judge(at_ns, frames[number], path)
        if not isinstance(verdict, Accepted):
            continue
        begun = driving_from_ns is not None and at_ns >= driving_from_ns
        if driver.newest is not None:
            silence_ns = max(silence_ns, driver.age_ns(at_ns) or 0)
        if begun and driver.late(at_ns):
            degraded += 1
            if driver.stale(at_ns):
                stops += 1
                driving_from_ns = None
        if driver.late(at_ns) and not (begun and driving_from_ns is not None):
            driving_from_ns = at_ns + AGAIN_NS
        driver.take(verdict)
        oldest_us = max(oldest_us, verdict.uplink_us)
    return Drive(
        seconds=(down.sent_ns[-1] - down.sent_ns[0]) / 1e9,
        stops=stops,
        degraded=degraded,
        silence_ms=silence_ns / 1e6,
        refused=sum(acceptance.refusals().values()),
        oldest_ms=oldest_us / 1e3,
    )


def _commands(up: Way, down: Way, paths: Sequence[str]) -> Iterator[bytes]:
    """Yield each command with the newest state that the console had heard when it left."""
    heard = sorted(
        (at_ns, up.sent_ns[number])
        for path in paths
        for number, at_ns in enumerate(up.arrived_ns[path])
        if at_ns is not None
    )
    next_heard = stamp_ns = since_ns = 0
    for number, sent_ns in enumerate(down.sent_ns):
        while next_heard < len(heard) and heard[next_heard][0] <= sent_ns:
            at_ns, state_ns = heard[next_heard]
            if state_ns > stamp_ns or not since_ns:
                stamp_ns, since_ns = state_ns, at_ns
            next_heard += 1
        yield CommandFrame(
            kind=CommandKind.DRIVE,
            vehicle_id=VEHICLE,
            key_id=KEY_ID,
            ttl_ms=DEFAULT_TIMING.command_ttl_max_ms,
            epoch=EPOCH,
            sequence=number + 1,
            boot_tag=BOOT,
            echo_hold_us=min((sent_ns - since_ns) // 1000, 0xFFFFFFFF),
            source_stamp_us=sent_ns // 1000,
            echo_stamp_us=stamp_ns // 1000,
            view_stamp_us=0,
            enable=True,
        ).encode(KEY)


def _arrivals(down: Way, paths: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return tick, number and path of each command that arrived, in the order of arrival."""
    arrived = sorted(
        (at_ns, number, path)
        for path, name in enumerate(paths)
        for number, at_ns in enumerate(down.arrived_ns[name])
        if at_ns is not None
    )
    return [(-(-at_ns // TICK_NS) * TICK_NS, number, path) for at_ns, number, path in arrived]
