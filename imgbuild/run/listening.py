"""A socket that waits for connections, for the servers that imgbuild has."""

from __future__ import annotations

import socket

from imgbuild.core.errors import UsageError


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address. Port 0 picks a free one.

    Raises:
        UsageError: no such port, or it cannot be had.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"{port} is no port", remedy="choose one from 1 to 65535, or 0 for any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            remedy="choose another with --port, or --port 0 for any free one",
        ) from error
    # Connections inherit it. asyncio sets it only on sockets that were made with the protocol's number;
    # without it each answer on a kept connection waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
