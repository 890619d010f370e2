"""Reading provenance back from a file, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from imgbuild.images.decode import load, opened
from imgbuild.images.provenance import IMGBUILD, IPTC_EXTENSION
from imgbuild.images.xmp import properties

_NAMES = MappingProxyType(
    {
        (IPTC_EXTENSION, "DigitalSourceType"): "source_type",
        (IPTC_EXTENSION, "AIPromptInformation"): "prompt",
        (IPTC_EXTENSION, "AISystemUsed"): "model",
    }
)


def read_provenance(path: Path) -> Mapping[str, str]:
    """What a PNG, JPEG, WebP or AVIF file's XMP says about the origin of its picture; empty if nothing.

    `source_type` is the DigitalSourceType as it stands (a URI of cv.iptc.org), `prompt` and `model` are
    IPTC's AI properties (IPTC Photo Metadata Standard 2025.1); every other name is one of imgbuild's own,
    e.g. `key`. It is what the file claims: nothing here is signed. Pixels are not decoded. Raises
    BadImageError where the file is no picture, and StorageError where it cannot be read.
    """
    with opened(path) as (facts, file):
        image = load(file, facts)
        packet = image.get("xmp-data") if image.get_typeof("xmp-data") else b""
    said = properties(packet)
    own = {name: text for (namespace, name), text in said.items() if namespace == IMGBUILD}
    return own | {_NAMES[name]: text for name, text in said.items() if name in _NAMES}
