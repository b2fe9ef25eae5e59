"""What both ends of the control peer connection agree on: its paths, channels and beat.

Two WebRTC data channels on a peer connection of their own, both unordered and without any
retransmission. Binary messages on the control channel are command frames up and state frames
down, byte for byte those of MQTT; a beat of one byte says that the path lives while there is no
state. The stop channel carries signed stops, so that no command waits before one.
"""

from __future__ import annotations

from enum import IntEnum

from protocol.messages import Role

CONTROL_CHANNEL = "control"
STOP_CHANNEL = "stop"
BEAT = b"\x00"
BEAT_PERIOD_S = 0.25
"""Three beats are missed before a console holds the path for lost."""
MAY_OPEN = frozenset({Role.DRIVER, Role.SUPERVISOR, Role.STOP_ONLY})
"""Roles that have something to say to a machine: commands, requests or stops."""


class CommandPath(IntEnum):
    """The two ways a command may come."""

    MQTT = 0
    DATA_CHANNEL = 1
