"""The public door for programs: load a project, plan it, build it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from imgbuild.core.events import Emit
from imgbuild.core.plan.action import Plan
from imgbuild.run.build import BuildOptions, run_build
from imgbuild.run.planning import plan_workspace
from imgbuild.run.workspace import Invocation, Workspace, open_workspace


def load(path: str | Path = "imgbuild.yaml", *, profile: str | None = None) -> Workspace:
    """Open the project of a manifest. `path` is the manifest, or the folder that it lies in.

    Raises:
        ImgbuildError: with everything that is wrong with it.
    """
    given = Path(path)
    manifest = given / "imgbuild.yaml" if given.is_dir() else given
    root = manifest.parent.resolve()
    shown = manifest.parent.as_posix()
    return open_workspace(
        Invocation(root, manifest.name, profile, display_root="" if shown == "." else shown)
    )


def plan(workspace: Workspace, targets: Sequence[str] = ()) -> Plan:
    """What a build would do; changes nothing."""
    return plan_workspace(workspace, targets)


def build(
    workspace: Workspace,
    options: BuildOptions | None = None,
    emit: Emit = lambda event: None,
    confirm: Callable[[str], bool] | None = None,
) -> int:
    """Build; returns the exit code of the command line. `emit` hears of everything as it happens.

    Raises:
        ImgbuildError: what stopped the build before anything was sent.
    """
    return run_build(workspace, options or BuildOptions(), emit, confirm)
