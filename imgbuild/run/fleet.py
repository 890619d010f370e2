"""A fleet: the workers of a Dask cluster do what needs no network and costs no money.

Nothing here is imported before the user has named a scheduler. What is sent to it is unpickled there, and
what it answers is unpickled here: whoever runs it or a worker can run anything on all of these machines.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from distributed import Future

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import BadImageError, FailureKind, ProviderFailure, StorageError
from imgbuild.core.image import Json
from imgbuild.core.sniff import HEAD_BYTES, TAIL_BYTES, sniff
from imgbuild.providers.base import (
    FileResult,
    Finished,
    Provider,
    ProviderSettings,
    ProviderType,
    ReferenceFile,
    Request,
)
from imgbuild.run import fleet_work
from imgbuild.run.fleet_tasks import MOST, FleetError, Tasks
from imgbuild.run.fleet_values import Engine, Failed, Generated, Made, NotFetched, Piece, SharedPlace
from imgbuild.run.interruption import Interruption
from imgbuild.run.limits import CONCURRENCY
from imgbuild.run.threads import OwnThreads
from imgbuild.store.fsio import storage_errors

if TYPE_CHECKING:
    from imgbuild.images.derive import Derived
    from imgbuild.run.workspace import Workspace

T = TypeVar("T")

_GPU = "GPU"
"""What a worker has to offer for an engine that uses one: `dask worker --resources GPU=1`."""
_STAYS = frozenset({"placeholder"})
"""Engines that are done sooner than their request would have been sent."""
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")


class Fleet:
    """The workers of one scheduler, each of which makes the bytes that would be made here."""

    def __init__(
        self, tasks: Tasks, place: SharedPlace | None = None, stored: Mapping[str, bool] | None = None
    ) -> None:
        """`place`: a shared cache that workers may know, and `stored`, whether it has a blob.

        Raises FleetError where the fleet has no workers, or some that would make other bytes.
        """
        self._tasks = tasks
        self._versions = tasks.check()
        self.places = tasks.places(None)
        self._place = place
        self._stored = stored or {}
        self._warnings: list[str] = []
        self._sending = threading.Lock()
        self._sent: WeakValueDictionary[str, Future[Any]] = WeakValueDictionary()
        """By digest: bytes that tasks under way have in common, sent once."""

    @classmethod
    def join(cls, address: str, workspace: Workspace, wish: Interruption) -> Fleet:
        """Connect to a scheduler that the user has named.

        Raises:
            FleetError: it cannot be reached, or its workers cannot be used.
        """
        tasks = Tasks(address, wish)
        try:
            if workspace.shared is None:
                return cls(tasks)
            shared = workspace.shared.shared
            config = workspace.project.manifest.cache
            # Only the variable's name: a default beside it may be a password.
            name = _NAME.match(config.auth) if config is not None and config.auth else None
            auth = f"${{{name[1]}}}" if name else None
            place = SharedPlace(shared.settings.address, auth, shared.settings.timeout)
            return cls(tasks, place, shared.blobs)
        except BaseException:
            tasks.close()
            raise

    def derive(self, source: Path, recipes: Sequence[Recipe], to: Sequence[Path]) -> list[Derived]:
        """Have files made from the master at `source`, as `imgbuild.images.derive.derive` makes them.

        Raises as that does; FleetError; and Stopped where the user wants to end.
        """
        plain = [
            replace(recipe, options=dict(recipe.options), embedded=dict(recipe.embedded))
            for recipe in recipes
        ]

        # As long as these are held, other tasks find the same bytes.
        held: list[Future[Any]] = []

        def send() -> Future[Any]:
            held[:] = [self._bytes(recipes[0].source, source)]
            return self._tasks.send(fleet_work.derive, self._versions, held[0], plain)

        made = self._answer(Made, send)
        if [fact.format for fact in made.facts] != [recipe.format for recipe in recipes]:
            raise FleetError("a worker answered with other files than it was asked for")
        for path, piece, fact in zip(to, made.pieces, made.facts, strict=True):
            data = piece.data
            found = sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))
            if (found.format, found.width, found.height) != (fact.format, fact.width, fact.height):
                raise BadImageError(f"a worker made {found.format} of {found.width}x{found.height} pixels")
            _write_piece(piece, path)
        return list(made.facts)

    def generate(self, engine: Engine, request: Request) -> Generated:
        """Have a request to a local engine carried out. Raises as the engine does, and as `derive`."""
        resource = _resource(engine.type, json.loads(engine.options))
        if resource and not self._tasks.offers(resource):
            address = self._tasks.address
            raise ProviderFailure(
                FailureKind.INVALID,
                f"{engine.name}: no worker of the fleet at {address} offers {resource}",
                remedy=f"start one: dask worker {address} --nthreads 1 --resources {resource}=1",
            )
        mask = (request.mask,) if request.mask else ()
        files = {file.digest: file.path for file in (*request.references, *mask)}
        plain = replace(
            request,
            params=json.loads(json.dumps(dict(request.params))),
            references=tuple(map(_without_path, request.references)),
            mask=_without_path(request.mask) if request.mask else None,
        )

        sent: dict[str, Future[Any]] = {}

        def send() -> Future[Any]:
            sent.update({digest: self._bytes(digest, path) for digest, path in files.items()})
            return self._tasks.send(
                fleet_work.generate, self._versions, engine, plain, sent, resource=resource
            )

        return self._answer(Generated, send, resource)

    def connect(self, kind: ProviderType, settings: ProviderSettings) -> Provider:
        """A provider whose requests are tasks; for all that has a key, a price or an address, its own."""
        return _Elsewhere(self, kind, settings) if _travels(kind, settings) else kind.connect(settings)

    def concurrency(self, kind: ProviderType, settings: ProviderSettings) -> int:
        """As many as the fleet has places for."""
        if not _travels(kind, settings):
            return CONCURRENCY
        return self._tasks.places(_resource(settings.type, settings.options))

    def close(self) -> Sequence[str]:
        """Leave the fleet; returns what went wrong and stopped nothing."""
        self._tasks.close()
        return self._warnings

    def _answer(self, kind: type[T], send: Callable[[], Future[Any]], resource: str | None = None) -> T:
        while True:
            answer = self._tasks.result(send(), resource)
            if isinstance(answer, Failed):
                raise answer.error()
            if isinstance(answer, kind):
                return answer
            if not isinstance(answer, NotFetched):
                raise FleetError("a worker answered with something else than it was asked for")
            self._send_all(answer.words)

    def _bytes(self, digest: str, path: Path) -> Future[Any]:
        """Bytes where the workers have them: from the shared cache if it has them, else sent from here."""
        with self._sending:
            sent = self._sent.get(digest)
            if sent is None or sent.status in ("cancelled", "error", "lost"):
                if self._place is not None and self._stored.get(digest):
                    sent = self._tasks.send(fleet_work.fetch, digest, self._place)
                else:
                    with storage_errors("read", path):
                        data = path.read_bytes()
                    sent = self._tasks.send(fleet_work.hold, data)
                self._sent[digest] = sent
            return sent

    def _send_all(self, why: str) -> None:
        """The workers cannot read the shared cache: from now on they get all bytes from here."""
        with self._sending:
            self._sent.clear()
            if self._place is not None:
                self._place = None
                self._warnings.append(
                    f"the fleet's workers cannot read the shared cache ({why}); they were sent what they need"
                )


class _Elsewhere:
    """A local engine whose requests are done on a fleet."""

    def __init__(self, fleet: Fleet, kind: ProviderType, settings: ProviderSettings) -> None:
        self._fleet = fleet
        self._settings = settings
        self._engine = Engine(
            settings.type,
            json.dumps(dict(settings.options)),
            kind.engine,
            settings.name,
            str(settings.root.absolute()),
            settings.timeout,
        )
        # Each waits for a worker, and does nothing else.
        self._threads = OwnThreads("fleet", MOST)

    async def submit(self, request: Request) -> Finished:
        """Have it done, and the results in files here."""
        return await self._threads.run(self._submit, request)

    async def poll(self, task_id: str) -> Finished:
        """Never needed: a task is waited for."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: engines have no tasks")

    async def download(self, url: str, to: Path) -> None:
        """Never needed: a picture is already a file."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: engines give no links")

    async def aclose(self) -> None:
        """The fleet is the build's."""

    def _submit(self, request: Request) -> Finished:
        made = self._fleet.generate(self._engine, request)
        paths = [self._settings.scratch() for _ in made.pieces]
        for piece, path in zip(made.pieces, paths, strict=True):
            _write_piece(piece, path)
        return Finished(tuple(map(FileResult, paths)), usage=made.usage)


def _travels(kind: ProviderType, settings: ProviderSettings) -> bool:
    """Whether a provider's work may be done on a fleet: what is free, and needs neither key nor address."""
    paid = settings.priced or settings.api_key is not None or settings.base_url is not None
    return kind.local and not paid and kind.name not in _STAYS


def _resource(type: str, options: Mapping[str, Json]) -> str | None:
    """What a worker has to offer for an engine; None: nothing but a thread."""
    own = options.get("options")
    on_cpu = isinstance(own, dict) and own.get("device") == "cpu"
    return _GPU if type == "diffusers" and not on_cpu else None


def _without_path(file: ReferenceFile) -> ReferenceFile:
    return replace(file, path=Path(file.digest))


def _write_piece(piece: Piece, path: Path) -> None:
    """Put bytes that a worker made into a new file. Raises StorageError, also where they have changed."""
    if hashlib.sha256(piece.data).hexdigest() != piece.digest:
        raise StorageError("bytes were damaged on their way from a worker", remedy="build again")
    with storage_errors("write", path):
        path.write_bytes(piece.data)
