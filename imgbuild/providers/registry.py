"""Provider types by name: the built-in ones, and those of the entry-point group `imgbuild.providers`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from imgbuild.core.errors import UsageError
from imgbuild.providers.base import ProviderType

ENTRY_POINTS = "imgbuild.providers"

# Each module has a `TYPE`. They are imported by name, so that a build pays for those that it uses.
_BUILT_IN: Mapping[str, str] = {
    "command": "imgbuild.providers.command",
    "diffusers": "imgbuild.providers.diffusers",
    "gemini": "imgbuild.providers.gemini",
    "http": "imgbuild.providers.http",
    "jimmyai": "imgbuild.providers.jimmyai",
    "jimmyai-sync": "imgbuild.providers.jimmyai_sync",
    "kyy": "imgbuild.providers.kyy",
    "openai": "imgbuild.providers.openai",
    "placeholder": "imgbuild.providers.placeholder",
    "uniall": "imgbuild.providers.uniall",
}


def provider_type(name: str) -> ProviderType | None:
    """The type of that name; None if there is none.

    A third party's entry point names a `ProviderType`, or a class of one. Raises UsageError if it
    cannot be loaded. No third party replaces a built-in type.
    """
    module = _BUILT_IN.get(name)
    if module is not None:
        return cast(ProviderType, import_module(module).TYPE)
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = entry.load()
            return cast(ProviderType, found() if isinstance(found, type) else found)
        except Exception as error:
            raise UsageError(
                f'the provider type "{name}" cannot be loaded from {entry.value}: '
                f"{type(error).__name__}: {error}",
                remedy="update or uninstall the package that provides it",
            ) from error
    return None


def known_types() -> tuple[str, ...]:
    """The names of all types, sorted, without importing any."""
    from importlib.metadata import entry_points

    return tuple(sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINTS))}))
