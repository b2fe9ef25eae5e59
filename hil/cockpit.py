"""The driver's side of a bench: the console's own core, and hands that drive along the site."""

from __future__ import annotations

from collections.abc import Callable

from hil.keys import OPERATOR, SITE, VEHICLE, BenchKeys
from operator_console.core.session import ConsoleSession, Outgoing
from protocol.messages import Trust
from protocol.profiles import MachineLimits
from protocol.topics import Topics
from sim.drive_log import DRIVING
from sim.human import NO_HANDS
from sim.pursuit import Pose, Pursuit
from sim.runner.cockpit import seat_before
from sim.seat import Phase, input_message, next_action
from sim.world.site import Site
from vehicle_agent.core.entropy import Entropy

BEAT_NS = 20_000_000
PRESS_NS = 300_000_000
"""Between two presses of a button."""
PICTURE_AGE_US = 60_000


class Cockpit:
    """One console with one driver, who takes the lease, arms and drives.

    Args:
        keys: of the bench. site, limits: where and what he drives. dice: 32 random bytes.

    Attributes:
        presses_reset: after a stop he acknowledges it and starts again.
    """

    def __init__(self, keys: BenchKeys, site: Site, limits: MachineLimits, dice: bytes) -> None:
        trust: Trust = keys.trust
        self.session = ConsoleSession(
            OPERATOR,
            Topics(SITE, VEHICLE),
            keys.operator,
            trust,
            simulated=True,
            dice=Entropy(dice).take,
        )
        self.session.words(up=True)
        self.session.path(next(iter(self.session.paths)), up=True)
        self._pursuit = Pursuit(site, limits)
        self.presses_reset = False
        self.silent = False
        self._drove = False
        self._sequence = 0
        self._pressed_ns = 0

    def beat(self, now_ns: int, pose: Pose, send: Callable[[str, bytes], None]) -> None:
        """Every 20 ms: look, move hands and feet, press what is to be pressed, and speak."""
        if self.silent:
            return
        session, seat = self.session, seat_before(self.session, now_ns)
        self._sequence += 1
        driving = seat.mode in DRIVING
        self._drove = self._drove or driving
        controls = self._pursuit.controls(pose) if driving else NO_HANDS
        resting = self._drove and not driving and not self.presses_reset
        phase = Phase.LETTING_GO if resting else Phase.DRIVING
        session.driver_input(input_message(self._sequence, seat, controls, phase), now_ns)
        self._look(now_ns)
        action = next_action(seat)
        if action is not None and not resting and now_ns - self._pressed_ns >= PRESS_NS:
            self._pressed_ns = now_ns
            session.act(action, now_ns)
        for message in (
            session.next_command(now_ns),
            session.next_stop(now_ns),
            session.next_request(now_ns),
        ):
            if message is not None:
                send(*_addressed(message))

    def _look(self, now_ns: int) -> None:
        vehicle_us = self.session.clock.now_us(now_ns)
        if vehicle_us is None:
            return
        self.session.driver_view(
            {
                "camera": 0,
                "frame": self._sequence & 0xFF_FFFF,
                "capture_us": vehicle_us - PICTURE_AGE_US,
                "visible": True,
            },
            now_ns,
        )


def _addressed(message: Outgoing) -> tuple[str, bytes]:
    """Return (kind, bytes) of what the console publishes: cmd, req or stop."""
    kind = message.topic.partition(f"/{VEHICLE}/")[2].partition("/")[0]
    return kind, message.payload
