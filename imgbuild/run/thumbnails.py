"""Thumbnails of files and blobs by digest: made side by side, and kept in `.imgbuild/` for the next time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.sniff import sniff
from imgbuild.store.fsio import remove_file, write_atomic
from imgbuild.store.workdir import FOLDER, Workdir

_VERSION = 1
"""Rises when a thumbnail looks different for the same file."""
_MAX_BYTES = 1 << 20
"""What is larger was not written here."""


class Thumbnails:
    """The thumbnails of one project, at most `side` pixels wide and high."""

    def __init__(self, root: Path, side: int) -> None:
        self._root = root
        self._side = side
        self._folder = root / FOLDER / "thumbnails"

    def make(self, files: Mapping[str, Path]) -> dict[str, bytes]:
        """A WebP picture for each digest, from the file with its bytes; what cannot be read is left out.

        Raises:
            StorageError: `.imgbuild/` cannot be written.
        """
        made = {digest: self._kept(digest) for digest in files}
        missing = [digest for digest, kept in made.items() if kept is None]
        if missing:
            Workdir(self._root).ensure()
            with ThreadPoolExecutor(os.cpu_count() or 2, "thumbnails") as threads:
                found = threads.map(self._make, missing, (files[digest] for digest in missing))
                made.update(zip(missing, found, strict=True))
        return {digest: data for digest, data in made.items() if data is not None}

    def prune(self, used: Iterable[str]) -> None:
        """Remove the kept thumbnails of all other digests. What cannot be removed stays."""
        names = {self._path(digest).name for digest in used}
        with suppress(OSError, StorageError):
            for shard in self._folder.iterdir():
                for path in shard.iterdir():
                    if path.name not in names:
                        remove_file(path)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.{self._side}.{_VERSION}.webp"

    def _kept(self, digest: str) -> bytes | None:
        """What an earlier run made; nothing in `.imgbuild/` is trusted to be a picture."""
        try:
            with self._path(digest).open("rb") as file:
                data = file.read(_MAX_BYTES)
            facts = sniff(data, data, len(data))
        except (OSError, BadImageError):
            return None
        return data if facts.format == "webp" and max(facts.width, facts.height) <= self._side else None

    def _make(self, digest: str, file: Path) -> bytes | None:
        from imgbuild.images.thumbnail import thumbnail

        try:
            data = thumbnail(file, self._side)
        except (BadImageError, StorageError):
            return None
        write_atomic(self._path(digest), data, sync=False)
        return data


def terminal_png(file: Path, side: int) -> bytes:
    """A small PNG of a file. Raises BadImageError or StorageError where it is no readable picture."""
    from imgbuild.images.thumbnail import small_png

    return small_png(file, side)


def terminal_pixels(file: Path, side: int) -> tuple[int, int, bytes]:
    """Width, height, and the red, green and blue of each pixel of a small version. Raises the same."""
    from imgbuild.images.thumbnail import small_pixels

    pixels = small_pixels(file, side)
    return pixels.width, pixels.height, pixels.rgb
