"""A serial line: by pyserial (a device, or socket://host:port), or two ends in this process."""

from __future__ import annotations

import serial

from hil.ports import PortLost


class PySerialLine:
    """A line by pyserial.

    Args:
        url: device, or what else pyserial opens by URL (socket://127.0.0.1:5025).
        baud: of a device. patience_s: for :meth:`line`; reading what waits never waits.

    Raises:
        PortLost: it cannot be opened.
    """

    def __init__(self, url: str, baud: int = 9600, patience_s: float = 1.0) -> None:
        self._url = url
        try:
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=patience_s)
        except (OSError, ValueError) as error:
            raise PortLost(f"{url}: {error}") from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._port.write(data)
        except (OSError, TypeError) as error:
            raise PortLost(f"{self._url}: {error}") from error

    def waiting(self) -> bytes:
        """Return what has come."""
        try:
            return bytes(self._port.read(self._port.in_waiting))
        except (OSError, TypeError) as error:
            raise PortLost(f"{self._url}: {error}") from error

    def line(self) -> bytes:
        """Return the next line without its end; wait for it, but not for ever.

        Raises:
            PortLost: none came in time.
        """
        try:
            got = bytes(self._port.read_until(b"\n"))
        except (OSError, TypeError) as error:
            raise PortLost(f"{self._url}: {error}") from error
        if not got.endswith(b"\n"):
            raise PortLost(f"{self._url}: no answer")
        return got.rstrip(b"\r\n")

    def close(self) -> None:
        """Leave the line."""
        self._port.close()


class FakeLine:
    """One end of a line in this process; :func:`fake_pair` makes both."""

    def __init__(self) -> None:
        self._come = bytearray()
        self._other: FakeLine | None = None
        self._open = True

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._check()
        if self._other is not None:
            self._other._come += data

    def waiting(self) -> bytes:
        """Return what has come."""
        self._check()
        come, self._come = bytes(self._come), bytearray()
        return come

    def close(self) -> None:
        """Leave the line."""
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise PortLost("the line is closed")


def fake_pair() -> tuple[FakeLine, FakeLine]:
    """Return the two ends of a line."""
    one, other = FakeLine(), FakeLine()
    one._other, other._other = other, one
    return one, other
