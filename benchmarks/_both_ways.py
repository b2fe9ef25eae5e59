"""One end of a real crossing: numbered frames each 20 ms over TCP and as datagrams, both timed.

``python -m benchmarks._both_ways machine|surface ADDRESS`` on either side of a bridge; ADDRESS is
the surface's, the machine connects. Each prints ``ready``, and when its input ends one JSON object:
when each of its frames left, and when each of the other's arrived by path. Both ends run on one
computer, so that its monotonic clock is common to them. TCP as Headframe's links set it: NODELAY, a
short send buffer; a frame that the socket does not take is dropped.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys

from benchmarks._crossings import CHANNEL, COMMAND_BYTES, MQTT, PERIOD_NS, STATE_BYTES
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.realtime import ask_realtime

PORT = 7778
HEADERS_BYTES = {MQTT: 52, CHANNEL: 28}
"""TCP and IP, UDP and IP: what the kernel adds to what is sent here."""
SEND_BUFFER_BYTES = 8192


class End:
    """Both sockets of one side, and what was timed."""

    def __init__(
        self, stream: socket.socket, datagrams: socket.socket, out: int, back: int
    ) -> None:
        self._stream, self._datagrams = stream, datagrams
        self._out, self._back = out, back
        self._waiting = bytearray()
        self._stream_open = True
        self.sent_ns: list[int] = []
        self.arrived_ns: dict[str, dict[int, int]] = {MQTT: {}, CHANNEL: {}}
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        for each in (stream, datagrams):
            each.setblocking(False)

    def say(self, now_ns: int) -> None:
        """Send the next frame both ways."""
        number = len(self.sent_ns).to_bytes(4, "little")
        self.sent_ns.append(now_ns)
        for path, sock in ((MQTT, self._stream), (CHANNEL, self._datagrams)):
            with contextlib.suppress(OSError):  # not taken now, or the other end has ended
                sock.send(number.ljust(self._out - HEADERS_BYTES[path], b"\0"))

    def hear(self, sock: socket.socket) -> None:
        """Take what waits in a socket; one whose other end has ended is heard no more."""
        now_ns = monotonic_ns()
        try:
            data = sock.recv(65536)
        except OSError:
            return
        if sock is self._datagrams:
            self._note(CHANNEL, data, now_ns)
            return
        self._stream_open = bool(data)
        self._waiting += data
        size = self._back - HEADERS_BYTES[MQTT]
        while len(self._waiting) >= size:
            self._note(MQTT, bytes(self._waiting[:4]), now_ns)
            del self._waiting[:size]

    def _note(self, path: str, frame: bytes, now_ns: int) -> None:
        self.arrived_ns[path].setdefault(int.from_bytes(frame[:4], "little"), now_ns)

    def run(self) -> None:
        """Work until standard input ends."""
        due_ns = monotonic_ns()
        while True:
            wait_s = max(0.0, (due_ns - monotonic_ns()) / 1e9)
            sockets = [self._datagrams, *([self._stream] if self._stream_open else [])]
            ready, _, _ = select.select([*sockets, sys.stdin], [], [], wait_s)
            for sock in sockets:
                if sock in ready:
                    self.hear(sock)
            if sys.stdin in ready:
                return
            now_ns = monotonic_ns()
            if now_ns >= due_ns:
                self.say(now_ns)
                due_ns = max(due_ns + PERIOD_NS, now_ns)


def open_end(side: str, address: str) -> End:
    """Connect this side with the other."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if side == "surface":
        datagrams.bind((address, PORT))
        with socket.create_server((address, PORT)) as server:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            stream, _ = server.accept()
            _, peer = datagrams.recvfrom(64)
            datagrams.connect(peer)
            return End(stream, datagrams, COMMAND_BYTES, STATE_BYTES)
    stream = socket.create_connection((address, PORT))
    datagrams.connect((address, PORT))
    for _ in range(20):  # one of them comes through
        datagrams.send(b"here")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return End(stream, datagrams, STATE_BYTES, COMMAND_BYTES)


def main() -> int:
    """Run one end."""
    end = open_end(sys.argv[1], sys.argv[2])
    ask_realtime()
    end.run()
    told = {"sent_ns": end.sent_ns, "arrived_ns": end.arrived_ns}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
