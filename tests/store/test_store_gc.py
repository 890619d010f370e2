import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import keep_output, keep_result, sha, write_scratch

from imgbuild.store.cache import Cache, open_cache
from imgbuild.store.collect import Candidate, choose

DAY = 86_400.0
NOW = 1_800_000_000.0

blobs = st.lists(
    st.builds(
        Candidate,
        digest=st.text("abc", min_size=1, max_size=3),
        bytes=st.integers(0, 100),
        modified=st.floats(NOW - 10 * DAY, NOW),
        free=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda blob: blob.digest,
)
kept = st.sets(st.text("abc", min_size=1, max_size=3), max_size=8)
bounds = st.none() | st.integers(0, 500)
ages = st.none() | st.floats(0, 10 * DAY)


@settings(deadline=None)
@given(blobs=blobs, keep=kept, max_bytes=bounds, age=ages)
def test_the_laws_of_garbage_collection(blobs, keep, max_bytes, age) -> None:
    chosen = choose(blobs, keep=keep, max_bytes=max_bytes, max_age_seconds=age, now=NOW)

    gone = {blob.digest for blob in chosen}
    left = [blob for blob in blobs if blob.digest not in gone]
    assert not gone & keep
    if max_bytes is not None:
        assert sum(blob.bytes for blob in left) <= max_bytes or all(blob.digest in keep for blob in left)
    if age is not None:
        assert all(NOW - blob.modified <= age or blob.digest in keep for blob in left)
    if max_bytes is None and age is None:
        assert not chosen
    if age is None and any(not blob.free for blob in chosen):
        assert all(not blob.free or blob.digest in keep for blob in left)
    for one in (True, False):
        times = [blob.modified for blob in chosen if blob.free is one]
        assert times == sorted(times)


@settings(deadline=None)
@given(blobs=blobs, keep=kept, max_bytes=st.integers(0, 500))
def test_no_more_goes_than_has_to(blobs, keep, max_bytes) -> None:
    chosen = choose(blobs, keep=keep, max_bytes=max_bytes, max_age_seconds=None, now=NOW)

    if chosen:
        total = sum(blob.bytes for blob in blobs)
        assert total - sum(blob.bytes for blob in chosen[:-1]) > max_bytes


def aged(cache: Cache, digest: str, days: float) -> str:
    os.utime(cache.blobs.path(digest), (NOW - days * DAY, NOW - days * DAY))
    return digest


def filled(cache: Cache) -> dict[str, str]:
    paid = keep_result(cache, b"paid" * 10, image_id="hero")
    keep_result(cache, b"paid" * 10, key="twin", image_id="twin")
    old = keep_result(cache, b"old paid", key="old", image_id="old")
    output = keep_output(cache, b"output" * 5, source=paid.digest)
    orphan = keep_output(cache, b"orphan", source=sha("long gone"), recipe="orphan")
    pinned = cache.keep_pin("https://example.com/a.png", write_scratch(cache, b"reference"))
    mine = cache.blobs.add_bytes(b"retouched by hand")
    return {
        "paid": aged(cache, paid.digest, 1),
        "old": aged(cache, old.digest, 20),
        "output": aged(cache, output.digest, 2),
        "orphan": aged(cache, orphan.digest, 3),
        "pinned": aged(cache, pinned.digest, 4),
        "mine": aged(cache, mine.digest, 5),
    }


def test_what_is_free_goes_first_and_then_the_oldest(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    names = {digest: name for name, digest in filled(cache).items()}

    report = cache.gc(max_bytes=0, now=NOW, dry_run=True)

    assert [names[one.digest] for one in report.removed] == [
        "output",
        "old",
        "mine",
        "pinned",
        "orphan",
        "paid",
    ]
    by_name = {names[one.digest]: one for one in report.removed}
    assert by_name["paid"].image_ids == ("hero", "twin")
    assert by_name["paid"].kind == "result"
    assert by_name["output"].kind == "output"
    assert by_name["mine"].kind == "other"
    assert by_name["old"].age == 20 * DAY
    assert by_name["paid"].bytes == 40
    assert report.dry_run
    assert report.freed_bytes == cache.stats().bytes
    assert cache.stats().blobs == 6


def test_removal_takes_blob_record_and_sidecars(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    digests = filled(cache)

    report = cache.gc(max_bytes=0, keep={digests["paid"], digests["mine"]}, now=NOW)

    assert {entry.digest for entry in cache.blobs.entries()} == {digests["paid"], digests["mine"]}
    assert {result.digest for result in cache.records.all_results()} == {digests["paid"]}
    assert cache.records.all_outputs() == ()
    assert cache.records.all_pins() == ()
    assert {path.name[:64] for path in (tmp_path / "blobs").rglob("*.json")} == {digests["paid"]}
    assert (report.kept_blobs, report.kept_bytes) == (2, 40 + len(b"retouched by hand"))
    assert cache.verify(repair=False).ok


def test_age_alone(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    digests = filled(cache)

    report = cache.gc(max_age_seconds=10 * DAY, now=NOW)

    assert [one.digest for one in report.removed] == [digests["old"]]


def test_without_a_bound_nothing_goes(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    filled(cache)

    assert cache.gc().removed == ()


@settings(max_examples=10, deadline=None)
@given(keep=st.sets(st.sampled_from(["paid", "old", "output", "orphan", "pinned", "mine"])), bound=bounds)
def test_the_cache_obeys_the_same_laws(tmp_path_factory, keep, bound) -> None:
    cache = open_cache(tmp_path_factory.mktemp("cache"))
    digests = filled(cache)
    kept = {digests[name] for name in keep}

    cache.gc(max_bytes=bound, keep=kept, now=NOW)

    left = {entry.digest: entry.bytes for entry in cache.blobs.entries()}
    assert kept <= left.keys()
    assert bound is None or sum(left.values()) <= bound or left.keys() == kept
    assert cache.verify(repair=False).ok
    cache.close()
