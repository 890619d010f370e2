"""Providers, connected when the first image needs one, with the user's variables and the user's trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from imgbuild.core.errors import ProviderFailure, UsageError
from imgbuild.core.manifest.model import ProviderConfig
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.polling import Experience
from imgbuild.core.redact import clean
from imgbuild.providers.base import LocalModelsType, ProgramType, Provider, ProviderSettings
from imgbuild.run.limits import CONCURRENCY, Limiter
from imgbuild.run.resolution import PLACEHOLDER, own_options
from imgbuild.run.trust import UntrustedError, is_program_trusted, is_trusted, origin_of, trust, trust_program
from imgbuild.run.variables import fill_in, read_variables
from imgbuild.run.workplace import Here, Workplace
from imgbuild.run.workspace import Workspace


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


class Connections:
    """Opens each provider at most once, and closes them all."""

    def __init__(self, workspace: Workspace) -> None:
        self._project = workspace.project
        self._types = workspace.types
        self._root = workspace.invocation.root
        self._environ = workspace.invocation.environ
        self._scratch = workspace.cache.blobs.scratch
        self._open: dict[str, Connection] = {}
        self._left: list[Connection] = []
        self.workplace: Workplace = Here()
        """Where engines work that are connected from now on."""

    def turn_to(self, workspace: Workspace) -> None:
        """Go on for another state of the project.

        What has other settings by now is connected anew when it is needed; what is in flight over the old
        connection counts among its generations still. A service that took nothing more may be asked again.
        """
        self._project = workspace.project
        self._types = workspace.types
        for name, connection in [*self._open.items()]:
            connection.stopped = None
            try:
                same = self.settings(name) == connection.settings
            except UsageError:
                same = False
            if not same:
                self._left.append(self._open.pop(name))

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
        if isinstance(kind, LocalModelsType) and not kind.installed():
            raise UsageError(
                f"{where} needs a package that is not installed",
                remedy=f"pip install 'imgbuild[{kind.extra}]'",
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

    def runs_program(self, resolved: Resolved) -> bool:
        """Whether what an image asks for is done by a program of the manifest."""
        config = self._project.providers.get(resolved.image.provider)
        return (
            config is not None
            and resolved.provider_type == config.type
            and isinstance(self._types[resolved.image.provider], ProgramType)
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
            limiter = next((one.limiter for one in self._left if one.settings.name == name), None)
            limiter = limiter or Limiter(CONCURRENCY, None)
            provider = self.workplace.connect(self._types[name], settings)
            self._open[name] = Connection(provider, settings, limiter)
        config = self._project.providers.get(name)
        if config is not None:
            usual = self.workplace.concurrency(self._types[name], self._open[name].settings)
            self._open[name].limiter.adjust(config.concurrency or usual, config.rate)
        return self._open[name]

    async def aclose(self) -> None:
        """Close what was opened."""
        for connection in (*self._open.values(), *self._left):
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
