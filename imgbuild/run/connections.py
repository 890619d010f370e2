"""Providers, connected when the first image needs one, with the user's variables and the user's trust."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from imgbuild.core.errors import ProviderFailure, UsageError
from imgbuild.core.manifest.model import ProviderConfig
from imgbuild.core.polling import Experience
from imgbuild.core.redact import clean
from imgbuild.providers.base import ProgramType, Provider, ProviderSettings
from imgbuild.run.limits import Limiter
from imgbuild.run.resolution import PLACEHOLDER, own_options
from imgbuild.run.trust import UntrustedError, is_program_trusted, is_trusted, origin_of, trust, trust_program
from imgbuild.run.workspace import Workspace

CONCURRENCY = 8
"""Generations in flight at one provider, where the manifest does not say."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(slots=True)
class Connection:
    """One provider in use. `stopped`: why nothing more is submitted to it."""

    provider: Provider
    settings: ProviderSettings
    limiter: Limiter
    stopped: ProviderFailure | None = None
    _experience: dict[str, Experience] = field(default_factory=dict)

    def experience(self, model: str) -> Experience:
        """What the tasks of a model have taken so far."""
        return self._experience.setdefault(model, Experience())


def read_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What `${NAME}` may mean: the `.env` beside the manifest, and the process's environment over it.

    Raises:
        UsageError: the file is no text.
    """
    path = root / ".env"
    try:
        known = dotenv_values(path, interpolate=False) if path.is_file() and not path.is_symlink() else {}
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})", remedy="save it so") from None
    return {**{name: value for name, value in known.items() if value is not None}, **environ}


def fill_in(text: str, variables: Mapping[str, str], where: str) -> str:
    """A provider's text with `${NAME}` and `${NAME:-default}` replaced.

    Raises:
        UsageError: a variable is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = variables.get(name) or default
        if found is None:
            raise UsageError(
                f"{where} needs the variable {name}, which is not set",
                remedy=f"export {name}=..., or put {name}=... into .env beside the manifest",
            )
        return found

    return _VARIABLE.sub(value, text)


class Connections:
    """Opens each provider at most once, and closes them all."""

    def __init__(self, workspace: Workspace) -> None:
        self._project = workspace.project
        self._types = workspace.types
        self._root = workspace.invocation.root
        self._environ = workspace.invocation.environ
        self._scratch = workspace.cache.blobs.scratch
        self._open: dict[str, Connection] = {}

    def settings(self, name: str) -> ProviderSettings:
        """A provider's settings, complete and trusted, without connecting to anything.

        Raises:
            UsageError: a variable is missing, or the address or program is not trusted yet.
        """
        config = self._project.providers.get(name)
        if config is None:
            return ProviderSettings(name, PLACEHOLDER, scratch=self._scratch, root=self._root)
        kind = self._types[name]
        variables = read_variables(self._root, self._environ)
        where = f'provider "{name}"'
        base_url = self.base_url(name)
        api_key = fill_in(config.api_key, variables, where) if config.api_key else None
        if kind.needs_key and api_key is None:
            raise UsageError(f"{where} has no api_key", remedy="add api_key: ${NAME} under providers")
        if base_url is None and not kind.local:
            raise UsageError(f"{where} has no base_url", remedy=f"type {kind.name} has no public default")
        if base_url is not None and not is_trusted(name, base_url, kind.default_base_url, self._environ):
            origin = origin_of(base_url)
            raise UntrustedError(
                f"{where} sends its key to {origin}, which you have not trusted yet",
                f"imgbuild providers --trust {name}, or set IMGBUILD_TRUSTED_ORIGINS",
                f"May the key of {name} be sent to {origin}, now and later?",
                partial(trust, name, base_url),
            )
        if isinstance(kind, ProgramType) and not is_program_trusted(name, kind.program, self._environ):
            program = clean(kind.program)
            raise UntrustedError(
                f"{where} runs {program}, which you have not trusted yet",
                f"imgbuild providers --trust {name}, or name it in IMGBUILD_TRUSTED_ORIGINS",
                f"May {name} run {program}, now and later?",
                partial(trust_program, name, kind.program),
            )
        return replace(
            _settings(name, config, base_url, api_key, self._scratch), root=self._root, variables=variables
        )

    def base_url(self, name: str) -> str | None:
        """A provider's address with its variables filled in; None for engines without one.

        Raises:
            UsageError: a variable is missing.
        """
        config = self._project.providers.get(name)
        if config is None:
            return None
        if config.base_url is None:
            return self._types[name].default_base_url
        variables = read_variables(self._root, self._environ)
        return fill_in(config.base_url, variables, f'provider "{name}"')

    def of_type(self, type: str, *, first: str) -> tuple[str, ...]:
        """The names of the providers of a type, `first` before others."""
        names = [name for name, config in self._project.providers.items() if config.type == type]
        return tuple(sorted(names, key=lambda name: name != first))

    def get(self, name: str) -> Connection:
        """The provider, connected."""
        if name not in self._open:
            settings = self.settings(name)
            config = self._project.providers.get(name)
            most = config.concurrency if config else None
            limiter = Limiter(most or CONCURRENCY, config.rate if config else None)
            self._open[name] = Connection(self._types[name].connect(settings), settings, limiter)
        return self._open[name]

    async def aclose(self) -> None:
        """Close what was opened."""
        for connection in self._open.values():
            await connection.provider.aclose()


def _settings(
    name: str, config: ProviderConfig, base_url: str | None, api_key: str | None, scratch: Callable[[], Path]
) -> ProviderSettings:
    durations = {
        "timeout": config.timeout,
        "deadline": config.deadline,
        "poll_interval": config.poll_interval,
    }
    told: dict[str, Any] = {field: seconds for field, seconds in durations.items() if seconds is not None}
    return ProviderSettings(
        name=name,
        type=config.type,
        base_url=base_url,
        api_key=api_key,
        options=own_options(config),
        scratch=scratch,
        priced=config.pricing is not None,
        **told,
    )
