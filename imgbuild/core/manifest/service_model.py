"""A service described in the manifest: what is sent where, and where its answers hold what."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType

from imgbuild.core.blanks import check_text, names_in
from imgbuild.core.manifest.base_model import Model, without_extensions
from imgbuild.core.manifest.fields import Json, shown
from imgbuild.core.pointer import parse_pointer

_PATH = re.compile(r"/(?!/)[!-~]*")
_BRACED = re.compile(r"\{([^{}]*)\}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,998}[!-~])?")
# What the connection itself says, and what would go to a proxy instead of the service.
_OURS = re.compile(
    r"host|user-agent|accept|accept-encoding|connection|keep-alive|te|trailer|upgrade|expect|via|forwarded"
    r"|(content|proxy|transfer|x-forwarded)-.*",
    re.IGNORECASE,
)
_SECRET = re.compile(r"key|token|secret|auth|cookie|passw|credential", re.IGNORECASE)
_KEY_NAME = re.compile(
    r"(api|access|auth|secret)[_-]?(key|token)|token|secret|password|authorization", re.IGNORECASE
)
_KEY_IN_QUERY = re.compile(rf"[?&](key|{_KEY_NAME.pattern})=", re.IGNORECASE)


def _checked(check: Callable[[str], None]) -> AfterValidator:
    """A text that `check` lets pass, kept as it is written."""

    def checked(text: str) -> str:
        check(text)
        return text

    return AfterValidator(checked)


def _check_pointer(text: str) -> None:
    try:
        parse_pointer(text)
    except ValueError as error:
        raise ValueError(f'"{shown(text)}" {error}') from None


def _path_with(*known: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        if not _PATH.fullmatch(text) or "#" in text or "\\" in text:
            raise ValueError(
                "must begin with one /, and have no spaces, # or other characters that no URL has"
            )
        if _KEY_IN_QUERY.search(text):
            raise ValueError(
                "an address must not hold a key: it goes into `api_key`, and is sent in a header"
            )
        for name in _BRACED.findall(text):
            if name not in known:
                raise ValueError(f'there is no "{{{shown(name)}}}" here; known: {{{known[0]}}}')
        if re.search(r"[{}]", _BRACED.sub("", text)):
            raise ValueError(f"only {{{known[0]}}} can stand in braces here")

    return check


def _check_header(name: str) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError(f'"{shown(name)}" is no name of a header')
    if _OURS.fullmatch(name):
        raise ValueError(f"the header {name} belongs to the connection, and cannot be set")


def _check_plain_header(name: str) -> None:
    _check_header(name)
    if _SECRET.search(name):
        raise ValueError(
            f"the header {name} looks like one for a key; name it in `auth`, as in {{header: {name}}}"
        )


def _check_header_value(text: str) -> None:
    # The text itself never gets into the message: somebody may have put a key there.
    if not _HEADER_VALUE.fullmatch(text):
        raise ValueError("must be one line of printable ASCII, without spaces at its ends")
    if "{{" in text or "${" in text:
        raise ValueError("must be plain text: nothing is filled in here; a key goes into `api_key`")


def _check_key_format(text: str) -> None:
    if not _HEADER_VALUE.fullmatch(text) or text.count("{key}") != 1 or "{" in text.replace("{key}", ""):
        raise ValueError('must be one line with {key} in it once, such as "Bearer {key}"')


def _check_poll_text(text: str) -> None:
    check_text(text, ("id",))


def _literal_key(value: Json) -> str | None:
    """The name of a member that holds a key as it is, anywhere in a body."""
    if not isinstance(value, dict | list):
        return None
    for name, member in value.items() if isinstance(value, dict) else (("", item) for item in value):
        if _KEY_NAME.fullmatch(name) and isinstance(member, str):
            return name
        found = _literal_key(member)
        if found is not None:
            return found
    return None


def _kind(value: object) -> str:
    # No key is written like that: an error's location names these, too.
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, dict):
        return "<mapping>"
    return "<list>" if isinstance(value, list) else "<constant>"


_Constant = Annotated[Json, WithJsonSchema({"type": ["number", "boolean", "null"]}), Tag("<constant>")]
_BodyText = Annotated[str, _checked(check_text), Tag("<text>")]
_PollText = Annotated[str, _checked(_check_poll_text), Tag("<text>")]

if TYPE_CHECKING:
    Body = Json
    PollBody = Json
else:
    # Nested JSON, each text of it with a place of its own for errors. Type checkers do not follow that.
    Body = TypeAliasType(
        "Body",
        Annotated[
            _BodyText
            | Annotated[list["Body"], Tag("<list>")]
            | Annotated[dict[str, "Body"], Tag("<mapping>")]
            | _Constant,
            Discriminator(_kind),
        ],
    )
    PollBody = TypeAliasType(
        "PollBody",
        Annotated[
            _PollText
            | Annotated[list["PollBody"], Tag("<list>")]
            | Annotated[dict[str, "PollBody"], Tag("<mapping>")]
            | _Constant,
            Discriminator(_kind),
        ],
    )

_POINTER = {"type": "string", "minLength": 1}
Pointers = Annotated[
    list[Annotated[str, _checked(_check_pointer)]],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_POINTER, {"type": "array", "items": _POINTER, "minItems": 1}]}),
]
"""Where something stands in an answer: one pointer, or several; the first that finds something counts."""


def _as_word(value: object) -> object:
    """A status or code as text: 200 and true are compared as "200" and "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


Word = Annotated[
    str,
    BeforeValidator(_as_word),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),
]
Words = Annotated[list[Word], Field(min_length=1)]
HeaderName = Annotated[str, _checked(_check_header)]
Headers = Annotated[
    dict[Annotated[str, _checked(_check_plain_header)], Annotated[str, _checked(_check_header_value)]],
    BeforeValidator(without_extensions),
]
Translated = Literal["model", "size", "ratio", "resolution", "quality", "background", "format"]


class Auth(Model):
    """Where the key goes: into a header, of requests to the service's own address only."""

    header: HeaderName = Field("Authorization", description="The header's name.", examples=["X-Api-Key"])
    format: Annotated[str, _checked(_check_key_format)] = Field(
        "Bearer {key}", description="Its value; {key} is the key.", examples=["{key}", "Key {key}"]
    )


AuthOrNone = Annotated[
    Annotated[Literal["none"], Tag("<none>")] | Annotated[Auth, Tag("<header>")],
    Discriminator(lambda value: "<none>" if isinstance(value, str) else "<header>"),
]


class Ok(Model):
    """How an answer under HTTP 200 says that it is no error."""

    pointer: Pointers = Field(description="Where the code stands.", examples=["code"])
    equals: Words = Field(description="Any of these is a success.", examples=[["20000", "success"]])


class Statuses(Model):
    """The service's own status words. The usual ones are known: completed, succeeded, failed and so on."""

    done: Words | None = Field(None, description="The task has its results.", examples=[["SHIPPED"]])
    failed: Words | None = Field(None, description="The task came to nothing.", examples=[["REJECTED"]])
    pending: Words | None = Field(None, description="The task is worked on.", examples=[["DREAMING"]])

    @model_validator(mode="after")
    def _one_meaning(self) -> Statuses:
        words = [
            word.casefold() for each in (self.done, self.failed, self.pending) for word in set(each or ())
        ]
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice is not None:
            raise ValueError(f'"{shown(twice)}" has two meanings')
        return self


class Answer(Model):
    """Where an answer holds what."""

    status: Pointers | None = Field(
        None, description="The task's status; without one, results mean that it is done.",
        examples=["data.status"],
    )  # fmt: skip
    results: Pointers | None = Field(
        None, description="The results: links, base64 or data URLs, one or a list.",
        examples=["data.url", "data[*].b64_json", ["results[*].url", "result.url"]],
    )  # fmt: skip
    error: Pointers | None = Field(
        None, description="What went wrong.", examples=["data.error", ["error.message", "message"]]
    )
    usage: Pointers | None = Field(None, description="What the service says it cost.", examples=["usage"])
    progress: Pointers | None = Field(None, description="How far the task is.", examples=["data.progress"])


class Submit(Answer):
    """The request that starts a generation. Its body has blanks such as {{ prompt }}; a member that needs
    something that an image does not set is left out."""

    method: Literal["POST", "PUT"] = Field("POST", description="The HTTP method.", examples=["POST"])
    path: Annotated[str, _checked(_path_with("model"))] = Field(
        description="Goes behind base_url; {model} is the model.",
        examples=["/v1/images", "/v1/models/{model}/generate"],
    )
    headers: Headers | None = Field(
        None, description="More headers, as plain text.", examples=[{"X-Api-Version": "2"}]
    )
    body: dict[str, Body] | None = Field(
        None, alias="json", min_length=1, description="The body, as JSON.",
        examples=[{"model": "{{ model }}", "prompt": "{{ prompt }}", "size": "{{ size }}"}],
    )  # fmt: skip
    form: dict[str, Body] | None = Field(
        None, min_length=1, description="The body, as a multipart form, in place of json.",
        examples=[{"prompt": "{{ prompt }}"}],
    )  # fmt: skip
    files: dict[str, Literal["references", "mask"]] | None = Field(
        None, min_length=1,
        description="Fields that upload the references and the mask; with json, only if one is no URL.",
        examples=[{"image": "references", "mask": "mask"}],
    )  # fmt: skip
    values: dict[Translated, dict[str, str]] | None = Field(
        None, description="The service's words for ours; other words are sent as they are.",
        examples=[{"resolution": {"1k": "1K"}, "format": {"jpeg": "jpg"}}],
    )  # fmt: skip
    id: Pointers | None = Field(None, description="The task's id.", examples=["data.task_id"])

    @model_validator(mode="after")
    def _one_body(self) -> Submit:
        if (self.body is None) is (self.form is None):
            raise ValueError("needs json or form: the body, with {{ prompt }} in it")
        if "prompt" not in names_in(self.template):
            raise ValueError("the body has no {{ prompt }} in it")
        name = _literal_key(self.template)
        if name is not None:
            raise ValueError(f'"{shown(name)}" in the body looks like a key: it goes into `api_key`')
        return self

    @property
    def template(self) -> dict[str, Json]:
        """The body with its blanks."""
        return self.body or self.form or {}


class Poll(Answer):
    """The request that asks for a task. What it does not say of answers is as for submit."""

    method: Literal["GET", "POST"] = Field("GET", description="The HTTP method.", examples=["GET"])
    path: Annotated[str, _checked(_path_with("id"))] = Field(
        description="Goes behind base_url; {id} is the task's id.", examples=["/v1/tasks/{id}"]
    )
    headers: Headers | None = Field(
        None, description="More headers, as plain text.", examples=[{"X-Api-Version": "2"}]
    )
    body: dict[str, PollBody] | None = Field(
        None, alias="json", min_length=1, description="The body, as JSON, for POST.",
        examples=[{"task_id": "{{ id }}"}],
    )  # fmt: skip

    @model_validator(mode="after")
    def _names_the_task(self) -> Poll:
        if "{id}" not in self.path and "id" not in names_in(self.body or {}):
            raise ValueError("says nowhere which task it asks for: put {id} into the path")
        if self.body is not None and self.method == "GET":
            raise ValueError("json needs method: POST")
        return self
