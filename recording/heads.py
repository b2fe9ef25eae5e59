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
"""Of one author: what was heard of older ones is forgotten, and they count by their time alone."""


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
    """Heads of the other side as they come: each newer than the one before of its log.

    A log that is told of anew counts only when it is newer, by its author's clock, than what that
    author told last: who repeats an old token puts in nothing, and keeps nothing out.

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
    _newest: dict[str, dict[str, HeadClaims]] = field(default_factory=dict)

    def row(self, token: bytes, author: str | None = None) -> bytes | None:
        """Return what is written of a token; None when it does not count.

        Args:
            author: in whose name it came; None is anybody trusted.
        """
        claims = proven(token, self.trust, self.vehicle, of_vehicle=self.of_vehicle)
        own = claims is not None and author in (None, claims.iss)
        if claims is None or not own or not self._is_news(claims):
            self.refused += 1
            return None
        self._keep(claims)
        told = claims.model_dump(include={"iss", "session", "segment", "count", "head", "utc_ns"})
        return json.dumps({**told, "jws": token.decode("ascii")}, separators=(",", ":")).encode()

    def _is_news(self, claims: HeadClaims) -> bool:
        """A broker may keep a token and send it again: what was said before says nothing."""
        sessions = self._newest.get(claims.iss)
        if not sessions:
            return True
        before, last = sessions.get(claims.session), next(reversed(sessions.values()))
        if before is not None and (before.segment, before.count) >= (claims.segment, claims.count):
            return False
        return before is last or claims.utc_ns > last.utc_ns

    def _keep(self, claims: HeadClaims) -> None:
        """Keep it as the last one of its author."""
        sessions = self._newest.setdefault(claims.iss, {})
        sessions.pop(claims.session, None)
        sessions[claims.session] = claims
        if len(sessions) > SESSIONS_KEPT:
            del sessions[next(iter(sessions))]


Announce = Callable[[bytes], None]
"""Takes the token of each new head."""
