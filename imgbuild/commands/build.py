"""`imgbuild build`: generate, derive and restore what is missing or changed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imgbuild.commands.arguments import add_targets, amount, fleet, positive
from imgbuild.commands.context import Context
from imgbuild.commands.plan import show_plan
from imgbuild.commands.summary import add_summary, summary_file
from imgbuild.core.errors import ImgbuildError, UsageError
from imgbuild.core.events import Emit, Event

if TYPE_CHECKING:
    from imgbuild.run.workplace import NamedFleet
    from imgbuild.run.workspace import Invocation, Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    add_targets(parser)
    add_summary(parser)
    flag = "store_true"
    what = parser.add_argument_group("what is built")
    what.add_argument("--dry-run", action=flag, help="only show what would be done, as plan does")
    what.add_argument("--placeholder", action=flag, help="a free card for every image; no lock is written")
    what.add_argument(
        "--overwrite", action=flag, help="replace files that were changed by hand (kept in the cache)"
    )
    what.add_argument("--retry-ambiguous", action=flag, help="send again what may have been charged already")
    locked = parser.add_argument_group("the lock")
    locked.add_argument("--locked", action=flag, help="generate nothing; fail if manifest and lock disagree")
    locked.add_argument("--frozen", action=flag, help="--locked --offline")
    locked.add_argument("--generate", action=flag, help="generate although CI=true, which implies --locked")
    locked.add_argument("--allow-command", action=flag, help="with CI=true, let providers run programs")
    locked.add_argument("--offline", action=flag, help="use no network")
    locked.add_argument(
        "--require-remote",
        action=flag,
        help="fail where the shared cache cannot be used, instead of a warning",
    )
    money = parser.add_argument_group("money and pace")
    money.add_argument("--max-cost", type=amount, metavar="X", help="stop before spending more than this")
    money.add_argument("-y", "--yes", action=flag, help="do not ask before spending")
    money.add_argument(
        "-j", "--jobs", type=positive, metavar="N", help="at most N requests in flight, of all providers"
    )
    money.add_argument(
        "--dask",
        type=fleet,
        metavar="ADDRESS",
        help="let the workers of this Dask scheduler do what is free; none: this machine",
    )
    pace = money.add_mutually_exclusive_group()
    pace.add_argument("--keep-going", action=flag, help="after a failure, build the rest (the default)")
    pace.add_argument("--fail-fast", action=flag, help="after a failure, start nothing more")


def run(args: argparse.Namespace, context: Context) -> int:
    """Build; returns the exit code.

    Raises:
        ImgbuildError: what stops the build before it begins.
    """
    locked = is_locked(args, context.environ)
    if args.dask and (args.offline or args.frozen):
        raise UsageError(
            "--offline uses no network, and --dask is one",
            remedy="give one of them; --frozen is --offline, too",
        )
    if args.dry_run:
        return show_plan(args, context, locked=args.locked or args.frozen, exit_code=False)
    invocation = context.invocation(
        placeholder=args.placeholder,
        offline=args.offline or args.frozen,
        require_remote=args.require_remote,
    )
    if args.summary is None:
        return _build(args, context, invocation, context.display.handle, locked=locked)
    from imgbuild.core.lock import Lock
    from imgbuild.run.workspace import read_lock
    from imgbuild.ui.report import BuildReport

    report = BuildReport()

    def emit(event: Event) -> None:
        report.handle(event)
        context.display.handle(event)

    with summary_file(context, args.summary) as file:
        lock = Lock()
        try:
            code = _build(args, context, invocation, emit, locked=locked)
            if not args.placeholder:
                lock = read_lock(invocation)
        except ImgbuildError as error:
            report.fail(error)
            raise
        finally:
            file.write(report.text(lock))
    return code


def _build(
    args: argparse.Namespace, context: Context, invocation: Invocation, emit: Emit, *, locked: bool
) -> int:
    from imgbuild.run.build import BuildOptions, run_build
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    options = BuildOptions(
        targets=tuple(args.targets),
        locked=locked,
        offline=args.offline or args.frozen,
        overwrite=args.overwrite,
        yes=args.yes,
        max_cost=args.max_cost,
        jobs=args.jobs,
        fail_fast=args.fail_fast,
        retry_ambiguous=args.retry_ambiguous,
        programs=args.allow_command or not on_ci(context.environ),
        fleet=_fleet(args, workspace),
    )
    display = context.display
    confirm = display.ask if display.can_ask else None
    if args.output_format == "github":
        emit = _with_places(workspace, emit)
    code = run_build(workspace, options, emit, confirm, context.interruption)
    if code == 0 and not (args.targets or args.placeholder):
        _keep_index(workspace, locked=locked)
    return code


def _fleet(args: argparse.Namespace, workspace: Workspace) -> NamedFleet | None:
    from imgbuild.run.workplace import NamedFleet, declared_fleet

    if args.dask is None:
        return declared_fleet(workspace)
    return NamedFleet(args.dask, by_user=True) if args.dask else None


def _with_places(workspace: Workspace, emit: Emit) -> Emit:
    """Tell where the manifest declares an image that failed, or that a person changed."""
    from dataclasses import replace

    from imgbuild.core.events import ImageEvent, Status

    images = {image.id: image for image in workspace.project.images}

    def handle(event: Event) -> None:
        if isinstance(event, ImageEvent) and event.status in (Status.FAILED, Status.CONFLICT):
            image = images.get(event.id)
            event = replace(event, at=image.origin.place("id").position if image else None)
        emit(event)

    return handle


def _keep_index(workspace: Workspace, *, locked: bool) -> None:
    """Let the next build tell at a glance that there is nothing to do."""
    from imgbuild import __version__
    from imgbuild.core.events import ImageEvent, Status, SummaryEvent, VersionEvent
    from imgbuild.run.idle import keep_index
    from imgbuild.ui.idle import printed

    images = workspace.resolved
    unit = next((one.unit for one in images if one.sends), "USD")
    events: tuple[Event, ...] = (
        VersionEvent(__version__, "build"),
        *(ImageEvent(one.image.id, Status.UNCHANGED, (one.image.output,)) for one in images),
        SummaryEvent(unchanged=len(images), unit=unit),
    )
    keep_index(workspace, printed(events, "text"), printed(events, "json"), locked=locked)


def is_locked(args: argparse.Namespace, environ: Mapping[str, str]) -> bool:
    """Whether the lock is the truth: when asked for, and on CI unless told otherwise.

    Raises:
        UsageError: options that contradict each other.
    """
    asked = args.locked or args.frozen
    named = "--frozen" if args.frozen else "--locked"
    if asked and args.generate:
        raise UsageError(f"{named} and --generate contradict each other", remedy="give one of them")
    if asked and args.placeholder:
        raise UsageError(
            f"{named} and --placeholder contradict each other", remedy="placeholders are in no lock"
        )
    if on_ci(environ) and args.placeholder and not args.generate and not args.dry_run:
        raise UsageError(
            "with CI=true a build is --locked, and placeholders are in no lock", remedy="add --generate"
        )
    return bool(asked or (on_ci(environ) and not args.generate))


def on_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a machine that builds what others propose."""
    return environ.get("CI", "").lower() in ("true", "1")
