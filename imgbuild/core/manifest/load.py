"""A manifest's way from text to project: read, validate, join includes, expand, check the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgbuild.core.credentials import Signing
from imgbuild.core.errors import Diagnostic, ManifestError, Place, Position, UsageError
from imgbuild.core.manifest.collected import Collections, check_served
from imgbuild.core.manifest.consistency import check_paths, resolve_references
from imgbuild.core.manifest.expand import Expander
from imgbuild.core.manifest.fields import is_template, is_variable, parse_name, shown
from imgbuild.core.manifest.layers import Layer, Merger, Scope
from imgbuild.core.manifest.model import IncludedManifest, Manifest, Profile, ProviderConfig
from imgbuild.core.manifest.origin import Declaration
from imgbuild.core.manifest.project import FileProblem, Project, ProjectFiles
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.recall import Memory, NotRecalled, Recalled
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.scalar_place import place_in_scalar
from imgbuild.core.manifest.signing import read_signing
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.template_parts import TemplateFailure
from imgbuild.core.manifest.validate import Broken, kind_of, strings, validate
from imgbuild.core.manifest.yaml12 import Map, parse_yaml
from imgbuild.core.safepath import UnsafePath, collision_key
from imgbuild.core.suggest import did_you_mean


def load_project(
    manifest_path: str,
    files: ProjectFiles,
    *,
    profile: str | None = None,
    display_root: str = "",
    memory: Memory | None = None,
) -> Project:
    """Read, check and expand a manifest.

    `display_root` is put before file names in positions. `memory`: what the last loading made of the
    entries, and what this one does. Raises ManifestError with every error, and UsageError for a profile
    that does not exist.
    """
    try:
        return Loader(manifest_path, files, profile, display_root, memory).load()
    except (ManifestError, NotRecalled):
        # With everything read, each error has its right place and its right neighbours.
        if memory is None or not memory.used:
            raise
        memory.forget()
    return Loader(manifest_path, files, profile, display_root, memory).load()


class Loader:
    """One loading of one manifest."""

    def __init__(
        self,
        manifest_path: str,
        files: ProjectFiles,
        profile: str | None,
        display_root: str,
        memory: Memory | None,
    ) -> None:
        self._path = manifest_path
        self._memory = memory
        self._recalled: Recalled | None = None
        self._profile = profile
        self._reading = Reading(files, display_root)
        self._report = Reporter()
        self._broken: Broken = set()
        self._merger = Merger(self._report)
        self._manifests = {collision_key(manifest_path): manifest_path}

    def load(self) -> Project:
        """The project, or every error."""
        root = self._root()
        _hide_secrets(root)
        manifest = validate(Manifest, root, root.source, self._report, self._broken)
        profile = self._profile_node(root)
        root_scope = self._root_scope(root, profile)
        scopes = [(root, root_scope), *self._included(root, root_scope, profile)]
        declarations = [d for node, scope in scopes for d in self._declarations(node, scope)]
        for _, scope in scopes:
            self._check_unused(scope)
        names = [name for name, _ in _members(root, "providers")]
        expander = Expander(
            self._reading,
            self._report,
            names,
            names[0] if len(names) == 1 else None if names else "placeholder",
            frozenset(self._manifests),
        )
        disabled = set()
        for declaration in self._unique(declarations):
            if _is_disabled(declaration):
                disabled.add(declaration.name)
            else:
                self._expand(declaration, expander)
        expanded = expander.result
        if self._recalled:
            self._recalled.join(expanded, expander.spent, self._reading)
        collections = Collections(root, expander.values, self._report)
        assets = collections.assets()
        atlases = tuple(collections.atlases(expanded.images))
        check_paths([*expanded.claims, *collections.claims], self._report)
        images, order = resolve_references(expanded, disabled, self._report)
        check_served(assets, images, self._report, root)
        signing = self._signing(manifest, root, profile)
        self._report.raise_if_failed()
        if self._recalled:
            self._recalled.keep()
        assert manifest is not None
        overlay = (manifest.profiles or {}).get(self._profile or "")
        return Project(
            manifest=_with_profile(manifest, overlay).model_copy(update={"images": None}),
            manifest_path=self._path,
            profile=self._profile,
            images=tuple(images),
            providers=manifest.providers or {},
            order=order,
            inputs=self._reading.inputs,
            globs=tuple(sorted(self._reading.globs)),
            disabled=frozenset(disabled),
            type_places=dict(_type_places(root)),
            signing=signing,
            assets=assets,
            atlases=atlases,
        )

    def _signing(self, manifest: Manifest | None, root: Map, profile: Layer | None) -> Signing | None:
        """How files are signed: as the profile says, or else the manifest."""
        if manifest is None:
            return None
        overlay = (manifest.profiles or {}).get(self._profile or "")
        if overlay is not None and overlay.c2pa is not None and profile is not None:
            return read_signing(overlay.c2pa, profile.node["c2pa"], self._reading, self._report)
        if manifest.c2pa is not None:
            return read_signing(manifest.c2pa, root["c2pa"], self._reading, self._report)
        return None

    def _expand(self, declaration: Declaration, expander: Expander) -> None:
        images, spent = expander.result.images, expander.spent
        before = len(images)
        expander.expand(declaration)
        if self._recalled:
            self._recalled.remember(declaration, expander.result, images[before:], expander.spent - spent)

    def _root(self) -> Map:
        try:
            source = self._reading.source(self._path)
        except FileProblem as error:
            shown_path = self._reading.shown(self._path)
            hint = "`imgbuild init` writes one; -f names another"
            where = Position(shown_path, 1, 1)
            raise ManifestError([Diagnostic(f"{shown_path} {error}", where, hint=hint)]) from None
        recalled = self._memory.recall(source, self._profile) if self._memory else None
        root = self._parse(source, recalled.text if recalled else None)
        if recalled and recalled.agrees(root):
            self._recalled = recalled
        self._report_wrong_root(source, root)
        if not isinstance(root, Map):
            self._report.raise_if_failed()
        assert isinstance(root, Map)
        return root

    def _parse(self, source: Source, text: str | None) -> Any:
        node, problems = parse_yaml(source, text=text)
        self._report.add_problems(source, problems)
        return node

    def _report_wrong_root(self, source: Source, root: Any) -> None:
        if not isinstance(root, Map) and not self._report.failed:
            what = "is empty" if root is None else f"must be a mapping, not {kind_of(root)}"
            self._report.add(source, 0, f"the manifest {what}", hint="it begins with version: 1")

    def _profile_node(self, root: Map) -> Layer | None:
        if self._profile is None:
            return None
        known = dict(_members(root, "profiles"))
        if self._profile not in known:
            names = ", ".join(known)
            raise UsageError(
                f'there is no profile "{shown(self._profile)}"',
                remedy=did_you_mean(self._profile, known) or (f"known: {names}" if known else None),
            )
        node = known[self._profile]
        return Layer(f"profile {self._profile}", node, "") if isinstance(node, Map) else None

    def _root_scope(self, root: Map, profile: Layer | None) -> Scope:
        return Scope(
            folder="",
            namespace="",
            presets=_presets(root, "", ""),
            defaults=(*_layers(root, "defaults", "defaults", ""), *_overlay(profile, "defaults")),
            variables=(*_layers(root, "vars", "vars", ""), *_overlay(profile, "vars")),
        )

    def _included(self, root: Map, outer: Scope, profile: Layer | None) -> Iterator[tuple[Map, Scope]]:
        """The included files' trees and what their images see."""
        patterns = root.get("include")
        if not isinstance(patterns, list):
            return
        # The profile is the outermost choice: it goes over an included file's own defaults.
        weak_defaults = tuple(_layers(root, "defaults", "defaults", ""))
        weak_variables = tuple(_layers(root, "vars", "vars", ""))
        for index, pattern in strings(patterns):
            at = patterns.items_at[index]  # type: ignore[attr-defined]
            try:
                paths = self._reading.matches(pattern, "")
            except UnsafePath as error:
                self._report.add(root.source, at, f'include: "{shown(pattern)}" {error}')
                continue
            for path in paths:
                if collision_key(path) in self._manifests:
                    continue
                self._manifests[collision_key(path)] = path
                node = self._include(path, root, at)
                if node is None:
                    continue
                folder = path.rpartition("/")[0]
                space = node.get("namespace")
                namespace = f"{space}/" if isinstance(space, str) and self._is_name(space, node) else ""
                yield (
                    node,
                    Scope(
                        folder=folder,
                        namespace=namespace,
                        presets={**outer.presets, **_presets(node, folder, namespace)},
                        defaults=(
                            *weak_defaults,
                            *_layers(node, "defaults", f"defaults of {path}", folder),
                            *_overlay(profile, "defaults"),
                        ),
                        variables=(
                            *weak_variables,
                            *_layers(node, "vars", f"vars of {path}", folder),
                            *_overlay(profile, "vars"),
                        ),
                    ),
                )

    def _include(self, path: str, root: Map, at: int) -> Map | None:
        try:
            source = self._reading.source(path)
        except FileProblem as error:
            self._report.add(root.source, at, f'include: "{shown(self._reading.shown(path))}" {error}')
            return None
        node, problems = parse_yaml(source)
        self._report.add_problems(source, problems)
        if node is None and not problems:
            return None
        if node is not None:
            validate(IncludedManifest, node, source, self._report, self._broken)
        return node if isinstance(node, Map) else None

    def _is_name(self, text: str, node: Map) -> bool:
        try:
            parse_name(text)
        except ValueError as error:
            self._report.add(node.source, node.values_at["namespace"], f"namespace: {error}")
            return False
        return True

    def _declarations(self, node: Map, scope: Scope) -> Iterator[Declaration]:
        images = node.get("images")
        for name, entry in _members(node, "images"):
            assert isinstance(images, Map)
            at = images.keys_at[name]
            try:
                parse_name(name)
            except ValueError as error:
                self._report.add(images.source, at, f"image name: {error}")
                continue
            if not isinstance(entry, Map):
                continue
            full = scope.namespace + name
            layer = Layer(f"image {full}", entry, scope.folder)
            merged = self._merger.merge(scope, layer, (layer.label,))
            yield Declaration(full, layer, at, merged, self._reading.templates(scope.folder))

    def _unique(self, declarations: list[Declaration]) -> Iterator[Declaration]:
        known: dict[str, Declaration] = {}
        for declaration in declarations:
            other = known.setdefault(declaration.name, declaration)
            if other is declaration:
                yield declaration
                continue
            where = other.entry.node.source.position(other.key_at)
            self._report.add(
                declaration.entry.node.source,
                declaration.key_at,
                f'the image "{declaration.name}" is declared twice; the first is at {where}',
                hint="give the included file a `namespace`",
            )

    def _check_unused(self, scope: Scope) -> None:
        """Report templates that cannot be read also where no image uses them."""
        for layer in (*scope.presets.values(), *scope.defaults, *scope.variables):
            templates = self._reading.templates(layer.folder)
            for key, value in layer.node.items():
                if isinstance(value, str) and is_template(value):
                    try:
                        templates.compile(value)
                    except TemplateFailure as failure:
                        source = layer.node.source
                        at = place_in_scalar(source.text, layer.node.values_at[key], value, failure.offset)
                        self._report.add(source, at, failure.message, chain=(layer.label,), hint=failure.hint)


def _hide_secrets(root: Map) -> None:
    """A literal key is an error, under a misspelt name too, and no error may show it."""
    for _, provider in _members(root, "providers"):
        if isinstance(provider, Map):
            for key, value in provider.items():
                known = key in ProviderConfig.model_fields and key != "api_key"
                if isinstance(value, str) and not is_variable(value):
                    # In an address only what stands before an @ or after a ? is secret.
                    root.source.hide(value if not known else value.rpartition("@")[0])
                    root.source.hide(value.partition("?")[2])
                elif isinstance(value, Map):
                    _hide_in_request(value, root.source)


def _hide_in_request(request: Map, source: Source) -> None:
    """What a described request might hold in place of `api_key`: header values, and a path's query."""
    headers, path = request.get("headers"), request.get("path")
    texts = [*headers.values()] if isinstance(headers, Map) else []
    texts += path.partition("?")[2].replace("=", "&").split("&") if isinstance(path, str) else []
    for text in texts:
        # Shorter ones are no keys, and would be struck out of innocent words.
        if isinstance(text, str) and len(text) >= 8:
            source.hide(text)


def _is_disabled(declaration: Declaration) -> bool:
    layer = declaration.merged.fields.get("enabled")
    return layer is not None and layer.node["enabled"] is False


def _members(node: Map, key: str) -> Iterator[tuple[str, Any]]:
    """A section's entries, without its free keys."""
    section = node.get(key)
    if isinstance(section, Map):
        yield from ((name, value) for name, value in section.items() if not name.startswith("x-"))


def _type_places(root: Map) -> Iterator[tuple[str, Place]]:
    for name, provider in _members(root, "providers"):
        if isinstance(provider, Map):
            where = root.source.position(provider.values_at["type"])
            yield name, Place(where, (), root.source.line(where.line))


def _layers(node: Map, key: str, label: str, folder: str) -> Iterator[Layer]:
    section = node.get(key)
    if isinstance(section, Map):
        yield Layer(label, section, folder)


def _overlay(profile: Layer | None, key: str) -> Iterator[Layer]:
    if profile is not None:
        yield from _layers(profile.node, key, profile.label, "")


def _presets(node: Map, folder: str, namespace: str) -> Mapping[str, Layer]:
    presets = _members(node, "presets")
    return {name: Layer(f"preset {namespace}{name}", p, folder) for name, p in presets if isinstance(p, Map)}


def _with_profile(manifest: Manifest, profile: Profile | None) -> Manifest:
    if profile is None or profile.budget is None:
        return manifest
    return manifest.model_copy(update={"budget": profile.budget})
