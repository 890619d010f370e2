"""The user's word: which origin may have a provider's key, which program it may run, who may do the work."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from imgbuild.core.errors import UsageError
from imgbuild.core.fleet_address import FLEET_SCHEMES, fleet_address
from imgbuild.store.fsio import make_folder, write_atomic

_PORTS = {"http": 80, "https": 443}


class UntrustedError(UsageError):
    """An address or a program that needs the user's word first. `question` asks for it, `grant` keeps it."""

    def __init__(self, message: str, remedy: str, question: str, grant: Callable[[], object]) -> None:
        super().__init__(message, remedy=remedy)
        self.question = question
        self.grant = grant


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, normalised.

    Raises:
        UsageError: no http(s) address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(f'"{url}" is not an address') from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(f'"{url}" is not an http or https address')
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if default else f"{parts.scheme}://{host}:{port}"


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own, by a literal address or the name localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_trusted(name: str, url: str, default_url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether provider `name`'s key may go to `url`: its type's own origin, loopback, or the user's word.

    `environ` is the process's own: a `.env` beside a stranger's manifest must not vouch for it.
    """
    origin = origin_of(url)
    if is_loopback(url) or (default_url is not None and origin == origin_of(default_url)):
        return True
    named = (word for word in _named(environ) if "://" in word and not word.startswith(FLEET_SCHEMES))
    if any(origin_of(word) == origin for word in named):
        return True
    return [name, origin] in _read()


def is_program_trusted(name: str, program: str, environ: Mapping[str, str]) -> bool:
    """Whether provider `name` may run `program`: the environment lists the name, or the user said so.

    `environ` is the process's own, as for `is_trusted`.
    """
    return name in _named(environ) or [name, _program(program)] in _read()


def is_fleet_trusted(address: str, environ: Mapping[str, str]) -> bool:
    """Whether the Dask scheduler at `address` may do a project's work: the environment lists it, or the user
    said so. Not even this machine's own is trusted by itself: another user may run it.

    `environ` is the process's own, as for `is_trusted`. Raises UsageError for a listed address that is none.
    """
    for word in _named(environ):
        if word.startswith(FLEET_SCHEMES):
            try:
                if fleet_address(word) == address:
                    return True
            except ValueError as error:
                raise UsageError(f'IMGBUILD_TRUSTED_ORIGINS: "{word}" {error}') from None
    return ["dask", address] in _read()


def trust(name: str, url: str) -> str:
    """Remember the user's word for a provider's name and origin; returns the origin."""
    origin = origin_of(url)
    _remember(name, origin)
    return origin


def trust_program(name: str, program: str) -> None:
    """Remember the user's word for a provider's name and the program that it runs, arguments included."""
    _remember(name, _program(program))


def trust_fleet(address: str) -> None:
    """Remember the user's word for a Dask scheduler."""
    _remember("dask", address)


def _program(program: str) -> str:
    # No origin begins like this: a program may well be called https://somewhere.
    return f"command {program}"


def _named(environ: Mapping[str, str]) -> frozenset[str]:
    """What the environment lists: origins, and names of providers that run programs."""
    words = environ.get("IMGBUILD_TRUSTED_ORIGINS", "").split(",")
    return frozenset(word.strip() for word in words) - {""}


def _remember(name: str, what: str) -> None:
    known = _read()
    if [name, what] not in known:
        path = _path()
        make_folder(path.parent, 0o700)
        text = json.dumps({"trusted": sorted([*known, [name, what]])}, indent=2) + "\n"
        write_atomic(path, text.encode())


def _path() -> Path:
    return platformdirs.user_config_path("imgbuild") / "trust.json"


def _read() -> list[list[str]]:
    path = _path()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        raise UsageError(f"{path} cannot be read", remedy="delete it and trust the addresses again") from None
    entries = data.get("trusted") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{path} cannot be read", remedy="delete it and trust the addresses again")
    return [entry for entry in entries if isinstance(entry, list) and len(entry) == 2]
