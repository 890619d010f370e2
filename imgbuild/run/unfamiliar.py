"""What a manifest would do that its user has not agreed to before: to be told before any of it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgbuild.core.errors import UsageError
from imgbuild.core.events import WarningEvent
from imgbuild.core.image import UrlReference
from imgbuild.core.manifest.model import ProviderConfig
from imgbuild.core.manifest.project import Project
from imgbuild.core.redact import clean
from imgbuild.providers.base import ProgramType, ProviderType
from imgbuild.run.trust import is_fleet_trusted, is_program_trusted, is_trusted, origin_of
from imgbuild.run.variables import fill_in, read_variables
from imgbuild.run.workspace import Invocation, cache_dir
from imgbuild.store.cache import open_cache

_SHOWN = 3


def unfamiliar(
    invocation: Invocation, project: Project, types: Mapping[str, ProviderType]
) -> tuple[WarningEvent, ...]:
    """Programs and addresses that are not trusted, and references that were never fetched. Sends nothing."""
    messages: list[str] = []
    named = any(config.base_url for config in project.providers.values())
    variables = read_variables(invocation.root, invocation.environ) if named else {}
    for name, config in project.providers.items():
        kind = types[name]
        if isinstance(kind, ProgramType) and not is_program_trusted(name, kind.program, invocation.environ):
            program = clean(kind.program)
            messages.append(f'provider "{name}" runs a program that you have not trusted: {program}')
        address = _untrusted(invocation, name, config, kind, variables)
        if address is not None:
            messages.append(
                f'provider "{name}" (type {config.type}) is at an address that you have not trusted: '
                f"{address}"
            )
    dask = project.manifest.dask
    if dask is not None and not is_fleet_trusted(dask.address, invocation.environ):
        messages.append(f"the work goes to a Dask scheduler that you have not trusted: {dask.address}")
    new = list(dict.fromkeys(_unfetched(invocation, project)))
    if new:
        more = f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
        what = "a reference" if len(new) == 1 else f"{len(new)} references"
        messages.append(f"a build fetches {what} for the first time: {', '.join(new[:_SHOWN])}{more}")
    return tuple(map(WarningEvent, messages))


def _untrusted(
    invocation: Invocation,
    name: str,
    config: ProviderConfig,
    kind: ProviderType,
    variables: Mapping[str, str],
) -> str | None:
    if config.base_url is None:
        return None
    try:
        url = fill_in(config.base_url, variables, name)
        if is_trusted(name, url, kind.default_base_url, invocation.environ):
            return None
        return clean(origin_of(url))
    except UsageError:
        # Nobody knows yet where that is.
        return clean(config.base_url)


def _unfetched(invocation: Invocation, project: Project) -> Iterator[str]:
    urls = [
        reference.url
        for image in project.images
        for reference in (*image.references, image.mask)
        if isinstance(reference, UrlReference)
    ]
    if urls:
        records = open_cache(cache_dir(invocation, project)).records
        yield from (clean(url) for url in urls if records.pin(url) is None)
