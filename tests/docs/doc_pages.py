"""The examples of the documentation: found in the pages, run for real, compared with what stands there.

A comment before a fenced block says how it is run:

    <!-- in: examples/site -->     in a copy of that folder; the state carries on through the page. A folder
                                   that the repository does not have begins empty. A manifest in a yaml block
                                   is put there as imgbuild.yaml
    <!-- in: examples/site; emulator -->   the same, with an emulated service
    <!-- files: examples/site -->  a yaml block is checked in a copy of that folder of its own
    <!-- fragment -->              a yaml block that is no manifest
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project_folder import ProjectFolder

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running

ROOT = Path(__file__).parents[2]
HOME = "/home/ada"
"""Stands in the pages for the home folder of the run."""
PORT = "127.0.0.1:8188"
"""Stands in the pages for the emulator's address."""
PAGES = tuple(sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]))

_BLOCK = re.compile(
    r"^(?:<!--[ ]*(?P<how>[^>]*?)[ ]*-->\n\n?)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_MANIFEST = re.compile(r"^(version: 1|images:)", re.MULTILINE)
_ALLOWED = re.compile(r"([A-Z_]+=\S+ )*(imgbuild|sed -i|rm|cat|echo)( |$)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`]*\"")
_SHELL = re.compile(r"[;&|`\n]|\$[^?]")
_FOR_THE_SHELL = re.compile(r"[<>$*?\[\]{}~\\]")
_LEFT_TO_CHANCE = (
    (re.compile(r"127\.0\.0\.1:\d+"), PORT),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{12}…"), "<digest>"),
    (re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}\.bin"), "<file>"),
    (re.compile(r"task_[0-9a-f]{14}"), "<task>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"), "<time>"),
    (re.compile(r"\bin \d+\.\d s\b"), "in <seconds>"),
    (re.compile(r'"seconds": [0-9.]+'), '"seconds": <seconds>'),
    (re.compile(r"\b\d+ (s|min|h) old"), "<age> old"),
    # The bytes of a file are its encoder's, and the next libvips may have a better one.
    (re.compile(r"\b\d+(\.\d)? (B|kB|MB)\b"), "<size>"),
    (re.compile(r'"(bytes|kept_bytes|freed_bytes)": \d+'), r'"\1": <size>'),
)
# Images are done at once, and end in any order.
_DONE = re.compile(r'\s*(generated|derived|restored|unchanged|failed)  \S|\{"event": "(image|job)"')


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page. `start` and `end` are offsets of its text."""

    language: str
    text: str
    start: int
    end: int
    line: int
    how: dict[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console block, and what should come out."""

    command: str
    expected: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for match in _BLOCK.finditer(page):
        words = (match["how"] or "").split(";")
        how = {name.strip(): value.strip() for name, _, value in (w.partition(":") for w in words)}
        start, end = match.span("text")
        yield Block(match["language"], match["text"], start, end, page.count("\n", 0, start), how)


def steps(block: Block) -> list[Step]:
    """The commands of a console block."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            assert commands, f"line {block.line}: a console block begins with a command"
            commands[-1][1].append(line)
    return [Step(command, "".join(f"{line}\n" for line in output)) for command, output in commands]


def alike(one: str, other: str) -> bool:
    """Whether two outputs are the same but for times, digests, sizes of files and the order of events."""
    return _without_chance(one) == _without_chance(other)


def _without_chance(text: str) -> list[str]:
    for pattern, name in _LEFT_TO_CHANCE:
        text = pattern.sub(name, text)
    lines: list[str] = []
    run: list[str] = []
    for line in text.splitlines():
        if _DONE.match(line):
            run.append(line)
        else:
            lines += [*sorted(run), line]
            run = []
    return lines + sorted(run)


@dataclass(slots=True)
class Reader:
    """Does what a page says, as somebody would who reads it from top to bottom."""

    home: Path
    """A new folder for everything."""
    zygote: Any = None
    """Runs commands at a tenth of the price of new processes."""
    _folders: dict[str, Path] = field(default_factory=dict)
    _servers: ExitStack = field(default_factory=ExitStack)
    _address: str | None = None
    _code: int = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._servers.close()

    def follow(self, block: Block) -> list[tuple[Step, str]]:
        """Run a block: each of its commands with what came out. Raises AssertionError for a wrong manifest."""
        if block.language == "console":
            folder = self._folder(block.how["in"])
            if "emulator" in block.how and self._address is None:
                self._address = self._servers.enter_context(running(EmulatorOptions(latency=0)))
            return [(step, self._run(step.command, folder)) for step in steps(block)]
        if block.language == "yaml" and "fragment" not in block.how:
            assert _MANIFEST.search(block.text), (
                f"line {block.line}: neither a manifest nor <!-- fragment -->"
            )
            self._check(block)
        return []

    def _check(self, block: Block) -> None:
        if "in" in block.how:
            folder = self._folder(block.how["in"])
        else:
            folder = self._copy(block.how.get("files"), f"block-{block.line}")
        text = block.text if block.text.startswith("version:") else f"version: 1\n{block.text}"
        (folder / "imgbuild.yaml").write_text(text, encoding="utf-8")
        said = self._run("imgbuild check", folder)
        assert self._code == 0, f"line {block.line}: the manifest has errors\n{said}"

    def _folder(self, name: str) -> Path:
        if name not in self._folders:
            self._folders[name] = self._copy(name, f"state/{name}")
        return self._folders[name]

    def _copy(self, name: str | None, place: str) -> Path:
        folder = self.home / place
        if name is not None and (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder, ignore=shutil.ignore_patterns(*_built(ROOT / name)))
        else:
            folder.mkdir(parents=True)
        return folder

    def _run(self, command: str, folder: Path) -> str:
        allowed = _ALLOWED.match(command) and not _SHELL.search(_QUOTED.sub("", command))
        assert allowed, f"not allowed in examples: {command}"
        environ = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
        }
        if self._address is not None:
            environ["IMGBUILD_STUDIO_URL"] = self._address
        said = self._at_once(command, folder, environ)
        if said is None:
            said = self._in_a_shell(command, folder, environ)
        assert self._code != 5, f"{command}\n{said}"
        said = said.replace(str(self.home), HOME)
        return said.replace(self._address.removeprefix("http://"), PORT) if self._address else said

    def _at_once(self, command: str, folder: Path, environ: dict[str, str]) -> str | None:
        """What a command says that needs no shell; None for another one."""
        if self.zygote is None or _FOR_THE_SHELL.search(command):
            return None
        words = shlex.split(command)
        while "=" in words[0]:
            name, _, environ[name] = words.pop(0).partition("=")
        # A server, and what writes now to one stream and now to the other, need one output for both.
        if words[0] != "imgbuild" or {"emulate", "spend"} & {*words}:
            return None
        run = self.zygote.start(ProjectFolder(folder, environ), *words[1:]).wait()
        self._code = run.code
        # What goes to no terminal is written when the command ends.
        return run.err + run.out

    def _in_a_shell(self, command: str, folder: Path, environ: dict[str, str]) -> str:
        done = subprocess.run(
            ["bash", "-c", command.replace("$?", str(self._code))],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=60,
        )
        self._code = done.returncode
        return done.stdout


def _built(folder: Path) -> list[str]:
    """What a build in the repository itself may have left there: an example begins without it."""
    ignored = folder / ".gitignore"
    patterns = ignored.read_text(encoding="utf-8").split() if ignored.is_file() else []
    return [pattern.strip("/") for pattern in patterns]
