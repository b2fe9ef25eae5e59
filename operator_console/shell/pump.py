"""Three tasks that send what the session has ready: commands, stops, and slower messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from operator_console.core.session import ConsoleSession, Outgoing
from operator_console.shell.link import Transport

POSTED_KEPT = 16
LOOK_AGAIN_S = 0.05
SHORTEST_WAIT_S = 0.005


class Pump:
    """Moves messages from the session to the transport; keeps none that is out of date.

    A command that the socket has not taken yet holds the next one back, which is then built
    afresh: the newest always wins. Stops and requests have tasks of their own, so that a slow
    acknowledgement never delays a stop.
    """

    def __init__(
        self, session: ConsoleSession, transport: Transport, clock_ns: Callable[[], int]
    ) -> None:
        self._session = session
        self._transport = transport
        self._clock_ns = clock_ns
        self._changed = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._posted_any = asyncio.Event()
        self._posted: deque[Outgoing] = deque(maxlen=POSTED_KEPT)

    def changed(self) -> None:
        """The driver's input changed: look at once."""
        self._changed.set()

    def acted(self) -> None:
        """The driver asked for an action: look at once."""
        self._changed.set()
        self._stop_asked.set()
        self._posted_any.set()

    def post(self, message: Outgoing) -> None:
        """Send a slow message in its turn."""
        self._posted.append(message)
        self._posted_any.set()

    def forget_posted(self) -> None:
        """The link went: nothing waits for the next one."""
        self._posted.clear()

    async def send_commands(self) -> None:
        """At once on change and at 50 Hz in any case, for ever."""
        while True:
            message = self._session.next_command(self._clock_ns())
            if message is not None:
                await self._transport.publish(message)
            due_s = self._session.command_due_in_ns(self._clock_ns()) / 1e9
            if await _set_within(self._changed, max(due_s, SHORTEST_WAIT_S)):
                await asyncio.sleep(self._session.command_gap_ns(self._clock_ns()) / 1e9)

    async def send_stops(self) -> None:
        """Every pending stop at 20 Hz, for ever."""
        while True:
            message = self._session.next_stop(self._clock_ns())
            if message is not None:
                await self._transport.publish(message)
            await _set_within(self._stop_asked, LOOK_AGAIN_S)

    async def send_slow(self) -> None:
        """Requests and session descriptions, one after the other, for ever."""
        while True:
            message = self._session.next_request(self._clock_ns())
            if message is not None:
                await self._transport.publish(message)
            while self._posted:
                await self._transport.publish(self._posted.popleft())
            await _set_within(self._posted_any, LOOK_AGAIN_S)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event was set within the time; clears it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    was_set = event.is_set()
    event.clear()
    return was_set
