"""Carries session descriptions between a page and the vehicle, signed both ways."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass

from joserfc.jwk import OKPKey
from pydantic import ValidationError

from operator_console.core.session import Outgoing
from protocol.errors import ProtocolError, Refusal
from protocol.messages import Role, SignalClaims, Trust, sign_claims, verify_signed
from protocol.topics import Topics

SESSIONS_KEPT = 32


@dataclass(frozen=True, slots=True)
class Answered:
    """A proven answer and the page that waits for it."""

    page: int
    offer_id: str
    sdp: str


@dataclass(frozen=True, slots=True)
class _Session:
    page: int
    offer_id: str
    answered: bool = False


class Signalling:
    """The media sessions of one console. Each session id is used once and answered once."""

    def __init__(self, operator: str, topics: Topics, key: OKPKey, trust: Trust) -> None:
        self._operator = operator
        self._topics = topics
        self._key = key
        self._trust = trust
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self.refused: Counter[Refusal] = Counter()

    def offer(
        self, page: int, offer_id: str, sdp: str, cameras: list[int], *, standby: bool = False
    ) -> Outgoing | None:
        """Return the signed offer to publish, None when the page's words do not fit."""
        session = secrets.token_hex(16)
        try:
            claims = SignalClaims(
                iss=self._operator,
                aud=self._topics.vehicle,
                role="offer",
                peer="media",
                session=session,
                sdp=sdp,
                cameras=tuple(cameras),
                viewer=f"page-{page}",
                standby=standby,
            )
        except ValidationError:
            self.refused[Refusal.MALFORMED] += 1
            return None
        self._sessions[session] = _Session(page, offer_id)
        while len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        return self._outgoing(claims)

    def take(self, data: bytes) -> Answered | None:
        """Return the vehicle's answer when it is proven, ours, and the first of its session."""
        try:
            claims = verify_signed(data, self._trust)
        except ProtocolError as error:
            self.refused[error.reason] += 1
            return None
        if claims.iss == self._operator:
            return None
        refusal = self._refusal_of(claims)
        if refusal is not None:
            self.refused[refusal] += 1
            return None
        assert isinstance(claims, SignalClaims)
        session = self._sessions.get(claims.session)
        if claims.role == "bye":
            self._sessions.pop(claims.session, None)
            return None
        if session is None or session.answered or claims.role != "answer":
            self.refused[Refusal.REPLAYED] += 1
            return None
        self._sessions[claims.session] = _Session(session.page, session.offer_id, answered=True)
        return Answered(session.page, session.offer_id, claims.sdp)

    def _refusal_of(self, claims: object) -> Refusal | None:
        if not isinstance(claims, SignalClaims) or claims.peer != "media":
            return Refusal.UNKNOWN_KIND
        if claims.iss != self._topics.vehicle or self._trust[claims.iss].role is not Role.VEHICLE:
            return Refusal.WRONG_ROLE
        return None if claims.aud == self._operator else Refusal.WRONG_AUDIENCE

    def bye(self, page: int, offer_id: str | None = None) -> list[Outgoing]:
        """Return the farewells for a page's session, or for all of them when it went."""
        ended = [
            name
            for name, session in self._sessions.items()
            if session.page == page and offer_id in (None, session.offer_id)
        ]
        return [self._farewell(name) for name in ended]

    def _farewell(self, session: str) -> Outgoing:
        del self._sessions[session]
        claims = SignalClaims(
            iss=self._operator,
            aud=self._topics.vehicle,
            role="bye",
            peer="media",
            session=session,
        )
        return self._outgoing(claims)

    def _outgoing(self, claims: SignalClaims) -> Outgoing:
        topic = self._topics.signal(self._operator)
        return Outgoing(topic, sign_claims(claims, self._key), qos=1)
