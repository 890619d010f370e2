"""Output files: restored or derived, written in place, left alone when unchanged or retouched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import StorageError
from imgbuild.core.events import ActionKind
from imgbuild.core.image import digest_path
from imgbuild.core.lock import LockedOutput, LockedSource
from imgbuild.core.plan.action import OutputPlan
from imgbuild.core.results import LEARNED, StoredOutput
from imgbuild.run.facts import digest_output
from imgbuild.run.workplace import Here, Workplace
from imgbuild.store.blobs import Blob, CorruptBlob, MissingBlob
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import copy_atomic, copy_file, sweep_temporaries
from imgbuild.store.inside import folder_of

if TYPE_CHECKING:
    from imgbuild.images.derive import Derived
    from imgbuild.run.signing import Signer

WRITERS = 8
"""Files that are brought back at once: their threads wait for the disk, which makes many safe in one go."""


class RetouchedError(StorageError):
    """A person changed an output between the plan and its writing."""


@dataclass(frozen=True, slots=True)
class Written:
    """One output file as it is now, and what it took."""

    path: str
    locked: LockedOutput
    kind: ActionKind


def groups(outputs: Sequence[OutputPlan]) -> list[list[OutputPlan]]:
    """Outputs that are made together, for their pixels are the same; all others by themselves."""
    shared: dict[object, list[OutputPlan]] = {}
    for output in outputs:
        derived = output.recipe is not None and output.kind is ActionKind.DERIVE
        shared.setdefault(output.recipe.operations if derived and output.recipe else id(output), []).append(
            output
        )
    return [*shared.values()]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Writes the output files of one project."""

    root: Path
    cache: Cache
    locked: bool = False
    """The lock is the truth: other bytes than it names are an error."""
    signer: Signer | None = None
    """Signs what is derived; None where nothing is."""
    workplace: Workplace = field(default_factory=Here)
    """Where files are derived."""
    _swept: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)
    """The folders that are already rid of what killed builds left in them."""

    def bring(self, outputs: Sequence[OutputPlan], source: LockedSource) -> list[Written]:
        """Make output files what they should be. Those to derive have the same pixels, made once for all.

        Raises:
            StorageError: the disk refuses, or no cache has the bytes.
            BadImageError: the master cannot be used.
            RetouchedError: a person changed the file meanwhile.
        """
        blobs = [(output, self._blob(output, source)) for output in outputs]
        to_make = [output for output, known in blobs if known is None]
        if self.locked:
            _refuse_to_sign(to_make)
        made = iter(self._derive([_recipe(output) for output in to_make]))
        return [self._place(output, *(known or self._derived(output, next(made)))) for output, known in blobs]

    def restore(self, output: OutputPlan, source: LockedSource) -> Written | None:
        """Bring one output file back from its own bytes, if it has any. None: it has to be derived.

        Raises as `bring` does.
        """
        known = self._blob(output, source)
        return None if known is None else self._place(output, *known)

    def put(self, name: str, blob: Path, target: LockedOutput, found: str | None) -> None:
        """Write a blob to an output's path, unless the file is right already.

        `found` is what lay there when it was decided to replace it. Bytes that no blob holds yet are
        kept in the cache before they go.

        Raises:
            StorageError: the disk refuses.
            RetouchedError: something else lies there now.
        """
        path = self.root / name
        now = digest_output(path)
        if now == target.digest:
            return
        if now != found:
            raise RetouchedError(
                f"{name} was changed while building; it is left as it is",
                remedy="build again, with --overwrite to replace it",
            )
        if now is not None and path.is_file() and not path.is_symlink() and not self.cache.blobs.has(now):
            self.cache.blobs.add_copy(path)
        with folder_of(self.root, name, create=True) as folder:
            if path.parent not in self._swept:
                self._swept.add(path.parent)
                sweep_temporaries(path.parent)
            copy_atomic(blob, path, folder)

    def _place(self, output: OutputPlan, blob: Path, target: LockedOutput, kind: ActionKind) -> Written:
        path = digest_path(output.file.path, target.digest) if output.file else output.path
        found = output.found
        if path != output.path:
            # Its name was not known before: what lies there, if anything, has not been looked at.
            found = digest_output(self.root / path)
        if kind is not ActionKind.NONE:
            self.put(path, blob, target, found)
        return Written(path, target, kind)

    def _blob(self, output: OutputPlan, source: LockedSource) -> tuple[Path, LockedOutput, ActionKind] | None:
        """The blob with the output's bytes; None where they have to be derived."""
        if output.target is None:
            return None
        if output.kind is ActionKind.NONE:
            # A locked build believes a lock that may be anybody's: nobody else shall have to.
            if output.learned and output.recipe is not None and not self.locked:
                self._learn(self.root / output.path, output.recipe, output.target)
            return self.root / output.path, output.target, ActionKind.NONE
        if output.kind is not ActionKind.RESTORE:
            return None
        try:
            return self.cache.blobs.verified(output.target.digest), output.target, ActionKind.RESTORE
        except (CorruptBlob, MissingBlob):
            if not self.cache.blobs.has(source.digest):
                raise
        return None

    def _derived(self, output: OutputPlan, made: StoredOutput) -> tuple[Path, LockedOutput, ActionKind]:
        target = LockedOutput(made.digest, made.bytes, made.width, made.height)
        if self.locked and output.target is not None and output.target.digest != target.digest:
            raise StorageError(
                f"no cache has the bytes that the lock names for {output.path}, and this encoder "
                f"({made.encoder}) makes others",
                remedy="build without --locked to accept them: nothing is charged",
            )
        return self.cache.blobs.path(made.digest), target, ActionKind.DERIVE

    def _derive(self, recipes: Sequence[Recipe]) -> Sequence[StoredOutput]:
        if not recipes:
            return ()
        master = self.cache.blobs.verified(recipes[0].source)
        scratches = [self.cache.blobs.scratch() for _ in recipes]
        try:
            made = self.workplace.derive(master, recipes, scratches)
            for scratch, recipe in zip(scratches, recipes, strict=True):
                if self.signer is not None:
                    self.signer.sign(scratch, recipe)
            ready = zip(scratches, recipes, made, strict=True)
            return self.cache.keep_outputs(
                [(scratch, partial(_stored, recipe, one)) for scratch, recipe, one in ready]
            )
        finally:
            for scratch in scratches:
                with suppress(OSError):
                    scratch.unlink()

    def _learn(self, path: Path, recipe: Recipe, target: LockedOutput) -> None:
        """Bytes that came with the repository and agree with its lock: this cache has them from now on."""
        scratch = self.cache.blobs.scratch()
        copy_file(path, scratch)

        def describe(blob: Blob) -> StoredOutput:
            return StoredOutput(
                recipe_key=recipe.key(),
                encoder=LEARNED,
                source=recipe.source,
                digest=blob.digest,
                format=recipe.format,
                width=target.width,
                height=target.height,
                bytes=blob.bytes,
            )

        self.cache.keep_output(scratch, describe)


def _recipe(output: OutputPlan) -> Recipe:
    if output.recipe is None:
        raise TypeError(f"{output.path} was planned without its source")
    return output.recipe


def _refuse_to_sign(outputs: Sequence[OutputPlan]) -> None:
    """Two signatures are never the same: what is signed anew is not what the lock names."""
    for output in outputs:
        if _recipe(output).signed is not None:
            raise StorageError(
                f"no cache has the bytes that the lock names for {output.path}, and signing makes others",
                remedy="build without --locked, where the signer's key is: nothing is charged",
            )


def _stored(recipe: Recipe, made: Derived, blob: Blob) -> StoredOutput:
    from imgbuild.images.encode import encoder

    return StoredOutput(
        recipe_key=recipe.key(),
        encoder=encoder(recipe.format),
        source=recipe.source,
        digest=blob.digest,
        format=made.format,
        width=made.width,
        height=made.height,
        bytes=blob.bytes,
    )
