"""Provenance as an XMP packet: this picture was made by a generative model.

DigitalSourceType and the AI properties are those of the IPTC Photo Metadata Standard 2025.1
(http://iptc.org/std/Iptc4xmpExt/2008-02-29/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from imgbuild.images.xmp import MAX_PACKET

IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
IMGBUILD = "urn:imgbuild:xmp:"
"""The namespace of what IPTC has no property for."""
TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_PROPERTIES = {"prompt": "Iptc4xmpExt:AIPromptInformation", "model": "Iptc4xmpExt:AISystemUsed"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")

_OPEN = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="{IPTC_EXTENSION}"
    xmlns:imgbuild="{IMGBUILD}">
   <Iptc4xmpExt:DigitalSourceType>{TRAINED_ALGORITHMIC_MEDIA}</Iptc4xmpExt:DigitalSourceType>
"""
_CLOSE = """  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def xmp(metadata: Mapping[str, str]) -> bytes:
    """The packet, UTF-8, the same for the same metadata.

    `prompt` and `model` become IPTC's own properties, any other name (letters and digits) one of imgbuild's.
    A text too long for the packet, which JPEG limits, is cut and ends in an ellipsis.
    """
    room = MAX_PACKET - len((_OPEN + _CLOSE).encode())
    lines = []
    for name in sorted(metadata, key=lambda name: (len(metadata[name]), name)):
        if not _NAME.match(name):
            continue
        tag = _PROPERTIES.get(name, f"imgbuild:{name}")
        text = _fit(_NOT_XML.sub("", metadata[name]), room - 2 * len(tag) - 16)
        line = f"   <{tag}>{text}</{tag}>\n"
        room -= len(line.encode())
        lines.append((name, line))
    return (_OPEN + "".join(line for _, line in sorted(lines)) + _CLOSE).encode()


def _fit(text: str, room: int) -> str:
    """The escaped text, cut so that its UTF-8 form has at most `room` bytes."""
    escaped = escape(text)
    if len(escaped.encode()) <= room:
        return escaped
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(escape(text[:middle]).encode()) + 3 <= room:
            low = middle
        else:
            high = middle - 1
    return f"{escape(text[:low])}…" if room >= 3 else ""
