"""How a server of the Bazel HTTP cache protocol is spoken to: connections are kept, and what breaks is told."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from odd_server import OddServer, serving

from imgbuild.store.remote.base import RemoteError, WrongBytesError, receive
from imgbuild.store.remote.bazel import BazelRemote

TLS = Path(__file__).parents[1] / "providers" / "tls"
DATA = os.urandom(1_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
PATIENCE = 20.0


@pytest.fixture
def server() -> Iterator[OddServer]:
    with serving() as running:
        running.stored[f"/cas/{DIGEST}"] = DATA
        yield running


@pytest.fixture
def remote(server: OddServer) -> Iterator[BazelRemote]:
    opened = BazelRemote(server.address, None, PATIENCE)
    yield opened
    opened.close()


def test_one_connection_serves_one_request_after_another(server, remote, tmp_path: Path):
    (tmp_path / "in").write_bytes(b"small")
    for number in range(10):
        assert receive(remote, DIGEST, tmp_path / str(number))
        assert remote.read_record("main", f"output/{DIGEST}") is None
        assert not remote.has_blob("0" * 64)
    assert remote.write_blob(hashlib.sha256(b"small").hexdigest(), tmp_path / "in")
    assert server.connections == 1


def test_threads_have_a_connection_each_at_most(server, remote):
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(remote.has_blob, [DIGEST] * 200))
    assert server.connections <= 8


def test_a_connection_that_the_server_let_go_of_is_replaced(server, remote):
    server.mood = "letting go"
    assert all(remote.has_blob(DIGEST) for _ in range(10))
    assert server.requests["HEAD"] == 10


def test_a_busy_server_is_asked_again(server, remote):
    server.mood = "busy"
    assert remote.has_blob(DIGEST)
    assert server.requests["HEAD"] == 3


def test_a_body_that_breaks_off_says_nothing_about_the_bytes(server, remote, tmp_path: Path):
    server.mood = "breaking off"
    with pytest.raises(RemoteError):
        receive(remote, DIGEST, tmp_path / "out")
    server.mood = "cut short"
    with pytest.raises(WrongBytesError):
        receive(remote, DIGEST, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_answer_that_is_not_read_to_its_end_does_not_become_the_next_one(server, remote, tmp_path: Path):
    with pytest.raises(WrongBytesError):
        receive(remote, DIGEST, tmp_path / "out", most=1000)
    assert receive(remote, DIGEST, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_refusal_is_told_with_its_status(server, remote, tmp_path: Path):
    server.refuses = True
    (tmp_path / "in").write_bytes(DATA)
    with pytest.raises(RemoteError, match="403"):
        remote.write_record("main", f"output/{DIGEST}", b"record", {})


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:99999", "http://127.0.0.1:x", "http://[::1", "http://"]
)
def test_an_address_that_is_none_is_an_error_of_the_remote(address: str):
    with pytest.raises(RemoteError):
        BazelRemote(address, None, PATIENCE).has_blob(DIGEST)


def test_a_path_with_other_letters_is_sent_as_the_server_expects_it(server: OddServer):
    remote = BazelRemote(f"{server.address}/bäume/a b%20c", None, PATIENCE)
    server.stored[f"/b%C3%A4ume/a%20b%20c/cas/{DIGEST}"] = DATA
    assert remote.has_blob(DIGEST)
    remote.close()


def test_a_certificate_of_nobody_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    with serving(context) as server:
        server.stored[f"/cas/{DIGEST}"] = DATA
        with pytest.raises(RemoteError, match="certificate"):
            BazelRemote(server.address, None, PATIENCE).has_blob(DIGEST)
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "cert.pem"))
        remote = BazelRemote(server.address, None, PATIENCE)
        assert remote.has_blob(DIGEST)
        remote.close()
        by_number = server.address.replace("localhost", "127.0.0.1")
        with pytest.raises(RemoteError, match="certificate"):
            BazelRemote(by_number, None, PATIENCE).has_blob(DIGEST)
