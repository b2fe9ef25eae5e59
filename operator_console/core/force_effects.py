"""Force effects as the kernel takes them: ``struct ff_effect`` of a 64-bit kernel.

Every effect lasts for a moment only and must be played again: a process that hangs with the
device open leaves no force behind for longer than that. Format: Linux
``include/uapi/linux/input.h``; direction 0x4000 is to the left.
"""

from __future__ import annotations

import struct

from operator_console.core.force import FF_CONSTANT, FF_SPRING, Pull

HEAD = struct.Struct("@HhHHHHH2x")
"""Type, id, direction, trigger (2), replay length and delay in ms."""
CONSTANT = struct.Struct("@hHHHH22x")
CONDITION = struct.Struct("@HHhhHh")
EFFECT_BYTES = 48
LEFT = 0x4000
NEW_ID = -1
LASTS_MS = 200
LEVEL_MAX = 0x7FFF
GAIN_MAX = 0xFFFF


def constant_effect(effect_id: int, pull: Pull, *, reversed_: bool = False) -> bytes:
    """Return a constant force; ``reversed_`` for a device that pushes the other way."""
    level = round(max(-1.0, min(1.0, pull.level)) * LEVEL_MAX)
    head = HEAD.pack(FF_CONSTANT, effect_id, LEFT, 0, 0, LASTS_MS, 0)
    return head + CONSTANT.pack(-level if reversed_ else level, 0, 0, 0, 0)


def spring_effect(effect_id: int, pull: Pull, *, reversed_: bool = False) -> bytes:
    """Return a spring whose rest is where the machine's steering is.

    A device's own axis counts to the right, its spring's centre with it.
    """
    centre = round(max(-1.0, min(1.0, pull.centre)) * LEVEL_MAX)
    strength = round(max(0.0, min(1.0, pull.strength)) * LEVEL_MAX)
    head = HEAD.pack(FF_SPRING, effect_id, LEFT, 0, 0, LASTS_MS, 0)
    one = CONDITION.pack(
        2 * strength, 2 * strength, strength, strength, 0, centre if reversed_ else -centre
    )
    return head + one + CONDITION.pack(0, 0, 0, 0, 0, 0) + bytes(8)


def gain(share: float) -> int:
    """Return the value of an FF_GAIN or FF_AUTOCENTER event for a share of the full force."""
    return round(max(0.0, min(1.0, share)) * GAIN_MAX)


def effect_id_of(effect: bytes | bytearray) -> int:
    """Return the id that the kernel wrote into an effect."""
    return int(HEAD.unpack_from(effect)[1])
