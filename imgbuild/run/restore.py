"""`imgbuild restore`: exactly the files that the lock names, without reading the manifest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from imgbuild.core.errors import LockfileError, StorageError
from imgbuild.core.events import Emit, Failure, ImageEvent, Status, SummaryEvent, WarningEvent
from imgbuild.core.lock import Lock, LockedImage
from imgbuild.core.safepath import UnsafePath, safe_path
from imgbuild.run.declared_cache import declared_cache
from imgbuild.run.facts import DiskFacts
from imgbuild.run.files import DiskFiles
from imgbuild.run.observed import Observed
from imgbuild.run.outputs import WRITERS, Outputs
from imgbuild.run.workspace import Invocation, cache_folder, open_declared, read_lock
from imgbuild.store.cache import open_cache


def restore_lock(invocation: Invocation, emit: Emit) -> int:
    """Write every locked output that is missing or older; returns the exit code: 1 if one cannot be had.

    A file that a person changed is left as it is.

    Raises:
        LockfileError: there is no lock, it cannot be read, or it names a path that is not allowed.
    """
    began = time.monotonic()
    if not invocation.lock_path.is_file():
        name = invocation.shown(invocation.lock_path.name)
        raise LockfileError(f"there is no {name}", remedy="imgbuild build writes it")
    lock = read_lock(invocation)
    _check_paths(invocation, lock)
    config, _ = declared_cache(invocation)
    cache = open_cache(cache_folder(invocation, config.dir if config else None))
    shared = open_declared(invocation, config, cache)
    facts = DiskFacts(
        invocation.root, cache, Observed(invocation.root, invocation.manifest, invocation.profile)
    )
    outputs = Outputs(invocation.root, cache, locked=True)
    ours = lock.output_digests()
    counts: Counter[Status] = Counter()
    wanted = {path: output for image in lock.images.values() for path, output in image.outputs.items()}
    found = {path: facts.on_disk(path) for path in wanted}
    if shared is not None:
        shared.bring_now(output.digest for path, output in wanted.items() if found[path] != output.digest)
    retouched = {
        path
        for path, digest in found.items()
        if digest not in (None, wanted[path].digest) and digest not in ours and not facts.made_by(digest)
    }
    pool = ThreadPoolExecutor(WRITERS, "write")
    try:
        restore = partial(_restore, found=found, retouched=retouched, outputs=outputs)
        for event in pool.map(restore, lock.images, lock.images.values()):
            counts[event.status] += 1
            emit(event)
    finally:
        pool.shutdown(cancel_futures=True)
    for words in shared.finish() if shared is not None else ():
        emit(WarningEvent(words))
    emit(
        SummaryEvent(
            restored=counts[Status.RESTORED],
            unchanged=counts[Status.UNCHANGED],
            conflicts=counts[Status.CONFLICT],
            failed=counts[Status.FAILED],
            seconds=round(time.monotonic() - began, 3),
        )
    )
    return 1 if counts[Status.FAILED] or counts[Status.CONFLICT] else 0


def _restore(
    id: str,
    image: LockedImage,
    found: Mapping[str, str | None],
    retouched: Collection[str],
    outputs: Outputs,
) -> ImageEvent:
    status, failure = Status.UNCHANGED, None
    for path, target in image.outputs.items():
        if found[path] == target.digest:
            continue
        if path in retouched:
            status, failure = Status.CONFLICT, Failure("conflict", f"{path} was changed by hand")
            break
        try:
            outputs.put(path, outputs.cache.blobs.verified(target.digest), target, found[path])
            status = Status.RESTORED
        except StorageError as error:
            status, failure = Status.FAILED, Failure("storage", f"{path}: {error.message}")
            break
    return ImageEvent(id, status, tuple(image.outputs), failure)


def _check_paths(invocation: Invocation, lock: Lock) -> None:
    """A lock may come from anybody's branch: its paths are held to the same rules as the manifest's."""
    files = DiskFiles(invocation.root)
    for id, image in lock.images.items():
        for path in image.outputs:
            try:
                problem = None if safe_path(path) == path else "is not normalised"
            except UnsafePath as error:
                problem = str(error)
            problem = problem or files.output_problem(path)
            if problem:
                name = invocation.shown(invocation.lock_path.name)
                raise LockfileError(f'{name}: image "{id}": the output "{path}" {problem}')
