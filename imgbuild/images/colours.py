"""Colour spaces: every picture is worked on as upright 8-bit sRGB, and can go back to its own profile."""

from __future__ import annotations

from imgbuild.images.vips import pyvips

PROFILE = "icc-profile-data"
"""libvips' name for the colour profile of a picture."""


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """8-bit sRGB, three bands or four, upright, from whatever the file holds."""
    if image.get_typeof("orientation") != 0 and image.get("orientation") > 1:
        # Turning reads the rows out of order, which a file that is read once from the top cannot give.
        image = image.copy_memory().autorot()
    if image.get_typeof(PROFILE) != 0:
        try:
            image = image.icc_transform("srgb", embedded=True)
        except pyvips.Error:
            # A broken or foreign profile: the numbers as they are come closest.
            image = image.colourspace("srgb")
    elif image.interpretation != "srgb" or image.format != "uchar":
        image = image.colourspace("srgb")
    image = image.cast("uchar")
    return image.extract_band(0, n=4 if image.hasalpha() else 3)


def to_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """The same colours in the numbers of an RGB profile, which is attached; 8 bits, three bands or four.

    A profile that libvips cannot use, or that is not one of RGB colours, is left out: the picture stays sRGB.
    """
    if profile[16:20] != b"RGB ":
        return image
    try:
        connected = image.icc_import(input_profile="srgb").copy()
        connected.set_type(pyvips.GValue.blob_type, PROFILE, profile)
        converted = connected.icc_export(depth=8).copy_memory()
    except pyvips.Error:
        return image
    return converted if converted.bands == image.bands else image
