"""``headframe link-test`` with a cockpit's settings: measures the link to the machine's side."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from operator_console.core.link_plot import page, picture
from operator_console.core.link_test import LinkTest, report
from operator_console.core.session import Outgoing
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.config import ConsoleSettings, Keys, load_keys, load_settings
from operator_console.shell.control_peer import ControlPath
from operator_console.shell.link import MqttLink
from protocol.frames import vehicle_id
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics

PERIOD_NS = DEFAULT_TIMING.command_period_ms * 1_000_000
ANSWER_WITHIN_S = 15.0
OTHERS_WITHIN_S = 6.0
"""A data channel opens within some round trips; without it the rest is measured."""
LOOK_S = 0.1
SETTLE_S = 1.0

Heard = Callable[[bytes], None]


class LinkTestError(RuntimeError):
    """Raised when nothing can be measured; one line for a person."""


class Way(Protocol):
    """One way between cockpit and machine.

    Attributes:
        name: for people.
    """

    name: str

    async def run(self, heard: Heard) -> None:
        """Keep it up until cancelled; hand over what comes."""
        ...

    async def send(self, data: bytes) -> bool:
        """Send now or not at all; return whether it left."""
        ...


class MqttPath:
    """The configured broker, as a drive uses it: the console's own link and topics."""

    name = "mqtt"

    def __init__(self, settings: ConsoleSettings) -> None:
        seat = settings.console
        self._topics = Topics(seat.site, seat.vehicle)
        self._operator = seat.operator
        self._link = MqttLink(settings.mqtt, seat.operator)

    async def run(self, heard: Heard) -> None:
        """Hear what the machine's side says in the place of its state."""
        wanted = ((self._topics.state, 0),)
        await self._link.run(wanted, lambda _, data: heard(data), lambda _: None)

    async def send(self, data: bytes) -> bool:
        """Send in the place of a command."""
        return await self._link.publish(Outgoing(self._topics.cmd(self._operator), data, 0))


def _left_alone(_data: bytes) -> None:
    """Take what comes before anyone listens."""


class DataChannelPath:
    """The control peer beside the broker, as a drive uses it; its signals go by the broker."""

    name = "channel"

    def __init__(self, settings: ConsoleSettings, keys: Keys) -> None:
        seat = settings.console
        addresses = () if settings.control_peer is None else settings.control_peer.ice_addresses
        topics = Topics(seat.site, seat.vehicle)
        self._signal = topics.signal(seat.operator)
        self._words = MqttLink(settings.mqtt, seat.operator)
        self._words_up = False
        self._posted: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._heard: Heard = _left_alone
        self._direct = ControlPath(
            seat.operator,
            topics,
            keys.device,
            keys.trust,
            addresses,
            post=self._post,
            on_state=self._hear,
            on_change=lambda _up: None,
        )

    def _hear(self, data: bytes) -> None:
        self._heard(data)

    async def run(self, heard: Heard) -> None:
        """Keep a peer up, and hear what it brings."""
        self._heard = heard
        async with asyncio.TaskGroup() as group:
            signals = ((self._signal, 1),)
            hear = self._direct.hear_signal
            group.create_task(
                self._words.run(signals, lambda _, data: hear(data), self._words_changed)
            )
            group.create_task(self._post_all())
            group.create_task(self._direct.run())

    async def send(self, data: bytes) -> bool:
        """Send in the place of a command."""
        return self._direct.send_command(data)

    def _words_changed(self, up: bool) -> None:
        self._words_up = up

    def _post(self, message: Outgoing) -> bool:
        if self._words_up:
            self._posted.put_nowait(message)
        return self._words_up

    async def _post_all(self) -> None:
        while True:
            await self._words.publish(await self._posted.get())


def paths_of(settings: ConsoleSettings) -> tuple[Way, ...]:
    """Return the paths that the settings have.

    Raises:
        ValueError: the keys that the second one needs are not there or not right.
    """
    mqtt = MqttPath(settings)
    if settings.control_peer is None:
        return (mqtt,)
    return (mqtt, DataChannelPath(settings, load_keys(settings)))


async def _on_grid(act: Callable[[], Awaitable[None]]) -> None:
    """Act each 20 ms for ever; a slot that was missed is skipped."""
    due_ns = monotonic_ns()
    while True:
        await act()
        due_ns = max(due_ns + PERIOD_NS, monotonic_ns())
        await asyncio.sleep((due_ns - monotonic_ns()) / 1e9)


async def _speak(test: LinkTest, paths: tuple[Way, ...]) -> None:
    async def act() -> None:
        probe = test.probe(monotonic_ns())
        left = await asyncio.gather(*(path.send(probe) for path in paths))
        for number, gone in enumerate(left):
            test.sent(number, left=gone)

    await _on_grid(act)


async def measure(
    paths: tuple[Way, ...], vehicle: str, seconds: float, begun: Callable[[], None]
) -> tuple[LinkTest, dict[str, Any]]:
    """Measure for ``seconds`` from the moment that the machine's side answers.

    Raises:
        LinkTestError: nobody answers.
    """
    names = tuple(path.name for path in paths)
    test = LinkTest(names, vehicle_id(vehicle), _number(), DEFAULT_TIMING)

    def hear(number: int) -> Heard:
        return lambda data: test.hear(monotonic_ns(), number, data)

    work = [asyncio.create_task(path.run(hear(n)), name=path.name) for n, path in enumerate(paths)]
    work.append(asyncio.create_task(_speak(test, paths), name="speak"))
    try:
        await _until_answered(test, vehicle)
        await asyncio.sleep(SETTLE_S)
        test.begin(monotonic_ns(), _number())
        begun()
        await asyncio.sleep(seconds)
        return test, test.result(monotonic_ns())
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def _until_answered(test: LinkTest, vehicle: str) -> None:
    """Wait for an answer, and then a little for the paths that none has come by yet."""
    if await _within(ANSWER_WITHIN_S, lambda: test.answered):
        await _within(OTHERS_WITHIN_S, lambda: test.answered_everywhere)
        return
    if test.machine_is_live:
        raise LinkTestError(
            f"{vehicle} is in service on this broker and answers no test; on the machine end the "
            "agent, and run: headframe link-test --config AGENT_FILE"
        )
    raise LinkTestError(
        f"nobody answers for {vehicle} within {ANSWER_WITHIN_S:g} s; on the machine, with the "
        "agent ended, run: headframe link-test --config AGENT_FILE"
    )


async def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    for _ in range(round(seconds / LOOK_S)):
        if holds():
            return True
        await asyncio.sleep(LOOK_S)
    return holds()


def _number() -> int:
    return 1 + secrets.randbelow(0xFFFF_FFFF)


def run(config: Path, seconds: float, as_json: bool, plot: Path | None) -> int:
    """Measure, print and draw.

    Raises:
        LinkTestError, OSError, ValueError: one line for a person.
    """
    settings = load_settings(config)
    seat = settings.console
    if plot is not None:
        plot.touch()  # a path that cannot be written is said before the minutes of measuring

    def begun() -> None:
        sys.stderr.write(f"headframe: {seat.vehicle} answers; measuring for {seconds:g} s\n")

    paths = paths_of(settings)
    test, result = asyncio.run(measure(paths, seat.vehicle, seconds, begun))
    title = f"Link test: {seat.operator} to {seat.vehicle} at {seat.site}"
    if plot is not None:
        drawn = (result["seconds"], test.samples, test.marks)
        svg = plot.suffix == ".svg"
        text = picture(*drawn) if svg else page(title, result, test.samples, test.marks)
        plot.write_text(text, encoding="utf-8")
    sys.stdout.write((json.dumps(result) if as_json else f"{title}\n{report(result)}") + "\n")
    return 0
