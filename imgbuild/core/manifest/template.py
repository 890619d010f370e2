"""Templates: text and values to text, with limits, and errors that know their place in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgbuild.core.manifest.fields import is_template
from imgbuild.core.manifest.template_parts import (
    MAX_RENDERED,
    TAG,
    Stretch,
    TemplateFailure,
    named,
    stretches,
)

if TYPE_CHECKING:
    from imgbuild.core.manifest.template_engine import Engine

MAX_CODE = 48 * 1024
"""Characters inside a template's tags: compiling takes long for more. The text around them is free."""
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A text ready to be rendered. `needs` are the names that it reads."""

    text: str
    parts: tuple[tuple[int, Stretch], ...] = ()
    """What the engine renders, each with its offset; the text between them stands as it is."""
    needs: frozenset[str] = frozenset()
    needs_all: bool = False
    """It includes a file whose name is not known before it is rendered."""
    includes: bool = False
    """It includes files at all."""
    names: tuple[str, ...] = ()
    """What its parts name, one by one, if every part is nothing but a name."""


class Templates:
    """Compiles each text once, and each of its tags once for all texts: a thousand prompts have the same
    few of them. `read` gives the text of an included file, or None."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._engine: Engine | None = None
        self._compiled: dict[str, Compiled] = {}
        self._stretches: dict[str, Stretch] = {}

    def compile(self, text: str) -> Compiled:
        """Parse a text. Raises TemplateFailure."""
        found = self._compiled.get(text)
        if found is None:
            found = self._compiled[text] = self._compile(text)
        return found

    def _compile(self, text: str) -> Compiled:
        if len(text) > MAX_RENDERED:
            raise TemplateFailure(f"the text is longer than {MAX_RENDERED:,} characters", 0)
        if not is_template(text):
            return Compiled(text)
        if len(text) > MAX_CODE and sum(len(tag[0]) for tag in TAG.finditer(text)) > MAX_CODE:
            raise TemplateFailure(f"the template has more than {MAX_CODE:,} characters of code", 0)
        parts = tuple((start, self._stretch(text[start:end], start)) for start, end in stretches(text))
        found = tuple(named(part.text) for _, part in parts)
        names = found if all(found) else ()
        if len(parts) == 1:
            part = parts[0][1]
            return Compiled(text, parts, part.needs, part.needs_all, part.includes, names)
        # Of several parts none has a statement, and so none includes a file.
        needs = frozenset().union(*(part.needs for _, part in parts))
        return Compiled(text, parts, needs, names=names)

    def _stretch(self, text: str, at: int) -> Stretch:
        """The stretch at an offset. Raises TemplateFailure."""
        found = self._stretches.get(text)
        if found is None:
            name = named(text)
            found = Stretch(text, frozenset({name})) if name else self._ready().stretch(text, at)
            self._stretches[text] = found
        return found

    def _ready(self) -> Engine:
        """The engine, which takes longer to import than most manifests to read."""
        if self._engine is None:
            from imgbuild.core.manifest.template_engine import Engine

            self._engine = Engine(self._read)
        return self._engine

    def render(self, compiled: Compiled, values: Mapping[str, Any], known: Iterable[str] = ()) -> str:
        """The text with its values. `known` are more names for "did you mean". Raises TemplateFailure."""
        if not compiled.parts:
            return compiled.text
        text = _filled_in(compiled, values)
        if text is None:
            text = self._ready().render(compiled.text, compiled.parts, values, known)
        if not text.isascii() or not text.isprintable():
            unfit = _UNFIT.search(text)
            if unfit:
                raise TemplateFailure(f"the rendered text holds the character {unfit[0]!a}", 0)
        return text


def _filled_in(compiled: Compiled, values: Mapping[str, Any]) -> str | None:
    """What the engine would make of a text whose tags only name texts; None where it has to say itself.

    Most prompts of a matrix are like that, and the engine takes ten times as long for them.
    """
    made: list[str] = []
    end, size = 0, len(compiled.text)
    for name, (at, part) in zip(compiled.names, compiled.parts, strict=False):
        value = values.get(name)
        # A list, a number or what is missing is the engine's business.
        if not isinstance(value, str):
            return None
        size += len(value)
        if size > MAX_RENDERED:
            return None
        made += (compiled.text[end:at], value)
        end = at + len(part.text)
    return "".join((*made, compiled.text[end:])) if made else None
