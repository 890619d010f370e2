"""The `openai` dialect: the Images API, of OpenAI and of every compatible server behind `base_url`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import Finished, Provider, ProviderSettings, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.images_api import images_answer, images_call
from imgbuild.providers.openai_models import MASK_BYTES, REFERENCE_BYTES, capabilities_of, models

if TYPE_CHECKING:
    from imgbuild.providers.synchronous import Picture


class OpenaiDialect:
    """The wire format: what is sent, and what the answers mean."""

    def submit_call(self, request: Request) -> Call:
        """`POST /images/generations`, or a form to `/images/edits` as soon as there is a picture to send."""
        return images_call(request, field="image[]", max_bytes=REFERENCE_BYTES, max_mask_bytes=MASK_BYTES)

    def parse(self, answer: Json, picture: Picture) -> Finished | ProviderFailure:
        """`{data: [{b64_json} | {url}], usage}`, or an error body although HTTP called it a success."""
        return images_answer(answer, picture)


class OpenaiType:
    """The provider type `openai`. A model that OpenAI does not have is another server's own."""

    name = "openai"
    default_base_url: str | None = "https://api.openai.com/v1"
    needs_key = True
    local = False
    engine: str | None = None

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        return capabilities_of(model) if model else UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """OpenAI's own models."""
        return tuple(models())

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.synchronous import connect_synchronous

        return connect_synchronous(settings, OpenaiDialect(), self.default_base_url)


TYPE = OpenaiType()
