"""Templates: text and values to text, with limits, and errors that know their place in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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

from imgbuild.core.manifest.fields import is_template, shown
from imgbuild.core.manifest.template_guard import (
    MAX_RENDERED,
    METER,
    Meter,
    MissingName,
    Sandbox,
    TooMuch,
    names_read,
)
from imgbuild.core.suggest import did_you_mean

MAX_CODE = 48 * 1024
"""Characters inside a template's tags: compiling takes long for more. The text around them is free."""
_TAG = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_OPENING = re.compile(r"\{[{%#]")
# A tag that ends where its first }} is, and takes no white space from around it.
_PLAIN_TAG = re.compile(r"\{\{(?![-+])[^{}'\"]*(?<![-+])\}\}")
_NAME_TAG = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}", re.ASCII)


class TemplateFailure(ValueError):
    """A template that cannot be rendered: what, at which offset of which text."""

    def __init__(
        self, message: str, offset: int, *, name: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.name = name
        """The path of the included file that is meant; None for the text itself."""
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a text that the engine has compiled."""

    text: str
    template: Template
    needs: frozenset[str]
    needs_all: bool
    includes: bool

    @property
    def name(self) -> str:
        """The name that is all of it, as in `{{ item }}`; empty for anything else."""
        tag = _NAME_TAG.fullmatch(self.text)
        return tag[1] if tag and self.needs == {tag[1]} else ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A text ready to be rendered. `needs` are the names that it reads."""

    text: str
    parts: tuple[tuple[int, _Part], ...] = ()
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
        self._sandbox = Sandbox(FunctionLoader(read))
        self._compiled: dict[str, Compiled] = {}
        self._parts: dict[str, _Part] = {}

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
        if len(text) > MAX_CODE and sum(len(tag[0]) for tag in _TAG.finditer(text)) > MAX_CODE:
            raise TemplateFailure(f"the template has more than {MAX_CODE:,} characters of code", 0)
        parts = tuple((start, self._part(text[start:end], start)) for start, end in _stretches(text))
        found = tuple(part.name for _, part in parts)
        names = found if all(found) else ()
        if len(parts) == 1:
            part = parts[0][1]
            return Compiled(text, parts, part.needs, part.needs_all, part.includes, names)
        # Of several parts none has a statement, and so none includes a file.
        needs = frozenset().union(*(part.needs for _, part in parts))
        return Compiled(text, parts, needs, names=names)

    def _part(self, text: str, at: int) -> _Part:
        """The stretch at an offset. Raises TemplateFailure."""
        found = self._parts.get(text)
        if found is not None:
            return found
        try:
            tree = self._sandbox.parse(text)
            needs, needs_all = self._needs(tree, set())
            includes = any(True for _ in meta.find_referenced_templates(tree))
            part = _Part(text, self._sandbox.from_string(tree), frozenset(needs), needs_all, includes)
        except TemplateSyntaxError as error:
            raise _syntax_failure(error, text, at) from None
        except (RecursionError, MemoryError, SyntaxError):
            raise TemplateFailure("the template is nested too deeply", at) from None
        except (ValueError, OverflowError, TypeError, AssertionError) as error:
            raise TemplateFailure(f"the template cannot be read: {shown(str(error))}", at) from None
        self._parts[text] = part
        return part

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

    def render(self, compiled: Compiled, values: Mapping[str, Any], known: Iterable[str] = ()) -> str:
        """The text with its values. `known` are more names for "did you mean". Raises TemplateFailure."""
        if not compiled.parts:
            return compiled.text
        text = _filled_in(compiled, values)
        if text is None:
            text = self._rendered(compiled, values, known)
        if not text.isascii() or not text.isprintable():
            unfit = _UNFIT.search(text)
            if unfit:
                raise TemplateFailure(f"the rendered text holds the character {unfit[0]!a}", 0)
        return text

    def _rendered(self, compiled: Compiled, values: Mapping[str, Any], known: Iterable[str]) -> str:
        """What the engine makes of a text."""
        # The texts between the parts are as long as they are, whatever is rendered.
        size = len(compiled.text) - sum(len(part.text) for _, part in compiled.parts)
        made: list[str] = []
        end = 0
        at, part = compiled.parts[0]
        try:
            context = part.template.new_context({**values, METER: Meter()})
            for at, part in compiled.parts:
                made.append(compiled.text[end:at])
                end = at + len(part.text)
                for piece in part.template.root_render_func(context):
                    size += len(piece)
                    if size > MAX_RENDERED:
                        raise TooMuch(f"the rendered text is longer than {MAX_RENDERED:,} characters")
                    made.append(piece)
        # Untrusted code runs here; whatever it raises is its own error.
        except Exception as error:
            raise self._failure(error, part, at, [*values, *known]) from None
        made.append(compiled.text[end:])
        return "".join(made)

    def _failure(self, error: Exception, part: _Part, at: int, names: Iterable[str]) -> TemplateFailure:
        """What a part's error means; `at` is its offset in the text."""
        offset, name = _place(error, part.template)
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


def _stretches(text: str) -> list[tuple[int, int]]:
    """Where the engine has something to do: the tags one by one, where they stand for themselves; all of
    it where there are statements, comments, strings with braces, or white space to be trimmed."""
    whole = [(0, len(text))]
    # The engine reads every kind of line break as a line feed.
    if "\r" in text:
        return whole
    tags: list[tuple[int, int]] = []
    opening = _OPENING.search(text)
    while opening:
        tag = _PLAIN_TAG.match(text, opening.start())
        if tag is None:
            return whole
        tags.append(tag.span())
        opening = _OPENING.search(text, tag.end())
    return tags


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
    for tag in _TAG.finditer(text):
        if tag.end() <= offset:
            continue
        code = _STRING.sub(lambda m: " " * len(m[0]), tag[0])
        # A call stands at its bracket, behind the name.
        found = word.search(code, max(0, offset - tag.start())) or word.search(code)
        if found:
            return tag.start() + found.start()
    return offset
