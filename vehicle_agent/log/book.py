"""Writes what the supervisor heard and said into a segment, with what people look at beside it."""

from __future__ import annotations

import json
from typing import Any

from recording import channels
from recording.segment import Segment
from vehicle_agent.log.derive import from_tick


def write_tick(
    segment: Segment, offset_ns: int, heard: bytes, said: bytes
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write one tick; return both parts read.

    Args:
        offset_ns: UTC less monotonic time. heard, said: JSON of core/tape.py.
    """
    inputs, outputs = json.loads(heard), json.loads(said)
    now_ns = inputs["t"]
    utc_ns = now_ns + offset_ns
    segment.write(channels.INPUTS, utc_ns, now_ns, heard)
    segment.write(channels.OUTPUTS, utc_ns, now_ns, said)
    for topic, data in from_tick(inputs, outputs, utc_ns):
        segment.write(topic, utc_ns, now_ns, data)
    return inputs, outputs
