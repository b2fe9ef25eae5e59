"""The heads of two recorders' chains, exchanged: each side keeps how far the other one had got.

A chain of hashes proves a log only against who cannot make it anew. So each recorder signs its
head once a second and sends it to the other side, whose own chain then holds it: from then on
nothing before it can be altered, taken away or put in another's place by one side alone.

What is signed is a JWS of the recorder's own device key. A tag of the lease's keys would prove
nothing, because both ends of a lease have the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import OKPKey

from protocol.errors import ProtocolError
from protocol.messages import HeadClaims, Role, Trust, sign_claims, verify_signed

SESSIONS_KEPT = 64
"""Of one author: the log of one that was over does not come again."""


def announced(content: Mapping[str, Any], author: str, vehicle: str, key: OKPKey) -> bytes:
    """Return the token that tells a head.

    Args:
        content: session, segment, count, head and utc_ns. author: whose log it is.
        vehicle: whose drive it is. key: the author's.
    """
    claims = HeadClaims.model_validate({"iss": author, "aud": vehicle, **content})
    return sign_claims(claims, key)


def proven(token: bytes, trust: Trust, vehicle: str, *, of_vehicle: bool) -> HeadClaims | None:
    """Return what a token tells; None when it is none of that drive by somebody trusted.

    Args:
        of_vehicle: only the vehicle's own counts; otherwise only those of others.
    """
    try:
        claims = verify_signed(token, trust)
    except ProtocolError:
        return None
    if not isinstance(claims, HeadClaims) or claims.aud != vehicle:
        return None
    is_vehicle = trust[claims.iss].role is Role.VEHICLE
    fits = claims.iss == vehicle if of_vehicle else not is_vehicle
    return claims if fits and is_vehicle == of_vehicle else None


@dataclass(slots=True)
class HeardHeads:
    """Heads of the other side as they come: each newer than the one before.

    Args:
        trust: whose signatures count. vehicle: whose drive it is.
        of_vehicle: the other side is the vehicle.

    Attributes:
        refused: tokens that did not count.
    """

    trust: Trust
    vehicle: str
    of_vehicle: bool
    refused: int = 0
    _newest: dict[str, HeadClaims] = field(default_factory=dict)
    _over: dict[str, list[str]] = field(default_factory=dict)

    def row(self, token: bytes) -> bytes | None:
        """Return what is written of a token; None when it does not count."""
        claims = proven(token, self.trust, self.vehicle, of_vehicle=self.of_vehicle)
        if claims is None or not self._is_news(claims):
            self.refused += 1
            return None
        self._newest[claims.iss] = claims
        told = claims.model_dump(include={"iss", "session", "segment", "count", "head", "utc_ns"})
        return json.dumps({**told, "jws": token.decode("ascii")}, separators=(",", ":")).encode()

    def _is_news(self, claims: HeadClaims) -> bool:
        """A broker may keep a token and send it again: what was said before says nothing."""
        before = self._newest.get(claims.iss)
        if before is None:
            return True
        if before.session == claims.session:
            return (before.segment, before.count) < (claims.segment, claims.count)
        over = self._over.setdefault(claims.iss, [])
        if claims.session in over:
            return False
        over.append(before.session)
        del over[:-SESSIONS_KEPT]
        return True


Announce = Callable[[bytes], None]
"""Takes the token of each new head."""
