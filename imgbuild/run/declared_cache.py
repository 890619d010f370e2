"""What a manifest says about its cache, whatever else is wrong with it: that hides no bill and no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from imgbuild.core.manifest.model import CacheConfig
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.yaml12 import Map, parse_yaml
from imgbuild.run.files import DiskFiles

if TYPE_CHECKING:
    from imgbuild.run.workspace import Invocation


def declared_cache(invocation: Invocation) -> tuple[CacheConfig | None, bool]:
    """The settings, and whether they could be read as far as there are any."""
    if not (invocation.root / invocation.manifest).is_file():
        return None, True
    try:
        source = Reading(DiskFiles(invocation.root), "").source(invocation.manifest)
    except FileProblem:
        return None, False
    tree, problems = parse_yaml(source)
    declared = tree.get("cache") if isinstance(tree, Map) else None
    if not isinstance(declared, Map):
        return None, not problems
    try:
        return CacheConfig.model_validate(dict(declared)), True
    except ValidationError:
        return None, False
