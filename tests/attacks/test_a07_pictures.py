"""A07: bytes that are no picture, or more than one: a reason by name, nothing cached, the paid bytes kept aside."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from attack_cases import sample
from hostile_service import HostileService
from pictures import EVIL, GOOD
from project_folder import ProjectFolder


def blobs(project: ProjectFolder) -> list[Path]:
    return [
        path for path in Path(project.environ["IMGBUILD_CACHE_DIR"]).glob("blobs/*/*") if len(path.name) == 64
    ]


@pytest.mark.parametrize("name", sample(EVIL, 4))
def test_what_is_no_picture_is_named_and_kept_aside(
    project: ProjectFolder, service: HostileService, name: str
) -> None:
    content, words = EVIL[name]
    project.manifest(service.manifest())
    service.gives(content)
    run = project.json("build", code=1)
    (image,) = (event for event in run.events if event["event"] == "image")
    assert image["error"]["kind"] == "unusable"
    assert words in image["error"]["message"]
    assert blobs(project) == []
    assert not (project.root / "out").exists()
    kept = [
        path.read_bytes() for path in Path(project.environ["IMGBUILD_CACHE_DIR"]).glob("quarantine/*.bin")
    ]
    assert set(kept) == ({content} if content else set())
    # It was paid for once, and is not paid for again without a word.
    assert project.run("build").code == 1
    assert service.submissions == 1


@pytest.mark.parametrize("form", sample(["jpg", "webp", "gif"], 3))
def test_another_format_than_was_asked_for_is_converted(
    project: ProjectFolder, service: HostileService, form: str
) -> None:
    from imgbuild.images.vips import pyvips

    noise = pyvips.Image.black(1024, 1024, bands=3).copy(interpretation="srgb")
    project.manifest(service.manifest())
    service.gives(bytes(noise.write_to_buffer(f".{form}")))
    project.json("build")
    assert project.read("out/hero.png").startswith(b"\x89PNG")


def test_a_good_picture_is_taken_from_the_same_service(
    project: ProjectFolder, service: HostileService
) -> None:
    project.manifest(service.manifest())
    service.gives(GOOD)
    assert project.json("build").counts()["generated"] == 1


def test_loaders_for_untrusted_formats_are_closed(tmp_path: Path) -> None:
    from imgbuild.images.vips import pyvips

    for name, content in (
        ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>"),
        ("x.pdf", b"%PDF-1.7"),
        ("x.ppm", b"P6 1 1 255\nabc"),
    ):
        path = tmp_path / name
        path.write_bytes(io.BytesIO(content).getvalue())
        with pytest.raises(pyvips.Error):
            pyvips.Image.new_from_file(str(path))
