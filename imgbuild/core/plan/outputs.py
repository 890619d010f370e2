"""What happens to output files: kept, restored, derived again, or left to the person who changed them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgbuild.core.derivation import Recipe
from imgbuild.core.events import ActionKind, Cause, Reason
from imgbuild.core.image import Image, Size, output_format
from imgbuild.core.lock import LockedImage, LockedOutput, LockedSource
from imgbuild.core.plan.action import Facts, Mode, OutputPlan
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.results import StoredOutput


def make_recipe(resolved: Resolved, source: str) -> Recipe:
    """How an image's output comes from its master."""
    image = resolved.image
    return Recipe(
        source=source,
        format=output_format(image.output) or "png",
        size=image.size,
        fit=image.fit,
        caption=image.id if resolved.captioned else None,
        metadata={"prompt": image.prompt} if image.embed_prompt else {},
    )


def plan_outputs(
    resolved: Resolved,
    source: LockedSource | None,
    previous: LockedImage | None,
    facts: Facts,
    ours: frozenset[str],
    mode: Mode,
) -> tuple[OutputPlan, ...]:
    """What happens to each output file, from the master `source` (None: it is not there yet)."""
    path = resolved.image.output
    found = facts.on_disk(path)
    locked = previous.outputs.get(path) if previous else None
    foreign = found is not None and found not in ours and not facts.made_by(found)
    if source is None:
        kind = ActionKind.CONFLICT if foreign and not mode.overwrite else ActionKind.DERIVE
        return (OutputPlan(path, kind, found=found, foreign=foreign),)
    recipe = make_recipe(resolved, source.digest)
    known = facts.outputs(recipe.key())
    same_source = locked is not None and previous is not None and previous.source.digest == source.digest
    target, learned = _target(
        recipe, known, locked if same_source else None, found, facts, resolved.image.size
    )
    if target is not None and found == target.digest:
        return (OutputPlan(path, ActionKind.NONE, recipe, target, found, learned),)
    if foreign and not mode.overwrite:
        return (OutputPlan(path, ActionKind.CONFLICT, recipe, target, found, foreign=True),)
    restorable = target is not None and facts.blob(target.digest)
    kind = ActionKind.RESTORE if restorable else ActionKind.DERIVE
    return (OutputPlan(path, kind, recipe, target, found, learned, foreign),)


def _target(
    recipe: Recipe,
    known: Sequence[StoredOutput],
    locked: LockedOutput | None,
    found: str | None,
    facts: Facts,
    size: Size | None,
) -> tuple[LockedOutput | None, bool]:
    """The bytes that the output should have, if they exist already, and whether only the lock says so.

    What the lock accepts stays accepted under any encoder version: an upgrade touches no file.
    """
    digests = {output.digest: output for output in known}
    if locked is not None:
        if locked.digest in digests or locked.digest == recipe.source:
            return locked, False
        fits = size is None or size == Size(locked.width, locked.height)
        recipes = facts.made_by(locked.digest)
        if not known and fits and (not recipes or recipe.key() in recipes):
            return locked, True
    if found in digests:
        return _locked_output(digests[found]), False
    if not known:
        return None, False
    encoder = facts.encoder(recipe.format)
    current = next((output for output in known if output.encoder == encoder), None)
    return (_locked_output(current) if current else None), False


def output_reasons(
    image: Image, outputs: Iterable[OutputPlan], previous: LockedImage | None
) -> Iterable[Reason]:
    """Why output files are written, or left alone."""
    if previous is not None:
        now = {output.path for output in outputs}
        for old in sorted(set(previous.outputs) - now):
            yield Reason("output", old, image.output, Cause.OUTPUT_MOVED)
    for output in outputs:
        locked = previous.outputs.get(output.path) if previous else None
        if output.kind is ActionKind.CONFLICT:
            yield Reason("output", locked.digest if locked else None, output.found, Cause.OUTPUT_EDITED)
        elif output.kind is ActionKind.NONE or output.recipe is None:
            continue
        elif output.found is None:
            yield Reason("output", None, output.path, Cause.OUTPUT_MISSING)
        elif locked and image.size and Size(locked.width, locked.height) != image.size:
            yield Reason("size", f"{locked.width}x{locked.height}", str(image.size), Cause.CHANGED)
        else:
            new = output.target.digest if output.target else None
            yield Reason("output", output.found, new, Cause.OUTPUT_STALE)


def can_have(output: OutputPlan, source: LockedSource, facts: Facts) -> bool:
    """Whether the bytes of an output are there, or can be made from the master."""
    return output.kind is not ActionKind.DERIVE or facts.blob(source.digest)


def _locked_output(output: StoredOutput) -> LockedOutput:
    return LockedOutput(output.digest, output.bytes, output.width, output.height)
