"""`imgbuild spend`: the bill of a project, which agrees with what the service charged and forgets nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from project_folder import STUDIO, UNHEARD, ProjectFolder, Run, start

from imgbuild.core.schema_formats import events_schema

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, quality: medium, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, takes: 2, output: out/icon.png}
"""
TWO_SERVICES = """\
version: 1
providers:
  studio:
    type: uniall
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    poll_interval: 50ms
    pricing: {{unit: USD, per_image: {{low: 0.01, medium: 0.04}}}}
  points:
    type: openai
    base_url: {url}/v1
    api_key: ${{STUDIO_KEY}}
    pricing: {{unit: points, per_image: {{low: 8}}}}
defaults: {{model: gpt-image-2, quality: low}}
images:
  hero: {{provider: studio, prompt: a lighthouse, size: 64x64, output: out/hero.png}}
  icon: {{provider: points, prompt: an anchor, takes: 2, size: 64x64, output: out/icon.png}}
  note: {{provider: points, prompt: a note, size: 64x64, quality: high, output: out/note.png}}
"""


@pytest.fixture
def built(project: ProjectFolder, emulator: Any) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    return project


def sums(run: Run) -> dict[str, dict[str | None, tuple[float | None, str | None, int]]]:
    """The bill by table and name: cost, unit and number of results."""
    bill: dict[str, dict[str | None, tuple[float | None, str | None, int]]] = {}
    for event in run.events:
        if event["event"] == "data":
            one = event["value"]
            bill.setdefault(one["by"], {})[one["name"]] = (one["cost"], one["unit"], one["results"])
    return bill


def total(project: ProjectFolder, *words: str) -> tuple[float | None, str | None, int]:
    return sums(project.json("spend", *words))["total"][None]


def charged(emulator: Any) -> int:
    """Images on the service's own bill."""
    images: int = emulator.ledger()["total"]["images"]
    return images


def test_the_bill_says_what_was_paid_for_what(built: ProjectFolder, emulator: Any) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    run = built.json("spend")
    assert charged(emulator) == 3
    assert sums(run) == {
        "total": {None: (0.06, "USD", 3)},
        "provider": {"uniall": (0.06, "USD", 3)},
        "model": {"gpt-image-2": (0.06, "USD", 3)},
        "month": {month: (0.06, "USD", 3)},
        "image": {"hero": (0.04, "USD", 1), "icon": (0.02, "USD", 2)},
    }
    for event in run.events:
        jsonschema.validate(event, json.loads(events_schema()))
    words = built.run("spend")
    assert words.out == (
        "about 0.06 USD for 3 results, paid by this project\n"
        "\nby provider\n  uniall  0.06 USD  3 results\n"
        "\nby model\n  gpt-image-2  0.06 USD  3 results\n"
        f"\nby month (UTC)\n  {month}  0.06 USD  3 results\n"
        "\nby image\n  hero  0.04 USD  1 result\n  icon  0.02 USD  2 results\n"
    )
    assert "estimates from price tables" in words.err


def test_what_the_cache_gave_again_is_no_payment(built: ProjectFolder, emulator: Any) -> None:
    built.edit("a lighthouse", "a windmill")
    built.json("build")
    built.edit("a windmill", "a lighthouse")
    shutil.rmtree(built.root / "out")
    built.json("build")
    built.edit("hero:", "banner:")
    built.json("build")
    assert (charged(emulator), total(built)) == (4, (0.1, "USD", 4))


def test_projects_that_share_a_cache_have_a_bill_each(
    built: ProjectFolder, new_project: Callable[..., ProjectFolder], emulator: Any
) -> None:
    other = new_project("other")
    other.manifest((built.root / "imgbuild.yaml").read_text())
    assert other.json("build").summary["submitted"] == 0
    assert other.run("spend").out == "nothing was paid by this project\n"
    assert sums(other.json("spend")) == {"total": {None: (0.0, None, 0)}}
    other.edit("a lighthouse", "a windmill")
    other.json("build")
    assert total(other) == (0.04, "USD", 1)
    assert total(built) == (0.06, "USD", 3)
    assert charged(emulator) == 4
    everything = sums(other.json("spend", "--all"))
    assert everything["total"] == {None: (0.1, "USD", 4)}
    assert everything["project"] == {str(built.root): (0.06, "USD", 3), str(other.root): (0.04, "USD", 1)}
    elsewhere = new_project("empty")
    assert total(elsewhere, "--all") == (0.1, "USD", 4)
    run = elsewhere.run("spend")
    assert (run.code, run.out) == (2, "")
    assert "there is no imgbuild.yaml" in run.err


def test_placeholders_are_free(project: ProjectFolder) -> None:
    project.manifest("version: 1\n" + IMAGES)
    project.json("build")
    run = project.run("spend")
    assert (run.out, run.err) == ("nothing was paid by this project\n", "")
    assert project.run("spend", "--all").out == "nothing was paid on this cache\n"


def test_money_that_is_spent_stays_spent(built: ProjectFolder, emulator: Any, tmp_path: Path) -> None:
    before = sums(built.json("spend"))
    assert built.run("cache", "verify").code == 0
    records = tmp_path / "cache" / "records"
    shutil.rmtree(records)
    run = built.json("spend")
    assert sums(run) == before
    assert any("rebuilt" in event["message"] for event in run.events if event["event"] == "warning")
    (built.root / "imgbuild.lock").unlink()
    built.run("cache", "gc", "--max-size", "0")
    assert sums(built.json("spend")) == before
    shutil.rmtree(built.root / "out")
    built.json("build", "icon")
    assert (charged(emulator), total(built)) == (5, (0.08, "USD", 5))


def test_units_stay_apart_and_unknown_prices_are_named(project: ProjectFolder, emulator: Any) -> None:
    project.manifest(TWO_SERVICES.format(url=emulator.url))
    project.json("build")
    values = [e["value"] for e in project.json("spend", "--by", "provider").events if e["event"] == "data"]
    rows = [(v["by"], v["name"], v["cost"], v["unit"], v["results"], v["unpriced"]) for v in values]
    assert rows == [
        ("total", None, 16.0, "points", 3, 1),
        ("total", None, 0.01, "USD", 1, 0),
        ("provider", "uniall", 0.01, "USD", 1, 0),
        ("provider", "openai", 16.0, "points", 3, 1),
    ]
    usage = values[-1]["usage"]
    assert list(usage) == ["input_tokens", "output_tokens", "total_tokens"]
    words = project.run("spend", "--by", "provider").out
    assert words.startswith(
        "about 16 points and 0.01 USD for 4 results, paid by this project, "
        "1 result of unknown price among them\n"
    )
    assert "  openai  16 points  3 results, 1 of unknown price  input_tokens " in words
    assert f", total_tokens {usage['total_tokens']:,}\n" in words


def test_a_table_of_ones_own_choice_is_whole(built: ProjectFolder) -> None:
    for by in ("provider", "model", "month", "image"):
        assert list(sums(built.json("spend", "--by", by))) == ["total", by]
    assert "allowed: provider, model, month, image" in built.run("spend", "--by", "week").err


def test_the_full_view_shows_ten_images_and_says_that_there_are_more(
    project: ProjectFolder, emulator: Any
) -> None:
    images = "".join(f"  i{n}: {{prompt: p{n}, size: 64x64, output: out/{n}.png}}\n" for n in range(12))
    project.manifest(STUDIO.format(url=emulator.url) + "images:\n" + images)
    project.json("build")
    assert project.run("spend").out.endswith("1 result\n  and 2 more: imgbuild spend --by image\n")
    assert project.run("spend", "--by", "image").out.count("1 result\n") == 12
    assert len(sums(project.json("spend"))["image"]) == 12


def test_since_counts_from_a_day_or_a_month(built: ProjectFolder) -> None:
    now = datetime.now(UTC)
    for since in (f"{now:%Y-%m}", "2020-01-01", "2020-01"):
        assert total(built, "--since", since) == (0.06, "USD", 3)
    assert total(built, "--since", "2999-12-31") == (0.0, None, 0)
    assert built.run("spend", "--since", "2999-12").out == (
        "nothing was paid by this project since 2999-12-01\n"
    )


@pytest.mark.parametrize("since", ["yesterday", "2026", "2026-13", "2026-02-30", "2026-1-1", "٢٠٢٦-٠١", ""])
def test_a_day_that_is_none_is_a_mistake_on_the_command_line(project: ProjectFolder, since: str) -> None:
    run = project.run("spend", "--since", since)
    assert (run.code, run.out) == (2, "")
    assert "2026-11-21" in run.err


def test_the_options_of_all_commands_find_the_project(built: ProjectFolder) -> None:
    (built.root / "imgbuild.yaml").rename(built.root / "art.yaml")
    words = ["-C", "..", "-f", f"{built.root.name}/art.yaml"]
    assert total(built, *words, "--profile", "final") == (0.06, "USD", 3)
    assert built.run("spend", "-f", "art.yaml", "--profile", "../x").code == 2
    assert built.run("-f", "art.yaml", "-q", "spend", "--by", "model").err == ""
    assert built.run("spend").code == 2


def test_a_broken_manifest_hides_no_bill(built: ProjectFolder) -> None:
    text = (built.root / "imgbuild.yaml").read_text()
    for broken in (text.replace("size: 64x64", "size: huge"), text + "images: {}\n", "{", "- x", "\0"):
        built.manifest(broken)
        run = built.run("spend", "--by", "model")
        assert (run.code, run.out.splitlines()[0]) == (
            0,
            "about 0.06 USD for 3 results, paid by this project",
        )


def test_the_cache_that_a_manifest_names_is_asked_also_when_its_images_are_wrong(
    project: ProjectFolder, emulator: Any
) -> None:
    del project.environ["IMGBUILD_CACHE_DIR"]
    text = STUDIO.format(url=emulator.url) + "cache: {dir: .cache}\n" + IMAGES
    project.manifest(text)
    project.json("build")
    project.manifest(text.replace("size: 64x64", "size: huge"))
    assert total(project) == (0.06, "USD", 3)
    project.manifest("{" + text)
    run = project.json("spend")
    assert sums(run)["total"] == {None: (0.0, None, 0)}
    [warning] = [event["message"] for event in run.events if event["event"] == "warning"]
    assert warning.startswith("imgbuild.yaml cannot be read")


def test_what_has_no_answer_may_have_been_charged(project: ProjectFolder, emulator: Any) -> None:
    project.manifest(
        STUDIO.format(url=emulator.url) + IMAGES.replace("a lighthouse", "'a [fault:drop-after-accept:1]'")
    )
    project.json("build", code=1)
    assert charged(emulator) == 3
    bill = sums(project.json("spend"))
    assert (bill["total"][None], bill["unsettled"]) == ((0.02, "USD", 2), {"unknown": (0.04, "USD", 1)})
    line = "may have been charged without a result: 1, about 0.04 USD (1 unknown)"
    assert line in project.run("spend", "--by", "image").out
    assert total(project, "--since", "2999-01") == (0.0, None, 0)
    project.json("build", "--retry-ambiguous")
    assert (charged(emulator), total(project)) == (4, (0.06, "USD", 3))


def test_a_task_in_flight_is_on_the_bill_until_its_result_is(
    project: ProjectFolder, start_emulator: Callable[..., Any], new_project: Callable[..., ProjectFolder]
) -> None:
    emulator = start_emulator(latency=3.0, jitter=0.0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    build = start(project, "-m", "imgbuild", "build", "hero", **UNHEARD)
    while not any(route.startswith("GET") for route in emulator.ledger()["requests"]):
        time.sleep(0.02)
    build.kill()
    build.wait()
    bill = sums(project.json("spend"))
    assert (bill["total"][None], bill["unsettled"]) == ((0.0, None, 0), {"submitted": (0.04, "USD", 1)})
    other = new_project("other")
    other.manifest("version: 1\n" + IMAGES)
    assert "unsettled" not in sums(other.json("spend"))
    assert "unsettled" in sums(other.json("spend", "--all"))
    project.json("build", "hero")
    assert sums(project.json("spend"))["total"] == {None: (0.04, "USD", 1)}
    assert "unsettled" not in sums(project.json("spend"))


def test_the_projects_folder_is_told_to_nobody(
    new_project: Callable[..., ProjectFolder], emulator: Any
) -> None:
    project = new_project("canary-folder-5b1e")
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    run = project.json("build")
    assert "canary-folder-5b1e" not in run.out + run.err + json.dumps(emulator.ledger())
    assert [name for name, data in project.files().items() if b"canary-folder-5b1e" in data] == []
    assert str(project.root) in project.run("spend", "--all").out
