"""What the planner works with, as data: the facts that it asks for, the actions that it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from imgbuild.core.derivation import Recipe
from imgbuild.core.events import ActionEvent, ActionKind, Reason, SummaryEvent
from imgbuild.core.image import FileReference, Image, OutputFile, Reference, UrlReference
from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.core.lock import LockedImage, LockedOutput, LockedSource
from imgbuild.core.plan.geometry import describe
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.spec import Keys, Spec
from imgbuild.core.results import StoredOutput, StoredResult


class Facts(Protocol):
    """What the planner asks of disk and cache. The answers do not change while it plans."""

    def reference(self, reference: FileReference | UrlReference) -> str | None:
        """The content digest; None for a URL that was never fetched."""
        ...

    def result(self, key: str, take: int) -> StoredResult | None:
        """A recorded result, whether or not its blob is still there."""
        ...

    def generation_keys(self, declared_key: str) -> Sequence[str]:
        """The generation keys of results that were declared so, or are of such a picture; oldest first."""
        ...

    def outputs(self, recipe_key: str) -> Sequence[StoredOutput]:
        """What a recipe is known to give, by any encoder version."""
        ...

    def made_by(self, digest: str) -> Sequence[str]:
        """The recipe keys that once gave exactly these bytes: none, and imgbuild did not make them here."""
        ...

    def blob(self, digest: str) -> bool:
        """Whether the cache holds these bytes."""
        ...

    def quarantined(self, digest: str) -> bool:
        """Whether the cache found these bytes corrupt."""
        ...

    def open_jobs(self, key: str) -> Sequence[OpenJob]:
        """Submissions for a key whose results are not in the cache."""
        ...

    def on_disk(self, path: str) -> str | None:
        """The digest of an output file as it is now; None when it is absent."""
        ...

    def unsigned(self, digest: str, path: str) -> bool:
        """Whether these bytes are at hand, in the cache or as the file at `path`, and hold no credentials."""
        ...

    def encoder(self, format: str) -> str:
        """The encoder that would write a format today, with its version."""
        ...


@dataclass(frozen=True, slots=True)
class Mode:
    """How to plan. `locked`: the lock is the truth and nothing is generated."""

    locked: bool = False
    overwrite: bool = False
    retry: bool = False
    """What may have been charged already is submitted again."""
    wanted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Takes that were asked for by name, for some ids: the first of them becomes the picked one."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """What happens to one output file."""

    path: str
    """Asterisks stand for a digest that is not known yet."""
    kind: ActionKind
    recipe: Recipe | None = None
    """None while the source is not there yet."""
    target: LockedOutput | None = None
    """The bytes that it should have, where they are known already."""
    found: str | None = None
    """The digest of the file that lies there now: checked again just before it is replaced."""
    learned: bool = False
    """The lock is believed about a file that this cache has never seen: worth a record."""
    foreign: bool = False
    """The file that lies there is a person's."""
    file: OutputFile | None = None
    """What was declared; None for what the manifest no longer has, and for what is known to be settled."""


@dataclass(frozen=True, slots=True)
class Action:
    """Everything that a build does for one image, as data."""

    id: str
    kind: ActionKind
    reasons: tuple[Reason, ...] = ()
    cost: float | None = 0.0
    resolved: Resolved | None = None
    spec: Spec | None = None
    keys: Keys | None = None
    """None while a reference is pending."""
    missing: tuple[int, ...] = ()
    """The takes to generate."""
    open_jobs: tuple[OpenJob, ...] = ()
    """Of the missing takes, what was submitted before: it is fetched, or unknown, and not paid again."""
    take: int = 1
    """The picked take."""
    picked: StoredResult | None = None
    """The picked take's record, where the cache has it."""
    lost: tuple[StoredResult, ...] = ()
    """Results whose bytes the cache has lost: their service is asked for them once more, free of charge."""
    source: LockedSource | None = None
    """The master: the picked take's, or what the lock says of it."""
    outputs: tuple[OutputPlan, ...] = ()
    previous: LockedImage | None = None
    entry: LockedImage | None = None
    """The lock's entry after this action, where it is known before it."""
    shares: str | None = None
    """The image of this plan that generates the same key."""
    pending: tuple[Reference, ...] = ()
    """References whose bytes are not there yet."""
    blocked: str | None = None
    """Why the image cannot be had without being paid for again."""

    @property
    def image(self) -> Image | None:
        """The image; None for an entry that the manifest no longer has."""
        return self.resolved.image if self.resolved else None

    @property
    def requests(self) -> int:
        """Submissions that may cost money."""
        if self.resolved is None or not self.resolved.sends or self.shares:
            return 0
        return math.ceil(len(self.to_pay) / self.resolved.max_n)

    @property
    def to_pay(self) -> tuple[int, ...]:
        """The missing takes that nobody has submitted yet."""
        return unpaid(self.missing, self.open_jobs)

    @property
    def idle(self) -> bool:
        """Nothing is to be done, not even in the lock."""
        return self.kind is ActionKind.NONE and self.entry is not None and self.entry == self.previous

    @property
    def settled(self) -> bool:
        """Idle, and the cache knows everything that it could learn from the disk."""
        return self.idle and not any(output.learned for output in self.outputs)

    def accept(self, outputs: Mapping[str, LockedOutput]) -> LockedImage | None:
        """The lock's entry for these output files; None while there is no result to name."""
        return accept(self.picked, self.previous, outputs)

    def event(self) -> ActionEvent:
        """The action as it is shown."""
        notes: list[str] = []
        if self.resolved and self.kind is ActionKind.GENERATE:
            note = describe(self.resolved.ask, self.resolved.image)
            notes += [note] if note else []
        if self.shares:
            notes.append(f"shares the result of {self.shares}")
        notes += [f"fetch it again from task {result.task}, which is free" for result in self.lost]
        notes += [_job_note(job) for job in self.open_jobs]
        if self.blocked:
            notes.append(self.blocked)
        return ActionEvent(
            self.id,
            self.kind,
            self.reasons,
            self.cost,
            self.resolved.unit if self.resolved else None,
            tuple(notes),
            tuple(output.path for output in self.outputs),
        )


def unpaid(missing: Sequence[int], open_jobs: Sequence[OpenJob]) -> tuple[int, ...]:
    """The missing takes that no open job has submitted yet."""
    begun = {take for job in open_jobs for take in job.takes}
    return tuple(take for take in missing if take not in begun)


def accept(
    picked: StoredResult | None, previous: LockedImage | None, outputs: Mapping[str, LockedOutput]
) -> LockedImage | None:
    """The lock's entry for these output files of a picked result, or of what the lock had before."""
    if picked is None:
        return replace(previous, outputs=outputs) if previous else None
    return LockedImage(
        key=picked.key,
        take=picked.take,
        provider=picked.provider,
        model=picked.model,
        source=LockedSource(picked.digest, picked.format, picked.width, picked.height),
        outputs=outputs,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the manifest's order, then what is dropped."""

    actions: tuple[Action, ...]
    collected: tuple[Action, ...] = ()
    """For files that are made of several images. Those that nothing is to be done for are not counted."""

    def summary(self) -> SummaryEvent:
        """What a build would count."""
        kinds = [action.kind for action in self.actions]
        kinds += [action.kind for action in self.collected if action.kind is not ActionKind.NONE]
        return SummaryEvent(
            generated=kinds.count(ActionKind.GENERATE),
            derived=kinds.count(ActionKind.DERIVE),
            restored=kinds.count(ActionKind.RESTORE),
            unchanged=kinds.count(ActionKind.NONE),
            conflicts=kinds.count(ActionKind.CONFLICT),
            submitted=sum(action.requests for action in self.actions),
            cost=round(sum(action.cost or 0.0 for action in self.actions), 6),
            unit=next((a.resolved.unit for a in self.actions if a.resolved and a.resolved.sends), "USD"),
        )

    @property
    def idle(self) -> bool:
        """Whether a build would leave everything as it is."""
        made = all(action.kind is ActionKind.NONE for action in self.collected)
        return made and all(action.idle for action in self.actions)


def _job_note(job: OpenJob) -> str:
    if job.stage is not Stage.UNKNOWN:
        return f"goes on with task {job.task_id}, submitted {job.since}"
    return f"may have been charged on {job.since} ({job.reason}): --retry-ambiguous submits it again"
