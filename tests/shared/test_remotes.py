"""One interface, four remotes: laws that hold for each, and what is written there."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.claim_text import read_claim
from imgbuild.store.remote import documents
from imgbuild.store.remote.action_result import decode_action_result, encode_action_result
from imgbuild.store.remote.base import ClaimingRemote, Remote, RemoteError, WrongBytesError, receive
from imgbuild.store.remote.memory import MemoryRemote
from imgbuild.store.remote.opening import open_remote

KEY = "ab" * 32
OTHER = "cd" * 32


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["memory", "s3", "folder", "nginx"])
def remote(request: pytest.FixtureRequest):
    if request.param == "memory":
        yield MemoryRemote()
        return
    place = request.getfixturevalue(request.param)
    opened = open_remote(place.address, place.environ, auth=None, timeout=5)
    yield opened
    opened.close()


def test_a_blob_comes_back_as_it_went(remote: Remote, tmp_path: Path):
    data = os.urandom(3_000_000)
    digest = digest_of(data)
    (tmp_path / "in").write_bytes(data)
    assert not remote.has_blob(digest)
    assert not receive(remote, digest, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert remote.write_blob(digest, tmp_path / "in")
    assert not remote.write_blob(digest, tmp_path / "in")
    assert remote.has_blob(digest)
    assert receive(remote, digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_more_bytes_than_announced_are_refused_and_leave_no_file(remote: Remote, tmp_path: Path):
    (tmp_path / "in").write_bytes(bytes(1000))
    digest = digest_of(bytes(1000))
    remote.write_blob(digest, tmp_path / "in")
    with pytest.raises(WrongBytesError):
        receive(remote, digest, tmp_path / "out", most=999)
    assert not (tmp_path / "out").exists()


def test_other_bytes_are_refused_and_leave_no_file(tmp_path: Path):
    remote = MemoryRemote()
    remote.blobs[KEY] = b"something else"
    with pytest.raises(WrongBytesError):
        receive(remote, KEY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_record_comes_back_and_is_replaced(remote: Remote, tmp_path: Path):
    name = f"result/{KEY}/1"
    assert remote.read_record("main", name) is None
    remote.write_record("main", name, b"one", {})
    (tmp_path / "in").write_bytes(b"blob")
    remote.write_blob(digest_of(b"blob"), tmp_path / "in")
    remote.write_record("main", name, b"two", {digest_of(b"blob"): 4})
    assert remote.read_record("main", name) == b"two"
    assert remote.read_record("pr-1", name) is None
    assert remote.read_record("main", f"result/{KEY}/2") is None


def test_of_many_that_create_one_record_exactly_one_does(remote: Remote):
    if not isinstance(remote, ClaimingRemote):
        pytest.skip("this protocol creates nothing conditionally")
    name = f"claim/{KEY}/1"
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda n: remote.create_record("main", name, b"%d" % n), range(16)))
    assert created.count(True) == 1
    assert remote.read_record("main", name) == b"%d" % created.index(True)
    remote.delete_record("main", name)
    remote.delete_record("main", name)
    assert remote.read_record("main", name) is None
    assert remote.create_record("main", name, b"again")


@pytest.mark.parametrize("name", ["result/../../x", "result/abc/1", f"claim/{KEY}/x", f"Result/{KEY}", ""])
def test_no_other_name_becomes_a_path(remote: Remote, name: str):
    with pytest.raises(ValueError, match="name of a record"):
        remote.read_record("main", name)


def test_a_store_that_is_not_there_is_a_remote_error():
    place = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "a"}
    secret = {"AWS_SECRET_ACCESS_KEY": "sk-canary-77"}
    remote = open_remote("s3://bucket/x", {**place, **secret}, auth=None, timeout=0.5)
    with pytest.raises(RemoteError) as caught:
        remote.has_blob(KEY)
    assert "sk-canary-77" not in str(caught.value)


@given(
    st.binary(), st.dictionaries(st.binary(max_size=9).map(digest_of), st.integers(0, 1 << 60), max_size=3)
)
def test_an_action_result_gives_back_what_it_was_given(stdout: bytes, blobs: dict[str, int]):
    assert decode_action_result(encode_action_result(stdout, blobs)) == stdout


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading_of_an_action_result(data: bytes):
    found = decode_action_result(data)
    assert found is None or found in data


def test_an_action_result_is_what_protobuf_says():
    """Written down by hand from the encoding's specification."""
    digest = bytes([0x0A, 2]) + b"ab" + bytes([0x10, 0xAC, 0x02])
    file = bytes([0x0A, 2]) + b"ab" + bytes([0x12, len(digest)]) + digest
    wanted = bytes([0x12, len(file)]) + file + bytes([0x2A, 3]) + b"out"
    assert encode_action_result(b"out", {"ab": 300}) == wanted
    unknown = bytes([0x20, 0x96, 0x01]) + bytes([0x4A, 1, 0xFF]) + bytes([0x7D]) + bytes(4)
    assert decode_action_result(unknown + wanted + unknown) == b"out"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(value=JSON, secret=st.none() | st.binary(min_size=1, max_size=9))
def test_a_record_opens_with_its_own_secret_under_its_own_name(value, secret):
    data = documents.seal("main", "result/x", value, secret)
    assert documents.unseal("main", "result/x", data, secret) == value
    assert documents.unseal("main", "result/x", data, None) == value
    for scope, name, key in (
        ("pr-1", "result/x", b"k"),
        ("main", "result/y", b"k"),
        ("main", "result/x", b"other"),
    ):
        sealed = documents.seal("main", "result/x", value, b"k")
        with pytest.raises(documents.UnsignedError):
            documents.unseal(scope, name, sealed, key)


@given(
    st.binary(max_size=60) | JSON.map(lambda value: documents.dump({"version": 1, "value": value}).encode())
)
def test_no_bytes_break_the_reading_of_a_record(data: bytes):
    value = documents.unseal("main", "x", data, None)
    documents.read_result(value, KEY, 1)
    documents.read_keys(value)
    documents.read_outputs(value, KEY)


@given(
    st.fixed_dictionaries(
        {
            "id": st.just("x"),
            "who": st.just("a\x1bb"),
            "cache": st.just("c"),
            "beats": st.integers(),
            "left": st.booleans(),
        },
        optional={
            "lasts": st.integers() | st.floats(allow_nan=False) | st.just(10**400),
            "until": st.integers() | st.floats(allow_nan=False) | st.just(10**400),
            "journal": JSON | st.lists(JSON),
        },
    )
    | JSON
)
def test_no_claim_binds_for_longer_than_an_hour_or_shows_a_control_character(value):
    seen = read_claim(value)
    assert 0 <= seen.lasts <= 3600
    assert "\x1b" not in seen.who
    assert all(isinstance(line, dict) for line in seen.journal)


def test_a_result_travels_without_the_folder_and_the_bill():
    result = StoredResult(
        key=KEY, take=1, digest=OTHER, format="png", width=1, height=1, bytes=9, spec={"prompt": "x"},
        provider="openai", image_id="hero", created="2026-01-01T00:00:00+00:00", model=None,
        declared=(OTHER,), cost=0.5, unit="USD", project="/home/me/secret", task="t-1", job="j",
    )  # fmt: skip
    value = documents.result_value(result)
    assert "/home/me" not in documents.dump(value)
    found = documents.read_result(value, KEY, 1)
    assert found is not None
    assert (found.project, found.digest, found.task) == (None, OTHER, "t-1")
    assert documents.read_result(value, OTHER, 1) is None
    assert documents.read_result(value, KEY, 2) is None


def test_outputs_of_another_recipe_are_left_out():
    output = StoredOutput(KEY, "libvips 8 png", OTHER, OTHER, "png", 1, 1, 5)
    value = documents.outputs_value({"libvips 8 png": output})
    assert documents.read_outputs(value, KEY) == {"libvips 8 png": output}
    assert documents.read_outputs(value, OTHER) == {}
