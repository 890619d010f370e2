"""Keys: pinned for ever, one to one with specs, and blind to everything that does not decide the picture."""

from __future__ import annotations

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.derivation import Recipe, derivation_key
from imgbuild.core.image import Operations, Size
from imgbuild.core.plan.spec import RECIPES, Geometry, Spec, keys, write

FULL = Spec(
    prompt='灯台 at dusk\n"quoted"',
    asked=Geometry(size=Size(1360, 768)),
    declared=Geometry(size=Size(1200, 630), ratio=None, resolution="1k"),
    model="gpt-image-2",
    negative_prompt="text",
    quality="low",
    background="transparent",
    seed=7,
    params={"b": [1, 1.5, True, None], "a": {"z": "é"}},
    references=("0" * 64, "f" * 64),
    mask="a" * 64,
    engine="placeholder/1",
)


def test_generation_key_of_a_plain_prompt_is_pinned():
    spec = Spec(prompt="a lighthouse")
    assert (
        RECIPES[-1].generation(write(spec)) == b'imgbuild/generation/1\n{"asked":{},"prompt":"a lighthouse"}'
    )
    assert keys(spec).generation == ("b984e36dd11015296bfc8c9803f44051670b140ce6a92f333e792d0835e5a48a",)
    assert keys(spec).declared == ("2c8c8addebbadc313412aef5f93628ceeaeaf01fbddd7b333ffe1ed2ee42401f",)


def test_keys_of_a_full_spec_are_pinned():
    assert RECIPES[-1].generation(write(FULL)) == (
        b"imgbuild/generation/1\n"
        b'{"asked":{"size":"1360x768"},"background":"transparent","engine":"placeholder/1",'
        b'"mask":"' + b"a" * 64 + b'","model":"gpt-image-2","negative_prompt":"text",'
        b'"params":{"a":{"z":"\\u00e9"},"b":[1,1.5,true,null]},'
        b'"prompt":"\\u706f\\u53f0 at dusk\\n\\"quoted\\"","quality":"low",'
        b'"references":["' + b"0" * 64 + b'","' + b"f" * 64 + b'"],"seed":7}'
    )
    assert keys(FULL).generation == ("9bd8a93983588988087ba64820239eb9f2dd3ef0d721cd4184b85862f51c2488",)
    assert keys(FULL).declared == ("affbb0e98eb1508159623363296b0b27989a9c4880afa43b7ed65dd30ef8768e",)


def test_the_picture_key_is_pinned_and_has_no_geometry():
    assert (
        RECIPES[-1].picture(write(Spec(prompt="a lighthouse")))
        == b'imgbuild/picture/1\n{"prompt":"a lighthouse"}'
    )
    assert keys(Spec(prompt="a lighthouse")).picture == (
        "3ff8996fcbd3766471c85180474da40093ef9c3bcca7a256a5166dbf1ca09f0b",
    )
    other = dataclasses.replace(FULL, asked=Geometry(), declared=Geometry(ratio="1:1"))
    assert keys(other).picture == keys(FULL).picture


def test_derivation_key_is_pinned():
    recipe = Recipe(source="0" * 64, format="webp", operations=Operations(size=Size(1200, 630)))
    assert recipe.canonical() == (
        b'imgbuild/derivation/1\n{"fit":"cover","format":"webp","size":[1200,630],"source":"'
        + b"0" * 64
        + b'"}'
    )
    assert recipe.key() == "040b8348e037a362cd92e7b1a7b9cfb228b3458c4f922a8ed75da500f2534fbe"
    assert (
        derivation_key(recipe.key(), "libvips 8.18.7 webp/1")
        == "3add965ed22edf43fbd8202d699ab51d3fa6c41134a2c8916f3c485a5f54b679"
    )


texts = st.text(max_size=20)
digests = st.integers(0, 3).map(lambda n: f"{n:064x}")
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
geometries = st.builds(
    Geometry,
    size=st.none() | st.builds(Size, st.integers(1, 4096), st.integers(1, 4096)),
    ratio=st.sampled_from([None, "1:1", "16:9", "auto"]),
    resolution=st.sampled_from([None, "1k", "2k"]),
)
specs = st.builds(
    Spec,
    prompt=texts,
    asked=geometries,
    declared=geometries,
    model=st.none() | texts,
    negative_prompt=st.none() | texts,
    quality=st.none() | texts,
    background=st.none() | texts,
    seed=st.none() | st.integers(0, 5),
    params=st.dictionaries(texts, json_values, max_size=3),
    references=st.lists(digests, max_size=3).map(tuple),
    mask=st.none() | digests,
    engine=st.none() | texts,
)


def typed(value: object) -> object:
    """A value in which 1, 1.0 and True differ, as they do in a request; mapping order does not count."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(typed(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return ("map", frozenset((k, typed(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(typed(v) for v in value))
    return (type(value).__name__, repr(value))


def asked_only(spec: Spec) -> Spec:
    return dataclasses.replace(spec, declared=Geometry())


@given(specs, specs)
def test_canonical_bytes_are_equal_exactly_when_specs_are(one: Spec, other: Spec):
    same = typed(asked_only(one)) == typed(asked_only(other))
    assert (RECIPES[0].generation(write(one)) == RECIPES[0].generation(write(other))) is same


@given(specs)
def test_what_a_key_is_made_of_is_one_json_document(spec: Spec):
    document = {**spec.members(), "declared": spec.declared.members()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert RECIPES[0].declared(write(spec)) == f"imgbuild/declared/1\n{text}".encode()


@given(specs, st.data())
def test_changing_any_one_member_changes_the_key(spec: Spec, data: st.DataObject):
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(Spec) if f.name != "declared"]))
    other = dataclasses.replace(spec, **{name: getattr(data.draw(specs), name)})
    same = typed(getattr(other, name)) == typed(getattr(spec, name))
    assert (keys(spec).generation == keys(other).generation) is same


@given(specs)
def test_keys_do_not_depend_on_the_order_of_parameters(spec: Spec):
    turned = dataclasses.replace(spec, params=dict(reversed(list(spec.params.items()))))
    assert keys(turned) == keys(spec)


@given(specs, geometries)
def test_the_declared_geometry_is_in_the_declared_key_alone(spec: Spec, geometry: Geometry):
    other = dataclasses.replace(spec, declared=geometry)
    assert keys(other).generation == keys(spec).generation
    assert (keys(other).declared == keys(spec).declared) is (geometry.members() == spec.declared.members())


def test_a_generation_key_is_never_a_declared_key():
    spec = Spec(prompt="x", asked=Geometry(size=Size(8, 8)), declared=Geometry(size=Size(8, 8)))
    assert set(keys(spec).generation).isdisjoint(keys(spec).declared)
