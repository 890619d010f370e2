"""`imgbuild show FILE`: who signed it, and whether it is still what was signed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips
from painted import painted
from project_folder import ProjectFolder
from signed_files import FILES
from signers import make_signer

pytest.importorskip("c2pa")


def shown(project: ProjectFolder, path: str) -> dict:
    [event] = [e for e in project.json("show", path).events if e["event"] == "data"]
    value: dict = event["value"]
    return value


@pytest.fixture
def built(signed: ProjectFolder) -> ProjectFolder:
    signed.json("build")
    return signed


@pytest.fixture
def stranger(new_project: Callable[..., ProjectFolder]) -> ProjectFolder:
    """Somebody who has nothing but the file."""
    return new_project("stranger", "strangers-cache")


@pytest.mark.parametrize("path", FILES)
def test_a_stranger_learns_who_signed_a_file(built: ProjectFolder, stranger: ProjectFolder, path: str):
    stranger.write("sent", built.read(path))
    found = shown(stranger, "sent")
    assert found["known"] == "credentials"
    credentials = found["credentials"]
    assert (credentials["holds"], credentials["problem"]) == (True, None)
    assert (credentials["signer"], credentials["organisation"]) == ("Harbour Signing", "Harbour Ltd")
    assert credentials["source_type"] == "trainedAlgorithmicMedia"
    assert credentials["made_with"].startswith("imgbuild ")
    out = stranger.run("show", "sent").out
    assert "signed, and the signature holds" in out
    assert "by Harbour Signing, Harbour Ltd (as the certificate says; its issuer was not checked)" in out
    assert re.search(r"made as trainedAlgorithmicMedia with imgbuild \d", out)


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_was_changed_does_not_hold(built: ProjectFolder, stranger: ProjectFolder, path: str):
    data = bytearray(built.read(path))
    # In the pixels, which lie behind the credentials in all of these but WebP.
    data[len(data) - 40 if not path.endswith("webp") else 60] ^= 1
    stranger.write("sent", bytes(data))
    credentials = shown(stranger, "sent")["credentials"]
    assert credentials["holds"] is False
    assert "hash" in credentials["problem"]
    assert "signed, but it does not hold: " in stranger.run("show", "sent").out


def test_credentials_that_were_moved_to_another_picture_do_not_hold(
    built: ProjectFolder, stranger: ProjectFolder
):
    data = built.read("out/hero.png")
    start = data.index(b"caBX") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4])]
    other = painted(96, 64)
    stranger.write("sent.png", other[:33] + chunk + other[33:])
    credentials = shown(stranger, "sent.png")["credentials"]
    assert (credentials["holds"], credentials["signer"]) == (False, "Harbour Signing")


def test_damaged_credentials_and_damaged_pictures_do_not_hold(built: ProjectFolder, stranger: ProjectFolder):
    data = bytearray(built.read("out/hero.png"))
    start = data.index(b"c2pa.assertions")
    data[start - 30 : start + 30] = bytes(60)
    for name, damaged in (("credentials", bytes(data)), ("cut", built.read("out/hero.png")[:-20])):
        stranger.write(name, damaged)
        found = stranger.json("show", name, code=0)
        assert found.events[-1]["value"]["credentials"]["holds"] is False, name


def test_who_encodes_a_picture_anew_drops_its_credentials(built: ProjectFolder, stranger: ProjectFolder):
    picture = pyvips.Image.new_from_buffer(built.read("out/hero.png"), "")
    picture.write_to_file(str(stranger.root / "saved.png"))
    run = stranger.run("show", "saved.png")
    assert (run.code, "nothing is known about saved.png" in run.err) == (1, True)


def test_an_output_of_the_manifest_shows_its_credentials_with_its_image(built: ProjectFolder):
    out = built.run("show", "out/hero.png").out
    assert out.startswith("hero\n")
    assert out.count("signed, and the signature holds") == len(FILES)
    data = bytearray(built.read("out/hero.png"))
    data[-40] ^= 1
    built.write("out/hero.png", bytes(data))
    out = built.run("show", "hero").out
    assert "changed by hand" in out
    assert out.count("signed, but it does not hold: ") == 1
    holds = {one["path"]: one["credentials"]["holds"] for one in shown(built, "hero")["outputs"]}
    assert holds == {path: path != "out/hero.png" for path in FILES}


def test_a_copy_of_an_output_shows_both_what_the_lock_and_what_the_signer_says(
    built: ProjectFolder, tmp_path: Path
):
    (tmp_path / "copy.png").write_bytes(built.read("out/hero.png"))
    found = shown(built, "../copy.png")
    assert (found["known"], found["prompt"], found["credentials"]["holds"]) == ("lock", "a lighthouse", True)


def test_words_in_a_certificate_cannot_command_the_terminal(
    signed: ProjectFolder, sign, stranger: ProjectFolder
):
    sign(signed, make_signer(name="Evil\x1b[2J\u202eName"))
    signed.json("build")
    stranger.write("sent.png", signed.read("out/hero.png"))
    out = stranger.run("show", "sent.png").out
    assert "Evil" in out
    assert "\x1b[2J" not in out
    assert "\u202e" not in out


def test_a_file_without_credentials_says_nothing_of_them(plain: ProjectFolder):
    plain.json("build")
    assert "signed" not in plain.run("show", "hero").out
