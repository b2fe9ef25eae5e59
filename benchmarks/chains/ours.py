"""Our receiver as a process: the console's headless viewer, one camera.

python -m benchmarks.chains.ours
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks.chains.lines import hear, say
from operator_console.shell.viewer import HeadlessViewer, ViewedFrame
from vehicle_agent.shell import clock


async def receive() -> None:
    """Offer to receive; give every picture's capture stamp and the time when it was there."""
    seen: list[tuple[int, int]] = []

    def on_frame(frame: ViewedFrame) -> None:
        seen.append((frame.capture_stamp_us, clock.monotonic_us()))

    async with HeadlessViewer(on_frame, ice_addresses=("127.0.0.1",)) as viewer:
        say({"sdp": await viewer.offer()})
        answer = await hear()
        assert answer is not None
        await viewer.accept(answer["sdp"])
        await hear()
        say({"seen": seen, "nacks": viewer.nacks, "key_requests": viewer.key_requests})


if __name__ == "__main__":
    sys.exit(asyncio.run(receive()))
