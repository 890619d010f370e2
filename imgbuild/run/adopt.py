"""Adopting: a person's file becomes the accepted image, or an earlier result a take of the current key.

Nothing here is paid for. What is adopted is recorded like any take, marked as such, and its bytes lie in the
cache like those of any other; so it is restored, derived from and picked in the same way.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from imgbuild.core.derivation import exact_size
from imgbuild.core.errors import BadImageError, StorageError, UsageError
from imgbuild.core.events import ActionKind, Emit, ImageEvent, Status, SummaryEvent, WarningEvent
from imgbuild.core.image import Image, names_digest, output_format
from imgbuild.core.lock import LockedOutput
from imgbuild.core.plan.action import Action, OutputPlan
from imgbuild.core.plan.outputs import make_recipe
from imgbuild.core.results import ADOPTED, StoredOutput, StoredResult
from imgbuild.core.sniff import ImageFacts
from imgbuild.run.build import BuildOptions, run_build
from imgbuild.run.facts import NOT_A_FILE, SYMLINK
from imgbuild.run.job import now
from imgbuild.run.lock_writer import merged
from imgbuild.run.takes import Take, next_take, planned
from imgbuild.run.workspace import Workspace
from imgbuild.store.blobs import Blob
from imgbuild.store.fsio import copy_file
from imgbuild.store.lockfile import update
from imgbuild.store.sidecars import remove_sidecar

MAX_BYTES = 256 << 20
"""The largest file that is adopted."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was accepted: a file as the source of an image, or output files as they are."""

    id: str
    files: tuple[str, ...]
    take: int | None = None
    """The new take; None where only files under `derive` were accepted."""
    as_source: bool = False
    """The outputs are derived from it."""


Announce = Callable[[Adopted], None]


@dataclass(frozen=True, slots=True)
class _Picture:
    """A file in the cache, decoded once from beginning to end."""

    blob: Blob
    facts: ImageFacts


def adopt_file(
    workspace: Workspace,
    image: Image,
    file: Path,
    announce: Announce,
    emit: Emit,
    *,
    overwrite: bool = False,
    name: str | None = None,
) -> int:
    """Make a file the source of an image, whose outputs are derived from it. Returns the exit code.

    `overwrite`: also replace outputs that a person changed. `name`: what messages call the file.

    Raises:
        UsageError: there is no such file, or it is too large.
        BadImageError: it is no picture that can be used.
        StorageError: it cannot be read, or the cache cannot be written.
    """
    name = str(file) if name is None else name
    action = planned(workspace, image)
    picture = _take_in(workspace, file, name)
    number = _record(workspace, image, action, picture)
    announce(Adopted(image.id, (name,), number, as_source=True))
    changed = {output.found for output in action.outputs if output.foreign}
    # Where the very file that is taken in lies at an output's path, nothing of it can be lost.
    return _pick(workspace, image, number, emit, overwrite=overwrite or changed == {picture.blob.digest})


def adopt_outputs(
    workspace: Workspace, image: Image, path: str | None, announce: Announce, emit: Emit
) -> int:
    """Accept output files as they lie there, byte for byte. Returns the exit code.

    The image's own output becomes its source, too, from which its other files are derived. Of a file under
    `derive` only the file itself is accepted. `path`: only this output; None: all that were changed.

    Raises:
        UsageError: there is no such file, or nothing that it could have been derived from.
        BadImageError: a file is no picture, or of another format than its name says.
        StorageError: a file cannot be read, or the cache or the lock cannot be written.
    """
    action = planned(workspace, image)
    changed = _changed(action, image, path)
    root = workspace.invocation.root
    pictures = {output.path: _take_in(workspace, root / output.path, output.path) for output in changed}
    for output in changed:
        _check(output, pictures[output.path].facts, emit)
    own = pictures.get(action.outputs[0].path)
    source = own.blob.digest if own else action.source.digest if action.source else None
    before = action.picked or action.previous
    provider = ADOPTED if own else before.provider if before else None
    if changed and source is None:
        raise UsageError(
            f"{image.id} has no result that {changed[0].path} could belong to",
            remedy=f"imgbuild build comes first; or name a source: imgbuild adopt '{image.id}' FILE",
        )
    number = _record(workspace, image, action, own) if own else None
    for output in changed:
        _stand_in(workspace, _stored(action, output, pictures[output.path], source or "", provider))
    announce(Adopted(image.id, tuple(pictures), number))
    if number is not None:
        return _pick(workspace, image, number, emit, overwrite=False)
    if changed:
        _lock_files(workspace, action, pictures)
    emit(ImageEvent(image.id, Status.UNCHANGED, tuple(output.path for output in action.outputs)))
    emit(SummaryEvent(unchanged=1))
    return 0


def take_over(workspace: Workspace, image: Image, take: Take) -> int:
    """Make a result of another key a take of the image's current one; returns its number there.

    It keeps the model and the provider that made it. What was paid stays with the result that was paid for.

    Raises:
        UsageError: the image's references are not there yet, or the result is gone.
        StorageError: the cache cannot be written.
    """
    result = workspace.cache.records.result(take.key, take.number)
    if result is None:
        raise UsageError(f"{take.handle} is no longer in the cache")
    number = next_take(workspace, image)
    draft = _result(planned(workspace, image), image, number, result.digest)
    workspace.cache.note(
        replace(
            draft,
            format=result.format,
            width=result.width,
            height=result.height,
            bytes=result.bytes,
            provider=result.provider,
            model=result.model,
        )
    )
    return number


def _changed(action: Action, image: Image, path: str | None) -> tuple[OutputPlan, ...]:
    """The outputs that are not what they should be; those that no file can stand in for are refused."""
    if path is None:
        there = [output for output in action.outputs if output.found is not None]
        asked = there or [action.outputs[0]]
    else:
        asked = [output for output in action.outputs if output.path == path]
    for output in asked:
        if output.found is None:
            raise UsageError(
                f"there is no file {output.path} to adopt",
                remedy=f"name the file: imgbuild adopt '{image.id}' FILE",
            )
        if output.found in (SYMLINK, NOT_A_FILE):
            raise UsageError(f"{output.path} is {output.found}", remedy="put the file itself there")
    return tuple(output for output in asked if output.kind is not ActionKind.NONE)


def _take_in(workspace: Workspace, file: Path, name: str) -> _Picture:
    """Put a copy of a file into the cache, after decoding exactly these bytes."""
    try:
        status = file.lstat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(f"{name} cannot be adopted: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        what = SYMLINK if stat.S_ISLNK(status.st_mode) else NOT_A_FILE
        raise UsageError(f"{name} cannot be adopted: it is {what}", remedy="name the file itself")
    if status.st_size > MAX_BYTES:
        raise UsageError(f"{name} cannot be adopted: it is larger than {MAX_BYTES >> 20} MiB")
    from imgbuild.images.decode import inspect

    scratch = workspace.cache.blobs.scratch()
    try:
        copy_file(file, scratch)
        facts = inspect(scratch)
        return _Picture(workspace.cache.blobs.add_file(scratch), facts)
    except BadImageError as error:
        raise BadImageError(
            f"{name} cannot be adopted: {error.message}",
            remedy="it has to be a whole png, jpeg, webp, avif or gif",
        ) from None
    finally:
        with suppress(OSError):
            scratch.unlink()


def _check(output: OutputPlan, facts: ImageFacts, emit: Emit) -> None:
    format = output_format(output.path)
    if facts.format != format:
        raise BadImageError(
            f"{output.path} cannot be adopted: it is a picture of the format {facts.format}",
            remedy=f"save it as {format}, or adopt it as a source: imgbuild adopt TARGET FILE",
        )
    size = exact_size(output.file.operations) if output.file else None
    if size is not None and (size.width, size.height) != (facts.width, facts.height):
        emit(WarningEvent(f"{output.path} is {facts.width}x{facts.height}, and the manifest asks for {size}"))


def _record(workspace: Workspace, image: Image, action: Action, picture: _Picture) -> int:
    """Record a person's file as a take of the image's key; the same bytes are the same take."""
    records = workspace.cache.records
    key = action.keys.current if action.keys else ""
    for number in records.takes(key):
        known = records.result(key, number)
        if known is not None and known.digest == picture.blob.digest:
            return number
    number = next_take(workspace, image)
    facts = picture.facts
    workspace.cache.note(
        replace(
            _result(action, image, number, picture.blob.digest),
            format=facts.format,
            width=facts.width,
            height=facts.height,
            bytes=picture.blob.bytes,
        )
    )
    return number


def _result(action: Action, image: Image, number: int, digest: str) -> StoredResult:
    """The record of an adopted take, but for what its bytes are."""
    if action.keys is None or action.spec is None:
        raise StorageError(f"nobody knows the key of {image.id}")
    return StoredResult(
        key=action.keys.current,
        take=number,
        digest=digest,
        format="",
        width=0,
        height=0,
        bytes=0,
        spec=action.spec.record(),
        provider=ADOPTED,
        image_id=image.id,
        created=now(),
        declared=(*action.keys.declared, *action.keys.picture),
        adopted=True,
    )


def _stored(
    action: Action, output: OutputPlan, picture: _Picture, source: str, provider: str | None
) -> StoredOutput:
    """The record by which a person's file is what an output's recipe gives, under today's encoder."""
    from imgbuild.images.encode import encoder

    if action.resolved is None or output.file is None or names_digest(output.file.path):
        raise UsageError(
            f"{output.path} cannot be adopted by itself", remedy="adopt a source: imgbuild adopt TARGET FILE"
        )
    key = action.keys.current if action.keys else None
    recipe = make_recipe(action.resolved, output.file, source, key, provider)
    facts = picture.facts
    return StoredOutput(
        recipe_key=recipe.key(),
        encoder=encoder(recipe.format),
        source=source,
        digest=picture.blob.digest,
        format=recipe.format,
        width=facts.width,
        height=facts.height,
        bytes=picture.blob.bytes,
    )


def _stand_in(workspace: Workspace, stored: StoredOutput) -> None:
    """Make a person's file the only thing that its recipe gives; what it gave before stays a blob."""
    cache = workspace.cache
    before = [one for one in cache.records.outputs(stored.recipe_key).values() if one.digest != stored.digest]
    scratch = cache.blobs.scratch()
    copy_file(cache.blobs.path(stored.digest), scratch)
    cache.keep_output(scratch, lambda _: stored)
    cache.records.drop(before)
    for one in before:
        remove_sidecar(cache.blobs, one)


def _lock_files(workspace: Workspace, action: Action, pictures: dict[str, _Picture]) -> None:
    """Put a person's files into the lock's entry of an image, whose source stays."""
    locked = dict(action.previous.outputs) if action.previous else {}
    for path, picture in pictures.items():
        facts = picture.facts
        locked[path] = LockedOutput(picture.blob.digest, picture.blob.bytes, facts.width, facts.height)
    entry = action.accept(locked)
    if entry is not None:
        lock = workspace.lock_path
        update(lock, lambda text: merged(text, lock.name, {action.id: entry}))


def _pick(workspace: Workspace, image: Image, number: int, emit: Emit, *, overwrite: bool) -> int:
    options = BuildOptions(
        targets=(image.id,), offline=True, overwrite=overwrite, wanted={image.id: (number,)}
    )
    return run_build(workspace, options, emit, None)
