"""The `jimmyai-sync` dialect: Jimmy AI's synchronous images, OpenAI's fields inside its own envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, UnknownModel
from imgbuild.providers.answers import business_error, members, text_of
from imgbuild.providers.base import Finished, Provider, ProviderSettings, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.images_api import FIELDS, GPT_IMAGE_GRID, images_answer, images_call

if TYPE_CHECKING:
    from imgbuild.providers.synchronous import Picture

GPT_IMAGE = "gpt-image-2"
_PATH = "/api/open-api/v1/images"
_FILE_BYTES = 20 * 10**6
# 20000 is a number in one example of the documentation and a text in another.
_SUCCESS = frozenset({"", "20000"})

_CAPABILITIES = Capabilities(
    model=GPT_IMAGE,
    # An assumption: the document names 1024x1024 and no other size. The model behind it takes these.
    grid=GPT_IMAGE_GRID,
    qualities=("auto", "low", "medium", "high"),
    default_quality="low",
    backgrounds=("auto", "transparent", "opaque"),
    formats=("png", "jpeg", "webp"),
    max_n=1,
    mask=True,
    mask_needs_reference=True,
    references=ReferenceLimits(max_count=16, max_bytes=_FILE_BYTES),
    own_params=FIELDS,
)


class JimmyaiSyncDialect:
    """The wire format: what is sent, and what the answers mean."""

    def submit_call(self, request: Request) -> Call:
        """`POST /api/open-api/v1/images/generations`, or a form to `/edits` with references named `image`."""
        return images_call(
            request, field="image", max_bytes=_FILE_BYTES, max_mask_bytes=_FILE_BYTES, path=_PATH
        )

    def parse(self, answer: Json, picture: Picture) -> Finished | ProviderFailure:
        """OpenAI's answer as `data` in an envelope `{code, msg, data}`, or without one; or an error body."""
        top = members(answer)
        if text_of(top.get("code")) not in _SUCCESS:
            return business_error(answer, None)
        return images_answer(top["data"] if isinstance(top.get("data"), dict) else answer, picture)


class JimmyaiSyncType:
    """The provider type `jimmyai-sync`. It publishes no prices."""

    name = "jimmyai-sync"
    default_base_url: str | None = "https://www.jimmyai.cn"
    needs_key = True
    local = False
    engine: str | None = None

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for; the service takes no model for gpt-image-2."""
        return _CAPABILITIES if model in (None, GPT_IMAGE) else UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """The documented model."""
        return (GPT_IMAGE,)

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.synchronous import connect_synchronous

        return connect_synchronous(settings, JimmyaiSyncDialect(), self.default_base_url)


TYPE = JimmyaiSyncType()
