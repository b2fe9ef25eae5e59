"""Pictures of a lock-step run: when which one is on the driver's screen, and what it shows.

No pixel is drawn. A picture is so many packets on the link, in order, with lost ones asked for
again; what cannot be repaired waits for a key frame. The times stand for those measured with the
real chain (design 6): encoder, decoder, and a screen that paints at 60 Hz.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from sim.pursuit import Pose
from sim.runner.agenda import Agenda, Rank
from sim.runner.link import Link

PERIOD_NS = 33_333_333
ENCODE_NS = 8_000_000
DECODE_NS = 5_000_000
PAINT_NS = 16_666_667
"""A screen paints at 60 Hz; what is decoded waits for its next turn."""
PACKET_BYTES = 1200
RATE_BPS = 1_500_000
RATE_MIN_BPS = 150_000
KEY_FACTOR = 3
REPEATS_MAX = 3
"""A packet is sent at most this many times more."""
DETECT_NS = 10_000_000
"""From a packet that is missing to the request to send it again."""
SLOW_NS = 60_000_000
"""A picture on its way for this much longer than the shortest one: the sender spends less."""
LOWER, RAISE = 0.75, 1.02
"""What the sender makes of its rate after a slow picture, and after a good one."""


class Picture(NamedTuple):
    """One picture.

    Attributes:
        number: of the frame. capture_us: vehicle clock. pose: what it shows.
        key: it can be decoded without the one before.
    """

    number: int
    capture_us: int
    pose: Pose
    key: bool = False


@dataclass(slots=True)
class _Flight:
    """A picture on the link, and which of its packets have not come yet."""

    picture: Picture
    sent_ns: int
    missing: set[int]


@dataclass(slots=True)
class Camera:
    """What scripted faults do to the camera.

    Attributes:
        frozen: it gives the same picture for ever. dead: it gives none.
    """

    frozen: int = 0
    dead: int = 0


class Pictures:
    """The main camera, its way through the link, and the screen.

    Args:
        agenda, link: of the run.
        look: the machine's pose now.
        paint: called when a picture has come onto the screen.
        dice: for the screen's phase.
    """

    def __init__(
        self,
        agenda: Agenda,
        link: Link,
        look: Callable[[], Pose],
        paint: Callable[[int, Picture], None],
        dice: Random,
    ) -> None:
        self.camera = Camera()
        self.given_up = 0
        self._agenda, self._link = agenda, link
        self._look, self._paint = look, paint
        self._phase_ns = dice.randrange(PAINT_NS)
        self._number = 0
        self._key_wanted = True
        self._last: Picture | None = None
        self._rate_bps = float(RATE_BPS)
        self._quickest_ns: int | None = None
        self._waiting: dict[int, _Flight] = {}
        self._next = 1

    def capture(self, now_ns: int) -> None:
        """The camera's beat."""
        if self.camera.dead:
            return
        picture = self._picture(now_ns)
        self._agenda.at(now_ns + ENCODE_NS, Rank.CAMERA, lambda at_ns: self._send(at_ns, picture))

    def _picture(self, now_ns: int) -> Picture:
        """Frozen: the encoder runs on, with the same picture and its old stamp."""
        self._number += 1
        last, key = self._last, self._key_wanted
        if self.camera.frozen and last is not None:
            return Picture(self._number, last.capture_us, last.pose, key)
        self._last = Picture(self._number, now_ns // 1000, self._look(), key)
        self._key_wanted = False
        return self._last

    def _send(self, now_ns: int, picture: Picture) -> None:
        size_bytes = self._rate_bps / 8 * PERIOD_NS / 1e9 * (KEY_FACTOR if picture.key else 1)
        packets = max(1, round(size_bytes / PACKET_BYTES))
        flight = _Flight(picture, now_ns, set(range(packets)))
        self._waiting[picture.number] = flight
        for packet in range(packets):
            self._send_packet(now_ns, flight, packet, REPEATS_MAX)

    def _send_packet(self, now_ns: int, flight: _Flight, packet: int, repeats: int) -> None:
        def arrived(at_ns: int) -> None:
            self._arrived(at_ns, flight, packet)

        if self._link.up.send(now_ns, PACKET_BYTES, arrived):
            return
        ways_ns = self._link.parameters.up.delay_ns + self._link.parameters.down.delay_ns
        again_ns = now_ns + ways_ns + DETECT_NS
        if repeats == 0:
            self._agenda.at(again_ns, Rank.CAMERA, lambda _: self._give_up(flight))
        else:
            self._agenda.at(
                again_ns,
                Rank.CAMERA,
                lambda at_ns: self._send_packet(at_ns, flight, packet, repeats - 1),
            )

    def _give_up(self, flight: _Flight) -> None:
        """It will never be whole: the next picture is asked to stand by itself."""
        if self._waiting.pop(flight.picture.number, None) is not None:
            self.given_up += 1
            self._key_wanted = True
            self._rate_bps = max(self._rate_bps * LOWER, RATE_MIN_BPS)

    def _arrived(self, now_ns: int, flight: _Flight, packet: int) -> None:
        flight.missing.discard(packet)
        if flight.missing or flight.picture.number not in self._waiting:
            return
        self._mind_rate(now_ns - flight.sent_ns)
        if flight.picture.key:
            self._skip_to(flight.picture.number)
        self._show_what_is_whole(now_ns)

    def _mind_rate(self, took_ns: int) -> None:
        quickest_ns = self._quickest_ns = min(took_ns, self._quickest_ns or took_ns)
        change = LOWER if took_ns > quickest_ns + SLOW_NS else RAISE
        self._rate_bps = min(max(self._rate_bps * change, RATE_MIN_BPS), RATE_BPS)

    def _skip_to(self, number: int) -> None:
        if number > self._next:
            self._next = number
            self._waiting = {n: flight for n, flight in self._waiting.items() if n >= number}

    def _show_what_is_whole(self, now_ns: int) -> None:
        """In order; of several that are whole only the newest is painted."""
        newest: Picture | None = None
        while (flight := self._waiting.get(self._next)) is not None and not flight.missing:
            newest = self._waiting.pop(self._next).picture
            self._next += 1
        if newest is None:
            return
        shown = newest
        ready_ns = now_ns + DECODE_NS - self._phase_ns
        due_ns = -(-ready_ns // PAINT_NS) * PAINT_NS + self._phase_ns
        self._agenda.at(due_ns, Rank.SCREEN, lambda at_ns: self._paint(at_ns, shown))
