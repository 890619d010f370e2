"""What a worker of a fleet does: values in, values out. Whatever it writes goes with the task."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from imgbuild import __version__
from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import FailureKind, ImgbuildError, ProviderFailure, StorageError, UsageError
from imgbuild.providers.base import (
    ConfigurableType,
    FileResult,
    Finished,
    LocalModelsType,
    Pending,
    ProgramType,
    Provider,
    ProviderSettings,
    ProviderType,
    ReferenceFile,
    Request,
)
from imgbuild.providers.registry import provider_type
from imgbuild.run.fleet_values import (
    Engine,
    Failed,
    Generated,
    Made,
    NotFetched,
    Piece,
    SharedPlace,
    Versions,
)
from imgbuild.store.fsio import digest_file

_SAMPLE_SIDE = 48
"""Pixels: enough for every encoder to show what it is."""
_ENGINES = 8
"""Engines, as a manifest configures them, that a worker keeps."""
_SAME = "install the same version on all workers and where the build runs"


def release() -> str:
    """imgbuild's version here. Cheap: a scheduler is asked for it, too."""
    return __version__


@cache
def versions() -> Versions:
    """What decides the bytes that are made here.

    libvips' version does not tell which encoders it was built with. So a small picture is encoded in every
    format, and its bytes stand for them.
    """
    from imgbuild.core.encoding import ENCODER_OPTIONS
    from imgbuild.images.encode import encode, encoder
    from imgbuild.images.said import say
    from imgbuild.images.vips import pyvips

    ramp = pyvips.Image.xyz(_SAMPLE_SIDE, _SAMPLE_SIDE)
    picture = ((ramp[0] * ramp[1]).bandjoin([ramp[0] * 5, ramp[1] * 5]) % 256).cast("uchar")
    picture = picture.copy(interpretation="srgb")
    found = {"imgbuild": release()}
    for format in ENCODER_OPTIONS:
        data = encode(picture, format, {}, say("provenance", {}, {}))
        found[format] = f"{encoder(format)}, sample {hashlib.sha256(data).hexdigest()[:16]}"
    return found


def hold(data: bytes) -> bytes:
    """Bytes that several tasks work on: sent once, and again by the scheduler if their worker dies."""
    return data


def fetch(digest: str, place: SharedPlace) -> bytes | NotFetched:
    """The same from the shared cache, with this worker's own credentials."""
    from imgbuild.run.variables import fill_in
    from imgbuild.store.remote.base import RemoteError, receive
    from imgbuild.store.remote.opening import open_remote

    try:
        auth = fill_in(place.auth, os.environ, "cache.auth") if place.auth else None
        remote = open_remote(place.address, os.environ, auth=auth, timeout=place.timeout)
        try:
            with _folder() as folder:
                path = folder / "master"
                if receive(remote, digest, path, patience=place.timeout):
                    return path.read_bytes()
                return NotFetched("it is not there")
        finally:
            remote.close()
    except (RemoteError, ImgbuildError) as error:
        return NotFetched(error.message)


def derive(
    expected: Versions, source: bytes | NotFetched, recipes: Sequence[Recipe]
) -> Made | Failed | NotFetched:
    """What `imgbuild.images.derive.derive` does, from bytes to bytes."""
    if isinstance(source, NotFetched):
        return source
    try:
        _require(expected)
        from imgbuild.images.derive import derive as derive_files

        with _folder() as folder:
            master = folder / "master"
            master.write_bytes(source)
            paths = [folder / str(number) for number in range(len(recipes))]
            facts = derive_files(master, recipes, paths)
            return Made(tuple(map(_piece, paths)), tuple(facts))
    except ImgbuildError as error:
        return Failed.of(error)


async def generate(
    expected: Versions, engine: Engine, request: Request, files: Mapping[str, bytes | NotFetched]
) -> Generated | Failed | NotFetched:
    """One request to a local engine, on the worker's own event loop, as a provider expects it.

    `files`: the bytes of references and mask, by digest.
    """
    try:
        _require(expected)
        with _folder() as folder:
            for digest, data in files.items():
                if isinstance(data, NotFetched):
                    return data
                (folder / digest).write_bytes(data)
            await asyncio.to_thread(_require_model, engine, request.model or "")
            provider = _provider(engine, asyncio.get_running_loop())
            finished = await provider.submit(_with_files(request, folder))
            return _generated(engine, finished)
    except ImgbuildError as error:
        return Failed.of(error)


@lru_cache(maxsize=_ENGINES)
def _provider(engine: Engine, loop: asyncio.AbstractEventLoop) -> Provider:
    """An engine, connected once for all tasks of a worker: it may have loaded a model since."""
    kind = _kind(engine)
    if kind.engine != engine.engine:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"{engine.name}: {_here()} has {kind.engine}, and the build {engine.engine}",
            remedy=_SAME,
        )
    folder = _local()
    settings = ProviderSettings(
        engine.name,
        engine.type,
        timeout=engine.timeout,
        options=json.loads(engine.options),
        scratch=lambda: folder / f"imgbuild-{uuid4().hex}",
        root=Path(engine.root),
        variables=os.environ,
    )
    return kind.connect(settings)


def _generated(engine: Engine, finished: Pending | Finished) -> Generated:
    results = finished.results if isinstance(finished, Finished) else ()
    paths = [result.path for result in results if isinstance(result, FileResult)]
    if not isinstance(finished, Finished) or len(paths) < len(results):
        raise ProviderFailure(
            FailureKind.INVALID, f"{engine.name}: this engine works where the build runs only"
        )
    try:
        return Generated(tuple(map(_piece, paths)), dict(finished.usage))
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _kind(engine: Engine) -> ProviderType:
    """The engine's type here. A program is run in the project's folder, which has to be here as well."""
    kind = provider_type(engine.type)
    if kind is None:
        raise UsageError(
            f'{_here()} has no provider type "{engine.type}"', remedy="install its package on all workers"
        )
    try:
        kind = kind.configured(json.loads(engine.options)) if isinstance(kind, ConfigurableType) else kind
    except ValueError as error:
        raise UsageError(f'provider "{engine.name}" on {_here()}: {error}') from None
    if isinstance(kind, ProgramType) and not Path(engine.root).is_dir():
        raise ProviderFailure(
            FailureKind.INVALID,
            f"{engine.name}: {_here()} has no folder {engine.root}",
            remedy="share the project's folder with all workers under this path, or build with --dask none",
        )
    return kind


def _require(expected: Versions) -> None:
    """Raise ImgbuildError where this worker would make other bytes. Workers may come at any time."""
    different = differences(expected, versions())
    if different:
        raise ImgbuildError(f"{_here()} has {different}", remedy=_SAME)


def _require_model(engine: Engine, model: str) -> None:
    """Raise ProviderFailure where an engine's model is not here, or not the one in the image's key."""
    kind = _kind(engine)
    if not isinstance(kind, LocalModelsType):
        return
    name, _, digest = model.partition("@")
    if not kind.installed():
        raise ProviderFailure(
            FailureKind.INVALID,
            f"{engine.name}: {_here()} lacks a package",
            remedy=f"pip install 'imgbuild[{kind.extra}]' there",
        )
    found = kind.model_files(name, Path(engine.root))
    if found.problem is not None:
        raise ProviderFailure(
            found.problem.kind,
            f"{engine.name}: {_here()}: {found.problem.message}",
            remedy=found.problem.remedy,
        )
    files = tuple((name, path, path.stat().st_mtime_ns) for name, path in sorted(found.files.items()))
    if _weights(files) != digest:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"{engine.name}: the files of {name} on {_here()} are not those that the build knows",
            remedy="give all workers and the machine that builds the same files of the model",
        )


@lru_cache(maxsize=_ENGINES)
def _weights(files: tuple[tuple[str, Path, int], ...]) -> str:
    """A model's digest, by the names, paths and times of its files: gigabytes are read once."""
    from imgbuild.run.weights import weights_digest

    return weights_digest({name: digest_file(path) for name, path, _ in files})


def differences(expected: Versions, found: Versions) -> str:
    """What is not as expected, in words; empty where all is."""
    return "; ".join(
        f"{found.get(name, 'nothing')} for {name}, and the build {expected.get(name, 'nothing')}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    )


def _with_files(request: Request, folder: Path) -> Request:
    def moved(file: ReferenceFile) -> ReferenceFile:
        return replace(file, path=folder / file.digest)

    return replace(
        request,
        references=tuple(map(moved, request.references)),
        mask=moved(request.mask) if request.mask else None,
    )


def _piece(path: Path) -> Piece:
    data = path.read_bytes()
    return Piece(data, hashlib.sha256(data).hexdigest())


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one task. What the disk refuses there is told as an error of this worker."""
    try:
        with TemporaryDirectory(prefix="imgbuild-", dir=_local()) as folder:
            yield Path(folder)
    except OSError as error:
        raise StorageError(
            f"{_here()}: {error.strerror or error}", remedy="check that worker's disk"
        ) from error


def _local() -> Path:
    """The worker's own folder: dask removes what is left there by a worker that was killed."""
    from distributed import get_worker

    return Path(get_worker().local_directory)


def _here() -> str:
    from distributed import get_worker

    worker = get_worker()
    return f"worker {worker.name} ({worker.address})"
