"""The `gemini` dialect: image models of the Gemini API, which answer at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.retry import kind_of_words
from imgbuild.providers.answers import business_error, members, text_of, unreadable
from imgbuild.providers.base import Finished, Provider, ProviderSettings, ReferenceFile, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.gemini_models import models
from imgbuild.providers.inline import base64_of

if TYPE_CHECKING:
    from imgbuild.providers.synchronous import Picture

IMAGE_SIZES = {"0.5k": "512", "1k": "1K", "2k": "2K", "4k": "4K"}
"""Resolutions as the service spells them."""
_ONE_SIZE = frozenset({"gemini-2.5-flash-image"})
"""Models that give 1K only, and have no field for it."""

# Finish reasons that are about what was asked for. All others besides STOP are about the service.
_REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "ESCALATION"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "NO_IMAGE", "MODEL_ARMOR"}
)
_ACCOUNT_LIMITED = "PUP_LIMITED_DISABLED"


class GeminiDialect:
    """The wire format: what is sent, and what the answers mean."""

    def submit_call(self, request: Request) -> Call:
        """`POST /v1beta/models/{model}:generateContent`, references in the request itself."""
        image_config: dict[str, Json] = {}
        if request.ratio is not None:
            image_config["aspectRatio"] = request.ratio
        if request.resolution is not None and request.model not in _ONE_SIZE:
            image_config["imageSize"] = IMAGE_SIZES[request.resolution]
        generation: dict[str, Json] = {"responseModalities": ["IMAGE"]}
        if image_config:
            generation["imageConfig"] = image_config
        parts: list[Json] = [{"text": request.prompt}, *map(_inline, request.references)]
        own: dict[str, Json] = {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": generation,
        }
        model = quote(request.model or "", safe="")
        return Call("POST", f"/v1beta/models/{model}:generateContent", _merged(request.params, own))

    def parse(self, answer: Json, picture: Picture) -> Finished | ProviderFailure:
        """The first picture that is no thought; or why there is none, which comes as a success, too."""
        top = members(answer)
        if top.get("error"):
            return business_error(answer, None)
        listed = top.get("candidates")
        candidates = [members(each) for each in listed] if isinstance(listed, list) else []
        feedback = members(_either(top, "promptFeedback", "prompt_feedback"))
        for part in (part for candidate in candidates for part in _parts(candidate)):
            encoded = members(_either(part, "inlineData", "inline_data")).get("data")
            if isinstance(encoded, str):
                usage = members(_either(top, "usageMetadata", "usage_metadata"))
                return Finished((picture(encoded),), usage=usage)
        blocked = text_of(_either(feedback, "blockReason", "block_reason"))
        if blocked:
            said = text_of(_either(feedback, "blockReasonMessage", "block_reason_message"))
            return ProviderFailure(
                FailureKind.REFUSED, _sentence(f"the prompt was blocked as {blocked}", said)
            )
        if not candidates:
            return unreadable("the service's answer holds neither a picture nor a reason", None)
        return _without_picture(candidates[0])


class GeminiType:
    """The provider type `gemini`."""

    name = "gemini"
    default_base_url: str | None = "https://generativelanguage.googleapis.com"
    needs_key = True
    local = False
    engine: str | None = None

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        return models().get(model or "") or UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """The documented models."""
        return tuple(models())

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.synchronous import SynchronousProvider
        from imgbuild.providers.transport import api_base, usable_key

        base = api_base(settings, self.default_base_url)
        return SynchronousProvider(settings, base, GeminiDialect(), {"x-goog-api-key": usable_key(settings)})


def _without_picture(candidate: Mapping[str, Json]) -> ProviderFailure:
    """Why a candidate has only words, or nothing."""
    reason = text_of(_either(candidate, "finishReason", "finish_reason")) or "no reason given"
    told = text_of(_either(candidate, "finishMessage", "finish_message"))
    words = " ".join(filter(None, [told, *(text_of(part.get("text")) for part in _parts(candidate))]))
    if reason == _ACCOUNT_LIMITED:
        kind = FailureKind.AUTH
    elif reason in _REFUSALS or kind_of_words(words) is FailureKind.REFUSED:
        kind = FailureKind.REFUSED
    else:
        kind = FailureKind.FAILED
    return ProviderFailure(kind, _sentence(f"the service gave no picture ({reason})", words))


def _parts(candidate: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """A candidate's parts, without the model's thoughts: drafts, which are not what it answers."""
    listed = members(candidate.get("content")).get("parts")
    for part in map(members, listed if isinstance(listed, list) else []):
        if part.get("thought") is not True:
            yield part


def _either(value: Mapping[str, Json], camel: str, snake: str) -> Json:
    """A member in either of the two spellings that the API's JSON has."""
    return value[camel] if camel in value else value.get(snake)


def _inline(reference: ReferenceFile) -> Json:
    return {"inlineData": {"mimeType": reference.media_type, "data": base64_of(reference)}}


def _merged(params: Mapping[str, Json], own: Mapping[str, Json]) -> dict[str, Json]:
    """`own` over `params`, also within objects: both may have something to say in generationConfig."""
    merged = dict(params)
    for name, value in own.items():
        under = merged.get(name)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[name] = _merged(members(under), members(value)) if both else value
    return merged


def _sentence(what: str, said: str) -> str:
    return f"{what}: {said}" if said else what


TYPE = GeminiType()
