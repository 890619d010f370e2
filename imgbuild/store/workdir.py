"""The project's `.imgbuild/` folder: only what can be thrown away, and the outputs that were dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from imgbuild.core.errors import StorageError
from imgbuild.store.blobs import is_digest
from imgbuild.store.encoding import dump, load
from imgbuild.store.fsio import make_folder, shown, storage_errors, sweep_temporaries, write_atomic
from imgbuild.store.guard import exclusive

FOLDER = ".imgbuild"


@dataclass(frozen=True, slots=True, order=True)
class DroppedOutput:
    """A file that the manifest no longer names: POSIX path in the project, and the digest of our bytes."""

    path: str
    digest: str
    image_id: str = ""


class Workdir:
    """`.imgbuild/` in a project, created when something is first written to it.

    Git ignores it through its own `.gitignore`, Godot through `.gdignore`. What it holds may come from
    anybody's checkout, so nothing in it is trusted.
    """

    def __init__(self, project: Path) -> None:
        self.path = project / FOLDER

    def ensure(self) -> Path:
        """Create the folder where it is missing. Raises StorageError, also when it is a symbolic link."""
        if self.path.is_symlink():
            raise StorageError(
                f"{shown(self.path)} is a symbolic link, so writing to it could change files elsewhere",
                remedy="delete the link; imgbuild makes a folder of its own",
            )
        if not self.path.is_dir():
            make_folder(self.path)
        for name, data in ((".gitignore", b"*\n"), (".gdignore", b"")):
            if not (self.path / name).exists():
                write_atomic(self.path / name, data, sync=False)
        return self.path

    def remember_dropped(self, entries: Iterable[DroppedOutput]) -> None:
        """Add outputs to the list; a path that is there already takes the new digest.

        Raises StorageError.
        """
        new = {entry.path: entry for entry in entries}
        if new:
            with exclusive(self.ensure() / "dropped.lock"):
                self._write({entry.path: entry for entry in self.dropped()} | new)

    def dropped(self) -> tuple[DroppedOutput, ...]:
        """The list, by path. An unreadable list is an empty one; paths out of the project are left out."""
        return self._listed("dropped")

    def collected(self) -> tuple[DroppedOutput, ...]:
        """The files made of several images by the last build, by path; empty where that cannot be read."""
        return self._listed("collected")

    def note_collected(self, entries: Collection[DroppedOutput]) -> None:
        """Replace the list of files made of several images: what it no longer has, is dropped.

        Raises StorageError.
        """
        before = self.collected()
        if set(before) == set(entries):
            return
        now = {entry.path for entry in entries}
        self.remember_dropped(entry for entry in before if entry.path not in now)
        with exclusive(self.ensure() / "dropped.lock"):
            self._write({entry.path: entry for entry in entries}, "collected")

    def _listed(self, name: str) -> tuple[DroppedOutput, ...]:
        path = self.path / f"{name}.json"
        with storage_errors("read", path):
            try:
                value = load(path.read_bytes())
            except FileNotFoundError:
                return ()
        entries = value.get(name) if isinstance(value, dict) else None
        found = map(_entry, entries) if isinstance(entries, list) else ()
        return tuple(sorted(entry for entry in found if entry is not None))

    def forget(self, paths: Collection[str]) -> None:
        """Take paths off the list. Raises StorageError."""
        gone = frozenset(paths)
        if not gone or not self.dropped():
            return
        with exclusive(self.ensure() / "dropped.lock"):
            self._write({entry.path: entry for entry in self.dropped() if entry.path not in gone})

    def _write(self, entries: dict[str, DroppedOutput], name: str = "dropped") -> None:
        sweep_temporaries(self.path)
        text = dump({name: [asdict(entries[path]) for path in sorted(entries)]})
        write_atomic(self.path / f"{name}.json", text.encode() + b"\n")


def _entry(value: object) -> DroppedOutput | None:
    if not isinstance(value, dict):
        return None
    path, digest, image_id = (value.get(name) for name in ("path", "digest", "image_id"))
    if not isinstance(path, str) or not isinstance(digest, str) or not isinstance(image_id, str):
        return None
    return DroppedOutput(path, digest, image_id) if _is_inside(path) and is_digest(digest) else None


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path
