"""A project that is edited, built, killed and damaged at will, and a model of what may have been paid for.

The model knows every word that it gave, and everything that it made imgbuild forget. So it knows how often
each picture may stand on the bill, and that nothing else may ever be forgotten, changed or overwritten.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyvips
from invariants import CacheContent, History, Snapshot, check_invariants, read_cache
from project_folder import STUDIO, ProjectFolder, Run
from zygote import Child, Zygote

NAMES = tuple("abcdef")
SUBJECTS = ("a lighthouse", "an anchor", "a whale", "a harbour")
FAULTS = (
    "fail:1", "refuse:1", "refuse-400:1", "error-200:1", "401:1", "402:1", "500:1", "drop-before:1",
    "drop-after-accept:1", "500-after-accept:2", "expired-link:1", "truncated:1", "empty:1", "html:1",
    "flaky-link:1", "poll-500:1", "poll-drop:1", "unknown-status:1", "wrong-format:1", "wrong-size:1", "503:1",
)  # fmt: skip
SIZES = ("64x64", "96x48", "48x96")
QUALITIES = {"low": 0.01, "medium": 0.04}
FORMATS = ("png", "webp", "jpg")
STYLE = "refs/style.png"
INTERRUPTED = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
"""Exit codes."""

Wish = tuple[str, str]
"""Prompt and quality: what the bill and the cache have in common."""
Take = tuple[str, int]
"""A key and a number."""


@dataclass(frozen=True)
class Image:
    """An image as the manifest declares it. `references` are ids, or the style's file."""

    prompt: str
    output: str
    size: str = "64x64"
    quality: str = "low"
    takes: int = 1
    references: tuple[str, ...] = ()

    @property
    def wish(self) -> Wish:
        return self.prompt, self.quality

    def text(self) -> str:
        references = [name if "/" in name else f"@{name}" for name in self.references]
        fields = {
            "prompt": self.prompt,
            "output": self.output,
            "size": self.size,
            "quality": self.quality,
            "takes": self.takes,
            "references": references,
        }
        return json.dumps(fields)


@dataclass
class Checkout:
    """A folder with the project, as one person has it."""

    folder: ProjectFolder
    images: dict[str, Image]
    retouched: dict[str, str] = field(default_factory=dict)
    """Digests of files that a person changed, by path."""
    stash: bytes | None = None
    """A lock that was put away."""

    def write(self, url: str) -> None:
        lines = (f"  {id}: {image.text()}\n" for id, image in self.images.items())
        self.folder.manifest(STUDIO.format(url=url) + "images:\n" + "".join(lines))

    def digest(self, path: str) -> str | None:
        file = self.folder.root / path
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


@dataclass(frozen=True)
class Shot:
    """A signal, so many milliseconds after a command's start."""

    number: signal.Signals
    milliseconds: int

    def at(self, child: Child) -> None:
        # Before its first word it may be so young that signals are still Python's own.
        while self.number != signal.SIGKILL and child.running and not child.out:
            time.sleep(0.001)
        time.sleep(self.milliseconds / 1000)
        child.kill(self.number)


class World:
    """One cache, one service, and one or two checkouts. Every command that runs here is held to account."""

    def __init__(
        self,
        folder: Path,
        new_project: Callable[..., ProjectFolder],
        emulator: Any,
        zygote: Zygote,
        outside: Snapshot,
    ) -> None:
        """`folder` is where `new_project` makes projects. What an earlier world left there is removed."""
        for path in folder.iterdir():
            if path not in outside.folders:
                shutil.rmtree(path)
        emulator.reset()
        self.emulator = emulator
        self.cache = folder / "cache"
        self._folder = folder
        self._new_project = new_project
        self._zygote = zygote
        self._outside = outside
        self.checkouts = [self._checkout("first", {"a": Image(SUBJECTS[0], "out/a.png")})]
        self.content = CacheContent()
        self._history = History()
        self._wanted: Counter[Wish] = Counter()
        self._again: Counter[Wish] = Counter()
        """Takes that may be charged once more: on somebody's word, or because we made imgbuild forget."""
        self._lost: set[Take] = set()
        self._damaged: set[str] = set()
        self._derived: dict[tuple[str, str, int, int], str] = {}

    # Commands ---------------------------------------------------------------------------------------------

    def run(
        self,
        checkout: Checkout,
        *words: str,
        codes: tuple[int, ...] = (0,),
        shot: Shot | None = None,
        word: bool = False,
        forgets: bool = False,
        free: bool = False,
        most: float | None = None,
        overwrite: bool = False,
    ) -> Run:
        """Run a command to its end, or to its violent end; and hold it to account.

        `word`: it says that unknown jobs may be submitted again. `forgets`: it may remove results. `free`:
        nothing may be charged. `most`: no more than this may be charged. `overwrite`: it may replace files
        that a person changed.
        """
        with self._accounted(
            [checkout], word=word, forgets=forgets, free=free, most=most, overwrite=overwrite
        ):
            child = self._zygote.start(checkout.folder, *words, "--output-format", "json")
            if shot:
                shot.at(child)
            run = child.wait()
            self._ended(run, (*codes, INTERRUPTED[shot.number]) if shot else codes)
        return run

    def run_together(self, who: list[Checkout], shot: Shot | None, *words: str) -> list[Run]:
        """A build in each of the checkouts at once. The shot is for the first."""
        with self._accounted(who):
            children = [
                self._zygote.start(one.folder, "build", *words, "--output-format", "json") for one in who
            ]
            if shot:
                shot.at(children[0])
            runs = [child.wait() for child in children]
            for run in runs:
                self._ended(run, (0, 1, INTERRUPTED[shot.number]) if shot else (0, 1))
        return runs

    @contextmanager
    def _accounted(
        self,
        who: list[Checkout],
        *,
        word: bool = False,
        forgets: bool = False,
        free: bool = False,
        most: float | None = None,
        overwrite: bool = False,
    ) -> Iterator[None]:
        """What is so before and after any command."""
        before, charged = self.content, self._paid()
        for checkout in who:
            for image in checkout.images.values():
                self._wanted[image.wish] = max(self._wanted[image.wish], image.takes)
        self._runs: list[Run] = []
        yield
        after = read_cache(self.cache)
        if word:
            for id in before.jobs.keys() - after.jobs.keys():
                self._again[_wish(before.jobs[id].spec)] += len(before.jobs[id].takes)
        else:
            self._unknown_stays(before, after)
        if forgets:
            self._forgotten(before, after)
        gone = known(before).keys() - known(after).keys() - self._lost
        assert not gone, f"results were forgotten: {[before.results[name] for name in gone]}"
        spent = self._paid() - charged
        assert not free or spent == 0, f"{spent:g} was charged by a command that is free"
        assert most is None or spent <= most + 1e-9, f"{spent:g} was charged, and {most:g} was allowed"
        for checkout in who:
            self._retouched_stays(checkout, after, overwrite=overwrite)
        self.check()

    def _ended(self, run: Run, codes: tuple[int, ...]) -> None:
        self._runs.append(run)
        crash = "".join(path.read_text() for path in self._folder.glob("home-*/**/crash-*.log"))
        assert run.code in codes, f"exit {run.code}\n{run.out}\n{run.err}\n{crash}"
        assert "Traceback" not in run.err, run.err

    # What holds -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """I1 to I5, I7 and I8 in every checkout, and the bill against what this model allows."""
        for checkout in self.checkouts:
            self.content = check_invariants(
                checkout.folder,
                None,
                outside=self._outside,
                runs=self._runs,
                damaged=self._damaged,
                retouched=checkout.retouched,
                history=self._history,
            )
        self._damaged &= self.content.broken | (self._damaged - self.content.blobs)
        for name, digests in self._history.results.items():
            assert len(digests) == 1 or name in self._lost, f"{name} changed its bytes: {digests}"
        self._bill_is_allowed()
        for checkout in self.checkouts:
            self._derivations_are_steady(checkout)

    def _bill_is_allowed(self) -> None:
        bought: Counter[tuple[Wish, str, str]] = Counter()
        for charge in self.emulator.ledger()["charges"]:
            # What failed may be tried again: its task ended without a result.
            if charge["state"] != "failed":
                wish = charge["prompt"], charge["quality"]
                bought[wish, charge["size"], str(charge["references"])] += charge["n"]
        for (wish, size, references), n in bought.items():
            most = self._wanted[wish] + self._again[wish]
            assert n <= most, f"I3: {n} takes of {wish} in {size} with {references} charged, {most} allowed"

    def _unknown_stays(self, before: CacheContent, after: CacheContent) -> None:
        """Without a word an unknown job stays, unless its results turn out to be there."""
        for job in before.jobs.values():
            there = job.id in after.jobs or all((job.key, take) in after.results for take in job.takes)
            assert there or job.stage != "unknown", f"{job} was given up without a word"
            # A task ends otherwise only when the service says that it failed.
            ends = {c["task_id"]: c["state"] for c in self.emulator.ledger()["charges"]} if not there else {}
            assert there or ends.get(job.task) == "failed", f"{job} was given up, and it did not fail"

    def _retouched_stays(self, checkout: Checkout, content: CacheContent, *, overwrite: bool) -> None:
        for path, digest in list(checkout.retouched.items()):
            now = checkout.digest(path)
            if now == digest:
                continue
            assert overwrite, f"{path} was changed by a person, and replaced without a word"
            assert digest in content.blobs, f"{path} was replaced, and the person's bytes are nowhere"
            del checkout.retouched[path]

    def _derivations_are_steady(self, checkout: Checkout) -> None:
        """The same master in the same format and size gives the same bytes, whatever happened meanwhile."""
        if not (checkout.folder.root / "imgbuild.lock").exists():
            return
        for image in checkout.folder.lock["images"].values():
            for path, output in image["outputs"].items():
                name = image["source"]["digest"], Path(path).suffix, output["width"], output["height"]
                known = self._derived.setdefault(name, output["digest"])
                assert known == output["digest"], f"{path} was {known}, and is {output['digest']} now"

    def settle(self, checkout: Checkout) -> None:
        """I6: with every word given and nothing in the way it converges, and then costs nothing more."""
        for _ in range(8):
            options = ("--retry-ambiguous", "--overwrite")
            run = self.run(checkout, "build", *options, codes=(0, 1), word=True, overwrite=True)
            if run.code == 0:
                break
        assert run.code == 0, f"I6: it does not converge\n{run.out}\n{run.err}"
        again = self.run(checkout, "build", free=True)
        assert again.counts() == {"unchanged": len(checkout.images)}, f"I6: {again.out}"
        lock = checkout.folder.lock["images"]
        assert set(lock) == set(checkout.images)
        for id, image in checkout.images.items():
            locked = lock[id]["outputs"][image.output]
            assert checkout.digest(image.output) == locked["digest"]
            assert f"{locked['width']}x{locked['height']}" == image.size
        mine = str(checkout.folder.root.resolve())
        left = [job for job in self.content.jobs.values() if job.project == mine and job.stage != "unknown"]
        assert not left, f"paid tasks were not gone on with: {left}"
        self._restores(checkout)

    def _restores(self, checkout: Checkout) -> None:
        """The lock gives exactly the accepted bytes back, from a cache that has its blobs."""
        locked = checkout.folder.lock["images"].values()
        needed = {image["source"]["digest"] for image in locked}
        needed |= {output["digest"] for image in locked for output in image["outputs"].values()}
        if needed & self._damaged:
            return
        accepted = {image.output: checkout.digest(image.output) for image in checkout.images.values()}
        for path in accepted:
            (checkout.folder.root / path).unlink()
        self.run(checkout, "build", "--frozen", free=True)
        assert {path: checkout.digest(path) for path in accepted} == accepted

    # What people and disks do -----------------------------------------------------------------------------

    def edit(self, checkout: Checkout, images: dict[str, Image]) -> None:
        """Make the manifest declare these. Outputs that would collide, and circles, are nobody's wish."""
        outputs = [image.output for image in images.values()]
        if images and len(set(outputs)) == len(outputs) and not _circular(images):
            checkout.images = images
            checkout.write(self.emulator.url)

    def change(self, checkout: Checkout, id: str, **fields: Any) -> None:
        self.edit(checkout, {**checkout.images, id: replace(checkout.images[id], **fields)})

    def check_out(self) -> Checkout:
        """A second checkout, with the first one's manifest and lock."""
        first = self.checkouts[0]
        if len(self.checkouts) == 1:
            self.checkouts.append(self._checkout("second", {}))
        second = self.checkouts[1]
        second.images = dict(first.images)
        second.write(self.emulator.url)
        lock = second.folder.root / "imgbuild.lock"
        lock.unlink(missing_ok=True)
        if (first.folder.root / lock.name).exists():
            shutil.copyfile(first.folder.root / lock.name, lock)
        return second

    def style(self, checkout: Checkout, shade: int) -> None:
        """Another picture at the reference's path."""
        picture = pyvips.Image.black(8, 8).copy(interpretation="b-w") + shade
        (checkout.folder.root / STYLE).write_bytes(picture.cast("uchar").pngsave_buffer())

    def retouch(self, checkout: Checkout, path: str, text: str) -> None:
        file = checkout.folder.write(path, text)
        checkout.retouched[path] = hashlib.sha256(file.read_bytes()).hexdigest()

    def delete(self, checkout: Checkout, path: str) -> None:
        (checkout.folder.root / path).unlink(missing_ok=True)
        checkout.retouched.pop(path, None)

    def stash(self, checkout: Checkout) -> None:
        """Put the lock away, or bring an earlier one back."""
        lock = checkout.folder.root / "imgbuild.lock"
        if checkout.stash is not None:
            lock.write_bytes(checkout.stash)
            checkout.stash = None
        elif lock.exists():
            checkout.stash = lock.read_bytes()
            lock.unlink()

    def delete_workdir(self, checkout: Checkout) -> None:
        shutil.rmtree(checkout.folder.root / ".imgbuild", ignore_errors=True)

    def damage_blob(self, number: int, how: str) -> None:
        blobs = sorted(self.content.blobs)
        if not blobs:
            return
        digest = blobs[number % len(blobs)]
        path = self.cache / "blobs" / digest[:2] / digest
        data = path.read_bytes()
        path.chmod(0o644)
        self._damaged.add(digest)
        match how:
            case "delete":
                path.unlink()
            case "truncate":
                path.write_bytes(data[: len(data) * 2 // 3])
            case "zero":
                path.write_bytes(bytes(len(data)))
            case "flip":
                middle = len(data) // 2
                path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        self._forgotten(self.content, read_cache(self.cache))

    def delete_sidecar(self, number: int) -> None:
        files = sorted(self.cache.glob("blobs/*/*.json"))
        if files:
            files[number % len(files)].unlink()
            self._forgotten(self.content, read_cache(self.cache))

    def lose_records(self, *, garbage: bool) -> None:
        folder = self.cache / "records"
        if not folder.exists():
            return
        shutil.rmtree(folder)
        if garbage:
            folder.mkdir(mode=0o700)
            (folder / "cache.db").write_bytes(random.Random(7).randbytes(5000))
        self._forgotten(self.content, read_cache(self.cache))

    def tear_journal(self, number: int, tail: bytes) -> None:
        files = sorted(self.cache.glob("jobs/*.jsonl"))
        if files:
            with files[number % len(files)].open("ab") as file:
                file.write(tail)

    def _forgotten(self, before: CacheContent, after: CacheContent) -> None:
        """What was just destroyed may be paid for again, and may come out otherwise."""
        for name in known(before).keys() - known(after).keys():
            self._lost.add(name)
            self._again[_wish(before.results[name]["spec"])] += 1
        self.content = after

    def grant(self, wish: Wish, takes: int) -> None:
        """Somebody asks for more takes."""
        self._again[wish] += takes

    def _paid(self) -> float:
        return sum(QUALITIES[c["quality"]] * c["n"] for c in self.emulator.ledger()["charges"])

    def _checkout(self, name: str, images: dict[str, Image]) -> Checkout:
        checkout = Checkout(self._new_project(name), images)
        (checkout.folder.root / "refs").mkdir()
        self.style(checkout, 0)
        checkout.write(self.emulator.url)
        return checkout


def renamed(images: dict[str, Image], old: str, new: str | None) -> dict[str, Image]:
    """The images with one of them under another id, or gone; references to it follow."""
    ids = {id: id for id in images} | {old: new}
    result = {}
    for id, image in images.items():
        names = tuple(ids.get(name, name) for name in image.references)
        result[ids[id]] = replace(image, references=tuple(name for name in names if name))
    result.pop(None, None)
    return result


def known(content: CacheContent) -> dict[Take, dict[str, Any]]:
    """The results that a build can find: recorded, or told by a sidecar of a blob that is still somewhere."""
    recorded = {(one["key"], one["take"]) for one in content.recorded if "take" in one}
    somewhere = content.blobs | content.quarantined
    return {
        name: result
        for name, result in content.results.items()
        if name in recorded or result["digest"] in somewhere
    }


def _wish(spec: Any) -> Wish:
    return spec["prompt"], spec["quality"]


def _circular(images: dict[str, Image]) -> bool:
    left = {id: {name for name in image.references if "/" not in name} for id, image in images.items()}
    while left:
        free = {id for id, names in left.items() if not names & left.keys()}
        if not free:
            return True
        left = {id: names for id, names in left.items() if id not in free}
    return False
