"""``headframe keys``: a site's authority and what it issues, as files with tight permissions.

The folder (0700) holds::

    register.json              whom was issued what, and what is revoked
    authority.key, .crt        signs certificates; keep the folder off machines and cockpits
    trust.json, crl.pem        for the programs and for the broker; written anew on each change
    NAME/device.jwk            Ed25519: signs NAME's messages
    NAME/tls.key, tls.crt      for TLS to the broker; NAME is the common name
    NAME/ca.crt                the authority, to check the other side by

Private keys are 0600, are never printed, and are never overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from protocol.messages import generate_identity
from protocol.profiles import first_problem
from protocol.register import BROKER, ROLES, Issued, Register
from protocol.topics import checked_id
from vehicle_agent.shell import certificates
from vehicle_agent.shell.certificates import Pair

DAYS = 365
DAYS_MAX = 3650
REGISTER, TRUST, REVOCATIONS = "register.json", "trust.json", "crl.pem"
AUTHORITY_KEY, AUTHORITY = "authority.key", "authority.crt"
FILE_ENDINGS = (".json", ".key", ".crt", ".pem", ".new")

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be issued.

    Attributes:
        name: of the device. role: one of :data:`ROLES`. days: how long it counts.
        hosts: names and addresses under which a broker is reached.
        replace: revoke what the name holds, and give it something new.
    """

    name: str
    role: str
    days: int = DAYS
    hosts: Sequence[str] = ()
    replace: bool = False


def init(folder: Path, site: str, now: datetime) -> Result:
    """Make a site's authority in a new folder.

    Raises:
        ValueError: the site is no id, or the folder holds something.
        OSError: it cannot be written.
    """
    checked_id(site, "site")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: not empty; an authority is never overwritten")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = certificates.make_authority(site, now)
    _write_new(folder / AUTHORITY_KEY, certificates.key_pem(authority))
    _write_new(folder / AUTHORITY, certificates.certificate_pem(authority))
    _save(folder, Register(site=site), authority, now)
    return {"folder": str(folder), "site": site}


def issue(folder: Path, wanted: Wanted, now: datetime) -> Result:
    """Issue a device its keys and certificate.

    Raises:
        ValueError: one line that says why not.
        OSError: something cannot be read or written.
    """
    register, authority = _load(folder)
    _check(wanted)
    if wanted.replace and register.current(wanted.name) is not None:
        register = register.with_revoked(wanted.name, now, "replaced")
    expires = now + timedelta(days=wanted.days)
    tls = certificates.make_device(authority, wanted.name, now, expires, wanted.hosts)
    private, public = (None, None) if wanted.role == BROKER else generate_identity()
    issued = Issued(
        name=wanted.name,
        role=wanted.role,
        serial=f"{tls.certificate.serial_number}",
        issued=now,
        expires=expires,
        public=public,
    )
    register = register.with_issued(issued)
    home = folder / wanted.name
    if wanted.replace:
        shutil.rmtree(home, ignore_errors=True)
    if home.exists():
        raise ValueError(f"{home}: is there already; --replace revokes it and makes a new one")
    _save(folder, register, authority, now)  # first: what is not in the register cannot be revoked
    home.mkdir(mode=0o700)
    if private is not None:
        _write_new(home / "device.jwk", json.dumps(private).encode())
    _write_new(home / "tls.key", certificates.key_pem(tls))
    _write_new(home / "tls.crt", certificates.certificate_pem(tls))
    _write_new(home / "ca.crt", certificates.certificate_pem(authority))
    return {"name": wanted.name, "role": wanted.role, "folder": str(home), "expires": _day(expires)}


def revoke(folder: Path, name: str, reason: str, now: datetime) -> Result:
    """Revoke what a device holds; trust file and revocation list are written anew.

    Raises:
        ValueError: it holds nothing. OSError: something cannot be read or written.
    """
    register, authority = _load(folder)
    _save(folder, register.with_revoked(name, now, reason), authority, now)
    return {"name": name, "revoked": _day(now), "reason": reason}


def show(folder: Path, now: datetime) -> Result:
    """Return what was issued, and how it stands today.

    Raises:
        ValueError, OSError: the register cannot be read.
    """
    register = _read_register(folder)
    return {"site": register.site, "devices": register.as_rows(now)}


def _check(wanted: Wanted) -> None:
    checked_id(wanted.name, "name")
    if wanted.role not in ROLES:
        raise ValueError(f"role {wanted.role!r}: there are {', '.join(ROLES)}")
    if not 1 <= wanted.days <= DAYS_MAX:
        raise ValueError(f"days: from 1 to {DAYS_MAX}")
    if (wanted.role == BROKER) != bool(wanted.hosts):
        raise ValueError("a broker needs --host, and nothing else takes it")
    if wanted.name.startswith(".") or wanted.name.endswith(FILE_ENDINGS):
        raise ValueError(f"name {wanted.name!r}: would be taken for a file")


def _load(folder: Path) -> tuple[Register, Pair]:
    register = _read_register(folder)
    key = folder / AUTHORITY_KEY
    if key.stat().st_mode & 0o077:
        raise ValueError(f"{key}: others may read it; chmod 600 it, and think who has")
    try:
        pair = certificates.read_pair((folder / AUTHORITY).read_bytes(), key.read_bytes())
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: not this authority's key: {error}") from error
    return register, pair


def _read_register(folder: Path) -> Register:
    path = folder / REGISTER
    try:
        return Register.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder}: no authority here; make one with headframe keys init"
        ) from error
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error


def _save(folder: Path, register: Register, authority: Pair, now: datetime) -> None:
    revoked = [(int(device.serial), device.revoked or now) for device in register.revoked()]
    _replace(folder / REGISTER, _json(register))
    _replace(folder / TRUST, _json(register.trust_file()))
    _replace(folder / REVOCATIONS, certificates.make_revocations(authority, revoked, now))


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and that is not there yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    """Put a new version in the place of an old one, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    _write_new(fresh, content)
    fresh.replace(path)


def as_text(result: Result) -> str:
    """Return a result as lines for a person."""
    devices = result.get("devices")
    if devices is None:
        return "  ".join(f"{name} {value}" for name, value in result.items() if value)
    columns = ("name", "role", "standing", "expires", "reason")
    rows = [columns, *(tuple(f"{row[column]}" for column in columns) for row in devices)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
