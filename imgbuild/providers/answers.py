"""What services' JSON says, in any dialect: error words, task states, and a task's outcome. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import urljoin

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.redact import clean_json
from imgbuild.core.retry import Phase, kind_of_business_error, kind_of_words
from imgbuild.providers.base import Finished, Pending, Result, UrlResult


class State(Enum):
    """What a status word means."""

    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


# Letters only, lower case: services write IN_PROGRESS, "in progress" and inProgress for one thing.
_WORKING = frozenset(
    {"queued", "pending", "submitted", "notstart", "waiting", "queuing", "inqueue", "starting", "created"}
    | {"processing", "inprogress", "running", "generating"}
)
_DONE = frozenset({"completed", "succeeded", "success", "succeed", "ready", "finished", "done"})
_FAILED = frozenset(
    {"failed", "failure", "fail", "error", "cancelled", "canceled", "aborted", "expired", "timeout"}
)

_TASK_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%?")
_TEXT_MEMBERS = ("message", "msg", "error_message", "error_msg", "detail", "reason", "fail_reason")
_CODE_MEMBERS = ("code", "type", "status")


def parse_json(body: bytes | bytearray) -> Json:
    """JSON with the numbers that JSON does not have (NaN, 1e999) read as null. Raises ValueError."""
    value: Json = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    return value


def state_of(word: str) -> State:
    """The meaning of a status word, whatever its case and separators."""
    letters = re.sub(r"[^a-z]", "", word.lower())
    if letters in _WORKING:
        return State.WORKING
    if letters in _DONE:
        return State.DONE
    return State.FAILED if letters in _FAILED or letters.endswith("moderated") else State.UNKNOWN


def members(value: Json) -> dict[str, Json]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Json) -> str:
    """A string or whole number as text; anything else is empty."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        return ""
    # No service numbers anything beyond 64 bits, and Python refuses to print 5,000 digits.
    return str(value) if abs(value) < 2**64 else ""


def words_of(error: Json) -> str:
    """What an error value says: its messages, then its codes in brackets.

    Takes a string, a list, and objects like `{message, type, param, code}`, `{code, msg}`, `{detail}`
    or `{error: ...}`.
    """
    texts = list(dict.fromkeys(filter(None, _texts(error, _TEXT_MEMBERS, bare=True))))
    codes = [
        c for c in dict.fromkeys(filter(None, _texts(error, _CODE_MEMBERS, bare=False))) if c not in texts
    ]
    if not texts:
        return ", ".join(codes)
    return "; ".join(texts) + (f" ({', '.join(codes)})" if codes else "")


def retry_delay_of(answer: Json) -> str | None:
    """The seconds that an error in Google's shape asks to wait, as text: `details: [{retryDelay: "37s"}]`."""
    details = members(members(answer).get("error")).get("details")
    for detail in details if isinstance(details, list) else []:
        delay = text_of(members(detail).get("retryDelay"))
        if delay.endswith("s"):
            return delay.removesuffix("s")
    return None


def task_id_of(value: Json) -> str | None:
    """A task id that can safely be put into a path; None for anything else, which is hostile or absent."""
    text = text_of(value)
    return text if _TASK_ID.fullmatch(text) and ".." not in text and text != "." else None


def progress_of(value: Json) -> float | None:
    """Progress from 0 to 1: "50%" and 50 are a half; None when it is not told."""
    text = repr(value) if isinstance(value, float) else text_of(value)
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        return None
    number = float(match[1])
    fraction = number if isinstance(value, float) and number <= 1 else number / 100
    return min(fraction, 1.0) if math.isfinite(fraction) else None


def urls_of(*candidates: Json) -> tuple[str, ...]:
    """The first candidate that holds links: a string, a list of strings, or of objects with a `url`."""
    for candidate in candidates:
        items = candidate if isinstance(candidate, list) else [candidate]
        links = [members(item).get("url") if isinstance(item, dict) else item for item in items]
        found = tuple(link for link in links if isinstance(link, str) and link)
        if found:
            return found
    return ()


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """The parts of a service's task object, taken out by its dialect and not yet judged."""

    task_id: Json
    status: Json
    urls: tuple[str, ...] = ()
    error: Json = None
    progress: Json = None
    usage: Mapping[str, Json] = field(default_factory=dict)


def outcome(
    answer: TaskAnswer, asked: str | None, meaning: Callable[[str], State] = state_of
) -> Pending | Finished | ProviderFailure:
    """Judge a task object. `asked` is the id that was polled; None: this answers a submission.

    `meaning` tells what a status word means, for services with words of their own.
    """
    task_id = asked or task_id_of(answer.task_id)
    if asked is None and task_id is None and answer.task_id not in (None, ""):
        return unreadable("the service gave a task id that cannot be used", asked)
    word = text_of(answer.status)
    state = meaning(word)
    if state is State.FAILED:
        words = words_of(answer.error)
        refused = kind_of_words(f"{word} {words}") is FailureKind.REFUSED
        kind = FailureKind.REFUSED if refused else FailureKind.FAILED
        return ProviderFailure(kind, f"the task ended as {word}" + (f": {words}" if words else ""))
    if state is State.DONE:
        if not answer.urls:
            return ProviderFailure(FailureKind.UNUSABLE, f"the task ended as {word}, without a result")
        return Finished(tuple(map(UrlResult, answer.urls)), task_id, answer.usage)
    if task_id is None:
        return unreadable("the service accepted the request but gave no task id", asked)
    warning = None
    if state is State.UNKNOWN:
        said = f'the unknown status "{word}"' if word else "no status"
        warning = f"the service gave {said} for a task: taken for still running"
    return Pending(task_id, word, progress_of(answer.progress), warning)


def business_error(error: Json, asked: str | None) -> ProviderFailure:
    """The failure of an answer that is an error, although HTTP called it a success."""
    words = words_of(error)
    kind = kind_of_business_error(words, Phase.SUBMIT if asked is None else Phase.POLL)
    return ProviderFailure(kind, f"the service answered with an error: {words or 'no reason given'}")


def made_safe(finished: Finished, base_url: str, secrets: Iterable[str | None]) -> Finished:
    """Results with absolute links, and a usage that can be shown and stored."""

    def absolute(result: Result) -> Result:
        if not isinstance(result, UrlResult) or result.url[:5].lower() == "data:":
            return result
        try:
            return UrlResult(urljoin(base_url + "/", result.url))
        except ValueError:
            # Not an address at all; the download says so in its own words.
            return result

    usage = members(clean_json(dict(finished.usage), tuple(secrets)))
    return replace(finished, results=tuple(map(absolute, finished.results)), usage=usage)


def unreadable(message: str, asked: str | None) -> ProviderFailure:
    """An accepted request whose answer cannot be used: charged perhaps, or simply asked again."""
    return ProviderFailure(FailureKind.AMBIGUOUS if asked is None else FailureKind.TRANSIENT, message)


def _texts(value: Json, names: tuple[str, ...], *, bare: bool, depth: int = 4) -> Iterator[str]:
    """The texts under the given member names; with `bare`, a text that stands alone counts too."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for name in names:
            yield text_of(value.get(name))
        for name in ("error", "errors", "detail", "data", "message"):
            if isinstance(inner := value.get(name), dict | list) or name == "error":
                yield from _texts(inner, names, bare=bare, depth=depth - 1)
    elif isinstance(value, list):
        for item in value[:10]:
            yield from _texts(item, names, bare=bare, depth=depth - 1)
    elif bare:
        yield text_of(value)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
