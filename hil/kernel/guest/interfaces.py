"""Network interfaces of the guest, by Debian's own ``ip`` and ``tc``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from hil.kernel.lab import load, tool

VCAN = "vcan echo=1"
"""The interface itself gives frames back when they went, as a controller does; else the socket
layer would, before they leave the queue."""


def call(program: str, *arguments: str) -> str:
    """Run ``ip`` or ``tc``; return what it says.

    Raises:
        RuntimeError: it refuses, with its own words.
    """
    command = [tool(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def virtual_can(name: str) -> Iterator[str]:
    """A virtual CAN interface, up, for the time of the block."""
    for module in ("can", "can-raw", VCAN):
        load(module)
    call("ip", "link", "add", name, "type", "vcan")
    try:
        call("ip", "link", "set", name, "up")
        yield name
    finally:
        call("ip", "link", "del", name)


@contextmanager
def narrow(name: str, *netem: str) -> Iterator[None]:
    """The kernel's network emulator on an interface for the time of the block."""
    load("sch_netem")
    call("tc", "qdisc", "add", "dev", name, "root", "netem", *netem)
    try:
        yield
    finally:
        call("tc", "qdisc", "del", "dev", name, "root")
