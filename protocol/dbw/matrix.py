"""The by-wire matrix HF-DBW v1: each frame's id, length, period, time-out and DataID list.

``configs/dbc/headframe_dbw_v1.dbc`` is the source; tests hold this table to it. Ids are 29-bit,
J1939 Proprietary B, source address 0x80 (agent) or 0x81 (ECU).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

AGENT_ADDRESS = 0x80
ECU_ADDRESS = 0x81
DATA_BYTES = 8
COUNTER_STATES = 16
BURST_WINDOW_MS = 250
"""More than 1.2 times the nominal number of frames in this time is a burst."""


class Direction(Enum):
    """Who sends a frame."""

    TO_ECU = "agent to ECU"
    TO_AGENT = "ECU to agent"


@dataclass(frozen=True, slots=True, eq=False)
class FrameSpec:
    """One row of the matrix; there is one object per row, compared by identity.

    Attributes:
        name: as in the DBC.
        can_id: 29-bit identifier.
        dlc: data bytes.
        period_ms: nominal cycle.
        rx_timeout_ms: age above which the receiver treats the frame as lost; None: no duty.
        data_ids: DataID by counter (E2E profile 2); None: the frame carries no protection.
        direction: who sends it.
        max_delta: largest counter step that still counts as the same sequence.
        window_frames: most frames that fit :data:`BURST_WINDOW_MS` at 1.2 times the nominal rate.
    """

    name: str
    can_id: int
    period_ms: int
    rx_timeout_ms: int | None
    data_ids: bytes | None
    direction: Direction
    max_delta: int
    window_frames: int
    dlc: int = DATA_BYTES

    @property
    def pgn(self) -> int:
        """J1939 parameter group number: the id without priority and source address."""
        return pgn_of(self.can_id)


def pgn_of(can_id: int) -> int:
    """Return the parameter group number of a 29-bit broadcast (PDU2) id."""
    return (can_id >> 8) & 0x3FFFF


def _data_ids(can_id: int) -> bytes:
    """Return the DataID list of a frame.

    37 is odd, so that at every counter no two frames share a DataID and content under another
    frame's id never passes; 101 is odd, so that no two counters of one frame share one.
    """
    group = (can_id >> 8) & 0xFF
    return bytes((37 * group + 101 * counter + 11) % 256 for counter in range(COUNTER_STATES))


def _row(
    name: str,
    can_id: int,
    period_ms: int,
    rx_timeout_ms: int | None,
    *,
    max_delta: int = 2,
    protected: bool = True,
) -> FrameSpec:
    sender = can_id & 0xFF
    return FrameSpec(
        name=name,
        can_id=can_id,
        period_ms=period_ms,
        rx_timeout_ms=rx_timeout_ms,
        data_ids=_data_ids(can_id) if protected else None,
        direction=Direction.TO_ECU if sender == AGENT_ADDRESS else Direction.TO_AGENT,
        max_delta=max_delta,
        window_frames=max(2, 12 * BURST_WINDOW_MS // (10 * period_ms)),
    )


SUP_CMD = _row("SUP_CMD", 0x04FF1080, 10, 50, max_delta=3)
STEER_CMD = _row("STEER_CMD", 0x08FF1280, 10, 50, max_delta=3)
DRIVE_CMD = _row("DRIVE_CMD", 0x08FF1180, 20, 100)
BRAKE_CMD = _row("BRAKE_CMD", 0x04FF1380, 20, 100)
BODY_CMD = _row("BODY_CMD", 0x10FF1480, 100, 500)
ECU_STATE = _row("ECU_STATE", 0x04FF2081, 20, 100)
SAFETY_IO = _row("SAFETY_IO", 0x04FF2681, 20, 100)
STEER_FB = _row("STEER_FB", 0x0CFF2181, 10, 50)
DRIVE_FB = _row("DRIVE_FB", 0x0CFF2281, 20, 100)
BRAKE_FB = _row("BRAKE_FB", 0x0CFF2381, 20, 100)
MOTION = _row("MOTION", 0x0CFF2481, 20, 200)
BODY_FB = _row("BODY_FB", 0x18FF2581, 100, 500)
ECHO = _row("ECHO", 0x18FF2881, 10, None, protected=False)
E2E_STAT = _row("E2E_STAT", 0x18FF2781, 1000, None)

FRAMES: tuple[FrameSpec, ...] = (
    SUP_CMD,
    STEER_CMD,
    DRIVE_CMD,
    BRAKE_CMD,
    BODY_CMD,
    ECU_STATE,
    SAFETY_IO,
    STEER_FB,
    DRIVE_FB,
    BRAKE_FB,
    MOTION,
    BODY_FB,
    ECHO,
    E2E_STAT,
)

BY_ID: dict[int, FrameSpec] = {spec.can_id: spec for spec in FRAMES}

COMMANDS: tuple[FrameSpec, ...] = (SUP_CMD, STEER_CMD, DRIVE_CMD, BRAKE_CMD, BODY_CMD)
"""The agent's frames; their order is the order of ECU_STATE's time-out bits and of E2E_STAT."""

FEEDBACK: tuple[FrameSpec, ...] = tuple(s for s in FRAMES if s.direction is Direction.TO_AGENT)
