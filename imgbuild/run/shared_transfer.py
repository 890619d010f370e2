"""`imgbuild cache push` and `pull`: everything of a project that the other side lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from imgbuild.core.errors import UsageError
from imgbuild.core.lock import LockedImage
from imgbuild.core.plan.action import Plan
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.planning import plan_workspace
from imgbuild.run.shared import Wish
from imgbuild.run.shared_cache import SharedCache
from imgbuild.run.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was sent or fetched, and what there is in all. `bytes` are those that went over the network."""

    files: int
    bytes: int
    results: int
    outputs: int
    absent: int = 0
    """What the lock names and neither side has."""


def push(workspace: Workspace, targets: Sequence[str]) -> Transfer:
    """Send what the local cache has of these images and the shared one lacks.

    Raises:
        UsageError: there is no shared cache, it may only be read here, or a target means nothing.
        RemoteError: it cannot be reached.
        StorageError: a file in the local cache cannot be read.
    """
    cache = _shared_cache(workspace)
    shared, uploads = cache.shared, cache.uploads
    if not shared.settings.writes:
        raise UsageError(
            "with CI=true the shared cache is only read",
            remedy="set remote_write: true under cache, where only trusted builds have its credentials",
        )
    results, outputs, digests = _of_project(workspace, plan_workspace(workspace, targets))
    for result in results:
        uploads.send_result(result)
    for output in outputs:
        uploads.send_output(output)
    named = {result.digest for result in results} | {output.digest for output in outputs}
    others = [digest for digest in digests - named if shared.cache.blobs.has(digest)]
    for digest in others:
        uploads.send_blob(digest)
    cache.finish()
    return Transfer(uploads.sent, uploads.sent_bytes, len(results), len(outputs))


def pull(workspace: Workspace, targets: Sequence[str]) -> Transfer:
    """Fetch what the shared cache has of these images and the local one lacks.

    Raises:
        UsageError: there is no shared cache, or a target means nothing.
        RemoteError: it cannot be reached.
        StorageError: the local cache cannot be written.
    """
    cache = _shared_cache(workspace)
    shared = cache.shared
    plan = plan_workspace(workspace, targets)
    keys = {key for action in plan.actions if action.keys for key in action.keys.generation}
    keys |= {entry.key for entry in _entries(plan)}
    shared.ask(("declared", key, 0) for action in plan.actions if action.keys for key in action.keys.declared)
    keys |= {key for found in shared.declared.values() for key in found}
    _fetch_takes(cache, keys)
    again = plan_workspace(workspace, targets)
    recipes = {o.recipe.key() for action in again.actions for o in action.outputs if o.recipe}
    shared.ask(("outputs", recipe, 0) for recipe in recipes)
    found = {one.digest for recipe in recipes for one in shared.outputs.get(recipe, {}).values()}
    digests = found | _locked(plan)
    cache.bring_now(digests)
    results, outputs, _ = _of_project(workspace, again)
    absent = sum(not shared.cache.blobs.has(digest) for digest in digests)
    cache.finish()
    return Transfer(shared.fetched, shared.fetched_bytes, len(results), len(outputs), absent)


def _fetch_takes(cache: SharedCache, keys: Collection[str]) -> None:
    """Every take of these keys: they are numbered without gaps, so the first that is absent ends a key."""
    shared, take, left = cache.shared, 1, {*keys}
    while left:
        wishes: list[Wish] = [("result", key, take) for key in left]
        shared.ask(wishes)
        found = {key: shared.results.get((key, take)) for key in left}
        cache.bring_now(one.digest for one in found.values() if one is not None)
        left = {key for key, result in found.items() if result is not None}
        take += 1


def _of_project(
    workspace: Workspace, plan: Plan
) -> tuple[list[StoredResult], list[StoredOutput], frozenset[str]]:
    """What the local cache has of a plan's images: results, files made from them, and what the lock names."""
    records, blobs = workspace.cache.records, workspace.cache.blobs
    keys = {key for action in plan.actions if action.keys for key in action.keys.generation}
    declared = {key for action in plan.actions if action.keys for key in action.keys.declared}
    keys |= {entry.key for entry in _entries(plan)}
    results = [
        one
        for one in records.all_results()
        if (one.key in keys or declared.intersection(one.declared)) and blobs.has(one.digest)
    ]
    locked = _locked(plan)
    sources = {one.digest for one in results} | {entry.source.digest for entry in _entries(plan)}
    outputs = [one for one in records.all_outputs() if one.source in sources and blobs.has(one.digest)]
    return results, outputs, locked


def _entries(plan: Plan) -> list[LockedImage]:
    return [action.previous for action in plan.actions if action.previous is not None]


def _locked(plan: Plan) -> frozenset[str]:
    digests = {output.digest for entry in _entries(plan) for output in entry.outputs.values()}
    return frozenset(digests)


def _shared_cache(workspace: Workspace) -> SharedCache:
    if workspace.shared is None:
        raise UsageError(
            "the manifest has no shared cache", remedy="set remote under cache, e.g. s3://bucket/prefix"
        )
    return workspace.shared
