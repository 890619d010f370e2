"""What files say of themselves: provenance by default, everything or nothing on request, read back by anyone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from making import FORMATS, make, opened, pattern, plain, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Size
from imgbuild.images.provenance import IPTC_EXTENSION, TRAINED_ALGORITHMIC_MEDIA, xmp
from imgbuild.images.read_provenance import read_provenance
from imgbuild.images.vips import pyvips
from imgbuild.images.xmp import MAX_PACKET, merged, properties

EMBEDDED = {"prompt": "a <b> & “c” 城", "model": "gpt-image-2", "key": "k" * 64}
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
FOREIGN = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="{DUBLIN_CORE}" xmlns:e="{IPTC_EXTENSION}" e:AISystemUsed="another">
<dc:creator><rdf:Seq><rdf:li>Ada &amp; Co</rdf:li></rdf:Seq></dc:creator>
<e:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</e:DigitalSourceType>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A photograph with EXIF, IPTC, XMP, a wide colour profile, and turned by a quarter."""
    image = pattern(96, 64).icc_transform("p3", input_profile="srgb").copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ada (Ada, ASCII, 4 components, 4 bytes)")
    image.set_type(
        pyvips.GValue.gstr_type, "exif-ifd2-UserComment", "canary (canary, ASCII, 7 components, 7 bytes)"
    )
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", FOREIGN)
    caption = b"\x1c\x02\x78\x00\x0eA quiet street"
    body = b"8BIM\x04\x04\0\0" + len(caption).to_bytes(4, "big") + caption + b"\0" * (len(caption) % 2)
    image.set_type(pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\0" + body)
    path = tmp_path / "spoken.jpg"
    path.write_bytes(image.jpegsave_buffer(Q=95, profile="p3"))
    return path


def exiftool(path: Path) -> Mapping[str, str]:
    """What another program reads from a file, by group and name."""
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    shown = subprocess.run(
        [program, "-json", "-G", "-struct", str(path)], check=True, capture_output=True, text=True
    )
    said: dict[str, str] = json.loads(shown.stdout)[0]
    return said


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("metadata", ["provenance", "keep"])
def test_provenance_is_read_back(make_picture, tmp_path: Path, format: str, metadata: str) -> None:
    to = tmp_path / "renamed.bin"
    make(make_picture("a.png"), to, recipe(format, metadata=metadata, embedded=EMBEDDED))
    assert read_provenance(to) == {"source_type": TRAINED_ALGORITHMIC_MEDIA, **EMBEDDED}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("metadata", ["provenance", "keep"])
@pytest.mark.parametrize("palette", [None, 16])
def test_exiftool_reads_it_as_well(
    spoken: Path, tmp_path: Path, format: str, metadata: str, palette: int | None
) -> None:
    to = tmp_path / f"out.{format}"
    make(spoken, to, recipe(format, metadata=metadata, embedded=EMBEDDED, palette=palette))
    said = exiftool(to)
    assert said["XMP:DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert said.get("XMP:AISystemUsed", "gpt-image-2") == "gpt-image-2"
    assert not [
        (name, text)
        for name, text in said.items()
        if name.endswith((":Warning", ":Error")) and "[minor]" not in text
    ]
    assert (said.get("XMP:Creator") == ["Ada & Co"]) == (metadata == "keep")


@pytest.mark.parametrize("format", FORMATS)
def test_keep_keeps_what_the_master_said(spoken: Path, tmp_path: Path, format: str) -> None:
    to = tmp_path / f"out.{format}"
    made = make(spoken, to, recipe(format, metadata="keep", size=Size(32, 48)))
    image = opened(to)
    assert str(image.get("exif-ifd0-Artist")).startswith("Ada ")
    assert str(image.get("exif-ifd2-UserComment")).startswith("canary ")
    assert "Ada & Co" in properties(image.get("xmp-data"))[DUBLIN_CORE, "creator"]
    # The picture stands upright, and its EXIF agrees.
    assert (made.width, made.height) == (32, 48)
    assert image.get("orientation") == 1 if image.get_typeof("orientation") else True
    if format == "jpeg":
        # libvips writes IPTC's old records into no other of these formats.
        assert b"A quiet street" in bytes(image.get("iptc-data"))


@pytest.mark.parametrize("format", FORMATS)
def test_keep_keeps_the_colour_profile_and_the_colours(spoken: Path, tmp_path: Path, format: str) -> None:
    options = {"lossless": True} if format in ("webp", "avif") else {}
    make(spoken, tmp_path / "kept", recipe(format, metadata="keep", options=options))
    make(spoken, tmp_path / "srgb", recipe(format, options=options))
    kept, srgb = opened(tmp_path / "kept"), opened(tmp_path / "srgb")
    assert kept.get("icc-profile-data") == pyvips.Image.jpegload(str(spoken)).get("icc-profile-data")
    assert srgb.get_typeof("icc-profile-data") == 0
    assert (kept.cast("float") - srgb).abs().max() > 4
    assert (kept.icc_transform("srgb", embedded=True).cast("float") - srgb).abs().avg() < 1.5


def test_a_profile_that_is_not_of_rgb_is_left_out(tmp_path: Path) -> None:
    grey = plain(30, 20, 100).cast("uchar").copy(interpretation="b-w")
    grey.copy().set_type(pyvips.GValue.blob_type, "icc-profile-data", b"\0" * 16 + b"GRAY" + b"\0" * 200)
    marked = grey.copy()
    marked.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"\0" * 16 + b"RGB " + b"\0" * 200)
    (tmp_path / "a.jpg").write_bytes(marked.jpegsave_buffer())
    make(tmp_path / "a.jpg", tmp_path / "out", recipe("png", metadata="keep"))
    assert opened(tmp_path / "out").get_typeof("icc-profile-data") == 0


@pytest.mark.parametrize("format", FORMATS)
def test_a_thumbnail_of_the_master_is_not_kept(tmp_path: Path, format: str) -> None:
    """A camera's EXIF has a small version of the whole picture, which would show what a crop removed."""
    photo = pattern(96, 64).copy()
    small = pattern(16, 16).jpegsave_buffer(keep="none")
    photo.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ada (Ada, ASCII, 4 components, 4 bytes)")
    photo.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", small)
    (tmp_path / "a.jpg").write_bytes(photo.jpegsave_buffer())
    assert (tmp_path / "a.jpg").read_bytes().count(b"\xff\xd8\xff") == 2
    make(tmp_path / "a.jpg", tmp_path / "out", recipe(format, metadata="keep", size=Size(10, 10)))
    assert (tmp_path / "out").read_bytes().count(b"\xff\xd8\xff") == (format == "jpeg")
    assert opened(tmp_path / "out").get_typeof("jpeg-thumbnail-data") == 0


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("metadata", ["strip", "provenance"])
def test_nothing_else_is_carried_over(spoken: Path, tmp_path: Path, format: str, metadata: str) -> None:
    to = tmp_path / "out"
    make(spoken, to, recipe(format, metadata=metadata, embedded=EMBEDDED))
    data = to.read_bytes()
    assert b"Ada" not in data
    assert b"canary" not in data
    assert b"quiet" not in data
    assert (b"xmpmeta" in data) == (metadata == "provenance")


@pytest.mark.parametrize("format", FORMATS)
def test_a_stripped_file_says_nothing(spoken: Path, tmp_path: Path, format: str) -> None:
    to = tmp_path / f"out.{format}"
    stripped = make(spoken, to, recipe(format, metadata="strip", embedded=EMBEDDED))
    assert read_provenance(to) == {}
    said = opened(to).get_fields()
    assert not {"exif-data", "xmp-data", "iptc-data", "icc-profile-data"} & set(said)
    assert stripped.bytes < make(spoken, to, recipe(format)).bytes
    make(spoken, to, recipe(format, metadata="strip"))
    assert not [name for name in exiftool(to) if name.startswith(("XMP:", "IPTC:", "ICC"))]


def test_what_another_program_wrote_is_read(tmp_path: Path) -> None:
    for name, save in (
        ("a.png", "pngsave_buffer"),
        ("a.jpg", "jpegsave_buffer"),
        ("a.webp", "webpsave_buffer"),
    ):
        image = pattern(20, 20).copy()
        image.set_type(pyvips.GValue.blob_type, "xmp-data", FOREIGN)
        (tmp_path / name).write_bytes(getattr(image, save)())
        said = read_provenance(tmp_path / name)
        assert said["model"] == "another"
        assert said["source_type"].endswith("/digitalCapture")
        assert set(said) == {"model", "source_type"}


def test_a_file_without_any_says_nothing_and_no_picture_is_refused(make_picture, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp", "a.avif", "a.gif"):
        assert read_provenance(make_picture(name)) == {}
    (tmp_path / "b.png").write_text("hello")
    with pytest.raises(BadImageError):
        read_provenance(tmp_path / "b.png")


def described(inside: str, head: str = "") -> bytes:
    return (
        f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:e="{IPTC_EXTENSION}">{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    + "]>"
)
HOSTILE = {
    "entities": described("<e:AISystemUsed>&m;</e:AISystemUsed>", BOMB),
    "a file": described(
        "<e:AISystemUsed>&f;</e:AISystemUsed>", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    ),
    "a document type": described("<e:AISystemUsed>x</e:AISystemUsed>", "<!DOCTYPE x>"),
    "another encoding": described("<e:AISystemUsed>&m;</e:AISystemUsed>", BOMB).decode().encode("utf-16"),
    "too deep": described("<e:AISystemUsed>" + "<a>" * 20_000 + "</a>" * 20_000 + "</e:AISystemUsed>"),
    "megabytes": described("<e:AISystemUsed>" + "x" * 3_000_000 + "</e:AISystemUsed>"),
    "broken": described("<e:AISystemUsed>x")[:-30],
    "an unknown encoding": b'<?xml version="1.0" encoding="x-mac"?>' + described(""),
    "zeroes": bytes(500),
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_packet_is_harmless(tmp_path: Path, name: str) -> None:
    packet = HOSTILE[name]
    assert properties(packet) == {}
    ours = xmp({"prompt": "x"})
    assert merged(packet, ours) == ours
    if packet:
        image = pattern(20, 20).copy()
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
        path = tmp_path / "a.webp"
        path.write_bytes(image.webpsave_buffer())
        assert read_provenance(path) == {}
        make(path, tmp_path / "out", recipe("jpeg", metadata="keep"))
        assert read_provenance(tmp_path / "out") == {"source_type": TRAINED_ALGORITHMIC_MEDIA}


def test_of_two_statements_ours_stands_once() -> None:
    both = merged(FOREIGN, xmp({"model": "ours"}))
    said = properties(both)
    assert said[IPTC_EXTENSION, "DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert said[IPTC_EXTENSION, "AISystemUsed"] == "ours"
    assert said[DUBLIN_CORE, "creator"] == "Ada & Co"
    assert b"digitalCapture" not in both
    assert b"another" not in both
    assert merged(both, xmp({"model": "ours"})).count(b"AISystemUsed>ours") == 1


def test_a_merged_packet_that_would_be_too_long_is_ours_alone() -> None:
    long = described(f'<d:title xmlns:d="{DUBLIN_CORE}">{"x" * MAX_PACKET}</d:title>')
    ours = xmp({"prompt": "x"})
    assert properties(long)
    assert merged(long, ours) == ours


def test_lists_and_attributes_are_read_as_text() -> None:
    packet = described(
        "<e:AISystemUsed><rdf:Alt><rdf:li>one</rdf:li></rdf:Alt></e:AISystemUsed>"
        "<e:AISystemUsed>two</e:AISystemUsed><e:Empty/>"
    )
    assert properties(packet)[IPTC_EXTENSION, "AISystemUsed"] == "one"
    assert properties(packet)[IPTC_EXTENSION, "Empty"] == ""


def test_masters_of_one_colour_can_be_kept_too(tmp_path: Path) -> None:
    source = stored(plain(5, 5, 1, 2, 3), tmp_path / "a.png")
    make(source, tmp_path / "out", recipe("png", metadata="keep", palette=2))
    assert read_provenance(tmp_path / "out")["source_type"] == TRAINED_ALGORITHMIC_MEDIA
