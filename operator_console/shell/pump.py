"""Three tasks that send what the session has ready: commands, stops, and slower messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from operator_console.core.notes import Notes
from operator_console.core.session import ConsoleSession, Outgoing
from operator_console.shell.link import Transport
from protocol.control_peer import CommandPath

POSTED_KEPT = 16
LOOK_AGAIN_S = 0.05
SHORTEST_WAIT_S = 0.005


class DirectPath(Protocol):
    """The data channels: they take a message at once or not at all."""

    def send_command(self, frame: bytes) -> bool:
        """Send a command frame; return whether it left."""
        ...

    def send_stop(self, token: bytes) -> bool:
        """Send a signed stop; return whether it left."""
        ...


class Lane:
    """One message at a time on one line: what comes while it is busy is dropped and counted.

    So a clogged line holds up no other path, and what leaves it next is not old.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._message: Outgoing | None = None
        self._given = asyncio.Event()
        self.dropped = 0

    def offer(self, message: Outgoing) -> bool:
        """Give a message to the line; return whether it was free."""
        if self._message is not None:
            self.dropped += 1
            return False
        self._message = message
        self._given.set()
        return True

    async def run(self) -> None:
        """Send what is given, for ever."""
        while True:
            await self._given.wait()
            self._given.clear()
            assert self._message is not None
            try:
                await self._transport.publish(self._message)
            finally:
                self._message = None


class Pump:
    """Moves messages from the session to the paths; keeps none that is out of date.

    A command goes out on every path that takes it now, with the same bytes. Stops and requests
    have a line of their own, so that neither a slow acknowledgement nor a clogged command line
    delays a stop; a stop goes out on every line and on the data channel.

    Args:
        session: what there is to say. commands: the line for commands.
        words: the line for stops, requests and signals; None: the same one.
        direct: the data channels, where there are any. notes: told of what leaves.
    """

    def __init__(
        self,
        session: ConsoleSession,
        commands: Transport,
        clock_ns: Callable[[], int],
        words: Transport | None = None,
        direct: DirectPath | None = None,
        notes: Notes | None = None,
    ) -> None:
        self._session = session
        self._notes = notes or Notes()
        self._words = words or commands
        self._direct = direct
        self.command_lane = Lane(commands)
        lines = (commands,) if words is None else (words, commands)
        self.stop_lanes = tuple(Lane(line) for line in lines)
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
        async with asyncio.TaskGroup() as group:
            group.create_task(self.command_lane.run(), name="command lane")
            group.create_task(self._command_beat(), name="command beat")

    async def _command_beat(self) -> None:
        while True:
            message = self._session.next_command(self._clock_ns())
            if message is not None:
                self._send_command(message)
            due_s = self._session.command_due_in_ns(self._clock_ns()) / 1e9
            if await _set_within(self._changed, max(due_s, SHORTEST_WAIT_S)):
                await asyncio.sleep(self._session.command_gap_ns(self._clock_ns()) / 1e9)

    def _send_command(self, message: Outgoing) -> None:
        direct = self._direct is not None and self._direct.send_command(message.payload)
        line = self.command_lane.offer(message)
        now_ns = self._clock_ns()
        if direct or line:
            self._session.command_left(now_ns)
        taken = {CommandPath.MQTT: line, CommandPath.DATA_CHANNEL: direct}
        self._notes.sent(now_ns, message.payload, taken)

    async def send_stops(self) -> None:
        """Every pending stop at 20 Hz, for ever."""
        async with asyncio.TaskGroup() as group:
            for lane in self.stop_lanes:
                group.create_task(lane.run(), name="stop lane")
            group.create_task(self._stop_beat(), name="stop beat")

    async def _stop_beat(self) -> None:
        while True:
            message = self._session.next_stop(self._clock_ns())
            if message is not None:
                if self._direct is not None:
                    self._direct.send_stop(message.payload)
                for lane in self.stop_lanes:
                    lane.offer(message)
                self._notes.said(self._clock_ns(), "stop", message.payload)
            await _set_within(self._stop_asked, LOOK_AGAIN_S)

    async def send_slow(self) -> None:
        """Requests and session descriptions, one after the other, for ever."""
        while True:
            message = self._session.next_request(self._clock_ns())
            if message is not None:
                self._notes.said(self._clock_ns(), "request", message.payload)
                await self._words.publish(message)
            while self._posted:
                await self._words.publish(self._posted.popleft())
            await _set_within(self._posted_any, LOOK_AGAIN_S)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event was set within the time; clears it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    was_set = event.is_set()
    event.clear()
    return was_set
