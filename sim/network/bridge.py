"""A link between two network namespaces: whole stacks run over it, kernel TCP and WebRTC alike.

Each namespace has one TUN device; what the kernel sends there is a packet of the link model's,
and what the model loses is lost to the kernel. Needs root and /dev/net/tun.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.network.wire import Wire

TUN = Path("/dev/net/tun")
PREFIX = "headframe"
PACKET_MAX_BYTES = 2048
READS_AT_ONCE = 64
MACHINE_ADDRESS, SURFACE_ADDRESS = "10.213.7.1", "10.213.7.2"
"""Only inside namespaces that this module made."""

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


@dataclass(frozen=True, slots=True)
class Place:
    """One end of the bridge: a namespace and its address on the link."""

    namespace: str
    address: str

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the command line that runs ``words`` inside the namespace."""
        return ("ip", "netns", "exec", self.namespace, *words)


@dataclass(frozen=True, slots=True)
class Site:
    """A place with the descriptor of its TUN device."""

    place: Place
    descriptor: int


class Bridge:
    """Carries IP packets between two sites over a modelled link.

    Args:
        machine, surface: its ends. up: from the machine. down: to it.
    """

    def __init__(self, machine: int, surface: int, up: Wire[bytes], down: Wire[bytes]) -> None:
        self._ways = {machine: up, surface: down}
        self._outs = ((up, surface), (down, machine))

    def readers(self) -> Sequence[int]:
        """Both devices."""
        return tuple(self._ways)

    def writers(self) -> Sequence[int]:
        """None: a packet that a kernel does not take is lost."""
        return ()

    def read(self, now_ns: int, descriptor: int) -> None:
        """Put waiting packets on their wire."""
        wire = self._ways[descriptor]
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS_AT_ONCE):
                packet = os.read(descriptor, PACKET_MAX_BYTES)
                wire.send(now_ns, packet, len(packet))

    def release(self, now_ns: int) -> None:
        """Hand the kernels what has come out."""
        for wire, out in self._outs:
            while (packet := wire.due(now_ns)) is not None:
                with contextlib.suppress(OSError):  # the device went down, or its queue is full
                    os.write(out, packet)

    def next_ns(self) -> int | None:
        """When the next packet comes out."""
        return min((t for wire, _ in self._outs if (t := wire.next_ns())), default=None)


def usable() -> bool:
    """Whether this process may make namespaces and TUN devices."""
    return os.geteuid() == 0 and os.access(TUN, os.R_OK | os.W_OK)


@contextlib.contextmanager
def sites() -> Iterator[tuple[Site, Site]]:
    """Make the namespaces of machine and surface; remove them at the end.

    Raises:
        RuntimeError: one line that says what does not work here.
    """
    if not usable():
        raise RuntimeError("the bridge needs root and /dev/net/tun")
    remove_orphans()
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(_site(side, address))
            for side, address in (("machine", MACHINE_ADDRESS), ("surface", SURFACE_ADDRESS))
        ]
        yield made[0], made[1]


@contextlib.contextmanager
def _site(side: str, address: str) -> Iterator[Site]:
    namespace = f"{PREFIX}-{os.getpid()}-{side}"
    device = f"hf{os.getpid()}{side[0]}"
    _ip("netns", "add", namespace)
    try:
        descriptor = _open_tun(device)
        try:
            _ip("link", "set", device, "netns", namespace)
            for words in (
                ("link", "set", "lo", "up"),
                ("link", "set", device, "addrgenmode", "none"),
                ("addr", "add", f"{address}/30", "dev", device),
                ("link", "set", device, "mtu", "1500", "up"),
            ):
                _ip("-n", namespace, *words)
            yield Site(Place(namespace, address), descriptor)
        finally:
            os.close(descriptor)
    finally:
        _ip("netns", "delete", namespace)


def _open_tun(name: str) -> int:
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError as error:
        os.close(descriptor)
        raise RuntimeError(f"{TUN}: {error.strerror}") from error
    return descriptor


def remove_orphans() -> int:
    """Delete namespaces whose makers are dead; return how many."""
    removed = 0
    for line in _ip("netns", "list").splitlines():
        name = line.split(" ", 1)[0]
        prefix, _, rest = name.partition("-")
        pid, _, side = rest.partition("-")
        ours = prefix == PREFIX and pid.isdigit() and side in ("machine", "surface")
        if ours and not Path(f"/proc/{pid}").exists():
            _ip("netns", "delete", name)
            removed += 1
    return removed


def _ip(*words: str) -> str:
    try:
        done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)  # noqa: S607
    except OSError as error:
        raise RuntimeError(f"ip: {error.strerror}") from error
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
