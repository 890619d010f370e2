"""After a build that left nothing to do: what it has seen is kept, for the fast path of the next one."""

from __future__ import annotations

from imgbuild import __version__
from imgbuild.core.errors import ImgbuildError
from imgbuild.core.image import FileReference
from imgbuild.run.workspace import Workspace, read_lock
from imgbuild.store.workdir import Workdir


def keep_index(workspace: Workspace, text: str, json: str, *, locked: bool) -> None:
    """Note that a build of everything has nothing to do, and what it says then.

    Nothing is noted where that is not certain: where an output is not what the lock says, or what is made of
    several images not what it should be. `text` and `json`: what is printed. `locked`: the build was
    `--locked`, so that another may have to generate more takes.
    """
    observed, invocation = workspace.observed, workspace.invocation
    try:
        lock = read_lock(invocation)
        # The build has noted what it made of several images just now.
        collected = Workdir(invocation.root).collected()
        made = {path for entry in lock.images.values() for path in entry.outputs}
        made |= {one.path for one in collected}
        if not observed.has_listed_all({*made, invocation.lock_path.name}):
            return
        observed.look(invocation.lock_path.name)
        for image in workspace.project.images:
            entry = lock.images.get(image.id)
            if entry is None:
                return
            for reference in (*image.references, image.mask):
                if isinstance(reference, FileReference):
                    observed.digest(reference.path)
            for path, output in entry.outputs.items():
                if not observed.is_as(path, output.digest, output.bytes):
                    return
        if any(observed.digest(one.path) != one.digest for one in collected):
            return
    except ImgbuildError:
        return
    observed.keep(workspace.cache.root, __version__, invocation.environ, text, json, locked=locked)
