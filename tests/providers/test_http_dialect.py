"""The `http` type's wire format: blanks filled in, pointers followed, and what any answer means."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgbuild.core.blanks import fill, names_in
from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.pointer import parse_pointer
from imgbuild.providers.base import Finished, Pending, ReferenceFile, Request, UrlResult
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.http_answer import find
from imgbuild.providers.http_description import read_description
from imgbuild.providers.http_dialect import HttpDialect

URL = "https://cdn.example/1.png"
TASKS: dict[str, Json] = {
    "submit": {
        "path": "/v1/images",
        "json": {"prompt": "{{ prompt }}"},
        "id": ["data.task_id", "id"],
        "status": ["data.status", "status"],
        "error": ["data.error", "error"],
        "progress": "data.progress",
        "usage": ["usage", "credits"],
    },
    "poll": {"path": "/v1/tasks/{id}", "results": ["data.images[*].url", "data.url", "result"]},
    "ok": {"pointer": "code", "equals": ["20000", 200, "success"]},
    "statuses": {"done": ["Shipped", 1, True], "failed": [2], "pending": ["error-free so far"]},
}


def dialect(**changes: Json) -> HttpDialect:
    return HttpDialect(read_description({**TASKS, **changes}))


def submitting(body: Json, capabilities: Json = None, **more: Json) -> HttpDialect:
    submit: dict[str, Json] = {"path": "/v1/images", "id": "id", "json": body, **more}
    return dialect(submit=submit, capabilities=capabilities)


def file(name: str = "in.png", url: str | None = None, content: bytes = b"PNG") -> ReferenceFile:
    path = Path(name)
    if url is None:
        path.write_bytes(content)
    return ReferenceFile(
        path, sha256(path.read_bytes()).hexdigest() if path.exists() else "", "image/png", url
    )


# Requests

FULL: dict[str, Json] = {
    "model": "{{ model }}",
    "input": {
        "text": "{{ prompt }}, {{ quality }}",
        "not": "{{ negative_prompt }}",
        "shape": {
            "w": "{{ width }}",
            "h": "{{ height }}",
            "both": "{{width}}*{{height}}",
            "r": "{{ ratio }}",
        },
        "tier": "{{ resolution }}",
        "seed": "{{ seed }}",
        "n": "{{ n }}",
    },
    "list": ["{{ format }}", "always"],
    "nothing": None,
    "empty": {},
    "on": True,
}
EVERYTHING: dict[str, Json] = {
    "sizes": "any",
    "ratios": ["16:9"],
    "resolutions": ["2k"],
    "max_n": 4,
}


def test_blanks_take_the_types_of_what_fills_them() -> None:
    request = Request(
        "a hill", "m-1", "no text", Size(640, 480), quality="low", seed=0, n=2, format="png",
        params={"steps": 3, "model": "other"},
    )  # fmt: skip
    call = submitting(FULL, EVERYTHING, values={"quality": {"low": "draft"}}).submit_call(request)
    assert call == Call(
        "POST",
        "/v1/images",
        {
            "steps": 3,
            "model": "m-1",
            "input": {
                "text": "a hill, draft",
                "not": "no text",
                "shape": {"w": 640, "h": 480, "both": "640*480"},
                "seed": 0,
                "n": 2,
            },
            "list": ["png", "always"],
            "nothing": None,
            "empty": {},
            "on": True,
        },
    )


def test_what_is_not_set_is_left_out_with_what_holds_only_that() -> None:
    call = submitting(FULL, {**EVERYTHING, "models": {"m-1": {"max_n": 1}}}).submit_call(Request("a", "m-1"))
    body = {"model": "m-1", "list": ["always"], "nothing": None, "empty": {}, "on": True}
    assert call.body == body


def test_a_resolution_goes_with_the_ratio_that_the_service_would_take() -> None:
    body = {"prompt": "{{ prompt }}", "r": "{{ ratio_width }}x{{ ratio_height }}", "t": "{{ resolution }}"}
    able: Json = {"ratios": ["1:1"], "resolutions": ["2k"], "default_ratio": "1:1"}
    wire = submitting(body, able, values={"resolution": {"2k": "2K"}})
    assert wire.submit_call(Request("a", resolution="2k")).body == {"prompt": "a", "r": "1x1", "t": "2K"}
    assert wire.submit_call(Request("a")).body == {"prompt": "a"}


def test_params_can_stand_inside() -> None:
    wire = submitting({"prompt": "{{ prompt }}", "sampler": {"steps": "{{ params.steps }}"}})
    request = Request("a", params={"steps": 30, "cfg": 1.5})
    assert wire.submit_call(request).body == {"cfg": 1.5, "prompt": "a", "sampler": {"steps": 30}}


@pytest.mark.parametrize(
    ("blank", "sent"),
    [
        ("{{ references }}", ["https://e.com/a.png", "data:image/png;base64,UE5H"]),
        ("{{ references_base64 }}", ["https://e.com/a.png", "UE5H"]),
        ("{{ reference }}", "https://e.com/a.png"),
    ],
)
def test_references_are_links_or_stand_in_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str, sent: Json
) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request("a", references=(file(url="https://e.com/a.png"), file()))
    assert submitting({"prompt": "{{ prompt }}", "refs": blank}).submit_call(request).body == {
        "prompt": "a",
        "refs": sent,
    }


def test_files_make_a_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    body = {"prompt": "{{ prompt }}", "images": "{{ references }}"}
    wire = submitting(body, files={"image": "references", "mask": "mask"})
    linked, local = file(url="https://e.com/a.png"), file()
    assert wire.submit_call(Request("a", references=(linked,))).body == {
        "prompt": "a",
        "images": [linked.url],
    }
    call = wire.submit_call(Request("a", references=(linked, local), mask=local))
    assert call.body == {"prompt": "a"}
    assert call.files == (
        FilePart("image", linked.path, "image-1.png", "image/png"),
        FilePart("image", local.path, "image-2.png", "image/png"),
        FilePart("mask", local.path, "mask-1.png", "image/png"),
    )


def test_a_form_is_one_without_files_too() -> None:
    submit: Json = {
        "path": "/g",
        "form": {"prompt": "{{ prompt }}"},
        "results": "url",
        "headers": {"X-V": "2"},
    }
    call = HttpDialect(read_description({"submit": submit})).submit_call(Request("a"))
    assert call == Call("POST", "/g", {"prompt": "a"}, headers={"X-V": "2"}, form=True)


def test_a_model_and_an_id_go_into_a_path_quoted() -> None:
    submit: Json = {"path": "/m/{model}/run", "json": {"prompt": "{{ prompt }}"}, "id": "id"}
    wire = dialect(submit=submit, poll={"path": "/t?id={id}", "results": "url"})
    assert wire.submit_call(Request("a", "flux/dev ?#")).path == "/m/flux/dev%20%3F%23/run"
    assert wire.poll_call("a:b") == Call("GET", "/t?id=a%3Ab")


def test_a_task_can_be_asked_for_in_a_body() -> None:
    poll: Json = {"path": "/r", "method": "POST", "json": {"task": "{{ id }}"}, "results": "url"}
    assert dialect(poll=poll).poll_call("t1") == Call("POST", "/r", {"task": "t1"})


JSONS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["{{ prompt }}", "{{ seed }}", "x {{ size }}", "{{ references }}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(JSONS)
def test_a_body_without_blanks_stays_as_it_is_and_a_filled_one_has_none(template: Json) -> None:
    values: dict[str, Json] = {"prompt": "p", "seed": 1, "size": "1x1", "references": ["u"]}
    filled = fill(template, values)
    assert names_in(filled) == frozenset()
    if not names_in(template):
        assert filled == template


# Answers


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("a.b", [1]),
        ("list[1].x", [3]),
        ("list[*].x", [2, 3]),
        ("list[*].none", []),
        ("list[9]", []),
        ("text.in[0]", ["j"]),
        ("a.b.c", []),
        ("empty", []),
        ("deep[*][*]", [1, 2, 3]),
    ],
)
def test_pointers(pointer: str, found: list[Json]) -> None:
    value: Json = {
        "a": {"b": 1},
        "list": [{"x": 2, "none": None}, {"x": 3}],
        "text": '{"in": ["j"]}',
        "empty": "",
        "deep": [[1, 2], [3]],
    }
    assert find(value, parse_pointer(pointer)) == found


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a b", "$.a", "a.[0]", "[0]a"]
)
def test_no_pointers(text: str) -> None:
    with pytest.raises(ValueError, match="is no pointer"):
        parse_pointer(text)


@pytest.mark.parametrize(
    ("answer", "asked", "said"),
    [
        ({"code": "20000", "data": {"task_id": "t", "status": "queued"}}, None, Pending("t", "queued")),
        ({"code": 20000, "id": 7}, None, Pending("7", "")),
        ({"id": "t", "status": "error-free so far", "data": {"progress": "50%"}}, None,
         Pending("t", "error-free so far", 0.5)),
        ({"code": 200, "data": {"status": "IN_PROGRESS"}}, "t", Pending("t", "IN_PROGRESS")),
        ({"status": "Shipped", "data": {"images": [{"url": [URL]}, {"url": "/2.png"}]}, "usage": {"tokens": 3}},
         "t", Finished((UrlResult(URL), UrlResult("/2.png")), "t", {"tokens": 3})),
        ({"status": 1, "result": [URL, [URL]], "credits": 2}, "t",
         Finished((UrlResult(URL), UrlResult(URL)), "t", {"usage": 2})),
        ({"status": True, "result": {"url": URL}}, "t", Finished((UrlResult(URL),), "t")),
        ({"data": {"url": URL}}, "t", Finished((UrlResult(URL),), "t")),
        ({"status": "done", "result": "data:image/png;base64,UE5H"}, "t",
         Finished((UrlResult("data:image/png;base64,UE5H"),), "t")),
        ({"status": "done", "result": [{"b64_json": "iVBORw0KGgo-_AAA="}]}, "t",
         Finished((UrlResult("data:;base64,iVBORw0KGgo+/AAA="),), "t")),
    ],
)  # fmt: skip
def test_what_answers_mean(answer: Json, asked: str | None, said: Pending | Finished) -> None:
    found = dialect().parse(answer, asked)
    if isinstance(found, Pending):
        found = Pending(found.task_id, found.status, found.progress)
    assert found == said


@pytest.mark.parametrize(
    ("answer", "asked", "kind", "words"),
    [
        ({"code": "40001", "msg": "bad size"}, None, K.INVALID, "bad size (40001)"),
        ({"code": 500, "msg": "insufficient quota"}, None, K.CREDIT, "insufficient quota"),
        ({"code": "x", "data": {"error": "content policy"}}, "t", K.REFUSED, "content policy"),
        ({"error": {"message": "no such model"}}, None, K.INVALID, "no such model"),
        ({"error": "gone"}, "t", K.UNUSABLE, "gone"),
        ({"status": 2, "error": "GPU on fire"}, "t", K.FAILED, "the task ended as 2: GPU on fire"),
        ({"status": "failed", "error": {"code": "moderation_blocked"}}, "t", K.REFUSED, "moderation_blocked"),
        ({"status": "done"}, "t", K.UNUSABLE, "without a result"),
        ({"status": "queued"}, None, K.AMBIGUOUS, "gave no task id"),
        ({"id": "../../x", "status": "queued"}, None, K.AMBIGUOUS, "cannot be used"),
        ([], None, K.AMBIGUOUS, "gave no task id"),
    ],
)
def test_what_failures_are(answer: Json, asked: str | None, kind: K, words: str) -> None:
    found = dialect().parse(answer, asked)
    assert isinstance(found, ProviderFailure)
    assert (found.kind, words in found.message) == (kind, True), found.message


def test_an_unknown_status_is_still_running_with_a_warning() -> None:
    found = dialect().parse({"status": "dreaming"}, "t")
    assert isinstance(found, Pending)
    assert found.warning is not None
    assert "dreaming" in found.warning


SYNC: dict[str, Json] = {
    "path": "/g",
    "json": {"prompt": "{{ prompt }}"},
    "results": "data[*].b64_json",
    "status": "finish",
}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"data": []}, K.UNUSABLE),
        ({"error": {"message": "flagged by moderation"}}, K.REFUSED),
        ({"finish": "CONTENT_FILTERED"}, K.REFUSED),
        ({"finish": "queued", "id": "t"}, K.AMBIGUOUS),
        ({}, K.UNUSABLE),
    ],
)
def test_a_service_without_tasks_fails_at_once(answer: Json, kind: K) -> None:
    wire = HttpDialect(read_description({"submit": SYNC, "statuses": {"failed": ["CONTENT_FILTERED"]}}))
    found = wire.parse(answer, None)
    assert isinstance(found, ProviderFailure)
    assert found.kind is kind


def test_a_service_without_tasks_gives_its_pictures_at_once() -> None:
    wire = HttpDialect(read_description({"submit": SYNC}))
    picture = base64.b64encode(b"\xff\xd8\xff\xe0 and so on").decode()
    answer: Json = {"finish": "SUCCESS", "data": [{"b64_json": picture}]}
    assert wire.parse(answer, None) == Finished((UrlResult(f"data:;base64,{picture}"),))
    with pytest.raises(ProviderFailure):
        wire.poll_call("t")


NAMES = st.sampled_from(
    [
        "code",
        "data",
        "status",
        "id",
        "task_id",
        "url",
        "images",
        "error",
        "usage",
        "result",
        "progress",
        "msg",
    ]
)
WORDS = st.sampled_from(
    ["success", "done", "failed", "queued", "t1", "../x", URL, "200", '{"a": [1]}', "[[["]
)
ANSWERS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@given(ANSWERS, st.none() | st.just("t1"), st.booleans())
@example({"data": {"images": [[[[[[[[[[[[URL]]]]]]]]]]]]}}, "t1", True)
@example({"result": {"url": "\ud800"}, "data": "{\ud800"}, "t1", True)
def test_any_answer_means_something(answer: Json, asked: str | None, tasks: bool) -> None:
    wire = dialect() if tasks or asked else HttpDialect(read_description({"submit": SYNC}))
    assert isinstance(wire.parse(answer, asked), Pending | Finished | ProviderFailure)
