"""Translates what is allowed into ISOBUS: guidance, machine selected speed, heartbeat.

A wanted acceleration becomes a speed set point a little ahead of the measured speed; no traction is
a set point of zero. The brake valve has no frame in the standard: it takes HF-DBW's brake row.
"""

from __future__ import annotations

from protocol.adapters import IsobusAdapter
from protocol.dbw.codec import BrakeCommand, ExitReason, Message
from protocol.dbw.matrix import BRAKE_CMD, FrameSpec
from protocol.isobus import codec
from protocol.isobus.codec import (
    Beat,
    GuidanceState,
    SelectedSpeed,
    SpeedCommand,
    Steering,
    WheelSpeed,
)
from protocol.j1939.ids import Id, parse_id
from protocol.profiles import MachineLimits
from vehicle_agent.core.adapted import Allowed, Rows, Told
from vehicle_agent.core.channel import Channel, Cycle, Say

GUIDANCE_PERIOD_MS, SPEED_PERIOD_MS, HEARTBEAT_PERIOD_MS = 40, 100, 100
PRIORITY = 3
TIMEOUTS_MS = {
    codec.GUIDANCE_STATE: 300,
    codec.WHEEL_SPEED: 300,
    codec.SELECTED_SPEED: 300,
    codec.HEARTBEAT: 300,
}
"""Three periods of 100 ms: the standard's limit for heartbeat and selected speed."""


class IsobusTranslator:
    """One tractor's.

    Args:
        adapter: of the machine file. limits: its speeds.
    """

    rows: tuple[FrameSpec, ...] = ()

    def __init__(self, adapter: IsobusAdapter, limits: MachineLimits) -> None:
        self._adapter, self._limits = adapter, limits
        self._rows = Rows(TIMEOUTS_MS, dict.fromkeys(TIMEOUTS_MS, adapter.tractor))
        own = adapter.address
        self._guidance_id = Id(PRIORITY, codec.GUIDANCE_COMMAND, own, adapter.tractor).encode()
        self._speed_id = Id(PRIORITY, codec.SPEED_COMMAND, own).encode()
        self._beat_id = Id(PRIORITY, codec.HEARTBEAT, own).encode()
        self._guidance = Channel(GUIDANCE_PERIOD_MS, adapter.closing_frames)
        self._speed = Channel(SPEED_PERIOD_MS, adapter.closing_frames)
        self._beats = Cycle(HEARTBEAT_PERIOD_MS)
        self._beat = codec.BEAT_SHUTDOWN
        self._their_beat: int | None = None
        self._to_announce = adapter.closing_frames
        self._measured_mps = 0.0
        self._held_per_m = 0.0

    def take(self, now_ns: int, can_id: int, data: bytes) -> bool:
        """Take a frame; False when it is none of these.

        Raises:
            DbwError: it is one, and bad.
        """
        group = parse_id(can_id)
        if not self._rows.mine(group.pgn, group.source):
            return False
        if group.pgn == codec.GUIDANCE_STATE:
            self._rows.keep(now_ns, group.pgn, codec.decode_guidance_state(data))
        elif group.pgn == codec.WHEEL_SPEED:
            self._rows.keep(now_ns, group.pgn, codec.decode_wheel_speed(data))
        elif group.pgn == codec.SELECTED_SPEED:
            self._rows.keep(now_ns, group.pgn, codec.decode_selected_speed(data))
        else:
            self._hear_beat(now_ns, data)
        return True

    def _hear_beat(self, now_ns: int, data: bytes) -> None:
        """A repeated number tells nothing new; one that says error ends the row at once."""
        beat, self._their_beat = codec.judge_beat(self._their_beat, data)
        if beat is Beat.ALIVE:
            self._rows.keep(now_ns, codec.HEARTBEAT, beat)
        elif beat is not Beat.REPEATED:
            self._rows.forget(codec.HEARTBEAT)

    def told(self, now_ns: int) -> Told:
        """Return what is known."""
        guidance = self._rows.get(now_ns, codec.GUIDANCE_STATE)
        wheels = self._rows.get(now_ns, codec.WHEEL_SPEED)
        selected = self._rows.get(now_ns, codec.SELECTED_SPEED)
        speed_mps = _signed(wheels) if isinstance(wheels, WheelSpeed) else None
        self._measured_mps = abs(speed_mps or 0.0)
        if not isinstance(guidance, GuidanceState) or not isinstance(selected, SelectedSpeed):
            return Told(False, False, False, ExitReason.CLEAR, speed_mps, None, None, None)
        if guidance.curvature_per_m is not None:
            self._held_per_m = guidance.curvature_per_m
        reasons = (guidance.exit_reason, selected.exit_reason)
        return Told(
            whole=self._rows.whole(now_ns) and None not in (speed_mps, guidance.curvature_per_m),
            ready=guidance.ready is True and guidance.locked_out is False and _key_on(wheels),
            overridden=False,
            exit_reason=next((r for r in reasons if r is not ExitReason.CLEAR), ExitReason.CLEAR),
            speed_mps=speed_mps,
            curvature_per_m=guidance.curvature_per_m,
            gear=None if selected.forwards is None else (1 if selected.forwards else -1),
            park_applied=None,
        )

    def frames(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        """Return the frames due now."""
        return [
            *self._steer(now_ns, allowed),
            *self._drive(now_ns, allowed),
            *self._live(now_ns, allowed),
        ]

    def auxiliary(self, allowed: Allowed) -> tuple[tuple[FrameSpec, Message], ...]:
        """The brake valve, the park brake, and what slows like an engine."""
        brake = BrakeCommand(allowed.brake_mps2, allowed.park, min(allowed.retarder, 1.0))
        return ((BRAKE_CMD, brake),)

    def _steer(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        wanted_per_m = allowed.curvature_per_m
        say = self._guidance.say(now_ns, allowed=wanted_per_m is not None)
        if say is Say.NOTHING:
            return []
        if say is Say.CLOSING:
            self._to_announce = self._adapter.closing_frames
        if self._to_announce == 0:
            assert wanted_per_m is not None, "what is closed is announced again"
            data = codec.encode_guidance(wanted_per_m, Steering.INTENDED)
        else:
            # A tractor takes steering on the edge from "not intended" only.
            self._to_announce -= say is Say.COMMAND
            data = codec.encode_guidance(self._held_per_m, Steering.NOT_INTENDED)
        return [(self._guidance_id, data)]

    def _drive(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        say = self._speed.say(now_ns, allowed=allowed.accel_mps2 is not None)
        if say is Say.NOTHING:
            return []
        limit_mps = min(allowed.speed_limit_mps, self._limits.speed_max_mps)
        point_mps = 0.0
        if allowed.accel_mps2:
            ahead_mps = allowed.accel_mps2 * self._adapter.speed_horizon_s
            point_mps = min(self._measured_mps + ahead_mps, limit_mps)
        command = SpeedCommand(point_mps, limit_mps, allowed.direction != -1)
        return [(self._speed_id, codec.encode_speed_command(command))]

    def _live(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        if not self._beats.due(now_ns):
            return []
        if allowed.alarmed:
            self._beat = codec.BEAT_ERROR
        elif self._beat > codec.BEAT_FIRST:
            self._beat = codec.BEAT_FIRST
        else:
            self._beat = codec.next_beat(self._beat)
        return [(self._beat_id, codec.encode_beat(self._beat))]


def _signed(wheels: WheelSpeed) -> float | None:
    """Return the signed speed; a standing machine needs no direction."""
    if wheels.speed_mps is None or wheels.speed_mps == 0.0:
        return wheels.speed_mps
    if wheels.forwards is None:
        return None
    return wheels.speed_mps if wheels.forwards else -wheels.speed_mps


def _key_on(wheels: object) -> bool:
    return isinstance(wheels, WheelSpeed) and wheels.key_on is True
