"""A guardian's line and an emulated relay, joined, under a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.relay import RelayWish
from protocol.signals import DEFAULT_TIMING
from sim.relay import WatchdogRelay
from tests.rig import MS, START_NS
from vehicle_agent.core.relay import RelayLine, RelayStatus

TICK_NS = 10 * MS


@dataclass
class Joined:
    """A relay and a guardian's line; one call of :meth:`tick` is 10 ms."""

    now_ns: int = START_NS
    relay: WatchdogRelay = field(default_factory=lambda: WatchdogRelay(seed=7))
    line: RelayLine = field(default_factory=lambda: RelayLine(DEFAULT_TIMING, 65_530))
    wish: RelayWish = RelayWish.OPEN
    healthy: bool = True
    reports_pass: bool = True
    strokes: list[bytes] = field(default_factory=list)

    def tick(self) -> RelayStatus | None:
        self.now_ns += TICK_NS
        report = self.relay.step(self.now_ns)
        if self.reports_pass:
            self.line.take(self.now_ns, report)
        stroke = self.line.stroke(self.now_ns, self.wish, healthy=self.healthy)
        if stroke is not None:
            self.strokes.append(stroke)
            self.relay.take(self.now_ns, stroke)
        return self.line.status(self.now_ns)

    def run(self, ms: int) -> None:
        for _ in range(ms * MS // TICK_NS):
            self.tick()

    def silence(self, ms: int) -> None:
        """Nobody strokes; the relay lives on, to the millisecond."""
        for _ in range(ms):
            self.now_ns += MS
            self.relay.step(self.now_ns)

    def close(self) -> None:
        """Stroke it for a while, then ask it to close."""
        self.run(300)
        self.wish = RelayWish.CLOSE
        self.run(100)
        assert self.relay.closed
        self.wish = RelayWish.HOLD
