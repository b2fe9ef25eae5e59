"""``python -m sim.network.probe``: datagrams one way between the sides of a bridge, timed.

Both sides run on one computer, so that its monotonic clock is common to them. ``receive`` prints
``ready``, takes what comes, and at the end of its input prints one JSON object with the delay in
milliseconds of each datagram by its number; ``send`` sends and ends.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import struct
import sys
from collections.abc import Sequence

from vehicle_agent.shell.clock import monotonic_ns, sleep_until_ns
from vehicle_agent.shell.realtime import ask_realtime

PORT = 7777
_STAMP = struct.Struct("<IQ")


def send(address: str, count: int, every_ns: int, size_bytes: int) -> None:
    """Send ``count`` datagrams, each with its number and time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        begin_ns = monotonic_ns()
        for number in range(count):
            sleep_until_ns(begin_ns + number * every_ns)
            packet = _STAMP.pack(number, monotonic_ns()).ljust(size_bytes, b"\0")
            sock.sendto(packet, (address, PORT))


def receive(address: str) -> dict[str, float]:
    """Take datagrams until standard input ends; return delays in ms by number."""
    delays: dict[str, float] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, PORT))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([sock, sys.stdin], [], [])
            if sock in ready:
                number, sent_ns = _STAMP.unpack_from(sock.recv(2048))
                delays[f"{number}"] = (monotonic_ns() - sent_ns) / 1e6
            elif not sys.stdin.read(1):
                return delays


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one side."""
    parser = argparse.ArgumentParser(prog="sim.network.probe", description=__doc__)
    parser.add_argument("side", choices=("send", "receive"))
    parser.add_argument("--address", required=True, help="the receiver's")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--every-us", type=int, default=5000)
    parser.add_argument("--bytes", type=int, default=172)
    chosen = parser.parse_args(arguments)
    ask_realtime()
    if chosen.side == "send":
        send(chosen.address, chosen.count, chosen.every_us * 1000, chosen.bytes)
    else:
        sys.stdout.write(json.dumps(receive(chosen.address)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
