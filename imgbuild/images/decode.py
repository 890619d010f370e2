"""Reading pictures safely: judged by their bytes, then opened by the one loader for that format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.sniff import HEAD_BYTES, TAIL_BYTES, ImageFacts, sniff
from imgbuild.images.vips import explain, pyvips, system_error

_LOADERS = {"png": "pngload", "jpeg": "jpegload", "webp": "webpload", "avif": "heifload", "gif": "gifload"}
_SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""


def inspect(path: Path) -> ImageFacts:
    """What the picture at `path` is, after decoding all of it. Width and height are as displayed.

    Raises BadImageError with the reason, or StorageError where the file cannot be read.
    """
    with opened(path) as (facts, file):
        with decoding(path):
            image = load(file, facts)
            image.avg()
        return facts


@contextmanager
def opened(path: Path) -> Iterator[tuple[ImageFacts, FileIO]]:
    """Open and sniff a picture; both see the same file, whatever happens to its name meanwhile."""
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            facts = _sniff_file(file)
        except OSError as error:
            raise _unreadable(path, error) from error
        with decoding(path):
            yield as_displayed(facts, load(file, facts)), file


def load(file: FileIO, facts: ImageFacts, *, shrink: int = 1) -> pyvips.Image:
    """Open for one pass from top to bottom, as stored (not rotated).

    `shrink`: so many times smaller, where the decoder can: JPEG by 2, 4 or 8, WebP by any whole number.
    """
    file.seek(0)
    source = pyvips.Source.new_from_descriptor(file.fileno())
    options: dict[str, float] = {}
    if shrink > 1 and facts.format == "jpeg":
        options = {"shrink": shrink}
    elif shrink > 1 and facts.format == "webp":
        options = {"scale": 1 / shrink}
    loader = getattr(pyvips.Image, f"{_LOADERS[facts.format]}_source")
    return loader(source, access="sequential", fail_on="error", **options)


def is_sideways(image: pyvips.Image) -> bool:
    """Whether the file asks to be shown turned by a quarter."""
    return image.get_typeof("orientation") != 0 and image.get("orientation") in _SIDEWAYS


def as_displayed(facts: ImageFacts, image: pyvips.Image) -> ImageFacts:
    """The facts with the decoder's size, as displayed. A decoder that contradicts the header is refused."""
    sizes = {(image.width, image.height), (image.height, image.width)}
    if (facts.width, facts.height) not in sizes:
        raise BadImageError(
            f"the header says {facts.width}x{facts.height} pixels and the picture has "
            f"{image.width}x{image.height}"
        )
    if is_sideways(image):
        return replace(facts, width=image.height, height=image.width)
    return replace(facts, width=image.width, height=image.height)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn libvips' errors into BadImageError, or into StorageError where the system was at fault."""
    try:
        yield
    except (pyvips.Error, BadImageError) as error:
        # An encoder reads, too: it is what draws the pixels through the pipeline.
        libvips = error if isinstance(error, pyvips.Error) else error.__cause__
        refused = system_error(libvips) if isinstance(libvips, pyvips.Error) else None
        if refused is not None:
            raise StorageError(
                f"{path}: cannot be read: {refused}",
                remedy="Check the disk, and the limit of open files (ulimit -n).",
            ) from error
        if isinstance(error, BadImageError):
            raise
        raise BadImageError(
            f"the picture cannot be decoded: {explain(error)}", remedy="The file is damaged; fetch it again."
        ) from error


def _sniff_file(file: FileIO) -> ImageFacts:
    length = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(max(0, length - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    file.seek(0)
    return sniff(head, tail, length)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: cannot be read: {error.strerror}", remedy="Check that the file is there.")
