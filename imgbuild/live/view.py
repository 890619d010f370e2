"""What the page shows of the project: the gallery's data, and the pictures that it may ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from urllib.parse import quote

from imgbuild.core.errors import ImgbuildError, LockfileError, ManifestError, UsageError
from imgbuild.core.image import Image, Json, output_format
from imgbuild.core.manifest.project import FileProblem
from imgbuild.live.board import Board
from imgbuild.run.adopt import MAX_BYTES
from imgbuild.run.files import DiskFiles
from imgbuild.run.gallery import Gallery, make_gallery
from imgbuild.run.notes import read_notes
from imgbuild.run.takes import takes_of
from imgbuild.run.workspace import Invocation, Workspace, open_workspace
from imgbuild.store.blobs import Blobs

_LEAST_PAUSE = 0.15
"""Seconds between two looks, at least; it is never less than what a look takes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a picture, and their format."""

    data: bytes
    format: str


class View:
    """Looks at the project whenever it is told to. What it has shown is what may be asked for.

    `tell` hears what could not be shown, and why.
    """

    def __init__(self, invocation: Invocation, board: Board, tell: Callable[[str], None]) -> None:
        # A look asks no service and no shared cache.
        self._invocation = replace(invocation, offline=True)
        self._board = board
        self._tell = tell
        self._trouble = ""
        self._wanted = asyncio.Event()
        self._gallery = Gallery(invocation.root.name, invocation.profile, ())
        self._outputs: dict[str, str] = {}
        self._blobs: dict[str, tuple[Blobs, str]] = {}
        board.hang("gallery", self.data)

    def want(self) -> None:
        """Look again soon."""
        self._wanted.set()

    async def follow(self) -> None:
        """Look whenever it is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            began = time.monotonic()
            try:
                await asyncio.to_thread(self._look)
            except (ManifestError, LockfileError):
                # What is wrong with the project the session tells; what was seen before it stays.
                continue
            except ImgbuildError as error:
                self._trouble = error.message
            if self._trouble:
                self._tell(self._trouble)
            self._board.touch("gallery")
            await asyncio.sleep(max(_LEAST_PAUSE, time.monotonic() - began))

    def data(self) -> Json:
        """The gallery's data, with the addresses of this server."""
        # Looked at once: a thread may bring the next one at any time.
        gallery = self._gallery
        data = gallery.data(address=lambda digest: f"thumb/{digest}")
        images = data["images"]
        assert isinstance(images, list)
        for image, shown in zip(images, gallery.images, strict=True):
            assert isinstance(image, dict)
            image["outputs"] = [
                {**asdict(one), "href": _address(one.path, one.digest) if one.href and one.shown else None}
                for one in shown.outputs
            ]
        return data

    def thumbnail(self, digest: str) -> Picture | None:
        """A thumbnail of the page."""
        data = self._gallery.thumbs.get(digest)
        return None if data is None else Picture(data, "webp")

    def output(self, path: str) -> Picture | None:
        """A declared output as it lies there; None for every other path."""
        format = self._outputs.get(path)
        if format is None:
            return None
        try:
            return Picture(DiskFiles(self._invocation.root).read(path, MAX_BYTES), format)
        except FileProblem:
            return None

    def blob(self, digest: str) -> Picture | None:
        """A take's own picture, if the page was told of the take."""
        found = self._blobs.get(digest)
        if found is None:
            return None
        blobs, format = found
        try:
            return Picture(blobs.verified(digest).read_bytes(), format)
        except (ImgbuildError, OSError):
            return None

    def about(self, id: str) -> Json:
        """What the page needs once an image is open: where it is declared, and all that it ever was.

        Raises:
            ImgbuildError: there is no such image any more, or the manifest is broken.
        """
        workspace = open_workspace(self._invocation)
        try:
            image = find_image(workspace, id)
            place = image.origin.place("prompt").position
            try:
                takes = takes_of(workspace, image, everything=True)
            except UsageError:
                takes = ()
        finally:
            workspace.cache.close()
        self._blobs |= {take.digest: (workspace.cache.blobs, take.format) for take in takes if take.here}
        return {"declared": f"{place.file}:{place.line}", "takes": [asdict(take) for take in takes]}

    def _notes(self) -> dict[str, str]:
        """Without them the page shows everything else."""
        try:
            return read_notes(self._invocation.root)
        except ImgbuildError as error:
            self._trouble = error.message
            return {}

    def _look(self) -> None:
        self._trouble = ""
        workspace = open_workspace(self._invocation)
        try:
            gallery = make_gallery(workspace, workspace.invocation.root, self._notes())
        finally:
            workspace.cache.close()
        paths = (output.path for image in gallery.images for output in image.outputs)
        self._outputs = {path: format for path in paths if (format := output_format(path)) is not None}
        self._gallery = gallery


def find_image(workspace: Workspace, id: str) -> Image:
    """The image of exactly this id.

    Raises:
        UsageError: there is none.
    """
    found = next((image for image in workspace.project.images if image.id == id), None)
    if found is None:
        raise UsageError(f'there is no image "{id}" any more')
    return found


def _address(path: str, digest: str | None) -> str:
    """Other bytes have another address, so that a browser shows them."""
    return f"output/{quote(path)}?{(digest or '')[:16]}"
