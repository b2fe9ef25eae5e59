"""Signed messages: only a trusted identity's exact words count."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jws

from protocol.errors import ProtocolError, Refusal
from protocol.messages import (
    RequestClaims,
    RequestKind,
    Role,
    SignalClaims,
    generate_identity,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from tests.rig import PEOPLE, TRUST, VEHICLE, new_identity

REQUEST = RequestClaims(
    iss="console-1",
    aud=VEHICLE,
    id="ab" * 16,
    kind=RequestKind.LEASE,
    nonce="cd" * 16,
    boot=1,
    x25519="ef" * 32,
)


def signed(payload: dict[str, Any] | str, who: str = "console-1", **header: str) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    head = {"alg": "Ed25519", "kid": who, **header}
    return jws.serialize_compact(head, text, PEOPLE[who][0], algorithms=["Ed25519"]).encode()


def refusal(token: bytes) -> Refusal:
    with pytest.raises(ProtocolError) as caught:
        verify_signed(token, TRUST)
    return caught.value.reason


def test_signed_request__comes_back_word_for_word() -> None:
    assert verify_signed(sign_claims(REQUEST, PEOPLE["console-1"][0]), TRUST) == REQUEST


def test_request_under_a_strange_key__bad_signature() -> None:
    stranger, _ = new_identity("console-1", Role.DRIVER)

    assert refusal(sign_claims(REQUEST, stranger)) is Refusal.BAD_SIGNATURE


def test_unknown_identity__told_apart() -> None:
    claims = REQUEST.model_copy(update={"iss": "nobody"})

    assert refusal(sign_claims(claims, PEOPLE["console-1"][0])) is Refusal.UNKNOWN_IDENTITY


def test_signed_by_one_in_the_name_of_another__refused() -> None:
    claims = json.loads(REQUEST.model_dump_json())

    assert refusal(signed(claims, who="console-2")) is Refusal.BAD_SIGNATURE


@pytest.mark.requirement("HF-AUTH-12")
def test_every_changed_character__refused() -> None:
    token = sign_claims(REQUEST, PEOPLE["console-1"][0])
    for index in range(0, len(token), 7):
        other = b"A" if token[index : index + 1] != b"A" else b"B"
        refusal(token[:index] + other + token[index + 1 :])


@pytest.mark.parametrize("token", [b"", b".", b"..", b"a.b.c", b"\xff\xfe", b"{}", b"x" * 60_000])
def test_no_jws_at_all__refused_without_a_crash(token: bytes) -> None:
    assert refusal(token) in (Refusal.MALFORMED, Refusal.UNKNOWN_IDENTITY, Refusal.LONG)


@pytest.mark.requirement("HF-AUTH-12")
def test_unsigned_token__refused() -> None:
    parts = sign_claims(REQUEST, PEOPLE["console-1"][0]).split(b".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"console-1"}').rstrip(b"=")
    none = head + b"." + parts[1] + b"."

    assert refusal(none) is Refusal.BAD_SIGNATURE
    assert refusal(parts[0] + b"." + parts[1] + b".") is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"v": 2},
        {"boot": -1},
        {"boot": 2**32},
        {"boot": "1"},
        {"boot": 1.0},
        {"kind": "drive"},
        {"nonce": "xy"},
        {"iss": "console-1", "aud": "not an id!"},
    ],
)
@pytest.mark.requirement("HF-AUTH-12")
def test_claims_that_do_not_fit__malformed(change: dict[str, Any]) -> None:
    claims = {**json.loads(REQUEST.model_dump_json()), **change}

    assert refusal(signed(claims)) is Refusal.MALFORMED


@pytest.mark.requirement("HF-AUTH-12")
def test_missing_claim__refused_and_never_a_default() -> None:
    for name in ("iss", "aud", "id", "kind", "nonce", "boot"):
        claims = json.loads(REQUEST.model_dump_json())
        del claims[name]
        assert refusal(signed(claims)) is Refusal.MALFORMED


def test_key_that_stands_twice__refused() -> None:
    text = REQUEST.model_dump_json()

    assert refusal(signed(text[:-1] + ',"boot":2}')) is Refusal.MALFORMED


def test_unknown_type__told_apart() -> None:
    assert refusal(signed({"typ": "party"})) is Refusal.UNKNOWN_KIND
    assert refusal(signed("[1,2]")) is Refusal.UNKNOWN_KIND


def test_signal_with_cameras__round_trips() -> None:
    claims = SignalClaims(
        iss="console-1",
        aud=VEHICLE,
        role="offer",
        peer="media",
        session="0a" * 16,
        sdp="v=0",
        cameras=(0, 2),
    )

    assert verify_signed(sign_claims(claims, PEOPLE["console-1"][0]), TRUST) == claims


def trust_text(*entries: dict[str, Any]) -> str:
    return json.dumps({"identities": list(entries)})


def test_trust_file__gives_its_identities() -> None:
    _, public = generate_identity()

    trust = load_trust(trust_text({"id": "a", "role": "driver", "public": public}))

    assert trust["a"].role is Role.DRIVER


def test_trust_file_with_a_private_key_or_a_double_id__refused() -> None:
    private, public = generate_identity()
    entry = {"id": "a", "role": "driver", "public": public}

    with pytest.raises(ValueError, match="private"):
        load_trust(trust_text({**entry, "public": private}))
    with pytest.raises(ValueError, match="twice"):
        load_trust(trust_text(entry, entry))
    with pytest.raises(ValueError, match="role"):
        load_trust(trust_text({**entry, "role": "king"}))
    with pytest.raises(ValueError, match="Ed25519"):
        load_trust(trust_text({**entry, "public": {"kty": "oct", "k": "AA"}}))


def test_private_key_file__must_hold_a_private_key() -> None:
    private, public = generate_identity()

    assert load_private_key(json.dumps(private)).is_private
    with pytest.raises(ValueError, match="private"):
        load_private_key(json.dumps(public))
