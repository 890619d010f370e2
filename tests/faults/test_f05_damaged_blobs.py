"""F05: a blob whose bytes are not what they were is found, put aside, and restored or reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pyvips
from invariants import check_invariants
from project_folder import ProjectFolder
from stored import (
    CHANGED_BYTES,
    DAMAGES,
    JSON,
    PRICE,
    SYNCHRONOUS_SERVICES,
    TASK_SERVICES,
    Site,
    damage,
    failures,
    grid,
    is_sound,
    run_with_permissions,
    share,
    told,
)

IMAGES: dict[str, dict[str, Any]] = {"hero": {}, "icon": {}}
EITHER_KIND = ("uniall", "openai")


@pytest.fixture
def site(project: ProjectFolder, emulator: Any, zygote: Any) -> Site:
    return Site(project, emulator, zygote)


def build(site: Site, service: str = "uniall") -> None:
    """Two images, built and paid for."""
    site.write(IMAGES, service)
    site.run("build")
    assert site.paid() == 2


def check_width(site: Site, width: int) -> None:
    """Hero's output decodes to its last pixel, and is so wide."""
    image = pyvips.Image.new_from_file(str(site.output()), fail_on="truncated")
    image.avg()
    assert image.width == width


@pytest.mark.parametrize(("how", "service"), grid(share(DAMAGES, 0, 5), TASK_SERVICES))
def test_a_damaged_master_is_fetched_again_from_its_task_free_of_charge(
    site: Site, count: Any, how: str, service: str
) -> None:
    build(site, service)
    path = site.master()
    data = damage(path, how)
    count(1)
    site.change("hero", size="32x32")
    plan = site.run("plan").summary
    assert (plan["submitted"], plan["cost"]) == (0, 0)
    done = site.run("build").summary
    assert (done["failed"], done["submitted"], done["resumed"], done["cost"]) == (0, 0, 1, 0)
    assert site.paid() == 2
    assert site.master() == path
    assert is_sound(path)
    site.is_put_aside(path.name, data)
    check_width(site, 32)
    assert site.run("build").counts() == {"unchanged": 2}
    site.run("cache", "verify")
    check_invariants(site.project, site.emulator.ledger())


@pytest.mark.parametrize(("how", "service"), grid(share(DAMAGES, 1, 5), SYNCHRONOUS_SERVICES))
def test_a_damaged_master_of_a_service_that_answers_once_waits_for_the_word_reroll(
    site: Site, count: Any, how: str, service: str
) -> None:
    build(site, service)
    path, before = site.master(), site.output().read_bytes()
    data = damage(path, how)
    count(1)
    site.change("hero", size="32x32")
    for _ in range(2):
        run = site.run("build", code=1)
        assert run.counts() == {"unchanged": 1, "failed": 1}
        assert "reroll" in failures(run)["hero"]
    site.is_put_aside(path.name, data)
    [action] = site.run("plan").actions().values()
    assert "reroll" in " ".join(action["notes"])
    assert action["cost"] == 0
    assert site.output().read_bytes() == before
    assert site.paid() == 2
    assert site.run("reroll", "hero").summary["cost"] == PRICE
    assert (site.paid(), site.entry()["take"]) == (3, 2)
    check_width(site, 32)
    assert site.run("build").counts() == {"unchanged": 2}


@pytest.mark.parametrize("how", share(DAMAGES, 3, 5))
def test_a_damaged_output_blob_is_derived_again_and_the_same_bytes_come_back(
    site: Site, count: Any, how: str
) -> None:
    build(site)
    path, before = site.derived(), site.output().read_bytes()
    for words in (["build"], ["build", "--locked"], ["build", "--frozen"]):
        site.output().unlink()
        damage(path, how)
        count(1)
        done = site.run(*words).summary
        assert (done["failed"], done["submitted"], done["restored"] + done["derived"]) == (0, 0, 1)
        assert site.output().read_bytes() == before
        assert is_sound(path)
    assert site.paid() == 2
    site.run("cache", "verify")
    check_invariants(site.project, site.emulator.ledger())


@pytest.mark.parametrize("how", share(DAMAGES, 4, 5))
def test_restore_publishes_no_damaged_blob_and_works_again_after_a_build(
    site: Site, count: Any, how: str
) -> None:
    build(site)
    before = site.project.files()
    for id in IMAGES:
        site.output(id).unlink()
    damage(site.derived(), how)
    count(1)
    run = site.run("restore", code=1)
    assert run.counts() == {"restored": 1, "failed": 1}
    assert "out/hero.png" in failures(run)["hero"]
    assert not site.output().exists()
    site.run("build")
    assert site.project.files() == before
    site.output().unlink()
    assert site.run("restore").counts() == {"restored": 1, "unchanged": 1}
    assert site.project.files() == before
    assert site.paid() == 2


@pytest.mark.parametrize(
    ("how", "whose", "service"), grid(share(DAMAGES, 2, 5), ["master", "derived"], EITHER_KIND)
)
def test_cache_verify_finds_it_puts_it_aside_and_is_content_the_second_time(
    site: Site, count: Any, how: str, whose: str, service: str
) -> None:
    build(site, service)
    before = site.project.files()
    path = site.master() if whose == "master" else site.derived()
    data = damage(path, how)
    count(1)
    value = site.run("cache", "verify", code=1).events[-1]["value"]
    assert value["corrupt"] == [{"digest": path.name, "images": ["hero"] if whose == "master" else []}]
    site.is_put_aside(path.name, data)
    assert path not in path.parent.iterdir()
    value = site.run("cache", "verify").events[-1]["value"]
    assert (value["corrupt"], value["lost"]) == ([], [])
    site.run("build")
    assert site.project.files() == before
    site.output().unlink()
    site.run("build")
    assert site.project.files() == before
    assert site.paid() == 2


@pytest.mark.parametrize("how", share(CHANGED_BYTES, 3, 4))
def test_outputs_that_still_have_the_accepted_bytes_need_nothing_from_a_damaged_cache(
    site: Site, count: Any, how: str
) -> None:
    build(site, "openai")
    before = site.project.stamps()
    for path in (site.master(), site.derived()):
        damage(path, how)
        count(1)
    assert site.run("build").counts() == {"unchanged": 2}
    site.run("cache", "verify", code=1)
    for words in (["build"], ["build", "--locked"], ["restore"]):
        assert site.run(*words).counts() == {"unchanged": 2}
    assert site.project.stamps() == before
    assert site.paid() == 2


@pytest.mark.parametrize(
    ("how", "words"),
    grid(share(CHANGED_BYTES, 0, 4), [["build", "--locked"], ["build", "--frozen"], ["build"], ["restore"]]),
)
def test_what_no_cache_has_whole_is_reported_and_nothing_is_published(
    site: Site, count: Any, how: str, words: Sequence[str]
) -> None:
    build(site, "openai")
    lock = site.project.read("imgbuild.lock")
    for path in (site.master(), site.derived()):
        damage(path, how)
        count(1)
    site.output().unlink()
    for _ in range(2):
        assert list(failures(site.run(*words, code=1))) == ["hero"]
        assert not site.output().exists()
        assert site.project.read("imgbuild.lock") == lock
    assert site.paid() == 2


@pytest.mark.parametrize(("how", "service"), grid(share(CHANGED_BYTES, 1, 4), EITHER_KIND))
def test_picking_a_damaged_take_changes_nothing_until_it_is_back(
    site: Site, count: Any, how: str, service: str
) -> None:
    site.write({"hero": {"takes": 2}}, service)
    site.run("build")
    first, lock = site.output().read_bytes(), site.project.read("imgbuild.lock")
    second = site.takes()[2]["digest"]
    data = damage(site.blob(second), how)
    count(1)
    assert list(failures(site.run("pick", "hero", "2", code=1))) == ["hero"]
    assert (site.output().read_bytes(), site.project.read("imgbuild.lock")) == (first, lock)
    site.is_put_aside(second, data)
    assert site.run("build").summary["submitted"] == 0
    if service == "uniall":
        site.run("pick", "hero", "2")
        assert site.master().name == second
        assert is_sound(site.master())
    else:
        assert "take 2" in site.run("pick", "hero", "2", code=2).events[-1]["message"]
        assert site.project.read("imgbuild.lock") == lock
    check_invariants(site.project, site.emulator.ledger(), takes={"a picture of hero": 2})


@pytest.mark.parametrize(("how", "service"), grid(share(CHANGED_BYTES, 2, 4), EITHER_KIND))
def test_a_damaged_master_is_not_sent_as_a_reference(site: Site, count: Any, how: str, service: str) -> None:
    site.write({"hero": {}, "icon": {"references": ["@hero"]}}, service)
    site.run("build")
    path = site.master()
    damage(path, how)
    count(1)
    site.change("icon", prompt="another picture of icon")
    if service == "uniall":
        assert site.run("build").summary["failed"] == 0
        assert site.paid() == 3
    else:
        assert "reroll" in failures(site.run("build", code=1))["icon"]
        assert site.paid() == 2
    charges = site.emulator.ledger()["charges"]
    assert {reference for charge in charges for reference in charge["references"]} == {f"sha256:{path.name}"}


@pytest.mark.parametrize("how", share(DAMAGES, 5, 5))
def test_a_service_that_forgot_the_task_gives_nothing_back_and_takes_nothing(
    site: Site, count: Any, how: str
) -> None:
    build(site)
    path, before = site.master(), site.output().read_bytes()
    data = damage(path, how)
    count(1)
    site.emulator.reset()
    site.change("hero", size="32x32")
    assert list(failures(site.run("build", code=1))) == ["hero"]
    site.is_put_aside(path.name, data)
    [action] = site.run("plan").actions().values()
    assert action["cost"] == 0
    assert "reroll" in " ".join(action["notes"])
    assert "reroll" in failures(site.run("build", code=1))["hero"]
    assert site.output().read_bytes() == before
    assert site.paid() == 0
    assert site.run("reroll", "hero").summary["cost"] == PRICE
    assert site.paid() == 1
    check_width(site, 32)


@pytest.mark.parametrize("whose", ["master", "derived"])
def test_a_blob_that_may_not_be_read_is_named_and_not_paid_for_again(
    site: Site, count: Any, whose: str
) -> None:
    build(site)
    path = site.master() if whose == "master" else site.derived()
    site.output().unlink()
    if whose == "master":
        site.change("hero", size="32x32")
    path.chmod(0)
    count(1)
    checked = told(run_with_permissions(site.project, "cache", "verify"), 1)
    assert str(path) in checked.out + checked.err
    run = told(run_with_permissions(site.project, "build", *JSON), 1)
    assert str(path) in failures(run)["hero"]
    assert run.summary["submitted"] == 0
    assert not site.output().exists()
    path.chmod(0o444)
    site.run("build")
    check_width(site, 32 if whose == "master" else 64)
    site.run("cache", "verify")
    assert site.paid() == 2
    check_invariants(site.project, site.emulator.ledger())


def test_damaged_blobs_that_nothing_reads_keep_nobody_from_work(site: Site, count: Any) -> None:
    build(site)
    before = site.project.stamps()
    for id in IMAGES:
        damage(site.master(id), "zeroed")
        damage(site.derived(id), "cut in half")
        count(2)
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.run("build", "--locked").counts() == {"unchanged": 2}
    assert site.project.stamps() == before
    assert site.paid() == 2
