"""Tasks on a fleet: connected, sent, waited for as long as that makes sense, and let go of."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, Future, KilledWorker
from distributed.versions import VersionMismatchWarning

from imgbuild.core.errors import ImgbuildError
from imgbuild.run import fleet_work
from imgbuild.run.fleet_values import Versions
from imgbuild.run.interruption import Interruption, Stopped

CONNECT_SECONDS = 10.0
"""For the scheduler to answer, and for a first worker to be there."""
PATIENCE = 60.0
"""Seconds for which work waits while no worker could do it. One that was killed is back within less."""
MOST = 128
"""Tasks of one kind that are sent at once, however large the fleet: their bytes lie in memory on the way."""
_AHEAD = 2
"""Tasks a thread of the fleet: while it works on one, the next is already there."""
_WAIT = 0.5
"""Seconds between two looks at whether waiting still makes sense."""
_LOOK = 5.0
"""Seconds between two looks at the workers."""


class FleetError(ImgbuildError):
    """The fleet cannot be used, or no longer."""


class Tasks:
    """A connection to a scheduler. Many threads may use it."""

    def __init__(self, address: str, wish: Interruption) -> None:
        """Raises FleetError where nobody answers at the address."""
        _keep_quiet()
        self.address = address
        self._wish = wish
        self._name = f"imgbuild-{uuid4().hex[:12]}"
        self._threads: dict[str | None, float] = {}
        """By resource, how much of it there is; None stands for the threads of all workers."""
        self._seen: dict[str | None, float] = {}
        """When there last was any of it."""
        self._looked = 0.0
        self._looking = threading.Lock()
        self._asking = 0
        """How many threads wait for what the client has to ask for."""
        self._leaving = False
        self._state = threading.Condition()
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="imgbuild")
        except Exception as error:
            raise FleetError(
                f"the fleet at {address} cannot be reached: {_first_line(error)}",
                remedy="start its scheduler, or build with --dask none to work here",
            ) from error

    def check(self) -> Versions:
        """Hold the scheduler and all workers against this process; returns the versions that are the same.

        Raises:
            FleetError: there are no workers, or one of them would make other bytes.
        """
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise FleetError(
                f"the fleet at {self.address} has no workers",
                remedy=f"start some: dask worker {self.address}",
            ) from None
        expected = fleet_work.versions()
        try:
            release = self._client.run_on_scheduler(fleet_work.release)
        except Exception as error:
            raise _without_imgbuild("its scheduler", error, expected) from error
        if release != expected["imgbuild"]:
            raise _mismatch(f"its scheduler has imgbuild {release}, and this is {expected['imgbuild']}")
        try:
            found = self._client.run(fleet_work.versions, on_error="return")
        except Exception as error:
            raise self._lost() from error
        for worker, versions in sorted(found.items()):
            if isinstance(versions, BaseException):
                raise _without_imgbuild(f"worker {worker}", versions, expected)
            different = fleet_work.differences(expected, versions)
            if different:
                raise _mismatch(f"worker {worker} has {different}")
        self._count()
        return expected

    def places(self, resource: str | None) -> int:
        """How many tasks that need a resource, or only a thread, are worth being sent at once."""
        return max(1, min(MOST, int(_AHEAD * self._threads.get(resource, 0))))

    def offers(self, resource: str) -> bool:
        """Whether some worker has a resource."""
        if not self._threads.get(resource):
            self._count()
        return bool(self._threads.get(resource))

    def send(self, work: Callable[..., Any], *args: Any, resource: str | None = None) -> Future[Any]:
        """Have `work` done with these values by any worker, or by one that has a resource.

        Raises:
            FleetError: the scheduler is gone.
            Stopped: the user wants to end.
        """
        self._wish.check()
        if self._client.status != "running":
            raise self._lost()
        key = f"{work.__name__}-{self._name}-{uuid4().hex}"
        resources = {resource: 1} if resource else None
        return self._client.submit(work, *args, key=key, pure=False, resources=resources)

    def result(self, future: Future[Any], resource: str | None = None) -> Any:
        """What a task gives. If its worker dies, another one does it; that is the scheduler's business.

        Raises as `send`, and FleetError where the task cannot be done.
        """
        try:
            # Not by `result` with a timeout: that would also cut short what others are just being given.
            ended = threading.Event()
            future.add_done_callback(lambda _: ended.set())
            while not ended.wait(_WAIT):
                self._wish.check()
                self._look(resource)
            with self._asked():
                return future.result()
        except ImgbuildError:
            raise
        except CancelledError:
            if self._wish.requested:
                raise Stopped from None
            raise self._lost() from None
        except KilledWorker as error:
            raise FleetError(
                f"the workers that were to do it died, {error.allowed_failures + 1} of them",
                remedy="look into their logs; often they have too little memory",
            ) from None
        except Exception as error:
            raise FleetError(
                f"a worker of the fleet failed: {type(error).__name__}: {_first_line(error)}",
                remedy="its log says more",
            ) from error
        finally:
            future.release()

    def close(self) -> None:
        """Leave: what is queued is dropped, and what a worker is just doing comes to nothing."""
        with self._state:
            self._leaving = True
            self._state.wait_for(lambda: not self._asking, CONNECT_SECONDS)
        try:
            self._client.close(timeout=CONNECT_SECONDS)
        except Exception as error:
            # How a connection ends that nobody needs any more is no news.
            logging.getLogger(__name__).debug("leaving %s: %s", self.address, error)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Keep the client open: who asks one that is just closing, which ends futures, too, waits forever.

        Raises as `send`.
        """
        with self._state:
            if self._leaving:
                self._wish.check()
                raise self._lost()
            self._asking += 1
        try:
            yield
        finally:
            with self._state:
                self._asking -= 1
                self._state.notify_all()

    def _look(self, resource: str | None) -> None:
        """Raise FleetError where waiting has no sense: the scheduler is gone, or all who could do it are."""
        if self._client.status != "running":
            raise self._lost()
        now = monotonic()
        if now - self._looked > _LOOK and self._looking.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._looking.release()
        if now - self._seen.get(resource, now) > PATIENCE:
            what = f" that offers {resource}" if resource else ""
            raise FleetError(
                f"the fleet at {self.address} has had no worker{what} for {PATIENCE:g} s",
                remedy="start workers and build again: what was done is kept",
            )

    def _count(self) -> None:
        try:
            with self._asked():
                workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except ImgbuildError:
            raise
        except Exception as error:
            raise self._lost() from error
        found: dict[str | None, float] = {None: sum(worker["nthreads"] for worker in workers)}
        for worker in workers:
            for name, amount in worker["resources"].items():
                found[name] = found.get(name, 0) + amount
        self._threads = found
        self._looked = monotonic()
        self._seen.update({name: self._looked for name, amount in found.items() if amount})

    def _lost(self) -> FleetError:
        return FleetError(
            f"the connection to the fleet at {self.address} is lost",
            remedy="build again: what was done is kept. With --dask none the rest is done here",
        )


def _keep_quiet() -> None:
    """What goes wrong is said in our own words: dask logs on standard error, and warns of what is checked."""
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
    # Masters are what has to be sent, and they are larger than what dask takes for a mistake.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})


def _without_imgbuild(where: str, error: BaseException, expected: Versions) -> FleetError:
    return FleetError(
        f"{where} cannot do imgbuild's work: {type(error).__name__}: {_first_line(error)}",
        remedy=f"install imgbuild[dask]=={expected['imgbuild']} for the scheduler and all workers",
    )


def _mismatch(words: str) -> FleetError:
    return FleetError(
        f"versions differ, and so would the bytes: {words}",
        remedy="install the same imgbuild and libvips on all workers, the scheduler and this machine",
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[
        :300
    ]
