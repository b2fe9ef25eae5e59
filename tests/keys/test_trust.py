"""What a trust file refuses: expired identities and revoked keys, each with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from protocol.messages import BEFORE_ALL, generate_identity, load_trust, read_trust
from protocol.register import thumbprint

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PUBLIC = generate_identity()[1]


def trust_text(*, revoked: list[dict[str, Any]] | None = None, **entry: Any) -> str:
    identity = {"id": "console-1", "role": "driver", "public": PUBLIC, **entry}
    return json.dumps({"identities": [identity], "revoked": revoked or []})


def test_identity_before_its_expiry__counts() -> None:
    assert "console-1" in load_trust(trust_text(expires="2026-06-01T00:00:01Z"), NOW)


def test_identity_at_its_expiry__is_refused_with_the_day() -> None:
    reading = read_trust(trust_text(expires="2026-06-01T00:00:00Z"), NOW)
    assert reading.trust == {}
    assert reading.refused == {"console-1": "expired on 2026-06-01"}


def test_identity_that_expires_and_no_date_to_judge_by__is_refused() -> None:
    assert load_trust(trust_text(expires="2026-06-01T00:00:00Z")) == {}


def test_revoked_key__is_refused_with_its_reason() -> None:
    revoked = [{"thumbprint": thumbprint(PUBLIC), "reason": "lost"}]
    reading = read_trust(trust_text(revoked=revoked), NOW)
    assert reading.trust == {}
    assert reading.refused == {"console-1": "its key is revoked: lost"}


def test_key_revoked_under_another_name__is_refused_all_the_same() -> None:
    revoked = [{"thumbprint": thumbprint(PUBLIC)}]
    assert load_trust(trust_text(revoked=revoked, id="console-9"), NOW) == {}


def test_expiry_without_a_time_zone__is_no_trust_file() -> None:
    with pytest.raises(ValueError, match="timezone"):
        load_trust(trust_text(expires="2026-06-01T00:00:00"), NOW)


def test_revocation_that_is_no_thumbprint__is_no_trust_file() -> None:
    with pytest.raises(ValueError, match="thumbprint"):
        load_trust(trust_text(revoked=[{"thumbprint": "console-1"}]), NOW)


def test_refused_identity_that_stands_twice__is_no_trust_file() -> None:
    entry = json.loads(trust_text(expires="2026-01-01T00:00:00Z"))["identities"][0]
    with pytest.raises(ValueError, match="twice"):
        load_trust(json.dumps({"identities": [entry, entry]}), NOW)


def test_before_all__expiry_changes_nothing_and_a_revocation_does() -> None:
    expired = trust_text(expires="2026-01-01T00:00:00Z")
    revoked = trust_text(revoked=[{"thumbprint": thumbprint(PUBLIC)}])
    assert set(load_trust(expired, BEFORE_ALL)) == {"console-1"}
    assert load_trust(revoked, BEFORE_ALL) == {}
