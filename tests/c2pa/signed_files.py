"""A project whose pictures are signed, and what a reader that is not ours finds in them."""

from __future__ import annotations

import importlib
import io
import json
from typing import Any

IMAGES = """\
images:
  hero:
    prompt: a lighthouse
    size: 96x64
    output: out/hero.png
    derive:
      - {widths: [48], formats: [jpeg, webp, avif], output: "out/hero-{{ width }}.{{ format }}"}
"""
SIGNED = "c2pa: {certificate: certs/signing.pem, key: '${IMGBUILD_C2PA_KEY}'}\n"
FILES = {
    "out/hero.png": "png",
    "out/hero-48.jpeg": "jpeg",
    "out/hero-48.webp": "webp",
    "out/hero-48.avif": "avif",
}


def read_independently(data: bytes, format: str) -> dict[str, Any]:
    """The file's active manifest as the C2PA library itself reads it, with the codes of what does not hold."""
    c2pa = importlib.import_module("c2pa")
    with (
        c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}) as context,
        c2pa.Reader(f"image/{format}", io.BytesIO(data), context=context) as reader,
    ):
        store = json.loads(reader.json())
    manifest = store["manifests"][store["active_manifest"]]
    codes = {one["code"] for one in store.get("validation_status", ())} - {"signingCredential.untrusted"}
    [actions] = [
        one["data"]["actions"] for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2"
    ]
    return {"manifest": manifest, "failures": codes, "actions": actions}


def holds(data: bytes) -> bool:
    """Whether there are credentials in a file: all of them have this label, in every format."""
    return b"c2pa.assertions" in data
