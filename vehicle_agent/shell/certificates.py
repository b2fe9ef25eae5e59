"""X.509 for TLS to the broker: the site's authority, its devices' certificates, its revocations.

ECDSA on P-256, which every TLS stack at a mine speaks; the Ed25519 device keys sign messages and
are another thing. The common name is the device's name: the broker takes it as the user.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CLOCK_SLACK = timedelta(hours=1)
"""Certificates count from a little earlier: a machine's clock may be late."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(site: str, now: datetime) -> Pair:
    """Return a new self-signed authority of a site."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"headframe {site} authority")
    builder = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def make_device(
    authority: Pair, name: str, now: datetime, expires: datetime, hosts: Sequence[str] = ()
) -> Pair:
    """Return a certificate for a device; with hosts it serves TLS under their names too.

    Raises:
        ValueError: it would outlive its authority.
    """
    if expires > authority.certificate.not_valid_after_utc:
        raise ValueError("it would outlive the site's authority; take fewer --days")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(_name(name), issuer, key.public_key(), now, expires)
    if hosts:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def make_revocations(
    authority: Pair, revoked: Iterable[tuple[int, datetime]], now: datetime
) -> bytes:
    """Return the revocation list (PEM) of serial numbers with their times.

    It counts as long as the authority: a broker refuses everyone once its list is out of date,
    and a site underground must not stand still for that.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SLACK)
        .next_update(authority.certificate.not_valid_after_utc)
    )
    for serial, at in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate_pem(pair: Pair) -> bytes:
    """Return the certificate as PEM."""
    return pair.certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(pair: Pair) -> bytes:
    """Return the private key as PEM, not encrypted: file permissions guard it."""
    return pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_pair(certificate: bytes, key: bytes) -> Pair:
    """Return a pair of its two PEM files.

    Raises:
        ValueError: one of them is none, or they do not belong together.
    """
    loaded = serialization.load_pem_private_key(key, password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic-curve key")
    pair = Pair(x509.load_pem_x509_certificate(certificate), loaded)
    if pair.certificate.public_key() != loaded.public_key():
        raise ValueError("certificate and key do not belong together")
    return pair


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    expires: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
