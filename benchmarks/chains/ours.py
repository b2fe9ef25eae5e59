"""Our receiver as a process: the console's headless viewer.

python -m benchmarks.chains.ours --cameras N [--last N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import deque

from benchmarks.chains.lines import hear, say
from operator_console.shell.picture_peer import ViewedFrame
from operator_console.shell.viewer import HeadlessViewer
from vehicle_agent.shell import clock


async def receive(cameras: int, last: int | None) -> None:
    """Offer to receive; give the front pictures' capture stamps and the times of their coming.

    And how many pictures of all cameras had been decoded by then only to make way for a newer one.
    Of the `last` pictures only, None of all.
    """
    seen: deque[tuple[int, int, int]] = deque(maxlen=last)

    def on_frame(frame: ViewedFrame) -> None:
        if frame.camera == 0:
            seen.append((frame.capture_stamp_us, clock.monotonic_us(), viewer.skipped))

    async with HeadlessViewer(on_frame, range(cameras), ("127.0.0.1",)) as viewer:
        say({"sdp": await viewer.offer()})
        answer = await hear()
        assert answer is not None
        await viewer.accept(answer["sdp"])
        await hear()
        say({"seen": list(seen), "nacks": viewer.nacks, "key_requests": viewer.key_requests})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--last", type=int)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(receive(arguments.cameras, arguments.last)))
