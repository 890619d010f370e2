"""From pixels to a file's bytes: png, jpeg, webp and avif, with imgbuild's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from imgbuild.core.encoding import option_problem
from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Json
from imgbuild.core.sniff import MAX_PIXELS, MAX_SIDE
from imgbuild.images import png
from imgbuild.images.said import Said
from imgbuild.images.vips import explain, pyvips, version

OPTIONS_VERSION = 1
"""Rises when anything here, in an operation or in drawing captions changes the bytes of an output."""

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
_LIBVIPS_NAMES = MappingProxyType({"quality": "Q", "progressive": "interlace"})
_SAVERS = MappingProxyType({"avif": "heifsave_buffer"})
_MAX_SIDE = MappingProxyType({"webp": 16_383})
"""Pixels, where the format's own limit is below what is accepted anyway (RFC 9649: 14 bits)."""


def has_alpha(format: str) -> bool:
    """Whether the format can hold transparency."""
    return format != "jpeg"


def encoder(format: str) -> str:
    """What makes the bytes of this format, e.g. "libvips 8.18.7 png/1": part of every derivation key."""
    return f"libvips {version()} {format}/{OPTIONS_VERSION}"


def check_options(format: str, options: Mapping[str, Json]) -> None:
    """Raise BadImageError where the format or an option is unknown, or an option's value cannot be used."""
    problem = option_problem(format, options)
    if problem is not None:
        raise BadImageError(problem, remedy="Change the options of this output in the manifest.")


def check_size(width: int, height: int, format: str | None = None) -> None:
    """Raise BadImageError for sides (in pixels) that cannot be made, or cannot be written as `format`."""
    limit = _MAX_SIDE.get(format or "", MAX_SIDE)
    if min(width, height) < 1 or max(width, height) > limit or width * height > MAX_PIXELS:
        written = f"written as {format}" if format else "made"
        raise BadImageError(
            f"a picture of {width}x{height} pixels cannot be {written}",
            remedy=f"Use a size from 1 to {limit} pixels a side, and of {MAX_PIXELS} in all.",
        )


def encode(
    image: pyvips.Image, format: str, options: Mapping[str, Json], said: Said, *, indexed: bool = False
) -> bytes:
    """The file's bytes, from 8-bit sRGB with or without alpha, saying of itself what `said` holds.

    `indexed`: a PNG of at most 256 colours is written with a table of them, which is smaller. The same
    arguments and `encoder(format)` give the same bytes. Raises BadImageError.
    """
    check_options(format, options)
    saver = {_LIBVIPS_NAMES.get(name, name): value for name, value in options.items()}
    arguments = {**_DEFAULTS[format], **saver}
    try:
        if format == "png":
            data = (indexed and not said.master and png.indexed(image)) or _save(
                image, format, arguments, said
            )
            return png.with_packet(data, said.packet) if said.packet else data
        return _save(image, format, arguments, said)
    except pyvips.Error as error:
        raise BadImageError(f"the picture cannot be made into {format}: {explain(error)}") from error


def _save(image: pyvips.Image, format: str, arguments: Mapping[str, Json], said: Said) -> bytes:
    # PNG's packet is written by `png.with_packet`.
    marked, keep = said.attach(image, packet=format != "png")
    save = getattr(marked, _SAVERS.get(format, f"{format}save_buffer"))
    return bytes(save(keep=keep, **arguments))
