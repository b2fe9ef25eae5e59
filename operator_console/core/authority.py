"""Who may drive, as the vehicle announces it five times a second: read, never believed blindly.

The announcement is not signed. It serves the screen and gives the nonce for the next signed
request; what it wrongly claims can cost this console its lease and never give it one.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.errors import ProtocolError, Refusal


class Pending(BaseModel):
    """Someone who waits for the lease that another holds.

    Attributes:
        operator: who. takes_over: a supervisor, for whom the machine stops first.
        left_ms: until the request lapses; a take-over never does, and stays at 0.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)
    operator: str
    takes_over: bool
    left_ms: int


class Authority(BaseModel):
    """What the console needs of the ``authority`` message; further keys are for others.

    Attributes:
        epoch: current fencing epoch. holder: operator id, None when free.
        boot: tag of the guardian's run. nonce: for the next request, hex.
        lease_left_ms: of the holder's lease, None when free or not told.
        pending: who waits for it, None when nobody does.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)
    epoch: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    holder: str | None = None
    boot: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    lease_left_ms: int | None = None
    pending: Pending | None = None


MAX_AGE_NS = 1_000_000_000
"""An announcement this old says nothing any more of who drives: five were missed."""


class Announced(NamedTuple):
    """The newest announcement and when it came."""

    authority: Authority
    at_ns: int

    def counts(self, now_ns: int) -> bool:
        """It is young enough to say who holds the machine."""
        return now_ns - self.at_ns <= MAX_AGE_NS

    def pending(self, now_ns: int) -> Pending | None:
        """Return who waits by now, None when nobody does or nobody knows."""
        pending = self.authority.pending if self.counts(now_ns) else None
        if pending is None or pending.takes_over:
            return pending
        return pending if now_ns - self.at_ns < pending.left_ms * 1_000_000 else None


def read_authority(data: bytes) -> Authority:
    """Return the announcement in ``data``.

    Raises:
        ProtocolError: MALFORMED.
    """
    try:
        return Authority.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ProtocolError(f"authority does not fit: {first}", Refusal.MALFORMED) from error
