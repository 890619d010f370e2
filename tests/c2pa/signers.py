"""Certificates and keys for signing pictures, made anew by each run: a root, and who it vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65_537, 2048),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
}


@dataclass(frozen=True)
class Signer:
    """PEM: the certificate and the root that vouches for it, and the key in three ways."""

    chain: bytes
    key: bytes
    traditional_key: bytes
    encrypted_key: bytes


def make_signer(
    kind: str = "es256", *, days: int = 30, usable: bool = True, name: str = "Harbour Signing"
) -> Signer:
    """`days` from now that it is valid, negative for one that has expired. `usable`: for signing pictures."""
    end = datetime.now(UTC) + timedelta(days=days)
    begin = end - timedelta(days=60)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), _KEYS[kind]()
    root = _name("Test Root", "Test Authority")
    authority = (
        _certificate(root, root, root_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(signs=False), True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(_name(name, "Harbour Ltd"), root, key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(signs=usable), True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
    )
    if usable:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    chain = [leaf.sign(root_key, hashes.SHA256()), authority]
    old = PrivateFormat.PKCS8 if kind == "ed25519" else PrivateFormat.TraditionalOpenSSL
    return Signer(
        b"".join(one.public_bytes(Encoding.PEM) for one in chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.private_bytes(Encoding.PEM, old, NoEncryption()),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    )


def _certificate(subject, issuer, key, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
        ]
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=not signs, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
