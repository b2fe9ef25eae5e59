"""Lets a link in real time know where the machine is: truth datagrams in, the radio follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sim.network.station import Station
from sim.radio.roaming import Roaming

_DRAIN_LIMIT = 64


class _Place(BaseModel):
    """What the radio needs of a truth datagram; unknown keys are other people's."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
    t_us: int
    station_m: float = Field(ge=0.0)


class TruthSource(Protocol):
    """Where truth datagrams come from."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        ...

    def recv(self) -> bytes | None:
        """Return the next datagram, or None when none waits."""
        ...


class Followed:
    """A station whose link follows a machine; all else is the station's own.

    Args:
        station: what carries the traffic. truth: of the machine. roaming: changes the link.
    """

    def __init__(self, station: Station, truth: TruthSource, roaming: Roaming) -> None:
        self._station, self._truth, self._roaming = station, truth, roaming
        self._newest_us = -1

    def readers(self) -> Sequence[int]:
        """The station's, and the truth's."""
        return [*self._station.readers(), self._truth.fileno()]

    def writers(self) -> Sequence[int]:
        """The station's."""
        return self._station.writers()

    def read(self, now_ns: int, descriptor: int) -> None:
        """Take truth, or let the station take what is its own."""
        if descriptor != self._truth.fileno():
            self._station.read(now_ns, descriptor)
            return
        for _ in range(_DRAIN_LIMIT):
            data = self._truth.recv()
            if data is None:
                return
            self._take(now_ns, data)

    def _take(self, now_ns: int, data: bytes) -> None:
        try:
            place = _Place.model_validate_json(data)
        except ValidationError:
            return
        if place.t_us > self._newest_us:
            self._newest_us = place.t_us
            self._roaming.step(now_ns, place.station_m)

    def release(self, now_ns: int) -> None:
        """Let the station release."""
        self._station.release(now_ns)

    def next_ns(self) -> int | None:
        """When the station's next packet comes out."""
        return self._station.next_ns()
