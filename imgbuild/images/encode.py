"""From pixels to a file's bytes: png, jpeg, webp and avif, with imgbuild's defaults and provenance."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from types import MappingProxyType

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Json
from imgbuild.core.sniff import MAX_PIXELS, MAX_SIDE
from imgbuild.images.provenance import xmp
from imgbuild.images.vips import explain, pyvips, version

OPTIONS_VERSION = 1
"""Rises when anything here, in fitting or in drawing captions changes the bytes of an output."""

_DEFAULTS: Mapping[str, Mapping[str, Json]] = MappingProxyType(
    {
        # Adaptive row filters: less than half the size of none on pictures with texture. Level 9 would take
        # seven times as long as 6 for another 4 %.
        "png": {"compression": 6, "filter": "all"},
        # Full colour resolution: generated art has hard coloured edges, which 4:2:0 frays.
        "jpeg": {"Q": 90, "subsample_mode": "off", "optimize_coding": True, "interlace": True},
        "webp": {"Q": 90, "alpha_q": 100, "effort": 4, "smart_subsample": True},
        "avif": {"Q": 65, "effort": 4, "bitdepth": 8, "compression": "av1", "subsample_mode": "auto"},
    }
)
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"png": (), "jpeg": ("quality",), "webp": ("lossless", "quality"), "avif": ("lossless", "quality")}
)
_MAX_SIDE = MappingProxyType({"webp": 16_383})
"""Pixels, where the format's own limit is below what is accepted anyway (RFC 9649: 14 bits)."""

_PNG_HEADER = 33
"""Bytes of the signature and the IHDR chunk."""

FORMATS = tuple(_DEFAULTS)
"""What can be written."""


def has_alpha(format: str) -> bool:
    """Whether the format can hold transparency."""
    return format != "jpeg"


def encoder(format: str) -> str:
    """What makes the bytes of this format, e.g. "libvips 8.18.7 png/1": part of every derivation key."""
    return f"libvips {version()} {format}/{OPTIONS_VERSION}"


def check_encodable(format: str, options: Mapping[str, Json], width: int, height: int) -> None:
    """Raise BadImageError where the format, an option or the size (in pixels) cannot be written."""
    if format not in _DEFAULTS:
        raise BadImageError(f'cannot write "{format}"', remedy=f"Use one of {', '.join(FORMATS)}.")
    _saver_options(format, options)
    limit = _MAX_SIDE.get(format, MAX_SIDE)
    if min(width, height) < 1 or max(width, height) > limit or width * height > MAX_PIXELS:
        raise BadImageError(
            f"cannot write {width}x{height} pixels as {format}",
            remedy=f"Use a size of at most {limit} pixels a side and {MAX_PIXELS} in all.",
        )


def encode(
    image: pyvips.Image, format: str, options: Mapping[str, Json], metadata: Mapping[str, str]
) -> bytes:
    """The file's bytes, from 8-bit sRGB with or without alpha. All foreign metadata is left out.

    The same pixels, arguments and `encoder(format)` give the same bytes. Raises BadImageError.
    """
    saver = {"avif": "heifsave"}.get(format, f"{format}save")
    packet = xmp(metadata)
    marked = image.copy()
    marked.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    keep = "none" if format == "png" else "xmp"
    try:
        data = getattr(marked, f"{saver}_buffer")(keep=keep, **_saver_options(format, options))
    except pyvips.Error as error:
        raise BadImageError(f"the picture cannot be made into {format}: {explain(error)}") from error
    return _with_xmp_chunk(data, packet) if format == "png" else bytes(data)


def _with_xmp_chunk(png: bytes, packet: bytes) -> bytes:
    """The PNG with the packet in an iTXt chunk behind its header.

    libvips would compress it, but scanners look for plain bytes, and XMP part 3 (1.1.5) asks for them.
    """
    body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:_PNG_HEADER] + chunk + png[_PNG_HEADER:]


def _saver_options(format: str, options: Mapping[str, Json]) -> dict[str, Json]:
    merged = dict(_DEFAULTS[format])
    allowed = _OPTIONS[format]
    for name, value in options.items():
        if name not in allowed:
            listed = f"{format} takes {', '.join(allowed)}" if allowed else f"{format} takes none"
            raise BadImageError(f'unknown encoder option "{name}"', remedy=f"{listed}.")
        if name == "quality":
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
                raise BadImageError(f"quality must be a whole number from 1 to 100, not {value!r}")
            merged["Q"] = value
        else:
            if not isinstance(value, bool):
                raise BadImageError(f"{name} must be true or false, not {value!r}")
            merged[name] = value
    return merged
