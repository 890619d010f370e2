"""Output files: restored or derived, written in place, left alone when unchanged or retouched."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import StorageError
from imgbuild.core.events import ActionKind
from imgbuild.core.lock import LockedOutput, LockedSource
from imgbuild.core.plan.action import OutputPlan
from imgbuild.core.results import StoredOutput
from imgbuild.images.derive import derive
from imgbuild.images.encode import encoder
from imgbuild.run.facts import digest_output
from imgbuild.store.blobs import Blob, CorruptBlob, MissingBlob
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import copy_atomic, copy_file, sweep_temporaries


class RetouchedError(StorageError):
    """A person changed an output between the plan and its writing."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Writes the output files of one project."""

    root: Path
    cache: Cache
    locked: bool = False
    """The lock is the truth: other bytes than it names are an error."""
    _swept: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)
    """The folders that are already rid of what killed builds left in them."""

    def bring(self, output: OutputPlan, source: LockedSource) -> tuple[LockedOutput, ActionKind]:
        """Make one output file what it should be; returns its lock entry, and what it took.

        Raises:
            StorageError: the disk refuses, or no cache has the bytes.
            BadImageError: the master cannot be used.
            RetouchedError: a person changed the file meanwhile.
        """
        if output.kind is ActionKind.NONE and output.target is not None:
            if output.learned and output.recipe is not None:
                self._learn(self.root / output.path, output.recipe, output.target)
            return output.target, ActionKind.NONE
        if output.recipe is None:
            raise TypeError(f"{output.path} was planned without its source")
        blob, target, kind = self._bytes(output, output.recipe, source)
        self.put(output.path, blob, target, output.found)
        return target, kind

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
        if path.parent not in self._swept:
            self._swept.add(path.parent)
            sweep_temporaries(path.parent)
        copy_atomic(blob, path)

    def _bytes(
        self, output: OutputPlan, recipe: Recipe, source: LockedSource
    ) -> tuple[Path, LockedOutput, ActionKind]:
        """The blob with the output's bytes: from the cache where it is sound, else derived again."""
        if output.kind is ActionKind.RESTORE and output.target is not None:
            try:
                return self.cache.blobs.verified(output.target.digest), output.target, ActionKind.RESTORE
            except (CorruptBlob, MissingBlob):
                if not self.cache.blobs.has(source.digest):
                    raise
        made = self._derive(recipe)
        target = LockedOutput(made.digest, made.bytes, made.width, made.height)
        if self.locked and output.target is not None and output.target.digest != target.digest:
            raise StorageError(
                f"no cache has the bytes that the lock names for {output.path}, and this encoder "
                f"({made.encoder}) makes others",
                remedy="build without --locked to accept them: nothing is charged",
            )
        return self.cache.blobs.path(made.digest), target, ActionKind.DERIVE

    def _derive(self, recipe: Recipe) -> StoredOutput:
        master = self.cache.blobs.verified(recipe.source)
        scratch = self.cache.blobs.scratch()
        try:
            made = derive(master, recipe, scratch)

            def describe(blob: Blob) -> StoredOutput:
                return StoredOutput(
                    recipe_key=recipe.key(),
                    encoder=encoder(recipe.format),
                    source=recipe.source,
                    digest=blob.digest,
                    format=made.format,
                    width=made.width,
                    height=made.height,
                    bytes=made.bytes,
                )

            return self.cache.keep_output(scratch, describe)
        finally:
            with suppress(OSError):
                scratch.unlink()

    def _learn(self, path: Path, recipe: Recipe, target: LockedOutput) -> None:
        """Bytes that came with the repository and agree with its lock: this cache has them from now on."""
        scratch = self.cache.blobs.scratch()
        copy_file(path, scratch)

        def describe(blob: Blob) -> StoredOutput:
            return StoredOutput(
                recipe_key=recipe.key(),
                encoder="the lock's",
                source=recipe.source,
                digest=blob.digest,
                format=recipe.format,
                width=target.width,
                height=target.height,
                bytes=blob.bytes,
            )

        self.cache.keep_output(scratch, describe)
