"""One device and its thread: pictures wait in line for it, and those of one shape are drawn together.

Nothing here knows what a pipeline is: a `Load` makes one, and its `draw` makes pictures.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

W = TypeVar("W")
P = TypeVar("P")
W_contra = TypeVar("W_contra", contravariant=True)
P_co = TypeVar("P_co", covariant=True)


class Abandoned(Exception):
    """Nobody waits for the pictures that were being drawn."""


class Pipeline(Protocol[W_contra, P_co]):
    """A model that is loaded. Used by one thread."""

    bytes: int
    """What its weights take."""

    def draw(self, wishes: Sequence[W_contra], is_wanted: Callable[[], bool]) -> Sequence[P_co | Exception]:
        """One picture for each wish, or why there is none; all wishes are of one shape.

        Raises `Abandoned` soon after `is_wanted` says no.
        """
        ...


@dataclass(frozen=True, slots=True)
class Load(Generic[W, P]):
    """How a pipeline is had. Equal names mean equal pipelines."""

    name: Hashable
    bytes: int
    """What its weights will take, about."""
    limit: int | None
    """Bytes of weights that may stay loaded with it; None: it stays alone."""
    load: Callable[[], Pipeline[W, P]]


@dataclass(eq=False, slots=True)
class _Waiting(Generic[W, P]):
    load: Load[W, P]
    shape: Hashable
    most: int
    wish: W
    picture: Future[P] = field(default_factory=Future)


class Device(Generic[W, P]):
    """A line of wishes, a thread that grants them, and the pipelines that are loaded. Threads may share it.

    The thread ends when nobody holds the device any more.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "device")
        self._lock = Lock()
        self._line: deque[_Waiting[W, P]] = deque()
        self._loaded: OrderedDict[Hashable, Pipeline[W, P]] = OrderedDict()
        """Those used last at the end."""

    def ask(self, load: Load[W, P], wish: W, shape: Hashable, most: int) -> Future[P]:
        """A picture, some time. Wishes of one shape are granted together, at most so many of them.

        Who cancels the future wants it no longer: drawing ends with the step that is going on, unless others
        wait for pictures of the same batch.
        """
        waiting = _Waiting(load, shape, most, wish)
        with self._lock:
            self._line.append(waiting)
        self._thread.submit(self._work)
        return waiting.picture

    def _work(self) -> None:
        """Grant what is at the head of the line. There is one call for each wish: some find nothing left."""
        first = self._first()
        if first is None:
            return
        try:
            pipeline = self._have(first.load)
        except Exception as error:
            _grant(self._leave(lambda one: one.load.name == first.load.name), error)
            return
        shape, places = (first.load.name, first.shape), iter(range(first.most))
        # Only now: loading takes long, and others came meanwhile.
        batch = self._leave(
            lambda one: (one.load.name, one.shape) == shape and next(places, None) is not None
        )
        pictures: Sequence[P | Exception] | Exception
        try:
            pictures = pipeline.draw([one.wish for one in batch], lambda: _wanted(batch)) if batch else ()
        except Abandoned:
            return
        except Exception as error:
            pictures = error
        _grant(batch, pictures)

    def _first(self) -> _Waiting[W, P] | None:
        """Who comes next: for a pipeline that is loaded, before others."""
        with self._lock:
            line = [one for one in self._line if not one.picture.cancelled()]
            ready = (one for one in line if one.load.name in self._loaded)
            return next(ready, line[0] if line else None)

    def _leave(self, is_meant: Callable[[_Waiting[W, P]], bool]) -> list[_Waiting[W, P]]:
        """Take these out of the line, and those whom nobody waits for."""
        with self._lock:
            line = [one for one in self._line if not one.picture.cancelled()]
            leaving = [one for one in line if is_meant(one)]
            self._line = deque(one for one in line if one not in leaving)
            return leaving

    def _have(self, load: Load[W, P]) -> Pipeline[W, P]:
        """The pipeline, loaded if it has to be. What was not used for longest is let go before."""
        if load.name in self._loaded:
            self._loaded.move_to_end(load.name)
            return self._loaded[load.name]
        room = 0 if load.limit is None else load.limit - load.bytes
        with suppress(KeyError):
            while sum(pipeline.bytes for pipeline in self._loaded.values()) > room:
                self._loaded.popitem(last=False)
        pipeline = load.load()
        self._loaded[load.name] = pipeline
        return pipeline


class Devices(Generic[W, P]):
    """The devices of this process by name, each as long as somebody uses it.

    Several providers of a manifest may use one device, and must not do so at the same time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: WeakValueDictionary[str, Device[W, P]] = WeakValueDictionary()

    def get(self, name: str) -> Device[W, P]:
        """The device of that name."""
        with self._lock:
            return self._known.setdefault(name, Device())


def _wanted(batch: Sequence[_Waiting[W, P]]) -> bool:
    return any(not one.picture.cancelled() for one in batch)


def _grant(batch: Sequence[_Waiting[W, P]], pictures: Sequence[P | Exception] | Exception) -> None:
    each = [pictures] * len(batch) if isinstance(pictures, Exception) else pictures
    for one, picture in zip(batch, each, strict=True):
        if not one.picture.set_running_or_notify_cancel():
            continue
        if isinstance(picture, Exception):
            one.picture.set_exception(picture)
        else:
            one.picture.set_result(picture)
