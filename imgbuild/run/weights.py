"""Models on this machine, named by what is in them: other weights are another model, wherever they lie.

In keys, records and the lock such a model is called `NAME@DIGEST`. The digest is that of all files which
decide what it draws. They are read once as long as their status stays; an idle build looks at their status
only. A machine that does not have a model believes the lock about its digest: what was accepted stays
accepted there, and only what has to be generated needs the weights.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.lock import Lock
from imgbuild.core.plan.resolve import Resolved
from imgbuild.providers.base import LocalModelsType, ModelFiles
from imgbuild.run.observed import Observed
from imgbuild.store.index import Seen
from imgbuild.store.remembered import Remembered

if TYPE_CHECKING:
    from imgbuild.run.workspace import Loaded

_FORMAT = "1"
_DIGEST = re.compile(r"@[0-9a-f]{32}")


def with_weights(loaded: Loaded, lock: Lock) -> tuple[Resolved, ...]:
    """What is asked for, each local model by its name and its digest.

    Raises StorageError where weights cannot be read.
    """
    digests: dict[tuple[str, str], str | None] = {}
    weights: _Weights | None = None
    found: list[Resolved] = []
    for one in loaded.resolved:
        kind, model = loaded.types.get(one.image.provider), one.image.model
        if model is None or kind is None or not isinstance(kind, LocalModelsType):
            found.append(one)
            continue
        if kind.name != one.provider_type:
            # A placeholder card stands in for it.
            found.append(one)
            continue
        name = (one.image.provider, model)
        if name not in digests:
            weights = weights or _Weights(loaded)
            digests[name] = weights.digest(kind.model_files(model, loaded.invocation.root))
        digest = digests[name]
        known = f"{model}@{digest}" if digest else _locked(one.image.id, model, lock)
        found.append(replace(one, image=replace(one.image, model=known)))
    if weights is not None:
        weights.remember()
    return tuple(found)


def weights_digest(contents: Mapping[str, str]) -> str:
    """The digest of a model in 32 hexadecimal digits, from the SHA-256 of each of its files by name."""
    whole = hashlib.sha256()
    for name, content in sorted(contents.items()):
        whole.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:32]


def _locked(id: str, model: str, lock: Lock) -> str:
    """What the lock calls a model: for this image, or else for most; its name alone if it knows none."""

    def is_it(name: str | None) -> bool:
        return name is not None and name.startswith(model) and bool(_DIGEST.fullmatch(name, len(model)))

    own = lock.images.get(id)
    if own is not None and own.model is not None and is_it(own.model):
        return own.model
    others = Counter(entry.model for entry in lock.images.values() if entry.model and is_it(entry.model))
    return max(sorted(others), key=lambda name: others[name], default=model)


class _Weights:
    """Reads weights, and remembers what it has read for other commands in this project."""

    def __init__(self, loaded: Loaded) -> None:
        invocation = loaded.invocation
        self._root = os.path.realpath(invocation.root)
        self._observed: Observed = loaded.observed
        self._kept = Remembered(invocation.root, "weights", _FORMAT, invocation.environ)
        self._before = dict(_seen(self._kept.read()))
        self._observed.know(self._before)
        self._now: dict[str, Seen] = {}

    def digest(self, model: ModelFiles) -> str | None:
        """The digest of a model's files, in 32 hexadecimal digits; None where some of them are missing."""
        for place in model.places:
            self._observed.look(self._relative(place))
        if model.problem is not None:
            return None
        contents: dict[str, str] = {}
        for name, path in model.files.items():
            relative = self._relative(path)
            contents[name] = self._observed.digest(relative)
            self._now[relative] = self._observed.seen[relative]
        return weights_digest(contents)

    def remember(self) -> None:
        """Keep what was read, if it is more than before."""
        if any(self._before.get(path) != seen for path, seen in self._now.items()):
            known = {**self._before, **self._now}
            self._kept.keep({path: [*status, digest.hex()] for path, (status, digest) in known.items()})

    def _relative(self, path: Path) -> str:
        # Without links on the way: a link's own folder may not be where ".." leads to.
        return os.path.relpath(os.path.realpath(path), self._root)


def _seen(kept: object) -> Iterator[tuple[str, Seen]]:
    for path, value in kept.items() if isinstance(kept, Mapping) else ():
        *status, digest = value
        size, modified, changed, inode = map(int, status)
        yield path, ((size, modified, changed, inode), bytes.fromhex(digest))
