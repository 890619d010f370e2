"""What libvips does not write into a PNG by itself: a plain XMP packet, a table of exactly its colours."""

from __future__ import annotations

import sys
import zlib

from imgbuild.images.vips import pyvips

_HEADER = 33
"""Bytes of the signature and the IHDR chunk (PNG, third edition, 5.2 and 11.2.1)."""
_COLOUR_TYPE = 25
"""Where IHDR has it: 0 is grey, 3 is indexed."""
_MOST = 256


def with_packet(png: bytes, packet: bytes) -> bytes:
    """The PNG with an XMP packet in an iTXt chunk behind its header.

    libvips would compress it, but scanners look for plain bytes, and XMP part 3 (1.1.5) asks for them.
    """
    chunk = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    return png[:_HEADER] + chunk + png[_HEADER:]


def indexed(image: pyvips.Image) -> bytes | None:
    """The picture with a table of its colours, pixel for pixel the same; None if it has more than 256.

    From 8-bit sRGB with or without alpha. libvips' own palette would be another picture: its quantiser runs
    even where there is nothing to reduce, and knows only 2, 4, 16 and 256 colours. So libvips encodes the
    indices as a grey picture, and only the header and the table are exchanged.
    """
    bands = image if image.hasalpha() else image.addalpha()
    pixels = memoryview(bands.write_to_memory()).cast("I")
    found = {value: value.to_bytes(4, sys.byteorder) for value in set(pixels)}
    if len(found) > _MOST:
        return None
    # By alpha first: opaque colours then need no entry in tRNS.
    table = sorted(found.values(), key=lambda colour: (colour[3], colour))
    place = {colour: index for index, colour in enumerate(table)}
    index_of = {value: place[colour] for value, colour in found.items()}
    indices = bytes(map(index_of.__getitem__, pixels))
    depth = next(bits for bits in (1, 2, 4, 8) if len(table) <= 1 << bits)
    grey = pyvips.Image.new_from_memory(indices, image.width, image.height, 1, "uchar")
    # Filters compare neighbouring numbers, which says nothing about indices (PNG, third edition, 12.7).
    data = grey.copy(interpretation="b-w").pngsave_buffer(
        bitdepth=depth, compression=9, filter="none", keep="none"
    )
    header = bytearray(data[8 : _HEADER - 4])
    header[_COLOUR_TYPE - 8] = 3
    colours = _chunk(b"PLTE", b"".join(colour[:3] for colour in table))
    alphas = bytes(colour[3] for colour in table if colour[3] < 255)
    transparency = _chunk(b"tRNS", alphas) if alphas else b""
    start = bytes(data[:8]) + _chunk(b"IHDR", bytes(header[8:]))
    return start + colours + transparency + bytes(data[_HEADER:])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
