"""A site's register of devices: whom its authority has issued what, and what of it is revoked.

Pure: each change returns a new register. The trust file of the machines is derived from it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from protocol.messages import RevokedKey, Role, TrustedIdentity, TrustFile
from protocol.topics import checked_id

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
BROKER = "broker"
"""Role of a broker's server certificate; a broker signs nothing and has no device key."""

ROLES = (*(role.value for role in Role), BROKER)


class Standing(StrEnum):
    """Whether what was issued counts."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Issued(BaseModel):
    """What one device was given.

    Attributes:
        name: topic id, and the certificate's common name. role: of :data:`ROLES`.
        serial: of its certificate, decimal. public: its Ed25519 JWK; None for a broker.
        revoked, reason: when and why; None while it is not.
    """

    model_config = _STRICT
    name: str
    role: Annotated[str, Field(pattern=f"^({'|'.join(ROLES)})$")]
    serial: Annotated[str, Field(pattern=r"^[0-9]+$")]
    issued: AwareDatetime
    expires: AwareDatetime
    public: dict[str, str] | None = None
    revoked: AwareDatetime | None = None
    reason: Annotated[str, Field(max_length=80)] = ""

    def standing(self, now: datetime) -> Standing:
        """Return whether it counts at ``now``."""
        if self.revoked is not None:
            return Standing.REVOKED
        return Standing.EXPIRED if now >= self.expires else Standing.VALID


class Register(BaseModel):
    """All that a site's authority has issued, the oldest first."""

    model_config = _STRICT
    v: Annotated[int, Field(ge=1, le=1)] = 1
    site: str
    devices: tuple[Issued, ...] = Field(default=(), strict=False)

    def current(self, name: str) -> Issued | None:
        """Return what ``name`` holds and was not revoked; None when there is no such thing."""
        held = (device for device in self.devices if device.name == name)
        return next((device for device in held if device.revoked is None), None)

    def with_issued(self, device: Issued) -> Register:
        """Return the register with one more device.

        Raises:
            ValueError: the name is no id, or holds something already.
        """
        checked_id(device.name, "name")
        if self.current(device.name) is not None:
            raise ValueError(
                f"{device.name} holds a key already: revoke it first, or use --replace"
            )
        return self.model_copy(update={"devices": (*self.devices, device)})

    def with_revoked(self, name: str, now: datetime, reason: str) -> Register:
        """Return the register with what ``name`` holds revoked.

        Raises:
            ValueError: it holds nothing, or the reason is too long.
        """
        held = self.current(name)
        if held is None:
            raise ValueError(f"{name} holds nothing that could be revoked")
        if len(reason) > 80:
            raise ValueError("the reason is longer than 80 characters")
        gone = held.model_copy(update={"revoked": now, "reason": reason})
        devices = tuple(gone if device is held else device for device in self.devices)
        return self.model_copy(update={"devices": devices})

    def revoked(self) -> tuple[Issued, ...]:
        """Return everything that was revoked."""
        return tuple(device for device in self.devices if device.revoked is not None)

    def trust_file(self) -> TrustFile:
        """Return the trust file of this site's programs."""
        identities = [
            TrustedIdentity(
                id=device.name,
                role=Role(device.role),
                public=device.public,
                expires=device.expires,
            )
            for device in self.devices
            if device.public is not None and device.revoked is None
        ]
        revoked = [
            RevokedKey(thumbprint=thumbprint(device.public), reason=device.reason)
            for device in self.revoked()
            if device.public is not None
        ]
        return TrustFile(identities=identities, revoked=revoked)

    def as_rows(self, now: datetime) -> list[dict[str, Any]]:
        """Return what a person is shown of each device."""
        return [
            {
                "name": device.name,
                "role": device.role,
                "standing": device.standing(now).value,
                "issued": f"{device.issued:%Y-%m-%d}",
                "expires": f"{device.expires:%Y-%m-%d}",
                "reason": device.reason,
            }
            for device in self.devices
        ]


def thumbprint(public: dict[str, str]) -> str:
    """Return the thumbprint of a public JWK (RFC 7638)."""
    return OKPKey.import_key(dict(public)).thumbprint()
