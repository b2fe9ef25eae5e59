"""Translates what is allowed into J1939: TSC1 for traction and retarder, XBR, TC1.

Steering, park brake and lights go by HF-DBW rows to the retrofit's module: J1939 has no frame for
a steering command that is in use. Speed has no sign on J1939: it is taken from the engaged gear.
"""

from __future__ import annotations

import math

from protocol.adapters import J1939Adapter
from protocol.dbw.codec import BrakeCommand, ExitReason, Message, SteerCommand
from protocol.dbw.matrix import BRAKE_CMD, STEER_CMD, STEER_FB, FrameSpec
from protocol.j1939 import codec
from protocol.j1939.codec import (
    BrakeDemand,
    BrakeMode,
    BrakePedal,
    EngineCommand,
    OverrideMode,
    VehicleSpeed,
)
from protocol.j1939.ids import Id, parse_id
from protocol.profiles import MachineLimits
from vehicle_agent.core.adapted import Allowed, Rows, Told
from vehicle_agent.core.bywire import RATE_LIMIT_MAX
from vehicle_agent.core.channel import Channel, Cycle, Say

TSC1_PERIOD_MS, RETARDER_PERIOD_MS = 10, 50
XBR_PERIOD_MS, TC1_PERIOD_MS = 20, 50
PRIORITY = 3
TIMEOUTS_MS = {codec.EEC1: 100, codec.CCVS1: 300, codec.EBC1: 300, codec.ETC2: 300}
"""Five periods of 20 ms, three of 100 ms."""
PEDAL_SHARE = 0.048
"""The brake pedal counts as pressed by somebody beyond this: twelve counts of EBC1."""


class Tsc1Sender:
    """TSC1 to one receiver: its counter, and its frames of command and closing."""

    def __init__(self, adapter: J1939Adapter, destination: int, period_ms: int) -> None:
        self._adapter = adapter
        self.can_id = Id(PRIORITY, codec.TSC1, adapter.address, destination).encode()
        self._channel = Channel(period_ms, adapter.closing_frames)
        self._counter = 0

    def frames(self, now_ns: int, torque_share: float | None) -> list[tuple[int, bytes]]:
        """Return the frame that is due; None closes the command."""
        say = self._channel.say(now_ns, allowed=torque_share is not None)
        if say is Say.NOTHING:
            return []
        command = EngineCommand(OverrideMode.OFF)
        if say is Say.COMMAND:
            command = EngineCommand(OverrideMode.TORQUE, torque_share=torque_share)
        variant = self._adapter.tsc1_checksum
        data = codec.encode_tsc1(self.can_id, command, self._counter, variant)
        self._counter = (self._counter + 1) % codec.TSC1_COUNTERS
        return [(self.can_id, data)]


class J1939Translator:
    """One truck's.

    Args:
        adapter: of the machine file. limits: what full torque and rates mean.
    """

    rows: tuple[FrameSpec, ...] = (STEER_FB,)

    def __init__(self, adapter: J1939Adapter, limits: MachineLimits) -> None:
        self._adapter, self._limits = adapter, limits
        self._rows = Rows(
            TIMEOUTS_MS,
            {
                codec.EEC1: adapter.engine,
                codec.CCVS1: adapter.brakes,
                codec.EBC1: adapter.brakes,
                codec.ETC2: adapter.transmission,
            },
        )
        self._engine = Tsc1Sender(adapter, adapter.engine, TSC1_PERIOD_MS)
        self._retarder = (
            None
            if adapter.retarder is None
            else Tsc1Sender(adapter, adapter.retarder, RETARDER_PERIOD_MS)
        )
        self._xbr_id = Id(PRIORITY, codec.XBR, adapter.address, adapter.brakes).encode()
        self._xbr = Channel(XBR_PERIOD_MS, adapter.closing_frames)
        self._xbr_counter = 0
        self._tc1_id = Id(PRIORITY, codec.TC1, adapter.address, adapter.transmission).encode()
        self._tc1 = Cycle(TC1_PERIOD_MS)
        self._travel = 1
        rate = round(limits.curvature_rate_per_m_s * 1000)
        self._rate_limit = min(max(1, rate), RATE_LIMIT_MAX)

    def take(self, now_ns: int, can_id: int, data: bytes) -> bool:
        """Take a frame; False when it is none of these.

        Raises:
            DbwError: it is one, and bad.
        """
        group = parse_id(can_id)
        if not self._rows.mine(group.pgn, group.source):
            return False
        if group.pgn == codec.EEC1:
            engine = codec.decode_eec1(data)
            self._rows.keep(now_ns, group.pgn, None if engine.speed_rpm is None else engine)
        elif group.pgn == codec.CCVS1:
            self._rows.keep(now_ns, group.pgn, codec.decode_ccvs1(data))
        elif group.pgn == codec.EBC1:
            self._rows.keep(now_ns, group.pgn, codec.decode_ebc1(data))
        else:
            gear = codec.decode_etc2(data)
            self._rows.keep(now_ns, group.pgn, gear)
            self._travel = _sign(gear or 0) or self._travel
        return True

    def told(self, now_ns: int) -> Told:
        """Return what is known."""
        speed, pedal = self._rows.get(now_ns, codec.CCVS1), self._rows.get(now_ns, codec.EBC1)
        gear, runs = self._rows.get(now_ns, codec.ETC2), self._rows.get(now_ns, codec.EEC1)
        if (
            not isinstance(speed, VehicleSpeed)
            or not isinstance(pedal, BrakePedal)
            or not isinstance(gear, int)
            or runs is None
        ):
            return Told(False, False, False, ExitReason.CLEAR, None, None, None, None)
        magnitude = speed.speed_mps
        return Told(
            whole=magnitude is not None and pedal.pedal_share is not None,
            ready=pedal.ebs_switch is True,
            overridden=(pedal.pedal_share or 0.0) > PEDAL_SHARE,
            exit_reason=ExitReason.CLEAR,
            speed_mps=None if magnitude is None else self._travel * magnitude,
            curvature_per_m=None,
            gear=_sign(gear),
            park_applied=speed.park_applied,
        )

    def frames(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        """Return the frames due now: brakes first."""
        out = self._brake(now_ns, allowed)
        out += self._engine.frames(now_ns, self._torque_share(allowed))
        if self._retarder is not None:
            retards = allowed.retarder if allowed.retarder > 0.0 else None
            share = None if retards is None else -min(retards, 1.0)
            out += self._retarder.frames(now_ns, share)
        if allowed.direction is not None and self._tc1.due(now_ns):
            out.append((self._tc1_id, codec.encode_tc1(allowed.direction)))
        return out

    def auxiliary(self, allowed: Allowed) -> tuple[tuple[FrameSpec, Message], ...]:
        """Steering and park brake; the service brake is XBR's."""
        curvature_per_m, valid = allowed.curvature_per_m, allowed.curvature_per_m is not None
        steer = SteerCommand(curvature_per_m or 0.0, self._rate_limit if valid else 0, valid)
        park = BrakeCommand(decel_mps2=0.0, park=allowed.park, retarder=0.0)
        return ((STEER_CMD, steer), (BRAKE_CMD, park))

    def _torque_share(self, allowed: Allowed) -> float | None:
        if allowed.accel_mps2 is None:
            return None
        share = min(allowed.accel_mps2 / self._limits.accel_max_mps2, 1.0)
        return share * self._adapter.torque_full_share

    def _brake(self, now_ns: int, allowed: Allowed) -> list[tuple[int, bytes]]:
        say = self._xbr.say(now_ns, allowed=not allowed.at_rest, at_once=allowed.hurry)
        if say is Say.NOTHING:
            return []
        demand = BrakeDemand(BrakeMode.OFF)
        if say is Say.COMMAND and allowed.brake_mps2 > 0.0:
            demand = BrakeDemand(self._adapter.xbr_mode, allowed.brake_mps2)
        data = codec.encode_xbr(self._xbr_id, demand, self._xbr_counter)
        self._xbr_counter = (self._xbr_counter + 1) % codec.XBR_COUNTERS
        return [(self._xbr_id, data)]


def _sign(value: int) -> int:
    return 0 if value == 0 else round(math.copysign(1, value))
