"""The input process as a process: however it ends, the machine is told that enable is off."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from operator_console.core.desk import Fault, Feedback
from operator_console.core.desk_line import decode_snapshot
from operator_console.shell import desk_process, inputd, web
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.config import DeskSettings
from operator_console.shell.desk_config import load_desk
from operator_console.shell.desk_process import DeskProcess, Ends, inputd_command
from operator_console.shell.inputd import InputProcess
from operator_console.shell.line_process import line_pair
from operator_console.shell.web import Console
from protocol.frames import CommandFrame, CommandKind
from protocol.state import VehicleMode
from tests.console.desk_rig import WHEEL_DESK
from tests.console.fakes import (
    CLOCK_AHEAD_US,
    OPERATOR,
    TOPICS,
    FakeVehicle,
    MemoryTransport,
    console_keys,
    console_settings,
    still_runs,
    view_message,
)
from tests.console.test_desk_config import written

PIPED = (sys.executable, "-m", "tests.console.piped_inputd")


class DrivenRig:
    """A console with a real input process, an armed vehicle, and a picture on its screen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.happened = asyncio.Event()
        monkeypatch.setattr(web, "inputd_command", lambda *_, **__: PIPED)
        monkeypatch.setattr(web, "DeskProcess", self.desk_process)
        self.vehicle = FakeVehicle()
        desk = DeskSettings.model_validate({"file": "unused"})
        settings = console_settings(simulated=False).model_copy(update={"desk": desk})
        self.console = Console(settings, console_keys(self.vehicle), {}, "", MemoryTransport())
        self.console.link_changed(True)
        self.console.words_changed(True)
        self.session = self.console.session
        self.lease()

    def desk_process(self, command: Sequence[str], *calls: Callable[..., Any]) -> DeskProcess:
        """Return the console's end of the line; each of its calls counts as an event."""
        return DeskProcess(command, *(self.noted(call) for call in calls))

    def noted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted_call(*args: Any) -> Any:
            self.happened.set()
            return call(*args)

        return noted_call

    def lease(self) -> None:
        now_ns = monotonic_ns()
        self.console.hear(TOPICS.authority, self.vehicle.authority())
        self.session.act("lease", now_ns)
        message = self.session.next_request(now_ns)
        assert message is not None
        self.console.hear(TOPICS.ack(OPERATOR), self.vehicle.grant(self.vehicle.request(message)))

    def command(self) -> CommandFrame:
        """Let a state and a picture come; return the next command."""
        message = None
        while message is None:
            vehicle_us = monotonic_ns() // 1000 + CLOCK_AHEAD_US
            state = self.vehicle.state_frame(
                vehicle_us, mode=VehicleMode.ARMED, steer_measured=0.0, speed_mps=0.0
            )
            self.console.hear(TOPICS.state, state)
            self.session.driver_view(view_message(1, vehicle_us), monotonic_ns())
            message = self.session.next_command(monotonic_ns())
        return self.vehicle.command(message)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the console work until something holds; ask at each call of its desk."""
        while not holds():
            self.happened.clear()
            await self.happened.wait()

    def open_gate(self) -> None:
        """Enable has been seen open since control was taken."""
        self.command()
        self.session.gate._released = True

    @asynccontextmanager
    async def driven(self) -> AsyncIterator[DeskProcess]:
        """The process runs, and its enable went out at 60 % throttle, in ``went_out``."""
        assert self.console.desk is not None
        task = asyncio.create_task(self.console.desk.run())

        def goes_out() -> bool:
            self.open_gate()
            self.went_out = self.command()
            return self.went_out.enable

        await self.until(goes_out)
        yield self.console.desk
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> DrivenRig:
    return DrivenRig(monkeypatch)


def pid_of(process: DeskProcess) -> int:
    assert process.pid is not None
    return process.pid


async def test_input_process_killed_at_60_percent__enable_is_off_at_the_machine(
    rig: DrivenRig,
) -> None:
    async with rig.driven() as process:
        before = rig.went_out
        os.kill(pid_of(process), signal.SIGKILL)
        await rig.until(lambda: not rig.command().enable)
        after = rig.command()

    assert (before.enable, before.throttle) == (True, 6000)
    assert (after.kind, after.enable, after.neutral) == (CommandKind.PARKED, False, False)
    assert after.throttle == 0


async def test_input_process_paused__enable_is_off_at_the_machine(rig: DrivenRig) -> None:
    async with rig.driven() as process:
        pid = pid_of(process)
        os.kill(pid, signal.SIGSTOP)
        await rig.until(lambda: not rig.command().enable)
        neutral = rig.command().neutral
        os.kill(pid, signal.SIGCONT)

    assert not neutral


async def test_input_process_killed__another_one_is_started_and_must_prove_itself(
    rig: DrivenRig,
) -> None:
    async with rig.driven() as process:
        first = pid_of(process)
        os.kill(first, signal.SIGKILL)
        await rig.until(lambda: rig.session.driver(monotonic_ns()) is None)
        await rig.until(lambda: process.pid not in (None, first))
        await rig.until(lambda: rig.session.driver(monotonic_ns()) is not None)
        driver = rig.session.driver(monotonic_ns())

    assert driver is not None
    assert driver.unproven
    assert not driver.enable


async def test_console_gone__its_input_process_ends(rig: DrivenRig) -> None:
    async with rig.driven() as process:
        pid = pid_of(process)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("ends_s", "too_often"),
    [
        ([0, 15, 30, 45, 60], [False, False, False, False, True]),
        ([0, 15, 30, 45, 60.1], [False] * 5),
        ([0, 1, 2, 3, 4, 65, 66], [False] * 4 + [True] + [False] * 2),
    ],
)
def test_fifth_end_within_a_minute__the_next_process_waits(
    ends_s: list[float], too_often: list[bool]
) -> None:
    ends = Ends()

    assert [ends.too_often(at_s) for at_s in ends_s] == too_often


async def test_process_that_ends_at_once__is_told_of_after_five_times_and_tried_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk_process, "RESTART_AFTER_S", 0.0)
    monkeypatch.setattr(desk_process, "SELDOM_AFTER_S", 0.0)
    happened: list[str] = []
    enough = asyncio.Event()

    def count(what: str) -> None:
        happened.append(what)
        if happened.count("gone") == 6:
            enough.set()

    def nothing(*args: Any) -> Any:
        raise AssertionError(args)

    process = DeskProcess(
        ("/no/such/program",),
        nothing,
        lambda: count("gone"),
        lambda: Feedback(0),
        lambda: count("too often"),
    )

    assert await still_runs(process.run(), enough)
    assert happened[:7] == ["gone"] * 5 + ["too often", "gone"]


async def test_no_such_program__its_driver_counts_as_gone_and_the_console_lives() -> None:
    gone = asyncio.Event()

    def nothing(*args: Any) -> Any:
        raise AssertionError(args)

    process = DeskProcess(("/no/such/program",), nothing, gone.set, lambda: Feedback(0), nothing)
    running, waiting = asyncio.create_task(process.run()), asyncio.create_task(gone.wait())
    done, _ = await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)

    assert done == {waiting}


def test_command__says_whether_the_machine_is_simulated(tmp_path: Any) -> None:
    path = written(tmp_path)
    real = inputd_command(path, simulated=False)
    digest = load_desk(path, simulated=False).digest

    assert real[-4:] == ("--desk", str(path), "--digest", digest)
    assert inputd_command(path, simulated=True) == (*real, "--simulated")


def test_program_without_its_devices__says_that_they_are_absent_and_ends_with_its_line(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputd, "serve", InputProcess.run)  # without its signals and priority
    ours, theirs = line_pair()
    ours.shutdown(1)
    command = inputd_command(written(tmp_path), simulated=False)
    inputd.main([*command[command.index("--desk") :], "--line", str(theirs.detach())])
    said = decode_snapshot(ours.recv(4096)).snapshot
    ours.close()

    assert (said.fault, said.device) in [
        (fault, name) for fault in (Fault.ABSENT, Fault.DENIED) for name in WHEEL_DESK.devices
    ]


def test_program_whose_desk_does_not_fit__one_line_and_exit_1(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code = inputd.main(["--desk", str(tmp_path / "none.toml"), "--digest", "", "--line", "0"])

    assert code == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_desk_changed_since_the_console_started__its_program_refuses_it_in_one_line(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    command = inputd_command(path, simulated=False)
    written(tmp_path, path.read_text().replace("code = 290", "code = 310", 1))
    code = inputd.main([*command[command.index("--desk") :], "--line", "0"])

    assert code == 1
    assert capsys.readouterr().err == (
        f"inputd: {path}: changed since the console started: start the console anew\n"
    )
