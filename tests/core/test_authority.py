"""Authority: who may ask for what, which epoch that burns, and exactly what is answered."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from protocol.errors import ProtocolError, Refusal
from protocol.frames import session_keys
from protocol.freshness import Lease
from protocol.messages import (
    AckClaims,
    Identity,
    Outcome,
    RequestClaims,
    RequestKind,
    Role,
    StopClaims,
    generate_identity,
    sign_claims,
)
from protocol.signals import DEFAULT_TIMING
from tests.core.parts import MS, S
from vehicle_agent.core.authority import Answer, Authority, Waiting
from vehicle_agent.core.entropy import Entropy

VEHICLE = "TRUCK-07"
BOOT = 0xB007
SEED = bytes(range(32))
EPOCH_ON_DISK = 0x1_FFFD
"""Chosen so that the first lease's epoch, 0x1FFFF, does not fit a key id of 16 bits."""
T_NS = 5_000 * S
PEER = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PEER_PUBLIC = PEER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def identity(name: str, role: Role) -> tuple[OKPKey, Identity]:
    private, public = generate_identity()
    return OKPKey.import_key(dict(private)), Identity(name, role, OKPKey.import_key(dict(public)))


PEOPLE = {
    name: identity(name, role)
    for name, role in (
        ("anna", Role.DRIVER),
        ("ben", Role.DRIVER),
        ("chief", Role.SUPERVISOR),
        ("deputy", Role.SUPERVISOR),
        ("gate", Role.STOP_ONLY),
        ("watcher", Role.OBSERVER),
        ("other-truck", Role.VEHICLE),
    )
}
TRUST = {name: found for name, (_, found) in PEOPLE.items()}


@pytest.fixture
def authority() -> Authority:
    return Authority(VEHICLE, BOOT, EPOCH_ON_DISK, TRUST, DEFAULT_TIMING, Entropy(SEED))


def request(
    name: str = "anna", kind: RequestKind = RequestKind.LEASE, **changes: Any
) -> RequestClaims:
    values: dict[str, Any] = {
        "iss": name,
        "aud": VEHICLE,
        "id": "ab" * 16,
        "kind": kind,
        "nonce": "00" * 16,
        "boot": BOOT,
        "x25519": PEER_PUBLIC.hex(),
    }
    return RequestClaims(**{**values, **changes})


def stop(name: str = "anna", **changes: Any) -> StopClaims:
    values: dict[str, Any] = {
        "iss": name,
        "aud": VEHICLE,
        "id": "cd" * 16,
        "boot": BOOT,
        "stamp_us": 7,
    }
    return StopClaims(**{**values, **changes})


def signed(claims: RequestClaims | StopClaims) -> bytes:
    return sign_claims(claims, PEOPLE[claims.iss][0])


def answer(claims: RequestClaims, outcome: Outcome, reason: str, epoch: int) -> Answer:
    return Answer(
        claims.iss,
        AckClaims(
            iss=VEHICLE,
            aud=claims.iss,
            id="ab" * 16,
            kind=claims.kind,
            outcome=outcome,
            reason=reason,
            boot=BOOT,
            epoch=epoch,
        ),
    )


def granted(authority: Authority, name: str = "anna") -> Answer:
    """Let someone have the lease, its epoch durable at once."""
    assert authority.ask_lease(T_NS, request(name)) is None
    found = authority.finish_grant(T_NS, authority.epoch)
    assert found is not None
    assert found.claims.outcome is Outcome.GRANTED
    return found


def still_granting(authority: Authority) -> bool:
    return authority.granting


def still_waiting(authority: Authority) -> bool:
    return authority.waiting is not None


# --- a new boot ---------------------------------------------------------------------------------


def test_new_boot__burns_an_epoch_and_nobody_drives(authority: Authority) -> None:
    assert authority.epoch == EPOCH_ON_DISK + 1
    assert authority.holder is None
    assert authority.waiting is None
    assert not authority.granting
    assert authority.nonce == Entropy(SEED).take(16).hex()
    assert authority.refused == {}


def test_new_boot__nothing_lapses_expires_or_is_granted(authority: Authority) -> None:
    authority.renew(T_NS, enable=True)

    assert authority.lapse(T_NS) is None
    assert not authority.expired(T_NS)
    assert authority.finish_grant(T_NS, 0xFFFF_FFFF) is None
    assert authority.holder is None


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["anna", "chief"])
def test_request_of_one_who_may_drive__proven_and_its_nonce_used_up(
    authority: Authority, name: str
) -> None:
    claims = request(name, nonce=authority.nonce)

    assert authority.read_request(signed(claims), name) == claims

    dice = Entropy(SEED)
    dice.take(16)
    assert authority.nonce == dice.take(16).hex()
    assert authority.refused == {}


@pytest.mark.parametrize(
    ("claims", "sender", "reason", "text"),
    [
        (stop(), "anna", Refusal.UNKNOWN_KIND, "not a request"),
        (
            request(),
            "ben",
            Refusal.UNKNOWN_IDENTITY,
            "author of the topic and signer differ",
        ),
        (request(aud="TRUCK-08"), "anna", Refusal.WRONG_AUDIENCE, "for another vehicle"),
        (request(boot=BOOT + 1), "anna", Refusal.WRONG_BOOT, "for another boot"),
        (request("gate"), "gate", Refusal.WRONG_ROLE, "role may not drive"),
        (request("watcher"), "watcher", Refusal.WRONG_ROLE, "role may not drive"),
        (request("other-truck"), "other-truck", Refusal.WRONG_ROLE, "role may not drive"),
        (request(nonce="11" * 16), "anna", Refusal.WRONG_NONCE, "nonce is not a current one"),
    ],
)
def test_request_wrong_in_one_thing__refused_counted_and_the_nonce_stays(
    authority: Authority,
    claims: RequestClaims | StopClaims,
    sender: str,
    reason: Refusal,
    text: str,
) -> None:
    nonce = authority.nonce

    for times in (1, 2):
        with pytest.raises(ProtocolError, match=f"^{re.escape(text)}$") as caught:
            authority.read_request(signed(claims), sender)
        assert caught.value.reason is reason
        assert authority.refused == {reason: times}
    assert authority.nonce == nonce


def test_request_nobody_signed__refused_and_counted(authority: Authority) -> None:
    with pytest.raises(ProtocolError):
        authority.read_request(b"nothing", "anna")

    assert authority.refused == {Refusal.MALFORMED: 1}


# --- stops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["anna", "chief", "gate"])
def test_stop_of_one_who_may_stop__proven_and_no_nonce_used(
    authority: Authority, name: str
) -> None:
    nonce = authority.nonce

    assert authority.read_stop(signed(stop(name)), name) == stop(name)
    assert authority.nonce == nonce
    assert authority.refused == {}


@pytest.mark.parametrize(
    ("claims", "sender", "reason", "text"),
    [
        (request(), "anna", Refusal.UNKNOWN_KIND, "not a stop"),
        (stop(), "ben", Refusal.UNKNOWN_IDENTITY, "author of the topic and signer differ"),
        (stop(aud="TRUCK-08"), "anna", Refusal.WRONG_AUDIENCE, "for another vehicle"),
        (stop(boot=BOOT + 1), "anna", Refusal.WRONG_BOOT, "for another boot"),
        (stop("watcher"), "watcher", Refusal.WRONG_ROLE, "role may not stop"),
        (stop("other-truck"), "other-truck", Refusal.WRONG_ROLE, "role may not stop"),
    ],
)
def test_stop_wrong_in_one_thing__refused_and_counted(
    authority: Authority,
    claims: RequestClaims | StopClaims,
    sender: str,
    reason: Refusal,
    text: str,
) -> None:
    with pytest.raises(ProtocolError, match=f"^{re.escape(text)}$") as caught:
        authority.read_stop(signed(claims), sender)

    assert caught.value.reason is reason
    assert authority.refused == {reason: 1}


# --- the grant ----------------------------------------------------------------------------------


@pytest.mark.requirement("HF-AUTH-03")
def test_lease_asked_for__granted_only_once_its_epoch_is_durable(authority: Authority) -> None:
    assert authority.ask_lease(T_NS, request()) is None
    assert authority.epoch == 0x1_FFFF
    assert authority.granting
    assert authority.holder is None

    assert authority.finish_grant(T_NS, 0x1_FFFE) is None
    assert authority.finish_grant(T_NS, 0x1_FFFF) is not None
    assert authority.finish_grant(T_NS, 0x1_FFFF) is None
    assert not still_granting(authority)


def test_grant__gives_key_id_times_and_keys_that_both_ends_derive(authority: Authority) -> None:
    found = granted(authority)

    public = found.claims.x25519
    assert public is not None
    assert found == Answer(
        "anna",
        AckClaims(
            iss=VEHICLE,
            aud="anna",
            id="ab" * 16,
            kind=RequestKind.LEASE,
            outcome=Outcome.GRANTED,
            boot=BOOT,
            epoch=0x1_FFFF,
            key_id=0xFFFF,
            x25519=public,
            ttl_ms=2000,
        ),
    )
    keys = session_keys(PEER, bytes.fromhex(public), BOOT, 0x1_FFFF)
    holder = authority.holder
    assert holder is not None
    assert holder.operator == "anna"
    assert holder.lease == Lease(0xFFFF, 0x1_FFFF, keys.command)
    assert holder.state_key == keys.state
    assert holder.until_ns == T_NS + 2 * S
    assert holder.parked_until_ns == T_NS + 60 * S


def test_grant_longer_on_disk_than_asked__granted_under_its_own_epoch(
    authority: Authority,
) -> None:
    authority.ask_lease(T_NS, request())

    found = authority.finish_grant(T_NS, 0x2_0000)

    assert found is not None
    assert found.claims.epoch == 0x1_FFFF


def test_public_key_that_gives_no_secret__refused_and_nobody_drives(authority: Authority) -> None:
    claims = request(x25519="00" * 32)
    authority.ask_lease(T_NS, claims)

    found = authority.finish_grant(T_NS, authority.epoch)

    assert found == answer(claims, Outcome.REFUSED, "B108", 0x1_FFFF)
    assert authority.refused == {Refusal.UNKNOWN_KEY: 1}
    assert authority.holder is None
    assert not authority.granting


def test_request_without_a_public_key__malformed(authority: Authority) -> None:
    claims = request(x25519=None)

    assert authority.ask_lease(T_NS, claims) == answer(
        claims, Outcome.REFUSED, "B108", EPOCH_ON_DISK + 1
    )
    assert authority.refused == {Refusal.MALFORMED: 1}
    assert not authority.granting


def test_second_request_while_a_grant_is_written__refused(authority: Authority) -> None:
    authority.ask_lease(T_NS, request())

    assert authority.ask_lease(T_NS, request("ben")) == answer(
        request("ben"), Outcome.REFUSED, "B110", 0x1_FFFF
    )
    assert authority.epoch == 0x1_FFFF


# --- one who waits ------------------------------------------------------------------------------


def test_lease_held_by_another__waits_until_the_holder_offers_or_ten_seconds_are_over(
    authority: Authority,
) -> None:
    granted(authority)
    claims = request("ben")

    assert authority.ask_lease(T_NS, claims) == answer(claims, Outcome.QUEUED, "B106", 0x1_FFFF)
    assert authority.waiting == Waiting(claims, T_NS + 10 * S, preempts=False)
    assert authority.lapse(T_NS + 10 * S - 1) is None
    assert authority.lapse(T_NS + 10 * S) == answer(claims, Outcome.REFUSED, "B111", 0x1_FFFF)
    assert not still_waiting(authority)
    assert authority.lapse(T_NS + 20 * S) is None


def test_holder_asks_again__refused(authority: Authority) -> None:
    granted(authority)

    assert authority.ask_lease(T_NS, request()) == answer(
        request(), Outcome.REFUSED, "B106", 0x1_FFFF
    )
    assert authority.waiting is None


def test_third_asks_while_another_waits__refused_and_the_first_keeps_waiting(
    authority: Authority,
) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))

    assert authority.ask_lease(T_NS, request("chief")) == answer(
        request("chief"), Outcome.REFUSED, "B106", 0x1_FFFF
    )
    assert authority.waiting == Waiting(request("ben"), T_NS + 10 * S, preempts=False)


@pytest.mark.parametrize("name", ["anna", "ben"])
def test_take_over_by_one_who_is_no_supervisor__wrong_role(authority: Authority, name: str) -> None:
    granted(authority)
    claims = request(name, RequestKind.TAKE_OVER)

    assert authority.ask_lease(T_NS, claims) == answer(claims, Outcome.REFUSED, "B109", 0x1_FFFF)
    assert authority.refused == {Refusal.WRONG_ROLE: 1}
    assert authority.waiting is None


def test_take_over_by_a_supervisor__waits_without_end(authority: Authority) -> None:
    granted(authority)
    claims = request("chief", RequestKind.TAKE_OVER)

    assert authority.ask_lease(T_NS, claims) == answer(claims, Outcome.QUEUED, "B106", 0x1_FFFF)
    assert authority.waiting == Waiting(claims, T_NS + 10 * S, preempts=True)
    assert authority.lapse(T_NS + 1000 * S) is None
    assert authority.waiting is not None


def test_take_over_while_another_waits__the_other_is_refused_once(authority: Authority) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))
    claims = request("chief", RequestKind.TAKE_OVER)

    assert authority.ask_lease(T_NS, claims) == answer(claims, Outcome.QUEUED, "B106", 0x1_FFFF)
    assert authority.waiting == Waiting(claims, T_NS + 10 * S, preempts=True)
    assert authority.lapse(T_NS) == answer(request("ben"), Outcome.REFUSED, "B111", 0x1_FFFF)
    assert authority.waiting is not None
    assert authority.lapse(T_NS) is None


def test_take_over_where_nobody_drives__granted_as_any_lease(authority: Authority) -> None:
    assert authority.ask_lease(T_NS, request("chief", RequestKind.TAKE_OVER)) is None

    assert authority.granting


def test_hand_over__ends_the_lease_and_grants_it_under_the_next_epoch(
    authority: Authority,
) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))

    authority.hand_over()

    assert authority.holder is None
    assert authority.waiting is None
    assert authority.epoch == 0x2_0000
    assert authority.finish_grant(T_NS, 0x1_FFFF) is None
    found = authority.finish_grant(T_NS, 0x2_0000)
    assert found is not None
    assert (found.operator, found.claims.epoch, found.claims.key_id) == ("ben", 0x2_0000, 0)


# --- time of a lease ----------------------------------------------------------------------------


@pytest.mark.parametrize("enable", [False, True])
def test_accepted_command__lengthens_the_lease(authority: Authority, enable: bool) -> None:
    granted(authority)
    before = authority.holder
    assert before is not None

    authority.renew(T_NS + S, enable=enable)

    parked_until_ns = T_NS + (61 * S if enable else 60 * S)
    assert authority.holder == replace(
        before, until_ns=T_NS + 3 * S, parked_until_ns=parked_until_ns
    )


def test_commands_without_enable__keep_a_lease_for_a_minute_and_no_longer(
    authority: Authority,
) -> None:
    granted(authority)
    for second in range(70):
        authority.renew(T_NS + second * S, enable=False)

    assert not authority.expired(T_NS + 60 * S - 1)
    assert authority.expired(T_NS + 60 * S)


def test_no_command__the_lease_expires_after_its_time(authority: Authority) -> None:
    granted(authority)

    assert not authority.expired(T_NS + 2000 * MS - 1)
    assert authority.expired(T_NS + 2000 * MS)


# --- the end ------------------------------------------------------------------------------------


def test_end_of_a_lease__burns_its_epoch_and_who_waits_goes_on_waiting(
    authority: Authority,
) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))

    authority.end()

    assert authority.holder is None
    assert authority.waiting == Waiting(request("ben"), T_NS + 10 * S, preempts=False)
    assert authority.epoch == 0x2_0000
    assert not authority.expired(T_NS + 10 * S)


def test_end_while_a_grant_is_written__nothing_is_granted(authority: Authority) -> None:
    authority.ask_lease(T_NS, request())

    authority.end()

    assert not authority.granting
    assert authority.finish_grant(T_NS, 0xFFFF_FFFF) is None


def test_grant_withdrawn__refused_with_the_reason_and_not_granted_any_more(
    authority: Authority,
) -> None:
    authority.ask_lease(T_NS, request())

    assert authority.withdraw("B108") == (answer(request(), Outcome.REFUSED, "B108", 0x1_FFFF),)
    assert not authority.granting
    assert authority.finish_grant(T_NS, 0xFFFF_FFFF) is None
    assert authority.withdraw("B108") == ()


def test_wait_withdrawn__refused_with_the_reason_and_waits_no_more(authority: Authority) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))

    refused = authority.withdraw("M111")

    assert refused == (answer(request("ben"), Outcome.REFUSED, "M111", 0x1_FFFF),)
    assert not still_waiting(authority)


def test_lease_asked_while_another_waits_for_the_ended_one__refused(authority: Authority) -> None:
    granted(authority)
    authority.ask_lease(T_NS, request("ben"))
    authority.end()

    answered = authority.ask_lease(T_NS, request("anna"))

    assert answered == answer(request("anna"), Outcome.REFUSED, "B106", 0x2_0000)
    assert authority.waiting == Waiting(request("ben"), T_NS + 10 * S, preempts=False)


# --- the nonce's age ----------------------------------------------------------------------------


def test_nonce__drawn_again_each_two_seconds_and_the_one_before_still_counts(
    authority: Authority,
) -> None:
    authority.age_nonce(T_NS)
    first = authority.nonce
    authority.age_nonce(T_NS + 2 * S - 1)
    assert authority.nonce == first
    authority.age_nonce(T_NS + 2 * S)
    assert authority.nonce != first

    assert authority.read_request(signed(request(nonce=first)), "anna").nonce == first


def test_newest_nonce__counts_after_its_turn_began_and_after_the_one_before_was_used(
    authority: Authority,
) -> None:
    authority.age_nonce(T_NS)
    authority.age_nonce(T_NS + 2 * S)

    for _ in range(2):
        newest = authority.nonce
        assert authority.read_request(signed(request(nonce=newest)), "anna").nonce == newest


def test_nonce_two_periods_old__refused(authority: Authority) -> None:
    authority.age_nonce(T_NS)
    first = authority.nonce
    authority.age_nonce(T_NS + 2 * S)
    second = authority.nonce
    authority.age_nonce(T_NS + 4 * S - 1)
    assert authority.nonce == second
    authority.age_nonce(T_NS + 4 * S)

    with pytest.raises(ProtocolError):
        authority.read_request(signed(request(nonce=first)), "anna")
    assert authority.refused == {Refusal.WRONG_NONCE: 1}


def test_request_with_the_nonce_before__uses_up_both(authority: Authority) -> None:
    authority.age_nonce(T_NS)
    first = authority.nonce
    authority.age_nonce(T_NS + 2 * S)
    second = authority.nonce
    authority.read_request(signed(request(nonce=first)), "anna")

    for used in (first, second):
        with pytest.raises(ProtocolError):
            authority.read_request(signed(request(nonce=used)), "anna")
    assert authority.refused == {Refusal.WRONG_NONCE: 2}


# --- other answers ------------------------------------------------------------------------------


def test_request_carried_out__done_without_a_reason(authority: Authority) -> None:
    claims = request(kind=RequestKind.ARM, x25519=None)

    assert authority.done(claims) == answer(claims, Outcome.DONE, "", EPOCH_ON_DISK + 1)


def test_refusal_decided_elsewhere__counted(authority: Authority) -> None:
    authority.count(Refusal.RATE_LIMITED)
    authority.count(Refusal.RATE_LIMITED)

    assert authority.refused == {Refusal.RATE_LIMITED: 2}
