"""imgbuild: a build tool for generated images. Opening this package imports nothing heavy."""

from __future__ import annotations

# Not from typing: to import that takes longer than most of what is imported here.
TYPE_CHECKING = False

__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from imgbuild.core.errors import ImgbuildError
    from imgbuild.core.manifest.model import Manifest
    from imgbuild.core.plan.action import Plan
    from imgbuild.run.door import build, load, plan

__all__ = ["ImgbuildError", "Manifest", "Plan", "__version__", "build", "load", "plan"]

_HOMES = {
    "ImgbuildError": "imgbuild.core.errors",
    "Manifest": "imgbuild.core.manifest.model",
    "Plan": "imgbuild.core.plan.action",
    "build": "imgbuild.run.door",
    "load": "imgbuild.run.door",
    "plan": "imgbuild.run.door",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
