"""TLS for the uplink: a tenant's certificate authority, the broker's certificate, and one per hub, named by its id."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud_sync.secret_files import write_secret
from payment_core.identifiers import uuid_text

LEAF_DAYS: Final = 90
AUTHORITY_DAYS: Final = 3_650
CLOCK_SLACK: Final = dt.timedelta(hours=1)
"""Certificates begin this long before now: a hub's clock may be a little behind."""


class Credentials(msgspec.Struct, frozen=True):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    private_key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


def make_authority(tenant_name: str, *, now: dt.datetime) -> Credentials:
    """Return a new certificate authority for one tenant's hubs and broker."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"{tenant_name} hubs")
    return _pem(_authority(name, key, now=now).sign(key, SHA256()), key)


def narrow_authority(authority: Credentials, client_id: bytes, *, now: dt.datetime) -> bytes:
    """Return the authority's certificate (PEM) once more, good for one client alone: the one with this id.

    Where a broker trusts it in the authority's place, of all clients of that authority only this one gets in.
    """
    permitted = x509.NameConstraints([x509.DirectoryName(_named(uuid_text(client_id)))], None)
    key = _signing_key(authority)
    builder = _authority(x509.load_pem_x509_certificate(authority.certificate).subject, key, now=now)
    return builder.add_extension(permitted, critical=True).sign(key, SHA256()).public_bytes(Encoding.PEM)


def issue_server(authority: Credentials, hosts: Sequence[str], *, now: dt.datetime) -> Credentials:
    """Return a certificate for the office's broker, good for `hosts` (names and addresses, the first is its CN)."""
    alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    return _issue(authority, hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, alternatives, now=now)


def issue_hub(authority: Credentials, hub_id: bytes, *, now: dt.datetime) -> Credentials:
    """Return a certificate by which a hub proves itself to the broker; its CN is the hub's id and becomes its user."""
    return _issue(authority, uuid_text(hub_id), ExtendedKeyUsageOID.CLIENT_AUTH, None, now=now)


def write_credentials(credentials: Credentials, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name.crt` and `name.pem` (the key, 0600) into a folder and return both paths; never over a file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = folder / f"{name}.crt", folder / f"{name}.pem"
    write_secret(key, credentials.private_key)
    write_secret(certificate, credentials.certificate)
    return certificate, key


def _issue(
    authority: Credentials,
    common_name: str,
    purpose: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
    *,
    now: dt.datetime,
) -> Credentials:
    parent = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = _signing_key(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(common_name), parent.subject, key.public_key(), now=now, days=LEAF_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    parent_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = builder.add_extension(parent_key, critical=False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return _pem(builder.sign(signing_key, SHA256()), key)


def _signing_key(authority: Credentials) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(authority.private_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        message = "the authority's key is no P-256 key: make a new authority"
        raise TypeError(message)
    return key


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, now: dt.datetime) -> x509.CertificateBuilder:
    builder = _builder(name, name, key.public_key(), now=now, days=AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, *, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credentials:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(certificate.public_bytes(Encoding.PEM), private)
