"""The planner: images, the lock and the facts of disk and cache in, actions with all reasons out.

Pure: it decides and changes nothing. A build executes these actions; `plan` only shows them; an image
whose reference is generated first is planned again when that reference is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from imgbuild.core.errors import JournalError
from imgbuild.core.events import ActionKind, Cause, Reason
from imgbuild.core.image import Image, ImageReference, Json, Reference, Size, UrlReference
from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.core.lock import Lock, LockedImage, LockedSource
from imgbuild.core.plan.action import Action, Facts, Mode, OutputPlan, Plan, accept, unpaid
from imgbuild.core.plan.outputs import can_have, lacks_only_signature, output_reasons, plan_outputs
from imgbuild.core.plan.reasons import changed_fields
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.settled import Settled, referenced
from imgbuild.core.plan.spec import Geometry, Keys, Spec, keys
from imgbuild.core.results import ADOPTED, StoredResult


def make_plan(
    images: Sequence[Resolved],
    order: Sequence[str],
    lock: Lock,
    facts: Facts,
    mode: Mode,
    *,
    whole: bool,
    disabled: Collection[str] = (),
    settled: Settled | None = None,
) -> Plan:
    """Plan images, each after the images that it refers to (`order`).

    `whole`: these are all images of the manifest, so that other entries of the lock are dropped, except
    those of `disabled` names. `settled`: what earlier plans found; this one adds what it finds.
    """
    by_id = {resolved.image.id: resolved for resolved in images}
    ours = lock.output_digests()
    masters: dict[str, str | None] = {}
    first: dict[tuple[str, int], str] = {}
    actions: dict[str, Action] = {}
    memory = settled or Settled()
    # What others refer to is planned in full: they have to know where its results are.
    needed = referenced(images)
    for id in order:
        if id in by_id:
            one, previous = by_id[id], lock.images.get(id)
            action = None if id in needed else memory.action(one, previous, facts)
            if action is None:
                action = plan_image(one, previous, facts, masters, ours, mode)
                memory.note(action)
            actions[id] = _share(action, first)
            masters[id] = action.source.digest if action.source else None
    planned = [actions[resolved.image.id] for resolved in images]
    others = sorted(set(lock.images) - set(by_id)) if whole else []
    dropped = [id for id in others if id.partition("[")[0] not in disabled]
    return Plan(tuple(planned) + tuple(_remove(id, lock.images[id]) for id in dropped))


def plan_image(
    resolved: Resolved,
    previous: LockedImage | None,
    facts: Facts,
    masters: Mapping[str, str | None],
    ours: frozenset[str],
    mode: Mode,
) -> Action:
    """Plan one image. `masters` has the source digest of every image that it may refer to."""
    image = resolved.image
    spec, pending = make_spec(resolved, facts, masters)
    believed = mode.locked and previous is not None and any(isinstance(p, UrlReference) for p in pending)
    if pending and not believed:
        return _pending(resolved, previous, spec, pending, facts, ours, mode)
    found_keys = keys(spec)
    choice = _choose(resolved, spec, found_keys, previous, facts, mode, believed=believed)
    source, missing = choice.source, choice.missing
    made = choice.picked or (previous if choice.accepted else None)
    outputs = plan_outputs(resolved, source, made, previous, facts, ours, mode)
    lost = (
        (choice.picked is None or choice.elsewhere)
        and source is not None
        and not all(can_have(output, source, facts) for output in outputs)
    )
    again = (choice.picked,) if lost and choice.picked else ()
    reasons: list[Reason] = []
    if lost:
        reasons.append(Reason("result", made.key if made else None, None, Cause.LOST))
    # What is only derived never costs anything: not as long as the image itself is there.
    only_derived = resolved.sends and outputs[0].kind is ActionKind.NONE
    # And nobody but its author can bring back a person's own picture.
    adopted = made is not None and made.provider == ADOPTED
    # A signature is never worth another picture.
    unsigned = lost and lacks_only_signature(outputs[0], previous, facts)
    if lost and not (mode.locked or choice.corrupt or again or only_derived or adopted or unsigned):
        missing, source = tuple(range(1, max(image.takes, choice.take) + 1)), None
        outputs = plan_outputs(resolved, None, None, previous, facts, ours, mode)
    if not choice.accepted:
        reasons += _why_not_accepted(image, previous, spec, choice.picked, facts)
    reasons += _more_takes(image, choice, mode)
    reasons += output_reasons(image, outputs, previous)
    stuck = (lost and not missing and not again) or (choice.corrupt and source is None)
    blocked = _blocked(image, outputs, corrupt=choice.corrupt, unsigned=unsigned) if stuck else None
    kind = _kind(outputs, missing, choice.corrupt)
    kind = ActionKind.RESTORE if again and kind is ActionKind.DERIVE else kind
    held = kind is ActionKind.CONFLICT or blocked is not None
    open_jobs: tuple[OpenJob, ...] = ()
    if held:
        source = source or (previous.source if previous else None)
    elif missing and resolved.sends:
        try:
            open_jobs = _open_jobs(found_keys, missing, facts, mode)
        except JournalError as error:
            held, blocked = True, f"{error.message}; {error.remedy}"
    if held:
        missing, again = (), ()
    return Action(
        image.id,
        kind,
        tuple(reasons),
        cost=0.0 if held else _cost(resolved, len(unpaid(missing, open_jobs))),
        resolved=resolved,
        spec=spec,
        keys=found_keys,
        missing=missing,
        open_jobs=open_jobs,
        take=choice.take,
        picked=choice.picked,
        lost=again,
        source=source,
        outputs=outputs,
        previous=previous,
        entry=previous if held else _entry(outputs, source, choice.picked, previous),
        blocked=blocked,
    )


def _open_jobs(found: Keys, missing: Sequence[int], facts: Facts, mode: Mode) -> tuple[OpenJob, ...]:
    """What was submitted before for the missing takes, but for what the user wants submitted again."""
    return tuple(
        job
        for job in facts.open_jobs(found.current)
        if set(job.takes) & set(missing) and not (mode.retry and job.stage is Stage.UNKNOWN)
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which result an image has, and which it still needs."""

    accepted: bool
    """The lock's entry is about this very spec."""
    take: int
    picked: StoredResult | None
    source: LockedSource | None
    """The picked master, from its record or as the lock tells it."""
    missing: tuple[int, ...]
    corrupt: bool
    elsewhere: bool = False
    """The cache has lost the bytes of `picked`, and the service that made them can be asked for them."""


def _choose(
    resolved: Resolved,
    spec: Spec,
    found: Keys,
    previous: LockedImage | None,
    facts: Facts,
    mode: Mode,
    *,
    believed: bool,
) -> _Choice:
    image = resolved.image
    candidates = _candidates(found, facts)
    if not believed and (previous is None or previous.key not in candidates):
        candidates = _with_paid_shapes(resolved, spec, found, candidates, previous, facts)
    accepted = previous is not None and (previous.key in candidates or believed)
    if accepted and previous is not None:
        candidates = (previous.key, *(key for key in candidates if key != previous.key))
    asked = mode.wanted.get(image.id, ())
    take = asked[0] if asked else previous.take if accepted and previous else 1
    picked, corrupt, elsewhere = _find(candidates, take, facts)
    # Takes are numbered as they come: those before the accepted one were there once, and were paid for.
    first = previous.take + 1 if accepted and previous else 1
    wanted = asked or (() if mode.locked else range(first, image.takes + 1))
    # What is corrupt was paid for: only a person decides to pay for it again.
    missing = tuple(t for t in wanted if _find(candidates, t, facts) == (None, False, False))
    if picked is not None:
        return _Choice(accepted, take, picked, _source(picked), missing, corrupt, elsewhere)
    if accepted and previous is not None and not asked:
        # Another machine made it: what this cache lacks is not paid for again while the files are there.
        return _Choice(accepted, take, None, previous.source, (), corrupt)
    if not corrupt and take not in missing:
        missing = (take, *missing)
    return _Choice(accepted, take, None, None, missing, corrupt)


def make_spec(
    resolved: Resolved, facts: Facts, masters: Mapping[str, str | None]
) -> tuple[Spec, tuple[Reference, ...]]:
    """An image's spec, and the references whose bytes are not known yet (their text stands in)."""
    image = resolved.image
    pending: list[Reference] = []

    def digest(reference: Reference) -> str:
        known = (
            masters.get(reference.id) if isinstance(reference, ImageReference) else facts.reference(reference)
        )
        if known is None:
            pending.append(reference)
        return known or str(reference)

    spec = Spec(
        prompt=image.prompt,
        asked=resolved.ask.asked,
        declared=Geometry(image.size, image.ratio, image.resolution),
        model=image.model,
        negative_prompt=image.negative_prompt,
        quality=image.quality,
        background=image.background,
        seed=image.seed,
        params=image.params,
        references=tuple(digest(reference) for reference in image.references),
        mask=digest(image.mask) if image.mask else None,
        engine=resolved.engine,
    )
    return spec, tuple(pending)


def _candidates(found: Keys, facts: Facts) -> tuple[str, ...]:
    """Every generation key that means this spec: as asked, then as declared; older recipes after newer."""
    declared = (key for declared in found.declared for key in facts.generation_keys(declared))
    return tuple(dict.fromkeys((*found.generation, *declared)))


def _with_paid_shapes(
    resolved: Resolved,
    spec: Spec,
    found: Keys,
    candidates: tuple[str, ...],
    previous: LockedImage | None,
    facts: Facts,
) -> tuple[str, ...]:
    """The candidates, and the cheapest other shape that covers the wanted size and was paid for already.

    Where nothing was paid for in the shape that is asked for now, a new `size` or `fit` is still free as
    long as an earlier generation covers it.
    """
    want = resolved.image.size
    if want is None or any(facts.result(key, 1) for key in candidates):
        return candidates
    paid: list[tuple[Json, str]] = []
    for key in (key for picture in found.picture for key in facts.generation_keys(picture)):
        result = facts.result(key, 1)
        if result is not None and result.width >= want.width and result.height >= want.height:
            paid.append((result.spec.get("asked"), key))
    for shape in resolved.ask.others if paid else ():
        for asked, key in paid:
            if asked == shape.members():
                return (*candidates, key)
    if previous is None or facts.result(previous.key, previous.take) is not None:
        return candidates
    # A machine that has only the lock can still tell whether the accepted shape is one of these.
    known = (key for shape in resolved.ask.others for key in keys(replace(spec, asked=shape)).generation)
    return (*candidates, previous.key) if previous.key in known else candidates


def _find(candidates: Sequence[str], take: int, facts: Facts) -> tuple[StoredResult | None, bool, bool]:
    """A take's record, whether it is only known to be corrupt, and whether its service has to be asked.

    Records whose bytes are here go before those whose task can still be asked for them.
    """
    recorded = [result for key in candidates if (result := facts.result(key, take))]
    here = next((result for result in recorded if facts.blob(result.digest)), None)
    if here is not None:
        return here, False, False
    elsewhere = next((result for result in recorded if result.task), None)
    if elsewhere is not None:
        return elsewhere, False, True
    return None, any(facts.quarantined(result.digest) for result in recorded), False


def _why_not_accepted(
    image: Image, previous: LockedImage | None, spec: Spec, picked: StoredResult | None, facts: Facts
) -> list[Reason]:
    if previous is None:
        return [Reason("id", None, image.id, Cause.NEW if picked is None else Cause.UNLOCKED)]
    old = facts.result(previous.key, previous.take)
    if old is None:
        return [Reason("key", previous.key, keys(spec).current, Cause.CHANGED)]
    return changed_fields(old.spec, spec.record(), _accepted_size(image, previous))


def _more_takes(image: Image, choice: _Choice, mode: Mode) -> list[Reason]:
    asked = mode.wanted.get(image.id, ())
    if not choice.missing or (choice.picked is None and not asked):
        return []
    if asked:
        return [Reason("takes", asked[0] - 1, asked[-1], Cause.MORE_TAKES)]
    return [Reason("takes", image.takes - len(choice.missing), image.takes, Cause.MORE_TAKES)]


def _accepted_size(image: Image, previous: LockedImage) -> Size | None:
    output = previous.outputs.get(image.output)
    return Size(output.width, output.height) if output else None


def _pending(
    resolved: Resolved,
    previous: LockedImage | None,
    spec: Spec,
    pending: tuple[Reference, ...],
    facts: Facts,
    ours: frozenset[str],
    mode: Mode,
) -> Action:
    """An image that waits for a reference: what it may cost is said before anything is paid."""
    image = resolved.image
    reasons: list[Reason] = []
    old = facts.result(previous.key, previous.take) if previous else None
    if previous is None:
        reasons.append(Reason("id", None, image.id, Cause.NEW))
    elif old is not None:
        changed = changed_fields(old.spec, spec.record(), _accepted_size(image, previous))
        reasons += [reason for reason in changed if reason.field not in ("references", "mask")]
    before = old.spec.get("references") if old else None
    for reference in pending:
        was: Json = None
        if isinstance(before, list) and reference in image.references:
            index = image.references.index(reference)
            was = before[index] if index < len(before) else None
        field = "references" if reference in image.references else "mask"
        reasons.append(Reason(field, was, str(reference), Cause.REFERENCE_PENDING))
    outputs = plan_outputs(resolved, None, None, previous, facts, ours, mode)
    reasons += output_reasons(image, outputs, previous)
    conflict = any(output.kind is ActionKind.CONFLICT for output in outputs)
    takes = tuple(range(1, image.takes + 1))
    return Action(
        image.id,
        ActionKind.CONFLICT if conflict else ActionKind.GENERATE,
        tuple(reasons),
        cost=0.0 if conflict else _cost(resolved, len(takes)),
        resolved=resolved,
        spec=spec,
        missing=() if conflict else takes,
        source=previous.source if conflict and previous else None,
        outputs=outputs,
        previous=previous,
        entry=previous if conflict else None,
        pending=pending,
    )


def _kind(outputs: Sequence[OutputPlan], missing: Sequence[int], corrupt: bool) -> ActionKind:
    kinds = {output.kind for output in outputs}
    if ActionKind.CONFLICT in kinds:
        return ActionKind.CONFLICT
    if missing and not corrupt:
        return ActionKind.GENERATE
    ranked = (ActionKind.DERIVE, ActionKind.RESTORE)
    return next((kind for kind in ranked if kind in kinds), ActionKind.NONE)


def _blocked(image: Image, outputs: Sequence[OutputPlan], *, corrupt: bool, unsigned: bool) -> str:
    remedy = f"imgbuild reroll '{image.id}' pays for a new one"
    if corrupt:
        return f"its result in the cache is corrupt; {remedy}"
    own, *others = outputs
    if unsigned:
        return f"{own.path} is not signed, and no cache has the result that it is to be made from; {remedy}"
    if own.kind is not ActionKind.NONE:
        return "no cache has the bytes that the lock names"
    path = next(output.path for output in others if output.kind is not ActionKind.NONE)
    return f"no cache has the result that {path} is to be derived from; {remedy}"


def _cost(resolved: Resolved, count: int) -> float | None:
    if count == 0 or not resolved.sends:
        return 0.0
    return None if resolved.price is None else round(resolved.price * count, 6)


def _entry(
    outputs: Sequence[OutputPlan],
    source: LockedSource | None,
    picked: StoredResult | None,
    previous: LockedImage | None,
) -> LockedImage | None:
    """The lock's entry, if every output's bytes are known before the work."""
    targets = {output.path: output.target for output in outputs if output.target is not None}
    known = source is not None and len(targets) == len(outputs)
    return accept(picked, previous, targets) if known else None


def _source(result: StoredResult) -> LockedSource:
    return LockedSource(result.digest, result.format, result.width, result.height)


def _share(action: Action, first: dict[tuple[str, int], str]) -> Action:
    """Equal keys are generated once: the second image only derives from the first one's results."""
    if action.keys is None or not action.missing or action.kind is not ActionKind.GENERATE:
        return action
    claims = [(action.keys.current, take) for take in action.missing]
    owners = {first.setdefault(claim, action.id) for claim in claims}
    if action.id in owners:
        return action
    return replace(action, kind=ActionKind.DERIVE, shares=min(owners), cost=0.0)


def _remove(id: str, entry: LockedImage) -> Action:
    reason = Reason("id", id, None, Cause.DROPPED)
    outputs = tuple(OutputPlan(path, ActionKind.REMOVE) for path in sorted(entry.outputs))
    return Action(id, ActionKind.REMOVE, (reason,), outputs=outputs, previous=entry)
