"""What a file says of itself: where the picture comes from, and on request what its master's file said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.core.image import Metadata
from imgbuild.images.colours import PROFILE, to_profile
from imgbuild.images.provenance import xmp
from imgbuild.images.vips import pyvips
from imgbuild.images.xmp import merged

_EXIF, _IPTC, _XMP = "exif-data", "iptc-data", "xmp-data"
_THUMBNAIL = "jpeg-thumbnail-data"
_KEEP = pyvips.enums.ForeignKeep


@dataclass(frozen=True, slots=True)
class Said:
    """What is written beside the pixels: an XMP packet, and fields of the master under libvips' names."""

    packet: bytes | None = None
    master: Mapping[str, object] = field(default_factory=dict)

    def attach(self, image: pyvips.Image, *, packet: bool) -> tuple[pyvips.Image, int]:
        """The picture with this attached, and what the encoder has to keep (libvips' flags).

        Without `packet` the XMP is left for someone else to write.
        """
        marked = image.copy()
        keep: int = _KEEP.NONE
        if packet and self.packet is not None:
            marked.set_type(pyvips.GValue.blob_type, _XMP, self.packet)
            keep |= _KEEP.XMP
        if not self.master:
            return marked, keep
        profile = self.master.get(PROFILE)
        if isinstance(profile, bytes):
            marked = to_profile(marked, profile).copy()
        for name, value in self.master.items():
            if name in (_EXIF, _IPTC):
                marked.set_type(pyvips.GValue.blob_type, name, value)
            elif name != PROFILE:
                marked.set_type(pyvips.GValue.gstr_type, name, value)
        # A camera's small version of the whole picture would show what was cut off.
        if marked.get_typeof(_THUMBNAIL):
            marked.remove(_THUMBNAIL)
        if _EXIF in self.master:
            # The pixels stand upright already.
            marked.set_type(pyvips.GValue.gint_type, "orientation", 1)
        return marked, keep | _KEEP.EXIF | _KEEP.IPTC | _KEEP.ICC


def read_said(image: pyvips.Image) -> dict[str, object]:
    """What a picture that was just opened says of itself: EXIF, IPTC, XMP and colour profile."""
    names = (name for name in image.get_fields() if name in (_EXIF, _IPTC, _XMP, PROFILE))
    found: dict[str, object] = {name: image.get(name) for name in names}
    if _EXIF in found:
        # libvips writes the fields and takes from the block only what they do not say.
        found |= {name: image.get(name) for name in image.get_fields() if name.startswith("exif-ifd")}
    return found


def say(policy: Metadata, embedded: Mapping[str, str], master: Mapping[str, object]) -> Said:
    """What a derived file says under a policy.

    provenance: that a model made it, and `embedded`. keep: the same, and what the master's file said (EXIF,
    other XMP, the colour profile, and in JPEG the older IPTC records); of two statements about the origin
    ours stands. strip: nothing. own: only what the master's file said, for it was a person's.
    """
    if policy == "strip":
        return Said()
    packet = xmp(embedded)
    if policy == "provenance":
        return Said(packet)
    foreign = master.get(_XMP)
    others = {name: value for name, value in master.items() if name != _XMP}
    if not isinstance(foreign, bytes):
        return Said(packet if policy == "keep" else None, others)
    return Said(merged(foreign, packet) if policy == "keep" else foreign, others)
