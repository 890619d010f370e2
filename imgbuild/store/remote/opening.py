"""From the address of a shared cache to the code that speaks to it; nothing is imported before."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.redact import without_queries
from imgbuild.store.remote.base import Remote


def open_remote(address: str, variables: Mapping[str, str], *, auth: str | None, timeout: float) -> Remote:
    """The shared cache at an address. `auth` is for http(s), `variables` for all others.

    Nothing is sent yet. `timeout` is in seconds.

    Raises:
        UsageError: a package is missing, or the address is none.
        RemoteError: the store cannot be set up.
    """
    if address.startswith(("http://", "https://")):
        from imgbuild.store.remote.bazel import BazelRemote

        return BazelRemote(address, auth, timeout)
    from imgbuild.store.remote.objects import ObjectRemote

    return ObjectRemote(address, variables, timeout)


def shown_address(address: str) -> str:
    """An address for messages."""
    return without_queries(address)
