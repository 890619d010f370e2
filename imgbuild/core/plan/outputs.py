"""What happens to output files: kept, restored, derived again, or left to the person who changed them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from imgbuild.core.derivation import Recipe, exact_size
from imgbuild.core.events import ActionKind, Cause, Reason
from imgbuild.core.image import (
    DIGEST_SIGNS,
    Image,
    Operations,
    OutputFile,
    Size,
    digest_path,
    names_digest,
    output_format,
)
from imgbuild.core.lock import LockedImage, LockedOutput, LockedSource
from imgbuild.core.plan.action import Facts, Mode, OutputPlan
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.results import ADOPTED, LEARNED, StoredOutput, StoredResult


def files_of(image: Image) -> tuple[OutputFile, ...]:
    """Every file that an image has: its own output, then those that it derives."""
    alpha = image.alpha.removeprefix("key:") if image.alpha is not None else None
    focus = None if image.focus == "centre" else image.focus
    operations = Operations(alpha=alpha, size=image.size, fit=image.fit, focus=focus)
    return (OutputFile(image.output, operations, nine_slice=image.nine_slice), *image.derive)


def make_recipe(
    resolved: Resolved, file: OutputFile, source: str, key: str | None, provider: str | None
) -> Recipe:
    """How one of an image's files comes from its master. `key` and `provider` are of what made that."""
    image, operations = resolved.image, file.operations
    if resolved.captioned:
        # A card stands in for the picture: it has no colour to cut out, and nothing that has to tile.
        # And smooth lettering needs more colours than a palette has.
        caption = None if operations.palette else image.id
        operations = replace(operations, caption=caption, alpha=None, seamless=False)
    adopted = provider == ADOPTED
    told = {"prompt": image.prompt, "model": image.model, "key": key}
    metadata = file.metadata
    if adopted and metadata != "strip":
        # A person's picture: nothing is claimed of it that its own file does not say.
        metadata = "own"
    return Recipe(
        source=source,
        format=output_format(file.path) or "png",
        operations=operations,
        options=file.options,
        metadata=metadata,
        embedded={n: v for n, v in told.items() if v} if image.embed_prompt and not adopted else {},
        signed=resolved.signed if metadata in ("provenance", "keep") else None,
    )


def plan_outputs(
    resolved: Resolved,
    source: LockedSource | None,
    made: StoredResult | LockedImage | None,
    previous: LockedImage | None,
    facts: Facts,
    ours: frozenset[str],
    mode: Mode,
) -> tuple[OutputPlan, ...]:
    """What happens to each output file, from the master `source` (None: it is not there yet)."""
    planner = _Files(resolved, source, made, previous, facts, ours, mode)
    own, *derived = (planner.plan(file) for file in files_of(resolved.image))
    return (own, *sorted(derived, key=lambda output: output.path))


@dataclass(frozen=True, slots=True)
class _Files:
    """Plans the files of one image."""

    resolved: Resolved
    source: LockedSource | None
    made: StoredResult | LockedImage | None
    """What the master is of."""
    previous: LockedImage | None
    facts: Facts
    ours: frozenset[str]
    mode: Mode

    def plan(self, file: OutputFile) -> OutputPlan:
        hashed = names_digest(file.path)
        at, locked = self._locked(file, hashed=hashed)
        if self.source is None:
            found, foreign = (None, False) if hashed else self._found(at)
            kind = ActionKind.CONFLICT if foreign and not self.mode.overwrite else ActionKind.DERIVE
            return OutputPlan(at, kind, found=found, foreign=foreign, file=file)
        same = self.previous is not None and self.previous.source.digest == self.source.digest
        key, provider = (self.made.key, self.made.provider) if self.made else (None, None)
        recipe = make_recipe(self.resolved, file, self.source.digest, key, provider)
        known = self.facts.outputs(recipe.key())
        found, foreign = (None, False) if hashed else self._found(at)
        target, learned = _target(recipe, known, locked if same else None, at, found, self.facts)
        if hashed and target is not None:
            at = digest_path(file.path, target.digest)
            found, foreign = self._found(at)
        if target is not None and found == target.digest:
            return OutputPlan(at, ActionKind.NONE, recipe, target, found, learned, file=file)
        if foreign and not self.mode.overwrite:
            return OutputPlan(at, ActionKind.CONFLICT, recipe, target, found, foreign=True, file=file)
        restorable = target is not None and self.facts.blob(target.digest)
        kind = ActionKind.RESTORE if restorable else ActionKind.DERIVE
        return OutputPlan(at, kind, recipe, target, found, learned, foreign, file)

    def _locked(self, file: OutputFile, *, hashed: bool) -> tuple[str, LockedOutput | None]:
        """Where the file is, and what the lock says of it; asterisks for a digest that is not known yet."""
        outputs = self.previous.outputs if self.previous else {}
        if not hashed:
            return file.path, outputs.get(file.path)
        path = next((path for path, o in outputs.items() if digest_path(file.path, o.digest) == path), None)
        return (path, outputs[path]) if path else (digest_path(file.path, "*" * len(DIGEST_SIGNS)), None)

    def _found(self, path: str) -> tuple[str | None, bool]:
        """The digest of what lies there, and whether it is a person's."""
        found = self.facts.on_disk(path)
        foreign = found is not None and found not in self.ours and not self.facts.made_by(found)
        return found, foreign


def _target(
    recipe: Recipe,
    known: Sequence[StoredOutput],
    locked: LockedOutput | None,
    path: str,
    found: str | None,
    facts: Facts,
) -> tuple[LockedOutput | None, bool]:
    """The bytes that the output should have, if they exist already, and whether only the lock says so.

    What the lock accepts stays accepted under any encoder version: an upgrade touches no file.
    """
    # What was learned from a lock speaks for that lock only: another branch's says something else.
    made = [output for output in known if output.encoder != LEARNED]
    if locked is not None:
        if locked.digest == recipe.source or any(output.digest == locked.digest for output in known):
            return locked, False
        size = exact_size(recipe.operations)
        fits = size is None or size == _size(locked)
        believed = not made and fits and not _made_otherwise(locked.digest, facts)
        # A lock from before pictures were signed says nothing of it. But the file does.
        if believed and not (recipe.signed is not None and facts.unsigned(locked.digest, path)):
            return locked, True
    here = next((output for output in made if output.digest == found), None)
    if here is None and made:
        encoder = facts.encoder(recipe.format)
        here = next((output for output in made if output.encoder == encoder), None)
    return (_locked_output(here) if here else None), False


def _made_otherwise(digest: str, facts: Facts) -> bool:
    """Whether these bytes were made here, by a recipe for something else."""
    known = (output for recipe in facts.made_by(digest) for output in facts.outputs(recipe))
    return any(output.digest == digest and output.encoder != LEARNED for output in known)


def output_reasons(
    image: Image, outputs: Sequence[OutputPlan], previous: LockedImage | None
) -> Iterable[Reason]:
    """Why output files are written, or left alone."""
    gone = [] if previous is None else [*_made_no_longer(outputs, previous)]
    # With others gone as well, nobody can tell which of them was the image's own.
    moved = previous is not None and len(gone) == 1 and image.output not in previous.outputs
    for old in gone:
        yield Reason("output", old, image.output if moved else None, Cause.OUTPUT_MOVED)
    for output in outputs:
        locked = previous.outputs.get(output.path) if previous else None
        if output.kind is ActionKind.CONFLICT:
            yield Reason("output", locked.digest if locked else None, output.found, Cause.OUTPUT_EDITED)
        elif output.kind is ActionKind.NONE or output.recipe is None:
            continue
        elif output.found is None:
            yield Reason("output", None, output.path, Cause.OUTPUT_MISSING)
        elif locked and (size := exact_size(output.recipe.operations)) and size != _size(locked):
            yield Reason("size", str(_size(locked)), str(size), Cause.CHANGED)
        else:
            new = output.target.digest if output.target else None
            yield Reason("output", output.found, new, Cause.OUTPUT_STALE)


def _made_no_longer(outputs: Sequence[OutputPlan], previous: LockedImage) -> Iterable[str]:
    """The lock's outputs that are no longer declared; a name with a digest in it may only have a new one."""
    now = {output.path for output in outputs}
    patterns = [o.file.path for o in outputs if o.file is not None and names_digest(o.file.path)]
    for old, locked in sorted(previous.outputs.items()):
        if old not in now and all(digest_path(pattern, locked.digest) != old for pattern in patterns):
            yield old


def lacks_only_signature(output: OutputPlan, previous: LockedImage | None, facts: Facts) -> bool:
    """Whether the accepted bytes are what the recipe gives, but for its signature: no reason to pay."""
    recipe, locked = output.recipe, previous.outputs.get(output.path) if previous else None
    if recipe is None or recipe.signed is None or previous is None or locked is None:
        return False
    if previous.source.digest != recipe.source:
        return False
    if exact_size(recipe.operations) not in (None, _size(locked)):
        return False
    made_by = facts.made_by(locked.digest)
    before = (replace(recipe, signed=issue) for issue in (None, *range(1, recipe.signed)))
    return not made_by or any(one.key() in made_by for one in before)


def to_be_signed(resolved: Resolved, output: OutputPlan) -> bool:
    """Whether writing an output as it is planned takes the signer's key."""
    if output.kind is not ActionKind.DERIVE:
        return False
    if output.recipe is not None:
        return output.recipe.signed is not None
    return resolved.signed is not None and output.file is not None and output.file.metadata != "strip"


def can_have(output: OutputPlan, source: LockedSource, facts: Facts) -> bool:
    """Whether the bytes of an output are there, or can be made from the master."""
    return output.kind is not ActionKind.DERIVE or facts.blob(source.digest)


def _locked_output(output: StoredOutput) -> LockedOutput:
    return LockedOutput(output.digest, output.bytes, output.width, output.height)


def _size(output: LockedOutput) -> Size:
    return Size(output.width, output.height)
