"""Signed messages: who asks what of the vehicle, and what it answers (JWS, RFC 7515).

Signatures are EdDSA over Ed25519 (RFC 8037) under the fully specified algorithm name
"Ed25519" of RFC 9864, which deprecates the polymorphic name "EdDSA".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from protocol.errors import ProtocolError, Refusal

ALGORITHM = "Ed25519"
TOKEN_MAX_BYTES = 48 * 1024
"""Session descriptions are the longest; a request has some 600 bytes."""

SESSION_NAME = r"^[A-Za-z0-9_.:-]{1,96}$"
"""Of a log, as the other side is told of it."""

_U32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
_U16 = Annotated[int, Field(ge=0, le=0xFFFF)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Role(StrEnum):
    """What an identity may do."""

    DRIVER = "driver"
    SUPERVISOR = "supervisor"
    OBSERVER = "observer"
    STOP_ONLY = "stop_only"
    VEHICLE = "vehicle"


class RequestKind(StrEnum):
    """What a request asks for."""

    LEASE = "lease"
    TAKE_OVER = "take_over"
    """A supervisor's: the machine stops first, then the lease changes hands."""
    OFFER = "offer"
    """A holder's: let the one who waits have the lease."""
    ARM = "arm"
    DISARM = "disarm"
    RESET = "reset"
    RELEASE = "release"


class Outcome(StrEnum):
    """How a request ended."""

    GRANTED = "granted"
    QUEUED = "queued"
    """Nothing is granted yet: the holder is asked, or the machine stops first."""
    DONE = "done"
    REFUSED = "refused"


class _Claims(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_enum_values=False
    )
    v: Literal[1] = 1
    iss: _Id
    aud: _Id


class RequestClaims(_Claims):
    """A request of an operator.

    Attributes:
        id: random, names the request in the answer.
        nonce: the vehicle's current one; each is good for a single request.
        boot, epoch: of the guardian as the operator knows them; epoch is 0 in a lease request.
        x25519: ephemeral public key, hex; in lease and take_over.
        to: whom an offer names.
    """

    typ: Literal["request"] = "request"
    id: _Hex32
    kind: Annotated[RequestKind, Field(strict=False)]
    nonce: _Hex32
    boot: _U32
    epoch: _U32 = 0
    x25519: _Key | None = None
    to: _Id | None = None


class AckClaims(_Claims):
    """The vehicle's answer to one request.

    Attributes:
        id: of the request.
        reason: a code in words' stead; empty when there is nothing to say.
        epoch, key_id, x25519, ttl_ms: of a granted lease.
    """

    typ: Literal["ack"] = "ack"
    id: _Hex32
    kind: Annotated[RequestKind, Field(strict=False)]
    outcome: Annotated[Outcome, Field(strict=False)]
    reason: str = ""
    boot: _U32
    epoch: _U32 = 0
    key_id: _U16 = 0
    x25519: _Key | None = None
    ttl_ms: _U32 = 0


class StopClaims(_Claims):
    """A stop by anyone allowed to: works without a lease and is not fenced by an epoch.

    Attributes:
        id: random; the state confirms it.
        boot: the guardian's boot tag, so that a stop of an earlier run is only logged.
        stamp_us: newest vehicle stamp that the sender has seen; bounds the stop's age.
        reason: short text for people and logs.
    """

    typ: Literal["stop"] = "stop"
    id: _Hex32
    boot: _U32
    stamp_us: Annotated[int, Field(ge=0, lt=2**64)]
    level: Literal["controlled"] = "controlled"
    reason: Annotated[str, Field(max_length=80)] = ""


class SignalClaims(_Claims):
    """A session description on its way, so that DTLS fingerprints are authentic end to end.

    Attributes:
        role: who speaks: offer (the console), answer (the vehicle), bye (either).
        peer: which peer connection.
        session: random id of this session; seen twice it is refused.
        sdp: the description; empty in a bye.
        cameras: camera ids wanted, in the order of the offer's video sections.
        viewer: which screen of the console an offer is for; a newer session replaces the older
            one of the same screen only. Needed in an offer for the media peer.
        standby: the offer is for a second peer connection of a screen, on which nothing is sent
            until the viewer asks there. Left out where it is not, so that who does not know of it
            hears what they always heard.
    """

    typ: Literal["signal"] = "signal"
    role: Literal["offer", "answer", "bye"]
    peer: Literal["media", "control"]
    session: _Hex32
    sdp: Annotated[str, Field(max_length=32 * 1024)] = ""
    cameras: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(default=(), strict=False)
    viewer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,32}$")] = ""
    standby: Annotated[bool, Field(exclude_if=lambda standby: not standby)] = False


class HeadClaims(_Claims):
    """How far a flight recorder's chain of hashes has got, for the other side to keep.

    The vehicle tells it in ``telemetry/recorder``, a cockpit on its ``signal`` topic. Who does not
    know it refuses it, and nothing else depends on it.

    Attributes:
        aud: the vehicle whose drive the log is of, in both sides' heads.
        session: name of the log. segment: its file, from 1. count: messages in that file.
        head: of the chain after these, hex. utc_ns: when, by the sender's clock.
    """

    typ: Literal["head"] = "head"
    session: Annotated[str, Field(pattern=SESSION_NAME)]
    segment: Annotated[int, Field(ge=1, lt=2**32)]
    count: Annotated[int, Field(ge=0, lt=2**53)]
    head: _Key
    utc_ns: Annotated[int, Field(ge=0, lt=2**63)]


Claims = RequestClaims | AckClaims | StopClaims | SignalClaims | HeadClaims

_TYPES: dict[str, type[Claims]] = {
    "request": RequestClaims,
    "ack": AckClaims,
    "stop": StopClaims,
    "signal": SignalClaims,
    "head": HeadClaims,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Someone whose signatures count: an id, a role and an Ed25519 public key."""

    id: str
    role: Role
    key: OKPKey


class TrustedIdentity(BaseModel):
    """One entry of a trust file.

    Attributes:
        expires: from then on it counts no more; None never expires.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    id: _Id
    role: Annotated[Role, Field(strict=False)]
    public: dict[str, str]
    expires: AwareDatetime | None = None


class RevokedKey(BaseModel):
    """A key that counts no more, whoever bears it.

    Attributes:
        thumbprint: of the public key (RFC 7638, SHA-256, base64url).
        reason: short text for people.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    thumbprint: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    reason: Annotated[str, Field(max_length=80)] = ""


class TrustFile(BaseModel):
    """The identities that a program trusts, and the keys that it never does."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    identities: list[TrustedIdentity]
    revoked: list[RevokedKey] = Field(default_factory=list)


Trust = Mapping[str, Identity]

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""Before any expiry: for a digest over a trust file, which must not change by itself one night."""


@dataclass(frozen=True, slots=True)
class TrustReading:
    """What a trust file says at one time.

    Attributes:
        trust: the identities that count.
        refused: why the others do not, by id.
    """

    trust: dict[str, Identity]
    refused: dict[str, str]


def load_trust(text: str, now: datetime | None = None) -> dict[str, Identity]:
    """Return the identities of a trust file that count now; see :func:`read_trust`."""
    return read_trust(text, now).trust


def read_trust(text: str, now: datetime | None = None) -> TrustReading:
    """Return the identities of a trust file's JSON text, and those that it refuses.

    Args:
        text: of the file.
        now: the wall clock, for expiry only; without it an identity that expires is refused.

    Raises:
        ValueError: not JSON, an unknown or missing key, a key that is no Ed25519 public key,
            a private key where a public one belongs, or an id that stands twice.
    """
    trust: dict[str, Identity] = {}
    refused: dict[str, str] = {}
    content = TrustFile.model_validate_json(text)
    revoked = {key.thumbprint: key.reason for key in content.revoked}
    for entry in content.identities:
        identity = _identity(entry)
        if entry.id in trust or entry.id in refused:
            raise ValueError(f"identity {entry.id} stands twice")
        why = _refusal(entry, revoked.get(identity.key.thumbprint()), now)
        if why is None:
            trust[entry.id] = identity
        else:
            refused[entry.id] = why
    return TrustReading(trust, refused)


def _identity(entry: TrustedIdentity) -> Identity:
    if "d" in entry.public:
        raise ValueError(f"identity {entry.id}: a private key stands in the trust file")
    if entry.public.get("kty") != "OKP" or entry.public.get("crv") != "Ed25519":
        raise ValueError(f"identity {entry.id}: not an Ed25519 key")
    return Identity(entry.id, entry.role, OKPKey.import_key(dict(entry.public)))


def _refusal(entry: TrustedIdentity, revoked: str | None, now: datetime | None) -> str | None:
    """Return why an identity does not count; None when it does."""
    if revoked is not None:
        return f"its key is revoked{': ' if revoked else ''}{revoked}"
    if entry.expires is None:
        return None
    if now is None:
        return "it expires, and there is no date to judge that by"
    if now >= entry.expires:
        return f"expired on {entry.expires:%Y-%m-%d}"
    return None


def generate_identity() -> tuple[dict[str, str], dict[str, str]]:
    """Return a fresh Ed25519 key pair as (private JWK, public JWK)."""
    key = OKPKey.generate_key("Ed25519")

    def texts(jwk: Mapping[str, Any]) -> dict[str, str]:
        return {name: str(value) for name, value in jwk.items() if name in ("kty", "crv", "x", "d")}

    return texts(key.as_dict(private=True)), texts(key.as_dict(private=False))


def load_private_key(text: str) -> OKPKey:
    """Return the Ed25519 private key of a JWK's JSON text.

    Raises:
        ValueError: not JSON, or not an Ed25519 private key.
    """
    jwk = json.loads(text)
    if not isinstance(jwk, dict) or jwk.get("crv") != "Ed25519" or "d" not in jwk:
        raise ValueError("not an Ed25519 private key in JWK form")
    return OKPKey.import_key({str(name): str(value) for name, value in jwk.items()})


def sign_claims(claims: Claims, key: OKPKey) -> bytes:
    """Return the compact JWS of ``claims`` under the issuer's key."""
    header = {"alg": ALGORITHM, "kid": claims.iss}
    payload = claims.model_dump_json(exclude_defaults=False).encode()
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM]).encode()


def verify_signed(token: bytes, trust: Trust) -> Claims:
    """Return the claims of a compact JWS, proven to come from a trusted identity.

    The header's key id must be the claims' issuer. Roles are the caller's to judge.

    Raises:
        ProtocolError: LONG, MALFORMED, UNKNOWN_IDENTITY or BAD_SIGNATURE.
    """
    if len(token) > TOKEN_MAX_BYTES:
        raise ProtocolError(f"signed message of {len(token)} bytes", Refusal.LONG)
    try:
        signed = jws.extract_compact(token)
        issuer = signed.headers().get("kid")
    except (JoseError, ValueError, TypeError) as error:
        raise ProtocolError(f"not a compact JWS: {error}", Refusal.MALFORMED) from error
    identity = trust.get(issuer) if isinstance(issuer, str) else None
    if identity is None:
        raise ProtocolError(f"unknown identity {issuer!r}", Refusal.UNKNOWN_IDENTITY)
    try:
        proven = jws.deserialize_compact(token, identity.key, algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError) as error:
        raise ProtocolError(f"signature does not fit: {error}", Refusal.BAD_SIGNATURE) from error
    claims = _parse(proven.payload)
    if claims.iss != issuer:
        raise ProtocolError("issuer and signing key differ", Refusal.BAD_SIGNATURE)
    return claims


def _parse(payload: bytes) -> Claims:
    try:
        raw = json.loads(payload, object_pairs_hook=_unique_pairs)
        model = _TYPES.get(str(raw.get("typ"))) if isinstance(raw, dict) else None
        if model is None:
            raise ProtocolError("signed message of unknown type", Refusal.UNKNOWN_KIND)
        return model.model_validate(raw)
    except ProtocolError:
        raise
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProtocolError(f"claims do not fit: {first}", Refusal.MALFORMED) from error


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a key stands twice")
    return dict(pairs)


def peer_of(token: bytes) -> str | None:
    """Return which peer connection a signal says it is for; None when it is no signal.

    Nothing is proven by that: it only tells who shall look at the message.
    """
    peer = _unproven(token).get("peer")
    return peer if isinstance(peer, str) else None


def tells_head(token: bytes) -> bool:
    """Return whether a token says that it tells a recorder's head; nothing is proven by that."""
    return _unproven(token).get("typ") == "head"


def _unproven(token: bytes) -> dict[str, Any]:
    """Return what a token says, whoever made it; nothing when it is none."""
    if len(token) > TOKEN_MAX_BYTES:
        return {}
    try:
        content = json.loads(jws.extract_compact(token).payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
