"""The digest of everything that decides how this machine is held: what an engineer approves.

Whoever changes limits, times, the people who are trusted or the command paths that are fitted
changes the digest, and a machine that was approved under another one refuses to be driven
(condition ``settings_mismatch``). The paths count because the speed cap for want of one of them
ends with the second; the addresses that a path offers do not: nobody is believed by his address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict

from protocol.messages import Trust
from protocol.profiles import MachineLimits
from protocol.signals import Timing


def settings_sha256(
    vehicle: str, limits: MachineLimits, timing: Timing, trust: Trust, paths: Collection[int]
) -> str:
    """Return 64 hex digits over name, limits, times, command paths, and trusted keys with roles.

    Keys count by their thumbprint (RFC 7638); the order of the files' entries does not count.
    """
    people = sorted((who.id, who.role.value, who.key.thumbprint()) for who in trust.values())
    parts = [vehicle, limits.model_dump(), asdict(timing), people, sorted(paths)]
    content = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
