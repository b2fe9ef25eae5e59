"""Leads WebRTC peers over relays: session descriptions get the relay's address, signed anew.

Descriptions are signed end to end, so nobody on the way can do this who has not both ends' private
keys; the demo has them, because it made them for one run. The DTLS fingerprints stay, so that both
peers still speak to each other and to nobody else. An offer loses its addresses: who answers then
learns the address from which the offerer speaks, which is the relay's. Every peer connection is
led over the link, whatever it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from joserfc.jwk import OKPKey

from protocol.errors import ProtocolError
from protocol.messages import (
    SignalClaims,
    Trust,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)

HOST = "127.0.0.1"
_CANDIDATE, _END = "a=candidate:", "a=end-of-candidates"
OpenRelay = Callable[[int, str], int]
"""Given the port of a peer on this computer and what the peer is for, returns a relay's port."""


class Detour:
    """Both ends' keys, and what to do with a description.

    Args:
        keys: private keys by identity. trust: whose descriptions are led.
    """

    def __init__(self, keys: dict[str, OKPKey], trust: Trust) -> None:
        self._keys, self._trust = keys, trust

    def lead(self, token: bytes, open_relay: OpenRelay) -> bytes:
        """Return a signed description that leads over the relay; anything else as it is."""
        try:
            claims = verify_signed(token, self._trust)
        except ProtocolError:
            return token
        key = self._keys.get(claims.iss)
        if not isinstance(claims, SignalClaims) or claims.role == "bye" or key is None:
            return token
        sdp = without_addresses(claims.sdp)
        if claims.role == "answer":
            sdp = with_relays(claims.sdp, lambda port: open_relay(port, claims.peer))
        return sign_claims(claims.model_copy(update={"sdp": sdp}), key)


def load_detour(folder: Path) -> Detour:
    """Return the detour of a run's folder: NAME.jwk for every identity of its trust.json.

    Raises:
        OSError, ValueError: a file is not there or not what it should be.
    """
    trust = load_trust((folder / "trust.json").read_text(encoding="utf-8"))
    keys = {
        name: load_private_key((folder / f"{name}.jwk").read_text(encoding="utf-8"))
        for name in trust
    }
    return Detour(keys, trust)


def without_addresses(sdp: str) -> str:
    """Return a description without any candidate, and open for those that checks bring."""
    return _lines(line for line in sdp.splitlines() if not line.startswith((_CANDIDATE, _END)))


def with_relays(sdp: str, open_relay: Callable[[int], int]) -> str:
    """Return a description whose candidates on this computer are relays, and no others."""
    kept = []
    for line in sdp.splitlines():
        fields = line.split()
        if line.startswith(_CANDIDATE):
            if fields[4] != HOST or fields[2].lower() != "udp":
                continue
            fields[5] = f"{open_relay(int(fields[5]))}"
        kept.append(" ".join(fields))
    return _lines(kept)


def _lines(lines: Iterable[str]) -> str:
    return "\r\n".join(lines) + "\r\n"
