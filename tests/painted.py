"""Pictures that a person might have made: plain colours, in any format."""

from __future__ import annotations

from imgbuild.images.vips import pyvips


def painted(
    width: int, height: int, colour: tuple[int, int, int] = (200, 30, 60), format: str = "png"
) -> bytes:
    """A picture of one colour."""
    image = pyvips.Image.black(width, height, bands=3).linear([1, 1, 1], list(colour)).cast("uchar")
    return bytes(image.copy(interpretation="srgb").write_to_buffer(f".{format}"))
