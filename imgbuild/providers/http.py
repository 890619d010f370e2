"""The `http` type: any service that gives links or pictures, as the manifest describes it."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.errors import UsageError
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import Provider, ProviderSettings
from imgbuild.providers.http_description import Description, read_description


class HttpType:
    """The provider type `http`. What it is stands in each provider's own entry."""

    name = "http"
    default_base_url: str | None = None
    local = False
    engine: str | None = None

    def __init__(self, description: Description | None = None) -> None:
        self._description = description
        self.needs_key = description is not None and description.auth is not None

    def configured(self, options: Mapping[str, Json]) -> HttpType:
        """The service of one provider's entry. Raises ValueError."""
        for name in ("command", "options"):
            if name in options:
                raise ValueError(f"type http has no `{name}`")
        return HttpType(read_description(options))

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What the entry describes; no model at all without one."""
        return self._description.models.capabilities(model) if self._description else UnknownModel(model, ())

    def known_models(self) -> tuple[str, ...]:
        """The models that the entry names."""
        return self._description.models.known() if self._description else ()

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.http_tasks import connect_described

        if self._description is None:
            raise UsageError(f"provider {settings.name} is not described", remedy="give it submit")
        return connect_described(settings, self._description)


TYPE = HttpType()
