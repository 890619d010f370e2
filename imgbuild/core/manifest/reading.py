"""The files that a manifest reads: each once, as text with places, and remembered as inputs."""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.core.manifest.project import FileProblem, ProjectFiles
from imgbuild.core.manifest.source import Source, decode
from imgbuild.core.manifest.sources import Item, read_items
from imgbuild.core.manifest.template import Templates
from imgbuild.core.manifest.template_parts import MAX_RENDERED
from imgbuild.core.manifest.yaml12 import MAX_BYTES, Problem
from imgbuild.core.safepath import join_path, safe_path

_WILD = frozenset("*?[")


class Reading:
    """Reads through the project's one seam to the disk."""

    def __init__(self, files: ProjectFiles, display_root: str) -> None:
        self._files = files
        self._root = display_root.rstrip("/") + "/" if display_root not in ("", ".") else ""
        self._sources: dict[str, Source] = {}
        self._items: dict[tuple[str, str], tuple[list[Item], list[Problem], Source]] = {}
        self._problems: dict[str, str | None] = {}
        self._templates: dict[str, Templates] = {}
        self.globs: set[str] = set()
        self.included: dict[str, dict[str, Source]] = {}
        """By folder: the files that templates there include, by the names that they use."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every file that was read, sorted."""
        return tuple(sorted(self._sources))

    def shown(self, path: str) -> str:
        """A path as messages name it: relative to the current directory."""
        return self._root + path

    def source(self, path: str, limit: int = MAX_BYTES) -> Source:
        """A file's text. Raises FileProblem."""
        found = self._sources.get(path)
        if found is None:
            data = self._files.read(path, limit)
            try:
                text = decode(data)
            except UnicodeDecodeError as error:
                line = data.count(b"\n", 0, error.start) + 1
                raise FileProblem(f"is not UTF-8 text (line {line})") from None
            found = self._sources[path] = Source(self.shown(path), text)
        return found

    def prompt(self, path: str) -> Source:
        """A template file's text, its line breaks made plain. Raises FileProblem."""
        source = self.source(path, MAX_RENDERED)
        if "\r" in source.text:
            source = Source(source.file, source.text.replace("\r\n", "\n").replace("\r", "\n"))
            self._sources[path] = source
        return source

    def matches(self, pattern: str, folder: str) -> Sequence[str]:
        """The files that a path or pattern, written in a file in `folder`, names.

        Raises UnsafePath for one that leads elsewhere. A path without wildcards names itself.
        """
        if _WILD.isdisjoint(pattern):
            return [safe_path(pattern, folder)]
        safe_path("".join("x" if c in "*?" else c for c in pattern), folder)
        full = join_path(folder, pattern)
        self.globs.add(full)
        return self._files.glob(full)

    def items(self, kind: str, path: str) -> tuple[list[Item], list[Problem], Source]:
        """A data file's items and what is wrong with it. Raises FileProblem."""
        key = (kind, path)
        if key not in self._items:
            source = self.source(path)
            stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
            self._items[key] = (*read_items(kind, source, stem), source)
        return self._items[key]

    def problem(self, path: str) -> str | None:
        """Why a referenced file cannot be used, or None."""
        if path not in self._problems:
            self._problems[path] = self._files.problem(path)
        return self._problems[path]

    def output_problem(self, path: str) -> str | None:
        """Why an output cannot be written, or None."""
        return self._files.output_problem(path)

    def templates(self, folder: str) -> Templates:
        """The engine for texts that are written in files in `folder`: includes are relative to it."""
        found = self._templates.get(folder)
        if found is None:
            included = self.included.setdefault(folder, {})

            def read(name: str) -> str | None:
                try:
                    source = self.prompt(safe_path(name, folder))
                except (FileProblem, ValueError):
                    return None
                included[name] = source
                return source.text

            found = self._templates[folder] = Templates(read)
        return found
