"""Jimmy AI's synchronous dialect: the document's fields, its envelope, and errors in both shapes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import FileResult, Finished, ReferenceFile, Request, UrlResult
from imgbuild.providers.jimmyai_sync import TYPE, JimmyaiSyncDialect

DIALECT = JimmyaiSyncDialect()
ITEM: Json = {"b64_json": "AAAA", "revised_prompt": "a cat"}
USAGE: dict[str, Json] = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
DATA: Json = {"created": 123, "data": [ITEM], "model": "gpt-image-2", "usage": USAGE}
FINISHED = Finished((FileResult(Path("AAAA")),), usage=USAGE)


def parse(value: Json) -> Finished | ProviderFailure:
    return DIALECT.parse(value, lambda text: FileResult(Path(text)))


@pytest.mark.parametrize("model", [None, "gpt-image-2"])
def test_the_one_model_takes_what_the_document_lists(model: str | None) -> None:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    assert (found.qualities, found.default_quality) == (("auto", "low", "medium", "high"), "low")
    assert found.backgrounds == ("auto", "transparent", "opaque")
    assert found.formats == ("png", "jpeg", "webp")
    assert (found.max_n, found.auto_size, found.mask) == (1, False, True)
    assert (found.references.max_count, found.references.max_bytes) == (16, 20 * 10**6)
    assert (found.seed, found.negative_prompt) == (False, False)


def test_another_model_is_unknown() -> None:
    assert TYPE.capabilities("gpt-image-1") == UnknownModel("gpt-image-1", ("gpt-image-2",))
    assert TYPE.default_base_url == "https://www.jimmyai.cn"


def test_a_request_is_the_documents() -> None:
    request = Request(
        "a cat",
        "gpt-image-2",
        size=Size(1024, 1024),
        quality="high",
        background="opaque",
        format="webp",
    )
    call = DIALECT.submit_call(request)
    assert (call.method, call.path) == ("POST", "/api/open-api/v1/images/generations")
    assert call.body == {
        "model": "gpt-image-2",
        "prompt": "a cat",
        "size": "1024x1024",
        "quality": "high",
        "background": "opaque",
        "output_format": "webp",
    }
    assert DIALECT.submit_call(Request("a cat")).body == {"prompt": "a cat"}


def test_references_are_parts_named_image(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_bytes(b"x")
    reference = ReferenceFile(path, sha256(path.read_bytes()).hexdigest(), "image/jpeg")
    call = DIALECT.submit_call(Request("a", references=(reference, reference), mask=reference))
    assert call.path == "/api/open-api/v1/images/edits"
    assert [part.field for part in call.files] == ["image", "image", "mask"]


def test_a_reference_beyond_20_mb_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with path.open("wb") as file:
        file.truncate(20 * 10**6)
    with pytest.raises(ProviderFailure, match="less than 20 MB"):
        DIALECT.submit_call(
            Request(
                "a", references=(ReferenceFile(path, sha256(path.read_bytes()).hexdigest(), "image/png"),)
            )
        )


@pytest.mark.parametrize("code", [20000, "20000"])
def test_the_answer_is_inside_the_envelope(code: Json) -> None:
    assert parse({"code": code, "msg": "ok", "data": DATA}) == FINISHED


def test_an_answer_without_envelope_and_a_link_will_do() -> None:
    assert parse(DATA) == FINISHED
    linked: Json = {"code": 20000, "data": {"data": [{"url": "https://x/1.png"}]}}
    assert parse(linked) == Finished((UrlResult("https://x/1.png"),))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"code": 40200, "msg": "insufficient balance", "data": None}, K.CREDIT),
        ({"code": "40200", "msg": "余额不足"}, K.CREDIT),
        ({"code": 40000, "msg": "size is not supported", "data": None}, K.INVALID),
        ({"code": 40000, "msg": "内容违规"}, K.REFUSED),
        ({"code": 40100, "msg": "Invalid API key."}, K.AUTH),
        ({"error": {"message": "moderation_blocked", "code": None}}, K.REFUSED),
        ({"code": 20000, "msg": "ok", "data": {"data": []}}, K.UNUSABLE),
        ({"code": 20000, "msg": "ok", "data": None}, K.AMBIGUOUS),
        ({"code": 20000, "msg": "ok"}, K.AMBIGUOUS),
        ("ok", K.AMBIGUOUS),
    ],
)
def test_business_errors(value: Json, kind: K) -> None:
    outcome = parse(value)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is kind


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("20000"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "error", "message", "code", "b64_json", "url", "usage", "msg"]), inner
        )
    ),
)


@given(ANY_JSON)
def test_any_json_is_a_result_or_a_failure(value: Json) -> None:
    assert isinstance(parse(value), Finished | ProviderFailure)
