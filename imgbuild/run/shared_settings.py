"""What the manifest and the environment say about the shared cache."""

from __future__ import annotations

import re
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

_ENDPOINTS = frozenset({"AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT"})
_KEYS = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY"),
        *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
    }
)
_HOST_PARTS = frozenset({"AWS_REGION", "AWS_DEFAULT_REGION", "AZURE_STORAGE_ACCOUNT_NAME"})
"""They become part of a host's name: with a slash in it, of any host's."""
_HOST_PART = re.compile(r"[A-Za-z0-9-]+")


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
        variables=_store_variables(read_variables(root, {}), environ),
    )


def _store_variables(kept: Mapping[str, str], environ: Mapping[str, str]) -> Mapping[str, str]:
    """What sets an object store up: the environment, and the keys of a `.env`, which may be a stranger's.

    Where the environment's keys are sent to, and which files are read as tokens, is not for a `.env` to say.
    """
    found = dict(environ)
    for name, value in kept.items():
        if name in environ:
            continue
        if name in _ENDPOINTS and not is_trusted("cache", value, None, environ):
            origin = origin_of(value)
            raise UsageError(
                f".env sends the keys of the shared cache to {origin}, which you have not trusted yet",
                remedy=f"set IMGBUILD_TRUSTED_ORIGINS={origin}, or {name} in the environment",
            )
        if name in _ENDPOINTS | _KEYS or (name in _HOST_PARTS and _HOST_PART.fullmatch(value)):
            found[name] = value
    return found
