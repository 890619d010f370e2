"""The dialects under test. A new one joins the suite by one `Dialect` here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.providers.base import ConfigurableType, ProviderType
from imgbuild.providers.registry import provider_type


@dataclass(frozen=True)
class Dialect:
    """A service as a manifest names it, and what it is known not to do."""

    type: str
    model: str
    """What images use where a test is not about models."""
    name: str = ""
    """What a test's id shows; the type, where nothing else is said."""
    path: str = ""
    """What `base_url` has behind the emulator's address."""
    spoken: str = ""
    """What the emulator calls the dialect that it hears; the type, where nothing else is said."""
    tasks: bool = True
    """It answers with a task that is asked for; False: with the picture itself."""
    at_once: bool = True
    """The answer to a submission may hold the result already."""
    links: bool = True
    """Its results are links; False: they stand in the answer."""
    usage: bool = False
    """The emulator says what a generation used."""
    own: Mapping[str, Json] = field(default_factory=dict)
    """The provider entry's own members."""
    unread: frozenset[str] = frozenset()
    """Readings of the service's documents that an example's description leaves out, as "option=value"."""
    kinds: Mapping[str, str | None] = field(default_factory=dict)
    """Failure kinds that differ from the common table, by fault; None: there is no such fault here."""

    def __str__(self) -> str:
        return self.name or self.type

    def entry(self, url: str, **more: Json) -> dict[str, Json]:
        """The provider's entry in a manifest, with its service at `url`."""
        return {
            "type": self.type,
            "base_url": url + self.path,
            "api_key": "${CONFORMANCE_KEY}",
            "poll_interval": "50ms",
            **self.own,
            **more,
        }

    def kind(self) -> ProviderType:
        """The type, as its entry configures it."""
        kind = provider_type(self.type)
        assert kind is not None, f"{self.type} is not registered"
        return kind.configured(self.own) if isinstance(kind, ConfigurableType) else kind

    def models(self) -> tuple[str, ...]:
        """Every model that is documented, the usual one first."""
        return tuple(dict.fromkeys([self.model, *self.kind().known_models()]))

    def capabilities(self, model: str | None = None) -> Capabilities:
        """What a model can be asked for."""
        found = self.kind().capabilities(model or self.model)
        assert isinstance(found, Capabilities), found
        return found


GATEWAYS = Path(__file__).parents[2] / "examples" / "gateways"


def described(file: str, like: Dialect, *unread: str) -> Dialect:
    """The service of a built-in dialect, as an example's description reaches it through type `http`."""
    example = yaml.safe_load((GATEWAYS / f"{file}.yaml").read_text(encoding="utf-8"))
    (provider,) = example["providers"].values()
    members = {"type", "base_url", "api_key", "poll_interval"}
    return replace(
        like,
        type="http",
        name=f"http-{file}",
        spoken=like.type,
        unread=frozenset(unread),
        own={name: value for name, value in provider.items() if name not in members},
    )


GEMINI = Dialect("gemini", "gemini-3.1-flash-image", tasks=False, links=False, usage=True)
JIMMYAI = Dialect("jimmyai", "gpt-image-2", at_once=False)
# A task that fails is an error 500 here, which says nothing about what was charged.
SYNC = {"fail": "ambiguous"}
JIMMYAI_SYNC = Dialect("jimmyai-sync", "gpt-image-2", tasks=False, links=False, usage=True, kinds=SYNC)
OPENAI = Dialect("openai", "gpt-image-2", path="/v1", tasks=False, links=False, usage=True, kinds=SYNC)
KYY = Dialect("kyy", "gpt-image-2", path="/kyyReactApiServer", at_once=False)
UNIALL = Dialect("uniall", "gpt-image-2")

DIALECTS = (
    GEMINI,
    JIMMYAI,
    JIMMYAI_SYNC,
    KYY,
    OPENAI,
    UNIALL,
    described("jimmyai", JIMMYAI, "jimmyai_answers=faq"),
    described("kyy", KYY),
    described("uniall", UNIALL),
)


def manifest(providers: Mapping[str, Any], images: Mapping[str, Mapping[str, Any]], **more: Any) -> str:
    """A manifest's text."""
    return yaml.safe_dump({"version": 1, "providers": dict(providers), "images": dict(images), **more})
