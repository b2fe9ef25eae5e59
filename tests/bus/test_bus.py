"""The agent's edge of the bus: a bad frame hides no good one, a full bus holds nobody up."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import can
import pytest

from vehicle_agent.shell.bus import (
    BROKEN_READS,
    NOT_DRAINING_FRAMES,
    BusReader,
    BusSender,
    open_bus,
)
from vehicle_agent.shell.config import CanSettings
from vehicle_agent.shell.local_bus import LocalCanBus


class _ScriptedBus(can.BusABC):
    """Gives and raises what the script says; then nothing."""

    def __init__(self, script: Sequence[can.Message | Exception] = ()) -> None:
        super().__init__(channel="script")
        self._script = list(script)
        self.refusal: Exception | None = None
        self.taken: list[can.Message] = []
        self.timeouts: list[float | None] = []

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if not self._script:
            return None, False
        item = self._script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item, False

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(msg)


def _frame(number: int) -> can.Message:
    return can.Message(arbitration_id=number, data=b"\1", is_extended_id=True)


def _drain(
    script: Sequence[can.Message | Exception], budget: int = 100
) -> tuple[list[int], BusReader]:
    reader = BusReader()
    with _ScriptedBus(script) as bus:
        return [m.arbitration_id for m in reader.drain(bus, budget, 0)], reader


def test_everything_that_waits__comes_in_one_drain_in_order() -> None:
    ids, reader = _drain([_frame(n) for n in range(50)])
    assert ids == list(range(50))
    assert reader.counts["frames"] == 50


def test_reads_that_raise__are_counted_and_hide_nothing() -> None:
    script: list[can.Message | Exception] = [
        _frame(1),
        ValueError("bad hex"),
        can.CanOperationError("x"),
        _frame(2),
    ]
    ids, reader = _drain(script)
    assert ids == [1, 2]
    assert reader.counts["raised:ValueError"] == 1
    assert reader.counts["raised:CanOperationError"] == 1


def test_budget__ends_a_flood() -> None:
    ids, _ = _drain([_frame(n) for n in range(50)], budget=20)
    assert len(ids) == 20


def test_reads_that_only_raise__end_with_the_budget_and_count_as_broken() -> None:
    _, reader = _drain([OSError("gone")] * (BROKEN_READS - 1), budget=BROKEN_READS - 1)
    assert not reader.broken
    _, reader = _drain([OSError("gone")] * BROKEN_READS, budget=BROKEN_READS)
    assert reader.broken


def test_a_read_that_works__mends_broken() -> None:
    reader = BusReader()
    with _ScriptedBus([OSError("gone")] * BROKEN_READS) as bus:
        reader.drain(bus, BROKEN_READS, 0)
        assert reader.broken
        assert reader.drain(bus, 1, 0) == []
    assert reader.counts["frames"] == 0
    assert not bool(reader.broken)


def test_error_remote_and_fd_frames__left_out_and_counted() -> None:
    script = [
        can.Message(is_error_frame=True),
        can.Message(arbitration_id=3, is_remote_frame=True),
        can.Message(arbitration_id=4, is_fd=True, data=bytes(12)),
        _frame(5),
    ]
    ids, reader = _drain(script)
    assert ids == [5]
    assert reader.counts == {"error_frames": 1, "remote_frames": 1, "fd_frames": 1, "frames": 1}


BUS_OFF = can.Message(timestamp=1_700_000_000.0, arbitration_id=0x40, is_error_frame=True)
"""Stamped by the wall clock; what counts is when it was read."""


def _bus_offs(times_s: Sequence[float]) -> BusReader:
    reader = BusReader()
    for at_s in times_s:
        with _ScriptedBus([BUS_OFF]) as bus:
            reader.drain(bus, 100, round(at_s * 1e9))
    return reader


@pytest.mark.parametrize(
    ("times_s", "given_up"),
    [((0.0, 1.0), False), ((0.0, 30.0, 60.0), True), ((0.0, 30.0, 60.1), False)],
)
def test_bus_off__third_in_a_minute_is_the_last(times_s: tuple[float, ...], given_up: bool) -> None:
    reader = _bus_offs(times_s)
    assert reader.counts["bus_offs"] == len(times_s)
    assert reader.given_up is given_up


def test_other_error_frames_however_many__no_bus_off() -> None:
    _, reader = _drain([can.Message(arbitration_id=0x8, is_error_frame=True)] * 5)
    assert reader.counts == {"error_frames": 5}
    assert not reader.given_up


def test_given_up__stays_so_whatever_comes_later() -> None:
    assert _bus_offs((0.0, 1.0, 2.0, 500.0, 900.0)).given_up


def test_shut__nothing_is_sent_and_the_bus_counts_as_not_draining() -> None:
    with _ScriptedBus() as bus:
        sender = BusSender(bus)
        sender.shut = True
        taken = [sender.send_frame(1, b"") for _ in range(NOT_DRAINING_FRAMES)]
        assert taken == [False] * NOT_DRAINING_FRAMES
        assert bus.taken == []
        assert sender.failed == {"shut": NOT_DRAINING_FRAMES}
        assert sender.not_draining


def test_send__one_extended_frame_without_waiting() -> None:
    with _ScriptedBus() as bus:
        sender = BusSender(bus)
        assert sender.send_frame(0x04FF1080, bytes(8))
        assert bus.taken[0].is_extended_id
        assert bus.timeouts == [0]
        assert sender.sent == 1


def test_bus_refuses__frame_dropped_counted_and_never_sent_later() -> None:
    with _ScriptedBus() as bus:
        sender = BusSender(bus)
        bus.refusal = can.CanOperationError("full", errno.ENOBUFS)
        assert not sender.send_frame(1, b"old")
        bus.refusal = None
        assert sender.send_frame(1, b"new")
        assert [bytes(m.data) for m in bus.taken] == [b"new"]
        assert sender.failed == {"CanOperationError": 1}


def test_bus_refuses_for_long__not_draining_until_it_takes_one() -> None:
    with _ScriptedBus() as bus:
        sender = BusSender(bus)
        bus.refusal = OSError(errno.ENOBUFS, "full")
        for _ in range(NOT_DRAINING_FRAMES - 1):
            sender.send_frame(1, b"")
        before = sender.not_draining
        sender.send_frame(1, b"")
        full = sender.not_draining
        bus.refusal = None
        sender.send_frame(1, b"")
        assert (before, full, sender.not_draining) == (False, True, False)


def _settings(**changes: Any) -> CanSettings:
    return CanSettings(**({"interface": "headframe_local", "channel": "x"} | changes))


def test_open_bus__finds_the_local_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "headframe_local"
    monkeypatch.setitem(can.interfaces.BACKENDS, name, (LocalCanBus.__module__, "LocalCanBus"))
    with open_bus(_settings(channel=str(tmp_path / "w"), options={"name": "agent"})) as bus:
        assert isinstance(bus, LocalCanBus)
        assert (tmp_path / "w" / "agent.sock").exists()


def test_open_bus__passes_bit_rate_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake(**options: Any) -> can.BusABC:
        seen.update(options)
        return _ScriptedBus()

    monkeypatch.setattr(can, "Bus", fake)
    open_bus(_settings(interface="slcan", bitrate_bps=500_000, options={"rtscts": True})).shutdown()
    assert seen == {
        "interface": "slcan",
        "channel": "x",
        "bitrate": 500_000,
        "rtscts": True,
        "ignore_config": True,
    }


def test_open_bus_without_bit_rate__names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake(**options: Any) -> can.BusABC:
        seen.update(options)
        return _ScriptedBus()

    monkeypatch.setattr(can, "Bus", fake)
    open_bus(_settings()).shutdown()
    assert "bitrate" not in seen


def test_open_bus_unknown_interface__is_a_can_error() -> None:
    with pytest.raises(can.CanInterfaceNotImplementedError):
        open_bus(_settings(interface="no_such_interface"))
