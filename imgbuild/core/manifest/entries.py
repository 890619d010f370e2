"""A manifest's text as its `images:` entries and all the rest, told apart by lines and indentation.

Only a plain shape is understood: one `images:` at the left margin, and below it plain names at one
indentation. Whatever else there is, is no shape at all. That YAML sees the same entries is for the caller to
check, on the tree: `place` is the offset that it must then have.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass

_SECTION = re.compile(r"^images:[ \t]*(?:#[^\n]*)?\n", re.MULTILINE)
_FIRST = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*( +)[^ \n#]")
_NAME = re.compile(r"[A-Za-z0-9_][\w./-]*(?=:[ \n])")
# What one entry could have in common with another: anchors, aliases and tags stand where a value begins.
_SHARED = re.compile(r"(?:^|[\s\[{,:\-?])[&*!]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shape:
    """A manifest's entries: from where to where each stands, without what follows the last one."""

    text: str
    section_at: int
    """Where `images` stands."""
    spans: dict[str, tuple[int, int]]
    indent: int

    @property
    def rest(self) -> str:
        """Everything but the entries."""
        spans = [*self.spans.values()]
        return f"{self.text[: spans[0][0]]}\0{self.text[spans[-1][1] :]}"

    def entry(self, name: str) -> str:
        """The lines of an entry."""
        start, end = self.spans[name]
        return self.text[start:end]

    def place(self, name: str) -> int:
        """Where an entry's name stands."""
        return self.spans[name][0] + self.indent

    def without(self, names: Container[str]) -> str:
        """The text with a comment as long as each of these entries in its place: the others stay where they
        are."""
        parts = []
        at = 0
        for name, (start, end) in self.spans.items():
            if name in names:
                parts += [self.text[at:start], "#" * (end - start - 1), "\n"]
                at = end
        return "".join((*parts, self.text[at:]))


def shape_of(text: str) -> Shape | None:
    """The shape of a manifest's text; None where it is not the plain one."""
    sections = _SECTION.findall(text)
    section = _SECTION.search(text)
    if section is None or len(sections) != 1 or "\r" in text:
        return None
    first = _FIRST.match(text, section.end())
    if first is None:
        return None
    indent = len(first[1])
    # Lines that are indented no deeper than the names: the names themselves, and the section's end.
    lines = re.compile(rf"^ {{0,{indent}}}(?=[^ \n#])", re.MULTILINE)
    starts: list[tuple[str, int]] = []
    end = len(text)
    for line in lines.finditer(text, section.end()):
        if line.end() == line.start():
            end = line.start()
            break
        name = _NAME.match(text, line.end())
        if name is None or line.end() - line.start() != indent:
            return None
        starts.append((name[0], line.start()))
    if not text.endswith("\n", 0, end) or len({name for name, _ in starts}) != len(starts):
        return None
    ends = [start for _, start in starts[1:]] + [end]
    spans = {name: (start, stop) for (name, start), stop in zip(starts, ends, strict=True)}
    return Shape(text, section.start(), spans, indent)


def shares(text: str) -> bool:
    """Whether a text might have an anchor, an alias or a tag, which lead out of it."""
    return _SHARED.search(text) is not None


def digest(*texts: str) -> str:
    """A short print of texts, their bounds included."""
    parts = (text.encode(errors="surrogatepass") for text in texts)
    return hashlib.sha256(b"\0".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()[:32]
