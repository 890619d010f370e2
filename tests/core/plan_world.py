"""A disk and a cache in memory, for the planner's tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgbuild.core.derivation import exact_size
from imgbuild.core.errors import Place, Position
from imgbuild.core.image import FileReference, Image, Size, UrlReference, digest_path
from imgbuild.core.jobs import OpenJob
from imgbuild.core.lock import LockedImage, LockedOutput
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.geometry import Ask
from imgbuild.core.plan.outputs import make_recipe
from imgbuild.core.plan.planner import make_spec
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.spec import Geometry, keys
from imgbuild.core.results import StoredOutput, StoredResult

ENCODER = "encoder 1"


class Here:
    def place(self, field: str) -> Place:
        return Place(Position("imgbuild.yaml", 1, 1))

    def entry_place(self, field: str, index: int) -> Place:
        return self.place(field)


def image(id: str = "hero", **fields: object) -> Image:
    members = {"name": id, "prompt": f"a {id}", "provider": "studio", "output": f"{id}.png", "model": "m"}
    return Image(id=id, origin=Here(), **{**members, **fields})  # type: ignore[arg-type]


def resolved(
    one: Image,
    *,
    asked: Size | None = None,
    others: tuple[Size, ...] = (),
    price: float | None = 0.25,
    max_n: int = 1,
) -> Resolved:
    geometry = Geometry(asked or one.size, one.ratio, one.resolution)
    if asked:
        geometry = Geometry(size=asked)
    ask = Ask(geometry, others=tuple(Geometry(size=size) for size in others))
    return Resolved(one, "uniall", ask, price=price, unit="USD", max_n=max_n)


@dataclass
class World:
    """What a build would find. `build` plays what executing a plan does to it."""

    results: dict[tuple[str, int], StoredResult] = field(default_factory=dict)
    declared: dict[str, list[str]] = field(default_factory=dict)
    made_outputs: dict[str, list[StoredOutput]] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    disk: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    jobs: list[OpenJob] = field(default_factory=list)
    encoder_name: str = ENCODER
    generated: int = 0

    def reference(self, reference: FileReference | UrlReference) -> str | None:
        if isinstance(reference, UrlReference):
            return self.pins.get(reference.url)
        return self.files[reference.path]

    def result(self, key: str, take: int) -> StoredResult | None:
        return self.results.get((key, take))

    def generation_keys(self, declared_key: str) -> list[str]:
        return self.declared.get(declared_key, [])

    def outputs(self, recipe_key: str) -> list[StoredOutput]:
        return self.made_outputs.get(recipe_key, [])

    def made_by(self, digest: str) -> list[str]:
        return [key for key, many in self.made_outputs.items() if any(o.digest == digest for o in many)]

    def blob(self, digest: str) -> bool:
        return digest in self.blobs

    def quarantined(self, digest: str) -> bool:
        return digest in self.corrupt

    def open_jobs(self, key: str) -> list[OpenJob]:
        return [job for job in self.jobs if job.key == key]

    def on_disk(self, path: str) -> str | None:
        return self.disk.get(path)

    def encoder(self, format: str) -> str:
        return self.encoder_name

    def generate(
        self, one: Resolved, take: int, masters: dict[str, str | None] | None = None
    ) -> StoredResult:
        """A paid result: every one has bytes of its own."""
        spec, _ = make_spec(one, self, masters or {})
        found = keys(spec)
        self.generated += 1
        digest = f"{self.generated:064x}"
        size = spec.asked.size or Size(64, 64)
        result = StoredResult(
            found.current, take, digest, "png", size.width, size.height, 9, spec.record(), "uniall",
            one.image.id, "2026-01-01T00:00:00+00:00", model=one.image.model, declared=(*found.declared, *found.picture),
        )  # fmt: skip
        self.results[result.key, take] = result
        for declared in result.declared:
            if result.key not in self.declared.setdefault(declared, []):
                self.declared[declared].append(result.key)
        self.blobs.add(digest)
        return result

    def write(self, action: Action) -> LockedImage:
        """Bring the outputs of a planned action to disk, as a build does; returns the lock's entry."""
        assert action.resolved
        assert action.source
        key = action.picked.key if action.picked else None
        entry = {}
        for output in action.outputs:
            if output.target is None:
                assert output.file
                recipe = make_recipe(action.resolved, output.file, action.source.digest, key, "uniall")
                operations = recipe.operations
                size = exact_size(operations) or Size(action.source.width, action.source.height)
                digest = f"{recipe.key()[:60]}{self.encoder_name[-1]:0>4}"
                stored = StoredOutput(
                    recipe.key(), self.encoder_name, action.source.digest, digest, "png",
                    size.width, size.height, 5,
                )  # fmt: skip
                self.made_outputs.setdefault(recipe.key(), []).append(stored)
                self.blobs.add(digest)
                target = LockedOutput(stored.digest, stored.bytes, stored.width, stored.height)
            else:
                target = output.target
            path = digest_path(output.file.path, target.digest) if output.file else output.path
            self.disk[path] = target.digest
            entry[path] = target
        accepted = action.accept(entry)
        assert accepted
        return accepted
