"""A service described in the manifest: what is right, and every mistake at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import Diagnostic, ManifestError
from imgbuild.core.image import Size
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.yaml12 import parse_yaml
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, SizeGrid, UnknownModel
from imgbuild.core.schema import manifest_schema
from imgbuild.providers.base import ProviderType
from imgbuild.providers.http import TYPE
from imgbuild.run.workspace import Invocation
from imgbuild.run.workspace import load as load_manifest

GOOD = """\
version: 1
providers:
  p:
    type: http
    base_url: https://images.example
    submit:
      path: /v1/images
      json: {prompt: "{{ prompt }}", size: "{{ size }}"}
      id: data.id
    poll: {path: "/v1/images/{id}", results: data.url}
    capabilities: {sizes: [1024x1024]}
images:
  a: {prompt: x, output: a.png}
"""


def load(folder: Path, text: str) -> ProviderType:
    (folder / "imgbuild.yaml").write_text(text, encoding="utf-8")
    return load_manifest(Invocation(folder)).types["p"]


def errors(folder: Path, text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(ManifestError) as caught:
        load(folder, text)
    return caught.value.diagnostics


def able(kind: ProviderType, model: str | None = None) -> Capabilities:
    found = kind.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def test_a_description_is_a_type_of_its_own(tmp_path: Path) -> None:
    kind = load(tmp_path, GOOD)
    assert (kind.name, kind.needs_key, kind.local, kind.engine) == ("http", True, False, None)
    assert [option.size for option in able(kind, "anything").sizes] == [Size(1024, 1024)]
    assert kind.known_models() == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("path: /v1/images\n", "path: v1/images\n", "7:13", "path: must begin with one /"),
        ("path: /v1/images\n", "path: //elsewhere.example/\n", "7:13", "path: must begin with one /"),
        ("path: /v1/images\n", "path: '/v1/{key}'\n", "7:13", 'there is no "{key}" here; known: {model}'),
        ("path: /v1/images\n", "path: '/v1/{{model}}'\n", "7:13", "only {model} can stand in braces"),
        ('"{{ size }}"', '"{{ siez }}"', "8:44", 'there is no "siez" to fill in; did you mean "size"?'),
        ('"{{ size }}"', '{w: ["{{ heigth }}"]}', "8:49", 'there is no "heigth" to fill in'),
        ('"{{ size }}"', '"{{ size"', "8:44", "only {{ name }} can stand here"),
        ('"{{ size }}"', '"{% if size %}"', "8:44", "only {{ name }} can stand here"),
        ('"{{ size }}"', '"{{ api_key }}"', "8:44", 'there is no "api_key"'),
        ('"{{ size }}"', '"x {{ references }}"', "8:44", "is a list, and must stand alone"),
        ("id: data.id", "id: data..id", "9:11", '"data..id" is no pointer'),
        ("id: data.id", "id: [data.id, 'data[x]']", "9:21", '"data[x]" is no pointer'),
        ("id: data.id", "id: []", "9:11", "id: must not be empty"),
        ("id: data.id", "ids: data.id", "9:7", 'unknown key "ids"; did you mean "id"?'),
        ("\n      id: data.id", "", "9:11", "poll: needs the id of the task"),
        ("/v1/images/{id}", "/v1/images", "10:11", "says nowhere which task it asks for"),
        ("/v1/images/{id}", "/v1/{task}", "10:18", 'there is no "{task}" here; known: {id}'),
        (", results: data.url", "", "10:11", "poll has no results"),
        ("1024x1024", "1024", "11:28", "must be text, not a number"),
        ("[1024x1024]", "{3k: [1024x1024]}", "11:32", "must be 0.5k, 1k, 2k, 4k or 8k"),
        ("{sizes: [1024x1024]}", "{seeds: true}", "11:20", 'unknown key "seeds"; did you mean "seed"?'),
        ("{prompt: \"{{ prompt }}\", ", "{", "7:7", "the body has no {{ prompt }}"),
        ("    base_url: https://images.example\n", "", "4:5", "type http needs base_url"),
        ("type: http", "type: http\n    auth: {header: Host}", "5:20", "belongs to the connection"),
        ("type: http", "type: http\n    auth: {header: Proxy-Authorization}", "5:20", "belongs to the"),
        ("type: http", "type: http\n    auth: {format: Bearer}", "5:20", "one line with {key} in it once"),
        ("type: http", 'type: http\n    auth: {format: "{key}\\r\\nX-A: b"}', "5:20", "one line with {key}"),
        ("type: http", "type: http\n    auth: none\n    api_key: ${A}", "4:5", "leave api_key out"),
        ("type: http", "type: http\n    auth: query", "5:11", "auth: must be none"),
        ("type: http", "type: http\n    ok: {pointer: code, equals: []}", "5:33", "must not be empty"),
        ("type: http", "type: http\n    statuses: {done: [X], failed: [x]}", "5:15", "two meanings"),
        ("id: data.id", 'id: data.id\n      headers: {X-A: "b\\r\\nHost: c"}', "10:22", "one line of printable"),
        ("id: data.id", "id: data.id\n      headers: {X-A: '${HOME}'}", "10:22", "nothing is filled in here"),
        ("id: data.id", "id: data.id\n      headers: {Content-Length: '1'}", "10:33", "belongs to the"),
        ("id: data.id", "id: data.id\n      headers: {'X A': b}", "10:24", "is no name of a header"),
    ],
)  # fmt: skip
def test_a_mistake_stands_at_its_place(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert GOOD.count(old) == 1
    (error, *others) = errors(tmp_path, GOOD.replace(old, new))
    shown = f"{error.message}; {error.hint}" if error.hint else error.message
    assert others == []
    assert words in shown
    assert str(error.position).endswith(f"imgbuild.yaml:{place}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("id: data.id", "id: data.id\n      headers: {X-Api-Key: sk-canary-1}", "name it in `auth`"),
        ("id: data.id", "id: data.id\n      headers: {X-A: 'sk-canary-1 '}", "without spaces at its ends"),
        ("path: /v1/images\n", "path: '/v1/images?api_key=sk-canary-1'\n", "an address must not hold a key"),
        ('"{{ size }}"', "{api_key: sk-canary-1}", '"api_key" in the body looks like a key'),
    ],
)
def test_a_literal_key_is_an_error_that_does_not_show_it(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    (error,) = errors(tmp_path, GOOD.replace(old, new))
    assert words in error.message
    assert "sk-canary-1" not in f"{error.message} {error.hint} {error.source_line}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{sizes: [1024x1024]}", "{}", "submit sends {{ size }}, and capabilities do not say which: sizes"),
        ("[1024x1024]}", "[1024x1024], seed: true}", "capabilities offer seed, and submit does not send it"),
        ("[1024x1024]}", "[1024x1024], qualities: [low]}", "its body needs {{ quality }}"),
        ("[1024x1024]}", "[1024x1024], max_n: 4}", "capabilities offer max_n"),
        ("[1024x1024]}", "[1024x1024], references: {max: 2}}", "{{ references }} or {{ references_base64 }}"),
        ("[1024x1024]}", '[1024x1024], ratios: ["1:1"]}', "{{ ratio }} or {{ ratio_width }} and"),
        ("{sizes: [1024x1024]}", "{models: {a: {}}}", "sizes is missing"),
        ("1024x1024]}", '1024x1024], ratios: {1k: ["1:1"]}, resolutions: [1k]}', "need no resolutions"),
        ("{sizes: [1024x1024]}", "{resolutions: [1k]}", "need ratios"),
        ("type: http", "type: http\n    command: [ls]", "type http has no `command`"),
    ],
)
def test_what_is_offered_is_sent_and_what_is_sent_is_offered(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    (error,) = errors(tmp_path, GOOD.replace(old, new))
    assert words in error.message
    assert 'provider "p": ' in error.message
    assert str(error.position).endswith("imgbuild.yaml:4:11")


BODY = (
    '{prompt: "{{ prompt }}", model: "{{ model }}", size: "{{ size }}", ratio: "{{ ratio }}", '
    'resolution: "{{ resolution }}", quality: "{{ quality }}", format: "{{ format }}", seed: "{{ seed }}", '
    'n: "{{ n }}", negative_prompt: "{{ negative_prompt }}", background: "{{ background }}", '
    'images: "{{ references }}", mask: "{{ mask }}"}'
)


PROMPT = "prompt: x, model: one"


def described(folder: Path, capabilities: str) -> ProviderType:
    text = GOOD.replace('{prompt: "{{ prompt }}", size: "{{ size }}"}', BODY).replace("prompt: x", PROMPT)
    return load(folder, text.replace("{sizes: [1024x1024]}", capabilities))


def test_what_is_not_described_is_as_the_request_can_say_it(tmp_path: Path) -> None:
    shapes = "sizes: any, ratios: ['1:1'], resolutions: [1k], max_n: 2"
    found = able(described(tmp_path, f"{{{shapes}}}"))
    assert (found.qualities, found.formats, found.backgrounds, found.params) == (None, None, None, None)
    assert (found.seed, found.negative_prompt, found.mask) == (True, True, True)
    assert found.references.max_count == 1000
    plain = able(load(tmp_path, GOOD))
    assert (plain.qualities, plain.formats, plain.backgrounds) == ((), (), ())
    assert not any((plain.seed, plain.negative_prompt, plain.mask, plain.references.max_count))


def test_capabilities_say_what_the_table_of_a_service_says(tmp_path: Path) -> None:
    text = """
      sizes: {1k: [1024x1024, 1360x768], 2k: [2048x1360]}
      grid: {step: 16, min_pixels: 655360, max_pixels: 8294400, max_edge: 3840, max_aspect: 3}
      default_size: 1024x1024
      ratios: {1k: ["1:1", "16:9", auto], 4k: ["16:9"]}
      default_ratio: "1:1"
      default_resolution: 4k
      pixels: {"16:9": 1344x768}
      qualities: [low, high]
      default_quality: high
      formats: any
      backgrounds: [opaque]
      max_n: 4
      references: {max: 3, files: false}
      seed: true
      negative_prompt: false
      mask: false
      params: [steps]"""
    found = able(described(tmp_path, text))
    assert [(str(o.size), o.ratio, o.tier) for o in found.sizes] == [
        ("1024x1024", "1:1", "1k"), ("1360x768", "16:9", "1k"), ("2048x1360", "3:2", "2k")
    ]  # fmt: skip
    assert found.grid == SizeGrid(16, 655_360, 8_294_400, 3840, 3)
    assert [(o.ratio, o.resolution, o.size) for o in found.ratios] == [
        ("1:1", "1k", Size(1024, 1024)), ("16:9", "1k", Size(1344, 768)), ("auto", "1k", None),
        ("16:9", "4k", Size(5376, 3072)),
    ]  # fmt: skip
    assert (found.qualities, found.default_quality, found.formats) == (("low", "high"), "high", None)
    assert (found.max_n, found.default_size) == (4, Size(1024, 1024))
    assert (found.default_ratio, found.default_resolution) == ("1:1", "4k")
    assert found.references == ReferenceLimits(3, files=False)
    assert (found.seed, found.negative_prompt, found.mask, found.params) == (True, False, False, ("steps",))
    assert found.backgrounds == ("opaque",)


def test_a_model_has_what_differs_from_the_rest(tmp_path: Path) -> None:
    text = """
      ratios: ["1:1"]
      resolutions: [1k, 2k]
      qualities: [low]
      sizes: any
      max_n: 2
      models:
        one: {}
        two: {resolutions: [4k], qualities: []}
        three: {ratios: {8k: ["2:1"]}}
        four-2k: {resolution_in_model: 2k, resolutions: [2k]}"""
    kind = described(tmp_path, text)
    assert kind.known_models() == ("one", "two", "three", "four-2k")
    assert kind.capabilities(None) == UnknownModel(None, kind.known_models())
    tiers = {name: [o.resolution for o in able(kind, name).ratios] for name in kind.known_models()}
    assert tiers == {"one": ["1k", "2k"], "two": ["4k"], "three": ["8k"], "four-2k": ["2k"]}
    assert (able(kind, "one").qualities, able(kind, "two").qualities) == (("low",), ())
    assert able(kind, "four-2k").resolutions_in_model == ("2k",)
    assert able(kind, "two").model == "two"


def test_pixels_of_a_ratio_are_worked_out_on_the_small_side(tmp_path: Path) -> None:
    shapes = "sizes: any, ratios: ['1:1', '16:9', '9:16', '21:9'], resolutions: [1k, 4k], max_n: 2"
    for option in able(described(tmp_path, f"{{{shapes}}}")).ratios:
        assert option.size is not None
        width, height = map(int, option.ratio.split(":"))
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.03)
        pixels = {"1k": 1024**2, "4k": 4096**2}[option.resolution or ""]
        assert 0.95 * pixels <= option.size.pixels <= pixels


def test_the_examples_fit_the_schema() -> None:
    validator = jsonschema.Draft7Validator(json.loads(manifest_schema()))
    gateways = sorted((Path(__file__).parents[2] / "examples" / "gateways").glob("*.yaml"))
    assert gateways
    for path in gateways:
        tree, problems = parse_yaml(Source(path.name, path.read_text(encoding="utf-8")))
        assert not problems
        assert [error.message for error in validator.iter_errors(json.loads(json.dumps(tree)))] == []


TEXTS = st.sampled_from(["/a", "{{ prompt }}", "a.b", "none", "any", "1k", "1024x1024", "1:1", "GET", "{id}"])
MEMBERS = st.sampled_from(
    [
        "path",
        "json",
        "form",
        "id",
        "results",
        "files",
        "values",
        "headers",
        "sizes",
        "ratios",
        "models",
        "pixels",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = st.sampled_from(["submit", "poll", "auth", "ok", "statuses", "capabilities"])
SUBMIT = {"path": "/a", "json": {"prompt": "{{ prompt }}"}, "results": "a"}


@given(st.dictionaries(SECTIONS, VALUES, max_size=4), st.booleans())
def test_any_description_is_one_or_is_refused(options: dict[str, Any], described: bool) -> None:
    try:
        kind = TYPE.configured({"submit": SUBMIT, **options} if described else options)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(kind.capabilities(None), Capabilities | UnknownModel)
