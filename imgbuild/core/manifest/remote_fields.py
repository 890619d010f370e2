"""What the address and the scope of a shared cache may be."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, WithJsonSchema

SCOPE = re.compile(r"(?!blobs$)[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A scope is a folder beside `blobs`."""
_SCOPE_OR_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}")


def _scope(text: str) -> str:
    if not SCOPE.fullmatch(text) and not _SCOPE_OR_VARIABLE.fullmatch(text):
        raise ValueError("must be a short name of letters, digits, - and _, such as main or pr-123")
    return text


ScopeText = Annotated[str, AfterValidator(_scope), WithJsonSchema({"type": "string"})]


def check_remote(address: str) -> None:
    """Refuse addresses that hold secrets, or would send them in the clear. ValueError says which."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        raise ValueError("is no address") from None
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use auth, or the store's own variables")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("must be https:// (plain http:// is for this machine only)")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
