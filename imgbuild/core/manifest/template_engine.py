"""The template engine: compiles stretches of texts, renders them within limits, and places its failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import (
    FunctionLoader,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    meta,
    nodes,
)

from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.template_guard import METER, Meter, MissingName, Sandbox, TooMuch, names_read
from imgbuild.core.manifest.template_parts import MAX_RENDERED, TAG, Stretch, TemplateFailure
from imgbuild.core.suggest import did_you_mean

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


class Engine:
    """Jinja, in a sandbox. `read` gives the text of an included file, or None."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._sandbox = Sandbox(FunctionLoader(read))
        self._templates: dict[str, Template] = {}

    def stretch(self, text: str, at: int) -> Stretch:
        """A stretch of a text, at an offset, compiled. Raises TemplateFailure."""
        try:
            tree = self._sandbox.parse(text)
            needs, needs_all = self._needs(tree, set())
            includes = any(True for _ in meta.find_referenced_templates(tree))
            self._templates[text] = self._sandbox.from_string(tree)
        except TemplateSyntaxError as error:
            raise _syntax_failure(error, text, at) from None
        except (RecursionError, MemoryError, SyntaxError):
            raise TemplateFailure("the template is nested too deeply", at) from None
        except (ValueError, OverflowError, TypeError, AssertionError) as error:
            raise TemplateFailure(f"the template cannot be read: {shown(str(error))}", at) from None
        return Stretch(text, frozenset(needs), needs_all, includes)

    def _needs(self, tree: nodes.Template, seen: set[str]) -> tuple[set[str], bool]:
        """The names that a template and the files that it includes read."""
        needs = names_read(tree)
        needs_all = False
        for name in meta.find_referenced_templates(tree):
            if name is None:
                needs_all = True
            elif name not in seen:
                seen.add(name)
                text = self._read(name)
                try:
                    inner, all_ = self._needs(self._sandbox.parse(text or ""), seen)
                # Reported with its place when the file is rendered.
                except (TemplateSyntaxError, ValueError, RecursionError):
                    continue
                needs |= inner
                needs_all |= all_
        return needs, needs_all

    def render(
        self,
        text: str,
        parts: Sequence[tuple[int, Stretch]],
        values: Mapping[str, Any],
        known: Iterable[str] = (),
    ) -> str:
        """A text whose `parts`, each at its offset, are rendered; what is between them stands as it is.

        `known`: more names for "did you mean". Raises TemplateFailure.
        """
        # The texts between the parts are as long as they are, whatever is rendered.
        size = len(text) - sum(len(part.text) for _, part in parts)
        made: list[str] = []
        end = 0
        at, part = parts[0]
        try:
            context = self._template(part, at).new_context({**values, METER: Meter()})
            for at, part in parts:
                made.append(text[end:at])
                end = at + len(part.text)
                for piece in self._template(part, at).root_render_func(context):
                    size += len(piece)
                    if size > MAX_RENDERED:
                        raise TooMuch(f"the rendered text is longer than {MAX_RENDERED:,} characters")
                    made.append(piece)
        # Untrusted code runs here; whatever it raises is its own error.
        except Exception as error:
            raise self._failure(error, part, at, [*values, *known]) from None
        made.append(text[end:])
        return "".join(made)

    def _template(self, part: Stretch, at: int) -> Template:
        if part.text not in self._templates:
            self.stretch(part.text, at)
        return self._templates[part.text]

    def _failure(self, error: Exception, part: Stretch, at: int, names: Iterable[str]) -> TemplateFailure:
        """What a part's error means; `at` is its offset in the text."""
        offset, name = _place(error, self._template(part, at))
        at = 0 if name is not None else at
        if isinstance(error, TemplateSyntaxError):
            return _syntax_failure(error, "", name=error.name)
        if isinstance(error, TemplateNotFound):
            return TemplateFailure(
                f'there is no file "{shown(str(error.name))}" to include', at + offset, name=name
            )
        if isinstance(error, MissingName) and error.name is not None:
            text = part.text if name is None else self._read(name) or ""
            where = at + _name_offset(text, offset, error.name)
            owner = error.owner
            known = names if owner is None else owner if isinstance(owner, Mapping) else ()
            members = sorted({shown(str(name)) for name in known})
            hint = did_you_mean(error.name, members)
            if hint is None and members:
                hint = f"known here: {', '.join(members[:20])}"
            what = "is undefined" if owner is None else "is no member of this value"
            return TemplateFailure(f'"{shown(error.name)}" {what}', where, name=name, hint=hint)
        if isinstance(error, RecursionError | MemoryError):
            return TemplateFailure("the template is nested too deeply", at + offset, name=name)
        if isinstance(error, UndefinedError | TooMuch):
            return TemplateFailure(shown(str(error)), at + offset, name=name)
        return TemplateFailure(f"the template fails: {shown(str(error))}", at + offset, name=name)


def _syntax_failure(
    error: TemplateSyntaxError, text: str, at: int = 0, name: str | None = None
) -> TemplateFailure:
    offset = error.lineno
    # The last token is where a text that ends too early is noticed.
    if text and offset >= len(text):
        offset = len(text) - 1
    message = (error.message or "syntax error").rstrip(".")
    return TemplateFailure(f"template: {shown_message(message)}", at + offset, name=name)


def shown_message(message: str) -> str:
    """A message of the engine's, on one line."""
    return " ".join(message.split())[:200]


def _place(error: Exception, template: Template) -> tuple[int, str | None]:
    """The offset and the file of the innermost template in a traceback."""
    offset, name = 0, None
    traceback = error.__traceback__
    while traceback is not None:
        inner = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(inner, Template):
            offset = inner.get_corresponding_lineno(traceback.tb_lineno)
            name = None if inner is template else inner.name
        traceback = traceback.tb_next
    return offset, name


def _name_offset(text: str, offset: int, name: str) -> int:
    """Where `name` stands at or behind `offset`, inside a tag and outside of a string."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for tag in TAG.finditer(text):
        if tag.end() <= offset:
            continue
        code = _STRING.sub(lambda m: " " * len(m[0]), tag[0])
        # A call stands at its bracket, behind the name.
        found = word.search(code, max(0, offset - tag.start())) or word.search(code)
        if found:
            return tag.start() + found.start()
    return offset
