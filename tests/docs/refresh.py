"""Rewrites what the documentation's examples print, by running them: `python tests/docs/refresh.py [PAGE...]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from doc_pages import PAGES, Reader, alike, blocks


def refreshed(page: str, home: Path) -> str:
    """The page with the outputs of today; what differs by chance alone stays as it is."""
    parts: list[str] = []
    done = 0
    with Reader(home) as reader:
        for block in blocks(page):
            ran = reader.follow(block)
            if ran:
                kept = (expected if alike(expected := step.expected, said) else said for step, said in ran)
                lines = [f"$ {step.command}\n{output}" for (step, _), output in zip(ran, kept, strict=True)]
                parts += [page[done : block.start], *lines]
                done = block.end
    return "".join([*parts, page[done:]])


def main(names: list[str]) -> None:
    """Refresh the named pages, or all of them."""
    for path in [Path(name).resolve() for name in names] or PAGES:
        before = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as home:
            after = refreshed(before, Path(home).resolve())
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"refreshed {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
