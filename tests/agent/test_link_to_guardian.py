"""What the link hands to the guardian: a request is not lost because commands fill the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.topics import Topics
from sim import demo
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import load_agent_config
from vehicle_agent.shell.link import STOP_BURST, Link

TOPICS = Topics(demo.SITE_ID, demo.VEHICLE_ID)


@pytest.fixture
def guardian(tmp_path: Path) -> Iterator[ipc.Mailbox]:
    made = ipc.Mailbox(tmp_path, ipc.GUARDIAN)
    yield made
    made.close()


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[ipc.Mailbox]:
    made = ipc.Mailbox(tmp_path, ipc.LINK)
    yield made
    made.close()


@pytest.fixture
def link(tmp_path: Path, mailbox: ipc.Mailbox) -> Link:
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(tmp_path, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    return Link(load_agent_config(plan.agent_config), mailbox)


async def test_request_while_commands_fill_the_socket__arrives_once_the_guardian_reads(
    guardian: ipc.Mailbox, mailbox: ipc.Mailbox, link: Link
) -> None:
    while mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_COMMAND + b"\0"):
        pass
    link._to_machine(TOPICS.req("console-1"), b"please", retained=False)
    while guardian.receive() is not None:
        pass
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(guardian.fileno(), readable.set)

    await readable.wait()

    asyncio.get_running_loop().remove_reader(guardian.fileno())
    assert guardian.receive() == ipc.with_name(ipc.TO_GUARDIAN_REQUEST, "console-1", b"please")


async def test_flood_of_stops_by_one__anothers_stop_is_handed_on(
    guardian: ipc.Mailbox, link: Link
) -> None:
    for _ in range(100):
        link._to_machine(TOPICS.stop("console-1"), b"flood", retained=False)
    link._to_machine(TOPICS.stop("console-2"), b"stop", retained=False)

    handed_on = list(iter(guardian.receive, None))
    assert handed_on[-1] == ipc.with_name(ipc.TO_GUARDIAN_STOP, "console-2", b"stop")
    assert len(handed_on) <= STOP_BURST + 3


async def test_flood_of_commands_by_one__anothers_stop_is_handed_on(
    guardian: ipc.Mailbox, link: Link
) -> None:
    handed_on = []
    for _ in range(10):
        for _ in range(1000):
            link._to_machine(TOPICS.cmd("console-1"), b"flood", retained=False)
        handed_on += list(iter(guardian.receive, None))
    link._to_machine(TOPICS.stop("console-2"), b"stop", retained=False)

    assert guardian.receive() == ipc.with_name(ipc.TO_GUARDIAN_STOP, "console-2", b"stop")
    assert len(handed_on) < 1000
    assert link._commands.dropped["console-1"] > 9000
