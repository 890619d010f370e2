"""The address of a Dask scheduler: what one looks like, and the one way in which it is written down."""

from __future__ import annotations

import re

DEFAULT_PORT = 8786
"""Where `dask scheduler` listens unless it is told otherwise (its --help)."""
FLEET_SCHEMES = ("tcp://", "tls://")
FLEET_PATTERN = r"^(tcp|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$"
_ADDRESS = re.compile(r"(tcp|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")


def fleet_address(text: str) -> str:
    """The address with its port, in lower case, so that equal ones compare equal. ValueError for none."""
    match = _ADDRESS.fullmatch(text)
    port = int(match[3] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= 65_535:
        raise ValueError("is no address of a Dask scheduler; write tcp://HOST:PORT or tls://HOST:PORT")
    return f"{match[1]}://{match[2].lower()}:{port}"
