"""The digest of everything that decides how this machine is held: what an engineer approves.

Whoever changes limits, times or the people who are trusted changes the digest, and a machine
that was approved under another one refuses to be driven (condition ``settings_mismatch``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from protocol.messages import Trust
from protocol.profiles import MachineLimits
from protocol.signals import Timing


def settings_sha256(vehicle: str, limits: MachineLimits, timing: Timing, trust: Trust) -> str:
    """Return 64 hex digits over the vehicle's name, limits, times, and trusted keys with roles.

    Keys count by their thumbprint (RFC 7638); the order of the files' entries does not count.
    """
    people = sorted((who.id, who.role.value, who.key.thumbprint()) for who in trust.values())
    content = json.dumps([vehicle, limits.model_dump(), asdict(timing), people], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
