"""What lies in a cache, looked up without imgbuild's own code, and every way to damage a file of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from invariants import CANARY
from project_folder import ProjectFolder, Run

T = TypeVar("T")

GATEWAYS = Path(__file__).parents[2] / "examples" / "gateways"


def _described(name: str) -> dict[str, Any]:
    """A service of the built-in types, as an example describes it for the type `http`."""
    example = yaml.safe_load((GATEWAYS / f"{name}.yaml").read_text(encoding="utf-8"))
    (provider,) = example["providers"].values()
    return provider


SERVICES: Mapping[str, Mapping[str, Any]] = {
    "uniall": {"path": ""},
    "jimmyai": {"path": ""},
    "kyy": {"path": "/kyyReactApiServer"},
    "http": {"path": "", **_described("uniall")},
    "openai": {"path": "/v1"},
    "jimmyai-sync": {"path": ""},
    "gemini": {"path": "", "model": "gemini-3.1-flash-image"},
}
"""Each type of service that the emulator speaks: the provider entry's own members."""
TASK_SERVICES = ("uniall", "jimmyai", "kyy", "http")
"""Those that answer with a task, which can be asked for again."""
SYNCHRONOUS_SERVICES = ("openai", "jimmyai-sync", "gemini")
"""Those that answer with the picture itself, once."""
PRICE = 0.01
"""What each picture costs, in the manifest's pricing."""
JSON = ("--output-format", "json")


@dataclass(frozen=True)
class Site:
    """A project, the service that it pays, and its cache as it lies on the disk."""

    project: ProjectFolder
    emulator: Any
    zygote: Any

    def write(self, images: Mapping[str, Mapping[str, Any]], service: str = "uniall", **more: Any) -> None:
        """A manifest with one provider. `images` has fields by id; a prompt and a size are added."""
        own = dict(SERVICES[service])
        path, model = own.pop("path"), own.pop("model", "gpt-image-2")
        provider = {
            **own,
            "type": service,
            "base_url": self.emulator.url + path,
            "api_key": "${STUDIO_KEY}",
            "poll_interval": "50ms",
            "pricing": {"unit": "USD", "per_image": PRICE},
        }
        whole = {
            id: {"prompt": f"a picture of {id}", "size": "64x64", "output": f"out/{id}.png", **fields}
            for id, fields in images.items()
        }
        defaults = {"provider": "studio", "model": model}
        manifest = {"version": 1, "providers": {"studio": provider}, "defaults": defaults, "images": whole}
        self.project.manifest(yaml.safe_dump({**manifest, **more}, sort_keys=False))

    def change(self, id: str, **fields: Any) -> None:
        """Change fields of an image in the manifest."""
        manifest = yaml.safe_load(self.project.read("imgbuild.yaml"))
        manifest["images"][id].update(fields)
        self.project.manifest(yaml.safe_dump(manifest, sort_keys=False))

    def run(self, *words: str, code: int = 0) -> Run:
        """Run a command, which has to end with this code, without a traceback or the key, and in JSON."""
        return told(self.zygote.run(self.project, *words, *JSON), code)

    def paid(self) -> int:
        """How many pictures stand on the bill."""
        return self.emulator.ledger()["total"]["images"]

    @property
    def cache(self) -> Path:
        return Path(self.project.environ["IMGBUILD_CACHE_DIR"])

    @property
    def database(self) -> Path:
        """The records."""
        return self.cache / "records" / "cache.db"

    def output(self, id: str = "hero") -> Path:
        """An image's output file."""
        return self.project.root / "out" / f"{id}.png"

    def entry(self, id: str = "hero") -> dict[str, Any]:
        """An image's entry in the lock."""
        return self.project.lock["images"][id]

    def blob(self, digest: str) -> Path:
        """Where the blob of a digest is, or would be."""
        return self.cache / "blobs" / digest[:2] / digest

    def master(self, id: str = "hero") -> Path:
        """The blob of an image's picked take, as the lock names it."""
        return self.blob(self.entry(id)["source"]["digest"])

    def derived(self, id: str = "hero") -> Path:
        """The blob of an image's output file, as the lock names it."""
        (output,) = self.entry(id)["outputs"].values()
        return self.blob(output["digest"])

    def takes(self, id: str = "hero") -> dict[int, dict[str, Any]]:
        """The recorded results of an image, by take."""
        with closing(sqlite3.connect(self.database)) as database:
            rows = database.execute("SELECT value FROM Cache WHERE key GLOB 'result/*'").fetchall()
        found = [member for (row,) in rows for member in json.loads(row).values()]
        return {member["take"]: member for member in found if member["image_id"] == id}

    def sidecars(self) -> list[Path]:
        """Everything that lies beside the blobs."""
        return sorted((self.cache / "blobs").rglob("*.json"))

    def journals(self) -> list[Path]:
        """The files of the journal."""
        return sorted((self.cache / "jobs").glob("*.jsonl"))

    def is_put_aside(self, name: str, data: bytes | None = None) -> None:
        """A damaged blob lies in quarantine, with these bytes and a note that says why."""
        [aside] = (self.cache / "quarantine").glob(f"{name}*.bin")
        note = json.loads(aside.with_suffix(".json").read_text())
        assert note["reason"]
        assert note["created"]
        assert data is None or aside.read_bytes() == data


def is_sound(path: Path) -> bool:
    """Whether a blob is a plain file whose bytes hash to its name."""
    plain = path.is_file() and not path.is_symlink()
    return plain and hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def told(run: Run, *codes: int) -> Run:
    """The run, when it ended with one of these codes, without a traceback or the key."""
    text = run.out + run.err
    assert "Traceback" not in text, text
    assert CANARY.decode() not in text, text
    assert run.code in codes, f"exit {run.code}, expected {codes}\n{text}"
    return run


def failures(run: Run) -> dict[str, str]:
    """The messages of the images that failed, by id."""
    return {
        event["id"]: event["error"]["message"]
        for event in run.events
        if event["event"] == "image" and event["status"] == "failed"
    }


def warnings(run: Run) -> str:
    """Every warning of a run, in one text."""
    return "\n".join(event["message"] for event in run.events if event["event"] == "warning")


def grid(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """In full every combination; otherwise a few, in which each value of each axis stands at least once."""
    lists = [list(axis) for axis in axes]
    if os.environ.get("IMGBUILD_TESTS_FULL"):
        return list(itertools.product(*lists))
    most = max(map(len, lists))
    return [tuple(one[n % len(one)] for one in lists) for n in range(most)]


def share(items: Iterable[T], number: int, k: int) -> list[T]:
    """In full everything; otherwise k of the items, and others for the next number."""
    every = list(items)
    if os.environ.get("IMGBUILD_TESTS_FULL"):
        return every
    return [every[(number * k + n) % len(every)] for n in range(k)]


def batches(cases: Iterable[T], size: int) -> list[list[tuple[int, T]]]:
    """All the cases, numbered, so many at a time: those of one batch begin with the same build."""
    numbered = list(enumerate(cases))
    return [numbered[start : start + size] for start in range(0, len(numbered), size)]


class Saved:
    """A project and its cache as they are now, to come back to."""

    def __init__(self, site: Site, aside: Path) -> None:
        """`aside` is a folder that does not exist yet."""
        self._places = {aside / "project": site.project.root, aside / "cache": site.cache}
        for copy, place in self._places.items():
            shutil.copytree(place, copy, symlinks=True)

    def bring_back(self) -> None:
        """Whatever has become of them."""
        for copy, place in self._places.items():
            shutil.rmtree(place)
            shutil.copytree(copy, place, symlinks=True)


def run_with_permissions(project: ProjectFolder, *words: str) -> Run:
    """Run a command for which a file's permissions count, also when the tests run as root."""
    command = [sys.executable, "-m", "imgbuild", *words]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=project.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def _writable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def _rewrite(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    _writable(path).write_bytes(data)


def _flip(place: float) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        def change(data: bytearray) -> None:
            data[round(place * (len(data) - 1))] ^= 1

        _rewrite(path, change)

    return flip


def _truncate(keep: float) -> Callable[[Path], None]:
    def truncate(path: Path) -> None:
        os.truncate(_writable(path), round(keep * path.stat().st_size))

    return truncate


def _cut_one_byte(path: Path) -> None:
    os.truncate(_writable(path), path.stat().st_size - 1)


def _zero(path: Path) -> None:
    _writable(path).write_bytes(bytes(path.stat().st_size))


def _extend(path: Path) -> None:
    with _writable(path).open("ab") as file:
        file.write(b"\0")


def _swap(path: Path) -> None:
    """Another image of the same cache, whole and decodable, under this one's name."""
    blobs = (p for p in sorted(path.parents[1].rglob("*")) if p.is_file() and p.suffix != ".json")
    # Of two blobs that are damaged so, the second must not get its own bytes back from the first.
    other = next(data for p in blobs if (data := p.read_bytes()) != path.read_bytes())
    _writable(path).write_bytes(other)


def _link(path: Path) -> None:
    """The right bytes, but somewhere else, where anybody may change them."""
    aside = path.parents[3] / f"aside-{path.name[:8]}"
    path.rename(aside)
    path.symlink_to(aside)


def _dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("else")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "first bit flipped": _flip(0),
    "middle bit flipped": _flip(0.5),
    "last bit flipped": _flip(1),
    "one byte short": _cut_one_byte,
    "cut in half": _truncate(0.5),
    "empty": _truncate(0),
    "zeroed": _zero,
    "one byte longer": _extend,
    "another image": _swap,
    "a link to the right bytes": _link,
    "a link to nothing": _dangling_link,
    "a folder": _folder,
    "a pipe": _pipe,
}
"""What can become of a blob. Each takes its path."""
CHANGED_BYTES = tuple(name for name in DAMAGES if not name.startswith("a "))
"""The damages after which the blob is still a plain file, with other bytes."""


def damage(path: Path, how: str) -> bytes | None:
    """Damage a blob; returns the damaged bytes, None where it is no plain file any more."""
    DAMAGES[how](path)
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None
