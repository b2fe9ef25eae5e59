"""The page's token: the same at every start of a console until its computer boots."""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import OKPKey

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux draws it anew at each boot of the computer."""

TOKEN_BYTES = 24


def computer_boot_id(path: Path = BOOT_ID) -> str | None:
    """Return what names this run of the computer, None where nothing does."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def page_token(device: OKPKey, boot_id: str | None) -> str:
    """Return the token that a page must bring along.

    It is derived from the console's own key, so that the page of a console that died and was
    started again comes back by itself, and nothing secret is kept for it. Without a boot id it
    lasts for this start only.

    Args:
        device: the console's private key. boot_id: see :func:`computer_boot_id`.
    """
    if boot_id is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    secret = base64.urlsafe_b64decode(str(device.as_dict(private=True)["d"]) + "==")
    kdf = HKDF(SHA256(), TOKEN_BYTES, salt=boot_id.encode(), info=b"headframe/v1/page-token")
    return base64.urlsafe_b64encode(kdf.derive(secret)).decode()


def write_address(address: str, path: Path) -> None:
    """Put the page's address where a launcher finds it, whole and for this user alone.

    A file that is there already is replaced: its mode and its readers are not inherited.

    Raises:
        ValueError: one line that names file and reason.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(address + "\n")
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
