"""Guards that hold for every test: no blocking call in an event loop, no traffic that leaves."""

from __future__ import annotations

import gc
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

OWN_PACKAGES = ["protocol", "vehicle_agent", "operator_console", "sim"]

settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")
"""How long an example takes says nothing here: the computer may be busy with other work."""


def pytest_collection_finish() -> None:
    """Leave what was collected out of later garbage collections.

    Walking through thousands of collected tests held every thread of the test process for 0.1 s
    and more each time, longer than many a signal under test may be late.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _blocking_calls_fail() -> Iterator[None]:
    """A call in our own asyncio code that blocks its loop raises BlockingError."""
    with blockbuster_ctx(OWN_PACKAGES):
        yield


class TrafficLeaves(OSError):
    """Raised when a test would send something beyond this computer."""


def _refuse_foreign(family: int, address: Any) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        inside = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    except ValueError:
        inside = address[0] == "localhost"
    if not inside:
        raise TrafficLeaves(f"test traffic to {address[0]}")


@pytest.fixture(scope="session", autouse=True)
def _traffic_stays_on_loopback() -> Iterator[None]:
    """Connections and datagrams to other than loopback raise TrafficLeaves."""
    patch = pytest.MonkeyPatch()
    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        original = getattr(socket.socket, name)

        def guarded(
            self: socket.socket, *args: Any, _call: Any = original, _at: int = position
        ) -> Any:
            _refuse_foreign(self.family, args[_at])
            return _call(self, *args)

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()
