"""A04: small bodies that unfold, bodies without end, and bodies that never come, with memory held to a bound."""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from attack_cases import FULL, sample
from bounded import Bounded
from hostile_service import HostileService, answer
from pictures import GOOD
from project_folder import ProjectFolder

MEGABYTES = 256
"""Of the whole command, of which Python and libvips are most."""


def assert_refused(run: Bounded, words: str) -> None:
    assert run.code == 1, run.err
    assert "Traceback" not in run.err
    assert words in run.err
    assert run.megabytes < MEGABYTES


def bomb(megabytes: int) -> bytes:
    return gzip.compress(bytes(megabytes * 2**20), mtime=0)


@pytest.mark.parametrize("encoding", sample(["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip"], 6))
def test_a_compressed_picture_is_refused_unread(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded], encoding: str
) -> None:
    project.manifest(service.manifest())
    service.gives(bomb(300), **{"Content-Encoding": encoding})
    assert_refused(bounded("build"), "compressed")
    assert service.submissions == 1


def test_an_answer_that_unfolds_is_refused(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest())
    packed = bomb(300)
    service.poll = lambda: (200, {"Content-Encoding": "gzip", "Content-Type": "application/json"}, packed)
    assert_refused(bounded("build"), "too large")


def test_an_error_that_unfolds_is_refused(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest())
    service.submit = lambda: (400, {"Content-Encoding": "gzip"}, bomb(300))
    assert_refused(bounded("build"), "400")


def test_an_answer_of_brackets_is_refused(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest().replace("deadline: 20s", "deadline: 2s"))
    service.poll = lambda: (200, {"Content-Type": "application/json"}, b"[" * 2**20)
    assert_refused(bounded("build"), "not the JSON")


@pytest.mark.skipif(not FULL, reason="a quarter of a gigabyte: python -m tests --full")
def test_a_picture_without_end_stops_at_the_limit(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest(timeout="120s"))
    service.gives(itertools.repeat(bytes(2**20)))
    assert_refused(bounded("build"), "larger than 256 MiB")


def test_a_picture_that_drips_is_given_up_in_time(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    def dripping() -> Iterator[bytes]:
        for byte in GOOD:
            yield bytes([byte])
            time.sleep(0.05)

    project.manifest(service.manifest(timeout="1s").replace("deadline: 20s", "deadline: 3s"))
    service.links(f"{service.url}/picture.png")
    service.picture = lambda path: (200, {"Content-Type": "image/png"}, dripping())
    assert_refused(bounded("build"), "hero")


def test_a_length_that_lies_is_noticed(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest())
    service.links(f"{service.url}/picture.png")
    service.picture = lambda path: (200, {"Content-Length": str(2**40)}, [GOOD])
    assert_refused(bounded("build"), "larger than 256 MiB")


def test_a_million_links_are_no_more_than_one_task_can_have(
    project: ProjectFolder, service: HostileService, bounded: Callable[..., Bounded]
) -> None:
    project.manifest(service.manifest())
    links = [f"{service.url}/{number}.png" for number in range(200_000)]
    service.poll = lambda: answer({"code": "success", "data": {"status": "SUCCESS", "result_url": links}})
    run = bounded("build")
    assert run.code == 1
    assert run.megabytes < MEGABYTES
    assert len([got for got in service.got if got.path.endswith(".png")]) < 100
