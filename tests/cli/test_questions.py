"""Commands that answer questions: list, show, explain, check, providers, cache, clean, restore."""

from __future__ import annotations

import json

SERVICE = """\
version: 1
providers:
  studio:
    type: uniall
    base_url: https://images.example
    api_key: ${STUDIO_KEY}
    pricing: {unit: USD, per_image: {low: 0.01}}
defaults: {provider: studio, model: gpt-image-2, quality: low}
images:
  hero: {prompt: "a harbour at dusk", size: 1200x630, output: hero.png}
"""


def answers(text: str) -> list[dict]:
    return [event["value"] for event in map(json.loads, text.splitlines()) if event["event"] == "data"]


def test_check_prints_the_number_of_images(project):
    done = project("check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 images, no errors\n", "")
    assert project("check", "-q").stdout == ""
    assert answers(project("check", "--output-format", "json").stdout) == [{"images": 2}]


def test_list_is_a_line_an_image_the_id_first(project):
    assert project("list").stdout == "hero  out/hero.png\nicon  out/icon.png\n"
    assert project("list", "tag:big").stdout == "hero  out/hero.png\n"
    project("build", "icon")
    assert project("list", "--status").stdout == (
        "hero  to generate  out/hero.png\nicon  up to date   out/icon.png\n"
    )
    told = answers(project("list", "--status", "--output-format", "json").stdout)
    assert [(value["id"], value["status"]) for value in told] == [("hero", "generate"), ("icon", "none")]


def test_an_unknown_target_is_a_usage_error(project):
    for verb in ("list", "show", "explain", "plan", "build"):
        done = project(verb, "hreo")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == 'error: no image is called "hreo"; did you mean "hero"?\n'


def test_show_tells_prompt_files_and_result(project):
    project("build")
    shown = project("show", "hero").stdout
    assert shown.startswith("hero\n  prompt ")
    assert "a harbour at dusk" in shown
    assert "out/hero.png  up to date  120x63" in shown
    (value,) = answers(project("show", "hero", "--output-format", "json").stdout)
    assert (value["id"], value["prompt"], value["take"]) == ("hero", "a harbour at dusk", 1)
    assert value["outputs"][0]["path"] == "out/hero.png"


def test_explain_gives_every_field_in_full(project):
    project("build")
    assert "nothing to do" in project("explain", "hero").stdout
    long = "a harbour at dawn, " + "with boats, " * 20
    text = (project.root / "imgbuild.yaml").read_text()
    project.write(text.replace("a harbour at dusk, size: 120x63", f"'{long}', size: 120x64"))
    explained = project("explain", "hero").stdout
    assert '- "a harbour at dusk"' in explained
    assert f'+ "{long.strip()}"' in explained
    assert "120x63" in explained
    assert "120x64" in explained
    action = json.loads(project("explain", "hero", "--output-format", "json").stdout.splitlines()[1])
    assert {reason["field"] for reason in action["reasons"]} >= {"prompt", "size"}


def test_plan_can_be_a_gate(project):
    assert project("plan", "--exit-code").returncode == 3
    assert project("plan").returncode == 0
    assert not (project.root / "out").exists()
    assert project("build", "--dry-run").stdout == project("plan").stdout
    project("build")
    assert project("plan", "--exit-code").returncode == 0


def test_ci_is_locked_unless_told_to_generate(project):
    done = project("build", CI="true")
    assert done.returncode == 3
    assert "hero" in done.stderr
    assert not (project.root / "out").exists()
    assert project("build", "--generate", CI="true").returncode == 0
    assert project("build", CI="true").returncode == 0
    done = project("build", "--placeholder", CI="true")
    assert done.returncode == 2
    assert "--generate" in done.stderr


def test_restore_reads_no_manifest(project):
    project("build")
    (project.root / "imgbuild.yaml").write_text("not: [a manifest")
    (project.root / "out/hero.png").unlink()
    done = project("restore")
    assert (done.returncode, done.stderr) == (0, " restored  hero  out/hero.png\n")
    assert (project.root / "out/hero.png").is_file()


def test_clean_removes_ours_and_keeps_a_persons(project):
    assert project("clean").stderr == "nothing to clean\n"
    project("build")
    (project.root / "out/icon.png").write_bytes(b"retouched")
    dry = project("clean", "--dry-run")
    assert "would remove  out/hero.png" in dry.stdout
    assert (project.root / "out/hero.png").is_file()
    done = project("clean")
    assert "removed  out/hero.png" in done.stdout
    assert "kept  out/icon.png: it was changed by hand" in done.stdout
    assert [path.name for path in (project.root / "out").iterdir()] == ["icon.png"]


def test_the_cache_answers_and_makes_room_but_keeps_what_the_lock_needs(project):
    cache = project.environ["IMGBUILD_CACHE_DIR"]
    assert project("cache", "path").stdout == f"{cache}\n"
    project("build")
    stats = answers(project("cache", "stats", "--output-format", "json").stdout)[0]
    assert stats["results"] == 2
    assert project("cache", "stats").stdout.startswith(f"folder   {cache}\n")
    assert "all as they should be" in project("cache", "verify").stdout

    text = (project.root / "imgbuild.yaml").read_text()
    project.write(text.replace("harbour at dusk", "harbour at noon"))
    project("build")
    dry = project("cache", "gc", "--max-size", "0", "--dry-run").stdout
    assert "hero" in dry
    assert "would be removed" in dry
    removed = answers(project("cache", "gc", "--max-size", "0", "--output-format", "json").stdout)[0][
        "removed"
    ]
    assert {id for one in removed for id in one["images"]} == {"hero"}
    for file in (project.root / "out").iterdir():
        file.unlink()
    assert project("build", "--frozen").returncode == 0


def test_a_corrupt_cache_is_found(project):
    project("build")
    blob = next(path for path in project.root.parent.glob("cache/blobs/*/*") if len(path.name) == 64)
    blob.chmod(0o644)
    blob.write_bytes(b"x")
    done = project("cache", "verify")
    assert done.returncode == 1
    assert blob.name in done.stdout


def test_providers_say_what_is_missing_and_who_is_trusted(imgbuild):
    imgbuild.write(SERVICE)
    before = imgbuild("providers").stdout
    assert before.startswith("studio\n  type ")
    assert "https://images.example" in before
    assert "STUDIO_KEY" in before
    assert "not set" in before
    assert "imgbuild providers --trust studio" in before
    done = imgbuild("providers", "--trust", "studio")
    assert done.stdout == "the key of studio may now be sent to https://images.example\n"
    after = answers(imgbuild("providers", "--output-format", "json", STUDIO_KEY="sk-canary-7").stdout)[0]
    assert (after["trusted"], after["variables"]) == (True, {"STUDIO_KEY": True})
    assert "sk-canary-7" not in json.dumps(after)
    done = imgbuild("providers", "--trust", "studoi")
    assert (done.returncode, done.stderr) == (
        2,
        'error: no provider is called "studoi"; did you mean "studio"?\n',
    )


def test_an_estimate_comes_before_any_payment(imgbuild):
    imgbuild.write(SERVICE)
    plan = imgbuild("plan").stdout
    assert "+ hero  new, generate " in plan
    assert ", crop to 1200x630  about 0.01 USD\n" in plan
    assert plan.endswith("\n1 to generate (about 0.01 USD)\n")
