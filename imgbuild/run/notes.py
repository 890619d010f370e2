"""Notes on images: read, and written alone among all processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from imgbuild.core.image import Image
from imgbuild.core.notes import FILE, noted, parse_notes
from imgbuild.store.lockfile import read_text, update


def read_notes(root: Path) -> dict[str, str]:
    """The notes of a project by image id.

    Raises:
        UsageError: the file is something else.
        StorageError: it cannot be read.
    """
    return parse_notes(read_text(root / FILE))


def write_note(root: Path, image: Image, note: str) -> None:
    """Note something on an image; an empty note takes the old one away.

    Raises:
        UsageError: the note is too long, or the file is something else.
        StorageError: it cannot be written.
    """
    if note.strip() or (root / FILE).exists():
        update(root / FILE, partial(noted, id=image.id, note=note))
