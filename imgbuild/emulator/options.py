"""How an emulated service behaves: everything that `imgbuild emulate` and the tests can choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from imgbuild.core.errors import UsageError
from imgbuild.core.suggest import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """The behaviour of one emulator.

    The readings at the end are what the services' documents leave open: a client has to live with each.
    """

    latency: float = 2.0
    """Seconds that a task takes, about; 0 finishes it within the submission."""
    jitter: float = 0.25
    """Spread of the latencies: the sigma of a log-normal law around `latency`, the same in every run."""
    fault: tuple[str, ...] = ()
    """Faults as NAME or NAME:K (the first K submissions only), see `known_faults`."""
    require_key: bool = True
    """Answer 401 without `Authorization: Bearer TOKEN`; any token will do."""
    price: float = 1.0
    """Units that one image costs."""
    ledger_file: Path | None = None
    """Also append each charge, as a line of JSON, to this file."""

    error_shape: Literal["flat", "openai"] = "flat"
    """An error's body: `{code, message, data: null}` or `{error: {message, type, param, code}}`."""
    task_error: Literal["string", "object"] = "string"
    """The `error` of a failed task: a text, or `{code, message}`."""
    submit_enveloped: bool = False
    """Wrap the answer to a submission in `{code, message, data}` as the answer to a query is."""
    native_statuses: bool = False
    """The gateway software's own words: QUEUED, IN_PROGRESS, SUCCESS, FAILURE."""
    refund_failed: bool = False
    """Take the charge back when a task ends as failed."""
    errors_under_200: bool = False
    """Answer what is no server error as HTTP 200, in the shape of an error (jimmyai, kyy)."""
    jimmyai_answers: Literal["reference", "integer-code", "flat", "faq"] = "reference"
    """Which of its pages the service follows: the reference's `{code: "20000", msg, data}`; the same with the
    number 20000; no envelope; or the names of the list of questions (taskId, mediaUrl, error_msg)."""
    jimmyai_references: Literal["either", "data-uri", "base64"] = "either"
    """Whether a "base64 string" has the prefix of a data: URI."""
    kyy_4k_ratios: Literal["all", "wide"] = "all"
    """At 4k gpt-image-2 takes every ratio, or only the six that the same model takes elsewhere."""
    gemini_format: Literal["png", "jpeg"] = "png"
    """How its pictures are encoded: nobody can choose, and nothing says."""
    gemini_refusal: Literal["prompt", "candidate", "words"] = "prompt"
    """How a policy's refusal looks: `promptFeedback.blockReason`, a `finishReason`, or only words."""
    gemini_chatter: bool = False
    """Thoughts, a draft among them, and words come before the picture."""
    images_answer: Literal["b64_json", "data-uri", "url"] = "b64_json"
    """How a picture stands in the answers of openai and jimmyai-sync: base64, such a URL, or a link."""
    any_model: bool = False
    """Let openai be a compatible server: every model's name, any size, any quality."""
    rate_limit: int = 0
    """Requests that openai takes in `rate_window` seconds; 0: no limit, and no headers about it."""
    rate_window: float = 60.0
    jimmyai_sync_code: Literal["integer", "string"] = "integer"
    """The envelope's code: 20000, or "20000"."""
    jimmyai_sync_sizes: Literal["grid", "three"] = "grid"
    """Which sizes there are: those of the model behind the service, or its three standard ones."""


_OWN_OPTIONS = frozenset({"latency", "fault", "ledger_file"})
"""What the command line has options of its own for."""


def with_readings(options: EmulatorOptions, words: Iterable[str]) -> EmulatorOptions:
    """The options with NAME=VALUE words applied: the readings, and whatever else has no option of its own.

    Raises:
        UsageError: there is no such name, or it cannot have that value.
    """
    kinds = {name: kind for name, kind in get_type_hints(EmulatorOptions).items() if name not in _OWN_OPTIONS}
    chosen: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        name = name.replace("-", "_")
        if name not in kinds:
            near = did_you_mean(name, kinds)
            raise UsageError(f'there is no reading "{name}"', remedy=near or f"known: {', '.join(kinds)}")
        chosen[name] = _value(name, kinds[name], text)
    return replace(options, **chosen)


def _value(name: str, kind: Any, text: str) -> object:
    allowed = get_args(kind) or (("true", "false") if kind is bool else ())
    if allowed and text not in allowed:
        raise UsageError(f'{name} cannot be "{text}"', remedy=f"allowed: {', '.join(allowed)}")
    if allowed:
        return text == "true" if kind is bool else text
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f'{name} must be a number, not "{text}"') from None
