"""The fields of a command frame by name, as logs show them; nothing is proven here."""

from __future__ import annotations

import struct

from protocol.frames import COMMAND_BYTES

_COMMAND = struct.Struct("<BBHIHHIIIIQQQhHHbBHh8x16x")
"""The command frame of design 4.2; whether it counts says the verdict."""
_NAMES = (
    *("version", "kind", "flags", "vehicle_id", "key_id", "ttl_ms", "epoch", "sequence"),
    *("boot_tag", "echo_hold_us", "source_stamp_us", "echo_stamp_us", "view_stamp_us"),
    *("steer", "throttle", "brake", "gear", "camera", "view_age_ms", "implement"),
)


def command_fields(frame: bytes) -> dict[str, int]:
    """Return the fields of a command frame by name, unproven; nothing of another length."""
    if len(frame) != COMMAND_BYTES:
        return {}
    return dict(zip(_NAMES, _COMMAND.unpack(frame), strict=True))
