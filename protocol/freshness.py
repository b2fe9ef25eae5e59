"""Acceptance of commands: authentic, current, newer than the last, and provably fresh.

The order is design 4.4. Freshness needs no synchronised clocks: a console cannot return a
state stamp before the machine sent it, so a command is younger than its loop age whatever
queued it on the way. Arrival time proves nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from protocol.errors import ProtocolError, Refusal
from protocol.frames import TAG_BYTES, CommandFrame, check_enable_pair, decode_command
from protocol.signals import Timing

RETIRED_KEYS = 8
"""Keys of ended leases kept, so that their frames are told apart as fenced."""
RECENT_SEQUENCES = 256
HISTOGRAM_MS = 512


@dataclass(slots=True)
class Histogram:
    """Counts in bins of 1 ms from 0 to 511 ms; the last bin takes all above."""

    bins: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_MS)
    count: int = 0
    max_us: int = 0

    def add(self, value_us: int) -> None:
        """Count one value in microseconds."""
        self.bins[min(max(value_us // 1000, 0), HISTOGRAM_MS - 1)] += 1
        self.count += 1
        self.max_us = max(self.max_us, value_us)

    def percentile_ms(self, share: float) -> float | None:
        """Return the upper edge of the bin that holds ``share`` (0…1) of the values, ms."""
        if self.count == 0:
            return None
        rank = max(share * self.count, 1)
        index = next(index for index, seen in enumerate(accumulate(self.bins)) if seen >= rank)
        return min(float(index + 1), self.max_us / 1000)

    def summary(self) -> dict[str, float | None]:
        """Return p50, p95, p99 and max in ms; None without a value."""
        return {
            "p50": self.percentile_ms(0.50),
            "p95": self.percentile_ms(0.95),
            "p99": self.percentile_ms(0.99),
            "max": self.max_us / 1000 if self.count else None,
        }


@dataclass(slots=True)
class PathCounters:
    """What one path delivered.

    Attributes:
        accepted: commands that counted and came this way first.
        duplicates: copies of commands that another path had delivered first.
        late: of these, copies that would have been too old to count.
        overtaken: commands that came in time, but only after a newer one on another path; they are
            refused like all that are superseded, and counted there too.
        refused: by reason.
        last_valid_ns: when the path last gave a valid command, or a valid copy that was not late.
        lead_us: by how much this path was ahead of the copy on the other one.
        loop_us, uplink_us: loop age and age bound of its valid commands, copies included.
    """

    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    overtaken: int = 0
    refused: dict[Refusal, int] = field(default_factory=dict)
    last_sequence: int | None = None
    last_valid_ns: int | None = None
    lead_us: Histogram = field(default_factory=Histogram)
    loop_us: Histogram = field(default_factory=Histogram)
    uplink_us: Histogram = field(default_factory=Histogram)

    def add_ages(self, loop_age_us: int, uplink_us: int) -> None:
        """Count the ages of a valid command."""
        self.loop_us.add(loop_age_us)
        self.uplink_us.add(uplink_us)


@dataclass(frozen=True, slots=True)
class Lease:
    """What acceptance needs to know of a lease."""

    key_id: int
    epoch: int
    key: bytes


class Accepted(NamedTuple):
    """A command that counts.

    Attributes:
        frame: the command. path: which way it came. at_ns: when it was judged.
        loop_age_us: age of the state that the driver had when he gave it.
        uplink_us: upper bound of the command's own age.
    """

    frame: CommandFrame
    path: int
    at_ns: int
    loop_age_us: int
    uplink_us: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that does not count, why, and the same in words for logs."""

    reason: Refusal
    path: int
    text: str


@dataclass(frozen=True, slots=True)
class _Seen:
    tag: bytes
    at_ns: int
    path: int
    heard_on: frozenset[int]


@dataclass(slots=True)
class _Open:
    """The lease in force, and how far its commands have come."""

    lease: Lease
    next_sequence: int = 0
    last_echo_us: int = 0
    recent: OrderedDict[int, _Seen] = field(default_factory=OrderedDict)
    newest_on: Counter[int] = field(default_factory=Counter)


class Acceptance:
    """Judges commands of one boot; holds nothing but counters and the newest stamps.

    Attributes:
        paths: counters of each path. loop_us, uplink_us: ages of the commands that counted.
    """

    _open: _Open | None
    """Set by the first lease, like the keys: before it no frame comes as far as this."""
    _newest_epoch: int = 0

    def __init__(self, timing: Timing, vehicle: int, boot_tag: int, paths: int = 2) -> None:
        self._timing = timing
        self._vehicle = vehicle
        self._boot_tag = boot_tag
        self._keys: OrderedDict[int, bytes] = OrderedDict()
        self.paths = tuple(PathCounters() for _ in range(paths))
        self.loop_us = Histogram()
        self.uplink_us = Histogram()

    def open_lease(self, lease: Lease) -> None:
        """Accept commands of ``lease`` from now on, and of no other."""
        self._open = _Open(lease)
        self._newest_epoch = max(self._newest_epoch, lease.epoch)
        self._keys[lease.key_id] = lease.key
        self._keys.move_to_end(lease.key_id)
        if len(self._keys) > 1 + RETIRED_KEYS:
            self._keys.popitem(last=False)

    def close_lease(self) -> None:
        """Accept nothing; frames of the ended lease are counted as fenced."""
        self._open = None

    @property
    def newest_sequence(self) -> int | None:
        """Sequence of the newest command of the lease in force; None before one counts.

        Only once a lease has been opened.
        """
        current = self._open
        return current.next_sequence - 1 if current is not None and current.recent else None

    def judge(self, now_ns: int, data: bytes, path: int) -> Accepted | Refused:
        """Judge one frame by the machine's clock; counts the outcome, never raises."""
        counters = self.paths[path]
        try:
            accepted = self._judge(now_ns, data, path)
        except ProtocolError as error:
            if error.reason is Refusal.DUPLICATE:
                counters.duplicates += 1
            else:
                self.count_refusal(path, error.reason)
            return Refused(error.reason, path, str(error))
        counters.accepted += 1
        counters.last_sequence = accepted.frame.sequence
        counters.last_valid_ns = now_ns
        counters.add_ages(accepted.loop_age_us, accepted.uplink_us)
        self.loop_us.add(accepted.loop_age_us)
        self.uplink_us.add(accepted.uplink_us)
        return accepted

    def refusals(self) -> dict[Refusal, int]:
        """Return the refusals of all paths together, by reason."""
        total: dict[Refusal, int] = {}
        for counters in self.paths:
            for reason, number in counters.refused.items():
                total[reason] = total.get(reason, 0) + number
        return total

    def count_refusal(self, path: int, reason: Refusal) -> None:
        """Count a refusal decided elsewhere (retained copy, mode that forbids)."""
        refused = self.paths[path].refused
        refused[reason] = refused.get(reason, 0) + 1

    def _judge(self, now_ns: int, data: bytes, path: int) -> Accepted:
        frame = decode_command(data, self._keys)  # 1
        if frame.vehicle_id != self._vehicle:  # 2
            raise ProtocolError("another vehicle's command", Refusal.WRONG_VEHICLE)
        if frame.boot_tag != self._boot_tag:
            raise ProtocolError("command for an earlier boot", Refusal.WRONG_BOOT)
        current = self._lease_of(frame)  # 3
        self._check_sequence(current, frame, data, now_ns, path)  # 4
        now_us = now_ns // 1000
        loop_age_us = now_us - frame.echo_stamp_us  # 5
        if loop_age_us < 0:
            raise ProtocolError("echoes a state not yet sent", Refusal.ECHO_IN_FUTURE)
        if loop_age_us > self._timing.loop_max_ms * 1000:
            raise ProtocolError("loop too old", Refusal.LOOP_TOO_OLD)
        uplink_us = loop_age_us - frame.echo_hold_us  # 6
        if frame.echo_hold_us > self._timing.hold_max_ms * 1000:
            raise ProtocolError("echo held too long", Refusal.HOLD_TOO_LONG)
        if uplink_us < 0:
            raise ProtocolError("held longer than the state is old", Refusal.ECHO_IN_FUTURE)
        if uplink_us > self._timing.uplink_max_ms * 1000:
            raise ProtocolError("command too old", Refusal.UPLINK_TOO_OLD)
        if frame.echo_stamp_us < current.last_echo_us:  # 7
            raise ProtocolError("echo went backwards", Refusal.ECHO_BACKWARDS)
        check_enable_pair(data)  # 8
        frame.check_values()  # 9
        current.next_sequence = frame.sequence + 1
        current.last_echo_us = frame.echo_stamp_us
        current.newest_on[path] = frame.sequence
        current.recent[frame.sequence] = _Seen(data[-TAG_BYTES:], now_ns, path, frozenset({path}))
        if len(current.recent) > RECENT_SEQUENCES:
            current.recent.popitem(last=False)
        return Accepted(frame, path, now_ns, loop_age_us, uplink_us)

    def _lease_of(self, frame: CommandFrame) -> _Open:
        current = self._open
        if frame.epoch > self._newest_epoch:
            raise ProtocolError("epoch ahead of every lease", Refusal.EPOCH_AHEAD)
        if current is not None and (frame.key_id, frame.epoch) == (
            current.lease.key_id,
            current.lease.epoch,
        ):
            return current
        raise ProtocolError("epoch of an ended lease", Refusal.EPOCH_FENCED)

    def _check_sequence(
        self, current: _Open, frame: CommandFrame, data: bytes, now_ns: int, path: int
    ) -> None:
        if frame.sequence >= current.next_sequence:
            return
        seen = current.recent.get(frame.sequence)
        loop_age_us = now_ns // 1000 - frame.echo_stamp_us
        uplink_us = loop_age_us - frame.echo_hold_us
        late = uplink_us > self._timing.uplink_max_ms * 1000
        counters = self.paths[path]
        if seen is None:
            if not late and frame.sequence > current.newest_on[path]:
                current.newest_on[path] = frame.sequence
                counters.overtaken += 1
            raise ProtocolError("sequence behind the last", Refusal.SUPERSEDED)
        if seen.tag != data[-TAG_BYTES:]:
            raise ProtocolError("same sequence, other bytes", Refusal.CONFLICTING_COPY)
        if path in seen.heard_on:
            raise ProtocolError("the same command again", Refusal.REPLAYED)
        self.paths[seen.path].lead_us.add((now_ns - seen.at_ns) // 1000)
        counters.add_ages(loop_age_us, uplink_us)
        if late:
            counters.late += 1
        else:
            counters.last_valid_ns = now_ns
        current.newest_on[path] = max(current.newest_on[path], frame.sequence)
        current.recent[frame.sequence] = replace(seen, heard_on=seen.heard_on | {path})
        raise ProtocolError("copy on the other path", Refusal.DUPLICATE)
