"""Content credentials: a signed statement, inside a picture's file, that a model made it (C2PA 2).

What is signed covers the whole file, XMP included. Two signatures of the same bytes differ.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild import __version__
from imgbuild.core.errors import BadImageError, StorageError, UsageError
from imgbuild.core.redact import clean
from imgbuild.images.c2pa_library import c2pa_context, c2pa_library
from imgbuild.images.provenance import TRAINED_ALGORITHMIC_MEDIA

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_AGENT = {"name": "imgbuild", "version": __version__}
_PROBE = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU"
    b"\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82"
)
"""A PNG of one pixel."""


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who signs: a certificate chain in PEM, its private key in PKCS #8 PEM, and the algorithm of both."""

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str
    """As C2PA names it: es256, es384, es512, ps256 or ed25519."""


def signatory(certificate: str, key: bytes) -> Signatory:
    """Put a certificate chain and a private key (PEM) together, and see that a picture can be signed with it.

    Raises UsageError where the extra is not installed, or where one of the two cannot sign.
    """
    c2pa_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509 import load_pem_x509_certificates

    try:
        signer = load_pem_x509_certificates(certificate.encode())[0]
    except (ValueError, IndexError):
        raise UsageError("the certificate that signs cannot be read: it is damaged") from None
    private = _private_key(key)
    if private.public_key() != signer.public_key():
        raise UsageError(
            "the private key does not belong to the certificate that signs",
            remedy="give the key that the first certificate of the file was issued for",
        )
    now = datetime.now(UTC)
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        days = f"{signer.not_valid_before_utc:%Y-%m-%d} to {signer.not_valid_after_utc:%Y-%m-%d}"
        raise UsageError(
            f"the certificate that signs is valid from {days} only",
            remedy="renew it: what is signed already stays as it is",
        )
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = Signatory(certificate.encode(), plain, _algorithm(signer))
    try:
        _signed(_PROBE, "png", made, {})
    except BadImageError as error:
        raise UsageError(
            f"the certificate is none for pictures: {error.message}",
            remedy="C2PA wants the key usage digitalSignature, and an extended one such as emailProtection",
        ) from None
    return made


def sign(path: Path, format: str, signer: Signatory, embedded: Mapping[str, str]) -> None:
    """Sign the picture at `path` in its place: png, jpeg, webp or avif.

    It then says that a model made it and that imgbuild put it here; of `embedded`, also prompt and model.
    Raises BadImageError where it cannot be signed, and StorageError where it cannot be read or written.
    """
    try:
        path.write_bytes(_signed(path.read_bytes(), format, signer, embedded))
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be signed: {error.strerror}", remedy="Free some space, or check the permissions."
        ) from error


def _signed(data: bytes, format: str, signer: Signatory, embedded: Mapping[str, str]) -> bytes:
    c2pa = c2pa_library()
    signed = io.BytesIO()
    # No time stamp: it would be a request to somebody else's service for every picture.
    info = c2pa.C2paSignerInfo(
        alg=signer.algorithm.encode(), sign_cert=signer.chain, private_key=signer.key, ta_url=None
    )
    try:
        with (
            c2pa_context() as context,
            c2pa.Signer.from_info(info) as hand,
            c2pa.Builder.from_json(json.dumps(_manifest(embedded)), context) as builder,
        ):
            builder.sign(hand, f"image/{format}", io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        raise BadImageError(f"c2pa-python cannot sign it: {clean(str(error))}") from None
    return signed.getvalue()


def _manifest(embedded: Mapping[str, str]) -> dict[str, object]:
    """The claim: one action. Texts of the origin are there only where the file's XMP has them, too."""
    action: dict[str, object] = {
        "action": "c2pa.created",
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": _AGENT,
    }
    told = {f"imgbuild.{name}": embedded[name] for name in ("prompt", "model") if name in embedded}
    if told:
        action["parameters"] = told
    return {
        "claim_generator_info": [_AGENT],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def _private_key(pem: bytes) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise UsageError(
            "the private key that signs is encrypted", remedy="give it without a passphrase"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("the private key that signs cannot be read: it is no PEM key, or damaged") from None


def _algorithm(certificate: Certificate) -> str:
    """The signature algorithm for a certificate's key (C2PA specification 2.2, 13.2.1)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = certificate.public_key()
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves:
        return curves[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return "ps256"
    raise UsageError(
        "C2PA has no algorithm for the certificate's key",
        remedy="use one for ECDSA (P-256, P-384, P-521), Ed25519, or RSA of 2048 bits or more",
    )
