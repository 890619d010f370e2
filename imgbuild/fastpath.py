"""The fast path: a build that the index proves to be idle is answered here, and nothing else is imported.

Nothing depends on it: without this module every build takes the long way, and says the same.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter, time_ns

from imgbuild.store.index import FOLDER, Index, believable, digest_of, facts_of, index_path, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgbuild.store.index import Seen

_VALUED = frozenset({"-C", "-f", "--profile", "--output-format"})
_HARMLESS = frozenset({"-y", "--yes", "--offline", "--overwrite", "--retry-ambiguous", "--no-color"})
"""Options that change nothing where nothing is to be done."""


def answer(argv: Sequence[str], version: str, environ: Mapping[str, str]) -> bool:
    """Whether this command line is a build that has nothing to do; if so, it has been answered."""
    began = perf_counter()
    request = _Request.read(argv, environ)
    if request is None:
        return False
    home = os.getcwd()
    try:
        if request.folder:
            os.chdir(request.folder)
        index = _proof(request, version, environ)
        return index is not None and request.reply(index, began)
    except (OSError, ValueError, TypeError, LookupError):
        # Whatever it is, the long way says it better.
        return False
    finally:
        if request.folder:
            os.chdir(home)


class _Request:
    """A command line, as far as it is one of those that can be answered."""

    def __init__(self, values: Mapping[str, str], *, locked: bool, quiet: bool) -> None:
        folder, _, self.manifest = values.get("-f", "imgbuild.yaml").rpartition("/")
        self.folder = os.path.join(values.get("-C", ""), folder)
        self.profile = values.get("--profile", "")
        self.format = values.get("--output-format", "text")
        self.locked = locked
        self.quiet = quiet

    @classmethod
    def read(cls, argv: Sequence[str], environ: Mapping[str, str]) -> _Request | None:
        values: dict[str, str] = {}
        flags: list[str] = []
        words = iter(argv)
        for word in words:
            if word not in _VALUED:
                flags.append(word)
            elif word in values:
                return None
            else:
                values[word] = next(words, "")
        modes = {"--locked", "--frozen", "--generate"} & {*flags}
        others = [word for word in flags if word not in _HARMLESS | modes | {"-q", "--quiet"}]
        formats = ("text", "json", "github")
        if others != ["build"] or len(modes) > 1 or "" in values.values():
            return None
        if values.get("--output-format", "text") not in formats or "/" in values.get("--profile", ""):
            return None
        on_ci = environ.get("CI", "").lower() in ("true", "1")
        locked = bool(modes - {"--generate"}) or (on_ci and not modes)
        return cls(values, locked=locked, quiet=bool({"-q", "--quiet"} & {*flags}))

    def reply(self, index: Index, began: float) -> bool:
        """Print what the build would; False if the stream is not as it should be."""
        if sys.stdout is None:
            return False
        if self.format == "json":
            head, _, rest = index.json.rpartition('"seconds": ')
            sys.stdout.write(f'{head}"seconds": {perf_counter() - began:.3f}{rest.lstrip("0123456789.")}')
        elif not self.quiet:
            sys.stdout.write(index.text)
        sys.stdout.flush()
        return True


def _proof(request: _Request, version: str, environ: Mapping[str, str]) -> Index | None:
    """The index, if everything that it has seen is still so."""
    path = index_path(request.manifest, request.profile)
    with open(path, "rb") as file:
        index = Index.unpack(file.read())
    if index is None or not index.json.isascii():
        return None
    cache = index.facts[2]
    if not any(
        index.facts == facts_of(version, environ, cache, locked=mode) for mode in (request.locked, False)
    ):
        return None
    if _has_open_tasks(cache):
        return None
    looked_at = time_ns()
    renewed: dict[str, Seen] = {}
    for at in index.suspects():
        name, digest = index.paths[at], index.digest(at)
        status = status_of(name)
        if digest_of(name) != digest:
            return None
        renewed[name] = (believable(status, looked_at), digest)
    if renewed:
        _renew(path, index, renewed)
    return index


def _has_open_tasks(cache: str) -> bool:
    """A build also fetches what earlier ones have paid for and left behind."""
    try:
        return bool(os.listdir(f"{cache}/jobs"))
    except FileNotFoundError:
        return False


def _renew(path: str, index: Index, renewed: Mapping[str, Seen]) -> None:
    """Note the new statuses of what was looked at by content, so that it need not be next time."""
    if os.path.islink(FOLDER):
        return
    seen = {**index.seen(), **renewed}
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            file.write(Index(index.facts, index.text, index.json, seen).pack())
        os.replace(temporary, path)
    except OSError:
        # Only a convenience. The next one looks at the content again.
        return
