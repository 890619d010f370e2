"""Markdown that holds texts from anywhere: none of them can become a link, a mention, a picture or a cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imgbuild.core.redact import escape
from imgbuild.ui.spans import clip

_MARK = re.compile(r"[\x21-\x2a:-<>-@\[-`{-~]")
"""ASCII punctuation but for what stands in paths, sizes and amounts and means nothing by itself."""
_WIDTH = 160
"""Columns of a text in a cell; a service's words can be long."""


def plain(text: str, width: int = _WIDTH) -> str:
    """`text` as it reads, whatever is in it: no letter of it is a mark of Markdown or HTML."""
    return _MARK.sub(lambda mark: f"&#{ord(mark[0])};", clip(escape(text), width))


def code(text: str, width: int = _WIDTH) -> str:
    """`text` set as code, where no name is a mention and no number an issue."""
    return f"<code>{plain(text, width)}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown. Nothing when there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines]) + "\n"
