"""The `http` type's description: read from the manifest, checked as a whole, ready to be used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from imgbuild.core.blanks import names_in
from imgbuild.core.image import Json
from imgbuild.core.manifest.service_model import Answer, Auth, Ok, Poll, Statuses, Submit
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits
from imgbuild.core.pointer import Pointer, parse_pointer
from imgbuild.providers.answers import State
from imgbuild.providers.described import DescribedModels, first_problem, read_capabilities

Pointers = tuple[Pointer, ...]

_MOST_REFERENCES = 1000


@dataclass(frozen=True, slots=True)
class Places:
    """Where an answer holds what; of several pointers the first that finds something counts."""

    id: Pointers = ()
    status: Pointers = ()
    results: Pointers = ()
    error: Pointers = ()
    usage: Pointers = ()
    progress: Pointers = ()


@dataclass(frozen=True, slots=True)
class Description:
    """One service."""

    submit: Submit
    poll: Poll | None
    auth: Auth | None
    """None: no key is needed."""
    submitted: Places
    polled: Places
    models: DescribedModels
    words: Mapping[str, State] = field(default_factory=dict)
    """The service's own status words, in lower case."""
    ok_at: Pointers = ()
    ok_words: frozenset[str] = frozenset()


def read_description(options: Mapping[str, Json]) -> Description:
    """The service of a provider's entry in the manifest.

    Raises:
        ValueError: the description is wrong, or does not fit together; the message says where and what.
    """
    if "submit" not in options:
        raise ValueError("type http needs submit: the request that starts a generation")
    try:
        submit = Submit.model_validate(options["submit"])
        poll = Poll.model_validate(options["poll"]) if "poll" in options else None
        auth = None if options.get("auth") == "none" else Auth.model_validate(options.get("auth", {}))
        ok = Ok.model_validate(options["ok"]) if "ok" in options else None
        statuses = Statuses.model_validate(options.get("statuses", {}))
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    used = _used(submit)
    models = read_capabilities(options.get("capabilities"), _base(used, submit))
    problem = next(_contradictions(models, used), None)
    if problem is not None:
        raise ValueError(problem)
    submitted = _places(submit, Places(id=_parsed(submit.id)))
    return Description(
        submit,
        poll,
        auth,
        submitted,
        _places(poll, submitted) if poll else submitted,
        models,
        dict(_meanings(statuses)),
        _parsed(ok.pointer) if ok else (),
        frozenset(word.casefold() for word in ok.equals) if ok else frozenset(),
    )


def _used(submit: Submit) -> frozenset[str]:
    """The names that the request mentions; uploaded files count as such."""
    in_path = {"model"} if "{model}" in submit.path else set()
    return names_in(submit.template) | in_path | frozenset((submit.files or {}).values())


def _base(used: frozenset[str], submit: Submit) -> Capabilities:
    """What an image can ask for where the manifest does not say: what the request mentions, and no more."""
    most = 0
    if used & {"references", "references_base64"}:
        most = _MOST_REFERENCES
    elif used & {"reference", "reference_base64"}:
        most = 1
    return Capabilities(
        model=None,
        qualities=None if "quality" in used else (),
        backgrounds=None if "background" in used else (),
        formats=None if "format" in used else (),
        seed="seed" in used,
        negative_prompt="negative_prompt" in used,
        mask=bool(used & {"mask", "mask_base64"}),
        references=ReferenceLimits(most),
        # What the request says itself, params cannot say too.
        own_params=tuple(submit.template),
    )


def _contradictions(models: DescribedModels, used: frozenset[str]) -> Iterator[str]:
    """What is offered and never sent, and what is sent and never offered."""
    offers = [*map(_offers, models.all())]
    for names in offers:
        for name, through in names.items():
            if not any(set(way) <= used for way in through):
                ways = " or ".join(" and ".join(f"{{{{ {each} }}}}" for each in way) for way in through)
                yield f"capabilities offer {name}, and submit does not send it: its body needs {ways}"
    offered = {name for names in offers for name in names}
    for name, blanks in (
        ("sizes", {"size", "width", "height"}),
        ("ratios", {"ratio", "ratio_width", "ratio_height"}),
        ("resolutions", {"resolution"}),
    ):
        if used & blanks and name not in offered:
            sent = ", ".join(f"{{{{ {each} }}}}" for each in sorted(used & blanks))
            yield f"submit sends {sent}, and capabilities do not say which: {name} is missing"


def _offers(able: Capabilities) -> dict[str, tuple[tuple[str, ...], ...]]:
    """What a model offers, each with the blanks that it can be sent through."""
    several = able.references.max_count > 1
    first = () if several else (("reference",), ("reference_base64",))
    tiers = not able.resolutions_in_model and any(option.resolution for option in able.ratios)
    ways: Iterable[tuple[str, bool, tuple[tuple[str, ...], ...]]] = (
        ("sizes", bool(able.sizes or able.grid or able.default_size), (("size",), ("width", "height"))),
        ("ratios", bool(able.ratios), (("ratio",), ("ratio_width", "ratio_height"))),
        ("resolutions", tiers, (("resolution",),)),
        ("qualities", able.qualities != (), (("quality",),)),
        ("backgrounds", able.backgrounds != (), (("background",),)),
        ("formats", able.formats != (), (("format",),)),
        ("max_n", able.max_n > 1, (("n",),)),
        ("seed", able.seed, (("seed",),)),
        ("negative_prompt", able.negative_prompt, (("negative_prompt",),)),
        ("mask", able.mask, (("mask",), ("mask_base64",))),
        ("references", able.references.max_count > 0, (("references",), ("references_base64",), *first)),
    )
    return {name: through for name, offered, through in ways if offered}


def _places(answer: Answer, otherwise: Places) -> Places:
    """An answer's places; those that it does not name are as in `otherwise`."""
    names = ("status", "results", "error", "usage", "progress")
    own = {name: _parsed(getattr(answer, name)) for name in names}
    return replace(otherwise, **{name: pointers for name, pointers in own.items() if pointers})


def _parsed(pointers: Iterable[str] | None) -> Pointers:
    return tuple(map(parse_pointer, pointers or ()))


def _meanings(statuses: Statuses) -> Iterator[tuple[str, State]]:
    for state, words in (
        (State.DONE, statuses.done),
        (State.FAILED, statuses.failed),
        (State.WORKING, statuses.pending),
    ):
        for word in words or ():
            yield word.casefold(), state
