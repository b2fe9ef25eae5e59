"""The cockpit of a lock-step run: the console's own core, with a scripted driver before it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from operator_console.core.session import ConsoleSession, Outgoing
from protocol.messages import AckClaims
from sim.drive_log import DRIVING, STOPPED
from sim.human import NO_HANDS, Human
from sim.runner.pictures import Picture
from sim.seat import Phase, Seat, input_message, next_action

BEAT_NS = 20_000_000
SCREEN_BEAT_NS = 50_000_000
"""A page that paints says so this often, whether or not a new picture has come."""
BEAT_LATE_NS = 3_000_000
"""A page's timer is late by up to this much, evenly drawn."""
SENT_KEPT = 512


def seat_before(session: ConsoleSession, now_ns: int) -> Seat:
    """Return what a driver reads who sits before a console in this process."""
    mode = session.mode(now_ns)
    state = session.heard.state if session.heard is not None and mode is not None else None
    return Seat(
        mode=None if mode is None else mode.value,
        cause=None if state is None else state.cause,
        leased=session.lease is not None,
        must_release=session.gate.must_release,
        blockers=() if state is None else state.blockers,
    )


@dataclass(slots=True)
class Mishap:
    """What scripted faults do to driver, page and console; each counts how many are on.

    Attributes:
        dead: the console's process is gone.
        page_silent: the page says nothing: no hands, no pictures.
        let_go: the driver's hand is open.
        hands_frozen: hands and feet do not change any more.
        full_throttle: the driver's foot is down, whatever he sees.
    """

    dead: int = 0
    page_silent: int = 0
    let_go: int = 0
    hands_frozen: int = 0
    full_throttle: int = 0


@dataclass(slots=True)
class Cockpit:
    """One console with one driver.

    Args:
        session: the console's core. human: the driver.
        resumes: after a stop he resets, arms and drives on.
        send: takes what the console publishes, with the time.
        ahead_ns: the console's clock is this much ahead of the machine's.
    """

    session: ConsoleSession
    human: Human
    resumes: bool
    send: Callable[[int, Outgoing], None]
    ahead_ns: int
    mishap: Mishap = field(default_factory=Mishap)
    view_ages_ms: list[float] = field(default_factory=list)
    sent_ns: OrderedDict[int, int] = field(default_factory=OrderedDict)
    _sequence: int = 0
    _picture: Picture | None = None
    _told_ns: int = 0
    _asked_ns: int = 0
    _drove: bool = False
    _held: dict[str, object] | None = None

    def beat(self, now_ns: int) -> None:
        """Every 20 ms: hands, feet and buttons, then what the console has to say."""
        if self.mishap.dead:
            return
        here_ns = now_ns + self.ahead_ns
        seat = seat_before(self.session, here_ns)
        if not self.mishap.page_silent:
            self.session.driver_input(self._hands(now_ns, here_ns, seat), here_ns)
            if self._picture is not None and now_ns - self._told_ns >= SCREEN_BEAT_NS:
                self._tell(now_ns, self._picture)
            self._press(now_ns, here_ns, seat)
        self._speak(now_ns, here_ns)

    def press_stop(self, now_ns: int) -> None:
        """The driver presses STOP; the console says it at once."""
        here_ns = now_ns + self.ahead_ns
        self.session.act("stop", here_ns)
        if not self.mishap.dead:
            self._speak(now_ns, here_ns)

    def paint(self, now_ns: int, picture: Picture) -> None:
        """A picture has come onto the screen."""
        if self.mishap.dead or self.mishap.page_silent:
            return
        if self._picture is None or picture.capture_us > self._picture.capture_us:
            self.human.see(now_ns, picture)
        self._picture = picture
        self.view_ages_ms.append(now_ns / 1e6 - picture.capture_us / 1e3)
        self._tell(now_ns, picture)

    def hear_state(self, now_ns: int, data: bytes) -> None:
        """A state frame arrived."""
        if not self.mishap.dead:
            self.session.hear_state(data, now_ns + self.ahead_ns)

    def hear_authority(self, now_ns: int, data: bytes) -> None:
        """An authority message arrived."""
        if not self.mishap.dead:
            self.session.hear_authority(data, now_ns + self.ahead_ns)

    def hear_ack(self, now_ns: int, data: bytes) -> AckClaims | None:
        """An answer arrived."""
        return None if self.mishap.dead else self.session.hear_ack(data, now_ns + self.ahead_ns)

    # -- inside

    def _hands(self, now_ns: int, here_ns: int, seat: Seat) -> dict[str, object]:
        driving = seat.mode in DRIVING
        self._drove = self._drove or driving
        if driving:
            controls = self.human.controls(now_ns, self.session.clock.now_us(here_ns))
        else:
            self.human.rest()
            controls = NO_HANDS
        self._sequence += 1
        done = self._drove and not driving and not self.resumes
        phase = Phase.LETTING_GO if done or self.mishap.let_go else Phase.DRIVING
        message = input_message(self._sequence, seat, controls, phase)
        if self.mishap.full_throttle and driving:
            message |= {"throttle": 1.0, "brake": 0.0}
        if self.mishap.hands_frozen:
            self._held = self._held or message
            message = self._held | {"seq": self._sequence}
        else:
            self._held = None
        return message

    def _press(self, now_ns: int, here_ns: int, seat: Seat) -> None:
        action = next_action(seat)
        stopped = seat.mode in STOPPED
        if action is None or (self._drove and not self.resumes):
            return
        wait_ns = 2 * self.human.wait_ns if stopped else self.human.wait_ns
        if now_ns - self._asked_ns >= wait_ns:
            self._asked_ns = now_ns
            self.session.act(action, here_ns)

    def _tell(self, now_ns: int, picture: Picture) -> None:
        self._told_ns = now_ns
        self.session.driver_view(
            {
                "camera": 0,
                "frame": picture.number & 0xFF_FFFF,
                "capture_us": picture.capture_us,
                "visible": True,
            },
            now_ns + self.ahead_ns,
        )

    def _speak(self, now_ns: int, here_ns: int) -> None:
        session = self.session
        command = session.next_command(here_ns)
        if command is not None:
            sequence = int.from_bytes(command.payload[16:20], "little")
            self.sent_ns[sequence] = now_ns
            if len(self.sent_ns) > SENT_KEPT:
                self.sent_ns.popitem(last=False)
            self.send(now_ns, command)
        for message in (session.next_stop(here_ns), session.next_request(here_ns)):
            if message is not None:
                self.send(now_ns, message)
