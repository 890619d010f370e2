"""Files' paths as other files write them: relative to one another, below a folder, and on the web."""

from __future__ import annotations

import posixpath
import re

_UNFIT = re.compile(r"[^A-Za-z0-9\-._~!$&*+;=:@/\x80-\U0010ffff]")
"""What a URL's path cannot hold as it is (RFC 3986, pchar), and what would end it in a srcset or in quotes.

Letters of other scripts stay readable: HTML and CSS encode them themselves.
"""


def relative(path: str, file: str) -> str:
    """`path` as seen from the folder of `file`; both relative to the project. E.g. `../img/icons.png`."""
    return posixpath.relpath(f"/{path}", posixpath.dirname(f"/{file}"))


def below(path: str, folder: str) -> str | None:
    """`path` relative to a folder that holds it, or None; "" is the whole project."""
    root = posixpath.normpath(f"/{folder}").strip("/")
    if not root:
        return path
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else None


def web_path(path: str) -> str:
    """The path in a URL, percent-encoded where it is needed."""
    return _UNFIT.sub(lambda char: f"%{ord(char[0]):02X}", path)
