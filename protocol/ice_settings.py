"""TURN and STUN servers, named by whoever sets up a site; none is ever used by default.

A server that nobody answers at costs seconds at every connection, and one on the internet has no
business between a mine and its cockpit.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class IceServer(BaseModel):
    """One server.

    Attributes:
        url: ``turn:HOST:PORT``, ``turns:HOST:PORT`` or ``stun:HOST:PORT``, with
            ``?transport=tcp`` where UDP does not pass.
        username, password: of a TURN server.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
    url: Annotated[str, Field(pattern=r"^(turns?|stun):[^\s/@]+$")]
    username: str | None = None
    password: SecretStr | None = None

    @property
    def secret(self) -> str | None:
        """The password in the clear; None where there is none."""
        return None if self.password is None else self.password.get_secret_value()
