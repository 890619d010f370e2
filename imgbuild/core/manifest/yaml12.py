"""YAML 1.2 (core schema) to a tree that knows where each key and value stands, with limits."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol, cast

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from imgbuild.core.manifest.source import Source

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML without libyaml: slower, same events
    CParser = None  # type: ignore[assignment, misc]

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 100
MAX_ALIASED = 100_000
_INT64 = 2**63

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAG = "tag:yaml.org,2002:"
# YAML 1.2, 5.1: what a stream may contain.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Map(dict[str, Any]):
    """A mapping. Keys are always text, as written. `at` and the others are offsets into `source`."""

    __slots__ = ("at", "keys_at", "source", "values_at")
    source: Source
    at: int
    keys_at: dict[str, int]
    values_at: dict[str, int]


class Seq(list[Any]):
    """A sequence, with the offset of each item."""

    __slots__ = ("at", "items_at", "source")
    source: Source
    at: int
    items_at: list[int]


Node = None | bool | int | float | str | Map | Seq


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the text, at an offset."""

    message: str
    at: int
    hint: str | None = None


class _Fatal(Exception):
    """Stops the reading: what follows cannot be made sense of."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Events(Protocol):
    def get_event(self) -> Event: ...


def _events(text: str) -> _Events:
    if CParser is not None:
        return cast(_Events, CParser(text))
    return pure_events(text)


def pure_events(text: str) -> _Events:
    """The same events from PyYAML's own parser, which is always there."""
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class PureParser(Reader, Scanner, Parser):
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)

    return cast(_Events, PureParser(text))


def parse_yaml(
    source: Source, events: _Events | None = None, *, text: str | None = None
) -> tuple[Node, list[Problem]]:
    """The one document of a text, and everything wrong with it: with problems the tree is a guess.

    `text`: the source's text with parts of it made comments, to be read in its place.
    """
    bad = _UNPRINTABLE.search(source.text)
    if bad:
        what = f"the character {bad[0]!a} cannot stand in YAML"
        return None, [Problem(what, bad.start(), "remove it, or write it as an escape in double quotes")]
    builder = _Builder(source)
    try:
        builder.read(events or _events(source.text if text is None else text))
    except _Fatal as error:
        builder.problems.append(error.problem)
    except MarkedYAMLError as error:
        builder.problems.append(_syntax(error))
    except YAMLError as error:
        builder.problems.append(Problem(f"not YAML: {error}", 0))
    except RecursionError:
        builder.problems.append(Problem("nested too deeply", 0))
    return builder.root, builder.problems


def _syntax(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    words = [w for w in (error.context, error.problem) if w]
    message = "; ".join(words) or "not YAML"
    hint = None
    if "cannot start any token" in message:
        hint = "put the value in quotes"
    elif "mapping values are not allowed" in message:
        hint = "a value with a colon and a space in it needs quotes"
    elif "found undefined tag handle" in message:
        hint = "a value that begins with ! needs quotes"
    return Problem(f"not YAML: {message}", mark.index if mark else 0, hint)


class _Frame:
    """An open container."""

    __slots__ = ("anchor", "key", "key_at", "merges", "node", "start")

    def __init__(self, node: Map | Seq, anchor: str | None, start: int) -> None:
        self.node = node
        self.anchor = anchor
        self.start = start
        self.key: str | None = None
        self.key_at = 0
        self.merges: list[Map] | None = None


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.root: Node = None
        self._documents = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._count = 0
        self._aliased = 0

    def read(self, events: _Events) -> None:
        get_event = events.get_event
        while True:
            event: Any = get_event()
            kind = type(event)
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._open(event, kind is MappingStartEvent)
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    at = event.start_mark.index
                    raise _Fatal(Problem("a second document begins here; one file holds one", at))
            elif kind is StreamEndEvent:
                return
            elif self._stack:
                self._close()

    def _scalar(self, event: Any) -> None:
        value: str = event.value
        at: int = event.start_mark.index
        self._count += 1
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and type(frame.node) is Map:
            self._key(frame, value, at, merge=value == "<<" and event.implicit[0] and event.tag is None)
            if event.anchor is not None:
                self._anchors[event.anchor] = (value, at, 1)
            return
        tag = event.tag
        node: Node
        if tag is None:
            # implicit[0]: plain; anything quoted or in a block is text.
            node = self._plain(value, at) if event.implicit[0] else value
        else:
            node = self._tagged(value, tag, at)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, at, 1)
        self._attach(node, at)

    def _key(self, frame: _Frame, key: str, at: int, *, merge: bool) -> None:
        frame.key, frame.key_at = key, at
        if merge:
            if frame.merges is None:
                frame.merges = []
            frame.key_at = -1 - at
            return
        node = cast(Map, frame.node)
        if key in node:
            first = self.source.position(node.keys_at[key])
            self.problems.append(
                Problem(
                    f'duplicate key "{key}"; it is first given on line {first.line}', at, "remove one of them"
                )
            )

    def _plain(self, value: str, at: int) -> Node:
        if value in _WORDS:
            return _WORDS[value]
        first = value[0]
        # Most texts begin with a letter: no number does.
        if first not in "+-.0123456789":
            return value
        if _INT.fullmatch(value):
            return self._integer(value, at)
        if _FLOAT.fullmatch(value):
            number = float(value)
            if math.isinf(number):
                self.problems.append(Problem("the number is too large", at, "put it in quotes if it is text"))
            return number
        if _INFINITE.fullmatch(value):
            return -math.inf if first == "-" else math.inf
        return math.nan if value in (".nan", ".NaN", ".NAN") else value

    def _integer(self, value: str, at: int) -> int:
        # Python refuses to read thousands of digits, and so long before that do we.
        base = 8 if value.startswith("0o") else 16 if value.startswith("0x") else 10
        digits = value[2:] if base != 10 else value
        significant = digits.lstrip("+-").lstrip("0")
        number = int(digits, base) if len(significant) <= 40 and len(digits) <= 4000 else _INT64
        if not -_INT64 <= number < _INT64:
            self.problems.append(
                Problem("the number does not fit into 64 bits", at, "put it in quotes if it is text")
            )
            return 0
        return number

    def _tagged(self, value: str, tag: str, at: int) -> Node:
        if tag in ("!", _TAG + "str"):
            return value
        resolved: Node = None
        if tag in (_TAG + "null", _TAG + "bool", _TAG + "int", _TAG + "float"):
            resolved = self._plain(value, at)
        fits = {
            _TAG + "null": resolved is None and value in _WORDS,
            _TAG + "bool": isinstance(resolved, bool),
            _TAG + "int": isinstance(resolved, int) and not isinstance(resolved, bool),
            _TAG + "float": isinstance(resolved, float),
        }.get(tag)
        if fits is None:
            self._unknown_tag(tag, at)
        elif not fits:
            if tag == _TAG + "float" and isinstance(resolved, int) and not isinstance(resolved, bool):
                return float(resolved)
            self.problems.append(Problem(f"the value is no {tag.removeprefix(_TAG)}", at))
        return resolved

    def _unknown_tag(self, tag: str, at: int) -> None:
        name = tag.replace(_TAG, "!!")
        self.problems.append(
            Problem(
                f"the tag {name} is not allowed",
                at,
                "only YAML 1.2's core tags, such as !!str, have a meaning",
            )
        )

    def _open(self, event: Any, is_map: bool) -> None:
        at: int = event.start_mark.index
        self._count += 1
        if len(self._stack) >= MAX_DEPTH:
            raise _Fatal(Problem(f"nested deeper than {MAX_DEPTH} levels", at))
        if event.tag not in (None, "!", _TAG + ("map" if is_map else "seq")):
            self._unknown_tag(event.tag, at)
        if self._stack and self._stack[-1].key is None and type(self._stack[-1].node) is Map:
            raise _Fatal(Problem("a key must be text, not a list or a mapping", at))
        node: Map | Seq
        if is_map:
            node = Map()
            node.keys_at = {}
            node.values_at = {}
        else:
            node = Seq()
            node.items_at = []
        node.source = self.source
        node.at = at
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(node, event.anchor, self._count))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.merges:
            _merge(cast(Map, frame.node), frame.merges)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.node, frame.node.at, self._count - frame.start + 1)
        self._attach(frame.node, frame.node.at)

    def _alias(self, event: NodeEvent) -> None:
        assert event.start_mark is not None
        at: int = event.start_mark.index
        name = cast(str, event.anchor)
        if name not in self._anchors:
            raise _Fatal(Problem(f'the alias "*{name}" has no anchor "&{name}" before it', at))
        known = self._anchors[name]
        if known is None:
            raise _Fatal(Problem(f'the alias "*{name}" stands inside its own anchor', at))
        node, node_at, size = known
        self._count += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _Fatal(Problem(f"aliases make more than {MAX_ALIASED:,} nodes", at))
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and type(frame.node) is Map:
            if not isinstance(node, str):
                raise _Fatal(Problem("a key must be text", at))
            self._key(frame, node, at, merge=False)
            return
        # A scalar's place is where its text stands, so that a caret can point inside it.
        self._attach(node, at if isinstance(node, Map | Seq) else node_at)

    def _attach(self, node: Node, at: int) -> None:
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        container = frame.node
        if type(container) is Seq:
            container.append(node)
            container.items_at.append(at)
            return
        key = cast(str, frame.key)
        frame.key = None
        assert isinstance(container, Map)
        if frame.key_at < 0:
            self._merge_value(frame, node, at)
        elif key not in container:
            container[key] = node
            container.keys_at[key] = frame.key_at
            container.values_at[key] = at

    def _merge_value(self, frame: _Frame, node: Node, at: int) -> None:
        parts = [node] if isinstance(node, Map) else node
        if not isinstance(parts, list) or not all(isinstance(p, Map) for p in parts):
            raise _Fatal(Problem("<< merges a mapping, or a list of mappings", at))
        assert frame.merges is not None
        frame.merges.extend(parts)


def _merge(node: Map, parts: list[Map]) -> None:
    """Add the keys that `node` lacks; of several parts the earlier one wins."""
    for part in parts:
        for key, value in part.items():
            if key not in node:
                node[key] = value
                node.keys_at[key] = part.keys_at[key]
                node.values_at[key] = part.values_at[key]
