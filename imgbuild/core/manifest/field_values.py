"""A rendered field's value: text to what an `Image` holds, or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from imgbuild.core.image import (
    FILE_FORMATS,
    FileReference,
    ImageReference,
    Reference,
    UrlReference,
    output_format,
)
from imgbuild.core.manifest import fields
from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.safepath import output_reason, safe_path
from imgbuild.core.suggest import did_you_mean

_URL = re.compile(r"(?i)https?://[^\s/?#@]+([/?#]\S*)?")


def _stripped(text: str) -> str:
    return fields.parse_line(text).strip()


def _as_is(text: str) -> str:
    return text


PARSERS: dict[str, Callable[[str], Any]] = {
    "prompt": _stripped,
    "negative_prompt": str.strip,
    "model": _stripped,
    "provider": _stripped,
    "size": fields.parse_size,
    "ratio": fields.parse_ratio,
    "resolution": fields.parse_resolution,
    "quality": fields.parse_word,
    "background": fields.parse_background,
    "format": fields.parse_word,
    "fit": fields.parse_fit,
    "seed": fields.parse_seed,
    "takes": fields.parse_takes,
    "alpha": fields.parse_alpha,
    "focus": fields.parse_focus,
    "alt": _as_is,
    "output": _as_is,
    "mask": _as_is,
    "prompt_file": _as_is,
    "references": _as_is,
    "tags": _stripped,
}


class Hinted(ValueError):
    """What is wrong with a value, and a remedy."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


class FieldValues:
    """Reads rendered texts. `providers` are the configured names; `manifest_paths` the collision keys of
    the manifest and of the files that it includes."""

    def __init__(self, reading: Reading, providers: Iterable[str], manifest_paths: frozenset[str]) -> None:
        self._reading = reading
        self.providers = (*providers, "placeholder")
        self._manifest_paths = manifest_paths

    def value(self, name: str, raw: str, folder: str) -> Any:
        """The value of a field's text, written in a file in `folder`. ValueError says what is wrong."""
        value = PARSERS[name](raw)
        if name == "output":
            return self._output(raw, folder)
        if name in ("mask", "references"):
            return self.reference(raw, folder)
        if name == "prompt_file":
            return safe_path(raw.strip(), folder)
        if name == "provider" and value not in self.providers:
            raise Hinted(f'there is no provider "{shown(value)}"', did_you_mean(value, self.providers))
        return value

    def _output(self, raw: str, folder: str) -> str:
        path = self.writable(raw, folder)
        if output_format(path) is None:
            raise ValueError(f'"{shown(path)}" must end in {", ".join(FILE_FORMATS)}')
        return path

    def writable(self, raw: str, folder: str) -> str:
        """The path that a text names, if a file may be written there. ValueError says why it may not."""
        path = safe_path(raw.strip(), folder)
        reason = output_reason(path, self._manifest_paths) or self._reading.output_problem(path)
        if reason:
            raise ValueError(f'"{shown(path)}" {reason}')
        return path

    def reference(self, raw: str, folder: str) -> Reference:
        """What a text under `references` or `mask` means. ValueError says what is wrong."""
        text = raw.strip()
        if text.startswith("@"):
            return ImageReference(text[1:])
        if "://" in text:
            if not _URL.fullmatch(text):
                raise ValueError(f'"{shown(text)}" is neither a file nor an http or https address')
            return UrlReference(text)
        path = safe_path(text, folder)
        reason = self._reading.problem(path)
        if reason:
            raise ValueError(f'"{shown(self._reading.shown(path))}" {reason}')
        return FileReference(path)
