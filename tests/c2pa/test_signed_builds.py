"""Pictures that are signed: what they say, who needs the key for what, and what stays as it is."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips
from project_folder import STUDIO, ProjectFolder
from signed_files import FILES, IMAGES, SIGNED, holds, read_independently
from signers import make_signer

pytest.importorskip("c2pa")

Sign = Callable[..., None]
CREATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def without_key(project: ProjectFolder) -> None:
    del project.environ["IMGBUILD_C2PA_KEY"]


def test_files_of_every_format_say_that_a_model_made_them(signed: ProjectFolder):
    signed.json("build")
    for path, format in FILES.items():
        found = read_independently(signed.read(path), format)
        assert found["failures"] == set(), path
        [action] = found["actions"]
        assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", CREATED)
        assert action["softwareAgent"]["name"] == "imgbuild"
        assert "parameters" not in action
        assert "thumbnail" not in json.dumps(found["manifest"])
        assert found["manifest"]["signature_info"]["common_name"] == "Harbour Signing"
        # Who knows nothing of credentials finds a picture of the declared size, and its older marks.
        picture = pyvips.Image.new_from_buffer(signed.read(path), "", fail_on="error")
        assert (picture.width, picture.height) == ((96, 64) if format == "png" else (48, 32))
        assert picture.avg() > 0
        assert b"DigitalSourceType" in picture.get("xmp-data")
    locked = signed.lock["images"]["hero"]["outputs"]
    assert {path: (one["digest"], one["bytes"]) for path, one in locked.items()} == {
        path: (hashlib.sha256(signed.read(path)).hexdigest(), len(signed.read(path))) for path in FILES
    }


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_another_program_finds_the_credentials(signed: ProjectFolder):
    """ExifTool 12 looks for them in PNG and JPEG."""
    signed.json("build")
    for path in ("out/hero.png", "out/hero-48.jpeg"):
        done = subprocess.run(
            ["exiftool", "-json", "-G", "-JUMBF:all", signed.root / path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "c2pa.actions.v2" in done.stdout, path
        assert "trainedAlgorithmicMedia" in done.stdout, path


def test_prompt_and_model_are_signed_where_they_are_embedded_anyway(signed: ProjectFolder):
    signed.edit("size: 96x64", "size: 96x64\n    embed_prompt: true")
    signed.json("build")
    [action] = read_independently(signed.read("out/hero.png"), "png")["actions"]
    assert action["parameters"] == {"imgbuild.prompt": "a lighthouse", "imgbuild.model": "gpt-image-2"}


def test_a_derived_file_that_says_nothing_of_itself_is_not_signed_either(signed: ProjectFolder):
    signed.edit("widths: [48],", "widths: [48], metadata: strip,")
    signed.json("build")
    assert [path for path in FILES if holds(signed.read(path))] == ["out/hero.png"]


@pytest.mark.parametrize("kind", ["ed25519", "ps256"])
def test_the_certificate_decides_the_algorithm(signed: ProjectFolder, sign: Sign, kind: str):
    sign(signed, make_signer(kind))
    signed.json("build")
    found = read_independently(signed.read("out/hero-48.avif"), "avif")
    assert (found["failures"], found["manifest"]["signature_info"]["alg"].lower()) == (set(), kind)


def test_the_variable_may_hold_the_key_itself(signed: ProjectFolder, signer):
    # As openssl wrote keys for decades, and with the line breaks of another system.
    key = signer.traditional_key.decode().replace("\n", "\r\n")
    signed.json("build", IMGBUILD_C2PA_KEY=key)
    assert read_independently(signed.read("out/hero.png"), "png")["failures"] == set()


def test_who_has_no_key_builds_and_restores_what_is_accepted(signed: ProjectFolder, emulator):
    signed.json("build")
    before, stamps = signed.files(), signed.stamps()
    without_key(signed)
    assert signed.json("build").counts() == {"unchanged": 1}
    assert signed.stamps() == stamps
    shutil.rmtree(signed.root / ".imgbuild")
    assert signed.json("build").counts() == {"unchanged": 1}
    shutil.rmtree(signed.root / "out")
    assert signed.json("build").counts() == {"restored": 1}
    assert signed.files() == before
    shutil.rmtree(signed.root / "out")
    assert signed.json("build", "--locked").counts() == {"restored": 1}
    shutil.rmtree(signed.root / "out")
    assert signed.json("restore").counts() == {"restored": 1}
    assert signed.files() == before
    assert len(emulator.ledger()["charges"]) == 1


def test_a_clone_believes_what_is_signed_without_key_or_cache(signed: ProjectFolder, copy_project):
    signed.json("build")
    clone = copy_project(signed, "clone", outputs=True, cache="empty")
    for words in (("build", "--locked"), ("build",), ("plan",)):
        assert clone.json(*words).counts() == {"unchanged": 1}


def test_a_renewed_certificate_touches_nothing_and_a_raised_issue_signs_all_anew(
    signed: ProjectFolder, sign: Sign, emulator
):
    signed.json("build")
    before = {path: signed.read(path) for path in FILES}
    sign(signed, make_signer("ed25519"))
    assert signed.json("build").counts() == {"unchanged": 1}
    signed.edit("c2pa: {", "c2pa: {issue: 2, ")
    assert signed.json("build").counts() == {"derived": 1}
    for path, format in FILES.items():
        assert signed.read(path) != before[path]
        assert read_independently(signed.read(path), format)["manifest"]["signature_info"]["alg"] == "Ed25519"
    signed.edit("issue: 2, ", "")
    assert signed.json("build").counts() == {"restored": 1}
    assert {path: signed.read(path) for path in FILES} == before
    assert len(emulator.ledger()["charges"]) == 1


def test_signing_what_was_not_signed_is_free_and_so_is_the_way_back(
    plain: ProjectFolder, sign: Sign, emulator
):
    plain.json("build")
    unsigned, key = {path: plain.read(path) for path in FILES}, plain.lock["images"]["hero"]["key"]
    sign(plain)
    assert plain.json("plan").counts() == {"derived": 1}
    assert plain.json("build").counts() == {"derived": 1}
    assert all(holds(plain.read(path)) for path in FILES)
    assert plain.lock["images"]["hero"]["key"] == key
    plain.edit(SIGNED, "")
    assert plain.json("build").counts() == {"restored": 1}
    assert {path: plain.read(path) for path in FILES} == unsigned
    assert len(emulator.ledger()["charges"]) == 1


def test_a_lock_from_before_pictures_were_signed_is_out_of_date_and_nobody_pays_for_that(
    plain: ProjectFolder, sign: Sign, copy_project, emulator
):
    plain.json("build")
    clone = copy_project(plain, "clone", outputs=True, cache="empty")
    sign(plain)
    run = plain.run("build", "--locked")
    assert (run.code, "hero: its outputs changed" in run.err) == (3, True), run.err
    # In the clone no cache has what could be signed.
    sign(clone)
    files = clone.files()
    for words in (("build", "--locked"), ("build",)):
        run = clone.json(*words, code=1)
        [failed] = [e for e in run.events if e["event"] == "image"]
        assert "out/hero.png is not signed, and no cache has the result" in failed["error"]["message"]
    assert clone.files() == files
    assert len(emulator.ledger()["charges"]) == 1


def test_a_master_that_is_lost_is_not_paid_for_again_for_a_signatures_sake(
    plain: ProjectFolder, sign: Sign, tmp_path: Path, emulator
):
    plain.json("build")
    master = plain.lock["images"]["hero"]["source"]["digest"]
    (tmp_path / "cache/blobs" / master[:2] / master).unlink()
    shutil.rmtree(tmp_path / "cache/records")
    emulator.reset()
    sign(plain)
    plain.json("build", code=1)
    assert emulator.ledger()["charges"] == []


def test_a_locked_build_that_has_lost_the_bytes_signs_no_others(signed: ProjectFolder, tmp_path: Path):
    signed.json("build")
    digest = signed.lock["images"]["hero"]["outputs"]["out/hero.png"]["digest"]
    (tmp_path / "cache/blobs" / digest[:2] / digest).unlink()
    (signed.root / "out/hero.png").unlink()
    lock = signed.read("imgbuild.lock")
    run = signed.json("build", "--locked", code=1)
    [failed] = [e for e in run.events if e["event"] == "image"]
    assert "signing makes others" in failed["error"]["message"]
    assert signed.read("imgbuild.lock") == lock
    assert signed.json("build").counts() == {"derived": 1}
    assert read_independently(signed.read("out/hero.png"), "png")["failures"] == set()


def test_cards_and_a_persons_own_pictures_are_not_signed(signed: ProjectFolder, tmp_path: Path):
    without_key(signed)
    signed.json("build", "--placeholder")
    assert not any(holds(signed.read(path)) for path in FILES)
    (tmp_path / "mine.png").write_bytes(signed.read("out/hero.png"))
    signed.json("adopt", "hero", "../mine.png")
    assert not any(holds(signed.read(path)) for path in FILES)


def test_atlases_are_made_of_signed_pictures_and_are_not_signed(signed: ProjectFolder):
    text = (signed.root / "imgbuild.yaml").read_text()
    signed.manifest(
        text + "atlases: {all: {images: hero, output: out/atlas.png, data: out/atlas.json}}\n"
        "assets: out/images.json\n"
    )
    signed.json("build")
    assert not holds(signed.read("out/atlas.png"))
    assert signed.json("build").counts() == {"unchanged": 1}
    own = json.loads(signed.read("out/images.json"))["hero"]
    assert own["digest"] == hashlib.sha256(signed.read("out/hero.png")).hexdigest()


def test_a_name_with_a_digest_has_that_of_the_signed_bytes(signed: ProjectFolder):
    signed.edit("out/hero-{{ width }}.{{ format }}", "out/hero-{{ digest[:12] }}.{{ format }}")
    signed.json("build")
    files = [path for path in signed.root.glob("out/hero-*") if path.suffix != ".png"]
    assert len(files) == 3
    for path in files:
        assert path.stem == f"hero-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    assert signed.json("build").counts() == {"unchanged": 1}


def test_a_profile_may_sign_where_the_manifest_does_not(plain: ProjectFolder, sign: Sign, emulator):
    plain.json("build")
    sign(plain)
    settings = SIGNED.removeprefix("c2pa: ").strip()
    plain.edit(SIGNED, f"profiles: {{release: {{c2pa: {settings}}}}}\n")
    assert plain.json("build").counts() == {"unchanged": 1}
    assert plain.json("build", "--profile", "release").counts() == {"derived": 1}
    assert all(holds(plain.read(path)) for path in FILES)
    assert len(emulator.ledger()["charges"]) == 1


def test_many_pictures_are_signed_at_once(signed: ProjectFolder, emulator):
    many = "".join(
        f"  i{n}: {{prompt: p{n}, size: 32x32, ratio: 1:1, output: out/i{n}.webp}}\n" for n in range(24)
    )
    signed.manifest(STUDIO.format(url=emulator.url) + SIGNED + "images:\n" + many)
    assert signed.json("build").counts()["generated"] == 24
    for n in range(24):
        assert read_independently(signed.read(f"out/i{n}.webp"), "webp")["failures"] == set()


def test_pictures_that_nobody_signs_keep_their_bytes(plain: ProjectFolder, new_project, emulator):
    """The key of a recipe without a signature is what it always was."""
    plain.json("build")
    other = new_project("other", "other-cache")
    other.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    assert IMAGES in (plain.root / "imgbuild.yaml").read_text()
    assert not any(holds(plain.read(path)) for path in FILES)
