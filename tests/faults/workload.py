"""A small build with everything in it, begun from the same state again and again, and what must come of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interception import Call, Verdict, run_held
from invariants import Snapshot, check_invariants
from project_folder import ProjectFolder, Run
from zygote import Zygote

JSON = ("--output-format", "json")
CALLS = (
    "openat",
    "write",
    "pwrite64",
    "copy_file_range",
    "ftruncate",
    "fchmod",
    "utimensat",
    "fsync",
    "fdatasync",
    "rename",
    "mkdir",
    "rmdir",
    "unlink",
    "sendto",
)
"""Every call by which a build changes something: the disk, what a user reads, or a service's mind."""
_STREAMS = (1, 2)
_REQUESTS = (b"POST", b"GET ")
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

MANIFEST = """\
version: 1
providers:
  tasks:
    type: uniall
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    poll_interval: 50ms
    pricing: {{unit: USD, per_image: 0.01}}
  studio: {{type: openai, base_url: "{url}/v1", api_key: "${{STUDIO_KEY}}"}}
defaults: {{provider: tasks, model: gpt-image-2, quality: low}}
images:
  hero: {{prompt: "a lighthouse{mark}", size: 64x64, output: out/hero.png}}
  small: {{prompt: "a lighthouse{mark}", size: 32x32, output: out/deep/small.webp}}
  icon: {{prompt: "an anchor{mark}", provider: studio, size: 48x48, output: out/icon.png}}
  sprite: {{prompt: "a gull{mark}", size: 48x48, takes: 2, references: ["@hero"], output: out/sprite.png}}
"""
"""A task, the same result in another size, an answer at once, and two takes that refer to the first."""
PROMPTS: Mapping[str, str] = {
    "hero": "a lighthouse",
    "small": "a lighthouse",
    "icon": "an anchor",
    "sprite": "a gull",
}
_NEEDS_HERO = {"small", "sprite"}


@dataclass
class Workload:
    """A project with its cache and its bill; `begin` puts all of them back to how they were at `keep`."""

    project: ProjectFolder
    emulator: Any
    zygote: Zygote
    outside: Snapshot
    mark: str = ""
    """What the prompts end with: another mark, other images."""
    kept: Mapping[str, bytes] = field(init=False)
    """The project's files at `keep`."""
    roots: tuple[Path, Path] = field(init=False)
    """The project's folder and the cache."""
    _copies: Path = field(init=False)
    _charges: list[Mapping[str, Any]] = field(init=False, default_factory=list)
    _skipped: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.roots = (self.project.root, Path(self.project.environ["IMGBUILD_CACHE_DIR"]))
        self._copies = self.project.root.parent / "kept"
        self.write("")
        self.keep()

    def write(self, mark: str) -> None:
        """Write the manifest."""
        self.mark = mark
        self.project.manifest(MANIFEST.format(url=self.emulator.url, mark=mark))

    def keep(self) -> None:
        """Remember the project and the cache as they are."""
        shutil.rmtree(self._copies, ignore_errors=True)
        for folder in self.roots:
            folder.mkdir(exist_ok=True)
            shutil.copytree(folder, self._copies / folder.name)
        self.kept = self.project.files()

    def begin(self) -> None:
        """Everything as it was at `keep`, and nothing on the bill."""
        for folder in self.roots:
            shutil.rmtree(folder)
            shutil.copytree(self._copies / folder.name, folder)
        self.emulator.reset()
        self._charges = []
        self._skipped = 0

    @property
    def bill(self) -> dict[str, Any]:
        """What the service has charged, since `begin` or with what was `pretended`."""
        return {"charges": [*self._charges, *self.emulator.ledger()["charges"][self._skipped :]]}

    def pretend(self, charges: Sequence[Mapping[str, Any]]) -> None:
        """From here on the bill has these charges, and those that come."""
        self._charges = [*charges]
        self._skipped = len(self.emulator.ledger()["charges"])

    def build(self, calls: Collection[str], decide: Callable[[Call], Verdict], *words: str) -> Run:
        """A build whose system calls are decided about."""
        run = run_held(self.zygote, self.project, "build", *JSON, *words, calls=calls, decide=decide)
        assert "Traceback" not in run.err, run.err
        return run

    def changes_something(self, call: Call) -> bool:
        """Whether a call changes the project or the cache, says something, or asks a service for something."""
        match call.name:
            case "sendto":
                return call.file(0).startswith("socket:") and call.memory(call.arguments[1], 4) in _REQUESTS
            case "openat" if not call.arguments[2] & _TO_WRITE:
                return False
            case "write" if call.arguments[0] in _STREAMS:
                return True
            case _:
                return any(map(self.concerns, call.paths))

    def concerns(self, path: str) -> bool:
        """Whether a path lies in the project or in the cache, or is one of them."""
        return any(Path(path).is_relative_to(root) for root in self.roots)

    def prompt(self, id: str) -> str:
        """An image's prompt."""
        return PROMPTS[id] + self.mark

    def check(self, *runs: Run, unknown: Collection[str] = ()) -> None:
        """The invariants, with one more charge allowed for each of the ids that were reported unknown."""
        check_invariants(
            self.project,
            self.bill,
            outside=self.outside,
            unknown=[self.prompt(id) for id in unknown],
            runs=runs,
            takes={self.prompt("sprite"): 2},
        )

    def converge(self, *runs: Run) -> set[str]:
        """Ordinary builds until everything is there: one, or two where something is unknown.

        `runs` are those before. Returns the unknown images.
        """
        first = self.zygote.run(self.project, "build", *JSON)
        unknown = unknown_of(first)
        assert first.code == (1 if unknown else 0), first
        done = [*runs, first]
        if unknown:
            again = self.zygote.run(self.project, "build", *JSON, "--retry-ambiguous")
            assert again.code == 0, again
            done.append(again)
        # Twice what was asked for twice: a picture of two takes may be unknown in both.
        self.check(*done, unknown=[*unknown, *(unknown & {"sprite"})])
        last = self.zygote.run(self.project, "build", *JSON)
        assert (last.code, last.summary["unchanged"], last.summary["submitted"]) == (0, len(PROMPTS), 0), last
        self.check(last, unknown=[*unknown, *(unknown & {"sprite"})])
        return unknown


def unknown_of(run: Run) -> set[str]:
    """The images that a build reported as perhaps charged; all others are there, or wait for one of them."""
    failed = {
        event["id"]: event["error"]["kind"]
        for event in run.events
        if event["event"] == "image" and event["status"] == "failed"
    }
    unknown = {id for id, kind in failed.items() if kind == "ambiguous"}
    waiting = set(failed) - unknown
    assert waiting <= _NEEDS_HERO, failed
    assert not waiting or "hero" in unknown, failed
    return unknown
