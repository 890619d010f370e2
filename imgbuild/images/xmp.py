"""Reading XMP packets of unknown origin, and merging ours into them.

A packet is RDF/XML (XMP specification, part 1, 7). One that declares a document type or entities, is nested
too deeply or is too long is not read at all: no writer of XMP does that, and every attack on XML readers
does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.dom.minidom import Document, Element, Node, parseString
from xml.parsers import expat

MAX_PACKET = 60_000
"""Bytes of a packet that is written: it must fit into one JPEG segment of 65,535 bytes."""
_MAX_READ = 1 << 20
_MAX_DEPTH = 64
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_START = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="r"?>'

Name = tuple[str, str]
"""Namespace and local name."""


class _RefusedXmlError(Exception):
    """The packet is not what a writer of XMP makes."""


def properties(packet: bytes) -> dict[Name, str]:
    """The packet's properties as plain text, by namespace and name; none if it cannot be read safely.

    Of a structured value all its text is given; of a property that is there twice, the first.
    """
    if len(packet) > _MAX_READ:
        return {}
    reader = _Reader()
    # Files hold XMP as UTF-8 (XMP specification, part 3), whatever it says of itself.
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except (expat.ExpatError, _RefusedXmlError, ValueError):
        return {}
    return {name: "".join(parts).strip() for name, parts in reader.found.items()}


@dataclass(slots=True)
class _Reader:
    """Collects what stands directly in an rdf:Description, as attributes and as elements."""

    found: dict[Name, list[str]] = field(default_factory=dict)
    _open: list[Name] = field(default_factory=list)
    _into: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _name(tag)
        if len(self._open) >= _MAX_DEPTH:
            raise _RefusedXmlError
        inside = self._into is not None
        if not inside and self._open and self._open[-1] == (_RDF, "Description"):
            self._into = [] if name in self.found else self.found.setdefault(name, [])
        elif not inside and name == (_RDF, "Description"):
            for key, value in attributes.items():
                self.found.setdefault(_name(key), [value])
        self._open.append(name)

    def end(self, _tag: str) -> None:
        self._open.pop()
        if self._into is not None and self._open[-1] == (_RDF, "Description"):
            self._into = None

    def text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def refuse(self, *_declaration: object) -> None:
        raise _RefusedXmlError


def merged(foreign: bytes, ours: bytes) -> bytes:
    """Our packet with the other properties of a foreign one; without, where it is unreadable or too long."""
    own = properties(ours).keys()
    if len(foreign) > MAX_PACKET or not properties(foreign):
        return ours
    document = parseString(foreign.decode().strip("\0\ufeff \r\n\t"))
    rdf = next(iter(document.getElementsByTagNameNS(_RDF, "RDF")), None)
    described = parseString(ours).getElementsByTagNameNS(_RDF, "Description")[0]
    if rdf is None:
        return ours
    for description in _descriptions(rdf):
        for name in own - {(_RDF, "about")}:
            _remove(description, name)
    rdf.appendChild(document.importNode(described, deep=True))
    return _written(document, ours)


def _written(document: Document, ours: bytes) -> bytes:
    root = document.documentElement
    packet = (_START + root.toxml() + _END).encode() if root is not None else ours
    return packet if len(packet) <= MAX_PACKET and properties(packet) else ours


def _descriptions(rdf: Element) -> list[Element]:
    named = (node for node in rdf.childNodes if node.nodeType == Node.ELEMENT_NODE)
    return [node for node in named if (node.namespaceURI, node.localName) == (_RDF, "Description")]


def _remove(description: Element, name: Name) -> None:
    namespace, local = name
    if description.hasAttributeNS(namespace, local):
        description.removeAttributeNS(namespace, local)
    for child in list(description.childNodes):
        if (child.namespaceURI, child.localName) == name:
            description.removeChild(child)


def _name(text: str) -> Name:
    namespace, _, local = text.rpartition(" ")
    return namespace, local
