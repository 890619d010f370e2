"""What the manifest makes of several images: its atlases and its assets table, checked against the images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from imgbuild.core.assets import AssetsOptions
from imgbuild.core.atlas.frame import AtlasOptions
from imgbuild.core.atlas.layout import TURNS
from imgbuild.core.atlas.writers import FORMATS
from imgbuild.core.collected import AssetsTable, Atlas
from imgbuild.core.errors import Place
from imgbuild.core.image import Image
from imgbuild.core.manifest.expansion import Claim
from imgbuild.core.manifest.field_values import FieldValues
from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.layers import Layer
from imgbuild.core.manifest.output_model import Atlas as AtlasModel
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.texts import Text
from imgbuild.core.manifest.validate import strings
from imgbuild.core.manifest.yaml12 import Map
from imgbuild.core.safepath import UnsafePath, join_path
from imgbuild.core.suggest import did_you_mean
from imgbuild.core.targets import matches, names

_TABLES = (".json", ".ts")
_PICTURES = (".png", ".webp")
_DATA = {"godot": ".tres", "godot3": ".tres", "css": ".css", "libgdx": ".atlas"}


class Collections:
    """Reads the root manifest's `assets` and `atlases`; what is wrong is reported at its place."""

    def __init__(self, root: Map, values: FieldValues, report: Reporter) -> None:
        self._root = root
        self._values = values
        self._report = report
        self._layer = Layer("", root, "")
        self.claims: list[Claim] = []

    def assets(self) -> AssetsTable | None:
        """The table, if there is one."""
        given = self._root.get("assets")
        node, key = (given, "output") if isinstance(given, Map) else (self._root, "assets")
        output = node.get(key)
        if not isinstance(output, str):
            return None
        path = self._path(node, key, "assets", _TABLES)
        if path is None:
            return None
        root = given.get("root", "") if isinstance(given, Map) else ""
        url = given.get("url", "") if isinstance(given, Map) else ""
        if not isinstance(root, str) or not isinstance(url, str):
            return None
        folder = self._folder(node, "root", root, "assets")
        if folder is None:
            return None
        return AssetsTable(AssetsOptions(path, folder, url), self._place(node, key))

    def atlases(self, images: Sequence[Image]) -> Iterator[Atlas]:
        """The atlases, each with the images that it packs."""
        given = self._root.get("atlases")
        for name, node in given.items() if isinstance(given, Map) else ():
            if isinstance(node, Map) and not name.startswith("x-"):
                atlas = self._atlas(name, node, images)
                if atlas is not None:
                    yield atlas

    def _atlas(self, name: str, node: Map, images: Sequence[Image]) -> Atlas | None:
        owner = f'atlas "{name}"'
        suffix = _DATA.get(node.get("format", ""), ".json")
        output = self._path(node, "output", owner, _PICTURES)
        data = self._path(node, "data", owner, (suffix,))
        root = node.get("root", "")
        folder = self._folder(node, "root", root, owner) if isinstance(root, str) else None
        chosen = self._chosen(node, images, owner)
        form = node.get("format", "texturepacker-hash")
        if node.get("rotate") is True and form in FORMATS and form not in TURNS:
            message = f"rotate: {form} has no turned frames"
            self._report.add(node.source, node.values_at["rotate"], message, chain=(owner,))
        if output is None or data is None or folder is None or not chosen:
            return None
        options: dict[str, Any] = {
            key: node[key]
            for key in AtlasModel.model_fields
            if key in node and key not in ("images", "output", "data", "root")
        }
        made = AtlasOptions(name=name, output=output, data=data, root=folder, **cast(Any, options))
        return Atlas(made, chosen, self._place(node, "images"))

    def _chosen(self, node: Map, images: Sequence[Image], owner: str) -> tuple[tuple[str, str], ...]:
        """The frames: every image that is named, or the derived file of it that is."""
        patterns = node.get("images")
        chosen: dict[str, str] = {}
        for index, pattern in strings(patterns):
            at = node.values_at["images"] if isinstance(patterns, str) else patterns.items_at[index]  # type: ignore[union-attr]
            found = [(image.id, path) for image in images for path in _files(pattern, image)]
            if not found and not self._report.failed:
                words = {word for image in images for word in (image.id, image.name)}
                hint = did_you_mean(pattern.rstrip("*"), sorted(words))
                message = f'images: no image is called "{shown(pattern)}"'
                self._report.add(node.source, at, message, chain=(owner,), hint=hint)
            for id, path in found:
                if chosen.setdefault(id, path) != path:
                    message = f"images: {id} would be a frame twice, as {shown(chosen[id])} and {shown(path)}"
                    self._report.add(node.source, at, message, chain=(owner,))
        order = {image.id: index for index, image in enumerate(images)}
        return tuple(sorted(chosen.items(), key=lambda one: order[one[0]]))

    def _path(self, node: Map, key: str, owner: str, suffixes: Iterable[str]) -> str | None:
        text = node.get(key)
        if not isinstance(text, str):
            return None
        chain = (owner,) if owner != key else ()
        try:
            path = self._values.writable(text, "")
            if not path.lower().endswith(tuple(suffixes)):
                raise ValueError(f'"{shown(path)}" must end in {" or ".join(suffixes)}')
        except ValueError as error:
            self._report.add(node.source, node.values_at[key], f"{key}: {error}", chain=chain)
            return None
        place = Text("", node.source, node.values_at[key], self._layer)
        self.claims.append(Claim(path, owner, place, chain))
        return path

    def _folder(self, node: Map, key: str, text: str, owner: str) -> str | None:
        try:
            if text.startswith("/") or re.search(r"[\\\x00-\x1f]", text):
                raise UnsafePath("is no folder below the manifest's")
            return join_path("", text)
        except UnsafePath as error:
            message = f'{key}: "{shown(text)}" {error}'
            self._report.add(node.source, node.values_at.get(key, node.at), message, chain=(owner,))
            return None

    def _place(self, node: Map, key: str) -> Place:
        position = node.source.position(node.values_at.get(key, node.at))
        return Place(position, (), node.source.line(position.line))


def _files(pattern: str, image: Image) -> list[str]:
    """Which of an image's files a pattern means: its own for an id, a derived one for that one's path."""
    if names(pattern, image):
        return [image.output]
    return [file.path for file in image.derive if matches(pattern, file.path)]


def check_served(table: AssetsTable | None, images: Iterable[Image], report: Reporter, root: Map) -> None:
    """Report files that the assets table has to name and that do not lie below its `root`."""
    if table is None or not table.options.root:
        return
    node = root["assets"]
    for image in images:
        for path in (image.output, *(file.path for file in image.derive)):
            if not path.startswith(f"{table.options.root}/"):
                report.add(
                    root.source,
                    node.values_at["root"],
                    f'root: "{shown(path)}" of {image.id} does not lie in "{shown(table.options.root)}"',
                    chain=("assets",),
                    hint="root is the folder that is served, and so holds all outputs",
                )
                return
