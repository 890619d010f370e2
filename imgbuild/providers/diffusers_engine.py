"""A connected `diffusers` provider: every picture is a wish in the line of a device."""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache, partial
from pathlib import Path

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.providers.base import FileResult, Finished, ProviderSettings, Request
from imgbuild.providers.diffusers_device import Device, Devices, Load
from imgbuild.providers.diffusers_options import Options, read_params
from imgbuild.providers.diffusers_pictures import write_png
from imgbuild.providers.diffusers_pipeline import DiffusersPipeline, Drawn, Wish
from imgbuild.providers.diffusers_weights import find_weights

_GIB = 2**30

DrawingDevice = Device[Wish, Drawn]
DrawingDevices = Devices[Wish, Drawn]


def seed_of(request: Request) -> int:
    """The seed of a request's picture: the manifest's, counted up by the takes; else one of the key's own.

    Below 2**32, so that other tools take it, too.
    """
    if request.seed is not None:
        return (request.seed + request.first_take - 1) % 2**32
    digest = hashlib.sha256(f"{request.key}/{request.first_take}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


class Engine:
    """Draws with the models of this machine. Nothing is loaded before the first picture."""

    def __init__(self, settings: ProviderSettings, options: Options, devices: DrawingDevices) -> None:
        self._settings = settings
        self._options = options
        self._device: DrawingDevice = devices.get(options.device)

    async def submit(self, request: Request) -> Finished:
        """Draw the picture, when its turn has come. Cancelled, it ends with the step that is going on."""
        try:
            params = read_params(request.params)
        except ValueError as error:
            raise self._failure(ProviderFailure(FailureKind.INVALID, str(error))) from None
        reference = request.references[0].path if request.references else None
        wish = Wish(
            request.prompt,
            request.negative_prompt,
            seed_of(request),
            request.size,
            params,
            reference,
            request.mask.path if request.mask else None,
        )
        path = self._settings.scratch()
        try:
            load = await asyncio.to_thread(self._load, request.model or "")
            drawn = await asyncio.wrap_future(self._device.ask(load, wish, wish.shape, self._options.batch))
            await asyncio.to_thread(write_png, drawn.picture, path)
        except BaseException as error:
            path.unlink(missing_ok=True)
            raise self._failure(error) if isinstance(error, ProviderFailure) else error from None
        return Finished((FileResult(path),), usage=_usage(wish, drawn))

    async def poll(self, task_id: str) -> Finished:
        """Never needed: a picture is waited for."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: pipelines have no tasks")

    async def download(self, url: str, to: Path) -> None:
        """Never needed: a picture is already a file."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: pipelines give no links")

    async def aclose(self) -> None:
        """Nothing is open: a device goes with the last who holds it."""

    def _load(self, model: str) -> Load[Wish, Drawn]:
        """How the pipeline of a model is had, by the name and digest that it has in keys."""
        name, _, digest = model.partition("@")
        weights = find_weights(name, self._options, self._settings.root)
        if weights.problem is not None:
            raise weights.problem
        if not digest:
            raise ProviderFailure(
                FailureKind.INVALID,
                f"the weights of {name} were not there when this was planned",
                remedy="build again",
            )
        base = self._settings.root / Path(self._options.folder).expanduser()
        loras = [(base / lora.path, lora) for lora in self._options.loras]
        limit = self._options.memory
        return Load(
            (weights.folder, digest, self._options),
            sum(path.stat().st_size for path in weights.files.values()),
            None if limit is None else int(limit * _GIB),
            partial(DiffusersPipeline, weights.folder, loras, self._options),
        )

    def _failure(self, failure: ProviderFailure) -> ProviderFailure:
        words = f"{self._settings.name}: {failure.message}"
        return ProviderFailure(failure.kind, words, remedy=failure.remedy)


def _usage(wish: Wish, drawn: Drawn) -> dict[str, Json]:
    """What is told of a picture beside its key: enough to draw it again elsewhere."""
    return {"seed": wish.seed, "device": drawn.device, "dtype": drawn.dtype, **_versions()}


@cache
def _versions() -> dict[str, Json]:
    from importlib.metadata import version

    return {name: version(name) for name in ("diffusers", "torch", "transformers")}
