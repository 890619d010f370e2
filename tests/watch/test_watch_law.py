"""The law of a session: whatever is edited, and whenever, each key is paid for once, and the end is that of a build."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from project_folder import STUDIO, ProjectFolder
from watching import FULL, Watching

SEEDS = range(12) if FULL else range(1)
EDITS = 150 if FULL else 40
IDS = ("a", "b", "c", "d", "e")
THINGS = ("a gate", "a mill", "a quay", "a dome")
WORDS = ("flat", "round", "bright")


class Author:
    """Edits a project at random, as a restless person does. Some edits break it; `mend` ends them."""

    def __init__(self, project: ProjectFolder, url: str, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self._head = STUDIO.format(url=url).replace(
            "poll_interval: 50ms", "poll_interval: 50ms\n    concurrency: 2"
        )
        self._things = dict.fromkeys(IDS[:3], THINGS[0])
        self._words = WORDS[0]
        self._sizes = dict.fromkeys(IDS, 64)
        self._branches = {"main": self._state(), "other": self._state()}
        self._branch = "main"

    def edit(self) -> None:
        """One edit, saved in one of the ways in which editors save."""
        self.random.choices(
            (
                self._reword,
                self._restyle,
                self._resize,
                self._come_and_go,
                self._delete,
                self._break,
                self._switch,
            ),
            (8, 2, 3, 3, 3, 2, 2),
        )[0]()

    def mend(self) -> None:
        """Save the project as it is meant to be."""
        lines = (
            f'  {id}: {{prompt: "{{{{ style }}}}, {thing}", size: {self._sizes[id]}x64, output: out/{id}.png}}\n'
            for id, thing in self._things.items()
        )
        self._save("imgbuild.yaml", f"{self._head}vars: {{style: {self._words}}}\nimages:\n" + "".join(lines))

    def _state(self) -> tuple[dict[str, str], str, dict[str, int], bytes | None]:
        lock = self.project.root / "imgbuild.lock"
        return {**self._things}, self._words, {**self._sizes}, lock.read_bytes() if lock.exists() else None

    def _reword(self) -> None:
        self._things[self.random.choice([*self._things])] = self.random.choice(THINGS)
        self.mend()

    def _restyle(self) -> None:
        self._words = self.random.choice(WORDS)
        self.mend()

    def _resize(self) -> None:
        self._sizes[self.random.choice(IDS)] = self.random.choice((48, 64))
        self.mend()

    def _come_and_go(self) -> None:
        id = self.random.choice(IDS)
        if id in self._things and len(self._things) > 1:
            del self._things[id]
        else:
            self._things[id] = self.random.choice(THINGS)
        self.mend()

    def _delete(self) -> None:
        (self.project.root / f"out/{self.random.choice(IDS)}.png").unlink(missing_ok=True)

    def _break(self) -> None:
        text = self.project.read("imgbuild.yaml").decode()
        self._save("imgbuild.yaml", text[: self.random.randrange(len(text))])

    def _switch(self) -> None:
        self._branches[self._branch] = self._state()
        self._branch = "other" if self._branch == "main" else "main"
        self._things, self._words, self._sizes, lock = self._branches[self._branch]
        if lock is not None:
            self._save("imgbuild.lock", lock)
        self.mend()

    def _save(self, name: str, content: str | bytes) -> None:
        way = self.random.randrange(3)
        if way == 0:
            self.project.write(name, content)
            return
        temporary = self.project.write(f"{name}.tmp", content)
        if way == 1:
            (self.project.root / name).unlink(missing_ok=True)
        temporary.replace(self.project.root / name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_any_edits_cost_each_key_once_and_end_as_a_build_from_nothing(
    project, start_emulator, watch, copy_project, seed
):
    emulator = start_emulator(latency=0.3)
    author = Author(project, emulator.url, seed)
    author.mend()
    session: Watching = watch(project)
    for _ in range(EDITS):
        author.edit()
        time.sleep(author.random.choice((0, 0, 0.02, 0.1, 0.3)))
    author.mend()
    session.until(lambda: project.json("plan").counts().keys() <= {"unchanged"}, "the end of all work")
    session.calm()
    assert session.stop() == 130

    charges = Counter((charge["prompt"], charge["size"]) for charge in emulator.ledger()["charges"])
    assert [key for key, count in charges.items() if count > 1] == []
    assert project.json("build").counts().keys() == {"unchanged"}
    again = copy_project(project, "again")
    (again.root / "imgbuild.lock").unlink()
    again.json("build")
    assert {k: v for k, v in again.files().items() if k.startswith("out/")} == {
        path: content
        for path, content in project.files().items()
        if path.removeprefix("out/").removesuffix(".png") in project.lock["images"]
    }
    assert sum(charge["n"] for charge in emulator.ledger()["charges"]) == len(charges)
    assert project.json("jobs").events[1:-1] == []
