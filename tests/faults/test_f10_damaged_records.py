"""F10: the records' database is garbage, locked or read-only: rebuilt, or a clear message, and no charge."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from invariants import check_invariants
from project_folder import ProjectFolder, Run
from stored import (
    JSON,
    Saved,
    Site,
    batches,
    failures,
    grid,
    run_with_permissions,
    share,
    told,
    warnings,
)

IMAGES: dict[str, dict[str, Any]] = {"hero": {}, "icon": {}}
EITHER_KIND = ("uniall", "openai")
PATIENCE = 5.0
"""Seconds after which a user has been told that the records are locked."""
ALLOWANCE = 25.0
"""Seconds more for a machine that does other work at the same time."""


@pytest.fixture
def site(project: ProjectFolder, emulator: Any, zygote: Any) -> Site:
    return Site(project, emulator, zygote)


def build(site: Site, service: str = "uniall") -> None:
    """Two images, built and paid for, hero in two versions."""
    site.write(IMAGES, service)
    site.run("build")
    site.change("hero", prompt="another picture of hero")
    site.run("build")
    assert site.paid() == 3


def fold_the_log(site: Site) -> None:
    """What a command that ends in peace does: the write-ahead log goes into the database, and is gone."""
    with closing(sqlite3.connect(site.database)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _random(length: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(random.Random(length).randbytes(length)) and None


def _truncated(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, round(share * path.stat().st_size))


def _overwritten(start: int, length: int) -> Callable[[Path], None]:
    """Random bytes somewhere in the file, as a bad block leaves them."""

    def overwrite(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(random.Random(start).randbytes(length))

    return overwrite


def _sql(*statements: str, anew: bool = False) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        if anew:
            path.unlink()
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return change


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "note").write_text("somebody's")


def _file_for_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("somebody's")


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parents[2] / "nowhere")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a few random bytes": _random(100),
    "many random bytes": _random(300_000),
    "nothing": lambda path: path.write_bytes(b""),
    "NULs": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("<!doctype html>\n" * 500),
    "one byte": _truncated(0.00001),
    "a tenth": _truncated(0.1),
    "half": _truncated(0.5),
    "nine tenths": _truncated(0.9),
    "all but the last byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "a damaged header": _overwritten(0, 100),
    "a damaged page size": _overwritten(16, 2),
    "a damaged first page": _overwritten(100, 2000),
    "a damaged later page": _overwritten(4096 * 3, 4096),
    "damaged from the second page on": _overwritten(4096, 24 * 1024),
    "another program's database": _sql("CREATE TABLE notes (text)", "PRAGMA user_version = 7", anew=True),
    "an empty database": _sql("VACUUM", anew=True),
    "a table of the same name": _sql("CREATE TABLE Cache (id, picture)", anew=True),
    "no settings": _sql("DROP TABLE Settings"),
    "foreign settings": _sql("INSERT INTO Settings VALUES ('eviction', 'always')"),
    "a column renamed": _sql("ALTER TABLE Cache RENAME COLUMN value TO worth"),
    "no rows": _sql("DELETE FROM Cache"),
    "rows that name files": _sql("UPDATE Cache SET filename = '../../project/imgbuild.yaml'"),
    "a folder": _folder,
    "a file in place of its folder": _file_for_folder,
    "a link to nowhere": _link,
}
"""What becomes of the database. Each takes its path."""
ROWS = {
    "no JSON": "value = substr(value, 2)",
    "another shape": "value = '[1]'",
    "a number": "value = 7",
    "pickled": "mode = 4, value = x'80049300'",
    "another digest": 'value = replace(value, \'"digest":"\', \'"digest":"0\')',
}
"""What becomes of a row that the database itself finds nothing wrong with."""


def _batches() -> list[tuple[str, list[tuple[int, str]]]]:
    """Each service with the damages that are tried with it, a few at a time."""
    tried = grid(DAMAGES, EITHER_KIND)
    return [
        (service, some)
        for service in EITHER_KIND
        for some in batches([how for how, whose in tried if whose == service], 5)
    ]


@pytest.mark.parametrize(("service", "some"), _batches())
def test_damaged_records_cost_nothing(
    site: Site, count: Any, outside: Any, tmp_path: Path, service: str, some: list[tuple[int, str]]
) -> None:
    build(site, service)
    saved = Saved(site, tmp_path / "saved")
    for _, how in some:
        saved.bring_back()
        assert site.run("build").counts() == {"unchanged": 2}
        costs_nothing(site, how)
        count(1)
        check_invariants(site.project, site.emulator.ledger(), outside=outside)
        assert site.run("build").counts() == {"unchanged": 2}, how


def costs_nothing(site: Site, how: str) -> None:
    """The records are damaged; then it is said or set right, and nothing is lost or paid for."""
    before = site.project.stamps()
    second = site.master().name
    DAMAGES[how](site.database)
    # Whatever lies there now may be nobody's business; then it is said, and nothing is paid.
    run = told(site.zygote.run(site.project, "build", *JSON), 0, 1)
    if run.code:
        [error] = [event for event in run.events if event["event"] == "error"]
        assert str(site.cache / "records") in error["message"], how
        assert error["hint"]
        assert site.run("plan", code=1).events[-1]["message"] == error["message"]
        for path in (site.database, site.database.parent):
            if path.exists() or path.is_symlink():
                path.rename(site.cache / f"moved-{path.name}")
        run = site.run("build")
    assert run.counts() == {"unchanged": 2}, how
    assert site.project.stamps() == before, how
    site.change("hero", prompt="a picture of hero")
    plan = site.run("plan")
    assert (plan.summary["submitted"], plan.summary["cost"]) == (0, 0), how
    site.run("build")
    site.change("hero", prompt="another picture of hero", size="32x32")
    site.run("build")
    assert site.master().name == second, how
    assert site.paid() == 3, how
    site.run("cache", "verify")
    assert site.run("cache", "stats").events[-1]["value"]["results"] == 3, how


@pytest.mark.parametrize(("what", "service"), grid(ROWS, EITHER_KIND))
def test_a_record_that_makes_no_sense_is_put_back_by_verify_and_costs_nothing_unannounced(
    site: Site, count: Any, what: str, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    _sql(f"UPDATE Cache SET {ROWS[what]} WHERE key GLOB 'result/*'")(site.database)
    count(3)
    assert site.run("build").counts() == {"unchanged": 2}
    assert site.project.stamps() == before
    site.change("hero", prompt="a picture of hero")
    [hero] = site.run("plan").actions().values()
    assert site.run("cache", "verify").events[-1]["value"]["rebuilt"] == 3
    if hero["action"] == "generate":
        assert hero["cost"]
    _, done = site.run("plan"), site.run("build")
    assert (done.summary["failed"], done.summary["submitted"]) == (0, 0)
    assert site.paid() == 3
    check_invariants(site.project, site.emulator.ledger())


def test_what_was_damaged_is_kept_and_the_rebuilding_is_said_once(site: Site, count: Any) -> None:
    build(site)
    fold_the_log(site)
    garbage = random.Random(7).randbytes(50_000)
    site.database.write_bytes(garbage)
    count(1)
    # A build that has nothing to do does not look at the records.
    shutil.rmtree(site.project.root / ".imgbuild")
    said = warnings(site.run("build"))
    [aside] = site.cache.glob("records.damaged-*")
    assert aside.name in said
    assert (aside / "cache.db").read_bytes() == garbage
    assert warnings(site.run("build")) == ""


@contextmanager
def locked(database: Path, *, readers: bool) -> Iterator[None]:
    """Hold the database as another program does in the middle of a long transaction."""
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        if readers:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.execute("ROLLBACK")


ASKING = (["build"], ["plan"], ["cache", "verify"], ["build", "--locked"], ["takes", "hero"])


@pytest.mark.parametrize(
    ("words", "readers", "service"),
    grid(share(ASKING, 0, 3), [False, True], EITHER_KIND),
)
def test_locked_records_are_said_to_be_locked_within_seconds_and_nothing_is_sent(
    site: Site, count: Any, words: list[str], readers: bool, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    site.change("hero", prompt="a third picture of hero")
    with locked(site.database, readers=readers):
        count(1)
        began = time.monotonic()
        run = told(site.zygote.run(site.project, *words, *JSON), 0, 1)
        took = time.monotonic() - began
    if run.code or words == ["build"]:
        assert "locked by another program" in run.out
        assert str(site.cache / "records") in run.out
        assert "run this command again" in run.out
    assert took < PATIENCE + ALLOWANCE
    assert site.paid() == 3
    assert site.project.stamps() | {"imgbuild.yaml": 0} == before | {"imgbuild.yaml": 0}
    site.run("build")
    assert site.paid() == 4


@pytest.mark.parametrize(("trouble", "service"), grid(["garbage", "locked", "gone"], EITHER_KIND))
def test_a_result_that_arrives_while_the_records_cannot_be_written_is_not_paid_for_again(
    site: Site, start_emulator: Callable, count: Any, service: str, trouble: str
) -> None:
    slow = Site(site.project, start_emulator(latency=0.7, jitter=0.0), site.zygote)
    slow.write({"icon": {}}, service)
    slow.run("build")
    slow.write(IMAGES, service)
    child = site.zygote.start(site.project, "build", *JSON)
    while slow.paid() < 2:
        assert child.running
    count(1)
    run = _while(trouble, slow, child)
    if run.code:
        assert list(failures(run)) == ["hero"]
        assert str(slow.cache / "records") in failures(run)["hero"]
    run = slow.run("build")
    assert (run.summary["failed"], run.summary["submitted"]) == (0, 0)
    assert slow.paid() == 2
    assert slow.run("build").counts() == {"unchanged": 2}
    slow.run("cache", "verify")
    check_invariants(site.project, slow.emulator.ledger())


def _while(trouble: str, site: Site, child: Any) -> Run:
    """Wait for a build that gets its result while the records are in trouble."""
    if trouble == "locked":
        with locked(site.database, readers=False):
            return told(child.wait(), 1)
    if trouble == "garbage":
        site.database.write_bytes(random.Random(1).randbytes(40_000))
    else:
        shutil.rmtree(site.database.parent)
    return told(child.wait(), 0, 1)


def forbid(site: Site, what: str) -> Callable[[], None]:
    """Take the permission to write away; what is returned gives it back."""
    folder = {"the database": site.database.parent, "the cache": site.cache}[what]
    paths = [folder, *folder.rglob("*")]
    modes = [(path, path.stat().st_mode) for path in paths]
    for path, mode in modes:
        path.chmod(mode & ~0o222)

    def allow() -> None:
        for path, mode in modes:
            path.chmod(mode)

    return allow


@pytest.mark.parametrize(("what", "service"), grid(["the database", "the cache"], EITHER_KIND))
def test_read_only_records_are_named_and_nothing_is_paid_that_could_not_be_recorded(
    site: Site, count: Any, what: str, service: str
) -> None:
    build(site, service)
    before = site.project.stamps()
    allow = forbid(site, what)
    count(1)
    for words in (["build"], ["plan"], ["build", "--locked"]):
        run = told(run_with_permissions(site.project, *words, *JSON), 0, 1)
        if run.code:
            assert str(site.cache) in run.events[-1]["message"]
            assert run.events[-1]["hint"]
    site.change("hero", prompt="a third picture of hero")
    run = told(run_with_permissions(site.project, "build", *JSON), 1)
    assert str(site.cache) in run.out
    assert site.project.stamps() | {"imgbuild.yaml": 0} == before | {"imgbuild.yaml": 0}
    assert site.paid() == 3
    allow()
    run = site.run("build")
    assert (run.summary["failed"], run.summary["submitted"]) == (0, 1)
    assert site.paid() == 4
    check_invariants(site.project, site.emulator.ledger())
