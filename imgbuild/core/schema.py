"""JSON Schema (draft 7) texts: the manifest's, and what every schema of imgbuild's has in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from imgbuild.core.manifest.fields import NAME_PATTERN
from imgbuild.core.manifest.model import Manifest


def schema_text(schema: Mapping[str, Any], *, title: str, description: str) -> str:
    """A schema made by pydantic as draft 7: two-space indent, a newline at the end.

    Objects that refuse unknown keys let those through that begin with `x-` where the schema says so
    itself; pydantic's generated titles, which only repeat the keys, are left out.
    """
    body = _draft7(schema)
    for repeated in ("title", "description", "$schema"):
        body.pop(repeated, None)
    head = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "description": description,
    }
    return json.dumps({**head, **body}, indent=2, ensure_ascii=False) + "\n"


def manifest_schema() -> str:
    """The text of schema/imgbuild.schema.json."""
    schema = _with_free_keys(Manifest.model_json_schema(by_alias=True))
    schema["properties"]["images"]["anyOf"][0]["propertyNames"] = {"pattern": NAME_PATTERN}
    return schema_text(
        schema,
        title="imgbuild manifest",
        description="The images of a project, and how they are generated: imgbuild.yaml.",
    )


def _draft7(node: Any) -> Any:
    """2020-12 words to draft 7's, and no generated titles."""
    if isinstance(node, list):
        return [_draft7(member) for member in node]
    if not isinstance(node, Mapping):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "patternProperties", "$defs", "definitions"):
            out["definitions" if key == "$defs" else key] = {k: _draft7(v) for k, v in value.items()}
        elif key == "$ref":
            out[key] = value.replace("#/$defs/", "#/definitions/")
        elif key in ("examples", "default", "enum", "const"):
            out[key] = value
        else:
            out[key] = _draft7(value)
    if "$ref" in out and len(out) > 1:
        # Draft 7 ignores what stands beside a $ref.
        out = {"allOf": [{"$ref": out.pop("$ref")}], **out}
    return out


def _with_free_keys(node: Any) -> Any:
    """Objects with known keys only let `x-` keys through, and so do the sections of named entries."""
    if isinstance(node, list):
        return [_with_free_keys(member) for member in node]
    if not isinstance(node, dict):
        return node
    out = {
        key: value if key in ("examples", "default") else _with_free_keys(value)
        for key, value in node.items()
    }
    entries = out.get("additionalProperties")
    if entries is False or (isinstance(entries, dict) and "$ref" in entries):
        out["patternProperties"] = {"^x-": {}}
    return out
