"""How the processes of a chain talk to the conductor: one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


def say(content: dict[str, Any]) -> None:
    """Send one object to the conductor."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


async def hear() -> dict[str, Any] | None:
    """Return the conductor's next object; None when it has closed the line."""
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None
