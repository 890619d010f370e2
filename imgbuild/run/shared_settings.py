"""What the manifest and the environment say about the shared cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgbuild.core.errors import UsageError
from imgbuild.core.manifest.model import CacheConfig
from imgbuild.core.manifest.remote_fields import SCOPE
from imgbuild.run.trust import is_trusted, origin_of
from imgbuild.run.variables import fill_in, read_variables

MAIN = "main"
"""The scope that everybody reads."""
TIMEOUT = 10.0
CLAIM_TIME = 60.0


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """One project's shared cache. Times are in seconds."""

    address: str
    scope: str = MAIN
    """Where records are written."""
    writes: bool = True
    required: bool = False
    """What cannot be reached is an error."""
    timeout: float = TIMEOUT
    claim_time: float = CLAIM_TIME
    auth: str | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What an object store is set up by."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Where records are looked for, in this order."""
        return tuple(dict.fromkeys((self.scope, MAIN)))


def shared_settings(
    config: CacheConfig, address: str, root: Path, environ: Mapping[str, str], *, required: bool
) -> SharedSettings:
    """The settings of the shared cache at `address`, with their variables filled in.

    Raises:
        UsageError: a variable is missing, or the address has not been trusted with a password.
    """
    variables = read_variables(root, environ)
    scope = fill_in(config.write_scope, variables, "cache.write_scope") if config.write_scope else MAIN
    if not SCOPE.fullmatch(scope):
        raise UsageError(f'cache.write_scope "{scope}" is no scope', remedy="use a name such as pr-123")
    auth = fill_in(config.auth, variables, "cache.auth") if config.auth else None
    sends_auth = auth is not None and address.startswith("http")
    if sends_auth and not is_trusted("cache", address, None, environ):
        origin = origin_of(address)
        raise UsageError(
            f"cache.auth is sent to {origin}, which you have not trusted yet",
            remedy=f"set IMGBUILD_TRUSTED_ORIGINS={origin}",
        )
    secret = fill_in(config.sign, variables, "cache.sign").encode() if config.sign else None
    on_ci = environ.get("CI", "").lower() in ("true", "1")
    return SharedSettings(
        address,
        scope,
        writes=not on_ci if config.remote_write is None else config.remote_write,
        required=required,
        timeout=config.timeout or TIMEOUT,
        claim_time=config.claim_time or CLAIM_TIME,
        auth=auth,
        secret=secret,
        variables=variables,
    )
