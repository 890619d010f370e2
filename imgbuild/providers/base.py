"""The one interface behind which every service and engine lives, asynchronous or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """A reference image whose bytes are at hand. `url` is set where the manifest gave a URL."""

    path: Path
    digest: str
    media_type: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request for `n` results, provider-neutral. None means: say nothing about it."""

    prompt: str
    model: str | None = None
    negative_prompt: str | None = None
    size: Size | None = None
    ratio: str | None = None
    resolution: str | None = None
    quality: str | None = None
    background: str | None = None
    format: str | None = None
    seed: int | None = None
    n: int = 1
    first_take: int = 1
    """The take that the first result becomes: nothing is sent for it, cards show it."""
    key: str = ""
    """The generation key, from which engines choose a seed where the manifest has none. It is not sent."""
    references: tuple[ReferenceFile, ...] = ()
    mask: ReferenceFile | None = None
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UrlResult:
    """An image to be fetched, without credentials, from wherever the service put it."""

    url: str


@dataclass(frozen=True, slots=True)
class FileResult:
    """An image that the provider already wrote to a file of its own; the caller takes it over."""

    path: Path


Result = UrlResult | FileResult


@dataclass(frozen=True, slots=True)
class Pending:
    """A task that the service is working on. `status` is the service's own word, already escaped."""

    task_id: str
    status: str
    progress: float | None = None
    """0 to 1, where the service tells."""
    warning: str | None = None
    """E.g. a status word that nobody knows, which means "still running"."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The results of a request, in order, and what the service said that they cost."""

    results: tuple[Result, ...]
    task_id: str | None = None
    usage: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider's entry in the manifest, with its variables filled in. Durations are seconds."""

    name: str
    type: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 300.0
    deadline: float = 900.0
    poll_interval: float | None = None
    """Between two looks at a task; None: by what tasks take, within what services recommend."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """The provider's other members in the manifest, for the types that have some of their own."""
    scratch: Callable[[], Path] = field(kw_only=True, repr=False, compare=False)
    """Gives the path of a new, not yet existing file for result bytes, on the cache's own disk."""
    root: Path = field(default=Path(), kw_only=True)
    """The manifest's folder."""
    variables: Mapping[str, str] = field(default_factory=dict, kw_only=True, repr=False, compare=False)
    """What `${NAME}` may mean: the `.env` beside the manifest, and the process's environment over it."""
    priced: bool = field(default=False, kw_only=True)
    """The manifest gives a price, so that results count as paid for even where the type itself is free."""


class Provider(Protocol):
    """A connected provider. Made once a run, used by many jobs at once on one event loop.

    Every method may raise `ProviderFailure`; nothing else that is expected.
    """

    async def submit(self, request: Request) -> Pending | Finished:
        """Send the request. The moment at which money may be spent."""
        ...

    async def poll(self, task_id: str) -> Pending | Finished:
        """Ask once for a task. Never costs anything."""
        ...

    async def download(self, url: str, to: Path) -> None:
        """Stream a result to a file, without credentials."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


class ProviderType(Protocol):
    """What imgbuild knows of a type without connecting to anything: pure, cheap to import."""

    name: str
    default_base_url: str | None
    needs_key: bool
    local: bool
    """A free local engine: nothing is sent over a network, nothing costs."""
    engine: str | None
    """For local engines: name and version, part of every key, so that no placeholder passes for the real."""

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        ...

    def known_models(self) -> tuple[str, ...]:
        """The models that are documented for this type, for listings and for "did you mean"."""
        ...

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it. Imports its network code only now."""
        ...


@runtime_checkable
class ConfigurableType(Protocol):
    """A type whose abilities stand in the manifest itself (`http`, `command`)."""

    def configured(self, options: Mapping[str, Json]) -> ProviderType:
        """The type as one provider's entry describes it; `options` are the entry's own members.

        Raises:
            ValueError: the description is wrong; the message says where and what.
        """
        ...


@runtime_checkable
class ProgramType(Protocol):
    """A type that runs a program which the manifest names: never without the user's word (`command`)."""

    program: str
    """Everything that the user's word is bound to, as one line that can be read and compared."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model on this machine. What is in them decides the picture."""

    folder: Path
    """Where the model lies or would lie."""
    files: Mapping[str, Path]
    """Those that decide, by the names that they have in the model's digest."""
    places: tuple[Path, ...]
    """Other files and folders that decided which these are; they need not exist."""
    problem: ProviderFailure | None = None
    """Why they cannot be used."""


@runtime_checkable
class LocalModelsType(Protocol):
    """A type whose models are files on this machine (`diffusers`)."""

    extra: str
    """The extra of imgbuild that it needs."""

    def installed(self) -> bool:
        """Whether the extra is there. Imports nothing of it."""
        ...

    def model_files(self, model: str, root: Path) -> ModelFiles:
        """The files of a model; `root` is the manifest's folder. Reads no weights."""
        ...
