"""Many builders on one shared cache: each key is paid for once, whoever is killed, refused or interrupted."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import from_url
from project_folder import ProjectFolder

FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))
BUILDERS = 20 if FULL else 4
KEYS = 6 if FULL else 3
IMAGES = "images:\n" + "".join(
    f"  i{n}: {{prompt: picture {n}, size: 64x64, output: out/i{n}.png}}\n" for n in range(KEYS)
)
ONE = "images:\n  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}\n"
QUICK = ", claim_time: 1s"


@pytest.fixture(params=["s3", "folder"])
def both(request: pytest.FixtureRequest):
    """Each kind of shared cache that can claim."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["s3", "folder"] if FULL else ["folder"])
def claiming(request: pytest.FixtureRequest):
    """One of them; in a full run, both."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def machines(builder, start_emulator) -> Callable[..., list[ProjectFolder]]:
    """Machines whose service takes a while."""

    def make(place: Any, images: str, count: int, settings: str = QUICK, **options: Any):
        service = start_emulator(**{"latency": 0.5, **options})
        made = []
        for number in range(count):
            project = builder(f"m{number}", place, images, settings=settings)
            text = project.read("imgbuild.yaml").decode()
            url = next(line for line in text.splitlines() if "base_url" in line)
            project.manifest(text.replace(url, f"    base_url: {service.url}"))
            made.append(project)
        return service, made

    return make


def paid(service: Any) -> Counter[str]:
    return Counter(str(charge["prompt"]) for charge in service.ledger()["charges"])


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.01)


def test_of_many_builders_one_pays_for_each_key(both, machines):
    # Whoever takes the shared cache for gone pays by himself: on a busy machine it must not seem so.
    service, made = machines(both, IMAGES, BUILDERS, settings=", timeout: 90s")
    words = ("build", "--require-remote", "--output-format", "json")
    children = [project.zygote.start(project, *words) for project in made]
    runs = [child.wait() for child in children]
    assert [run.code for run in runs] == [0] * BUILDERS
    assert set(paid(service).values()) == {1}, paid(service)
    assert len(paid(service)) == KEYS
    assert all(project.files()["out/i0.png"] == made[0].files()["out/i0.png"] for project in made)
    assert sum(run.summary["submitted"] for run in runs) == KEYS
    assert not _claims(both)


def test_whoever_comes_after_a_kill_goes_on_with_the_task(claiming, machines):
    service, (first, second) = machines(claiming, ONE, 2, latency=1.0)
    child = first.zygote.start(first, "build")
    wait_until(lambda: _journal_has(first, '"submitted"'))
    wait_until(lambda: _claim_says(claiming, "submitted"))
    child.kill()
    child.wait()
    run = second.json("build")
    assert run.counts() == {"generated": 1}
    assert run.summary["resumed"] == 1
    assert sum(paid(service).values()) == 1
    assert first.json("build").counts() in ({"restored": 1}, {"generated": 1})
    assert sum(paid(service).values()) == 1


def test_whoever_comes_after_a_kill_before_the_answer_is_told_and_pays_nothing(claiming, machines):
    service, (first, second) = machines(claiming, ONE, 2, fault=("hang-after-accept:1",))
    child = first.zygote.start(first, "build")
    wait_until(lambda: service.ledger()["charges"])
    child.kill()
    child.wait()
    run = second.json("build", code=1)
    (image,) = (event for event in run.events if event["event"] == "image")
    assert image["error"]["kind"] == "ambiguous"
    assert sum(paid(service).values()) == 1
    for _ in range(3):
        assert second.json("build", code=1).counts() == {"failed": 1}
    assert len(_claims(claiming)) <= 2
    run = second.json("build", "--retry-ambiguous")
    assert run.counts() == {"generated": 1, "submitted": 1}
    assert sum(paid(service).values()) == 2
    assert not _claims(claiming)


def test_a_payment_that_takes_longer_than_a_claim_lasts_is_left_alone(claiming, machines):
    service, made = machines(claiming, ONE, 2, latency=2.5)
    children = [project.zygote.start(project, "build", "--output-format", "json") for project in made]
    runs = [child.wait() for child in children]
    assert [run.code for run in runs] == [0, 0]
    assert sorted(run.summary["submitted"] for run in runs) == [0, 1]
    assert sum(run.summary["resumed"] for run in runs) == 0
    assert sum(paid(service).values()) == 1


def test_a_shared_cache_that_goes_away_while_it_is_paid_stops_nothing(folder, machines):
    service, (first,) = machines(folder, ONE, 1, latency=1.0)
    child = first.zygote.start(first, "build")
    wait_until(lambda: _claim_says(folder, "submitted"))
    root = Path(folder.address.removeprefix("file://"))
    root.rename(root.with_name("gone"))
    root.write_text("no folder any more")
    run = child.wait()
    assert run.code == 0, run.err
    assert "shared cache" in run.err
    assert (first.root / "out/hero.png").exists()
    root.unlink()
    root.with_name("gone").rename(root)
    assert first.json("cache", "push").events[-1]["value"]["files"] == 2
    assert sum(paid(service).values()) == 1


def test_a_refusal_lets_others_try(claiming, machines):
    service, (first, second) = machines(claiming, ONE, 2, latency=0, fault=("refuse-400:1",))
    assert first.json("build", code=1).counts() == {"failed": 1, "submitted": 1}
    assert second.json("build").counts() == {"generated": 1, "submitted": 1}
    assert not _claims(claiming)
    assert sum(paid(service).values()) == 1


def test_what_an_interrupted_build_leaves_is_gone_on_with_at_once(folder, machines):
    service, (first, second) = machines(folder, ONE, 2, settings="", latency=1.5)
    child = first.zygote.start(first, "build")
    wait_until(lambda: _journal_has(first, '"submitted"'))
    child.kill(signal.SIGINT)
    assert child.wait().code == 130
    run = second.json("build")
    assert (run.summary["resumed"], run.summary["submitted"]) == (1, 0)
    assert sum(paid(service).values()) == 1


@pytest.mark.parametrize("seed", range(6 if FULL else 1))
def test_builders_killed_at_random_never_pay_twice_but_for_what_they_say(folder, machines, seed: int):
    service, made = machines(folder, IMAGES, BUILDERS - 1, latency=0.3)
    chance = random.Random(seed)
    for _ in range(3):
        children = [project.zygote.start(project, "build") for project in made]
        for child in chance.sample(children, len(children) // 2):
            time.sleep(chance.uniform(0.05, 0.6))
            child.kill()
        for child in children:
            child.wait()
    unknown = 0
    for project in made:
        run = project.run("build", "--output-format", "json")
        kinds = {event["error"]["kind"] for event in run.events if event.get("error")}
        assert kinds <= {"ambiguous"}, run.out
        unknown = max(unknown, sum(bool(event.get("error")) for event in run.events))
    counts = paid(service)
    assert set(counts.values()) <= {1}, counts
    assert len(counts) + unknown >= KEYS


def _journal_has(project: ProjectFolder, words: str) -> bool:
    jobs = list((project.root.parent / f"cache-{project.root.name}" / "jobs").glob("*.jsonl"))
    return any(words in path.read_text() for path in jobs)


def _claim_says(place: Any, word: str) -> bool:
    return any(word in claim for claim in _claims(place))


def _claims(place: Any) -> list[str]:
    """The claims that are on a shared cache."""
    endpoint = place.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None:
        root = Path(place.address.removeprefix("file://"))
        return [path.read_text() for path in root.glob("imgbuild-1/*/claim/**/*.json")]
    config = {
        "aws_endpoint": endpoint,
        "aws_access_key_id": "x",
        "aws_secret_access_key": "y",
        "aws_region": "us-east-1",
    }
    options = {"allow_http": True, "timeout": timedelta(seconds=10)}
    store = from_url(place.address, config=config, client_options=options)
    found = [one["path"] for batch in store.list("imgbuild-1/main/claim") for one in batch]
    return [bytes(store.get(path).bytes()).decode() for path in found]
