"""The digest of everything that decides how this machine is held: what an engineer approves.

Whoever changes limits, times, the people who are trusted, how the machine is driven, or the command
paths or the range finder that are fitted changes the digest, and a machine that was approved under
another one refuses to be driven (condition ``settings_mismatch``). The paths count because the
speed cap for want of one of them ends with the second, the range finder because without one nothing
slows for what lies ahead; the addresses that a path offers do not: nobody is believed by his
address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict

from protocol.adapters import IsobusAdapter, J1939Adapter
from protocol.messages import Trust
from protocol.profiles import MachineLimits
from protocol.signals import Timing


def settings_sha256(
    vehicle: str,
    limits: MachineLimits,
    timing: Timing,
    trust: Trust,
    paths: Collection[int],
    range_finder_m: float | None,
    adapter: J1939Adapter | IsobusAdapter | None = None,
    *,
    locator: bool = False,
) -> str:
    """Return 64 hex digits over name, limits, times, trusted keys with roles, and what is fitted.

    Args:
        paths: command paths. range_finder_m: how far the range finder measures; None without one.
        adapter: how a machine that does not speak HF-DBW is driven.
        locator: one is fitted.

    Keys count by their thumbprint (RFC 7638); the order of the files' entries does not count.
    """
    people = sorted((who.id, who.role.value, who.key.thumbprint()) for who in trust.values())
    parts: list[object] = [
        vehicle,
        limits.model_dump(),
        asdict(timing),
        people,
        sorted(paths),
        range_finder_m,
    ]
    if adapter is not None:
        parts.append(adapter.model_dump(mode="json"))
    parts += ["locator"] * locator
    content = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
