"""Who signs on a bench: keys made from names, the same on every run, good for nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from protocol.messages import Identity, Role, Trust

OPERATOR, VEHICLE, SITE = "bench-driver", "BENCH-01", "bench"


@dataclass(frozen=True, slots=True)
class BenchKeys:
    """The driver's and the machine's keys, and whom both trust."""

    operator: OKPKey
    vehicle: OKPKey
    trust: Trust


@lru_cache(maxsize=1)
def bench_keys() -> BenchKeys:
    """Return the bench's keys."""
    private = {name: _key(name) for name in (OPERATOR, VEHICLE)}
    roles = {OPERATOR: Role.DRIVER, VEHICLE: Role.VEHICLE}
    trust = {
        name: Identity(name, roles[name], OKPKey.import_key(key.as_dict(private=False)))
        for name, key in private.items()
    }
    return BenchKeys(private[OPERATOR], private[VEHICLE], trust)


def _key(name: str) -> OKPKey:
    seed = hashlib.sha256(f"headframe bench/{name}".encode()).digest()
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return OKPKey.import_key(pem)
