"""The `diffusers` type: local text-to-image, image-to-image and inpainting pipelines. Loads none of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgbuild.core.errors import UsageError
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, SizeGrid, UnknownModel
from imgbuild.providers.base import ModelFiles, Provider, ProviderSettings
from imgbuild.providers.diffusers_device import Devices
from imgbuild.providers.diffusers_options import PARAMS, Options, read_options

if TYPE_CHECKING:
    from imgbuild.providers.described import DescribedModels

_KNOWN = ("a folder relative to the manifest or to options.folder", "an id such as owner/name")
_NOT_PORTABLE = re.compile(r"[/~\\]|[A-Za-z]:|.*[@\0]")

_ANYTHING = Capabilities(
    model=None,
    # Whatever a model draws is made of blocks of 8 pixels; one that needs larger ones rounds up itself.
    grid=SizeGrid(step=8, min_pixels=64 * 64, max_pixels=4096 * 4096, max_edge=8192, max_aspect=8),
    seed=True,
    negative_prompt=True,
    mask=True,
    mask_needs_reference=True,
    references=ReferenceLimits(max_count=1),
    params=tuple(PARAMS),
)


class DiffusersType:
    """The provider type `diffusers`: local and free. A model is a folder, or an id in the hub's cache."""

    name = "diffusers"
    default_base_url: str | None = None
    needs_key = False
    local = True
    extra = "diffusers"

    def __init__(
        self,
        options: Options | None = None,
        described: DescribedModels | None = None,
        devices: Devices[Any, Any] | None = None,
    ) -> None:
        self._options = options or Options()
        self._described = described
        self._devices: Devices[Any, Any] = Devices() if devices is None else devices
        self.engine: str | None = self._options.engine

    def configured(self, options: Mapping[str, Json]) -> DiffusersType:
        """The type with one entry's options. Raises ValueError."""
        for name in options:
            if name not in ("options", "capabilities"):
                raise ValueError(f"type diffusers has no `{name}`")
        own = read_options(options.get("options"))
        if "capabilities" not in options:
            return DiffusersType(own, devices=self._devices)
        # Imported only where it is needed: it brings the validation of a whole grammar along.
        from imgbuild.providers.described import read_capabilities

        described = read_capabilities(options["capabilities"], _ANYTHING)
        return DiffusersType(own, described, self._devices)

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What every pipeline takes, or what the manifest describes. Whether it is there is seen later."""
        if model is None or not posixpath.normpath(model).strip(".") or _NOT_PORTABLE.match(model):
            return UnknownModel(model, _KNOWN)
        found = self._described.capabilities(model) if self._described else replace(_ANYTHING, model=model)
        # Every picture is a request of its own: what they have in common is found on the device.
        return replace(found, max_n=1) if isinstance(found, Capabilities) else found

    def known_models(self) -> tuple[str, ...]:
        """Those that the manifest describes."""
        return self._described.known() if self._described else ()

    def installed(self) -> bool:
        """Whether the extra is there. Imports nothing of it."""
        return all(find_spec(name) is not None for name in ("diffusers", "transformers", "torch"))

    def model_files(self, model: str, root: Path) -> ModelFiles:
        """The files that decide what `model` draws, those of LoRAs included. Raises ProviderFailure."""
        from imgbuild.providers.diffusers_weights import find_weights

        return find_weights(model, self._options, root)

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it: nothing is loaded before the first picture. Raises UsageError for a key or an address."""
        for name, value in (("api_key", settings.api_key), ("base_url", settings.base_url)):
            if value is not None:
                raise UsageError(
                    f"provider {settings.name}: type diffusers has no {name}",
                    remedy="leave it out: everything happens on this machine",
                )
        from imgbuild.providers.diffusers_engine import Engine

        return Engine(settings, self._options, self._devices)


TYPE = DiffusersType()
