"""Atlases and the assets table: made of images that are accepted, whenever one of these has changed.

The lock says nothing of them: they follow from its entries, and merging branches would have to merge their
digests. So what is replaced is what the cache knows or what looks like imgbuild's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imgbuild.core.assets import AssetEntry, AssetFile, assets_table, recognised, render_assets
from imgbuild.core.atlas.frame import Layout, Sprite, page_path
from imgbuild.core.atlas.layout import lay_out
from imgbuild.core.atlas.writers import recognised_atlas, write_atlas
from imgbuild.core.collected import AssetsTable, Atlas
from imgbuild.core.errors import BadImageError, ImgbuildError, StorageError
from imgbuild.core.events import ActionKind, Cause, Emit, Failure, ImageEvent, Reason, Status
from imgbuild.core.image import Image, OutputFile, Size, digest_path, output_format
from imgbuild.core.lock import LockedImage, LockedOutput
from imgbuild.core.plan.action import Action, OutputPlan
from imgbuild.core.plan.outputs import files_of
from imgbuild.core.results import StoredOutput
from imgbuild.run.outputs import Outputs, RetouchedError
from imgbuild.run.workspace import Workspace
from imgbuild.store.blobs import Blob
from imgbuild.store.workdir import DroppedOutput, Workdir

_TELLING = ("texturepacker-hash", "texturepacker-array")
"""Formats whose tables tell what a page's pixels are made of."""
Accepted = Mapping[str, LockedImage]
"""The entries of images that are there, by id."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A page's picture: what it is made of, and its bytes where the cache knows them."""

    path: str
    atlas: Atlas
    layout: Layout
    number: int
    sources: Mapping[str, Path]
    recipe: str
    known: StoredOutput | None
    agree: bool
    """The tables on the disk are those of this very atlas."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A table."""

    path: str
    text: str


class Collected:
    """The atlases and the assets table of a workspace."""

    def __init__(self, workspace: Workspace, *, overwrite: bool) -> None:
        self._root = workspace.invocation.root
        self._facts = workspace.facts()
        self._cache = workspace.cache
        self._overwrite = overwrite
        self._workdir = Workdir(self._root)
        self._outputs = Outputs(self._root, workspace.cache)
        project = workspace.project
        self._images = {image.id: image for image in project.images}
        self._declared = (*project.atlases, *((project.assets,) if project.assets else ()))

    def plan(self, actions: Sequence[Action]) -> tuple[Action, ...]:
        """What a build would do for each, given what it does for the images. Reads, and changes nothing."""
        if not self._declared:
            return ()
        entries = {action.id: action.entry for action in actions if action.entry is not None}
        busy = {action.id for action in actions if action.kind is not ActionKind.NONE or action.entry is None}
        return tuple(self._action(one, entries, busy) for one in self._declared)

    def bring(self, planned: Sequence[Action], accepted: Accepted, emit: Emit) -> dict[Status, int]:
        """Make every file what it should be; returns how many of the declared ended how, if they changed.

        What was `planned` as having nothing to do is as it should be: no image of it has changed since.
        """
        counts: dict[Status, int] = {}
        now: list[DroppedOutput] = []
        right = {action.id: action.outputs for action in planned if action.kind is ActionKind.NONE}
        for one in self._declared:
            if one.id in right:
                now += [DroppedOutput(o.path, o.found, one.id) for o in right[one.id] if o.found]
                continue
            failure = None
            outputs: list[OutputPlan] = []
            try:
                pieces = self._pieces(one, accepted)
                outputs = [self._output(one, piece) for piece in pieces]
                status = self._carry_out(pieces, outputs)
            except RetouchedError as error:
                status, failure = Status.CONFLICT, Failure("storage", error.message)
            except ImgbuildError as error:
                words = f"{error.message} ({error.remedy})" if error.remedy else error.message
                status, failure = Status.FAILED, Failure("failed", f"{one.place.position}: {words}")
            if status is not Status.UNCHANGED:
                counts[status] = counts.get(status, 0) + 1
                emit(ImageEvent(one.id, status, tuple(o.path for o in outputs) or _paths(one), failure))
            if status in (Status.UNCHANGED, Status.DERIVED):
                found = ((o.path, self._facts.on_disk(o.path)) for o in outputs)
                now += [DroppedOutput(path, digest, one.id) for path, digest in found if digest]
            else:
                now += [entry for entry in self._workdir.collected() if entry.image_id == one.id]
        self._workdir.note_collected(now)
        return counts

    def _carry_out(self, pieces: Sequence[_Page | _Text], outputs: Sequence[OutputPlan]) -> Status:
        kinds = {output.kind for output in outputs}
        if ActionKind.CONFLICT in kinds:
            return Status.CONFLICT
        written = [
            self._write(piece, output.found)
            for piece, output in zip(pieces, outputs, strict=True)
            if output.kind is ActionKind.DERIVE
        ]
        return Status.DERIVED if any(written) else Status.UNCHANGED

    def present(self) -> Iterator[tuple[str, bool]]:
        """Every file that lies where one of these would be, and whether it is ours."""
        for one in self._declared:
            for path in _paths(one):
                number = 0
                while (found := self._facts.on_disk(page_path(path, number))) is not None:
                    yield page_path(path, number), not self._is_foreign(one, page_path(path, number), found)
                    number += 1

    def _action(self, one: Atlas | AssetsTable, entries: Accepted, busy: set[str]) -> Action:
        needed = [id for id, _ in one.images] if isinstance(one, Atlas) else [*self._images]
        waits = [id for id in needed if id in busy]
        if waits:
            pending = Reason("images", None, waits[0], Cause.REFERENCE_PENDING)
            outputs = tuple(OutputPlan(path, ActionKind.DERIVE) for path in _paths(one))
            return Action(one.id, ActionKind.DERIVE, (pending,), outputs=outputs)
        try:
            outputs = tuple(self._output(one, piece) for piece in self._pieces(one, entries))
        except ImgbuildError as error:
            # The build will say it again, as a failure of this one.
            return Action(one.id, ActionKind.DERIVE, blocked=error.message)
        reasons = tuple(reason for output in outputs if (reason := _reason(output)))
        kinds = {output.kind for output in outputs}
        ranked = (ActionKind.CONFLICT, ActionKind.DERIVE, ActionKind.NONE)
        return Action(one.id, next(k for k in ranked if k in kinds), reasons, outputs=outputs)

    def _output(self, one: Atlas | AssetsTable, piece: _Page | _Text) -> OutputPlan:
        found = self._facts.on_disk(piece.path)
        kind = ActionKind.DERIVE
        if self._is_right(piece, found):
            kind = ActionKind.NONE
        elif self._overwrite:
            kind = ActionKind.DERIVE
        elif (
            isinstance(piece, _Page)
            and piece.agree
            and piece.known
            and found
            and not self._facts.made_by(found)
        ):
            # Everything about it is right but its bytes: somebody has retouched it.
            kind = ActionKind.CONFLICT
        elif self._is_foreign(one, piece.path, found):
            kind = ActionKind.CONFLICT
        return OutputPlan(piece.path, kind, found=found)

    def _pieces(self, one: Atlas | AssetsTable, accepted: Accepted) -> list[_Page | _Text]:
        if isinstance(one, AssetsTable):
            return [self._table(one, accepted)]
        missing = [id for id, _ in one.images if id not in accepted]
        if missing:
            raise ImgbuildError(
                f"{missing[0]} is not there", remedy="it is made as soon as all its images are"
            )
        files = {id: self._locked(id, pattern, accepted[id]) for id, pattern in one.images}
        sources = {id: self._source(path, output) for id, (path, output) in files.items()}
        sprites = {
            id: self._sprite(one, id, pattern, files[id][1], sources[id]) for id, pattern in one.images
        }
        digests = {id: output.digest for id, (_, output) in files.items()}
        layout = lay_out(sprites, one.options).made_of(digests)
        tables = [_Text(path, text) for path, text in sorted(write_atlas(layout, one.options).items())]
        agree = all(self._is_right(table, self._facts.on_disk(table.path)) for table in tables)
        pieces: list[_Page | _Text] = []
        for number in range(len(layout.pages)):
            path = page_path(one.options.output, number)
            recipe = layout.prints[number]
            encoder = self._facts.encoder(_format(path))
            known = next((o for o in self._facts.outputs(recipe) if o.encoder == encoder), None)
            pieces.append(_Page(path, one, layout, number, sources, recipe, known, agree))
        return pieces + tables

    def _locked(self, id: str, pattern: str, entry: LockedImage) -> tuple[str, LockedOutput]:
        """Where a declared file of an image is, and what it is."""
        for path, output in entry.outputs.items():
            if digest_path(pattern, output.digest) == path:
                return path, output
        raise ImgbuildError(f"{id} has no {digest_path(pattern, '*' * 64)}", remedy="build it first")

    def _source(self, path: str, output: LockedOutput) -> Path:
        if self._cache.blobs.has(output.digest):
            return self._cache.blobs.path(output.digest)
        if self._facts.on_disk(path) != output.digest:
            raise StorageError(f"no cache has the accepted bytes of {path}", remedy="build it again")
        return self._root / path

    def _sprite(self, atlas: Atlas, id: str, pattern: str, output: LockedOutput, source: Path) -> Sprite:
        from imgbuild.images.atlas import trimmed

        nine_slice = next(f.nine_slice for f in files_of(self._images[id]) if f.path == pattern)
        if atlas.options.trim:
            return trimmed(source, nine_slice)
        size = Size(output.width, output.height)
        return Sprite(size, size, nine_slice=nine_slice)

    def _table(self, one: AssetsTable, accepted: Accepted) -> _Text:
        path = one.options.output
        before = _rows(self._read(path), path)
        entries = [
            self._entry(image, accepted[image.id], before.get(image.id))
            for image in self._images.values()
            if image.id in accepted and image.output in accepted[image.id].outputs
        ]
        return _Text(path, render_assets(assets_table(entries, one.options), path))

    def _entry(self, image: Image, entry: LockedImage, before: object) -> AssetEntry:
        own, *derived = files_of(image)
        path, output = self._locked(image.id, image.output, entry)
        preview = _preview_in(before, output.digest) or self._preview(path, output)
        files = [found for file in derived if (found := _file(file, entry)) is not None]
        sizes = next((file.sizes for file in derived if file.sizes), None)
        main = _file(own, entry)
        assert main is not None
        return AssetEntry(
            image.id, main, tuple(files), image.alt, image.tags, sizes,
            lqip=preview["lqip"], color=preview["color"], thumbhash=preview["thumbhash"],
        )  # fmt: skip

    def _preview(self, path: str, output: LockedOutput) -> dict[str, str]:
        from imgbuild.images.preview import preview

        try:
            made = preview(self._source(path, output))
        except BadImageError as error:
            raise BadImageError(f"{path}: {error.message}", remedy=error.remedy) from error
        return {"lqip": made.lqip, "color": made.color, "thumbhash": made.thumbhash}

    def _is_right(self, piece: _Page | _Text, found: str | None) -> bool:
        if isinstance(piece, _Text):
            return found == hashlib.sha256(piece.text.encode()).hexdigest()
        if piece.known is None:
            # A clone has what another machine made. Only some tables tell what the pixels were made of.
            return found is not None and piece.agree and piece.atlas.options.format in _TELLING
        return found == piece.known.digest

    def _write(self, piece: _Page | _Text, found: str | None) -> bool:
        """Bring a file about; returns whether its bytes are new."""
        if isinstance(piece, _Page):
            made = piece.known
            if made is None or not self._cache.blobs.has(made.digest):
                made = self._compose(piece)
            target = LockedOutput(made.digest, made.bytes, made.width, made.height)
            self._outputs.put(piece.path, self._cache.blobs.verified(made.digest), target, found)
            return found != target.digest
        data = piece.text.encode()
        scratch = self._cache.blobs.scratch()
        try:
            scratch.write_bytes(data)
            target = LockedOutput(hashlib.sha256(data).hexdigest(), len(data), 1, 1)
            self._outputs.put(piece.path, scratch, target, found)
        except OSError as error:
            raise StorageError(f"{scratch}: cannot be written: {error.strerror}") from error
        finally:
            with suppress(OSError):
                scratch.unlink()
        return True

    def _compose(self, page: _Page) -> StoredOutput:
        from imgbuild.images.atlas import compose

        scratch = self._cache.blobs.scratch()
        format = _format(page.path)
        try:
            made = compose(page.layout, page.number, page.sources, scratch, format)
            stored = partial(
                _stored, page.recipe, self._facts.encoder(format), made.width, made.height, format
            )
            return self._cache.keep_output(scratch, stored)
        finally:
            with suppress(OSError):
                scratch.unlink()

    def _is_foreign(self, one: Atlas | AssetsTable, path: str, found: str | None) -> bool:
        """Whether what lies there is somebody else's, and must not be replaced without a word."""
        if found is None or self._facts.made_by(found):
            return False
        text = self._read(path)
        if isinstance(one, AssetsTable):
            return not recognised(text, path)
        if path.endswith((".png", ".webp")):
            # A clone has the picture and its table, and a cache that knows of neither.
            table = self._read(one.options.data)
            return not (table and recognised_atlas(table, one.options.output))
        return not recognised_atlas(text, _picture_of(one, path))

    def _read(self, path: str) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""


def _picture_of(atlas: Atlas, table: str) -> str:
    """The picture that a table of the atlas is about: each page of some formats has a table of its own."""
    pages = range(1000)
    number = next((n for n in pages if page_path(atlas.options.data, n) == table), 0)
    return page_path(atlas.options.output, number)


def _reason(output: OutputPlan) -> Reason | None:
    if output.kind is ActionKind.NONE:
        return None
    if output.found is None:
        return Reason("output", None, output.path, Cause.OUTPUT_MISSING)
    edited = output.kind is ActionKind.CONFLICT
    return Reason("output", output.found, None, Cause.OUTPUT_EDITED if edited else Cause.OUTPUT_STALE)


def _paths(one: Atlas | AssetsTable) -> tuple[str, ...]:
    options = one.options
    return (options.output,) if isinstance(one, AssetsTable) else (one.options.output, one.options.data)


def _format(path: str) -> str:
    return output_format(path) or "png"


def _file(file: OutputFile, entry: LockedImage) -> AssetFile | None:
    """A declared file as it is; None where the entry does not have it."""
    for path, output in entry.outputs.items():
        if digest_path(file.path, output.digest) == path:
            one = file.operations
            changed = one.trim or one.pad or one.pow2 or one.grid or one.palette
            return AssetFile(
                path, output.width, output.height, _format(path), output.digest, file.nine_slice,
                same_picture=not changed,
            )  # fmt: skip
    return None


def _rows(text: str, path: str) -> dict[str, object]:
    """The rows of the table as it lies there, so that unchanged previews need not be made again."""
    if not path.endswith(".json"):
        start, end = text.find("{"), text.rfind("} as const")
        text = text[start : end + 1] if 0 <= start < end else ""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _preview_in(row: object, digest: str) -> dict[str, str] | None:
    """What an earlier table says of a picture with these bytes: what was accepted stays as it is."""
    if not isinstance(row, dict) or row.get("digest") != digest:
        return None
    found = {name: row.get(name) for name in ("lqip", "color", "thumbhash")}
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    return texts if len(texts) == len(found) else None


def _stored(recipe: str, encoder: str, width: int, height: int, format: str, blob: Blob) -> StoredOutput:
    return StoredOutput(
        recipe_key=recipe, encoder=encoder, source=recipe, digest=blob.digest,
        format=format, width=width, height=height, bytes=blob.bytes,
    )  # fmt: skip
