"""The lock's text: sorted, stable, strict; and what git does with two branches of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import LockfileError
from imgbuild.core.lock import (
    Lock,
    LockedImage,
    LockedOutput,
    LockedSource,
    lock_name,
    parse_lock,
    render_lock,
)

digests = st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")
counts = st.integers(1, 2**40)
words = st.text(min_size=1, max_size=12)
paths = words.filter(lambda text: not set(text) & set("/\\:.\0"))
outputs = st.builds(LockedOutput, digests, counts, counts, counts)
entries = st.builds(
    LockedImage,
    key=digests,
    take=counts,
    provider=words,
    model=st.none() | words,
    source=st.builds(LockedSource, digests, words, counts, counts),
    outputs=st.dictionaries(paths, outputs, max_size=3),
)
locks = st.builds(Lock, st.dictionaries(words, entries, max_size=4))


def entry(id: str) -> LockedImage:
    digest = f"{sum(map(ord, id)):064x}"
    source = LockedSource(digest, "png", 1536, 864)
    return LockedImage(
        digest, 1, "jimmyai", source, "gpt-image-2", {f"{id}.png": LockedOutput(digest, 48213, 1200, 630)}
    )


@given(locks)
def test_text_and_lock_are_one_to_one(lock: Lock):
    text = render_lock(lock)
    assert parse_lock(text, "imgbuild.lock") == lock
    assert render_lock(parse_lock(text, "imgbuild.lock")) == text


@given(locks)
def test_every_object_is_sorted_and_every_member_has_a_line(lock: Lock):
    text = render_lock(lock)
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@given(locks, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(lock: Lock, chance):
    items = list(lock.images.items())
    chance.shuffle(items)
    assert render_lock(Lock(dict(items))) == render_lock(lock)


def test_the_text_is_pinned():
    assert render_lock(Lock({"hero": entry("a")})) == (
        '{\n  "images": {\n    "hero": {\n'
        f'      "key": "{97:064x}",\n'
        '      "model": "gpt-image-2",\n'
        '      "outputs": {\n        "a.png": {\n          "bytes": 48213,\n'
        f'          "digest": "{97:064x}",\n'
        '          "height": 630,\n          "width": 1200\n        }\n      },\n'
        '      "provider": "jimmyai",\n'
        '      "source": {\n'
        f'        "digest": "{97:064x}",\n'
        '        "format": "png",\n        "height": 864,\n        "width": 1536\n      },\n'
        '      "take": 1\n    }\n  },\n  "version": 1\n}\n'
    )


CONFLICT = '{\n  "images": {\n<<<<<<< HEAD\n=======\n>>>>>>> other\n  },\n  "version": 1\n}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("{", "imgbuild.lock:1:2"),
        (CONFLICT, "imgbuild.lock:3:1: the lock has git conflict markers"),
        ('{"images": {}, "version": 2}', "version 2"),
        ('{"images": {}, "version": true}', "version must be 1"),
        ('{"images": {}}', "lacks version"),
        ('{"images": [], "version": 1}', "images must be an object"),
        ('{"images": {}, "version": 1, "more": 1}', "unknown members: more"),
        ('{"images": {}, "images": {}, "version": 1}', '"images" stands twice'),
        ('{"images": {"a": {}}, "version": 1}', 'image "a" lacks'),
        ('{"images": ' + "[" * 100_000, "cannot be read"),
        (render_lock(Lock({"a": entry("a")})).replace('"take": 1', '"take": 0'), "take must be a positive"),
        (render_lock(Lock({"a": entry("a")})).replace("0061", "00zz"), "SHA-256"),
    ],
)
def test_a_broken_lock_is_an_error_that_names_the_file(text: str, words: str):
    with pytest.raises(LockfileError) as caught:
        parse_lock(text, "imgbuild.lock")
    assert caught.value.message.startswith("imgbuild.lock")
    assert words in caught.value.message
    assert caught.value.remedy


@given(
    st.text(max_size=80)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["images", "version", "a"]), x),
    ).map(json.dumps)
)
def test_arbitrary_text_gives_a_lock_or_a_lock_error(text: str):
    try:
        assert isinstance(parse_lock(text, "imgbuild.lock"), Lock)
    except LockfileError as error:
        assert error.message


def test_profiles_have_locks_of_their_own():
    assert (lock_name(None), lock_name("draft")) == ("imgbuild.lock", "imgbuild.draft.lock")


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=False, capture_output=True, text=True)


def test_two_branches_that_add_images_in_different_places_merge(tmp_path: Path):
    path = tmp_path / "imgbuild.lock"

    def commit(*ids: str) -> None:
        path.write_text(render_lock(Lock({id: entry(id) for id in ids})))
        git(tmp_path, "add", "-A")
        assert git(tmp_path, "commit", "-m", "x").returncode == 0

    git(tmp_path, "init")
    commit("forest", "hero", "sprite")
    git(tmp_path, "checkout", "-b", "other")
    commit("forest", "gate", "hero", "sprite")
    git(tmp_path, "checkout", "main")
    commit("forest", "hero", "river", "sprite")
    merged = git(tmp_path, "merge", "other")
    assert merged.returncode == 0, merged.stdout
    ids = ["forest", "gate", "hero", "river", "sprite"]
    assert path.read_text() == render_lock(Lock({id: entry(id) for id in ids}))
