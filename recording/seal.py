"""The signature under a finished file: the machine's own key over the head of its chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from protocol.messages import ALGORITHM


def seal(content: Mapping[str, Any], vehicle: str, key: OKPKey) -> dict[str, str]:
    """Return the metadata that seals a file.

    Args:
        content: session, segment, head of the chain and count of messages. key: the machine's.
    """
    header = {"alg": ALGORITHM, "kid": vehicle, "typ": "headframe-seal"}
    token = jws.serialize_compact(
        header, json.dumps(content, sort_keys=True).encode(), key, algorithms=[ALGORITHM]
    )
    return {"jws": token, "head": str(content["head"])}


def sealed(metadata: Mapping[str, str], public: OKPKey) -> dict[str, Any] | None:
    """Return what a seal says; None when it is not by that key."""
    try:
        proven = jws.deserialize_compact(metadata.get("jws", ""), public, algorithms=[ALGORITHM])
        content = json.loads(proven.payload)
    except (JoseError, ValueError, TypeError):
        return None
    return content if isinstance(content, dict) else None
