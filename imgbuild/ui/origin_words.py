"""Where a file comes from, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgbuild.core.image import Json
from imgbuild.ui.spans import Line, Span, line
from imgbuild.ui.values import money

_HOW: Mapping[str, str] = {
    "lock": "the accepted file {output}",
    "result": "a result as its service gave it",
    "adopted": "a file of a person's, adopted as an image",
    "output": "a file that was derived from a result",
    "metadata": "by its own metadata, which anybody can write",
    "credentials": "by its content credentials alone",
}


def origin_lines(origin: Mapping[str, Json]) -> list[Line]:
    """What is known about a file: `FileOrigin`, as JSON has it."""
    rows = [(name, str(value)) for name, value in _rows(origin) if value]
    width = max(len(name) for name, _ in rows) + 2
    head = line(Span(str(origin["file"]), "bold"))
    lines = [head]
    for name, value in rows:
        # A prompt may have lines of its own.
        for number, part in enumerate(value.splitlines()):
            lines.append(line("  ", Span(("" if number else name).ljust(width), "dim"), part))
    return lines


def _rows(origin: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    foreign = origin["provider"] == "adopted"
    how = "adopted" if foreign and origin["known"] == "result" else str(origin["known"])
    yield "known", _HOW[how].format(output=origin["output"])
    yield "image", origin["image_id"]
    yield "prompt", origin["prompt"]
    yield "not", origin["negative_prompt"]
    yield "model", origin["model"]
    yield "from", "a person's file" if foreign else origin["provider"]
    yield "adopted" if foreign else "made", origin["created"]
    cost, unit = origin["cost"], origin["unit"]
    yield "cost", money(cost, str(unit or "USD")) if isinstance(cost, int | float) else None
    yield "key", origin["key"]
    yield "take", origin["take"]
    yield "digest", origin["digest"]
    if isinstance(origin["credentials"], dict):
        yield "credentials", "\n".join(credential_words(origin["credentials"]))


def credential_words(credentials: Mapping[str, Json]) -> Iterator[str]:
    """What a file is signed with, and whether that holds: `Credentials`, as JSON has it."""
    holds, problem = credentials["holds"], credentials["problem"]
    if holds is None:
        yield f"content credentials, which were not checked: {problem}"
        return
    yield "signed, and the signature holds" if holds else f"signed, but it does not hold: {problem}"
    signer, organisation = credentials["signer"], credentials["organisation"]
    if signer or organisation:
        who = ", ".join(str(name) for name in (signer, organisation) if name)
        # Which issuers of certificates are to be believed, nobody has told us.
        yield f"by {who} (as the certificate says; its issuer was not checked)"
    made = credentials["source_type"] and f"made as {credentials['source_type']}"
    told = credentials["made_with"] and f"with {credentials['made_with']}"
    if made or told:
        yield " ".join(str(words) for words in (made, told) if words)
