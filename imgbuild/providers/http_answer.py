"""The `http` type's answers: what a description's pointers find in them, and what it means. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.pointer import Pointer, Step
from imgbuild.providers.answers import (
    TaskAnswer,
    business_error,
    members,
    outcome,
    parse_json,
    state_of,
    text_of,
    words_of,
)
from imgbuild.providers.base import Finished, Pending
from imgbuild.providers.http_description import Description, Pointers

FOUND_LIMIT = 1_000
"""Values that one pointer finds at most: no request asks for more results."""

_DEPTH_LIMIT = 8
# How base64 of PNG, JPEG, GIF, WebP and AVIF begins. No link looks like that. The quantifiers are
# possessive: no text makes them go back.
_PICTURE = re.compile(r"(iVBORw0KGgo|/9j/|R0lGOD|UklGR|AAAA)[A-Za-z0-9+/_\-\s]*+={0,2}\s*+")
_FROM_URL_SAFE = str.maketrans("-_", "+/")


def parse(description: Description, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
    """What an answer says; `asked` is the polled id, None for the answer to a submission."""
    places = description.submitted if asked is None else description.polled
    code = _word(_first(answer, description.ok_at))
    if code is not None and code.casefold() not in description.ok_words:
        return business_error(answer, asked)
    links = _links(answer, places.results)
    error = _first(answer, places.error)
    if error is None and not places.error:
        error = members(answer).get("error")
    status = _word(_first(answer, places.status))
    if status is None:
        if not links and words_of(error):
            return business_error(error, asked)
        status = "done" if links or description.poll is None else "" if places.status else "running"
    usage = _first(answer, places.usage)
    judged = outcome(
        TaskAnswer(
            task_id=_first(answer, places.id),
            status=status,
            urls=links,
            error=error,
            progress=_first(answer, places.progress),
            usage=usage if isinstance(usage, dict) else {} if usage is None else {"usage": usage},
        ),
        asked,
        lambda word: description.words.get(word.casefold()) or state_of(word),
    )
    if description.poll is None and isinstance(judged, Pending):
        message = (
            f"the service answered without a result (status {judged.status}), and there is no poll to ask"
        )
        return ProviderFailure(FailureKind.UNUSABLE, message)
    return judged


def find(value: Json, pointer: Pointer) -> list[Json]:
    """Every value that stands there, in order; null and empty texts count as not there."""
    found = [value]
    for step in pointer:
        found = [inner for outer in found for inner in _inner(outer, step)][:FOUND_LIMIT]
    return [each for each in found if each is not None and each != ""]


def _inner(value: Json, step: Step) -> Iterable[Json]:
    if isinstance(value, str):
        # Some services put JSON into a text of their JSON.
        value = _json_in(value)
    if isinstance(step, str):
        return (value[step],) if isinstance(value, dict) and step in value else ()
    if not isinstance(value, list):
        return ()
    return value if step is None else value[step : step + 1]


def _json_in(text: str) -> Json:
    if not text.startswith(("{", "[")):
        return None
    try:
        return parse_json(text.encode())
    except (ValueError, RecursionError):
        return None


def _first(answer: Json, pointers: Pointers) -> Json:
    return next((found[0] for pointer in pointers if (found := find(answer, pointer))), None)


def _word(value: Json) -> str | None:
    """A status or code as text; None where there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_of(value) or None


def _links(answer: Json, pointers: Pointers) -> tuple[str, ...]:
    """The results of the first pointer that finds some, as links or data URLs."""
    for pointer in pointers:
        texts = [text for found in find(answer, pointer) for text in _texts(found, _DEPTH_LIMIT)]
        if texts:
            return tuple(map(_link, texts[:FOUND_LIMIT]))
    return ()


def _texts(value: Json, depth: int) -> Iterator[str]:
    """Texts as they are, those of lists, and the usual members of objects."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        yield from _texts(value.get("url") or value.get("b64_json"), depth - 1)


def _link(text: str) -> str:
    return f"data:;base64,{text.translate(_FROM_URL_SAFE)}" if _PICTURE.fullmatch(text) else text
