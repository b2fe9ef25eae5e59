"""How old everything is: the vehicle's clock seen from here, picture age, loop time, rates.

The offset comes from the exchanges of lowest round trip, as NTP's clock filter takes it
(RFC 5905, section 10). A state says which command it had accepted last and how long that one
had waited, so that both directions are timed by traffic that flows anyway.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

SENT_KEPT = 256
"""Commands whose send time is remembered: 5 s at 50 Hz."""

EXCHANGE_WINDOW_NS = 20_000_000_000
"""Exchanges older than this no longer speak for the offset (50 ppm drift gives 1 ms in 20 s)."""

RTT_MAX_AGE_NS = 2_000_000_000
"""A round trip measured longer ago than this says nothing about the link as it is now."""

RATE_WINDOW_NS = 1_000_000_000


class Exchange(NamedTuple):
    """One command out, one state back.

    Attributes:
        at_ns: console time of the state's arrival.
        rtt_us: round trip without the wait at the vehicle.
        offset_us: vehicle clock minus console clock.
    """

    at_ns: int
    rtt_us: int
    offset_us: int


class VehicleClock:
    """Estimates the vehicle's monotonic clock from commands sent and states received.

    What it knows dies with the traffic that told it: without commands there is no round trip,
    and the exact offset falls back to its lower bound.
    """

    def __init__(self) -> None:
        self._sent_ns: OrderedDict[int, int] = OrderedDict()
        self._exchanges: deque[Exchange] = deque()
        self._floor: deque[tuple[int, int]] = deque()
        self._newest: Exchange | None = None

    def reset(self) -> None:
        """Forget everything: the vehicle booted or the lease changed."""
        self._sent_ns.clear()
        self._exchanges.clear()
        self._floor.clear()
        self._newest = None

    def sent(self, sequence: int, now_ns: int) -> None:
        """Note when command ``sequence`` left."""
        self._sent_ns[sequence] = now_ns
        while len(self._sent_ns) > SENT_KEPT:
            self._sent_ns.popitem(last=False)

    def state_seen(
        self, stamp_us: int, accepted_sequence: int | None, held_us: int | None, now_ns: int
    ) -> None:
        """Take in a state frame.

        Args:
            stamp_us: vehicle clock when the state was stamped.
            accepted_sequence: of the newest command it had accepted, None for none.
            held_us: how long that command had waited by then.
            now_ns: console clock at arrival.
        """
        self._note_floor(stamp_us, now_ns)
        if accepted_sequence is None or held_us is None or held_us < 0:
            return
        sent_ns = self._sent_ns.get(accepted_sequence)
        if sent_ns is None:
            return
        rtt_us = (now_ns - sent_ns) // 1000 - held_us
        if rtt_us < 0:
            return
        uplink_side = (stamp_us - held_us) - sent_ns // 1000
        downlink_side = stamp_us - now_ns // 1000
        exchange = Exchange(now_ns, rtt_us, (uplink_side + downlink_side) // 2)
        while self._exchanges and self._exchanges[-1].rtt_us >= rtt_us:
            self._exchanges.pop()
        self._exchanges.append(exchange)
        self._newest = exchange

    def _note_floor(self, stamp_us: int, now_ns: int) -> None:
        lower_bound = stamp_us - now_ns // 1000
        while self._floor and self._floor[-1][1] <= lower_bound:
            self._floor.pop()
        self._floor.append((now_ns, lower_bound))

    def _drop_old(self, now_ns: int) -> None:
        oldest_ns = now_ns - EXCHANGE_WINDOW_NS
        while self._exchanges and self._exchanges[0].at_ns < oldest_ns:
            self._exchanges.popleft()
        while self._floor and self._floor[0][0] < oldest_ns:
            self._floor.popleft()

    def rtt_us(self, now_ns: int) -> int | None:
        """Round trip without the wait at the vehicle; None when none was measured lately."""
        newest = self._newest
        if newest is None or now_ns - newest.at_ns > RTT_MAX_AGE_NS:
            return None
        return newest.rtt_us

    def offset_us(self, now_ns: int) -> int | None:
        """Vehicle clock minus console clock; None without an exchange in the window."""
        self._drop_old(now_ns)
        return self._exchanges[0].offset_us if self._exchanges else None

    def within_us(self, now_ns: int) -> int | None:
        """How far wrong the offset may be: half the round trip of its exchange, RFC 5905, 8."""
        self._drop_old(now_ns)
        return self._exchanges[0].rtt_us // 2 if self._exchanges else None

    def now_us(self, now_ns: int) -> int | None:
        """The vehicle's clock now, in µs: by exchanges, else its lower bound, else None."""
        self._drop_old(now_ns)
        if self._exchanges:
            return now_ns // 1000 + self._exchanges[0].offset_us
        return now_ns // 1000 + self._floor[0][1] if self._floor else None

    def is_exact(self, now_ns: int) -> bool:
        """Ages come from an exchange; otherwise they are lower bounds."""
        return self.offset_us(now_ns) is not None

    def age_ms(self, vehicle_stamp_us: int, now_ns: int) -> float | None:
        """Age of something the vehicle stamped, in ms, never negative; None when unknown.

        A lower bound unless :meth:`is_exact`.
        """
        now_us = self.now_us(now_ns)
        return None if now_us is None else max(0.0, (now_us - vehicle_stamp_us) / 1000)


class RateMeter:
    """Counts events over the last second."""

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=512)

    def note(self, now_ns: int) -> None:
        """Count one event."""
        self._times_ns.append(now_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Events in the last second."""
        while self._times_ns and self._times_ns[0] <= now_ns - RATE_WINDOW_NS:
            self._times_ns.popleft()
        return float(len(self._times_ns))


VIEW_SILENT_NS = 250_000_000
"""A page that has not painted for this long shows nothing (rule 4)."""

VIEW_BEHIND_MAX_NS = 250_000_000
"""A page that paints, but what it was told longer ago than this, shows what is old (rule 16)."""

VIEW_BEHIND_FOR_NS = 500_000_000
"""It does so once it has not been up for this long: with 8 frames a second, drawn in software on
a busy computer, single views were seen to be 270 ms behind while none was silent for 230."""

VIEW_AHEAD_MAX_US = 1_000_000
"""A picture stamped further ahead of the vehicle's clock is of another run of that clock.

What this side knows of the clock is behind by one way of the link at most, and a machine that
booted is behind by all the time it had been up.
"""

STAMP_MAX_US = (1 << 64) - 1


class View(NamedTuple):
    """What the driver's page said it shows.

    Attributes:
        camera: id of the main view.
        frame: 24-bit frame counter read from the picture.
        capture_us: vehicle clock when that picture was taken; 0 when unknown.
        visible: the page is on a screen.
    """

    camera: int
    frame: int
    capture_us: int
    visible: bool


def read_view(data: dict[str, object]) -> View | None:
    """Return the view in a page's message, None when a field is missing or out of range."""
    camera, frame, capture_us = data.get("camera"), data.get("frame"), data.get("capture_us")
    visible = data.get("visible")
    for value, high in ((camera, 255), (frame, (1 << 24) - 1), (capture_us, STAMP_MAX_US)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
            return None
    if not isinstance(visible, bool):
        return None
    assert isinstance(camera, int)
    assert isinstance(frame, int)
    assert isinstance(capture_us, int)
    return View(camera, frame, capture_us, visible)


def _ahead(view: View, vehicle_us: int | None) -> bool:
    return vehicle_us is not None and view.capture_us > vehicle_us + VIEW_AHEAD_MAX_US


class ViewSlot:
    """Holds what is on the driver's screen and tells whether that screen lives.

    Attributes:
        newest: what the page said last. behind: it was behind by then, and not only that once.
        times_behind: how often it fell behind.
    """

    def __init__(self) -> None:
        self.newest: View | None = None
        self.behind = False
        self.times_behind = 0
        self._received_ns = 0
        self._up_ns = 0

    def offer(
        self, data: dict[str, object], now_ns: int, vehicle_us: int | None, behind_ns: int = 0
    ) -> bool:
        """Take a page's message; return whether it counted.

        A capture stamp may stand still (a frozen picture) but never goes back within one
        camera: an older picture than the one before is not put into force. Nor is one from
        the vehicle's future: a page may still show what was taken before the vehicle booted.

        Args:
            data: the message. now_ns: console clock.
            vehicle_us: the vehicle's clock now, None when unknown.
            behind_ns: how long ago the page was told what it has not yet taken.
        """
        view = read_view(data)
        if view is None or _ahead(view, vehicle_us):
            return False
        before = self.newest
        same_camera = before is not None and before.camera == view.camera
        if same_camera and before is not None and view.capture_us < before.capture_us:
            return False
        if before is None or behind_ns <= VIEW_BEHIND_MAX_NS:
            self._up_ns = now_ns
        self.newest, self._received_ns = view, now_ns
        self._note_behind(now_ns - self._up_ns > VIEW_BEHIND_FOR_NS)
        return True

    def _note_behind(self, behind: bool) -> None:
        self.times_behind += behind and not self.behind
        self.behind = behind

    def drop_ahead(self, vehicle_us: int | None) -> None:
        """The vehicle's clock became known: a picture from its future is none."""
        if self.newest is not None and _ahead(self.newest, vehicle_us):
            self.clear()

    def clear(self) -> None:
        """The page left or the vehicle booted: nothing is on a screen."""
        self.newest, self.behind = None, False

    def silence_ms(self, now_ns: int) -> float | None:
        """Time since the page last painted, None when it never did."""
        return None if self.newest is None else (now_ns - self._received_ns) / 1e6

    def display_ok(self, now_ns: int) -> bool:
        """The page paints, is visible, takes what it is told, and its picture has a stamp.

        How old that picture is, the machine judges by its own clock: the stamp travels in
        every command, and a frozen picture is told apart from a dead screen.
        """
        view = self.newest
        if view is None or not view.visible or view.capture_us == 0 or self.behind:
            return False
        return now_ns - self._received_ns <= VIEW_SILENT_NS
