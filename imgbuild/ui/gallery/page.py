"""A self-contained page from its parts: it loads nothing from elsewhere, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Literal

from imgbuild.core.image import Json

Kind = Literal["gallery", "review", "live", "entrance"]
_PARTS: Mapping[Kind, Sequence[str]] = {"live": ("gallery", "live")}
"""What a page is made of beside the base, where it is more than its own."""
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')

_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def render_page(kind: Kind, title: str, data: Mapping[str, Json]) -> str:
    """The page of a kind, with its data as one block of JSON. The same arguments give the same text.

    All texts of the data are untrusted: the script puts them on the page as text and never as markup.
    """
    parts = _PARTS.get(kind, (kind,))
    style = "".join(_part(f"{name}.css") for name in ("base", *parts))
    script = "".join(_part(f"{name}.js") for name in ("base", *parts))
    talks = "connect-src 'self'; " if kind in ("live", "entrance") else ""
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        f"img-src 'self' data:; {talks}base-uri 'none'; form-action 'none'"
    )
    return _FRAME.format(
        policy=html.escape(policy),
        title=html.escape(title),
        style=style,
        body=_part(f"{parts[0]}.html"),
        data=_inert(data),
        script=script,
    )


def page_policy(page: str) -> str:
    """The content security policy of a page that `render_page` gave, for a server that says it, too."""
    found = _POLICY.search(page)
    assert found is not None
    return html.unescape(found[1])


def _part(name: str) -> str:
    return resources.files(__name__.rpartition(".")[0]).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source of a content security policy: this very text and no other (CSP Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _inert(data: Mapping[str, Json]) -> str:
    """JSON that no HTML parser sees a tag or a comment in; halves of surrogate pairs stay escaped."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
