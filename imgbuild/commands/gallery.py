"""`imgbuild gallery`: one static page with every image, its takes and its files."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent
from imgbuild.core.image import Json
from imgbuild.ui.spans import Span, line
from imgbuild.ui.values import size_in_bytes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("--out", metavar="DIR", help="the page's folder (.imgbuild/gallery)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the page; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or the notes are wrong, or the page cannot be written.
    """
    invocation = context.invocation()
    from imgbuild.core.errors import StorageError
    from imgbuild.run.gallery import make_gallery
    from imgbuild.run.notes import read_notes
    from imgbuild.run.workspace import open_workspace
    from imgbuild.store.fsio import write_atomic
    from imgbuild.store.workdir import Workdir
    from imgbuild.ui.gallery.page import render_page

    workspace = open_workspace(invocation)
    if args.out is None:
        folder, name = Workdir(invocation.root).ensure() / "gallery", invocation.shown(".imgbuild/gallery")
        if folder.is_symlink():
            raise StorageError(
                f"{name} is a symbolic link", remedy="delete it; imgbuild makes a folder of its own"
            )
    else:
        folder = context.folder.resolve() / args.out
        name = (context.folder / args.out).as_posix()
    gallery = make_gallery(workspace, folder.resolve(), read_notes(invocation.root))
    page = render_page("gallery", f"{gallery.project}: gallery", gallery.data()).encode()
    write_atomic(folder / "index.html", page, sync=False)
    value: dict[str, Json] = {"path": f"{name}/index.html", "images": len(gallery.images), "bytes": len(page)}
    count = "1 image" if len(gallery.images) == 1 else f"{len(gallery.images)} images"
    context.display.show(
        DataEvent("gallery", value),
        [line("wrote ", Span(f"{name}/index.html", "bold"), f": {count}, {size_in_bytes(len(page))}")],
    )
    return 0
