"""F06: what was deleted is fetched again, rebuilt or paid for exactly as the plan said before."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from invariants import check_invariants
from project_folder import ProjectFolder, Run
from stored import PRICE, SYNCHRONOUS_SERVICES, TASK_SERVICES, Site, failures, grid, is_sound, warnings

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


def lose_all(site: Site) -> set[str]:
    """Delete hero's master, the file made from it and that one's blob; returns the blobs' digests."""
    lost = (site.master(), site.derived(), site.output())
    for path in lost:
        path.unlink()
    return {path.name for path in lost[:2]}


def plan_and_build(site: Site, *words: str, code: int = 0) -> tuple[Run, Run]:
    """Plan, then build: what is done has its reasons, and what is charged was announced."""
    before = site.paid()
    plan = site.run("plan")
    assert site.paid() == before
    for action in plan.actions().values():
        assert action["reasons"], action
    done = site.run("build", *words, code=code)
    assert site.paid() - before == done.summary["submitted"] == plan.summary["submitted"]
    assert done.summary["cost"] == plan.summary["cost"] == PRICE * plan.summary["submitted"]
    return plan, done


def reasons(plan: Run, id: str = "hero") -> set[str]:
    """The fields that a plan names for an image."""
    return {reason["field"] for reason in plan.actions()[id]["reasons"]}


# Parts of a project that may be gone, one by one and in all combinations.
PARTS: dict[str, Callable[[Site], None]] = {
    "master": lambda site: site.master().unlink(),
    "derived": lambda site: site.derived().unlink(),
    "output": lambda site: site.output().unlink(),
    "records": lambda site: shutil.rmtree(site.cache / "records"),
    "sidecars": lambda site: [path.unlink() for path in site.sidecars()],
    "lock": lambda site: (site.project.root / "imgbuild.lock").unlink(),
}
SUBSETS = [frozenset(some) for n in range(len(PARTS) + 1) for some in itertools.combinations(PARTS, n)]


def is_free(lost: frozenset[str], *, task: bool) -> bool:
    """Whether hero can be had without paying for it, by what there still is."""
    left = PARTS.keys() - lost
    if "lock" in left and not {"master", "derived", "output"} <= lost:
        return True
    known = bool({"records", "sidecars"} & left)
    return known and ("master" in left or (task and "records" in left))


def is_strange(lost: frozenset[str]) -> bool:
    """Whether nothing is left that tells hero's output from a person's file."""
    witnesses = lost >= {"lock", "records"} and ("sidecars" in lost or "derived" in lost)
    return witnesses and "output" not in lost


@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", EITHER_KIND)
def test_whatever_is_deleted_the_bill_is_as_planned_and_no_more_than_needed(
    new_project: Callable[..., ProjectFolder],
    emulator: Any,
    zygote: Any,
    sample: Callable,
    count: Any,
    service: str,
) -> None:
    for number, lost in enumerate(sample(SUBSETS, 12)):
        emulator.reset()
        site = Site(new_project(f"p{number}", f"cache{number}"), emulator, zygote)
        site.write({"hero": {}}, service)
        site.run("build")
        before = site.project.files()
        removed = {site.master().name, site.derived().name}
        for part in sorted(lost, key=list(PARTS).index):
            PARTS[part](site)
        count(len(lost))
        if is_strange(lost):
            assert plan_and_build(site, code=1)[0].actions()["hero"]["action"] == "conflict", lost
            assert site.output().read_bytes() == before["out/hero.png"], lost
            site.output().unlink()
            lost |= {"output"}
        plan, _ = plan_and_build(site)
        free = is_free(lost, task=service == "uniall")
        assert plan.summary["submitted"] == (0 if free else 1), lost
        if free:
            assert site.project.files() == before, lost
        assert site.run("build").counts() == {"unchanged": 1}, lost
        assert site.paid() == (1 if free else 2), lost
        check_invariants(
            site.project,
            emulator.ledger(),
            takes={"a picture of hero": 2},
            damaged=removed,
            foreign={"records", "sidecars"} <= lost,
        )


@pytest.mark.parametrize("service", TASK_SERVICES)
def test_a_result_that_is_gone_is_fetched_from_its_task_and_is_the_same_to_the_byte(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    before, path = site.project.files(), site.master()
    lose_all(site)
    count(3)
    plan, done = plan_and_build(site, "--max-cost", "0")
    assert "result" in reasons(plan)
    assert (plan.summary["submitted"], plan.summary["cost"]) == (0, 0)
    assert (done.summary["resumed"], done.summary["submitted"], done.summary["failed"]) == (1, 0, 0)
    assert is_sound(path)
    assert site.project.files() == before
    assert site.run("build").counts() == {"unchanged": 2}
    check_invariants(site.project, site.emulator.ledger())


@pytest.mark.parametrize("service", SYNCHRONOUS_SERVICES)
def test_a_result_that_nobody_has_any_more_is_paid_for_at_the_announced_price(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    lost = lose_all(site)
    count(3)
    plan, done = plan_and_build(site)
    assert "result" in reasons(plan)
    assert plan.actions()["hero"]["cost"] == PRICE
    assert done.counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    assert site.run("build").counts() == {"unchanged": 2}
    check_invariants(site.project, site.emulator.ledger(), takes={"a picture of hero": 2}, damaged=lost)


@pytest.mark.parametrize("service", EITHER_KIND)
def test_while_the_files_are_there_a_lost_master_is_nobodys_business(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    site.master().unlink()
    count(1)
    plan_and_build(site)
    assert site.run("build", "--locked").counts() == {"unchanged": 2}
    assert site.run("restore").counts() == {"unchanged": 2}
    assert site.project.stamps() == before
    site.output().unlink()
    _, done = plan_and_build(site)
    assert done.summary["submitted"] == 0
    assert site.run("build", "--locked").counts() == {"unchanged": 2}
    assert site.paid() == 2


@pytest.mark.parametrize("service", EITHER_KIND)
def test_a_lost_master_that_another_image_refers_to_is_fetched_or_named_before_anything_is_sent(
    site: Site, count: Any, service: str
) -> None:
    site.write({"hero": {}, "icon": {"references": ["@hero"]}}, service)
    site.run("build")
    path = site.master()
    path.unlink()
    count(1)
    site.change("icon", prompt="another picture of icon")
    if service == "uniall":
        _, done = plan_and_build(site)
        assert done.counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
        assert is_sound(path)
        check_invariants(site.project, site.emulator.ledger())
    else:
        assert "imgbuild reroll 'hero'" in failures(site.run("build", code=1))["icon"]
        assert site.paid() == 2


@pytest.mark.parametrize("service", TASK_SERVICES)
def test_each_take_of_one_submission_comes_back_as_itself(site: Site, count: Any, service: str) -> None:
    site.write({"hero": {"takes": 3}}, service)
    site.run("build")
    assert site.paid() == 3
    digests = {take: result["digest"] for take, result in site.takes().items()}
    for take in (2, 3):
        site.blob(digests[take]).unlink()
        count(1)
    plan_and_build(site)
    for take, digest in digests.items():
        site.run("pick", "hero", str(take))
        assert site.master().name == digest
        assert is_sound(site.master())
    assert site.paid() == 3


def test_a_task_that_two_images_share_is_asked_for_once(site: Site, count: Any) -> None:
    site.write({"hero": {"prompt": "one"}, "icon": {"prompt": "one", "output": "out/other.png"}})
    site.run("build")
    before = site.project.files()
    path = site.master()
    for lost in (path, site.derived(), *(site.project.root / "out").iterdir()):
        lost.unlink()
        count(1)
    _, done = plan_and_build(site)
    assert (done.summary["failed"], done.summary["resumed"], done.summary["submitted"]) == (0, 1, 0)
    assert site.project.files() == before
    assert site.paid() == 1


@pytest.mark.parametrize("service", TASK_SERVICES)
def test_a_service_that_forgot_the_task_charges_nothing_and_the_next_plan_says_the_price(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    lost = lose_all(site)
    count(3)
    site.emulator.reset()
    plan, done = plan_and_build(site, code=1)
    assert plan.summary["cost"] == 0
    assert list(failures(done)) == ["hero"]
    assert site.paid() == 0
    plan, done = plan_and_build(site)
    assert plan.actions()["hero"]["cost"] == PRICE
    assert done.counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.paid() == 1
    check_invariants(site.project, site.emulator.ledger(), damaged=lost)


def test_a_task_of_a_service_that_is_no_provider_any_more_is_paid_for_nowhere_without_a_word(
    site: Site, start_emulator: Callable, count: Any
) -> None:
    build(site)
    before = site.project.files()
    lose_all(site)
    count(3)
    other = Site(site.project, start_emulator(), site.zygote)
    other.write(IMAGES)
    run = other.run("build", code=1)
    assert site.emulator.url in failures(run)["hero"]
    site.write(IMAGES)
    _, done = plan_and_build(site)
    assert (done.summary["resumed"], done.summary["submitted"]) == (1, 0)
    assert site.project.files() == before
    lose_all(site)
    count(3)
    other.write(IMAGES)
    other.run("build", code=1)
    assert (site.paid(), other.paid()) == (2, 0)


@pytest.mark.parametrize(
    ("words", "service"), grid([["build", "--frozen"], ["build", "--offline"], ["restore"]], EITHER_KIND)
)
def test_commands_that_may_not_ask_anybody_say_what_is_missing(
    site: Site, count: Any, service: str, words: list[str]
) -> None:
    build(site, service)
    lock = site.project.read("imgbuild.lock")
    lose_all(site)
    count(3)
    asked = site.emulator.ledger()["requests"]
    run = site.run(*words, code=1)
    assert list(failures(run)) == ["hero"]
    assert not site.output().exists()
    assert site.project.read("imgbuild.lock") == lock
    assert site.emulator.ledger()["requests"] == asked


def keep_the_log(site: Site) -> None:
    """Build once more, and leave the database as a killed build does: with a write-ahead log beside it."""
    aside = site.cache / "aside"
    with closing(sqlite3.connect(site.database)) as reader:
        # As long as somebody reads, the last writer does not fold the log into the database.
        reader.execute("SELECT count(*) FROM Cache").fetchone()
        site.run("build")
        shutil.copytree(site.cache / "records", aside)
    shutil.rmtree(site.cache / "records")
    aside.rename(site.cache / "records")
    assert (site.cache / "records" / "cache.db-wal").stat().st_size


def lose_the_log(site: Site) -> None:
    (site.cache / "records" / "cache.db-wal").unlink()


RECORDS: dict[str, Callable[[Site], object]] = {
    "the folder": lambda site: shutil.rmtree(site.cache / "records"),
    "the database": lambda site: site.database.unlink(),
    "the write-ahead log": lose_the_log,
    "the log's index": lambda site: (site.cache / "records" / "cache.db-shm").unlink(),
    "the log and its index": lambda site: (
        lose_the_log(site),
        (site.cache / "records" / "cache.db-shm").unlink(),
    ),
    "the database and the index": lambda site: (
        site.database.unlink(),
        (site.cache / "records" / "cache.db-shm").unlink(),
    ),
}


@pytest.mark.parametrize(("what", "service"), grid(RECORDS, EITHER_KIND))
def test_records_that_are_lost_are_rebuilt_from_what_lies_beside_the_blobs(
    site: Site, count: Any, what: str, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    first = site.master().name
    site.change("hero", prompt="another picture of hero")
    keep_the_log(site)
    assert site.paid() == 3
    second = site.master().name
    RECORDS[what](site)
    count(1)
    assert site.run("build").counts() == {"unchanged": 2}
    site.change("hero", prompt="a picture of hero")
    _, done = plan_and_build(site)
    assert done.summary["submitted"] == 0
    assert site.master().name == first
    site.change("hero", prompt="another picture of hero")
    site.run("build")
    assert site.master().name == second
    assert site.paid() == 3
    assert site.project.stamps().keys() == before.keys()
    stats = site.run("cache", "stats").events[-1]["value"]
    assert stats["results"] == 3
    site.run("cache", "verify")
    check_invariants(site.project, site.emulator.ledger())


def test_it_is_said_that_the_records_were_rebuilt(site: Site, count: Any) -> None:
    build(site)
    shutil.rmtree(site.cache / "records")
    count(1)
    run = site.run("build")
    assert run.counts() == {"unchanged": 2}
    assert "rebuilt" in warnings(run)
    assert "rebuilt" not in warnings(site.run("build"))


@pytest.mark.parametrize("service", EITHER_KIND)
def test_without_sidecars_the_records_do_and_without_both_the_lock_does(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    before = site.project.files()
    for path in site.sidecars():
        path.unlink()
        count(1)
    assert site.run("build").counts() == {"unchanged": 2}
    site.run("cache", "verify")
    shutil.rmtree(site.cache / "records")
    for path in site.sidecars():
        path.unlink()
    count(1)
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.run("build", "--locked").counts() == {"unchanged": 2}
    site.output().unlink()
    _, done = plan_and_build(site)
    assert done.counts() == {"restored": 1, "unchanged": 1}
    assert site.project.files() == before
    site.change("hero", size="32x32")
    _, done = plan_and_build(site)
    assert done.counts() == {"derived": 1, "unchanged": 1}
    assert site.paid() == 2


@pytest.mark.parametrize("service", EITHER_KIND)
def test_without_a_cache_nothing_is_paid_for_as_long_as_the_files_are_there(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    shutil.rmtree(site.cache)
    count(1)
    assert site.run("plan").summary["unchanged"] == 2
    for words in (["build"], ["build", "--locked"], ["restore"]):
        assert site.run(*words).counts() == {"unchanged": 2}
    assert site.project.stamps() == before
    site.output().unlink()
    assert site.run("build").counts() == {"restored": 1, "unchanged": 1}
    assert site.paid() == 2


@pytest.mark.parametrize("service", EITHER_KIND)
def test_with_nothing_left_but_the_lock_everything_is_paid_for_again_as_announced(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    lock = site.project.read("imgbuild.lock")
    shutil.rmtree(site.cache)
    shutil.rmtree(site.project.root / "out")
    count(2)
    for words in (["build", "--locked"], ["restore"]):
        run = site.run(*words, code=1)
        assert list(failures(run)) == ["hero", "icon"]
        assert site.project.read("imgbuild.lock") == lock
    assert site.paid() == 2
    plan, done = plan_and_build(site)
    assert all("result" in reasons(plan, id) for id in IMAGES)
    assert done.counts() == {"generated": 2, "submitted": 2}
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.run("build", "--locked").counts() == {"unchanged": 2}
    takes = {f"a picture of {id}": 2 for id in IMAGES}
    check_invariants(site.project, site.emulator.ledger(), takes=takes)


@pytest.mark.parametrize("service", EITHER_KIND)
def test_verify_says_what_is_lost_and_makes_nothing_cost_what_did_not_cost_before(
    site: Site, count: Any, service: str
) -> None:
    build(site, service)
    path = site.master()
    lose_all(site)
    count(3)
    value = site.run("cache", "verify", code=1).events[-1]["value"]
    assert path.name in {one["digest"] for one in value["lost"]}
    plan, _ = plan_and_build(site)
    assert plan.actions()["hero"]["cost"] == (0 if service == "uniall" else PRICE)
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.run("cache", "verify").events[-1]["value"]["lost"] == []
