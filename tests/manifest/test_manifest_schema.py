"""The JSON Schema is the committed file, and says what the loader says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from workbench import Workbench

from imgbuild.core.durations import parse_duration, parse_rate
from imgbuild.core.errors import ManifestError
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.yaml12 import parse_yaml
from imgbuild.core.schema import manifest_schema

ROOT = Path(__file__).parents[2]


def test_the_committed_file_is_the_schema() -> None:
    assert (ROOT / "schema" / "imgbuild.schema.json").read_text(encoding="utf-8") == manifest_schema()


def test_it_is_draft_7_and_describes_every_key() -> None:
    schema = json.loads(manifest_schema())
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)
    for name, member in _properties(schema):
        assert member.get("description"), name
        assert member.get("examples") or name in ("exclude", "include"), name
    assert "$defs" not in manifest_schema()


def _properties(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for key, child in node.items():
            if key not in ("examples", "default"):
                yield from _properties(child)
    elif isinstance(node, list):
        for child in node:
            yield from _properties(child)


IMAGE = "version: 1\nimages: {a: {prompt: x, output: a.png%s}}\n"
GOOD = [
    IMAGE % "",
    IMAGE % ", x-any: 1, ratio: 16:9, resolution: 2K, seed: '{{ 1 + 1 }}', background: opaque",
    IMAGE % ", size: '{{ 10 }}x10', fit: '{{ \"cover\" }}'",
    IMAGE % ", foreach: {items: [a], as: b, x-c: 1}",
    "version: 1\nx-top: {a: 1}\nvars: {a: [1]}\nimages: {x-a: 5}\nproviders: {x-b: 1, p: {type: a, x-c: 2}}\n",
    "version: 1\nproviders: {p: {type: a, api_key: '${A}', timeout: 0.2s, rate: 60/min}}\n",
    "version: 1\npresets: {p: {matrix: {a: [1], b: {k: v}, exclude: [{a: 1}], x-c: 1}}}\n",
]
BAD = [
    "version: 2\n",
    "images: {}\n",
    "version: 1\nimagse: {}\n",
    IMAGE % ", background: no",
    IMAGE % ", ratio: 1",
    IMAGE % ", size: 10",
    IMAGE % ", takes: 0",
    IMAGE % ", matrix: {a: x}",
    IMAGE % ", tags: x",
    "version: 1\nproviders: {p: {type: a, api_key: sk-1}}\n",
    "version: 1\nproviders: {p: {type: a, timeout: 5}}\n",
    "version: 1\nproviders: {p: {}}\n",
]


@pytest.mark.parametrize("text", GOOD + BAD)
def test_schema_and_loader_agree(bench: Workbench, text: str) -> None:
    tree, problems = parse_yaml(Source("f", text))
    assert not problems
    fits = jsonschema.Draft7Validator(json.loads(manifest_schema())).is_valid(json.loads(json.dumps(tree)))
    assert fits is (text in GOOD)
    if fits:
        bench.load(text)
    else:
        with pytest.raises(ManifestError):
            bench.load(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300s", 300), ("15min", 900), ("0.2s", 0.2), ("500ms", 0.5), (".5h", 1800), ("1h", 3600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", 5, "5 s", "-1s", "0s", "1d", "1e9h", "٣s", "9" * 60 + "s", None, True]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_rates() -> None:
    assert parse_rate("60/min") == 1.0
    assert parse_rate("0.5/s") == 0.5
    assert parse_rate("none") is None
    for text in ("0/s", "5", "5/day", "-1/s", 5):
        with pytest.raises(ValueError, match="none for unlimited"):
            parse_rate(text)
