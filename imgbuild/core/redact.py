"""Text from outside made fit to show: no secrets, no query strings, no control characters, no novels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from imgbuild.core.image import Json

HIDDEN = "[redacted]"
TEXT_LIMIT = 500
"""Characters of a service's text that are worth showing."""

_DEPTH_LIMIT = 32
_SCAN_LIMIT = 100_000

# Controls (C0, DEL, C1), line and paragraph separators, marks that reorder text on a screen, the byte
# order mark, and halves of surrogate pairs, which no file or terminal could be given.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_QUERY = re.compile(r"""(?i)(\b[a-z][a-z0-9+.-]{0,20}://[^\s?#"'<>\\]*)[?#][^\s"'<>\\]*""")
_USERINFO = re.compile(r"""(?i)(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#@"'<>]*@""")


def escape(text: str) -> str:
    r"""`text` on one line, with control and bidi characters written out, e.g. `\x1b` or `\u202e`."""
    return _UNSHOWABLE.sub(_written_out, text)


def without_secrets(text: str, secrets: Iterable[str | None]) -> str:
    """`text` with every secret replaced, as it is, percent-encoded or inside a JSON string."""
    forms: set[str] = set()
    for secret in filter(None, secrets):
        forms |= {secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1]}
    # Longest first: one secret may be the beginning of another.
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        text = text.replace(form, HIDDEN)
    return text


def without_queries(text: str) -> str:
    """`text` with the user name, query and fragment of every URL cut: signatures live there."""
    return _USERINFO.sub(r"\1", _QUERY.sub(r"\1", text))


def clean(text: str, secrets: Iterable[str | None] = (), *, limit: int = TEXT_LIMIT) -> str:
    """Whatever a service said, safe to print, log and store; at most `limit` characters."""
    text = without_secrets(text, secrets)[:_SCAN_LIMIT]
    text = escape(without_queries(text)).strip()
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def clean_json(value: Json, secrets: Iterable[str | None] = (), *, limit: int = TEXT_LIMIT) -> Json:
    """`value` with every string in it, names too, made clean; what is nested too deep is left out."""
    return _clean_json(value, tuple(secrets), limit, _DEPTH_LIMIT)


def _clean_json(value: Json, secrets: tuple[str | None, ...], limit: int, depth: int) -> Json:
    if isinstance(value, str):
        return clean(value, secrets, limit=limit)
    if not isinstance(value, list | dict):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [_clean_json(item, secrets, limit, depth - 1) for item in value]
    return {
        clean(name, secrets, limit=limit): _clean_json(item, secrets, limit, depth - 1)
        for name, item in value.items()
    }


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
