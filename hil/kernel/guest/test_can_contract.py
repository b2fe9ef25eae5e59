"""The contract of every CAN port (tests/hil) over SocketCAN: virtual, and by a card's driver."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from hil.kernel.guest.interfaces import virtual_can
from hil.kernel.guest.test_can_card import CARDS, cards_up
from hil.kernel.guest.test_socketcan import settings
from tests.hil.test_can_ports import Pair, TestEveryCanPort
from vehicle_agent.shell.bus import open_bus

__all__ = ["TestEveryCanPort"]
ARRIVES_S = 0.5


@contextmanager
def virtual() -> Iterator[tuple[str, str]]:
    with virtual_can("vcan2") as name:
        yield name, name


@contextmanager
def card() -> Iterator[tuple[str, str]]:
    with cards_up():
        yield CARDS


@pytest.fixture(params=[virtual, card], ids=lambda make: make.__name__)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made: AbstractContextManager[tuple[str, str]] = request.param()
    with (
        made as (ours, theirs),
        open_bus(settings(ours)) as port,
        open_bus(settings(theirs)) as other,
    ):

        def move() -> None:
            select.select([port, other], [], [], ARRIVES_S)

        yield Pair(port, other, move)
