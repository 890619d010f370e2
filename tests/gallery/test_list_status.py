"""`imgbuild list --status`: what a build would do for each image, or that nothing can be done for free."""

from __future__ import annotations

from project_folder import ProjectFolder

MANIFEST = """\
version: 1
providers:
  studio: {{type: openai, base_url: "{url}/v1", api_key: "${{STUDIO_KEY}}"}}
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
images:
  hero: {{prompt: a lighthouse, ratio: 1:1, output: out/hero.png}}
  icon: {{prompt: an anchor, ratio: 1:1, output: out/icon.png}}
"""


def status(project: ProjectFolder) -> dict[str, tuple[str, bool]]:
    found = (e["value"] for e in project.json("list", "--status").events if e["event"] == "data")
    return {value["id"]: (value["status"], value["blocked"] is not None) for value in found}


def test_each_image_has_its_state(project: ProjectFolder, emulator, tmp_path):
    project.manifest(MANIFEST.format(url=emulator.url))
    assert status(project) == {"hero": ("generate", False), "icon": ("generate", False)}
    project.json("build")
    assert status(project) == {"hero": ("none", False), "icon": ("none", False)}
    (project.root / "out/hero.png").unlink()
    project.write("out/icon.png", b"mine")
    assert status(project) == {"hero": ("restore", False), "icon": ("conflict", False)}
    assert [line.split("  ")[1].strip() for line in project.run("list", "--status").out.splitlines()] == [
        "to restore",
        "conflict",
    ]


def test_an_image_whose_bytes_are_damaged_is_lost_and_its_gallery_says_why(
    project: ProjectFolder, emulator, tmp_path
):
    project.manifest(MANIFEST.format(url=emulator.url))
    project.json("build", "hero")
    (project.root / "out/hero.png").unlink()
    for blob in (tmp_path / "cache/blobs").glob("*/*"):
        if "." not in blob.name:
            blob.chmod(0o644)
            blob.write_bytes(b"damaged")
    project.run("build", "hero")
    assert status(project)["hero"][1]
    assert "lost" in project.run("list", "hero", "--status").out
    project.run("gallery")
    page = (project.root / ".imgbuild/gallery/index.html").read_text(encoding="utf-8")
    assert '"state":"lost"' in page
