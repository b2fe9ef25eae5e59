"""How a program reaches a broker: address, TLS, and who it is there. Pure: paths are not opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_Path = Annotated[Path, Field(strict=False)]


class BrokerSettings(BaseModel):
    """A table like [mqtt].

    Attributes:
        host, port: of the broker; with TLS the host must stand in its certificate.
        ca: the authority that signed the broker's certificate; with it the connection is TLS.
        cert, key: own certificate, for a broker that asks for one; its common name is the user.
        username, password: for a broker that has passwords instead.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    ca: _Path | None = None
    cert: _Path | None = None
    key: _Path | None = None
    username: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.ca is None and (self.cert is not None or self.password is not None):
            raise ValueError("ca: without TLS neither certificate nor password is sent")
        return self

    @property
    def secret(self) -> str | None:
        """The password as text."""
        return None if self.password is None else self.password.get_secret_value()

    def absolute(self, base: Path) -> Self:
        """Return the settings with paths counted from ``base``."""
        paths = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return self.model_copy(
            update={name: base / path for name, path in paths.items() if path is not None}
        )
