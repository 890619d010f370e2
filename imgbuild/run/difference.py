"""`imgbuild diff`: what changed between the lock at a git revision and now, with before and after."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from imgbuild.core.difference import Difference, OutputDifference, compare
from imgbuild.core.errors import StorageError, UsageError
from imgbuild.core.events import Cause, Reason
from imgbuild.core.image import Json
from imgbuild.core.lock import LockedImage, LockedOutput, parse_lock
from imgbuild.core.plan.reasons import changed_fields
from imgbuild.run.facts import digest_output
from imgbuild.run.revision import Revision, find_revision
from imgbuild.run.spend import open_project_cache
from imgbuild.run.thumbnails import Thumbnails
from imgbuild.run.workspace import Invocation, read_lock
from imgbuild.store.cache import Cache

_MAX_LOCK = 256 << 20
_SIDE = 448
"""Pixels of a thumbnail on the page, while there are few of them."""
_MANY = 300
"""Pictures from which on they are smaller."""
_MANY_SIDE = 256


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs from a revision."""

    revision: Revision
    differences: tuple[Difference, ...]
    cache: Cache


def find_differences(invocation: Invocation, name: str) -> Differences:
    """Compare the lock at a revision with the lock as it is now.

    Raises:
        UsageError: no git, no such revision, or no lock there.
        LockfileError: one of the locks cannot be read.
        StorageError: the cache cannot be read.
    """
    revision = find_revision(invocation.root, name, invocation.environ)
    file = invocation.lock_path.name
    text = revision.read(file, _MAX_LOCK)
    if text is None:
        raise UsageError(
            f"there is no {file} at {name}", remedy="name a revision that has one: git log -- " + file
        )
    old = parse_lock(text.decode(errors="replace"), f"{name}:{invocation.shown(file)}")
    new = read_lock(invocation)
    cache, _ = open_project_cache(invocation)

    def why(before: LockedImage, after: LockedImage) -> tuple[Reason, ...]:
        if before.key == after.key:
            return ()
        was = cache.records.result(before.key, before.take)
        now = cache.records.result(after.key, after.take)
        known = changed_fields(was.spec, now.spec) if was and now else []
        if known:
            return tuple(known)
        model = (Reason("model", before.model, after.model, Cause.CHANGED),)
        key = (Reason("key", before.key, after.key, Cause.CHANGED),)
        return key + (model if before.model != after.model else ())

    return Differences(revision, compare(old, new, why), cache)


@dataclass(frozen=True, slots=True)
class Sides:
    """The pictures of one image before and after; None where it has none, or nobody has its bytes."""

    difference: Difference
    before: Path | None
    after: Path | None


def find_pictures(invocation: Invocation, found: Differences, folder: Path) -> list[Sides]:
    """The files to show. What only git has is written to `folder`.

    Raises:
        StorageError: the cache cannot be read, or the folder cannot be written.
    """
    finder = _Finder(invocation.root, found.cache, found.revision, folder)
    return [finder.sides(difference) for difference in found.differences]


def review_data(invocation: Invocation, found: Differences) -> dict[str, Json]:
    """What the page of a review shows: every difference, and thumbnails by digest.

    Raises:
        StorageError: the cache cannot be read, or `.imgbuild/` cannot be written.
    """
    with TemporaryDirectory(prefix="imgbuild-diff-") as folder:
        sides = find_pictures(invocation, found, Path(folder))
        wanted = dict(pair for one in sides for pair in _pictures(one))
        side = _SIDE if len(wanted) <= _MANY else _MANY_SIDE
        made = Thumbnails(invocation.root, side).make(wanted)
    thumbs = {digest: f"data:image/webp;base64,{b64encode(data).decode()}" for digest, data in made.items()}
    return {
        "project": invocation.root.name,
        "revision": found.revision.name,
        "commit": found.revision.commit,
        "differences": [difference_data(one) for one in found.differences],
        "thumbs": dict(thumbs),
    }


def difference_data(difference: Difference) -> dict[str, Json]:
    """One difference as plain JSON."""
    return {
        "id": difference.id,
        "change": difference.change,
        "reasons": [{"field": one.field, "old": one.old, "new": one.new} for one in difference.reasons],
        "outputs": [
            {"path": output.path, "old": _file(output.old), "new": _file(output.new)}
            for output in difference.outputs
        ],
        "shown": difference.pair.path if difference.pair else None,
    }


def write_sheet(invocation: Invocation, found: Differences, path: Path) -> None:
    """A contact sheet of before and after as a picture, in the format that the name of `path` stands for.

    Raises:
        BadImageError: there are too many differences for one picture.
        StorageError: it cannot be written, or the cache cannot be read.
    """
    from imgbuild.images.contact_sheet import Pair, draw_sheet

    with TemporaryDirectory(prefix="imgbuild-diff-") as folder:
        sides = find_pictures(invocation, found, Path(folder))
        pairs = [Pair(one.difference.id, one.difference.change, one.before, one.after) for one in sides]
        data = draw_sheet(pairs, "webp" if path.suffix.lower() == ".webp" else "png")
    from imgbuild.store.fsio import write_atomic

    write_atomic(path, data, sync=False)


def _pictures(sides: Sides) -> Sequence[tuple[str, Path]]:
    pair = sides.difference.pair
    if pair is None:
        return ()
    both = ((pair.old, sides.before), (pair.new, sides.after))
    return [(output.digest, file) for output, file in both if output is not None and file is not None]


def _file(output: LockedOutput | None) -> Json:
    if output is None:
        return None
    return {"bytes": output.bytes, "digest": output.digest, "height": output.height, "width": output.width}


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds the bytes of outputs: in the project, in the cache, in git, in Git LFS."""

    root: Path
    cache: Cache
    revision: Revision
    folder: Path

    def sides(self, difference: Difference) -> Sides:
        pair = difference.pair
        if pair is None:
            return Sides(difference, None, None)
        return Sides(difference, self._before(pair), self._after(pair))

    def _after(self, pair: OutputDifference) -> Path | None:
        if pair.new is None:
            return None
        path = self.root / pair.path
        return path if digest_output(path) == pair.new.digest else self._blob(pair.new.digest)

    def _before(self, pair: OutputDifference) -> Path | None:
        if pair.old is None:
            return None
        digest = pair.old.digest
        kept = self._blob(digest)
        if kept is not None:
            return kept
        data = self.revision.read(pair.path, pair.old.bytes)
        if data is not None and hashlib.sha256(data).hexdigest() == digest:
            path = self.folder / digest
            try:
                path.write_bytes(data)
            except OSError as error:
                raise StorageError(f"{path} cannot be written: {error.strerror}") from error
            return path
        large = self.revision.lfs_object(digest)
        return large if digest_output(large) == digest else None

    def _blob(self, digest: str) -> Path | None:
        with suppress(StorageError):
            return self.cache.blobs.verified(digest)
        return None
